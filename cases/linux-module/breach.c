// SPDX-License-Identifier: MIT
/*
 * A Linux module that breaks the memory contract once: it asks for a writable mapping of the page
 * table in use. The kernel exports nothing to ask with, so the request is made here, by the
 * registers that <xen/xen.h> (public/arch-x86) names.
 */
#include <linux/module.h>
#include <linux/vmalloc.h>

#include <xen/xen.h>

#include <asm/xen/page.h>

static long ask_mmu_update(struct mmu_update *update, unsigned int count, unsigned int *done)
{
    register unsigned long domain asm("r10") = DOMID_SELF;
    long answer = __HYPERVISOR_mmu_update;

    asm volatile("syscall"
                 : "+a"(answer)
                 : "D"(update), "S"(count), "d"(done), "r"(domain)
                 : "rcx", "r11", "memory");
    return answer;
}

/* CR3 as the kernel has it names a page of its own count, and not the machine's. */
static xmaddr_t root_in_use(void)
{
    return phys_to_machine(XPADDR(read_cr3_pa()));
}

/* The entry that maps `page` is to map the root in use instead, to be written to. */
static noinline long map_root_writable(void *page)
{
    unsigned int level, done = 0;
    pte_t *entry = lookup_address((unsigned long)page, &level);
    struct mmu_update update;

    if (!entry || level != PG_LEVEL_4K)
        return -ENOENT;
    update.ptr = virt_to_machine(entry).maddr | MMU_NORMAL_PT_UPDATE;
    update.val = root_in_use().maddr | pgprot_val(PAGE_KERNEL);
    return ask_mmu_update(&update, 1, &done);
}

static int __init breach_init(void)
{
    void *page;
    long answer;

    if (!xen_pv_domain())
        return -ENODEV;
    page = vmalloc(PAGE_SIZE);
    if (!page)
        return -ENOMEM;
    answer = map_root_writable(page);
    if (answer < 0)
        pr_err("breach: the root %llx writable at %px: answer %ld\n", root_in_use().maddr, page,
               answer);
    vfree(page);
    return 0;
}

static void __exit breach_exit(void)
{
}

module_init(breach_init);
module_exit(breach_exit);
MODULE_DESCRIPTION("asks for a writable mapping of a page table");
MODULE_LICENSE("Dual MIT/GPL");
