/* SPDX-License-Identifier: MIT */
/*
 * libpvstore: a xenstore for one guest, and the tool that keeps it as the privileged side.
 *
 * No I/O, no globals: bytes that the guest wrote into its ring go in (store_feed), bytes for its
 * ring come out (store_output). What a guest is answered is what C xenstored answers an
 * unprivileged domain (docs/misc/xenstore.txt, <xen/io/xs_wire.h>): rights, quotas, watches,
 * transactions. The tool is domain 0; its functions below act at once and are bound by no quota.
 *
 * Functions that return int return 0 or an errno value of <xen/io/xs_wire.h>'s list.
 */
#ifndef PVMM_PVSTORE_H
#define PVMM_PVSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* Rights. A node's first entry names its owner, and what everyone not listed may do. */
#define STORE_NONE  0u
#define STORE_READ  1u
#define STORE_WRITE 2u

struct store_perm {
    uint32_t domid;
    uint32_t rights;
};

/* Quotas of the guest, those of xenstored. */
#define STORE_NODES             1000u /* that it owns */
#define STORE_NODE_SIZE         2048u /* header, permissions, value and children's names */
#define STORE_WATCHES           129u
#define STORE_TRANSACTIONS      11u
#define STORE_TRANSACTION_NODES 1024u           /* that one transaction touches */
#define STORE_PERMS             5u              /* of one node */
#define STORE_REPLIES           20u             /* not yet taken: then no further request is read */
#define STORE_OUTPUT            (2560u * 1024u) /* bytes not yet taken: then events are dropped */

/* A store with "/", "/tool" and "/tool/xenstored" in it. NULL: no memory. */
struct store *store_new(uint16_t domid);
void store_free(struct store *s);

/* ---- the guest's ring */

/*
 * Bytes from the guest. Returns how many were read: fewer than `size` when replies pile up; go on
 * after some output was taken. A guest that breaks the protocol is not listened to any more.
 */
size_t store_feed(struct store *s, const void *data, size_t size);

/* Why the guest is not listened to any more; NULL: it is. */
const char *store_error(const struct store *s);

/* The next bytes for the guest, valid until the next call; 0: none. Take them when they are away.
 */
size_t store_output(const struct store *s, const void **data);
void store_output_taken(struct store *s, size_t size);

/* ---- the tool's side; paths are absolute */

int store_write(struct store *s, const char *path, const void *data, size_t size);
int store_mkdir(struct store *s, const char *path);
int store_remove(struct store *s, const char *path);
int store_set_perms(struct store *s, const char *path, const struct store_perm *perms,
                    unsigned count);

/* Looks. What is pointed to stays until the store changes. */
int store_read(struct store *s, const char *path, const void **data, size_t *size);
/* Names of the children, each with its NUL, one after the other. */
int store_list(struct store *s, const char *path, const char **names, size_t *size);
int store_get_perms(struct store *s, const char *path, const struct store_perm **perms,
                    unsigned *count);

/*
 * Called for every change at or below a watched path, with the path that changed, after the change
 * and before the guest's reply is out. It may look at the store, but must not change it.
 */
typedef void store_watcher(void *ctx, const char *path);

/* Unlike a guest's watch it is not called at once. EEXIST: path, watcher and ctx are watched
 * already. */
int store_watch(struct store *s, const char *path, store_watcher *watcher, void *ctx);
int store_unwatch(struct store *s, const char *path, store_watcher *watcher, void *ctx);

/* "@introduceDomain" or "@releaseDomain", to whoever may read it (store_set_perms). */
int store_announce(struct store *s, const char *event);

#endif
