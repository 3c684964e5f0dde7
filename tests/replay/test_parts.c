/* SPDX-License-Identifier: MIT */
/* What recordings rest on: the monitor's other end, the pace of input, folders that lie,
 * differences. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bell.h"
#include "console.h"
#include "difference.h"
#include "exitcodes.h"
#include "pace.h"
#include "qmp.h"
#include "record.h"
#include "recording.h"

/* --- the monitor: what QEMU says is written before it is asked */

#define GREETING                                                                                   \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "             \
    "\"package\": \"of a test\"}, \"capabilities\": []}}\r\n"
#define WELCOME GREETING "{\"return\": {}, \"id\": 1}\r\n"

static void open_pair(int fd[2], const char *said)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_int_equal(write(fd[1], said, strlen(said)), strlen(said));
}

static void close_pair(struct qmp *q, int fd[2])
{
    qmp_close(q);
    close(fd[0]);
    close(fd[1]);
}

static void a_monitor_is_greeted(void **state)
{
    struct qmp q;
    struct error e;
    int fd[2];
    char sent[256];
    ssize_t n;

    (void)state;
    open_pair(fd, WELCOME);
    assert_int_equal(qmp_open(&q, fd[0], &e), 0);
    assert_string_equal(q.version, "7.2.22 (of a test)");
    n = read(fd[1], sent, sizeof(sent) - 1);
    sent[n > 0 ? n : 0] = '\0';
    assert_string_equal(sent, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
    close_pair(&q, fd);
}

static void answers_are_told_from_events(void **state)
{
    struct json_object *result, *event;
    struct error e;
    struct qmp q;
    uint64_t icount;
    int fd[2];

    (void)state;
    open_pair(fd, WELCOME "{\"event\": \"STOP\", \"n\": 1}\n"
                          "{\"return\": {\"icount\": 5}, \"id\": 77}\n" /* to nobody */
                          "{\"return\": {\"icount\": 12345678901234}, \"id\": 2}\n"
                          "{\"event\": \"STOP\", \"n\": 2}\n{\"event\": \"RESUME\"}\n"
                          "{\"error\": {\"desc\": \"no such luck\"}, \"id\": 3}\n");
    assert_int_equal(qmp_open(&q, fd[0], &e), 0);
    assert_int_equal(qmp_icount(&q, &icount, &e), 0);
    assert_int_equal(icount, 12345678901234);
    assert_true(qmp_take_event(&q, "STOP", &event));
    assert_true(json_object_object_get_ex(event, "n", &result));
    assert_int_equal(json_object_get_int(result), 1);
    json_object_put(event);
    assert_int_equal(qmp_command(&q, "cont", NULL, NULL, &e), -1);
    assert_string_equal(e.text, "QEMU's cont: no such luck");
    assert_int_equal(qmp_wait_event(&q, "STOP", clock_now(), NULL, &e), 1);
    assert_int_equal(qmp_wait_event(&q, "STOP", clock_now() + SECOND / 100, NULL, &e), 0);
    assert_true(qmp_take_event(&q, "RESUME", NULL));
    close_pair(&q, fd);
}

static void a_command_may_be_waited_for_later(void **state)
{
    static const char answer[] = "{\"return\": {\"icount\": 7}, \"id\": 2}\n";
    struct json_object *info;
    struct error e;
    struct qmp q;
    int fd[2];

    (void)state;
    open_pair(fd, WELCOME);
    assert_int_equal(qmp_open(&q, fd[0], &e), 0);
    assert_int_equal(qmp_send(&q, "query-replay", NULL, &e), 0);
    assert_int_equal(qmp_read(&q, &e), 0);
    assert_int_equal(qmp_answer(&q, &info, &e), 0);
    assert_int_equal(write(fd[1], answer, sizeof(answer) - 1), sizeof(answer) - 1);
    assert_int_equal(qmp_read(&q, &e), 0);
    assert_int_equal(qmp_answer(&q, &info, &e), 1);
    json_object_put(info);
    assert_int_equal(qmp_answer(&q, &info, &e), 0);
    close_pair(&q, fd);
}

static void a_monitor_that_dies_is_an_error(void **state)
{
    struct error e;
    struct qmp q;
    int fd[2];

    (void)state;
    open_pair(fd, WELCOME "{\"event\": \"SHUTDOWN\"}\n");
    assert_int_equal(qmp_open(&q, fd[0], &e), 0);
    shutdown(fd[1], SHUT_RDWR);
    assert_int_equal(qmp_wait_event(&q, "SHUTDOWN", NEVER, NULL, &e), 1); /* its last word */
    assert_int_equal(qmp_wait_event(&q, "STOP", NEVER, NULL, &e), -1);
    assert_int_equal(qmp_command(&q, "cont", NULL, NULL, &e), -1);
    assert_int_equal(e.code, EXIT_ENVIRONMENT);
    close_pair(&q, fd);
}

static void a_monitor_that_raves_is_an_error(void **state)
{
    static const char *const sayings[] = {
        "no JSON\n",  "[]\n", "null\n",
        "{\"a\": \n", "\n",   "{\"QMP\": 5}\n{\"return\": 1, \"id\": 1\n",
    };
    struct error e;
    struct qmp q;
    int fd[2];

    (void)state;
    for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
        open_pair(fd, sayings[i]);
        shutdown(fd[1], SHUT_WR);
        assert_int_equal(qmp_open(&q, fd[0], &e), -1);
        assert_int_equal(e.code, EXIT_ENVIRONMENT);
        close_pair(&q, fd);
    }
    assert_int_equal(qmp_open(&q, -1, &e), -1);
}

static void of_too_many_events_the_newest_are_kept(void **state)
{
    struct json_object *event, *n;
    struct error e;
    struct qmp q;
    int fd[2];

    (void)state;
    open_pair(fd, WELCOME);
    assert_int_equal(qmp_open(&q, fd[0], &e), 0);
    for (int i = 0; i < 3 * QMP_EVENTS; i++) {
        dprintf(fd[1], "{\"event\": \"E\", \"n\": %d}\n", i);
        assert_int_equal(qmp_read(&q, &e), 0);
    }
    assert_true(qmp_take_event(&q, "E", &event));
    assert_true(json_object_object_get_ex(event, "n", &n));
    assert_int_equal(json_object_get_int(n), 2 * QMP_EVENTS);
    json_object_put(event);
    close_pair(&q, fd);
}

/* --- the pace of input */

static void nothing_is_sent_that_a_uart_would_drop(void **state)
{
    struct pace p = {.by = PACE_TOLD};
    uint64_t received = 0;

    (void)state;
    assert_int_equal(pace_room(&p, 100), 0); /* nobody is there yet */
    pace_told(&p, 0);
    assert_int_equal(pace_room(&p, 3), 3);
    assert_int_equal(pace_room(&p, 100), PACE_BYTES);
    pace_sent(&p, PACE_BYTES);
    assert_int_equal(pace_room(&p, 100), 0);
    pace_told(&p, received += 3);
    assert_int_equal(pace_room(&p, 100), 3);
    pace_told(&p, received + 1000); /* more than was sent */
    pace_told(&p, 0);               /* less than before */
    assert_int_equal(pace_room(&p, 100), 3);
    pace_told(&p, received + PACE_BYTES - 3);
    assert_int_equal(pace_room(&p, 100), PACE_BYTES);
}

static void without_a_count_time_paces(void **state)
{
    struct pace p = {.by = PACE_TIME}, free = {.by = PACE_NOT};

    (void)state;
    assert_int_equal(pace_room(&free, 100), 100);
    assert_int_equal(pace_room(&p, 100), 0);
    pace_told(&p, 0);
    assert_int_equal(pace_room(&p, 100), PACE_BYTES);
    pace_sent(&p, PACE_BYTES);
    assert_int_equal(pace_room(&p, 100), 0);
    p.next = clock_now();
    assert_int_equal(pace_room(&p, 100), PACE_BYTES);
}

static void a_bell_is_held_and_goes_on(void **state)
{
    struct bell b = {.pace = {.by = PACE_TOLD}};
    char data[64];
    int fd[2];

    (void)state;
    assert_int_equal(pipe2(fd, O_NONBLOCK), 0);
    pace_told(&b.pace, 0);
    assert_true(bell_ring(&b, "0123456789abcdefghij", 20));
    assert_true(bell_waits(&b));
    bell_write(&b, fd[1]);
    assert_int_equal(read(fd[0], data, sizeof(data)), PACE_BYTES);
    assert_true(bell_is_held(&b));
    assert_false(bell_waits(&b));
    pace_told(&b.pace, PACE_BYTES);
    bell_write(&b, fd[1]);
    pace_told(&b.pace, 2 * PACE_BYTES);
    bell_write(&b, fd[1]);
    assert_int_equal(read(fd[0], data, sizeof(data)), 20 - PACE_BYTES);
    assert_memory_equal(data, "89abcdefghij", 12);
    assert_false(bell_is_held(&b));
    close(fd[0]);
    close(fd[1]);
}

/* Output that nobody takes goes on to the file, and comes out of it in order. */
static void a_spool_takes_all_output(void **state)
{
    char path[] = "/tmp/pvmm-spool-XXXXXX", all[8 * CONSOLE_CHUNK], back[sizeof(all)];
    struct spool s = {.fd = mkstemp(path)};
    struct console c = {.spool = &s};
    int in[2], out[2], saved = dup(STDOUT_FILENO);
    size_t got = 0;
    ssize_t n;

    (void)state;
    unlink(path);
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)('a' + i % 23);
    assert_int_equal(pipe2(in, O_NONBLOCK), 0);
    assert_int_equal(pipe2(out, O_NONBLOCK), 0);
    assert_int_equal(write(in[1], all, sizeof(all)), sizeof(all));
    while (console_read_guest(&c, in[0]))
        assert_true(console_wants_output(&c));
    assert_int_equal(s.written, sizeof(all));
    dup2(out[1], STDOUT_FILENO);
    while (console_has_output(&c))
        console_write_stdout(&c);
    dup2(saved, STDOUT_FILENO);
    while (got < sizeof(back) && (n = read(out[0], back + got, sizeof(back) - got)) > 0)
        got += (size_t)n;
    assert_int_equal(got, sizeof(all));
    assert_memory_equal(back, all, sizeof(all));
    close(saved);
    close(s.fd);
    for (unsigned i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
}

/* --- folders */

struct folder {
    char path[32];
};

static void put_file(const struct folder *f, const char *name, const void *data, size_t size)
{
    char path[128];
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, size, out), size);
    fclose(out);
}

static const char good[] =
    "{\"recording\": 1, \"pvmm\": \"0\", \"qemu\": \"7.2.22\", \"kernel\": \"k\", "
    "\"hypervisor\": \"pvmm\", \"real_xen\": false, \"memory\": 67108864, \"machine\": \"q35\", "
    "\"cpu\": \"qemu64\", \"megabytes\": 130, \"hypervisor_arguments\": \"mem=67108864\", "
    "\"guest_arguments\": \"\", \"symbols\": [\"/a\", \"/b\"], \"initrd\": false, \"e820\": false, "
    "\"store\": true, \"stops\": [{\"icount\": 5, \"filed\": 1}, {\"icount\": 9, \"filed\": 3}], "
    "\"instructions\": 100, \"exit_code\": 1}\n";

static int make_folder(void **state)
{
    static const char head[16] = "\0\xe0 \x0c";
    struct folder *f = calloc(1, sizeof(*f));

    strcpy(f->path, "/tmp/pvmm-replay-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    put_file(f, "recording.json", good, sizeof(good) - 1);
    put_file(f, "events", head, sizeof(head));
    put_file(f, "hypervisor", "h", 1);
    put_file(f, "kernel", "k", 1);
    *state = f;
    return 0;
}

static int drop_folder(void **state)
{
    static const char *const names[] = {"recording.json", "events", "hypervisor", "kernel"};
    struct folder *f = *state;
    char path[128];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", f->path, names[i]);
        unlink(path);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

static void a_recording_is_read_back(void **state)
{
    const struct folder *f = *state;
    struct recording r;
    struct machine m;
    struct error e;

    if (recording_open(f->path, &r, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(r.nr_stops, 2);
    assert_int_equal(r.stop[1].icount, 9);
    assert_int_equal(r.stop[1].filed, 3);
    assert_int_equal(r.nr_symbols, 2);
    assert_string_equal(r.symbols[1], "/b");
    assert_int_equal(r.megabytes, 130);
    assert_int_equal(r.exit_code, 1);
    assert_true(r.store);
    assert_int_equal(recording_machine(&r, &m, &e), 0);
    assert_int_equal(m.play, PLAY_REPLAY);
    assert_true(m.stopped && m.kernel_fd >= 0 && m.events_fd >= 0 && m.initrd_fd < 0);
    recording_machine_close(&m);
    assert_int_equal(m.ram_fd, -1);
    recording_close(&r);
}

/* Whatever stands there, it is read as what it is, or refused; never a crash, and never a leak. */
static void mutations_are_borne(void **state)
{
    static const char pieces[][12] = {"-1", "1e99", "\"\"",    "null",       "[]",   "{",
                                      "}",  "\"",   "\\u0000", "9999999999", "true", ","};
    const struct folder *f = *state;
    unsigned refused = 0, seed = 5;

    for (unsigned i = 0; i < 3000; i++) {
        char text[sizeof(good) + 16];
        size_t n = sizeof(good) - 1;
        struct recording r;
        struct error e;

        memcpy(text, good, n);
        for (unsigned k = 0; k <= i % 3; k++) {
            const char *piece = pieces[rand_r(&seed) % 12];
            const size_t at = (size_t)rand_r(&seed) % (n - 12);

            if (rand_r(&seed) % 2)
                memcpy(text + at, piece, strlen(piece));
            else
                text[at] ^= (char)(1 << rand_r(&seed) % 7);
        }
        if (i % 7 == 0)
            n = (size_t)rand_r(&seed) % n;
        put_file(f, "recording.json", text, n);
        if (recording_open(f->path, &r, &e) == 0) {
            assert_true(r.megabytes <= 1 << 20 && r.memory <= r.megabytes << 20);
            assert_true(r.nr_stops <= PVMM_REPORTS);
            recording_close(&r);
        } else {
            assert_int_equal(e.code, EXIT_UNREADABLE);
            refused++;
        }
    }
    assert_true(refused > 1000);
}

static void a_record_without_its_head_is_not_complete(void **state)
{
    static const char zeroes[64];
    const struct folder *f = *state;
    struct recording r;
    struct error e;

    put_file(f, "events", zeroes, sizeof(zeroes));
    assert_int_equal(recording_open(f->path, &r, &e), -1);
    assert_non_null(strstr(e.text, "not complete"));
    assert_int_equal(e.code, EXIT_UNREADABLE);
}

/* --- differences */

static void consoles_differ_where_they_do(void **state)
{
    struct console_check c = {.recorded = {(const uint8_t *)"abcdef", 6}};

    (void)state;
    console_check_feed(&c, "abc", 3);
    console_check_feed(&c, "def", 3);
    console_check_end(&c);
    assert_false(c.different);
    console_check_feed(&c, "g", 1);
    assert_true(c.different && c.at_fault == 6);
    c = (struct console_check){.recorded = c.recorded};
    console_check_feed(&c, "ab", 2);
    console_check_feed(&c, "xx", 2);
    assert_true(c.different && c.at_fault == 3 - 1);
    c = (struct console_check){.recorded = c.recorded};
    console_check_feed(&c, "abcd", 4);
    console_check_end(&c);
    assert_true(c.different && c.at_fault == 4);
}

static void verdicts_differ_by_their_first_key(void **state)
{
    static const struct {
        const char *a, *b, *what; /* NULL: they do not */
    } cases[] = {
        {"{\"a\": 1}", "{\"a\": 1}", NULL},
        {"{\"wall_seconds\": 1, \"a\": [1, {\"b\": 2}]}", "{\"a\": [1, {\"b\": 2}]}", NULL},
        {"{\"a\": [1, {\"b\": 2}]}", "{\"a\": [1, {\"b\": 3}]}", "a[1].b is 3, and was 2"},
        {"{\"a\": {\"wall_seconds\": 1}}", "{\"a\": {\"wall_seconds\": 2}}",
         "a.wall_seconds is 2, and was 1"},
        {"{\"a\": [1]}", "{\"a\": [1, 2]}", "a has 2 elements, and had 1"},
        {"{}", "{\"a\": 5}", "a is null, and was 5"},
        {"{\"a\": null}", "{\"a\": \"x\"}", "a is \"x\", and was null"},
        {"{\"a\": \"1\"}", "{\"a\": 1}", "a is 1, and was \"1\""},
    };
    char what[DIFFERENCE_CHARS];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_object *a = json_tokener_parse(cases[i].a), *b = json_tokener_parse(cases[i].b);

        assert_int_equal(verdicts_differ(a, b, what), cases[i].what != NULL);
        if (cases[i].what != NULL && strcmp(what, cases[i].what) != 0)
            fail_msg("%s, not %s", what, cases[i].what);
        json_object_put(a);
        json_object_put(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_monitor_is_greeted),
        cmocka_unit_test(answers_are_told_from_events),
        cmocka_unit_test(a_command_may_be_waited_for_later),
        cmocka_unit_test(a_monitor_that_dies_is_an_error),
        cmocka_unit_test(a_monitor_that_raves_is_an_error),
        cmocka_unit_test(of_too_many_events_the_newest_are_kept),
        cmocka_unit_test(nothing_is_sent_that_a_uart_would_drop),
        cmocka_unit_test(without_a_count_time_paces),
        cmocka_unit_test(a_bell_is_held_and_goes_on),
        cmocka_unit_test(a_spool_takes_all_output),
        cmocka_unit_test_setup_teardown(a_recording_is_read_back, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(mutations_are_borne, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_record_without_its_head_is_not_complete, make_folder,
                                        drop_folder),
        cmocka_unit_test(consoles_differ_where_they_do),
        cmocka_unit_test(verdicts_differ_by_their_first_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
