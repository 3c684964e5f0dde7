/* SPDX-License-Identifier: MIT */
/* A save stream that is taken in and localised; its last byte says whether the guest ran. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transfer.h"

#define FRAMES 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint8_t memory[FRAMES][4096]; /* the sanitizer watches what is around it */
static unsigned given;

static int begin(void *context, const struct pv_taken *t, struct pv_error *e)
{
    (void)context;
    (void)e;
    if (t->end_pfn > FRAMES)
        abort();
    return 0;
}

static int frame(void *context, void **at, mfn_t *m, struct pv_error *e)
{
    (void)context;
    (void)e;
    if (given == FRAMES)
        abort(); /* there are no more pfns than that */
    *at = memory[given];
    *m = mfn(given++);
    return 0;
}

static void *bytes_at(void *context, mfn_t m)
{
    (void)context;
    if (m.n >= given)
        abort();
    return memory[m.n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct pv_take_ops ops = {begin, frame};
    static int fd = -1;
    struct pv_take_options o = {.max_pfns = FRAMES, .max_vcpus = 2, .live = n && data[n - 1] & 1};
    struct pv_take_start now = {.shared_info = mfn(0x777), .store_port = 1, .console_port = 2};
    struct pv_taken *t;
    struct pv_error e = {""};
    if (fd < 0)
        fd = memfd_create("input", MFD_CLOEXEC);
    if (ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n || lseek(fd, 0, SEEK_SET))
        abort();
    given = 0;
    if ((pv_take(&t, fd, &ops, NULL, &o, &e) || pv_take_localise(t, bytes_at, NULL, &now, &e)) &&
        !e.text[0])
        abort();
    pv_taken_free(t);
    return 0;
}
