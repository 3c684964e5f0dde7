/* SPDX-License-Identifier: MIT */
/* A guest's changes to its tables and to m2p (R3, R6, R7, R10). */
#include "internal.h"

/* Commands in the low bits of an update's address (source: <xen/xen.h>, MMU_*). */
enum update_command {
    UPDATE_NORMAL = 0,
    UPDATE_MACHPHYS = 1,
    UPDATE_PRESERVE_AD = 2,
    UPDATE_NO_TRANSLATE = 3,
    UPDATE_COMMAND_BITS = 7,
};

/* The entry's slot within its frame; ENTRIES or more: beyond a small world's tables. */
static unsigned slot_of(uint64_t address)
{
    return (unsigned)(address & (PAGE_BYTES - 1)) / sizeof(uint64_t);
}

/* The place is in no table: an 8-byte store, for which the frame must be writable meanwhile. */
static APART int store_plain(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                             mfn_t m, unsigned slot, uint64_t val)
{
    int rc = use_get(c, v, d, m, TYPE_WRITABLE);
    if (rc)
        return rc;
    entry_store(&glue_frame(c, m)[slot], val);
    use_put(c, v, m);
    return 0;
}

/* The L1 table that an element of a batch changed stays locked for the next one, which is mostly
 * about the same table. */
static void close_table(struct core *c, struct core_vcpu *v)
{
    if (!mfn_eq(v->locked, NO_MFN))
        table_unlock(c, v);
}

static int refused_at(struct core_vcpu *v, int rc, mfn_t m, unsigned level, unsigned slot)
{
    if (rc && rc != CORE_RESTART)
        refuse_step(v, m, level, slot);
    return rc;
}

static APART int update_upper(struct core *c, struct core_vcpu *v, struct core_domain *pt_domain,
                              struct core_domain *frame_domain, mfn_t m, unsigned level,
                              unsigned slot, const struct entry_change *change)
{
    int rc = frame_domain != pt_domain
                 ? refuse(c, v, CORE_EINVAL, REASON_NO_RIGHT, 8, ABOUT(.frame = m))
                 : entry_change_upper(c, v, pt_domain, m, level, slot, change);
    table_unlock(c, v);
    return refused_at(v, rc, m, level, slot);
}

static int update_entry(struct core *c, struct core_vcpu *v, struct core_domain *pt_domain,
                        struct core_domain *frame_domain, const struct core_update *u)
{
    mfn_t m = maddr_frame((maddr_t){u->ptr});
    unsigned slot = slot_of(u->ptr), level = TYPE_L1;
    const struct entry_change change = {
        .value = u->val,
        .keep_ad = (u->ptr & UPDATE_COMMAND_BITS) == UPDATE_PRESERVE_AD,
        .frame_domain = frame_domain,
    };
    if (slot >= ENTRIES)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 3, NO_FRAME(.value = u->ptr));
    if (!mfn_eq(v->locked, m)) {
        close_table(c, v);
        level = table_lock(c, v, pt_domain, m);
    }
    if (level == 0)
        return store_plain(c, v, pt_domain, m, slot, u->val);
    if (level > TYPE_L1)
        return update_upper(c, v, pt_domain, frame_domain, m, level, slot, &change);
    int rc = entry_change_l1(c, v, pt_domain, m, slot, &change);
    return refused_at(v, rc, m, level, slot);
}

static APART int update_m2p(struct core *c, struct core_vcpu *v, struct core_domain *frame_domain,
                            const struct core_update *u)
{
    mfn_t m = maddr_frame((maddr_t){u->ptr});
    if (!ref_get(c, v, frame_domain, m))
        return CORE_EINVAL;
    uint64_t old = __atomic_load_n(&c->m2p[m.n], __ATOMIC_RELAXED);
    __atomic_store_n(&c->m2p[m.n], u->val, __ATOMIC_RELEASE);
    glue_note(c, ACT_M2P, mfn_address(m, 0), old, u->val);
    ref_put(c, m);
    return 0;
}

static int update_one(struct core *c, struct core_vcpu *v, struct core_domain *pt_domain,
                      struct core_domain *frame_domain, const struct core_update *u)
{
    switch (u->ptr & UPDATE_COMMAND_BITS) {
    case UPDATE_NORMAL:
    case UPDATE_PRESERVE_AD:
    case UPDATE_NO_TRANSLATE:
        return update_entry(c, v, pt_domain, frame_domain, u);
    case UPDATE_MACHPHYS:
        if (pt_domain != v->domain)
            return refuse(c, v, CORE_EPERM, REASON_NO_RIGHT, 8, NO_FRAME(.value = u->ptr));
        return update_m2p(c, v, frame_domain, u);
    default:
        return refuse(c, v, CORE_ENOSYS, REASON_BAD_COMMAND, 10, NO_FRAME(.value = u->ptr));
    }
}

HOT int core_mmu_update(struct core *c, struct core_vcpu *v, struct core_domain *pt_domain,
                        struct core_domain *frame_domain, const struct core_update *u, unsigned n,
                        unsigned *done)
{
    int rc = 0;
    for (*done = 0; *done < n; ++*done) {
        bool pause = pause_here(c, v);
        if (v->leftovers > 0 || pause) {
            close_table(c, v);
            rc = finish_leftovers(c, v);
            if (rc || pause || pause_here(c, v))
                return CORE_RESTART;
        }
        rc = update_one(c, v, pt_domain, frame_domain, &u[*done]);
        if (rc)
            break;
        v->steps++;
    }
    close_table(c, v);
    return rc;
}

/* Changes entry `slot` of m if m is an L1 table of the vCPU's domain. */
static int change_l1(struct core *c, struct core_vcpu *v, mfn_t m, unsigned slot,
                     const struct entry_change *change)
{
    unsigned level = slot < ENTRIES ? table_lock(c, v, v->domain, m) : 0;
    int rc = level == TYPE_L1 ? entry_change_l1(c, v, v->domain, m, slot, change)
                              : refuse(c, v, CORE_EINVAL, REASON_NOT_A_TABLE, 2, ABOUT(.frame = m));
    if (level)
        table_unlock(c, v);
    return level == TYPE_L1 ? refused_at(v, rc, m, TYPE_L1, slot) : rc;
}

HOT int core_update_va(struct core *c, struct core_vcpu *v, struct core_domain *frame_domain,
                       gva_t va, uint64_t val)
{
    maddr_t at;
    if (!core_find_l1(c, v->kernel_root, va, &at))
        return refuse(c, v, CORE_EINVAL, REASON_NO_L1, 3, NO_FRAME(.value = va.a));
    struct entry_change change = {.value = val, .frame_domain = frame_domain};
    return change_l1(c, v, maddr_frame(at), slot_of(at.a), &change);
}

HOT int core_write_l1(struct core *c, struct core_vcpu *v, maddr_t at, uint64_t val,
                      uint64_t *expected)
{
    if (at.a % sizeof(uint64_t))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 3, NO_FRAME(.value = at.a));
    struct entry_change change = {.value = val, .expected = expected, .frame_domain = v->domain};
    return change_l1(c, v, maddr_frame(at), slot_of(at.a), &change);
}

/* ---- walking */

#define TABLE_BITS ((unsigned)__builtin_ctz(ENTRIES))

static bool is_canonical(gva_t va)
{
    int64_t top = (int64_t)va.a >> (PAGE_SHIFT_4K + 4 * TABLE_BITS - 1);
    return top == 0 || top == -1;
}

/* Is m a table with its references taken, and thus in use, whose type is in `wanted`? Anything else
 * is not read. */
static inline bool is_table_as(const struct core *c, mfn_t m, uint64_t wanted)
{
    return frame_exists(c, m) && (load_use(c, m) & (USE_TYPE | USE_VALIDATED)) == wanted;
}

bool core_walk(struct core *c, mfn_t root, gva_t va, struct core_walk *w)
{
    uint64_t wanted = use_of_type(TYPE_L4) | USE_VALIDATED;
    unsigned shift = PAGE_SHIFT_4K + 3 * TABLE_BITS;
    mfn_t m = root;
    w->level = TYPE_L4 + 1;
    w->present = false;
    if (!is_canonical(va))
        return false;
    for (unsigned level = TYPE_L4; level >= TYPE_L1; level--) {
        const uint64_t *table = is_table_as(c, m, wanted) ? glue_frame(c, m) : NULL;
        if (!table)
            return false;
        unsigned slot = (unsigned)(va.a >> shift) & (ENTRIES - 1);
        uint64_t e = entry_load(&table[slot]);
        w->level = level;
        w->at[level].at = mfn_address(m, slot * (unsigned)sizeof(uint64_t));
        w->at[level].entry = e;
        if (!pte_present(e))
            return false;
        m = pte_frame(e);
        wanted -= use_of_type(1);
        shift -= TABLE_BITS;
    }
    w->present = true;
    return true;
}

bool core_find_l1(const struct core *c, mfn_t root, gva_t va, maddr_t *at)
{
    uint64_t wanted = use_of_type(TYPE_L4) | USE_VALIDATED;
    unsigned shift = PAGE_SHIFT_4K + 3 * TABLE_BITS;
    mfn_t m = root;
    if (!is_canonical(va))
        return false;
#pragma GCC unroll 4
    for (unsigned level = TYPE_L4; level >= TYPE_L1; level--) {
        const uint64_t *table = is_table_as(c, m, wanted) ? glue_frame((struct core *)c, m) : NULL;
        if (!table)
            return false;
        unsigned slot = (unsigned)(va.a >> shift) & (ENTRIES - 1);
        if (level == TYPE_L1) {
            *at = mfn_address(m, slot * (unsigned)sizeof(uint64_t));
            return true;
        }
        uint64_t e = entry_load(&table[slot]);
        if (!pte_present(e))
            return false;
        m = pte_frame(e);
        wanted -= use_of_type(1);
        shift -= TABLE_BITS;
    }
    return false;
}

/* ---- content of pages */

int core_clear_page(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t m)
{
    int rc = use_get(c, v, owner, m, TYPE_WRITABLE);
    if (rc)
        return rc;
    for (unsigned i = 0; i < ENTRIES; i++)
        entry_store(&glue_frame(c, m)[i], 0);
    use_put(c, v, m);
    return 0;
}

int core_copy_page(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t to,
                   mfn_t from)
{
    if (!ref_get(c, v, owner, from))
        return CORE_EINVAL;
    int rc = use_get(c, v, owner, to, TYPE_WRITABLE);
    if (rc == 0) {
        for (unsigned i = 0; i < ENTRIES; i++)
            entry_store(&glue_frame(c, to)[i], entry_load(&glue_frame(c, from)[i]));
        use_put(c, v, to);
    }
    ref_put(c, from);
    return rc;
}

int core_copy_bytes(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t to,
                    unsigned offset_to, mfn_t from, unsigned offset_from, unsigned n)
{
    const unsigned bytes = ENTRIES * (unsigned)sizeof(uint64_t);
    if (n > bytes || offset_to > bytes - n || offset_from > bytes - n)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 3, NO_FRAME(.value = n));
    if (!ref_get(c, v, owner, from))
        return CORE_EINVAL;
    int rc = use_get(c, v, owner, to, TYPE_WRITABLE);
    if (rc == 0) {
        uint8_t *at = (uint8_t *)glue_frame(c, to) + offset_to;
        const uint8_t *source = (const uint8_t *)glue_frame(c, from) + offset_from;
        for (unsigned i = 0; i < n; i++)
            __atomic_store_n(&at[i], __atomic_load_n(&source[i], __ATOMIC_RELAXED),
                             __ATOMIC_RELAXED);
        use_put(c, v, to);
    }
    ref_put(c, from);
    return rc;
}
