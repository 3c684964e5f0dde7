/* SPDX-License-Identifier: MIT */
/* A store's life, and the tool's side of it: domain 0, which may do everything. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static struct request as_tool(struct store *s)
{
    return (struct request){s, TOOL, NULL};
}

static bool first_nodes(struct store *s)
{
    static const struct store_perm perms = {0, STORE_NONE};
    struct node *root =
        node_new(s, &(struct node_parts){.path = "/", .perms = &perms, .n_perms = 1});

    if (root == NULL)
        return false;
    if (!table_reserve(&s->table, 1)) {
        node_drop(root);
        return false;
    }
    table_put(&s->table, root);
    return store_mkdir(s, "/tool/xenstored") == 0;
}

struct store *store_new(uint16_t domid)
{
    struct store *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->domid = domid;
    snprintf(s->home, sizeof(s->home), "/local/domain/%u", (unsigned)domid);
    s->watches_end = &s->watches;
    s->out_end = &s->out;
    if (first_nodes(s))
        return s;
    store_free(s);
    return NULL;
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    ring_break(s, "");
    watches_drop(s, true);
    for (size_t i = 0; i < s->table.count; i++)
        node_drop(s->table.at[i]);
    free(s->table.at);
    free(s->introduce);
    free(s->release);
    free(s);
}

int store_write(struct store *s, const char *path, const void *data, size_t size)
{
    const struct request r = as_tool(s);

    return tree_write(&r, path, data, size);
}

int store_mkdir(struct store *s, const char *path)
{
    const struct request r = as_tool(s);

    return tree_mkdir(&r, path);
}

int store_remove(struct store *s, const char *path)
{
    const struct request r = as_tool(s);

    return tree_remove(&r, path);
}

int store_set_perms(struct store *s, const char *path, const struct store_perm *perms,
                    unsigned count)
{
    const struct request r = as_tool(s);

    for (unsigned i = 0; i < count; i++)
        if (perms[i].rights > (STORE_READ | STORE_WRITE))
            return EINVAL;
    if (count == 0 || count > STORE_PERMS)
        return EINVAL;
    if (!perms_owner_exists(s, perms))
        return ENOENT;
    return path[0] == '@' ? perms_set_special(&r, path, perms, count)
                          : tree_set_perms(&r, path, perms, count);
}

int store_read(struct store *s, const char *path, const void **data, size_t *size)
{
    const struct request r = as_tool(s);
    struct node *n;
    const int rc = tree_get(&r, path, STORE_READ, &n);

    if (rc != 0)
        return rc;
    *data = n->data;
    *size = n->size;
    return 0;
}

int store_list(struct store *s, const char *path, const char **names, size_t *size)
{
    const struct request r = as_tool(s);
    struct node *n;
    const int rc = tree_get(&r, path, STORE_READ, &n);

    if (rc != 0)
        return rc;
    *names = n->children;
    *size = n->children_size;
    return 0;
}

int store_get_perms(struct store *s, const char *path, const struct store_perm **perms,
                    unsigned *count)
{
    const struct request r = as_tool(s);
    struct node *n;
    const int rc = tree_get(&r, path, STORE_READ, &n);

    if (rc != 0)
        return rc;
    *perms = n->perms;
    *count = n->n_perms;
    return 0;
}
