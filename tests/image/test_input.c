/* SPDX-License-Identifier: MIT */
/* Compressed files and pipes: the same content as the file itself; what is damaged says so. */
#include "made.h"

#include <fcntl.h>
#include <lzma.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "internal.h"
#include "make_stream.h"

#define OPTIONS (&(struct pv_open_options){.domain = -1})
#define CONTENT                                                                                    \
    ((size_t)(3 * MIB + 1234)) /* more than what is copied at once, and no round number */

static void *content; /* part of it zeroes */
static size_t packed_room;

static int make_content(void **state)
{
    (void)state;
    uint32_t random = 1;
    content = calloc(1, CONTENT);
    packed_room = CONTENT + CONTENT / 8 + 65536;
    uint32_t *words = content;
    for (size_t i = 0; i < CONTENT / 4; i++) {
        random = random * 1103515245 + 12345;
        bool zero = i * 4 / (MIB / 2) == 1 || (i * 4 / 4096) % 5 == 3;
        words[i] = zero ? 0 : random >> (i % 7);
    }
    return 0;
}

static int free_content(void **state)
{
    free(content);
    return state == NULL;
}

/* ---- compressing; returns the bytes */

static size_t pack_zstd(void *to, size_t room, const void *from, size_t n)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t rc = ZSTD_compress2(c, to, room, from, n);
    ZSTD_freeCCtx(c);
    assert_false(ZSTD_isError(rc));
    return rc;
}

static size_t pack_gzip(void *to, size_t room, const void *from, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, 0), Z_OK);
    z.next_in = (uint8_t *)(uintptr_t)from;
    z.avail_in = (unsigned)n;
    z.next_out = to;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static size_t pack_xz(void *to, size_t room, const void *from, size_t n)
{
    size_t used = 0;
    assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, from, n, to, &used, room),
                     LZMA_OK);
    return used;
}

static const struct packer {
    const char *name;
    size_t (*pack)(void *to, size_t room, const void *from, size_t n);
} packers[] = {{"zstd", pack_zstd}, {"gzip", pack_gzip}, {"xz", pack_xz}};
#define PACKERS (sizeof(packers) / sizeof(*packers))

#define PARTS_MAX 3u

/* In so many parts, each a whole of its own. */
static size_t pack(const struct packer *p, uint8_t *to, unsigned parts)
{
    static struct {
        uint8_t *bytes;
        size_t n;
    } done[PACKERS][PARTS_MAX + 1];
    uint8_t **known = &done[p - packers][parts].bytes;
    size_t *used = &done[p - packers][parts].n;
    if (!*known)
        *known = malloc(packed_room);
    for (unsigned i = *used ? parts : 0; i < parts; i++) {
        size_t from = CONTENT * i / parts, end = CONTENT * (i + 1) / parts;
        *used +=
            p->pack(*known + *used, packed_room - *used, (uint8_t *)content + from, end - from);
    }
    memcpy(to, *known, *used);
    return *used;
}

static int file_of(const void *bytes, size_t n)
{
    int fd = scratch_file();
    assert_int_equal(pwrite(fd, bytes, n, 0), n);
    return fd;
}

/* ---- */

static void assert_content(const struct pv_file *f, size_t n)
{
    struct pv_error e;
    assert_int_equal(f->bytes, n);
    uint8_t *bytes = malloc(CONTENT);
    assert_int_equal(pv_file_read(f, 0, bytes, n, "it", &e), 0);
    assert_memory_equal(bytes, content, n);
    free(bytes);
}

static struct pv_file *open_input(const char *path)
{
    struct pv_file *f = NULL;
    struct pv_error e;
    assert_int_equal(pv_input_open(&f, path, NULL, &e), 0);
    return f;
}

static void what_is_compressed_is_read(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    for (unsigned i = 0; i < PACKERS; i++)
        for (unsigned parts = 1; parts <= 3; parts++) {
            int fd = file_of(packed, pack(&packers[i], packed, parts));
            struct pv_file *f = open_input(scratch_path(fd));
            assert_string_equal(f->spooled, packers[i].name);
            assert_string_equal(f->lost, "");
            assert_content(f, CONTENT);
            pv_file_close(f);
            close(fd);
        }
    free(packed);
}

static void a_plain_file_is_itself(void **state)
{
    (void)state;
    int fd = file_of(content, CONTENT);
    struct pv_file *f = open_input(scratch_path(fd));
    assert_null(f->spooled);
    assert_content(f, CONTENT);
    pv_file_close(f);
    close(fd);
}

/* Padding and parts that are to be skipped. */
static void what_is_between_parts_is_passed_over(void **state)
{
    (void)state;
    static const uint8_t skippable[] = {0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'};
    static const uint8_t zeroes[512];
    uint8_t *packed = malloc(packed_room);
    const struct {
        unsigned packer;
        const void *before, *behind;
        size_t before_bytes, behind_bytes;
    } all[] = {
        {0, skippable, skippable, sizeof(skippable), sizeof(skippable)},
        {1, zeroes, zeroes, 0, sizeof(zeroes)},
        {2, zeroes, zeroes, 0, sizeof(zeroes)},
    };
    for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
        size_t n = pack(&packers[all[i].packer], packed, 1);
        int fd = file_of(all[i].before, all[i].before_bytes);
        assert_int_equal(pwrite(fd, packed, n, (off_t)all[i].before_bytes), n);
        assert_int_equal(
            pwrite(fd, all[i].behind, all[i].behind_bytes, (off_t)(all[i].before_bytes + n)),
            all[i].behind_bytes);
        struct pv_file *f = open_input(scratch_path(fd));
        assert_string_equal(f->lost, "");
        assert_content(f, CONTENT);
        pv_file_close(f);
        close(fd);
    }
    free(packed);
}

/* ---- pipes */

struct writer {
    pthread_t thread;
    const char *path; /* NULL: fd is open */
    int fd;
    const uint8_t *bytes;
    size_t n;
};

static void *write_all(void *context)
{
    struct writer *w = context;
    if (w->path) {
        usleep(50000);
        w->fd = open(w->path, O_WRONLY | O_CLOEXEC);
    }
    for (size_t done = 0; w->fd >= 0 && done < w->n;) {
        size_t part = w->n - done < 7777 ? w->n - done : 7777;
        ssize_t put = write(w->fd, w->bytes + done, part);
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    close(w->fd);
    return NULL;
}

static void start_writer(struct writer *w)
{
    assert_int_equal(pthread_create(&w->thread, NULL, write_all, w), 0);
}

static void standard_input_is_read(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    int was = dup(STDIN_FILENO);
    for (unsigned i = 0; i <= PACKERS; i++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
        close(ends[0]);
        struct writer w = {.fd = ends[1], .bytes = content, .n = CONTENT};
        if (i < PACKERS) {
            w.n = pack(&packers[i], packed, 2);
            w.bytes = packed;
        }
        start_writer(&w);
        struct pv_file *f = open_input("-");
        pthread_join(w.thread, NULL);
        assert_string_equal(f->spooled, i < PACKERS ? packers[i].name : "a pipe");
        assert_content(f, CONTENT);
        pv_file_close(f);
    }
    /* A file is no less one for being standard input, and is read from its beginning. */
    int fd = file_of(content, CONTENT);
    assert_true(dup2(fd, STDIN_FILENO) >= 0);
    lseek(STDIN_FILENO, 100, SEEK_SET);
    struct pv_file *f = open_input("-");
    assert_null(f->spooled);
    assert_content(f, CONTENT);
    pv_file_close(f);
    close(fd);
    dup2(was, STDIN_FILENO);
    close(was);
    free(packed);
}

static void make_fifo(char *path)
{
    strcpy(path, "/tmp/pvmm-fifo-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void a_fifo_waits_for_its_writer(void **state)
{
    (void)state;
    char path[64];
    make_fifo(path);
    struct writer w = {.path = path, .bytes = content, .n = CONTENT};
    start_writer(&w);
    struct pv_file *f = open_input(path);
    pthread_join(w.thread, NULL);
    assert_content(f, CONTENT);
    pv_file_close(f);
    unlink(path);
}

struct patience {
    unsigned calls, most;
    uint64_t last, total;
    char doing[64];
};

static bool count_calls(void *context, const char *doing, uint64_t done, uint64_t total)
{
    struct patience *p = context;
    snprintf(p->doing, sizeof(p->doing), "%s", doing);
    assert_true(done >= p->last);
    p->last = done;
    p->total = total;
    return ++p->calls < p->most;
}

static void waiting_can_be_given_up(void **state)
{
    (void)state;
    char path[64];
    struct patience p = {.most = 3};
    struct pv_file *f;
    struct pv_error e;
    make_fifo(path);
    assert_int_equal(pv_input_open(&f, path, &(struct pv_progress){count_calls, &p}, &e), -1);
    assert_non_null(strstr(e.text, "stopped while reading the pipe"));
    assert_int_equal(p.calls, 3);
    unlink(path);
}

static void progress_is_told_by_what_is_compressed(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    size_t n = pack(&packers[0], packed, 1);
    int fd = file_of(packed, n);
    struct patience p = {.most = 1000}, stop = {.most = 2};
    struct pv_file *f;
    struct pv_error e;
    assert_int_equal(
        pv_input_open(&f, scratch_path(fd), &(struct pv_progress){count_calls, &p}, &e), 0);
    pv_file_close(f);
    assert_string_equal(p.doing, "decompressing");
    assert_int_equal(p.last, n);
    assert_int_equal(p.total, n);
    assert_true(p.calls >= 2);
    assert_int_equal(
        pv_input_open(&f, scratch_path(fd), &(struct pv_progress){count_calls, &stop}, &e), -1);
    assert_non_null(strstr(e.text, "stopped while decompressing"));
    close(fd);
    free(packed);
}

static void an_empty_pipe_is_empty(void **state)
{
    (void)state;
    int ends[2];
    struct pv_view *v;
    struct pv_error e;
    assert_int_equal(pipe(ends), 0);
    close(ends[1]);
    assert_int_equal(pv_open(&v, scratch_path(ends[0]), OPTIONS, &e), -1);
    assert_non_null(strstr(e.text, "it is empty"));
    close(ends[0]);
}

/* ---- damage */

/* What is there is a part of the content from its beginning on. */
static void assert_part(const uint8_t *packed, size_t n, const char *name)
{
    int fd = file_of(packed, n);
    struct pv_file *f;
    struct pv_error e;
    char expected[64];
    snprintf(expected, sizeof(expected), "the %s data is cut short at offset %zu", name, n);
    if (pv_input_open(&f, scratch_path(fd), NULL, &e)) {
        if (!strstr(e.text, expected))
            fail_msg("%s", e.text);
    } else {
        assert_string_equal(f->lost, expected);
        assert_true(f->bytes > 0 && f->bytes <= CONTENT);
        assert_content(f, f->bytes);
        pv_file_close(f);
    }
    close(fd);
}

static void the_part_before_the_end_is_kept(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    for (unsigned i = 0; i < PACKERS; i++) {
        size_t n = pack(&packers[i], packed, 1);
        for (size_t bytes = 10; bytes < n; bytes += bytes < 64 ? 1 : n / 17)
            assert_part(packed, bytes, packers[i].name);
        assert_part(packed, n - 1, packers[i].name);
    }
    free(packed);
}

static void what_is_damaged_says_where(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    for (unsigned i = 0; i < PACKERS; i++) {
        size_t n = pack(&packers[i], packed, 1);
        for (size_t at = 300; at < n; at += n / 13) {
            char expected[64];
            struct pv_file *f;
            struct pv_error e;
            packed[at] ^= 0x5a;
            int fd = file_of(packed, n);
            snprintf(expected, sizeof(expected), "the %s data is ", packers[i].name);
            if (pv_input_open(&f, scratch_path(fd), NULL, &e)) {
                assert_non_null(strstr(e.text, expected));
            } else {
                assert_non_null(strstr(f->lost, expected));
                assert_non_null(strstr(f->lost, "offset "));
                pv_file_close(f);
            }
            packed[at] ^= 0x5a;
            close(fd);
        }
    }
    free(packed);
}

static void what_does_not_belong_behind_it_is_told(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    for (unsigned i = 0; i < PACKERS; i++) {
        size_t n = pack(&packers[i], packed, 1);
        memcpy(packed + n, "something else", 14);
        int fd = file_of(packed, n + 14);
        struct pv_file *f = open_input(scratch_path(fd));
        assert_non_null(strstr(f->lost, "data is damaged at or before offset"));
        assert_content(f, CONTENT);
        pv_file_close(f);
        close(fd);
    }
    free(packed);
}

static void nothing_at_all_is_an_error(void **state)
{
    (void)state;
    const char *heads[] = {"\x28\xb5\x2f\xfd????????", "\x1f\x8b\x08????????",
                           "\xfd\x37zXZ\0????????????"};
    for (unsigned i = 0; i < 3; i++) {
        int fd = file_of(heads[i], 12);
        struct pv_file *f;
        struct pv_error e;
        assert_int_equal(pv_input_open(&f, scratch_path(fd), NULL, &e), -1);
        assert_non_null(strstr(e.text, packers[i].name));
        close(fd);
    }
}

/* ---- room */

/* A gigabyte of zeroes in 32 KB: it takes no room, and no memory. */
static void a_bomb_of_zeroes_stays_small(void **state)
{
    (void)state;
    uint8_t *zeroes = calloc(1, 16 * MIB), *packed = malloc(16 * MIB);
    size_t n = pack_zstd(packed, 16 * MIB, zeroes, 16 * MIB);
    int fd = scratch_file();
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(pwrite(fd, packed, n, (off_t)(i * n)), n);
    struct pv_file *f = open_input(scratch_path(fd));
    struct stat st;
    assert_int_equal(fstat(f->fd, &st), 0);
    assert_int_equal(f->bytes, 1024 * MIB);
    assert_true((uint64_t)st.st_blocks * 512 < MIB);
    pv_file_close(f);
    close(fd);
    free(zeroes);
    free(packed);
}

static void holes_stay_holes(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct writer w = {.fd = ends[1], .bytes = content, .n = CONTENT};
    start_writer(&w);
    struct pv_file *f = open_input(scratch_path(ends[0]));
    pthread_join(w.thread, NULL);
    struct stat st;
    assert_int_equal(fstat(f->fd, &st), 0);
    assert_true((size_t)st.st_blocks * 512 < CONTENT * 3 / 4);
    assert_int_equal(st.st_nlink, 0);
    pv_file_close(f);
    close(ends[0]);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    int fd = file_of(packed, pack(&packers[0], packed, 1));
    struct rlimit was, little = {.rlim_cur = MIB};
    struct pv_file *f;
    struct pv_error e;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    little.rlim_max = was.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    int rc = pv_input_open(&f, scratch_path(fd), NULL, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(e.text, "cannot write the content: File too large"));
    assert_non_null(strstr(e.text, "TMPDIR"));
    close(fd);
    free(packed);
}

static void tmpdir_is_heeded(void **state)
{
    (void)state;
    uint8_t *packed = malloc(packed_room);
    int fd = file_of(packed, pack(&packers[0], packed, 1));
    struct pv_file *f;
    struct pv_error e;
    setenv("TMPDIR", "/nonexistent/folder", 1);
    assert_int_equal(pv_input_open(&f, scratch_path(fd), NULL, &e), -1);
    assert_string_equal(e.text, "cannot make a file in /nonexistent/folder (TMPDIR): "
                                "No such file or directory");
    setenv("TMPDIR", "/dev/shm", 1);
    f = open_input(scratch_path(fd));
    assert_content(f, CONTENT);
    pv_file_close(f);
    unsetenv("TMPDIR");
    close(fd);
    free(packed);
}

/* ---- images */

/* Cut short in its compressed form, an image is read as far as it goes; the view says so. */
static void an_image_is_read_as_far_as_it_goes(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *live = made_open(m), *v;
    struct stream_made made;
    struct pv_error e;
    int plain = scratch_file();
    make_stream(plain, live, &(struct stream_options){.xl = true}, &made);
    uint8_t *bytes = malloc((size_t)made.bytes), *packed = malloc(packed_room);
    assert_int_equal(pread(plain, bytes, (size_t)made.bytes, 0), made.bytes);
    size_t n = pack_gzip(packed, packed_room, bytes, (size_t)made.bytes);
    for (unsigned whole = 0; whole < 2; whole++) {
        int fd = file_of(packed, whole ? n : n / 2);
        if (pv_open(&v, scratch_path(fd), OPTIONS, &e))
            fail_msg("%s", e.text);
        assert_int_equal(!strncmp(v->lost, "the gzip data is cut short", 26), !whole);
        assert_int_equal(v->lost[0] == 0, whole);
        assert_true(whole ? v->nr_pages == live->nr_pages
                          : v->nr_pages > 0 && v->nr_pages < live->nr_pages);
        ask_everything(v);
        pv_close(v);
        close(fd);
    }
    /* What no view comes out of says it as well. */
    assert_int_equal(pv_dumpcore_write(live, plain, NULL, &e), 0);
    off_t end = lseek(plain, 0, SEEK_END);
    bytes = realloc(bytes, (size_t)end);
    assert_int_equal(pread(plain, bytes, (size_t)end, 0), end);
    n = pack_gzip(packed, packed_room, bytes, (size_t)end);
    int fd = file_of(packed, n / 2);
    if (pv_open(&v, scratch_path(fd), OPTIONS, &e)) {
        assert_non_null(strstr(e.text, "the gzip data is cut short at offset"));
    } else {
        assert_non_null(strstr(v->lost, "the gzip data is cut short at offset"));
        pv_close(v);
    }
    close(fd);
    close(plain);
    free(bytes);
    free(packed);
    pv_close(live);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_compressed_is_read),
        cmocka_unit_test(a_plain_file_is_itself),
        cmocka_unit_test(what_is_between_parts_is_passed_over),
        cmocka_unit_test(standard_input_is_read),
        cmocka_unit_test(a_fifo_waits_for_its_writer),
        cmocka_unit_test(waiting_can_be_given_up),
        cmocka_unit_test(progress_is_told_by_what_is_compressed),
        cmocka_unit_test(an_empty_pipe_is_empty),
        cmocka_unit_test(the_part_before_the_end_is_kept),
        cmocka_unit_test(what_is_damaged_says_where),
        cmocka_unit_test(what_does_not_belong_behind_it_is_told),
        cmocka_unit_test(nothing_at_all_is_an_error),
        cmocka_unit_test(a_bomb_of_zeroes_stays_small),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(tmpdir_is_heeded),
        cmocka_unit_test(an_image_is_read_as_far_as_it_goes),
    };
    return cmocka_run_group_tests(tests, make_content, free_content);
}
