/* SPDX-License-Identifier: MIT */
/* In place of guest/trap.c and its entry: on the host the guest meets no exceptions. */
#include "internal.h"

#include <xen/callback.h>

int traps_init(struct pvguest *g)
{
    trap_info_t none = {0};
    int64_t rc = pvg_hypercall(g, __HYPERVISOR_set_trap_table, (uintptr_t)&none, 0, 0, 0, 0);
    return rc ? fail(g, (int)rc, "set_trap_table: %s", error_name((int)rc)) : 0;
}

uint64_t pvg_fault_address(struct pvguest *g)
{
    (void)g;
    return port_cr2();
}
