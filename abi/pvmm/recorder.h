/* SPDX-License-Identifier: MIT */
/*
 * The flight recorder: a ring of the last acts on the guest's memory, in the machine's memory. The
 * hypervisor writes it, the host reads it, while the guest runs or after the end of either.
 *
 * Record i (counted from 0 for ever) lies at index i % records. A reader of a running machine reads
 * `written`, then the records, then `written` again: what was overtaken meanwhile is dropped.
 */
#ifndef PVMM_ABI_RECORDER_H
#define PVMM_ABI_RECORDER_H

#include <stdint.h>

#define PVMM_RECORDER_VERSION 1u
#define PVMM_RECORDS_DEFAULT  65536u
#define PVMM_RECORDS_MAX      (16u * 1024u * 1024u)

/* What happened; what the words of the record mean then. The core's enum core_act has the same
 * numbers. */
enum pvmm_act {
    PVMM_ACT_NONE = 0,
    PVMM_ACT_ENTRY = 1,   /* at: an entry of a table in use; old, now: its value. By a hypercall */
    PVMM_ACT_STORE = 2,   /* the same, by a direct store that was emulated */
    PVMM_ACT_TYPE = 3,    /* at: a frame; old, now: enum pvmm_frame_type. A table was validated */
    PVMM_ACT_RELEASE = 4, /* at: a table whose last use ended; old: its type */
    PVMM_ACT_PIN = 5,     /* at: a table; now: its level */
    PVMM_ACT_UNPIN = 6,   /* at: a table; old: its level */
    PVMM_ACT_ROOT = 7,    /* at: the new root (0: none); old: the one before (~0: none); now: 0
                             kernel, 1 user */
    PVMM_ACT_REFUSED = 8, /* at: the innermost entry, or the frame (0: none); old: the reason, and
                             the rule in bits 8 up; now: value. The first of each kind (report.h) */
    PVMM_ACT_GIVEN = 9,   /* at: a frame that the domain got; now: its pfn, ~0 none */
    PVMM_ACT_FREED = 10,  /* at: a frame that went back to the free ones; old: its pfn until then */
    PVMM_ACT_M2P = 11,    /* at: a frame; old, now: its pfn */
    PVMM_ACTS = 12,
};

#define PVMM_RECORD_ADDRESS    0x000fffffffffffffull /* of `at` */
#define PVMM_RECORD_ACT_SHIFT  52                    /* 6 bits */
#define PVMM_RECORD_VCPU_SHIFT 58                    /* 6 bits */

struct pvmm_record {
    uint64_t time; /* of the TSC */
    uint64_t rip;  /* the guest's instruction, or what called a hypercall's stub */
    uint64_t at;   /* machine address, act, vCPU */
    uint64_t old, now;
};

/* Part of the mailbox. */
struct pvmm_recorder {
    uint32_t version;      /* PVMM_RECORDER_VERSION */
    uint32_t record_bytes; /* sizeof(struct pvmm_record) */
    uint64_t at;           /* machine address of record 0, below 4 GiB */
    uint64_t records;      /* size of the ring, a power of two; 0: off */
    uint64_t written;      /* records ever; advanced after the record is there */
};

#endif
