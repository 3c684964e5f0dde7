/* SPDX-License-Identifier: MIT */
/* What the toolstack asks for: control/shutdown, and memory/target. */
#include "store.h"

#define OWN_TOKENS     "pvguest/"
#define SHUTDOWN_TOKEN OWN_TOKENS "shutdown"
#define TARGET_TOKEN   OWN_TOKENS "target"
#define SHUTDOWN_NODE  "control/shutdown"
#define TARGET_NODE    "memory/target"
#define WORD_MAX       16u
#define NUMBER_MAX     24u
#define TRIES          16u /* of a transaction that others come between */
#define KIB_IN_PAGE    (PVG_PAGE_BYTES / 1024)

static const char *const features[] = {
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
};
#define FEATURES (sizeof(features) / sizeof(features[0]))

/* ---- watches of the library's own: what matters is only that they fired */

bool control_owns(const char *token)
{
    return strncmp(token, OWN_TOKENS, strlen(OWN_TOKENS)) == 0;
}

bool control_event(struct pvguest *g, const char *token)
{
    struct control *c = &g->store.control;
    c->shutdown = c->shutdown || strcmp(token, SHUTDOWN_TOKEN) == 0;
    c->target = c->target || strcmp(token, TARGET_TOKEN) == 0;
    return control_owns(token);
}

static int watch_both(struct pvguest *g)
{
    int rc = store_set_watch(g, SHUTDOWN_NODE, SHUTDOWN_TOKEN);
    if (rc)
        return fail_in(g, rc, "watching %s", SHUTDOWN_NODE);
    rc = store_set_watch(g, TARGET_NODE, TARGET_TOKEN);
    return fail_in(g, rc, "watching %s", TARGET_NODE);
}

static void unwatch_both(struct pvguest *g)
{
    undo_begin(g);
    store_clear_watch(g, SHUTDOWN_NODE, SHUTDOWN_TOKEN);
    store_clear_watch(g, TARGET_NODE, TARGET_TOKEN);
    undo_end(g);
}

/* ---- opening */

/* All of them, or none: in a transaction. */
static int say_features(struct pvguest *g)
{
    pvg_xs_tx tx;
    int rc = pvg_xs_begin(g, &tx);
    if (rc)
        return rc;
    for (unsigned i = 0; i < FEATURES && rc == 0; i++)
        rc = pvg_xs_write(g, tx, features[i], "1");
    if (rc == 0)
        return pvg_xs_end(g, tx, true);
    undo_begin(g);
    pvg_xs_end(g, tx, false);
    undo_end(g);
    return rc;
}

static int say_features_at_last(struct pvguest *g)
{
    int rc = say_features(g);
    for (unsigned i = 1; rc == -XEN_EAGAIN && i < TRIES; i++)
        rc = say_features(g);
    return rc;
}

/* What the guest says that it understands, it hears: the features are last. */
static int set_up(struct pvguest *g)
{
    int rc = watch_both(g);
    return rc ? rc : say_features_at_last(g);
}

int pvg_control_open(struct pvguest *g)
{
    struct control *c = &g->store.control;
    int rc = store_usable(g);
    if (rc == 0 && c->open)
        return 0;
    if (rc)
        return fail_in(g, rc, "control");
    rc = set_up(g);
    if (rc) {
        unwatch_both(g);
        *c = (struct control){0};
        return fail_in(g, rc, "control");
    }
    c->open = true;
    return 0;
}

int control_again(struct pvguest *g)
{
    return g->store.control.open ? fail_in(g, set_up(g), "control") : 0;
}

/* ---- what is asked for */

static enum pvg_control meaning(const char *word)
{
    static const struct {
        const char *word;
        enum pvg_control what;
    } known[] = {
        {"", PVG_CONTROL_NONE},           {"poweroff", PVG_CONTROL_POWEROFF},
        {"halt", PVG_CONTROL_POWEROFF},   {"reboot", PVG_CONTROL_REBOOT},
        {"suspend", PVG_CONTROL_SUSPEND},
    };
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].word, word) == 0)
            return known[i].what;
    return PVG_CONTROL_UNKNOWN;
}

/* In a transaction. A word that has no room is none that we know; no node, no word. */
static int read_word(struct pvguest *g, pvg_xs_tx tx, enum pvg_control *what)
{
    char word[WORD_MAX];
    int rc = pvg_xs_read(g, tx, SHUTDOWN_NODE, word, sizeof(word), NULL);
    *what = rc == -XEN_ENOENT ? PVG_CONTROL_NONE : PVG_CONTROL_UNKNOWN;
    if (rc == 0)
        *what = meaning(word);
    return rc == -XEN_ENOENT || rc == -XEN_E2BIG ? 0 : rc;
}

/* Without a reply nobody knows whether the word is answered: then the next look finds it, or, where
 * it is gone, it was this one. */
static int end(struct pvguest *g, pvg_xs_tx tx, enum pvg_control what)
{
    int rc = pvg_xs_end(g, tx, what != PVG_CONTROL_NONE);
    if (rc && rc != -XEN_EAGAIN && what != PVG_CONTROL_NONE)
        g->store.control.in_doubt = what;
    return rc;
}

static int take_word(struct pvguest *g, enum pvg_control *what)
{
    pvg_xs_tx tx;
    int rc = pvg_xs_begin(g, &tx);
    if (rc)
        return rc;
    rc = read_word(g, tx, what);
    if (rc == 0 && *what != PVG_CONTROL_NONE)
        rc = pvg_xs_write(g, tx, SHUTDOWN_NODE, "");
    if (rc == 0)
        return end(g, tx, *what);
    undo_begin(g);
    pvg_xs_end(g, tx, false);
    undo_end(g);
    return rc;
}

/* What could not be looked at has still fired. */
static int next_word(struct pvguest *g, enum pvg_control *what)
{
    struct control *c = &g->store.control;
    c->shutdown = false;
    int rc = take_word(g, what);
    for (unsigned i = 1; rc == -XEN_EAGAIN && i < TRIES; i++)
        rc = take_word(g, what);
    if (rc) {
        c->shutdown = true;
        *what = PVG_CONTROL_NONE;
        return rc;
    }
    if (*what == PVG_CONTROL_NONE)
        *what = c->in_doubt;
    c->in_doubt = PVG_CONTROL_NONE;
    return 0;
}

static bool parse_kib(const char *text, uint64_t *kib)
{
    const char *at = text;
    for (*kib = 0; *at >= '0' && *at <= '9' && *kib <= UINT64_MAX / 10 - 1; at++)
        *kib = *kib * 10 + (uint64_t)(*at - '0');
    return at != text && *at == 0;
}

static int next_target(struct pvguest *g, enum pvg_control *what, uint64_t *target)
{
    struct control *c = &g->store.control;
    char text[NUMBER_MAX] = "";
    uint64_t kib;
    c->target = false;
    int rc = pvg_xs_read(g, 0, TARGET_NODE, text, sizeof(text), NULL);
    if (rc == -XEN_ENOENT)
        return 0;
    if (rc && rc != -XEN_E2BIG) {
        c->target = true;
        return rc;
    }
    if (rc == 0 && text[0] == 0)
        return 0;
    if (rc || !parse_kib(text, &kib)) {
        fail(g, -XEN_EINVAL, "control: %s is \"%s\", which is no number of KiB", TARGET_NODE, text);
        return 0;
    }
    *what = PVG_CONTROL_TARGET;
    *target = kib / KIB_IN_PAGE;
    return 0;
}

static int check_open(struct pvguest *g)
{
    int rc = store_look(g);
    if (rc == 0 && !g->store.control.open)
        return fail(g, -XEN_EINVAL, "not open");
    return rc;
}

int pvg_control_next(struct pvguest *g, enum pvg_control *what, uint64_t *target)
{
    const struct control *c = &g->store.control;
    int rc = check_open(g);
    *what = PVG_CONTROL_NONE;
    if (rc == 0 && c->shutdown)
        rc = next_word(g, what);
    if (rc == 0 && *what == PVG_CONTROL_NONE && c->target)
        rc = next_target(g, what, target);
    return fail_in(g, rc, "control");
}

int pvg_control_wait(struct pvguest *g, uint64_t until)
{
    const struct control *c = &g->store.control;
    int rc = check_open(g);
    if (rc == 0 && !c->shutdown && !c->target)
        rc = pvg_event_wait(g, &g->store.port, 1, until);
    return fail_in(g, rc, "control");
}
