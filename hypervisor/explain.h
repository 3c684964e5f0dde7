/* SPDX-License-Identifier: MIT */
/*
 * Reports (<pvmm/report.h>): what is known at the moment when the guest breaks the memory contract,
 * or ends. The host tool makes words of them.
 */
#ifndef PVMM_HV_EXPLAIN_H
#define PVMM_HV_EXPLAIN_H

#include "request.h"

/* From the guest's first instruction on; takes the options of the boot loader's command line. */
void explain_init(void);

/* The core refused `q` with v->mem.refusal, or (error differs from the refusal's) the hypervisor
 * did. */
void explain_refusal(struct vcpu *v, const struct request *q, int error);

/* The guest kernel's store to `va` faulted on a present mapping. Whether that is one of its own
 * that it may not write to is found out here. true: the guest is to execute the instruction again.
 */
bool explain_write_fault(struct vcpu *v, const struct regs *r, gva_t va);

/* The domain is over because of `message`, `va` being the address it is about (NO_INDEX: none).
 * true: not yet, the guest is to go on at *r, where a debugger waits for it. */
bool explain_crash(struct vcpu *v, struct regs *r, gva_t va, const char *message);

/* v->stand.due: waits until the host, who has its debugger ready, lets the guest go on at *r, which
 * is the instruction that is to blame. */
void explain_stand(struct vcpu *v, struct regs *r);

#endif
