/* SPDX-License-Identifier: MIT */
/* Kernel images: what is understood, and each reason to refuse one by its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "elf.h"
#include "image.h"

#define HV_START 0xffff800000000000ull
#define HV_END   0xffff880000000000ull
#define HOLE     0x0000800000000000ull

#define MUTANTS       200000u
#define MESSAGE_CHARS 320u /* what the mailbox has room for */

static struct image m;
static struct guest_image g;
static char said[1024];

/* From a block of exactly its size, so that the sanitizer sees every step beyond it. */
static bool parse_bytes(const uint8_t *from, uint64_t n)
{
    struct elf_error e;
    uint8_t *file = malloc(n ? n : 1);
    bool ok;

    memcpy(file, from, n);
    ok = elf_parse(file, n, &g, &e);
    free(file);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(said, sizeof(said), e.text, e.value[0], e.value[1], e.value[2]);
#pragma GCC diagnostic pop
    return ok;
}

static bool parse(void)
{
    image_build(&m);
    return parse_bytes(m.byte, m.n);
}

static void accepts(void)
{
    if (!parse())
        fail_msg("refused: %s", said);
    assert_string_equal(said, "");
}

static void refuses(const char *text)
{
    if (parse())
        fail_msg("accepted, instead of \"%s\"", text);
    if (strstr(said, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    assert_null(strchr(said, '\n'));
    assert_true(strlen(said) < MESSAGE_CHARS);
}

/* ---- what is understood */

static void test_linux(void **state)
{
    (void)state;
    image_linux(&m);
    accepts();
    assert_int_equal(g.segments, 1);
    assert_int_equal(g.segment[0].va, LINUX_BASE + LINUX_PADDR);
    assert_int_equal(g.segment[0].bytes, 0x1800);
    assert_int_equal(g.segment[0].file_bytes, 32);
    assert_int_equal(g.start, LINUX_BASE + LINUX_PADDR);
    assert_int_equal(g.end, LINUX_BASE + LINUX_PADDR + 0x1800);
    assert_int_equal(g.entry, LINUX_BASE + LINUX_PADDR + 0x10);
    assert_true(g.has_hypercall_page);
    assert_int_equal(g.hypercall_page, LINUX_BASE + LINUX_PADDR);
    assert_true(g.has_init_p2m);
    assert_int_equal(g.init_p2m, LINUX_P2M);
    assert_int_equal(g.hv_start_low, HV_START);
    assert_true(g.unmapped_module);
    assert_true(g.suspend_cancel);
    assert_int_equal(g.l1_mfn_mask, 1);
    assert_int_equal(g.l1_mfn_value, 1);
    assert_false(g.legacy);
}

static void test_linux_words(void **state)
{
    (void)state;
    image_linux(&m);
    accepts();
    assert_string_equal(g.guest_os, "linux");
    assert_string_equal(g.guest_version, "2.6");
    assert_string_equal(g.xen_version, "xen-3.0");
    assert_string_equal(g.loader, "generic");
    assert_string_equal(g.pae_mode, "yes");
    assert_string_equal(g.features, "!writable_page_tables");
}

static void test_grub(void **state)
{
    (void)state;
    image_grub(&m);
    accepts();
    assert_int_equal(g.virt_base, 0);
    assert_int_equal(g.start, 0);
    assert_int_equal(g.entry, 0);
    assert_false(g.has_init_p2m);
    assert_false(g.unmapped_module);
}

static void test_legacy(void **state)
{
    (void)state;
    image_legacy(&m, "GUEST_OS=old,GUEST_VER=1,XEN_VER=xen-3.0,LOADER=generic,PAE=yes,"
                     "VIRT_BASE=0xffffffff80000000,VIRT_ENTRY=0xFFFFFFFF81000040,"
                     "HYPERCALL_PAGE=0x1001,FEATURES=a|b,UNKNOWN,OTHER=1");
    accepts();
    assert_true(g.legacy);
    assert_string_equal(g.guest_os, "old");
    assert_string_equal(g.guest_version, "1");
    assert_string_equal(g.features, "a|b");
    assert_string_equal(g.pae_mode, "yes");
    assert_int_equal(g.entry, LINUX_BASE + LINUX_PADDR + 0x40);
    assert_int_equal(g.start, LINUX_BASE + LINUX_PADDR); /* p_paddr is virtual */
    assert_int_equal(g.hypercall_page, LINUX_BASE + 0x1001000);
}

static void test_legacy_offset(void **state)
{
    (void)state;
    image_legacy(&m, "XEN_VER=xen-3.0,VIRT_BASE=4294967296,ELF_PADDR_OFFSET=4096,"
                     "VIRT_ENTRY=0x100000010junk");
    m.segment[0].paddr = 4096;
    accepts();
    assert_int_equal(g.start, 1ull << 32);
    assert_int_equal(g.entry, (1ull << 32) + 0x10);
    assert_false(g.has_hypercall_page);
}

static void test_notes_in_a_section(void **state)
{
    (void)state;
    image_linux(&m);
    m.notes_in_section = true;
    accepts();
    assert_string_equal(g.guest_os, "linux");
}

static void test_short_and_foreign_notes(void **state)
{
    (void)state;
    image_linux(&m);
    image_number(&m, XEN_ELFNOTE_HV_START_LOW, 0);
    m.note[0].bytes = 0; /* an empty word */
    image_number(&m, XEN_ELFNOTE_L1_MFN_VALID, 7);
    image_number(&m, 0x77, 7);
    accepts();
    assert_string_equal(g.guest_os, "");
    assert_int_equal(g.l1_mfn_mask, 0);
}

/* A word that fills its place is cut and terminated. */
static void test_long_words(void **state)
{
    (void)state;
    image_linux(&m);
    image_text(&m, XEN_ELFNOTE_GUEST_OS, "0123456789abcdefghijklmnop");
    accepts();
    assert_string_equal(g.guest_os, "0123456789abcde");
}

static void test_empty_segments_are_nothing(void **state)
{
    (void)state;
    image_linux(&m);
    image_add_segment(&m, 0, 0);
    accepts();
    assert_int_equal(g.segments, 1);
}

static void test_segments_side_by_side(void **state)
{
    (void)state;
    image_linux(&m);
    image_add_segment(&m, LINUX_PADDR + 0x1800, 0x100);
    image_add_segment(&m, LINUX_PADDR - 0x1000, 0x1000);
    accepts();
    assert_int_equal(g.start, LINUX_BASE + LINUX_PADDR - 0x1000);
    assert_int_equal(g.end, LINUX_BASE + LINUX_PADDR + 0x1900);
}

static void test_paddr_offset(void **state)
{
    (void)state;
    image_linux(&m);
    image_number(&m, XEN_ELFNOTE_PADDR_OFFSET, LINUX_PADDR);
    image_number(&m, XEN_ELFNOTE_ENTRY, LINUX_BASE + 1);
    image_number(&m, XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE);
    accepts();
    assert_int_equal(g.start, LINUX_BASE);
}

static void test_entry_of_the_header(void **state)
{
    (void)state;
    image_linux(&m);
    image_drop(&m, XEN_ELFNOTE_ENTRY);
    m.entry = LINUX_BASE + LINUX_PADDR + 0x17ff;
    accepts();
    assert_int_equal(g.entry, LINUX_BASE + LINUX_PADDR + 0x17ff);
}

/* ---- the last good values */

static void test_borders(void **state)
{
    (void)state;
    image_linux(&m);
    image_number(&m, XEN_ELFNOTE_INIT_P2M, HOLE - 4096);
    accepts();
    image_number(&m, XEN_ELFNOTE_INIT_P2M, HV_END);
    accepts();
    m.segment[0].bytes = 0x1000; /* the hypercall page is all there is */
    accepts();
    m.segment[0].bytes = -(LINUX_BASE + LINUX_PADDR) - 1; /* up to the last byte but one */
    accepts();
    image_grub(&m);
    m.segment[0].bytes = HOLE;
    accepts();
}

/* ---- headers */

static void test_empty_and_short(void **state)
{
    (void)state;
    assert_false(parse_bytes(m.byte, 0));
    assert_string_equal(said, "the kernel file is empty");
    image_linux(&m);
    image_build(&m);
    assert_false(parse_bytes(m.byte, 63));
    assert_string_equal(said, "the kernel file has only 63 bytes, less than an ELF header (64)");
}

static void test_random_file(void **state)
{
    (void)state;
    memset(m.byte, 0xa5, 4096);
    assert_false(parse_bytes(m.byte, 4096));
    assert_string_equal(said, "the kernel is no ELF file (it starts with a5a5a5a5)");
}

/* One field of `struct image` changed, and what is said then. */
struct wrong_field {
    size_t offset, bytes;
    uint64_t value;
    const char *text;
};

#define FIELD(name, value, text)                                                                   \
    {                                                                                              \
        offsetof(struct image, name), sizeof(m.name), value, text                                  \
    }

static const struct wrong_field wrong_fields[] = {
    FIELD(elf_class, 1, "32-bit ELF"),
    FIELD(elf_class, 3, "ELF class 3"),
    FIELD(data, 2, "byte order 2"),
    FIELD(machine, 183, "ELF machine 183"),
    FIELD(machine, 3, "ELF machine 3,"),
    FIELD(type, 1, "ELF type 1"),
    FIELD(type, 4, "ELF type 4"),
    FIELD(phentsize, 55, "entries of 55 bytes, not 56"),
    FIELD(phentsize, 0, "entries of 0 bytes"),
    FIELD(phoff, 1ull << 40, "ELF headers at 0x10000000000"),
    FIELD(phoff, ~0ull, "ELF headers at 0xffffffffffffffff"),
    FIELD(phnum, 0xffff, "ELF headers at 0x40 + 0x37ffc8"),
    FIELD(segments, 0, "no loadable segments"),
    FIELD(notes, 0, "no Xen notes"),
    FIELD(notes_offset, IMAGE_BYTES, "truncated: notes at 0x2000"),
    FIELD(notes_offset, ~0ull, "truncated: notes at 0xffffffffffffffff"),
    FIELD(notes_bytes, ~0ull, "+ 0xffffffffffffffff"),
    FIELD(notes_bytes, 40, "notes are damaged"),
    FIELD(note[0].bytes, ~0u, "notes are damaged"),
    FIELD(segment[0].file_bytes, 0x1801, "0x1801 bytes in the file but 0x1800 in memory"),
    FIELD(segment[0].offset, IMAGE_BYTES, "segment at 0x2000 + 0x20, file ends"),
    FIELD(segment[0].offset, ~0ull, "segment at 0xffffffffffffffff"),
    FIELD(segment[0].file_bytes, 0x1700, "truncated: segment at"),
    FIELD(segment[0].paddr, 0x80000000, "wraps, is not canonical"),
    FIELD(segment[0].paddr, ~0ull, "wraps, is not canonical"),
    FIELD(segment[0].paddr, 0x7ffff000, "wraps, is not canonical"),
    FIELD(segment[0].bytes, 0xffffffff90000000, "wraps, is not canonical"),
    FIELD(segment[0].bytes, ~0ull, "wraps, is not canonical"),
    FIELD(segment[0].bytes, 1ull << 63, "wraps, is not canonical"),
};

static void test_wrong_fields(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong_fields) / sizeof(wrong_fields[0]); i++) {
        const struct wrong_field *w = &wrong_fields[i];

        image_linux(&m);
        memcpy((uint8_t *)&m + w->offset, &w->value, w->bytes);
        refuses(w->text);
    }
}

static void test_section_headers(void **state)
{
    (void)state;
    image_linux(&m);
    m.notes_in_section = true;
    m.shentsize = 63;
    refuses("entries of 63 bytes, not 64");
    m.shentsize = 64;
    m.shoff = 1ull << 33;
    refuses("ELF headers at 0x200000000");
    m.shoff = 0;
    m.notes_offset = 1ull << 33;
    refuses("notes at 0x200000000");
}

static void test_legacy_section(void **state)
{
    (void)state;
    image_legacy(&m, "XEN_VER=xen-3.0,VIRT_BASE=0");
    m.legacy_offset = 1ull << 34;
    refuses("truncated: __xen_guest at 0x400000000");
    m.legacy_offset = 0;
    m.names_offset = 1ull << 34; /* no names: no such section */
    refuses("no Xen notes");
    m.names_offset = 0;
    m.shstrndx = 3;
    refuses("no Xen notes");
}

/* ---- notes */

struct wrong_note {
    uint32_t type;
    uint64_t value;
    const char *text;
};

static const struct wrong_note wrong_notes[] = {
    {XEN_ELFNOTE_VIRT_BASE, 0xffffffff80000800, "VIRT_BASE 0xffffffff80000800 is not page-aligned"},
    {XEN_ELFNOTE_VIRT_BASE, HOLE, "VIRT_BASE 0x800000000000 is not canonical"},
    {XEN_ELFNOTE_VIRT_BASE, HV_START, "VIRT_BASE 0xffff800000000000 is not canonical or lies"},
    {XEN_ELFNOTE_VIRT_BASE, HV_END - 4096, "VIRT_BASE 0xffff87fffffff000 is not canonical or lies"},
    {XEN_ELFNOTE_VIRT_BASE, HOLE - LINUX_PADDR, "wraps, is not canonical"},
    {XEN_ELFNOTE_VIRT_BASE, HOLE - LINUX_PADDR - 0x1000, "wraps, is not canonical"},
    {XEN_ELFNOTE_VIRT_BASE, 0, "entry 0xffffffff81000010 lies outside"},
    {XEN_ELFNOTE_VIRT_BASE, ~0xfffull, "wraps, is not canonical"},
    {XEN_ELFNOTE_PADDR_OFFSET, LINUX_PADDR + 1, "lies below PADDR_OFFSET 0x1000001"},
    {XEN_ELFNOTE_ENTRY, LINUX_BASE + LINUX_PADDR - 1, "entry 0xffffffff80ffffff lies outside"},
    {XEN_ELFNOTE_ENTRY, LINUX_BASE + LINUX_PADDR + 0x1800, "entry 0xffffffff81001800 lies outside"},
    {XEN_ELFNOTE_ENTRY, HV_START, "entry 0xffff800000000000 lies outside"},
    {XEN_ELFNOTE_ENTRY, 0, "entry 0x0 lies outside"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + LINUX_PADDR + 8, "hypercall page 0xffffffff81000008"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE, "hypercall page 0xffffffff80000000"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + LINUX_PADDR + 0x1000, "hypercall page"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + LINUX_PADDR + 0x2000, "hypercall page"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, HV_START, "hypercall page 0xffff800000000000"},
    {XEN_ELFNOTE_INIT_P2M, LINUX_P2M + 8, "INIT_P2M 0x8000000008 is not page-aligned"},
    {XEN_ELFNOTE_INIT_P2M, HOLE, "INIT_P2M 0x800000000000"},
    {XEN_ELFNOTE_INIT_P2M, HV_START, "INIT_P2M 0xffff800000000000"},
    {XEN_ELFNOTE_INIT_P2M, HV_END - 4096, "INIT_P2M 0xffff87fffffff000"},
    {XEN_ELFNOTE_INIT_P2M, ~0xfffull, "INIT_P2M 0xfffffffffffff000"},
    {XEN_ELFNOTE_HV_START_LOW, HV_START + 1, "only 0xffff800000000001 upwards"},
    {XEN_ELFNOTE_HV_START_LOW, HV_END - 1, "only 0xffff87ffffffffff upwards"},
};

static void test_wrong_notes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong_notes) / sizeof(wrong_notes[0]); i++) {
        image_linux(&m);
        image_number(&m, wrong_notes[i].type, wrong_notes[i].value);
        refuses(wrong_notes[i].text);
    }
}

static void test_wrong_words(void **state)
{
    (void)state;
    image_linux(&m);
    image_text(&m, XEN_ELFNOTE_XEN_VERSION, "xen-2.0");
    refuses("another interface than xen-3.0");
    image_text(&m, XEN_ELFNOTE_XEN_VERSION, "xen-3.0.1");
    refuses("another interface");
    image_drop(&m, XEN_ELFNOTE_XEN_VERSION);
    refuses("do not describe a paravirtual guest");
    image_linux(&m);
    image_text(&m, XEN_ELFNOTE_LOADER, "special");
    refuses("another loader");
}

static void test_overlaps(void **state)
{
    static const struct {
        uint64_t paddr, bytes;
    } over[] = {
        {LINUX_PADDR, 0x1800},     {LINUX_PADDR + 0x17ff, 0x100}, {LINUX_PADDR - 0xff, 0x100},
        {LINUX_PADDR + 0x100, 32}, {LINUX_PADDR - 0x100, 0x4000},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
        image_linux(&m);
        image_add_segment(&m, over[i].paddr, over[i].bytes);
        refuses("segments overlap");
    }
}

/* VIRT_BASE below the gap, the segment above it: the initial mapping cannot hold both. */
static void test_two_halves(void **state)
{
    (void)state;
    image_grub(&m);
    m.segment[0].paddr = LINUX_BASE;
    refuses("wraps, is not canonical");
}

static void test_too_many_segments(void **state)
{
    (void)state;
    image_linux(&m);
    for (unsigned i = 1; i < ELF_SEGMENTS_MAX; i++)
        image_add_segment(&m, LINUX_PADDR + i * 0x10000, 0x1000);
    accepts();
    assert_int_equal(g.segments, ELF_SEGMENTS_MAX);
    image_add_segment(&m, 0, 0x1000);
    refuses("more than 16 loadable segments");
}

/* ---- everything cut, everything changed */

/* The content is last in none of these files, so every cut takes something that is needed. */
static void cut_everywhere(void)
{
    uint64_t n;

    accepts();
    n = m.n;
    for (uint64_t cut = 0; cut < n; cut++) {
        if (parse_bytes(m.byte, cut))
            fail_msg("accepted when cut to %lu of %lu bytes", cut, n);
        assert_true(strlen(said) > 10 && strlen(said) < MESSAGE_CHARS);
    }
}

static void test_truncation(void **state)
{
    (void)state;
    image_linux(&m);
    cut_everywhere();
    image_linux(&m);
    m.notes_in_section = true;
    cut_everywhere();
    image_grub(&m);
    cut_everywhere();
    image_legacy(&m, "XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,VIRT_ENTRY=0xffffffff81000000");
    cut_everywhere();
}

static uint64_t random_state = 1;

static uint64_t random64(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned n)
{
    return (unsigned)(random64() >> 33) % n;
}

/* What an image that was accepted must hold, whatever it was made from. */
static void check_accepted(uint64_t bytes)
{
    assert_in_range(g.segments, 1, ELF_SEGMENTS_MAX);
    assert_true(g.start < g.end && g.virt_base <= g.start && g.virt_base % 4096 == 0);
    assert_true(g.end <= HOLE || g.virt_base >= HV_END);
    assert_true(g.entry >= g.start && g.entry < g.end);
    for (unsigned i = 0; i < g.segments; i++) {
        const struct elf_segment *s = &g.segment[i];

        assert_true(s->file_bytes <= s->bytes);
        assert_true(s->offset <= bytes && s->file_bytes <= bytes - s->offset);
        assert_true(s->va >= g.start && s->bytes <= g.end - s->va);
    }
    if (g.has_hypercall_page)
        assert_true(g.hypercall_page >= g.start && g.hypercall_page + 4096 <= g.end);
    if (g.has_init_p2m)
        assert_true(g.init_p2m % 4096 == 0 && (g.init_p2m < HOLE || g.init_p2m >= HV_END));
}

static void mutate(uint8_t *file, uint64_t n)
{
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x87, 0x88};

    for (unsigned k = 1 + below(6); k > 0; k--) {
        unsigned at = below((unsigned)n), run = below(4) ? 1 : 1 + below(8);
        uint8_t value = below(2) ? (uint8_t)random64() : edges[below(sizeof(edges))];

        for (unsigned i = 0; i < run && at + i < n; i++)
            file[at + i] = value;
    }
}

static void test_mutants(void **state)
{
    static struct image seeds[4];
    static uint8_t file[IMAGE_BYTES];
    unsigned accepted = 0;

    (void)state;
    image_linux(&seeds[0]);
    image_grub(&seeds[1]);
    image_linux(&seeds[2]);
    seeds[2].notes_in_section = true;
    image_legacy(&seeds[3], "XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,HYPERCALL_PAGE=0x1001,"
                            "VIRT_ENTRY=0xffffffff81000000");
    for (unsigned i = 0; i < 4; i++)
        image_build(&seeds[i]);
    for (unsigned i = 0; i < MUTANTS; i++) {
        const struct image *from = &seeds[i % 4];
        uint64_t n = below(8) ? from->n : below((unsigned)from->n + 1);

        memcpy(file, from->byte, from->n);
        mutate(file, from->n);
        if (parse_bytes(file, n)) {
            check_accepted(n);
            accepted++;
        } else {
            assert_true(strlen(said) > 10 && strlen(said) < MESSAGE_CHARS);
        }
    }
    print_message("%u mutants, %u of them accepted\n", MUTANTS, accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux),
        cmocka_unit_test(test_linux_words),
        cmocka_unit_test(test_grub),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_legacy_offset),
        cmocka_unit_test(test_notes_in_a_section),
        cmocka_unit_test(test_short_and_foreign_notes),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_empty_segments_are_nothing),
        cmocka_unit_test(test_segments_side_by_side),
        cmocka_unit_test(test_paddr_offset),
        cmocka_unit_test(test_entry_of_the_header),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_empty_and_short),
        cmocka_unit_test(test_random_file),
        cmocka_unit_test(test_wrong_fields),
        cmocka_unit_test(test_section_headers),
        cmocka_unit_test(test_legacy_section),
        cmocka_unit_test(test_wrong_notes),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_two_halves),
        cmocka_unit_test(test_too_many_segments),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_mutants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
