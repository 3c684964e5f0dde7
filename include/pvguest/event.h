/* SPDX-License-Identifier: MIT */
/*
 * Event channels without interrupts: ports are asked, and waited for (<xen/event_channel.h>).
 * Events may stay masked all the time. A kernel that wants upcalls has PVG_TRAP_EVENT (trap.h).
 */
#ifndef PVGUEST_EVENT_H
#define PVGUEST_EVENT_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_PORTS    4096u /* two levels of 64 bits (<xen/xen.h>, EVTCHN_2L_NR_CHANNELS) */
#define PVG_WAIT_MAX 16u   /* ports that one wait can be for */
#define PVG_FOREVER  (~0ull)

/* A port that `remote` may bind to. 0; or what the hypervisor said. So below. */
int pvg_event_offer(struct pvguest *g, domid_t remote, uint32_t *port);
int pvg_event_bind(struct pvguest *g, domid_t remote, uint32_t remote_port, uint32_t *port);
int pvg_event_bind_virq(struct pvguest *g, unsigned virq, uint32_t *port);
int pvg_event_close(struct pvguest *g, uint32_t port);
int pvg_event_send(struct pvguest *g, uint32_t port);

/* Whether the port is pending, and it is so no longer. A port beyond PVG_PORTS never is. */
bool pvg_event_take(struct pvguest *g, uint32_t port);
/*
 * Waits until one of the ports is pending, or system time (pvg_time()) has come to `until`;
 * PVG_FOREVER: no matter when. Takes none of them. 0; -XEN_ETIMEDOUT; -XEN_EINVAL: more than
 * PVG_WAIT_MAX, or no such port, or too early (shared_info is not mapped); or what the hypervisor
 * said. May return early: look, and wait again.
 */
int pvg_event_wait(struct pvguest *g, const uint32_t *ports, unsigned count, uint64_t until);

/* Nanoseconds since the machine started: system time of <xen/xen.h>, vcpu_time_info; 0: too early.
 */
uint64_t pvg_time(struct pvguest *g);

#pragma GCC visibility pop

#endif
