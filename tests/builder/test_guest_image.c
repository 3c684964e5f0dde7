/* SPDX-License-Identifier: MIT */
/* Kernel images: what is understood, and each reason to refuse one by its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_image.h"
#include "image.h"

#define HV_START 0xffff800000000000ull
#define HV_END   0xffff880000000000ull
#define HOLE     0x0000800000000000ull

#define MUTANTS       200000u
#define MESSAGE_CHARS 320u /* what the mailbox has room for */

static struct image m;
static struct guest_image g;
static char said[1024];
static enum builder_cause cause;

/* From a block of exactly its size, so that the sanitizer sees every step beyond it. */
static bool parse_bytes(const uint8_t *from, uint64_t n)
{
    struct builder_error e;
    uint8_t *file = malloc(n ? n : 1);
    bool ok;

    memcpy(file, from, n);
    ok = guest_image_read(file, n, &g, &e);
    free(file);
    cause = e.cause;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(said, sizeof(said), e.text, e.value[0], e.value[1], e.value[2], e.value[3]);
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

static void refuses(enum builder_cause because, const char *text)
{
    if (parse())
        fail_msg("accepted, instead of \"%s\"", text);
    if (strstr(said, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    assert_int_equal(cause, because);
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
    image_text(&m, XEN_ELFNOTE_GUEST_VERSION, "0123456789abcdefghijklmnop");
    accepts();
    assert_string_equal(g.guest_version, "0123456789abcde");
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

/* For those who ask more than the domain builder does. */
static void test_what_was_seen(void **state)
{
    (void)state;
    image_linux(&m);
    image_number(&m, XEN_ELFNOTE_SUPPORTED_FEATURES, 0x801);
    image_number(&m, XEN_ELFNOTE_PHYS32_ENTRY, 0x1000370);
    image_number(&m, 0x1000002, 7);
    accepts();
    assert_int_equal(g.notes, m.notes);
    assert_true(g.seen[XEN_ELFNOTE_ENTRY] && g.seen[XEN_ELFNOTE_L1_MFN_VALID]);
    assert_true(g.seen[XEN_ELFNOTE_PHYS32_ENTRY] && g.seen[XEN_ELFNOTE_SUPPORTED_FEATURES]);
    assert_false(g.seen[XEN_ELFNOTE_BSD_SYMTAB] || g.seen[XEN_ELFNOTE_INFO]);
    assert_int_equal(g.supported_features, 0x801);
    assert_int_equal(g.phys32_entry, 0x1000370);
    image_legacy(&m, "XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,VIRT_ENTRY=0xffffffff81000040");
    accepts();
    assert_int_equal(g.notes, 0);
    assert_true(g.seen[XEN_ELFNOTE_ENTRY] && g.seen[XEN_ELFNOTE_VIRT_BASE]);
    assert_false(g.seen[XEN_ELFNOTE_PADDR_OFFSET] || g.seen[XEN_ELFNOTE_HYPERCALL_PAGE]);
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
    image_number(&m, XEN_ELFNOTE_INIT_P2M, ~0xfffull); /* of a guest that small */
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
    assert_int_equal(cause, BUILDER_NO_ELF);
    assert_string_equal(said, "the kernel file is empty");
    image_linux(&m);
    image_build(&m);
    assert_false(parse_bytes(m.byte, 63));
    assert_int_equal(cause, BUILDER_NO_ELF);
    assert_string_equal(said, "the kernel file has only 63 bytes, less than an ELF header (64)");
}

static void test_random_file(void **state)
{
    (void)state;
    memset(m.byte, 0xa5, 4096);
    assert_false(parse_bytes(m.byte, 4096));
    assert_int_equal(cause, BUILDER_NO_ELF);
    assert_string_equal(said, "the kernel is no ELF file (it starts with a5a5a5a5)");
}

/* One field of `struct image` changed, and what is said then. */
struct wrong_field {
    size_t offset, bytes;
    uint64_t value;
    enum builder_cause cause;
    const char *text;
};

#define FIELD(name, value, cause, text)                                                            \
    {                                                                                              \
        offsetof(struct image, name), sizeof(m.name), value, cause, text                           \
    }

static const struct wrong_field wrong_fields[] = {
    FIELD(elf_class, 1, BUILDER_32_BIT, "32-bit ELF"),
    FIELD(elf_class, 3, BUILDER_MACHINE, "ELF class 3"),
    FIELD(data, 2, BUILDER_MACHINE, "byte order 2"),
    FIELD(machine, 183, BUILDER_MACHINE, "ELF machine 183"),
    FIELD(machine, 3, BUILDER_MACHINE, "ELF machine 3,"),
    FIELD(type, 1, BUILDER_TYPE, "ELF type 1"),
    FIELD(type, 4, BUILDER_TYPE, "ELF type 4"),
    FIELD(phentsize, 55, BUILDER_HEADERS, "program headers have 55 bytes each, not 56"),
    FIELD(phentsize, 0, BUILDER_HEADERS, "program headers have 0 bytes"),
    FIELD(phoff, 1ull << 40, BUILDER_TRUNCATED, "program headers at 0x10000000000"),
    FIELD(phoff, ~0ull, BUILDER_TRUNCATED, "program headers at 0xffffffffffffffff"),
    FIELD(phnum, 0xffff, BUILDER_TRUNCATED, "truncated: 65535 program headers at 0x40"),
    FIELD(segments, 0, BUILDER_SEGMENTS, "no loadable segments"),
    FIELD(notes, 0, BUILDER_NO_NOTES, "no Xen notes"),
    FIELD(notes_offset, IMAGE_BYTES, BUILDER_TRUNCATED, "truncated: notes at 0x2000"),
    FIELD(notes_offset, ~0ull, BUILDER_TRUNCATED, "truncated: notes at 0xffffffffffffffff"),
    FIELD(notes_bytes, ~0ull, BUILDER_TRUNCATED, "+ 0xffffffffffffffff"),
    FIELD(notes_bytes, 40, BUILDER_NOTES, "notes are damaged: the one at"),
    FIELD(note[0].bytes, ~0u, BUILDER_NOTES, "notes are damaged"),
    FIELD(segment[0].file_bytes, 0x1801, BUILDER_SEGMENTS,
          "segment 0 at 0x1000000 has 0x1801 bytes in the file but 0x1800 in memory"),
    FIELD(segment[0].offset, IMAGE_BYTES, BUILDER_TRUNCATED,
          "truncated: segment 0 at 0x2000 + 0x20, file ends"),
    FIELD(segment[0].offset, ~0ull, BUILDER_TRUNCATED, "segment 0 at 0xffffffffffffffff"),
    FIELD(segment[0].file_bytes, 0x1700, BUILDER_TRUNCATED, "truncated: segment 0 at"),
    FIELD(segment[0].paddr, 0x80000000, BUILDER_SEGMENTS, "segment 0 at 0x0 + 0x1800 wraps"),
    FIELD(segment[0].paddr, ~0ull, BUILDER_SEGMENTS,
          "segment 0 at 0xffffffff7fffffff + 0x1800 wraps"),
    FIELD(segment[0].paddr, 0x7ffff000, BUILDER_SEGMENTS, "wraps around"),
    FIELD(segment[0].bytes, 0xffffffff90000000, BUILDER_SEGMENTS, "wraps around"),
    FIELD(segment[0].bytes, ~0ull, BUILDER_SEGMENTS, "wraps around"),
    FIELD(segment[0].bytes, 1ull << 63, BUILDER_SEGMENTS, "wraps around"),
};

static void test_wrong_fields(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong_fields) / sizeof(wrong_fields[0]); i++) {
        const struct wrong_field *w = &wrong_fields[i];

        image_linux(&m);
        memcpy((uint8_t *)&m + w->offset, &w->value, w->bytes);
        refuses(w->cause, w->text);
    }
}

static void test_section_headers(void **state)
{
    (void)state;
    image_linux(&m);
    m.notes_in_section = true;
    m.shentsize = 63;
    refuses(BUILDER_HEADERS, "section headers have 63 bytes each, not 64");
    m.shentsize = 64;
    m.shoff = 1ull << 33;
    refuses(BUILDER_TRUNCATED, "section headers at 0x200000000");
    m.shoff = 0;
    m.notes_offset = 1ull << 33;
    refuses(BUILDER_TRUNCATED, "notes at 0x200000000");
}

/* Changes what the built image says of its notes in program header 1. */
static void put_note_header(unsigned field, uint64_t value)
{
    memcpy(m.byte + 64 + 56 + field, &value, sizeof(value));
}

/* Older linkers left a note segment's offset at 0. It is passed over, as Xen does; not the file's
 * own header taken for a note. */
static void test_note_segment_at_0(void **state)
{
    (void)state;
    image_linux(&m);
    image_build(&m);
    put_note_header(8, 0);
    assert_false(parse_bytes(m.byte, m.n));
    assert_int_equal(cause, BUILDER_NO_NOTES);
}

/* 65535 headers of the same 8 MiB of notes: the builder was not done with them after 45 s. */
static void test_notes_claimed_again_and_again(void **state)
{
    const uint64_t headers = 60;

    (void)state;
    image_linux(&m);
    m.phnum = (uint16_t)headers + 2;
    image_build(&m);
    m.n = sizeof(m.byte);
    /* From behind the headers on nothing but empty notes. */
    memset(m.byte + 4096, 0, 4096);
    for (unsigned i = 0; i < headers; i++) {
        const uint64_t header[7] = {4, 4096, 0, 0, 4096, 4096, 4};

        memcpy(m.byte + 64 + (2 + i) * 56, header, sizeof(header));
    }
    put_note_header(8, 4096);
    put_note_header(32, 4096);
    assert_false(parse_bytes(m.byte, m.n));
    assert_int_equal(cause, BUILDER_NOTES);
    assert_string_equal(said, "the kernel's notes are damaged: their headers claim more bytes than "
                              "the file has (0x2000)");
}

static void test_legacy_section(void **state)
{
    (void)state;
    image_legacy(&m, "XEN_VER=xen-3.0,VIRT_BASE=0");
    m.legacy_offset = 1ull << 34;
    refuses(BUILDER_TRUNCATED, "truncated: __xen_guest at 0x400000000");
    m.legacy_offset = 0;
    m.names_offset = 1ull << 34; /* no names: no such section */
    refuses(BUILDER_NO_NOTES, "no Xen notes");
    m.names_offset = 0;
    m.shstrndx = 3;
    refuses(BUILDER_NO_NOTES, "no Xen notes");
}

/* ---- notes */

struct wrong_note {
    uint32_t type;
    uint64_t value;
    enum builder_cause cause;
    const char *text;
};

static const struct wrong_note wrong_notes[] = {
    {XEN_ELFNOTE_VIRT_BASE, 0xffffffff80000800, BUILDER_VIRT_BASE,
     "VIRT_BASE 0xffffffff80000800 is not page-aligned"},
    {XEN_ELFNOTE_VIRT_BASE, HOLE, BUILDER_VIRT_BASE, "VIRT_BASE 0x800000000000 is not canonical"},
    {XEN_ELFNOTE_VIRT_BASE, HV_START, BUILDER_VIRT_BASE,
     "VIRT_BASE 0xffff800000000000 lies in the hypervisor's slots"},
    {XEN_ELFNOTE_VIRT_BASE, HV_END - 4096, BUILDER_VIRT_BASE,
     "VIRT_BASE 0xffff87fffffff000 lies in the hypervisor's slots"},
    {XEN_ELFNOTE_VIRT_BASE, HOLE - LINUX_PADDR, BUILDER_SEGMENTS,
     "segment 0 at 0x800000000000 + 0x1800 is not canonical"},
    {XEN_ELFNOTE_VIRT_BASE, HOLE - LINUX_PADDR - 0x1000, BUILDER_SEGMENTS, "is not canonical"},
    {XEN_ELFNOTE_VIRT_BASE, 0, BUILDER_ENTRY, "entry 0xffffffff81000010 is in no loaded segment"},
    {XEN_ELFNOTE_VIRT_BASE, ~0xfffull, BUILDER_SEGMENTS, "wraps around"},
    {XEN_ELFNOTE_PADDR_OFFSET, LINUX_PADDR + 1, BUILDER_SEGMENTS,
     "lies below PADDR_OFFSET 0x1000001"},
    {XEN_ELFNOTE_ENTRY, LINUX_BASE + LINUX_PADDR - 1, BUILDER_ENTRY,
     "entry 0xffffffff80ffffff is in no loaded segment"},
    {XEN_ELFNOTE_ENTRY, LINUX_BASE + LINUX_PADDR + 0x1800, BUILDER_ENTRY,
     "entry 0xffffffff81001800 is in no loaded segment (its image is mapped at "
     "0xffffffff81000000-0xffffffff810017ff)"},
    {XEN_ELFNOTE_ENTRY, HV_START, BUILDER_ENTRY,
     "entry 0xffff800000000000 lies in the hypervisor's slots"},
    {XEN_ELFNOTE_ENTRY, 0, BUILDER_ENTRY, "entry 0x0 is in no loaded segment"},
    {XEN_ELFNOTE_ENTRY, HOLE, BUILDER_ENTRY, "entry 0x800000000000 is not canonical"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + LINUX_PADDR + 8, BUILDER_HYPERCALL_PAGE,
     "hypercall page 0xffffffff81000008"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE, BUILDER_HYPERCALL_PAGE,
     "hypercall page 0xffffffff80000000"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + LINUX_PADDR + 0x1000, BUILDER_HYPERCALL_PAGE,
     "hypercall page"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + LINUX_PADDR + 0x2000, BUILDER_HYPERCALL_PAGE,
     "hypercall page"},
    {XEN_ELFNOTE_HYPERCALL_PAGE, HV_START, BUILDER_HYPERCALL_PAGE,
     "hypercall page 0xffff800000000000"},
    {XEN_ELFNOTE_INIT_P2M, LINUX_P2M + 8, BUILDER_INIT_P2M,
     "INIT_P2M 0x8000000008 is not page-aligned"},
    {XEN_ELFNOTE_INIT_P2M, HOLE, BUILDER_INIT_P2M, "INIT_P2M 0x800000000000 is not canonical"},
    {XEN_ELFNOTE_INIT_P2M, HV_START, BUILDER_INIT_P2M,
     "INIT_P2M 0xffff800000000000 lies in the hypervisor's slots"},
    {XEN_ELFNOTE_INIT_P2M, HV_END - 4096, BUILDER_INIT_P2M,
     "INIT_P2M 0xffff87fffffff000 lies in the hypervisor's slots"},
    {XEN_ELFNOTE_HV_START_LOW, HV_START + 1, BUILDER_HV_START_LOW,
     "only 0xffff800000000001 upwards"},
    {XEN_ELFNOTE_HV_START_LOW, HV_END - 1, BUILDER_HV_START_LOW, "only 0xffff87ffffffffff upwards"},
};

static void test_wrong_notes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong_notes) / sizeof(wrong_notes[0]); i++) {
        image_linux(&m);
        image_number(&m, wrong_notes[i].type, wrong_notes[i].value);
        refuses(wrong_notes[i].cause, wrong_notes[i].text);
    }
}

static void test_wrong_words(void **state)
{
    (void)state;
    image_linux(&m);
    image_text(&m, XEN_ELFNOTE_XEN_VERSION, "xen-2.0");
    refuses(BUILDER_VERSION, "another interface than xen-3.0");
    image_text(&m, XEN_ELFNOTE_XEN_VERSION, "xen-3.0.1");
    refuses(BUILDER_VERSION, "another interface");
    image_drop(&m, XEN_ELFNOTE_XEN_VERSION);
    refuses(BUILDER_VERSION, "do not describe a paravirtual guest");
    image_linux(&m);
    image_text(&m, XEN_ELFNOTE_LOADER, "special");
    refuses(BUILDER_LOADER, "another loader");
}

static void test_odd_number(void **state)
{
    (void)state;
    image_linux(&m);
    for (unsigned i = 0; i < m.notes; i++)
        if (m.note[i].type == XEN_ELFNOTE_ENTRY)
            m.note[i].bytes = 3;
    refuses(BUILDER_NOTES, "notes are damaged: Xen note 1 is a number of 3 bytes");
}

/* As Linux is with CONFIG_XEN_PVH and without CONFIG_XEN_PV. */
static void test_pvh_only(void **state)
{
    (void)state;
    image_linux(&m);
    image_drop(&m, XEN_ELFNOTE_ENTRY);
    m.entry = LINUX_BASE + LINUX_PADDR;
    image_number(&m, XEN_ELFNOTE_PHYS32_ENTRY, 0x1000370);
    refuses(BUILDER_PVH_ALONE,
            "no ENTRY (only PHYS32_ENTRY 0x1000370): it was built for PVH alone");
}

static void test_no_program_headers(void **state)
{
    (void)state;
    image_linux(&m);
    image_build(&m);
    memset(m.byte + 56, 0, 2); /* e_phnum */
    assert_false(parse_bytes(m.byte, m.n));
    assert_string_equal(said, "the kernel has no program headers to load it by");
}

/* Nothing would be found there but zeroes. */
static void test_entry_between_segments(void **state)
{
    (void)state;
    image_linux(&m);
    image_add_segment(&m, LINUX_PADDR + 0x4000, 0x1000);
    image_number(&m, XEN_ELFNOTE_ENTRY, LINUX_BASE + LINUX_PADDR + 0x4000);
    accepts();
    image_number(&m, XEN_ELFNOTE_ENTRY, LINUX_BASE + LINUX_PADDR + 0x3fff);
    refuses(BUILDER_ENTRY,
            "entry 0xffffffff81003fff is in no loaded segment (its image is mapped at "
            "0xffffffff81000000-0xffffffff81004fff)");
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
        refuses(BUILDER_SEGMENTS,
                "segments overlap: 0xffffffff81000000-0xffffffff810017ff and 0xffffffff8");
    }
}

/* VIRT_BASE below the gap, the segment above it: the initial mapping cannot hold both. */
static void test_two_halves(void **state)
{
    (void)state;
    image_grub(&m);
    m.segment[0].paddr = LINUX_BASE;
    refuses(BUILDER_SEGMENTS, "is not canonical, or not in the half of VIRT_BASE 0x0");
}

static void test_too_many_segments(void **state)
{
    (void)state;
    image_linux(&m);
    for (unsigned i = 1; i < GUEST_SEGMENTS_MAX; i++)
        image_add_segment(&m, LINUX_PADDR + i * 0x10000, 0x1000);
    accepts();
    assert_int_equal(g.segments, GUEST_SEGMENTS_MAX);
    image_add_segment(&m, 0, 0x1000);
    refuses(BUILDER_SEGMENTS, "more than 16 loadable segments");
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
    bool entry_loaded = false;

    assert_in_range(g.segments, 1, GUEST_SEGMENTS_MAX);
    assert_true(g.start < g.end && g.virt_base <= g.start && g.virt_base % 4096 == 0);
    assert_true(g.end <= HOLE || g.virt_base >= HV_END);
    assert_true(g.entry >= g.start && g.entry < g.end);
    assert_true(g.legacy ? g.notes == 0 : g.notes > 0);
    for (unsigned i = 0; i < g.segments; i++) {
        const struct guest_segment *s = &g.segment[i];

        assert_true(s->file_bytes <= s->bytes);
        assert_true(s->offset <= bytes && s->file_bytes <= bytes - s->offset);
        assert_true(s->va >= g.start && s->bytes <= g.end - s->va);
        entry_loaded |= g.entry >= s->va && g.entry - s->va < s->bytes;
    }
    assert_true(entry_loaded);
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
        cmocka_unit_test(test_what_was_seen),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_empty_and_short),
        cmocka_unit_test(test_random_file),
        cmocka_unit_test(test_wrong_fields),
        cmocka_unit_test(test_section_headers),
        cmocka_unit_test(test_note_segment_at_0),
        cmocka_unit_test(test_notes_claimed_again_and_again),
        cmocka_unit_test(test_legacy_section),
        cmocka_unit_test(test_wrong_notes),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_odd_number),
        cmocka_unit_test(test_pvh_only),
        cmocka_unit_test(test_no_program_headers),
        cmocka_unit_test(test_entry_between_segments),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_two_halves),
        cmocka_unit_test(test_too_many_segments),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_mutants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
