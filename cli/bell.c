/* SPDX-License-Identifier: MIT */
#include "bell.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool bell_waits(const struct bell *b)
{
    return pace_room(&b->pace, b->used) > 0;
}

bool bell_is_held(const struct bell *b)
{
    return b->used > 0 && !bell_waits(b);
}

size_t bell_room(const struct bell *b)
{
    return sizeof(b->bytes) - b->used;
}

bool bell_ring(struct bell *b, const void *message, size_t size)
{
    if (size > bell_room(b))
        return false;
    memcpy(b->bytes + b->used, message, size);
    b->used += size;
    return true;
}

void bell_write(struct bell *b, int com2)
{
    size_t room;
    ssize_t n;

    while ((room = pace_room(&b->pace, b->used)) > 0) {
        n = write(com2, b->bytes, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            n = (ssize_t)b->used;
        else
            pace_sent(&b->pace, (size_t)n);
        b->used -= (size_t)n;
        memmove(b->bytes, b->bytes + n, b->used);
    }
}
