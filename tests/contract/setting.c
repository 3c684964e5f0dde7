/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "exhaustive.h"

#define FRAMES 64
#define SLOT   3 /* of each table, the entry that is tried */

static struct world the_world;
static struct world *const w = &the_world;
static struct core *const c = &the_world.core;
static struct core_domain *const d = &the_world.domain[0];
static struct core_vcpu *const v = &the_world.cpu[0].vcpu;

static mfn_t target[TARGETS];
static mfn_t table[5]; /* by level: validated, where entries are changed */
static mfn_t fresh[5]; /* by level: not validated */
static gva_t address;  /* of the entry in table[1] */

#define REQUEST(call)                                                                              \
    __extension__({                                                                                \
        int rc_ = core_begin(c, v);                                                                \
        assert(rc_ == 0);                                                                          \
        rc_ = (call);                                                                              \
        int end_ = core_end(c, v);                                                                 \
        assert(end_ == 0);                                                                         \
        rc_;                                                                                       \
    })

static void must(int rc)
{
    if (rc) {
        fprintf(stderr, "the setting cannot be made: %d\n", rc);
        exit(2);
    }
}

static uint64_t upper(mfn_t m)
{
    return pte_make(m, PTE_PRESENT | PTE_RW | PTE_USER);
}

static uint64_t place(mfn_t m)
{
    return m.n << PAGE_SHIFT_4K | SLOT * sizeof(uint64_t);
}

static int update(mfn_t m, unsigned command, uint64_t val)
{
    struct core_update u = {place(m) | command, val};
    unsigned done;
    return REQUEST(core_mmu_update(c, v, d, d, &u, 1, &done));
}

static void make_tables(void)
{
    for (unsigned level = 1; level <= 4; level++) {
        table[level] = world_give(w, 0, 1);
        fresh[level] = world_give(w, 0, 1);
        target[TARGET_PINNED_L1 + level - 1] = world_give(w, 0, 1);
        must(REQUEST(core_pin(c, v, d, table[level], level)));
        must(REQUEST(core_pin(c, v, d, target[TARGET_PINNED_L1 + level - 1], level)));
    }
}

/* A chain of tables from a root that is loaded: none of them is pinned. */
static mfn_t make_chain(mfn_t l1, mfn_t *each)
{
    mfn_t below = l1;
    for (unsigned level = 2; level <= 4; level++) {
        mfn_t m = world_give(w, 0, 1);
        w->memory[m.n][1] = upper(below);
        if (each)
            each[level - 1] = m;
        below = m;
    }
    return below;
}

void setting_make(void)
{
    const unsigned bits = (unsigned)__builtin_ctz(WORLD_TABLE_ENTRIES);
    world_init(w, FRAMES, 1);
    make_tables();
    address = gva((1ull << 3 * bits | 1ull << 2 * bits | 1ull << bits | SLOT) << PAGE_SHIFT_4K);
    must(REQUEST(core_load_kernel_root(c, v, make_chain(table[1], NULL))));
    target[TARGET_L1] = world_give(w, 0, 1);
    must(REQUEST(core_load_user_root(c, v, make_chain(target[TARGET_L1], &target[TARGET_L1]))));
    target[TARGET_NONE] = world_give(w, 0, 1);
    target[TARGET_DESCRIPTOR] = world_give(w, 0, 1);
    must(REQUEST(core_set_gdt(c, v, &target[TARGET_DESCRIPTOR], 1, 8)));
    target[TARGET_WRITABLE] = world_give(w, 0, 1);
    must(REQUEST(core_hold_writable(c, v, target[TARGET_WRITABLE])));
    target[TARGET_SHARED] = mfn(WORLD_SHARED_FRAME);
    target[TARGET_FOREIGN] = world_give(w, 1, 1);
    target[TARGET_FREE] = mfn(FRAMES - WORLD_DEVICE_FRAMES - 1);
    target[TARGET_DEVICE] = mfn(FRAMES - 1);
    target[TARGET_BEYOND] = mfn(1ull << 38);
    target[TARGET_ALL_ONES] = pte_frame(PTE_FRAME_MASK);
}

mfn_t setting_target(const struct trial *t)
{
    if (t->target != TARGET_ITSELF)
        return target[t->target];
    return t->way == WAY_VALIDATE ? fresh[t->level] : table[t->level];
}

uint64_t setting_old(const struct trial *t)
{
    return t->way == WAY_KEEP_AD ? PTE_ACCESSED | PTE_DIRTY : 0;
}

static struct answer validate(const struct trial *t, uint64_t entry)
{
    mfn_t m = fresh[t->level];
    uint64_t *at = &w->memory[m.n][SLOT];
    *at = entry;
    struct answer a = {.error = REQUEST(core_pin(c, v, d, m, t->level))};
    a.entry = *at;
    if (a.error == 0)
        must(REQUEST(core_unpin(c, v, d, m)));
    *at = 0;
    return a;
}

static int ask(const struct trial *t, uint64_t entry)
{
    mfn_t m = table[t->level];
    switch (t->way) {
    case WAY_ADDRESS:
        return REQUEST(core_update_va(c, v, d, address, entry));
    case WAY_STORE:
        return REQUEST(core_write_l1(c, v, (maddr_t){place(m)}, entry, NULL));
    case WAY_KEEP_AD:
        return update(m, 2, entry); /* <xen/xen.h>: MMU_PT_UPDATE_PRESERVE_AD */
    default:
        return update(m, 0, entry);
    }
}

struct answer setting_try(const struct trial *t)
{
    uint64_t entry = pte_make(setting_target(t), t->flags);
    d->has_devices = t->devices;
    if (t->way == WAY_VALIDATE)
        return validate(t, entry);
    must(update(table[t->level], 0, setting_old(t)));
    struct answer a = {.error = ask(t, entry)};
    a.entry = w->memory[table[t->level].n][SLOT];
    must(update(table[t->level], 0, 0));
    return a;
}

struct answer setting_change(unsigned level, bool keep_ad, uint64_t entry)
{
    d->has_devices = true;
    struct answer a = {.error = update(table[level], keep_ad ? 2 : 0, entry)};
    a.entry = w->memory[table[level].n][SLOT];
    return a;
}

bool setting_sound(void)
{
    const char *wrong = world_check_tlb(w);
    if (!wrong)
        wrong = world_check_tables(w);
    if (wrong)
        fprintf(stderr, "%s\n", wrong);
    return world_audit(w) && !wrong;
}
