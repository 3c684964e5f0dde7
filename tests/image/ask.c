/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "convert.h"
#include "diff.h"
#include "p2m.h"
#include "symbols.h"

#define FRAMES_ASKED 2000u /* of a large guest's, from end to end */
#define FRAMES_SHOWN 64u
#define ROOTS_ASKED  16u
#define WRITTEN      512u  /* guests of so many pages are written as a dump-core, too */
#define MANY         1000u /* mappings of a frame, ranges: enough of them */

static const uint64_t odd_vas[] = {0,
                                   4095,
                                   0xc0403ffeull,
                                   0x7fffffffffffull,
                                   0x800000000000ull,
                                   0xffff800000000000ull,
                                   0xffff888000000ff9ull,
                                   0xffffc90000000000ull,
                                   0xffffffff80003fa1ull,
                                   0xffffffff81000000ull,
                                   ~0ull - 4096,
                                   ~0ull};
#define ODD_VAS (sizeof(odd_vas) / sizeof(*odd_vas))

static void must(bool is, const char *what)
{
    if (is)
        return;
    fprintf(stderr, "an answer that cannot be: %s\n", what);
    abort();
}

static uint64_t odd_number(const struct pv_view *v, unsigned i)
{
    const uint64_t odd[] = {0,
                            1,
                            v->nr_frames,
                            v->nr_frames - 1,
                            v->end_pfn.n,
                            v->end_pfn.n - 1,
                            v->shared_info.n,
                            1ull << 32,
                            1ull << 40,
                            1ull << 52,
                            1ull << 63,
                            ~1ull,
                            ~0ull};
    return odd[i % (sizeof(odd) / sizeof(*odd))];
}
#define ODD_NUMBERS 13u

/* ---- frames */

static void ask_frame(const struct pv_view *v, mfn_t m, bool words)
{
    const struct pv_backend *b = v->backend;
    uint8_t bytes[4096];
    struct pv_place place;
    struct pv_told told;
    bool read = b->read(v, m, 0, bytes, sizeof(bytes));
    b->read(v, m, 4095, bytes, 1);
    must(!b->read(v, m, 4095, bytes, 2), "bytes beyond a frame");
    b->pfn_of(v, m);
    b->mfn_of(v, pfn(m.n));
    b->next_pfn(v, pfn(m.n));
    if (pv_place_of(v, m, &place))
        must(place.record[0] != 0, "a place without a name");
    if (b->told && b->told(v, m, &told))
        must(told.level <= 4, "a level above 4");
    if (b->index_of && b->owned(v, m)) {
        uint64_t index = b->index_of(v, m);
        must(index < v->nr_pages && mfn_eq(b->frame_at(v, index), m), "a frame's index");
    }
    const uint64_t *w = words && read && b->words ? b->words(v, m) : NULL;
    must(!w || w[0] + 1 != w[0], "arithmetic");
}

static void ask_frames(const struct pv_view *v)
{
    uint64_t step = v->nr_frames / FRAMES_ASKED + 1, asked = 0;
    for (unsigned i = 0; i < ODD_NUMBERS; i++)
        ask_frame(v, mfn(odd_number(v, i)), false);
    for (mfn_t m = v->backend->next_owned(v, mfn(0)); !mfn_eq(m, NO_MFN) && asked < FRAMES_ASKED;
         asked++) {
        ask_frame(v, m, asked % (FRAMES_ASKED / FRAMES_SHOWN) == 0);
        mfn_t next = v->backend->next_owned(v, mfn(m.n + step));
        must(next.n > m.n, "the next frame");
        m = next;
    }
    if (!mfn_eq(v->shared_info, NO_MFN))
        must(v->shared_info.n < v->nr_frames, "shared_info's frame");
}

static void ask_pfns(const struct pv_view *v)
{
    uint64_t step = v->end_pfn.n / FRAMES_ASKED + 1, asked = 0;
    for (pfn_t p = v->backend->next_pfn(v, pfn(0)); p.n != NO_PFN.n && asked < FRAMES_ASKED;
         asked++) {
        must(p.n < v->end_pfn.n && !mfn_eq(v->backend->mfn_of(v, p), NO_MFN), "a pfn's frame");
        if (p.n + step < p.n)
            break;
        pfn_t next = v->backend->next_pfn(v, pfn(p.n + step));
        must(next.n > p.n, "the next pfn");
        p = next;
    }
}

/* ---- virtual addresses */

static void ask_root(const struct pv_view *v, mfn_t root)
{
    struct pv_walk w;
    uint8_t bytes[8192];
    for (unsigned i = 0; i < ODD_VAS; i++) {
        pv_walk(v, root, gva(odd_vas[i]), &w);
        size_t n = pv_read_va(v, root, gva(odd_vas[i]), bytes, sizeof(bytes));
        must(n <= sizeof(bytes), "more than asked for");
    }
}

static void ask_walks(const struct pv_view *v)
{
    for (unsigned i = 0; i < ODD_NUMBERS; i++)
        ask_root(v, mfn(odd_number(v, i)));
    for (unsigned i = 0; i < v->nr_vcpus && i < ROOTS_ASKED; i++) {
        ask_root(v, v->vcpu[i].kernel_root);
        ask_root(v, v->vcpu[i].user_root);
    }
    mfn_t root = v->backend->next_pinned_root(v, mfn(0));
    for (unsigned i = 0; i < ROOTS_ASKED && !mfn_eq(root, NO_MFN); i++) {
        ask_root(v, root);
        root = v->backend->next_pinned_root(v, mfn(root.n + 1));
    }
}

static bool count_mapping(void *context, const struct pv_mapping *m)
{
    (void)m;
    return ++*(unsigned *)context < MANY;
}

static void ask_maps(const struct pv_view *v)
{
    struct pv_error e;
    mfn_t *root = NULL;
    size_t roots = 0;
    if (pv_roots(v, &root, &roots, &e))
        return;
    for (size_t i = 1; i < roots; i++)
        must(root[i].n > root[i - 1].n, "the roots' order");
    for (unsigned i = 0; i < 5; i++) {
        unsigned seen = 0;
        mfn_t m = v->backend->next_owned(v, mfn(v->nr_frames / 5 * i));
        pv_find_maps(v, root, roots < ROOTS_ASKED ? roots : ROOTS_ASKED, m, count_mapping, &seen,
                     &e);
    }
    free(root);
}

/* ---- the lists, the contract, the names */

static void ask_publication(const struct pv_view *v)
{
    struct pv_publication p;
    struct pv_error e;
    pv_publication(v, &p, &e);
}

static bool take_range(void *context, const struct pv_p2m_range *r)
{
    must(r->first.n <= r->last.n, "a range's end");
    return ++*(unsigned *)context < MANY;
}

static void ask_sources(const struct pv_view *v, const struct pv_p2m *p)
{
    enum pv_p2m_kind from;
    for (unsigned k = 0; k < PV_P2M_KINDS; k++) {
        const struct pv_p2m_source *s = pv_p2m_source(p, k);
        must(!s || s->how[0] != 0, "a source without a story");
        for (unsigned i = 0; i < ODD_NUMBERS; i++)
            pv_p2m_get(p, k, pfn(odd_number(v, i)));
    }
    for (unsigned i = 0; i < ODD_NUMBERS; i++) {
        pv_p2m_best(p, pfn(odd_number(v, i)), &from);
        pv_p2m_reverse(p, mfn(odd_number(v, i)), &from);
    }
    pv_p2m_end(p);
}

static void ask_contract(const struct pv_view *v, const struct pv_p2m *p)
{
    struct pv_check c;
    struct pv_error e;
    if (pv_check(v, p, &(struct pv_check_options){.keep = 4}, &c, &e))
        return;
    must(c.kept <= c.findings, "more findings kept than found");
    pv_check_free(&c);
}

static void ask_lists(const struct pv_view *v, const struct pv_symbols *s)
{
    struct pv_error e;
    struct pv_p2m *p = NULL;
    struct pv_p2m_summary summary;
    unsigned ranges = 0;
    if (pv_p2m_open(&p, v, s, &e) == 0) {
        ask_sources(v, p);
        pv_p2m_compare(p, take_range, &ranges, &summary, NULL, &e);
    }
    ask_contract(v, p);
    if (p)
        pv_p2m_close(p);
}

static void ask_plain_lists(const struct pv_view *v)
{
    ask_lists(v, NULL);
}

/* A kernel's names are searched for in all it may map: that takes longest by far. */
static void ask_names_and_lists(const struct pv_view *v)
{
    struct pv_error e;
    struct pv_symbol symbol;
    uint64_t va;
    size_t count;
    struct pv_symbols *s = pv_symbols_new();
    if (s && pv_symbols_guest(s, v, v->kernel_root, &count, &e) == 0) {
        pv_symbol_find(s, "xen_p2m_addr", &va);
        for (unsigned i = 0; i < ODD_VAS; i++)
            pv_symbol_at(s, odd_vas[i], &symbol);
    }
    ask_lists(v, s);
    if (s)
        pv_symbols_free(s);
}

static void ask_for_a_dump(const struct pv_view *v)
{
    struct pv_error e;
    int fd = v->nr_pages < WRITTEN ? memfd_create("dump", MFD_CLOEXEC) : -1;
    if (fd < 0)
        return;
    pv_dumpcore_write(v, fd, NULL, &e);
    close(fd);
}

/* What it would be as another kind; whatever the damage, no more is written than it has. */
static void ask_for_another_kind(const struct pv_view *v)
{
    struct pv_error e;
    struct pv_converted out;
    for (enum pv_target to = PV_TO_CORE; v->nr_pages < WRITTEN && to <= PV_TO_ELF; to++) {
        const struct pv_convert_options o = {.to = to};
        int fd = memfd_create("converted", MFD_CLOEXEC);
        if (fd >= 0 && pv_convert(v, fd, &o, &out, &e) == 0)
            must(out.lost.n <= PV_LOSSES, "more losses than there is room for");
        close(fd);
    }
}

static bool count_range(void *context, const struct pv_diff_range *r)
{
    uint64_t *pages = context;
    must(r->kinds && r->first.n <= r->last.n, "a range that does not differ");
    *pages += r->last.n - r->first.n + 1;
    return true;
}

static void ask_what_differs(const struct pv_view *v)
{
    struct pv_error e;
    struct pv_diff_summary s;
    uint64_t pages = 0;
    if (pv_diff(v, v, NULL, count_range, &pages, &s, &e) == 0)
        must(pages == 0, "an image differs from itself");
}

void ask_everything(const struct pv_view *v)
{
    ask_at_turn(v, 0);
}

void ask_at_turn(const struct pv_view *v, uint64_t turn)
{
    const struct {
        unsigned every;
        void (*ask)(const struct pv_view *);
    } list[] = {
        {1, ask_frames},
        {1, ask_pfns},
        {1, ask_walks},
        {1, ask_maps},
        {1, ask_publication},
        {1, ask_plain_lists},
        {8, ask_for_a_dump},
        {64, ask_names_and_lists},
        {8, ask_for_another_kind},
        {4, ask_what_differs},
    };
    for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++)
        if (turn % list[i].every == 0)
            list[i].ask(v);
}
