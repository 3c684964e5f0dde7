/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <pvmm/hypercalls.h>

#include "exitcodes.h"
#include "explain_print.h"
#include "tone.h"

#define NAME(number, name) [number] = #name,

const char *hypercall_name(unsigned number)
{
    static const char *const names[PVMM_HYPERCALLS] = {PVMM_HYPERCALL_LIST(NAME)};

    return number < PVMM_HYPERCALLS ? names[number] : NULL;
}

const char *frame_type_name(unsigned type)
{
    static const char *const names[PVMM_FRAME_TYPES] = {
        [PVMM_FRAME_NONE] = "none",
        [PVMM_FRAME_L1] = "L1",
        [PVMM_FRAME_L2] = "L2",
        [PVMM_FRAME_L3] = "L3",
        [PVMM_FRAME_L4] = "L4",
        [PVMM_FRAME_DESC] = "descriptor",
        [PVMM_FRAME_WRITABLE] = "writable",
    };

    return type < PVMM_FRAME_TYPES ? names[type] : NULL;
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static uint64_t sum(const uint64_t *v, unsigned n)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < n; i++)
        total += v[i];
    return total;
}

static const char *headline(int exit_code)
{
    switch (exit_code) {
    case EXIT_CLEAN:
        return "clean";
    case EXIT_CRASHED:
    case EXIT_TIMEOUT:
        return "not clean";
    case EXIT_UNTESTABLE:
        return "cannot be tested";
    case EXIT_INTERRUPTED:
    case EXIT_TERMINATED:
    case EXIT_DESTROYED:
        return "stopped";
    default:
        return "failed";
    }
}

static void print_headline(const struct report *r, FILE *out)
{
    const bool color = tone_wanted(out);
    const char *tone = r->exit_code == EXIT_CLEAN ? "\033[32m" : "\033[31m";

    fprintf(out, "pvmm: %s%s%s: %s\n", color ? tone : "", headline(r->exit_code),
            color ? "\033[0m" : "", r->message);
}

static void print_times(const struct run_facts *f, FILE *out)
{
    const struct pvmm_verdict *v = &f->verdict;

    fprintf(out, "  wall time      %.2f s\n", f->wall);
    if (!f->has_verdict)
        return;
    fprintf(out, "  guest time     ");
    if (v->ns_to_user != 0)
        fprintf(out, "%.2f s to init", seconds(v->ns_to_user));
    else
        fprintf(out, "init was not reached");
    if (f->ended)
        fprintf(out, ", %.2f s in all", seconds(v->ns_total));
    fputc('\n', out);
    if (v->suspends != 0)
        fprintf(out, "  suspends       %" PRIu64 ", all cancelled\n", v->suspends);
}

static const struct pvmm_verdict *sorted_verdict; /* qsort() has no room for it */

static int by_count(const void *a, const void *b)
{
    const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    const uint64_t nx = sorted_verdict->hypercalls[x], ny = sorted_verdict->hypercalls[y];

    if (nx != ny)
        return nx < ny ? 1 : -1;
    return x < y ? -1 : x > y;
}

static void print_hypercall(const struct pvmm_verdict *v, unsigned number, FILE *out)
{
    char unnamed[16];
    const char *name = hypercall_name(number);

    snprintf(unnamed, sizeof(unnamed), "number %u", number);
    fprintf(out, "    %-28s %10" PRIu64, name != NULL ? name : unnamed, v->hypercalls[number]);
    if (v->refused[number] != 0)
        fprintf(out, "  (%" PRIu64 " with an error)", v->refused[number]);
    fputc('\n', out);
}

static void print_hypercalls(const struct pvmm_verdict *v, FILE *out)
{
    unsigned order[PVMM_HYPERCALLS];

    fprintf(out, "  hypercalls     %" PRIu64 ", %" PRIu64 " of them answered with an error",
            sum(v->hypercalls, PVMM_HYPERCALLS) + v->unknown_hypercalls,
            sum(v->refused, PVMM_HYPERCALLS) + v->unknown_hypercalls);
    if (v->unknown_hypercalls != 0)
        fprintf(out, ", %" PRIu64 " of unknown numbers", v->unknown_hypercalls);
    fputc('\n', out);
    for (unsigned i = 0; i < PVMM_HYPERCALLS; i++)
        order[i] = i;
    sorted_verdict = v;
    qsort(order, PVMM_HYPERCALLS, sizeof(order[0]), by_count);
    for (unsigned i = 0; i < PVMM_HYPERCALLS && v->hypercalls[order[i]] != 0; i++)
        print_hypercall(v, order[i], out);
}

static void print_frames(const struct pvmm_verdict *v, FILE *out)
{
    fprintf(out, "  frames         %" PRIu64 ":", v->guest_frames);
    for (unsigned i = 0; i < PVMM_FRAME_TYPES; i++)
        fprintf(out, "%s %" PRIu64 " %s", i == 0 ? "" : ",", v->frames_by_type[i],
                frame_type_name(i));
    fprintf(out, "; %" PRIu64 " pinned\n", v->frames_pinned);
}

static void print_machine(const struct pvmm_verdict *v, FILE *out)
{
    fprintf(out, "  tlb            %" PRIu64 " whole flushes, %" PRIu64 " of single pages\n",
            v->tlb_flushes, v->tlb_page_flushes);
    fprintf(out, "  root switches  %" PRIu64 "\n", v->root_switches);
    fprintf(out,
            "  traps          %" PRIu64 " exceptions bounced, %" PRIu64 " events, %" PRIu64
            " instructions and %" PRIu64 " table writes emulated\n",
            v->exceptions_bounced, v->events_delivered, v->emulated_instructions,
            v->emulated_table_writes);
    fprintf(out, "  seed           0x%" PRIx64 "\n", v->seed);
}

static void print_audit(const struct pvmm_audit *a, FILE *out)
{
    if (!a->taken) {
        fprintf(out, "  audit          not taken\n");
        return;
    }
    if (a->findings == 0)
        fprintf(out, "  audit          clean");
    else
        fprintf(out, "  audit          %u DIFFERENCES", a->findings);
    fprintf(out, ": %" PRIu64 " frames, %" PRIu64 " tables, %" PRIu64 " entries\n", a->frames,
            a->tables, a->entries);
    for (unsigned i = 0; i < PVMM_FINDINGS && i < a->findings; i++)
        fprintf(out, "    %s\n", a->finding[i]);
}

/* What was repeated; in full it was told when it happened. */
static void print_repeats(const struct explainer *x, FILE *out)
{
    for (unsigned i = 0; i < x->reports; i++)
        if (x->list[i]->count > 1)
            explain_text_line(x->list[i], out);
}

static void print_contract(const struct report *r, FILE *out)
{
    const struct explainer *x = r->explainer;
    uint64_t different = 0;

    if (x == NULL)
        return;
    for (unsigned i = 0; i < x->reports; i++)
        different += x->list[i]->weight == EXPLAIN_BREACH;
    if (!x->sum.known)
        fprintf(out, "  contract       not known\n");
    else if (x->sum.broken == 0)
        fprintf(out, "  contract       kept\n");
    else if (x->sum.broken == 1)
        fprintf(out, "  contract       broken once\n");
    else
        fprintf(out, "  contract       broken %" PRIu64 " times, in %s%" PRIu64 " way%s\n",
                x->sum.broken, x->sum.not_kept != 0 ? "more than " : "", different,
                different == 1 ? "" : "s");
    if (x->sum.not_kept != 0)
        fprintf(out,
                "                 %" PRIu64 " of these %s not explained: there were too many\n",
                x->sum.not_kept, x->sum.not_kept == 1 ? "is" : "are");
    print_repeats(x, out);
    if (x->checked && !x->publication.published)
        fprintf(out,
                "  p2m list       not published: tools can neither save nor dump this guest\n");
}

static void print_core(const struct core_facts *c, FILE *out)
{
    if (c->written)
        fprintf(out, "  core           %s, %.1f MiB\n", c->path, (double)c->bytes / (1 << 20));
    else if (c->why[0] != '\0')
        fprintf(out, "  core           not written: %s\n", c->why);
}

/* Was it told in full already? */
static bool end_explained(const struct report *r)
{
    const struct explainer *x = r->explainer;

    for (unsigned i = 0; x != NULL && i < x->reports; i++)
        if (x->list[i]->weight == EXPLAIN_CRASH)
            return true;
    return false;
}

/* Where the hypervisor itself speaks, its report is at the end of its log. */
static void print_log(const struct report *r, FILE *out)
{
    const char *line = r->facts.log_tail;
    const uint32_t outcome = r->facts.ended ? r->facts.verdict.outcome : PVMM_OUTCOME_NONE;
    const bool reported = outcome == PVMM_OUTCOME_KILLED || outcome == PVMM_OUTCOME_CRASH;

    if (line[0] == '\0' || (r->exit_code != EXIT_HYPERVISOR && (!reported || end_explained(r))))
        return;
    fprintf(out, "  the hypervisor's log ends with\n");
    while (*line != '\0') {
        const size_t length = strcspn(line, "\n");

        fprintf(out, "    | %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void print_details(const struct report *r, FILE *out)
{
    const struct run_facts *f = &r->facts;

    print_times(f, out);
    if (!f->has_verdict)
        return;
    if (!f->ended) { /* the rest is counted up at the end only */
        fprintf(out, "  no more is known: the hypervisor was not asked, or did not answer\n");
        return;
    }
    print_hypercalls(&f->verdict, out);
    print_frames(&f->verdict, out);
    print_machine(&f->verdict, out);
    print_contract(r, out);
    print_audit(&f->verdict.audit, out);
}

bool report_guest_is_over(const struct report *r)
{
    switch (r->facts.verdict.outcome) {
    case PVMM_OUTCOME_POWEROFF:
    case PVMM_OUTCOME_REBOOT:
    case PVMM_OUTCOME_SUSPEND:
    case PVMM_OUTCOME_CRASH:
    case PVMM_OUTCOME_KILLED:
    case PVMM_OUTCOME_STOPPED:
    case PVMM_OUTCOME_BROKEN:
        return !r->facts.real_xen && r->facts.ended;
    default:
        return false;
    }
}

void report_print(const struct report *r, FILE *out)
{
    print_headline(r, out);
    if (r->accel == NULL) /* no machine was started */
        return;
    print_log(r, out);
    print_details(r, out);
    print_core(&r->core, out);
    if (r->recording != NULL && r->instructions != 0)
        fprintf(out, "  recording      %s, %" PRIu64 " instructions\n", r->recording,
                r->instructions);
}
