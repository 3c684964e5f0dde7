/* SPDX-License-Identifier: MIT */
/* What the flight recorder has: every answer of a witness. */
#include "made_up.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "exitcodes.h"
#include "reports.h"

static void witnesses_answer(void **state)
{
    struct recording g;
    struct witnessed w;

    (void)state;
    make_ring(&g);
    w = witness_entry(&g.w, ~0ull, 0x5008, 7, 1);
    assert_int_equal(w.answer, WITNESS_BEFORE); /* everything is there, and that is not */
    act(&g, PVMM_ACT_ENTRY, 0x5008, 0x7067);
    act(&g, PVMM_ACT_ENTRY, 0x5010, 0x7067);
    act(&g, PVMM_ACT_STORE, 0x5008, 0); /* names another */
    w = witness_entry(&g.w, ~0ull, 0x5008, 7, 1);
    assert_int_equal(w.answer, WITNESS_SEEN);
    assert_int_equal(w.index, 0);
    act(&g, PVMM_ACT_TYPE, 0x5000, PVMM_FRAME_L1);
    w = witness_entry(&g.w, ~0ull, 0x5008, 7, 1);
    assert_int_equal(w.answer, WITNESS_VALIDATED);
    assert_int_equal(w.index, 3);
    w = witness_entry(&g.w, 3, 0x5008, 7, 1); /* before that */
    assert_int_equal(w.answer, WITNESS_SEEN);
    act(&g, PVMM_ACT_PIN, 0x9000, 4);
    w = witness_frame(&g.w, ~0ull, PVMM_ACT_PIN, 9, 0);
    assert_int_equal(w.answer, WITNESS_SEEN);
    w = witness_frame(&g.w, ~0ull, PVMM_ACT_TYPE, 5, PVMM_FRAME_L2);
    assert_int_equal(w.answer, WITNESS_BEFORE);
    for (unsigned i = 0; i < RECORDS; i++)
        act(&g, PVMM_ACT_M2P, 0xa000, i);
    w = witness_frame(&g.w, ~0ull, PVMM_ACT_PIN, 9, 0);
    assert_int_equal(w.answer, WITNESS_OLDER);
    drop_ring(&g);
}

/* What was seen in an earlier life of a table or root says nothing about this one. */
static void witnesses_of_earlier_lives_are_silent(void **state)
{
    struct recording g;

    (void)state;
    make_ring(&g);
    act(&g, PVMM_ACT_ENTRY, 0x5008, 0x7067);
    act(&g, PVMM_ACT_RELEASE, 0x5000, 0);
    assert_int_equal(witness_entry(&g.w, ~0ull, 0x5008, 7, 1).answer, WITNESS_UNSEEN);
    act(&g, PVMM_ACT_TYPE, 0x5000, PVMM_FRAME_L1);
    assert_int_equal(witness_entry(&g.w, ~0ull, 0x5008, 7, 1).answer, WITNESS_VALIDATED);
    act(&g, PVMM_ACT_ROOT, 0x6000, 0);
    act(&g, PVMM_ACT_ROOT, 0x6000, 1);
    assert_int_equal(witness_frame(&g.w, ~0ull, PVMM_ACT_ROOT, 6, 0).index, 3);
    assert_int_equal(witness_frame(&g.w, ~0ull, PVMM_ACT_ROOT, 6, 1).index, 4);
    drop_ring(&g);
}

/* "made L1 by": the recorder notes the end of a validation, not its beginning. */
static void tables_in_the_making_have_no_maker(void **state)
{
    struct pvmm_report r = refusal(REASON_TYPE_IN_USE);
    struct explain_sources s = sources;
    struct explanation *x;
    struct recording g;

    (void)state;
    make_ring(&g);
    act(&g, PVMM_ACT_TYPE, (FIRST_MFN + 2ull) << 12, PVMM_FRAME_L1);
    s.witness = &g.w;
    r.frame.type = PVMM_FRAME_L1;
    r.frame.uses = 1;
    x = explain(&s, &r);
    assert_false(x->frame.maker.asked);
    free(x);
    r.frame.flags = PVMM_FRAME_VALIDATED;
    x = explain(&s, &r);
    assert_true(x->frame.maker.asked);
    assert_string_equal(x->frame.maker.text, "made L1 by 0x1234 at 0.000000 s");
    free(x);
    drop_ring(&g);
}

static void overtaken_records_are_dropped(void **state)
{
    struct pvmm_record r;
    struct recording g;

    (void)state;
    make_ring(&g);
    assert_false(witness_read(&g.w, 0, &r));
    for (unsigned i = 0; i < RECORDS + 3; i++)
        act(&g, PVMM_ACT_M2P, 0xa000, i);
    assert_int_equal(witness_oldest(&g.w), 4); /* 3 may be half overwritten at this moment */
    assert_false(witness_read(&g.w, 3, &r));
    assert_true(witness_read(&g.w, 4, &r));
    assert_int_equal(r.now, 4);
    g.w.still = true;
    assert_int_equal(witness_oldest(&g.w), 3);
    assert_false(witness_read(&g.w, 2, &r));
    assert_true(witness_read(&g.w, 3, &r));
    assert_int_equal(r.now, 3);
    assert_true(witness_read(&g.w, RECORDS + 2, &r));
    assert_int_equal(r.now, RECORDS + 2);
    assert_false(witness_read(&g.w, RECORDS + 3, &r));
    drop_ring(&g);
}

static void impossible_recorders_are_refused(void **state)
{
    struct pvmm_recorder r = {.version = PVMM_RECORDER_VERSION,
                              .record_bytes = sizeof(struct pvmm_record)};
    const int fd = memfd_create("ram", 0);
    struct witness w;
    struct error e;

    (void)state;
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(witness_open(&w, fd, &r, &e), 0); /* off */
    assert_int_equal(witness_entry(&w, ~0ull, 0, 0, 1).answer, WITNESS_OFF);
    r.records = 3;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.records = 4096;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.records = 1ull << 63;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.records = 8;
    r.at = ~7ull;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.at = 8;
    r.version = 9;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    close(fd);
}

static void records_are_told(void **state)
{
    const struct pvmm_record r = {
        .time = 1005000,
        .rip = 0x40,
        .at = 0x5010 | (uint64_t)PVMM_ACT_ENTRY << PVMM_RECORD_ACT_SHIFT,
        .old = 1,
        .now = 2,
    };
    struct json_object *o = explain_record_json(&sources, 3, &r);
    char text[200];

    (void)state;
    explain_record_text(&sources, 3, &r, text, sizeof(text));
    assert_string_equal(text, "         3     1.000000  entry    mfn 0x5[2] 0x1 -> 0x2  by 0x40");
    assert_string_equal(get_text(o, "act"), "entry");
    assert_string_equal(get_text(o, "at"), "0x5010");
    json_object_put(o);
    for (uint64_t a = 0; a < 64; a++) {
        const struct pvmm_record any = {.at = a << PVMM_RECORD_ACT_SHIFT, .old = a, .now = a};

        explain_record_text(&sources, a, &any, text, sizeof(text));
        json_object_put(explain_record_json(&sources, a, &any));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(witnesses_answer),
        cmocka_unit_test(witnesses_of_earlier_lives_are_silent),
        cmocka_unit_test(tables_in_the_making_have_no_maker),
        cmocka_unit_test(overtaken_records_are_dropped),
        cmocka_unit_test(impossible_recorders_are_refused),
        cmocka_unit_test(records_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
