/* SPDX-License-Identifier: MIT */
/* Roots, segments and the TLB of the CPU that runs this. */
#include "cpu.h"

#include "asm.h"
#include "dirty.h"
#include "log.h"
#include "machine.h"
#include "shadow.h"

#define DESC_PAGE(offset) ((offset) / PAGE_BYTES)
#define DESC_FLAGS        (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_NX)
#define LDT_TYPE          0x82ull /* present, DPL 0, LDT */

int load_selector_gs(uint16_t selector);

uint64_t tlb_flushes, tlb_page_flushes, root_switches;

static uint16_t clock_of_flushes;
static uint8_t zero_page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

struct vcpu *current_vcpu(void)
{
    return this_cpu()->current;
}

/* ---- TLB. G bits are ignored (CR4.PGE is off), so a load of CR3 is a whole flush. With more than
 * one CPU, a wrap of the clock must also flush the others. */

static void load_cr3(uint64_t value)
{
    write_cr3(value);
    this_cpu()->tlb_flushed_at = ++clock_of_flushes;
}

void tlb_flush_hardware(void)
{
    load_cr3(read_cr3());
}

void tlb_flush_local(void)
{
    tlb_flushes++;
    if (__builtin_expect(shadow_on, false))
        shadow_flush();
    load_cr3(read_cr3());
}

void tlb_flush_page(gva_t va)
{
    tlb_page_flushes++;
    if (__builtin_expect(shadow_on, false))
        shadow_flush_page(va);
    invlpg(va.a);
}

uint16_t tlb_clock(void)
{
    return clock_of_flushes;
}

/* A stamp from before a wrap may look new: then one flush is wasted, none is missed. */
void tlb_flush_since(uint16_t stamp)
{
    if (this_cpu()->tlb_flushed_at <= stamp)
        tlb_flush_local();
}

/* ---- roots */

mfn_t cpu_guest_root(const struct vcpu *v)
{
    return v->in_kernel ? v->mem.kernel_root : v->mem.user_root;
}

/* It flushes the TLB, and so the shadows, too: R9 believes the clock that it moves. */
static __attribute__((noinline)) mfn_t shadowed(mfn_t root)
{
    shadow_flush();
    return shadow_root(root);
}

void cpu_load_root(struct vcpu *v)
{
    mfn_t root = cpu_guest_root(v);

    if (__builtin_expect(shadow_on, false))
        root = shadowed(root);
    root_switches++;
    load_cr3(mfn_address(root, 0).a);
}

/* ---- GDT and LDT: pages of this CPU's descriptor area */

static uint64_t descriptor_area(void)
{
    return DESCRIPTOR_BASE + (uint64_t)this_cpu()->id * DESCRIPTOR_STRIDE;
}

static void flush_descriptor_pages(unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        invlpg(descriptor_area() + (first + i) * (uint64_t)PAGE_BYTES);
}

/* The guest's pages are writable here so that the CPU can set a descriptor's accessed bit; the
 * guest itself has no access. */
void cpu_load_gdt(struct vcpu *v)
{
    mfn_t zero = maddr_frame((maddr_t){(uint64_t)zero_page - IMAGE_BASE});

    for (unsigned i = 0; i < CORE_GDT_FRAMES; i++) {
        mfn_t m = v->mem.gdt[i];

        dirty_mark(m);
        if (mfn_eq(m, NO_MFN))
            paging_map_descriptor(i, zero, DESC_FLAGS);
        else
            paging_map_descriptor(i, m, DESC_FLAGS | PTE_RW);
    }
    flush_descriptor_pages(0, CORE_GDT_FRAMES);
}

/* Most guests have no LDT most of the time: nothing is mapped then. */
void cpu_unmap_ldt(struct vcpu *v)
{
    (void)v;
    if (!this_cpu()->ldt_mapped)
        return;
    this_cpu()->ldt_mapped = false;
    for (unsigned i = 0; i < CORE_LDT_FRAMES; i++)
        paging_map_descriptor(DESC_PAGE(DESCRIPTOR_LDT) + i, NO_MFN, 0);
    flush_descriptor_pages(DESC_PAGE(DESCRIPTOR_LDT), CORE_LDT_FRAMES);
}

/* A system descriptor of 16 bytes for the LDT; with no entries the LDT is switched off. */
void cpu_load_ldt(struct vcpu *v)
{
    uint64_t base = descriptor_area() + DESCRIPTOR_LDT;
    uint64_t limit = v->mem.ldt_entries * 8ull - 1;
    uint64_t *d = &this_cpu()->descriptors[(SELECTOR_LDT - DESCRIPTOR_OWN) / 8];
    uint16_t selector = v->mem.ldt_entries ? SELECTOR_LDT : 0;

    cpu_unmap_ldt(v);
    for (unsigned i = 0; i < CORE_LDT_FRAMES; i++) {
        if (!mfn_eq(v->mem.ldt[i], NO_MFN))
            cpu_map_ldt_page(i, v->mem.ldt[i]);
    }
    d[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | LDT_TYPE << 40 | (limit >> 16 & 0xf) << 48 |
           (base >> 24 & 0xff) << 56;
    d[1] = base >> 32;
    __asm__ volatile("lldt %0" : : "r"(selector));
}

void cpu_map_ldt_page(unsigned index, mfn_t m)
{
    dirty_mark(m);
    this_cpu()->ldt_mapped = true;
    paging_map_descriptor(DESC_PAGE(DESCRIPTOR_LDT) + index, m, DESC_FLAGS | PTE_RW);
}

bool cpu_ldt_index(uint64_t address, unsigned *index)
{
    uint64_t offset = address - descriptor_area() - DESCRIPTOR_LDT;

    *index = (unsigned)(offset / PAGE_BYTES);
    return offset < CORE_LDT_FRAMES * (uint64_t)PAGE_BYTES;
}

/* ---- segment bases */

void cpu_set_fs_base(uint64_t base)
{
    wrmsr(MSR_FS_BASE, base);
}

void cpu_set_gs_base_active(uint64_t base)
{
    wrmsr(MSR_GS_BASE, base);
}

void cpu_set_gs_base_inactive(uint64_t base)
{
    wrmsr(MSR_KERNEL_GS_BASE, base);
}

uint64_t cpu_fs_base(void)
{
    return rdmsr(MSR_FS_BASE);
}

uint64_t cpu_gs_base_active(void)
{
    return rdmsr(MSR_GS_BASE);
}

uint64_t cpu_gs_base_inactive(void)
{
    return rdmsr(MSR_KERNEL_GS_BASE);
}

void cpu_load_user_gs(uint16_t selector)
{
    static unsigned seen;

    if (load_selector_gs(selector) && log_worthwhile(&seen))
        log_line("bad selector %x for the user's GS: 0 instead", selector);
}

void cpu_load_null_selectors(void)
{
    __asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%fs; movl %0, %%gs" : : "r"(0));
}

/* ---- FPU: the guest's alone; the hypervisor is compiled without it */

void cpu_set_task_switched(struct vcpu *v, bool set)
{
    uint64_t cr0 = read_cr0() & ~CR0_TS;

    v->guest_cr0 = (v->guest_cr0 & ~CR0_TS) | (set ? CR0_TS : 0);
    write_cr0(set ? cr0 | CR0_TS : cr0);
}

/* ---- interrupts: off in the hypervisor, taken on the way into the guest and when idle */

bool cpu_interrupt_pending(void)
{
    return interrupt_waits_for(this_cpu());
}

bool cpu_pause_due(void)
{
    return pause_due_for(this_cpu());
}

void cpu_idle(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}
