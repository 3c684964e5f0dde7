/* SPDX-License-Identifier: MIT */
/*
 * A running guest as it is now, as a report's data. It is not held for that: what is read of its
 * memory may be torn, and is taken as any damaged image is. Of a guest that stands still (`pvmm
 * pause`) the contract is checked, too.
 */
#ifndef PVMM_CLI_SNAPSHOT_H
#define PVMM_CLI_SNAPSHOT_H

#include "error.h"
#include "live.h"

struct snapshots {
    const struct live_options *options;
    int memory; /* the machine's memory file */
    struct pv_symbols *symbols;
    bool has_symbols;
    unsigned tries, wait; /* for the guest's own symbols: how often; how long until the next */
};

/* Malloc'd. -1: not now, or not at all: *e says why. */
int snapshot_take(struct snapshots *s, char **text, size_t *size, struct error *e);
void snapshots_drop(struct snapshots *s);

#endif
