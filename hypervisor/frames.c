/* SPDX-License-Identifier: MIT */
/*
 * The machine's frames: what is RAM, what the hypervisor keeps for itself, and the free rest.
 *
 * At boot `boot_take` cuts the permanent arrays off the top of the largest gap below 4 GiB (all
 * that boot.S maps). The free frames then form a list in the order of a shuffle by the seed, so
 * that a guest which confuses pfn and mfn never gets away with it. The shuffle is one of windows,
 * and of the frames in each: neighbours in the list then have their words of the frame table near
 * each other, which on large machines is most of the time it takes to build or check anything.
 * `place[]` finds a frame in the list, for runs of frames: they are searched for, not kept apart.
 */
#include "frames.h"

#include "machine.h"
#include "string.h"

#define LOW_MEMORY_END  0x100000ull /* stays unused: firmware, boot loader's tables; mfn 0 */
#define BOOT_MAPPED_END 0x100000000ull
#define WINDOW_BYTES    0x2000000ull
#define NO_PLACE        (~0u)
#define BLANK           0x80000000u /* in the list: holds zeroes already; the rest is the frame */

extern uint8_t image_end[];

static struct {
    uint64_t nr_frames;
    uint32_t *list;  /* free frames, some BLANK; the next to go out is the last */
    uint32_t *place; /* index in `list` of each frame; NO_PLACE: not free */
    uint32_t free;
    uint64_t random;
    uint64_t blank_from;    /* RAM from here on was never written to */
    struct boot_range boot; /* the gap: [start, end) not yet cut off, */
    uint64_t boot_end;      /* and where it ended at first */
} pool;

struct core_count *audit_scratch;

/* ---- the boot loader's memory map */

static uint64_t up(uint64_t a)
{
    return (a + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

static uint64_t down(uint64_t a)
{
    return a & ~(uint64_t)(PAGE_BYTES - 1);
}

static struct boot_range image_range(void)
{
    return (struct boot_range){IMAGE_PHYS, (uint64_t)image_end - IMAGE_BASE};
}

/* Whole frames above low memory; empty when start >= end. */
static struct boot_range usable(struct boot_range r)
{
    r.start = up(r.start);
    r.end = down(r.end);
    if (r.start < LOW_MEMORY_END)
        r.start = LOW_MEMORY_END;
    return r;
}

static void consider_gap(uint64_t start, uint64_t end)
{
    if (end > BOOT_MAPPED_END)
        end = BOOT_MAPPED_END;
    if (end > start && end - start > pool.boot.end - pool.boot.start)
        pool.boot = (struct boot_range){start, end};
}

/* Cuts `r` at whatever lies in it and considers what is left. */
static void consider_range(const struct boot_loader_info *b, struct boot_range r)
{
    uint64_t start = r.start;

    while (start < r.end) {
        struct boot_range next = {r.end, r.end};

        for (unsigned i = 0; i <= b->nr_modules; i++) {
            struct boot_range used = i ? b->module[i - 1].range : image_range();

            if (used.end > start && used.start < next.start)
                next = used;
        }
        consider_gap(start, next.start);
        start = up(next.end);
    }
}

static void *boot_take(uint64_t bytes, uint64_t alignment)
{
    uint64_t at = (pool.boot.end - bytes) & ~(alignment - 1);

    if (bytes > pool.boot.end - pool.boot.start || at < pool.boot.start)
        panic("not enough memory below 4 GiB: %lu more bytes needed", bytes);
    pool.boot.end = at;
    return direct((maddr_t){at});
}

void *boot_array(uint64_t bytes)
{
    return boot_take(bytes, PAGE_BYTES);
}

mfn_t boot_frame(void)
{
    void *p = boot_take(PAGE_BYTES, PAGE_BYTES);

    memset(p, 0, PAGE_BYTES);
    return maddr_frame(direct_address(p));
}

/* ---- the free list */

/* xorshift64*: a seed gives the same shuffle on every machine. */
static uint64_t random_below(uint64_t n)
{
    pool.random ^= pool.random >> 12;
    pool.random ^= pool.random << 25;
    pool.random ^= pool.random >> 27;
    return (pool.random * 0x2545f4914f6cdd1dull >> 32) % n;
}

static void list_set(uint32_t at, uint32_t entry)
{
    pool.list[at] = entry;
    pool.place[entry & ~BLANK] = at;
}

static void list_add(uint32_t entry)
{
    list_set(pool.free++, entry);
}

/* True: the frame was blank. */
static bool list_remove(uint32_t frame)
{
    uint32_t at = pool.place[frame];
    bool blank = pool.list[at] & BLANK;

    list_set(at, pool.list[--pool.free]);
    pool.place[frame] = NO_PLACE;
    return blank;
}

/* Adds a frame at a random place from `base` on: doing this from there is a Fisher-Yates shuffle.
 */
static void list_add_shuffled(uint32_t base, uint32_t entry)
{
    uint32_t at = base + (uint32_t)random_below(pool.free - base + 1ull);

    list_add(entry);
    list_set(pool.free - 1, pool.list[at]);
    list_set(at, entry);
}

static bool overlaps(struct boot_range r, uint64_t address)
{
    return address >= down(r.start) && address < up(r.end);
}

static bool is_taken(const struct boot_loader_info *b, uint64_t address)
{
    if (overlaps(image_range(), address))
        return true;
    if (address >= pool.boot.end && address < pool.boot_end)
        return true;
    for (unsigned i = 0; i < b->nr_modules; i++) {
        if (overlaps(b->module[i].range, address))
            return true;
    }
    return false;
}

static void release_range(const struct boot_loader_info *b, struct boot_range r, uint32_t base)
{
    for (uint64_t a = r.start; a < r.end; a += PAGE_BYTES) {
        uint32_t frame = (uint32_t)(a >> PAGE_SHIFT_4K);

        core_frame_is_ram(the_core(), mfn(frame));
        if (!is_taken(b, a) && pool.place[frame] == NO_PLACE) /* ranges may overlap */
            list_add_shuffled(base, a >= pool.blank_from ? frame | BLANK : frame);
    }
}

/* What of the machine's `w`th window is RAM and not taken. */
static void release_window(const struct boot_loader_info *b, uint64_t w)
{
    uint32_t base = pool.free;

    for (unsigned i = 0; i < b->nr_ram; i++) {
        struct boot_range r = usable(b->ram[i]);

        if (r.start < w * WINDOW_BYTES)
            r.start = w * WINDOW_BYTES;
        if (r.end > (w + 1) * WINDOW_BYTES)
            r.end = (w + 1) * WINDOW_BYTES;
        release_range(b, r, base);
    }
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* ---- set-up */

void frames_init(const struct boot_loader_info *b)
{
    for (unsigned i = 0; i < b->nr_ram; i++) {
        struct boot_range r = usable(b->ram[i]);

        if (r.start < r.end && r.end >> PAGE_SHIFT_4K > pool.nr_frames)
            pool.nr_frames = r.end >> PAGE_SHIFT_4K;
        consider_range(b, r);
    }
    pool.boot_end = pool.boot.end;
}

void frames_fill(uint64_t seed, uint64_t blank_from)
{
    uint64_t n = pool.nr_frames;
    struct frame *frames = boot_take(n * sizeof(*frames), PAGE_BYTES);

    /* The guest reads the m2p in whole pages of 2 MiB: nothing else may lie in them. */
    uint64_t *m2p = boot_take(m2p_bytes(), M2P_PAGE_BYTES);

    memset(m2p, 0xff, m2p_bytes());
    audit_scratch = boot_take(n * sizeof(*audit_scratch), PAGE_BYTES);
    pool.list = boot_take(n * sizeof(*pool.list), PAGE_BYTES);
    pool.place = boot_take(n * sizeof(*pool.place), PAGE_BYTES);
    memset(pool.place, 0xff, n * sizeof(*pool.place));
    core_init(the_core(), frames, m2p, n, NULL);

    pool.blank_from = blank_from;
    pool.random = seed ^ 0x9e3779b97f4a7c15ull; /* never stays 0 for small seeds */
    if (!pool.random)
        pool.random = 1;
}

void frames_release_ram(const struct boot_loader_info *b)
{
    uint64_t n = (pool.nr_frames * PAGE_BYTES + WINDOW_BYTES - 1) / WINDOW_BYTES;
    uint64_t at = random_below(n), stride;

    do
        stride = 1 + random_below(n);
    while (common_divisor(stride, n) != 1);
    for (uint64_t i = 0; i < n; i++, at += stride)
        release_window(b, at % n);
}

void frames_release(const struct boot_loader_info *b, struct boot_range what)
{
    for (unsigned i = 0; i < b->nr_ram; i++) {
        struct boot_range r = usable(b->ram[i]);
        uint64_t start = r.start > up(what.start) ? r.start : up(what.start);
        uint64_t end = r.end < down(what.end) ? r.end : down(what.end);

        for (uint64_t a = start; a < end; a += PAGE_BYTES) {
            if (pool.place[a >> PAGE_SHIFT_4K] == NO_PLACE) /* ranges may overlap */
                list_add_shuffled(0, (uint32_t)(a >> PAGE_SHIFT_4K));
        }
    }
}

uint64_t m2p_bytes(void)
{
    uint64_t bytes = pool.nr_frames * sizeof(uint64_t);

    return (bytes + M2P_PAGE_BYTES - 1) & ~(M2P_PAGE_BYTES - 1);
}

/* ---- taking and giving back */

/* R9: the frame's last owner may still have a writable translation cached. */
static void make_ours(mfn_t m)
{
    tlb_flush_since(core_frame_stamp(the_core(), m));
}

static void make_clear(mfn_t m)
{
    make_ours(m);
    memset(direct_frame(m), 0, PAGE_BYTES);
}

static bool run_is_free(uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (pool.place[first + i] == NO_PLACE)
            return false;
    }
    return true;
}

static bool find_run(uint64_t count, uint64_t limit, uint64_t *first)
{
    for (uint64_t m = 0; m + count <= limit; m += count) {
        if (run_is_free(m, count)) {
            *first = m;
            return true;
        }
    }
    return false;
}

bool frames_take(unsigned order, uint64_t limit, mfn_t *out)
{
    uint64_t count = 1ull << order, first;

    if (order >= 32 || count > pool.free)
        return false;
    if (limit > pool.nr_frames)
        limit = pool.nr_frames;
    first = pool.list[pool.free - 1] & ~BLANK;
    if ((order > 0 || first >= limit) && !find_run(count, limit, &first))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!list_remove((uint32_t)(first + i)))
            make_clear(mfn(first + i));
    }
    *out = mfn(first);
    return true;
}

bool frames_take_as_it_is(mfn_t *out)
{
    if (pool.free == 0)
        return false;
    *out = mfn(pool.list[pool.free - 1] & ~BLANK);
    list_remove((uint32_t)out->n);
    make_ours(*out);
    return true;
}

void frames_give(mfn_t m)
{
    ASSERT(m.n < pool.nr_frames && pool.place[m.n] == NO_PLACE);
    list_add((uint32_t)m.n);
}

uint64_t frames_free(void)
{
    return pool.free;
}

mfn_t hv_frame(void)
{
    mfn_t m;

    if (!frames_take(0, CORE_NO_LIMIT, &m))
        panic("no free frame left for the hypervisor");
    return m;
}
