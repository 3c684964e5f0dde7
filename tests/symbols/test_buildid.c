/* SPDX-License-Identifier: MIT */
/* Build ids of files and of a guest's kernel, and notes that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"
#include "tables.h"

#define NOTES_VA 0xffffffff82300040ull
#define RODATA   0xffffffff82000000ull
#define TEXT     0xffffffff81000000ull
#define MUTANTS  20000u

static const struct pv_view no_view; /* fake.c does not look at it */
static struct pv_build_id id;
static struct pv_error e;

/* ---- notes, as a linker lays them out */

struct pile {
    uint8_t byte[1024];
    size_t n;
};

static void align(struct pile *p, unsigned to)
{
    p->n = (p->n + to - 1) / to * to;
}

static void note(struct pile *p, unsigned alignment, const char *owner, uint32_t type,
                 const void *desc, uint32_t bytes)
{
    const Elf64_Nhdr head = {(uint32_t)strlen(owner) + 1, bytes, type};

    memcpy(p->byte + p->n, &head, sizeof(head));
    strcpy((char *)p->byte + p->n + sizeof(head), owner);
    p->n += sizeof(head) + head.n_namesz;
    align(p, alignment);
    memcpy(p->byte + p->n, desc, bytes);
    p->n += bytes;
    align(p, alignment);
}

static uint8_t sha[PV_BUILD_ID_BYTES + 1];

/* Of Linux: Xen's come first, and one of GNU's that is another. */
static struct pile linux_notes(void)
{
    struct pile p = {.n = 0};

    note(&p, 4, "Xen", 6, "linux", 6);
    note(&p, 4, "Xen", NT_GNU_BUILD_ID, "\0\0\0\200\377\377\377\377", 8);
    note(&p, 4, "GNU", NT_GNU_ABI_TAG, "1234567890123456", 16);
    note(&p, 4, "GNU", NT_GNU_BUILD_ID, sha, 20);
    note(&p, 4, "Linux", 0x101, "\0\0\0\0", 4);
    return p;
}

/* Where its build id begins. */
#define LINUX_ID_AT (24u + 24u + 32u)

/* ---- files */

static struct {
    Elf64_Ehdr head;
    Elf64_Shdr section[4];
    Elf64_Phdr segment[2];
    uint8_t notes[1024];
} elf;
#define NOTES_AT ((uint64_t)(elf.notes - (uint8_t *)&elf))

static void make_elf(const struct pile *p)
{
    memset(&elf, 0, sizeof(elf));
    memcpy(elf.head.e_ident, ELFMAG, SELFMAG);
    elf.head.e_ident[EI_CLASS] = ELFCLASS64;
    elf.head.e_ident[EI_DATA] = ELFDATA2LSB;
    elf.head.e_ident[EI_VERSION] = EV_CURRENT;
    elf.head.e_type = ET_EXEC;
    elf.head.e_machine = EM_X86_64;
    elf.head.e_version = EV_CURRENT;
    elf.head.e_ehsize = sizeof(elf.head);
    elf.head.e_shentsize = sizeof(elf.section[0]);
    elf.head.e_phentsize = sizeof(elf.segment[0]);
    memcpy(elf.notes, p->byte, p->n);
}

static void with_section(unsigned i, uint64_t offset, uint64_t bytes, uint64_t alignment)
{
    elf.head.e_shoff = (uint64_t)((uint8_t *)elf.section - (uint8_t *)&elf);
    elf.head.e_shnum = (uint16_t)(i + 1);
    elf.section[i] = (Elf64_Shdr){.sh_type = SHT_NOTE,
                                  .sh_flags = SHF_ALLOC,
                                  .sh_addr = NOTES_VA + offset - NOTES_AT,
                                  .sh_offset = offset,
                                  .sh_size = bytes,
                                  .sh_addralign = alignment};
}

static void with_segment(uint64_t offset, uint64_t bytes, uint64_t alignment)
{
    elf.head.e_phoff = (uint64_t)((uint8_t *)elf.segment - (uint8_t *)&elf);
    elf.head.e_phnum = 2;
    elf.segment[0].p_type = PT_LOAD;
    elf.segment[1] = (Elf64_Phdr){.p_type = PT_NOTE,
                                  .p_vaddr = NOTES_VA,
                                  .p_offset = offset,
                                  .p_filesz = bytes,
                                  .p_align = alignment};
}

static int load(const void *from, size_t n)
{
    const int fd = memfd_create("buildid", MFD_CLOEXEC);
    int failed;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, from, n), n);
    memset(&e, 0, sizeof(e));
    memset(&id, 0xee, sizeof(id));
    failed = pv_build_id_fd(&id, fd, &e);
    close(fd);
    return failed;
}

static void has_sha(uint64_t va)
{
    assert_int_equal(id.bytes, 20);
    assert_memory_equal(id.byte, sha, 20);
    assert_int_equal(id.va, va);
}

static void finds(uint64_t va)
{
    if (load(&elf, sizeof(elf)) != 0)
        fail_msg("refused: %s", e.text);
    has_sha(va);
}

static void refuses(const char *why)
{
    assert_int_equal(load(&elf, sizeof(elf)), -1);
    assert_string_equal(e.text, why);
}

static void a_section_has_it(void **state)
{
    const struct pile p = linux_notes();

    (void)state;
    make_elf(&p);
    with_section(1, NOTES_AT, p.n, 4);
    finds(NOTES_VA + LINUX_ID_AT);
    /* Separate debugging information: the addresses are there, the program is not. */
    elf.section[1].sh_flags = 0;
    finds(0);
}

static void a_segment_has_it_where_there_are_no_sections(void **state)
{
    const struct pile p = linux_notes();

    (void)state;
    make_elf(&p);
    with_segment(NOTES_AT, p.n, 4);
    finds(NOTES_VA + LINUX_ID_AT);
}

/* .note.gnu.property is aligned to 8, and comes first. */
static void notes_may_be_aligned_to_8(void **state)
{
    struct pile p = {.n = 0};

    (void)state;
    note(&p, 8, "longer", 5, "123456789", 9);
    note(&p, 8, "GNU", NT_GNU_BUILD_ID, sha, 20);
    make_elf(&p);
    with_section(1, NOTES_AT, p.n, 8);
    finds(NOTES_VA + 40);
    with_section(2, NOTES_AT + 512, 36, 4);
    with_section(1, NOTES_AT, 40, 8);
    elf.head.e_shnum = 3;
    memcpy(elf.notes + 512, p.byte + 40, 36);
    finds(NOTES_VA + 512);
}

static void none_is_no_error(void **state)
{
    struct pile p = {.n = 0};

    (void)state;
    assert_int_equal(load("ffffffff81000000 T _text\n", 25), 0);
    assert_int_equal(id.bytes, 0);
    assert_int_equal(load("", 0), 0);
    assert_int_equal(id.bytes, 0);
    make_elf(&p);
    assert_int_equal(load(&elf, sizeof(elf)), 0);
    note(&p, 4, "Xen", NT_GNU_BUILD_ID, sha, 20);
    make_elf(&p);
    with_section(1, NOTES_AT, p.n, 4);
    assert_int_equal(load(&elf, sizeof(elf)), 0);
    assert_int_equal(id.bytes, 0);
    /* What is left over is less than a note. */
    with_section(1, NOTES_AT, p.n + 11, 4);
    assert_int_equal(load(&elf, sizeof(elf)), 0);
    assert_int_equal(id.bytes, 0);
}

static void notes_end_within_the_file(void **state)
{
    const struct pile p = linux_notes();
    char why[160];

    (void)state;
    make_elf(&p);
    with_section(1, NOTES_AT, sizeof(elf) - NOTES_AT + 1, 4);
    snprintf(why, sizeof(why), "is cut off: %zu bytes of notes at %zu end behind it",
             (size_t)(sizeof(elf) - NOTES_AT + 1), (size_t)NOTES_AT);
    refuses(why);
    with_section(1, UINT64_MAX - 3, 16, 4);
    refuses("is cut off: 16 bytes of notes at 18446744073709551612 end behind it");
    with_section(1, 16, UINT64_MAX - 7, 4);
    refuses("is cut off: 18446744073709551608 bytes of notes at 16 end behind it");
    with_section(1, 0, 0, 4);
    elf.head.e_shnum = elf.head.e_shoff = 0;
    with_segment(UINT64_MAX - 3, 16, 4);
    refuses("is cut off: 16 bytes of notes at 18446744073709551612 end behind it");
}

static void a_note_ends_within_the_notes(void **state)
{
    const struct pile p = linux_notes();
    Elf64_Nhdr *head = (Elf64_Nhdr *)(elf.notes + LINUX_ID_AT);

    (void)state;
    make_elf(&p);
    with_section(1, NOTES_AT, LINUX_ID_AT + 35, 4);
    refuses("its notes are damaged: the one at byte 80 of 115 runs out of them");
    with_section(1, NOTES_AT, LINUX_ID_AT + 36, 4);
    finds(NOTES_VA + LINUX_ID_AT);
    head->n_descsz = UINT32_MAX;
    refuses("its notes are damaged: the one at byte 80 of 116 runs out of them");
    head->n_descsz = 20;
    head->n_namesz = UINT32_MAX; /* and rounded up, 2^32 */
    refuses("its notes are damaged: the one at byte 80 of 116 runs out of them");
    head->n_namesz = UINT32_MAX;
    head->n_descsz = UINT32_MAX;
    refuses("its notes are damaged: the one at byte 80 of 116 runs out of them");
}

static void an_id_has_a_size(void **state)
{
    struct pile p;

    (void)state;
    for (uint32_t bytes = 0; bytes <= sizeof(sha); bytes++) {
        p = (struct pile){.n = 0};
        note(&p, 4, "GNU", NT_GNU_BUILD_ID, sha, bytes);
        make_elf(&p);
        with_section(1, NOTES_AT, p.n, 4);
        if (bytes > 0 && bytes <= PV_BUILD_ID_BYTES) {
            assert_int_equal(load(&elf, sizeof(elf)), 0);
            assert_int_equal(id.bytes, bytes);
        } else {
            refuses(bytes == 0 ? "its notes are damaged: a build id of 0 bytes"
                               : "its notes are damaged: a build id of 65 bytes");
        }
    }
}

/* As of a linked-in blob with one of its own: the first counts, in the file and in the memory. */
static void the_first_of_several_counts(void **state)
{
    struct pile p = {.n = 0};

    (void)state;
    note(&p, 4, "GNU", NT_GNU_BUILD_ID, sha, 20);
    note(&p, 4, "GNU", NT_GNU_BUILD_ID, "\1\2\3\4", 4);
    note(&p, 4, "GNU", NT_GNU_BUILD_ID, sha, 0);
    make_elf(&p);
    with_section(1, NOTES_AT, p.n, 4);
    assert_int_equal(load(&elf, sizeof(elf)), 0);
    assert_int_equal(id.bytes, 20);
    assert_memory_equal(id.byte, sha, 20);
    assert_int_equal(id.va, NOTES_VA);
}

/* However often a file says that it has the same notes, no more than a megabyte is looked at. */
static void notes_are_not_looked_at_for_ever(void **state)
{
    const size_t bytes = 4u << 20;
    struct pile none = {.n = 0};
    uint8_t *file = calloc(1, bytes);
    unsigned sections = 3;

    (void)state;
    assert_non_null(file);
    make_elf(&none);
    for (unsigned i = 1; i <= sections; i++)
        with_section(i, sizeof(elf), 400000, 4);
    memcpy(file, &elf, sizeof(elf));
    assert_int_equal(load(file, bytes), -1);
    assert_string_equal(e.text, "its notes are damaged: they are more than 1048576 bytes");
    make_elf(&none);
    with_section(1, sizeof(elf), 3u << 20, 4);
    memcpy(file, &elf, sizeof(elf));
    assert_int_equal(load(file, bytes), -1);
    free(file);
}

static void damaged_files_do_no_harm(void **state)
{
    const struct pile p = linux_notes();
    unsigned refusals = 0, found = 0;

    (void)state;
    srand(1);
    for (unsigned m = 0; m < MUTANTS; m++) {
        make_elf(&p);
        with_section(1, NOTES_AT, p.n, 4);
        if (m % 2) {
            elf.head.e_shnum = elf.head.e_shoff = 0;
            with_segment(NOTES_AT, p.n, 4);
        }
        for (unsigned c = 0; c < 1 + m % 4; c++) {
            const unsigned at = (unsigned)rand() % (unsigned)(NOTES_AT + p.n);

            ((uint8_t *)&elf)[at] = (uint8_t)rand();
        }
        if (load(&elf, m % 8 ? sizeof(elf) : (unsigned)rand() % sizeof(elf)) != 0)
            refusals++;
        else
            found += id.bytes != 0;
    }
    assert_in_range(refusals, MUTANTS / 50, MUTANTS);
    assert_in_range(found, MUTANTS / 10, MUTANTS);
}

/* ---- a guest's kernel */

static int teardown(void **state)
{
    (void)state;
    fake_clear();
    return 0;
}

static int ask(uint64_t va)
{
    memset(&e, 0, sizeof(e));
    memset(&id, 0xee, sizeof(id));
    return pv_build_id_guest(&id, &no_view, mfn(1), va, &e);
}

static void it_lies_where_the_file_has_it(void **state)
{
    const struct pile p = linux_notes();

    (void)state;
    fake_map(NOTES_VA & ~0xfffull, PAGE_BYTES, false);
    fake_put(NOTES_VA, p.byte, p.n);
    assert_int_equal(ask(NOTES_VA + LINUX_ID_AT), 0);
    has_sha(NOTES_VA + LINUX_ID_AT);
    /* At the end of what is mapped it is there, or it is not. */
    fake_put((NOTES_VA & ~0xfffull) + PAGE_BYTES - 36, p.byte + LINUX_ID_AT, 36);
    assert_int_equal(ask((NOTES_VA & ~0xfffull) + PAGE_BYTES - 36), 0);
    has_sha((NOTES_VA & ~0xfffull) + PAGE_BYTES - 36);
    fake_put((NOTES_VA & ~0xfffull) + PAGE_BYTES - 35, p.byte + LINUX_ID_AT, 35);
    assert_int_equal(ask((NOTES_VA & ~0xfffull) + PAGE_BYTES - 35), -1);
    assert_int_equal(id.bytes, 0);
    /* Another note, nothing, and addresses that are none. */
    assert_int_equal(ask(NOTES_VA), -1);
    assert_int_equal(ask(0), -1);
    assert_int_equal(ask(UINT64_MAX), -1);
    assert_int_equal(id.bytes, 0);
    assert_true(e.text[0] != '\0');
}

#define SYMBOLS 400u

/* A kernel whose kallsyms have the two symbols around its notes, where they are not 0. */
static void make_linux(uint64_t start, uint64_t stop)
{
    static const struct tables_kind kind = {"4.20 to 6.1", VALUES_PERCPU, false, false, 4};
    static struct tables_symbol symbol[SYMBOLS];
    static char name[SYMBOLS][32];
    const uint64_t at = start < stop ? start : stop;
    uint8_t *rodata = fake_map(RODATA, 64u << 10, false);

    for (unsigned i = 0; i < SYMBOLS; i++) {
        snprintf(name[i], sizeof(name[i]), "function_%u", i);
        symbol[i] = (struct tables_symbol){TEXT + 64 * i, 'T', name[i]};
    }
    if (at != 0) {
        symbol[SYMBOLS - 2] =
            (struct tables_symbol){at, 'R', start < stop ? "__start_notes" : "__stop_notes"};
        symbol[SYMBOLS - 1] = (struct tables_symbol){
            start + stop - at, 'R', start < stop ? "__stop_notes" : "__start_notes"};
    }
    assert_true(
        tables_build(&kind, symbol, SYMBOLS, TEXT, RODATA + 8, rodata + 8, (64u << 10) - 8) != 0);
}

static void make_notes(struct pile p)
{
    fake_map(NOTES_VA & ~0xfffull, PAGE_BYTES, false);
    fake_put(NOTES_VA, p.byte, p.n);
}

static void linux_says_where_it_lies(void **state)
{
    const struct pile p = linux_notes();

    (void)state;
    make_linux(NOTES_VA, NOTES_VA + p.n);
    make_notes(p);
    assert_int_equal(ask(0), 0);
    has_sha(NOTES_VA + LINUX_ID_AT);
    /* A file of another kernel has its own elsewhere. */
    assert_int_equal(ask(NOTES_VA + 0x80), 0);
    has_sha(NOTES_VA + LINUX_ID_AT);
}

static void linux_may_have_none(void **state)
{
    struct pile p = {.n = 0};

    (void)state;
    note(&p, 4, "Xen", 6, "linux", 6);
    make_linux(NOTES_VA, NOTES_VA + p.n);
    make_notes(p);
    assert_int_equal(ask(0), 0);
    assert_int_equal(id.bytes, 0);
}

static void cannot_tell(const char *why)
{
    assert_int_equal(ask(0), -1);
    assert_int_equal(id.bytes, 0);
    assert_string_equal(e.text, why);
    fake_clear();
}

static void what_a_guest_says_is_not_believed(void **state)
{
    struct pile p = linux_notes();

    (void)state;
    make_linux(0, 0);
    cannot_tell("its kallsyms do not say where its notes are");
    make_linux(NOTES_VA, NOTES_VA + p.n);
    cannot_tell("its notes are not in its memory");
    make_linux(NOTES_VA, NOTES_VA + PAGE_BYTES);
    make_notes(p);
    cannot_tell("its notes are not in its memory");
    make_linux(NOTES_VA + 4, NOTES_VA);
    cannot_tell("its notes are said to lie at ffffffff82300044 to ffffffff82300040");
    make_linux(NOTES_VA, NOTES_VA + (1u << 20) + 1);
    cannot_tell("its notes are said to lie at ffffffff82300040 to ffffffff82400041");
    ((Elf64_Nhdr *)p.byte)->n_descsz = UINT32_MAX;
    make_linux(NOTES_VA, NOTES_VA + p.n);
    make_notes(p);
    cannot_tell("its notes are damaged: the one at byte 0 of 140 runs out of them");
}

/* ---- both */

static void ids_are_compared_and_shown(void **state)
{
    struct pv_build_id a = {.byte = {0x0a, 0xff}, .bytes = 2, .va = 1}, b = a, none = {.bytes = 0};
    char text[PV_BUILD_ID_CHARS];

    (void)state;
    b.va = 2;
    assert_true(pv_build_id_same(&a, &b));
    b.byte[1] = 0xfe;
    assert_false(pv_build_id_same(&a, &b));
    b.bytes = 1;
    assert_false(pv_build_id_same(&a, &b));
    assert_string_equal(pv_build_id_text(&a, text), "0aff");
    assert_string_equal(pv_build_id_text(&none, text), "");
    a.bytes = PV_BUILD_ID_BYTES;
    assert_int_equal(strlen(pv_build_id_text(&a, text)), 2 * PV_BUILD_ID_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_has_it),
        cmocka_unit_test(a_segment_has_it_where_there_are_no_sections),
        cmocka_unit_test(notes_may_be_aligned_to_8),
        cmocka_unit_test(none_is_no_error),
        cmocka_unit_test(notes_end_within_the_file),
        cmocka_unit_test(a_note_ends_within_the_notes),
        cmocka_unit_test(an_id_has_a_size),
        cmocka_unit_test(the_first_of_several_counts),
        cmocka_unit_test(notes_are_not_looked_at_for_ever),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test_teardown(it_lies_where_the_file_has_it, teardown),
        cmocka_unit_test_teardown(linux_says_where_it_lies, teardown),
        cmocka_unit_test_teardown(linux_may_have_none, teardown),
        cmocka_unit_test_teardown(what_a_guest_says_is_not_believed, teardown),
        cmocka_unit_test(ids_are_compared_and_shown),
    };

    for (unsigned i = 0; i < sizeof(sha); i++)
        sha[i] = (uint8_t)(0xa0 + i);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
