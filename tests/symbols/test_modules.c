/* SPDX-License-Identifier: MIT */
/* The symbols of modules, by the types that the guest's kernel describes itself (BTF). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "fake.h"
#include "tables.h"

#define TEXT     0xffffffff81000000ull
#define RODATA   0xffffffff82000000ull
#define BTF      0xffffffff82800000ull
#define DATA     0xffffffff82900000ull
#define LIST     (DATA + 0x100)
#define MODULES  0xffffffffc0000000ull
#define NR       600u
#define MUTANTS  1000u
#define MOD(i)   (MODULES + 0x10000ull * (i))
#define CORE(i)  (MOD(i) + 0x1000)
#define INIT(i)  (MOD(i) + 0x2000)
#define TABLE(i) (MOD(i) + 0x3000)

enum { LIVE, COMING, GOING, UNFORMED };

/* Offsets that no kernel has: all must come from the BTF. */
struct layout {
    bool by_kind;                                                  /* mem[], from 6.4 */
    unsigned state, list, name, core, init, kallsyms, arch, bytes; /* arch 0: none */
};
static const struct layout older = {false, 8, 16, 40, 128, 192, 300, 320, 400};
static const struct layout newer = {true, 24, 0, 56, 128, 128 + 4 * 24, 320, 0, 512};

static const struct layout *l;
static struct tables_symbol symbol[NR];
static char name[NR][32];
static struct pv_symbols *s;
static struct pv_error e;
static size_t count;
static uint32_t btf_bytes;
static bool nested; /* struct module begins with what has no end */

/* ---- the guest */

static void add_member(struct btf *b, const char *field, int type, unsigned offset)
{
    assert_int_equal(btf__add_field(b, field, type, offset * 8, 0), 0);
}

static int add_regions(struct btf *b, int u32, int pointer)
{
    int layout;

    if (!l->by_kind) {
        layout = btf__add_struct(b, "module_layout", 32);
        add_member(b, "base", pointer, 8);
        add_member(b, "size", u32, 16);
        add_member(b, "text_size", u32, 24);
        return layout;
    }
    assert_true(btf__add_enum(b, "mod_mem_type", 4) > 0);
    btf__add_enum_value(b, "MOD_TEXT", 0);
    btf__add_enum_value(b, "MOD_DATA", 1);
    btf__add_enum_value(b, "MOD_RODATA", 2);
    btf__add_enum_value(b, "MOD_INIT_DATA", 3);
    btf__add_enum_value(b, "MOD_INIT_TEXT", 4);
    layout = btf__add_struct(b, "module_memory", 24);
    add_member(b, "size", u32, 4);
    add_member(b, "base", pointer, 16);
    return btf__add_array(b, u32, layout, 5);
}

static int add_structs(struct btf *b, int u32, int pointer, int *list)
{
    *list = btf__add_struct(b, "list_head", 16);
    add_member(b, "next", pointer, 0);
    add_member(b, "prev", pointer, 8);
    btf__add_struct(b, "mod_kallsyms", 40);
    add_member(b, "strtab", pointer, 0);
    add_member(b, "num_symtab", u32, 8);
    add_member(b, "symtab", pointer, 16);
    btf__add_struct(b, "mod_arch_specific", 24);
    add_member(b, "num_orcs", u32, 4);
    add_member(b, "orc_unwind_ip", pointer, 8);
    add_member(b, "orc_unwind", pointer, 16);
    return add_regions(b, u32, pointer);
}

static int add_states(struct btf *b)
{
    int state = btf__add_enum(b, "module_state", 4);

    btf__add_enum_value(b, "MODULE_STATE_LIVE", LIVE);
    btf__add_enum_value(b, "MODULE_STATE_COMING", COMING);
    btf__add_enum_value(b, "MODULE_STATE_GOING", GOING);
    btf__add_enum_value(b, "MODULE_STATE_UNFORMED", UNFORMED);
    return state;
}

/* Structures without a name, of nothing but others. */
static int add_nested(struct btf *b, int below)
{
    for (unsigned depth = 0; depth < 7; depth++) {
        int type = btf__add_struct(b, NULL, 8);

        for (unsigned i = 0; i < 4000; i++)
            add_member(b, depth == 0 ? "x" : NULL, below, 0);
        below = type;
    }
    return below;
}

static void make_btf(void)
{
    struct btf *b = btf__new_empty();
    int u8 = btf__add_int(b, "char", 1, 0), u32 = btf__add_int(b, "unsigned int", 4, 0);
    int pointer = btf__add_ptr(b, 0), chars = btf__add_array(b, u32, u8, 56);
    int state = add_states(b), list, regions = add_structs(b, u32, pointer, &list);
    int list_t = btf__add_typedef(b, "list_t", l->list + 16 > l->bytes ? u32 : list), nameless;
    int first = nested ? add_nested(b, u32) : 0;
    const void *raw;

    /* The name lies in a structure without a name, as members of kernels may. */
    nameless = btf__add_struct(b, NULL, 64);
    add_member(b, "name", chars, 8);
    btf__add_struct(b, "module", l->bytes);
    if (nested)
        add_member(b, NULL, first, 0);
    add_member(b, "state", state, l->state);
    add_member(b, "list", list_t, l->list);
    add_member(b, NULL, nameless, l->name - 8);
    add_member(b, "kallsyms", pointer, l->kallsyms);
    add_member(b, l->by_kind ? "mem" : "core_layout", regions, l->core);
    if (!l->by_kind)
        add_member(b, "init_layout", regions, l->init);
    if (l->arch != 0)
        add_member(b, "arch", btf__find_by_name(b, "mod_arch_specific"), l->arch);
    raw = btf__raw_data(b, &btf_bytes);
    assert_non_null(raw);
    fake_map(BTF, nested ? 512u << 10 : 64u << 10, false);
    fake_put(BTF, raw, btf_bytes);
    btf__free(b);
}

static void make_kernel(bool with_list, bool with_btf)
{
    static const struct tables_kind kind = {"", VALUES_PERCPU, false, false, 4};
    unsigned n = 0;

    for (; n < NR - 3; n++)
        symbol[n] = (struct tables_symbol){TEXT + 64 * n, 'T', name[n]};
    for (unsigned i = 0; i < n; i++)
        snprintf(name[i], sizeof(name[i]), "function_%u", i);
    if (with_btf) {
        make_btf();
        symbol[n++] = (struct tables_symbol){BTF, 'R', "__start_BTF"};
        symbol[n++] = (struct tables_symbol){BTF + btf_bytes, 'R', "__stop_BTF"};
    }
    if (with_list)
        symbol[n++] = (struct tables_symbol){LIST, 'D', "modules"};
    fake_map(RODATA, 64u << 10, false);
    assert_true(tables_build(&kind, symbol, n, TEXT, RODATA + 8, fake_at(RODATA + 8),
                             (64u << 10) - 8) != 0);
    fake_map(DATA, 4096, false);
    fake_put64(LIST, LIST);
}

static void put_region(unsigned i, unsigned kind, uint64_t base, uint32_t bytes)
{
    uint64_t at = MOD(i) + (l->by_kind ? l->core + 24 * kind : kind == 0 ? l->core : l->init);
    uint32_t text = bytes / 2;

    fake_put64(at + (l->by_kind ? 16 : 8), base);
    fake_put(at + (l->by_kind ? 4 : 16), &bytes, 4);
    if (!l->by_kind)
        fake_put(at + 24, &text, 4);
}

static void put_symbol(unsigned i, unsigned n, unsigned bind, unsigned type, uint64_t value,
                       uint64_t size, const char *text)
{
    Elf64_Sym sym = {.st_name = 32 * n,
                     .st_info = ELF64_ST_INFO(bind, type),
                     .st_shndx = 1,
                     .st_value = value,
                     .st_size = size};

    fake_put(TABLE(i) + 24 * n, &sym, sizeof(sym));
    fake_put(TABLE(i) + 0x800 + 32 * n, text, strlen(text) + 1);
}

/* Module i, the last of the list. */
static void put_module(unsigned i, uint32_t state, const char *text, bool has_init)
{
    uint64_t node = MOD(i) + l->list, last = LIST;
    uint32_t symbols = has_init ? 6 : 4;

    while (*(uint64_t *)fake_at(last) != LIST)
        last = *(uint64_t *)fake_at(last);
    fake_map(MOD(i), 0x4000, true);
    fake_put64(last, node);
    fake_put64(node, LIST);
    fake_put(MOD(i) + l->state, &state, 4);
    fake_put(MOD(i) + l->name, text, strlen(text) + 1);
    put_region(i, 0, CORE(i), 0x1000);
    if (has_init)
        put_region(i, 4, INIT(i), 0x1000);
    fake_put64(MOD(i) + l->kallsyms, TABLE(i) + 0xf00);
    fake_put64(TABLE(i) + 0xf00, TABLE(i) + 0x800);
    fake_put(TABLE(i) + 0xf08, &symbols, 4);
    fake_put64(TABLE(i) + 0xf10, TABLE(i));
    put_symbol(i, 0, 0, 0, 0, 0, "");
    put_symbol(i, 1, STB_LOCAL, STT_FUNC, CORE(i) + 0x40, 0x20, "work");
    put_symbol(i, 2, STB_GLOBAL, STT_OBJECT, CORE(i) + 0xf00, 8, "object");
    put_symbol(i, 3, STB_GLOBAL, STT_FUNC, 0xffffffffb0000000, 8, "elsewhere");
    put_symbol(i, 4, STB_GLOBAL, STT_FUNC, INIT(i), 0, "init_module");
    put_symbol(i, 5, STB_LOCAL, STT_FUNC, INIT(i), 0, "start_it");
}

static int setup(void **state)
{
    (void)state;
    l = &older;
    nested = false;
    s = pv_symbols_new();
    assert_non_null(s);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pv_symbols_free(s);
    fake_clear();
    return 0;
}

static void load(void)
{
    memset(&e, 0, sizeof(e));
    if (pv_symbols_guest(s, NULL, mfn(1), &count, &e) != 0)
        fail_msg("refused: %s", e.text);
}

static void names(uint64_t va, const char *text, const char *module, uint64_t offset, bool code)
{
    struct pv_symbol at;

    if (!pv_symbol_at(s, va, &at))
        fail_msg("%llx has no name: %s", (unsigned long long)va, e.text);
    assert_string_equal(at.name, text);
    assert_string_equal(at.module, module);
    assert_int_equal(at.offset, offset);
    assert_int_equal(at.is_code, code);
}

static void nameless(uint64_t va)
{
    struct pv_symbol at;

    if (pv_symbol_at(s, va, &at))
        fail_msg("%llx is %s", (unsigned long long)va, at.name);
}

static void left_out(const char *why)
{
    load();
    assert_string_equal(e.text, why);
    names(TEXT + 5, "function_0", "", 5, true);
}

/* ---- */

static void in_both_layouts_modules_have_names(void **state)
{
    const struct layout *const layouts[] = {&older, &newer};

    for (unsigned i = 0; i < 2; i++) {
        l = layouts[i];
        make_kernel(true, true);
        put_module(0, LIVE, "one", false);
        put_module(1, GOING, "two", false);
        load();
        assert_string_equal(e.text, "");
        names(CORE(0) + 0x41, "work", "one", 1, true);
        names(CORE(0) + 0xf00, "object", "one", 0, false);
        names(CORE(1) + 0x41, "work", "two", 1, true);
        nameless(CORE(0) + 0x60); /* behind its size */
        nameless(0xffffffffb0000000);
        names(TEXT + 5, "function_0", "", 5, true);
        teardown(state);
        setup(state);
    }
}

/* What a breach of the contract meets: the module's init function runs, its memory is not yet
 * freed. */
static void a_module_in_its_init_function_has_names(void **state)
{
    const struct layout *const layouts[] = {&older, &newer};

    for (unsigned i = 0; i < 2; i++) {
        l = layouts[i];
        make_kernel(true, true);
        put_module(0, COMING, "breach", true);
        load();
        assert_string_equal(e.text, "");
        names(INIT(0) + 0x10, "start_it", "breach", 0x10, true);
        names(CORE(0) + 0x41, "work", "breach", 1, true);
        /* Without a size it ends where the code does. */
        names(INIT(0) + (l->by_kind ? 0xfff : 0x7ff), "start_it", "breach",
              l->by_kind ? 0xfff : 0x7ff, true);
        if (!l->by_kind)
            nameless(INIT(0) + 0x800);
        teardown(state);
        setup(state);
    }
}

/* Its init function, called by the kernel; both have tables, and the words between are left over.
 */
static void the_stack_of_a_module_is_walked_by_its_tables(void **state)
{
    const int16_t entry[3] = {24, 0, 5}; /* the caller is 24 bytes up, by rsp */
    uint64_t caller = TEXT + 0x12;
    uint64_t stack[] = {caller, caller, caller};
    struct pv_stack_frame frame[PV_FRAMES];
    uint64_t ips = MOD(0) + 0x800, entries = MOD(0) + 0x900;
    int32_t offset = (int32_t)(INIT(0) - ips);
    uint32_t one = 1;

    (void)state;
    make_kernel(true, true);
    fake_map(TEXT, 4096, true);
    fake_put(TEXT + 0x10, "\xff\xd0", 2);
    put_module(0, COMING, "breach", true);
    fake_put(MOD(0) + l->arch + 4, &one, 4);
    fake_put64(MOD(0) + l->arch + 8, ips);
    fake_put64(MOD(0) + l->arch + 16, entries);
    fake_put(ips, &offset, 4);
    fake_put(entries, entry, 6);
    load();
    assert_int_equal(pv_stack_walk(s, NULL, mfn(1), INIT(0) + 0x10, DATA, stack, 3, frame), 2);
    assert_int_equal(frame[1].address, caller);
    assert_int_equal(frame[1].sp, DATA + 16);
    assert_true(frame[1].certain);
}

static void modules_come_and_go(void **state)
{
    (void)state;
    make_kernel(true, true);
    load();
    nameless(CORE(0) + 0x41);
    put_module(0, LIVE, "one", false);
    load();
    names(CORE(0) + 0x41, "work", "one", 1, true);
    fake_put64(LIST, LIST);
    load();
    nameless(CORE(0) + 0x41);
}

static void an_unformed_module_is_passed_over(void **state)
{
    (void)state;
    make_kernel(true, true);
    put_module(0, UNFORMED, "half", true);
    put_module(1, LIVE, "one", false);
    fake_put64(MOD(0) + l->kallsyms, 1);
    load();
    assert_string_equal(e.text, "");
    nameless(INIT(0));
    names(CORE(1) + 0x41, "work", "one", 1, true);
}

static void why_modules_are_left_out_is_said(void **state)
{
    (void)state;
    make_kernel(true, false);
    left_out("the kernel has no description of its types (BTF)");
    fake_clear();
    make_kernel(false, true);
    left_out("the kernel names no list of modules");
    fake_clear();
    make_kernel(true, true);
    fake_put64(BTF, 0);
    left_out("the kernel's BTF cannot be read: Invalid argument");
}

/* As many ways lead through these as atoms make up a planet. */
static void types_within_types_end(void **state)
{
    (void)state;
    nested = true;
    make_kernel(true, true);
    left_out("the kernel's struct module is none that is known here");
}

/* Of four bytes, at the very end: the pointer to the next module would lie behind it. */
static void a_list_of_another_size_is_refused(void **state)
{
    static const struct layout odd = {false, 8, 396, 40, 128, 192, 300, 320, 400};

    (void)state;
    l = &odd;
    make_kernel(true, true);
    put_module(0, LIVE, "one", false);
    left_out("the kernel's struct module is none that is known here");
}

static void lists_that_lie_end(void **state)
{
    (void)state;
    make_kernel(true, true);
    put_module(0, LIVE, "one", false);
    put_module(1, LIVE, "two", false);
    fake_put64(MOD(1) + l->list, MOD(0) + l->list); /* in a circle */
    load();
    assert_non_null(strstr(e.text, "the list of modules is broken after "));
    names(CORE(1) + 0x41, "work", "two", 1, true);
    fake_put64(MOD(1) + l->list, 0x1234);
    left_out("the list of modules is broken after 2");
    fake_put64(LIST, 0);
    left_out("the list of modules is broken after 0");
}

static void tables_that_cannot_be_read_are_named(void **state)
{
    uint32_t many = 200000;

    (void)state;
    make_kernel(true, true);
    put_module(0, LIVE, "one", false);
    put_module(1, LIVE, "two", false);
    fake_put64(MOD(0) + l->kallsyms, 0xffffffffd0000000);
    left_out("the symbols of 1 modules cannot be read, of one first");
    names(CORE(1) + 0x41, "work", "two", 1, true);
    fake_put(TABLE(1) + 0xf08, &many, 4);
    left_out("the symbols of 2 modules cannot be read, of one first");
}

static void damage_does_no_harm(void **state)
{
    static uint8_t good[64u << 10], module[0x4000];

    (void)state;
    srand(1);
    l = &newer;
    make_kernel(true, true);
    put_module(0, COMING, "one", true);
    memcpy(good, fake_at(BTF), sizeof(good));
    memcpy(module, fake_at(MOD(0)), sizeof(module));
    for (unsigned m = 0; m < MUTANTS; m++) {
        for (unsigned c = 0; c < 1 + m % 4; c++) {
            unsigned field = (unsigned)rand() % 1024;

            if (m % 2)
                *fake_at(BTF + (unsigned)rand() % btf_bytes) = (uint8_t)rand();
            else if (field < 512)
                *fake_at(MOD(0) + field) = (uint8_t)rand();
            else
                *fake_at(TABLE(0) + (field < 768 ? field - 512 : 0xf00 + field % 24)) =
                    (uint8_t)rand();
        }
        load();
        memcpy(fake_at(BTF), good, sizeof(good));
        memcpy(fake_at(MOD(0)), module, sizeof(module));
    }
    load();
    names(CORE(0) + 0x41, "work", "one", 1, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_both_layouts_modules_have_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_module_in_its_init_function_has_names, setup, teardown),
        cmocka_unit_test_setup_teardown(the_stack_of_a_module_is_walked_by_its_tables, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(modules_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unformed_module_is_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(why_modules_are_left_out_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(types_within_types_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_of_another_size_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_that_lie_end, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_that_cannot_be_read_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_does_no_harm, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
