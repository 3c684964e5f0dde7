/* SPDX-License-Identifier: MIT */
/* What the parts of the machine know of each other: here the core's types rule. */
#ifndef PVGUEST_TEST_INSIDE_H
#define PVGUEST_TEST_INSIDE_H

#include "machine.h"
#include "world.h"

#define TEXT_MAX     (1u << 18)
#define CALLS_KEPT   16u
#define M2P_BASE     0xffff800000000000ull /* HYPERVISOR_VIRT_START of <xen/arch-x86/xen-x86_64.h> */
#define OTHER_FRAMES 32u                   /* of the other domain */

/* One hypercall in the ring that a failure prints. */
struct made {
    unsigned number;
    bool nested, injected;
    uint64_t arg[5];
    int64_t result;
};

/* Fails the n-th from now. */
struct injection {
    uint64_t in;
    int error;
};

/* hc_event.c */
#define EVENT_PORTS 64u

enum event_state {
    EVENT_FREE,
    EVENT_UNBOUND, /* `remote`: the domain that may bind */
    EVENT_SELF,    /* `remote`: the other end, a port of the guest's own */
    EVENT_VIRQ,    /* `remote`: which */
    EVENT_PEER,    /* the store's or the console's */
};

struct event_port {
    enum event_state state;
    uint16_t remote;
};

struct machine_events {
    struct event_port port[EVENT_PORTS];
    uint64_t clock; /* ns */
    machine_peer *peer;
    struct injection call;
    uint64_t calls;
};

struct machine {
    struct world *w;
    struct core_domain *d;
    struct core_vcpu *v;
    struct machine_params params;
    struct machine_layout layout;
    uint64_t *p2m; /* as the builder gave the frames; nr_pages */
    uint16_t console_port;
    uint64_t shared; /* shared_info's frame */
    int on_suspend;
    uint64_t suspends;
    uint64_t populated, released;
    struct machine_events events;

    struct injection call, element;
    uint64_t calls, elements;
    int failed_at;
    struct made made[CALLS_KEPT];
    uint64_t nr_made;

    char console[TEXT_MAX];
    size_t console_length;
};

extern struct machine the_machine;

/* access.c */
void access_init(void);
void access_flush_page(uint64_t va);
void access_flush_all(void);  /* global translations, too */
void access_flush_root(void); /* as a load of a root does */
/* Shows the world what is cached, for its own check (R9). */
void access_show(struct machine *m);

/* hypervisor.c, hc_memory.c */
typedef int64_t hypercall_handler(struct machine *m, const uint64_t arg[5]);
hypercall_handler do_memory_op;
/* hc_suspend.c: the result, of a suspend that does not end the run. */
int64_t suspend_domain(struct machine *m, uint64_t info);
void suspend_relinquish(struct machine *m);
void request_begin(struct machine *m);
void request_end(struct machine *m);
/* The next element: 0, or the error that it is to fail with. */
int element_next(struct machine *m);
void print_calls(struct machine *m);
void drain_ring(struct machine *m);

/* hc_event.c */
struct sched_poll;
hypercall_handler do_event_channel_op;
int64_t do_poll(struct machine *m, const struct sched_poll *p);
void events_init(struct machine *m);

/* hc_grant.c */
hypercall_handler do_grant_table_op;
void grants_init(void);
void grants_end(struct machine *m); /* the frames that were lent to a domain that is gone */
bool grants_unused(struct machine *m); /* there is a table; the test fails when it is in use */
void grants_first_frame(struct machine *m); /* of the blank table that a new domain has */
bool grants_reach(uint64_t n, bool write); /* the guest has another's frame mapped by a grant */

/* machine_store.c: another store, where there was one; the ring is blank. */
void store_moved(struct machine *m);

/* builder.c: the domain's pages, tables, start_info; pins and loads its root. */
void builder_build(struct machine *m);
void *page_content(struct machine *m, uint64_t pfn);
uint64_t page_machine_frame(struct machine *m, uint64_t pfn);

#endif
