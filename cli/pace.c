/* SPDX-License-Identifier: MIT */
#include "pace.h"

#define PORTION_TIME (SECOND / 20) /* a guest under emulation takes some bytes in this time */

size_t pace_room(const struct pace *p, size_t n)
{
    size_t room = 0;

    if (p->by == PACE_NOT)
        return n;
    if (p->ready && p->by == PACE_TOLD && p->way < PACE_BYTES)
        room = PACE_BYTES - (size_t)p->way;
    if (p->ready && p->by == PACE_TIME && clock_now() >= p->next)
        room = PACE_BYTES;
    return n < room ? n : room;
}

void pace_sent(struct pace *p, size_t n)
{
    p->way += n;
    if (n > 0)
        p->next = clock_now() + PORTION_TIME;
}

/* What is told of more than was sent, or of less than before, is not believed. */
void pace_told(struct pace *p, uint64_t received)
{
    const uint64_t more = received - p->received;

    p->ready = true;
    if (p->by != PACE_TOLD || more > p->way)
        return;
    p->way -= more;
    p->received = received;
}
