/* SPDX-License-Identifier: MIT */
/* The p2m: looked at by other ways than the library's, changed, and what it costs. */
#include "look.h"
#include "themes.h"

#define FAR           (1ull << 35)
#define FOLLOW        (3ull << 33)
#define SPARSE_FROM   (1ull << 34)
#define SPARSE_STEP   (1ull << 20)
#define SPARSE        32u
#define IDENTITY_FROM ((1ull << 33) + 100)
#define IDENTITY_TO   ((1ull << 34) - 100)
#define AWAY          3000u /* pages above the highest */

static volatile arch_shared_info_t *published(struct pvguest *g)
{
    return &pvg_shared_info(g)->arch;
}

static struct pvg_p2m_info info_of(struct pvguest *g)
{
    struct pvg_p2m_info info;
    pvg_p2m_info(g, &info);
    return info;
}

static bool is_linear(struct pvguest *g)
{
    return info_of(g).layout == PVG_P2M_LINEAR;
}

/* ---- looking */

/* A word of a leaf, and the entry that it stands for. A shared leaf is all ones, whether its pages
 * are missing or identity. */
static bool stands_for(uint64_t word, uint64_t entry, uint64_t pfn)
{
    return word == entry || (word == ~0ull && entry == (PVG_P2M_IDENTITY | pfn));
}

static void same_leaf(struct tap *t, uint64_t base, const volatile uint64_t *word)
{
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t entry = pvg_p2m_entry(t->g, pvg_pfn(base + i));
        CHECK_SAY(t, stands_for(word[i], entry, base + i),
                  "page %lx: the word is %lx, the entry %lx", base + i, word[i], entry);
    }
}

static void same_by_walk(struct tap *t, uint64_t pfn)
{
    uint64_t base = pfn & ~(uint64_t)(WORDS - 1);
    struct pvg_walk w;
    pvg_walk(t->g, PVG_P2M_BASE + base * sizeof(uint64_t), &w);
    CHECK_SAY(t, w.mapped, "the list is not mapped for page %lx: level %u", base, w.level);
    const volatile uint64_t *word = frame_words(t->g, frame_of(w.at[1].entry));
    CHECK_SAY(t, word, "the leaf of page %lx is mfn %lx, not ours", base,
              frame_of(w.at[1].entry).n);
    same_leaf(t, base, word);
}

/* Every page that there is, by the tables that map the list, and some of what is not there. */
static void equals_walk(struct tap *t)
{
    static const uint64_t away[] = {1ull << 27, FAR, PVG_P2M_PFNS - 1};
    if (!is_linear(t->g)) {
        tap_skip(t, "the layout is the tree");
        return;
    }
    for (uint64_t pfn = 0; pfn < info_of(t->g).max_pfn && !t->failed; pfn += WORDS)
        same_by_walk(t, pfn);
    for (unsigned i = 0; i < sizeof(away) / sizeof(away[0]) && !t->failed; i++)
        same_by_walk(t, away[i]);
}

static void fast_look_up(struct tap *t)
{
    struct pvg_range all = {0, info_of(t->g).max_pfn};
    struct pvg_range rest = {all.to, PVG_P2M_PFNS};
    if (!is_linear(t->g)) {
        tap_skip(t, "the layout is the tree");
        return;
    }
    for_samples(pfn, all, step_for(all.to, 100000))
        CHECK_SAME(t, pvg_p2m_linear(t->g, pvg_pfn(pfn)), pvg_p2m_entry(t->g, pvg_pfn(pfn)));
    for_samples(pfn, rest, step_for(rest.to - rest.from, 1000))
        CHECK_SAME(t, pvg_p2m_linear(t->g, pvg_pfn(pfn)), pvg_p2m_entry(t->g, pvg_pfn(pfn)));
}

static void counts(struct tap *t)
{
    struct pvg_p2m_info info = info_of(t->g);
    uint64_t populated = 0, highest = 0;
    for (uint64_t pfn = 0; pfn < info.max_pfn; pfn++)
        if (is_populated(pvg_p2m_entry(t->g, pvg_pfn(pfn)))) {
            populated++;
            highest = pfn;
        }
    CHECK_SAME(t, info.populated, populated);
    CHECK_SAME(t, info.max_pfn, highest + 1);
    CHECK_SAY(t, info.leaves >= (populated + WORDS - 1) / WORDS, "%lu leaves for %lu pages",
              info.leaves, populated);
    say(t->g, "# p2m: max_pfn=%lx populated=%lu leaves=%lu tables=%lu\n", info.max_pfn,
        info.populated, info.leaves, info.tables);
}

static void beyond_everything(struct tap *t)
{
    static const uint64_t pfn[] = {PVG_P2M_PFNS, PVG_P2M_PFNS + 1, 1ull << 40, ~0ull};
    for (unsigned i = 0; i < sizeof(pfn) / sizeof(pfn[0]); i++) {
        CHECK_SAME(t, pvg_p2m_entry(t->g, pvg_pfn(pfn[i])), PVG_P2M_MISSING);
        CHECK_SAME(t, pvg_p2m_mfn(t->g, pvg_pfn(pfn[i])).n, PVG_NO_MFN.n);
        CHECK_SAME(t, pvg_p2m_set(t->g, pvg_pfn(pfn[i]), PVG_P2M_MISSING), -XEN_EINVAL);
    }
}

/* ---- changing */

/* Sets, looks, and sets missing again: what the look showed, and what was counted then. */
struct tried {
    int rc, undone;
    uint64_t entry, mfn, left;
    uint64_t max_pfn, list; /* as published */
    struct pvg_p2m_info info, after;
};

static void try(struct pvguest *g, pvg_pfn_t pfn, uint64_t entry, struct tried *r)
{
    r->rc = pvg_p2m_set(g, pfn, entry);
    r->entry = pvg_p2m_entry(g, pfn);
    r->mfn = pvg_p2m_mfn(g, pfn).n;
    r->info = info_of(g);
    r->max_pfn = published(g)->max_pfn;
    r->list = published(g)->pfn_to_mfn_frame_list_list;
    r->undone = pvg_p2m_set(g, pfn, PVG_P2M_MISSING);
    r->left = pvg_p2m_entry(g, pfn);
    r->after = info_of(g);
}

/* With a mark it is not the guest's own, and max_pfn does not speak of it. */
static void mark_above(struct tap *t, uint64_t entry, pvg_pfn_t pfn)
{
    struct pvg_p2m_info before = info_of(t->g);
    struct tried r;
    try(t->g, pfn, entry, &r);
    CHECK_SAME(t, r.rc, 0);
    CHECK_SAME(t, r.entry, entry);
    CHECK_SAME(t, r.mfn, entry & ~PVG_P2M_MARKS);
    CHECK_SAME(t, r.info.populated, before.populated);
    CHECK_SAME(t, r.info.max_pfn, before.max_pfn);
    CHECK_SAME(t, r.max_pfn, before.max_pfn);
    CHECK_SAME(t, r.undone, 0);
    CHECK_SAME(t, r.left, PVG_P2M_MISSING);
    CHECK_SAME(t, r.after.populated, before.populated);
}

static void foreign(struct tap *t)
{
    pvg_pfn_t pfn = missing_page(t->g, info_of(t->g).max_pfn + AWAY);
    mark_above(t, PVG_P2M_FOREIGN | 0x1234, pfn);
}

static void identity(struct tap *t)
{
    pvg_pfn_t pfn = missing_page(t->g, info_of(t->g).max_pfn + AWAY);
    mark_above(t, PVG_P2M_IDENTITY | pfn.n, pfn);
}

/* A frame of our own under a second name, as long as nobody looks. */
static void grow_to(struct tap *t, pvg_pfn_t pfn, uint64_t pages)
{
    struct pvg_p2m_info before = info_of(t->g);
    uint64_t free = pvg_pages_free(t->g), list = published(t->g)->pfn_to_mfn_frame_list_list;
    struct tried r, again;
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    uint64_t mfn = pvg_p2m_mfn(t->g, page).n;
    try(t->g, pfn, mfn, &r);
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    uint64_t cost = free - pvg_pages_free(t->g);
    try(t->g, pfn, mfn, &again);
    CHECK_SAME(t, r.rc, 0);
    CHECK_SAME(t, r.entry, mfn);
    CHECK_SAME(t, r.info.populated, before.populated + 1);
    CHECK_SAME(t, r.info.max_pfn, pfn.n + 1);
    CHECK_SAME(t, r.max_pfn, pfn.n + 1);
    CHECK_SAME(t, r.list, pfn.n < PVG_MFN_LIST_PFNS ? list : ~0ull);
    CHECK_SAME(t, r.undone, 0);
    CHECK_SAME(t, r.left, PVG_P2M_MISSING);
    CHECK_SAME(t, r.after.populated, before.populated);
    CHECK_SAME(t, r.after.max_pfn, before.max_pfn);
    CHECK_SAME(t, published(t->g)->max_pfn, before.max_pfn);
    CHECK_SAME(t, published(t->g)->pfn_to_mfn_frame_list_list, list);
    CHECK_SAY(t, cost <= pages, "it costs %lu pages, not %lu at most", cost, pages);
    CHECK_SAME(t, again.rc, 0);
    CHECK_SAME(t, free - pvg_pages_free(t->g), cost); /* the second time is for nothing */
}

static void growth(struct tap *t)
{
    grow_to(t, missing_page(t->g, info_of(t->g).max_pfn + AWAY), 4);
}

/* Beyond what mfn_list_list can speak of. */
static void growth_far(struct tap *t)
{
    grow_to(t, missing_page(t->g, FAR + 77), 3);
}

/* The words of the list itself: no mapping that is gone may be seen any more. */
static void words_follow(struct tap *t)
{
    const volatile uint64_t *word = (const volatile uint64_t *)PVG_P2M_BASE + FOLLOW;
    uint64_t entry = PVG_P2M_FOREIGN | 0x4321;
    if (!is_linear(t->g)) {
        tap_skip(t, "the layout is the tree");
        return;
    }
    uint64_t before = *word;
    CHECK_OK(t, pvg_p2m_set(t->g, pvg_pfn(FOLLOW), entry));
    uint64_t set = *word;
    CHECK_OK(t, pvg_p2m_set_identity(t->g, (struct pvg_range){FOLLOW, FOLLOW + WORDS}));
    uint64_t after = *word;
    CHECK_SAME(t, before, ~0ull);
    CHECK_SAME(t, set, entry);
    CHECK_SAME(t, after, ~0ull);
    CHECK_SAME(t, pvg_p2m_entry(t->g, pvg_pfn(FOLLOW)), PVG_P2M_IDENTITY | FOLLOW);
}

/* ---- refused */

static void bad_entries(struct tap *t)
{
    pvg_pfn_t pfn = missing_page(t->g, info_of(t->g).max_pfn + AWAY);
    const uint64_t entry[] = {
        PVG_P2M_IDENTITY | (pfn.n + 1),
        PVG_P2M_IDENTITY | PVG_P2M_FOREIGN | pfn.n,
        1ull << 40,
        1ull << 61 | 5,
        PVG_P2M_FOREIGN | 1ull << 50,
    };
    struct pvg_p2m_info before = info_of(t->g), after;
    for (unsigned i = 0; i < sizeof(entry) / sizeof(entry[0]); i++) {
        int rc = pvg_p2m_set(t->g, pfn, entry[i]);
        CHECK_SAY(t, rc == -XEN_EINVAL, "%lx for page %lx: %d", entry[i], pfn.n, rc);
        CHECK_SAY(t, glob_fits("p2m of page * is no entry of it", pvg_reason(t->g)),
                  "the reason is \"%s\"", pvg_reason(t->g));
    }
    after = info_of(t->g);
    CHECK_SAME(t, pvg_p2m_entry(t->g, pfn), PVG_P2M_MISSING);
    CHECK_SAME(t, after.leaves, before.leaves);
    CHECK_SAME(t, after.tables, before.tables);
}

static void bad_ranges(struct tap *t)
{
    struct pvg_p2m_info before = info_of(t->g);
    CHECK_SAME(t, pvg_p2m_set_identity(t->g, (struct pvg_range){9, 8}), -XEN_EINVAL);
    CHECK_SAME(t, pvg_p2m_set_identity(t->g, (struct pvg_range){FAR, PVG_P2M_PFNS + 1}),
               -XEN_EINVAL);
    CHECK_OK(t, pvg_p2m_set_identity(t->g, (struct pvg_range){FAR + 5, FAR + 5}));
    CHECK_SAME(t, pvg_p2m_entry(t->g, pvg_pfn(FAR + 5)), PVG_P2M_MISSING);
    CHECK_SAME(t, info_of(t->g).tables, before.tables);
}

/* ---- what it costs */

/* Billions of pages: a leaf and the nodes above it on either edge. */
static void identity_range(struct tap *t)
{
    struct pvg_range r = {IDENTITY_FROM, IDENTITY_TO};
    uint64_t free = pvg_pages_free(t->g);
    CHECK_OK(t, pvg_p2m_set_identity(t->g, r));
    for_samples(pfn, r, step_for(r.to - r.from, 2000))
        CHECK_SAME(t, pvg_p2m_entry(t->g, pvg_pfn(pfn)), PVG_P2M_IDENTITY | pfn);
    CHECK_SAME(t, pvg_p2m_entry(t->g, pvg_pfn(r.from - 1)), PVG_P2M_MISSING);
    CHECK_SAME(t, pvg_p2m_entry(t->g, pvg_pfn(r.to)), PVG_P2M_MISSING);
    uint64_t cost = free - pvg_pages_free(t->g);
    CHECK_SAY(t, cost <= 6, "%lu pages", cost);
    CHECK_OK(t, pvg_p2m_set_identity(t->g, r));
    CHECK_SAME(t, free - pvg_pages_free(t->g), cost);
}

static void sparse(struct tap *t)
{
    uint64_t free = pvg_pages_free(t->g), refused = 0, wrong = 0;
    for (unsigned i = 0; i < SPARSE; i++)
        refused += pvg_p2m_set(t->g, pvg_pfn(SPARSE_FROM + i * SPARSE_STEP),
                               PVG_P2M_FOREIGN | (i + 1)) != 0;
    uint64_t cost = free - pvg_pages_free(t->g);
    for (unsigned i = 0; i < SPARSE; i++) {
        pvg_pfn_t pfn = {SPARSE_FROM + i * SPARSE_STEP};
        wrong += pvg_p2m_mfn(t->g, pfn).n != i + 1;
        wrong += pvg_p2m_entry(t->g, pvg_pfn(pfn.n + 1)) != PVG_P2M_MISSING;
        refused += pvg_p2m_set(t->g, pfn, PVG_P2M_MISSING) != 0;
        wrong += pvg_p2m_entry(t->g, pfn) != PVG_P2M_MISSING;
    }
    CHECK_SAME(t, refused, 0);
    CHECK_SAME(t, wrong, 0);
    CHECK_SAY(t, cost <= 2 * SPARSE + 2, "%lu pages for %u entries", cost, SPARSE);
}

static const struct test tests[] = {
    {"equals_walk", equals_walk},
    {"fast_look_up", fast_look_up},
    {"counts", counts},
    {"beyond_everything", beyond_everything},
    {"foreign", foreign},
    {"identity", identity},
    {"growth", growth},
    {"growth_far", growth_far},
    {"words_follow", words_follow},
    {"bad_entries", bad_entries},
    {"bad_ranges", bad_ranges},
    {"identity_range", identity_range},
    {"sparse", sparse},
};

const struct theme p2m_theme = THEME("p2m", tests);
