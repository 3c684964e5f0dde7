/* SPDX-License-Identifier: MIT */
/* Nodes of the store, transactions, watches; a store that now and then is silent for a while. */
#include "random.h"

#define NODES 8u
#define MS    1000000ull

struct nodes {
    uint64_t value[NODES]; /* 0: there is none */
};

static struct {
    bool open, watched;
    struct nodes now;
    uint64_t next; /* value: each is another */
} s;

static char text[4096];

static unsigned take_events(const char *path);

/* ---- the model's names */

static const char *path_of(unsigned i)
{
    static char path[32];
    snprintf(path, sizeof(path), "data/%u", i);
    return path;
}

/* Lengths from one to a few thousand: what fits the ring and what does not. */
static const char *text_of(uint64_t value)
{
    static char to[2048];
    size_t n = (size_t)snprintf(to, sizeof(to), "%" PRIu64, value);
    size_t more = value % 7 == 0 ? value % 1500 : value % 13;
    memset(to + n, '.', more);
    to[n + more] = 0;
    return to;
}

static bool same_as(const char *is, uint64_t value)
{
    return value ? is && strcmp(is, text_of(value)) == 0 : !is;
}

void check_store(void)
{
    for (unsigned i = 0; s.open && i < NODES; i++)
        CHECK(same_as(machine_store_read(r.m, path_of(i)), s.now.value[i]), "node %u of the store",
              i);
}

/* The initial domain has none. */
static bool have_store(void)
{
    heal();
    if (r.initial) {
        refused(pvg_xs_open(r.g), -XEN_ENODEV);
        return false;
    }
    if (!s.open) {
        machine_store_open(r.m);
        CHECK(pvg_xs_open(r.g) == 0, "not open");
        s.open = true;
    }
    machine_store_pace(r.m, below(4) ? 0 : 1 + (unsigned)below(300));
    return true;
}

/* ---- a change, of which a failure leaves nobody knows what: the old or the new */

static int change(pvg_xs_tx tx, unsigned i, uint64_t value)
{
    return value ? pvg_xs_write(r.g, tx, path_of(i), text_of(value))
                 : pvg_xs_remove(r.g, tx, path_of(i));
}

static uint64_t other_value(uint64_t old)
{
    return old && below(3) == 0 ? 0 : ++s.next;
}

/* All is said and heard again. */
static void settle(void)
{
    machine_fail_event(r.m, 0, 0);
    machine_set_peer(r.m, machine_store_serve);
    pvg_xs_patience(r.g, 0);
    machine_store_pace(r.m, 0);
    CHECK(pvg_xs_read(r.g, 0, "domid", text, sizeof(text), NULL) == 0, "no answer any more");
}

/* Nothing lies in the ring, and nobody is silent. */
void store_let_go(void)
{
    if (s.open)
        settle();
}

/* The tree there is a new domain's; watches are set again, and fire. */
void store_is_elsewhere(void)
{
    memset(&s.now, 0, sizeof(s.now));
    check_store();
    if (s.watched)
        CHECK(take_events("data") > 0, "the watch did not fire again");
}

/* Where it failed, and the value is new, is the change made: by now the store has seen it. */
static void settle_change(int rc, unsigned i, uint64_t value)
{
    bool failed = rc != 0;
    settle();
    bool made = same_as(machine_store_read(r.m, path_of(i)), value);
    CHECK(made || failed, "node %u is not changed", i);
    CHECK(made || same_as(machine_store_read(r.m, path_of(i)), s.now.value[i]),
          "node %u is neither", i);
    if (made)
        s.now.value[i] = value;
    r.failures += failed;
}

void do_store_change(void)
{
    if (!have_store())
        return;
    unsigned i = (unsigned)below(NODES);
    uint64_t value = other_value(s.now.value[i]);
    bool fails = below(6) == 0, silent = below(12) == 0;
    if (fails)
        machine_fail_event(r.m, 1 + below(6), -XEN_EPERM);
    if (silent) {
        machine_set_peer(r.m, NULL);
        pvg_xs_patience(r.g, MS);
    }
    int rc = change(0, i, value);
    CHECK(rc == 0 || fails || silent, "refused, %d", rc);
    CHECK(rc || !silent, "an answer without anybody to give it");
    settle_change(rc, i, value);
}

/* ---- looks */

void do_store_look(void)
{
    if (!have_store())
        return;
    for (unsigned k = 0; k < 3; k++) {
        unsigned i = (unsigned)below(NODES);
        int rc = pvg_xs_read(r.g, 0, path_of(i), text, sizeof(text), NULL);
        CHECK(rc == (s.now.value[i] ? 0 : -XEN_ENOENT), "node %u: %d", i, rc);
        CHECK(rc || same_as(text, s.now.value[i]), "node %u is %.20s", i, text);
    }
    unsigned count, want = 0, seen = 0;
    CHECK(pvg_xs_directory(r.g, 0, "data", text, sizeof(text), &count) == 0, "no list");
    for (unsigned i = 0; i < NODES; i++)
        want += s.now.value[i] != 0;
    const char *at = text;
    for (unsigned k = 0; k < count; k++, at += strlen(at) + 1)
        seen += at[0] >= '0' && at[0] < '0' + (int)NODES && s.now.value[at[0] - '0'];
    CHECK(count == want && seen == want, "%u names, %u of them right, not %u", count, seen, want);
}

/* ---- transactions */

/* Whoever is not in it changes one that it has seen. */
static bool disturb(unsigned i)
{
    if (below(3))
        return false;
    s.now.value[i] = ++s.next;
    machine_store_write(r.m, path_of(i), text_of(s.next));
    return true;
}

void do_store_transaction(void)
{
    if (!have_store())
        return;
    struct nodes in = s.now;
    pvg_xs_tx tx;
    bool disturbed = false, commit = below(4) != 0;
    CHECK(pvg_xs_begin(r.g, &tx) == 0, "no transaction");
    for (uint64_t k = 1 + below(5); k > 0; k--) {
        unsigned i = (unsigned)below(NODES);
        int rc = pvg_xs_read(r.g, tx, path_of(i), text, sizeof(text), NULL);
        if (!disturbed)
            CHECK(same_as(rc ? NULL : text, in.value[i]), "node %u in a transaction", i);
        uint64_t value = ++s.next;
        CHECK(change(tx, i, value) == 0, "no change in a transaction");
        in.value[i] = value;
        disturbed = disturb(i) || disturbed;
    }
    int rc = pvg_xs_end(r.g, tx, commit), want = commit && disturbed ? -XEN_EAGAIN : 0;
    CHECK(rc == want, "the end is %d, not %d", rc, want);
    if (commit && rc == 0)
        s.now = in;
    check_store();
}

/* ---- watches */

static unsigned take_events(const char *path)
{
    struct pvg_xs_event e;
    unsigned fits = 0;
    uint32_t port = pvg_xs_port(r.g);
    machine_store_pace(r.m, 0);
    pvg_event_wait(r.g, &port, 1, pvg_time(r.g) + MS);
    while (pvg_xs_event(r.g, &e) == 1) {
        CHECK(s.watched && !strcmp(e.token, "random"), "an event of %s", e.token);
        fits += path && !strcmp(e.path, path);
    }
    return fits;
}

void do_store_watch(void)
{
    if (!have_store())
        return;
    take_events(NULL);
    if (s.watched != (below(2) == 0)) {
        int rc =
            s.watched ? pvg_xs_unwatch(r.g, "data", "random") : pvg_xs_watch(r.g, "data", "random");
        CHECK(rc == 0, "%d", rc);
        s.watched = !s.watched;
        CHECK(take_events("data") == s.watched, "it did not fire");
    }
    unsigned i = (unsigned)below(NODES);
    s.now.value[i] = ++s.next;
    if (below(2))
        machine_store_write(r.m, path_of(i), text_of(s.next));
    else
        CHECK(change(0, i, s.next) == 0, "no change");
    CHECK(take_events(path_of(i)) == s.watched, "the change did not fire");
}
