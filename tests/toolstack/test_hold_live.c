/* SPDX-License-Identifier: MIT */
/* A guest that is copied while it runs: what is rung and answered when, against a mailbox that is
 * made up; and what stays when the one who copies it goes. */
#include <sys/mman.h>
#include <unistd.h>

#include "hold_setting.h"

#define BITMAP 8192u
#define AT     4096u

static struct live_round round_;

static int begin_live(void **state)
{
    begin(state);
    box.dirty = (struct pvmm_dirty){.version = PVMM_DIRTY_VERSION};
    hold.ram_fd = memfd_create("machine", MFD_CLOEXEC);
    assert_true(hold.ram_fd >= 0);
    assert_int_equal(ftruncate(hold.ram_fd, AT + 2 * BITMAP), 0);
    assert_int_equal(ask(WISH_LIVE, &ticket), 0);
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
    assert_string_equal(rung(), "");
    return 0;
}

static int end_live(void **state)
{
    close(hold.ram_fd);
    return end(state);
}

static int look(void)
{
    return hold_live_look(&hold, &ticket, &round_, &error);
}

/* As a hypervisor does. */
static void heeds_round(void)
{
    box.dirty.state = PVMM_DIRTY_ON;
    box.dirty.at = AT;
    box.dirty.bytes = BITMAP;
    box.dirty.frames = BITMAP * 8 - 7;
    box.dirty.told = box.dirty.rounds == 0 ? 0 : 3;
    box.dirty.rounds++;
    box.dirty.heeded++;
}

static void heeds_unwatch(void)
{
    box.dirty.state = PVMM_DIRTY_OFF;
    box.dirty.rounds = 0;
    box.dirty.heeded++;
}

static void a_round_is_there(void)
{
    assert_true(hold_told(&ticket, "round"));
    assert_string_equal(rung(), "r");
    assert_int_equal(look(), 0);
    heeds_round();
    assert_string_equal(rung(), "");
    assert_int_equal(look(), 1);
}

/* Up to a guest that stands. */
static void stands(void)
{
    assert_true(hold_told(&ticket, "suspend"));
    assert_string_equal(node(), "suspend");
    assert_int_equal(look(), 0);
    the_guest_takes_it();
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "");
    assert_int_equal(look(), 1);
    assert_int_equal(round_.round, 0);
}

static void a_round_is_answered_when_it_is_heeded(void **state)
{
    (void)state;
    a_round_is_there();
    assert_int_equal(round_.round, 1);
    assert_int_equal(round_.at, AT + BITMAP);
    assert_int_equal(round_.told, 0);
    assert_int_equal(look(), 0); /* once */
    a_round_is_there();
    assert_int_equal(round_.round, 2);
    assert_int_equal(round_.at, AT);
    assert_int_equal(round_.bytes, BITMAP);
    assert_int_equal(round_.frames, BITMAP * 8 - 7);
    assert_int_equal(round_.told, 3);
}

static void the_watch_ends_with_the_connection(void **state)
{
    (void)state;
    a_round_is_there();
    hold_leave(&ticket);
    assert_string_equal(rung(), "n");
    assert_string_equal(rung(), ""); /* once */
    heeds_unwatch();
    assert_string_equal(rung(), "");
}

/* Its bell is still on its way when he goes. */
static void a_watch_that_nobody_waits_for_is_ended_when_it_has_begun(void **state)
{
    (void)state;
    assert_true(hold_told(&ticket, "round"));
    assert_string_equal(rung(), "r");
    hold_leave(&ticket);
    assert_string_equal(rung(), "");
    heeds_round();
    assert_string_equal(rung(), "n");
}

static void who_says_no_round_begins_no_watch(void **state)
{
    (void)state;
    hold_leave(&ticket);
    assert_string_equal(rung(), "");
    assert_int_equal(ask(WISH_LIVE, &ticket), 0);
}

/* The end of the watch before is heeded first. */
static void another_watch_waits_for_the_end_of_the_first(void **state)
{
    (void)state;
    a_round_is_there();
    hold_leave(&ticket);
    assert_string_equal(rung(), "n");
    assert_int_equal(ask(WISH_LIVE, &ticket), 0);
    assert_int_equal(hold_look(&ticket, &error), HOLD_GRANTED);
    assert_true(hold_told(&ticket, "round"));
    assert_string_equal(rung(), "");
    heeds_unwatch();
    assert_string_equal(rung(), "r");
    heeds_round();
    assert_string_equal(rung(), "");
    assert_int_equal(look(), 1);
    assert_int_equal(round_.round, 1);
}

static void one_at_a_time(void **state)
{
    (void)state;
    refused_as(WISH_LIVE, "being copied while it runs");
    refused_as(WISH_SUSPEND, "being copied while it runs");
    refused_as(WISH_RESUME, "being moved");
    assert_true(hold_told(&ticket, "round"));
    assert_false(hold_told(&ticket, "round"));
}

static void what_makes_no_sense_then_is_not_obeyed(void **state)
{
    static const char *const words[] = {"handover", "resume", "end", "pause", "go", ""};

    (void)state;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_false(hold_told(&ticket, words[i]));
    stands();
    assert_false(hold_told(&ticket, "suspend"));
    assert_true(hold_told(&ticket, "round")); /* of what was written last */
}

static void without_a_handover_it_goes_on(void **state)
{
    (void)state;
    a_round_is_there();
    stands();
    hold_leave(&ticket);
    assert_string_equal(rung(), "nu");
    assert_false(hold_handed(&hold));
}

static void asked_and_left_it_goes_on_if_it_does_suspend(void **state)
{
    (void)state;
    assert_true(hold_told(&ticket, "suspend"));
    hold_leave(&ticket);
    assert_string_equal(node(), "");
    box.hold = PVMM_HOLD_SUSPENDED;
    assert_string_equal(rung(), "u");
}

static void after_a_handover_it_stands(void **state)
{
    struct hold_ticket again;

    (void)state;
    a_round_is_there();
    stands();
    assert_true(hold_told(&ticket, "handover"));
    assert_int_equal(look(), 1);
    assert_false(hold_handed(&hold)); /* he is still there */
    refused_as(WISH_RESUME, "being moved");
    hold_leave(&ticket);
    assert_true(hold_handed(&hold));
    assert_int_equal(hold_standing(&hold), STANDING_HANDED_OVER);
    assert_string_equal(rung(), "n");
    heeds_unwatch();
    assert_string_equal(rung(), "");
    refused_as(WISH_PAUSE, "handed over");
    refused_as(WISH_SUSPEND, "handed over");
    refused_as(WISH_LIVE, "handed over");
    assert_int_equal(ask(WISH_RESUME, &again), 0);
    assert_int_equal(hold_look(&again, &error), HOLD_WAIT);
    assert_string_equal(rung(), "u");
    assert_int_equal(hold_look(&again, &error), HOLD_WAIT);
    goes_on_from_suspend();
    assert_string_equal(rung(), "");
    assert_int_equal(hold_look(&again, &error), HOLD_GRANTED);
    hold_leave(&again);
    refused_as(WISH_RESUME, "not handed over");
}

static void a_handover_is_taken_back(void **state)
{
    (void)state;
    stands();
    assert_true(hold_told(&ticket, "handover"));
    assert_int_equal(look(), 1);
    assert_true(hold_told(&ticket, "resume"));
    assert_int_equal(look(), 0);
    assert_string_equal(rung(), "u");
    assert_int_equal(look(), 0);
    goes_on_from_suspend();
    assert_string_equal(rung(), "");
    assert_int_equal(look(), 1);
    hold_leave(&ticket);
    assert_false(hold_handed(&hold));
    assert_string_equal(rung(), "");
}

static void the_end_is_the_end(void **state)
{
    (void)state;
    stands();
    assert_true(hold_told(&ticket, "handover"));
    assert_int_equal(look(), 1);
    assert_true(hold_told(&ticket, "end"));
    assert_string_equal(rung(), "q");
    assert_true(hold.saved);
    assert_int_equal(look(), 0);
    hold_leave(&ticket);
    assert_false(hold_handed(&hold));
    assert_string_equal(rung(), "");
}

static void a_guest_that_is_late_goes_on(void **state)
{
    (void)state;
    assert_true(hold_told(&ticket, "suspend"));
    hold.live.deadline = 0;
    assert_int_equal(look(), -1);
    assert_non_null(strstr(error.text, "did not answer within 1 s; it goes on"));
    assert_string_equal(node(), "");
    a_round_is_there(); /* and the connection, too */
}

static void a_hypervisor_that_cannot_is_not_asked(void **state)
{
    (void)state;
    hold_leave(&ticket);
    box.dirty.version = 0;
    refused_as(WISH_LIVE, "cannot tell");
}

static void no_memory_is_said(void **state)
{
    (void)state;
    assert_true(hold_told(&ticket, "round"));
    assert_string_equal(rung(), "r");
    box.dirty.state = PVMM_DIRTY_NO_MEMORY;
    box.dirty.heeded++;
    assert_string_equal(rung(), "");
    assert_int_equal(look(), -1);
    assert_non_null(strstr(error.text, "no memory left"));
    hold_leave(&ticket);
    assert_string_equal(rung(), ""); /* there is no watch to end */
}

static void nonsense(const char *what, uint64_t *field, uint64_t value)
{
    const uint64_t was = *field;

    assert_true(hold_told(&ticket, "round"));
    assert_string_equal(rung(), "r");
    heeds_round();
    *field = value;
    assert_string_equal(rung(), "");
    if (look() != -1 || strstr(error.text, "makes no sense") == NULL)
        fail_msg("%s %llu is believed", what, (unsigned long long)value);
    *field = was;
}

static void nonsense_of_a_round_is_not_believed(void **state)
{
    (void)state;
    nonsense("at", &box.dirty.at, AT + 1);
    nonsense("at", &box.dirty.at, AT + 4096); /* beyond the file */
    nonsense("at", &box.dirty.at, UINT64_MAX - 4095);
    nonsense("bytes", &box.dirty.bytes, 0);
    nonsense("bytes", &box.dirty.bytes, BITMAP + 8);
    nonsense("bytes", &box.dirty.bytes, UINT64_C(1) << 63);
    nonsense("frames", &box.dirty.frames, 0);
    nonsense("frames", &box.dirty.frames, BITMAP * 8 + 1);
    nonsense("told", &box.dirty.told, BITMAP * 8);
    nonsense("rounds", &box.dirty.rounds, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin_live, end_live)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_round_is_answered_when_it_is_heeded),
        CASE(the_watch_ends_with_the_connection),
        CASE(a_watch_that_nobody_waits_for_is_ended_when_it_has_begun),
        CASE(who_says_no_round_begins_no_watch),
        CASE(another_watch_waits_for_the_end_of_the_first),
        CASE(one_at_a_time),
        CASE(what_makes_no_sense_then_is_not_obeyed),
        CASE(without_a_handover_it_goes_on),
        CASE(asked_and_left_it_goes_on_if_it_does_suspend),
        CASE(after_a_handover_it_stands),
        CASE(a_handover_is_taken_back),
        CASE(the_end_is_the_end),
        CASE(a_guest_that_is_late_goes_on),
        CASE(a_hypervisor_that_cannot_is_not_asked),
        CASE(no_memory_is_said),
        CASE(nonsense_of_a_round_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
