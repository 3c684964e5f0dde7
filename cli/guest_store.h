/* SPDX-License-Identifier: MIT */
/*
 * The guest's store: libpvstore at the end of the control channel. Requests are read from the
 * mailbox, replies go over COM2, as abi/pvmm/channel.h has it.
 */
#ifndef PVMM_CLI_GUEST_STORE_H
#define PVMM_CLI_GUEST_STORE_H

#include "bell.h"
#include "mailbox.h"

struct store;

struct guest_store {
    /* set by the caller */
    bool wanted;
    const char *name; /* of the guest */
    uint64_t memory;  /* its bytes at most, */
    uint64_t target;  /* and those it is to have now; 0: as many */

    /* its own */
    struct store *store; /* NULL until the guest runs */
    uint32_t domid;
    uint64_t out_read; /* bytes of the mailbox's store_out, ever */
    uint64_t in_sent;  /* bytes for the guest's ring, ever */
    bool told;
};

/*
 * Do what there is to do: to be called whenever something may have changed. Returns -1 if what the
 * hypervisor says of the ring makes no sense.
 */
int guest_store_serve(struct guest_store *g, const struct mailbox *m, struct bell *b,
                      struct error *e);

/* Once, when the guest has broken the store's protocol and is not listened to any more: why. */
const char *guest_store_trouble(struct guest_store *g);

/*
 * Ask the guest's kernel to "poweroff", "reboot" or "suspend", as `xl shutdown` does; it decides
 * whether it listens. To be followed by guest_store_serve().
 */
int guest_store_shutdown(struct guest_store *g, const char *how, struct error *e);

/* Did it take that request, or is another there? It empties control/shutdown when it does. */
bool guest_store_took(const struct guest_store *g, const char *how);

/* Take a request back that it did not take. Likewise to be followed by guest_store_serve(). */
void guest_store_forget(struct guest_store *g);

void guest_store_close(struct guest_store *g);

#endif
