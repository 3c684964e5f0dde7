/* SPDX-License-Identifier: MIT */
/*
 * What stands around memory.c: a p2m that is an array, and a hypervisor that owns the frames and
 * counts them. Every call that can fail is counted, and one of them fails if the test says so.
 */
#ifndef FAKE_H
#define FAKE_H

#include "internal.h"

#define FAKE_PAGES  0x180000u /* pfns that the array speaks of: 6 GiB */
#define FAKE_FRAMES 0x190000u
#define FAKE_SMALL  0x400u /* pages of a small machine, map and all: quickly set up */

struct fake {
    struct pvguest *g;
    start_info_t si;
    bool initial_domain;

    struct pvg_regions high; /* identity above p2m[] */

    uint64_t frames; /* owned now */
    uint64_t most;   /* ever */
    uint64_t next_frame;

    uint64_t mapped; /* pages from PVG_VIRT_BASE on */

    /* the answers */
    int map_rc;
    unsigned map_count; /* if not 0: what is said, whatever there is */
    struct pvg_e820_entry map[PVG_E820_MAX];
    unsigned map_command; /* the one that was asked */
    int64_t maximum;
    uint64_t extents_at_a_time; /* 0: all */
    uint64_t stuck_frame;       /* never given back; PVG_NONE: none */
    bool populates;
    uint64_t no_frame_for; /* a page that is not populated; PVG_NONE: none */

    uint64_t calls, fail_at; /* 0: none */
    bool failed;
    uint64_t hypercalls;

    unsigned lazy, queued;
    struct {
        uint64_t mfn, page;
    } queue[128];
    int first_error;

    uint64_t p2m[FAKE_PAGES];
    uint64_t m2p[FAKE_FRAMES];
    bool owned[FAKE_FRAMES];
};

extern struct fake fake;

/* `pages` from 0 on get frames; everything else is as if freshly booted. */
void fake_reset(uint64_t pages);
/* Takes the frame of a page away. */
void fake_unpopulate(uint64_t page);

#endif
