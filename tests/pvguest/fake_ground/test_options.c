/* SPDX-License-Identifier: MIT */
/* The library's words of the command line. */
#include "fake.h"

static struct pvguest guest;

static int parse(const char *line, struct pvg_options *o)
{
    memset(&guest, 0, sizeof(guest));
    strcpy(guest.command_line, line);
    return pvg_options_parse(&guest, o);
}

static void defaults(void **state)
{
    struct pvg_options o = {.p2m = PVG_P2M_TREE, .memory_limit = 1, .faults = 1};
    (void)state;
    assert_int_equal(parse("", &o), 0);
    assert_int_equal(o.p2m, PVG_P2M_LINEAR);
    assert_int_equal(o.memory_limit, 0);
    assert_int_equal(o.faults, 0);
}

static void others_words(void **state)
{
    struct pvg_options o;
    (void)state;
    assert_int_equal(parse("  console=hvc0   xp2m=tree memx fault p2m mem  ", &o), 0);
    assert_int_equal(o.p2m, PVG_P2M_LINEAR);
    assert_int_equal(o.memory_limit, 0);
    assert_int_equal(o.faults, 0);
}

static void layouts(void **state)
{
    struct pvg_options o;
    (void)state;
    assert_int_equal(parse("p2m=tree", &o), 0);
    assert_int_equal(o.p2m, PVG_P2M_TREE);
    assert_int_equal(parse("p2m=tree x p2m=linear", &o), 0);
    assert_int_equal(o.p2m, PVG_P2M_LINEAR);
}

static void sizes(void **state)
{
    static const struct {
        const char *line;
        uint64_t pages;
    } at[] = {
        {"mem=4096", 1},
        {"mem=8191", 1},
        {"mem=8192", 2},
        {"mem=4k", 1},
        {"mem=64M", 16384},
        {"a mem=1g b", 262144},
        {"mem=18446744073709551615", UINT64_MAX >> 12},
        {"mem=17179869183G", 17179869183ull << 18},
        {"mem=1G mem=64M", 16384},
    };
    struct pvg_options o;
    (void)state;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        assert_int_equal(parse(at[i].line, &o), 0);
        assert_int_equal(o.memory_limit, at[i].pages);
    }
}

static void faults(void **state)
{
    struct pvg_options o;
    (void)state;
    assert_int_equal(parse("fault=high-tables-rw fault=high-tail-ro fault=ioremap-swapper "
                           "fault=initial-pinned fault=short-mfn-list",
                           &o),
                     0);
    assert_int_equal(o.faults, 0x1f);
    assert_int_equal(parse("fault=initial-pinned", &o), 0);
    assert_int_equal(o.faults, PVG_FAULT_INITIAL_PINNED);
}

/* Nothing is taken over of a line with a mistake, whatever else is in it. */
static void mistakes(void **state)
{
    static const struct {
        const char *line, *reason;
    } at[] = {
        {"p2m=", "command line: p2m=: linear or tree is wanted"},
        {"mem=1G p2m=trees", "command line: p2m=trees: linear or tree is wanted"},
        {"mem=", "command line: mem=: a number of bytes, or with K, M or G, is wanted"},
        {"mem=M", "command line: mem=M: a number of bytes, or with K, M or G, is wanted"},
        {"mem=1MM", "command line: mem=1MM: a number of bytes, or with K, M or G, is wanted"},
        {"mem=-1", "command line: mem=-1: a number of bytes, or with K, M or G, is wanted"},
        {"mem=1T", "command line: mem=1T: a number of bytes, or with K, M or G, is wanted"},
        {"mem=18446744073709551616", "command line: mem=18446744073709551616: a number of bytes, "
                                     "or with K, M or G, is wanted"},
        {"mem=17179869184G",
         "command line: mem=17179869184G: a number of bytes, or with K, M or G, is wanted"},
        {"mem=0", "command line: mem=0: less than a page"},
        {"mem=4095", "command line: mem=4095: less than a page"},
        {"fault=no", "command line: fault=no: one of high-tables-rw, high-tail-ro, "
                     "ioremap-swapper, initial-pinned, short-mfn-list is wanted"},
        {"fault=high-tail-ro,high-tables-rw and-so-on",
         "command line: fault=high-tail-ro,high-tables-rw: one of high-tables-rw, high-tail-ro, "
         "ioremap-swapper, initial-pinned, short-mfn-list is wanted"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        struct pvg_options o = {.p2m = PVG_P2M_TREE, .memory_limit = 77, .faults = 0x80};
        assert_int_equal(parse(at[i].line, &o), -XEN_EINVAL);
        assert_string_equal(pvg_reason(&guest), at[i].reason);
        assert_int_equal(o.p2m, PVG_P2M_TREE);
        assert_int_equal(o.memory_limit, 77);
        assert_int_equal(o.faults, 0x80);
    }
}

/* A word as long as the line is quoted in part. */
static void long_words(void **state)
{
    char line[MAX_GUEST_CMDLINE] = "p2m=";
    struct pvg_options o;
    (void)state;
    memset(line + 4, 'x', sizeof(line) - 5);
    assert_int_equal(parse(line, &o), -XEN_EINVAL);
    assert_string_equal(pvg_reason(&guest), "command line: p2m=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: "
                                            "linear or tree is wanted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),   cmocka_unit_test(others_words), cmocka_unit_test(layouts),
        cmocka_unit_test(sizes),      cmocka_unit_test(faults),       cmocka_unit_test(mistakes),
        cmocka_unit_test(long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
