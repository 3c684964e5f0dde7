/* SPDX-License-Identifier: MIT */
/* What the host needs to read the guest's memory (<pvmm/machine.h>). */
#ifndef PVMM_HV_PUBLISH_H
#define PVMM_HV_PUBLISH_H

#include "vcpu.h"

/* Where things lie; once, when the guest is built. */
void publish_machine(const struct domain *d);

/* What is known of a domain that waits for its pages. */
void publish_empty(const struct domain *d);

/* The state of the vCPU that this CPU runs, with *r as its registers. Selectors of data segments
 * are not there: the hypervisor leaves them alone and does not keep them. */
void publish_context(struct vcpu *v, const struct regs *r);

#endif
