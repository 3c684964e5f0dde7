/* SPDX-License-Identifier: MIT */
/*
 * Moments of a recorded run: where a finding arose (until.h), and who stored an entry
 * (whostored.h). Both play the recording several times, each time only as far as they must.
 */
#ifndef PVMM_CLI_SEEK_H
#define PVMM_CLI_SEEK_H

#include <stdio.h>

#include "findings.h"
#include "scene.h"

/* What the command line asks for; the recording is open. */
struct seek_question {
    const struct recording *recording;
    const char *until;      /* a finding's id; NULL: none */
    const char *who_stored; /* an entry; NULL: none */
    unsigned gdb_port; /* stand there, with QEMU's debugger stub at that port; 0: do not. Without
                          who_stored: STAND_PORT if 0 */
    const char *json;  /* file for the answer; NULL: none */
    const char *qemu;  /* program */
    bool any_qemu;     /* of another version than the record's, too */
    double timeout;    /* seconds in which what is sought is to be found; 0: none */
    char *const *symbols;
    unsigned nr_symbols;
    bool symbols_anyway; /* also those of another kernel */
};

/* Seeks, and tells. Returns the exit code; -1: an error, of which nothing is said yet. */
int seek(const struct seek_question *q, struct error *e);

/* ---- for until.c and whostored.c */

struct seeking {
    const struct seek_question *question;
    struct findings findings;
    struct playing playing;
    struct scene scene;
    FILE *json; /* NULL: not wanted */
};

/* "gdb -ex ...", for a machine that stands; and stays with it until a debugger lets it go. */
int seek_stand(struct seeking *s, struct pass *p, struct error *e);
/* Of the debugger stub; 0: nobody wants to stand. */
unsigned seek_port(const struct seek_question *q);
/* "instruction 31 of 4711", and the time of the guest's. */
void seek_when(const struct seeking *s, const struct moment *m, char *text, size_t size);
struct json_object *seek_moment_json(const struct moment *m);
int seek_write_json(struct seeking *s, struct json_object *o, struct error *e);

#endif
