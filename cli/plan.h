/* SPDX-License-Identifier: MIT */
/* Everything a run is made from, and how it is prepared: all that can be refused before there is a
 * machine. */
#ifndef PVMM_CLI_PLAN_H
#define PVMM_CLI_PLAN_H

#include <regex.h>
#include <stdio.h>

#include "arrival.h"
#include "control.h"
#include "detach.h"
#include "explainer.h"
#include "junit.h"
#include "kernel.h"
#include "options.h"
#include "qemu.h"
#include "record.h"
#include "target.h"

#define MIB (UINT64_C(1) << 20)

struct plan {
    const struct options *o;
    struct kernel kernel; /* of a run */
    int stream_fd;        /* of a restore: what the guest comes out of; -1 */
    struct arrival *arrival;
    struct target target;
    uint8_t begun;      /* the stream's first byte, */
    size_t begun_bytes; /* if that was read already */
    const char *name;   /* the guest's; NULL: none */
    uint64_t memory;    /* bytes, of the guest */
    int initrd_fd;      /* -1: none */
    uint64_t initrd_size;
    int e820_fd; /* -1: none */
    int hypervisor_fd;
    int iso_fd;    /* -1: QEMU loads the files itself */
    int memory_fd; /* keeps the machine's memory; -1: nothing does */
    bool real_xen;
    char *guest_arguments;
    char hypervisor_arguments[1024];
    uint64_t megabytes; /* of the machine */
    bool has_expect;
    regex_t expect;
    FILE *log, *json, *trace;
    struct junit junit;
    char *core; /* where the image of a crashed guest's memory goes; NULL: nowhere */
    struct explainer explainer;
    int signals;
    struct control *control; /* NULL: the guest has no name */
    struct detach detach;
    struct record record;
    char *symbols[SYMBOL_FILES]; /* as for it: absolute */
    int64_t start;
};

/* Nothing is open yet. */
struct plan plan_new(const struct options *o);

/* Does a stream come from standard input? */
bool plan_wants_stdin(const struct plan *p);

/* What begins on standard input, if a stream is to come from there: a migration goes on in the
 * background without being asked to. */
int plan_look_at_stdin(struct plan *p, struct error *e);
bool plan_detaches(const struct plan *p);

/* Opens, reads and checks what the options name. -1: *e says why; plan_close() is due all the same.
 */
int plan_prepare(struct plan *p, struct error *e);

/* What QEMU gets; its memory is made for each. */
struct machine plan_machine(const struct plan *p, const char *accel);

/* When --timeout runs out. */
int64_t plan_deadline(const struct plan *p);

/* Closes all but the control, which has its own moment. */
void plan_close(struct plan *p);

#endif
