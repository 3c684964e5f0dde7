/* SPDX-License-Identifier: MIT */
/* Explanations for people: like a compiler's, the headline first, then what it rests on. */
#include "explain_print.h"

#include <inttypes.h>
#include <string.h>

#include "core.h"

#define COLUMNS 100
#define INDENT  12 /* of what stands behind a label */

#define BOLD   "\033[1m"
#define RED    "\033[1;31m"
#define YELLOW "\033[1;33m"
#define CYAN   "\033[36m"
#define GREEN  "\033[32m"
#define PLAIN  "\033[0m"

struct printer {
    FILE *out;
    bool color;
};

static const char *tone(const struct printer *p, const char *escape)
{
    return p->color ? escape : "";
}

/* How much of `text` fits into `room`: up to the last blank, or all of a longer word. */
static size_t fitting(const char *text, size_t room)
{
    const size_t length = strlen(text);
    size_t n = room;

    if (length <= room)
        return length;
    while (n > 0 && text[n] != ' ')
        n--;
    return n > 0 ? n : strcspn(text, " ");
}

/* `text` from column `at` on; lines that follow start at `indent`. */
static void wrap(const struct printer *p, const char *text, size_t at, size_t indent)
{
    for (;;) {
        const size_t n = fitting(text, COLUMNS > at ? COLUMNS - at : 1);

        fprintf(p->out, "%.*s\n", (int)n, text);
        text += n;
        text += strspn(text, " ");
        if (*text == '\0')
            return;
        fprintf(p->out, "%*s", (int)indent, "");
        at = indent;
    }
}

static void labelled(const struct printer *p, const char *label, const char *text)
{
    fprintf(p->out, "  %s%-*s%s", tone(p, CYAN), INDENT - 2, label, tone(p, PLAIN));
    wrap(p, text, INDENT, INDENT + 2);
}

/* Under a label that stands there already. */
static void below(const struct printer *p, const char *text)
{
    fprintf(p->out, "%*s", INDENT + 2, "");
    wrap(p, text, INDENT + 2, INDENT + 4);
}

static const char *weight_word(enum explain_weight w)
{
    static const char *const words[] = {"breach", "fault", "crash", "finding", "note"};

    return words[w];
}

static void print_headline(const struct printer *p, const struct explanation *x)
{
    const bool grave = x->weight == EXPLAIN_BREACH || x->weight == EXPLAIN_CRASH;
    char when[48] = "";

    if (x->timed)
        snprintf(when, sizeof(when), "%.6f s after the guest's start", x->seconds);
    fprintf(p->out, "pvmm: %s%s[%s]%s: ", tone(p, grave ? RED : YELLOW), weight_word(x->weight),
            x->code, tone(p, PLAIN));
    fprintf(p->out, "%s", tone(p, BOLD));
    wrap(p, x->headline, strlen("pvmm: []: ") + strlen(weight_word(x->weight)) + strlen(x->code),
         INDENT);
    fprintf(p->out, "%s", tone(p, PLAIN));
    if (when[0] != '\0' && x->has_report)
        labelled(p, "when", when);
}

static void print_rule(const struct printer *p, const struct explanation *x)
{
    char text[EXPLAIN_LINE];

    if (x->rule == 0)
        return;
    snprintf(text, sizeof(text), "R%u: %s", x->rule, x->rule_text);
    labelled(p, "rule", text);
}

static void print_request(const struct printer *p, const struct explanation *x)
{
    char text[2 * EXPLAIN_LINE];

    if (x->request.text[0] != '\0')
        labelled(p, "request", x->request.text);
    if (x->request.text[0] != '\0' && x->error != 0) {
        snprintf(text, sizeof(text), "answered with -%s (%d)",
                 x->error_name[0] != '\0' ? x->error_name : "?", x->error);
        below(p, text);
    }
    if (x->report.address == PVMM_NONE || x->report.kind == PVMM_REPORT_REFUSAL)
        return;
    snprintf(text, sizeof(text), "0x%" PRIx64 "%s%s%s%s", x->report.address,
             x->target.known ? " (" : "", x->target.known ? x->target.text : "",
             x->target.known ? ")" : "", x->frame_told ? ", as in the breach above" : "");
    labelled(p, "address", text);
}

static void print_steps(const struct printer *p, const char *label, const struct explain_step *step,
                        unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (i == 0)
            labelled(p, label, step[i].text);
        else
            below(p, step[i].text);
}

static void print_frame(const struct printer *p, const struct explanation *x)
{
    char text[2 * EXPLAIN_LINE];

    if (!x->frame.there)
        return;
    labelled(p, "frame", x->frame.text);
    if (x->frame.maker.asked) {
        snprintf(text, sizeof(text), "%s", x->frame.maker.text);
        below(p, text);
    }
}

static void print_holder(const struct printer *p, const struct explain_holder *h, bool first)
{
    char text[2 * EXPLAIN_LINE];

    snprintf(text, sizeof(text), "%s %s", h->conflicts ? "!" : "-", h->text);
    if (first)
        labelled(p, "held by", text);
    else {
        fprintf(p->out, "%*s", INDENT, "");
        wrap(p, text, INDENT, INDENT + 2);
    }
    if (h->tree[0] != '\0')
        below(p, h->tree);
    if (h->maker.asked)
        below(p, h->maker.text);
}

static void print_holders(const struct printer *p, const struct explanation *x)
{
    char text[80];

    for (unsigned i = 0; i < x->holders; i++)
        print_holder(p, &x->holder[i], i == 0);
    if (x->holders_found <= x->holders)
        return;
    snprintf(text, sizeof(text), "and %u more", x->holders_found - x->holders);
    below(p, text);
}

/* The way to it, what it is, and who holds it. */
static void print_frame_at_fault(const struct printer *p, const struct explanation *x)
{
    if (x->steps > 0)
        print_steps(p, "way", x->step, x->steps);
    else
        print_steps(p, "walk", x->walk, x->walked);
    if (x->place[0] != '\0')
        below(p, x->place);
    print_frame(p, x);
    print_holders(p, x);
}

static void print_call(const struct printer *p, const struct explain_call *c, unsigned i)
{
    char text[EXPLAIN_LINE];

    if (c->at.known)
        snprintf(text, sizeof(text), "%s 0x%016" PRIx64 " %s", c->certain ? " " : "?",
                 c->at.address, c->at.text);
    else
        snprintf(text, sizeof(text), "%s 0x%016" PRIx64, c->certain ? " " : "?", c->at.address);
    if (i == 0)
        labelled(p, "stack", text);
    else
        fprintf(p->out, "%*s%s\n", INDENT, "", text);
}

static void print_calls(const struct printer *p, const struct explain_call *call, unsigned n,
                        const char *instruction)
{
    for (unsigned i = 0; i < n; i++)
        print_call(p, &call[i], i);
    if (instruction[0] != '\0')
        labelled(p, "instr.", instruction);
}

static void print_gaps(const struct printer *p, const struct explanation *x)
{
    char text[80];

    for (unsigned i = 0; i < x->gaps; i++)
        if (i == 0)
            labelled(p, "where", x->gap[i].text);
        else
            below(p, x->gap[i].text);
    if (x->gaps_found <= x->gaps)
        return;
    snprintf(text, sizeof(text), "and %" PRIu64 " more", x->gaps_found - x->gaps);
    below(p, text);
}

static void print_hints(const struct printer *p, const struct explanation *x)
{
    for (unsigned i = 0; i < x->hints; i++) {
        fprintf(p->out, "  %s%-*s%s", tone(p, GREEN), INDENT - 2, "hint", tone(p, PLAIN));
        wrap(p, x->hint[i].text, INDENT, INDENT + 2);
    }
}

/* How to see it in a replay. */
static void print_closer(const struct printer *p, const struct explanation *x)
{
    char text[2 * EXPLAIN_LINE];

    if (x->recording == NULL || !x->has_report)
        return;
    snprintf(text, sizeof(text), "pvmm replay %s --until %s", x->recording, x->id);
    labelled(p, "closer", text);
    if (x->unseen[0] == '\0')
        return;
    snprintf(text, sizeof(text), "pvmm replay %s --who-stored %s", x->recording, x->unseen);
    below(p, text);
}

void explain_text(const struct explanation *x, bool color, FILE *out)
{
    const struct printer p = {out, color};

    print_headline(&p, x);
    print_rule(&p, x);
    if (x->has_report) {
        print_request(&p, x);
        if (!x->frame_told)
            print_frame_at_fault(&p, x);
        print_calls(&p, x->call, x->calls, x->instruction);
    }
    print_gaps(&p, x);
    print_hints(&p, x);
    print_closer(&p, x);
    fflush(out);
}

void explain_text_line(const struct explanation *x, FILE *out)
{
    const char *what = x->request.name != NULL ? x->request.name : "";

    fprintf(out, "    %-20s %8" PRIu64 " times, %s%sfrom %s\n", x->code, x->count, what,
            what[0] != '\0' ? " " : "", x->origin.text);
}

void explain_text_label(const char *label, const char *text, bool color, FILE *out)
{
    const struct printer p = {out, color};

    if (label[0] != '\0')
        labelled(&p, label, text);
    else
        below(&p, text);
}

void explain_text_calls(const struct explain_call *call, unsigned n, const char *instruction,
                        bool color, FILE *out)
{
    const struct printer p = {out, color};

    print_calls(&p, call, n, instruction);
}
