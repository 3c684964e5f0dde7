/* SPDX-License-Identifier: MIT */
#include "ring.h"

size_t ring_read(const struct ring *r, uint64_t *at, uint64_t *lost, char *to, size_t room)
{
    size_t n = 0;

    if (r->data == NULL || *at >= r->written)
        return 0;
    if (r->written - *at > r->size) {
        *lost += r->written - r->size - *at;
        *at = r->written - r->size;
    }
    while (n < room && *at < r->written)
        to[n++] = r->data[(*at)++ % r->size];
    return n;
}
