/* SPDX-License-Identifier: MIT */
/*
 * Reports: what the hypervisor knows at the moment when a guest breaks the memory contract. The
 * host tool adds symbols, what the recorder has, and words.
 *
 * Part of the mailbox. reports[0..filed-1] are complete; `filed` is advanced last. A request that
 * is refused again in the same way (same kind, request and command, rule, reason, wanted type and
 * place in the guest) only advances `count` of its report.
 */
#ifndef PVMM_ABI_REPORT_H
#define PVMM_ABI_REPORT_H

#include <stdint.h>

#define PVMM_REPORTS_VERSION 1u
#define PVMM_REPORTS         48u /* kept in full, the last place for a crash; more are counted */
#define PVMM_REPORT_HOLDERS  24u
#define PVMM_REPORT_STACK    256u /* words */
#define PVMM_REPORT_PATH     4u
#define PVMM_REPORT_CODE     16u /* bytes at rip */
#define PVMM_REPORT_CHARS    200u
#define PVMM_NONE            (~0ull)

enum pvmm_report_kind {
    PVMM_REPORT_REFUSAL = 1,     /* a memory request was refused */
    PVMM_REPORT_WRITE_FAULT = 2, /* the guest kernel stored to a read-only mapping of its own */
    PVMM_REPORT_CRASH = 3,       /* the domain is over: it said so, or could not go on */
};

/* How the guest asked. */
enum pvmm_request {
    PVMM_REQUEST_NONE = 0,
    PVMM_REQUEST_HYPERCALL = 1,
    PVMM_REQUEST_STORE = 2, /* a store to an L1 table, which was emulated */
    PVMM_REQUEST_CR3 = 3,   /* MOV to CR3, which was emulated */
    PVMM_REQUEST_LDT = 4,   /* use of a selector in a page of the LDT not used before */
};

/* Flags of a frame or of a table that an entry lies in. */
enum pvmm_frame_flag {
    PVMM_FRAME_VALIDATED = 1u << 0,
    PVMM_FRAME_PINNED = 1u << 1,
    PVMM_FRAME_SHARED = 1u << 2,      /* the hypervisor's, lent to the domain */
    PVMM_FRAME_KERNEL_ROOT = 1u << 3, /* loaded by a vCPU now */
    PVMM_FRAME_USER_ROOT = 1u << 4,
    PVMM_FRAME_BUILDERS = 1u << 5, /* the root that the domain builder made */
};

/* A frame as it was. */
struct pvmm_frame_state {
    uint64_t mfn;  /* PVMM_NONE: the report is about none */
    uint64_t pfn;  /* what m2p says; PVMM_NONE: nothing */
    uint32_t type; /* enum pvmm_frame_type */
    uint32_t uses; /* in that type */
    uint32_t references;
    int32_t owner;  /* domain id; -1 nobody, -2 not RAM */
    uint32_t flags; /* enum pvmm_frame_flag */
    uint32_t known; /* 0: beyond the machine's memory; the rest is 0 */
};

enum pvmm_holder_kind {
    PVMM_HOLDER_ENTRY = 1, /* an entry of a table */
    PVMM_HOLDER_PIN = 2,
    PVMM_HOLDER_KERNEL_ROOT = 3,
    PVMM_HOLDER_USER_ROOT = 4,
    PVMM_HOLDER_GDT = 5,
    PVMM_HOLDER_LDT = 6,
    PVMM_HOLDER_HELD = 7,     /* the hypervisor writes to it: vcpu_info */
    PVMM_HOLDER_LOAN = 8,     /* shared_info, grant table: lent for good */
    PVMM_HOLDER_LEFTOVER = 9, /* a release that is not finished */
};

/* Where an entry is seen from: the chain of tables above it, of which there may be many; the one
 * that starts at the loaded kernel root is preferred, then any loaded root, then any root. */
struct pvmm_place {
    uint64_t va;        /* what the entry maps, as far as the chain reaches; low bits 0 */
    uint64_t top;       /* mfn of the topmost table */
    uint32_t top_level; /* 4: a root, and `va` is whole; less: pinned, or about to be hooked */
    uint32_t top_flags; /* enum pvmm_frame_flag */
};

struct pvmm_holder {
    uint32_t kind;      /* enum pvmm_holder_kind; what follows is for entries */
    uint32_t conflicts; /* 1: holds the frame in a type other than the wanted one */
    uint32_t level, slot;
    uint64_t table; /* mfn */
    uint64_t at;    /* machine address of the entry */
    uint64_t entry;
    uint32_t table_flags;
    uint32_t vcpu; /* of roots, GDT, LDT, held */
    struct pvmm_place place;
};

/* A step of the way from the request to the entry at fault, from the outside in. */
struct pvmm_report_step {
    uint64_t table; /* mfn */
    uint64_t entry; /* what stands there */
    uint32_t level, slot;
};

struct pvmm_regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags, cs, ss;
};

struct pvmm_report {
    uint32_t kind;     /* enum pvmm_report_kind */
    uint32_t request;  /* enum pvmm_request */
    uint64_t count;    /* how often, this time included */
    uint64_t time;     /* of the TSC */
    uint64_t recorded; /* records written before it */
    uint64_t origin;   /* where in the guest: rip, or what called a hypercall's stub */

    /* The request. Of a hypercall: */
    uint64_t hypercall; /* number; PVMM_NONE: none */
    uint64_t args[5];
    uint64_t multicall_index; /* element of the multicall; PVMM_NONE: called by itself */
    uint64_t batch_index;     /* element of its list; PVMM_NONE: it has none */
    uint64_t batch_count;     /* elements of the list */
    uint64_t element[3];      /* that element: mmu_update ptr, val; mmuext_op cmd, arg1, arg2 */
    uint64_t address;         /* store, write fault, crash: the address accessed; PVMM_NONE: none */

    /* Why. */
    int32_t error;                   /* negative errno of the ABI */
    uint32_t reason;                 /* the core's enum core_reason; 0: none of the core's */
    uint32_t rule;                   /* R number; 0: none */
    uint32_t wanted;                 /* enum pvmm_frame_type */
    uint64_t value;                  /* the entry, descriptor or argument at fault */
    char message[PVMM_REPORT_CHARS]; /* crash: why; otherwise empty, or more words on the reason */

    /* The frame, the way to it, who holds it. */
    struct pvmm_frame_state frame;
    uint32_t steps;
    uint32_t holders; /* found; the first PVMM_REPORT_HOLDERS are kept, conflicting ones first */
    struct pvmm_report_step path[PVMM_REPORT_PATH];
    struct pvmm_place place; /* of the innermost step: where the entry at fault maps, or would */
    struct pvmm_holder holder[PVMM_REPORT_HOLDERS];

    /* The guest. */
    uint32_t vcpu;
    uint32_t in_kernel;              /* 1: guest-kernel mode */
    uint64_t kernel_root, user_root; /* mfn; PVMM_NONE: none */
    struct pvmm_regs regs;
    uint64_t walk[5];     /* write fault, crash: entries by level 1..4 on the way to `address` */
    uint64_t walk_at[5];  /* and their machine addresses; 0: not reached */
    uint32_t stack_words; /* kept, from rsp up */
    uint32_t code_bytes;
    uint8_t code[PVMM_REPORT_CODE];
    uint64_t stack[PVMM_REPORT_STACK];
};

/* What the hypervisor waits for before it goes on. */
enum pvmm_waiting {
    PVMM_WAITING_NOT = 0,
    PVMM_WAITING_READ = 1,  /* for the host to have read what it wants of the guest's memory for the
                               report that was just filed; some seconds at most */
    PVMM_WAITING_STAND = 2, /* PVMM_OPT_HALT: for a debugger to be ready at the instruction of the
                               last report */
};

struct pvmm_reports {
    uint32_t version;      /* PVMM_REPORTS_VERSION */
    uint32_t report_bytes; /* sizeof(struct pvmm_report) */
    uint32_t filed;        /* complete ones */
    uint32_t waiting;      /* enum pvmm_waiting: for PVMM_BELL_GO */
    uint64_t broken;       /* breaches in all, repeats and those not kept included; no crashes */
    uint64_t not_kept;     /* those of which there was no room for a report */
    struct pvmm_report report[PVMM_REPORTS];
};

#endif
