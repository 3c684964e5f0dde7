/* SPDX-License-Identifier: MIT */
/* Watches of the guest and of the tool. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static bool readable(const struct request *guest, const struct node *n)
{
    return n != NULL && (perms_for(guest, n->perms, n->n_perms) & STORE_READ) != 0;
}

static bool parent_readable(const struct request *guest, const char *path)
{
    char *up = path_parent(path);
    const bool yes = up != NULL && readable(guest, table_find(&guest->s->table, up));

    if (up == NULL)
        guest->s->error = "out of memory";
    free(up);
    return yes;
}

/* May the guest hear of it? If it can read the node, or could before, or can read its parent. */
static bool may_hear(const struct request *guest, const struct change *c)
{
    const struct node *n = c->node != NULL ? c->node : table_find(&guest->s->table, c->path);
    const struct store_perm *perms;
    unsigned count;

    if (c->path[0] == '@')
        return perms_special(guest->s, c->path, &perms, &count) == 0 &&
               (perms_for(guest, perms, count) & STORE_READ) != 0;
    if (readable(guest, c->old) || readable(guest, n))
        return true;
    return n != NULL && parent_readable(guest, c->path);
}

static bool matches(const struct watch *w, const struct change *c)
{
    return c->exact ? strcmp(c->path, w->path) == 0 : path_below(c->path, w->path);
}

/* A relative watch hears relative paths; its base is a whole number of names. */
static const char *path_told(const struct watch *w, const char *path)
{
    path += w->relative;
    return w->relative > 0 && *path == '/' ? path + 1 : path;
}

static void queue(struct transaction *t, const struct change *c)
{
    for (size_t i = 0; i < t->count; i++) {
        struct access *a = &t->access[i];

        if (strcmp(a->path, c->path) == 0) {
            a->exact = c->exact && (a->exact || !a->fire);
            a->fire = true;
        }
    }
}

void watches_fire(const struct request *r, const struct change *c)
{
    const struct request guest = {r->s, GUEST, NULL};
    bool heard;

    if (r->t != NULL) { /* if and when it is committed */
        queue(r->t, c);
        return;
    }
    heard = may_hear(&guest, c);
    for (struct watch *w = r->s->watches; w != NULL; w = w->next) {
        if (!matches(w, c))
            continue;
        if (w->caller != NULL)
            w->caller(w->ctx, c->path);
        else if (heard)
            ring_event(r->s, path_told(w, c->path), w->token);
    }
}

static struct watch *append(struct store *s, const char *path, const char *token)
{
    const size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;
    struct watch *w = malloc(sizeof(*w) + path_size + token_size);

    if (w == NULL)
        return NULL;
    *w = (struct watch){.path = (char *)(w + 1), .token = (char *)(w + 1) + path_size};
    memcpy(w + 1, path, path_size);
    memcpy((char *)(w + 1) + path_size, token, token_size);
    *s->watches_end = w;
    s->watches_end = &w->next;
    return w;
}

static void unlink_watch(struct store *s, struct watch **at)
{
    struct watch *w = *at;

    *at = w->next;
    if (w->next == NULL)
        s->watches_end = at;
    free(w);
}

/* Where the guest's watch of that path and token is linked; NULL: there is none. */
static struct watch **find_guest_watch(struct store *s, const char *path, const char *token)
{
    for (struct watch **at = &s->watches; *at != NULL; at = &(*at)->next)
        if ((*at)->caller == NULL && strcmp((*at)->path, path) == 0 &&
            strcmp((*at)->token, token) == 0)
            return at;
    return NULL;
}

static unsigned count_guest_watches(const struct store *s)
{
    unsigned count = 0;

    for (const struct watch *w = s->watches; w != NULL; w = w->next)
        count += w->caller == NULL;
    return count;
}

static bool may_watch(const char *path)
{
    return path[0] == '@' ? strlen(path) <= XENSTORE_REL_PATH_MAX : path_valid(path);
}

int watch_add(struct store *s, const char *path, const char *token)
{
    const struct request r = {s, GUEST, NULL};
    char *whole = path_absolute(&r, path);
    struct watch *w = NULL;
    int rc = 0;

    if (whole == NULL)
        return ENOMEM;
    if (!may_watch(whole))
        rc = EINVAL;
    else if (find_guest_watch(s, whole, token) != NULL)
        rc = EEXIST;
    else if (count_guest_watches(s) >= STORE_WATCHES)
        rc = E2BIG;
    else if ((rc = ring_reply(s, XS_WATCH, "OK", 3)) == 0)
        w = append(s, whole, token);
    if (rc == 0 && w == NULL)
        ring_break(s, "out of memory");
    if (rc == 0 && w != NULL) {
        w->relative = path[0] == '/' || path[0] == '@' ? 0 : strlen(s->home);
        ring_event(s, path_told(w, w->path), w->token);
    }
    free(whole);
    return rc;
}

int watch_remove(struct store *s, const char *path, const char *token)
{
    const struct request r = {s, GUEST, NULL};
    char *whole = path_absolute(&r, path);
    struct watch **at;

    if (whole == NULL)
        return ENOMEM;
    at = find_guest_watch(s, whole, token);
    free(whole);
    if (at == NULL)
        return ENOENT;
    unlink_watch(s, at);
    return 0;
}

/* Those of the guest, or all there are. */
void watches_drop(struct store *s, bool all)
{
    struct watch **at = &s->watches;

    while (*at != NULL)
        if (all || (*at)->caller == NULL)
            unlink_watch(s, at);
        else
            at = &(*at)->next;
}

static struct watch **find_tool_watch(struct store *s, const char *path, store_watcher *watcher,
                                      const void *ctx)
{
    for (struct watch **at = &s->watches; *at != NULL; at = &(*at)->next)
        if ((*at)->caller == watcher && (*at)->ctx == ctx && strcmp((*at)->path, path) == 0)
            return at;
    return NULL;
}

int store_watch(struct store *s, const char *path, store_watcher *watcher, void *ctx)
{
    struct watch *w;

    if (watcher == NULL || path[0] == '\0' || !may_watch(path))
        return EINVAL;
    if (find_tool_watch(s, path, watcher, ctx) != NULL)
        return EEXIST;
    w = append(s, path, "");
    if (w == NULL)
        return ENOMEM;
    w->caller = watcher;
    w->ctx = ctx;
    return 0;
}

int store_unwatch(struct store *s, const char *path, store_watcher *watcher, void *ctx)
{
    struct watch **at = find_tool_watch(s, path, watcher, ctx);

    if (watcher == NULL || at == NULL)
        return ENOENT;
    unlink_watch(s, at);
    return 0;
}

int store_announce(struct store *s, const char *event)
{
    const struct request r = {s, TOOL, NULL};
    const struct store_perm *perms;
    unsigned count;
    const int rc = perms_special(s, event, &perms, &count);

    if (rc == 0)
        watches_fire(&r, &(struct change){.path = event});
    return rc;
}
