/* SPDX-License-Identifier: MIT */
#include "parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS_MOST 64u

struct job {
    uint64_t total, step;
    pv_work *work;
    void *context;
    _Atomic uint64_t next;
};

unsigned pv_cores(void)
{
    cpu_set_t mine;
    int n = sched_getaffinity(0, sizeof(mine), &mine) == 0 ? CPU_COUNT(&mine) : 1;
    return n < 1 ? 1 : (unsigned)n > THREADS_MOST ? THREADS_MOST : (unsigned)n;
}

static void *take_parts(void *context)
{
    struct job *j = context;
    for (;;) {
        uint64_t from = atomic_fetch_add(&j->next, j->step);
        if (from >= j->total)
            return NULL;
        j->work(j->context, from, j->total - from > j->step ? from + j->step : j->total);
    }
}

void pv_parallel(unsigned threads, uint64_t total, uint64_t step, pv_work *work, void *context)
{
    struct job j = {.total = total, .step = step, .work = work, .context = context};
    uint64_t parts = total / step + (total % step != 0);
    pthread_t more[THREADS_MOST];
    unsigned started = 0;
    threads = threads == 0 ? pv_cores() : threads > THREADS_MOST ? THREADS_MOST : threads;
    while (started + 1 < threads && started + 1 < parts &&
           pthread_create(&more[started], NULL, take_parts, &j) == 0)
        started++;
    take_parts(&j);
    for (unsigned i = 0; i < started; i++)
        pthread_join(more[i], NULL);
}
