/* SPDX-License-Identifier: MIT */
#include "live.h"

#include "look.h"

#include <xen/memory.h>

#define RUNS     256u
#define SEED     0x9e3779b97f4a7c15ull
#define TEXT_MAX 160u

static struct pvg_range run[RUNS];
static unsigned runs;
static uint64_t pages;

/* Other in each word, so that words that have moved are noticed. */
static uint64_t pattern(uint64_t seed, unsigned word)
{
    return (seed + 1) * SEED + word;
}

void fill_page(volatile uint64_t *word, uint64_t seed)
{
    for (unsigned i = 0; i < WORDS; i++)
        word[i] = pattern(seed, i);
}

bool is_filled(const volatile uint64_t *word, uint64_t seed)
{
    uint64_t wrong = 0;
    for (unsigned i = 0; i < WORDS; i++)
        wrong |= word[i] ^ pattern(seed, i);
    return wrong == 0;
}

uint64_t hold_pages(struct pvguest *g)
{
    const uint64_t wanted = pvg_pages_free(g) / 2, each = wanted / RUNS + 1;
    pvg_pfn_t first;
    while (pages < wanted && runs < RUNS && pvg_pages_take(g, each, 1, &first) == 0) {
        run[runs++] = (struct pvg_range){first.n, first.n + each};
        pages += each;
        for (uint64_t i = 0; i < each; i++)
            fill_page(pvg_page(g, pvg_pfn(first.n + i)), first.n + i);
    }
    return pages;
}

/* Its content is by its number, and the hypervisor's and our tables agree about its frame. */
static bool is_whole(struct pvguest *g, uint64_t pfn)
{
    const volatile uint64_t *word = pvg_page(g, pvg_pfn(pfn));
    return word && is_filled(word, pfn) && page_of_frame(g, pvg_p2m_mfn(g, pvg_pfn(pfn))).n == pfn;
}

const char *held_pages(struct pvguest *g)
{
    static char text[TEXT_MAX];
    uint64_t bad = 0, first = PVG_NONE;
    for (unsigned r = 0; r < runs; r++)
        for (uint64_t pfn = run[r].from; pfn < run[r].to; pfn++)
            if (!is_whole(g, pfn) && bad++ == 0)
                first = pfn;
    if (bad == 0)
        return "ok";
    pvg_format(text, sizeof(text), "BAD:%lu-of-%lu-from-%lx", bad, pages, first);
    return text;
}

pvg_pfn_t held_page(uint64_t index)
{
    unsigned r = 0;
    for (; index >= run[r].to - run[r].from; r++)
        index -= run[r].to - run[r].from;
    return pvg_pfn(run[r].from + index);
}

const char *lists_of(struct pvguest *g)
{
    static char text[TEXT_MAX];
    struct pvg_p2m_info info;
    uint64_t covered, populated;
    uint64_t now = (uint64_t)reservation(g, XENMEM_current_reservation);
    pvg_p2m_info(g, &info);
    count_listed(g, &covered, &populated);
    if (covered == populated && populated == info.populated && populated == now)
        return "ok";
    pvg_format(text, sizeof(text), "BAD:listed-%lu,p2m-%lu,counted-%lu,hypervisor-%lu", covered,
               populated, info.populated, now);
    return text;
}
