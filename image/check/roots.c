/* SPDX-License-Identifier: MIT */
/*
 * Roots that no vCPU has loaded, in an image that tells of no pins. An L4 in use is mapped, as the
 * kernel maps all memory, but nowhere writable (R2); and it shares the kernel's half with those
 * that are known, or, the user root of a process, the user's half with that process's other one. So
 * most that have to be looked into are those that are mapped and not writable. A root that was left
 * is writable again, as are its tables; if its tables are not, it is in use, and R2 is broken.
 */
#include "run.h"

#include <string.h>

#define WORDS      512u
#define FIRST_KEPT (GLUE_L4_RESERVED_LAST + 1)
#define HALVES     4u /* kernels have two */
/* In larger guests (1 GiB) writable roots are not sought: a look into every page takes too long. */
#define SOUGHT_PAGES (1ull << 18)

struct halves {
    const uint64_t *known[HALVES];
    unsigned n;
};

static bool same_entry(uint64_t a, uint64_t b)
{
    return !((a ^ b) & ~(PTE_ACCESSED | PTE_DIRTY));
}

/* But for one entry, which may be broken; that there are others is is_empty()'s and this one's. */
static bool has_half(const uint64_t *root, const uint64_t *known)
{
    unsigned same = 0, other = 0;
    for (unsigned slot = WORDS; slot-- > FIRST_KEPT && other <= 1;)
        if (!same_entry(root[slot], known[slot]))
            other++;
        else
            same += pte_present(root[slot]);
    return other == 0 || (other == 1 && same > 1);
}

static bool has_known_half(const struct halves *h, const uint64_t *root)
{
    for (unsigned i = 0; i < h->n; i++)
        if (has_half(root, h->known[i]))
            return true;
    return false;
}

static bool is_empty(const uint64_t *root)
{
    for (unsigned slot = FIRST_KEPT; slot < WORDS; slot++)
        if (pte_present(root[slot]))
            return false;
    return true;
}

static void add_half(struct run *r, struct halves *h, mfn_t m)
{
    const uint64_t *root = mfn_eq(m, NO_MFN) ? NULL : r->glue.words(&r->glue, m);
    if (root && h->n < HALVES && !is_empty(root) && !has_known_half(h, root))
        h->known[h->n++] = root;
}

static bool may_be_root(const struct core_count *n)
{
    return ((n->type == TYPE_NONE && n->uses == 0) || n->type == TYPE_WRITABLE) && n->holds > 1;
}

/* The table that the lowest entry of the user's half names: no two processes share it. */
static bool user_key(const uint64_t *root, uint64_t *key)
{
    for (unsigned slot = 0; slot < GLUE_L4_RESERVED_FIRST; slot++)
        if (pte_present(root[slot])) {
            *key = pte_frame(root[slot]).n;
            return true;
        }
    return false;
}

static bool has_user_half(const uint64_t *root, const uint64_t *known)
{
    for (unsigned slot = 0; slot < GLUE_L4_RESERVED_FIRST; slot++)
        if (!same_entry(root[slot], known[slot]))
            return false;
    return true;
}

/* One that is mapped writable is no root that was left if the tables of its user's half are still
 * tables: these are not writable. */
static bool names_tables(const struct run *r, const uint64_t *root)
{
    bool any = false;
    for (unsigned slot = 0; slot < GLUE_L4_RESERVED_FIRST; slot++) {
        if (!pte_present(root[slot]))
            continue;
        mfn_t m = check_number(r, pte_frame(root[slot]));
        if (mfn_eq(m, NO_MFN) || r->count[m.n].type == TYPE_WRITABLE || r->count[m.n].holds <= 1)
            return false;
        any = true;
    }
    return any;
}

/* That the image has a type for is taken as it says: what is sought is what it does not tell of. */
static bool is_told_table(const struct run *r, mfn_t real)
{
    struct pv_told told = {0};
    return r->v->backend->told && r->v->backend->told(r->v, real, &told) && told.level;
}

/* Most memory is writable: of such a page the last entries are read first, and not by the mapping
 * of the file, which would fill with all of it. */
static bool may_be_writable_root(const struct run *r, const struct halves *h, mfn_t real)
{
    uint64_t last[2];
    if (r->core.nr_frames > SOUGHT_PAGES ||
        !r->v->backend->read(r->v, real, PAGE_BYTES - sizeof(last), last, sizeof(last)) ||
        !pte_present(last[1]))
        return false;
    for (unsigned i = 0; i < h->n; i++)
        if (same_entry(last[1], h->known[i][WORDS - 1]))
            return true;
    return false;
}

static const uint64_t *candidate(const struct run *r, const struct halves *h, uint64_t i)
{
    const struct core_count *n = &r->count[i];
    if (!may_be_root(n) || core_frame_pinned(&r->core, mfn(i)) || !r->v->backend->words)
        return NULL;
    mfn_t real = check_real(r, mfn(i));
    bool writable = n->type == TYPE_WRITABLE;
    if (is_told_table(r, real) || (writable && !may_be_writable_root(r, h, real)))
        return NULL;
    const uint64_t *root = r->v->backend->words(r->v, real);
    return root && (!writable || names_tables(r, root)) ? root : NULL;
}

static void add_user_half(struct run *r, struct pv_pairs *users, mfn_t m)
{
    uint64_t key;
    const uint64_t *root = mfn_eq(m, NO_MFN) ? NULL : r->glue.words(&r->glue, m);
    if (root && user_key(root, &key) && !pv_pairs_add(users, key, m.n))
        r->ending = NO_MEMORY;
}

static uint64_t find_by_kernel_half(struct run *r, struct halves *h, struct pv_pairs *users)
{
    uint64_t found = 0;
    for (unsigned i = 0; i < r->v->nr_vcpus; i++) {
        add_half(r, h, r->vcpu[i].kernel_root);
        add_half(r, h, r->vcpu[i].user_root);
        add_user_half(r, users, r->vcpu[i].kernel_root);
    }
    for (uint64_t i = 0; h->n && i < r->core.nr_frames; i++) {
        const uint64_t *root = candidate(r, h, i);
        if (!root || !has_known_half(h, root))
            continue;
        check_pin(r, mfn(i), TYPE_L4);
        add_user_half(r, users, mfn(i));
        found++;
    }
    return found;
}

static uint64_t find_by_user_half(struct run *r, const struct halves *h,
                                  const struct pv_pairs *users)
{
    uint64_t found = 0, key;
    for (uint64_t i = 0; users->n && i < r->core.nr_frames; i++) {
        const uint64_t *root = candidate(r, h, i);
        const struct pv_pair *same =
            root && user_key(root, &key) ? pv_pairs_find(users, key) : NULL;
        const uint64_t *known = same ? r->glue.words(&r->glue, mfn(same->value)) : NULL;
        if (!known || !has_user_half(root, known))
            continue;
        check_pin(r, mfn(i), TYPE_L4);
        found++;
    }
    return found;
}

uint64_t check_find_roots(struct run *r)
{
    struct pv_pairs users = {0};
    struct halves halves = {.n = 0};
    uint64_t found = find_by_kernel_half(r, &halves, &users);
    if (pv_pairs_sort(&users))
        found += find_by_user_half(r, &halves, &users);
    else
        r->ending = NO_MEMORY;
    pv_pairs_free(&users);
    return found;
}
