/* SPDX-License-Identifier: MIT */
/*
 * Reading and changing the tree, with the rights and quotas of whoever asks. Each change is
 * prepared in full, may fail in that, and is then put in place.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* xenstored's header of a node in its database, and of each permission there: they count. */
#define HEADER_SIZE 24u
#define PERM_SIZE   8u

/* Some errors of a look are not about the node, and are always told. */
static bool tell(int error)
{
    return error == ENOMEM || error == ENOSPC;
}

/* The nearest ancestor that exists. */
static int get_ancestor(const struct request *r, const char *path, struct node **n)
{
    char *at = path_parent(path);
    int rc = at != NULL ? view_get(r, at, n) : ENOMEM;

    while (rc == ENOENT && strcmp(at, "/") != 0) {
        char *up = path_parent(at);

        free(at);
        at = up;
        rc = at != NULL ? view_get(r, at, n) : ENOMEM;
    }
    free(at);
    return rc;
}

/* Who may not ask is not to learn whether the node exists: what the ancestors allow decides. */
static int guarded_error(const struct request *r, const char *path, uint32_t wanted, int error)
{
    struct node *n;
    int rc;

    if (tell(error))
        return error;
    rc = get_ancestor(r, path, &n);
    if (rc != 0)
        return tell(rc) ? rc : EACCES;
    return (perms_for(r, n->perms, n->n_perms) & wanted) != 0 ? error : EACCES;
}

int tree_get(const struct request *r, const char *path, uint32_t wanted, struct node **n)
{
    int rc;

    *n = NULL;
    if (!path_valid(path))
        return EINVAL;
    rc = view_get(r, path, n);
    if (rc == 0 && (perms_for(r, (*n)->perms, (*n)->n_perms) & wanted) != wanted)
        rc = EACCES;
    if (rc == 0)
        return 0;
    *n = NULL;
    return guarded_error(r, path, wanted, rc);
}

static bool too_large(const struct request *r, const struct node *n)
{
    return r->who == GUEST &&
           HEADER_SIZE + PERM_SIZE * n->n_perms + n->size + n->children_size >= STORE_NODE_SIZE;
}

/* ---- creation */

/* A chain of nodes to be put in place together: the new ones, and their ancestor with a new child.
 */
struct chain {
    struct node **at;
    size_t count, room;
};

static void chain_drop(struct chain *c)
{
    for (size_t i = 0; i < c->count; i++)
        node_drop(c->at[i]);
    free(c->at);
}

static int chain_add(const struct request *r, struct chain *c, struct node *n)
{
    if (n == NULL)
        return ENOMEM;
    c->at[c->count++] = n;
    return too_large(r, n) ? ENOSPC : 0;
}

/* A new node with at most one child, which is new as well. A guest owns what it creates. */
static struct node *new_node(const struct request *r, const struct node *ancestor, const char *path,
                             const char *child, const void *data, size_t size)
{
    struct store_perm *perms = malloc(ancestor->n_perms * sizeof(perms[0]));
    struct node_parts p = {.path = path,
                           .perms = perms,
                           .n_perms = ancestor->n_perms,
                           .data = data,
                           .size = size,
                           .children = child,
                           .children_size = child != NULL ? strlen(child) + 1 : 0};
    struct node *n;

    if (perms == NULL)
        return NULL;
    memcpy(perms, ancestor->perms, p.n_perms * sizeof(perms[0]));
    if (r->who == GUEST)
        perms[0].domid = r->s->domid;
    n = node_new(r->s, &p);
    free(perms);
    return n;
}

/* From the node to be created up to below its ancestor, and then the ancestor. */
static int chain_build(const struct request *r, struct chain *c, const struct node *ancestor,
                       const char *path, const void *data, size_t size)
{
    const char *child = NULL;
    char *at = strdup(path);
    int rc = at != NULL ? 0 : ENOMEM;

    while (rc == 0 && strcmp(at, ancestor->path) != 0) {
        char *up = path_parent(at);

        rc = up == NULL ? ENOMEM
                        : chain_add(r, c,
                                    new_node(r, ancestor, at, child, child == NULL ? data : NULL,
                                             child == NULL ? size : 0));
        child = rc == 0 ? path_name(c->at[c->count - 1]->path) : NULL;
        free(at);
        at = up;
    }
    if (rc == 0)
        rc = chain_add(r, c, node_with_child(r->s, ancestor, child));
    free(at);
    return rc;
}

static size_t count_slashes(const char *path)
{
    size_t n = 0;

    for (; *path != '\0'; path++)
        n += *path == '/';
    return n;
}

static int create(const struct request *r, const char *path, const void *data, size_t size)
{
    struct chain c = {.room = count_slashes(path) + 1};
    struct node *ancestor;
    int rc = get_ancestor(r, path, &ancestor);

    if (rc != 0)
        return rc;
    c.at = malloc(c.room * sizeof(c.at[0]));
    if (c.at == NULL)
        return ENOMEM;
    rc = chain_build(r, &c, ancestor, path, data, size);
    if (rc == 0 && r->who == GUEST && view_owned(r) + c.count - 1 > STORE_NODES)
        rc = ENOSPC;
    if (rc == 0 && !view_reserve(r, c.count))
        rc = ENOMEM;
    for (size_t i = 0; rc == 0 && i < c.count; i++)
        view_put(r, node_hold(c.at[i]));
    chain_drop(&c);
    return rc;
}

/* ---- the operations */

static int replace(const struct request *r, const struct node_parts *p)
{
    struct node *n = node_new(r->s, p);

    if (n == NULL)
        return ENOMEM;
    if (too_large(r, n)) {
        node_drop(n);
        return ENOSPC;
    }
    view_put(r, n);
    return 0;
}

int tree_write(const struct request *r, const char *path, const void *data, size_t size)
{
    struct node_parts p;
    struct node *n;
    int rc = tree_get(r, path, STORE_WRITE, &n);

    if (rc == ENOENT) {
        rc = create(r, path, data, size);
    } else if (rc == 0) {
        p = node_parts(n);
        p.data = data;
        p.size = size;
        rc = replace(r, &p);
    }
    if (rc == 0)
        watches_fire(r, &(struct change){.path = path});
    return rc;
}

int tree_mkdir(const struct request *r, const char *path)
{
    struct node *n;
    int rc = tree_get(r, path, STORE_WRITE, &n);

    if (rc != ENOENT)
        return rc;
    rc = create(r, path, NULL, 0);
    if (rc == 0)
        watches_fire(r, &(struct change){.path = path});
    return rc;
}

int tree_set_perms(const struct request *r, const char *path, const struct store_perm *perms,
                   unsigned count)
{
    struct node_parts p;
    struct node *n;
    int rc = tree_get(r, path, STORE_WRITE | STORE_OWNER, &n);

    if (rc != 0)
        return rc;
    if (r->who == GUEST && perms[0].domid != n->perms[0].domid)
        return EPERM;
    p = node_parts(n);
    p.perms = perms;
    p.n_perms = count;
    node_hold(n);
    rc = replace(r, &p);
    if (rc == 0)
        watches_fire(r, &(struct change){.path = path, .old = n});
    node_drop(n);
    return rc;
}

/* ---- removal */

/* A node and all below it, those below first. */
static int collect(const struct request *r, const char *path, struct chain *c)
{
    struct node *n, **at;
    int rc = view_get(r, path, &n);

    for (size_t i = 0; rc == 0 && i < n->children_size; i += strlen(n->children + i) + 1) {
        char *below = path_join(path, n->children + i);

        rc = below != NULL ? collect(r, below, c) : ENOMEM;
        free(below);
    }
    if (rc == 0 && c->count == c->room) {
        c->room = c->room * 2 + 16;
        at = realloc(c->at, c->room * sizeof(at[0]));
        if (at == NULL)
            return ENOMEM;
        c->at = at;
    }
    if (rc == 0)
        c->at[c->count++] = node_hold(n);
    return rc;
}

/* Watches fire while the nodes' rights can still be seen. */
static void remove_all(const struct request *r, const struct chain *c, struct node *parent)
{
    for (size_t i = 0; i < c->count; i++) {
        view_remove(r, c->at[i]->path);
        if (i + 1 == c->count)
            view_put(r, parent);
        watches_fire(r, &(struct change){
                            .path = c->at[i]->path, .node = c->at[i], .exact = i + 1 < c->count});
    }
}

static int remove_existing(const struct request *r, const char *path)
{
    struct chain c = {0};
    struct node *parent, *changed;
    char *up = path_parent(path);
    int rc = up != NULL ? view_get(r, up, &parent) : ENOMEM;

    free(up);
    if (rc == 0)
        rc = collect(r, path, &c);
    if (rc == 0) {
        changed = node_without_child(r->s, parent, path_name(path));
        if (changed == NULL)
            rc = ENOMEM;
        else
            remove_all(r, &c, changed);
    }
    chain_drop(&c);
    return rc;
}

int tree_remove(const struct request *r, const char *path)
{
    struct node *n;
    char *up;
    int rc = tree_get(r, path, STORE_WRITE, &n);

    if (rc == 0)
        return strcmp(path, "/") == 0 ? EINVAL : remove_existing(r, path);
    if (rc != ENOENT)
        return rc;
    up = path_parent(path);
    rc = up != NULL ? view_get(r, up, &n) : ENOMEM;
    free(up);
    return rc;
}
