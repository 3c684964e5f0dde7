/* SPDX-License-Identifier: MIT */
/* How many frames the domain has: asking, giving, being told (<xen/memory.h>). */
#include "internal.h"

#include <xen/memory.h>

int64_t memory_op(struct pvguest *g, unsigned command, void *argument)
{
    return pvg_hypercall(g, __HYPERVISOR_memory_op, command, (uint64_t)argument, 0, 0, 0);
}

uint64_t reservation_change(struct pvguest *g, unsigned command, xen_pfn_t *frame, uint64_t count,
                            int *rc)
{
    uint64_t done = 0;
    *rc = 0;
    while (done < count) {
        struct xen_memory_reservation r = {.nr_extents = count - done, .domid = DOMID_SELF};
        set_xen_guest_handle(r.extent_start, frame + done);
        int64_t n = memory_op(g, command, &r);
        if (n <= 0) {
            *rc = n < 0 ? (int)n : -XEN_EBUSY;
            break;
        }
        done += (uint64_t)n < count - done ? (uint64_t)n : count - done;
    }
    return done;
}
