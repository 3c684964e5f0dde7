/* SPDX-License-Identifier: MIT */
/* What there is to say at the end of a run: decided once, told as text and as JSON. */
#ifndef PVMM_CLI_VERDICT_H
#define PVMM_CLI_VERDICT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <pvmm/channel.h>

#include "error.h"
#include "explainer.h"

/* What ended the session, seen from the host. */
enum session_end {
    END_NONE,
    END_GUEST,     /* the hypervisor says the guest is over */
    END_MACHINE,   /* QEMU ended without the hypervisor having said so */
    END_EXPECT,    /* --expect was seen */
    END_TIMEOUT,   /* --timeout ran out */
    END_INTERRUPT, /* SIGINT, or a key that quits */
    END_TERMINATE, /* SIGTERM or SIGHUP */
    END_DESTROY,   /* `pvmm destroy` */
    END_OUTPUT,    /* standard output cannot be written */
    END_CHANNEL,   /* the hypervisor and this tool do not understand each other */
    END_ARRIVAL,   /* the guest to be restored cannot be brought in */
    END_NO_HELLO,  /* the hypervisor did not come up in time (only on trial of KVM) */
};

/* The facts a verdict is made from. */
struct run_facts {
    enum session_end end;
    bool expect_given, expect_seen;
    bool real_xen;
    bool from_disc;   /* GRUB was the boot loader */
    bool hello;       /* the hypervisor came up (never under a real Xen) */
    bool has_verdict; /* `verdict` was read from the mailbox */
    bool ended;       /* ... and it is complete */
    bool saved;       /* `pvmm save` ended it, or `pvmm migrate`: */
    bool moved;
    struct pvmm_verdict verdict; /* under a real Xen: outcome and message only */
    int qemu_status;             /* of waitpid(), with END_MACHINE */
    char qemu_said[256];
    char trouble[ERROR_CHARS]; /* with END_CHANNEL and END_ARRIVAL */
    int trouble_code;          /* enum exit_code, of it */
    char blame[160];           /* of which page of a stream the hypervisor's refusal speaks */
    char log_tail[4096];       /* the end of the hypervisor's log, whole lines */
    double timeout;
    double wall; /* seconds */
};

/* The image of the guest's memory. */
struct core_facts {
    const char *path; /* NULL: none was wanted */
    bool written;
    uint64_t bytes;        /* on its disk */
    char why[ERROR_CHARS]; /* it could not be written */
};

struct json_object;

struct report {
    int exit_code;
    const char *outcome;                     /* one word for programs */
    char message[ERROR_CHARS + 64];          /* for people */
    const char *kernel, *hypervisor, *accel; /* accel is NULL if no machine was started */
    uint64_t memory;
    struct run_facts facts;
    bool restored;                     /* from a stream, which `kernel` names */
    bool strict;                       /* findings of the publication check count */
    const struct explainer *explainer; /* NULL: none */
    struct core_facts core;
    const char *recording; /* folder; NULL: none */
    uint64_t instructions; /* of it; 0: it is not complete */
};

/* From facts to exit code, word and message. */
void report_decide(struct report *r);

/* A run that failed before there was a machine. */
void report_error(struct report *r, const struct error *e);

/* Did the guest run under our hypervisor, and is it over? */
bool report_guest_is_over(const struct report *r);

/* For people. */
void report_print(const struct report *r, FILE *out);

/* For programs. */
struct json_object *report_to_json(const struct report *r);

/* The same, written. Returns -1 if it cannot be written. */
int report_json(const struct report *r, FILE *out);

/* Names from the ABI's lists; NULL where there is none. */
const char *hypercall_name(unsigned number);
const char *frame_type_name(unsigned type);

#endif
