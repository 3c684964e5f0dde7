/* SPDX-License-Identifier: MIT */
/* Address spaces beside the kernel's own: what each sees, what all see, and what is left of them.
 */
#include "look.h"
#include "themes.h"

#include <pvguest/link.h>

#define LOW     0x400000ull
#define FAR     0x7fc0001ff000ull /* the last page of an L1 table */
#define FLAGS   (PVG_PTE_DATA | PVG_PTE_USER)
#define PAGES   3u
#define MANY    1100u
#define SLOT(n) ((uint64_t)(n) << 39 | 0xffff000000000000ull)
#define NEW     SLOT(460) /* a slot of the kernel half that no other test has used */
#define NEWER   SLOT(461)
#define PF      14u
#define WRITE   2u /* of a page fault's error */

static struct pvg_space a, b;
static pvg_pfn_t page; /* the first of PAGES */
static uint64_t free_before;

static volatile uint64_t *word(struct pvguest *g, uint64_t i)
{
    return pvg_page(g, pvg_pfn(page.n + i));
}

static bool begin(struct tap *t)
{
    free_before = pvg_pages_free(t->g);
    if (pvg_pages_take(t->g, PAGES, 1, &page) || pvg_space_make(t->g, &a) ||
        pvg_space_make(t->g, &b))
        return tap_fail(t, __FILE_NAME__, __LINE__, "no spaces: %s", pvg_reason(t->g));
    for (unsigned i = 0; i < PAGES; i++)
        *word(t->g, i) = 0x1000 + i;
    return true;
}

/* All pages come back, but `kept`. */
static void end(struct tap *t, uint64_t kept)
{
    CHECK_OK(t, pvg_space_load(t->g, NULL));
    CHECK_OK(t, pvg_space_end(t->g, &a));
    CHECK_OK(t, pvg_space_end(t->g, &b));
    CHECK_OK(t, pvg_pages_give(t->g, page, PAGES));
    CHECK_SAME(t, free_before - pvg_pages_free(t->g), kept);
}

static void with_spaces(struct tap *t, void (*f)(struct tap *t), uint64_t kept)
{
    struct tap after = {.g = t->g};
    if (!begin(t))
        return;
    f(t);
    end(&after, kept);
    if (!t->failed && after.failed)
        *t = after;
}

/* ---- what each sees */

static void differ(struct tap *t)
{
    struct pvguest *g = t->g;
    CHECK_OK(t, pvg_space_map(g, &a, LOW, page, 1, FLAGS));
    CHECK_OK(t, pvg_space_map(g, &b, LOW, pvg_pfn(page.n + 1), 1, FLAGS));
    CHECK_OK(t, pvg_space_map(g, &b, FAR, page, 2, FLAGS));
    CHECK_SAME(t, a.tables, 3);
    CHECK_SAME(t, b.tables, 3 + 4);
    CHECK(t, !can_read(g, LOW));
    CHECK_OK(t, pvg_space_load(g, &a));
    CHECK(t, pvg_space_loaded(g) == &a);
    *(volatile uint64_t *)LOW = 0xa;
    bool more = can_read(g, FAR);
    CHECK_OK(t, pvg_space_load(g, &b));
    CHECK(t, !more);
    CHECK_SAME(t, *(volatile uint64_t *)LOW, 0x1001);
    CHECK_SAME(t, *(volatile uint64_t *)FAR, 0xa);
    *(volatile uint64_t *)LOW = 0xb;
    CHECK_OK(t, pvg_space_load(g, NULL));
    CHECK(t, pvg_space_loaded(g) == NULL);
    CHECK_SAME(t, *word(g, 0), 0xa);
    CHECK_SAME(t, *word(g, 1), 0xb);
    CHECK(t, !can_read(g, LOW));
}

static void test_differ(struct tap *t)
{
    with_spaces(t, differ, 0);
}

/* ---- what all see */

static void kernel_half(struct tap *t)
{
    struct pvguest *g = t->g;
    CHECK_OK(t, pvg_space_unpin(g, &b));
    CHECK_OK(t, pvg_map(g, NEW, page, 1, PVG_PTE_DATA));
    CHECK_OK(t, pvg_space_load(g, &a));
    uint64_t seen = peek(g, NEW, 0);
    CHECK_OK(t, pvg_map(g, NEWER, pvg_pfn(page.n + 1), 1, PVG_PTE_DATA));
    CHECK_OK(t, pvg_space_pin(g, &b));
    CHECK_OK(t, pvg_space_load(g, &b));
    uint64_t both[2] = {peek(g, NEW, 0), peek(g, NEWER, 0)};
    CHECK_OK(t, pvg_unmap(g, NEW, 1));
    CHECK_OK(t, pvg_space_load(g, NULL));
    bool gone = !can_read(g, NEW);
    uint64_t own = peek(g, NEWER, 0);
    CHECK_OK(t, pvg_unmap(g, NEWER, 1));
    CHECK(t, gone);
    CHECK_SAME(t, seen, 0x1000);
    CHECK_SAME(t, both[0], 0x1000);
    CHECK_SAME(t, both[1], 0x1001);
    CHECK_SAME(t, own, 0x1001);
}

/* Tables of the kernel half stay: three for each slot, the first time. */
static void test_kernel_half(struct tap *t)
{
    struct pvg_walk w;
    pvg_walk(t->g, NEW, &w);
    with_spaces(t, kernel_half, w.level == 4 ? 6 : 0);
}

static void user_root(struct tap *t)
{
    struct pvguest *g = t->g;
    CHECK_OK(t, pvg_space_map(g, &a, FAR, page, 2, FLAGS));
    const volatile uint64_t *root = pvg_page(g, a.root), *user = pvg_page(g, a.user_root);
    for (unsigned slot = 0; slot < WORDS; slot++) {
        if (slot >= 256 && slot < 272) /* the hypervisor's */
            continue;
        uint64_t of_kernel = slot < 256 ? root[slot] : pvg_own_l4[slot];
        CHECK_SAY(t, frame_of(root[slot]).n == frame_of(of_kernel).n, "slot %u: %lx, not %lx", slot,
                  root[slot], of_kernel);
        uint64_t wanted = slot < 256 ? frame_of(root[slot]).n : 0;
        CHECK_SAY(t, frame_of(user[slot]).n == wanted, "slot %u of the user root: %lx", slot,
                  user[slot]);
    }
    CHECK(t, user[FAR >> 39] & PVG_PTE_PRESENT);
}

static void test_user_root(struct tap *t)
{
    with_spaces(t, user_root, 0);
}

/* ---- changes of ranges */

static void do_store(void *va)
{
    *(volatile uint64_t *)va = 0x5707e;
}

/* What becomes of a store: 0, or the error of its page fault. */
static uint64_t store_at(struct pvguest *g, uint64_t va)
{
    struct pvg_trap trap;
    return pvg_guarded(g, do_store, (void *)va, &trap) ? 0 : trap.vector == PF ? trap.error : ~0ull;
}

static void protect(struct tap *t)
{
    struct pvguest *g = t->g;
    CHECK_OK(t, pvg_space_map(g, &a, LOW, page, PAGES, FLAGS));
    CHECK_OK(t, pvg_space_load(g, &a));
    uint64_t before = store_at(g, LOW + PVG_PAGE_BYTES);
    CHECK_OK(t, pvg_space_protect(g, &a, LOW, PAGES, FLAGS & ~PVG_PTE_RW));
    uint64_t faults = store_at(g, LOW + PVG_PAGE_BYTES);
    CHECK_OK(t, pvg_space_protect(g, &a, LOW + PVG_PAGE_BYTES, 1, FLAGS));
    uint64_t after = store_at(g, LOW + PVG_PAGE_BYTES), next = store_at(g, LOW);
    CHECK_OK(t, pvg_space_change(g, &a, LOW, pvg_pfn(page.n + 1), 2, FLAGS));
    uint64_t changed = *(volatile uint64_t *)(LOW + PVG_PAGE_BYTES);
    CHECK_OK(t, pvg_space_unmap(g, &a, LOW, PAGES));
    bool gone = !can_read(g, LOW);
    CHECK_SAME(t, before, 0);
    CHECK_SAY(t, faults != ~0ull && (faults & WRITE), "the store ends with %lx", faults);
    CHECK_SAME(t, after, 0);
    CHECK_SAY(t, next & WRITE, "the store ends with %lx", next);
    CHECK_SAME(t, changed, 0x1002);
    CHECK(t, gone);
    CHECK_SAME(t, a.tables, 0);
}

static void test_protect(struct tap *t)
{
    with_spaces(t, protect, 0);
}

/* Of an unpinned space nothing asks the hypervisor; the pin validates all of it. */
static void unpinned(struct tap *t)
{
    struct pvguest *g = t->g;
    CHECK_OK(t, pvg_space_map(g, &a, LOW, page, 1, FLAGS));
    CHECK_OK(t, pvg_space_unpin(g, &a));
    CHECK_SAME(t, pvg_space_load(g, &a), -XEN_EBUSY);
    CHECK_OK(t, pvg_space_map(g, &a, FAR, pvg_pfn(page.n + 1), 2, FLAGS));
    CHECK_OK(t, pvg_space_change(g, &a, LOW, pvg_pfn(page.n + 2), 1, FLAGS));
    CHECK_OK(t, pvg_space_map(g, &a, LOW + PVG_PAGE_BYTES, b.root, 1, FLAGS));
    int64_t refused = pvg_space_pin(g, &a);
    CHECK_OK(t, pvg_space_unmap(g, &a, LOW + PVG_PAGE_BYTES, 1));
    CHECK_OK(t, pvg_space_pin(g, &a));
    CHECK_OK(t, pvg_space_load(g, &a));
    CHECK_SAME(t, *(volatile uint64_t *)LOW, 0x1002);
    CHECK_SAME(t, *(volatile uint64_t *)FAR, 0x1001);
    CHECK_SAME(t, *(volatile uint64_t *)(FAR + PVG_PAGE_BYTES), 0x1002);
    CHECK_SAY(t, refused < 0, "a space that maps a root writable can be pinned: %ld", refused);
    CHECK_SAME(t, pvg_space_unpin(g, &a), -XEN_EBUSY);
    CHECK_SAME(t, pvg_space_end(g, &a), -XEN_EBUSY);
}

static void test_unpinned(struct tap *t)
{
    with_spaces(t, unpinned, 0);
}

/* More than one batch carries, the last entry of which is refused: none is changed. */
static void all_or_none(struct tap *t)
{
    struct pvguest *g = t->g;
    pvg_pfn_t many;
    CHECK_OK(t, pvg_pages_take(g, MANY, 1, &many));
    int64_t mapped = pvg_space_map(g, &a, LOW, many, MANY, FLAGS);
    uint64_t tables = a.tables;
    struct pvg_walk w;
    bool same = true;
    int64_t refused = pvg_space_change(g, &a, LOW + PVG_PAGE_BYTES, page, 2, FLAGS);
    refused =
        refused ? 0 : pvg_space_change(g, &a, LOW + (MANY - 2) * PVG_PAGE_BYTES, b.root, 1, FLAGS);
    int64_t made = pvg_space_protect(g, &a, LOW, MANY, FLAGS & ~PVG_PTE_RW);
    for (unsigned i = 0; i < MANY; i++) {
        pvg_space_walk(g, &a, LOW + i * PVG_PAGE_BYTES, &w);
        uint64_t pfn = i == 1 || i == 2 ? page.n + i - 1 : many.n + i;
        same = same && w.mapped && !(w.at[1].entry & PVG_PTE_RW) &&
               page_of_frame(g, frame_of(w.at[1].entry)).n == pfn;
    }
    int64_t gone = pvg_space_unmap(g, &a, LOW, MANY);
    CHECK_OK(t, pvg_pages_give(g, many, MANY));
    CHECK_OK(t, mapped);
    CHECK_SAME(t, tables, 2 + 3);
    CHECK_SAY(t, refused == -XEN_EBUSY || refused == -XEN_EINVAL, "%ld", refused);
    CHECK_OK(t, made);
    CHECK(t, same);
    CHECK_OK(t, gone);
    CHECK_SAME(t, a.tables, 0);
}

static void test_all_or_none(struct tap *t)
{
    with_spaces(t, all_or_none, 0);
}

/* ---- single tables */

static void attach(struct tap *t)
{
    struct pvguest *g = t->g;
    pvg_pfn_t l1, l2, out;
    CHECK_OK(t, pvg_space_map(g, &a, LOW, page, 1, FLAGS));
    CHECK_OK(t, pvg_table_alloc(g, &l1));
    CHECK_OK(t, pvg_table_alloc(g, &l2));
    ((volatile uint64_t *)pvg_page(g, l1))[3] = pvg_pte(pvg_p2m_mfn(g, pvg_pfn(page.n + 2)), FLAGS);
    uint64_t va = 2ull << 30; /* two levels that are not there yet */
    CHECK_OK(t, pvg_table_attach(g, &a, va, 2, l2));
    CHECK_OK(t, pvg_table_attach(g, &a, va, 1, l1));
    CHECK_SAME(t, pvg_table_free(g, l1), -XEN_EBUSY);
    CHECK_SAME(t, a.tables, 5);
    CHECK_OK(t, pvg_space_load(g, &a));
    uint64_t seen = peek(g, va + 3 * PVG_PAGE_BYTES, 0);
    bool writable = store_at(g, (uint64_t)pvg_page(g, l2)) == 0; /* of L1 they are emulated */
    CHECK_OK(t, pvg_table_detach(g, &a, va, 1, &out));
    bool gone = !can_read(g, va + 3 * PVG_PAGE_BYTES);
    CHECK_SAME(t, out.n, l1.n);
    CHECK_SAME(t, store_at(g, (uint64_t)pvg_page(g, l1)), 0);
    CHECK_OK(t, pvg_table_detach(g, &a, va, 2, &out));
    CHECK_SAME(t, store_at(g, (uint64_t)pvg_page(g, l2)), 0);
    CHECK_OK(t, pvg_table_free(g, l2));
    CHECK_OK(t, pvg_table_free(g, l1));
    CHECK_SAME(t, seen, 0x1002);
    CHECK(t, !writable);
    CHECK(t, gone);
}

static void test_attach(struct tap *t)
{
    with_spaces(t, attach, 0);
}

static const struct test tests[] = {
    {"differ", test_differ},   {"kernel_half", test_kernel_half}, {"user_root", test_user_root},
    {"protect", test_protect}, {"unpinned", test_unpinned},       {"all_or_none", test_all_or_none},
    {"attach", test_attach},
};

const struct theme space_theme = THEME("space", tests);
