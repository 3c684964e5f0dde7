/* SPDX-License-Identifier: MIT */
/* What memory.c finds and how it arranges it, with a fake of what stands around it. */
#include "fake/fake.h" /* before cmocka.h, to which fail is a macro */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <xen/memory.h>

#define PAGE 0x1000ull
#define MAP(...)                                                                                   \
    do {                                                                                           \
        const struct pvg_e820_entry e_[] = {__VA_ARGS__};                                          \
        memset(fake.map, 0, sizeof(fake.map));                                                     \
        for (unsigned i_ = 0; i_ < sizeof(e_) / sizeof(e_[0]); i_++)                               \
            fake.map[i_] = e_[i_];                                                                 \
    } while (0)
#define REASON(text)                                                                               \
    do {                                                                                           \
        if (!strstr(fake.g->reason, text))                                                         \
            fail_msg("reason: %s", fake.g->reason);                                                \
    } while (0)

static struct pvg_regions moved;
static uint64_t seed;

static uint64_t random_below(uint64_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % n;
}

/* An image at 16 MiB, tables and start_info behind it, mapped to 20 MiB. */
static void boots(uint64_t pages)
{
    fake_reset(pages);
    fake.mapped = 0x1400;
    fake_image_start = PVG_VIRT_BASE + 0x1000 * PAGE;
    fake_image_end = PVG_VIRT_BASE + 0x1100 * PAGE;
    fake.g->si_va = PVG_VIRT_BASE + 0x1200 * PAGE;
    fake.si.pt_base = PVG_VIRT_BASE + 0x1201 * PAGE;
    fake.si.nr_pt_frames = 13;
    fake.g->p2m.initial = (struct pvg_range){0x1180, 0x1200};
    fake.initial_domain = true;
}

/* q35 with 4 GiB: 2 GiB below the hole, 2 GiB above. */
static void q35(uint64_t pages)
{
    boots(pages);
    MAP({0, 0x9fc00, 1}, {0x9fc00, 0x400, 2}, {0xf0000, 0x10000, 2}, {0x100000, 0x7fedf000, 1},
        {0x7ffdf000, 0x21000, 2}, {0xb0000000, 0x10000000, 2}, {0xfed1c000, 0x4000, 2},
        {0xfffc0000, 0x40000, 2}, {0x100000000, 0x80000000, 1}, {0xfd00000000, 0x300000000, 2});
}

static uint64_t limit_now(void)
{
    uint64_t limit = fake.g->options.memory_limit;
    return limit ? limit : ~0ull;
}

/* ---- discovering */

static void test_discover_q35(void **state)
{
    (void)state;
    q35(0x40000);
    assert_int_equal(memory_discover(fake.g), 0);
    assert_int_equal(fake.map_command, XENMEM_machine_memory_map);
    const struct pvg_range ram[] = {{0, 0x9f}, {0x100, 0x40000}};
    const struct pvg_memblock *m = pvg_memblock_of(fake.g);
    assert_int_equal(m->memory.count, 2);
    assert_memory_equal(m->memory.at, ram, sizeof(ram));
    assert_int_equal(m->reserved.count, 1);
    assert_true(m->reserved.at[0].from == 0 && m->reserved.at[0].to == 0x1400);
    assert_true(fake.g->boot.from == 0 && fake.g->boot.to == 0x1400);
    assert_true(fake.g->image.from == 0x1000 && fake.g->image.to == 0x1100);
    assert_true(fake.g->initial_tables.from == 0x1201 && fake.g->initial_tables.to == 0x120e);
    assert_int_equal(pvg_memory_map(fake.g)->count, 10);
    struct pvg_memory_info info;
    pvg_memory_info(fake.g, &info);
    assert_int_equal(info.nr_pages, 0x40000);
    assert_int_equal(info.max_pages, 0x40000);
    assert_int_equal(info.pages, 0x40000 - 0x61);
    assert_int_equal(info.extra, 0x7ffdf - 0x40000 + 0x80000);
}

static void test_discover_limit(void **state)
{
    (void)state;
    q35(0x40000);
    fake.g->options.memory_limit = 0x20000;
    fake.maximum = 0xffffffff;
    assert_int_equal(memory_discover(fake.g), 0);
    assert_int_equal(fake.g->memblock.memory.at[1].to, 0x20000);
    assert_int_equal(fake.g->info.extra, 0);
    assert_int_equal(fake.g->info.max_pages, 0xffffffff);
    q35(0x40000);
    fake.g->options.memory_limit = 0x1400;
    assert_int_equal(memory_discover(fake.g), 0);
    q35(0x40000);
    fake.g->options.memory_limit = 0x60000;
    assert_int_equal(memory_discover(fake.g), 0);
    assert_int_equal(fake.g->info.extra, 0x20000);
}

static void test_discover_default(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        boots(0x8000);
        fake.initial_domain = i == 0;
        fake.map_rc = i < 2 ? -XEN_ENOSYS : 0; /* the third: no entries */
        fake.maximum = i == 1 ? -XEN_ENOSYS : 0x9000;
        assert_int_equal(memory_discover(fake.g), 0);
        assert_int_equal(fake.map_command, i == 0 ? XENMEM_machine_memory_map : XENMEM_memory_map);
        assert_int_equal(fake.g->map.count, 1);
        assert_true(fake.g->map.at[0].address == 0 && fake.g->map.at[0].bytes == 0x8000 * PAGE &&
                    fake.g->map.at[0].type == 1);
        assert_int_equal(fake.g->info.pages, 0x8000);
        assert_int_equal(fake.g->info.max_pages, i == 1 ? 0x8000 : 0x9000);
        assert_int_equal(memory_arrange(fake.g, &moved), 0);
        assert_int_equal(moved.count, 0);
        assert_int_equal(fake.g->info.identity, 0);
    }
}

static void test_discover_missing_pages(void **state)
{
    (void)state;
    q35(0x40000);
    for (uint64_t page = 0x5000; page < 0x5100; page++)
        fake_unpopulate(page);
    assert_int_equal(memory_discover(fake.g), 0);
    assert_false(pvg_regions_holds(&fake.g->memblock.memory, 0x50ff));
    assert_true(pvg_regions_holds(&fake.g->memblock.memory, 0x5100));
    assert_int_equal(fake.g->info.pages, 0x40000 - 0x61 - 0x100);
}

static void test_discover_module(void **state)
{
    (void)state;
    q35(0x40000);
    fake.si.flags = SIF_MOD_START_PFN;
    fake.si.mod_start = 0x3f000;
    fake.si.mod_len = 0x1001;
    assert_int_equal(memory_discover(fake.g), 0);
    assert_true(pvg_regions_holds(&fake.g->memblock.reserved, 0x3f001));
    assert_false(pvg_regions_holds(&fake.g->memblock.reserved, 0x3f002));
    q35(0x40000);
    fake.si.mod_start = PVG_VIRT_BASE + 0x1120 * PAGE;
    fake.si.mod_len = 0x3000;
    assert_int_equal(memory_discover(fake.g), 0);
    assert_int_equal(fake.g->memblock.reserved.count, 1);
}

/* Refused with a reason, and as if never tried. */
static void refused(int rc, const char *reason)
{
    assert_int_equal(memory_discover(fake.g), rc);
    REASON(reason);
    assert_int_equal(fake.g->map.count, 0);
    assert_int_equal(fake.g->memblock.memory.count, 0);
    assert_int_equal(fake.g->memblock.reserved.count, 0);
    assert_int_equal(fake.g->boot.to, 0);
    assert_int_equal(fake.g->image.to, 0);
    assert_int_equal(fake.g->info.nr_pages, 0);
}

static void test_discover_refusals(void **state)
{
    (void)state;
    q35(0x40000);
    fake.map_rc = -XEN_EPERM;
    refused(-XEN_EPERM, "EPERM");
    q35(0x40000);
    memset(fake.map, 0, sizeof(fake.map));
    refused(-XEN_EINVAL, "the machine's is empty");
    for (unsigned more = 0; more < 2; more++) {
        q35(0x40000);
        fake.map_count = PVG_E820_MAX + more;
        refused(-XEN_ENOSPC, "there may be more");
    }
    q35(0x40000);
    fake.map[3].bytes = ~0ull;
    refused(-XEN_EINVAL, "entry 3, ffffffffffffffff bytes from 100000 of type 1, wraps");
    q35(0x40000);
    fake.maximum = -XEN_EPERM;
    refused(-XEN_EPERM, "maximum reservation: EPERM");
    q35(0x40000);
    fake.si.nr_pages = 0;
    refused(-XEN_EINVAL, "0 pages");
    q35(0x40000);
    fake.si.nr_pages = PVG_P2M_PFNS + 1;
    refused(-XEN_EINVAL, "1000000001 pages");
}

static void test_discover_boot_region(void **state)
{
    (void)state;
    q35(0x40000);
    fake.mapped = 0x120d;
    refused(-XEN_EINVAL, "page 120d is not at ffffffff8120d000");
    q35(0x40000);
    fake_image_end = PVG_VIRT_BASE + 0x1401 * PAGE;
    refused(-XEN_EINVAL, "page 1400 is not at");
    q35(0x40000);
    fake.p2m[0x1300] = 77;
    assert_int_equal(memory_discover(fake.g), 0);
    assert_int_equal(fake.g->boot.to, 0x1300);
    q35(0x40000);
    fake.si.nr_pt_frames = 0;
    refused(-XEN_EINVAL, "0 page tables at");
    q35(0x40000);
    fake.si.pt_base = 0x1000;
    refused(-XEN_EINVAL, "page tables at 1000");
    q35(0x40000);
    fake.g->options.memory_limit = 0x13ff;
    refused(-XEN_EINVAL, "the memory limit, page 13ff, is below 1400");
}

static void test_discover_places(void **state)
{
    (void)state;
    q35(0x40000);
    fake.map[3].bytes = 0xf80000; /* to 0x1080 */
    refused(-XEN_EINVAL, "the kernel's image, pages 1000 to 1100: page 1080 is no RAM");
    q35(0x40000);
    fake.map[2] = (struct pvg_e820_entry){0x1204000, 0x1000, 2};
    refused(-XEN_EINVAL, "the builder's page tables, pages 1201 to 120e: page 1204 is no RAM");
    q35(0x40000);
    fake.map[2] = (struct pvg_e820_entry){0x1200800, 1, 4};
    refused(-XEN_EINVAL, "start_info, pages 1200 to 1201: page 1200 is no RAM");
    q35(0x40000);
    fake.map[2] = (struct pvg_e820_entry){0x1180000, 1, 4};
    refused(-XEN_EINVAL, "the builder's p2m, pages 1180 to 1200: page 1180");
    q35(0x40000);
    fake.si.flags = SIF_MOD_START_PFN;
    fake.si.mod_start = 0x9e;
    fake.si.mod_len = 0x1001;
    refused(-XEN_EINVAL, "the module, pages 9e to a0: page 9f is no RAM");
    fake.si.mod_start = 0x3ffff;
    refused(-XEN_EINVAL, "the module, pages 3ffff to 40001: the domain has 40000");
    fake.si.mod_len = ~0ull;
    refused(-XEN_EINVAL, "the module");
    fake.si.mod_start = ~0ull;
    refused(-XEN_EINVAL, "the module");
    fake.si.mod_start = 0x30000;
    fake.si.mod_len = PAGE;
    fake.g->options.memory_limit = 0x30000;
    refused(-XEN_EINVAL, "the module, pages 30000 to 30001, is beyond the memory limit");
    q35(0x40000);
    fake.si.mod_start = 0x5000;
    fake.si.mod_len = 1;
    refused(-XEN_EINVAL, "the module");
}

static void test_discover_rings(void **state)
{
    (void)state;
    q35(0x40000);
    fake.si.store_mfn = fake.p2m[0xa0];
    fake.si.console.domU.mfn = fake.p2m[0xa1];
    assert_int_equal(memory_discover(fake.g), 0); /* the initial domain's are no frame numbers */
    q35(0x40000);
    fake.initial_domain = false;
    fake.si.store_mfn = fake.p2m[0xa0];
    refused(-XEN_EINVAL, "the xenstore ring, pages a0 to a1: page a0 is no RAM");
    fake.si.store_mfn = fake.p2m[0x1300];
    fake.si.console.domU.mfn = fake.p2m[0xa1];
    refused(-XEN_EINVAL, "the console ring, pages a1 to a2");
    fake.si.console.domU.mfn = fake.p2m[0x1301];
    assert_int_equal(memory_discover(fake.g), 0);
}

/* ---- arranging: the model */

/* What the page is in the map, looked up entry by entry. */
static bool is_ram(uint64_t page)
{
    const struct pvg_e820 *map = &fake.g->map;
    for (unsigned i = 0; i < map->count; i++) {
        const struct pvg_e820_entry *e = &map->at[i];
        if (e->type == PVG_E820_RAM && e->address <= page * PAGE &&
            e->address + e->bytes >= (page + 1) * PAGE)
            return true;
    }
    return false;
}

static uint64_t holes_end(void)
{
    const struct pvg_e820 *map = &fake.g->map;
    uint64_t end = fake.si.nr_pages;
    for (unsigned i = 0; i < map->count; i++) {
        uint64_t last = (map->at[i].address + map->at[i].bytes + PAGE - 1) / PAGE;
        end = last > end ? last : end;
    }
    return end;
}

/* The state before, by page. */
struct before {
    uint64_t entry[FAKE_PAGES];
    uint64_t frames;
    struct pvg_memblock memblock;
    struct pvg_memory_info info;
};
static struct before before;

static void remember(void)
{
    uint64_t pages = fake.si.nr_pages > FAKE_SMALL ? FAKE_PAGES : FAKE_SMALL;
    memcpy(before.entry, fake.p2m, pages * sizeof(before.entry[0]));
    before.frames = fake.frames;
    before.memblock = fake.g->memblock;
    before.info = fake.g->info;
    fake.most = fake.frames;
}

static bool is_frame(uint64_t entry)
{
    return entry != PVG_P2M_MISSING && !(entry & PVG_P2M_MARKS);
}

static void check_frame(uint64_t page)
{
    uint64_t mfn = fake.p2m[page];
    assert_true(is_frame(mfn) && mfn < FAKE_FRAMES);
    assert_true(fake.owned[mfn]);
    assert_int_equal(fake.m2p[mfn], page);
}

/* `pages` are looked at: beyond, nothing was. */
static void check_as_before(uint64_t pages)
{
    for (uint64_t page = 0; page < pages; page++)
        if (is_frame(before.entry[page]))
            check_frame(page);
        else
            assert_true(fake.p2m[page] == before.entry[page]);
    assert_int_equal(fake.high.count, 0);
    assert_int_equal(fake.frames, before.frames);
    assert_int_equal(moved.count, 0);
    assert_memory_equal(&fake.g->memblock, &before.memblock, sizeof(before.memblock));
    assert_memory_equal(&fake.g->info, &before.info, sizeof(before.info));
}

struct expected {
    uint64_t moves, back, populated, identity, extra;
};

static void check_page(uint64_t page, uint64_t end, uint64_t *room, struct expected *x)
{
    uint64_t nr = fake.si.nr_pages, limit = limit_now();
    bool had = is_frame(before.entry[page]), ram = is_ram(page);
    if (!ram && page < end)
        assert_true(fake.p2m[page] == (PVG_P2M_IDENTITY | page));
    else if (ram && page < limit && (page < nr ? had : *room > 0)) {
        check_frame(page);
        if (page < nr)
            assert_int_equal(fake.p2m[page], before.entry[page]);
        assert_int_equal(pvg_regions_holds(&moved, page), page >= nr);
        *room -= page >= nr;
        x->moves += page >= nr;
        x->populated++;
    } else
        assert_true(fake.p2m[page] == PVG_P2M_MISSING);
    x->back += had && !(ram && page < limit);
    x->extra += ram && page < limit && !is_frame(fake.p2m[page]);
}

/* Against the map, page by page. */
static void check_arranged(uint64_t pages)
{
    struct expected x = {0};
    uint64_t room = 0, end = holes_end();
    for (uint64_t page = 0; page < fake.si.nr_pages; page++)
        room += is_frame(before.entry[page]) && !is_ram(page);
    for (uint64_t page = 0; page < pages; page++)
        check_page(page, end, &room, &x);
    for (uint64_t page = 0; page < end; page++)
        x.identity += page >= FAKE_PAGES || !is_ram(page);
    const struct pvg_memory_info *info = &fake.g->info;
    assert_int_equal(fake.frames, x.populated);
    assert_true(fake.most <= before.frames);
    assert_int_equal(info->remapped, x.moves);
    assert_int_equal(pvg_regions_pages(&moved), x.moves);
    assert_int_equal(info->released, x.back - x.moves);
    assert_int_equal(info->pages, x.populated);
    assert_int_equal(info->extra, x.extra);
    assert_int_equal(info->identity, x.identity);
    assert_int_equal(info->identity > 0 && end > FAKE_PAGES, fake.high.count > 0);
}

static void arrange_and_check(uint64_t pages)
{
    remember();
    if (memory_arrange(fake.g, &moved))
        fail_msg("%s", fake.g->reason);
    check_arranged(pages);
}

static void test_arrange_q35(void **state)
{
    (void)state;
    q35(0x40000);
    assert_int_equal(memory_discover(fake.g), 0);
    arrange_and_check(0x180000);
    assert_int_equal(fake.g->info.remapped, 0x61);
    assert_int_equal(fake.g->info.released, 0);
    assert_int_equal(moved.count, 1);
    assert_true(moved.at[0].from == 0x40000 && moved.at[0].to == 0x40061);
    assert_int_equal(fake.g->info.pages, 0x40000);
    assert_true(fake.high.count == 1 && fake.high.at[0].to == 0x10000000);
}

/* All of the machine's memory: what is behind the hole goes above it, half a million pages. */
static void test_arrange_many(void **state)
{
    (void)state;
    boots(0x100000);
    MAP({0, 0x80000000, 1}, {0xe0000000, 0x1000, 2}, {0x100000000, 0x80000000, 1});
    assert_int_equal(memory_discover(fake.g), 0);
    remember();
    uint64_t calls = fake.hypercalls;
    clock_t start = clock();
    assert_int_equal(memory_arrange(fake.g, &moved), 0);
    print_message("%lu pages moved: %.0f ms\n", fake.g->info.remapped,
                  (double)(clock() - start) * 1000 / CLOCKS_PER_SEC);
    check_arranged(0x180000);
    assert_int_equal(fake.g->info.remapped, 0x80000);
    assert_int_equal(fake.hypercalls - calls, 0x80000 / 128);
}

static void test_arrange_no_room(void **state)
{
    (void)state;
    boots(0x40000);
    MAP({0, 0x9fc00, 1}, {0x100000, 0x3ff00000, 1}, {0x40000000, 0x10000, 1});
    assert_int_equal(memory_discover(fake.g), 0);
    arrange_and_check(0x50000);
    assert_int_equal(fake.g->info.remapped, 0x10);
    assert_int_equal(fake.g->info.released, 0x51);
}

static void test_arrange_limit(void **state)
{
    (void)state;
    static const uint64_t limit[] = {0x1400, 0x30000, 0x3ffff, 0x40000, 0x40001, 0x40061, 0x50000};
    for (unsigned i = 0; i < sizeof(limit) / sizeof(limit[0]); i++) {
        q35(0x40000);
        fake.g->options.memory_limit = limit[i];
        fake.extents_at_a_time = i % 2 ? 100 : 0;
        assert_int_equal(memory_discover(fake.g), 0);
        arrange_and_check(0x180000);
        assert_true(pvg_regions_pages(&moved) == 0 || moved.at[0].to <= limit[i]);
    }
}

/* Memory that ends in the middle of a leaf, and a hole up to there: several kinds in one chunk. */
static void test_arrange_mixed_chunk(void **state)
{
    (void)state;
    boots(0x2100);
    MAP({0, 0x1810000, 1}, {0x1820000, 0x30000, 1}, {0x1890000, 0x800000, 1});
    fake.g->options.memory_limit = 0x1815;
    fake.extents_at_a_time = 7;
    assert_int_equal(memory_discover(fake.g), 0);
    arrange_and_check(0x3000);
    assert_int_equal(fake.g->info.released, 0x2100 - 0x1810);
}

static void test_arrange_in_use(void **state)
{
    (void)state;
    q35(0x40000);
    assert_int_equal(memory_discover(fake.g), 0);
    remember();
    assert_int_equal(pvg_regions_add(&fake.g->direct, 0xb0, 0xb1), 0);
    assert_int_equal(memory_arrange(fake.g, &moved), -XEN_EBUSY);
    REASON("arranging memory: page b0 is no RAM, and in use");
    check_as_before(0x180000);
    fake.g->direct.count = 0;
    assert_int_equal(pvg_regions_add(&fake.g->memblock.reserved, 0x40001, 0x40002), 0);
    assert_int_equal(memory_arrange(fake.g, &moved), 0);
    assert_int_equal(moved.at[0].to, 0x40001); /* a reserved page is no room */
    assert_int_equal(moved.at[1].to, 0x40062);
}

/* ---- arranging: failing */

/* A frame that never goes: the others come back. */
static void test_arrange_stuck(void **state)
{
    (void)state;
    for (unsigned at_a_time = 0; at_a_time < 200; at_a_time += 50) {
        q35(0x40000);
        fake.g->options.memory_limit = 0x3f000;
        fake.extents_at_a_time = at_a_time;
        assert_int_equal(memory_discover(fake.g), 0);
        remember();
        fake.stuck_frame = fake.p2m[0x3f6ab];
        assert_int_equal(memory_arrange(fake.g, &moved), -XEN_EBUSY);
        REASON("arranging memory: frame ");
        REASON("of page 3f6ab is not taken back");
        check_as_before(0x180000);
    }
}

/* Nor can others be had back: it is said how many, and p2m and frames agree. */
static void lost_some(bool populates, uint64_t no_frame_for, uint64_t lost)
{
    char text[64];
    q35(0x40000);
    fake.g->options.memory_limit = 0x3f000;
    fake.populates = populates;
    fake.no_frame_for = no_frame_for;
    assert_int_equal(memory_discover(fake.g), 0);
    fake.stuck_frame = fake.p2m[0x3f6ab];
    assert_int_equal(memory_arrange(fake.g, &moved), -XEN_EBUSY);
    snprintf(text, sizeof(text), "memory: %lu pages could not be put back as they were: frame ",
             lost);
    REASON(text);
    uint64_t populated = 0;
    for (uint64_t page = 0; page < FAKE_PAGES; page++)
        if (is_frame(fake.p2m[page])) {
            check_frame(page);
            populated++;
        }
    assert_int_equal(populated, fake.frames);
    assert_int_equal(populated, 0x40000 - lost);
}

static void test_arrange_lost(void **state)
{
    (void)state;
    lost_some(false, PVG_NONE,
              97 + 0x6ab); /* there is no room below the limit for the 97, either */
    /* What was asked for in the same call, 512 pages from the 513th on; not what comes later. */
    lost_some(true, 0x3f210, 1024 - (97 + 0x210));
}

/* A step fails, and then call number `n`, which may be one that undoes it. */
static void fail_twice(uint64_t n)
{
    uint64_t populated = 0;
    fake_reset(400);
    fake.g->map.count = 2;
    fake.g->map.at[0] = (struct pvg_e820_entry){0, 100 * PAGE, 1};
    fake.g->map.at[1] = (struct pvg_e820_entry){110 * PAGE, 290 * PAGE, 1};
    fake.g->info.nr_pages = 400;
    fake.g->options.memory_limit = 380;
    fake.stuck_frame = fake.p2m[399];
    fake.fail_at = n;
    int rc = memory_arrange(fake.g, &moved);
    if (rc == -XEN_EBUSY)
        REASON("is not taken back");
    else
        assert_true(fake.failed && rc);
    for (uint64_t page = 0; page < FAKE_SMALL; page++)
        populated += is_frame(fake.p2m[page]);
    /* the frame that never goes may lose its page */
    assert_int_equal(populated + !is_frame(fake.p2m[399]), fake.frames);
    assert_int_equal(strstr(fake.g->reason, "could not be put back") != NULL, populated != 400);
}

static void test_arrange_fail_twice(void **state)
{
    (void)state;
    fake.failed = true;
    for (uint64_t n = 1; fake.failed; n++)
        fail_twice(n);
}

static void random_map(uint64_t pages)
{
    unsigned count = 1 + random_below(12);
    memset(fake.map, 0, sizeof(fake.map));
    fake.map[0] = (struct pvg_e820_entry){0, pages * PAGE, 1};
    for (unsigned i = 1; i <= count; i++)
        fake.map[i] =
            (struct pvg_e820_entry){random_below(pages) * PAGE + random_below(3) * 0x400,
                                    (1 + random_below(40)) * 0xc00, random_below(3) ? 2 : 3};
    if (random_below(2))
        fake.map[count + 1] = (struct pvg_e820_entry){(pages + 50) * PAGE, 20 * PAGE, 1};
}

/* A machine of some hundred pages, whose places do not matter to memory_arrange(). */
static void random_machine(uint64_t own_seed)
{
    seed = own_seed;
    fake_reset(200 + random_below(200));
    random_map(fake.si.nr_pages + random_below(200) - 60);
    unsigned bad;
    for (fake.g->map.count = 0; fake.map[fake.g->map.count].bytes; fake.g->map.count++)
        fake.g->map.at[fake.g->map.count] = fake.map[fake.g->map.count];
    assert_int_equal(pvg_e820_sanitise(&fake.g->map, &fake.g->map_room, &bad), 0);
    fake.g->info.nr_pages = fake.si.nr_pages;
    if (random_below(3) == 0)
        fake.g->options.memory_limit = 150 + random_below(300);
    for (unsigned i = random_below(4); i > 0; i--) {
        uint64_t page = random_below(fake.si.nr_pages);
        if (fake.p2m[page] != PVG_P2M_MISSING)
            fake_unpopulate(page);
    }
    fake.extents_at_a_time = random_below(3) ? 0 : 1 + random_below(20);
    for (uint64_t page = 0; page < fake.si.nr_pages; page++)
        if (is_ram(page) && page < limit_now() && fake.p2m[page] != PVG_P2M_MISSING)
            assert_int_equal(pvg_memblock_add(&fake.g->memblock, page, 1), 0);
}

static void test_arrange_random(void **state)
{
    (void)state;
    uint64_t moves = 0, back = 0;
    for (uint64_t i = 1; i <= 300; i++) {
        random_machine(i);
        arrange_and_check(FAKE_SMALL);
        moves += fake.g->info.remapped;
        back += fake.g->info.released;
    }
    assert_true(moves > 5000 && back > 5000);
}

/* Call number `n` fails, once: afterwards everything is as before, or, where a part had been done
 * and the rest went through at the second attempt, as it has to be. */
static bool fail_at(uint64_t machine, uint64_t n)
{
    random_machine(machine);
    remember();
    fake.fail_at = n;
    if (memory_arrange(fake.g, &moved) == 0) {
        check_arranged(FAKE_SMALL);
        return false;
    }
    assert_true(fake.failed);
    REASON("arranging memory: ");
    assert_null(strstr(fake.g->reason, "could not be put back"));
    check_as_before(FAKE_SMALL);
    fake.fail_at = 0;
    remember();
    assert_int_equal(memory_arrange(fake.g, &moved), 0);
    check_arranged(FAKE_SMALL);
    return true;
}

static void test_arrange_fail_each(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (uint64_t machine = 1; machine <= 12; machine++) {
        fake.failed = true;
        for (uint64_t n = 1; fake.failed; n++)
            failures += fail_at(machine, n);
    }
    print_message("%u failures undone\n", failures);
    assert_true(failures > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discover_q35),         cmocka_unit_test(test_discover_limit),
        cmocka_unit_test(test_discover_default),     cmocka_unit_test(test_discover_missing_pages),
        cmocka_unit_test(test_discover_module),      cmocka_unit_test(test_discover_refusals),
        cmocka_unit_test(test_discover_boot_region), cmocka_unit_test(test_discover_places),
        cmocka_unit_test(test_discover_rings),       cmocka_unit_test(test_arrange_q35),
        cmocka_unit_test(test_arrange_many),         cmocka_unit_test(test_arrange_no_room),
        cmocka_unit_test(test_arrange_limit),        cmocka_unit_test(test_arrange_mixed_chunk),
        cmocka_unit_test(test_arrange_in_use),       cmocka_unit_test(test_arrange_stuck),
        cmocka_unit_test(test_arrange_lost),         cmocka_unit_test(test_arrange_fail_twice),
        cmocka_unit_test(test_arrange_random),       cmocka_unit_test(test_arrange_fail_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
