/* SPDX-License-Identifier: MIT */
/* The guest's requests: their payloads taken apart, and their answers. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* A request and its payload, behind which a NUL lies. */
struct call {
    struct request r;
    uint32_t type;
    const char *payload;
    size_t size;
};

static int answer(const struct call *c, const void *data, size_t size)
{
    return ring_reply(c->r.s, c->type, data, size);
}

static int acknowledge(const struct call *c, int rc)
{
    return rc != 0 ? rc : answer(c, "OK", 3);
}

/* ---- payloads */

/* One string, and nothing behind it; NULL: something else. */
static const char *only_string(const struct call *c)
{
    return c->size > 0 && strlen(c->payload) + 1 == c->size ? c->payload : NULL;
}

static unsigned count_strings(const struct call *c)
{
    unsigned count = 0;

    for (size_t i = 0; i < c->size; i++)
        count += c->payload[i] == '\0';
    return count;
}

static const char *next_string(const char *string)
{
    return string + strlen(string) + 1;
}

/* `path` as an absolute one in *whole, malloc'd. */
static int take_path(const struct call *c, const char *path, char **whole)
{
    *whole = NULL;
    if (path == NULL)
        return EINVAL;
    *whole = path_absolute(&c->r, path);
    return *whole != NULL ? 0 : ENOMEM;
}

/* The node that a path of the payload names, if the guest may read it. */
static int readable_node(const struct call *c, const char *path, struct node **n)
{
    char *whole;
    int rc = take_path(c, path, &whole);

    if (rc == 0)
        rc = tree_get(&c->r, whole, STORE_READ, n);
    free(whole);
    return rc;
}

/* ---- nodes */

static int do_directory(struct call *c)
{
    struct node *n;
    const int rc = readable_node(c, only_string(c), &n);

    return rc != 0 ? rc : answer(c, n->children, n->children_size);
}

/* As many whole names, from an offset on, as fit behind the node's generation. */
static int do_directory_part(struct call *c)
{
    char text[XENSTORE_PAYLOAD_MAX];
    struct node *n;
    unsigned offset;
    size_t used, length;
    int rc;

    if (count_strings(c) != 2)
        return EINVAL;
    rc = readable_node(c, c->payload, &n);
    if (rc != 0)
        return rc;
    offset = (unsigned)strtol(next_string(c->payload), NULL, 10);
    used = (size_t)sprintf(text, "%llu", (unsigned long long)n->generation) + 1;
    while (offset < n->children_size) {
        length = strlen(n->children + offset) + 1;
        if (used + length > sizeof(text) - 1)
            return answer(c, text, used);
        memcpy(text + used, n->children + offset, length);
        used += length;
        offset += (unsigned)length;
    }
    text[used++] = '\0'; /* an empty name: there are no more */
    return answer(c, text, used);
}

static int do_read(struct call *c)
{
    struct node *n;
    const int rc = readable_node(c, only_string(c), &n);

    return rc != 0 ? rc : answer(c, n->data, n->size);
}

static int do_write(struct call *c)
{
    char *whole;
    size_t at;
    int rc;

    if (count_strings(c) == 0)
        return EINVAL;
    at = strlen(c->payload) + 1;
    rc = take_path(c, c->payload, &whole);
    if (rc == 0)
        rc = tree_write(&c->r, whole, c->payload + at, c->size - at);
    free(whole);
    return acknowledge(c, rc);
}

static int do_mkdir(struct call *c)
{
    char *whole;
    int rc = take_path(c, only_string(c), &whole);

    if (rc == 0)
        rc = tree_mkdir(&c->r, whole);
    free(whole);
    return acknowledge(c, rc);
}

static int do_rm(struct call *c)
{
    char *whole;
    int rc = take_path(c, only_string(c), &whole);

    if (rc == 0)
        rc = tree_remove(&c->r, whole);
    free(whole);
    return acknowledge(c, rc);
}

static int do_get_perms(struct call *c)
{
    char text[XENSTORE_PAYLOAD_MAX];
    struct node *n;
    const int rc = readable_node(c, only_string(c), &n);

    return rc != 0 ? rc : answer(c, text, perms_print(n->perms, n->n_perms, text, sizeof(text)));
}

static int do_set_perms(struct call *c)
{
    struct store_perm perms[STORE_PERMS];
    const unsigned count = count_strings(c);
    char *whole;
    int rc;

    if (count < 2)
        return EINVAL;
    if (count - 1 > STORE_PERMS)
        return ENOSPC;
    rc = perms_parse(next_string(c->payload), c->size - (strlen(c->payload) + 1), perms, count - 1);
    if (rc == 0 && !perms_owner_exists(c->r.s, perms))
        rc = ENOENT;
    if (rc != 0)
        return rc;
    if (c->payload[0] == '@')
        return acknowledge(c, perms_set_special(&c->r, c->payload, perms, count - 1));
    rc = take_path(c, c->payload, &whole);
    if (rc == 0)
        rc = tree_set_perms(&c->r, whole, perms, count - 1);
    free(whole);
    return acknowledge(c, rc);
}

/* ---- watches, transactions, domains */

static int do_watch(struct call *c)
{
    if (count_strings(c) != 2)
        return EINVAL;
    return watch_add(c->r.s, c->payload, next_string(c->payload)); /* it answers itself */
}

static int do_unwatch(struct call *c)
{
    if (count_strings(c) != 2)
        return EINVAL;
    return acknowledge(c, watch_remove(c->r.s, c->payload, next_string(c->payload)));
}

static int do_transaction_start(struct call *c)
{
    char text[16];
    uint32_t id;
    const int rc = transaction_start(&c->r, &id);

    return rc != 0 ? rc : answer(c, text, (size_t)sprintf(text, "%u", (unsigned)id) + 1);
}

static int do_transaction_end(struct call *c)
{
    const char *how = only_string(c);

    if (how == NULL || (strcmp(how, "T") != 0 && strcmp(how, "F") != 0))
        return EINVAL;
    return acknowledge(c, transaction_end(&c->r, how[0] == 'T'));
}

static int do_get_domain_path(struct call *c)
{
    const char *domid = only_string(c);
    char text[32];

    if (domid == NULL)
        return EINVAL;
    return answer(c, text,
                  (size_t)sprintf(text, "/local/domain/%u", (unsigned)strtol(domid, NULL, 10)) + 1);
}

static int do_reset_watches(struct call *c)
{
    watches_drop(c->r.s, false);
    transactions_drop(c->r.s);
    return acknowledge(c, 0);
}

static int do_privileged(struct call *c)
{
    (void)c;
    return EACCES;
}

struct kind {
    int (*serve)(struct call *c); /* NULL: ENOSYS */
    bool no_transaction;          /* whatever id is given */
};

static const struct kind kinds[XS_TYPE_COUNT] = {
    [XS_CONTROL] = {do_privileged, true},
    [XS_DIRECTORY] = {do_directory, false},
    [XS_READ] = {do_read, false},
    [XS_GET_PERMS] = {do_get_perms, false},
    [XS_WATCH] = {do_watch, true},
    [XS_UNWATCH] = {do_unwatch, true},
    [XS_TRANSACTION_START] = {do_transaction_start, false},
    [XS_TRANSACTION_END] = {do_transaction_end, false},
    [XS_INTRODUCE] = {do_privileged, true},
    [XS_RELEASE] = {do_privileged, true},
    [XS_GET_DOMAIN_PATH] = {do_get_domain_path, false},
    [XS_WRITE] = {do_write, false},
    [XS_MKDIR] = {do_mkdir, false},
    [XS_RM] = {do_rm, false},
    [XS_SET_PERMS] = {do_set_perms, false},
    [XS_IS_DOMAIN_INTRODUCED] = {do_privileged, true},
    [XS_RESUME] = {do_privileged, true},
    [XS_SET_TARGET] = {do_privileged, true},
    [XS_RESET_WATCHES] = {do_reset_watches, false},
    [XS_DIRECTORY_PART] = {do_directory_part, false},
};

static int serve(struct call *c, uint32_t tx_id)
{
    const struct kind *k = &kinds[c->type < XS_TYPE_COUNT ? c->type : XS_ERROR];

    if (k->serve == NULL)
        return ENOSYS;
    if (tx_id != 0 && !k->no_transaction) {
        c->r.t = transaction_find(c->r.s, tx_id);
        if (c->r.t == NULL)
            return ENOENT;
    }
    return k->serve(c);
}

static const char *error_name(int error)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (xsd_errors[i].errnum == error)
            return xsd_errors[i].errstring;
    return "EINVAL";
}

/* The message in s->in is complete. */
void request_serve(struct store *s)
{
    struct call c = {
        .r = {s, GUEST, NULL},
        .type = s->in.header.type,
        .payload = s->in.payload,
        .size = s->in.header.len,
    };
    const char *name;
    int rc;

    s->in.payload[c.size] = '\0';
    rc = serve(&c, s->in.header.tx_id);
    if (rc == 0)
        return;
    name = error_name(rc);
    if (ring_reply(s, XS_ERROR, name, strlen(name) + 1) != 0)
        ring_break(s, "out of memory");
}
