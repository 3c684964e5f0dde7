/* SPDX-License-Identifier: MIT */
/* The console's two ways, and its ring while the other side is slow. */
#include "fake.h"

#include <xen/event_channel.h>
#include <xen/sched.h>

static struct pvguest guest;
static start_info_t si;
static struct xencons_interface ring;

static char heard[65536]; /* what the other side got */
static size_t heard_bytes;
static unsigned sends, yields, direct;
static evtchn_port_t sent_to;

/* The other side: takes what there is when told, or when it is its turn. */
static void take_some(size_t most)
{
    for (; most > 0 && ring.out_cons != ring.out_prod; most--)
        heard[heard_bytes++] = ring.out[ring.out_cons++ % sizeof(ring.out)];
    assert_true(ring.out_prod - ring.out_cons <= sizeof(ring.out));
}

static int64_t answers(unsigned number, uint64_t a, uint64_t b, uint64_t c)
{
    if (number == __HYPERVISOR_event_channel_op && a == EVTCHNOP_send) {
        sends++;
        sent_to = ((struct evtchn_send *)b)->port;
        return 0;
    }
    if (number == __HYPERVISOR_sched_op && a == SCHEDOP_yield) {
        yields++;
        take_some(3);
        return 0;
    }
    if (number == __HYPERVISOR_console_io && a == CONSOLEIO_write) {
        direct++;
        memcpy(heard + heard_bytes, (const char *)c, b);
        heard_bytes += b;
        return 0;
    }
    return -XEN_ENOSYS;
}

static int setup(void **state)
{
    (void)state;
    memset(&guest, 0, sizeof(guest));
    memset(&ring, 0, sizeof(ring));
    memset(&si, 0, sizeof(si));
    si.console.domU.mfn = 0x1234;
    si.console.domU.evtchn = 5;
    guest.si_va = (uintptr_t)&si;
    fake_answers = answers;
    fake_ring_mfn = 0x1234;
    fake_ring_va = (uintptr_t)&ring;
    heard_bytes = 0;
    sends = yields = direct = 0;
    return 0;
}

static void expect_heard(const char *text, size_t n)
{
    take_some(sizeof(ring.out));
    assert_int_equal(heard_bytes, n);
    assert_memory_equal(heard, text, n);
}

static void initial_domain(void **state)
{
    (void)state;
    si.flags = SIF_INITDOMAIN;
    assert_int_equal(console_init(&guest), 0);
    pvg_write(&guest, "abc", 3);
    pvg_write(&guest, "", 0);
    pvg_print(&guest, "%u", 42u);
    assert_int_equal(direct, 2);
    assert_int_equal(sends, 0);
    expect_heard("abc42", 5);
    assert_int_equal(pvg_read(&guest, heard, 1), 0);
}

static void ordinary_domain(void **state)
{
    (void)state;
    assert_int_equal(console_init(&guest), 0);
    pvg_print(&guest, "%s", "abc");
    assert_int_equal(sends, 1);
    assert_int_equal(sent_to, 5);
    assert_int_equal(direct, 0);
    expect_heard("abc", 3);
}

/* More than fits, with indices that wrap past 2^32. */
static void slow_listener(void **state)
{
    static char text[20000];
    (void)state;
    ring.out_cons = ring.out_prod = UINT32_MAX - 100;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + i / 256);
    assert_int_equal(console_init(&guest), 0);
    pvg_write(&guest, text, sizeof(text));
    assert_true(yields >= (sizeof(text) - sizeof(ring.out)) / 3);
    assert_true(sends >= yields);
    expect_heard(text, sizeof(text));
}

static void long_line(void **state)
{
    (void)state;
    assert_int_equal(console_init(&guest), 0);
    pvg_print(&guest, "%01023d", 0);
    take_some(sizeof(ring.out));
    assert_int_equal(heard_bytes, 1023);
    heard_bytes = 0;
    pvg_print(&guest, "%01024d", 0);
    take_some(sizeof(ring.out));
    assert_int_equal(heard_bytes, 1023 + 4);
    assert_memory_equal(heard + 1020, "000...\n", 7);
}

static void reading(void **state)
{
    char to[16];
    (void)state;
    assert_int_equal(console_init(&guest), 0);
    ring.in_cons = ring.in_prod = UINT32_MAX - 1;
    assert_int_equal(pvg_read(&guest, to, sizeof(to)), 0);
    assert_int_equal(sends, 0);
    for (const char *p = "hello"; *p; p++)
        ring.in[ring.in_prod++ % sizeof(ring.in)] = *p;
    assert_int_equal(pvg_read(&guest, to, 2), 2);
    assert_int_equal(pvg_read(&guest, to + 2, sizeof(to)), 3);
    assert_memory_equal(to, "hello", 5);
    assert_int_equal(ring.in_cons, ring.in_prod);
    assert_int_equal(sends, 2);
}

static void no_ring(void **state)
{
    (void)state;
    si.console.domU.mfn = 0x1235;
    assert_int_equal(console_init(&guest), -XEN_EINVAL);
    assert_string_equal(pvg_reason(&guest), "console: the console's ring, machine frame 1235, is "
                                            "no page of ours");
    assert_int_equal(guest.console_va, 0);
    si.console.domU.mfn = 0x1234;
    fake_ring_va = 0;
    assert_int_equal(console_init(&guest), -XEN_ENOENT);
    assert_string_equal(pvg_reason(&guest),
                        "console: the console's ring, page 7, is mapped nowhere");
}

/* Without a place of its own, text goes the other way, rather than to where the ring was. */
static void moved(void **state)
{
    static struct xencons_interface old;
    (void)state;
    fake_ring_va = (uintptr_t)&old;
    assert_int_equal(console_init(&guest), 0);
    fake_ring_va = (uintptr_t)&ring;
    console_moved(&guest);
    pvg_write(&guest, "new", 3);
    assert_int_equal(old.out_prod, 0);
    expect_heard("new", 3);
    fake_ring_va = 0;
    console_moved(&guest);
    pvg_write(&guest, "last", 4);
    assert_int_equal(direct, 1);
    expect_heard("newlast", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(initial_domain, setup),
        cmocka_unit_test_setup(ordinary_domain, setup),
        cmocka_unit_test_setup(slow_listener, setup),
        cmocka_unit_test_setup(long_line, setup),
        cmocka_unit_test_setup(reading, setup),
        cmocka_unit_test_setup(no_ring, setup),
        cmocka_unit_test_setup(moved, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
