/* SPDX-License-Identifier: MIT */
/*
 * Nodes are never changed: a change makes a new node and puts it in the old one's place. So a
 * transaction that has read a node merely keeps it, and whatever can fail is done before anything
 * is put in place.
 */
#ifndef PVMM_STORE_INTERNAL_H
#define PVMM_STORE_INTERNAL_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include <xen/io/xs_wire.h>

#include "pvstore.h"

#define STORE_OWNER 4u /* beside STORE_READ and STORE_WRITE */

enum who { TOOL, GUEST };

struct node {
    unsigned holders;
    uint64_t generation; /* unique for each change; 0 is that of a node that does not exist */
    const char *path;
    const struct store_perm *perms;
    unsigned n_perms;
    const char *data;
    size_t size;
    const char *children; /* names, each with its NUL, oldest first */
    size_t children_size;
};

/* Nodes in the order of their paths. */
struct table {
    struct node **at;
    size_t count, room;
};

/* A path that a transaction has touched. */
struct access {
    char *path;
    struct node *seen; /* when it was touched first; NULL: it did not exist */
    struct node *now;  /* as the transaction sees it */
    bool modified, fire, exact;
};

struct transaction {
    struct transaction *next;
    uint32_t id;
    bool failed; /* a quota stopped it half-way: it cannot be committed */
    struct access *access;
    size_t count, room;
};

struct watch {
    struct watch *next;
    char *path;
    const char *token;     /* of the guest */
    size_t relative;       /* length of the base that is left out in events; 0: absolute */
    store_watcher *caller; /* of the tool; NULL: the guest's */
    void *ctx;
};

struct message {
    struct message *next;
    bool event;
    size_t at, size; /* taken already; header and payload */
    char data[];
};

struct store {
    uint16_t domid;
    char home[24]; /* /local/domain/DOMID: relative paths are below */
    const char *error;
    uint64_t generation;
    struct table table;
    struct store_perm *introduce, *release; /* of the two special events */
    unsigned n_introduce, n_release;
    struct transaction *transactions;
    uint32_t next_transaction;
    struct watch *watches, **watches_end;
    struct message *out, **out_end;
    size_t out_bytes;
    unsigned replies;
    struct {
        struct xsd_sockmsg header;
        size_t used; /* bytes of header and payload that are there */
        char payload[XENSTORE_PAYLOAD_MAX + 1];
    } in;
};

/* A request while it is served. */
struct request {
    struct store *s;
    enum who who;
    struct transaction *t; /* NULL: none */
};

/* node.c */
struct node_parts {
    const char *path;
    const struct store_perm *perms;
    unsigned n_perms;
    const void *data;
    size_t size;
    const char *children;
    size_t children_size;
};

struct node *node_new(struct store *s, const struct node_parts *p);
struct node *node_hold(struct node *n);
void node_drop(struct node *n);
struct node_parts node_parts(const struct node *n);
struct node *node_with_child(struct store *s, const struct node *n, const char *name);
struct node *node_without_child(struct store *s, const struct node *n, const char *name);

struct node *table_find(const struct table *t, const char *path);
bool table_reserve(struct table *t, size_t more);
void table_put(struct table *t, struct node *n); /* takes the caller's hold; room was reserved */
void table_remove(struct table *t, const char *path);

/* path.c */
bool path_valid(const char *path);
char *path_absolute(const struct request *r, const char *path); /* malloc'd */
char *path_parent(const char *path);                            /* malloc'd */
char *path_join(const char *parent, const char *name);          /* malloc'd */
const char *path_name(const char *path);
bool path_below(const char *path, const char *root); /* or equal */

/* perms.c */
uint32_t perms_for(const struct request *r, const struct store_perm *perms, unsigned count);
int perms_parse(const char *text, size_t size, struct store_perm *perms, unsigned count);
size_t perms_print(const struct store_perm *perms, unsigned count, char *text, size_t size);
int perms_special(struct store *s, const char *event, const struct store_perm **perms,
                  unsigned *count);
int perms_set_special(const struct request *r, const char *event, const struct store_perm *perms,
                      unsigned count);
bool perms_owner_exists(const struct store *s, const struct store_perm *perms);

/* transaction.c: the store as a request sees it, inside its transaction or outside of any */
int view_get(const struct request *r, const char *path, struct node **n); /* borrowed */
bool view_reserve(const struct request *r, size_t more);
void view_put(const struct request *r, struct node *n); /* takes the caller's hold */
void view_remove(const struct request *r, const char *path);
unsigned view_owned(const struct request *r); /* nodes of the guest's */

struct transaction *transaction_find(struct store *s, uint32_t id);
int transaction_start(const struct request *r, uint32_t *id);
int transaction_end(struct request *r, bool commit);
void transactions_drop(struct store *s);

/* tree.c: operations with their rights and quotas; paths are absolute */
int tree_get(const struct request *r, const char *path, uint32_t wanted, struct node **n);
int tree_write(const struct request *r, const char *path, const void *data, size_t size);
int tree_mkdir(const struct request *r, const char *path);
int tree_remove(const struct request *r, const char *path);
int tree_set_perms(const struct request *r, const char *path, const struct store_perm *perms,
                   unsigned count);

/* watch.c */
struct change {
    const char *path;
    const struct node *node; /* as it is, or last was; NULL: look */
    const struct node *old;  /* whose rights count too; NULL: none */
    bool exact;              /* only for watches of this very path */
};

void watches_fire(const struct request *r, const struct change *c);
int watch_add(struct store *s, const char *path, const char *token);
int watch_remove(struct store *s, const char *path, const char *token);
void watches_drop(struct store *s, bool all);

/* ring.c */
int ring_reply(struct store *s, uint32_t type, const void *data, size_t size);
void ring_event(struct store *s, const char *path, const char *token);
void ring_break(struct store *s, const char *why);

/* request.c */
void request_serve(struct store *s);

#endif
