/* SPDX-License-Identifier: MIT */
/* Memory as the boot arranged it: map, lists, frames, holes; and pages taken and given. */
#include "look.h"
#include "themes.h"

#include <xen/memory.h>

#define ALL_UP_TO   (1ull << 18) /* pages of a machine that are all looked at: 1G */
#define SOME        509u         /* of a larger one */
#define HOLE_PAGES  4000u        /* of each hole */
#define HOLE_WALKS  64u
#define COUNT_UP_TO (1ull << 19)
#define SINGLES     2000u
#define CHUNK       (1ull << 20)

/* ---- lists */

static void map_ordered(struct tap *t)
{
    const struct pvg_e820 *map = pvg_memory_map(t->g);
    uint64_t end = 0;
    CHECK(t, map->count > 0);
    for (unsigned i = 0; i < map->count; i++) {
        uint64_t from = map->at[i].address, bytes = map->at[i].bytes;
        CHECK_SAY(t, bytes > 0, "entry %u, from %lx, is empty", i, from);
        CHECK_SAY(t, from >= end, "entry %u, from %lx, begins below %lx", i, from, end);
        CHECK_SAY(t, i == 0 || from > end || map->at[i].type != map->at[i - 1].type,
                  "entries %u and %u meet at %lx and are of type %u both", i - 1, i, from,
                  map->at[i].type);
        CHECK_SAY(t, bytes - 1 <= ~0ull - from, "entry %u, %lx from %lx, wraps", i, bytes, from);
        end = from + bytes;
        CHECK_SAY(t, end || i + 1 == map->count, "entry %u, from %lx, is not the last", i, from);
    }
}

static void list_in_order(struct tap *t, const char *name, const struct pvg_regions *list)
{
    CHECK_SAY(t, list->count > 0 && list->count <= PVG_REGIONS_MAX, "%s: %u ranges", name,
              list->count);
    for (unsigned i = 0; i < list->count; i++) {
        struct pvg_range r = list->at[i];
        CHECK_SAY(t, r.from < r.to, "%s: range %u, %lx to %lx", name, i, r.from, r.to);
        CHECK_SAY(t, i == 0 || r.from > list->at[i - 1].to,
                  "%s: range %u begins at %lx, the one before ends at %lx", name, i, r.from,
                  list->at[i - 1].to);
    }
}

static void lists_ordered(struct tap *t)
{
    const struct pvg_memblock *m = pvg_memblock_of(t->g);
    list_in_order(t, "memory", &m->memory);
    if (!t->failed)
        list_in_order(t, "reserved", &m->reserved);
}

/* All that is used as RAM is RAM of the map, and below the limit of the command line. */
static void memory_is_ram(struct tap *t)
{
    const struct pvg_regions *memory = &pvg_memblock_of(t->g)->memory, *ram = ram_of_map(t->g);
    struct pvg_options options;
    CHECK_OK(t, pvg_options_parse(t->g, &options));
    for (unsigned i = 0; i < memory->count; i++) {
        struct pvg_range r = memory->at[i];
        unsigned k = pvg_regions_search(ram, r.from);
        CHECK_SAY(t, k < ram->count && ram->at[k].from <= r.from && r.to <= ram->at[k].to,
                  "pages %lx to %lx are not RAM", r.from, r.to);
        CHECK_SAY(t, !options.memory_limit || r.to <= options.memory_limit,
                  "pages %lx to %lx: the limit is %lx", r.from, r.to, options.memory_limit);
    }
}

/* ---- frames */

/* That m2p agrees with each page says too that no frame is there twice. */
static void range_frames(struct tap *t, struct pvg_range r, uint64_t frames)
{
    for (uint64_t pfn = r.from; pfn < r.to; pfn++) {
        uint64_t entry = pvg_p2m_entry(t->g, pvg_pfn(pfn));
        CHECK_SAY(t, is_populated(entry) && entry < frames, "page %lx: its entry is %lx", pfn,
                  entry);
        uint64_t back = m2p_own(pvg_mfn(entry));
        CHECK_SAY(t, back == pfn, "page %lx is frame %lx, and that is page %lx", pfn, entry, back);
    }
}

static void frames(struct tap *t)
{
    const struct pvg_regions *memory = &pvg_memblock_of(t->g)->memory;
    int64_t last = pvg_hypercall(t->g, __HYPERVISOR_memory_op, XENMEM_maximum_ram_page, 0, 0, 0, 0);
    CHECK_SAY(t, last > 0, "the last page of RAM is %ld", last);
    for (unsigned i = 0; i < memory->count && !t->failed; i++)
        range_frames(t, memory->at[i], (uint64_t)last + 1);
}

static uint64_t mark_of(uint64_t pfn, unsigned word)
{
    return (pfn * WORDS + word) * 0x9e3779b97f4a7c15ull;
}

static void mark_range(struct pvguest *g, struct pvg_range r, uint64_t step)
{
    for_samples(pfn, r, step)
    {
        volatile uint64_t *word = pvg_page(g, pvg_pfn(pfn));
        if (!word)
            continue;
        word[0] = mark_of(pfn, 0);
        word[WORDS - 1] = mark_of(pfn, WORDS - 1);
    }
}

static void marks_in_range(struct tap *t, struct pvg_range r, uint64_t step)
{
    for_samples(pfn, r, step)
    {
        const volatile uint64_t *word = pvg_page(t->g, pvg_pfn(pfn));
        CHECK_SAY(t, word, "page %lx is not in the direct map", pfn);
        CHECK_SAY(t, word[0] == mark_of(pfn, 0) && word[WORDS - 1] == mark_of(pfn, WORDS - 1),
                  "page %lx does not hold what was written", pfn);
    }
}

/* All are written before the first is read. */
static void free_pages_hold(struct tap *t)
{
    const struct pvg_regions *list = free_regions(t->g);
    uint64_t step = pvg_pages_free(t->g) <= ALL_UP_TO ? 1 : SOME;
    CHECK_SAME(t, pvg_regions_pages(list), pvg_pages_free(t->g));
    for (unsigned i = 0; i < list->count; i++)
        mark_range(t->g, list->at[i], step);
    for (unsigned i = 0; i < list->count && !t->failed; i++)
        marks_in_range(t, list->at[i], step);
}

/* ---- holes */

static uint64_t map_end(struct pvguest *g)
{
    const struct pvg_e820 *map = pvg_memory_map(g);
    const struct pvg_e820_entry *top = &map->at[map->count - 1];
    uint64_t end = ((top->address + (top->bytes - 1)) >> PVG_PAGE_SHIFT) + 1;
    uint64_t given = pvg_start_info(g)->nr_pages;
    return end > given ? end : given;
}

/* What is no RAM of the map. */
static const struct pvg_regions *holes_of_map(struct pvguest *g)
{
    static struct pvg_regions list;
    const struct pvg_regions *ram = ram_of_map(g);
    uint64_t end = map_end(g);
    list.count = 0;
    pvg_regions_add(&list, 0, end < PVG_P2M_PFNS ? end : PVG_P2M_PFNS);
    for (unsigned i = 0; i < ram->count; i++)
        pvg_regions_remove(&list, ram->at[i].from, ram->at[i].to);
    return &list;
}

static void hole_identity(struct tap *t, struct pvg_range r)
{
    for_samples(pfn, r, step_for(r.to - r.from, HOLE_PAGES))
    {
        CHECK_SAY(t, pvg_p2m_entry(t->g, pvg_pfn(pfn)) == (PVG_P2M_IDENTITY | pfn),
                  "page %lx of the hole %lx to %lx: its entry is %lx", pfn, r.from, r.to,
                  pvg_p2m_entry(t->g, pvg_pfn(pfn)));
        CHECK_SAY(t, pvg_page(t->g, pvg_pfn(pfn)) == NULL, "page %lx is in the direct map", pfn);
    }
    for_samples(pfn, r, step_for(r.to - r.from, HOLE_WALKS))
    {
        uint64_t va = PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES;
        struct pvg_walk w;
        if (pfn >= PVG_DIRECT_PFNS)
            break;
        pvg_walk(t->g, va, &w);
        CHECK_SAY(t, !w.mapped, "page %lx is mapped at %lx", pfn, va);
    }
}

static void holes_identity(struct tap *t)
{
    const struct pvg_regions *holes = holes_of_map(t->g);
    for (unsigned i = 0; i < holes->count && !t->failed; i++)
        hole_identity(t, holes->at[i]);
}

/* ---- sums */

static uint64_t pages_below(const struct pvg_regions *list, uint64_t limit)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < list->count && list->at[i].from < limit; i++)
        n += (list->at[i].to < limit ? list->at[i].to : limit) - list->at[i].from;
    return n;
}

static uint64_t count_identity(struct pvguest *g, uint64_t limit)
{
    uint64_t n = 0;
    for (uint64_t pfn = 0; pfn < limit; pfn++)
        n += pvg_p2m_entry(g, pvg_pfn(pfn)) == (PVG_P2M_IDENTITY | pfn);
    return n;
}

static void info_adds_up(struct tap *t)
{
    const struct pvg_memblock *m = pvg_memblock_of(t->g);
    struct pvg_memory_info info;
    struct pvg_p2m_info p2m;
    pvg_memory_info(t->g, &info);
    pvg_p2m_info(t->g, &p2m);
    say(t->g,
        "# memory: nr_pages=%lu max_pages=%lu pages=%lu released=%lu remapped=%lu identity=%lu "
        "extra=%lu\n",
        info.nr_pages, info.max_pages, info.pages, info.released, info.remapped, info.identity,
        info.extra);
    CHECK_SAME(t, info.nr_pages, pvg_start_info(t->g)->nr_pages);
    CHECK_SAME(t, info.pages, pvg_regions_pages(&m->memory));
    CHECK_SAME(t, info.pages, info.nr_pages - info.released);
    CHECK_SAME(t, info.pages, p2m.populated);
    CHECK_SAME(t, info.remapped, info.pages - pages_below(&m->memory, info.nr_pages));
    CHECK_SAME(t, info.identity, pvg_regions_pages(holes_of_map(t->g)));
    uint64_t end = map_end(t->g), limit = end < COUNT_UP_TO ? end : COUNT_UP_TO;
    CHECK_SAME(t, count_identity(t->g, limit), pages_below(holes_of_map(t->g), limit));
}

static void reservations(struct tap *t)
{
    struct pvg_memory_info info;
    struct pvg_p2m_info p2m;
    pvg_memory_info(t->g, &info);
    pvg_p2m_info(t->g, &p2m);
    CHECK_SAME(t, reservation(t->g, XENMEM_current_reservation), p2m.populated);
    CHECK_SAME(t, reservation(t->g, XENMEM_maximum_reservation), info.max_pages);
    CHECK_SAY(t, info.max_pages >= p2m.populated, "at most %lu, and there are %lu", info.max_pages,
              p2m.populated);
}

/* ---- taking and giving */

/* What is taken is chained by its own first words: the next, and how many pages. */
static uint64_t take_chain(struct pvguest *g)
{
    uint64_t chain = PVG_NONE, count = CHUNK;
    pvg_pfn_t first;
    while (count > 0) {
        if (pvg_pages_take(g, count, 1, &first)) {
            count /= 2;
            continue;
        }
        volatile uint64_t *word = pvg_page(g, first);
        word[0] = chain;
        word[1] = count;
        chain = first.n;
    }
    return chain;
}

/* Returns how many pages it were; 0: one could not be given. */
static uint64_t give_chain(struct pvguest *g, uint64_t chain)
{
    uint64_t pages = 0;
    while (chain != PVG_NONE) {
        const volatile uint64_t *word = pvg_page(g, pvg_pfn(chain));
        uint64_t next = word[0], count = word[1];
        if (pvg_pages_give(g, pvg_pfn(chain), count))
            return 0;
        pages += count;
        chain = next;
    }
    return pages;
}

static void take_all(struct tap *t)
{
    const struct pvg_memblock *m = pvg_memblock_of(t->g);
    uint64_t before = pvg_pages_free(t->g), reserved = pvg_regions_pages(&m->reserved);
    pvg_pfn_t one = {7};
    uint64_t chain = take_chain(t->g), left = pvg_pages_free(t->g);
    int rc = pvg_pages_take(t->g, 1, 1, &one);
    uint64_t given = give_chain(t->g, chain);
    CHECK_SAME(t, left, 0);
    CHECK_SAME(t, rc, -XEN_ENOMEM);
    CHECK_SAME(t, one.n, 7);
    CHECK_SAME(t, given, before);
    CHECK_SAME(t, pvg_pages_free(t->g), before);
    CHECK_SAME(t, pvg_regions_pages(&m->reserved), reserved);
}

/* One by one: each is another page. */
static void take_singles(struct tap *t)
{
    static uint64_t taken[SINGLES];
    uint64_t before = pvg_pages_free(t->g), mixed = 0, refused = 0;
    unsigned n = 0;
    pvg_pfn_t page;
    while (n < SINGLES && pvg_pages_take(t->g, 1, 1, &page) == 0) {
        *(volatile uint64_t *)pvg_page(t->g, page) = page.n;
        taken[n++] = page.n;
    }
    uint64_t left = pvg_pages_free(t->g);
    for (unsigned i = 0; i < n; i++) {
        mixed += *(const volatile uint64_t *)pvg_page(t->g, pvg_pfn(taken[i])) != taken[i];
        refused += pvg_pages_give(t->g, pvg_pfn(taken[i]), 1) != 0;
    }
    CHECK_SAME(t, n, SINGLES);
    CHECK_SAME(t, left, before - n);
    CHECK_SAME(t, mixed, 0);
    CHECK_SAME(t, refused, 0);
    CHECK_SAME(t, pvg_pages_free(t->g), before);
}

static void aligned(struct tap *t)
{
    uint64_t before = pvg_pages_free(t->g);
    for (uint64_t align = 1; align <= WORDS; align *= 2) {
        pvg_pfn_t first;
        CHECK_OK(t, pvg_pages_take(t->g, 3, align, &first));
        bool memory = is_free(t->g, first.n) || is_free(t->g, first.n + 2);
        CHECK_OK(t, pvg_pages_give(t->g, first, 3));
        CHECK_SAY(t, first.n % align == 0, "page %lx for an alignment of %lx", first.n, align);
        CHECK_SAY(t, !memory, "page %lx is taken, and free", first.n);
        CHECK_SAY(t, is_free(t->g, first.n) && is_free(t->g, first.n + 2),
                  "page %lx is given, and not free", first.n);
    }
    CHECK_SAME(t, pvg_pages_free(t->g), before);
}

static void too_many(struct tap *t)
{
    uint64_t before = pvg_pages_free(t->g);
    pvg_pfn_t first = {7};
    CHECK_SAME(t, pvg_pages_take(t->g, before + 1, 1, &first), -XEN_ENOMEM);
    CHECK_SAY(t, glob_fits("*no * free pages in a row", pvg_reason(t->g)), "the reason is \"%s\"",
              pvg_reason(t->g));
    CHECK_SAME(t, pvg_pages_take(t->g, ~0ull, 1, &first), -XEN_ENOMEM);
    CHECK(t, pvg_pages_take(t->g, 0, 1, &first) != 0);
    CHECK_SAME(t, first.n, 7);
    CHECK_SAME(t, pvg_pages_free(t->g), before);
}

static void give_nonsense(struct tap *t)
{
    uint64_t before = pvg_pages_free(t->g);
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 2, 1, &page));
    CHECK_SAME(t, pvg_pages_give(t->g, page, 0), -XEN_EINVAL);
    CHECK_SAME(t, pvg_pages_give(t->g, pvg_pfn(~0ull), 2), -XEN_EINVAL);
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, pvg_pages_give(t->g, page, 1), -XEN_EINVAL);
    CHECK_SAME(t, pvg_pages_give(t->g, page, 2), -XEN_EINVAL);
    CHECK_SAME(t, pvg_pages_free(t->g), before - 1);
    CHECK_OK(t, pvg_pages_give(t->g, pvg_pfn(page.n + 1), 1));
    CHECK_SAME(t, pvg_pages_free(t->g), before);
}

static const struct test tests[] = {
    {"map_ordered", map_ordered},
    {"lists_ordered", lists_ordered},
    {"memory_is_ram", memory_is_ram},
    {"frames", frames},
    {"free_pages_hold", free_pages_hold},
    {"holes_identity", holes_identity},
    {"info_adds_up", info_adds_up},
    {"reservations", reservations},
    {"take_all", take_all},
    {"take_singles", take_singles},
    {"aligned", aligned},
    {"too_many", too_many},
    {"give_nonsense", give_nonsense},
};

const struct theme memory_theme = THEME("memory", tests);

/* What must still be so when all others have had their way. */
static const struct test tests_again[] = {
    {"lists_ordered", lists_ordered},
    {"frames", frames},
    {"reservations", reservations},
    {"take_all", take_all},
};

const struct theme memory_again_theme = THEME("memory-again", tests_again);
