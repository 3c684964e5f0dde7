/* SPDX-License-Identifier: MIT */
/* Frames as page tables: pinned and unpinned at each level, and entries made by hypercalls. */
#include "look.h"
#include "themes.h"

#define VA      (22ull << 39)
#define NOWHERE 0x123456789000ull /* the lower half is empty */
#define HV_VA   0xffff800000000000ull
#define AD      (PVG_PTE_ACCESSED | PVG_PTE_DIRTY)

static int64_t mmuext(struct pvguest *g, unsigned command, uint64_t mfn)
{
    struct mmuext_op op = {.cmd = command};
    op.arg1.mfn = mfn;
    return pvg_hypercall(g, __HYPERVISOR_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_SELF, 0);
}

static int64_t set_va(struct pvguest *g, uint64_t va, uint64_t entry, uint64_t flags)
{
    return pvg_hypercall(g, __HYPERVISOR_update_va_mapping, va, entry, flags, 0, 0);
}

static int64_t update(struct pvguest *g, uint64_t ptr, uint64_t value)
{
    struct mmu_update u = {ptr, value};
    return pvg_hypercall(g, __HYPERVISOR_mmu_update, (uintptr_t)&u, 1, 0, DOMID_SELF, 0);
}

/* A page that is to be a table: zero, but for what `first` is. */
static void make_table(struct tap *t, uint64_t first, pvg_pfn_t *page)
{
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, page));
    volatile uint64_t *word = pvg_page(t->g, *page);
    for (unsigned i = 0; i < WORDS; i++)
        word[i] = i == 0 ? first : 0;
    CHECK_OK(t, pvg_page_read_only(t->g, *page));
}

static void drop_table(struct tap *t, pvg_pfn_t page)
{
    CHECK_OK(t, pvg_page_writable(t->g, page));
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
}

/* ---- pins */

static void pin_as(struct tap *t, unsigned command, unsigned another)
{
    pvg_pfn_t page;
    make_table(t, 0, &page);
    if (t->failed)
        return;
    uint64_t mfn = pvg_p2m_mfn(t->g, page).n;
    int64_t pinned = mmuext(t->g, command, mfn), twice = mmuext(t->g, command, mfn);
    int64_t other = mmuext(t->g, another, mfn);
    int writable = pvg_page_writable(t->g, page);
    int64_t unpinned = mmuext(t->g, MMUEXT_UNPIN_TABLE, mfn);
    int64_t again = mmuext(t->g, MMUEXT_UNPIN_TABLE, mfn);
    drop_table(t, page);
    if (t->failed)
        return;
    CHECK_SAME(t, pinned, 0);
    CHECK_SAME(t, twice, -XEN_EINVAL);
    CHECK_SAME(t, other, -XEN_EINVAL);
    CHECK_SAME(t, writable, -XEN_EBUSY);
    CHECK_SAME(t, unpinned, 0);
    CHECK_SAME(t, again, -XEN_EINVAL);
}

static void pin_l1(struct tap *t)
{
    pin_as(t, MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE);
}

static void pin_l2(struct tap *t)
{
    pin_as(t, MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L1_TABLE);
}

static void pin_l3(struct tap *t)
{
    pin_as(t, MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE);
}

static void pin_l4(struct tap *t)
{
    pin_as(t, MMUEXT_PIN_L4_TABLE, MMUEXT_PIN_L3_TABLE);
}

/* A table holds the one that it names. */
static void pin_two_levels(struct tap *t)
{
    pvg_pfn_t l1, l2;
    make_table(t, 0, &l1);
    if (!t->failed)
        make_table(t, pvg_pte(pvg_p2m_mfn(t->g, l1), PVG_PTE_TABLE), &l2);
    if (t->failed)
        return;
    int64_t pinned = mmuext(t->g, MMUEXT_PIN_L2_TABLE, pvg_p2m_mfn(t->g, l2).n);
    int held = pvg_page_writable(t->g, l1);
    int64_t unpinned = mmuext(t->g, MMUEXT_UNPIN_TABLE, pvg_p2m_mfn(t->g, l2).n);
    drop_table(t, l1);
    if (!t->failed)
        drop_table(t, l2);
    if (t->failed)
        return;
    CHECK_SAME(t, pinned, 0);
    CHECK_SAME(t, held, -XEN_EBUSY);
    CHECK_SAME(t, unpinned, 0);
}

static void pin_writable(struct tap *t)
{
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    *(volatile uint64_t *)pvg_page(t->g, page) = 0;
    int64_t rc = mmuext(t->g, MMUEXT_PIN_L1_TABLE, pvg_p2m_mfn(t->g, page).n);
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, rc, -XEN_EINVAL);
}

/* A table with an entry that is none: of a frame that there is not. */
static void pin_bad_table(struct tap *t)
{
    pvg_pfn_t page;
    make_table(t, PVG_PTE_FRAME | PVG_PTE_TABLE, &page);
    if (t->failed)
        return;
    int64_t rc = mmuext(t->g, MMUEXT_PIN_L2_TABLE, pvg_p2m_mfn(t->g, page).n);
    drop_table(t, page);
    CHECK_SAY(t, rc < 0, "it is pinned: %ld", rc);
    CHECK_SAME(t, mmuext(t->g, MMUEXT_PIN_L1_TABLE, 1ull << 38), -XEN_EINVAL);
}

/* ---- entries */

static void va_mapping(struct tap *t)
{
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    CHECK_OK(t, pvg_map(t->g, VA, page, 1, PVG_PTE_RW));
    uint64_t entry = pvg_pte(pvg_p2m_mfn(t->g, page), PVG_PTE_RO_DATA);
    *(volatile uint64_t *)pvg_page(t->g, page) = 77;
    int64_t rc = set_va(t->g, VA + PVG_PAGE_BYTES, entry, UVMF_INVLPG);
    uint64_t seen = peek(t->g, VA + PVG_PAGE_BYTES, 0);
    int64_t cleared = set_va(t->g, VA + PVG_PAGE_BYTES, 0, UVMF_TLB_FLUSH);
    bool left = can_read(t->g, VA + PVG_PAGE_BYTES);
    CHECK_OK(t, pvg_unmap(t->g, VA, 1));
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, seen, 77);
    CHECK_SAME(t, cleared, 0);
    CHECK(t, !left);
}

static void va_refused(struct tap *t)
{
    uint64_t entry = pvg_pte(pvg_p2m_mfn(t->g, pvg_pfn(0x100)), PVG_PTE_RO_DATA);
    CHECK_SAME(t, set_va(t->g, NOWHERE, entry, UVMF_INVLPG), -XEN_EINVAL);
    CHECK_SAME(t, set_va(t->g, HV_VA, entry, UVMF_INVLPG), -XEN_EINVAL);
    CHECK_SAME(t,
               set_va(t->g, PVG_DIRECT_BASE + 0x100 * PVG_PAGE_BYTES,
                      PVG_PTE_FRAME | PVG_PTE_RO_DATA, UVMF_INVLPG) < 0,
               1);
    CHECK(t, can_read(t->g, PVG_DIRECT_BASE + 0x100 * PVG_PAGE_BYTES));
}

/* The bits that the processor sets stay as they are, if that is what is asked for. */
static void accessed_and_dirty(struct tap *t)
{
    struct pvg_walk w;
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    CHECK_OK(t, pvg_map(t->g, VA, page, 1, PVG_PTE_RW | AD));
    pvg_walk(t->g, VA, &w);
    uint64_t entry = pvg_pte(pvg_p2m_mfn(t->g, page), PVG_PTE_PRESENT), at = w.at[1].at.a;
    int64_t kept = update(t->g, at | MMU_PT_UPDATE_PRESERVE_AD, entry);
    pvg_walk(t->g, VA, &w);
    uint64_t with = w.at[1].entry;
    int64_t set = update(t->g, at | MMU_NORMAL_PT_UPDATE, entry);
    pvg_walk(t->g, VA, &w);
    uint64_t without = w.at[1].entry;
    CHECK_OK(t, pvg_unmap(t->g, VA, 1));
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, kept, 0);
    CHECK_SAME(t, with & (AD | PVG_PTE_RW), AD);
    CHECK_SAME(t, set, 0);
    CHECK_SAME(t, without & (AD | PVG_PTE_RW), 0);
}

static void update_refused(struct tap *t)
{
    uint64_t root = pvg_root(t->g).n << PVG_PAGE_SHIFT;
    CHECK_SAME(t, update(t->g, 1ull << 50, 0), -XEN_EINVAL); /* no frame */
    CHECK_SAME(t, update(t->g, root | 256 * sizeof(uint64_t), 0), -XEN_EINVAL);
    CHECK_SAME(t, update(t->g, 1ull << 50 | MMU_MACHPHYS_UPDATE, 5), -XEN_EINVAL);
    CHECK_SAME(t, update(t->g, root | 7, 0), -XEN_ENOSYS);
}

/* Where no table is, an update is a store. */
static void update_of_data(struct tap *t)
{
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    volatile uint64_t *word = pvg_page(t->g, page);
    word[3] = word[4] = 1;
    int64_t rc = update(t->g, (pvg_p2m_mfn(t->g, page).n << PVG_PAGE_SHIFT) + 24, 0x1234);
    uint64_t stored = word[3], beside = word[4];
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, stored, 0x1234);
    CHECK_SAME(t, beside, 1);
}

static void m2p_update(struct tap *t)
{
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    pvg_mfn_t mfn = pvg_p2m_mfn(t->g, page);
    int64_t rc = update(t->g, mfn.n << PVG_PAGE_SHIFT | MMU_MACHPHYS_UPDATE, 0x123456);
    uint64_t seen = m2p_own(mfn);
    int64_t back = update(t->g, mfn.n << PVG_PAGE_SHIFT | MMU_MACHPHYS_UPDATE, page.n);
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, seen, 0x123456);
    CHECK_SAME(t, back, 0);
    CHECK_SAME(t, m2p_own(mfn), page.n);
}

static const struct test tests[] = {
    {"pin_l1", pin_l1},
    {"pin_l2", pin_l2},
    {"pin_l3", pin_l3},
    {"pin_l4", pin_l4},
    {"pin_two_levels", pin_two_levels},
    {"pin_writable", pin_writable},
    {"pin_bad_table", pin_bad_table},
    {"va_mapping", va_mapping},
    {"va_refused", va_refused},
    {"accessed_and_dirty", accessed_and_dirty},
    {"update_refused", update_refused},
    {"update_of_data", update_of_data},
    {"m2p_update", m2p_update},
};

const struct theme types_theme = THEME("types", tests);
