/* SPDX-License-Identifier: MIT */
/*
 * `pvmm run --record DIR`: the folder of recording.h, made while the machine runs. Functions take
 * NULL for a run that is not recorded.
 */
#ifndef PVMM_CLI_RECORD_H
#define PVMM_CLI_RECORD_H

#include "console.h"
#include "qmp.h"
#include "recording.h"
#include "verdict.h"

struct record {
    const char *path; /* as it was given */
    int dir;          /* -1: not made */
    int events_fd;
    struct spool spool; /* the file `console` */
    struct qmp qmp;
    char qemu_version[sizeof(((struct qmp *)0)->version)];
    struct recording_stop stop[PVMM_REPORTS];
    unsigned nr_stops;
    uint64_t instructions; /* known so far */
    bool ended;            /* QEMU was told to end, and its record is whole when it has */
    struct error trouble;  /* why it cannot become whole; code 0: nothing */
};

#define RECORD_NONE                                                                                \
    {                                                                                              \
        .dir = -1, .events_fd = -1, .spool = {.fd = -1}, .qmp = {.fd = -1 }                        \
    }

/* Makes the folder, which must not be there or be empty, and the files of what `m` boots. */
int record_open(struct record *r, const char *path, const struct machine *m, struct error *e);

/* QEMU runs: `fd` is its monitor. */
int record_attach(struct record *r, int fd, struct error *e);

/* The hypervisor waits, with so many reports filed; to be called before it is let go on. */
void record_wait(struct record *r, unsigned filed);

/* QEMU's monitor has something to say. Its machine may be over: then it is told to end. */
void record_news(struct record *r);

/* Ends a QEMU that still runs in such a way that its record is whole; within bounds. */
void record_end(struct record *r, const struct qemu *q);

/*
 * QEMU is gone, with that wait status: the verdict, and recording.json out of `what`, whose stops,
 * instructions and version of QEMU are the record's.
 */
int record_finish(struct record *r, int status, const struct recording *what,
                  const struct report *verdict, struct error *e);

/* Takes back a folder of a machine that was never started. */
void record_discard(struct record *r);

void record_close(struct record *r);

#endif
