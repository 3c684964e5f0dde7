/* SPDX-License-Identifier: MIT */
#include "explainer.h"

#include <inttypes.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitcodes.h"
#include "explain_print.h"
#include "tone.h"

int explainer_open(struct explainer *x, char *const *files, unsigned n, struct error *e)
{
    struct pv_error why;

    x->ram_fd = -1;
    x->symbols = pv_symbols_new();
    if (x->symbols == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    for (unsigned i = 0; i < n; i++)
        if (pv_symbols_file(x->symbols, files[i], &why) != 0)
            return error_set(e, EXIT_USAGE, "--symbols %s", why.text);
    return 0;
}

static void forget(struct explainer *x)
{
    for (unsigned i = 0; i < x->count; i++)
        free(x->list[i]);
    x->count = x->reports = x->looked = x->answered = 0;
    witness_close(&x->witness);
    if (x->view != NULL)
        pv_close(x->view);
    x->view = NULL;
    if (x->ram_fd >= 0)
        close(x->ram_fd);
    x->ram_fd = -1;
    x->no_linux = x->no_modules = x->named_guest = x->tried_view = false;
    x->no_recorder = x->checked = x->has_recorder = false;
    x->sources = (struct explain_sources){.symbols = x->symbols};
    x->sum = (struct reports_sum){.known = false};
}

int explainer_start(struct explainer *x, int ram_fd, struct error *e)
{
    forget(x);
    x->ram_fd = fcntl(ram_fd, F_DUPFD_CLOEXEC, 0);
    return x->ram_fd >= 0 ? 0
                          : error_errno(e, EXIT_ENVIRONMENT, "cannot keep the machine's memory");
}

/* Without the view, the symbols or the recorder there is less to say, and the reason is said once.
 */
static void complain(const char *what, const char *why)
{
    fprintf(stderr, "pvmm: %s: %s\n", what, why);
}

static void open_view(struct explainer *x)
{
    struct pv_error why;

    if (x->view != NULL) {
        if (pv_machine_refresh(x->view, &x->sources.machine, &why) != 0)
            complain("the machine's memory", why.text);
        return;
    }
    if (x->tried_view)
        return;
    x->tried_view = true;
    if (pv_machine_open(&x->view, x->ram_fd, &x->sources.machine, &why) != 0) {
        complain("the machine's memory cannot be read for explanations", why.text);
        x->view = NULL;
    }
    x->sources.view = x->view;
}

static void open_recorder(struct explainer *x, const struct mailbox *m)
{
    struct error e;

    if (x->witness.ring != NULL || x->no_recorder || m->box == NULL)
        return;
    if (witness_open(&x->witness, x->ram_fd, &m->box->recorder, &e) != 0)
        complain("no witnesses", e.text);
    x->no_recorder = x->witness.ring == NULL && mailbox_state(m) >= PVMM_STATE_RUNNING;
    x->sources.witness = &x->witness;
}

/* The machine's memory and the recorder, as they are now. */
static bool open_sources(struct explainer *x, const struct mailbox *m)
{
    if (x->ram_fd < 0 || !reports_machine(m, &x->sources.machine))
        return false;
    open_view(x);
    open_recorder(x, m);
    return true;
}

/* What the guest has in its memory; of a guest that is no Linux there is nothing to be said. */
static void read_guest_symbols(struct explainer *x, uint64_t root)
{
    struct pv_error why = {.text = ""};
    size_t count;

    x->no_linux = pv_symbols_guest(x->symbols, x->view, (mfn_t){root}, &count, &why) != 0;
    if (x->no_linux || x->no_modules || why.text[0] == '\0')
        return;
    x->no_modules = true;
    complain("names of modules are missing", why.text);
}

/* First what people named, then the kernel's own file, then the guest's memory. */
static void read_symbols(struct explainer *x, uint64_t root, uint64_t address)
{
    struct pv_symbol at;
    struct pv_error why;
    size_t count;

    if (x->symbols == NULL)
        return;
    if (!x->named_kernel && x->kernel_fd >= 0 &&
        pv_symbols_fd(x->symbols, x->kernel_fd, x->kernel, &count, &why) != 0)
        complain("the kernel's symbols", why.text);
    x->named_kernel = true;
    if (x->view != NULL && root != PVMM_NONE && !x->no_linux &&
        !pv_symbol_at(x->symbols, address, &at))
        read_guest_symbols(x, root);
}

/* Into a line of the guest's that has no end yet, if both are on one terminal? */
static void start_line(const struct console *c, FILE *out)
{
    if (c != NULL && c->mid_line && isatty(STDOUT_FILENO) && isatty(fileno(out)))
        fputc('\n', out);
}

/* A kernel that gives up on a store that was just reported: its crash is about the same frame. */
static bool is_told(const struct explainer *x, const struct pvmm_report *crash)
{
    const struct pvmm_report *last = x->reports > 0 ? &x->list[x->reports - 1]->report : NULL;

    return last != NULL && crash->kind == PVMM_REPORT_CRASH &&
           last->kind == PVMM_REPORT_WRITE_FAULT && crash->address == last->address &&
           crash->frame.mfn == last->frame.mfn;
}

/* By its code and its place among those of that code. */
static void identify(const struct explainer *x, struct explanation *told)
{
    unsigned n = 1;

    for (unsigned i = 0; i < x->count && x->list[i] != told; i++)
        n += strcmp(x->list[i]->code, told->code) == 0;
    snprintf(told->id, sizeof(told->id), "%s#%u", told->code, n);
    told->recording = x->recording;
}

static void take(struct explainer *x, unsigned index, const struct pvmm_report *r,
                 const struct console *c, FILE *out)
{
    struct explanation *told;

    read_symbols(x, r->kernel_root, r->regs.rip);
    told = explain(&x->sources, r);
    if (told == NULL) {
        complain("a report", "out of memory");
        return;
    }
    told->frame_told = is_told(x, &told->report);
    identify(x, told);
    x->index[x->reports] = index;
    x->list[x->reports++] = told;
    x->count = x->reports;
    start_line(c, out);
    explain_text(told, tone_wanted(out), out);
}

void explainer_look(struct explainer *x, const struct mailbox *m, const struct console *c,
                    FILE *out)
{
    static struct pvmm_report r; /* large */
    const unsigned filed = reports_filed(m);

    if (x->looked >= filed)
        return;
    if (!open_sources(x, m)) {
        complain("reports", "nothing is known of the machine: they are passed over");
        x->looked = filed;
        return;
    }
    for (; x->looked < filed; x->looked++)
        if (reports_copy(m, x->looked, &r))
            take(x, x->looked, &r, c, out);
        else
            complain("a report", "it makes no sense and is passed over");
}

/* A report may have been filed since explainer_look(): that one is not read yet. */
bool explainer_has_read(struct explainer *x, const struct mailbox *m)
{
    if (m->box == NULL || m->box->reports.waiting != PVMM_WAITING_READ ||
        x->looked <= x->answered || x->looked < reports_filed(m))
        return false;
    x->answered = x->looked;
    return true;
}

void explainer_settle(struct explainer *x, const struct mailbox *m)
{
    for (unsigned i = 0; i < x->reports; i++)
        x->list[i]->count = reports_count(m, x->index[i]);
    x->sum = reports_sum(m);
    x->has_recorder = reports_recorder(m, &x->recorder);
    if (!open_sources(x, m))
        return;
    x->witness.live = &x->recorder;
    x->witness.still = true;
}

static void add_publication(struct explainer *x, FILE *out)
{
    const unsigned first = x->count;

    x->count += explain_publication(&x->publication, x->list + x->count);
    for (unsigned i = first; i < x->count; i++)
        identify(x, x->list[i]);
    for (unsigned i = first; i < x->count; i++)
        if (x->list[i]->weight == EXPLAIN_FINDING)
            explain_text(x->list[i], tone_wanted(out), out);
}

void explainer_check(struct explainer *x, FILE *out)
{
    struct pv_error why;

    if (x->view == NULL)
        return;
    if (pv_publication(x->view, &x->publication, &why) != 0) {
        complain("what the guest publishes for tools cannot be checked", why.text);
        return;
    }
    x->checked = true;
    add_publication(x, out);
}

bool explainer_has_findings(const struct explainer *x)
{
    for (unsigned i = x->reports; i < x->count; i++)
        if (x->list[i]->weight == EXPLAIN_FINDING)
            return true;
    return false;
}

/* The functions' names are looked for once. */
static void watch(struct explainer *x, const struct mailbox *m)
{
    if (x->witness.ring != NULL || mailbox_state(m) < PVMM_STATE_RUNNING || !open_sources(x, m) ||
        x->named_guest)
        return;
    x->named_guest = true;
    read_symbols(x, witness_kernel_root(&x->witness), 0);
}

uint64_t explainer_written(struct explainer *x, const struct mailbox *m)
{
    watch(x, m);
    return witness_written(&x->witness);
}

uint64_t explainer_oldest(const struct explainer *x)
{
    return witness_oldest(&x->witness);
}

size_t explainer_record(const struct explainer *x, uint64_t index, bool json, char *line,
                        size_t size)
{
    struct pvmm_record r;
    struct json_object *o;

    if (!witness_read(&x->witness, index, &r))
        return 0;
    if (json) {
        o = explain_record_json(&x->sources, index, &r);
        snprintf(line, size - 1, "%s",
                 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                       JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(o);
    } else {
        explain_record_text(&x->sources, index, &r, line, size - 1);
    }
    return strlen(strcat(line, "\n"));
}

int explainer_trace(const struct explainer *x, FILE *out)
{
    const uint64_t written = witness_written(&x->witness);
    char line[RECORD_CHARS];

    for (uint64_t i = witness_oldest(&x->witness); i < written; i++)
        if (explainer_record(x, i, false, line, sizeof(line)) > 0)
            fputs(line, out);
    return ferror(out) || fflush(out) != 0 ? -1 : 0;
}

void explainer_close(struct explainer *x)
{
    forget(x);
    pv_symbols_free(x->symbols);
    x->symbols = NULL;
}
