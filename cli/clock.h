/* SPDX-License-Identifier: MIT */
/* The monotonic clock in nanoseconds, and deadlines made from it; the time of day. */
#ifndef PVMM_CLI_CLOCK_H
#define PVMM_CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
#define NEVER  INT64_MAX

static inline int64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static inline double clock_seconds_since(int64_t t)
{
    return (double)(clock_now() - t) / (double)SECOND;
}

/* UNIX time, in nanoseconds. */
static inline int64_t clock_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* The earlier of two deadlines. */
static inline int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
