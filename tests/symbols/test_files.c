/* SPDX-License-Identifier: MIT */
/* Symbols of files: which name an address gets, and files that are damaged. */
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

#include "symbols.h"

#define TEXT    0xffffffff81000000ull
#define DATA    0xffffffff82000000ull
#define MUTANTS 20000u

static struct pv_symbols *s;
static struct pv_error e;
static size_t count;

static int setup(void **state)
{
    (void)state;
    s = pv_symbols_new();
    assert_non_null(s);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pv_symbols_free(s);
    return 0;
}

static int load(const void *from, size_t n)
{
    int fd = memfd_create("symbols", MFD_CLOEXEC), failed;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, from, n), n);
    /* Where the descriptor stands does not matter, and does not change. */
    memset(&e, 0, sizeof(e));
    failed = pv_symbols_fd(s, fd, "FILE", &count, &e);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), n);
    close(fd);
    return failed;
}

static void load_text(const char *text)
{
    if (load(text, strlen(text)) != 0)
        fail_msg("refused: %s", e.text);
}

static void refuses_text(const char *text, const char *why)
{
    assert_int_equal(load(text, strlen(text)), -1);
    assert_string_equal(e.text, why);
}

static void names(uint64_t va, const char *name, uint64_t offset)
{
    struct pv_symbol at;

    if (!pv_symbol_at(s, va, &at))
        fail_msg("%llx has no name", (unsigned long long)va);
    assert_string_equal(at.name, name);
    assert_int_equal(at.offset, offset);
    assert_int_equal(at.address, va - offset);
    assert_true(at.size == 0 || at.offset < at.size);
}

static void nameless(uint64_t va)
{
    struct pv_symbol at;

    if (pv_symbol_at(s, va, &at))
        fail_msg("%llx is %s+%llx", (unsigned long long)va, at.name, (unsigned long long)at.offset);
}

/* ---- System.map */

static void a_map_names_what_lies_at_or_above(void **state)
{
    struct pv_symbol at;
    uint64_t va;

    (void)state;
    load_text("ffffffff81000000 T startup\n"
              "ffffffff81000040 t helper\n"
              "ffffffff81000080 D table\n"
              "ffffffff810000c0 B _end\n");
    assert_int_equal(count, 4);
    nameless(TEXT - 1);
    names(TEXT, "startup", 0);
    names(TEXT + 0x3f, "startup", 0x3f);
    names(TEXT + 0x40, "helper", 0);
    assert_true(pv_symbol_at(s, TEXT + 0x41, &at) && at.is_code && at.size == 0x40);
    assert_true(pv_symbol_at(s, TEXT + 0x81, &at) && !at.is_code);
    names(TEXT + 0xc0, "_end", 0);
    nameless(TEXT + 0x10000);
    assert_true(pv_symbol_find(s, "table", &va));
    assert_int_equal(va, TEXT + 0x80);
    assert_false(pv_symbol_find(s, "tabl", &va));
}

static void of_several_names_the_plainest_is_taken(void **state)
{
    (void)state;
    load_text("ffffffff81000000 t __pfx_open\n"
              "ffffffff81000010 t $x\n"
              "ffffffff81000010 t local\n"
              "ffffffff81000010 W weak\n"
              "ffffffff81000010 T __global\n"
              "ffffffff81000010 T global\n"
              "ffffffff81000010 D data\n"
              "ffffffff81000010 T .L1\n"
              "ffffffff81000020 T init_module\n"
              "ffffffff81000020 t thing_init\n"
              "ffffffff81000030 T first\n"
              "ffffffff81000030 T second\n"
              "ffffffff81000040 T last\n");
    names(TEXT, "__pfx_open", 0);
    names(TEXT + 0x10, "global", 0);
    names(TEXT + 0x21, "thing_init", 1);
    names(TEXT + 0x30, "first", 0);
}

static void offsets_and_numbers_are_no_places(void **state)
{
    (void)state;
    load_text("0000000000000000 D __per_cpu_start\n"
              "0000000000001000 D cpu_tss\n"
              "ffffffff80ffffff A a_number\n"
              "                 w undefined\n"
              "ffffffff81000000 T startup\n");
    assert_int_equal(count, 1);
    nameless(0x1000);
    nameless(TEXT - 1);
}

static void a_kernel_may_lie_low(void **state)
{
    (void)state;
    load_text("00001000 T _start\r\n00002000 T main\n");
    names(0x1fff, "_start", 0xfff);
}

static void what_kallsyms_shows_has_modules(void **state)
{
    struct pv_symbol at;

    (void)state;
    load_text("ffffffff81000000 T startup\n"
              "ffffffff81000040 T _end\n"
              "ffffffffc0000000 t start\t[thing]\n"
              "ffffffffc0000040 t stop\t[thing]\n"
              "ffffffffc0001000 t start\t[other]\n");
    assert_true(pv_symbol_at(s, 0xffffffffc0000041, &at));
    assert_string_equal(at.name, "stop");
    assert_string_equal(at.module, "thing");
    assert_true(pv_symbol_at(s, 0xffffffffc0001000, &at));
    assert_string_equal(at.module, "other");
    assert_true(pv_symbol_at(s, TEXT, &at));
    assert_string_equal(at.module, "");
}

static void the_first_source_that_knows_names(void **state)
{
    (void)state;
    load_text("ffffffff81000000 T first\nffffffff81000040 T first_end\n");
    load_text("ffffffff81000000 T second\nffffffff81100000 T beyond\nffffffff81100040 T x\n");
    names(TEXT + 1, "first", 1);
    names(TEXT + 0x100001, "beyond", 1);
}

static void garbage_is_refused_with_its_line(void **state)
{
    (void)state;
    refuses_text("", "FILE: is empty");
    refuses_text("hello\n", "FILE: neither an ELF file nor a System.map");
    refuses_text("ffffffff81000000 T a\nffffffff81000010 T b c\n",
                 "FILE: line 2 is no line of a System.map");
    refuses_text("ffffffff81000000 T a\n\nffffffff81000010 T b\n",
                 "FILE: line 2 is no line of a System.map");
    refuses_text("ffffffff81000000 T a\nffffffff8100001 T b\n",
                 "FILE: line 2 is no line of a System.map");
    refuses_text("ffffffff81000000 T a\nffffffff81000010 T \n",
                 "FILE: line 2 is no line of a System.map");
    refuses_text("ffffffff81000000 T a\nffffffff81000010 T b\t[thing\n",
                 "FILE: line 2 is no line of a System.map");
    refuses_text("0000000000000000 T a\n0000000000000000 T b\n",
                 "FILE: every address is 0: the kernel hides them from whoever read it");
}

static void a_file_that_is_not_there_says_so(void **state)
{
    (void)state;
    assert_int_equal(pv_symbols_file(s, "/nonexistent/map", &e), -1);
    assert_string_equal(e.text, "/nonexistent/map: cannot be opened: No such file or directory");
    assert_int_equal(pv_symbols_file(s, "/", &e), -1);
    assert_string_equal(e.text, "/: cannot be read: Is a directory");
}

/* ---- ELF */

static struct {
    Elf64_Ehdr head;
    Elf64_Shdr section[6];
    Elf64_Sym symbol[9];
    char strings[128];
} elf;

enum { NONE, TEXT_SECTION, DATA_SECTION, SYMBOLS, STRINGS, NAMES };

static uint32_t keep(const char *name)
{
    static uint32_t used = 1;
    uint32_t at = used;

    if (name == NULL) {
        used = 1;
        return 0;
    }
    strcpy(elf.strings + used, name);
    used += (uint32_t)strlen(name) + 1;
    return at;
}

static void symbol(unsigned i, const char *name, unsigned bind, unsigned type, unsigned section,
                   uint64_t value, uint64_t size)
{
    elf.symbol[i] =
        (Elf64_Sym){keep(name), ELF64_ST_INFO(bind, type), 0, (uint16_t)section, value, size};
}

static void make_elf(unsigned table)
{
    memset(&elf, 0, sizeof(elf));
    keep(NULL);
    memcpy(elf.head.e_ident, ELFMAG, SELFMAG);
    elf.head.e_ident[EI_CLASS] = ELFCLASS64;
    elf.head.e_ident[EI_DATA] = ELFDATA2LSB;
    elf.head.e_ident[EI_VERSION] = EV_CURRENT;
    elf.head.e_type = ET_EXEC;
    elf.head.e_machine = EM_X86_64;
    elf.head.e_version = EV_CURRENT;
    elf.head.e_ehsize = sizeof(elf.head);
    elf.head.e_shoff = (uint64_t)((uint8_t *)elf.section - (uint8_t *)&elf);
    elf.head.e_shentsize = sizeof(elf.section[0]);
    elf.head.e_shnum = 5;
    elf.head.e_shstrndx = STRINGS;
    elf.section[TEXT_SECTION] = (Elf64_Shdr){
        .sh_type = SHT_NOBITS, .sh_addr = TEXT, .sh_size = 0x100, .sh_flags = SHF_EXECINSTR};
    elf.section[DATA_SECTION] =
        (Elf64_Shdr){.sh_type = SHT_NOBITS, .sh_addr = DATA, .sh_size = 0x100};
    elf.section[SYMBOLS] =
        (Elf64_Shdr){.sh_type = table,
                     .sh_link = STRINGS,
                     .sh_offset = (uint64_t)((uint8_t *)elf.symbol - (uint8_t *)&elf),
                     .sh_size = sizeof(elf.symbol),
                     .sh_entsize = sizeof(elf.symbol[0]),
                     .sh_addralign = 8};
    elf.section[STRINGS] =
        (Elf64_Shdr){.sh_type = SHT_STRTAB,
                     .sh_offset = (uint64_t)((uint8_t *)elf.strings - (uint8_t *)&elf),
                     .sh_size = sizeof(elf.strings)};
    symbol(1, "sized", STB_GLOBAL, STT_FUNC, TEXT_SECTION, TEXT, 0x40);
    symbol(2, "label", STB_LOCAL, STT_NOTYPE, TEXT_SECTION, TEXT + 0x20, 0);
    symbol(3, "assembly", STB_GLOBAL, STT_NOTYPE, TEXT_SECTION, TEXT + 0x60, 0);
    symbol(4, "object", STB_GLOBAL, STT_OBJECT, DATA_SECTION, DATA, 8);
    symbol(5, "file.c", STB_LOCAL, STT_FILE, SHN_ABS, 0, 0);
    symbol(6, "absolute", STB_GLOBAL, STT_NOTYPE, SHN_ABS, TEXT + 0x70, 0);
    symbol(7, "undefined", STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, TEXT + 0x70, 0);
    symbol(8, "percpu", STB_GLOBAL, STT_OBJECT, DATA_SECTION, 0x1000, 8);
}

static void an_elf_file_bounds_its_symbols(void **state)
{
    struct pv_symbol at;
    unsigned tables[] = {SHT_SYMTAB, SHT_DYNSYM};

    for (unsigned i = 0; i < 2; i++) {
        make_elf(tables[i]);
        assert_int_equal(load(&elf, sizeof(elf)), 0);
        assert_int_equal(count, 4);
        names(TEXT, "sized", 0);
        names(TEXT + 0x21, "sized", 0x21); /* a label within is no function */
        nameless(TEXT - 1);
        nameless(0x1000);
        names(TEXT + 0x60, "assembly", 0);
        names(TEXT + 0xff, "assembly", 0x9f);
        assert_true(pv_symbol_at(s, TEXT + 0x61, &at) && at.is_code);
        nameless(TEXT + 0x100); /* its section is over */
        assert_true(pv_symbol_at(s, DATA + 7, &at) && !at.is_code && at.size == 8);
        nameless(DATA + 8);
        teardown(state);
        setup(state);
    }
}

/* Whoever made the file is not to write to a person's terminal. */
static void names_for_no_terminal_are_passed_over(void **state)
{
    (void)state;
    make_elf(SHT_SYMTAB);
    symbol(3, "\033[2J", STB_GLOBAL, STT_FUNC, TEXT_SECTION, TEXT + 0x60, 8);
    symbol(4, "caf\303\251", STB_GLOBAL, STT_OBJECT, DATA_SECTION, DATA, 8);
    assert_int_equal(load(&elf, sizeof(elf)), 0);
    assert_int_equal(count, 2);
    names(TEXT, "sized", 0);
    names(TEXT + 0x60, "label", 0x40);
    nameless(DATA);
}

static void an_elf_file_without_symbols_is_no_error(void **state)
{
    (void)state;
    make_elf(SHT_PROGBITS);
    assert_int_equal(load(&elf, sizeof(elf)), 0);
    assert_int_equal(count, 0);
}

static void refuses_elf(const char *why)
{
    assert_int_equal(load(&elf, sizeof(elf)), -1);
    if (strstr(e.text, why) == NULL)
        fail_msg("refused by \"%s\", not \"%s\"", e.text, why);
}

static void elf_files_that_will_not_do_are_refused(void **state)
{
    (void)state;
    make_elf(SHT_SYMTAB);
    elf.head.e_machine = EM_AARCH64;
    refuses_elf("FILE: is not for x86-64");
    make_elf(SHT_SYMTAB);
    elf.head.e_type = ET_REL;
    refuses_elf("FILE: is not a linked program");
    make_elf(SHT_SYMTAB);
    elf.section[SYMBOLS].sh_offset = 1u << 20;
    refuses_elf("FILE: its table of symbols cannot be read: ");
    make_elf(SHT_SYMTAB);
    elf.symbol[3].st_name = 1u << 20;
    refuses_elf("FILE: the names of its symbols are damaged: ");
    make_elf(SHT_SYMTAB);
    elf.head.e_shoff = 1u << 20;
    refuses_elf("FILE: ");
    make_elf(SHT_SYMTAB);
    assert_int_equal(load(&elf, 20), -1);
}

static void damaged_elf_files_do_no_harm(void **state)
{
    unsigned refusals = 0;

    srand(1);
    for (unsigned m = 0; m < MUTANTS; m++) {
        make_elf(SHT_SYMTAB);
        for (unsigned c = 0; c < 1 + m % 4; c++)
            ((uint8_t *)&elf)[(unsigned)rand() % sizeof(elf)] = (uint8_t)rand();
        refusals += load(&elf, m % 8 ? sizeof(elf) : (unsigned)rand() % sizeof(elf)) != 0;
        if (m % 64 == 0) {
            teardown(state);
            setup(state);
        }
    }
    assert_in_range(refusals, MUTANTS / 20, MUTANTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_map_names_what_lies_at_or_above, setup, teardown),
        cmocka_unit_test_setup_teardown(of_several_names_the_plainest_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(offsets_and_numbers_are_no_places, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kernel_may_lie_low, setup, teardown),
        cmocka_unit_test_setup_teardown(what_kallsyms_shows_has_modules, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_source_that_knows_names, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_is_refused_with_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(an_elf_file_bounds_its_symbols, setup, teardown),
        cmocka_unit_test_setup_teardown(names_for_no_terminal_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(an_elf_file_without_symbols_is_no_error, setup, teardown),
        cmocka_unit_test_setup_teardown(elf_files_that_will_not_do_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_elf_files_do_no_harm, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
