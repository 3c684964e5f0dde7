/* SPDX-License-Identifier: MIT */
#include "tail.h"

#include <string.h>

void tail_add(struct tail *t, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        t->ring[t->total++ % TAIL_CHARS] = data[i];
}

size_t tail_copy(const struct tail *t, char *to, size_t most)
{
    const uint64_t kept = t->total < TAIL_CHARS ? t->total : TAIL_CHARS;
    size_t n = kept < most ? (size_t)kept : most;
    const char *line;

    for (size_t i = 0; i < n; i++)
        to[i] = t->ring[(t->total - n + i) % TAIL_CHARS];
    line = n < t->total ? memchr(to, '\n', n) : NULL;
    if (line != NULL && line + 1 < to + n) {
        n -= (size_t)(line + 1 - to);
        memmove(to, line + 1, n);
    }
    return n;
}
