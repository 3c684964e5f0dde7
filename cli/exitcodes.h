/* SPDX-License-Identifier: MIT */
/* Exit codes; those of `pvmm run` fit `git bisect run` and are part of the command's interface. */
#ifndef PVMM_CLI_EXITCODES_H
#define PVMM_CLI_EXITCODES_H

enum exit_code {
    EXIT_CLEAN = 0,         /* powered off, rebooted, or --expect was seen */
    EXIT_CRASHED = 1,       /* the guest crashed, or ended without showing --expect */
    EXIT_NO_GUEST = 1,      /* of the other commands: no guest of that name is running */
    EXIT_FINDINGS = 1,      /* of `pvmm check` and `pvmm lint`: findings; of those that look
                               something up in an image: what was asked for is not there */
    EXIT_DIFFERENT = 1,     /* of `pvmm diff` */
    EXIT_UNREADABLE = 2,    /* of the commands on files: the file cannot be read */
    EXIT_TIMEOUT = 124,     /* --timeout ran out */
    EXIT_UNTESTABLE = 125,  /* this kernel or initrd cannot be tested */
    EXIT_ENVIRONMENT = 128, /* no QEMU, no memory, unreadable hypervisor, ... */
    EXIT_USAGE = 129,       /* the command line is wrong */
    EXIT_INTERRUPTED = 130, /* SIGINT, or a key that quits */
    EXIT_HYPERVISOR = 131,  /* the hypervisor failed, or its audit found differences */
    EXIT_NOT_YET = 132,     /* an option that is planned, but not there yet */
    EXIT_DESTROYED = 133,   /* `pvmm destroy` ended the guest */
    EXIT_UNRESOLVED =
        134,             /* of `pvmm migrate`: nobody knows whether the guest runs at the target */
    EXIT_TOO_FAST = 135, /* a guest that writes faster than it is copied was given up */
    EXIT_TERMINATED = 143, /* SIGTERM or SIGHUP */
};

#endif
