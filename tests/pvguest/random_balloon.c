/* SPDX-License-Identifier: MIT */
/* Memory that the library gives and gets, frames that move. */
#include "random.h"

static uint64_t frames_now(void)
{
    uint64_t now = 0, most = 0;
    CHECK(pvg_reservation(r.g, &now, &most) == 0, "no reservation");
    CHECK(now == machine_owned(r.m), "%" PRIu64 " frames are said, %" PRIu64 " owned", now,
          machine_owned(r.m));
    return now;
}

/* What went or came is what is said, and the model's budget follows. */
static void note_change(uint64_t before, int64_t done)
{
    heal();
    uint64_t now = frames_now();
    CHECK((int64_t)(now - before) == done, "%" PRId64 " frames more, %" PRId64 " are said to be",
          (int64_t)(now - before), done);
    r.grown += done;
    struct pvg_memory_info info;
    pvg_memory_info(r.g, &info);
    CHECK(!done || info.pages == pvg_regions_pages(&pvg_memblock_of(r.g)->memory),
          "%" PRIu64 " pages are said to be memory", info.pages);
}

void do_balloon_down(void)
{
    uint64_t pages = 1 + below(below(3) ? 40 : 800), done = 0, before = machine_owned(r.m);
    if (r.grown < -(int64_t)(r.pages / 4) || pvg_pages_free(r.g) < pages + r.pages / 8)
        return;
    bool all = succeeded(pvg_balloon_down(r.g, pages, &done));
    CHECK(all ? done == pages : done < pages, "%" PRIu64 " of %" PRIu64 " went", done, pages);
    note_change(before, -(int64_t)done);
}

/* As many as there is room in the map, and frames that nobody else counts on. */
void do_balloon_up(void)
{
    struct pvg_memory_info info;
    uint64_t pages = 1 + below(below(3) ? 40 : 800), done = 0, before = machine_owned(r.m);
    pvg_memory_info(r.g, &info);
    if (r.grown + (int64_t)pages > GROWN_MAX || pages > info.extra)
        return;
    bool all = succeeded(pvg_balloon_up(r.g, pages, &done));
    CHECK(all ? done == pages : done < pages, "%" PRIu64 " of %" PRIu64 " came", done, pages);
    note_change(before, (int64_t)done);
}

void do_balloon_to(void)
{
    uint64_t before = machine_owned(r.m), now = 0;
    int64_t by = (int64_t)below(300) - 150;
    struct pvg_memory_info info;
    pvg_memory_info(r.g, &info);
    if (r.grown + by > GROWN_MAX || r.grown + by < -(int64_t)(r.pages / 4) ||
        by > (int64_t)info.extra || pvg_pages_free(r.g) < r.pages / 8)
        return;
    bool all = succeeded(pvg_balloon_to(r.g, before + (uint64_t)by, &now));
    if (now == 0) /* not even what there is was said */
        now = before;
    CHECK(!all || now == before + (uint64_t)by, "%" PRIu64 " frames now", now);
    note_change(before, (int64_t)(now - before));
}

/* ---- frames that move: what was in the pages is lost, when they do */

static bool is_run(const struct block *b, unsigned order)
{
    for (uint64_t i = 1; i < 1ull << order; i++)
        if (frame_of(b->first + i) != frame_of(b->first) + i)
            return false;
    return true;
}

void do_contiguous(void)
{
    struct block *b = some_block(true);
    unsigned order = (unsigned)below(4), bits = below(2) ? 0 : 20 + (unsigned)below(12);
    uint64_t old[8];
    pvg_mfn_t frame = PVG_NO_MFN;
    if (!b || b->count < 1ull << order || b->first % (1ull << order) || is_mapped(b))
        return;
    for (uint64_t i = 0; i < 1ull << order; i++)
        old[i] = frame_of(b->first + i);
    int rc = pvg_make_contiguous(r.g, pvg_pfn(b->first), order, bits, &frame);
    heal();
    CHECK(rc == 0 || rc == -XEN_ENOMEM || r.injected, "refused, %d", rc);
    for (uint64_t i = 0; i < 1ull << order; i++) {
        uint64_t want = rc ? old[i] : frame.n + i;
        CHECK(frame_of(b->first + i) == want, "page %" PRIx64 " has another frame", b->first + i);
        CHECK(rc || !bits || want < (1ull << bits) >> 12, "frame %" PRIx64, want);
        if (rc == 0)
            write_tags(b->first + i);
        else
            check_tags(machine_at(direct(b->first + i), false), b->first + i);
    }
    r.failures += rc && r.injected;
    r.refusals += rc && !r.injected;
}

void do_scattered(void)
{
    struct block *b = some_block(true);
    unsigned order = (unsigned)below(4);
    if (!b || b->count < 1ull << order || b->first % (1ull << order) || is_mapped(b))
        return;
    int rc = pvg_make_scattered(r.g, pvg_pfn(b->first), order);
    if (!is_run(b, order) && rc) {
        refused(rc, -XEN_EINVAL);
        return;
    }
    bool done = succeeded(rc);
    for (uint64_t i = 0; i < 1ull << order; i++)
        if (done)
            write_tags(b->first + i);
        else
            check_tags(machine_at(direct(b->first + i), false), b->first + i);
}
