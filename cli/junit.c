/* SPDX-License-Identifier: MIT */
#include "junit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitcodes.h"
#include "pvimage.h"
#include "symbols.h"
#include "version.h"
#include "xmltext.h"

#define SHOWN_CHARS 2048u /* of the console, at what failed */
#define CASES       6u

enum answer { PASSED, FAILED, ERRED, SKIPPED };

struct junit_case {
    const char *name;
    enum answer answer;
    char why[ERROR_CHARS + 64];
    double seconds;
};

int junit_begin(struct junit *j, char *path, struct error *e)
{
    *j = (struct junit){.file = OUTFILE_NONE, .path = path, .start = time(NULL)};
    j->tail = calloc(1, sizeof(*j->tail));
    if (j->path == NULL || j->tail == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "--junit: out of memory");
    if (outfile_begin(&j->file, j->path, e) != 0)
        return error_context(e, "--junit");
    unlink(j->path);
    return 0;
}

void junit_close(struct junit *j)
{
    outfile_abandon(&j->file);
    free(j->path);
    free(j->tail);
    *j = JUNIT_NONE;
}

/* --- the questions --- */

static void answer(struct junit_case *c, const char *name, enum answer a, const char *why)
{
    c->name = name;
    c->answer = a;
    snprintf(c->why, sizeof(c->why), "%s", why);
}

static bool guests_fault(const struct report *r)
{
    return r->exit_code == EXIT_CRASHED || r->exit_code == EXIT_TIMEOUT;
}

static bool nobodys_fault(const struct report *r)
{
    return r->exit_code == EXIT_CLEAN;
}

static bool audit_erred(const struct report *r)
{
    return r->facts.ended && r->facts.verdict.audit.taken && r->facts.verdict.audit.findings != 0;
}

static bool contract_failed(const struct report *r)
{
    return r->exit_code == EXIT_CRASHED && strcmp(r->outcome, "broken") == 0;
}

/* What is neither the guest's fault nor found by the audit: the environment, the hypervisor, a
 * kernel that cannot be tested, somebody who ended it. */
static void ask_machine(struct junit_case *c, const struct report *r)
{
    const bool wrong = !nobodys_fault(r) && !guests_fault(r);
    const bool told = r->exit_code == EXIT_HYPERVISOR && audit_erred(r);

    answer(c, "machine", wrong && !told ? ERRED : PASSED, r->message);
    c->seconds = r->facts.wall;
}

static void ask_boot(struct junit_case *c, const struct report *r)
{
    const struct run_facts *f = &r->facts;
    const bool known = f->has_verdict && !f->real_xen && !r->restored;

    answer(c, "boot", SKIPPED, r->restored ? "it was restored" : "not known");
    if (known && f->verdict.ns_to_user != 0) {
        answer(c, "boot", PASSED, "");
        c->seconds = (double)f->verdict.ns_to_user / 1e9;
    } else if (nobodys_fault(r))
        answer(c, "boot", PASSED, "");
    else if (known && guests_fault(r) && !f->expect_seen)
        answer(c, "boot", FAILED, "init was not reached");
}

static void ask_expect(struct junit_case *c, const struct report *r)
{
    if (!r->facts.expect_given)
        answer(c, "expect", SKIPPED, "no text was expected");
    else if (r->facts.expect_seen)
        answer(c, "expect", PASSED, "");
    else if (guests_fault(r) && !contract_failed(r))
        answer(c, "expect", FAILED, r->message);
    else
        answer(c, "expect", SKIPPED, r->message);
}

/* Did it go down by itself, and orderly? */
static void ask_end(struct junit_case *c, const struct report *r)
{
    const struct run_facts *f = &r->facts;
    const bool waited = f->expect_given && !f->expect_seen;
    const bool down = f->ended && (f->verdict.outcome == PVMM_OUTCOME_POWEROFF ||
                                   f->verdict.outcome == PVMM_OUTCOME_REBOOT);

    if (nobodys_fault(r) || (guests_fault(r) && down))
        answer(c, "end", PASSED, "");
    else if (contract_failed(r) || (waited && r->exit_code == EXIT_TIMEOUT) || !guests_fault(r))
        answer(c, "end", SKIPPED, r->message);
    else
        answer(c, "end", FAILED, r->message);
}

/* Breaches without --strict fail no run, but are seen. */
static void ask_contract(struct junit_case *c, const struct report *r)
{
    const struct explainer *x = r->explainer;
    char why[96];

    if (contract_failed(r))
        answer(c, "contract", FAILED, r->message);
    else if (x == NULL || !x->sum.known)
        answer(c, "contract", SKIPPED, "not known");
    else if (x->sum.broken == 0)
        answer(c, "contract", PASSED, "");
    else {
        snprintf(why, sizeof(why), "broken %" PRIu64 " times, which without --strict fails no run",
                 x->sum.broken);
        answer(c, "contract", SKIPPED, why);
    }
}

static void ask_audit(struct junit_case *c, const struct report *r)
{
    const struct pvmm_audit *a = &r->facts.verdict.audit;

    if (audit_erred(r))
        answer(c, "audit", r->exit_code == EXIT_HYPERVISOR ? ERRED : SKIPPED, a->finding[0]);
    else if (r->facts.ended && a->taken)
        answer(c, "audit", PASSED, "");
    else
        answer(c, "audit", SKIPPED, "not taken");
}

/* --- the file --- */

static void property(FILE *out, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    fputs("<property", out);
    xml_attribute(out, "name", name);
    xml_attribute(out, "value", value);
    fputs("/>\n", out);
}

static void number(FILE *out, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    property(out, name, text);
}

static void put_kernel_id(FILE *out, const struct kernel *k)
{
    struct pv_build_id id = {.bytes = 0};
    char text[PV_BUILD_ID_CHARS];
    struct pv_error unused;

    if (k->elf_fd >= 0 && pv_build_id_fd(&id, k->elf_fd, &unused) == 0 && id.bytes != 0)
        property(out, "kernel.build_id", pv_build_id_text(&id, text));
}

/* A line of each. */
static void put_versions(FILE *out)
{
    const char *second = strchr(version_text(), '\n') + 1;
    char line[PATH_MAX + 512];

    snprintf(line, sizeof(line), "%.*s", (int)(second - 1 - version_text()), version_text());
    property(out, "pvmm", line);
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(second, "\n"), second);
    property(out, "pvmm.hypervisor", line);
}

static void put_properties(FILE *out, const struct report *r, const struct options *o,
                           const struct kernel *k)
{
    const struct run_facts *f = &r->facts;
    char wall[32];

    snprintf(wall, sizeof(wall), "%.3f", f->wall);
    fputs("<properties>\n", out);
    put_versions(out);
    property(out, r->restored ? "stream" : "kernel", r->kernel);
    put_kernel_id(out, k);
    property(out, "initrd", o->initrd);
    property(out, "arguments", o->arguments);
    property(out, "hypervisor", r->hypervisor);
    property(out, "accel", r->accel);
    number(out, "memory", r->memory);
    number(out, "exit_code", (uint64_t)r->exit_code);
    property(out, "outcome", r->outcome);
    property(out, "message", r->message);
    property(out, "wall_seconds", wall);
    if (f->ended && !f->real_xen)
        number(out, "seed", f->verdict.seed);
    fputs("</properties>\n", out);
}

static void put_tail(FILE *out, const struct tail *t, size_t most)
{
    static char text[TAIL_CHARS];
    const size_t n = tail_copy(t, text, most);

    if (n < t->total)
        fprintf(out, "... %" PRIu64 " bytes before this are left out\n", t->total - n);
    xml_text(out, text, n);
}

static void put_case(FILE *out, const struct junit_case *c, const char *suite,
                     const struct report *r, const struct tail *t)
{
    static const char *const tags[] = {[FAILED] = "failure", [ERRED] = "error"};

    fputs("<testcase", out);
    xml_attribute(out, "classname", suite);
    xml_attribute(out, "name", c->name);
    fprintf(out, " time=\"%.3f\">", c->seconds);
    if (c->answer == SKIPPED) {
        fputs("<skipped", out);
        xml_attribute(out, "message", c->why);
        fputs("/>", out);
    } else if (c->answer != PASSED) {
        fprintf(out, "<%s", tags[c->answer]);
        xml_attribute(out, "type", r->outcome);
        xml_attribute(out, "message", c->why);
        fputc('>', out);
        xml_text(out, c->why, strlen(c->why));
        fputs("\nThe console ends with\n", out);
        put_tail(out, t, SHOWN_CHARS);
        fprintf(out, "</%s>", tags[c->answer]);
    }
    fputs("</testcase>\n", out);
}

/* The verdict, as people read it. */
static void put_verdict(FILE *out, const struct report *r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (f == NULL)
        return;
    report_print(r, f);
    fclose(f);
    fputs("<system-err>", out);
    xml_text(out, text, size);
    fputs("</system-err>\n", out);
    free(text);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static unsigned count(const struct junit_case *cases, unsigned n, enum answer a)
{
    unsigned found = 0;

    for (unsigned i = 0; i < n; i++)
        found += cases[i].answer == a;
    return found;
}

static void put_head(FILE *out, const char *suite, const struct junit *j, const struct report *r,
                     const struct junit_case *cases, unsigned n)
{
    char when[32] = "", host[256] = "localhost";
    struct tm tm;

    if (gmtime_r(&j->start, &tm) != NULL)
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    gethostname(host, sizeof(host) - 1);
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite", out);
    xml_attribute(out, "name", suite);
    xml_attribute(out, "timestamp", when);
    xml_attribute(out, "hostname", host);
    fprintf(out, " time=\"%.3f\" tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\">\n",
            r->facts.wall, n, count(cases, n, FAILED), count(cases, n, ERRED),
            count(cases, n, SKIPPED));
}

static void put_suite(FILE *out, const struct junit *j, const struct report *r,
                      const struct options *o, const struct kernel *k)
{
    const char *kernel = r->kernel != NULL ? base_name(r->kernel) : "guest";
    const char *name = o->name != NULL ? o->name : kernel;
    struct junit_case cases[CASES];
    char suite[256];

    memset(cases, 0, sizeof(cases));
    snprintf(suite, sizeof(suite), "pvmm.%s", name);
    ask_machine(&cases[0], r);
    ask_boot(&cases[1], r);
    ask_expect(&cases[2], r);
    ask_end(&cases[3], r);
    ask_contract(&cases[4], r);
    ask_audit(&cases[5], r);
    put_head(out, suite, j, r, cases, CASES);
    put_properties(out, r, o, k);
    for (unsigned i = 0; i < CASES; i++)
        put_case(out, &cases[i], suite, r, j->tail);
    fputs("<system-out>", out);
    put_tail(out, j->tail, TAIL_CHARS);
    fputs("</system-out>\n", out);
    put_verdict(out, r);
    fputs("</testsuite>\n</testsuites>\n", out);
}

int junit_finish(struct junit *j, const struct report *r, const struct options *o,
                 const struct kernel *k, struct error *e)
{
    const int fd = j->file.fd >= 0 ? dup(j->file.fd) : -1;
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool wrong;

    if (out == NULL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", j->path);
    put_suite(out, j, r, o, k);
    wrong = ferror(out) != 0;
    wrong |= fclose(out) != 0;
    if (wrong)
        return error_set(e, EXIT_ENVIRONMENT, "cannot write %s", j->path);
    return outfile_finish(&j->file, e);
}
