/* SPDX-License-Identifier: MIT */
/*
 * `pvmm replay --who-stored ENTRY`: the instruction that stored what stands in a page-table entry.
 * Unlike the flight recorder, which has the requests alone, it finds plain stores, too.
 */
#ifndef PVMM_CLI_WHOSTORED_H
#define PVMM_CLI_WHOSTORED_H

#include "narrow.h"
#include "seek.h"

enum storer {
    STORER_FIRMWARE,
    STORER_BUILDER,    /* the hypervisor, before the guest ran */
    STORER_REQUEST,    /* the hypervisor, as the guest asked it to */
    STORER_EMULATION,  /* the hypervisor, in place of a store of the guest's that faulted */
    STORER_HYPERVISOR, /* the hypervisor, for reasons of its own, or not known */
    STORER_KERNEL,     /* a plain store of the guest's */
    STORER_USER,
};

struct who_stored {
    /* the question */
    uint64_t address;             /* machine address of the entry */
    const struct finding *before; /* the finding at whose time its value counts; NULL: the end */
    uint64_t end;                 /* that time, in instructions */

    /* the answer */
    bool found;
    struct change change;
    struct narrow_watch watch;
    char frame[64];               /* the table, "mfn 0x12 (pfn 0x34)" */
    struct explain_entry was, is; /* before and after the store */
    struct explain_entry final;   /* at the end, with what CPU and hypervisor have set since */
    enum storer storer;
    struct moment store; /* before the instruction */
    bool has_va;
    uint64_t va; /* that it stores to */

    /* of requests and emulated stores */
    struct pvmm_record record;
    struct explain_symbol asker;
    bool asked_at; /* seconds */
    double seconds;
    bool has_guest;
    struct moment guest; /* behind the request */
};

/* "MFN:SLOT", a machine address, or a finding's id. The kind of error decides the exit code. */
int who_stored_parse(const struct seeking *s, const char *text, struct who_stored *w,
                     struct error *e);

/* Returns the exit code, or -1 with *e. */
int who_stored_seek(struct seeking *s, struct error *e);

/* whostored_tell.c */
void who_stored_text(const struct seeking *s, const struct who_stored *w, FILE *out);
struct json_object *who_stored_json(const struct seeking *s, const struct who_stored *w);

#endif
