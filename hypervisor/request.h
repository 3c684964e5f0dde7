/* SPDX-License-Identifier: MIT */
/* The guest's memory requests, from wherever they come: hypercalls, emulated instructions, faults. */
#ifndef PVMM_HV_REQUEST_H
#define PVMM_HV_REQUEST_H

#include "vcpu.h"

/* Brackets of a request to the core (core_begin, core_end). request_open false: nothing may be done
 * yet and nothing is to be closed; the guest comes again, after its interrupts. */
bool request_open(struct vcpu *v);
void request_close(struct vcpu *v);

/* Counts the core's refusal of what the guest asked for as `what` at `rip`, and writes down why
 * (R10) if `log`. */
void request_refused(struct vcpu *v, const char *what, uint64_t rip, bool log);

/* Loads the guest's kernel root, in the core and in the CPU. Result: the core's. */
int load_kernel_root(struct vcpu *v, mfn_t m);

#endif
