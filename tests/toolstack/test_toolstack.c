/* SPDX-License-Identifier: MIT */
/* Parts of the toolstack that need no guest: names, rings, and requests of any kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "control.h"
#include "exitcodes.h"
#include "registry.h"
#include "ring.h"

static void names_are_checked(void **state)
{
    static const char *const good[] = {"a", "Z9", "a.b_c+d-e", "0", "_", "+x"};
    static const char *const bad[] = {"",    ".",   "..",  "-x",       ".x",
                                      "a/b", "a b", "a\n", "\xc3\xa4", "a:"};
    char name[GUEST_NAME_CHARS + 2];
    struct error e;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(guest_name_check(good[i], &e), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(guest_name_check(bad[i], &e), -1);
        assert_int_equal(e.code, EXIT_USAGE);
    }
    memset(name, 'x', sizeof(name));
    name[GUEST_NAME_CHARS + 1] = '\0';
    assert_int_equal(guest_name_check(name, &e), -1);
    name[GUEST_NAME_CHARS] = '\0';
    assert_int_equal(guest_name_check(name, &e), 0);
}

static void a_ring_gives_what_it_keeps(void **state)
{
    struct ring r = {"abcdefgh", 8, 5};
    uint64_t at = 1, lost = 0;
    char to[16];

    (void)state;
    assert_int_equal(ring_read(&r, &at, &lost, to, 2), 2);
    assert_memory_equal(to, "bc", 2);
    assert_int_equal(ring_read(&r, &at, &lost, to, sizeof(to)), 2);
    assert_memory_equal(to, "de", 2);
    assert_int_equal(ring_read(&r, &at, &lost, to, sizeof(to)), 0);
    assert_int_equal(lost, 0);
    r.written = 20; /* bytes 12 to 19 are kept, and 5 to 11 are gone */
    assert_int_equal(ring_read(&r, &at, &lost, to, sizeof(to)), 8);
    assert_memory_equal(to, "efghabcd", 8);
    assert_int_equal(lost, 7);
    r.written = 3; /* nonsense: it went back */
    assert_int_equal(ring_read(&r, &at, &lost, to, sizeof(to)), 0);
    r = (struct ring){NULL, 0, 0};
    at = 0;
    assert_int_equal(ring_read(&r, &at, &lost, to, sizeof(to)), 0);
}

static const struct supervised guest = {
    .name = "g", .kernel = "k", .hypervisor = "pvmm", .memory = 64u << 20, .vcpus = 1};

static void ask_text(const char *line, size_t size, struct supervised *g, struct answer *a)
{
    char *copy = malloc(size + 1); /* of its very size, so that a read behind it is noticed */

    assert_non_null(copy);
    memcpy(copy, line, size);
    *g = guest;
    memset(a, 0, sizeof(*a));
    request_answer(g, copy, size, a);
    free(copy);
    assert_in_range(a->size, 1, sizeof(a->text) - 1);
    assert_ptr_equal(memchr(a->text, '\n', a->size), a->text + a->size - 1);
}

static bool answered_ok(const struct answer *a)
{
    return strstr(a->text, "\"ok\":true") != NULL;
}

static void good_requests_are_answered(void **state)
{
    static struct answer a;
    struct supervised g;

    (void)state;
#define ASK(text) ask_text(text, strlen(text), &g, &a)
    ASK("{\"pvmm\":1,\"do\":\"info\"}");
    assert_true(answered_ok(&a));
    assert_non_null(strstr(a.text, "\"memory\":67108864"));
    assert_non_null(strstr(a.text, "\"state\":\"------\""));
    assert_int_equal(a.stream, STREAM_NONE);
    ASK("{\"pvmm\":1,\"do\":\"console\"}");
    assert_true(answered_ok(&a));
    assert_int_equal(a.stream, STREAM_CONSOLE);
    ASK("{\"pvmm\":1,\"do\":\"dmesg\"}");
    assert_int_equal(a.stream, STREAM_LOG);
    assert_false(a.follow);
    ASK("{\"pvmm\":1,\"do\":\"dmesg\",\"follow\":true}");
    assert_true(a.follow);
    assert_false(g.destroy);
    ASK("{\"pvmm\":1,\"do\":\"destroy\"}");
    assert_true(answered_ok(&a));
    assert_true(g.destroy);
}

static void bad_requests_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "x",
        "{",
        "}",
        "[]",
        "1",
        "null",
        "\"destroy\"",
        "{}",
        "{\"do\":\"destroy\"}",
        "{\"pvmm\":1}",
        "{\"pvmm\":2,\"do\":\"destroy\"}",
        "{\"pvmm\":\"1\",\"do\":\"destroy\"}",
        "{\"pvmm\":1,\"do\":7}",
        "{\"pvmm\":1,\"do\":\"Destroy\"}",
        "{\"pvmm\":1,\"do\":\"\"}",
        "{\"pvmm\":1,\"do\":\"destroy\"}}",
        "{\"pvmm\":1,\"do\":\"destroy\"} x",
        "{\"pvmm\":1,\"do\":\"destroy\"",
        "{'pvmm':1,'do':'destroy'}",
        "{\"pvmm\":1,\"do\":\"\xff\"}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };
    static struct answer a;
    struct supervised g;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ask_text(bad[i], strlen(bad[i]), &g, &a);
        if (answered_ok(&a) || g.destroy)
            fail_msg("answered: %s", bad[i]);
        assert_int_equal(a.stream, STREAM_NONE);
        assert_non_null(strstr(a.text, "\"error\":"));
    }
}

/* Mutations of a good request: no crash, and always one line of JSON. */
static void any_bytes_get_a_reply(void **state)
{
    static const char good[] = "{\"pvmm\": 1, \"do\": \"dmesg\", \"follow\": true}";
    static struct answer a;
    struct supervised g;
    char line[sizeof(good)];

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        struct json_object *reply;

        memcpy(line, good, sizeof(line));
        for (int changes = rand() % 4 + 1; changes > 0; changes--)
            line[(size_t)rand() % (sizeof(line) - 1)] = (char)rand();
        ask_text(line, (size_t)rand() % sizeof(line), &g, &a);
        reply = json_tokener_parse(a.text);
        assert_true(json_object_is_type(reply, json_type_object));
        json_object_put(reply);
    }
}

static void a_real_xen_has_no_log_to_show(void **state)
{
    static const char line[] = "{\"pvmm\":1,\"do\":\"dmesg\"}";
    struct supervised g = guest;
    static struct answer a;

    (void)state;
    g.real_xen = true;
    request_answer(&g, line, strlen(line), &a);
    assert_false(answered_ok(&a));
    assert_int_equal(a.stream, STREAM_NONE);
    assert_non_null(strstr(a.text, "real Xen"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(a_ring_gives_what_it_keeps),
        cmocka_unit_test(good_requests_are_answered),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(any_bytes_get_a_reply),
        cmocka_unit_test(a_real_xen_has_no_log_to_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
