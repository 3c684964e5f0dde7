/* SPDX-License-Identifier: MIT */
/*
 * The xenstore, on the ring of <xen/io/xs_wire.h>, and what a toolstack asks by it.
 *
 * Requests wait for their reply, which is at most XENSTORE_PAYLOAD_MAX bytes; watch events that
 * come before it are kept. Paths are absolute, or relative to the domain's own, /local/domain/ID.
 * What the store refuses comes back as its errno, negative. What a peer could make of the ring -
 * indices out of range, replies to nobody - is refused, and the ring is not used any more
 * (-XEN_EIO) until pvg_xs_open() is called again.
 */
#ifndef PVGUEST_XENSTORE_H
#define PVGUEST_XENSTORE_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_XS_PATH_MAX  3072u /* XENSTORE_ABS_PATH_MAX */
#define PVG_XS_TOKEN_MAX 64u   /* of a watch, with the NUL */
#define PVG_XS_EVENTS    16u   /* kept; of more the oldest are lost, which pvg_xs_event() says */
#define PVG_XS_BYTES     8192u /* of paths and tokens: of the events that are kept, of the watches */

/* 0: no transaction. */
typedef uint32_t pvg_xs_tx;

/* The ring that start_info names; what lies in it unread is dropped: where it was given up, the
 * next event says that some were lost, and pvg_control_next() looks at all again. 0, also where it
 * is open; -XEN_ENODEV: the domain has none (the initial one, or a guest without a store);
 * -XEN_EINVAL: before pvg_boot(). */
int pvg_xs_open(struct pvguest *g);

/* How long a reply may take, in nanoseconds; 0: for ever, which is so at first. After
 * -XEN_ETIMEDOUT nobody knows whether the store did what was asked; a late reply is thrown away. */
void pvg_xs_patience(struct pvguest *g, uint64_t ns);

/*
 * Reads a node: its bytes and a NUL into `to`; *length (NULL: not wanted) is without the NUL.
 * -XEN_E2BIG: more than `room` - 1 bytes, *length says how many. -XEN_ENOENT, -XEN_EACCES,
 * -XEN_EINVAL, ...: as the store said; -XEN_ENODEV: not open. So all of them.
 */
int pvg_xs_read(struct pvguest *g, pvg_xs_tx tx, const char *path, char *to, size_t room,
                size_t *length);
/* Bytes of a text, without its NUL. */
int pvg_xs_write(struct pvguest *g, pvg_xs_tx tx, const char *path, const char *text);
int pvg_xs_mkdir(struct pvguest *g, pvg_xs_tx tx, const char *path);
int pvg_xs_remove(struct pvguest *g, pvg_xs_tx tx, const char *path);
/* The names below a node, each with its NUL, one behind the other; *count: how many. -XEN_E2BIG,
 * too, where the store has more of them than fit a reply. */
int pvg_xs_directory(struct pvguest *g, pvg_xs_tx tx, const char *path, char *to, size_t room,
                     unsigned *count);

int pvg_xs_begin(struct pvguest *g, pvg_xs_tx *tx);
/* Makes what was done in it, or, with `commit` false, forgets it. -XEN_EAGAIN: another one came
 * between, and nothing was made: begin again. */
int pvg_xs_end(struct pvguest *g, pvg_xs_tx tx, bool commit);

/* Watches are forgotten by the store when the domain is resumed elsewhere; the library sets them
 * anew (suspend.h). The token is at least one byte, and does not begin with "pvguest/", as those of
 * the library do. Events come for watches that are there, and no others. -XEN_ENOSPC: 16 are there,
 * or PVG_XS_BYTES; -XEN_EEXIST: this very one is; -XEN_ENOENT: it is not. */
int pvg_xs_watch(struct pvguest *g, const char *path, const char *token);
int pvg_xs_unwatch(struct pvguest *g, const char *path, const char *token);

struct pvg_xs_event {
    char path[PVG_XS_PATH_MAX + 1], token[PVG_XS_TOKEN_MAX];
    bool lost; /* events before this one were */
};
/* Takes the next watch event, and never waits. 1: there was one; 0: none; negative as above. Wait
 * for the port only when there is none, as those that came with a reply do not ring again. */
int pvg_xs_event(struct pvguest *g, struct pvg_xs_event *e);
/* The port to wait for (event.h); 0: not open. */
uint32_t pvg_xs_port(struct pvguest *g);

/* ---- what the toolstack asks of a guest: control/shutdown and memory/target */

enum pvg_control {
    PVG_CONTROL_NONE,
    PVG_CONTROL_POWEROFF, /* "poweroff" or "halt" */
    PVG_CONTROL_REBOOT,
    PVG_CONTROL_SUSPEND,
    PVG_CONTROL_UNKNOWN, /* another word; it is answered all the same */
    PVG_CONTROL_TARGET,  /* memory/target has changed: *target, in pages */
};

/* Says that the guest understands (control/feature-*), and watches. 0, also where it is open. */
int pvg_control_open(struct pvguest *g);
/*
 * What is asked for now; never waits but for the store's replies. A word in control/shutdown is
 * answered as the protocol has it, by writing "" there, in a transaction that has read it. The
 * first time *target is what is there already. One that is no number of KiB is passed over, and the
 * reason says so. 0, with *what; -XEN_EINVAL: not open; negative as above: ask again.
 */
int pvg_control_next(struct pvguest *g, enum pvg_control *what, uint64_t *target);
/* Waits until there may be something of that, or until `until` (event.h). As pvg_event_wait(); may
 * return for a watch event of the kernel's own. */
int pvg_control_wait(struct pvguest *g, uint64_t until);

#pragma GCC visibility pop

#endif
