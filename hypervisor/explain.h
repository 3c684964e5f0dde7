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

/* `q` was refused with `error`: by the core, which says why, or (NULL) by the hypervisor. false:
 * that is known, from before the guest stood there. */
bool explain_refusal(struct vcpu *v, const struct request *q, const struct core_refusal *why,
                     int error);

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

/* v->stand.answered: is this hypercall the one that the guest stood at? It was made before, and has
 * its answer now. */
bool explain_answered(struct vcpu *v, struct regs *r);

#endif
