/* SPDX-License-Identifier: MIT */
/*
 * A domain and its vCPUs as the hypervisor runs them. The memory contract's half of each lives in
 * core/ (struct core_domain, struct core_vcpu) and is embedded here.
 */
#ifndef PVMM_HV_VCPU_H
#define PVMM_HV_VCPU_H

#ifndef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ 0x00040e00 /* the headers' newest structures and names */
#endif
#include <stdint.h>

#include <xen/xen.h>
#include <xen/vcpu.h>
#include <xen/callback.h>
#include <xen/event_channel.h>

#include "core.h"
#include "e820.h"
#include "fifo.h"
#include "grant.h"
#include "regs.h"
#include "store.h"
#include <pvmm/channel.h>

#define MAX_VCPUS    1u    /* vCPUs a domain may have; the ABI's shared_info holds 32 */
#define EVTCHN_PORTS 4096u /* ports of the 2-level ABI on x86-64 (<xen/event_channel.h>) */

/* Where the guest wants to be entered. flags: bit 0 mask events on entry. */
struct guest_callback {
    uint64_t address; /* 0: none */
    bool mask_events;
};

/* One trap of the guest's table (trap_info_t, checked). address 0: none. */
struct guest_trap {
    uint64_t address;
    uint16_t cs;
    uint8_t dpl; /* 0..3: who may raise it by INT n */
    bool mask_events;
};

/* The guest stands at an instruction of its own, for a debugger (explain.c). */
struct stand {
    bool due;        /* before it goes on */
    bool over;       /* it did, and the instruction is not done yet */
    bool answered;   /* that is a hypercall, and its result is `answer` */
    bool in_earnest; /* that is a hypercall, and was not made yet: it ends the domain */
    uint64_t rip, rsp, rax;
    uint64_t answer;
};

/* A list that the guest issues again from `next` on, where `done` elements lie before it. */
struct progress {
    uint64_t next, done;
};

struct vcpu {
    struct core_vcpu mem; /* roots, GDT, LDT: see core.h */
    struct domain *domain;
    unsigned id;
    bool online;    /* initialised and up */
    bool blocked;   /* waits for an event */
    bool suspended; /* by its own request, which the host is to decide about (hold.c) */
    bool in_kernel; /* guest-kernel mode (rings do not tell: both modes run at CPL 3) */

    struct regs regs; /* while not running; while running they lie on the CPU's stack */

    uint64_t kernel_ss, kernel_sp; /* stack_switch */
    struct guest_trap traps[256];
    struct guest_callback event, syscall, syscall32, sysenter;
    struct guest_callback failsafe; /* kept only: no selector is loaded for the guest */
    uint64_t fs_base, gs_base_kernel, gs_base_user;
    uint16_t ds, es, fs, gs; /* while not running */
    uint64_t debugreg[8];
    uint64_t guest_cr0, guest_cr4; /* what the guest reads back */
    unsigned iopl;

    vcpu_info_t
        *info; /* hypervisor's mapping of the registered vcpu_info (starts in shared_info) */
    gva_t runstate_va; /* 0: none */
    vcpu_runstate_info_t runstate;
    uint32_t time_version; /* of what the guest reads in info->time; even between updates */
    gva_t time_va;         /* the guest's second copy of it; 0: none */
    uint64_t timer_due;    /* ns of system time; 0: not set. VIRQ_TIMER fires then */
    uint64_t period_ns;    /* of the periodic VIRQ_TIMER; 0: off */
    uint64_t period_last;  /* when it last fired */
    uint64_t poll_timeout; /* ns; 0: not polling or no timeout */
    bool polling;          /* blocked in SCHEDOP_poll */
    uint32_t poll_port;    /* the one port it waits for; 0: any of several */
    struct {              /* where the last direct store found the L1 entry that maps its target: */
        uint64_t page;    /* page of the guest's address; ~0: nowhere */
        uint64_t changes; /* the core's upper_changes then */
        const uint64_t *entry;
    } store_target;
    struct insn_text store_text;  /* the last direct store to a table (n 0: none), */
    struct store_form store_form; /* and what its bytes mean */
    bool nmi_pending, nmi_masked;
    uint64_t recorded_as;     /* its number, as it stands in a record */
    uint64_t multicall_index; /* elements under way, for reports */
    uint64_t grant_index, grant_count;
    struct progress multicall, batch; /* lists that paused */
    struct stand stand;
    uint16_t virq_port[24]; /* port bound to each VIRQ on this vCPU; 0: none */
    struct fifo_queues queues;
};

enum port_state {
    PORT_FREE = 0,
    PORT_RESERVED,
    PORT_UNBOUND,
    PORT_INTERDOMAIN,
    PORT_VIRQ,
    PORT_IPI
};

struct port {
    uint8_t state; /* enum port_state */
    uint8_t vcpu;  /* notified vCPU */
    uint8_t virq;
    uint8_t host;           /* enum host_port: the other end is the hypervisor's own device */
    uint16_t remote_domain; /* PORT_UNBOUND: who may bind */
    uint16_t remote_port;
    uint8_t priority, queue; /* of the FIFO ABI: for its next event; of its last */
    bool pending;            /* by it, until there is a word that says so */
};

/* Ends of channels that the hypervisor itself serves. */
enum host_port { HOST_PORT_NONE = 0, HOST_PORT_CONSOLE, HOST_PORT_STORE };

struct domain {
    struct core_domain mem;
    struct vcpu vcpu[MAX_VCPUS];
    unsigned nr_vcpus;

    shared_info_t *shared; /* hypervisor's mapping */
    mfn_t shared_mfn;
    struct port ports[EVTCHN_PORTS];
    unsigned ports_known; /* ports below this have been in use; grows in steps */
    struct fifo fifo;
    uint16_t console_port, store_port; /* 0: none, or the guest closed it */
    mfn_t console_mfn, xenstore_mfn;
    pfn_t start_info;
    gva_t virt_base;       /* of pfn 0 in the builder's tables */
    uint64_t build_frames; /* frames given at build = start_info.nr_pages */
    uint32_t vm_assist;

    bool ended;             /* no vCPU may run any more */
    uint64_t entry_time_ns; /* system time of the first instruction */
    uint64_t own_frames;    /* RAM that was the hypervisor's own then */

    struct grant_table grants;
    struct e820_map e820; /* answered, not followed */
};

/* The one domain, for now, and the vCPU that this CPU runs. */
extern struct domain the_domain;
struct vcpu *current_vcpu(void);
struct core *the_core(void);

#endif
