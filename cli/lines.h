/* SPDX-License-Identifier: MIT */
/* Console output cut into lines, whatever pieces it arrives in. */
#ifndef PVMM_CLI_LINES_H
#define PVMM_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_CHARS 4096 /* a longer line is matched in pieces of this size */

struct lines {
    char text[LINE_CHARS + 1];
    size_t length;
    void (*each)(void *ctx, const char *line); /* called for each complete line, without its end */
    void *ctx;
};

void lines_feed(struct lines *l, const char *data, size_t size);

/*
 * Hand out the unfinished line as well, without ending it. For prompts: call it when output has
 * been quiet for a moment, so that a line is not mistaken for its first half.
 */
void lines_peek(struct lines *l);

/* Is there an unfinished line? */
bool lines_pending(const struct lines *l);

#endif
