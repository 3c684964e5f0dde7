/* SPDX-License-Identifier: MIT */
/*
 * What is to go to the hypervisor over COM2 (abi/pvmm/channel.h), message after message: a message
 * must not be cut into by another one, and nobody waits for a machine that does not read.
 */
#ifndef PVMM_CLI_BELL_H
#define PVMM_CLI_BELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pace.h"

struct bell {
    struct pace pace;
    uint8_t bytes[8192];
    size_t used;
};

bool bell_waits(const struct bell *b); /* poll COM2 for writing */
size_t bell_room(const struct bell *b);

/* Queue one message whole; false: there is no room. */
bool bell_ring(struct bell *b, const void *message, size_t size);

/* Something waits for the other end to have taken what was sent. */
bool bell_is_held(const struct bell *b);

/* Write as much as goes. If the machine is going away, which is noticed elsewhere, it is dropped.
 */
void bell_write(struct bell *b, int com2);

#endif
