/* SPDX-License-Identifier: MIT */
#include "lines.h"

void lines_peek(struct lines *l)
{
    l->text[l->length] = '\0';
    l->each(l->ctx, l->text);
}

bool lines_pending(const struct lines *l)
{
    return l->length > 0;
}

static void end_line(struct lines *l)
{
    lines_peek(l);
    l->length = 0;
}

void lines_feed(struct lines *l, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            end_line(l);
            continue;
        }
        if (data[i] == '\r' || data[i] == '\0')
            continue;
        if (l->length == LINE_CHARS)
            end_line(l);
        l->text[l->length++] = data[i];
    }
}
