/* SPDX-License-Identifier: MIT */
/* Who makes a guest stand still, and what is rung when: against a mailbox that is made up. */
#include <unistd.h>

#include "hold_setting.h"

/* --- pause and hold --- */

static void a_pause_is_granted_when_it_stands(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_PAUSE, &ticket), 0);
    assert_string_equal(rung(), "p");
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    assert_string_equal(rung(), ""); /* once */
    box.hold = PVMM_HOLD_PAUSED;
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
    hold_leave(&ticket);
    assert_string_equal(rung(), "");
    assert_int_equal(ask(WISH_UNPAUSE, &ticket), 0);
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    assert_string_equal(rung(), "u");
    box.hold = PVMM_HOLD_NONE;
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
}

/* The state that is seen may be that of before the bell that is still on its way. */
static void what_stands_still_by_chance_is_not_granted(void **state)
{
    (void)state;
    hold.paused = true;
    box.hold = PVMM_HOLD_PAUSED;
    assert_int_equal(ask(WISH_UNPAUSE, &ticket), 0);
    assert_string_equal(rung(), "u");
    assert_int_equal(ask(WISH_PAUSE, &ticket), 0);
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    box.hold = PVMM_HOLD_NONE;
    assert_string_equal(rung(), "p");
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    box.hold = PVMM_HOLD_PAUSED;
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
}

static void holds_are_counted_on_top_of_a_pause(void **state)
{
    struct hold_ticket second, pause;

    (void)state;
    assert_int_equal(ask(WISH_HOLD, &ticket), 0);
    assert_int_equal(ask(WISH_HOLD, &second), 0);
    assert_string_equal(rung(), "p");
    box.hold = PVMM_HOLD_PAUSED;
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
    assert_int_equal(hold_look(&second, &error), HOLD_GRANTED);
    hold_leave(&ticket);
    hold_leave(&ticket); /* twice does no harm */
    assert_string_equal(rung(), "");
    assert_int_equal(ask(WISH_PAUSE, &pause), 0);
    hold_leave(&second);
    assert_string_equal(rung(), ""); /* the user's pause remains */
    hold.paused = false;
    assert_string_equal(rung(), "u");
}

static void who_leaves_before_it_stands_is_forgotten(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_HOLD, &ticket), 0);
    assert_string_equal(rung(), "p");
    hold_leave(&ticket);
    assert_string_equal(rung(), ""); /* the bell is still on its way */
    box.hold = PVMM_HOLD_PAUSED;
    assert_string_equal(rung(), "u");
}

/* --- suspends --- */

/* Also where a bell is on its way already: the next one takes it back. */
static void a_pause_that_is_given_up_is_taken_back(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_PAUSE, &ticket), 0);
    hold_leave(&ticket);
    assert_string_equal(rung(), "");
    assert_int_equal(ask(WISH_PAUSE, &ticket), 0);
    assert_string_equal(rung(), "p");
    hold_leave(&ticket);
    box.hold = PVMM_HOLD_PAUSED;
    assert_string_equal(rung(), "u");
    box.hold = PVMM_HOLD_NONE;
    assert_string_equal(rung(), "");
    hold.paused = true;
    assert_int_equal(ask(WISH_PAUSE, &ticket), 0);
    hold_leave(&ticket);
    assert_true(hold.paused); /* as it was before */
    assert_int_equal(ask(WISH_UNPAUSE, &ticket), 0);
    hold_leave(&ticket);
    assert_true(hold.paused);
}

static void suspended(void)
{
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    assert_string_equal(node(), "suspend");
    assert_string_equal(rung(), "");
    the_guest_takes_it();
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
    assert_string_equal(rung(), "");
}

static void a_suspend_is_cancelled_when_its_connection_goes(void **state)
{
    (void)state;
    suspended();
    refused_as(WISH_SUSPEND, "being saved");
    refused_as(WISH_PAUSE, "being saved");
    refused_as(WISH_UNPAUSE, "being saved");
    refused_as(WISH_HOLD, "being saved");
    refused_as(WISH_SHUTDOWN, "being saved");
    hold_leave(&ticket);
    assert_string_equal(rung(), "u");
    assert_string_equal(rung(), "");
    goes_on_from_suspend();
    assert_string_equal(rung(), "");
    assert_false(hold.saved);
    box.hold = PVMM_HOLD_SUSPENDED; /* on its own */
    assert_string_equal(rung(), "q");
}

static void a_suspend_ends_the_guest_when_told(void **state)
{
    (void)state;
    suspended();
    assert_false(hold_told(&ticket, ""));
    assert_false(hold_told(&ticket, "End"));
    assert_false(hold_told(&ticket, "end "));
    assert_true(hold_told(&ticket, "end"));
    assert_false(hold_told(&ticket, "end"));
    hold_leave(&ticket); /* even if it leaves at once */
    assert_string_equal(rung(), "q");
    assert_true(hold.saved);
}

static void told_to_pause_it_stands_afterwards(void **state)
{
    (void)state;
    suspended();
    assert_true(hold_told(&ticket, "pause"));
    assert_string_equal(rung(), "");
    hold_leave(&ticket);
    assert_string_equal(rung(), "u");
    goes_on_from_suspend();
    assert_string_equal(rung(), "p");
}

static void what_a_hold_may_not_say(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_HOLD, &ticket), 0);
    assert_false(hold_told(&ticket, "end"));
    hold_leave(&ticket);
    assert_false(hold_told(&ticket, "end"));
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    assert_false(hold_told(&ticket, "end")); /* before it stands */
}

static void a_guest_that_never_answers_goes_on(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    ticket.deadline = 0;
    assert_int_equal(hold_look(&ticket, &error), HOLD_REFUSED);
    assert_string_equal(error.text, "it did not answer within 1 s; it goes on running");
    assert_string_equal(node(), "");
    assert_string_equal(rung(), "");
    /* It had read the node before that. */
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "u");
    goes_on_from_suspend();
    assert_string_equal(rung(), "");
    /* Another one is its own. */
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "q");
}

static void a_guest_that_took_the_request_and_did_not_suspend_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    the_guest_takes_it();
    ticket.deadline = 0;
    assert_int_equal(hold_look(&ticket, &error), HOLD_REFUSED);
    assert_non_null(strstr(error.text, "took the request, but did not suspend"));
}

/* It suspended itself in the last moment: what is looked at first is the guest, not the clock. */
static void an_answer_in_the_last_moment_counts(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    ticket.deadline = 0;
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
    assert_string_equal(node(), ""); /* or it would be asked once more when it goes on */
}

/* The suspend of a request that was given up stands when the next request comes: it is not that
 * one's. */
static void a_late_answer_is_not_taken_for_the_next_one(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    the_guest_takes_it();
    hold_leave(&ticket);
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "u");
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    goes_on_from_suspend();
    box.hold = PVMM_HOLD_SUSPENDED; /* at once */
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
}

static void suspends_that_nobody_asked_for(void **state)
{
    (void)state;
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "q");
    assert_false(hold.saved);
    hold.rung = 0;
    hold.cancels = true;
    assert_string_equal(rung(), "u");
    box.hold = PVMM_HOLD_NONE;
    assert_string_equal(rung(), "");
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "u");
}

static void what_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    hold.paused = true;
    refused_as(WISH_SUSPEND, "it is paused");
    refused_as(WISH_SHUTDOWN, "it is paused");
    hold.paused = false;
    hold.holders = 1;
    refused_as(WISH_SUSPEND, "being dumped");
    hold.holders = 0;
    assert_int_equal(ask(WISH_SHUTDOWN, &ticket), 0);
    refused_as(WISH_SUSPEND, "being asked to shut down");
    refused_as(WISH_SHUTDOWN, "being asked to shut down");
    hold_leave(&ticket);
    assert_string_equal(node(), "");
    store.wanted = false;
    refused_as(WISH_SUSPEND, "it has no store");
    box.state = PVMM_STATE_BOOTING;
    refused_as(WISH_PAUSE, "not started yet");
    box.state = PVMM_STATE_ENDED;
    refused_as(WISH_HOLD, "it has ended");
}

static void a_shutdown_is_granted_when_it_is_taken(void **state)
{
    struct hold_ticket second;

    (void)state;
    assert_int_equal(ask(WISH_SHUTDOWN, &ticket), 0);
    assert_string_equal(node(), "poweroff");
    assert_int_equal(hold_look(&ticket, &error), HOLD_WAIT);
    the_guest_takes_it();
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
    assert_int_equal(ask(WISH_SUSPEND, &second), 0);
    hold_leave(&ticket); /* takes nothing back that is another's */
    assert_string_equal(node(), "suspend");
    hold_leave(&second);
    assert_int_equal(ask(WISH_SHUTDOWN, &ticket), 0);
    box.state = PVMM_STATE_ENDED;
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
}

static void a_guest_that_ends_is_no_longer_waited_for(void **state)
{
    (void)state;
    assert_int_equal(ask(WISH_SUSPEND, &ticket), 0);
    box.state = PVMM_STATE_ENDED;
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&ticket, &error), HOLD_REFUSED);
    assert_non_null(strstr(error.text, "ended instead of suspending"));
}

static void a_hypervisor_that_says_nonsense_is_not_believed(void **state)
{
    (void)state;
    box.hold = 3;
    assert_int_equal(hold_state(&mailbox), PVMM_HOLD_NONE);
    assert_int_equal(hold_serve(&hold, &error), -1);
    assert_non_null(strstr(error.text, "unknown reason 3"));
    assert_int_equal(bell.used, 0);
}

static void a_bell_that_finds_no_room_is_rung_later(void **state)
{
    (void)state;
    suspended();
    hold_leave(&ticket);
    bell.used = sizeof(bell.bytes);
    assert_int_equal(hold_serve(&hold, &error), 0);
    bell.used = 0;
    assert_string_equal(rung(), "u"); /* and not "q" */
}

static void what_has_not_run_here_does_not_run(void **state)
{
    (void)state;
    hold.arrives = hold.paused = true;
    assert_int_equal(hold_standing(&hold), STANDING_ARRIVING); /* started, and not yet paused */
    assert_false(hold_as_wished(&hold));
    box.hold = PVMM_HOLD_PAUSED;
    assert_int_equal(hold_standing(&hold), STANDING_ARRIVING);
    assert_true(hold_as_wished(&hold));
    hold.arrives = false;
    assert_int_equal(hold_standing(&hold), STANDING_PAUSED);
    hold.paused = false;
    box.hold = PVMM_HOLD_NONE;
    assert_int_equal(hold_standing(&hold), STANDING_NOT);
    assert_true(hold_as_wished(&hold));
    assert_int_equal(hold_standing(NULL), STANDING_NOT);
}

/* While its hypervisor counts up what it had, no reason to stand is told any more. */
static void what_is_saved_does_not_run_again(void **state)
{
    (void)state;
    suspended();
    assert_int_equal(hold_standing(&hold), STANDING_SUSPENDED);
    assert_true(hold_told(&ticket, "end"));
    assert_string_equal(rung(), "q");
    box.hold = PVMM_HOLD_NONE;
    assert_int_equal(hold_standing(&hold), STANDING_SUSPENDED);
    box.state = PVMM_STATE_ENDED;
    assert_int_equal(hold_standing(&hold), STANDING_NOT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_pause_is_granted_when_it_stands),
        TEST(what_stands_still_by_chance_is_not_granted),
        TEST(holds_are_counted_on_top_of_a_pause),
        TEST(who_leaves_before_it_stands_is_forgotten),
        TEST(a_pause_that_is_given_up_is_taken_back),
        TEST(a_suspend_is_cancelled_when_its_connection_goes),
        TEST(a_suspend_ends_the_guest_when_told),
        TEST(told_to_pause_it_stands_afterwards),
        TEST(what_a_hold_may_not_say),
        TEST(a_guest_that_never_answers_goes_on),
        TEST(a_guest_that_took_the_request_and_did_not_suspend_is_told_apart),
        TEST(an_answer_in_the_last_moment_counts),
        TEST(a_late_answer_is_not_taken_for_the_next_one),
        TEST(suspends_that_nobody_asked_for),
        TEST(what_cannot_be_asked_is_refused),
        TEST(a_shutdown_is_granted_when_it_is_taken),
        TEST(a_guest_that_ends_is_no_longer_waited_for),
        TEST(a_hypervisor_that_says_nonsense_is_not_believed),
        TEST(a_bell_that_finds_no_room_is_rung_later),
        TEST(what_has_not_run_here_does_not_run),
        TEST(what_is_saved_does_not_run_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
