/* SPDX-License-Identifier: MIT */
/* One machine from start to end: its channels, its deadlines, and how it came to an end. */
#ifndef PVMM_CLI_SESSION_H
#define PVMM_CLI_SESSION_H

#include <regex.h>

#include "arrival.h"
#include "bell.h"
#include "console.h"
#include "control.h"
#include "explainer.h"
#include "guest_store.h"
#include "hold.h"
#include "mailbox.h"
#include "qemu.h"
#include "record.h"
#include "stand.h"
#include "target.h"
#include "verdict.h"
#include "xenlog.h"

struct session {
    /* set by the caller */
    bool real_xen;
    bool on_trial;         /* KVM, and nobody knows yet whether it works */
    bool from_disc;        /* firmware and GRUB come before the hypervisor */
    struct target *target; /* of a migration, which ends here; stage TARGET_NONE: there is none */
    bool verbose;
    const regex_t *expect;   /* NULL: none */
    FILE *log;               /* NULL: none */
    int signals;             /* a signalfd for SIGINT, SIGTERM, SIGHUP */
    int64_t deadline;        /* of --timeout */
    struct control *control; /* NULL: the guest has no name */
    struct detach *detach;   /* NULL: stays in the foreground */
    struct explainer *explainer;
    struct guest_store store; /* the fields that are its caller's */
    struct hold hold;         /* likewise */
    struct stand stand;       /* likewise */
    struct record *record;    /* NULL: the run is not recorded */
    struct arrival *arrival;  /* NULL: the guest is built from a kernel */

    /* its own */
    struct qemu qemu;
    struct console *console;
    struct lines lines;
    struct mailbox mailbox;
    struct bell bell;
    struct xen_log xen;
    int ram_fd;
    bool expect_seen;
    enum session_end end;
    int64_t trial_deadline;
    int64_t kill_deadline; /* once an end is known: how long the machine may take to go */
    int64_t quiet_since;   /* last output, for the unfinished line; NEVER: it was looked at */
    int64_t audit_time;    /* more patience for the verdict: the audit looks at every frame */
    struct error trouble;
};

/*
 * Start the machine and stay with it to its end. `console` outlives the session: what was typed but
 * not yet taken is kept for another try. Returns -1 if it could not be started.
 */
int session_run(struct session *s, const struct machine *m, struct console *console,
                struct run_facts *facts, struct error *e);

#endif
