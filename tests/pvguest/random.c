/* SPDX-License-Identifier: MIT */
/*
 * Library calls at random in a booted guest, against a model: what was taken, mapped, set. Now and
 * then a hypercall, an element or a search for pages fails; then nothing may have changed. Every so
 * often the guest's view is compared with the core's in whole.
 *
 *     random-pvguest [--calls N] [--seed N] [--pages N] [--tree] [--initial]
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#include <xen/memory.h>

#define BLOCKS      64u
#define BLOCK_PAGES 16u
#define SLOTS       1024u /* of the window that pages are mapped in */
#define WINDOW      0xffffcd0000000000ull
#define AREAS       4u
#define AREA_PAGES  2048u
#define BALLOON     3000u
#define EXTENSIONS  24u
#define CHECK_EVERY 2000u

struct block {
    uint64_t first, count; /* 0: free */
};

struct remap {
    void *va; /* NULL: free */
    uint64_t address, bytes;
};

static struct {
    struct machine *m;
    struct pvguest *g;
    uint64_t random, seed, calls, pages;
    bool tree, initial;

    uint64_t call;
    const char *doing;
    bool injected;
    uint64_t failures, refusals;

    struct block block[BLOCKS];
    uint64_t slot[SLOTS]; /* the entry's frame and RW bit; 0: nothing is mapped */
    uint64_t area_base[AREAS], area[AREAS][AREA_PAGES];
    uint64_t ballooned;
    struct remap remap[4];
    uint64_t next_extension, extensions;
} r = {.seed = 1, .calls = 100000, .pages = 4096};

static uint64_t below(uint64_t n)
{
    uint64_t x = r.random += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % n;
}

static _Noreturn void wrong(const char *format, ...)
{
    va_list list;
    fprintf(stderr, "seed %" PRIu64 ", call %" PRIu64 ", %s%s: ", r.seed, r.call, r.doing,
            r.injected ? " with a failure" : "");
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, "; last reason: %s\n", r.g ? pvg_reason(r.g) : "");
    exit(1);
}

static void machine_is_wrong(const char *text)
{
    wrong("%s", text);
}

#define CHECK(is, ...)                                                                             \
    do {                                                                                           \
        if (!(is))                                                                                 \
            wrong(__VA_ARGS__);                                                                    \
    } while (0)

/* ---- failures */

static void inject(void)
{
    static const int errors[] = {-XEN_ENOMEM, -XEN_EINVAL, -XEN_EBUSY, -XEN_EPERM};
    int error = errors[below(4)];
    r.injected = below(8) == 0;
    if (!r.injected)
        return;
    switch (below(3)) {
    case 0:
        machine_fail_call(r.m, 1 + below(below(2) ? 2 : 9), error);
        break;
    case 1:
        machine_fail_element(r.m, 1 + below(20), error);
        break;
    default:
        guest_fail_search(1 + below(3));
    }
}

static void heal(void)
{
    machine_fail_call(r.m, 0, 0);
    machine_fail_element(r.m, 0, 0);
    guest_fail_search(0);
}

/* Whether the call did what was asked; if not, there must have been cause. */
static bool succeeded(int rc)
{
    heal();
    if (rc == 0)
        return true;
    CHECK(r.injected, "refused, %d", rc);
    CHECK(pvg_reason(r.g)[0], "no reason");
    r.failures++;
    return false;
}

/* It must not succeed. */
static void refused(int rc, int want)
{
    heal();
    CHECK(rc == want || (rc && r.injected), "%d instead of %d", rc, want);
    CHECK(pvg_reason(r.g)[0], "no reason");
    r.refusals++;
}

/* ---- pages */

static uint64_t direct(uint64_t pfn)
{
    return PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES;
}

static uint64_t frame_of(uint64_t pfn)
{
    return pvg_p2m_mfn(r.g, pvg_pfn(pfn)).n;
}

static uint64_t tag(uint64_t pfn)
{
    return pfn * 0x9e3779b97f4a7c15ull ^ r.seed;
}

static void write_tags(uint64_t pfn)
{
    uint64_t *page = machine_at(direct(pfn), true);
    page[0] = page[511] = tag(pfn);
}

static void check_tags(const uint64_t *page, uint64_t pfn)
{
    CHECK(page[0] == tag(pfn) && page[511] == tag(pfn), "page %" PRIx64 " has other content", pfn);
}

static struct block *some_block(bool taken)
{
    unsigned start = (unsigned)below(BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct block *b = &r.block[(start + i) % BLOCKS];
        if ((b->count > 0) == taken)
            return b;
    }
    return NULL;
}

static void do_take(void)
{
    struct block *b = some_block(false);
    uint64_t count = 1 + below(BLOCK_PAGES), align = 1ull << below(5), before;
    pvg_pfn_t first;
    if (!b)
        return;
    before = pvg_pages_free(r.g);
    int rc = pvg_pages_take(r.g, count, align, &first);
    if (!succeeded(rc)) {
        CHECK(pvg_pages_free(r.g) == before, "pages are missing");
        return;
    }
    CHECK(first.n % align == 0 && pvg_pages_free(r.g) == before - count, "at %" PRIx64, first.n);
    *b = (struct block){first.n, count};
    for (uint64_t p = first.n; p < first.n + count; p++)
        write_tags(p);
}

static bool is_mapped(const struct block *b)
{
    for (uint64_t p = b->first; p < b->first + b->count; p++) {
        uint64_t mfn = frame_of(p);
        for (unsigned s = 0; s < SLOTS; s++)
            if (r.slot[s] >> 12 == mfn)
                return true;
        for (unsigned i = 0; i < 4; i++)
            if (r.remap[i].va && mfn >= r.remap[i].address >> 12 &&
                mfn <= (r.remap[i].address + r.remap[i].bytes - 1) >> 12)
                return true;
    }
    return false;
}

static void do_give(void)
{
    struct block *b = some_block(true);
    if (!b || is_mapped(b))
        return;
    for (uint64_t p = b->first; p < b->first + b->count; p++)
        check_tags(machine_at(direct(p), false), p);
    if (!succeeded(pvg_pages_give(r.g, pvg_pfn(b->first), b->count)))
        return;
    b->count = 0;
}

static void do_give_twice(void)
{
    uint64_t pfn = below(r.pages);
    if (pvg_regions_holds(&pvg_memblock_of(r.g)->reserved, pfn))
        return;
    refused(pvg_pages_give(r.g, pvg_pfn(pfn), 1), -XEN_EINVAL);
}

static bool is_writable(uint64_t va)
{
    uint64_t e, at;
    return machine_walk(r.m, va, &e, &at) == 1 && (e & PVG_PTE_RW);
}

static void do_protect(void)
{
    struct block *b = some_block(true);
    if (!b)
        return;
    uint64_t pfn = b->first + below(b->count);
    bool done = succeeded(pvg_page_read_only(r.g, pvg_pfn(pfn)));
    CHECK(is_writable(direct(pfn)) != done, "page %" PRIx64 " is not as it should be", pfn);
    check_tags(machine_at(direct(pfn), false), pfn);
    if (!done)
        return;
    inject();
    done = succeeded(pvg_page_writable(r.g, pvg_pfn(pfn)));
    CHECK(is_writable(direct(pfn)) == done, "page %" PRIx64 " is not as it should be", pfn);
    if (!done)
        CHECK(pvg_page_writable(r.g, pvg_pfn(pfn)) == 0, "not even now");
    write_tags(pfn);
}

/* ---- the window */

static uint64_t slot_va(unsigned s)
{
    return WINDOW + (uint64_t)s * PVG_PAGE_BYTES;
}

static uint64_t slot_now(unsigned s)
{
    uint64_t e, at;
    if (machine_walk(r.m, slot_va(s), &e, &at) != 1 || !(e & PVG_PTE_PRESENT))
        return 0;
    return e & (PVG_PTE_FRAME | PVG_PTE_RW);
}

static void check_slots(unsigned first, unsigned count)
{
    for (unsigned s = first; s < first + count; s++)
        CHECK(slot_now(s) == r.slot[s], "slot %u is %" PRIx64 ", not %" PRIx64, s, slot_now(s),
              r.slot[s]);
}

static void touch_slot(unsigned s)
{
    if (!r.slot[s])
        return;
    uint64_t pfn = machine_m2p(r.m, r.slot[s] >> 12);
    uint64_t *page = machine_at(slot_va(s), r.slot[s] & PVG_PTE_RW);
    if (pvg_regions_holds(&pvg_memblock_of(r.g)->memory, pfn))
        check_tags(page, pfn);
}

static void do_map(void)
{
    struct block *b = some_block(true);
    if (!b)
        return;
    uint64_t at = below(b->count), flags = below(2) ? PVG_PTE_DATA : PVG_PTE_RO_DATA;
    unsigned count = 1 + (unsigned)below(b->count - at), s = (unsigned)below(SLOTS - count + 1);
    bool free = true;
    for (unsigned i = 0; i < count; i++)
        free = free && !r.slot[s + i];
    int rc = pvg_map(r.g, slot_va(s), pvg_pfn(b->first + at), count, flags);
    if (!free)
        refused(rc, -XEN_EEXIST);
    else if (succeeded(rc))
        for (unsigned i = 0; i < count; i++)
            r.slot[s + i] = frame_of(b->first + at + i) << 12 | (flags & PVG_PTE_RW);
    check_slots(s, count);
    touch_slot(s);
}

/* Where some of many calls failed, the model follows: each is done or not done. */
static void follow(unsigned s, uint64_t wanted)
{
    uint64_t now = slot_now(s);
    CHECK(now == r.slot[s] || now == wanted, "slot %u is %" PRIx64, s, now);
    r.slot[s] = now;
}

static void do_unmap(void)
{
    unsigned count = 1 + (unsigned)below(60), s = (unsigned)below(SLOTS - count + 1);
    bool done = succeeded(pvg_unmap(r.g, slot_va(s), count));
    for (unsigned i = 0; i < count; i++) {
        follow(s + i, 0);
        CHECK(!done || !r.slot[s + i], "slot %u is still mapped", s + i);
    }
}

static void do_touch(void)
{
    for (unsigned i = 0; i < 8; i++)
        touch_slot((unsigned)below(SLOTS));
}

/* ---- batches */

struct change {
    unsigned slot;
    uint64_t entry;
    bool bad, by_address;
};

static struct change some_change(void)
{
    struct block *b = some_block(true);
    struct change c = {.slot = (unsigned)below(SLOTS), .by_address = below(2)};
    if (b && below(3))
        c.entry = pvg_pte(pvg_mfn(frame_of(b->first + below(b->count))),
                          below(2) ? PVG_PTE_DATA : PVG_PTE_RO_DATA);
    return c;
}

static int make_change(const struct change *c)
{
    uint64_t e, at;
    if (!c->by_address)
        return pvg_set_va(r.g, slot_va(c->slot), c->entry);
    machine_walk(r.m, slot_va(c->slot), &e, &at);
    return pvg_set_entry(r.g, (pvg_maddr_t){at}, c->entry);
}

static uint64_t entry_key(uint64_t e)
{
    return e & PVG_PTE_PRESENT ? e & (PVG_PTE_FRAME | PVG_PTE_RW) : 0;
}

static void flush_all(void)
{
    struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_LOCAL};
    CHECK(pvg_hypercall(r.g, __HYPERVISOR_mmuext_op, (uint64_t)&op, 1, 0, DOMID_SELF, 0) == 0,
          "a flush is refused");
}

/* Each slot is as it was, or as one of the changes has it; without a refusal, as the last has it.
 */
static void check_batch(const struct change *c, unsigned count, bool done)
{
    for (unsigned i = count; i-- > 0;) {
        uint64_t now = slot_now(c[i].slot);
        bool known = now == r.slot[c[i].slot], last = true;
        for (unsigned k = 0; k < count; k++) {
            known = known || (c[k].slot == c[i].slot && !c[k].bad && entry_key(c[k].entry) == now);
            last = last && !(k > i && c[k].slot == c[i].slot);
        }
        CHECK(known, "slot %u is %" PRIx64, c[i].slot, now);
        CHECK(!done || !last || now == entry_key(c[i].entry), "slot %u is not as the last said",
              c[i].slot);
    }
    for (unsigned i = 0; i < count; i++)
        r.slot[c[i].slot] = slot_now(c[i].slot);
}

static void check_refusal(const struct change *bad, int rc)
{
    const struct pvg_batch_error *e = pvg_batch_error(r.g);
    CHECK(rc == e->code && e->index < e->elements && e->made < e->elements,
          "%d, element %u of %u, %u made", e->code, e->index, e->elements, e->made);
    if (r.injected)
        return;
    CHECK(e->code == -XEN_EBUSY && e->value == bad->entry, "element %u, %d, value %" PRIx64,
          e->index, e->code, e->value);
    CHECK(bad->by_address || e->where == slot_va(bad->slot), "the element is at %" PRIx64,
          e->where);
}

static void do_batch(void)
{
    static struct change c[200];
    unsigned count = 1 + (unsigned)below(below(4) ? 20 : 200), depth = 1 + (unsigned)below(2);
    int bad = below(6) ? -1 : (int)below(count);
    for (unsigned i = 0; i < depth; i++)
        pvg_lazy_enter(r.g);
    for (unsigned i = 0; i < count; i++) {
        c[i] = some_change();
        c[i].bad = (int)i == bad;
        if (c[i].bad) /* the root, writable */
            c[i].entry = pvg_pte(pvg_root(r.g), PVG_PTE_DATA);
        make_change(&c[i]);
    }
    int rc = 0;
    for (unsigned i = 0; i < depth; i++)
        rc = pvg_lazy_leave(r.g); /* the outermost tells */
    heal();
    flush_all();
    CHECK(rc ? bad >= 0 || r.injected : bad < 0, "the batch ends with %d", rc);
    if (rc)
        check_refusal(&c[bad < 0 ? 0 : bad], rc);
    r.failures += rc && r.injected;
    r.refusals += rc && !r.injected;
    check_batch(c, count, rc == 0);
}

/* ---- tables of the test's own */

static void table_entries(uint64_t pfn)
{
    struct block *b = some_block(true);
    uint64_t at = frame_of(pfn) << 12, *table = machine_frame(r.m, frame_of(pfn));
    uint64_t entry = pvg_pte(pvg_mfn(frame_of(b->first)), PVG_PTE_RO_DATA);
    unsigned s = (unsigned)below(512);
    inject();
    bool done = succeeded(pvg_set_entry(r.g, (pvg_maddr_t){at + s * 8}, entry));
    CHECK(entry_key(table[s]) == (done ? entry_key(entry) : 0), "the entry is %" PRIx64, table[s]);
    CHECK(pvg_set_entry(r.g, (pvg_maddr_t){at + s * 8}, 0) == 0, "it cannot be cleared");
    r.injected = false;
    refused(pvg_set_entry(r.g, (pvg_maddr_t){at + s * 8},
                          pvg_pte(pvg_mfn(frame_of(pfn)), PVG_PTE_DATA)),
            -XEN_EBUSY);
}

static int64_t pin(unsigned command, uint64_t mfn)
{
    struct mmuext_op op = {.cmd = command, .arg1.mfn = mfn};
    return pvg_hypercall(r.g, __HYPERVISOR_mmuext_op, (uint64_t)&op, 1, 0, DOMID_SELF, 0);
}

static void do_table(void)
{
    struct block *b = some_block(true);
    if (!b || is_mapped(b))
        return;
    uint64_t pfn = b->first;
    memset(machine_at(direct(pfn), true), 0, PVG_PAGE_BYTES);
    if (succeeded(pvg_page_read_only(r.g, pvg_pfn(pfn)))) {
        CHECK(pin(MMUEXT_PIN_L1_TABLE, frame_of(pfn)) == 0, "no table");
        CHECK(machine_type(r.m, frame_of(pfn)) == 1, "not typed");
        r.injected = false;
        refused(pvg_page_writable(r.g, pvg_pfn(pfn)), -XEN_EBUSY);
        table_entries(pfn);
        CHECK(pin(MMUEXT_UNPIN_TABLE, frame_of(pfn)) == 0, "it stays pinned");
        CHECK(pvg_page_writable(r.g, pvg_pfn(pfn)) == 0, "it stays read-only");
    }
    write_tags(pfn);
}

/* ---- p2m: areas far from each other; frames in the first alone */

static uint64_t *some_entry(uint64_t *pfn)
{
    uint64_t a = below(AREAS), i = below(AREA_PAGES);
    *pfn = r.area_base[a] + i;
    return &r.area[a][i];
}

static bool has_frame(uint64_t e)
{
    return e != PVG_P2M_MISSING && !(e & PVG_P2M_MARKS);
}

static void check_entry(uint64_t pfn, uint64_t want)
{
    uint64_t e = pvg_p2m_entry(r.g, pvg_pfn(pfn));
    CHECK(e == want, "p2m(%" PRIx64 ") is %" PRIx64 ", not %" PRIx64, pfn, e, want);
}

static void do_p2m_set(void)
{
    uint64_t pfn, *e = some_entry(&pfn);
    const uint64_t choice[] = {PVG_P2M_MISSING, PVG_P2M_IDENTITY | pfn,
                               PVG_P2M_FOREIGN | machine_other_frame(r.m)};
    uint64_t to = choice[below(3)];
    if (has_frame(*e))
        return;
    if (succeeded(pvg_p2m_set(r.g, pvg_pfn(pfn), to)))
        *e = to;
    check_entry(pfn, *e);
}

static void do_p2m_refused(void)
{
    uint64_t pfn, *e = some_entry(&pfn);
    switch (below(3)) {
    case 0:
        refused(pvg_p2m_set(r.g, pvg_pfn(pfn), PVG_P2M_IDENTITY | (pfn + 1)), -XEN_EINVAL);
        break;
    case 1:
        refused(pvg_p2m_set(r.g, pvg_pfn(PVG_P2M_PFNS + below(5)), 1), -XEN_EINVAL);
        break;
    default:
        refused(pvg_p2m_set_identity(r.g, (struct pvg_range){pfn, PVG_P2M_PFNS + 1}), -XEN_EINVAL);
    }
    check_entry(pfn, *e);
}

static void do_p2m_identity(void)
{
    uint64_t a = below(AREAS), from = below(AREA_PAGES), to = from + below(AREA_PAGES - from) + 1;
    for (uint64_t i = from; i < to; i++)
        if (has_frame(r.area[a][i]))
            return;
    struct pvg_range range = {r.area_base[a] + from, r.area_base[a] + to};
    if (succeeded(pvg_p2m_set_identity(r.g, range)))
        for (uint64_t i = from; i < to; i++)
            r.area[a][i] = PVG_P2M_IDENTITY | (r.area_base[a] + i);
    for (uint64_t i = from > 0 ? from - 1 : 0; i < to && i < from + 3; i++)
        check_entry(r.area_base[a] + i, r.area[a][i]);
    check_entry(r.area_base[a] + to - 1, r.area[a][to - 1]);
}

static void do_p2m_get(void)
{
    for (unsigned i = 0; i < 16; i++) {
        uint64_t pfn, *e = some_entry(&pfn);
        check_entry(pfn, *e);
    }
    check_entry(PVG_P2M_PFNS + below(1000), PVG_P2M_MISSING);
}

/* ---- memory that comes and goes */

static int64_t reserve(unsigned command, xen_pfn_t *number)
{
    struct xen_memory_reservation res = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(res.extent_start, number);
    return pvg_hypercall(r.g, __HYPERVISOR_memory_op, command, (uint64_t)&res, 0, 0, 0);
}

static bool populate(uint64_t pfn)
{
    xen_pfn_t number = pfn;
    CHECK(reserve(XENMEM_populate_physmap, &number) == 1, "no frame for %" PRIx64, pfn);
    inject();
    if (succeeded(pvg_p2m_set(r.g, pvg_pfn(pfn), number)))
        return true;
    CHECK(reserve(XENMEM_decrease_reservation, &number) == 1, "the frame stays");
    return false;
}

static void do_inflate(void)
{
    uint64_t i = below(AREA_PAGES), *e = &r.area[0][i], pfn = r.area_base[0] + i;
    heal();
    if (has_frame(*e) || r.ballooned == BALLOON)
        return;
    if (populate(pfn)) {
        *e = pvg_p2m_entry(r.g, pvg_pfn(pfn));
        CHECK(has_frame(*e) && machine_m2p(r.m, *e) == pfn, "p2m(%" PRIx64 ") is %" PRIx64, pfn,
              *e);
        r.ballooned++;
    }
    check_entry(pfn, *e);
}

static void do_deflate(void)
{
    uint64_t i = below(AREA_PAGES), *e = &r.area[0][i], pfn = r.area_base[0] + i;
    if (!has_frame(*e) || is_mapped(&(struct block){pfn, 1}))
        return;
    xen_pfn_t number = *e;
    if (!succeeded(pvg_p2m_set(r.g, pvg_pfn(pfn), PVG_P2M_MISSING))) {
        check_entry(pfn, *e);
        return;
    }
    CHECK(reserve(XENMEM_decrease_reservation, &number) == 1, "the frame stays");
    CHECK(machine_owner(r.m, number) == MACHINE_NOBODY, "somebody holds frame %lx", number);
    *e = PVG_P2M_MISSING;
    r.ballooned--;
}

/* A page without a place in the direct map, mapped in the window. */
static void do_map_ballooned(void)
{
    uint64_t i = below(AREA_PAGES), e = r.area[0][i];
    unsigned s = (unsigned)below(SLOTS);
    if (!has_frame(e) || r.slot[s])
        return;
    if (succeeded(pvg_map(r.g, slot_va(s), pvg_pfn(r.area_base[0] + i), 1, PVG_PTE_DATA)))
        r.slot[s] = e << 12 | PVG_PTE_RW;
    check_slots(s, 1);
    touch_slot(s);
}

/* More RAM: into p2m, memblock, direct map. */
static void do_extend(void)
{
    struct pvg_memblock *memory = (struct pvg_memblock *)pvg_memblock_of(r.g);
    uint64_t from = r.next_extension, count = 1 + below(40), n = 0, free;
    heal();
    if (r.extensions == EXTENSIONS || below(50))
        return;
    while (n < count && populate(from + n))
        n++;
    if (n == 0)
        return;
    free = pvg_pages_free(r.g);
    CHECK(pvg_memblock_add(memory, from, n) == 0, "memblock is full");
    inject();
    if (succeeded(pvg_direct_map(r.g, (struct pvg_range){from, from + n}))) {
        r.extensions++;
        r.next_extension = from + n + below(3) * 300;
        return;
    }
    CHECK(pvg_memblock_remove(memory, from, n) == 0, "memblock is full");
    CHECK(pvg_pages_free(r.g) == free, "%" PRIu64 " free pages, there were %" PRIu64,
          pvg_pages_free(r.g), free);
    for (uint64_t p = from; p < from + n; p++) {
        xen_pfn_t number = frame_of(p);
        CHECK(pvg_p2m_set(r.g, pvg_pfn(p), PVG_P2M_MISSING) == 0, "it stays in the p2m");
        CHECK(reserve(XENMEM_decrease_reservation, &number) == 1, "the frame stays");
        CHECK(machine_owner(r.m, number) == MACHINE_NOBODY, "somebody holds frame %lx", number);
    }
}

/* ---- early ioremap */

static unsigned free_remap(void)
{
    unsigned i = 0;
    while (i < 4 && r.remap[i].va)
        i++;
    return i;
}

static void do_remap(void)
{
    struct block *b = some_block(true);
    unsigned i = free_remap();
    if (!b)
        return;
    uint64_t pfn = b->first + below(b->count), offset = below(4096) & ~7ull;
    uint64_t address = frame_of(pfn) << 12 | offset, bytes = 1 + below(4096 - offset);
    if (r.initial && below(2)) {
        address = machine_device_frame(r.m) << 12 | offset;
        bytes = 1 + below(20 * 4096);
    }
    void *va = pvg_early_ioremap(r.g, (pvg_maddr_t){address}, bytes, 0);
    if (i == 4) {
        refused(va ? 0 : -XEN_ENOSPC, -XEN_ENOSPC);
        return;
    }
    if (!succeeded(va ? 0 : -XEN_EINVAL))
        return;
    r.remap[i] = (struct remap){va, address, bytes};
    CHECK((uint64_t)va % 4096 == offset, "mapped at %p", va);
    for (uint64_t at = 0; at < bytes; at += 4096) {
        uint64_t mfn = (address + at) >> 12;
        const uint64_t *page = machine_at(((uint64_t)va & ~4095ull) + at, false);
        CHECK(page == machine_frame(r.m, mfn), "another frame is at %p", va);
    }
}

static void do_unremap(void)
{
    unsigned i = (unsigned)below(4);
    if (!r.remap[i].va) {
        refused(pvg_early_iounmap(r.g, (void *)0x1234000), -XEN_EINVAL);
        return;
    }
    uint64_t va = (uint64_t)r.remap[i].va, e, at;
    if (!succeeded(pvg_early_iounmap(r.g, r.remap[i].va))) {
        machine_at(va, false);
        return;
    }
    r.remap[i].va = NULL;
    CHECK(machine_walk(r.m, va, &e, &at) == 1 && !(e & PVG_PTE_PRESENT), "still mapped");
}

/* ---- the whole */

static void check_all(void)
{
    r.doing = "comparing all";
    r.injected = false;
    const char *text = guest_check(r.m, r.g);
    if (!text)
        text = guest_check_lists(r.m, r.g);
    CHECK(!text, "%s", text);
    check_slots(0, SLOTS);
    for (unsigned a = 0; a < AREAS; a++)
        for (uint64_t i = 0; i < AREA_PAGES; i++)
            check_entry(r.area_base[a] + i, r.area[a][i]);
    for (unsigned i = 0; i < BLOCKS; i++)
        for (uint64_t p = r.block[i].first; p < r.block[i].first + r.block[i].count; p++)
            check_tags(machine_at(direct(p), false), p);
}

static const struct {
    const char *name;
    void (*run)(void);
    unsigned weight;
} op[] = {
    {"taking pages", do_take, 8},
    {"giving pages", do_give, 5},
    {"giving what is free", do_give_twice, 1},
    {"read-only and writable", do_protect, 6},
    {"mapping", do_map, 10},
    {"unmapping", do_unmap, 5},
    {"touching", do_touch, 10},
    {"a batch", do_batch, 6},
    {"a table", do_table, 3},
    {"setting the p2m", do_p2m_set, 12},
    {"setting the p2m wrongly", do_p2m_refused, 2},
    {"identity", do_p2m_identity, 2},
    {"looking at the p2m", do_p2m_get, 12},
    {"more memory", do_inflate, 5},
    {"less memory", do_deflate, 5},
    {"mapping what is not in the direct map", do_map_ballooned, 3},
    {"extending the direct map", do_extend, 4},
    {"early ioremap", do_remap, 4},
    {"early iounmap", do_unremap, 4},
};

static void run_one(void)
{
    unsigned total = 0;
    for (unsigned i = 0; i < sizeof(op) / sizeof(op[0]); i++)
        total += op[i].weight;
    unsigned k = (unsigned)below(total), i = 0;
    while (k >= op[i].weight)
        k -= op[i++].weight;
    r.doing = op[i].name;
    inject();
    op[i].run();
    heal();
}

static void start(void)
{
    static const struct machine_e820 map[] = {
        {0, 0x9f000, 1}, {0x100000, 0x700000, 1}, {0x800000, 0x40000, 2}, {0x840000, 1u << 30, 1}};
    struct pvg_options o = {.p2m = r.tree ? PVG_P2M_TREE : PVG_P2M_LINEAR};
    r.doing = "the start";
    r.m = machine_make(
        &(struct machine_params){.seed = r.seed,
                                 .nr_pages = r.pages,
                                 .max_pages = r.pages + BALLOON + 40 * EXTENSIONS + 100,
                                 .initial_domain = r.initial,
                                 .e820 = r.initial ? map : NULL,
                                 .nr_e820 = 4,
                                 .pause_one_in = 1 + r.seed % 4});
    r.g = guest_start(r.m);
    CHECK(r.g && pvg_boot(r.g, &o) == 0, "no boot: %s", guest_reason());
    const char *text = guest_check_booted(r.m, r.g);
    CHECK(!text, "%s", text);
    r.area_base[0] = r.pages + 20000;
    r.area_base[1] = (1ull << 22) - 700;
    r.area_base[2] = (1ull << 27) - 1024;
    r.area_base[3] = PVG_P2M_PFNS - AREA_PAGES;
    r.next_extension = r.pages + 10000;
    memset(r.area, 0xff, sizeof(r.area));
    pvg_pfn_t page;
    CHECK(pvg_pages_take(r.g, 1, 1, &page) == 0, "no page");
    for (unsigned s = 0; s < SLOTS; s += 512) /* the window's tables, which stay */
        CHECK(pvg_map(r.g, slot_va(s), page, 1, PVG_PTE_DATA) == 0 &&
                  pvg_unmap(r.g, slot_va(s), 1) == 0,
              "no window");
    CHECK(pvg_pages_give(r.g, page, 1) == 0, "the page stays");
}

static void read_arguments(char **argv)
{
    for (char **a = argv + 1; *a; a++) {
        bool number = !strcmp(*a, "--calls") || !strcmp(*a, "--seed") || !strcmp(*a, "--pages");
        if (!strcmp(*a, "--tree"))
            r.tree = true;
        else if (!strcmp(*a, "--initial"))
            r.initial = true;
        else if (number && a[1]) {
            uint64_t *to = a[0][2] == 'c' ? &r.calls : a[0][2] == 's' ? &r.seed : &r.pages;
            *to = strtoull(*++a, NULL, 0);
        } else {
            fprintf(stderr, "usage: %s [--calls N] [--seed N] [--pages N] [--tree] [--initial]\n",
                    argv[0]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    machine_on_failure = machine_is_wrong;
    read_arguments(argv);
    r.random = r.seed;
    start();
    for (r.call = 1; r.call <= r.calls; r.call++) {
        run_one();
        if (r.call % CHECK_EVERY == 0 || r.call == r.calls)
            check_all();
    }
    struct pvg_p2m_info info;
    pvg_p2m_info(r.g, &info);
    printf("%" PRIu64 " calls, %" PRIu64 " failures, %" PRIu64 " refusals, %" PRIu64
           " extensions, %" PRIu64 " hypercalls; p2m: %" PRIu64 " leaves, %" PRIu64 " tables\n",
           r.calls, r.failures, r.refusals, r.extensions, machine_calls(r.m), info.leaves,
           info.tables);
    machine_end(r.m);
    return 0;
}
