/* SPDX-License-Identifier: MIT */
#include "timeline.h"

#include <pvmm/channel.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "pvmachine.h"
#include "witness.h"

#define ACTS_MAX (4u << 20) /* the last ones */

static uint64_t nanoseconds(uint64_t ticks, uint64_t khz)
{
    return khz != 0 ? (uint64_t)((__extension__(unsigned __int128) ticks * 1000000) / khz) : ticks;
}

static void take_record(struct timeline *t, const struct pvmm_record *r, uint64_t first,
                        uint64_t khz)
{
    struct report_act *to = (struct report_act *)&t->is.act[t->is.acts++];

    *to = (struct report_act){.time = r->time > first ? nanoseconds(r->time - first, khz) : 0,
                              .rip = r->rip,
                              .at = {record_address(r)},
                              .old = r->old,
                              .now = r->now,
                              .act = record_act(r)};
}

static bool take_records(struct timeline *t, const struct witness *w, uint64_t khz)
{
    const uint64_t end = witness_written(w), oldest = witness_oldest(w);
    uint64_t at = end - oldest > ACTS_MAX ? end - ACTS_MAX : oldest, first = 0;
    const uint64_t root = witness_kernel_root(w);
    struct pvmm_record r;

    t->is.act = calloc(end - at + 1, sizeof(*t->is.act));
    if (t->is.act == NULL)
        return false;
    for (; at < end; at++) {
        if (!witness_read(w, at, &r))
            continue;
        first = t->is.acts == 0 ? r.time : first;
        take_record(t, &r, first, khz);
    }
    t->is.lost = end - t->is.acts;
    t->kernel_root = root != PVMM_NONE ? (mfn_t){root} : NO_MFN;
    return true;
}

static bool open_and_take(struct timeline *t, int ram_fd, const volatile struct pvmm_mailbox *box,
                          uint64_t khz)
{
    struct witness w;
    struct error ignored;
    bool taken;

    if (witness_open(&w, ram_fd, &box->recorder, &ignored) != 0 || w.ring == NULL)
        return false;
    taken = take_records(t, &w, khz);
    witness_close(&w);
    return taken;
}

bool timeline_take(struct timeline *t, int ram_fd, uint64_t tsc_khz)
{
    uint64_t at;
    struct stat st;
    void *map;
    bool taken;

    *t = (struct timeline){.kernel_root = NO_MFN};
    if (!pv_memory_mailbox(ram_fd, &at) || fstat(ram_fd, &st) != 0 ||
        at + sizeof(struct pvmm_mailbox) > (uint64_t)st.st_size)
        return false;
    map = mmap(NULL, sizeof(struct pvmm_mailbox), PROT_READ, MAP_SHARED, ram_fd, (off_t)at);
    if (map == MAP_FAILED)
        return false;
    taken = open_and_take(t, ram_fd, map, tsc_khz);
    munmap(map, sizeof(struct pvmm_mailbox));
    return taken;
}

void timeline_drop(struct timeline *t)
{
    free((void *)(uintptr_t)t->is.act);
    *t = (struct timeline){.kernel_root = NO_MFN};
}
