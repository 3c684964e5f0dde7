/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fake.h"

#define SHARED_VA   0xffffffffff5fd000ull
#define LIST_VA     0x8000000000ull /* as XEN_ELFNOTE_INIT_P2M of Linux has it */
#define LIST_PFN    64u /* the list's first page; its tables, if any, come before it, as Xen's do */
#define LIST_TABLES 3u
#define FIRST_MFN   0x40000u
#define ROOT_MFN    0x3ffffu
#define TLB_ENTRIES 4096u

enum page_state { FREE, BUILDERS, TAKEN, SEALED };

struct page {
    uint8_t state;
    uint8_t level;     /* of a live table */
    uint8_t readonly;  /* the builder's tables */
    uint32_t refs;     /* entries of live tables, or of the root, that name it as a table */
    uint32_t mapped;   /* L1 entries of live tables that map it */
    uint32_t writable; /* of these */
};

struct pending {
    uint64_t at, entry;
};

struct fake the_fake;
static uint8_t *ram;
static struct page *page;
static uint64_t next_free, root_entry, seed;
static bool list_hooked; /* the slot of the builder's list, apart, in the root */
static struct pending queue[16];
static unsigned queued;
static struct {
    uint64_t va, pfn;
} tlb[TLB_ENTRIES];

static bool refused(void)
{
    return ++f->calls == f->fail_at;
}

/* ---- numbers */

uint64_t fake_mfn(uint64_t pfn)
{
    return (pfn ^ 0x2a5) + FIRST_MFN;
}

uint64_t fake_pfn(uint64_t mfn)
{
    uint64_t pfn = (mfn - FIRST_MFN) ^ 0x2a5;
    return mfn >= FIRST_MFN && pfn < f->is.ram ? pfn : PVG_NONE;
}

uint64_t fake_listed(uint64_t pfn)
{
    bool hole = f->is.holes && pfn >= 1024 && (pfn / 700 % 3 == 0 || pfn % 37 == 0);
    return hole || pfn >= f->is.nr_pages ? PVG_P2M_MISSING : fake_mfn(pfn);
}

uint64_t fake_random(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

void fake_seed(uint64_t s)
{
    seed = s * 0x9e3779b97f4a7c15ull + 1;
}

static uint64_t *words(uint64_t pfn)
{
    assert_true(pfn < f->is.ram);
    return (uint64_t *)(ram + pfn * PVG_PAGE_BYTES);
}

const uint64_t *fake_words(uint64_t pfn)
{
    return words(pfn);
}

bool fake_is_builders(uint64_t pfn)
{
    return page[pfn].state == BUILDERS;
}

/* ---- live tables */

static void name(unsigned level, uint64_t entry);
static void unname(unsigned level, uint64_t entry);

static void map_data(struct page *p, uint64_t entry)
{
    p->mapped++;
    if (!(entry & PVG_PTE_RW))
        return;
    assert_int_equal(p->state, TAKEN); /* R2: no table is mapped writable */
    p->writable++;
}

/* An entry of a live table of `level` becomes `entry`. */
static void name(unsigned level, uint64_t entry)
{
    if (!(entry & PVG_PTE_PRESENT))
        return;
    uint64_t pfn = fake_pfn(pte_mfn(entry).n);
    assert_int_not_equal(pfn, PVG_NONE);
    struct page *p = &page[pfn];
    if (level == 1) {
        map_data(p, entry);
        return;
    }
    assert_int_equal(p->state, SEALED);
    assert_int_equal(p->writable, 0);
    if (p->refs++ > 0) {
        assert_int_equal(p->level, level - 1);
        return;
    }
    p->level = level - 1;
    for (unsigned i = 0; i < ENTRIES; i++)
        name(level - 1, words(pfn)[i]);
}

static void unname(unsigned level, uint64_t entry)
{
    if (!(entry & PVG_PTE_PRESENT))
        return;
    uint64_t pfn = fake_pfn(pte_mfn(entry).n);
    struct page *p = &page[pfn];
    if (level == 1) {
        p->mapped--;
        p->writable -= entry & PVG_PTE_RW ? 1 : 0;
        return;
    }
    assert_true(p->refs > 0);
    if (--p->refs == 0)
        for (unsigned i = 0; i < ENTRIES; i++)
            unname(level - 1, words(pfn)[i]);
}

static void replace(unsigned level, uint64_t *at, uint64_t entry)
{
    assert_true(f->shared.arch.p2m_generation & 1);
    f->hooks++;
    uint64_t old = *at;
    name(level, entry);
    *at = entry;
    unname(level, old);
}

static int apply(uint64_t at, uint64_t entry)
{
    if (refused() || at == 0)
        return fail(g, -XEN_EINVAL, "made to fail");
    uint64_t pfn = fake_pfn(at >> PVG_PAGE_SHIFT);
    assert_int_not_equal(pfn, PVG_NONE);
    assert_int_equal(page[pfn].state, SEALED);
    assert_true(page[pfn].refs > 0);
    replace(page[pfn].level, &words(pfn)[at % PVG_PAGE_BYTES / 8], entry);
    return 0;
}

int pvg_set_entry(struct pvguest *guest, pvg_maddr_t at, uint64_t entry)
{
    (void)guest;
    if (!f->lazy)
        return apply(at.a, entry);
    assert_true(queued < 16);
    queue[queued++] = (struct pending){at.a, entry};
    return 0;
}

int pvg_lazy_flush(struct pvguest *guest)
{
    (void)guest;
    int rc = 0;
    for (unsigned i = 0; i < queued; i++)
        rc = rc ? rc : apply(queue[i].at, queue[i].entry);
    queued = 0;
    return rc;
}

int table_hook(struct pvguest *guest, uint64_t va, unsigned level, pvg_pfn_t table)
{
    bool clear = same_pfn(table, PVG_NO_PFN);
    assert_int_equal(level, 4);
    if (refused())
        return fail(guest, -XEN_EINVAL, "made to fail");
    if (f->is.init_p2m && va == LIST_VA) {
        assert_true(list_hooked == clear && (clear || table.n == LIST_PFN));
        list_hooked = !clear;
        return 0;
    }
    assert_int_equal(va, PVG_P2M_BASE);
    replace(4, &root_entry, clear ? 0 : pvg_pte(pvg_mfn(fake_mfn(table.n)), PVG_PTE_TABLE));
    return 0;
}

void pvg_walk(struct pvguest *guest, uint64_t va, struct pvg_walk *w)
{
    (void)guest;
    assert_int_equal(va, LIST_VA);
    *w = (struct pvg_walk){.level = list_hooked ? 1 : 4};
    w->at[4].entry = list_hooked ? pvg_pte(pvg_mfn(fake_mfn(LIST_PFN)), PVG_PTE_TABLE) : 0;
}

int mmuext(struct pvguest *guest, unsigned command, uint64_t arg1, uint64_t arg2)
{
    (void)arg2;
    if (refused())
        return fail(guest, -XEN_EINVAL, "made to fail");
    if (command == MMUEXT_TLB_FLUSH_LOCAL) {
        memset(tlb, 0, sizeof(tlb));
        return 0;
    }
    assert_int_equal(command, MMUEXT_INVLPG_LOCAL);
    uint64_t va = arg1 & ~(PVG_PAGE_BYTES - 1ull);
    if (tlb[va / PVG_PAGE_BYTES % TLB_ENTRIES].va == va)
        tlb[va / PVG_PAGE_BYTES % TLB_ENTRIES].va = 0;
    return 0;
}

static uint64_t translate(uint64_t va)
{
    uint64_t base = va & ~(PVG_PAGE_BYTES - 1ull), entry = root_entry;
    unsigned slot = va / PVG_PAGE_BYTES % TLB_ENTRIES;
    if (tlb[slot].va == base)
        return tlb[slot].pfn;
    for (unsigned i = 0; i < queued; i++)
        assert_int_equal(queue[i].at, 0); /* none of the p2m's own waits */
    for (unsigned level = 3; level > 0; level--) {
        assert_true(entry & PVG_PTE_PRESENT);
        entry = words(fake_pfn(pte_mfn(entry).n))[slot_of(va, level)];
    }
    assert_true(entry & PVG_PTE_PRESENT);
    tlb[slot].va = base;
    return tlb[slot].pfn = fake_pfn(pte_mfn(entry).n);
}

/* ---- pages */

static uint64_t page_at(uint64_t va, enum port_access access)
{
    if (va >= PVG_P2M_BASE && va < PVG_P2M_BASE + (1ull << 39)) {
        assert_int_equal(access, PORT_READ);
        return translate(va);
    }
    if (va >= PVG_DIRECT_BASE && va < PVG_P2M_BASE)
        return (va - PVG_DIRECT_BASE) / PVG_PAGE_BYTES;
    assert_int_equal(access, PORT_READ);
    if (va >= PVG_VIRT_BASE) {
        assert_false(g->own_root); /* the boot region is gone with the builder's root */
        return (va - PVG_VIRT_BASE) / PVG_PAGE_BYTES;
    }
    assert_true(list_hooked && va >= LIST_VA);
    return LIST_PFN + LIST_TABLES + (va - LIST_VA) / PVG_PAGE_BYTES;
}

void *port_at(struct pvguest *guest, uint64_t va, enum port_access access)
{
    (void)guest;
    if (va / PVG_PAGE_BYTES == SHARED_VA / PVG_PAGE_BYTES)
        return (uint8_t *)&f->shared + va % PVG_PAGE_BYTES;
    uint64_t pfn = page_at(va, access);
    assert_true(pfn < f->is.ram);
    assert_int_not_equal(page[pfn].state, FREE);
    if (access == PORT_WRITE)
        assert_int_equal(page[pfn].state, TAKEN);
    return ram + pfn * PVG_PAGE_BYTES + va % PVG_PAGE_BYTES;
}

uint64_t page_va(struct pvguest *guest, pvg_pfn_t pfn)
{
    (void)guest;
    return pfn.n < f->is.ram ? PVG_DIRECT_BASE + pfn.n * PVG_PAGE_BYTES : 0;
}

pvg_pfn_t pvg_m2p(struct pvguest *guest, pvg_mfn_t mfn)
{
    uint64_t pfn = fake_pfn(mfn.n);
    if (pfn == PVG_NONE || pvg_p2m_mfn(guest, pvg_pfn(pfn)).n != mfn.n)
        return PVG_NO_PFN;
    return pvg_pfn(pfn);
}

int table_take(struct pvguest *guest, pvg_pfn_t *pfn, uint64_t *va)
{
    if (refused())
        return fail(guest, -XEN_ENOMEM, "made to fail");
    uint64_t tries = 0;
    while (page[next_free].state != FREE || fake_listed(next_free) == PVG_P2M_MISSING) {
        next_free = next_free + 1 < f->is.ram ? next_free + 1 : 0;
        if (tries++ > f->is.ram)
            return fail(guest, -XEN_ENOMEM, "all of the fake's pages are taken");
    }
    page[next_free].state = TAKEN;
    memset(words(next_free), 0, PVG_PAGE_BYTES);
    f->taken++;
    *pfn = pvg_pfn(next_free);
    *va = page_va(guest, *pfn);
    return 0;
}

int table_seal(struct pvguest *guest, pvg_pfn_t pfn)
{
    assert_int_equal(page[pfn.n].state, TAKEN);
    assert_int_equal(page[pfn.n].mapped, 0);
    if (refused())
        return fail(guest, -XEN_EINVAL, "made to fail");
    page[pfn.n].state = SEALED;
    return 0;
}

/* A page that is given is overwritten: whoever still looks at it sees. */
static void scrub(uint64_t pfn)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        words(pfn)[i] = 0x123456000ull + i;
    page[pfn].state = FREE;
    if (pfn < next_free)
        next_free = pfn;
}

int table_give(struct pvguest *guest, pvg_pfn_t pfn)
{
    struct page *p = &page[pfn.n];
    assert_true(p->state == TAKEN || p->state == SEALED);
    assert_int_equal(p->refs, 0);
    assert_int_equal(p->mapped, 0);
    if (f->keep_given)
        return fail(guest, -XEN_EINVAL, "made to fail");
    scrub(pfn.n);
    f->taken--;
    return 0;
}

/* Of the builder's list and its tables: these are none any more when nothing hooks them. */
int pages_protect(struct pvguest *guest, struct pvg_range pages, bool writable)
{
    assert_true(f->is.init_p2m && !list_hooked);
    if (refused())
        return fail(guest, -XEN_EINVAL, "made to fail");
    for (uint64_t pfn = pages.from; pfn < pages.to; pfn++) {
        assert_int_equal(page[pfn].state, BUILDERS);
        page[pfn].readonly = !writable;
    }
    return 0;
}

int pvg_pages_give(struct pvguest *guest, pvg_pfn_t first, uint64_t count)
{
    if (refused())
        return fail(guest, -XEN_ENOSPC, "made to fail");
    for (uint64_t pfn = first.n; pfn < first.n + count; pfn++) {
        assert_int_equal(page[pfn].state, BUILDERS);
        assert_false(page[pfn].readonly);
        scrub(pfn);
    }
    return 0;
}

/* One range is enough for the builder's tables. */
int pvg_regions_remove(struct pvg_regions *r, uint64_t from, uint64_t to)
{
    assert_int_equal(r->count, 1);
    assert_int_equal(r->at[0].from, from);
    assert_int_equal(r->at[0].to, to);
    r->count = 0;
    return 0;
}

int pvg_regions_add(struct pvg_regions *r, uint64_t from, uint64_t to)
{
    assert_int_equal(r->count, 0);
    r->at[r->count++] = (struct pvg_range){from, to};
    return 0;
}

/* ---- the rest of the library */

const start_info_t *pvg_start_info(struct pvguest *guest)
{
    (void)guest;
    return &f->si;
}

pvg_mfn_t kernel_root(struct pvguest *guest)
{
    (void)guest;
    return pvg_mfn(ROOT_MFN);
}

int fail(struct pvguest *guest, int code, const char *format, ...)
{
    va_list list;
    if (guest->undoing)
        return code;
    va_start(list, format);
    vsnprintf(guest->reason, sizeof(guest->reason), format, list);
    va_end(list);
    return code;
}

int fail_in(struct pvguest *guest, int code, const char *format, ...)
{
    char was[REASON_MAX];
    va_list list;
    if (code == 0 || guest->undoing)
        return code;
    memcpy(was, guest->reason, sizeof(was));
    va_start(list, format);
    int used = vsnprintf(guest->reason, sizeof(guest->reason), format, list);
    va_end(list);
    if (used < (int)sizeof(guest->reason))
        snprintf(guest->reason + used, sizeof(guest->reason) - (size_t)used, ": %s", was);
    return code;
}

void pvg_fatal(struct pvguest *guest, const char *what)
{
    print_error("%s: %s\n", what, guest->reason);
    _fail(__FILE__, __LINE__);
    abort();
}

/* ---- beginning and end */

static void put_list(uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages * ENTRIES; i++)
        words(first + i / ENTRIES)[i % ENTRIES] =
            i < f->is.nr_pages ? fake_listed(i) : 0x6b6b6b; /* behind its end: anything */
}

void fake_start(const struct fake_guest *is)
{
    uint64_t pages = (is->nr_pages + ENTRIES - 1) / ENTRIES;
    memset(f, 0, sizeof(*f));
    f->is = *is;
    ram = mmap(NULL, is->ram * PVG_PAGE_BYTES, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(ram != MAP_FAILED && is->ram % 1024 == 0);
    page = calloc(is->ram, sizeof(*page));
    assert_non_null(page);
    memset(tlb, 0, sizeof(tlb));
    root_entry = queued = next_free = 0;
    uint64_t first = is->init_p2m ? LIST_PFN + LIST_TABLES : LIST_PFN;
    list_hooked = is->init_p2m;
    put_list(first, pages);
    f->si.nr_pages = is->nr_pages;
    f->si.flags = is->for_tools ? SIF_VIRT_P2M_4TOOLS : 0;
    f->si.mfn_list = is->init_p2m ? LIST_VA : PVG_VIRT_BASE + LIST_PFN * PVG_PAGE_BYTES;
    f->si.first_p2m_pfn = is->init_p2m ? LIST_PFN : 0;
    f->si.nr_p2m_frames = is->init_p2m ? pages + LIST_TABLES : 0;
    for (uint64_t pfn = 0; pfn < LIST_PFN + pages + LIST_TABLES; pfn++)
        page[pfn].state = BUILDERS;
    if (is->init_p2m) {
        for (uint64_t i = 0; i < pages + LIST_TABLES; i++)
            page[LIST_PFN + i].readonly = 1;
        g->tables.count = 1;
        g->tables.at[0] = (struct pvg_range){LIST_PFN, LIST_PFN + pages + LIST_TABLES};
    }
    g->shared_va = SHARED_VA;
    fake_seed(1);
    assert_int_equal(p2m_init(g), 0);
}

void fake_switch(void)
{
    g->own_root = true;
}

void fake_boot(const struct fake_guest *is, enum pvg_p2m_layout layout)
{
    fake_start(is);
    fake_switch();
    assert_int_equal(p2m_build(g, layout), 0);
    assert_int_equal(mfn_list_build(g), 0);
    publish(g);
    fake_check();
}

void fake_end(void)
{
    munmap(ram, f->is.ram * PVG_PAGE_BYTES);
    free(page);
    page = NULL;
}

/* ---- what a tool sees, and a test */

uint64_t fake_hash(void)
{
    uint64_t hash = root_entry;
    for (uint64_t pfn = 0; pfn < f->is.ram; pfn++) {
        const struct page *p = &page[pfn];
        if (p->state == FREE)
            continue;
        hash = (hash ^ pfn) * 0x100000001b3 + p->state + p->readonly + p->refs + p->mapped;
        for (unsigned i = 0; i < ENTRIES; i++)
            hash = (hash ^ words(pfn)[i]) * 0x100000001b3 + (hash >> 29);
    }
    return hash;
}

void fake_queue_refused(void)
{
    queue[queued++] = (struct pending){0, 0};
}

uint64_t fake_mfn_list_entry(uint64_t pfn)
{
    uint64_t mid = words(fake_pfn(f->shared.arch.pfn_to_mfn_frame_list_list))[pfn >> 18];
    uint64_t leaf = words(fake_pfn(mid))[pfn >> 9 & 511];
    return words(fake_pfn(leaf))[pfn & 511];
}

void fake_check(void)
{
    const struct arch_shared_info *a = &f->shared.arch;
    struct pvg_p2m_info info;
    pvg_p2m_info(g, &info);
    assert_int_equal(f->taken, info.leaves + info.tables + g->p2m.lost);
    assert_int_equal(a->p2m_generation & 1, 0);
    assert_int_equal(queued, 0);
    if (!g->mfn_list.published)
        return;
    bool virt = f->is.for_tools && info.layout == PVG_P2M_LINEAR;
    assert_int_equal(a->max_pfn, info.max_pfn);
    assert_int_equal(a->p2m_cr3, virt ? (uint64_t)ROOT_MFN << 12 : 0);
    assert_int_equal(a->p2m_vaddr, virt ? PVG_P2M_BASE : 0);
    assert_int_equal(a->pfn_to_mfn_frame_list_list,
                     info.max_pfn > PVG_MFN_LIST_PFNS ? ~0ull : fake_mfn(g->mfn_list.top.n));
}
