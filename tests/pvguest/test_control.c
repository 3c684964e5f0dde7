/* SPDX-License-Identifier: MIT */
/* What a toolstack asks of a guest: control/shutdown and memory/target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#define NR_PAGES 4096u

static struct machine *m;
static struct pvguest *g;

static int setup(void **state)
{
    struct pvg_options o;
    (void)state;
    pvg_options_default(&o);
    m = machine_make(&(struct machine_params){.seed = 5, .nr_pages = NR_PAGES});
    machine_store_open(m);
    g = guest_start(m);
    return !g || pvg_boot(g, &o) || pvg_xs_open(g);
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

#define assert_reason(part) assert_non_null(strstr(pvg_reason(g), part))

static uint64_t target;

static enum pvg_control next(void)
{
    enum pvg_control what = PVG_CONTROL_UNKNOWN;
    target = 0;
    int rc = pvg_control_next(g, &what, &target);
    if (rc)
        fail_msg("%d: %s", rc, pvg_reason(g));
    return what;
}

/* What is there at first is looked at, too. */
static void open_and_settle(void)
{
    assert_int_equal(pvg_control_open(g), 0);
    assert_int_equal(next(), PVG_CONTROL_TARGET);
    assert_int_equal(target, NR_PAGES);
    assert_int_equal(next(), PVG_CONTROL_NONE);
}

static void test_open(void **state)
{
    (void)state;
    open_and_settle();
    assert_string_equal(machine_store_read(m, "control/feature-poweroff"), "1");
    assert_string_equal(machine_store_read(m, "control/feature-reboot"), "1");
    assert_string_equal(machine_store_read(m, "control/feature-suspend"), "1");
    assert_int_equal(pvg_control_open(g), 0);
    assert_int_equal(next(), PVG_CONTROL_NONE);
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum pvg_control what;
    } of[] = {
        {"poweroff", PVG_CONTROL_POWEROFF},
        {"halt", PVG_CONTROL_POWEROFF},
        {"reboot", PVG_CONTROL_REBOOT},
        {"suspend", PVG_CONTROL_SUSPEND},
        {"foo", PVG_CONTROL_UNKNOWN},
        {"a word that is rather long", PVG_CONTROL_UNKNOWN},
        {"", PVG_CONTROL_NONE},
        {"suspen", PVG_CONTROL_UNKNOWN},
        {"suspend ", PVG_CONTROL_UNKNOWN},
    };
    open_and_settle();
    for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        machine_store_write(m, "control/shutdown", of[i].word);
        assert_int_equal(pvg_control_wait(g, PVG_FOREVER), 0);
        assert_int_equal(next(), of[i].what);
        assert_string_equal(machine_store_read(m, "control/shutdown"), "");
        assert_int_equal(next(), PVG_CONTROL_NONE); /* our own "" fired */
    }
}

static void test_no_node(void **state)
{
    (void)state;
    open_and_settle();
    machine_store_remove(m, "control/shutdown");
    machine_store_remove(m, "memory/target");
    assert_int_equal(pvg_control_wait(g, PVG_FOREVER), 0);
    assert_int_equal(next(), PVG_CONTROL_NONE);
    assert_int_equal(pvg_control_wait(g, pvg_time(g) + 1000000), -XEN_ETIMEDOUT);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t pages; /* -1: passed over */
    } of[] = {
        {"4096", 1024},
        {"0", 0},
        {"7", 1},
        {"", -1},
        {"x", -1},
        {"12x", -1},
        {"-4", -1},
        {" 4", -1},
        {"4 ", -1},
        {"99999999999999999999", -1},
        {"4k", -1},
        {"123456789012345678901234567890", -1},
        {"-1", -1},
        {"99999999999999999999999", -1}, /* just has room */
        {" 12", -1},
        {"18446744073709551616", -1},
        {"4611686018427387904", 1ll << 60},
    };
    open_and_settle();
    for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        machine_store_write(m, "memory/target", of[i].text);
        assert_int_equal(pvg_control_wait(g, PVG_FOREVER), 0);
        enum pvg_control what = next();
        assert_int_equal(what, of[i].pages < 0 ? PVG_CONTROL_NONE : PVG_CONTROL_TARGET);
        if (of[i].pages >= 0)
            assert_int_equal(target, of[i].pages);
        else if (of[i].text[0])
            assert_reason("is no number of KiB");
        assert_int_equal(next(), PVG_CONTROL_NONE);
    }
}

/* One thing at a time, the word first. */
static void test_both(void **state)
{
    (void)state;
    open_and_settle();
    machine_store_write(m, "memory/target", "8192");
    machine_store_write(m, "control/shutdown", "reboot");
    assert_int_equal(next(), PVG_CONTROL_REBOOT);
    assert_int_equal(next(), PVG_CONTROL_TARGET);
    assert_int_equal(target, 2048);
    assert_int_equal(next(), PVG_CONTROL_NONE);
}

/* The kernel's own watches, of the same nodes even, are not control's, and the other way round. */
static void test_beside_watches(void **state)
{
    (void)state;
    struct pvg_xs_event e;
    assert_int_equal(pvg_xs_watch(g, "control/shutdown", "mine"), 0);
    open_and_settle();
    assert_int_equal(pvg_xs_event(g, &e), 1);
    assert_string_equal(e.token, "mine");
    assert_int_equal(pvg_xs_event(g, &e), 0);
    machine_store_write(m, "control/shutdown", "halt");
    assert_int_equal(pvg_xs_event(g, &e), 1);
    assert_string_equal(e.path, "control/shutdown");
    assert_int_equal(pvg_xs_event(g, &e), 0);
    assert_int_equal(pvg_control_wait(g, PVG_FOREVER), 0);
    assert_int_equal(next(), PVG_CONTROL_POWEROFF);
    assert_int_equal(pvg_xs_event(g, &e), 1); /* the answer */
    assert_int_equal(pvg_xs_event(g, &e), 0);
    assert_int_equal(pvg_xs_watch(g, "data", "pvguest/shutdown"), -XEN_EINVAL);
    assert_int_equal(pvg_xs_watch(g, "data", "pvguest/x"), -XEN_EINVAL);
    assert_int_equal(pvg_xs_unwatch(g, "control/shutdown", "pvguest/shutdown"), -XEN_EINVAL);
    assert_reason("is the library's");
}

/* ---- somebody comes between */

static unsigned between;

/* Before the store sees the end of a transaction, the tool writes what is in it, too. */
static void come_between(struct machine *machine)
{
    const struct xsd_sockmsg *h = (const void *)g->store.out.bytes;
    if (h->type == XS_TRANSACTION_END && between > 0) {
        between--;
        machine_store_write(machine, "control/shutdown", between ? "poweroff" : "suspend");
    }
    machine_store_serve(machine);
}

static void test_again(void **state)
{
    (void)state;
    open_and_settle();
    machine_store_write(m, "control/shutdown", "reboot");
    between = 5;
    machine_set_peer(m, come_between);
    assert_int_equal(next(), PVG_CONTROL_SUSPEND);
    assert_string_equal(machine_store_read(m, "control/shutdown"), "");
    machine_store_write(m, "control/shutdown", "reboot");
    between = 1000;
    enum pvg_control what;
    assert_int_equal(pvg_control_next(g, &what, &target), -XEN_EAGAIN);
    between = 0;
    assert_int_equal(next(), PVG_CONTROL_POWEROFF);
}

/* A store that lets no transaction end well: the end becomes one without a commit, of which the
 * reply is EAGAIN. */
static unsigned refusals;

static void refuse_ends(struct machine *machine)
{
    static const char no[] = "EAGAIN";
    struct xenstore_domain_interface *r = machine_store_ring(machine);
    const struct xsd_sockmsg *h = (const void *)g->store.out.bytes;
    char *commit = &r->req[MASK_XENSTORE_IDX(r->req_prod - 2)];
    bool refused = r->req_cons != r->req_prod && h->type == XS_TRANSACTION_END && *commit == 'T';
    if (refused)
        *commit = 'F';
    machine_store_serve(machine);
    if (!refused)
        return;
    struct xsd_sockmsg reply = {XS_ERROR, h->req_id, 0, sizeof(no)};
    char bytes[sizeof(reply) + sizeof(no)];
    memcpy(bytes, &reply, sizeof(reply));
    memcpy(bytes + sizeof(reply), no, sizeof(no));
    r->rsp_prod -= (uint32_t)(sizeof(reply) + sizeof("OK"));
    for (unsigned i = 0; i < sizeof(bytes); i++)
        r->rsp[MASK_XENSTORE_IDX(r->rsp_prod++)] = bytes[i];
    refusals++;
}

/* The word is not taken, and what fired is not forgotten. */
static void test_always_again(void **state)
{
    (void)state;
    open_and_settle();
    machine_store_write(m, "control/shutdown", "reboot");
    machine_set_peer(m, refuse_ends);
    for (unsigned i = 1; i <= 2; i++) {
        enum pvg_control what = PVG_CONTROL_TARGET;
        refusals = 0;
        assert_int_equal(pvg_control_next(g, &what, &target), -XEN_EAGAIN);
        assert_reason("control: store: ending transaction");
        assert_int_equal(refusals, 16);
        assert_int_equal(what, PVG_CONTROL_NONE);
        assert_string_equal(machine_store_read(m, "control/shutdown"), "reboot");
        assert_int_equal(pvg_control_wait(g, 0), 0);
    }
    machine_set_peer(m, machine_store_serve);
    assert_int_equal(next(), PVG_CONTROL_REBOOT);
    assert_string_equal(machine_store_read(m, "control/shutdown"), "");
    assert_int_equal(next(), PVG_CONTROL_NONE);
}

/* The event of a word lies in a ring that is given up: what is dropped with it is asked for. */
static void test_given_up(void **state)
{
    (void)state;
    struct pvg_xs_event e;
    struct xenstore_domain_interface *r = machine_store_ring(m);
    assert_int_equal(pvg_xs_watch(g, "data", "t"), 0);
    assert_int_equal(pvg_xs_event(g, &e), 1);
    open_and_settle();
    r->rsp_prod -= 1;
    assert_int_equal(pvg_xs_event(g, &e), -XEN_EIO);
    r->rsp_prod += 1;
    machine_store_write(m, "control/shutdown", "reboot");
    machine_store_write(m, "memory/target", "8192");
    machine_store_write(m, "data", "1");
    assert_int_equal(pvg_xs_open(g), 0);
    assert_int_equal(pvg_control_wait(g, 0), 0);
    assert_int_equal(next(), PVG_CONTROL_REBOOT);
    assert_int_equal(next(), PVG_CONTROL_TARGET);
    assert_int_equal(target, 2048);
    assert_int_equal(next(), PVG_CONTROL_NONE);
    machine_store_write(m, "data", "2");
    assert_int_equal(pvg_xs_event(g, &e), 1);
    assert_true(e.lost);
}

/* ---- refusals */

static void test_not_open(void **state)
{
    (void)state;
    enum pvg_control what = PVG_CONTROL_TARGET;
    assert_int_equal(pvg_control_next(g, &what, &target), -XEN_EINVAL);
    assert_int_equal(what, PVG_CONTROL_NONE);
    assert_int_equal(pvg_control_wait(g, 0), -XEN_EINVAL);
    machine_store_remove(m, "control/feature-suspend");
    assert_int_equal(pvg_control_open(g), -XEN_EACCES);
    assert_reason("control: store: writing control/feature-suspend: refused, EACCES");
    assert_string_equal(machine_store_read(m, "control/feature-reboot"), "");
    machine_store_write(m, "control/shutdown", "reboot");
    assert_int_equal(pvg_control_next(g, &what, &target), -XEN_EINVAL);
    assert_false(g->store.control.shutdown); /* nor is it watched */
}

/* Each event and each wait made to fail: it is not open, or the word is taken once and not lost. */
static void test_calls_fail(void **state)
{
    (void)state;
    unsigned n = 0;
    int rc;
    do {
        machine_fail_event(m, ++n, -XEN_EPERM);
        rc = pvg_control_open(g);
        assert_true(rc == 0 || rc == -XEN_EPERM);
        assert_int_equal(g->store.control.open, rc == 0);
        g->store.control.open = false; /* also where what failed did not matter */
    } while (!machine_event_fails(m));
    g->store.control.open = true;
    assert_int_equal(rc, 0);
    assert_true(n > 8);
    machine_fail_event(m, 0, 0);
    assert_int_equal(next(), PVG_CONTROL_TARGET);
    assert_int_equal(next(), PVG_CONTROL_NONE);
    for (n = 1;; n++) {
        enum pvg_control what;
        machine_store_write(m, "control/shutdown", "reboot");
        machine_fail_event(m, n, -XEN_EPERM);
        rc = pvg_control_next(g, &what, &target);
        bool reached = !machine_event_fails(m);
        machine_fail_event(m, 0, 0);
        assert_true(rc == 0 || rc == -XEN_EPERM);
        if (rc)
            what = next();
        if (what != PVG_CONTROL_REBOOT)
            fail_msg("%u, %d: %u", n, rc, what);
        assert_int_equal(next(), PVG_CONTROL_NONE);
        if (!reached)
            break;
    }
    assert_true(n > 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open),           TEST(test_words),    TEST(test_no_node),
        TEST(test_targets),        TEST(test_both),     TEST(test_again),
        TEST(test_beside_watches), TEST(test_not_open), TEST(test_calls_fail),
        TEST(test_always_again),   TEST(test_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
