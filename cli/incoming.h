/* SPDX-License-Identifier: MIT */
/*
 * The empty domain that a guest is brought into, seen from the host: its frames in the machine's
 * memory file, and what is told to the hypervisor of them (abi/pvmm/transfer.h). Nothing the
 * hypervisor wrote is believed: a frame it gives is RAM, given once, and none of its own tables.
 */
#ifndef PVMM_CLI_INCOMING_H
#define PVMM_CLI_INCOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "mailbox.h"
#include "pvmachine.h"
#include "transfer.h"

struct incoming {
    uint8_t *map; /* the whole file, to be written; NULL: not there */
    struct pv_ram ram;

    volatile struct pvmm_transfer_page *list;
    volatile struct pvmm_transfer *to;
    uint64_t list_at, pages, given; /* of the list: elements, and how many were given */
    uint64_t *taken;                /* a bit for each page of the file: not to be given (again) */
    uint32_t *pfn;                  /* by page of the file; made at the end */
    uint64_t shared_mfn;
    uint32_t store_port, console_port;
};

/* Is the empty domain there? */
bool incoming_is_there(const struct mailbox *m);

/* Checks what the mailbox says of it, for a guest of end_pfn pfns, and maps the machine's memory.
 */
int incoming_open(struct incoming *in, const struct mailbox *m, int ram_fd, uint64_t end_pfn,
                  struct error *e);

/* The next frame: where it lies, and its number. */
int incoming_frame(struct incoming *in, void **at, mfn_t *m, struct pv_error *e);

/* Where a frame that was given lies; NULL: it was not. */
void *incoming_at(const struct incoming *in, mfn_t m);

/* Writes list and struct pvmm_transfer of a guest whose pages are there, localised. */
int incoming_finish(struct incoming *in, const struct pv_taken *t,
                    const struct pv_take_start *start, struct pv_error *e);

/* What time it is, as the hypervisor is about to be told that all is there. */
void incoming_date(struct incoming *in, int64_t wall_ns);

void incoming_close(struct incoming *in);

#endif
