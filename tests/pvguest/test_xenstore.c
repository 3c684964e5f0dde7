/* SPDX-License-Identifier: MIT */
/* The xenstore client against the project's own store: what is asked is what comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#define NR_PAGES 4096u
#define MS       1000000ull

static struct machine *m;
static struct pvguest *g;
static char text[5000];
static size_t length;

static struct pvguest *boot(bool initial)
{
    struct pvg_options o;
    pvg_options_default(&o);
    m = machine_make(
        &(struct machine_params){.seed = 5, .nr_pages = NR_PAGES, .initial_domain = initial});
    g = guest_start(m);
    return g && pvg_boot(g, &o) == 0 ? g : NULL;
}

static int setup(void **state)
{
    (void)state;
    if (!boot(false))
        return -1;
    machine_store_open(m);
    return pvg_xs_open(g);
}

static int setup_slow(void **state)
{
    int rc = setup(state);
    machine_store_pace(m, 1);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    machine_fail_event(m, 0, 0);
    const char *wrong = guest_check(m, g);
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

#define assert_reason(part)                                                                        \
    do {                                                                                           \
        if (!strstr(pvg_reason(g), part))                                                          \
            fail_msg("%s: no word of \"%s\"", pvg_reason(g), part);                                \
    } while (0)

static int read_text(pvg_xs_tx tx, const char *path)
{
    length = 7777;
    return pvg_xs_read(g, tx, path, text, sizeof(text), &length);
}

#define assert_node(tx, path, value)                                                               \
    do {                                                                                           \
        assert_int_equal(read_text(tx, path), 0);                                                  \
        assert_string_equal(text, value);                                                          \
        assert_int_equal(length, strlen(value));                                                   \
    } while (0)

/* ---- nodes */

static void test_nodes(void **state)
{
    (void)state;
    assert_node(0, "domid", "1");
    assert_node(0, "/local/domain/1/domid", "1");
    assert_int_equal(pvg_xs_write(g, 0, "data/a", "alpha"), 0);
    assert_int_equal(pvg_xs_mkdir(g, 0, "data/b"), 0);
    assert_int_equal(pvg_xs_mkdir(g, 0, "data/b"), 0);
    assert_int_equal(pvg_xs_write(g, 0, "data/b/c", ""), 0);
    assert_string_equal(machine_store_read(m, "data/a"), "alpha");
    assert_node(0, "data/a", "alpha");
    assert_node(0, "data/b", "");
    unsigned count = 77;
    assert_int_equal(pvg_xs_directory(g, 0, "data", text, sizeof(text), &count), 0);
    assert_int_equal(count, 2);
    assert_memory_equal(text, "a\0b\0", 5);
    assert_int_equal(pvg_xs_directory(g, 0, "data/a", text, sizeof(text), &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(pvg_xs_remove(g, 0, "data/b"), 0);
    assert_int_equal(read_text(0, "data/b/c"), -XEN_ENOENT);
    assert_int_equal(length, 7777);
    assert_null(machine_store_read(m, "data/b"));
}

static void test_refused_by_the_store(void **state)
{
    (void)state;
    unsigned count = 77;
    assert_int_equal(read_text(0, "no/such"), -XEN_ENOENT);
    assert_reason("store: reading no/such: refused, ENOENT");
    assert_int_equal(pvg_xs_write(g, 0, "domid", "2"), -XEN_EACCES);
    assert_reason("store: writing domid: refused, EACCES");
    assert_int_equal(read_text(0, "a//b"), -XEN_EINVAL);
    assert_int_equal(read_text(0, "/a\n"), -XEN_EINVAL);
    assert_int_equal(pvg_xs_directory(g, 0, "none", text, 9, &count), -XEN_ENOENT);
    assert_int_equal(count, 77);
    assert_int_equal(pvg_xs_remove(g, 0, "/tool"), -XEN_EACCES);
    assert_int_equal(read_text(99, "domid"), -XEN_ENOENT);
}

static void test_room(void **state)
{
    (void)state;
    unsigned count = 77;
    assert_int_equal(pvg_xs_write(g, 0, "data/five", "12345"), 0);
    for (size_t room = 0; room < 6; room++) {
        memset(text, '#', sizeof(text));
        length = 7777;
        assert_int_equal(pvg_xs_read(g, 0, "data/five", text, room, &length), -XEN_E2BIG);
        assert_int_equal(length, 5);
        assert_int_equal(text[0], '#');
    }
    assert_int_equal(pvg_xs_read(g, 0, "data/five", text, 6, NULL), 0);
    assert_memory_equal(text, "12345\0#", 7);
    assert_int_equal(pvg_xs_directory(g, 0, "data", text, 5, &count), -XEN_E2BIG);
    assert_int_equal(count, 77);
    assert_int_equal(pvg_xs_directory(g, 0, "data", text, 6, &count), 0);
}

/* Refused before anything is sent, or taken whole: a value fills most of a message, a ring twice.
 */
static void test_lengths(void **state)
{
    (void)state;
    static char path[PVG_XS_PATH_MAX + 2], value[5000];
    memset(path, 'p', PVG_XS_PATH_MAX + 1);
    assert_int_equal(read_text(0, path), -XEN_EINVAL);
    assert_reason("a path of 3073 bytes");
    path[PVG_XS_PATH_MAX] = 0;
    assert_int_equal(read_text(0, path), -XEN_EINVAL); /* the store's */
    assert_reason("refused, EINVAL");
    path[XENSTORE_REL_PATH_MAX] = 0;
    assert_int_equal(read_text(0, path), -XEN_ENOENT);
    assert_int_equal(read_text(0, ""), -XEN_EINVAL);
    assert_reason("a path of 0 bytes");
    memset(value, 'v', 4999);
    uint32_t sent = g->store.req_prod;
    assert_int_equal(pvg_xs_write(g, 0, "data/x", value), -XEN_E2BIG);
    assert_reason("4999 bytes and a path of 6");
    value[4096 - 6] = 0;
    assert_int_equal(pvg_xs_write(g, 0, "data/x", value), -XEN_E2BIG);
    assert_int_equal(g->store.req_prod, sent);
    value[4096 - 7] = 0;
    assert_int_equal(pvg_xs_write(g, 0, "data/x", value), -XEN_ENOSPC); /* the store's quota */
    assert_int_equal(g->store.req_prod, sent + 16 + 4096);
    value[1900] = 0;
    assert_int_equal(pvg_xs_write(g, 0, "data/x", value), 0);
    assert_node(0, "data/x", value);
}

/* ---- transactions */

static void test_transactions(void **state)
{
    (void)state;
    pvg_xs_tx a = 0, b = 0;
    assert_int_equal(pvg_xs_begin(g, &a), 0);
    assert_int_equal(pvg_xs_begin(g, &b), 0);
    assert_true(a && b && a != b);
    assert_int_equal(pvg_xs_write(g, a, "data/n", "1"), 0);
    assert_int_equal(read_text(0, "data/n"), -XEN_ENOENT);
    assert_node(a, "data/n", "1");
    assert_int_equal(read_text(b, "data/n"), -XEN_ENOENT);
    assert_int_equal(pvg_xs_end(g, a, true), 0);
    assert_node(0, "data/n", "1");
    assert_int_equal(pvg_xs_end(g, b, true), -XEN_EAGAIN);
    assert_reason("ending transaction");
    assert_int_equal(pvg_xs_end(g, b, true), -XEN_ENOENT);
    assert_int_equal(pvg_xs_begin(g, &a), 0);
    assert_int_equal(pvg_xs_remove(g, a, "data/n"), 0);
    assert_int_equal(pvg_xs_mkdir(g, a, "data/m"), 0);
    assert_int_equal(pvg_xs_end(g, a, false), 0);
    assert_node(0, "data/n", "1");
    assert_int_equal(read_text(0, "data/m"), -XEN_ENOENT);
}

/* ---- watches */

static struct pvg_xs_event event;

#define assert_event(p, t)                                                                         \
    do {                                                                                           \
        assert_int_equal(pvg_xs_event(g, &event), 1);                                              \
        assert_string_equal(event.path, p);                                                        \
        assert_string_equal(event.token, t);                                                       \
        assert_false(event.lost);                                                                  \
    } while (0)
#define assert_no_event() assert_int_equal(pvg_xs_event(g, &event), 0)

static void test_watches(void **state)
{
    (void)state;
    uint32_t port = pvg_xs_port(g);
    assert_int_equal(port, 1);
    assert_int_equal(pvg_xs_watch(g, "data", "mine"), 0);
    assert_event("data", "mine");
    assert_no_event();
    assert_int_equal(pvg_event_wait(g, &port, 1, pvg_time(g) + MS), -XEN_ETIMEDOUT);
    machine_store_write(m, "data/x", "1");
    assert_int_equal(pvg_event_wait(g, &port, 1, PVG_FOREVER), 0);
    assert_event("data/x", "mine");
    assert_no_event();
    assert_int_equal(pvg_xs_write(g, 0, "data/y", "1"), 0); /* the event comes with the reply */
    assert_node(0, "data/y", "1");
    assert_event("data/y", "mine");
    assert_int_equal(pvg_xs_unwatch(g, "data", "mine"), 0);
    machine_store_write(m, "data/x", "2");
    assert_no_event();
}

static void test_watches_of_one_node(void **state)
{
    (void)state;
    assert_int_equal(pvg_xs_watch(g, "data", "a"), 0);
    assert_int_equal(pvg_xs_watch(g, "data", "b"), 0);
    assert_int_equal(pvg_xs_watch(g, "/local/domain/1/data", "c"), 0);
    assert_int_equal(pvg_xs_watch(g, "data", "a"), -XEN_EEXIST);
    assert_int_equal(pvg_xs_watch(g, "/local/domain/1/data", "a"), -XEN_EEXIST);
    assert_int_equal(pvg_xs_unwatch(g, "/local/domain/1/data", "a"), -XEN_ENOENT);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pvg_xs_event(g, &event), 1);
    assert_no_event();
    machine_store_write(m, "data/x", "2");
    assert_event("data/x", "a");
    assert_int_equal(pvg_xs_unwatch(g, "data", "b"), 0); /* and its event is gone with it */
    assert_event("/local/domain/1/data/x", "c");
    assert_no_event();
}

static void test_watches_refused(void **state)
{
    (void)state;
    char token[PVG_XS_TOKEN_MAX + 1];
    memset(token, 't', sizeof(token));
    token[PVG_XS_TOKEN_MAX] = 0;
    assert_int_equal(pvg_xs_watch(g, "data", token), -XEN_EINVAL);
    assert_reason("a token of 64 bytes");
    token[PVG_XS_TOKEN_MAX - 1] = 0;
    assert_int_equal(pvg_xs_watch(g, "data", token), 0);
    assert_event("data", token);
    assert_int_equal(pvg_xs_watch(g, "data", ""), -XEN_EINVAL);
    assert_int_equal(pvg_xs_watch(g, "", "t"), -XEN_EINVAL);
    assert_int_equal(pvg_xs_watch(g, "a//b", "t"), -XEN_EINVAL);
    assert_reason("refused, EINVAL");
    assert_int_equal(pvg_xs_unwatch(g, "a//b", "t"), -XEN_ENOENT);
    for (unsigned i = 1; i < 16; i++) {
        snprintf(token, sizeof(token), "%u", i);
        assert_int_equal(pvg_xs_watch(g, "data", token), 0);
    }
    assert_int_equal(pvg_xs_watch(g, "data", "more"), -XEN_ENOSPC);
    assert_reason("16 watches");
    assert_int_equal(pvg_xs_unwatch(g, "data", "7"), 0);
    assert_int_equal(pvg_xs_watch(g, "data", "more"), 0);
}

/* By bytes, there is room for three of the longest paths. */
static void test_long_watches(void **state)
{
    (void)state;
    static char path[1600];
    memset(path, 'p', sizeof(path) - 1);
    unsigned n = 0;
    int rc;
    do {
        path[0] = (char)('a' + n);
        rc = pvg_xs_watch(g, path, "t");
    } while (rc == 0 && ++n);
    assert_int_equal(rc, -XEN_ENOSPC);
    assert_int_equal(n, 5);
    for (path[0] = 'a'; path[0] < 'a' + 5; path[0]++)
        assert_event(path, "t");
    assert_no_event();
}

static void test_events_are_lost(void **state)
{
    (void)state;
    char path[32];
    assert_int_equal(pvg_xs_watch(g, "data", "t"), 0);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(path, sizeof(path), "data/%u", i);
        assert_int_equal(pvg_xs_write(g, 0, path, ""), 0);
    }
    for (unsigned i = 30 - PVG_XS_EVENTS; i < 30; i++) {
        snprintf(path, sizeof(path), "data/%u", i);
        assert_int_equal(pvg_xs_event(g, &event), 1);
        assert_string_equal(event.path, path);
        assert_int_equal(event.lost, i == 30 - PVG_XS_EVENTS);
    }
    assert_no_event();
}

/* ---- opening */

static void test_no_store(void **state)
{
    (void)state;
    assert_non_null(boot(true));
    assert_int_equal(pvg_xs_open(g), -XEN_ENODEV);
    assert_int_equal(pvg_xs_port(g), 0);
    assert_int_equal(read_text(0, "domid"), -XEN_ENODEV);
    assert_int_equal(pvg_xs_event(g, &event), -XEN_ENODEV);
    assert_int_equal(pvg_control_open(g), -XEN_ENODEV);
    assert_int_equal(pvg_xs_watch(g, "data", "t"), -XEN_ENODEV);
    assert_int_equal(store_suspend(g), 0);
    assert_int_equal(store_resume(g, true), 0);
    machine_end(m);
}

static void test_open_refused(void **state)
{
    (void)state;
    assert_non_null(boot(false));
    start_info_t *si = machine_at(g->si_va, true);
    const start_info_t good = *si;
    si->store_evtchn = 0;
    assert_int_equal(pvg_xs_open(g), -XEN_ENODEV);
    *si = good;
    si->store_mfn = 0;
    assert_int_equal(pvg_xs_open(g), -XEN_ENODEV);
    si->store_mfn = machine_other_frame(m);
    assert_int_equal(pvg_xs_open(g), -XEN_EINVAL);
    assert_reason("is no page of ours");
    si->store_mfn = ~0ull;
    assert_int_equal(pvg_xs_open(g), -XEN_EINVAL);
    assert_int_equal(read_text(0, "domid"), -XEN_ENODEV);
    *si = good;
    machine_store_open(m);
    assert_int_equal(pvg_xs_open(g), 0);
    assert_int_equal(pvg_xs_open(g), 0);
    assert_node(0, "domid", "1");
    machine_end(m);
}

static void test_before_the_boot(void **state)
{
    (void)state;
    m = machine_make(&(struct machine_params){.seed = 5, .nr_pages = NR_PAGES});
    g = guest_start(m);
    assert_int_equal(pvg_xs_open(g), -XEN_EINVAL);
    machine_end(m);
}

/* ---- suspended, and resumed */

static void test_resumed_elsewhere(void **state)
{
    (void)state;
    pvg_pfn_t page;
    assert_int_equal(pvg_xs_watch(g, "data", "a"), 0);
    assert_int_equal(pvg_xs_watch(g, "data/x", "b"), 0);
    assert_int_equal(pvg_control_open(g), 0);
    assert_event("data", "a");
    assert_event("data/x", "b");
    assert_int_equal(store_suspend(g), 0);
    assert_int_equal(store_resume(g, false), 0); /* cancelled */
    assert_node(0, "domid", "1");
    assert_no_event();
    assert_int_equal(store_suspend(g), 0);
    assert_int_equal(pvg_pages_take(g, 1, 1, &page), 0);
    start_info_t *si = machine_at(g->si_va, true);
    uint64_t before = si->store_mfn;
    si->store_mfn = pvg_p2m_mfn(g, page).n;
    machine_store_at(m, si->store_mfn);
    machine_store_open(m);
    assert_int_equal(store_resume(g, true), 0);
    assert_event("data", "a");
    assert_event("data/x", "b");
    assert_no_event();
    assert_string_equal(machine_store_read(m, "control/feature-suspend"), "1");
    machine_store_write(m, "control/shutdown", "suspend");
    enum pvg_control what;
    uint64_t target;
    assert_int_equal(pvg_control_next(g, &what, &target), 0);
    assert_int_equal(what, PVG_CONTROL_SUSPEND);
    machine_store_close(m);
    si->store_mfn = before;
    assert_int_equal(pvg_pages_give(g, page, 1), 0);
}

/* A watch that the new store will not have makes the resume fail, and says which. */
static void test_resume_refused(void **state)
{
    (void)state;
    assert_int_equal(pvg_xs_watch(g, "data", "a"), 0);
    assert_int_equal(store_suspend(g), 0);
    machine_store_open(m);
    machine_fail_event(m, 1, -XEN_EPERM);
    assert_int_equal(store_resume(g, true), -XEN_EPERM);
    assert_reason("store: watching data: an event by port 1: refused, EPERM");
    assert_int_equal(store_resume(g, true), 0);
    assert_event("data", "a");
}

/* ---- each event and each wait made to fail */

struct operation {
    int (*run)(void);
    void (*after)(void); /* the operation was made, or it was not and works now */
};

static int run_write(void)
{
    return pvg_xs_write(g, 0, "data/w", "1");
}

static void after_write(void)
{
    assert_node(0, "data/w", "1");
    assert_int_equal(pvg_xs_remove(g, 0, "data/w"), 0);
}

static int run_read(void)
{
    return pvg_xs_read(g, 0, "domid", text, sizeof(text), NULL);
}

static void after_read(void)
{
    assert_string_equal(text, "1");
}

static int run_watch(void)
{
    return pvg_xs_watch(g, "data", "t");
}

static void wait_for_event(void)
{
    uint32_t port = pvg_xs_port(g);
    while (pvg_xs_event(g, &event) == 0)
        assert_int_equal(pvg_event_wait(g, &port, 1, PVG_FOREVER), 0);
    assert_string_equal(event.token, "t");
}

/* Where the first try had reached the store, the watch was set twice, and has fired twice. */
static void after_watch(void)
{
    wait_for_event();
    assert_string_equal(event.path, "data");
    machine_store_write(m, "data/v", "1");
    do
        wait_for_event();
    while (strcmp(event.path, "data") == 0);
    assert_string_equal(event.path, "data/v");
    assert_no_event();
    assert_int_equal(pvg_xs_unwatch(g, "data", "t"), 0);
}

static int run_unwatch(void)
{
    int rc = pvg_xs_watch(g, "domid", "u");
    if (rc && rc != -XEN_EEXIST)
        return rc;
    return pvg_xs_unwatch(g, "domid", "u");
}

static void after_unwatch(void)
{
    assert_int_equal(pvg_xs_unwatch(g, "domid", "u"), -XEN_ENOENT);
    machine_store_write(m, "domid", "1");
    assert_no_event();
}

/* A failure leaves the list of watches as it was, and the next try is as good as the first. */
static void try_each(const struct operation *o)
{
    for (unsigned n = 1;; n++) {
        machine_fail_event(m, n, -XEN_EPERM);
        int rc = o->run();
        bool reached = !machine_event_fails(m);
        machine_fail_event(m, 0, 0);
        assert_true(rc == 0 || (reached && rc == -XEN_EPERM));
        if (rc) {
            assert_true(pvg_reason(g)[0]);
            assert_int_equal(o->run(), 0);
        }
        o->after();
        if (!reached) {
            assert_true(n > 1);
            return;
        }
    }
}

static void test_calls_fail(void **state)
{
    (void)state;
    static const struct operation list[] = {{run_write, after_write},
                                            {run_read, after_read},
                                            {run_watch, after_watch},
                                            {run_unwatch, after_unwatch}};
    for (unsigned pace = 0; pace < 40; pace += 13) {
        machine_store_pace(m, pace);
        for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++)
            try_each(&list[i]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SLOW(f) cmocka_unit_test_setup_teardown(f, setup_slow, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nodes),
        SLOW(test_nodes),
        TEST(test_refused_by_the_store),
        TEST(test_room),
        TEST(test_lengths),
        SLOW(test_lengths),
        TEST(test_transactions),
        SLOW(test_transactions),
        TEST(test_watches),
        TEST(test_watches_of_one_node),
        TEST(test_watches_refused),
        TEST(test_long_watches),
        TEST(test_events_are_lost),
        cmocka_unit_test(test_no_store),
        cmocka_unit_test(test_open_refused),
        cmocka_unit_test(test_before_the_boot),
        TEST(test_resumed_elsewhere),
        TEST(test_resume_refused),
        TEST(test_calls_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
