/* SPDX-License-Identifier: MIT */
/* Nodes, and the table that holds them by path. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static char *append(char *at, const void *data, size_t size)
{
    if (size > 0)
        memcpy(at, data, size);
    return at + size;
}

/* One block of memory: the node, its permissions, path, children and value. */
struct node *node_new(struct store *s, const struct node_parts *p)
{
    const size_t path_size = strlen(p->path) + 1;
    const size_t perms_size = p->n_perms * sizeof(p->perms[0]);
    struct node *n = malloc(sizeof(*n) + perms_size + path_size + p->children_size + p->size);
    char *at;

    if (n == NULL)
        return NULL;
    at = (char *)(n + 1);
    *n = (struct node){.holders = 1,
                       .generation = ++s->generation,
                       .perms = (const struct store_perm *)(const void *)at,
                       .n_perms = p->n_perms,
                       .size = p->size,
                       .children_size = p->children_size};
    n->path = append(at, p->perms, perms_size);
    n->children = append(at + perms_size, p->path, path_size);
    n->data = append(at + perms_size + path_size, p->children, p->children_size);
    append(at + perms_size + path_size + p->children_size, p->data, p->size);
    return n;
}

struct node *node_hold(struct node *n)
{
    if (n != NULL)
        n->holders++;
    return n;
}

void node_drop(struct node *n)
{
    if (n != NULL && --n->holders == 0)
        free(n);
}

struct node_parts node_parts(const struct node *n)
{
    return (struct node_parts){n->path, n->perms,    n->n_perms,      n->data,
                               n->size, n->children, n->children_size};
}

struct node *node_with_child(struct store *s, const struct node *n, const char *name)
{
    struct node_parts p = node_parts(n);
    const size_t name_size = strlen(name) + 1;
    char *children = malloc(n->children_size + name_size);
    struct node *made;

    if (children == NULL)
        return NULL;
    append(append(children, n->children, n->children_size), name, name_size);
    p.children = children;
    p.children_size += name_size;
    made = node_new(s, &p);
    free(children);
    return made;
}

struct node *node_without_child(struct store *s, const struct node *n, const char *name)
{
    struct node_parts p = node_parts(n);
    char *children = malloc(n->children_size + 1);
    struct node *made;
    char *at = children;

    if (children == NULL)
        return NULL;
    for (size_t i = 0; i < n->children_size; i += strlen(n->children + i) + 1)
        if (strcmp(n->children + i, name) != 0)
            at = append(at, n->children + i, strlen(n->children + i) + 1);
    p.children = children;
    p.children_size = (size_t)(at - children);
    made = node_new(s, &p);
    free(children);
    return made;
}

/* The place of `path`, or where it would be. */
static size_t place(const struct table *t, const char *path, bool *there)
{
    size_t low = 0, high = t->count;

    *there = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(t->at[middle]->path, path);

        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct node *table_find(const struct table *t, const char *path)
{
    bool there;
    const size_t i = place(t, path, &there);

    return there ? t->at[i] : NULL;
}

bool table_reserve(struct table *t, size_t more)
{
    const size_t room = t->room * 2 > t->count + more ? t->room * 2 : t->count + more;
    struct node **at;

    if (t->count + more <= t->room)
        return true;
    at = realloc(t->at, room * sizeof(t->at[0]));
    if (at == NULL)
        return false;
    t->at = at;
    t->room = room;
    return true;
}

void table_put(struct table *t, struct node *n)
{
    bool there;
    const size_t i = place(t, n->path, &there);

    if (there) {
        node_drop(t->at[i]);
    } else {
        memmove(t->at + i + 1, t->at + i, (t->count - i) * sizeof(t->at[0]));
        t->count++;
    }
    t->at[i] = n;
}

void table_remove(struct table *t, const char *path)
{
    bool there;
    const size_t i = place(t, path, &there);

    if (!there)
        return;
    node_drop(t->at[i]);
    t->count--;
    memmove(t->at + i, t->at + i + 1, (t->count - i) * sizeof(t->at[0]));
}
