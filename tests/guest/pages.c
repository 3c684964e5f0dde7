/* SPDX-License-Identifier: MIT */
/* The pool, the live tables, and names for frames. */
#include "guest.h"

uint8_t pool[POOL][PAGE] __attribute__((aligned(4096)));
uint64_t pool_mfn[POOL];

uint64_t pfn_of(const void *va)
{
    return ((uint64_t)va - VIRT_BASE) >> 12;
}

uint64_t mfn_of(const void *va)
{
    return ((const uint64_t *)start_info->mfn_list)[pfn_of(va)];
}

void pages_init(void)
{
    for (unsigned i = 0; i < POOL; i++) {
        pool_mfn[i] = mfn_of(pool[i]);
        if (M2P[pool_mfn[i]] != pfn_of(pool[i]))
            pvg_fatal(guest, "m2p and p2m disagree");
    }
}

/* ---- the live tables: all of them lie in the linear region, by their pfn */

static volatile uint64_t *table_at(uint64_t mfn)
{
    return (volatile uint64_t *)(VIRT_BASE + M2P[mfn] * PAGE);
}

uint64_t root_mfn(void)
{
    return mfn_of((const void *)start_info->pt_base);
}

uint64_t live_table_mfn(uint64_t va, unsigned level)
{
    uint64_t mfn = root_mfn();
    for (unsigned l = 4; l > level; l--) {
        uint64_t e = table_at(mfn)[va >> (12 + 9 * (l - 1)) & 511];
        if (!(e & P_))
            return NO_FRAME;
        mfn = (e & ADDRESS) >> 12;
    }
    return mfn;
}

volatile uint64_t *live_entry(uint64_t va, unsigned level)
{
    uint64_t mfn = live_table_mfn(va, level);
    return mfn == NO_FRAME ? NULL : &table_at(mfn)[va >> (12 + 9 * (level - 1)) & 511];
}

/* ---- requests without a report */

int64_t ext1(unsigned cmd, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = {.cmd = cmd};
    op.arg1.mfn = arg1;
    op.arg2.src_mfn = arg2;
    return call4(__HYPERVISOR_mmuext_op, &op, 1, 0, DOMID_SELF);
}

int64_t update1(uint64_t ptr, uint64_t val)
{
    mmu_update_t u = {ptr, val};
    return call4(__HYPERVISOR_mmu_update, &u, 1, 0, DOMID_SELF);
}

int64_t set_va(uint64_t va, uint64_t entry)
{
    return call3(__HYPERVISOR_update_va_mapping, va, entry, UVMF_INVLPG);
}

int64_t make_ro(unsigned i)
{
    return set_va(page_va(i), entry_for(i, RO_ENTRY));
}

int64_t make_rw(unsigned i)
{
    return set_va(page_va(i), entry_for(i, RW_ENTRY));
}

int64_t pin(unsigned i, unsigned level)
{
    return ext1(MMUEXT_PIN_L1_TABLE + level - 1, pool_mfn[i], 0);
}

int64_t unpin(unsigned i)
{
    return ext1(MMUEXT_UNPIN_TABLE, pool_mfn[i], 0);
}

void pool_reset(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        unpin(i);
    for (unsigned i = first; i < first + n; i++) {
        if (make_rw(i) == 0)
            memset(pool[i], 0, PAGE);
        else
            say("page P%u stays in use\n", i);
    }
}

/* ---- names */

int pool_number(uint64_t mfn)
{
    for (unsigned i = 0; i < POOL; i++)
        if (pool_mfn[i] == mfn)
            return (int)i;
    return -1;
}

static const char *class_of(uint64_t mfn)
{
    if (mfn == root_mfn())
        return "root";
    if (mfn == start_info->shared_info >> 12)
        return "shared";
    uint64_t first = pfn_of((const void *)start_info->pt_base), last = first;
    last += start_info->nr_pt_frames;
    for (uint64_t pfn = first; pfn < last; pfn++)
        if (((const uint64_t *)start_info->mfn_list)[pfn] == mfn)
            return "table";
    for (uint64_t pfn = pfn_of(pvg_image_start); pfn < pfn_of(pvg_image_end); pfn++)
        if (((const uint64_t *)start_info->mfn_list)[pfn] == mfn)
            return "image";
    return "other";
}

void frame_text(char *to, size_t size, uint64_t mfn)
{
    int n = pool_number(mfn);
    if (n >= 0)
        pvg_format(to, size, "P%d", n);
    else
        pvg_format(to, size, "%s", class_of(mfn));
}

void entry_text(char *to, size_t size, uint64_t entry)
{
    uint64_t mfn = (entry & ADDRESS) >> 12;
    char name[16];
    if (!(entry & P_) && pool_number(mfn) < 0) {
        pvg_format(to, size, "%lx", entry);
        return;
    }
    frame_text(name, sizeof(name), mfn);
    pvg_format(to, size, "%s+%03lx", name, entry & ~ADDRESS);
}
