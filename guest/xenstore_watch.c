/* SPDX-License-Identifier: MIT */
/* Watches that are set, and events of theirs that nobody has taken yet. */
#include "store.h"

/* ---- lists of pairs */

static const char *token_of(const char *pair)
{
    return pair + strlen(pair) + 1;
}

static uint32_t pair_bytes(const char *path, const char *token)
{
    return (uint32_t)(strlen(path) + strlen(token) + 2);
}

static const char *pairs_end(const struct store_pairs *p)
{
    return p->text + p->used;
}

static const char *pair_next(const char *pair)
{
    return pair + pair_bytes(pair, token_of(pair));
}

static bool pairs_have_room(const struct store_pairs *p, const char *path, const char *token)
{
    return p->count < STORE_PAIRS && pair_bytes(path, token) <= sizeof(p->text) - p->used;
}

static void pairs_add(struct store_pairs *p, const char *path, const char *token)
{
    size_t path_size = strlen(path) + 1;
    memcpy(p->text + p->used, path, path_size);
    memcpy(p->text + p->used + path_size, token, strlen(token) + 1);
    p->used += pair_bytes(path, token);
    p->count++;
}

static void pairs_drop(struct store_pairs *p, const char *pair)
{
    size_t at = (size_t)(pair - p->text), bytes = pair_bytes(pair, token_of(pair));
    memmove(p->text + at, p->text + at + bytes, p->used - at - bytes);
    p->used -= (uint32_t)bytes;
    p->count--;
}

/* path NULL: any. NULL: none. */
static const char *pairs_find(const struct store_pairs *p, const char *path, const char *token)
{
    for (const char *at = p->text; at < pairs_end(p); at = pair_next(at))
        if ((!path || strcmp(at, path) == 0) && strcmp(token_of(at), token) == 0)
            return at;
    return NULL;
}

/* ---- events */

/* The last pair's room is enough for one: an event is no longer than a message. */
static void keep(struct xenstore *s, const char *path, const char *token)
{
    while (!pairs_have_room(&s->events, path, token)) {
        pairs_drop(&s->events, s->events.text);
        s->lost = true;
    }
    pairs_add(&s->events, path, token);
}

_Static_assert(XENSTORE_PAYLOAD_MAX <= PVG_XS_BYTES, "an event has room");

/* Those of watches that were set and given up again are nobody's. */
int store_event(struct pvguest *g, const char *payload, size_t bytes)
{
    const char *token = payload + strlen(payload) + 1;
    if (token >= payload + bytes || pair_bytes(payload, token) != bytes)
        return store_give_up(g, "an event that is not a path and a token");
    if (strlen(payload) > PVG_XS_PATH_MAX)
        return store_give_up(g, "an event with a path of %lu bytes", strlen(payload));
    if (!control_event(g, token) && pairs_find(&g->store.watches, NULL, token))
        keep(&g->store, payload, token);
    return 0;
}

int pvg_xs_event(struct pvguest *g, struct pvg_xs_event *e)
{
    struct xenstore *s = &g->store;
    int rc = store_look(g);
    if (rc < 0)
        return fail_in(g, rc, "store: events");
    if (s->events.count == 0)
        return 0;
    const char *token = token_of(s->events.text);
    memcpy(e->path, s->events.text, strlen(s->events.text) + 1);
    memcpy(e->token, token, strlen(token) + 1);
    e->lost = s->lost;
    s->lost = false;
    pairs_drop(&s->events, s->events.text);
    return 1;
}

/* ---- watches */

static int ask_watch(struct pvguest *g, uint32_t type, const char *path, const char *token)
{
    return store_ask(g, type, 0, path, token, strlen(token) + 1);
}

/* The store may have one of which we were never told that it was set. */
int store_set_watch(struct pvguest *g, const char *path, const char *token)
{
    int rc = ask_watch(g, XS_WATCH, path, token);
    if (rc != -XEN_EEXIST)
        return rc;
    rc = ask_watch(g, XS_UNWATCH, path, token);
    return rc ? rc : ask_watch(g, XS_WATCH, path, token);
}

/* And it may have dropped one of which we were never told that it was. */
int store_clear_watch(struct pvguest *g, const char *path, const char *token)
{
    int rc = ask_watch(g, XS_UNWATCH, path, token);
    return rc == -XEN_ENOENT ? 0 : rc;
}

static void forget(struct xenstore *s, const char *path, const char *token)
{
    const char *event;
    pairs_drop(&s->watches, pairs_find(&s->watches, path, token));
    while (!pairs_find(&s->watches, NULL, token) &&
           (event = pairs_find(&s->events, NULL, token)) != NULL)
        pairs_drop(&s->events, event);
}

static int check_watch(struct pvguest *g, const char *path, const char *token)
{
    size_t length = strlen(path);
    if (length == 0 || length > PVG_XS_PATH_MAX)
        return fail(g, -XEN_EINVAL, "a path of %lu bytes; 1 to %u are allowed", length,
                    PVG_XS_PATH_MAX);
    if (token[0] == 0 || strlen(token) >= PVG_XS_TOKEN_MAX)
        return fail(g, -XEN_EINVAL, "a token of %lu bytes; 1 to %u are allowed", strlen(token),
                    PVG_XS_TOKEN_MAX - 1);
    if (control_owns(token))
        return fail(g, -XEN_EINVAL, "the token %s is the library's", token);
    return store_usable(g);
}

/* It is ours from the moment when the store may have it: its first event comes with the reply.
 * Where the token is another one's, too, the store may know the node by that one's path. */
static int add_watch(struct pvguest *g, const char *path, const char *token)
{
    struct xenstore *s = &g->store;
    int rc = check_watch(g, path, token);
    if (rc)
        return rc;
    if (pairs_find(&s->watches, path, token))
        return fail(g, -XEN_EEXIST, "%s is watched by that token", path);
    if (!pairs_have_room(&s->watches, path, token))
        return fail(g, -XEN_ENOSPC, "%u watches of %u bytes are there", s->watches.count,
                    s->watches.used);
    bool shared = pairs_find(&s->watches, NULL, token);
    pairs_add(&s->watches, path, token);
    rc = shared ? ask_watch(g, XS_WATCH, path, token) : store_set_watch(g, path, token);
    if (rc)
        forget(s, path, token);
    return rc;
}

int pvg_xs_watch(struct pvguest *g, const char *path, const char *token)
{
    return fail_in(g, add_watch(g, path, token), "store: watching");
}

static int remove_watch(struct pvguest *g, const char *path, const char *token)
{
    int rc = check_watch(g, path, token);
    if (rc)
        return rc;
    if (!pairs_find(&g->store.watches, path, token))
        return fail(g, -XEN_ENOENT, "%s is not watched by that token", path);
    rc = store_clear_watch(g, path, token);
    if (rc == 0)
        forget(&g->store, path, token);
    return rc;
}

int pvg_xs_unwatch(struct pvguest *g, const char *path, const char *token)
{
    return fail_in(g, remove_watch(g, path, token), "store: a watch that is to go");
}

int store_watch_again(struct pvguest *g)
{
    const struct store_pairs *w = &g->store.watches;
    int rc = 0;
    for (const char *at = w->text; at < pairs_end(w) && rc == 0; at = pair_next(at))
        rc = fail_in(g, store_set_watch(g, at, token_of(at)), "watching %s", at);
    return rc;
}
