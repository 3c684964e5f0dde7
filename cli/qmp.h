/* SPDX-License-Identifier: MIT */
/*
 * QEMU's monitor (source: QEMU's "QMP Protocol Specification"): a line of JSON for each command,
 * for its answer, and for each event. Every wait has an end, and a QEMU that dies is an error.
 */
#ifndef PVMM_CLI_QMP_H
#define PVMM_CLI_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "clock.h"
#include "error.h"

#define QMP_EVENTS   64 /* kept until they are asked for; the oldest go first */
#define QMP_PATIENCE (30 * SECOND)

struct qmp {
    int fd; /* not taken over */
    char *line;
    size_t used, room;
    struct json_object *event[QMP_EVENTS];
    unsigned events;
    struct json_object *answer; /* to the last command; NULL: none came yet */
    char version[128];          /* of QEMU: "7.2.22 (Debian ...)" */
    uint64_t commands;          /* sent; the last one's id */
};

/* Greets QEMU at `fd` (struct qemu's qmp) and makes the socket non-blocking. */
int qmp_open(struct qmp *q, int fd, struct error *e);

/*
 * One command and its answer, within QMP_PATIENCE. `arguments` (NULL: none) is taken over; *result
 * (NULL: not wanted) is the caller's to put. A refusal is an error with QEMU's own words.
 */
int qmp_command(struct qmp *q, const char *name, struct json_object *arguments,
                struct json_object **result, struct error *e);

/*
 * The same in two halves, for those who have more to do than wait: a command is sent, and its
 * answer is taken when qmp_read() has brought it. One at a time. Taken: 1; not there yet: 0; an
 * error: -1.
 */
int qmp_send(struct qmp *q, const char *name, struct json_object *arguments, struct error *e);
int qmp_answer(struct qmp *q, struct json_object **result, struct error *e);

/*
 * The oldest event of that name that was not taken yet, waited for until `deadline` (clock.h).
 * *event (NULL: not wanted) is the caller's to put. Returns 1: it is there, 0: it did not come, -1:
 * error.
 */
int qmp_wait_event(struct qmp *q, const char *name, int64_t deadline, struct json_object **event,
                   struct error *e);

/* Take in what has come, without waiting: for those who poll q->fd. -1: QEMU hung up. */
int qmp_read(struct qmp *q, struct error *e);

/* The same as qmp_wait_event() of what is there already. */
bool qmp_take_event(struct qmp *q, const char *name, struct json_object **event);

/* Out of query-replay's answer. */
int qmp_icount_of(struct json_object *info, uint64_t *icount, struct error *e);

/* Instructions executed (query-replay); as far as the vCPU has told: it may be further. */
int qmp_icount(struct qmp *q, uint64_t *icount, struct error *e);

void qmp_close(struct qmp *q);

#endif
