/* SPDX-License-Identifier: MIT */
/*
 * The control channel between the hypervisor and the host tool.
 *
 * COM1 carries the guest's console and nothing else. COM2 is the doorbell:
 *
 *   hypervisor -> host   lines of ASCII text:
 *       "@ADDR SIZE\n"   once, as early as possible: machine address and size of the mailbox, both
 *                        in hexadecimal without prefix. The mailbox lies below 2 GiB, so that its
 *                        file offset in the machine's memory file equals its machine address.
 *       "*\n"            the mailbox changed in a way worth a look (log grew, state moved on)
 *   host -> hypervisor   messages that start with a byte PVMM_BELL_*
 *
 * The store (xenstore) itself runs in the host tool; the channel only carries the bytes of the
 * guest's ring (struct xenstore_domain_interface, <xen/io/xs_wire.h>), uninterpreted:
 *   guest -> host   the hypervisor copies what the guest wrote into `store_out` and advances
 *                   `store_out_written`; never more than PVMM_STORE_RING bytes beyond what the
 *                   host has acknowledged with PVMM_BELL_STORE_TAKEN
 *   host -> guest   PVMM_BELL_STORE_DATA carries the bytes; `store_in_taken` counts those that have
 *                   reached the guest's ring. The host never has more than PVMM_STORE_RING bytes
 *                   under way beyond it; what exceeds this is dropped and logged
 * So every input of the hypervisor comes over COM2, and the mailbox has one writer: a machine whose
 * serial input is repeated, byte by byte at the same instruction, repeats all of its steps.
 *
 * A UART's FIFO has 16 bytes, and a machine that is recorded loses what does not fit, whatever the
 * UART says of its room. `received` counts what the hypervisor took out of each: a host that keeps
 * less than that on the way loses nothing.
 *
 * The mailbox (struct pvmm_mailbox) lies in the machine's memory, which QEMU keeps in a shared
 * file; the host maps it. The hypervisor writes it, the host reads it. What is read while the
 * machine runs may be torn and is never trusted: the host checks magic, version and every index.
 * `state` is written last, after everything it announces.
 */
#ifndef PVMM_ABI_CHANNEL_H
#define PVMM_ABI_CHANNEL_H

#include <stdint.h>

#include <pvmm/dirty.h>
#include <pvmm/machine.h>
#include <pvmm/recorder.h>
#include <pvmm/report.h>
#include <pvmm/transfer.h>

#define PVMM_MAILBOX_MAGIC 0x584f424d4d5650ull /* "PVMMBOX" in memory order */
/*
 * What is new stands at the end: version 8 is version 7 with `dirty` behind it, 7 is 6 with what is
 * from `hold` on, 5 is 4 with `received` behind it, and whoever reads no further can read them all.
 */
#define PVMM_MAILBOX_VERSION 8u
#define PVMM_MAILBOX_OLDEST  4u /* that begins in the same way */

/* Host -> hypervisor messages on COM2, by their first byte. */
#define PVMM_BELL_STOP        'q' /* stop the guest, audit, publish the verdict, power the machine off */
#define PVMM_BELL_STORE_DATA  's' /* N, then N bytes (1..255) for the guest's store ring */
#define PVMM_BELL_STORE_TAKEN 'a' /* N (1..255): so many more bytes of `store_out` were read */
#define PVMM_BELL_GO          'g' /* the hypervisor, which waits (reports.waiting), goes on */
#define PVMM_BELL_PAUSE       'p' /* the guest is to stand still, before its next instruction */
#define PVMM_BELL_UNPAUSE     'u' /* it goes on; if it had suspended itself: that was cancelled */
#define PVMM_BELL_BUILD       'b' /* struct pvmm_transfer is complete (<pvmm/transfer.h>) */
#define PVMM_BELL_ROUND       'r' /* what was written to is to be told, and watched (<pvmm/dirty.h>) */
#define PVMM_BELL_UNWATCH     'n' /* and not any more */

#define PVMM_LINES 2u /* serial lines: the guest's console, this channel */

#define PVMM_STORE_RING 1024u /* bytes; a power of two */

#define PVMM_LOG_SIZE      (64u * 1024u) /* bytes of log kept; a power of two */
#define PVMM_HYPERCALLS    64u           /* hypercall numbers counted: 0..63 */
#define PVMM_FINDINGS      8u            /* audit findings kept as text */
#define PVMM_FINDING_CHARS 160u
#define PVMM_MESSAGE_CHARS 320u

/* How far the machine has come. */
enum pvmm_state {
    PVMM_STATE_BOOTING = 1, /* the hypervisor sets itself up and builds the guest */
    PVMM_STATE_RUNNING = 2, /* the guest's first instruction was reached */
    PVMM_STATE_ENDED = 3,   /* the guest is over; `verdict` is complete */
};

/*
 * Why a guest that was started does not run. While it stands nothing of it changes: no timer, no
 * byte of console or store reaches it, and machine.context (context_valid) and `extended` are its
 * vCPU's. Of PVMM_HOLD_SUSPENDED the state is the one to save: rax 0, rdx the mfn of start_info.
 * PVMM_BELL_STOP then ends it with PVMM_OUTCOME_SUSPEND; of another with PVMM_OUTCOME_STOPPED.
 */
enum pvmm_hold {
    PVMM_HOLD_NONE = 0,      /* it runs, or waits for an event */
    PVMM_HOLD_PAUSED = 1,    /* PVMM_BELL_PAUSE */
    PVMM_HOLD_SUSPENDED = 2, /* it called SCHEDOP_shutdown(SHUTDOWN_suspend), and suspend=2 */
};

/* How the guest ended. */
enum pvmm_outcome {
    PVMM_OUTCOME_NONE = 0,      /* not ended */
    PVMM_OUTCOME_POWEROFF = 1,  /* SCHEDOP_shutdown(SHUTDOWN_poweroff) */
    PVMM_OUTCOME_REBOOT = 2,    /* SHUTDOWN_reboot */
    PVMM_OUTCOME_SUSPEND = 3,   /* SHUTDOWN_suspend */
    PVMM_OUTCOME_CRASH = 4,     /* SHUTDOWN_crash (a guest panic), or an unknown reason code */
    PVMM_OUTCOME_KILLED = 5,    /* the hypervisor ended the guest: it could not go on */
    PVMM_OUTCOME_STOPPED = 6,   /* PVMM_BELL_STOP arrived */
    PVMM_OUTCOME_BAD_GUEST = 7, /* the image cannot be started: not PV, damaged, too big, ... */
    PVMM_OUTCOME_PANIC = 8,     /* the hypervisor itself failed: a bug of ours */
    PVMM_OUTCOME_BROKEN = 9,    /* PVMM_OPT_STRICT: the guest broke the memory contract */
};

/* Type indices of `frames_by_type`; the core's frame types in their order. */
enum pvmm_frame_type {
    PVMM_FRAME_NONE = 0,
    PVMM_FRAME_L1 = 1,
    PVMM_FRAME_L2 = 2,
    PVMM_FRAME_L3 = 3,
    PVMM_FRAME_L4 = 4,
    PVMM_FRAME_DESC = 5, /* descriptor page: GDT or LDT */
    PVMM_FRAME_WRITABLE = 6,
    PVMM_FRAME_TYPES = 7,
};

struct pvmm_audit {
    uint32_t taken;                                  /* 1: an audit ran and the fields below hold */
    uint32_t findings;                               /* differences found; 0 is a clean audit */
    uint64_t frames;                                 /* frames looked at */
    uint64_t tables;                                 /* validated tables walked */
    uint64_t entries;                                /* present entries counted in them */
    char finding[PVMM_FINDINGS][PVMM_FINDING_CHARS]; /* the first ones, NUL-terminated */
};

/* What there is to say about a run. Times are nanoseconds since the guest's first instruction. */
struct pvmm_verdict {
    uint32_t outcome;                 /* enum pvmm_outcome */
    uint32_t shutdown_reason;         /* the guest's SCHEDOP_shutdown reason; ~0 if it gave none */
    char message[PVMM_MESSAGE_CHARS]; /* what, where and why, one line; empty for a clean end */
    uint64_t ns_to_user;              /* first return to guest user mode (init); 0: never */
    uint64_t ns_total;                /* end of the guest */
    uint64_t seed;                    /* seed of the frame shuffle */
    uint64_t guest_frames;            /* frames given to the guest at build */
    uint64_t hypercalls[PVMM_HYPERCALLS]; /* calls by number, multicall elements included */
    uint64_t refused[PVMM_HYPERCALLS];    /* of those: answered with an error */
    uint64_t unknown_hypercalls;          /* numbers of PVMM_HYPERCALLS and above */
    uint64_t refused_requests; /* single memory requests the core refused (elements of batches) */
    uint64_t frames_by_type[PVMM_FRAME_TYPES]; /* the guest's frames at the end */
    uint64_t frames_pinned;
    uint64_t tlb_flushes; /* whole-TLB flushes done for type changes or on the guest's request */
    uint64_t tlb_page_flushes; /* single-page invalidations */
    uint64_t root_switches;    /* CR3 loads for guest address spaces and user/kernel crossings */
    uint64_t exceptions_bounced;
    uint64_t events_delivered;      /* upcalls made */
    uint64_t emulated_instructions; /* privileged instructions */
    uint64_t emulated_table_writes; /* direct stores to L1 tables */
    struct pvmm_audit audit;
    uint64_t own_frames; /* RAM that was the hypervisor's own when the guest started */
    uint64_t boot_ticks; /* of the TSC, from the hypervisor's C entry to the switch to the guest */
    uint64_t suspends;   /* of the guest, that were cancelled, and it went on */
};

struct pvmm_mailbox {
    uint64_t magic;
    uint32_t version;
    uint32_t size;        /* of this structure in bytes */
    uint32_t state;       /* enum pvmm_state */
    uint32_t log_size;    /* PVMM_LOG_SIZE */
    uint64_t log_written; /* bytes ever written; byte i lies at log[i % log_size] */
    char log[PVMM_LOG_SIZE];
    struct pvmm_verdict verdict;
    uint32_t domid;             /* the guest's domain id */
    uint32_t store_port;        /* the guest's event channel of its store; 0: started without one */
    uint64_t store_mfn;         /* machine frame of its ring; to be shown, not to be written */
    uint64_t console_mfn;       /* machine frame of its console ring */
    uint32_t console_port;      /* event channel of its console */
    uint32_t store_ring_size;   /* PVMM_STORE_RING */
    uint64_t store_out_written; /* bytes ever; byte i lies at store_out[i % PVMM_STORE_RING] */
    uint64_t store_in_taken;    /* bytes ever put into the guest's ring */
    uint8_t store_out[PVMM_STORE_RING];
    struct pvmm_machine machine;
    struct pvmm_recorder recorder;
    struct pvmm_reports reports;
    uint64_t received[PVMM_LINES]; /* bytes ever taken from COM1 and COM2 */
    uint32_t hold;                 /* enum pvmm_hold; written after what it announces */
    uint32_t zero;
    struct pvmm_extended extended; /* of the vCPU, when machine.context is */
    struct pvmm_transfer_place transfer;
    struct pvmm_dirty dirty;
};

#endif
