/* SPDX-License-Identifier: MIT */
/*
 * A transaction remembers each path it touched: the node that was there at first, and what it is
 * now. Paths it has not touched are the store's. It can be committed while everything it touched is
 * still as it was found; then it is as if all of it had happened at the moment of the commit.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static struct access *find_access(const struct transaction *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->access[i].path, path) == 0)
            return &t->access[i];
    return NULL;
}

static bool access_reserve(struct transaction *t)
{
    const size_t room = t->room == 0 ? 16 : t->room * 2;
    struct access *access;

    if (t->count < t->room)
        return true;
    access = realloc(t->access, room * sizeof(access[0]));
    if (access == NULL)
        return false;
    t->access = access;
    t->room = room;
    return true;
}

/* Touch a path for the first time. */
static int touch(const struct request *r, const char *path, struct access **a)
{
    struct transaction *t = r->t;
    struct node *n = table_find(&r->s->table, path);
    char *copy;

    if (t->count == STORE_TRANSACTION_NODES) {
        t->failed = true;
        return ENOSPC;
    }
    copy = access_reserve(t) ? strdup(path) : NULL;
    if (copy == NULL) {
        t->failed = true;
        return ENOMEM;
    }
    t->access[t->count] = (struct access){.path = copy, .seen = node_hold(n), .now = node_hold(n)};
    *a = &t->access[t->count++];
    return 0;
}

int view_get(const struct request *r, const char *path, struct node **n)
{
    struct access *a;
    int rc;

    *n = NULL;
    if (r->t == NULL) {
        *n = table_find(&r->s->table, path);
        return *n != NULL ? 0 : ENOENT;
    }
    a = find_access(r->t, path);
    if (a == NULL && (rc = touch(r, path, &a)) != 0)
        return rc;
    *n = a->now;
    return *n != NULL ? 0 : ENOENT;
}

bool view_reserve(const struct request *r, size_t more)
{
    return r->t != NULL || table_reserve(&r->s->table, more);
}

/* Inside a transaction, whatever is changed has been looked at before. */
static void change(const struct request *r, const char *path, struct node *now)
{
    struct access *a = find_access(r->t, path);

    node_drop(a->now);
    a->now = now;
    a->modified = true;
}

void view_put(const struct request *r, struct node *n)
{
    if (r->t != NULL)
        change(r, n->path, n);
    else
        table_put(&r->s->table, n);
}

void view_remove(const struct request *r, const char *path)
{
    if (r->t != NULL)
        change(r, path, NULL);
    else
        table_remove(&r->s->table, path);
}

static bool owned(const struct store *s, const struct node *n)
{
    return n != NULL && n->perms[0].domid == s->domid;
}

/* Counted afresh each time, so that no path of errors can leave a wrong number behind. */
unsigned view_owned(const struct request *r)
{
    const struct table *table = &r->s->table;
    unsigned count = 0;

    for (size_t i = 0; i < table->count; i++)
        count += owned(r->s, table->at[i]);
    for (size_t i = 0; r->t != NULL && i < r->t->count; i++) {
        const struct access *a = &r->t->access[i];

        if (a->modified) {
            count += owned(r->s, a->now);
            count -= owned(r->s, table_find(table, a->path));
        }
    }
    return count;
}

struct transaction *transaction_find(struct store *s, uint32_t id)
{
    for (struct transaction *t = s->transactions; t != NULL; t = t->next)
        if (t->id == id)
            return t;
    return NULL;
}

static unsigned running(const struct store *s)
{
    unsigned count = 0;

    for (const struct transaction *t = s->transactions; t != NULL; t = t->next)
        count++;
    return count;
}

int transaction_start(const struct request *r, uint32_t *id)
{
    struct store *s = r->s;
    struct transaction *t;

    if (r->t != NULL) /* they do not nest */
        return EBUSY;
    if (running(s) >= STORE_TRANSACTIONS)
        return ENOSPC;
    t = calloc(1, sizeof(*t));
    if (t == NULL)
        return ENOMEM;
    do
        t->id = s->next_transaction++;
    while (t->id == 0 || transaction_find(s, t->id) != NULL);
    t->next = s->transactions;
    s->transactions = t;
    *id = t->id;
    return 0;
}

static void unlink_transaction(struct store *s, struct transaction *t)
{
    struct transaction **at = &s->transactions;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
}

static void free_transaction(struct transaction *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->access[i].path);
        node_drop(t->access[i].seen);
        node_drop(t->access[i].now);
    }
    free(t->access);
    free(t);
}

void transactions_drop(struct store *s)
{
    while (s->transactions != NULL) {
        struct transaction *t = s->transactions;

        s->transactions = t->next;
        free_transaction(t);
    }
}

/* Is everything still as the transaction found it, and may it all be? */
static int check_commit(const struct request *r)
{
    const struct table *table = &r->s->table;
    const struct transaction *t = r->t;

    if (t->failed)
        return ENOMEM;
    for (size_t i = 0; i < t->count; i++)
        if (table_find(table, t->access[i].path) != t->access[i].seen)
            return EAGAIN;
    if (r->who == GUEST && view_owned(r) > STORE_NODES)
        return ENOSPC;
    return table_reserve(&r->s->table, t->count) ? 0 : ENOMEM;
}

static void apply(struct store *s, const struct transaction *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct access *a = &t->access[i];

        if (!a->modified)
            continue;
        if (a->now != NULL)
            table_put(&s->table, node_hold(a->now));
        else
            table_remove(&s->table, a->path);
    }
}

int transaction_end(struct request *r, bool commit)
{
    struct transaction *t = r->t;
    const struct request outside = {r->s, r->who, NULL};
    int rc = 0;

    if (t == NULL)
        return ENOENT;
    if (commit)
        rc = check_commit(r);
    if (commit && rc == 0) {
        apply(r->s, t);
        for (size_t i = 0; i < t->count; i++)
            if (t->access[i].fire)
                watches_fire(&outside, &(struct change){.path = t->access[i].path,
                                                        .old = t->access[i].seen,
                                                        .exact = t->access[i].exact});
    }
    r->t = NULL;
    unlink_transaction(r->s, t);
    free_transaction(t);
    return rc;
}
