/* SPDX-License-Identifier: MIT */
/*
 * The host's end of the control channel (abi/pvmm/channel.h). Everything read here was written by
 * the other side, perhaps at this moment: sizes and indices are checked, texts are made printable.
 */
#ifndef PVMM_CLI_MAILBOX_H
#define PVMM_CLI_MAILBOX_H

#include <stdbool.h>
#include <stdio.h>

#include <pvmm/channel.h>

#include "error.h"
#include "ring.h"

struct mailbox {
    const volatile struct pvmm_mailbox *box; /* NULL until the hypervisor's hello */
    uint64_t log_seen;                       /* bytes of log already copied out */
    char line[128];                          /* COM2 text not yet ended by a newline */
    size_t line_length;
};

/*
 * Bytes that arrived on COM2. `ram_fd` is the machine's memory file. Returns -1 if a hello came
 * that makes no sense.
 */
int mailbox_feed(struct mailbox *m, int ram_fd, const char *data, size_t size, struct error *e);

/* 0 before the hello. */
uint32_t mailbox_state(const struct mailbox *m);

/* Copy what is new in the log to `out`; with NULL it is passed over. */
void mailbox_copy_log(struct mailbox *m, FILE *out);

/* The log as it is now; empty before the hello. */
struct ring mailbox_log(const struct mailbox *m);

/* The last whole lines of the log that fit into `size` bytes, as printable text. */
void mailbox_log_tail(const struct mailbox *m, char *text, size_t size);

/* A checked copy of the verdict; false before the hello. Texts are printable and end in NUL. */
bool mailbox_verdict(const struct mailbox *m, struct pvmm_verdict *v);

void mailbox_close(struct mailbox *m);

#endif
