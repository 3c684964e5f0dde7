/* SPDX-License-Identifier: MIT */
/* The xenstore, as far as a guest has one, and what a toolstack asks by it. */
#include "themes.h"

#define OWN     "data/pvkernel"
#define MS      1000000ull
#define LONG    (60000 * MS)
#define SMALL   64u
#define ENTRIES 20u

static char text[4096];

/* Whether there is a store; if not, the test is skipped. */
static bool have_store(struct tap *t)
{
    int rc = pvg_xs_open(t->g);
    if (rc == -XEN_ENODEV && pvg_xs_port(t->g) == 0)
        tap_skip(t, "the domain has no store");
    else
        tap_ok(t, __FILE_NAME__, __LINE__, "pvg_xs_open", rc);
    pvg_xs_patience(t->g, LONG);
    return rc == 0;
}

static void no_store(struct tap *t)
{
    uint32_t port = pvg_start_info(t->g)->store_evtchn;
    if (!pvg_is_initial_domain(t->g) && port) {
        tap_skip(t, "the domain has a store");
        return;
    }
    CHECK_SAME(t, pvg_xs_open(t->g), -XEN_ENODEV);
    CHECK_SAME(t, pvg_xs_port(t->g), 0);
    CHECK_SAME(t, pvg_xs_read(t->g, 0, "domid", text, sizeof(text), NULL), -XEN_ENODEV);
    CHECK_SAME(t, pvg_control_open(t->g), -XEN_ENODEV);
}

static void domid(struct tap *t)
{
    size_t length;
    TAP_END_IF_NOT(have_store(t));
    CHECK_SAME(t, pvg_xs_port(t->g), pvg_start_info(t->g)->store_evtchn);
    CHECK_OK(t, pvg_xs_read(t->g, 0, "domid", text, sizeof(text), &length));
    CHECK(t, length > 0 && length < 6 && text[length] == 0);
    CHECK(t, text[0] >= '1' && text[0] <= '9');
}

static bool take_away(struct tap *t)
{
    int rc = pvg_xs_remove(t->g, 0, OWN);
    return rc == -XEN_ENOENT || tap_ok(t, __FILE_NAME__, __LINE__, "removing " OWN, rc);
}

static void nodes(struct tap *t)
{
    size_t length;
    unsigned count;
    TAP_END_IF_NOT(have_store(t) && take_away(t));
    CHECK_OK(t, pvg_xs_mkdir(t->g, 0, OWN));
    CHECK_OK(t, pvg_xs_write(t->g, 0, OWN "/a", "alpha"));
    CHECK_OK(t, pvg_xs_write(t->g, 0, OWN "/b/c", ""));
    CHECK_OK(t, pvg_xs_read(t->g, 0, OWN "/a", text, 6, &length));
    CHECK_TEXT(t, text, "alpha");
    CHECK_SAME(t, length, 5);
    CHECK_SAME(t, pvg_xs_read(t->g, 0, OWN "/a", text, 5, &length), -XEN_E2BIG);
    CHECK_OK(t, pvg_xs_read(t->g, 0, OWN "/b", text, sizeof(text), &length));
    CHECK_SAME(t, length, 0);
    CHECK_OK(t, pvg_xs_directory(t->g, 0, OWN, text, sizeof(text), &count));
    CHECK_SAME(t, count, 2);
    CHECK_TEXT(t, text, "a");
    CHECK_TEXT(t, text + 2, "b");
    CHECK_OK(t, pvg_xs_remove(t->g, 0, OWN));
    CHECK_SAME(t, pvg_xs_read(t->g, 0, OWN "/b/c", text, sizeof(text), NULL), -XEN_ENOENT);
}

/* A value that is longer than the ring, and more of them than it holds. */
static void long_values(struct tap *t)
{
    static char value[1801], path[SMALL];
    size_t length;
    TAP_END_IF_NOT(have_store(t) && take_away(t));
    for (unsigned i = 0; i < ENTRIES; i++) {
        for (unsigned k = 0; k < sizeof(value) - 1; k++)
            value[k] = (char)('a' + (i + k) % 25);
        pvg_format(path, sizeof(path), OWN "/%u", i);
        CHECK_OK(t, pvg_xs_write(t->g, 0, path, value));
        CHECK_OK(t, pvg_xs_read(t->g, 0, path, text, sizeof(text), &length));
        CHECK_SAME(t, length, sizeof(value) - 1);
        CHECK_TEXT(t, text, value);
    }
    CHECK(t, take_away(t));
}

static void refusals(struct tap *t)
{
    TAP_END_IF_NOT(have_store(t));
    CHECK_SAME(t, pvg_xs_read(t->g, 0, "no/such", text, sizeof(text), NULL), -XEN_ENOENT);
    CHECK_SAME(t, pvg_xs_write(t->g, 0, "domid", "0"), -XEN_EACCES);
    CHECK_SAME(t, pvg_xs_read(t->g, 0, "a//b", text, sizeof(text), NULL), -XEN_EINVAL);
    CHECK_SAME(t, pvg_xs_read(t->g, 0, "", text, sizeof(text), NULL), -XEN_EINVAL);
    CHECK_SAME(t, pvg_xs_end(t->g, 0x7fffffff, true), -XEN_ENOENT);
}

/* Of two that both read and write a node, the first one is made. */
static void transactions(struct tap *t)
{
    pvg_xs_tx a, b;
    TAP_END_IF_NOT(have_store(t));
    CHECK_OK(t, pvg_xs_write(t->g, 0, OWN "/n", "0"));
    CHECK_OK(t, pvg_xs_begin(t->g, &a));
    CHECK_OK(t, pvg_xs_begin(t->g, &b));
    CHECK_OK(t, pvg_xs_read(t->g, a, OWN "/n", text, sizeof(text), NULL));
    CHECK_OK(t, pvg_xs_read(t->g, b, OWN "/n", text, sizeof(text), NULL));
    CHECK_OK(t, pvg_xs_write(t->g, a, OWN "/n", "1"));
    CHECK_OK(t, pvg_xs_write(t->g, b, OWN "/n", "2"));
    CHECK_OK(t, pvg_xs_read(t->g, 0, OWN "/n", text, sizeof(text), NULL));
    CHECK_TEXT(t, text, "0");
    CHECK_OK(t, pvg_xs_end(t->g, a, true));
    CHECK_SAME(t, pvg_xs_end(t->g, b, true), -XEN_EAGAIN);
    CHECK_OK(t, pvg_xs_begin(t->g, &b));
    CHECK_OK(t, pvg_xs_write(t->g, b, OWN "/n", "3"));
    CHECK_OK(t, pvg_xs_end(t->g, b, false));
    CHECK_OK(t, pvg_xs_read(t->g, 0, OWN "/n", text, sizeof(text), NULL));
    CHECK_TEXT(t, text, "1");
    CHECK(t, take_away(t));
}

/* ---- watches */

static struct pvg_xs_event event;

/* 1: there is one. */
static int wait_for_event(struct pvguest *g)
{
    uint64_t until = pvg_time(g) + LONG;
    uint32_t port = pvg_xs_port(g);
    int rc;
    while ((rc = pvg_xs_event(g, &event)) == 0) {
        rc = pvg_event_wait(g, &port, 1, until);
        if (rc)
            return rc;
    }
    return rc;
}

static void watches(struct tap *t)
{
    TAP_END_IF_NOT(have_store(t) && take_away(t));
    CHECK_OK(t, pvg_xs_watch(t->g, OWN, "ours"));
    CHECK_SAME(t, wait_for_event(t->g), 1);
    CHECK_TEXT(t, event.path, OWN);
    CHECK_OK(t, pvg_xs_write(t->g, 0, OWN "/x", "1"));
    CHECK_SAME(t, wait_for_event(t->g), 1);
    CHECK_TEXT(t, event.path, OWN "/x");
    CHECK_TEXT(t, event.token, "ours");
    CHECK(t, !event.lost);
    CHECK_SAME(t, pvg_xs_watch(t->g, OWN, "ours"), -XEN_EEXIST);
    CHECK_OK(t, pvg_xs_unwatch(t->g, OWN, "ours"));
    CHECK_SAME(t, pvg_xs_unwatch(t->g, OWN, "ours"), -XEN_ENOENT);
    CHECK(t, take_away(t));
    CHECK_SAME(t, pvg_xs_event(t->g, &event), 0);
}

/* ---- control */

/* What comes until `wanted` does; LONG without it is too long. */
static bool expect(struct tap *t, enum pvg_control wanted, uint64_t *target)
{
    uint64_t until = pvg_time(t->g) + LONG;
    enum pvg_control what;
    int rc;
    do {
        rc = pvg_control_next(t->g, &what, target);
        if (rc == 0 && what != wanted)
            rc = pvg_control_wait(t->g, until);
    } while (rc == 0 && what != wanted);
    return tap_ok(t, __FILE_NAME__, __LINE__, "what the toolstack asks for", rc);
}

static void control(struct tap *t)
{
    static const struct {
        const char *word;
        enum pvg_control what;
    } of[] = {{"foo", PVG_CONTROL_UNKNOWN},
              {"suspend", PVG_CONTROL_SUSPEND},
              {"a word that has no end of letters", PVG_CONTROL_UNKNOWN}};
    uint64_t target = 0;
    TAP_END_IF_NOT(have_store(t));
    CHECK_OK(t, pvg_control_open(t->g));
    CHECK_OK(t, pvg_control_open(t->g));
    TAP_END_IF_NOT(expect(t, PVG_CONTROL_TARGET, &target));
    CHECK_SAY(t, target >= 1024 && target < 1ull << 36, "a target of %lu pages", target);
    CHECK_OK(t, pvg_xs_read(t->g, 0, "control/feature-suspend", text, sizeof(text), NULL));
    CHECK_TEXT(t, text, "1");
    for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        CHECK_OK(t, pvg_xs_write(t->g, 0, "control/shutdown", of[i].word));
        TAP_END_IF_NOT(expect(t, of[i].what, &target));
        CHECK_OK(t, pvg_xs_read(t->g, 0, "control/shutdown", text, sizeof(text), NULL));
        CHECK_TEXT(t, text, "");
    }
}

static const struct test tests[] = {
    {"no_store", no_store},       {"domid", domid},       {"nodes", nodes},
    {"long_values", long_values}, {"refusals", refusals}, {"transactions", transactions},
    {"watches", watches},         {"control", control},
};

const struct theme xenstore_theme = THEME("xenstore", tests);
