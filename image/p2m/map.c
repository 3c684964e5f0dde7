/* SPDX-License-Identifier: MIT */
/* What the page tables imply: a kernel maps all its memory in one piece, by pfn. */
#include "sources.h"

#include <stdio.h>
#include <string.h>

#include "pte.h"

#define KIND       PV_P2M_TABLES
#define SAMPLE     256u
#define CANDIDATES 16u

/* ---- elements */

/* Mostly it is the frame that the image's own table has at that pfn: known without a search. */
static bool is_own(const struct pv_view *v, uint64_t m, uint64_t at)
{
    return (!v->has_m2p && v->backend->mfn_of(v, pfn(at)).n == m) || v->backend->owned(v, mfn(m));
}

/* What an entry of a table says of the pfn that it is for. */
static uint64_t element(const struct pv_view *v, uint64_t entry, uint64_t at, uint64_t more)
{
    if (!pte_present(entry))
        return P2M_MISSING;
    const uint64_t m = pte_frame(entry).n + more;
    if (v->portable || is_own(v, m, at))
        return m;
    return m | (m == at ? P2M_IDENTITY : P2M_FOREIGN);
}

static bool address(const struct p2m_map *map, uint64_t at, uint64_t *va)
{
    *va = map->base + (at << 12);
    return at < 1ull << 40 && *va >= map->base;
}

static void say(struct p2m_cursor *c, uint64_t at, uint64_t pages, enum pv_p2m_state state)
{
    c->first = at;
    c->last = at + pages - 1;
    c->state = state;
    c->at.a = ~0ull;
    c->step = 0;
}

/* Where neighbours share a table of the lowest level, or a superpage. */
static bool fill_words(struct p2m_cursor *c, uint64_t at, uint64_t va, const struct pv_walk *w)
{
    const struct pv_view *v = c->p->v;
    const unsigned slot = va >> 12 & 511;
    uint64_t entry[512];
    say(c, at, 512 - slot, PV_P2M_FRAME);
    if (w->level == 1 &&
        !v->backend->read(v, maddr_frame(w->at[1]), slot * 8, entry, (512 - slot) * 8))
        return false;
    for (unsigned i = 0; i < 512 - slot; i++)
        c->word[i] = w->level == 1 ? element(v, entry[i], at + i, 0)
                                   : element(v, (w->to.a & ~0xfffull) | PTE_PRESENT, at + i, i);
    c->at = w->at[w->level];
    c->step = w->level == 1 ? 8 : 0;
    return true;
}

void p2m_map_fill(struct p2m_cursor *c, uint64_t at)
{
    struct pv_walk w;
    uint64_t va;
    if (!address(&c->p->map, at, &va)) {
        say(c, at, ~0ull - at, PV_P2M_BEYOND);
        return;
    }
    const bool there = pv_walk(c->p->v, c->p->map.root, gva(va), &w);
    const unsigned level = w.level ? w.level : 1;
    const uint64_t pages = 1ull << 9 * (level - 1);
    if (!there && level > 1)
        say(c, at, pages - (va >> 12 & (pages - 1)), w.absent ? PV_P2M_UNREADABLE : PV_P2M_MISSING);
    else if (w.absent || w.level == 0 || !fill_words(c, at, va, &w))
        say(c, at, 512 - (va >> 12 & 511), w.level ? PV_P2M_UNREADABLE : PV_P2M_MISSING);
}

struct pv_p2m_entry p2m_map_entry(const struct pv_p2m *p, uint64_t at)
{
    struct pv_walk w = {0};
    uint64_t va;
    struct pv_p2m_entry e = p2m_decode(P2M_MISSING);
    if (!address(&p->map, at, &va))
        e.state = PV_P2M_BEYOND;
    else if (pv_walk(p->v, p->map.root, gva(va), &w))
        e = p2m_decode(element(p->v, (w.to.a & ~0xfffull) | PTE_PRESENT, at, 0));
    else if (w.absent)
        e.state = PV_P2M_UNREADABLE;
    if (w.level)
        e.at = w.at[w.level];
    return e;
}

/* ---- where is it? */

struct candidate {
    uint64_t base;
    const char *how;
};

struct vote {
    const struct pv_p2m *p;
    mfn_t root;
    struct candidate candidate[CANDIDATES];
    unsigned n;
};

static void propose(struct vote *t, uint64_t base, const char *how)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->candidate[i].base == base)
            return;
    if (t->n < CANDIDATES)
        t->candidate[t->n++] = (struct candidate){base, how};
}

/* An address of the kernel's, if it is in such a map, says where that begins. */
static void propose_by(struct vote *t, uint64_t va, const char *how)
{
    const struct pv_view *v = t->p->v;
    struct pv_walk w;
    if (!pv_walk(v, t->root, gva(va), &w) || !v->backend->owned(v, maddr_frame(w.to)))
        return;
    const pfn_t at = v->backend->pfn_of(v, maddr_frame(w.to));
    if (at.n != NO_PFN.n && at.n < 1ull << 40)
        propose(t, (va & ~0xfffull) - (at.n << 12), how);
}

static void propose_all(struct vote *t)
{
    const struct pv_view *v = t->p->v;
    uint64_t va, base;
    if (t->p->symbols && pv_symbol_find(t->p->symbols, "page_offset_base", &va) &&
        pv_read_va(v, t->root, gva(va), &base, 8) == 8)
        propose(t, base, "symbol page_offset_base");
    if (v->width == 8) {
        propose(t, 0xffff888000000000, "where Linux has it");
        propose(t, 0xffff880000000000, "where Linux had it");
        propose(t, 0xffffffff80000000, "where kernels are linked to");
    } else {
        propose(t, 0xc0000000, "where Linux has it");
    }
    if (t->p->has_start)
        propose_by(t, t->p->start.pt_base.a, "by start_info's pt_base");
    for (unsigned i = 0; i < v->nr_vcpus && i < 2; i++) {
        propose_by(t, v->vcpu[i].rsp, "by a vCPU's stack");
        propose_by(t, v->vcpu[i].rip, "by a vCPU's code");
    }
    propose(t, 0, "at address 0");
}

/* How many of the sample are mapped where they would be? */
static unsigned score(const struct vote *t, uint64_t base, unsigned *mapped)
{
    const struct pv_view *v = t->p->v;
    const struct p2m_map map = {t->root, base};
    unsigned right = 0;
    *mapped = 0;
    for (unsigned i = 0; i < SAMPLE; i++) {
        const pfn_t at = v->backend->next_pfn(v, pfn(v->end_pfn.n / SAMPLE * i));
        struct pv_walk w;
        uint64_t va;
        if (at.n == NO_PFN.n || !address(&map, at.n, &va) || !pv_walk(v, t->root, gva(va), &w))
            continue;
        ++*mapped;
        right += v->backend->owned(v, maddr_frame(w.to)) &&
                 v->backend->pfn_of(v, maddr_frame(w.to)).n == at.n;
    }
    return right;
}

/* The last of the cursor's pfns that is where it would be, and one; 0: none. */
static uint64_t last_right(const struct pv_view *v, const struct p2m_cursor *c)
{
    for (uint64_t i = c->last + 1; c->state == PV_P2M_FRAME && i > c->first; i--)
        if (v->backend->owned(v, mfn(c->word[i - 1 - c->first])) &&
            v->backend->pfn_of(v, mfn(c->word[i - 1 - c->first])).n == i - 1)
            return i;
    return 0;
}

/* No pfn from there on is where it would be. A table for 512 pfns is looked at once: no more of
 * them than the guest can have, and of those that are not there. */
static uint64_t find_end(const struct pv_p2m *p)
{
    const struct pv_view *v = p->v;
    const uint64_t enough = v->nr_pages / 16 + 1024;
    struct p2m_cursor c;
    uint64_t end = 0, tables = 0, steps = 0;
    c.p = p;
    for (uint64_t at = 0; at < v->end_pfn.n && tables <= enough && steps++ < 1u << 20;
         at = c.last + 1) {
        p2m_map_fill(&c, at);
        tables += c.state == PV_P2M_FRAME;
        const uint64_t right = last_right(v, &c);
        end = right ? right : end;
        if (c.last == ~0ull)
            break;
    }
    return end;
}

static bool accept(struct pv_p2m *p, mfn_t root)
{
    struct vote t = {.p = p, .root = root};
    const struct candidate *best = NULL;
    unsigned most = 0, mapped;
    propose_all(&t);
    for (unsigned i = 0; i < t.n; i++) {
        const unsigned right = score(&t, t.candidate[i].base, &mapped);
        if (right > most && right * 2 > mapped) {
            most = right;
            best = &t.candidate[i];
        }
    }
    if (!best)
        return false;
    p->map = (struct p2m_map){root, best->base};
    p->source[KIND].there = true;
    p->source[KIND].end = find_end(p);
    p2m_say(p, KIND, "a map of all memory at %llx (%s)", (unsigned long long)best->base, best->how);
    return true;
}

void p2m_find_map(struct pv_p2m *p)
{
    mfn_t root[P2M_ROOTS];
    const unsigned n = p2m_roots(p->v, root);
    for (unsigned i = 0; i < n; i++)
        if (accept(p, root[i]))
            return;
    p2m_say(p, KIND,
            n ? "no map of all memory is found in the page tables"
              : "no root of page tables is known");
}

bool pv_p2m_map_of_all(const struct pv_p2m *p, gva_t *base)
{
    *base = gva(p->map.base);
    return p->source[KIND].there;
}
