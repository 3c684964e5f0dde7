/* SPDX-License-Identifier: MIT */
/*
 * Event channels by queues, the FIFO ABI (<xen/event_channel.h>): a word per port in pages of the
 * guest's, linked into queues by priority, whose heads are in a control block of each vCPU. A
 * domain begins with the two-level ABI (events.c), and its first control block makes it one of this
 * kind.
 *
 * No reference is held on these pages: before each visit domain_page() tells whether they are still
 * what they were given as. A guest that makes tables of them loses its events, and nothing else.
 */
#ifndef PVMM_HV_FIFO_H
#define PVMM_HV_FIFO_H

#include <stdbool.h>
#include <stdint.h>

#include "types.h"

#define FIFO_WORDS  1024u /* of a page */
#define FIFO_PAGES  4u    /* as many as there are ports for */
#define FIFO_QUEUES 16u   /* EVTCHN_FIFO_MAX_QUEUES */

/* A vCPU's queues. */
struct fifo_queues {
    bool there;
    mfn_t control;
    unsigned offset;
    uint32_t tail[FIFO_QUEUES]; /* the port that was linked last; 0: none */
};

/* A domain's words. */
struct fifo {
    bool on;
    unsigned pages;
    mfn_t page[FIFO_PAGES];
};

struct domain;
struct evtchn_init_control;
struct evtchn_expand_array;
struct evtchn_set_priority;

void fifo_raise(struct domain *d, unsigned port);
void fifo_unmask(struct domain *d, unsigned port);
bool fifo_pending(const struct domain *d, unsigned port);
/* The port is free: what is pending is not its next user's. */
void fifo_forget(struct domain *d, unsigned port);

/* The operations; 0, or the ABI's errno. */
int fifo_init_control(struct domain *d, struct evtchn_init_control *c);
int fifo_expand_array(struct domain *d, const struct evtchn_expand_array *e);
int fifo_set_priority(struct domain *d, const struct evtchn_set_priority *s);
/* Back to the two-level ABI. */
void fifo_reset(struct domain *d);

#endif
