/* SPDX-License-Identifier: MIT */
/*
 * The balloon, and frames that are contiguous in the machine. After each step the p2m is what tools
 * find from outside, and what was in other pages is still there.
 */
#include "look.h"
#include "themes.h"

#include <xen/memory.h>

#define KEPT        48u /* pages whose content is watched */
#define MARK        0x5bd1e9955bd1e995ull
#define ORDER       4u
#define ORDER_PAGES (1u << ORDER)
#define LOW_BITS    32u

/* ---- pages that stay */

struct watched {
    pvg_pfn_t page[KEPT];
    unsigned count;
};

static uint64_t word_of(uint64_t page, unsigned i)
{
    return (page * WORDS + i) * MARK;
}

static void fill(struct pvguest *g, pvg_pfn_t page)
{
    volatile uint64_t *word = pvg_page(g, page);
    for (unsigned i = 0; i < WORDS; i++)
        word[i] = word_of(page.n, i);
}

static bool is_filled(struct pvguest *g, pvg_pfn_t page)
{
    const volatile uint64_t *word = pvg_page(g, page);
    unsigned i = 0;
    while (word && i < WORDS && word[i] == word_of(page.n, i))
        i++;
    return i == WORDS;
}

/* With gaps between them, into which the balloon goes. */
static void watch(struct tap *t, struct watched *w)
{
    pvg_pfn_t gap[KEPT];
    for (w->count = 0; w->count < KEPT; w->count++) {
        CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &w->page[w->count]));
        CHECK_OK(t, pvg_pages_take(t->g, 1 + w->count % 3, 1, &gap[w->count]));
        fill(t->g, w->page[w->count]);
    }
    for (unsigned i = 0; i < KEPT; i++)
        CHECK_OK(t, pvg_pages_give(t->g, gap[i], 1 + i % 3));
}

static void check_watched(struct tap *t, const struct watched *w)
{
    for (unsigned i = 0; i < w->count; i++)
        CHECK_SAY(t, is_filled(t->g, w->page[i]), "page %lx has other content", w->page[i].n);
}

static void unwatch(struct tap *t, struct watched *w)
{
    while (w->count > 0) {
        pvg_pfn_t page = w->page[--w->count];
        if (pvg_pages_give(t->g, page, 1))
            tap_fail(t, __FILE_NAME__, __LINE__, "page %lx stays: %s", page.n, pvg_reason(t->g));
    }
}

/* ---- steps */

static void check_all(struct tap *t, const struct watched *w, uint64_t pages)
{
    struct pvg_memory_info info;
    pvg_memory_info(t->g, &info);
    CHECK_SAME(t, reservation(t->g, XENMEM_current_reservation), pages);
    CHECK_SAME(t, info.pages, pvg_regions_pages(&pvg_memblock_of(t->g)->memory));
    check_watched(t, w);
    if (!t->failed)
        check_published(t);
}

/* Free pages are there, and hold what is stored. */
static void check_free(struct tap *t)
{
    const struct pvg_regions *free = free_regions(t->g);
    for (unsigned i = 0; i < free->count; i++)
        for_samples(page, free->at[i], step_for(free->at[i].to - free->at[i].from, 40))
        {
            volatile uint64_t *word = pvg_page(t->g, pvg_pfn(page));
            CHECK_SAY(t, word, "page %lx is free, and not mapped", page);
            *word = page ^ MARK;
            CHECK_SAME(t, *word, page ^ MARK);
            CHECK_SAME(t, page_of_frame(t->g, pvg_p2m_mfn(t->g, pvg_pfn(page))).n, page);
        }
}

static void down_and_up(struct tap *t, const struct watched *w, uint64_t pages)
{
    int64_t now = reservation(t->g, XENMEM_current_reservation);
    uint64_t free = pvg_pages_free(t->g), done = 0;
    CHECK_OK(t, pvg_balloon_down(t->g, pages, &done));
    CHECK_SAME(t, done, pages);
    CHECK(t, pvg_pages_free(t->g) >= free - pages);
    check_all(t, w, now - pages);
    if (t->failed)
        return;
    CHECK_OK(t, pvg_balloon_up(t->g, pages, &done));
    CHECK_SAME(t, done, pages);
    CHECK(t, pvg_pages_free(t->g) + 8 >= free);
    check_all(t, w, now);
    if (!t->failed)
        check_free(t);
}

static void sizes(struct tap *t)
{
    struct watched w;
    watch(t, &w);
    uint64_t half = pvg_pages_free(t->g) / 2;
    const uint64_t pages[] = {1, 700, half < 6000 ? half : 6000};
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]) && !t->failed; i++)
        down_and_up(t, &w, pages[i]);
    unwatch(t, &w);
}

/* To a target, as it comes from memory/target. */
static void target(struct tap *t)
{
    struct watched w = {.count = 0};
    uint64_t before = reservation(t->g, XENMEM_current_reservation), now = 0;
    CHECK_OK(t, pvg_balloon_to(t->g, before - 321, &now));
    CHECK_SAME(t, now, before - 321);
    check_all(t, &w, now);
    if (t->failed)
        return;
    CHECK_OK(t, pvg_balloon_to(t->g, before, &now));
    CHECK_SAME(t, now, before);
    CHECK_OK(t, pvg_balloon_to(t->g, before, &now));
    check_all(t, &w, before);
}

/* ---- no more than there may be: of the initial domain, whose maximum may be any, no more than
 * there is RAM in its map. What came all the same goes again. */

/* With a limit it is pages that are used up before frames are. */
static int beyond(struct pvguest *g, uint64_t room, uint64_t extra)
{
    struct pvg_options o;
    pvg_options_default(&o);
    bool limited = pvg_options_parse(g, &o) == 0 && o.memory_limit;
    return limited && !pvg_is_initial_domain(g) && extra < room ? -XEN_ENOSPC : -XEN_ENOMEM;
}

static void maximum(struct tap *t)
{
    struct watched w = {.count = 0};
    struct pvg_memory_info info;
    uint64_t now, most, done = 0, ask;
    CHECK_OK(t, pvg_reservation(t->g, &now, &most));
    CHECK_SAME(t, now, reservation(t->g, XENMEM_current_reservation));
    CHECK_SAME(t, most, reservation(t->g, XENMEM_maximum_reservation));
    pvg_memory_info(t->g, &info);
    ask = most > now ? most - now + 1 : 1;
    if (pvg_is_initial_domain(t->g) && ask > info.extra + 1)
        ask = info.extra + 1;
    int want = beyond(t->g, ask - 1, info.extra);
    CHECK_SAME(t, pvg_balloon_up(t->g, ask, &done), want);
    CHECK(t, done < ask && now + done <= most);
    say(t->g, "# balloon: %lu of %lu pages more, at most %lu; %s\n", done, ask, most,
        pvg_reason(t->g));
    check_all(t, &w, now + done);
    if (t->failed)
        return;
    CHECK_OK(t, pvg_balloon_to(t->g, now, &most));
    CHECK_SAME(t, most, now);
    check_all(t, &w, now);
}

/* More than is free does not go, and what is kept is still there. */
static void everything(struct tap *t)
{
    struct watched w;
    uint64_t before = reservation(t->g, XENMEM_current_reservation), done = 0, now;
    uint64_t more = before < (1u << 17) ? before : 0; /* else it takes long */
    if (more == 0) {
        tap_skip(t, "%lu pages take too long", before);
        return;
    }
    watch(t, &w);
    if (!t->failed) {
        CHECK_SAME(t, pvg_balloon_down(t->g, more, &done), -XEN_ENOMEM);
        CHECK_SAME(t, pvg_pages_free(t->g), PVG_BALLOON_KEPT);
        check_all(t, &w, before - done);
    }
    if (!t->failed) {
        CHECK_OK(t, pvg_balloon_to(t->g, before, &now));
        check_all(t, &w, before);
    }
    unwatch(t, &w);
}

/* ---- contiguous frames */

static void check_run(struct tap *t, pvg_pfn_t first, unsigned order, pvg_mfn_t frame)
{
    CHECK_SAME(t, frame.n % (1ull << order), 0);
    for (uint64_t i = 0; i < 1ull << order; i++) {
        CHECK_SAME(t, pvg_p2m_mfn(t->g, pvg_pfn(first.n + i)).n, frame.n + i);
        CHECK_SAME(t, m2p_own(pvg_mfn(frame.n + i)), first.n + i);
        fill(t->g, pvg_pfn(first.n + i));
        CHECK(t, is_filled(t->g, pvg_pfn(first.n + i)));
    }
}

static void check_kept(struct tap *t, pvg_pfn_t first, unsigned order)
{
    for (uint64_t i = 0; i < 1ull << order; i++)
        CHECK(t, is_filled(t->g, pvg_pfn(first.n + i)));
}

/* There may be none: then all is as it was. */
static void make_run(struct tap *t, pvg_pfn_t first, unsigned order, unsigned bits)
{
    pvg_mfn_t frame = PVG_NO_MFN;
    for (uint64_t i = 0; i < 1ull << order; i++)
        fill(t->g, pvg_pfn(first.n + i));
    int rc = pvg_make_contiguous(t->g, first, order, bits, &frame);
    say(t->g, "# balloon: order %u, %u bits: %s\n", order, bits, rc ? pvg_reason(t->g) : "done");
    if (rc) {
        CHECK_SAME(t, rc, -XEN_ENOMEM);
        check_kept(t, first, order);
        return;
    }
    check_run(t, first, order, frame);
    if (t->failed)
        return;
    CHECK(t, bits == 0 || frame.n + (1ull << order) <= 1ull << (bits - PVG_PAGE_SHIFT));
    CHECK_OK(t, pvg_make_scattered(t->g, first, order));
    for (uint64_t i = 0; i < 1ull << order; i++) {
        uint64_t mfn = pvg_p2m_mfn(t->g, pvg_pfn(first.n + i)).n;
        CHECK(t, mfn < frame.n || mfn >= frame.n + (1ull << order));
        CHECK_SAME(t, m2p_own(pvg_mfn(mfn)), first.n + i);
        fill(t->g, pvg_pfn(first.n + i));
    }
    check_kept(t, first, order);
}

static void contiguous(struct tap *t)
{
    static const struct {
        unsigned order, bits;
    } want[] = {{0, 0}, {ORDER, 0}, {ORDER, LOW_BITS}, {PVG_CONTIGUOUS_ORDER_MAX, 0}, {1, 13}};
    struct watched w = {.count = 0};
    int64_t now = reservation(t->g, XENMEM_current_reservation);
    for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]) && !t->failed; i++) {
        uint64_t pages = 1ull << want[i].order;
        pvg_pfn_t first;
        CHECK_OK(t, pvg_pages_take(t->g, pages, pages, &first));
        make_run(t, first, want[i].order, want[i].bits);
        if (pvg_pages_give(t->g, first, pages))
            tap_fail(t, __FILE_NAME__, __LINE__, "%s", pvg_reason(t->g));
    }
    if (!t->failed)
        check_all(t, &w, now);
}

static void refused(struct tap *t)
{
    pvg_mfn_t frame;
    pvg_pfn_t first;
    CHECK_OK(t, pvg_pages_take(t->g, 2, 2, &first));
    fill(t->g, first);
    CHECK_SAME(t, pvg_make_contiguous(t->g, first, 10, 0, &frame), -XEN_EINVAL);
    CHECK_SAME(t, pvg_make_contiguous(t->g, pvg_pfn(first.n + 1), 1, 0, &frame), -XEN_EINVAL);
    CHECK_SAME(t, pvg_make_contiguous(t->g, pvg_pfn(0x100), 0, 0, &frame), -XEN_EINVAL);
    CHECK_OK(t, pvg_map(t->g, 0x180000000000ull, first, 1, PVG_PTE_DATA));
    CHECK_SAME(t, pvg_make_contiguous(t->g, first, 0, 0, &frame), -XEN_EINVAL);
    CHECK(t, is_filled(t->g, first));
    CHECK_OK(t, pvg_unmap(t->g, 0x180000000000ull, 1));
    CHECK_OK(t, pvg_pages_give(t->g, first, 2));
    CHECK_SAME(t, pvg_make_contiguous(t->g, first, 1, 0, &frame), -XEN_EINVAL);
}

static const struct test tests[] = {
    {"sizes", sizes},           {"target", target},         {"maximum", maximum},
    {"everything", everything}, {"contiguous", contiguous}, {"refused", refused},
};

const struct theme balloon_theme = THEME("balloon", tests);
