/* SPDX-License-Identifier: MIT */
/* What the checker makes of the guest's lists: which of their differences break R7, and with which
 * code. The lists are made up here (the functions of p2m.h are wrapped). */
#include "made.h"

#include <stdio.h>

#include "check.h"

static struct pv_p2m_source source[PV_P2M_KINDS];
static struct pv_p2m_range range[8];
static unsigned ranges;
static bool fails;
static uint64_t list_end; /* the tree has frames below */

const char *__wrap_pv_p2m_name(enum pv_p2m_kind k);
const struct pv_p2m_source *__wrap_pv_p2m_source(const struct pv_p2m *p, enum pv_p2m_kind k);
int __wrap_pv_p2m_compare(const struct pv_p2m *p, pv_each_p2m_range *each, void *context,
                          struct pv_p2m_summary *out, const struct pv_progress *progress,
                          struct pv_error *e);

const char *__wrap_pv_p2m_name(enum pv_p2m_kind k)
{
    return k == PV_P2M_TREE ? "mfn_list_list" : "linear";
}

const struct pv_p2m_source *__wrap_pv_p2m_source(const struct pv_p2m *p, enum pv_p2m_kind k)
{
    (void)p;
    return &source[k];
}

int __wrap_pv_p2m_compare(const struct pv_p2m *p, pv_each_p2m_range *each, void *context,
                          struct pv_p2m_summary *out, const struct pv_progress *progress,
                          struct pv_error *e)
{
    (void)p;
    (void)progress;
    *out = (struct pv_p2m_summary){.ranges = ranges};
    out->end[PV_P2M_TREE] = out->end[PV_P2M_LINEAR] = pfn(list_end);
    for (unsigned i = 0; i < ranges && each && each(context, &range[i]); i++)
        ;
    if (fails)
        snprintf(e->text, sizeof(e->text), "interrupted");
    return fails ? -1 : 0;
}

static int begin(void **state)
{
    (void)state;
    memset(source, 0, sizeof(source));
    source[PV_P2M_CONTAINER].there = source[PV_P2M_TREE].there = true;
    source[PV_P2M_TREE].end = 48;
    ranges = 0;
    fails = false;
    list_end = 100;
    return 0;
}

/* pfns 48 to 63 have frames; the tree says something else. */
static void say(enum pv_p2m_kind k, enum pv_p2m_state state, bool has_frame)
{
    struct pv_p2m_range *r = &range[ranges++];
    *r = (struct pv_p2m_range){
        .first = {48}, .last = {63}, .differs = 1u << k, .from = PV_P2M_CONTAINER};
    r->entry[PV_P2M_CONTAINER] = (struct pv_p2m_entry){
        .state = has_frame ? PV_P2M_FRAME : PV_P2M_MISSING, .mfn = {0x100}, .at = {~0ull}};
    r->entry[k] = (struct pv_p2m_entry){.state = state, .mfn = {0x200}, .at = {0x3000}};
}

static void checked(const char *code, enum pv_answer answer)
{
    struct made *m = made_new(8, 0);
    made_context(m)->gdt_ents = made_context(m)->ldt_ents = 0;
    struct pv_view *v = made_open(m);
    struct pv_check c;
    struct pv_error e;
    if (pv_check(v, (const struct pv_p2m *)source, NULL, &c, &e))
        fail_msg("%s", e.text);
    assert_int_equal(c.rule[7].answer, answer);
    assert_int_equal(c.rule[7].findings, code != NULL);
    if (code) {
        assert_string_equal(c.finding[0].code, code);
        assert_int_equal(c.finding[0].rule, 7);
        assert_int_equal(c.finding[0].pfn.n, 48);
        assert_int_equal(c.finding[0].count, 16);
        assert_non_null(strstr(c.finding[0].text, "mfn_list_list"));
    }
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

static void each_code(void **state)
{
    const struct {
        const char *code;
        enum pv_p2m_state says;
        bool has_frame;
    } ways[] = {
        {"list-missing", PV_P2M_BEYOND, true},        {"list-missing", PV_P2M_MISSING, true},
        {"list-differs", PV_P2M_FRAME, true},         {"list-differs", PV_P2M_IDENTITY, true},
        {"list-differs", PV_P2M_FOREIGN, true},       {"list-stray", PV_P2M_FRAME, false},
        {"list-unreadable", PV_P2M_UNREADABLE, true},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        begin(state);
        say(PV_P2M_TREE, ways[i].says, ways[i].has_frame);
        checked(ways[i].code, PV_BROKEN);
    }
}

/* Nothing comes behind: whether it says so or has empty elements. */
static void short_lists(void **state)
{
    (void)state;
    list_end = 48;
    say(PV_P2M_TREE, PV_P2M_BEYOND, true);
    checked("list-short", PV_BROKEN);
    range[0].entry[PV_P2M_TREE].state = PV_P2M_MISSING;
    checked("list-short", PV_BROKEN);
    list_end = 49;
    checked("list-missing", PV_BROKEN);
}

/* Marks where there is no memory are the guest's own business. */
static void what_may_be(void **state)
{
    (void)state;
    say(PV_P2M_TREE, PV_P2M_IDENTITY, false);
    say(PV_P2M_TREE, PV_P2M_FOREIGN, false);
    say(PV_P2M_TREE, PV_P2M_BEYOND, false);
    checked(NULL, PV_HOLDS);
}

/* The builder's list is left behind by every kernel; the kernel's own are its own. */
static void what_nobody_publishes(void **state)
{
    (void)state;
    source[PV_P2M_FLAT].there = source[PV_P2M_SYMBOLS].there = true;
    say(PV_P2M_FLAT, PV_P2M_FRAME, true);
    say(PV_P2M_SYMBOLS, PV_P2M_BEYOND, true);
    checked(NULL, PV_HOLDS);
}

static void a_stale_list(void **state)
{
    (void)state;
    source[PV_P2M_TREE].stale = true;
    say(PV_P2M_TREE, PV_P2M_FRAME, true);
    checked(NULL, PV_UNDECIDABLE);
}

static void no_list(void **state)
{
    (void)state;
    source[PV_P2M_TREE].there = false;
    checked(NULL, PV_UNDECIDABLE);
}

static void it_ends_early(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    struct pv_check c;
    struct pv_error e;
    fails = true;
    assert_int_equal(pv_check(v, (const struct pv_p2m *)source, NULL, &c, &e), -1);
    assert_non_null(strstr(e.text, "interrupted"));
    pv_close(v);
    made_free(m);
}

/* ---- what is published, and is no list */

static void published_as(void (*publish)(struct made *m), bool there, const char *code)
{
    struct made *m = made_new(8, 0);
    made_publish_tree(m);
    made_shared(m)->arch.max_pfn = 11;
    publish(m);
    struct pv_view *v = made_open(m);
    struct pv_check c;
    struct pv_error e;
    source[PV_P2M_TREE].there = source[PV_P2M_LINEAR].there = there;
    assert_int_equal(pv_check(v, (const struct pv_p2m *)source, NULL, &c, &e), 0);
    assert_int_equal(c.rule[7].findings, code != NULL);
    if (code) {
        assert_string_equal(c.finding[c.kept - 1].code, code); /* the lists are the last */
        assert_int_equal(c.rule[7].answer, PV_BROKEN);
    }
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

static void as_it_is(struct made *m)
{
    (void)m;
}

static void without_max_pfn(struct made *m)
{
    made_shared(m)->arch.max_pfn = 0;
}

static void with_a_stale_root(struct made *m)
{
    made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(0x7777);
}

static void no_list_where_one_is_published(void **state)
{
    (void)state;
    published_as(as_it_is, true, NULL);
    published_as(as_it_is, false, "list-unreadable");
    published_as(without_max_pfn, false, "list-short");
    published_as(with_a_stale_root, true, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_code, begin),
        cmocka_unit_test_setup(short_lists, begin),
        cmocka_unit_test_setup(what_may_be, begin),
        cmocka_unit_test_setup(what_nobody_publishes, begin),
        cmocka_unit_test_setup(a_stale_list, begin),
        cmocka_unit_test_setup(no_list, begin),
        cmocka_unit_test_setup(it_ends_early, begin),
        cmocka_unit_test_setup(no_list_where_one_is_published, begin),
    };
    return cmocka_run_group_tests_name("check-lists", tests, NULL, NULL);
}
