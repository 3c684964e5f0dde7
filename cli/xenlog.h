/* SPDX-License-Identifier: MIT */
/* How a guest ended under a real Xen, read from the lines that Xen prints. */
#ifndef PVMM_CLI_XENLOG_H
#define PVMM_CLI_XENLOG_H

#include <pvmm/channel.h>

struct xen_log {
    enum pvmm_outcome outcome; /* PVMM_OUTCOME_NONE while the guest runs */
    int panicking;             /* "Panic on CPU" was seen; the next line says why */
    char message[PVMM_MESSAGE_CHARS];
};

/* One line of the console that Xen and its initial domain share. */
void xen_log_line(struct xen_log *x, const char *line);

#endif
