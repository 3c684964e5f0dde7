/* SPDX-License-Identifier: MIT */
/* Nodes and transactions of the store. */
#include "store.h"

static int check_path(struct pvguest *g, const char *path)
{
    size_t length = strlen(path);
    if (length == 0 || length > PVG_XS_PATH_MAX)
        return fail(g, -XEN_EINVAL, "a path of %lu bytes; 1 to %u are allowed", length,
                    PVG_XS_PATH_MAX);
    return 0;
}

/* A request about one node. The context names as much of it as there is room to read. */
static int ask_node(struct pvguest *g, uint32_t type, const char *what, pvg_xs_tx tx,
                    const char *path, const char *text)
{
    int rc = check_path(g, path);
    if (rc)
        return fail_in(g, rc, "store: %s", what);
    rc = store_ask(g, type, tx, path, text, text ? strlen(text) : 0);
    return fail_in(g, rc, "store: %s %s", what, path);
}

/* The reply's bytes and a NUL. */
static int hand_over(struct pvguest *g, const char *path, char *to, size_t room)
{
    size_t size = g->store.reply_size;
    if (room <= size)
        return fail(g, -XEN_E2BIG, "store: %s: %lu bytes and a NUL, there is room for %lu", path,
                    size, room);
    memcpy(to, store_reply(&g->store), size + 1);
    return 0;
}

int pvg_xs_read(struct pvguest *g, pvg_xs_tx tx, const char *path, char *to, size_t room,
                size_t *length)
{
    int rc = ask_node(g, XS_READ, "reading", tx, path, NULL);
    if (rc)
        return rc;
    if (length)
        *length = g->store.reply_size;
    return hand_over(g, path, to, room);
}

int pvg_xs_write(struct pvguest *g, pvg_xs_tx tx, const char *path, const char *text)
{
    return ask_node(g, XS_WRITE, "writing", tx, path, text);
}

int pvg_xs_mkdir(struct pvguest *g, pvg_xs_tx tx, const char *path)
{
    return ask_node(g, XS_MKDIR, "making", tx, path, NULL);
}

int pvg_xs_remove(struct pvguest *g, pvg_xs_tx tx, const char *path)
{
    return ask_node(g, XS_RM, "removing", tx, path, NULL);
}

int pvg_xs_directory(struct pvguest *g, pvg_xs_tx tx, const char *path, char *to, size_t room,
                     unsigned *count)
{
    int rc = ask_node(g, XS_DIRECTORY, "listing", tx, path, NULL);
    if (rc)
        return rc;
    const char *names = store_reply(&g->store);
    uint32_t size = g->store.reply_size;
    unsigned found = 0;
    if (size > 0 && names[size - 1] != 0)
        return store_give_up(g, "the last name of a list is not complete");
    for (uint32_t i = 0; i < size; i++)
        found += names[i] == 0;
    rc = hand_over(g, path, to, room);
    if (rc == 0)
        *count = found;
    return rc;
}

/* ---- transactions */

/* A decimal number that is not 0. */
static bool parse_id(const char *text, uint32_t *id)
{
    uint64_t n = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && n <= UINT32_MAX; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    *id = (uint32_t)n;
    return at != text && *at == 0 && n > 0 && n <= UINT32_MAX;
}

int pvg_xs_begin(struct pvguest *g, pvg_xs_tx *tx)
{
    uint32_t id;
    int rc = store_ask(g, XS_TRANSACTION_START, 0, "", NULL, 0);
    if (rc)
        return fail_in(g, rc, "store: beginning a transaction");
    if (!parse_id(store_reply(&g->store), &id))
        return store_give_up(g, "a transaction that has no number");
    *tx = id;
    return 0;
}

int pvg_xs_end(struct pvguest *g, pvg_xs_tx tx, bool commit)
{
    int rc = store_ask(g, XS_TRANSACTION_END, tx, commit ? "T" : "F", NULL, 0);
    return fail_in(g, rc, "store: ending transaction %u", tx);
}
