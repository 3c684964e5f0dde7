/* SPDX-License-Identifier: MIT */
/* All sources of a view's p2m: found, and asked one by one. */
#include "sources.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pv_p2m_name(enum pv_p2m_kind k)
{
    static const char *const names[PV_P2M_KINDS] = {
        [PV_P2M_CONTAINER] = "container", [PV_P2M_M2P] = "m2p",       [PV_P2M_LINEAR] = "linear",
        [PV_P2M_TREE] = "mfn_list_list",  [PV_P2M_STREAM] = "stream", [PV_P2M_SYMBOLS] = "symbols",
        [PV_P2M_FLAT] = "flat",           [PV_P2M_TABLES] = "tables",
    };
    return k < PV_P2M_KINDS ? names[k] : "?";
}

void p2m_say(struct pv_p2m *p, enum pv_p2m_kind k, const char *fmt, ...)
{
    char *how = p->source[k].how;
    const size_t used = strlen(how), size = sizeof(p->source[k].how);
    va_list args;
    va_start(args, fmt);
    vsnprintf(how + used, size - used, fmt, args);
    va_end(args);
}

bool p2m_is_list(enum pv_p2m_kind k)
{
    return k >= PV_P2M_LINEAR && k <= PV_P2M_FLAT;
}

/* ---- finding them */

static void add_root(const struct pv_view *v, mfn_t root[P2M_ROOTS], unsigned *n, mfn_t m)
{
    if (*n == P2M_ROOTS || mfn_eq(m, NO_MFN) || !v->backend->owned(v, m))
        return;
    for (unsigned i = 0; i < *n; i++)
        if (mfn_eq(root[i], m))
            return;
    root[(*n)++] = m;
}

unsigned p2m_roots(const struct pv_view *v, mfn_t root[P2M_ROOTS])
{
    unsigned n = 0;
    add_root(v, root, &n, v->kernel_root);
    add_root(v, root, &n, v->initial_root);
    for (unsigned i = 0; i < v->nr_vcpus && n < P2M_ROOTS / 2; i++)
        add_root(v, root, &n, v->vcpu[i].kernel_root);
    for (mfn_t m = v->backend->next_pinned_root(v, mfn(0)); n < P2M_ROOTS && !mfn_eq(m, NO_MFN);
         m = v->backend->next_pinned_root(v, mfn(m.n + 1)))
        add_root(v, root, &n, m);
    return n;
}

/* A guest of old puts its last pfn where a count is due. */
static bool is_last_pfn(const struct pv_p2m *p, enum pv_p2m_kind k, uint64_t claimed)
{
    uint64_t word;
    maddr_t where;
    if (!p->has_arch || claimed != p->arch.max_pfn || claimed + 1 != p->v->end_pfn.n ||
        p2m_word(&p->list[k], claimed, &word, &where) != PV_P2M_FRAME ||
        p2m_decode(word).state != PV_P2M_FRAME)
        return false;
    return p->v->portable || p->v->backend->pfn_of(p->v, mfn(word)).n == claimed;
}

static void set_end(struct pv_p2m *p, enum pv_p2m_kind k, uint64_t claimed,
                    const struct p2m_survey *s)
{
    struct pv_p2m_source *to = &p->source[k];
    const uint64_t sane = s->reach > p->v->end_pfn.n ? s->reach : p->v->end_pfn.n;
    to->end = claimed <= s->readable || claimed < sane ? claimed : sane;
    if (s->endless && s->end <= to->end) {
        to->end = s->end;
        p2m_say(p, k, "; given up at pfn %llx: more pages than the guest can have for it",
                (unsigned long long)to->end);
    } else if (is_last_pfn(p, k, claimed)) {
        to->end = claimed + 1;
        p2m_say(p, k, "; max_pfn %llx is the last pfn, not a count", (unsigned long long)claimed);
    } else if (claimed > PV_FRAME_LIMIT) {
        p2m_say(p, k, "; said to have %llx pfns", (unsigned long long)claimed);
    }
}

bool p2m_accept(struct pv_p2m *p, enum pv_p2m_kind k, uint64_t claimed)
{
    struct p2m_survey s;
    p2m_look_over(&p->list[k], claimed, &s);
    if (s.reach == 0 || s.odd * 2 > s.frames)
        return false;
    p->source[k].there = true;
    p->source[k].stale = p->v->portable || s.owned * 2 < s.frames;
    set_end(p, k, claimed, &s);
    return true;
}

static void find_own(struct pv_p2m *p)
{
    const enum pv_p2m_kind k = p->v->has_m2p ? PV_P2M_M2P : PV_P2M_CONTAINER;
    p->source[k].there = true;
    p->source[k].end = p->v->end_pfn.n;
    if (p->v->has_m2p) {
        p2m_say(p, PV_P2M_M2P, "the machine's m2p, turned round");
        p2m_say(p, PV_P2M_CONTAINER, "a machine's memory has no table of its own");
        return;
    }
    p2m_say(p, PV_P2M_CONTAINER,
            p->v->portable ? "the pfns that have a page in the file"
                           : "the file's own table of pfns and frames");
    p2m_say(p, PV_P2M_M2P, "the machine's m2p is not in the image");
}

static void look_for_facts(struct pv_p2m *p)
{
    struct pv_error e = {""};
    p->has_arch = pv_arch_info_read(&p->arch, p->v, &e) == 0;
    snprintf(p->no_arch, sizeof(p->no_arch), "%s", p->has_arch ? "" : e.text);
    p->has_start = pv_start_info_find(&p->start, p->v, p->symbols, &e) == 0;
    snprintf(p->no_start, sizeof(p->no_start), "%s", p->has_start ? "" : e.text);
    p->publishes = p->has_arch &&
                   (p->arch.p2m_cr3 != 0 || (p->arch.list_list != 0 && p->arch.list_list != ~0ull));
    p->published = p->has_arch && p->arch.p2m_cr3 == 0 ? PV_P2M_TREE : PV_P2M_LINEAR;
}

int pv_p2m_open(struct pv_p2m **out, const struct pv_view *v, const struct pv_symbols *s,
                struct pv_error *e)
{
    struct pv_p2m *p = calloc(1, sizeof(*p));
    if (!p)
        return pv_no_memory(e);
    p->v = v;
    p->symbols = s;
    e->text[0] = 0;
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        p->source[k].kind = k;
        p2m_list_init(&p->list[k], v, P2M_PAGES);
    }
    look_for_facts(p);
    find_own(p);
    p2m_find_linear(p);
    p2m_find_stream(p);
    p2m_find_symbols(p);
    p2m_find_flat(p);
    p2m_find_tree(p, e);
    p2m_find_map(p);
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++)
        if (p->source[k].there && p->source[k].end > p->end)
            p->end = p->source[k].end;
    if (e->text[0]) {
        pv_p2m_close(p);
        return -1;
    }
    *out = p;
    return 0;
}

void pv_p2m_close(struct pv_p2m *p)
{
    if (!p)
        return;
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++)
        p2m_list_free(&p->list[k]);
    free(p);
}

const struct pv_p2m_source *pv_p2m_source(const struct pv_p2m *p, enum pv_p2m_kind k)
{
    return &p->source[k];
}

pfn_t pv_p2m_end(const struct pv_p2m *p)
{
    return pfn(p->end);
}

bool pv_p2m_publishes(const struct pv_p2m *p, enum pv_p2m_kind *k)
{
    *k = p->published;
    return p->publishes;
}

const struct pv_start_info *pv_p2m_start_info(const struct pv_p2m *p, const char **why)
{
    *why = p->no_start;
    return p->has_start ? &p->start : NULL;
}

/* ---- asking one of them */

static struct pv_p2m_entry nothing(enum pv_p2m_state state)
{
    return (struct pv_p2m_entry){.state = state, .mfn = NO_MFN, .at = {~0ull}};
}

static struct pv_p2m_entry own_entry(const struct pv_p2m *p, uint64_t at)
{
    const mfn_t m = p->v->backend->mfn_of(p->v, pfn(at));
    return mfn_eq(m, NO_MFN)
               ? nothing(PV_P2M_MISSING)
               : (struct pv_p2m_entry){.state = PV_P2M_FRAME, .mfn = m, .at = {~0ull}};
}

static struct pv_p2m_entry list_entry(const struct p2m_list *l, uint64_t at)
{
    uint64_t word;
    maddr_t where;
    const enum pv_p2m_state state = p2m_word(l, at, &word, &where);
    if (state != PV_P2M_FRAME)
        return nothing(state);
    struct pv_p2m_entry e = p2m_decode(word);
    e.at = where;
    return e;
}

struct pv_p2m_entry pv_p2m_get(const struct pv_p2m *p, enum pv_p2m_kind k, pfn_t at)
{
    if (!p->source[k].there || at.n >= p->source[k].end)
        return nothing(PV_P2M_BEYOND);
    if (k == PV_P2M_TABLES)
        return p2m_map_entry(p, at.n);
    return p2m_is_list(k) ? list_entry(&p->list[k], at.n) : own_entry(p, at.n);
}

/* A frame of the image's own before one that is not in it; a source of old frames never. */
/* Does the image itself, or m2p, have that frame at another pfn? Then who says so is of before. */
static bool is_elsewhere(const struct pv_p2m *p, enum pv_p2m_kind k, mfn_t m, uint64_t at)
{
    if (k <= PV_P2M_M2P || p->v->portable)
        return false;
    const pfn_t known = p->v->backend->pfn_of(p->v, m);
    return known.n != NO_PFN.n && known.n != at && p->v->backend->owned(p->v, m);
}

enum pv_p2m_kind p2m_believe(const struct pv_p2m *p, const struct pv_p2m_entry *entry, uint64_t at)
{
    enum pv_p2m_kind first = PV_P2M_KINDS, frame = PV_P2M_KINDS;
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        if (!p->source[k].there || p->source[k].stale)
            continue;
        if (first == PV_P2M_KINDS)
            first = k;
        if (entry[k].state != PV_P2M_FRAME || is_elsewhere(p, k, entry[k].mfn, at))
            continue;
        if (!p2m_is_list(k) || p->v->backend->owned(p->v, entry[k].mfn))
            return k;
        if (frame == PV_P2M_KINDS)
            frame = k;
    }
    return frame != PV_P2M_KINDS ? frame : first;
}

struct pv_p2m_entry pv_p2m_best(const struct pv_p2m *p, pfn_t at, enum pv_p2m_kind *from)
{
    struct pv_p2m_entry entry[PV_P2M_KINDS];
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++)
        entry[k] = pv_p2m_get(p, k, at);
    *from = p2m_believe(p, entry, at.n);
    return entry[*from];
}

/* ---- the other way */

pfn_t pv_p2m_reverse_in(const struct pv_p2m *p, enum pv_p2m_kind k, mfn_t m)
{
    if (!p->source[k].there)
        return NO_PFN;
    if (k <= PV_P2M_M2P)
        return p->v->backend->owned(p->v, m) ? p->v->backend->pfn_of(p->v, m) : NO_PFN;
    struct pv_pair one = {.key = m.n, .value = NO_PFN.n};
    struct pv_pairs wanted = {.pair = &one, .n = 1, .room = 1};
    p2m_find_frames(p, k, &wanted);
    return pfn(one.value);
}

pfn_t pv_p2m_reverse(const struct pv_p2m *p, mfn_t m, enum pv_p2m_kind *from)
{
    for (unsigned old = 0; old < 2; old++)
        for (*from = 0; *from < PV_P2M_KINDS; (*from)++) {
            if (p->source[*from].stale != old)
                continue;
            const pfn_t at = pv_p2m_reverse_in(p, *from, m);
            if (at.n != NO_PFN.n)
                return at;
        }
    *from = p->v->has_m2p ? PV_P2M_M2P : PV_P2M_CONTAINER;
    return NO_PFN;
}
