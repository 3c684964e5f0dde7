/* SPDX-License-Identifier: MIT */
#include "junit.h"

#include <inttypes.h>
#include <string.h>

#include <libxml/xmlwriter.h>

#include "exitcodes.h"
#include "explainer.h"

#define CASES_MOST 5u
#define TEXT_CHARS 4096u

enum result { PASSED, FAILED, ERRED, SKIPPED };

struct junit_case {
    const char *name;
    enum result result;
    char why[ERROR_CHARS + 64]; /* unless it passed */
};

struct suite {
    struct junit_case at[CASES_MOST];
    unsigned n;
};

/* ---- what there is to say */

static void add(struct suite *s, const char *name, enum result result, const char *why)
{
    struct junit_case *c = &s->at[s->n++];

    *c = (struct junit_case){.name = name, .result = result};
    if (result != PASSED)
        snprintf(c->why, sizeof(c->why), "%s", why);
}

/* Codes from 128 up are of what the guest can do nothing about, but for the end of its time. */
static bool is_environments(int code)
{
    return code == EXIT_UNREADABLE || code >= EXIT_ENVIRONMENT;
}

static void add_machine(struct suite *s, const struct report *r)
{
    const bool none = r->accel == NULL && r->exit_code != EXIT_UNTESTABLE;

    add(s, "machine", none || is_environments(r->exit_code) ? ERRED : PASSED, r->message);
}

static enum result of_guest(const struct report *r)
{
    if (r->exit_code == EXIT_CLEAN)
        return PASSED;
    if (r->exit_code == EXIT_UNTESTABLE || is_environments(r->exit_code) || r->accel == NULL)
        return SKIPPED;
    return FAILED;
}

static void add_expect(struct suite *s, const struct report *r)
{
    if (r->facts.expect_given)
        add(s, "expect", r->facts.expect_seen ? PASSED : FAILED, "it was not seen on the console");
}

static void add_contract(struct suite *s, const struct report *r)
{
    const struct explainer *x = r->explainer;
    char why[80];

    if (x == NULL || !x->sum.known)
        return;
    snprintf(why, sizeof(why), "broken %" PRIu64 " times", (uint64_t)x->sum.broken);
    add(s, "contract", x->sum.broken == 0 ? PASSED : FAILED, why);
}

static void add_audit(struct suite *s, const struct report *r)
{
    const struct pvmm_audit *a = &r->facts.verdict.audit;
    char why[PVMM_FINDING_CHARS + 40];

    if (!r->facts.has_verdict || a->taken == 0)
        return;
    snprintf(why, sizeof(why), "%u findings: %.*s", a->findings, (int)sizeof(a->finding[0]) - 1,
             a->finding[0]);
    add(s, "audit", a->findings == 0 ? PASSED : ERRED, why);
}

static struct suite suite_of(const struct report *r)
{
    struct suite s = {.n = 0};

    add_machine(&s, r);
    add(&s, "guest", of_guest(r), r->message);
    add_expect(&s, r);
    add_contract(&s, r);
    add_audit(&s, r);
    return s;
}

/* ---- writing: libxml2 escapes, but takes UTF-8 of XML's own characters only (XML 1.0, 2.2) */

static const xmlChar *clean(const char *from)
{
    static char to[TEXT_CHARS];
    size_t n = 0;

    for (; *from != '\0' && n < sizeof(to) - 1; from++) {
        const unsigned char c = (unsigned char)*from;
        to[n++] = c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f) ? *from : '?';
    }
    to[n] = '\0';
    return (const xmlChar *)to;
}

static void put(xmlTextWriter *w, const char *name, const char *value)
{
    xmlTextWriterWriteAttribute(w, (const xmlChar *)name, clean(value));
}

static void put_count(xmlTextWriter *w, const struct suite *s, const char *name, enum result of)
{
    unsigned n = 0;
    char text[16];

    for (unsigned i = 0; i < s->n; i++)
        n += s->at[i].result == of;
    snprintf(text, sizeof(text), "%u", n);
    put(w, name, text);
}

static void put_time(xmlTextWriter *w, double seconds)
{
    char text[32];

    snprintf(text, sizeof(text), "%.3f", seconds);
    put(w, "time", text);
}

static void put_property(xmlTextWriter *w, const char *name, const char *value)
{
    if (value == NULL)
        return;
    xmlTextWriterStartElement(w, (const xmlChar *)"property");
    put(w, "name", name);
    put(w, "value", value);
    xmlTextWriterEndElement(w);
}

static void put_properties(xmlTextWriter *w, const struct report *r)
{
    char code[16], memory[32];

    snprintf(code, sizeof(code), "%d", r->exit_code);
    snprintf(memory, sizeof(memory), "%" PRIu64, r->memory);
    xmlTextWriterStartElement(w, (const xmlChar *)"properties");
    put_property(w, "kernel", r->kernel);
    put_property(w, "hypervisor", r->hypervisor != NULL ? r->hypervisor : "pvmm");
    put_property(w, "accelerator", r->accel);
    put_property(w, "memory", memory);
    put_property(w, "outcome", r->outcome);
    put_property(w, "exit_code", code);
    xmlTextWriterEndElement(w);
}

static void put_case(xmlTextWriter *w, const struct report *r, const struct junit_case *c)
{
    static const char *const words[] = {
        [FAILED] = "failure", [ERRED] = "error", [SKIPPED] = "skipped"};
    const char *slash = strrchr(r->kernel, '/');

    xmlTextWriterStartElement(w, (const xmlChar *)"testcase");
    put(w, "classname", slash != NULL ? slash + 1 : r->kernel);
    put(w, "name", c->name);
    put_time(w, strcmp(c->name, "guest") == 0 ? r->facts.wall : 0);
    if (c->result != PASSED) {
        xmlTextWriterStartElement(w, (const xmlChar *)words[c->result]);
        put(w, "message", c->why);
        if (c->result != SKIPPED)
            put(w, "type", r->outcome);
        xmlTextWriterEndElement(w);
    }
    xmlTextWriterEndElement(w);
}

static void put_text(xmlTextWriter *w, const char *name, const char *text)
{
    if (text[0] != '\0')
        xmlTextWriterWriteElement(w, (const xmlChar *)name, clean(text));
}

static void put_suite(xmlTextWriter *w, const struct report *r, const struct suite *s)
{
    char tests[16];

    snprintf(tests, sizeof(tests), "%u", s->n);
    xmlTextWriterStartElement(w, (const xmlChar *)"testsuite");
    put(w, "name", "pvmm");
    put(w, "tests", tests);
    put_count(w, s, "failures", FAILED);
    put_count(w, s, "errors", ERRED);
    put_count(w, s, "skipped", SKIPPED);
    put_time(w, r->facts.wall);
    put_properties(w, r);
    for (unsigned i = 0; i < s->n; i++)
        put_case(w, r, &s->at[i]);
    put_text(w, "system-out", r->message);
    put_text(w, "system-err", r->facts.log_tail);
    xmlTextWriterEndElement(w);
}

int report_junit(const struct report *r, FILE *out)
{
    const struct suite s = suite_of(r);
    xmlBuffer *text = xmlBufferCreate();
    xmlTextWriter *w = text != NULL ? xmlNewTextWriterMemory(text, 0) : NULL;
    int rc = -1;

    if (w != NULL) {
        xmlTextWriterSetIndent(w, 1);
        xmlTextWriterStartDocument(w, NULL, "UTF-8", NULL);
        put_suite(w, r, &s);
        rc = xmlTextWriterEndDocument(w) < 0 ? -1 : 0;
        xmlFreeTextWriter(w);
    }
    if (rc == 0 && (fputs((const char *)xmlBufferContent(text), out) < 0 || fflush(out) != 0))
        rc = -1;
    xmlBufferFree(text);
    return rc;
}
