/* SPDX-License-Identifier: MIT */
/* Putting a memory map in order (ACPI, chapter 15), and the RAM in it. */
#include "internal.h"

/* Last bytes, not ends: an entry may reach 2^64. */
static uint64_t last_byte(const struct pvg_e820_entry *e)
{
    return e->address + (e->bytes - 1);
}

static bool wraps(const struct pvg_e820_entry *e)
{
    return e->bytes != 0 && last_byte(e) < e->address;
}

/* Who wins where two overlap. ACPI has no type 0; like any that is unknown, it is not RAM. */
static uint64_t rank(uint32_t type)
{
    return type == PVG_E820_RAM ? 0 : 1ull + type;
}

/* A run of bytes that is of one type, or of none. */
struct run {
    uint64_t first, last;
    const struct pvg_e820_entry *owner; /* the highest of those that cover it; NULL: a gap */
};

/* What lies at `first`, and how far it reaches until some entry begins or ends. */
static struct run run_at(const struct pvg_e820 *map, uint64_t first)
{
    struct run run = {first, ~0ull, NULL};
    for (unsigned i = 0; i < map->count; i++) {
        const struct pvg_e820_entry *e = &map->at[i];
        if (e->bytes == 0 || last_byte(e) < first)
            continue;
        if (e->address > first) {
            if (e->address - 1 < run.last)
                run.last = e->address - 1;
            continue;
        }
        if (last_byte(e) < run.last)
            run.last = last_byte(e);
        if (!run.owner || rank(e->type) > rank(run.owner->type))
            run.owner = e;
    }
    return run;
}

/* Behind all that is in the map: joined to the last entry, or a new one. All of 2^64 bytes cannot
 * be told in one entry, and stays two. */
static int append(struct pvg_e820 *map, const struct run *run)
{
    struct pvg_e820_entry *top = map->count ? &map->at[map->count - 1] : NULL;
    uint64_t more = run->last - run->first;
    if (top && top->type == run->owner->type && last_byte(top) + 1 == run->first &&
        top->bytes + more < ~0ull) {
        top->bytes += more + 1;
        return 0;
    }
    if (map->count == PVG_E820_MAX)
        return -XEN_ENOSPC;
    map->at[map->count++] = (struct pvg_e820_entry){run->first, more + 1, run->owner->type};
    return 0;
}

int pvg_e820_sanitise(struct pvg_e820 *map, struct pvg_e820 *room, unsigned *bad)
{
    if (map->count > PVG_E820_MAX)
        return -XEN_ENOSPC;
    for (unsigned i = 0; i < map->count; i++)
        if (wraps(&map->at[i])) {
            *bad = i;
            return -XEN_EINVAL;
        }
    room->count = 0;
    for (uint64_t first = 0;;) {
        struct run run = run_at(map, first);
        int rc = run.owner ? append(room, &run) : 0;
        if (rc)
            return rc;
        if (run.last == ~0ull)
            break;
        first = run.last + 1;
    }
    map->count = room->count;
    memcpy(map->at, room->at, room->count * sizeof(room->at[0]));
    return 0;
}

/* The whole pages of entry *i and of those of RAM right behind it; *i moves past them. */
static struct pvg_range ram_pages(const struct pvg_e820 *map, unsigned *i, uint64_t limit)
{
    uint64_t first = map->at[*i].address, last = last_byte(&map->at[*i]);
    while (++*i < map->count && map->at[*i].type == PVG_E820_RAM && last != ~0ull &&
           map->at[*i].address == last + 1)
        last = last_byte(&map->at[*i]);
    struct pvg_range pages = {first / PVG_PAGE_BYTES, last / PVG_PAGE_BYTES};
    pages.from += first % PVG_PAGE_BYTES != 0;
    pages.to += last % PVG_PAGE_BYTES == PVG_PAGE_BYTES - 1;
    if (pages.to > limit)
        pages.to = limit;
    if (pages.from > pages.to)
        pages.from = pages.to;
    return pages;
}

/* Into `ram`, or, with NULL, only counted. */
static unsigned ram_ranges(const struct pvg_e820 *map, uint64_t limit, struct pvg_regions *ram)
{
    unsigned ranges = 0;
    for (unsigned i = 0; i < map->count;) {
        if (map->at[i].type != PVG_E820_RAM) {
            i++;
            continue;
        }
        struct pvg_range pages = ram_pages(map, &i, limit);
        if (pages.from == pages.to)
            continue;
        if (ram)
            ram->at[ranges] = pages; /* a gap is never rounded away: these are not adjacent */
        ranges++;
    }
    return ranges;
}

int pvg_e820_ram(const struct pvg_e820 *map, uint64_t limit, struct pvg_regions *ram)
{
    if (ram_ranges(map, limit, NULL) > PVG_REGIONS_MAX)
        return -XEN_ENOSPC;
    ram->count = ram_ranges(map, limit, ram);
    return 0;
}
