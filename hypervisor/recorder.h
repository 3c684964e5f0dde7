/* SPDX-License-Identifier: MIT */
/* The flight recorder (<pvmm/recorder.h>): the last acts on the guest's memory, for the host to
 * read. */
#ifndef PVMM_HV_RECORDER_H
#define PVMM_HV_RECORDER_H

#include <pvmm/recorder.h>

#include "memory.h"

struct regs;

/* Takes the ring's memory, as large as the boot loader's command line wants it; before any memory
 * is handed out. */
void recorder_init(void);
/* From the guest's first instruction on. */
void recorder_start(void);
/* The watch (dirty.h) begins, or has ended. */
void recorder_listen(void);

/*
 * Where in the guest a request comes from: its instruction, or, for a hypercall through a stub that
 * keeps rcx and r11 on the stack and returns right after (Xen's and our hypercall page, and Linux's
 * own since 6.13), what called the stub.
 */
uint64_t guest_origin(const struct regs *r);

#endif
