/* SPDX-License-Identifier: MIT */
/* The ways to end. */
#include "internal.h"

#include <xen/sched.h>

_Noreturn void pvg_shutdown(struct pvguest *g, unsigned reason)
{
    struct sched_shutdown how = {.reason = reason};
    pvg_hypercall(g, __HYPERVISOR_sched_op, SCHEDOP_shutdown, (uintptr_t)&how, 0, 0, 0);
    port_stop();
}
