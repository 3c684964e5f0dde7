/* SPDX-License-Identifier: MIT */
/* What the parts that make up a running domain offer to each other. */
#ifndef PVMM_HV_DOMAIN_H
#define PVMM_HV_DOMAIN_H

#include "machine.h"
#include "traps.h"

#define GUEST_DOMAIN_ID 1u

/* ---- domain.c */

/* DOMID_SELF or a domain's own number; NULL: there is none. */
struct domain *domain_by_id(uint16_t id);
struct vcpu *domain_vcpu(struct domain *d, uint64_t id); /* NULL: it does not exist */
/* Fills the machine-independent half of a fresh domain and its vCPUs. */
void domain_init(struct domain *d, uint64_t pages);
/*
 * A page of the guest on which no reference is held, for the hypervisor to write right now: NULL
 * unless it is still the domain's and no table, lest the stores forge entries behind the core's
 * back (R2). Nothing else may run between this check and the stores.
 */
void *domain_page(const struct domain *d, mfn_t m);

/* ---- events.c: event channels, of the two-level ABI until the guest asks for fifo.c's */

/* A free port, now reserved; 0: none left. */
unsigned event_port_take(struct domain *d);
void event_port_free(struct domain *d, unsigned port);
bool event_port_known(const struct domain *d, uint32_t port);
bool event_port_pending(const struct domain *d, unsigned port);
/* Makes a port pending and notifies its vCPU unless it is masked. */
void event_raise(struct domain *d, unsigned port);
void event_unmask(struct domain *d, unsigned port);
/* Those that wait for this port to be pending. */
void event_wake_pollers(struct domain *d, unsigned port);
/* Raises what is bound to `virq` on v, if anything. */
void event_virq(struct vcpu *v, unsigned virq);
/* Marks an upcall as due on v and wakes it. */
void event_notify(struct vcpu *v);

/* ---- grant.c. Results are the ABI's GNTST_*. */

void grant_init(struct domain *d);
/* At least so many frames; false: more than there may be, or no memory. */
bool grant_grow(struct domain *d, unsigned frames);
/* Marks entry `ref` as used by the domain itself and pins its frame, until it is released. */
int grant_acquire(struct domain *d, uint32_t ref, bool writable, bool for_mapping, mfn_t *out);
void grant_release(struct domain *d, uint32_t ref, bool writable);
int grant_swap(struct domain *d, uint32_t a, uint32_t b);
bool grant_handle_free(const struct domain *d); /* one is left to take */
uint32_t grant_handle_take(struct domain *d, uint32_t ref, uint32_t flags);
const struct grant_map *grant_handle(const struct domain *d, uint32_t handle); /* NULL: no such */
void grant_handle_put(struct domain *d, uint32_t handle);

/* ---- sched.c */

void vcpu_wake(struct vcpu *v);
/* Has timers, console, channel, store, and whether v may run at all, looked at on the way back into
 * the guest. Whoever gives reason for it must ask. */
void attend(void);
/* A timer of v was set or stopped. */
void timers_changed(void);
/* Accounts the time since the last change to v's present state, and enters `state`. */
void runstate_enter(struct vcpu *v, int state);
/* The state up to now. */
void runstate_now(const struct vcpu *v, vcpu_runstate_info_t *out);
/* Writes it to the guest's registered area, if it has one that can be reached now. */
void runstate_publish(struct vcpu *v);

/* ---- vtime.c */

void domain_started(struct domain *d); /* built: its first instruction is next */
void vtime_publish(struct vcpu *v);
void vtime_wallclock(struct domain *d);

/* ---- console.c */

/* Moves out[] to COM1 and what COM1 received to in[]; raises the port when anything moved. */
void console_serve(struct domain *d);
bool console_input_waits(void);

/* ---- xenstore.c */

/* Moves the guest's requests to the mailbox and what the host sent to the guest's ring. */
void xenstore_serve(struct domain *d);
bool xenstore_input_waits(void);
/* What COM2 brought, in interrupt context: a byte for the guest; n more bytes the host took. */
void xenstore_receive(uint8_t byte);
void xenstore_taken(unsigned n);

/* ---- channel.c */

void channel_domain(const struct domain *d); /* publishes the numbers of the domain built */
bool channel_stop_requested(void);
bool channel_go(void);           /* the host let the guest go on, since this was asked last */
bool channel_pause_wanted(void); /* a pause was asked for, and no unpause since */
bool channel_unpaused(void);     /* an unpause was, since this was asked last */
/* PVMM_BELL_ROUND and PVMM_BELL_UNWATCH, ever; *round: which was the last. */
uint64_t channel_dirty_bells(bool *round);
bool channel_build_requested(void); /* PVMM_BELL_BUILD came, at whatever time */
void channel_poll(void);            /* takes what COM2 has received, without an interrupt */
void channel_input(void);           /* COM2 received something */
void channel_received(unsigned line, uint64_t bytes); /* of a serial line, ever */

#endif
