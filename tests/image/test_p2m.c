/* SPDX-License-Identifier: MIT */
/* Every source of a p2m, on machines made up for it, and what comes of comparing them. */
#include "made.h"
#include "p2m.h"
#include "startinfo.h"

#include <stdio.h>

#define FLAGS   (PTE_PRESENT | PTE_ACCESSED | PTE_RW)
#define HEAP_VA 0xffff888000000000ull /* where pages that are made for a test are mapped */

/* ---- symbols, made up */

struct pv_symbols {
    unsigned n;
    struct {
        const char *name;
        uint64_t va;
    } is[8];
};

bool pv_symbol_find(const struct pv_symbols *s, const char *name, uint64_t *va)
{
    for (unsigned i = 0; i < s->n; i++)
        if (strcmp(s->is[i].name, name) == 0) {
            *va = s->is[i].va;
            return true;
        }
    return false;
}

static void name(struct pv_symbols *s, const char *is, uint64_t va)
{
    s->is[s->n].name = is;
    s->is[s->n++].va = va;
}

/* ---- what is asked */

struct asked {
    struct pv_view *v;
    struct pv_p2m *p;
    struct pv_p2m_summary sum;
    struct pv_p2m_range range[64];
    unsigned ranges;
};

static bool keep(void *context, const struct pv_p2m_range *r)
{
    struct asked *a = context;
    if (a->ranges < 64)
        a->range[a->ranges++] = *r;
    return true;
}

static void ask_view(struct asked *a, struct pv_view *v, const struct pv_symbols *s)
{
    struct pv_error e;
    *a = (struct asked){.v = v};
    if (pv_p2m_open(&a->p, v, s, &e) || pv_p2m_compare(a->p, keep, a, &a->sum, NULL, &e))
        fail_msg("%s", e.text);
    assert_int_equal(a->sum.pfns, a->sum.agreed + a->sum.disagreed);
}

static void ask(struct asked *a, struct made *m, const struct pv_symbols *s)
{
    ask_view(a, made_open(m), s);
}

static void done(struct asked *a)
{
    pv_p2m_close(a->p);
    pv_close(a->v);
}

static const struct pv_p2m_source *source(const struct asked *a, enum pv_p2m_kind k)
{
    return pv_p2m_source(a->p, k);
}

static void assert_how(const struct asked *a, enum pv_p2m_kind k, bool there, const char *words)
{
    assert_int_equal(source(a, k)->there, there);
    if (!strstr(source(a, k)->how, words))
        fail_msg("%s: \"%s\" has no \"%s\"", pv_p2m_name(k), source(a, k)->how, words);
}

/* One source's word is the machine's, at every pfn from `from` on that has a frame. */
static void assert_says(const struct asked *a, enum pv_p2m_kind k, uint64_t from)
{
    const struct pv_backend *b = a->v->backend;
    assert_true(source(a, k)->there);
    for (pfn_t p = b->next_pfn(a->v, pfn(from)); p.n != NO_PFN.n;
         p = b->next_pfn(a->v, pfn(p.n + 1))) {
        const struct pv_p2m_entry e = pv_p2m_get(a->p, k, p);
        assert_int_equal(e.state, PV_P2M_FRAME);
        assert_int_equal(e.mfn.n, b->mfn_of(a->v, p).n);
    }
}

static void assert_state(const struct asked *a, enum pv_p2m_kind k, uint64_t at,
                         enum pv_p2m_state state)
{
    assert_int_equal(pv_p2m_get(a->p, k, pfn(at)).state, state);
}

static void assert_range(const struct asked *a, unsigned i, uint64_t first, uint64_t last,
                         unsigned differs, bool recovered)
{
    assert_true(i < a->ranges);
    assert_int_equal(a->range[i].first.n, first);
    assert_int_equal(a->range[i].last.n, last);
    assert_int_equal(a->range[i].differs, differs);
    assert_int_equal(a->range[i].recovered, recovered);
}

#define BIT(kind) (1u << PV_P2M_##kind)

/* ---- a kernel's memory */

/* A page of the guest's, which its kernel has mapped. */
static mfn_t mapped_page(struct made *m, uint64_t va)
{
    const mfn_t page = made_page(m);
    made_map(m, m->root, va, page, FLAGS);
    memset(made_words(m, page), 0, 4096);
    return page;
}

static void fill(struct made *m, mfn_t page, uint64_t from)
{
    uint64_t *word = made_words(m, page);
    for (unsigned i = 0; i < 512; i++)
        word[i] = ~0ull;
    for (uint64_t n = 0; n < m->core.nr_frames; n++)
        if (m->core.m2p[n] >= from && m->core.m2p[n] < from + 512)
            word[m->core.m2p[n] - from] = n;
}

/* ---- what is published */

static void m2p_and_lists_agree(void **state)
{
    (void)state;
    for (unsigned linear = 0; linear < 2; linear++) {
        struct made *m = made_new(8, 0);
        struct asked a;
        if (linear)
            made_publish_linear(m);
        else
            made_publish_tree(m);
        ask(&a, m, NULL);
        const enum pv_p2m_kind k = linear ? PV_P2M_LINEAR : PV_P2M_TREE;
        assert_says(&a, k, 0);
        assert_says(&a, PV_P2M_M2P, 0);
        assert_false(source(&a, k)->stale);
        assert_int_equal(source(&a, k)->end, m->next_table.n);
        assert_false(source(&a, PV_P2M_CONTAINER)->there);
        assert_false(source(&a, linear ? PV_P2M_TREE : PV_P2M_LINEAR)->there);
        assert_int_equal(a.sum.pfns, m->next_table.n);
        assert_int_equal(a.sum.has[k], m->next_table.n);
        assert_int_equal(a.sum.disagreed + a.sum.recovered + a.sum.ranges, 0);
        assert_int_equal(pv_p2m_end(a.p).n, m->next_table.n);
        const struct pv_p2m_entry e = pv_p2m_get(a.p, k, pfn(7));
        assert_int_equal(e.at.a, (m->list_leaf.n << 12) + 7 * 8);
        done(&a);
        made_free(m);
    }
}

static void nothing_published_is_no_gap(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind k;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_LINEAR, false, "publishes none");
    assert_how(&a, PV_P2M_TREE, false, "publishes none");
    assert_how(&a, PV_P2M_SYMBOLS, false, "no symbols");
    assert_false(pv_p2m_publishes(a.p, &k));
    assert_int_equal(a.sum.recovered + a.sum.disagreed, 0);
    done(&a);
    made_free(m);
}

/* The tree ends early: m2p has the rest. */
static void what_a_short_list_lacks_is_recovered(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind from;
    made_publish_tree(m);
    made_shared(m)->arch.max_pfn = 40;
    made_words(m, m->list_leaf)[20] = made_words(m, m->list_leaf)[21] = ~0ull;
    made_words(m, m->list_leaf)[30] = made_words(m, m->list_leaf)[31];
    ask(&a, m, NULL);
    assert_int_equal(a.ranges, 3);
    assert_range(&a, 0, 20, 21, BIT(TREE), true);
    assert_range(&a, 1, 30, 30, BIT(TREE), true);
    assert_range(&a, 2, 40, m->next_table.n - 1, BIT(TREE), true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(a.range[i].from, PV_P2M_M2P);
    assert_int_equal(a.sum.recovered, 3 + m->next_table.n - 40);
    assert_int_equal(a.sum.disagreed, a.sum.recovered);
    assert_int_equal(pv_p2m_best(a.p, pfn(20), &from).mfn.n, made_mfn(m, pfn(20)).n);
    assert_int_equal(from, PV_P2M_M2P);
    assert_state(&a, PV_P2M_TREE, 20, PV_P2M_MISSING);
    assert_state(&a, PV_P2M_TREE, 45, PV_P2M_BEYOND);
    done(&a);
    made_free(m);
}

/* No page of it can be read: all of it is recovered. */
static void a_list_that_is_not_there_is_recovered_in_full(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_tree(m);
    made_words(m, m->list_top)[0] = 0;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TREE, false, "nothing in it has a frame");
    assert_int_equal(a.sum.recovered, m->next_table.n);
    assert_int_equal(a.ranges, 1);
    assert_range(&a, 0, 0, m->next_table.n - 1, 0, true);
    done(&a);
    made_free(m);
}

static void marks_are_told_apart(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_linear(m);
    uint64_t *list = made_words(m, m->list_leaf);
    list[3] |= 1ull << 62;          /* the frame itself, marked */
    list[200] = 1ull << 62 | 200;   /* no memory */
    list[201] = 1ull << 63 | 0x123; /* another domain's */
    list[202] = 0;
    made_shared(m)->arch.max_pfn = 300;
    ask(&a, m, NULL);
    assert_state(&a, PV_P2M_LINEAR, 3, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_LINEAR, 200, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_LINEAR, 201, PV_P2M_FOREIGN);
    assert_state(&a, PV_P2M_LINEAR, 202, PV_P2M_MISSING);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_LINEAR, pfn(201)).mfn.n, 0x123);
    assert_int_equal(a.sum.disagreed, 0);
    done(&a);
    made_free(m);
}

/* Kernels of old publish the last pfn where a count is due. */
static void max_pfn_may_be_the_last_pfn(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_tree(m);
    made_shared(m)->arch.max_pfn--;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TREE, true, "is the last pfn, not a count");
    assert_says(&a, PV_P2M_TREE, 0);
    assert_int_equal(a.sum.ranges, 0);
    done(&a);
    made_shared(m)->arch.max_pfn--; /* two less: it is just short */
    ask(&a, m, NULL);
    assert_int_equal(source(&a, PV_P2M_TREE)->end, m->next_table.n - 2);
    assert_int_equal(a.sum.recovered, 2);
    done(&a);
    made_free(m);
}

/* Before it is published anew after a restore, all frames are those of another machine. */
static void frames_of_before_are_stale(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind from;
    made_publish_linear(m);
    uint64_t *list = made_words(m, m->list_leaf);
    for (unsigned i = 0; i < m->next_table.n; i++)
        list[i] = 0x100000 + i;
    list[9] = ~0ull;
    ask(&a, m, NULL);
    assert_true(source(&a, PV_P2M_LINEAR)->stale);
    assert_int_equal(a.sum.disagreed, 1); /* that it lacks one is said all the same */
    assert_range(&a, 1, 9, 9, BIT(LINEAR), true);
    assert_int_equal(a.sum.recovered, m->next_table.n);
    assert_int_equal(pv_p2m_best(a.p, pfn(5), &from).mfn.n, made_mfn(m, pfn(5)).n);
    assert_int_equal(pv_p2m_reverse(a.p, mfn(0x100005), &from).n, 5);
    assert_int_equal(from, PV_P2M_LINEAR);
    assert_int_equal(pv_p2m_reverse(a.p, made_mfn(m, pfn(5)), &from).n, 5);
    assert_int_equal(from, PV_P2M_M2P);
    assert_int_equal(pv_p2m_reverse(a.p, mfn(0x900005), &from).n, NO_PFN.n);
    done(&a);
    made_free(m);
}

/* ---- images whose tables hold pfns: a save stream's view, made of a machine's */

struct portable {
    struct pv_view *v;
    struct pv_backend backend;
    const struct pv_backend *is;
};
static struct portable saved;

static bool saved_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    if (mfn_eq(m, v->shared_info))
        return saved.is->read(v, m, offset, to, n);
    const mfn_t now = saved.is->mfn_of(v, pfn(m.n));
    return !mfn_eq(now, NO_MFN) && saved.is->read(v, now, offset, to, n);
}

static bool saved_owned(const struct pv_view *v, mfn_t m)
{
    return !mfn_eq(saved.is->mfn_of(v, pfn(m.n)), NO_MFN);
}

static pfn_t saved_pfn_of(const struct pv_view *v, mfn_t m)
{
    return saved_owned(v, m) ? pfn(m.n) : NO_PFN;
}

static mfn_t saved_mfn_of(const struct pv_view *v, pfn_t p)
{
    return saved_owned(v, mfn(p.n)) ? mfn(p.n) : NO_MFN;
}

static mfn_t saved_no_root(const struct pv_view *v, mfn_t from)
{
    (void)v;
    (void)from;
    return NO_MFN;
}

/* Page tables hold pfns from now on; the guest's lists keep the frames they have. */
static void save(struct made *m, struct pv_view *v)
{
    for (uint64_t t = PAGES; t < m->next_table.n; t++) {
        const mfn_t table = made_mfn(m, pfn(t));
        uint64_t *e = made_words(m, table);
        for (unsigned i = 0; i < 512; i++) {
            const mfn_t to = pte_frame(e[i]);
            if ((e[i] & PTE_PRESENT) && (e[i] & PTE_ACCESSED) && to.n < m->core.nr_frames &&
                m->core.m2p[to.n] < m->next_table.n && !mfn_eq(table, m->list_leaf) &&
                !mfn_eq(table, m->list_top) && !mfn_eq(table, m->list_middle))
                e[i] = pte_make(mfn(m->core.m2p[to.n]), e[i] & 0xfff);
        }
    }
    saved.v = v;
    saved.is = v->backend;
    saved.backend = *v->backend;
    saved.backend.read = saved_read;
    saved.backend.owned = saved_owned;
    saved.backend.pfn_of = saved_pfn_of;
    saved.backend.mfn_of = saved_mfn_of;
    saved.backend.next_pinned_root = saved_no_root;
    saved.backend.words = NULL;
    v->backend = &saved.backend;
    v->portable = true;
    v->has_m2p = false;
    v->kernel_root = v->vcpu[0].kernel_root = mfn(m->core.m2p[m->root.n]);
    v->initial_root = NO_MFN;
}

static void a_saved_guests_lists_are_found_again(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind from;
    made_publish_tree(m);
    const mfn_t top = m->list_top, middle = m->list_middle, leaf = m->list_leaf;
    made_map(m, m->root, LIST_VA, leaf, FLAGS);
    fill(m, leaf, 0);
    made_words(m, leaf)[11] = ~0ull;               /* it lacks one that the image has */
    made_words(m, leaf)[600 % 512 + 300] = 0x7777; /* and has one that the image lacks */
    made_shared(m)->arch.p2m_cr3 = 0x1234000;
    made_shared(m)->arch.p2m_vaddr = LIST_VA;
    made_shared(m)->arch.max_pfn = 400;
    struct pv_view *v = made_open(m);
    const struct pv_backend *machines = v->backend;
    save(m, v);
    ask_view(&a, v, NULL);
    assert_how(&a, PV_P2M_LINEAR, true, "of before the suspend: seen by pfn");
    assert_how(&a, PV_P2M_TREE, true, "its frames found by \"linear\"");
    assert_true(source(&a, PV_P2M_LINEAR)->stale && source(&a, PV_P2M_TREE)->stale);
    assert_false(source(&a, PV_P2M_CONTAINER)->stale);
    for (enum pv_p2m_kind k = PV_P2M_LINEAR; k <= PV_P2M_TREE; k++) {
        const struct pv_p2m_entry e = pv_p2m_get(a.p, k, pfn(7));
        assert_int_equal(e.mfn.n, made_mfn(m, pfn(7)).n);
        assert_int_equal(e.at.a >> 12, m->core.m2p[leaf.n]);
    }
    assert_int_equal(a.ranges, 2);
    assert_range(&a, 0, 11, 11, BIT(LINEAR) | BIT(TREE), true);
    assert_range(&a, 1, 388, 388, BIT(LINEAR) | BIT(TREE), false);
    assert_int_equal(a.range[1].has, BIT(LINEAR) | BIT(TREE));
    assert_int_equal(pv_p2m_reverse_in(a.p, PV_P2M_TREE, top).n, m->core.m2p[top.n]);
    assert_int_equal(pv_p2m_reverse_in(a.p, PV_P2M_LINEAR, middle).n, m->core.m2p[middle.n]);
    assert_int_equal(pv_p2m_best(a.p, pfn(7), &from).mfn.n, 7);
    assert_int_equal(from, PV_P2M_CONTAINER);
    pv_p2m_close(a.p);
    v->backend = machines;
    pv_close(v);
    made_free(m);
}

/* ---- what the kernel keeps */

static void the_kernels_linear_list_is_found_by_its_symbol(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    const mfn_t data = mapped_page(m, HEAP_VA), list = mapped_page(m, LIST_VA);
    made_words(m, data)[0] = LIST_VA;
    made_words(m, data)[1] = 1ull << 63; /* more than there can be */
    name(&s, "xen_p2m_addr", HEAP_VA);
    name(&s, "xen_max_p2m_pfn", HEAP_VA + 8);
    fill(m, list, 0);
    ask(&a, m, &s);
    assert_how(&a, PV_P2M_SYMBOLS, true, "symbol xen_p2m_addr");
    assert_how(&a, PV_P2M_SYMBOLS, true, "said to have 8000000000000000 pfns");
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    assert_int_equal(source(&a, PV_P2M_SYMBOLS)->end, m->next_table.n);
    assert_int_equal(a.sum.disagreed, 0);
    done(&a);
    made_words(m, data)[0] = 0x123; /* a lie */
    ask(&a, m, &s);
    assert_how(&a, PV_P2M_SYMBOLS, false, "nothing there has a frame");
    done(&a);
    made_free(m);
}

/* One page of missing elements, mapped by one table that maps nothing else, for most of 2^27 pfns:
 * it is not gone through page by page. */
static void a_page_that_stands_for_nothing_is_skipped(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    const mfn_t data = mapped_page(m, HEAP_VA), list = mapped_page(m, LIST_VA);
    const mfn_t missing = made_page(m), table = made_page(m), far = made_page(m);
    mfn_t l3 = pte_frame(made_words(m, m->root)[LIST_VA >> 39 & 511]);
    uint64_t *l2 = made_words(m, pte_frame(made_words(m, l3)[0]));
    memset(made_words(m, missing), 0xff, 4096);
    for (unsigned i = 0; i < 512; i++)
        made_words(m, table)[i] = pte_make(missing, FLAGS);
    for (unsigned i = 1; i < 511; i++)
        l2[i] = pte_make(table, FLAGS);
    for (unsigned i = 1; i < 512; i++)
        made_map(m, m->root, LIST_VA + i * 4096ull, missing, FLAGS);
    made_map(m, m->root, LIST_VA + (511ull << 21), far, FLAGS);
    memset(made_words(m, far), 0xff, 4096);
    made_words(m, far)[5] = made_mfn(m, pfn(3)).n;
    made_words(m, data)[0] = LIST_VA;
    made_words(m, data)[1] = 0x8000000;
    name(&s, "xen_p2m_addr", HEAP_VA);
    name(&s, "xen_max_p2m_pfn", HEAP_VA + 8);
    fill(m, list, 0);
    ask(&a, m, &s);
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    const uint64_t last = (511ull << 21) / 8 + 5;
    assert_int_equal(source(&a, PV_P2M_SYMBOLS)->end, last + 1);
    assert_int_equal(a.ranges, 1); /* of a pfn that nobody else knows */
    assert_range(&a, 0, last, last, BIT(M2P), false);
    done(&a);
    made_free(m);
}

static void assert_levels(struct made *m, const struct pv_symbols *s, const char *words)
{
    struct asked a;
    ask(&a, m, s);
    assert_how(&a, PV_P2M_SYMBOLS, true, words);
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    assert_state(&a, PV_P2M_SYMBOLS, 512, PV_P2M_MISSING);
    assert_int_equal(a.sum.disagreed, 0);
    done(&a);
}

/* Linux 2.6.37 to 3.18: p2m_top points to pointers to pointers to pages. */
static void three_levels_of_pointers_are_followed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    const uint64_t top = HEAP_VA + 0x1000, middle = HEAP_VA + 0x2000, leaf = HEAP_VA + 0x3000,
                   missing = HEAP_VA + 0x4000, mid_missing = HEAP_VA + 0x5000,
                   identity = HEAP_VA + 0x6000;
    uint64_t *data = made_words(m, mapped_page(m, HEAP_VA));
    uint64_t *tops = made_words(m, mapped_page(m, top));
    uint64_t *middles = made_words(m, mapped_page(m, middle));
    const mfn_t list = mapped_page(m, leaf), sparse = mapped_page(m, HEAP_VA + 0x7000);
    name(&s, "p2m_top", HEAP_VA);
    name(&s, "p2m_missing", HEAP_VA + 8);
    name(&s, "p2m_mid_missing", HEAP_VA + 16);
    name(&s, "p2m_identity", HEAP_VA + 24);
    name(&s, "xen_max_p2m_pfn", HEAP_VA + 32);
    data[0] = top;
    data[1] = missing;
    data[2] = mid_missing;
    data[3] = identity;
    data[4] = 512 * 600;
    for (unsigned i = 0; i < 512; i++) {
        tops[i] = i == 0 ? middle : mid_missing;
        middles[i] = i == 0 ? leaf : i == 1 ? missing : i == 2 ? identity : HEAP_VA + 0x7000;
    }
    fill(m, sparse, 512ull * 700);
    fill(m, list, 0);
    assert_levels(m, &s, "three levels, Linux 2.6.37 to 3.18");
    middles[3] = 0x1234;                              /* no page's address */
    made_words(m, sparse)[2] = made_mfn(m, pfn(1)).n; /* so that the list reaches there */
    ask(&a, m, &s);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 2 + 7, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 3, PV_P2M_UNREADABLE);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 511, PV_P2M_MISSING);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 600, PV_P2M_BEYOND);
    assert_int_equal(a.sum.has[PV_P2M_SYMBOLS], m->next_table.n + 508);
    done(&a);
    made_free(m);
}

/* Linux 2.6.26 to 2.6.36: p2m_top is an array of pointers to pages. */
static void two_levels_of_pointers_are_followed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    uint64_t *tops = made_words(m, mapped_page(m, HEAP_VA));
    const mfn_t list = mapped_page(m, HEAP_VA + 0x1000);
    const mfn_t last = mapped_page(m, HEAP_VA + 0x3000);
    name(&s, "p2m_top", HEAP_VA);
    name(&s, "p2m_missing", HEAP_VA + 0x2000);
    for (unsigned i = 0; i < 512; i++)
        tops[i] = i == 0 ? HEAP_VA + 0x1000 : HEAP_VA + 0x2000;
    tops[2] = HEAP_VA + 0x3000;
    made_shared(m)->arch.max_pfn = 512 * 3;
    fill(m, last, 512ull * 900);
    made_give(m, pfn(512 * 2 + 1));
    fill(m, last, 512 * 2);
    fill(m, list, 0);
    assert_levels(m, &s, "two levels, Linux 2.6.26 to 2.6.36");
    made_free(m);
}

static void the_first_kernels_array_is_found(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    made_words(m, mapped_page(m, HEAP_VA))[0] = LIST_VA;
    name(&s, "phys_to_machine_mapping", HEAP_VA);
    fill(m, mapped_page(m, LIST_VA), 0);
    ask(&a, m, &s);
    assert_how(&a, PV_P2M_SYMBOLS, true, "phys_to_machine_mapping");
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    done(&a);
    made_free(m);
}

/* ---- start_info, page tables */

static void write_start_info(struct made *m, uint64_t at, uint64_t list_va)
{
    start_info_t *s = (start_info_t *)made_words(m, made_mfn(m, pfn(at)));
    memset(s, 0, sizeof(*s));
    strcpy(s->magic, "xen-3.0-x86_64");
    s->nr_pages = m->next_table.n;
    s->shared_info = m->is.shared_mfn << 12;
    s->mfn_list = list_va;
    strcpy((char *)s->cmd_line, "quiet\033[31m");
}

static void the_builders_list_is_found_by_start_info(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    const char *why;
    const mfn_t list = mapped_page(m, LIST_VA);
    write_start_info(m, 20, LIST_VA);
    fill(m, list, 0);
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_FLAT, true, "start_info: mfn_list");
    assert_says(&a, PV_P2M_FLAT, 0);
    const struct pv_start_info *is = pv_p2m_start_info(a.p, &why);
    assert_non_null(is);
    assert_int_equal(is->frame.n, made_mfn(m, pfn(20)).n);
    assert_int_equal(is->nr_pages, m->next_table.n);
    assert_string_equal(is->cmd_line, "quiet\033[31m");
    done(&a);
    for (unsigned i = 0; i < 512; i++) /* the kernel has taken the page for something else */
        made_words(m, list)[i] = 0x6c6c6568206f7774ull + i;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_FLAT, false, "no list any more");
    done(&a);
    made_free(m);
}

static void the_kernels_map_of_memory_is_found(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TABLES, true, "at ffffffff80000000");
    assert_int_equal(source(&a, PV_P2M_TABLES)->end, PAGES);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(pv_p2m_get(a.p, PV_P2M_TABLES, pfn(i)).mfn.n, made_mfn(m, pfn(i)).n);
    assert_int_equal(a.sum.has[PV_P2M_TABLES], PAGES);
    assert_int_equal(a.sum.disagreed, 0); /* where the map ends it has nothing to say */
    done(&a);
    made_map(m, m->root, KERNEL_VA + 9 * 4096, made_mfn(m, pfn(12)), FLAGS);
    made_map(m, m->root, KERNEL_VA + 10 * 4096, mfn(m->is.shared_mfn), FLAGS);
    made_map(m, m->root, KERNEL_VA + 11 * 4096, mfn(0), 0);
    ask(&a, m, NULL);
    assert_int_equal(a.sum.disagreed, 3);
    assert_state(&a, PV_P2M_TABLES, 10, PV_P2M_FOREIGN);
    assert_state(&a, PV_P2M_TABLES, 11, PV_P2M_MISSING);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TABLES, pfn(9)).mfn.n, made_mfn(m, pfn(12)).n);
    done(&a);
    made_free(m);
}

/* An address of which nothing is known but where the stack lies. */
static void a_map_anywhere_is_found_by_what_is_known(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    const mfn_t root = made_page(m);
    for (unsigned i = 0; i < PAGES; i++)
        made_map(m, root, 0x40000000 + i * 4096ull, made_mfn(m, pfn(i)), FLAGS);
    made_context(m)->ctrlreg[3] = xen_pfn_to_cr3(root.n);
    made_context(m)->user_regs.rsp = 0x40000000 + 9 * 4096 + 0x123;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TABLES, true, "at 40000000 (by a vCPU's stack)");
    done(&a);
    made_free(m);
}

/* ---- nothing is trusted */

static void a_tree_that_names_itself_ends(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_tree(m);
    for (unsigned i = 0; i < 512; i++) {
        made_words(m, m->list_top)[i] = m->list_top.n;
        made_words(m, m->list_middle)[i] = m->list_top.n;
    }
    made_shared(m)->arch.max_pfn = ~0ull;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TREE, true, "more pages than the guest can have");
    assert_true(source(&a, PV_P2M_TREE)->end < 1u << 21);
    /* all but the page that happens to say what is true of itself */
    assert_int_equal(a.sum.recovered, m->next_table.n - 1);
    done(&a);
    made_free(m);
}

static void a_map_that_maps_itself_ends(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    const mfn_t root = made_page(m);
    for (unsigned i = 0; i < 512; i++)
        made_words(m, root)[i] = pte_make(root, FLAGS);
    made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(root.n);
    made_shared(m)->arch.p2m_vaddr = 0xffff800000000000ull;
    made_shared(m)->arch.max_pfn = 1ull << 63;
    ask(&a, m, NULL);
    assert_true(pv_p2m_end(a.p).n < 1u << 21);
    assert_true(!source(&a, PV_P2M_LINEAR)->there || source(&a, PV_P2M_LINEAR)->end < 1u << 21);
    done(&a);
    made_free(m);
}

static void counts_beyond_all_measure_end_with_what_is_there(void **state)
{
    (void)state;
    const uint64_t counts[] = {1ull << 63, ~0ull, 1ull << 40, (1ull << 61) + 5};
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_linear(m);
    for (unsigned i = 0; i < 4; i++) {
        made_shared(m)->arch.max_pfn = counts[i];
        ask(&a, m, NULL);
        assert_says(&a, PV_P2M_LINEAR, 0);
        assert_int_equal(source(&a, PV_P2M_LINEAR)->end, m->next_table.n);
        assert_int_equal(a.sum.ranges, 0);
        done(&a);
    }
    made_free(m);
}

/* Random words in every page of the lists, and in shared_info. */
static void damage_ends(void **state)
{
    (void)state;
    uint64_t seed = 12345;
    for (unsigned round = 0; round < 200; round++) {
        struct made *m = made_new(8, 0);
        struct asked a;
        enum pv_p2m_kind from;
        if (round & 1)
            made_publish_linear(m);
        else
            made_publish_tree(m);
        write_start_info(m, 20, round & 2 ? LIST_VA : KERNEL_VA);
        for (unsigned i = 0; i < 40; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            const uint64_t where = seed >> 33, what = seed >> (seed >> 59);
            const uint64_t page = PAGES + where % (m->next_table.n - PAGES);
            uint64_t *words =
                i % 8 ? made_words(m, made_mfn(m, pfn(page))) : (uint64_t *)&made_shared(m)->arch;
            words[i % 8 ? where / 64 % 512 : where % 6] =
                i % 3 ? what : pte_make(made_mfn(m, pfn(where / 8 % m->next_table.n)), FLAGS);
        }
        ask(&a, m, NULL);
        pv_p2m_reverse(a.p, mfn(seed >> 40), &from);
        pv_p2m_best(a.p, pfn(seed >> 50), &from);
        done(&a);
        made_free(m);
    }
}

static bool count_one(void *context, const struct pv_p2m_range *r)
{
    uint64_t *n = context;
    n[0] += r->last.n - r->first.n + 1;
    n[1]++;
    return true;
}

static void each_pfn_is_told_once(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    struct pv_error e;
    uint64_t n[2] = {0};
    made_publish_linear(m);
    made_give(m, pfn(1000000));
    ask(&a, m, NULL);
    assert_int_equal(pv_p2m_each(a.p, pfn(0), NO_PFN, count_one, n, NULL, &e), 0);
    assert_int_equal(n[0], 1000001);
    assert_true(n[1] < 5000); /* what is empty comes in pieces */
    n[0] = 0;
    assert_int_equal(pv_p2m_each(a.p, pfn(10), pfn(19), count_one, n, NULL, &e), 0);
    assert_int_equal(n[0], 10);
    n[0] = 0;
    assert_int_equal(pv_p2m_each(a.p, pfn(2000000), NO_PFN, count_one, n, NULL, &e), 0);
    assert_int_equal(n[0], 0);
    done(&a);
    made_free(m);
}

/* ---- a 32-bit guest: pfn p has frame p + 100; pfns from 1024 on are in the list's second page */

#define SMALL 1100u
#define OTHER 100u
static uint32_t small[SMALL + 1][1024]; /* the last page is shared_info */

static bool small_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const uint64_t page = mfn_eq(m, v->shared_info) ? SMALL : m.n - OTHER;
    if (page > SMALL || offset + n > 4096)
        return false;
    memcpy(to, (uint8_t *)small[page] + offset, n);
    return true;
}

static bool small_owned(const struct pv_view *v, mfn_t m)
{
    (void)v;
    return m.n >= OTHER && m.n < OTHER + SMALL;
}

static pfn_t small_pfn_of(const struct pv_view *v, mfn_t m)
{
    return small_owned(v, m) ? pfn(m.n - OTHER) : NO_PFN;
}

static mfn_t small_mfn_of(const struct pv_view *v, pfn_t p)
{
    (void)v;
    return p.n < SMALL ? mfn(p.n + OTHER) : NO_MFN;
}

static pfn_t small_next_pfn(const struct pv_view *v, pfn_t from)
{
    (void)v;
    return from.n < SMALL ? from : NO_PFN;
}

static void elements_of_32_bits_are_read(void **state)
{
    (void)state;
    static const struct pv_backend backend = {.read = small_read,
                                              .owned = small_owned,
                                              .pfn_of = small_pfn_of,
                                              .mfn_of = small_mfn_of,
                                              .next_pfn = small_next_pfn,
                                              .next_pinned_root = saved_no_root};
    struct pv_view v = {.backend = &backend, .width = 4, .nr_pages = SMALL, .end_pfn = {SMALL}};
    const uint32_t arch = 2316 / 4; /* of a 32-bit shared_info: i386 has 12 bytes of clock before */
    struct asked a;
    v.shared_info = mfn(1 << 20);
    v.start_info = v.initial_root = v.kernel_root = NO_MFN;
    memset(small, 0, sizeof(small));
    small[SMALL][arch] = SMALL;
    small[SMALL][arch + 1] = OTHER + 1; /* the tree: pfns 1, 2; 3 and 4 are the list */
    small[1][0] = OTHER + 2;
    small[2][0] = OTHER + 3;
    small[2][1] = OTHER + 4;
    for (unsigned i = 0; i < 2048; i++)
        small[3 + i / 1024][i % 1024] = i < SMALL ? i + OTHER : ~0u;
    small[4][1] = ~0u;
    small[4][2] = 1u << 30 | 1026;
    small[4][3] = 1u << 31 | 0x55;
    ask_view(&a, &v, NULL);
    assert_false(source(&a, PV_P2M_TREE)->stale);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(7)).mfn.n, 7 + OTHER);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(1030)).mfn.n, 1030 + OTHER);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(1030)).at.a, ((OTHER + 4) << 12) + 6 * 4);
    assert_state(&a, PV_P2M_TREE, 1025, PV_P2M_MISSING);
    assert_state(&a, PV_P2M_TREE, 1026, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_TREE, 1027, PV_P2M_FOREIGN);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(1027)).mfn.n, 0x55);
    assert_int_equal(a.sum.recovered, 3);
    assert_range(&a, 0, 1025, 1025, BIT(TREE), true);
    pv_p2m_close(a.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_of_32_bits_are_read),
        cmocka_unit_test(m2p_and_lists_agree),
        cmocka_unit_test(nothing_published_is_no_gap),
        cmocka_unit_test(what_a_short_list_lacks_is_recovered),
        cmocka_unit_test(a_list_that_is_not_there_is_recovered_in_full),
        cmocka_unit_test(marks_are_told_apart),
        cmocka_unit_test(max_pfn_may_be_the_last_pfn),
        cmocka_unit_test(frames_of_before_are_stale),
        cmocka_unit_test(a_saved_guests_lists_are_found_again),
        cmocka_unit_test(the_kernels_linear_list_is_found_by_its_symbol),
        cmocka_unit_test(a_page_that_stands_for_nothing_is_skipped),
        cmocka_unit_test(three_levels_of_pointers_are_followed),
        cmocka_unit_test(two_levels_of_pointers_are_followed),
        cmocka_unit_test(the_first_kernels_array_is_found),
        cmocka_unit_test(the_builders_list_is_found_by_start_info),
        cmocka_unit_test(the_kernels_map_of_memory_is_found),
        cmocka_unit_test(a_map_anywhere_is_found_by_what_is_known),
        cmocka_unit_test(a_tree_that_names_itself_ends),
        cmocka_unit_test(a_map_that_maps_itself_ends),
        cmocka_unit_test(counts_beyond_all_measure_end_with_what_is_there),
        cmocka_unit_test(damage_ends),
        cmocka_unit_test(each_pfn_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
