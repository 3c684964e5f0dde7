/* SPDX-License-Identifier: MIT */
/*
 * How much may be on the way to a serial line. As a rule QEMU holds back what the UART's FIFO has
 * no room for; of a machine that is recorded it does not, and the FIFO drops the rest. Then what
 * was sent and is not received yet must stay below the FIFO's 16 bytes.
 */
#ifndef PVMM_CLI_PACE_H
#define PVMM_CLI_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

#define PACE_BYTES 8u                  /* on the way at most */
#define PACE_LOOK  (2 * SECOND / 1000) /* until it is looked again whether there is room */

enum pacing {
    PACE_NOT,  /* as fast as it goes */
    PACE_TOLD, /* the other end counts what it received (struct pvmm_mailbox) */
    PACE_TIME, /* it does not: a portion now and then */
};

struct pace {
    enum pacing by;
    bool ready;        /* the other end is there */
    uint64_t way;      /* PACE_TOLD: bytes sent, less those received */
    uint64_t received; /* that the other end told of */
    int64_t next;      /* PACE_TIME: when the next portion may go */
};

/* How many of `n` bytes may be sent now. */
size_t pace_room(const struct pace *p, size_t n);

void pace_sent(struct pace *p, size_t n);

/* The other end is there, and has received so much in all, or (PACE_TIME) nobody knows. */
void pace_told(struct pace *p, uint64_t received);

#endif
