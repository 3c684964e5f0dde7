/* SPDX-License-Identifier: MIT */
#include "column.h"

#include <stdlib.h>
#include <string.h>

#define LEVEL     6
#define ROOM_ONCE 4096u

bool column_begin(struct column *c, const char *name, unsigned bytes, bool delta)
{
    *c = (struct column){.name = name, .bytes = bytes, .delta = delta};
    c->open = deflateInit(&c->z, LEVEL) == Z_OK;
    c->failed = !c->open;
    return c->open;
}

static bool more_room(struct column *c)
{
    size_t room = c->room ? c->room + c->room / 2 : ROOM_ONCE;
    uint8_t *grown = realloc(c->out, room);
    if (!grown)
        return false;
    c->out = grown;
    c->room = room;
    return true;
}

static void compress_pending(struct column *c, int flush)
{
    int rc = Z_OK;
    c->z.next_in = c->pending;
    c->z.avail_in = (uInt)c->used;
    do {
        if (c->size == c->room && !more_room(c)) {
            c->failed = true;
            break;
        }
        size_t room = c->room - c->size < 1u << 30 ? c->room - c->size : 1u << 30;
        c->z.next_out = c->out + c->size;
        c->z.avail_out = (uInt)room;
        rc = deflate(&c->z, flush);
        c->size += room - c->z.avail_out;
    } while (rc == Z_OK && (c->z.avail_in || c->z.avail_out == 0 || flush == Z_FINISH));
    c->used = 0;
}

void column_add(struct column *c, uint32_t value)
{
    uint32_t coded = c->delta ? value - c->last : value;
    c->last = value;
    c->count++;
    if (c->failed)
        return;
    for (unsigned i = 0; i < c->bytes; i++)
        c->pending[c->used++] = (uint8_t)(coded >> 8 * i);
    if (c->used > sizeof(c->pending) - 4)
        compress_pending(c, Z_NO_FLUSH);
}

bool column_end(struct column *c)
{
    if (!c->failed)
        compress_pending(c, Z_FINISH);
    if (c->open)
        deflateEnd(&c->z);
    c->open = false;
    return !c->failed;
}

void column_free(struct column *c)
{
    if (c->open)
        deflateEnd(&c->z);
    free(c->out);
    *c = (struct column){0};
}
