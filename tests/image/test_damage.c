/* SPDX-License-Identifier: MIT */
/* Dump-cores that are damaged: cut short anywhere, or with any field changed. Each is refused with
 * a reason, or read for what it says. */
#include "made.h"

#include <elf.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_AT  0x200
#define STATE_AT  0x768 /* the vCPU's registers, behind the notes */
#define SHARED_AT 0x1b98
#define PAGES_AT  0x3000

struct dump {
    int fd;
    off_t bytes;
    off_t p2m_at, names_at;
};

static struct dump dump_new(void)
{
    struct dump d = {.fd = scratch_file()};
    struct made *m = made_new(8, 0);
    made_publish_linear(m);
    struct pv_view *v = made_open(m);
    struct pv_error e;
    assert_int_equal(pv_dumpcore_write(v, d.fd, NULL, &e), 0);
    d.p2m_at = (off_t)(PAGES_AT + v->nr_pages * 4096);
    d.names_at = (off_t)(PAGES_AT + v->nr_pages * (4096 + 16));
    struct stat st;
    assert_int_equal(fstat(d.fd, &st), 0);
    d.bytes = st.st_size;
    pv_close(v);
    made_free(m);
    return d;
}

static uint64_t get(const struct dump *d, off_t at, size_t n)
{
    uint64_t value = 0;
    assert_int_equal(pread(d->fd, &value, n, at), n);
    return value;
}

static void put(const struct dump *d, off_t at, uint64_t value, size_t n)
{
    assert_int_equal(pwrite(d->fd, &value, n, at), n);
}

/* true: it could be opened, and everything was asked of it. */
static bool try(const struct dump *d, struct pv_error *e)
{
    struct pv_view *v;
    e->text[0] = 0;
    if (pv_open(&v, scratch_path(d->fd), &(struct pv_open_options){.domain = -1}, e)) {
        assert_non_null(strstr(e->text, scratch_path(d->fd)));
        return false;
    }
    ask_everything(v);
    pv_close(v);
    return true;
}

/* ---- cut short */

static void assert_short(const struct dump *d, off_t bytes)
{
    struct pv_error e;
    assert_int_equal(ftruncate(d->fd, bytes), 0);
    if (try(d, &e))
        fail_msg("opened, with %lld of %lld bytes", (long long)bytes, (long long)d->bytes);
    if (!strstr(e.text, "cut short"))
        fail_msg("%lld bytes: %s", (long long)bytes, e.text);
}

/* Nothing that opens the file relies on what is not there: the tables are the last of it. */
static void no_part_of_a_dump_opens(void **state)
{
    (void)state;
    struct dump d = dump_new();
    for (off_t n = d.bytes - 1; n >= d.p2m_at - 64; n--)
        assert_short(&d, n);
    for (off_t n = d.p2m_at; n > PAGES_AT + 64; n -= 1021)
        assert_short(&d, n);
    for (off_t n = PAGES_AT + 64; n >= 4; n--)
        assert_short(&d, n);
    close(d.fd);
}

/* ---- fields */

static void assert_refused(const struct dump *d, off_t at, uint64_t value, size_t n,
                           const char *why)
{
    struct pv_error e;
    uint64_t was = get(d, at, n);
    put(d, at, value, n);
    if (try(d, &e))
        fail_msg("opened, though: %s", why);
    if (!strstr(e.text, why))
        fail_msg("\"%s\" does not say \"%s\"", e.text, why);
    put(d, at, was, n);
}

#define SECTION(i, field) ((off_t)(64 + (i)*64 + offsetof(Elf64_Shdr, field)))
enum { NAMES = 1, NOTES = 2, PRSTATUS = 3, SHARED = 4, PAGES_ = 5, P2M = 6 };
#define HEADER_AT (NOTES_AT + 16 + 16)
#define FORMAT_AT (STATE_AT - 8)

static void wrong_headers_say_why(void **state)
{
    (void)state;
    struct dump d = dump_new();
    assert_refused(&d, 0, 0, 4, "nothing that is known begins with");
    assert_refused(&d, EI_CLASS, ELFCLASS32, 1, "not of an x86 guest");
    assert_refused(&d, EI_DATA, ELFDATA2MSB, 1, "not of an x86 guest");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_machine), EM_ARM, 2, "not of an x86 guest");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_type), ET_EXEC, 2, "not a core file");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_shnum), 0, 2, "not a dump-core");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_shnum), 0xffff, 2, "not a dump-core");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_shentsize), 40, 2, "not a dump-core");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_shstrndx), 7, 2, "said to have the names");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_shstrndx), 2, 2, "no table of strings");
    assert_refused(&d, offsetof(Elf64_Ehdr, e_shoff), ~0ull - 10, 8, "cut short");
    close(d.fd);
}

static void wrong_sections_say_why(void **state)
{
    (void)state;
    struct dump d = dump_new();
    for (unsigned i = NOTES; i <= P2M; i++) {
        assert_refused(&d, SECTION(i, sh_offset), ~0ull - 4095, 8, "cut short");
        assert_refused(&d, SECTION(i, sh_size), ~0ull, 8, "cut short");
        assert_refused(&d, SECTION(i, sh_type), SHT_NOBITS, 4, "has no content");
        assert_refused(&d, SECTION(i, sh_name), 0x49, 4, "outside of the names");
        if (i != SHARED)
            assert_refused(&d, SECTION(i, sh_name), 0, 4, "is missing");
    }
    assert_refused(&d, SECTION(NAMES, sh_size), ~0ull, 8, "no table of strings");
    assert_refused(&d, SECTION(NAMES, sh_offset), ~0ull, 8, "cut short");
    assert_refused(&d, SECTION(P2M, sh_name), get(&d, SECTION(PAGES_, sh_name), 4), 4,
                   "two sections");
    assert_refused(&d, SECTION(NOTES, sh_size), 0x10000000, 8, "cut short");
    assert_refused(&d, SECTION(PRSTATUS, sh_size), 5169, 8, "not 1 times 5168");
    assert_refused(&d, SECTION(PRSTATUS, sh_size), 5167, 8, "not 1 times 5168");
    assert_refused(&d, SECTION(SHARED, sh_size), 4095, 8, "not a page");
    assert_refused(&d, SECTION(PAGES_, sh_size), 4096, 8, ".xen_pages has 4096 bytes");
    assert_refused(&d, SECTION(P2M, sh_size), 8, 8, ".xen_p2m has 8 bytes");
    put(&d, d.names_at + 0x3f, 0x6e66705f6e65782eull, 8); /* .xen_pfn */
    struct pv_error e;
    assert_false(try(&d, &e));
    assert_non_null(strstr(e.text, "of no PV guest"));
    close(d.fd);
}

static void wrong_notes_say_why(void **state)
{
    (void)state;
    struct dump d = dump_new();
    uint64_t pages = get(&d, HEADER_AT + 16, 8);
    assert_refused(&d, HEADER_AT, 0xf00febee, 8, "of an HVM guest");
    assert_refused(&d, HEADER_AT, 1, 8, "the header note begins with 1");
    assert_refused(&d, HEADER_AT + 8, 2, 8, "not 2 times 5168");
    assert_refused(&d, HEADER_AT + 8, ~0ull, 8, "vCPUs");
    assert_refused(&d, HEADER_AT + 16, pages - 1, 8, ".xen_pages");
    assert_refused(&d, HEADER_AT + 16, pages + (1ull << 52), 8, ".xen_pages"); /* x 4096 wraps */
    assert_refused(&d, HEADER_AT + 24, 8192, 8, "pages of 8192 bytes");
    assert_refused(&d, FORMAT_AT, 1ull << 32, 8, "the format's version is 1.0");
    assert_refused(&d, NOTES_AT + 4, ~0ull, 4, "does not fit into its section");
    assert_refused(&d, NOTES_AT, 0xfffffffd, 4, "does not fit into its section");
    assert_refused(&d, NOTES_AT + 8, 5, 4, "a note of Xen's is missing");
    assert_refused(&d, NOTES_AT + 12, 0, 4, "a note of Xen's is missing");
    assert_refused(&d, SECTION(NOTES, sh_size), 10, 8, "the last note is cut short");
    close(d.fd);
}

static void wrong_tables_say_why(void **state)
{
    (void)state;
    struct dump d = dump_new();
    assert_refused(&d, d.p2m_at + 16, 0, 8, "pfn 0 stands behind pfn 0");
    assert_refused(&d, d.p2m_at, 2, 8, "pfn 2 stands twice");
    assert_refused(&d, d.p2m_at, 1ull << 32, 8, "pfn 1 stands behind pfn 100000000");
    assert_refused(&d, d.p2m_at + 8, 1ull << 40, 8, "which cannot be");
    assert_refused(&d, d.p2m_at + 16, ~0ull, 8, "behind an empty element");
    close(d.fd);
}

/* Empty elements at the end are no pages. */
static void a_table_may_end_early(void **state)
{
    (void)state;
    struct dump d = dump_new();
    struct pv_view *v;
    struct pv_error e;
    uint64_t pages = get(&d, HEADER_AT + 16, 8);
    for (unsigned i = 1; i <= 4; i++)
        put(&d, d.names_at - i * 8, ~0ull, 8);
    assert_int_equal(pv_open(&v, scratch_path(d.fd), &(struct pv_open_options){.domain = -1}, &e),
                     0);
    assert_int_equal(v->nr_pages, pages - 2);
    pv_close(v);
    close(d.fd);
}

/* A sparse file can claim any number of pages, all zero: what is read decides. */
static void claims_cost_no_memory(void **state)
{
    (void)state;
    struct dump d = dump_new();
    uint64_t pages = 1ull << 38;
    put(&d, HEADER_AT + 16, pages, 8);
    put(&d, SECTION(PAGES_, sh_size), pages * 4096, 8);
    put(&d, SECTION(P2M, sh_size), pages * 16, 8);
    put(&d, SECTION(P2M, sh_offset), d.bytes, 8);
    assert_int_equal(ftruncate(d.fd, (off_t)(1ull << 51)), 0);
    struct pv_error e;
    assert_false(try(&d, &e));
    assert_non_null(strstr(e.text, "stands behind pfn 0"));
    close(d.fd);
}

/* Every byte that says how the file is to be read, with some other values. */
static void try_bytes(const struct dump *d, off_t from, off_t to, unsigned *opened)
{
    for (off_t at = from; at < to; at++) {
        uint8_t was = (uint8_t)get(d, at, 1);
        const uint8_t other[] = {0, 0xff, was ^ 1, was ^ 0x80, (uint8_t)(was + 1)};
        for (unsigned i = 0; i < sizeof(other); i++) {
            struct pv_error e;
            put(d, at, other[i], 1);
            *opened += try(d, &e);
        }
        put(d, at, was, 1);
    }
}

static void try_words(const struct dump *d, off_t from, off_t to, unsigned *opened)
{
    const uint64_t other[] = {0,          1,          4095,       4096,       1ull << 31,
                              1ull << 32, 1ull << 52, 1ull << 63, ~0ull >> 1, ~0ull};
    for (off_t at = from; at < to; at += 8) {
        uint64_t was = get(d, at, 8);
        for (unsigned i = 0; i < sizeof(other) / sizeof(*other); i++) {
            struct pv_error e;
            put(d, at, other[i], 8);
            *opened += try(d, &e);
        }
        put(d, at, was, 8);
    }
}

static void no_change_of_a_header_does_harm(void **state)
{
    (void)state;
    struct dump d = dump_new();
    unsigned opened = 0;
    try_bytes(&d, 0, NOTES_AT + 0x50, &opened);
    try_bytes(&d, STATE_AT - 32, STATE_AT, &opened);
    try_words(&d, 0, STATE_AT, &opened);
    try_words(&d, STATE_AT + 5168 - 300, STATE_AT + 5168, &opened);
    try_words(&d, SHARED_AT + (off_t)offsetof(shared_info_t, arch), SHARED_AT + 3200, &opened);
    assert_true(opened > 100);
    close(d.fd);
}

static void no_change_of_a_table_does_harm(void **state)
{
    (void)state;
    struct dump d = dump_new();
    unsigned opened = 0;
    try_words(&d, d.p2m_at, d.p2m_at + 160, &opened);
    try_words(&d, d.names_at - 64, d.names_at, &opened);
    try_bytes(&d, d.names_at, d.bytes, &opened);
    assert_true(opened > 10);
    close(d.fd);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *path, *why;
    } wrong[] = {
        {"/nonexistent/core", "No such file or directory"},
        {"/", "not a regular file"},
        {"/dev/zero", "not a regular file"},
        {"/dev/null", "not a regular file"},
    };
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct pv_view *v;
        struct pv_error e;
        assert_int_equal(pv_open(&v, wrong[i].path, &(struct pv_open_options){.domain = -1}, &e),
                         -1);
        assert_non_null(strstr(e.text, wrong[i].why));
        assert_non_null(strstr(e.text, wrong[i].path));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_part_of_a_dump_opens),
        cmocka_unit_test(wrong_headers_say_why),
        cmocka_unit_test(wrong_sections_say_why),
        cmocka_unit_test(wrong_notes_say_why),
        cmocka_unit_test(wrong_tables_say_why),
        cmocka_unit_test(a_table_may_end_early),
        cmocka_unit_test(claims_cost_no_memory),
        cmocka_unit_test(no_change_of_a_header_does_harm),
        cmocka_unit_test(no_change_of_a_table_does_harm),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
