/* SPDX-License-Identifier: MIT */
/* The benchmark's other root: an upper half that is the kernel's, and below it 512 full L1 tables.
 */
#include "bench.h"

#define L1_TABLES  WORDS
#define PIN_ROUNDS 5u
#define ROUNDS     51u
#define SWITCHES   64u

/* One page each, in this order. */
enum { PAGE_ROOT, PAGE_L3, PAGE_L2, PAGE_L1, PAGES = PAGE_L1 + L1_TABLES };

static pvg_pfn_t first;

static pvg_pfn_t page(unsigned i)
{
    return pvg_pfn(first.n + i);
}

static volatile uint64_t *words(struct bench *b, unsigned i)
{
    return pvg_page(b->g, page(i));
}

static uint64_t table_entry(struct bench *b, unsigned i)
{
    return pvg_pte(pvg_p2m_mfn(b->g, page(i)), PVG_PTE_TABLE);
}

/* The lower half has one entry, of each level but the last; the rest is the present root's. */
static void fill_upper(struct bench *b)
{
    const volatile uint64_t *own = frame_words(b->g, pvg_root(b->g));
    for (unsigned i = 0; i < WORDS; i++) {
        words(b, PAGE_ROOT)[i] = i < WORDS / 2 ? 0 : own[i];
        words(b, PAGE_L3)[i] = 0;
        words(b, PAGE_L2)[i] = table_entry(b, PAGE_L1 + i);
    }
    words(b, PAGE_ROOT)[0] = table_entry(b, PAGE_L3);
    words(b, PAGE_L3)[0] = table_entry(b, PAGE_L2);
}

static void fill_l1(struct bench *b)
{
    for (unsigned i = 0; i < L1_TABLES; i++)
        for (unsigned k = 0; k < WORDS; k++)
            words(b, PAGE_L1 + i)[k] = bench_entry(b, i * WORDS + k) | PVG_PTE_USER;
}

static int64_t begin(struct bench *b)
{
    int64_t rc = pvg_pages_take(b->g, PAGES, 1, &first);
    if (rc < 0)
        return rc;
    fill_upper(b);
    fill_l1(b);
    for (unsigned i = 0; i < PAGES && rc == 0; i++)
        rc = pvg_page_read_only(b->g, page(i));
    b->root = pvg_p2m_mfn(b->g, page(PAGE_ROOT));
    return rc;
}

static int64_t pin(struct bench *b)
{
    return bench_mmuext(b, MMUEXT_PIN_L4_TABLE, b->root);
}

static int64_t unpin(struct bench *b)
{
    return bench_mmuext(b, MMUEXT_UNPIN_TABLE, b->root);
}

static int64_t switches(struct bench *b)
{
    const pvg_mfn_t own = pvg_root(b->g);
    for (unsigned i = 0; i < SWITCHES / 2; i++) {
        int64_t rc = bench_mmuext(b, MMUEXT_NEW_BASEPTR, b->root);
        if (rc == 0)
            rc = bench_mmuext(b, MMUEXT_NEW_BASEPTR, own);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t end(struct bench *b)
{
    int64_t rc = 0;
    for (unsigned i = 0; i < PAGES && rc == 0; i++)
        rc = pvg_page_writable(b->g, page(i));
    return rc ? rc : pvg_pages_give(b->g, first, PAGES);
}

static const struct bench_row rows[] = {
    {"pin", L1_TABLES *WORDS, PIN_ROUNDS, pin, NULL, unpin},
    {"unpin", L1_TABLES *WORDS, PIN_ROUNDS, unpin, pin, NULL},
    {"root-switch", SWITCHES, ROUNDS, switches, pin, unpin},
};

const struct bench_part bench_roots = BENCH_PART(begin, end, rows);
