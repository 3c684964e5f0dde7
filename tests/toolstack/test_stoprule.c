/* SPDX-License-Identifier: MIT */
/* When a guest that is copied while it runs is to stand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stoprule.h"

static const struct stop_wish usual = {.downtime = 300, .rounds = 30};

/* Of 1000 pages a second: 220 of them are what goes in 300 ms but for the constant. */
static struct round_facts after(unsigned round, uint64_t sent, uint64_t written)
{
    return (struct round_facts){.round = round, .sent = sent, .written = written, .rate = 1000};
}

static void it_stands_as_soon_as_it_may(void **state)
{
    unsigned stuck = 0;
    struct round_facts f = after(1, 4096, 221);

    (void)state;
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOT_YET);
    f = after(2, 221, 219);
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOW);
    f.left = 10; /* which has to go all the same */
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOT_YET);
}

static void two_rounds_in_a_row_of_no_use_are_too_fast(void **state)
{
    unsigned stuck = 0;
    struct round_facts f = after(1, 4096, 4096);

    (void)state;
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOT_YET);
    f = after(2, 4096, 3000);
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOT_YET);
    f = after(3, 3000, 3000);
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOT_YET);
    f = after(4, 3000, 3001);
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_TOO_FAST);
}

static void no_more_rounds_than_may_be(void **state)
{
    unsigned stuck = 0;
    struct round_facts f = after(29, 4096, 4000);

    (void)state;
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOT_YET);
    f.round = 30;
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_ROUNDS);
    f.written = 0; /* the last one was enough */
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOW);
}

static void a_bound_that_nothing_can_keep_is_not_blamed_on_the_guest(void **state)
{
    static const struct stop_wish one = {.downtime = 1, .rounds = 30},
                                  few = {.downtime = 1, .rounds = 1};
    static const struct stop_wish tables = {.downtime = 100, .rounds = 30};
    unsigned stuck = 0;
    struct round_facts f = after(1, 4096, 0);

    (void)state;
    assert_int_equal(stop_rule(&f, &few, &stuck), STOP_BOUND_SHORT);
    f = after(2, 0, 0);
    assert_int_equal(stop_rule(&f, &one, &stuck), STOP_NOT_YET);
    f = after(3, 0, 0);
    assert_int_equal(stop_rule(&f, &one, &stuck), STOP_BOUND_SHORT);
    f.left = 21;
    assert_int_equal(stop_rule(&f, &tables, &stuck), STOP_BOUND_SHORT);
    f.left = 19;
    assert_int_equal(stop_rule(&f, &tables, &stuck), STOP_NOW);
}

static void a_rate_that_is_not_known_is_none_to_rely_on(void **state)
{
    struct round_facts f = {.round = 1, .written = 1};
    unsigned stuck = 0;

    (void)state;
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOT_YET);
    f.written = 0;
    assert_int_equal(stop_rule(&f, &usual, &stuck), STOP_NOW);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_stands_as_soon_as_it_may),
        cmocka_unit_test(two_rounds_in_a_row_of_no_use_are_too_fast),
        cmocka_unit_test(no_more_rounds_than_may_be),
        cmocka_unit_test(a_bound_that_nothing_can_keep_is_not_blamed_on_the_guest),
        cmocka_unit_test(a_rate_that_is_not_known_is_none_to_rely_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
