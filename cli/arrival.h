/* SPDX-License-Identifier: MIT */
/*
 * A saved guest on its way into an empty domain (abi/pvmm/transfer.h): `pvmm restore`. Everything
 * that the hypervisor tells is checked; everything of the stream is image/transfer.h's to judge.
 */
#ifndef PVMM_CLI_ARRIVAL_H
#define PVMM_CLI_ARRIVAL_H

#include "bell.h"
#include "error.h"
#include "mailbox.h"

struct arrival;

/* For the session, whenever there is news; a NULL arrival does nothing. When the empty domain is
 * there it brings the guest in, and rings; that may take seconds. -1: it cannot be brought in, and
 * the machine is to go. */
int arrival_serve(struct arrival *a, const struct mailbox *m, int ram_fd, struct bell *b,
                  struct error *e);

#endif
