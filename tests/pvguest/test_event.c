/* SPDX-License-Identifier: MIT */
/* Event channels to oneself, waits, and the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#include <xen/event_channel.h>

#define NR_PAGES   4096u
#define MS         1000000ull
#define NOT_A_PORT 63u

static struct machine *m;
static struct pvguest *g;

static int setup(void **state)
{
    struct pvg_options o;
    (void)state;
    pvg_options_default(&o);
    m = machine_make(&(struct machine_params){.seed = 5, .nr_pages = NR_PAGES});
    g = guest_start(m);
    return !g || pvg_boot(g, &o);
}

static int teardown(void **state)
{
    (void)state;
    machine_fail_event(m, 0, 0);
    const char *wrong = guest_check(m, g);
    if (!wrong && machine_ports(m) != 2)
        wrong = "ports are left";
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

#define assert_reason(part) assert_non_null(strstr(pvg_reason(g), part))

/* Both ends, of which the second is pending once, as the first may have been sent by before. */
static void connect(uint32_t port[2])
{
    assert_int_equal(pvg_event_offer(g, DOMID_SELF, &port[0]), 0);
    assert_int_equal(pvg_event_bind(g, DOMID_SELF, port[0], &port[1]), 0);
    assert_true(pvg_event_take(g, port[1]));
}

static void disconnect(const uint32_t port[2])
{
    assert_int_equal(pvg_event_close(g, port[1]), 0);
    assert_int_equal(pvg_event_close(g, port[0]), 0);
}

static void test_to_oneself(void **state)
{
    (void)state;
    uint32_t port[2];
    connect(port);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(pvg_event_take(g, port[!i]));
        assert_int_equal(pvg_event_send(g, port[i]), 0);
        assert_false(pvg_event_take(g, port[i]));
        assert_true(pvg_event_take(g, port[!i]));
        assert_false(pvg_event_take(g, port[!i]));
    }
    disconnect(port);
}

static void test_virq(void **state)
{
    (void)state;
    uint32_t port, again = 77;
    assert_int_equal(pvg_event_bind_virq(g, VIRQ_DEBUG, &port), 0);
    assert_int_equal(pvg_event_bind_virq(g, VIRQ_DEBUG, &again), -XEN_EEXIST);
    assert_reason("virtual interrupt 1: refused, EEXIST");
    assert_int_equal(again, 77);
    assert_int_equal(pvg_event_send(g, port), -XEN_EINVAL);
    machine_raise(m, port);
    assert_int_equal(pvg_event_wait(g, &port, 1, PVG_FOREVER), 0);
    assert_true(pvg_event_take(g, port));
    assert_int_equal(pvg_event_close(g, port), 0);
}

static void test_refused(void **state)
{
    (void)state;
    uint32_t port = 77;
    assert_int_equal(pvg_event_bind(g, DOMID_SELF, NOT_A_PORT, &port), -XEN_EINVAL);
    assert_reason("port 63 of domain");
    assert_int_equal(pvg_event_bind(g, 999, 1, &port), -XEN_ESRCH);
    assert_int_equal(pvg_event_bind_virq(g, 24, &port), -XEN_EINVAL);
    assert_int_equal(pvg_event_close(g, NOT_A_PORT), -XEN_EINVAL);
    assert_reason("closing port 63: refused, EINVAL");
    assert_int_equal(pvg_event_send(g, NOT_A_PORT), -XEN_EINVAL);
    assert_int_equal(pvg_event_send(g, ~0u), -XEN_EINVAL);
    assert_int_equal(port, 77);
    assert_false(pvg_event_take(g, 0));
    assert_false(pvg_event_take(g, PVG_PORTS));
    assert_false(pvg_event_take(g, ~0u));
}

/* Each call made to fail changes nothing, and works when it is tried again. */
static void test_calls_fail(void **state)
{
    (void)state;
    uint32_t port[2] = {77, 78}, virq = 79;
    machine_fail_event(m, 1, -XEN_ENOMEM);
    assert_int_equal(pvg_event_offer(g, DOMID_SELF, &port[0]), -XEN_ENOMEM);
    assert_int_equal(port[0], 77);
    assert_int_equal(pvg_event_offer(g, DOMID_SELF, &port[0]), 0);
    machine_fail_event(m, 1, -XEN_ENOMEM);
    assert_int_equal(pvg_event_bind(g, DOMID_SELF, port[0], &port[1]), -XEN_ENOMEM);
    assert_int_equal(port[1], 78);
    assert_int_equal(pvg_event_bind(g, DOMID_SELF, port[0], &port[1]), 0);
    machine_fail_event(m, 1, -XEN_ENOMEM);
    assert_int_equal(pvg_event_bind_virq(g, VIRQ_DEBUG, &virq), -XEN_ENOMEM);
    assert_int_equal(virq, 79);
    assert_true(pvg_event_take(g, port[1]));
    machine_fail_event(m, 1, -XEN_EPERM);
    assert_int_equal(pvg_event_send(g, port[0]), -XEN_EPERM);
    assert_false(pvg_event_take(g, port[1]));
    machine_fail_event(m, 1, -XEN_EPERM);
    assert_int_equal(pvg_event_close(g, port[0]), -XEN_EPERM);
    machine_fail_event(m, 1, -XEN_EFAULT);
    assert_int_equal(pvg_event_wait(g, port, 2, PVG_FOREVER), -XEN_EFAULT);
    assert_reason("waiting for events: poll of 2 ports: refused, EFAULT");
    disconnect(port);
}

/* ---- waiting */

static void test_wait_ends_with_the_event(void **state)
{
    (void)state;
    uint32_t port[2];
    connect(port);
    assert_int_equal(pvg_event_send(g, port[0]), 0);
    uint64_t before = pvg_time(g);
    assert_int_equal(pvg_event_wait(g, port, 2, before + 5 * MS), 0);
    assert_int_equal(pvg_event_wait(g, port, 2, 0), 0);
    assert_true(pvg_time(g) < before + MS);
    assert_true(pvg_event_take(g, port[1])); /* the wait took none */
    disconnect(port);
}

static void test_wait_ends_with_time(void **state)
{
    (void)state;
    uint32_t port[2];
    connect(port);
    uint64_t until = pvg_time(g) + 5 * MS;
    assert_int_equal(pvg_event_wait(g, port, 2, until), -XEN_ETIMEDOUT);
    assert_reason("none came until");
    assert_in_range(pvg_time(g), until, until + MS);
    assert_int_equal(pvg_event_wait(g, port, 2, until), -XEN_ETIMEDOUT);
    assert_int_equal(pvg_event_wait(g, port, 2, 0), -XEN_ETIMEDOUT);
    assert_int_equal(pvg_event_wait(g, NULL, 0, until + 3 * MS), -XEN_ETIMEDOUT);
    assert_true(pvg_time(g) >= until + 3 * MS);
    disconnect(port);
}

static uint32_t raised_port;
static unsigned raised_after;

static void raise_late(struct machine *machine)
{
    if (raised_after-- == 0)
        machine_raise(machine, raised_port);
}

static void test_wait_for_ever(void **state)
{
    (void)state;
    uint32_t port[2];
    connect(port);
    raised_port = port[1];
    raised_after = 100;
    machine_set_peer(m, raise_late);
    assert_int_equal(pvg_event_wait(g, port, 2, PVG_FOREVER), 0);
    machine_set_peer(m, NULL);
    assert_true(pvg_event_take(g, port[1]));
    disconnect(port);
}

static uint32_t closed_port;

static void close_it(struct machine *machine)
{
    machine_set_peer(machine, NULL);
    assert_int_equal(pvg_event_close(g, closed_port), 0);
}

/* The other end, or the port itself, is gone while the guest waits: then time ends it. */
static void test_wait_for_what_is_closed(void **state)
{
    (void)state;
    for (unsigned end = 0; end < 2; end++) {
        uint32_t port[2];
        connect(port);
        closed_port = port[end];
        uint64_t until = pvg_time(g) + 2 * MS;
        machine_set_peer(m, close_it);
        assert_int_equal(pvg_event_wait(g, &port[1], 1, until), -XEN_ETIMEDOUT);
        assert_in_range(pvg_time(g), until, until + MS);
        assert_int_equal(pvg_event_wait(g, &port[1], 1, until), -XEN_ETIMEDOUT);
        assert_false(pvg_event_take(g, port[1]));
        assert_int_equal(pvg_event_send(g, port[end]), -XEN_EINVAL);
        assert_int_equal(pvg_event_close(g, port[end]), -XEN_EINVAL);
        assert_int_equal(pvg_event_close(g, port[!end]), 0);
    }
}

static void test_wait_for_what_is_no_port(void **state)
{
    (void)state;
    uint32_t port[PVG_WAIT_MAX + 1];
    for (unsigned i = 0; i <= PVG_WAIT_MAX; i++)
        port[i] = i + 1;
    assert_int_equal(pvg_event_wait(g, port, PVG_WAIT_MAX + 1, 0), -XEN_EINVAL);
    assert_reason("17 ports, at most 16");
    assert_int_equal(pvg_event_wait(g, port, PVG_WAIT_MAX, 0), -XEN_ETIMEDOUT);
    port[1] = PVG_PORTS;
    assert_int_equal(pvg_event_wait(g, port, 2, 0), -XEN_EINVAL);
    assert_reason("port 4096: there is none");
    port[1] = 0;
    assert_int_equal(pvg_event_wait(g, port, 2, 0), -XEN_EINVAL);
    port[1] = EVTCHN_2L_NR_CHANNELS - 1; /* there could be one */
    assert_int_equal(pvg_event_wait(g, port, 2, 0), -XEN_EINVAL);
    assert_reason("refused, EINVAL");
}

static void test_too_early(void **state)
{
    (void)state;
    m = machine_make(&(struct machine_params){.seed = 5, .nr_pages = NR_PAGES});
    g = guest_start(m);
    assert_non_null(g);
    uint32_t port = 1;
    assert_int_equal(pvg_time(g), 0);
    machine_raise(m, 1);
    assert_false(pvg_event_take(g, 1));
    assert_int_equal(pvg_event_wait(g, &port, 1, 0), -XEN_EINVAL);
    assert_reason("shared_info is not mapped");
    machine_end(m);
}

/* ---- time */

static struct vcpu_time_info *time_info(void)
{
    shared_info_t *s = (void *)machine_frame(m, machine_shared_frame(m));
    return &s->vcpu_info[0].time;
}

static void test_time_goes_on(void **state)
{
    (void)state;
    uint64_t before = pvg_time(g);
    assert_in_range(before, machine_time(m), machine_time(m));
    machine_pass(m, 3 * MS);
    assert_in_range(pvg_time(g), before + 3 * MS, before + 3 * MS + MS / 2);
}

/* The same counter by three ways to write two ticks a nanosecond, where 64 bits would not hold what
 * is on the way. */
static void test_time_is_scaled(void **state)
{
    (void)state;
    static const struct {
        int8_t shift;
        uint32_t mul;
    } way[] = {{0, 1u << 31}, {2, 1u << 29}, {-1, ~0u}};
    struct vcpu_time_info *t = time_info();
    const struct vcpu_time_info first = *t;
    machine_pass(m, 20ull * 365 * 24 * 3600 * 1000 * MS);
    for (unsigned i = 0; i < 3; i++) {
        t->tsc_shift = way[i].shift;
        t->tsc_to_system_mul = way[i].mul;
        uint64_t ns = pvg_time(g) - first.system_time;
        uint64_t want = machine_time(m) - first.system_time;
        assert_in_range(ns, want - (way[i].mul == ~0u ? want >> 31 : 0), want);
    }
    *t = first;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_to_oneself),
        TEST(test_virq),
        TEST(test_refused),
        TEST(test_calls_fail),
        TEST(test_wait_ends_with_the_event),
        TEST(test_wait_ends_with_time),
        TEST(test_wait_for_ever),
        TEST(test_wait_for_what_is_closed),
        TEST(test_wait_for_what_is_no_port),
        cmocka_unit_test(test_too_early),
        TEST(test_time_goes_on),
        TEST(test_time_is_scaled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
