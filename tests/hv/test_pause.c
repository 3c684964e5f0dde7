/* SPDX-License-Identifier: MIT */
/*
 * Is a waiting interrupt heard by a long request? Only some questions look, and a "yes" was once
 * said a single time: those who asked twice in a row never paused, and ran for a minute without
 * interrupts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cpu.h"
#include "machine.h"
#include "serial.h"

static uint64_t now;
static bool serial_waits;
static unsigned serial_looks;

uint64_t now_ns(void)
{
    return now;
}

bool serial_interrupt_waits(void)
{
    serial_looks++;
    return serial_waits;
}

/* Questions until the first "yes", at most `limit`. */
static unsigned asked_until(bool (*ask)(struct cpu *), struct cpu *c, unsigned limit)
{
    for (unsigned n = 1; n <= limit; n++)
        if (ask(c))
            return n;
    return 0;
}

static void test_a_due_timer_is_heard_within_64_questions(void **state)
{
    (void)state;
    for (unsigned before = 0; before < 200; before++) {
        struct cpu c = {.timer_due_ns = 10};

        now = 9;
        assert_int_equal(asked_until(pause_due_for, &c, before), 0);
        now = 10;
        assert_in_range(asked_until(pause_due_for, &c, 100), 1, 64);
        assert_int_equal(asked_until(interrupt_waits_for, &c, 1), 1);
    }
}

static void test_a_yes_is_said_again(void **state)
{
    struct cpu c = {.timer_due_ns = 10};

    (void)state;
    now = 10;
    assert_true(asked_until(pause_due_for, &c, 64) > 0);
    for (unsigned i = 0; i < 100; i++)
        assert_true(pause_due_for(&c));
    now = 9;
    assert_false(pause_due_for(&c));
}

static void test_no_timer_is_never_due(void **state)
{
    struct cpu c = {.timer_due_ns = 0};

    (void)state;
    now = ~0ull;
    serial_waits = false;
    assert_int_equal(asked_until(interrupt_waits_for, &c, 1000), 0);
}

static void test_serial_input_is_heard_and_seldom_looked_for(void **state)
{
    struct cpu c = {.timer_due_ns = 0};

    (void)state;
    serial_waits = false;
    serial_looks = 0;
    assert_int_equal(asked_until(interrupt_waits_for, &c, 640), 0);
    assert_int_equal(serial_looks, 10);
    serial_waits = true;
    assert_in_range(asked_until(interrupt_waits_for, &c, 100), 1, 64);
    assert_true(interrupt_waits_for(&c) && interrupt_waits_for(&c));
    assert_in_range(asked_until(pause_due_for, &c, 100), 1, 64);
    serial_waits = false;
    assert_false(interrupt_waits_for(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_due_timer_is_heard_within_64_questions),
        cmocka_unit_test(test_a_yes_is_said_again),
        cmocka_unit_test(test_no_timer_is_never_due),
        cmocka_unit_test(test_serial_input_is_heard_and_seldom_looked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
