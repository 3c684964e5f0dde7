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
static int store_plain(struct core *c, struct core_vcpu *v, mfn_t m, unsigned slot, uint64_t val)
{
    int rc = type_get(c, v, m, TYPE_WRITABLE);
    if (rc)
        return rc;
    entry_store(&glue_frame(c, m)[slot], val);
    type_put(c, v, m);
    return 0;
}

static int update_entry(struct core *c, struct core_vcpu *v, struct core_domain *pt_domain,
                        struct core_domain *frame_domain, const struct core_update *u)
{
    mfn_t m = maddr_frame((maddr_t){u->ptr});
    unsigned slot = slot_of(u->ptr);
    if (slot >= ENTRIES)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 3, NO_FRAME(.value = u->ptr));
    if (!ref_get(c, v, pt_domain, m))
        return CORE_EINVAL;
    unsigned level = table_lock(c, m);
    if (level == 0) {
        int rc = store_plain(c, v, m, slot, u->val);
        ref_put(c, m);
        return rc;
    }
    struct entry_change change = {
        .value = u->val,
        .keep_ad = (u->ptr & UPDATE_COMMAND_BITS) == UPDATE_PRESERVE_AD,
        .frame_domain = frame_domain,
    };
    int rc = level > TYPE_L1 && frame_domain != pt_domain
                 ? refuse(c, v, CORE_EINVAL, REASON_NO_RIGHT, 8, ABOUT(.frame = m))
                 : entry_change(c, v, pt_domain, m, level, slot, &change);
    if (rc && rc != CORE_RESTART)
        refuse_step(v, m, level, slot);
    table_unlock(c, v, m);
    return rc;
}

static int update_m2p(struct core *c, struct core_vcpu *v, struct core_domain *frame_domain,
                      const struct core_update *u)
{
    mfn_t m = maddr_frame((maddr_t){u->ptr});
    if (!ref_get(c, v, frame_domain, m))
        return CORE_EINVAL;
    __atomic_store_n(&c->m2p[m.n], u->val, __ATOMIC_RELEASE);
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

int core_mmu_update(struct core *c, struct core_vcpu *v, struct core_domain *pt_domain,
                    struct core_domain *frame_domain, const struct core_update *u, unsigned n,
                    unsigned *done)
{
    for (*done = 0; *done < n; ++*done) {
        if (v->leftovers > 0 || pause_here(c, v)) {
            int rc = finish_leftovers(c, v);
            if (rc || pause_here(c, v))
                return CORE_RESTART;
        }
        int rc = update_one(c, v, pt_domain, frame_domain, &u[*done]);
        if (rc)
            return rc;
        v->steps++;
    }
    return 0;
}

/* Changes entry `slot` of m if m is an L1 table of the vCPU's domain. */
static int change_l1(struct core *c, struct core_vcpu *v, mfn_t m, unsigned slot,
                     const struct entry_change *change)
{
    if (slot >= ENTRIES || !ref_get(c, v, v->domain, m))
        return refuse(c, v, CORE_EINVAL, REASON_NOT_A_TABLE, 2, ABOUT(.frame = m));
    unsigned level = table_lock(c, m);
    int rc = level == TYPE_L1 ? entry_change(c, v, v->domain, m, level, slot, change)
                              : refuse(c, v, CORE_EINVAL, REASON_NOT_A_TABLE, 2, ABOUT(.frame = m));
    if (rc && rc != CORE_RESTART)
        refuse_step(v, m, TYPE_L1, slot);
    if (level)
        table_unlock(c, v, m);
    else
        ref_put(c, m);
    return rc;
}

int core_update_va(struct core *c, struct core_vcpu *v, struct core_domain *frame_domain, gva_t va,
                   uint64_t val)
{
    struct core_walk w;
    core_walk(c, v->kernel_root, va, &w);
    if (w.level != TYPE_L1)
        return refuse(c, v, CORE_EINVAL, REASON_NO_L1, 3, NO_FRAME(.value = va.a));
    maddr_t at = w.at[TYPE_L1].at;
    struct entry_change change = {.value = val, .frame_domain = frame_domain};
    return change_l1(c, v, maddr_frame(at), slot_of(at.a), &change);
}

int core_write_l1(struct core *c, struct core_vcpu *v, maddr_t at, uint64_t val, uint64_t *expected)
{
    if (at.a % sizeof(uint64_t))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 3, NO_FRAME(.value = at.a));
    struct entry_change change = {.value = val, .expected = expected, .frame_domain = v->domain};
    return change_l1(c, v, maddr_frame(at), slot_of(at.a), &change);
}

/* ---- walking */

static unsigned table_bits(void)
{
    return (unsigned)__builtin_ctz(ENTRIES);
}

static bool is_canonical(gva_t va)
{
    unsigned bits = PAGE_SHIFT_4K + 4 * table_bits();
    uint64_t top = (uint64_t)((int64_t)va.a >> (bits - 1));
    return top == 0 || top == ~0ull;
}

static unsigned walk_slot(gva_t va, unsigned level)
{
    return (unsigned)(va.a >> (PAGE_SHIFT_4K + (level - 1) * table_bits())) & (ENTRIES - 1);
}

/* Is m a table of that level with its references taken? Anything else is not read. */
static bool is_table_at(const struct core *c, mfn_t m, unsigned level)
{
    if (!frame_exists(c, m))
        return false;
    uint64_t use = load_use(c, m);
    return use_type(use) == level && (use & USE_VALIDATED) && use_count(use) > 0;
}

bool core_walk(struct core *c, mfn_t root, gva_t va, struct core_walk *w)
{
    *w = (struct core_walk){.level = TYPE_L4 + 1};
    mfn_t m = root;
    for (unsigned level = TYPE_L4; level >= TYPE_L1; level--) {
        if (!is_canonical(va) || !is_table_at(c, m, level) || !glue_frame(c, m))
            return false;
        unsigned slot = walk_slot(va, level);
        w->level = level;
        w->at[level].at = mfn_address(m, slot * (unsigned)sizeof(uint64_t));
        w->at[level].entry = entry_load(&glue_frame(c, m)[slot]);
        w->present = pte_present(w->at[level].entry);
        if (!w->present)
            return false;
        m = pte_frame(w->at[level].entry);
    }
    return true;
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
