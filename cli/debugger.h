/* SPDX-License-Identifier: MIT */
/*
 * The guest made to stand at one of its instructions, by way of QEMU's debugger stub (GDB's remote
 * serial protocol). QEMU stops the machine when somebody connects, and leaves it stopped when they
 * go: so the guest still stands there when a person's debugger comes.
 */
#ifndef PVMM_CLI_DEBUGGER_H
#define PVMM_CLI_DEBUGGER_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* Connects to the stub at that port of this host; a descriptor, or -1. The machine stops. */
int debugger_connect(unsigned port, struct error *e);

/* Where the machine is to stop, by the numbers of the protocol. */
enum debugger_point {
    POINT_EXECUTE = 1, /* before the instruction there */
    POINT_STORE = 2,   /* after a store there */
};
/* Sets or clears one, while the machine stands. */
int debugger_point(int fd, enum debugger_point kind, bool set, uint64_t address, unsigned bytes,
                   struct error *e);

/* Executes one instruction. One that faults is not executed: the machine stands where its trap led.
 */
int debugger_step(int fd, struct error *e);

/* Lets the machine run, to stop before it executes what is at `address`. */
int debugger_run_to(int fd, uint64_t address, struct error *e);

/* Waits until it does, and takes the breakpoint away. */
int debugger_arrived(int fd, uint64_t address, struct error *e);

/* Has the stub forget the breakpoint, and lets the machine run. */
int debugger_leave(int fd, struct error *e);

#endif
