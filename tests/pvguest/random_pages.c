/* SPDX-License-Identifier: MIT */
/* Pages of RAM, mappings in the window, batches, tables of the test's own. */
#include "random.h"

/* ---- pages */

uint64_t direct(uint64_t pfn)
{
    return PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES;
}

uint64_t frame_of(uint64_t pfn)
{
    return pvg_p2m_mfn(r.g, pvg_pfn(pfn)).n;
}

static uint64_t tag(uint64_t pfn)
{
    return pfn * 0x9e3779b97f4a7c15ull ^ r.seed;
}

void write_tags(uint64_t pfn)
{
    uint64_t *page = machine_at(direct(pfn), true);
    page[0] = page[511] = tag(pfn);
}

void check_tags(const uint64_t *page, uint64_t pfn)
{
    CHECK(page[0] == tag(pfn) && page[511] == tag(pfn), "page %" PRIx64 " has other content", pfn);
}

struct block *some_block(bool taken)
{
    unsigned start = (unsigned)below(BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct block *b = &r.block[(start + i) % BLOCKS];
        if ((b->count > 0) == taken)
            return b;
    }
    return NULL;
}

void do_take(void)
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

bool is_mapped(const struct block *b)
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

void do_give(void)
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

void do_give_twice(void)
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

void do_protect(void)
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

uint64_t slot_va(unsigned s)
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

void check_slots(unsigned first, unsigned count)
{
    for (unsigned s = first; s < first + count; s++)
        CHECK(slot_now(s) == r.slot[s], "slot %u is %" PRIx64 ", not %" PRIx64, s, slot_now(s),
              r.slot[s]);
}

void touch_slot(unsigned s)
{
    if (!r.slot[s])
        return;
    uint64_t pfn = machine_m2p(r.m, r.slot[s] >> 12);
    uint64_t *page = machine_at(slot_va(s), r.slot[s] & PVG_PTE_RW);
    if (pvg_regions_holds(&pvg_memblock_of(r.g)->memory, pfn))
        check_tags(page, pfn);
}

void do_map(void)
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

void do_unmap(void)
{
    unsigned count = 1 + (unsigned)below(60), s = (unsigned)below(SLOTS - count + 1);
    bool done = succeeded(pvg_unmap(r.g, slot_va(s), count));
    for (unsigned i = 0; i < count; i++) {
        follow(s + i, 0);
        CHECK(!done || !r.slot[s + i], "slot %u is still mapped", s + i);
    }
}

void do_touch(void)
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

void do_batch(void)
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

void do_table(void)
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
