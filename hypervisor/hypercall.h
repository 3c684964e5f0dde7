/* SPDX-License-Identifier: MIT */
/*
 * One hypercall under way, and what the handlers share.
 *
 * A handler decodes and checks its arguments, then acts. It returns the guest's result, or asks to
 * be issued again (call_restart) after leaving in `arg` what remains to be done: the guest then
 * executes its SYSCALL once more, with pending interrupts taken in between.
 */
#ifndef PVMM_HV_HYPERCALL_H
#define PVMM_HV_HYPERCALL_H

#include <xen/errno.h>

#include "domain.h"
#include "request.h"

struct call {
    struct vcpu *v;
    struct regs *regs; /* of the guest, as interrupted by SYSCALL */
    uint64_t number;
    uint64_t arg[6]; /* a SYSCALL carries five */
    bool restart;    /* not finished: issue it again with `arg` */
    bool nested;     /* an element of a multicall */
    bool noted;      /* its refusal is reported and logged already */
};

typedef int64_t call_handler(struct call *c);

/* To be returned by a handler that wants to be issued again. */
static inline int64_t call_restart(struct call *c)
{
    c->restart = true;
    return 0;
}

/* Brackets of a single memory request (core_begin and core_end). request_begin false: nothing may
 * be done yet, return call_restart(). request_end takes the core's result, sees to everything owed,
 * notes a refusal, and gives what the handler returns. */
bool request_begin(struct call *c);
int64_t request_end(struct call *c, int rc);
/* The request was refused, by the core (R10) or before it got there: counts that, reports and logs
 * it. The second is for lists: element `index` of `count`, of which the first words are `element`
 * (NULL: not known). */
void note_refusal(struct call *c, int rc);
void note_refusal_at(struct call *c, int rc, uint64_t index, uint64_t count,
                     const uint64_t element[3]);

/* A list begins at `list`, perhaps not for the first time: how many of its elements were done by
 * then. Pausing it says so for the next time. */
static inline uint64_t progress_take(struct progress *p, uint64_t list)
{
    uint64_t done = p->next == list ? p->done : 0;
    *p = (struct progress){0, 0};
    return done;
}

const char *hypercall_name(uint64_t number); /* "?" if it has none */

call_handler hc_mmu_update, hc_mmuext_op, hc_update_va_mapping,
    hc_update_va_mapping_otherdomain; /* hc_mmu.c */
call_handler hc_memory_op;            /* hc_memory.c */
call_handler hc_set_gdt, hc_update_descriptor, hc_set_segment_base, hc_stack_switch; /* hc_desc.c */
call_handler hc_set_trap_table, hc_set_callbacks, hc_callback_op, hc_nmi_op, hc_fpu_taskswitch,
    hc_set_debugreg, hc_get_debugreg, hc_vm_assist;                      /* hc_trap.c */
call_handler hc_vcpu_op, hc_set_timer_op;                                /* hc_vcpu.c */
call_handler hc_event_channel_op;                                        /* hc_event.c */
call_handler hc_sched_op, hc_sched_op_compat;                            /* hc_sched.c */
call_handler hc_grant_table_op;                                          /* hc_grant.c */
call_handler hc_xen_version, hc_console_io, hc_physdev_op, hc_xenpmu_op; /* hc_misc.c */

/* hc_grant_map.c: steps of batches, one element at `at` of the guest's memory. 0, -EFAULT, or
 * CORE_RESTART: the element is still to be done. */
int64_t grant_map_step(struct call *c, gva_t at);
int64_t grant_unmap_step(struct call *c, gva_t at);
int64_t grant_replace_step(struct call *c, gva_t at);
void grant_flush(void); /* after a turn of a batch: what was unmapped leaves the TLB */

#endif
