/* SPDX-License-Identifier: MIT */
#include "unit.h"

struct world the_world;

int setup(void **state)
{
    (void)state;
    world_init(w, UNIT_FRAMES, 1);
    return 0;
}

static const char *check_all_holders(void)
{
    const char *wrong = NULL;
    for (uint64_t n = 0; n < UNIT_FRAMES && !wrong; n++)
        wrong = world_check_holders(w, n);
    return wrong;
}

static int check_end(void)
{
    if (!world_audit(w) || world_check_tlb(w) || world_check_free(w) || world_check_tables(w) ||
        world_check_acts(w) || check_all_holders())
        return -1;
    return 0;
}

int teardown_dead(void **state)
{
    (void)state;
    for (uint64_t n = WORLD_FIRST_FREE; n < UNIT_FRAMES - WORLD_DEVICE_FRAMES; n++)
        if (!w->free[n])
            return -1;
    return check_end();
}

int teardown(void **state)
{
    world_pause(w, PAUSE_NEVER, 0);
    if (check_end())
        return -1;
    for (unsigned i = 0; i < WORLD_DOMAINS; i++)
        world_relinquish(w, i);
    return teardown_dead(state);
}

/* ---- frames and entries */

mfn_t frame(void)
{
    return world_give(w, 0, 1);
}

mfn_t frame_of_other(void)
{
    return world_give(w, 1, 1);
}

mfn_t device_frame(void)
{
    return mfn(UNIT_FRAMES - 1);
}

mfn_t free_frame(void)
{
    uint64_t n = WORLD_FIRST_FREE;
    while (!w->free[n])
        n++;
    return mfn(n);
}

void put(mfn_t m, unsigned slot, uint64_t e)
{
    w->memory[m.n][slot] = e;
}

uint64_t get(mfn_t m, unsigned slot)
{
    return w->memory[m.n][slot];
}

uint64_t place(mfn_t m, unsigned slot)
{
    return (m.n << PAGE_SHIFT_4K) + slot * sizeof(uint64_t);
}

struct tree tree(void)
{
    struct tree t = {frame(), frame(), frame(), frame(), frame()};
    put(t.l4, L4_SLOT, TABLE(t.l3));
    put(t.l3, L3_SLOT, TABLE(t.l2));
    put(t.l2, L2_SLOT, TABLE(t.l1));
    put(t.l1, L1_SLOT, RW(t.data));
    return t;
}

gva_t va_of(unsigned s4, unsigned s3, unsigned s2, unsigned s1)
{
    const unsigned bits = (unsigned)__builtin_ctz(WORLD_TABLE_ENTRIES);
    uint64_t va = ((uint64_t)s4 << 3 * bits | (uint64_t)s3 << 2 * bits | s2 << bits | s1)
                  << PAGE_SHIFT_4K;
    unsigned unused = 64 - (PAGE_SHIFT_4K + 4 * bits);
    return gva((uint64_t)((int64_t)(va << unused) >> unused));
}

gva_t tree_va(void)
{
    return va_of(L4_SLOT, L3_SLOT, L2_SLOT, L1_SLOT);
}

/* ---- requests */

void begin(struct core_vcpu *vcpu)
{
    assert_int_equal(core_begin(c, vcpu), 0);
}

void end(struct core_vcpu *vcpu)
{
    struct core_refusal why = vcpu->refusal;
    while (core_end(c, vcpu) == CORE_RESTART)
        core_begin(c, vcpu);
    vcpu->refusal = why;
    assert_int_equal(vcpu->leftovers, 0);
    assert_audit_clean();
}

static int ended(int rc)
{
    end(v);
    return rc;
}

int pin(mfn_t m, unsigned level)
{
    begin(v);
    return ended(core_pin(c, v, d, m, level));
}

int unpin(mfn_t m)
{
    begin(v);
    return ended(core_unpin(c, v, d, m));
}

int load(mfn_t root)
{
    begin(v);
    return ended(core_load_kernel_root(c, v, root));
}

int load_user(mfn_t root)
{
    begin(v);
    return ended(core_load_user_root(c, v, root));
}

static int update_one_for(struct core_domain *table_of, struct core_domain *frames_of, uint64_t ptr,
                          uint64_t val)
{
    struct core_update u = {ptr, val};
    unsigned done;
    begin(v);
    int rc = core_mmu_update(c, v, table_of, frames_of, &u, 1, &done);
    assert_int_equal(done, rc == 0 ? 1 : 0);
    return ended(rc);
}

int update(mfn_t table, unsigned slot, uint64_t e)
{
    return update_one_for(d, d, place(table, slot), e);
}

int update_as(unsigned command, mfn_t m, unsigned slot, uint64_t val)
{
    return update_one_for(d, d, place(m, slot) + command, val);
}

int update_for(struct core_domain *table_of, struct core_domain *frames_of, mfn_t m, unsigned slot,
               uint64_t e)
{
    return update_one_for(table_of, frames_of, place(m, slot), e);
}

int update_va(gva_t va, uint64_t e)
{
    begin(v);
    return ended(core_update_va(c, v, d, va, e));
}

int write_l1(mfn_t table, unsigned slot, uint64_t e)
{
    begin(v);
    return ended(core_write_l1(c, v, (maddr_t){place(table, slot)}, e, NULL));
}

int decrease(mfn_t m)
{
    begin(v);
    return ended(core_decrease(c, v, d, m));
}

/* ---- checks */

void assert_audit_clean(void)
{
    assert_true(world_audit(w));
    const char *wrong = world_check_tlb(w);
    if (!wrong)
        wrong = world_check_tables(w);
    if (!wrong)
        wrong = world_check_acts(w);
    if (wrong)
        fail_msg("%s", wrong);
}

void assert_frame(mfn_t m, enum frame_type type, uint32_t uses, uint32_t holds)
{
    assert_int_equal(core_frame_type(c, m), type);
    assert_int_equal(core_frame_uses(c, m), uses);
    assert_int_equal(core_frame_holds(c, m), holds);
}

void assert_free(mfn_t m)
{
    assert_int_equal(core_frame_owner(c, m), -1);
    assert_frame(m, TYPE_NONE, 0, 0);
    assert_true(w->free[m.n]);
    assert_true(w->m2p[m.n] == NO_PFN.n);
}

void assert_refused(int rc, int error, enum core_reason reason, unsigned rule)
{
    assert_int_equal(rc, error);
    assert_int_equal(v->refusal.error, error);
    assert_string_equal(core_reason_text(v->refusal.reason), core_reason_text(reason));
    assert_int_equal(v->refusal.rule, rule);
}
