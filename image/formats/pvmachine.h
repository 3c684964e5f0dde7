/* SPDX-License-Identifier: MIT */
#ifndef PVMM_IMAGE_PVMACHINE_H
#define PVMM_IMAGE_PVMACHINE_H

#include <pvmm/machine.h>

#include "image.h"

struct core;

/* How a machine's memory file is divided (abi/pvmm/machine.h): RAM below the PCI hole, and behind
 * it that from 4 GiB on. */
#define PV_RAM_HIGH (1ull << 32)
struct pv_ram {
    uint64_t file_bytes, low_bytes, high_end; /* high_end 0: all is low */
};
/* Where a machine address lies in it; false: it is no RAM. */
bool pv_ram_place(const struct pv_ram *r, uint64_t address, uint64_t *at);

/*
 * The memory of a machine that runs pvmm: the file behind QEMU's memory, and the mailbox's
 * description of it (checked here). It may be running: what is read then may be torn. `ram_fd` is
 * not taken over.
 */
int pv_machine_open(struct pv_view **out, int ram_fd, const struct pvmm_machine *m,
                    struct pv_error *e);
/* The same of one that does not run: its tables are not copied. */
int pv_machine_open_still(struct pv_view **out, int ram_fd, const struct pvmm_machine *m,
                          struct pv_error *e);
/* Looks anew at what changes while the machine runs: who owns what, the vCPU's context. Nobody may
 * read meanwhile. */
int pv_machine_refresh(struct pv_view *v, const struct pvmm_machine *m, struct pv_error *e);

/* The same of who owns what, alone. */
int pv_machine_look_again(struct pv_view *v, struct pv_error *e);

/* The same of a machine's memory file, by the mailbox in it: of one that runs, or not. */
int pv_memory_open_running(struct pv_view **out, int ram_fd, struct pv_error *e);
/* Where the mailbox (<pvmm/channel.h>) lies in such a file; false: there is none. */
bool pv_memory_mailbox(int ram_fd, uint64_t *at);

/* The machine's memory contract as of the last refresh, for the core's looking functions: a copy of
 * its frame table and m2p, and no domain in it. NULL: a view of another kind. */
struct core *pv_machine_core(const struct pv_view *v);

#endif
