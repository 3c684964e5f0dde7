/* SPDX-License-Identifier: MIT */
/*
 * One QEMU process: started, watched, ended. It gets everything by inherited descriptors, dies with
 * this process, and is a process group of its own, so that a Ctrl-C of the terminal does not reach
 * it.
 */
#ifndef PVMM_CLI_QEMU_H
#define PVMM_CLI_QEMU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/* QEMU's record/replay: every input of the machine is kept with the instruction it came at. */
enum play { PLAY_NOT, PLAY_RECORD, PLAY_REPLAY };

struct machine {
    const char *qemu;    /* program */
    const char *machine; /* q35 or pc */
    const char *cpu;
    const char *accel; /* tcg or kvm */
    bool icount;
    unsigned gdb_port;  /* of the debugger stub; 0: none */
    uint64_t megabytes; /* of the machine's memory */
    int ram_fd;         /* memory file of that size */
    int iso_fd;         /* a memory file with a CD image to boot from; -1: the files below */
    int hypervisor_fd;  /* memory files of what is booted */
    int kernel_fd;      /* -1: none, and no module at all */
    int initrd_fd;      /* -1: none */
    int e820_fd;        /* -1: none */
    enum play play;
    int events_fd; /* of play: where QEMU keeps them; -1: none */
    int pipes_dir; /* PLAY_RECORD: a folder in which the serial lines are pipes for a while */
    bool stopped;  /* the machine is made, and does not run until QMP says so */
    const char *hypervisor_arguments;
    const char *guest_arguments;
};

struct qemu {
    pid_t pid;
    int pidfd;            /* readable when the process has ended */
    int com1, com2;       /* our ends, non-blocking */
    int com1_in, com2_in; /* where input goes: the same, but with PLAY_RECORD */
    int qmp;              /* our end of QEMU's monitor, with play only; else -1 */
    int errors;           /* what QEMU prints, non-blocking */
    char said[256];       /* the last line of that */
    size_t said_length;
    bool said_ended; /* the line in `said` is complete; the next byte starts a new one */
};

/* Start it. Failing to is EXIT_ENVIRONMENT. */
int qemu_start(struct qemu *q, const struct machine *m, struct error *e);

/* PLAY_RECORD: QEMU's monitor has answered, so that it has opened its pipes: they need no names. */
void qemu_forget_pipes(int dir);

/* Read what QEMU printed; with `echo` it goes to stderr too. */
void qemu_read_errors(struct qemu *q, bool echo);

/* End it if it still runs, and reap it. Returns the wait status. */
int qemu_end(struct qemu *q);

/* Close our ends of its channels. */
void qemu_close(struct qemu *q);

#endif
