/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own mappings, the same in every root: see the picture in layout.h. Built once
 * at boot from frames that are never freed.
 */
#include "paging.h"

#include "asm.h"
#include "frames.h"
#include "machine.h"
#include "string.h"

#define ENTRIES       512u
#define SHIFT_L2      21
#define SHIFT_L3      30
#define SHIFT_L4      39
#define LARGE_BYTES   (1ull << SHIFT_L2)
#define ENTRY_TABLE   (PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_DIRTY)
#define LEAF          (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY)
#define LEAF_TEXT     LEAF
#define LEAF_RODATA   (LEAF | PTE_NX)
#define LEAF_DATA     (LEAF | PTE_RW | PTE_NX)
#define LEAF_UNCACHED (LEAF_DATA | PTE_PCD | PTE_PWT)
#define LEAF_M2P      (LEAF | PTE_USER | PTE_NX)

extern uint8_t image_text[], image_rodata[], image_data[], image_end[];

uint64_t root_template[ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t *descriptor_entries; /* the L1 table of the descriptor area */

static unsigned index_at(uint64_t va, unsigned shift)
{
    return va >> shift & (ENTRIES - 1);
}

/* The table below *entry, made when there is none. `user` marks the way to what the guest reads. */
static uint64_t *table_below(uint64_t *entry, uint64_t user)
{
    if (!pte_present(*entry))
        *entry = pte_make(boot_frame(), ENTRY_TABLE | user);
    ASSERT(!(*entry & PTE_PSE));
    return direct_frame(pte_frame(*entry));
}

static uint64_t *l2_entry(uint64_t va, uint64_t user)
{
    uint64_t *l3 = table_below(&root_template[index_at(va, SHIFT_L4)], user);
    uint64_t *l2 = table_below(&l3[index_at(va, SHIFT_L3)], user);

    return &l2[index_at(va, SHIFT_L2)];
}

static uint64_t *l1_entry(uint64_t va)
{
    uint64_t *l1 = table_below(l2_entry(va, 0), 0);

    return &l1[index_at(va, PAGE_SHIFT_4K)];
}

static void map_page(uint64_t va, uint64_t pa, uint64_t flags)
{
    *l1_entry(va) = pte_make(maddr_frame((maddr_t){pa}), flags);
}

static void map_large(uint64_t va, uint64_t pa, uint64_t flags)
{
    *l2_entry(va, flags & PTE_USER) = pte_make(maddr_frame((maddr_t){pa}), flags | PTE_PSE);
}

/* ---- the image */

static uint64_t image_flags(uint64_t va)
{
    if (va < (uint64_t)image_text)
        return LEAF_RODATA; /* .boot: over */
    if (va < (uint64_t)image_rodata)
        return LEAF_TEXT;
    if (va < (uint64_t)image_data)
        return LEAF_RODATA;
    return LEAF_DATA;
}

/* The page below each CPU's stack is not mapped: an overflow is a double fault, not damage. */
static bool is_guard_page(uint64_t va)
{
    uint64_t offset = va - (uint64_t)cpu_blocks;

    return va >= (uint64_t)cpu_blocks && offset < (uint64_t)CPU_BLOCK_BYTES * MAX_CPUS &&
           offset % CPU_BLOCK_BYTES / PAGE_BYTES == CPU_BLOCK_GUARD;
}

static void map_image(void)
{
    uint64_t start = IMAGE_BASE + IMAGE_PHYS;

    for (uint64_t va = start; va < (uint64_t)image_end; va += PAGE_BYTES) {
        if (!is_guard_page(va))
            map_page(va, va - IMAGE_BASE, image_flags(va));
    }
}

/* ---- the direct map */

/* Where the image lies, text and read-only data must not be writable by this way either. */
static void map_direct_image(uint64_t large)
{
    for (uint64_t pa = large; pa < large + LARGE_BYTES; pa += PAGE_BYTES) {
        bool data = pa < IMAGE_PHYS || pa >= (uint64_t)image_data - IMAGE_BASE;

        map_page(DIRECT_BASE + pa, pa, data ? LEAF_DATA : LEAF_RODATA);
    }
}

static void map_direct_range(struct boot_range r)
{
    uint64_t image_last = (uint64_t)image_end - IMAGE_BASE;

    for (uint64_t pa = r.start & ~(LARGE_BYTES - 1); pa < r.end; pa += LARGE_BYTES) {
        if (pa + LARGE_BYTES > IMAGE_PHYS && pa < image_last)
            map_direct_image(pa);
        else
            map_large(DIRECT_BASE + pa, pa, LEAF_DATA);
    }
}

/* ---- m2p, descriptor area, local APIC */

static void map_m2p(void)
{
    uint64_t pa = direct_address(the_core()->m2p).a;

    for (uint64_t offset = 0; offset < m2p_bytes(); offset += LARGE_BYTES)
        map_large(M2P_GUEST_BASE + offset, pa + offset, LEAF_M2P);
}

static unsigned descriptor_index(unsigned cpu, unsigned page)
{
    return cpu * (DESCRIPTOR_STRIDE / PAGE_BYTES) + page;
}

void paging_map_descriptor(unsigned page, mfn_t m, uint64_t flags)
{
    descriptor_entries[descriptor_index(this_cpu()->id, page)] = flags ? pte_make(m, flags) : 0;
}

void paging_init(const struct boot_loader_info *b)
{
    map_image();
    for (unsigned i = 0; i < b->nr_ram; i++)
        map_direct_range(b->ram[i]);
    for (unsigned i = 0; i < b->nr_modules; i++) /* perhaps in a range that was left out */
        map_direct_range(b->module[i].range);
    map_m2p();
    map_page(LAPIC_BASE, LAPIC_PHYS, LEAF_UNCACHED);
    descriptor_entries = l1_entry(DESCRIPTOR_BASE);
    write_cr3((uint64_t)root_template - IMAGE_BASE);
}
