/* SPDX-License-Identifier: MIT */
/* Where save streams are written to: files that are full, pipes, and those who have had enough. */
#include "suspended.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- errors of writing */

/* A file that may not grow, of every size that is tried. */
static bool fails_at(const struct pv_view *v, uint64_t bytes, const struct pv_save_options *o)
{
    struct pv_saved saved;
    struct pv_error e = {""};
    int fd = memfd_create("pvmm-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
    int rc = write_to(v, fd, o, &saved, &e);
    close(fd);
    if (rc && !strstr(e.text, "Operation not permitted"))
        fail_msg("%s", e.text);
    return rc;
}

static void assert_all_fail(const struct pv_view *v, const struct pv_save_options *o)
{
    struct pv_saved saved;
    close(written(v, o, &saved));
    assert_false(fails_at(v, saved.bytes, o));
    for (uint64_t n = 0; n < 1500 && n < saved.bytes; n++)
        assert_true(fails_at(v, n, o));
    for (uint64_t n = 1; n < 1500 && n < saved.bytes; n++)
        assert_true(fails_at(v, saved.bytes - n, o));
    for (uint64_t n = 0; n < saved.bytes; n += 997)
        assert_true(fails_at(v, n, o));
}

static void every_error_is_told(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 0);
    struct pv_view *v = suspended_open(&s);
    assert_all_fail(v, NULL);
    assert_all_fail(v, &(struct pv_save_options){.of_xl = true, .name = "x"});
    pv_close(v);
    suspended_free(&s);
}

static void a_limit_ends_no_process(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 0);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    struct pv_error e;
    struct rlimit was, now;
    int fd = scratch_file();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    now = was;
    now.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    int rc = write_to(v, fd, NULL, &saved, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(e.text, "File too large"));
    pv_close(v);
    close(fd);
    suspended_free(&s);
}

/* ---- pipes */

struct reader {
    int fd, to;
    uint64_t most, got;
};

/* In pieces that nothing else has; after `most` bytes nobody reads any more. */
static void *read_pipe(void *context)
{
    struct reader *r = context;
    uint8_t piece[7777];
    ssize_t n;
    while (r->got < r->most && (n = read(r->fd, piece, sizeof(piece))) > 0) {
        assert_int_equal(write(r->to, piece, (size_t)n), n);
        r->got += (uint64_t)n;
    }
    close(r->fd);
    return NULL;
}

static int through_pipe(const struct pv_view *v, const struct pv_save_options *o, uint64_t most,
                        int flags, int to, struct pv_error *e)
{
    int end[2];
    pthread_t thread;
    struct pv_saved saved;
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    assert_int_equal(fcntl(end[1], F_SETFL, flags), 0);
    struct reader r = {.fd = end[0], .to = to, .most = most};
    assert_int_equal(pthread_create(&thread, NULL, read_pipe, &r), 0);
    int rc = write_to(v, end[1], o, &saved, e);
    close(end[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (rc == 0)
        assert_int_equal(saved.bytes, r.got);
    return rc;
}

static void a_pipe_will_do(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 2000);
    struct pv_view *v = suspended_open(&s);
    struct pv_error e = {""};
    struct pv_saved saved;
    close(written(v, NULL, &saved));
    for (unsigned i = 0; i < 4; i++) {
        const struct pv_save_options o = {.zstd = i & 1};
        int fd = scratch_file();
        if (through_pipe(v, &o, ~0ull, i & 2 ? O_NONBLOCK : 0, fd, &e))
            fail_msg("%s", e.text);
        assert_same(&s, fd, &saved);
        close(fd);
    }
    pv_close(v);
    suspended_free(&s);
}

static void a_pipe_that_nobody_reads_is_told(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 200);
    struct pv_view *v = suspended_open(&s);
    int fd = scratch_file();
    for (uint64_t most = 0; most < 1000000; most += 99991) {
        struct pv_error e = {""};
        assert_int_equal(through_pipe(v, NULL, most, 0, fd, &e), -1);
        assert_non_null(strstr(e.text, "Broken pipe"));
    }
    pv_close(v);
    close(fd);
    suspended_free(&s);
}

/* ---- progress */

static bool tell(void *context, const char *doing, uint64_t done, uint64_t total)
{
    uint64_t *left = context;
    assert_string_equal(doing, "writing pages");
    assert_true(done <= total);
    return (*left)-- > 0;
}

static void progress_can_end_it(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 3000);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    struct pv_error e;
    uint64_t left = 100;
    const struct pv_save_options o = {.progress = {tell, &left}};
    close(written(v, &o, &saved));
    assert_int_equal(left, 100 - (saved.pages + 1023) / 1024);
    left = 1;
    int fd = scratch_file();
    assert_int_equal(write_to(v, fd, &o, &saved, &e), -1);
    pv_close(v);
    close(fd);
    suspended_free(&s);
}

/* Holes of the memory's file are zeroes in the stream, and holes still. */
static void holes_stay_holes(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 5000);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    struct stat before, after;
    assert_int_equal(fstat(s.m->fd, &before), 0);
    int fd = written(v, NULL, &saved);
    assert_int_equal(fstat(s.m->fd, &after), 0);
    assert_int_equal(before.st_blocks, after.st_blocks);
    pv_close(v);
    close(fd);
    suspended_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_is_told), cmocka_unit_test(a_limit_ends_no_process),
        cmocka_unit_test(a_pipe_will_do),      cmocka_unit_test(a_pipe_that_nobody_reads_is_told),
        cmocka_unit_test(progress_can_end_it), cmocka_unit_test(holes_stay_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
