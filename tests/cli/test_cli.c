/* SPDX-License-Identifier: MIT */
/* The command's parts that need no machine, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "exitcodes.h"
#include "grubcfg.h"
#include "lines.h"
#include "mailbox.h"
#include "memfd.h"
#include "options.h"
#include "verdict.h"
#include "xenlog.h"

/* --- error */

static void errors_chain_their_context(void **state)
{
    struct error e;

    (void)state;
    assert_int_equal(error_set(&e, EXIT_UNTESTABLE, "segment %d wraps", 3), -1);
    assert_int_equal(error_context(&e, "kernel %s", "vmlinuz"), -1);
    assert_string_equal(e.text, "kernel vmlinuz: segment 3 wraps");
    assert_int_equal(e.code, EXIT_UNTESTABLE);
}

static void errors_longer_than_the_buffer_are_cut(void **state)
{
    struct error e;

    (void)state;
    error_set(&e, EXIT_USAGE, "%0*d", 2 * ERROR_CHARS, 0);
    error_context(&e, "%0*d", 2 * ERROR_CHARS, 1);
    assert_int_equal(strlen(e.text), ERROR_CHARS - 1);
}

/* --- grubcfg */

static void expect_script(const struct grubcfg *g, const char *wanted)
{
    struct error e;
    char *script = grubcfg_make(g, &e);

    assert_non_null(script);
    assert_string_equal(script, wanted);
    free(script);
}

static void what_it_means_is_never_cut(void **state)
{
    struct error e;

    (void)state;
    error_set(&e, 3, "no answer");
    assert_int_equal(error_consequence(&e, 4, "say %s", "resume"), -1);
    assert_int_equal(e.code, 4);
    assert_string_equal(e.text, "no answer: say resume");
    error_set(&e, 3, "%0*d", 2 * ERROR_CHARS, 1);
    error_consequence(&e, 4, "say %s", "resume");
    assert_int_equal(strlen(e.text), ERROR_CHARS - 1);
    assert_non_null(strstr(e.text, "00...: say resume"));
}

static void scripts_hide_what_means_something_to_grub(void **state)
{
    const struct grubcfg g = {.ramdisk = true,
                              .hypervisor_arguments = "mem=4096 seed=0x1",
                              .guest_arguments = "a=\"b\" $c;'d'\\\n\xc3"};
    (void)state;
    expect_script(&g, "if multiboot2 /hypervisor 'mem=4096' 'seed=0x1'; then\n"
                      "if module2 --nounzip /kernel "
                      "'a=\\x22b\\x22\\x20\\x24c\\x3b\\x27d\\x27\\x5c\\x0a\\xc3'; then\n"
                      "if module2 --nounzip /ramdisk; then\nboot\nfi\nfi\nfi\nhalt\n");
}

static void scripts_without_arguments_or_ramdisk(void **state)
{
    const struct grubcfg g = {.hypervisor_arguments = "", .guest_arguments = ""};

    (void)state;
    expect_script(&g, "if multiboot2 /hypervisor; then\n"
                      "if module2 --nounzip /kernel; then\nboot\nfi\nfi\nhalt\n");
}

static void scripts_end_with_the_memory_map(void **state)
{
    struct grubcfg g = {.e820 = true, .hypervisor_arguments = "e820=1", .guest_arguments = ""};

    (void)state;
    expect_script(&g, "if multiboot2 /hypervisor 'e820=1'; then\n"
                      "if module2 --nounzip /kernel; then\n"
                      "if module2 --nounzip /e820; then\nboot\nfi\nfi\nfi\nhalt\n");
    g.ramdisk = true;
    expect_script(&g, "if multiboot2 /hypervisor 'e820=1'; then\n"
                      "if module2 --nounzip /kernel; then\n"
                      "if module2 --nounzip /ramdisk; then\n"
                      "if module2 --nounzip /e820; then\nboot\nfi\nfi\nfi\nfi\nhalt\n");
}

static void scripts_for_xen_are_word_by_word(void **state)
{
    const struct grubcfg g = {
        .real_xen = true, .hypervisor_arguments = "x", .guest_arguments = "a  b=$c;"};

    (void)state;
    expect_script(&g, "if multiboot2 /hypervisor 'x'; then\n"
                      "if module2 --nounzip /kernel 'a' '' 'b=$c;'; then\nboot\nfi\nfi\nhalt\n");
}

static void scripts_for_xen_refuse_what_grub_would_change(void **state)
{
    static const char *const bad[] = {"a\\b", "a\"b", "a'b", "a\nb", "a\tb", "\x7f"};
    struct error e;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct grubcfg g = {
            .real_xen = true, .hypervisor_arguments = "", .guest_arguments = bad[i]};

        assert_null(grubcfg_make(&g, &e));
        assert_int_equal(e.code, EXIT_USAGE);
    }
}

/* --- lines */

struct seen {
    char text[16][64];
    int count;
};

static void see(void *ctx, const char *line)
{
    struct seen *s = ctx;

    assert_true(s->count < 16);
    strncpy(s->text[s->count++], line, 63);
}

static void lines_do_not_depend_on_the_pieces(void **state)
{
    static const char input[] = "one\r\ntwo\n\nlast";

    (void)state;
    for (size_t cut = 0; cut < sizeof(input); cut++) {
        struct seen seen = {0};
        struct lines l = {.each = see, .ctx = &seen};

        lines_feed(&l, input, cut);
        lines_feed(&l, input + cut, sizeof(input) - 1 - (cut < sizeof(input) ? cut : 0));
        assert_int_equal(seen.count, 3);
        assert_string_equal(seen.text[0], "one");
        assert_string_equal(seen.text[1], "two");
        assert_string_equal(seen.text[2], "");
        assert_true(lines_pending(&l));
        lines_peek(&l);
        assert_string_equal(seen.text[3], "last");
    }
}

static void a_line_without_end_is_cut(void **state)
{
    struct seen seen = {0};
    static struct lines l;

    (void)state;
    l = (struct lines){.each = see, .ctx = &seen};
    for (int i = 0; i < LINE_CHARS + 1; i++)
        lines_feed(&l, "x", 1);
    assert_int_equal(seen.count, 1);
    assert_true(lines_pending(&l));
}

/* --- options */

static void sizes_have_units(void **state)
{
    uint64_t n;

    (void)state;
    assert_true(parse_size("4096", &n) && n == 4096);
    assert_true(parse_size("3K", &n) && n == 3072);
    assert_true(parse_size("2m", &n) && n == 2u << 20);
    assert_true(parse_size("1G", &n) && n == 1u << 30);
    assert_false(parse_size("", &n));
    assert_false(parse_size("G", &n));
    assert_false(parse_size("1T", &n));
    assert_false(parse_size("1MB", &n));
    assert_false(parse_size("-1", &n));
    assert_false(parse_size("+1", &n));
    assert_false(parse_size("17179869184G", &n));
    assert_false(parse_size("18446744073709551616", &n));
}

static void check_line(const char *given, const char *wanted)
{
    char *line = guest_command_line(given);

    assert_string_equal(line, wanted);
    free(line);
}

static void the_guest_gets_a_console_unless_it_has_one(void **state)
{
    (void)state;
    check_line("", "console=hvc0 earlyprintk=xen");
    check_line("quiet", "console=hvc0 earlyprintk=xen quiet");
    check_line("console=tty0 quiet", "earlyprintk=xen console=tty0 quiet");
    check_line("a=1 earlyprintk=none", "console=hvc0 a=1 earlyprintk=none");
    check_line("noconsole=1", "console=hvc0 earlyprintk=xen noconsole=1");
}

/* --- what Xen says */

static void see_xen(struct xen_log *x, const char *const *lines)
{
    *x = (struct xen_log){0};
    for (; *lines != NULL; lines++)
        xen_log_line(x, *lines);
}

static void xen_outcomes_are_recognised(void **state)
{
    static const struct {
        const char *lines[4];
        enum pvmm_outcome outcome;
    } cases[] = {
        {{"(XEN) Hardware Dom0 halted: halting machine"}, PVMM_OUTCOME_POWEROFF},
        {{"(XEN) Entering ACPI S5 state."}, PVMM_OUTCOME_POWEROFF},
        {{"(XEN) Hardware Dom0 shutdown: rebooting machine"}, PVMM_OUTCOME_REBOOT},
        {{"[ 1.0] half a li(XEN) Hardware Dom0 crashed: x"}, PVMM_OUTCOME_CRASH},
        {{"(XEN) Panic on CPU 0:", "(XEN) FATAL TRAP"}, PVMM_OUTCOME_PANIC},
        {{"(XEN) Panic on CPU 0:", "(XEN) Could not construct domain 0"}, PVMM_OUTCOME_BAD_GUEST},
        {{"(XEN) Panic on CPU 0:", "(XEN) ****"}, PVMM_OUTCOME_NONE},
        {{"Hardware Dom0 crashed: says the guest"}, PVMM_OUTCOME_NONE},
        {{"(XEN) Dom0 has maximum 1 VCPUs"}, PVMM_OUTCOME_NONE},
    };
    struct xen_log x;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        see_xen(&x, cases[i].lines);
        assert_int_equal(x.outcome, cases[i].outcome);
    }
}

static void xen_s_first_word_on_a_crash_is_kept(void **state)
{
    static const char *const lines[] = {"(XEN) Domain 0 (vcpu#0) crashed on cpu#0:",
                                        "(XEN) Hardware Dom0 crashed: rebooting", NULL};
    struct xen_log x;

    (void)state;
    see_xen(&x, lines);
    assert_string_equal(x.message, "Xen says: Domain 0 (vcpu#0) crashed on cpu#0:");
}

/* --- the mailbox, fed by a hypervisor that may be mad */

#define BOX_AT 0x3010u

struct machine_memory {
    int fd;
    struct pvmm_mailbox box;
};

static int make_memory(void **state)
{
    struct machine_memory *m = calloc(1, sizeof(*m));
    struct error e;

    m->fd = memfd_new("test", 1 << 20, &e);
    m->box.magic = PVMM_MAILBOX_MAGIC;
    m->box.version = PVMM_MAILBOX_VERSION;
    m->box.size = sizeof(m->box);
    m->box.log_size = PVMM_LOG_SIZE;
    m->box.state = PVMM_STATE_RUNNING;
    *state = m;
    return 0;
}

static int drop_memory(void **state)
{
    struct machine_memory *m = *state;

    close(m->fd);
    free(m);
    return 0;
}

static int hello(struct machine_memory *m, struct mailbox *b, const char *text)
{
    struct error e;

    *b = (struct mailbox){0};
    assert_int_equal(pwrite(m->fd, &m->box, sizeof(m->box), BOX_AT), sizeof(m->box));
    return mailbox_feed(b, m->fd, text, strlen(text), &e);
}

static void a_mailbox_is_found_by_its_hello(void **state)
{
    struct machine_memory *m = *state;
    struct pvmm_verdict v;
    struct mailbox b;

    memset(m->box.verdict.message, 0xff, sizeof(m->box.verdict.message));
    memset(m->box.verdict.audit.finding, 'x', sizeof(m->box.verdict.audit.finding));
    assert_int_equal(hello(m, &b, "junk\n*\n@3010 80000\n*\n"), 0);
    assert_int_equal(mailbox_state(&b), PVMM_STATE_RUNNING);
    assert_true(mailbox_verdict(&b, &v));
    assert_int_equal(strlen(v.message), PVMM_MESSAGE_CHARS - 1);
    assert_int_equal(strlen(v.audit.finding[7]), PVMM_FINDING_CHARS - 1);
    assert_int_equal(v.message[0], ' ');
    mailbox_close(&b);
}

static void a_mailbox_that_cannot_be_is_refused(void **state)
{
    static const char *const texts[] = {
        "@3010 10\n",     "@fffffffffffff010 80000\n",
        "@f0000 80000\n", "@80000000 80000\n",
        "@3011 80000\n",  "@4000 80000\n",
        "@zz 1\n",        "@\n",
    };
    struct machine_memory *m = *state;
    struct mailbox b;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(hello(m, &b, texts[i]), -1);
        assert_null(b.box);
    }
    m->box.version++;
    assert_int_equal(hello(m, &b, "@3010 80000\n"), -1);
}

static void the_log_is_copied_once_and_wraps(void **state)
{
    struct machine_memory *m = *state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct mailbox b;

    memcpy(m->box.log, "hello\n", 6);
    m->box.log_written = 6;
    assert_int_equal(hello(m, &b, "@3010 80000\n"), 0);
    mailbox_copy_log(&b, out);
    mailbox_copy_log(&b, out);
    assert_string_equal(text, "hello\n");
    m->box.log_written = 6 + 3 * PVMM_LOG_SIZE;
    assert_int_equal(pwrite(m->fd, &m->box, sizeof(m->box), BOX_AT), sizeof(m->box));
    mailbox_copy_log(&b, out);
    assert_non_null(strstr(text, "bytes lost"));
    assert_true(size <= PVMM_LOG_SIZE + 64);
    mailbox_close(&b);
    fclose(out);
    free(text);
}

static void the_end_of_the_log_is_whole_lines(void **state)
{
    struct machine_memory *m = *state;
    struct mailbox b;
    char text[16];

    memcpy(m->box.log, "first line\nsecond\1\nthird\n", 25);
    m->box.log_written = 25;
    assert_int_equal(hello(m, &b, "@3010 80000\n"), 0);
    mailbox_log_tail(&b, text, sizeof(text));
    assert_string_equal(text, "second \nthird\n");
    mailbox_log_tail(&b, text, 8);
    assert_string_equal(text, "third\n");
    mailbox_close(&b);
}

/* --- the verdict */

struct verdict_case {
    struct run_facts facts;
    int code;
    const char *outcome;
};

#define GUEST(o) .end = END_GUEST, .ended = true, .has_verdict = true, .verdict.outcome = (o)

static const struct verdict_case verdict_cases[] = {
    {{GUEST(PVMM_OUTCOME_POWEROFF)}, EXIT_CLEAN, "poweroff"},
    {{GUEST(PVMM_OUTCOME_REBOOT)}, EXIT_CLEAN, "reboot"},
    {{GUEST(PVMM_OUTCOME_SUSPEND)}, EXIT_CRASHED, "suspend"},
    {{GUEST(PVMM_OUTCOME_SUSPEND), .saved = true}, EXIT_CLEAN, "saved"},
    {{GUEST(PVMM_OUTCOME_SUSPEND), .saved = true, .moved = true}, EXIT_CLEAN, "moved"},
    {{GUEST(PVMM_OUTCOME_CRASH)}, EXIT_CRASHED, "crash"},
    {{GUEST(PVMM_OUTCOME_KILLED)}, EXIT_CRASHED, "killed"},
    {{GUEST(PVMM_OUTCOME_BAD_GUEST)}, EXIT_UNTESTABLE, "untestable"},
    {{GUEST(PVMM_OUTCOME_PANIC)}, EXIT_HYPERVISOR, "hypervisor-failed"},
    {{GUEST(77)}, EXIT_HYPERVISOR, "unknown"},
    {{GUEST(PVMM_OUTCOME_POWEROFF), .expect_given = true}, EXIT_CRASHED, "poweroff"},
    {{GUEST(PVMM_OUTCOME_REBOOT), .expect_given = true}, EXIT_CRASHED, "reboot"},
    {{GUEST(PVMM_OUTCOME_CRASH), .expect_given = true, .expect_seen = true},
     EXIT_CLEAN,
     "expected"},
    {{GUEST(PVMM_OUTCOME_POWEROFF), .verdict.audit = {.taken = 1, .findings = 2}},
     EXIT_HYPERVISOR,
     "poweroff"},
    {{GUEST(PVMM_OUTCOME_POWEROFF), .verdict.audit = {.taken = 0, .findings = 2}},
     EXIT_CLEAN,
     "poweroff"},
    {{.end = END_EXPECT,
      .ended = true,
      .has_verdict = true,
      .expect_given = true,
      .expect_seen = true,
      .verdict.outcome = PVMM_OUTCOME_STOPPED},
     EXIT_CLEAN,
     "expected"},
    {{.end = END_EXPECT, .expect_given = true, .expect_seen = true}, EXIT_CLEAN, "expected"},
    {{.end = END_EXPECT,
      .ended = true,
      .has_verdict = true,
      .expect_given = true,
      .expect_seen = true,
      .verdict.outcome = PVMM_OUTCOME_PANIC},
     EXIT_HYPERVISOR,
     "hypervisor-failed"},
    {{.end = END_TIMEOUT}, EXIT_TIMEOUT, "timeout"},
    {{.end = END_TIMEOUT, .ended = true, .verdict.outcome = PVMM_OUTCOME_STOPPED},
     EXIT_TIMEOUT,
     "timeout"},
    {{.end = END_INTERRUPT}, EXIT_INTERRUPTED, "interrupted"},
    {{.end = END_TERMINATE}, EXIT_TERMINATED, "interrupted"},
    {{.end = END_OUTPUT}, EXIT_ENVIRONMENT, "environment"},
    {{.end = END_CHANNEL, .trouble = "no mailbox"}, EXIT_ENVIRONMENT, "environment"},
    {{.end = END_MACHINE, .qemu_status = 9}, EXIT_ENVIRONMENT, "environment"},
    {{.end = END_MACHINE, .qemu_status = 1 << 8}, EXIT_ENVIRONMENT, "environment"},
    {{.end = END_MACHINE, .qemu_status = 0}, EXIT_HYPERVISOR, "hypervisor-failed"},
};

static void verdicts_follow_from_facts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(verdict_cases) / sizeof(verdict_cases[0]); i++) {
        struct report r = {.facts = verdict_cases[i].facts};

        report_decide(&r);
        assert_int_equal(r.exit_code, verdict_cases[i].code);
        assert_string_equal(r.outcome, verdict_cases[i].outcome);
        assert_true(r.message[0] != '\0');
    }
}

static void hypercalls_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(hypercall_name(1), "mmu_update");
    assert_string_equal(hypercall_name(32), "event_channel_op");
    assert_null(hypercall_name(11));
    assert_null(hypercall_name(1000));
}

/* All of the text and all of the JSON, on a verdict in which nothing is zero. */
static void a_full_verdict_can_be_told(void **state)
{
    struct report r = {.kernel = "k", .hypervisor = "pvmm", .accel = "tcg", .memory = 1};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    memset(&r.facts.verdict, 1, sizeof(r.facts.verdict));
    r.facts.verdict.message[PVMM_MESSAGE_CHARS - 1] = '\0';
    for (int i = 0; i < (int)PVMM_FINDINGS; i++)
        strcpy(r.facts.verdict.audit.finding[i], "a finding");
    r.facts.verdict.outcome = PVMM_OUTCOME_POWEROFF;
    r.facts.end = END_GUEST;
    r.facts.ended = r.facts.has_verdict = true;
    report_decide(&r);
    report_print(&r, out);
    assert_int_equal(report_json(&r, out), 0);
    fclose(out);
    assert_non_null(strstr(text, "DIFFERENCES"));
    assert_non_null(strstr(text, "number 11"));
    assert_non_null(strstr(text, "\"exit_code\": 131"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_chain_their_context),
        cmocka_unit_test(errors_longer_than_the_buffer_are_cut),
        cmocka_unit_test(what_it_means_is_never_cut),
        cmocka_unit_test(scripts_hide_what_means_something_to_grub),
        cmocka_unit_test(scripts_without_arguments_or_ramdisk),
        cmocka_unit_test(scripts_end_with_the_memory_map),
        cmocka_unit_test(scripts_for_xen_are_word_by_word),
        cmocka_unit_test(scripts_for_xen_refuse_what_grub_would_change),
        cmocka_unit_test(lines_do_not_depend_on_the_pieces),
        cmocka_unit_test(a_line_without_end_is_cut),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(the_guest_gets_a_console_unless_it_has_one),
        cmocka_unit_test(xen_outcomes_are_recognised),
        cmocka_unit_test(xen_s_first_word_on_a_crash_is_kept),
        cmocka_unit_test_setup_teardown(a_mailbox_is_found_by_its_hello, make_memory, drop_memory),
        cmocka_unit_test_setup_teardown(a_mailbox_that_cannot_be_is_refused, make_memory,
                                        drop_memory),
        cmocka_unit_test_setup_teardown(the_log_is_copied_once_and_wraps, make_memory, drop_memory),
        cmocka_unit_test_setup_teardown(the_end_of_the_log_is_whole_lines, make_memory,
                                        drop_memory),
        cmocka_unit_test(verdicts_follow_from_facts),
        cmocka_unit_test(hypercalls_have_their_names),
        cmocka_unit_test(a_full_verdict_can_be_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
