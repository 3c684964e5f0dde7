/* SPDX-License-Identifier: MIT */
/*
 * Roots that no vCPU has loaded, in an image that tells of no pins. An L4 in use is mapped, as the
 * kernel maps all memory, but nowhere writable (R2); and it shares the kernel's half, or that of a
 * user root, with those that are known. So few frames have to be looked into: those that are mapped
 * and not writable. A root that was left is writable again, and not taken.
 */
#include "run.h"

#include <string.h>

#define WORDS      512u
#define FIRST_KEPT (GLUE_L4_RESERVED_LAST + 1)
#define HALVES     4u /* kernels have two */

struct halves {
    const uint64_t *known[HALVES];
    unsigned n;
};

static bool same_entry(uint64_t a, uint64_t b)
{
    return !((a ^ b) & ~(PTE_ACCESSED | PTE_DIRTY));
}

static bool has_half(const uint64_t *root, const uint64_t *known)
{
    for (unsigned slot = WORDS; slot-- > FIRST_KEPT;)
        if (!same_entry(root[slot], known[slot]))
            return false;
    return true;
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
    return n->type == TYPE_NONE && n->uses == 0 && n->holds > 1;
}

uint64_t check_find_roots(struct run *r)
{
    struct halves h = {.n = 0};
    uint64_t found = 0;
    for (unsigned i = 0; i < r->v->nr_vcpus; i++) {
        add_half(r, &h, r->vcpu[i].kernel_root);
        add_half(r, &h, r->vcpu[i].user_root);
    }
    for (uint64_t i = 0; h.n && i < r->core.nr_frames; i++) {
        if (!may_be_root(&r->count[i]))
            continue;
        const uint64_t *root =
            r->v->backend->words ? r->v->backend->words(r->v, check_real(r, mfn(i))) : NULL;
        if (!root || !has_known_half(&h, root))
            continue;
        check_pin(r, mfn(i), TYPE_L4);
        found++;
    }
    return found;
}
