/* SPDX-License-Identifier: MIT */
/* The end of what a guest has printed, for those who did not watch. */
#ifndef PVMM_CLI_TAIL_H
#define PVMM_CLI_TAIL_H

#include <stddef.h>
#include <stdint.h>

#define TAIL_CHARS (64u << 10)

struct tail {
    uint64_t total;        /* bytes ever */
    char ring[TAIL_CHARS]; /* the last of them: byte n is at n modulo this */
};

void tail_add(struct tail *t, const char *data, size_t size);

/* The last bytes, at most `most`, from the start of a line if any begins there; how many. */
size_t tail_copy(const struct tail *t, char *to, size_t most);

#endif
