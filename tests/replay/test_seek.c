/* SPDX-License-Identifier: MIT */
/* Parts of what looks for moments of a recorded run: what findings say, which entry is meant, when
 * a value counts as the same, where an instruction stores to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "exitcodes.h"
#include "findings.h"
#include "narrow.h"
#include "whostored.h"

static const char verdict[] =
    "{\"reports\": ["
    "{\"code\": \"type-in-use\", \"guest\": {\"registers\": {\"rip\": \"0xffffffff80001000\"}},"
    " \"path\": [{\"table\": \"0x10\", \"slot\": 3, \"entry\": {\"value\": \"0x0\"}},"
    "            {\"table\": \"0x24b8\", \"slot\": 478, \"entry\": {\"value\": \"0x3ac1063\"}}],"
    " \"holders\": [{\"kind\": \"pin\"}, {\"table\": \"0x77\", \"slot\": 5}]},"
    "{\"code\": \"write-fault\", \"guest\": {\"registers\": {\"rip\": \"0x1000\"}}, \"path\": [],"
    " \"walk\": [{\"table\": \"0x20\", \"slot\": 511, \"entry\": {\"value\": \"0x65\"}}]},"
    "{\"code\": \"type-in-use\", \"guest\": {\"registers\": {\"rip\": \"0x2000\"}}},"
    "{\"code\": \"not-published\"}"
    "]}";

/* A folder with that verdict. */
static void make(char dir[32], const char *text)
{
    char path[64];
    FILE *f;

    strcpy(dir, "/tmp/pvmm-seek-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/verdict.json", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void drop(const char *dir)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/verdict.json", dir);
    unlink(path);
    rmdir(dir);
}

struct fixture {
    char dir[32];
    struct recording_stop stop[2];
    struct recording recording;
    struct seek_question question;
    struct seeking seeking;
};

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));
    struct error e;

    make(x->dir, verdict);
    x->stop[0] = (struct recording_stop){1000, 1};
    x->stop[1] = (struct recording_stop){3000, 3};
    x->recording = (struct recording){
        .dir = x->dir, .stop = x->stop, .nr_stops = 2, .instructions = 9000, .megabytes = 64};
    x->question.recording = &x->recording;
    x->seeking.question = &x->question;
    assert_int_equal(findings_open(&x->seeking.findings, &x->recording, &e), 0);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;

    findings_close(&x->seeking.findings);
    drop(x->dir);
    free(x);
    return 0;
}

static void test_findings(void **state)
{
    const struct findings *f = &((struct fixture *)*state)->seeking.findings;
    struct error e;

    assert_int_equal(f->count, 4);
    assert_int_equal(f->list[2].number, 2);
    assert_int_equal(f->list[0].rip, 0xffffffff80001000);
    assert_int_equal(f->list[0].entry, 0x24b8000 + 478 * 8);
    assert_int_equal(f->list[1].entry, 0x20000 + 511 * 8); /* no path: the walk's */
    assert_false(f->list[2].has_entry);
    assert_false(f->list[3].has_report);
    /* The first was waited for alone, the next two are in the mailbox at the second stop. */
    assert_int_equal(f->list[0].icount, 1000);
    assert_true(f->list[0].exact);
    assert_int_equal(f->list[1].icount, 3000);
    assert_false(f->list[1].exact);
    assert_true(f->list[2].exact);
    assert_ptr_equal(findings_get(f, "type-in-use", &e), &f->list[0]);
    assert_ptr_equal(findings_get(f, "type-in-use#2", &e), &f->list[2]);
    assert_ptr_equal(findings_showing(f, 0x77000 + 5 * 8), &f->list[0]);
    assert_null(findings_showing(f, 0x77000 + 6 * 8));
}

static void test_no_such_finding(void **state)
{
    static const char *const none[] = {
        "", "type", "type-in-use#0", "type-in-use#3", "type-in-use#", "#", "#1", "type-in-use#1x"};
    const struct findings *f = &((struct fixture *)*state)->seeking.findings;

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        struct error e = {0};

        assert_null(findings_get(f, none[i], &e));
        assert_int_equal(e.code, EXIT_CRASHED);
        assert_non_null(strstr(e.text, "type-in-use#1, write-fault#1, type-in-use#2"));
    }
}

/* Nothing in the folder is trusted. */
static void test_bad_verdicts(void **state)
{
    static const char *const bad[] = {"{", "[]", "7", "\"reports\"", "{\"reports\": [}"};
    static const char *const odd[] = {
        "{}",
        "{\"reports\": 3}",
        "{\"reports\": [null, 1, \"x\", [], {}, {\"code\": 7}]}",
        "{\"reports\": [{\"path\": [{\"table\": \"0x1\", \"slot\": -1}], \"walk\": [null]}]}",
        "{\"reports\": [{\"path\": [{\"table\": \"0xffffffffffffffff\", \"slot\": 1}]}]}",
        "{\"reports\": [{\"path\": [{\"table\": \"zzz\", \"slot\": 99999999999}], \"guest\": 1}]}",
    };
    struct recording r = {.instructions = 1};
    struct findings f;
    struct error e;
    char dir[32];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make(dir, bad[i]);
        r.dir = dir;
        assert_int_equal(findings_open(&f, &r, &e), -1);
        assert_int_equal(e.code, EXIT_UNREADABLE);
        drop(dir);
    }
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        make(dir, odd[i]);
        r.dir = dir;
        assert_int_equal(findings_open(&f, &r, &e), 0);
        for (unsigned n = 0; n < f.count; n++)
            assert_false(f.list[n].has_entry);
        findings_close(&f);
        drop(dir);
    }
    r.dir = strcpy(dir, "/nowhere");
    assert_int_equal(findings_open(&f, &r, &e), -1);
    assert_int_equal(e.code, EXIT_UNREADABLE);
}

static void test_entries(void **state)
{
    static const struct {
        const char *text;
        int code; /* 0: good */
        uint64_t address, end;
    } cases[] = {
        {"0x24b8:478", 0, 0x24b8ef0, 1000},
        {"9400:478", 0, 0x24b8ef0, 1000},
        {"0x24b8ef0", 0, 0x24b8ef0, 1000},
        {"0x20:511", 0, 0x20ff8, 3000},
        {"0x5:0", 0, 0x5000, 9000},
        {"type-in-use", 0, 0x24b8ef0, 1000},
        {"write-fault#1", 0, 0x20ff8, 3000},
        {"0x24b8:512", EXIT_USAGE, 0, 0},
        {"0x24b8:-1", EXIT_USAGE, 0, 0},
        {"0x24b8:", EXIT_USAGE, 0, 0},
        {":3", EXIT_USAGE, 0, 0},
        {"0x24b8ef1", EXIT_USAGE, 0, 0},
        {"0x24b8ef0x", EXIT_USAGE, 0, 0},
        {"0x10000000000:1", EXIT_USAGE, 0, 0},
        {"type-in-use#2", EXIT_CRASHED, 0, 0},
        {"not-published", EXIT_CRASHED, 0, 0},
        {"0x1:2:3", EXIT_USAGE, 0, 0},
        {"", EXIT_CRASHED, 0, 0},
    };
    const struct fixture *x = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {0};
        static struct who_stored w;
        const int rc = who_stored_parse(&x->seeking, cases[i].text, &w, &e);

        assert_int_equal(rc, cases[i].code == 0 ? 0 : -1);
        assert_int_equal(e.code, cases[i].code);
        if (rc == 0) {
            assert_int_equal(w.address, cases[i].address);
            assert_int_equal(w.end, cases[i].end);
        }
    }
}

static void test_until_decides(void **state)
{
    struct fixture *x = *state;
    static struct who_stored w;
    struct error e;

    x->question.until = "write-fault";
    assert_int_equal(who_stored_parse(&x->seeking, "0x24b8:478", &w, &e), 0);
    assert_int_equal(w.end, 3000);
    x->question.until = "no-such";
    assert_int_equal(who_stored_parse(&x->seeking, "0x24b8:478", &w, &e), -1);
    assert_int_equal(e.code, EXIT_CRASHED);
    x->question.until = NULL;
}

static void test_values(void **state)
{
    const struct change present = {.final = 0x80100000056c3065}, absent = {.final = 0x1000};

    (void)state;
    assert_true(narrow_is_final(&present, 0x80000000056c3001));
    assert_false(narrow_is_final(&present, 0x80100000056c3067)); /* writable */
    assert_false(narrow_is_final(&present, 0x00100000056c3065)); /* executable */
    assert_false(narrow_is_final(&present, 0x80100000056c3064)); /* absent */
    assert_false(narrow_is_final(&present, 0x80100000056c4065)); /* another frame */
    assert_true(narrow_is_final(&absent, 0x1000));
    assert_false(narrow_is_final(&absent, 0x1020));
    assert_true(narrow_passes(70000000) <= 4);
    assert_true(narrow_passes(4500000000) <= 4);
    assert_int_equal(narrow_passes(1), 1);
}

static void test_watches(void **state)
{
    struct narrow_watch w = {.count = 0};

    (void)state;
    for (uint64_t va = 0; va < 100; va++) {
        narrow_watch_add(&w, va);
        narrow_watch_add(&w, va);
    }
    assert_int_equal(w.count, NARROW_WATCHES);
    assert_int_equal(w.va[1], 1);
}

static void test_stores(void **state)
{
    /* rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8... */
    static const uint64_t gpr[16] = {1, 2, 3, 4, 0x5000, 6, 7, 0x8000, 9, 10, 11, 12, 0xd000};
    static const struct {
        const char *name;
        uint8_t code[8];
        size_t bytes;
        bool stores;
        uint64_t va;
    } cases[] = {
        {"mov %rax,(%r12)", {0x49, 0x89, 0x04, 0x24}, 4, true, 0xd000},
        {"mov %rcx,-8(%rdi,%rsi,1)", {0x48, 0x89, 0x4c, 0x37, 0xf8}, 5, true, 0x7fff},
        {"rep stosb", {0xf3, 0xaa}, 2, true, 0x8000},
        {"movsq", {0x48, 0xa5}, 2, true, 0x8000},
        {"push %rax", {0x50}, 1, true, 0x4ff8},
        {"lock cmpxchg %rcx,(%rdi)", {0xf0, 0x48, 0x0f, 0xb1, 0x0f}, 5, true, 0x8000},
        {"mov %rax,0x10(%rip)", {0x48, 0x89, 0x05, 0x10, 0, 0, 0}, 7, true, 0x100017},
        {"mov (%rdi),%rax", {0x48, 0x8b, 0x07}, 3, false, 0},
        {"add %rax,%rcx", {0x48, 0x01, 0xc1}, 3, false, 0},
        {"half an instruction", {0x48, 0x89}, 2, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t va = 0;

        if (pv_stores_to(cases[i].code, cases[i].bytes, 0x100000, gpr, &va) != cases[i].stores ||
            va * cases[i].stores != cases[i].va)
            fail_msg("%s: %llx", cases[i].name, (unsigned long long)va);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_findings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_such_finding, setup, teardown),
        cmocka_unit_test(test_bad_verdicts),
        cmocka_unit_test_setup_teardown(test_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_until_decides, setup, teardown),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_watches),
        cmocka_unit_test(test_stores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
