/* SPDX-License-Identifier: MIT */
/* What the programs that run in saved and moved guests (guest.c, ../migrate/load.c) have in common. */
#ifndef PVMM_TESTS_SAVE_GUESTPROG_H
#define PVMM_TESTS_SAVE_GUESTPROG_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

#define PAGE  4096u
#define WORDS (PAGE / 8)
#define MIB   (1024ul * 1024ul)

static inline int64_t now_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static inline void rest_us(int64_t us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};

    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* Of neighbours it makes numbers that have nothing to do with each other. */
static inline uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15ull;
    return x ^ x >> 29;
}

#endif
