/* SPDX-License-Identifier: MIT */
/*
 * A recorded run: a folder that has all that a replay needs, and what came of the run. Nothing in
 * it is trusted when it is read.
 *
 *   recording.json   what is below; written last, so that without it the recording is not complete
 *   hypervisor, kernel, initrd, e820   what was booted, as QEMU gets it (kernel: unwrapped)
 *   events           QEMU's record of every input of the machine, with the instruction it came at
 *   console          what the guest printed
 *   verdict.json     as --json has it, of the recorded run
 */
#ifndef PVMM_CLI_RECORDING_H
#define PVMM_CLI_RECORDING_H

#include "qemu.h"

#define RECORDING_VERSION 1

/* A report that was filed, while the hypervisor waited for it to be read. */
struct recording_stop {
    uint64_t icount; /* instructions executed until then: the guest stood still */
    unsigned filed;  /* reports in the mailbox at that time */
};

struct recording {
    char *dir;
    char *qemu_version; /* "7.2.22 (Debian ...)": another one need not take the same steps */
    char *kernel;       /* name by which it was given */
    char *hypervisor;   /* "pvmm", or a path */
    bool real_xen;
    uint64_t memory; /* of the guest, bytes */
    char *machine, *cpu;
    uint64_t megabytes; /* of the machine */
    char *hypervisor_arguments, *guest_arguments;
    char **symbols; /* files given by --symbols, absolute */
    unsigned nr_symbols;
    bool symbols_anyway; /* also those of another kernel */
    bool has_initrd, has_e820, store;
    struct recording_stop *stop;
    unsigned nr_stops;
    uint64_t
        instructions; /* of the whole run; a few after the end of the machine may be among them */
    int exit_code;    /* of the recorded run */
};

/* Reads and checks the folder; errors are EXIT_UNREADABLE. */
int recording_open(const char *dir, struct recording *r, struct error *e);
void recording_close(struct recording *r);

/* *fd: the kernel whose symbols are --symbols; -1: of a real Xen's run they may be Xen's as well.
 */
int recording_kernel(const struct recording *r, int *fd, struct error *e);

/* What QEMU gets to play it: files are opened, memory is made; m->play is set. */
int recording_machine(const struct recording *r, struct machine *m, struct error *e);
void recording_machine_close(struct machine *m);

#endif
