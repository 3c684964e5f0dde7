/* SPDX-License-Identifier: MIT */
/*
 * The p2m as a tool outside sees it, that has frames to map and nothing else: shared_info's
 * pfn_to_mfn_frame_list_list, p2m_cr3, p2m_vaddr, p2m_generation (<xen/arch-x86/xen.h>).
 */
#include "look.h"
#include "themes.h"

#include <xen/memory.h>

static volatile arch_shared_info_t *published(struct pvguest *g)
{
    return &pvg_shared_info(g)->arch;
}

/* The leaf of a page, as far as the list leads there; NULL: it does not. */
static const volatile uint64_t *listed_leaf(struct pvguest *g, uint64_t pfn)
{
    uint64_t top = published(g)->pfn_to_mfn_frame_list_list;
    const volatile uint64_t *word = frame_words(g, pvg_mfn(top));
    if (!word || pfn >= PVG_MFN_LIST_PFNS)
        return NULL;
    word = frame_words(g, pvg_mfn(word[pfn / WORDS / WORDS]));
    return word ? frame_words(g, pvg_mfn(word[pfn / WORDS % WORDS])) : NULL;
}

static void leads_everywhere(struct tap *t)
{
    struct pvg_range all = {0, PVG_MFN_LIST_PFNS};
    CHECK_SAY(t, published(t->g)->pfn_to_mfn_frame_list_list + 1 > 1, "the list is at frame %lx",
              published(t->g)->pfn_to_mfn_frame_list_list);
    for_samples(pfn, all, step_for(all.to, 2000))
        CHECK_SAY(t, listed_leaf(t->g, pfn), "no leaf for page %lx", pfn);
}

struct cover {
    uint64_t populated, covered, first_lost;
};

static void cover_leaf(struct pvguest *g, uint64_t base, struct cover *c)
{
    const volatile uint64_t *leaf = listed_leaf(g, base);
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t entry = pvg_p2m_entry(g, pvg_pfn(base + i));
        if (!is_populated(entry))
            continue;
        c->populated++;
        if (leaf && leaf[i] == entry)
            c->covered++;
        else if (c->first_lost == PVG_NONE)
            c->first_lost = base + i;
    }
}

static struct cover cover_all(struct pvguest *g)
{
    struct cover c = {.first_lost = PVG_NONE};
    struct pvg_p2m_info info;
    pvg_p2m_info(g, &info);
    for (uint64_t base = 0; base < info.max_pfn; base += WORDS)
        cover_leaf(g, base, &c);
    return c;
}

void count_listed(struct pvguest *g, uint64_t *covered, uint64_t *populated)
{
    struct cover c = cover_all(g);
    *covered = c.covered;
    *populated = c.populated;
}

/* Those above nr_pages too, to where the boot moved what the builder had put into holes. */
static void covers_every_populated_frame(struct tap *t)
{
    struct cover c = cover_all(t->g);
    struct pvg_p2m_info info;
    pvg_p2m_info(t->g, &info);
    say(t->g, "# mfn_list_list covers %lu of %lu populated frames\n", c.covered, c.populated);
    CHECK_SAY(t, c.covered == c.populated, "%lu of %lu frames, page %lx is the first that is not",
              c.covered, c.populated, c.first_lost);
    CHECK_SAME(t, c.populated, info.populated);
    CHECK_SAME(t, c.covered, reservation(t->g, XENMEM_current_reservation));
}

/* What the list has is so. */
static void equals_p2m(struct tap *t)
{
    struct pvg_p2m_info info;
    pvg_p2m_info(t->g, &info);
    for (uint64_t base = 0; base < info.max_pfn; base += WORDS) {
        const volatile uint64_t *leaf = listed_leaf(t->g, base);
        CHECK_SAY(t, leaf, "no leaf for page %lx", base);
        for (unsigned i = 0; i < WORDS; i++) {
            uint64_t entry = pvg_p2m_entry(t->g, pvg_pfn(base + i));
            CHECK_SAY(t, leaf[i] == entry || leaf[i] == ~0ull,
                      "page %lx: the list has %lx, the entry is %lx", base + i, leaf[i], entry);
        }
    }
}

static void nothing_above(struct tap *t)
{
    struct pvg_range above = {published(t->g)->max_pfn, PVG_MFN_LIST_PFNS};
    for_samples(pfn, above, step_for(above.to - above.from, 3000))
    {
        const volatile uint64_t *leaf = listed_leaf(t->g, pfn);
        CHECK_SAY(t, leaf, "no leaf for page %lx", pfn);
        CHECK_SAY(t, !is_populated(leaf[pfn % WORDS]), "page %lx: the list has %lx", pfn,
                  leaf[pfn % WORDS]);
    }
}

/* The highest page and one. */
static void max_pfn_is_a_count(struct tap *t)
{
    uint64_t max = published(t->g)->max_pfn;
    struct pvg_p2m_info info;
    pvg_p2m_info(t->g, &info);
    CHECK_SAME(t, max, info.max_pfn);
    CHECK(t, is_populated(pvg_p2m_entry(t->g, pvg_pfn(max - 1))));
    CHECK(t, !is_populated(pvg_p2m_entry(t->g, pvg_pfn(max))));
}

static void generation_even(struct tap *t)
{
    CHECK_SAME(t, published(t->g)->p2m_generation % 2, 0);
}

void check_published(struct tap *t)
{
    void (*const check[])(struct tap *) = {equals_p2m, max_pfn_is_a_count, generation_even};
    for (unsigned i = 0; i < sizeof(check) / sizeof(check[0]) && !t->failed; i++)
        check[i](t);
    if (t->failed)
        return;
    struct cover c = cover_all(t->g);
    CHECK_SAY(t, c.covered == c.populated, "%lu of %lu frames, page %lx is the first that is not",
              c.covered, c.populated, c.first_lost);
    CHECK_SAME(t, c.covered, reservation(t->g, XENMEM_current_reservation));
}

/* p2m_cr3 is 0 where p2m_vaddr is not to be used. */
static void linear_list(struct tap *t)
{
    struct pvg_p2m_info info;
    struct pvg_walk w;
    pvg_p2m_info(t->g, &info);
    uint64_t cr3 = published(t->g)->p2m_cr3, va = published(t->g)->p2m_vaddr;
    if (!(pvg_start_info(t->g)->flags & SIF_VIRT_P2M_4TOOLS) || info.layout != PVG_P2M_LINEAR) {
        CHECK_SAME(t, cr3, 0);
        return;
    }
    CHECK_SAME(t, cr3, pvg_root(t->g).n << PVG_PAGE_SHIFT);
    CHECK_SAME(t, va, PVG_P2M_BASE);
    pvg_walk_from(t->g, pvg_mfn(cr3 >> PVG_PAGE_SHIFT), va + 0x100 * sizeof(uint64_t), &w);
    CHECK(t, w.mapped);
    const volatile uint64_t *leaf = frame_words(t->g, frame_of(w.at[1].entry));
    CHECK(t, leaf);
    CHECK_SAME(t, leaf[0x100], pvg_p2m_entry(t->g, pvg_pfn(0x100)));
}

/* No page of the list may be taken for something else. */
static void pages_are_in_use(struct tap *t)
{
    uint64_t top = published(t->g)->pfn_to_mfn_frame_list_list;
    pvg_pfn_t page = page_of_frame(t->g, pvg_mfn(top));
    CHECK_SAY(t, !is_free(t->g, page.n), "the top, page %lx, is free", page.n);
    const volatile uint64_t *word = frame_words(t->g, pvg_mfn(top));
    CHECK(t, word);
    for (unsigned i = 0; i < WORDS; i++) {
        page = page_of_frame(t->g, pvg_mfn(word[i]));
        CHECK_SAY(t, !is_free(t->g, page.n), "slot %u, page %lx, is free", i, page.n);
    }
}

static const struct test tests[] = {
    {"leads_everywhere", leads_everywhere},
    {"covers_every_populated_frame", covers_every_populated_frame},
    {"equals_p2m", equals_p2m},
    {"nothing_above", nothing_above},
    {"max_pfn_is_a_count", max_pfn_is_a_count},
    {"generation_even", generation_even},
    {"linear_list", linear_list},
    {"pages_are_in_use", pages_are_in_use},
};

const struct theme mfnlist_theme = THEME("mfnlist", tests);
