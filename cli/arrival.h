/* SPDX-License-Identifier: MIT */
/*
 * A saved guest on its way into an empty domain (abi/pvmm/transfer.h): `pvmm restore`. The stream
 * is read by a thread of its own, so that the session stays with its machine, its signals and its
 * clients however slowly it comes. Everything that the hypervisor tells is checked here; everything
 * of the stream is image/transfer.h's to judge.
 *
 *   main thread    arrival_open() .......... start the machine .. arrival_serve() ...... rings 'b'
 *                      |      ^ head            | empty domain        ^ all is written
 *   its thread      pv_take() -> begin() waits .. frame(), frame() .. localised
 */
#ifndef PVMM_CLI_ARRIVAL_H
#define PVMM_CLI_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bell.h"
#include "error.h"
#include "mailbox.h"
#include "transfer.h"

struct arrival_options {
    const char *path;  /* for messages */
    int fd;            /* the stream; not taken over, and open until arrival_close() */
    uint64_t max_pfns; /* a guest with more is refused */
    bool live;         /* of struct pv_take_options */
    bool paused;       /* it is not to run yet when it is there */
    uint8_t begun;     /* its first byte, */
    bool has_begun;    /* if that was read already */
    bool progress;     /* tell on stderr how far it is */
    int signals;       /* a signalfd: arrival_open() ends when a signal comes */
    int64_t deadline;  /* likewise; NEVER */
};

struct arrival;

/*
 * Starts reading, and waits until it is known how large the guest is. NULL, with the reason: the
 * stream is refused (EXIT_UNREADABLE), a signal came (EXIT_INTERRUPTED, EXIT_TERMINATED), or the
 * deadline (EXIT_TIMEOUT).
 */
struct arrival *arrival_open(const struct arrival_options *o, struct error *e);

/* The head of the stream: all that stands before its first page (struct pv_taken's name, uuid,
 * max_memory, width, end_pfn). Until arrival_close(). */
const struct pv_taken *arrival_head(const struct arrival *a);

/* Readable when arrival_serve() has something to do; -1 of a NULL arrival. */
int arrival_news(const struct arrival *a);

/*
 * For the session, whenever there is news; a NULL arrival does nothing. When the empty domain is
 * there it lets the pages in, and when they are, it rings. -1: the guest cannot be brought in, and
 * the machine is to go.
 */
int arrival_serve(struct arrival *a, const struct mailbox *m, int ram_fd, struct bell *b,
                  struct error *e);

/* Bytes of the guest's pages; 0: they are not there yet, or a NULL arrival. */
uint64_t arrival_memory(const struct arrival *a);

/* Behind the hypervisor's refusal: of which page it speaks and where in the stream that was. An
 * empty text: of none in particular. */
void arrival_blame(const struct arrival *a, const struct mailbox *m, char *text, size_t size);

/* Stops reading, wherever it is. NULL is fine. */
void arrival_close(struct arrival *a);

#endif
