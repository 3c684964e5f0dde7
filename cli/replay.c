/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "difference.h"
#include "exitcodes.h"
#include "explainer.h"
#include "jsonput.h"
#include "player.h"
#include "signals.h"
#include "tone.h"
#include "verdict.h"

#define VERDICT_MAX (64u << 20) /* bytes of a verdict: all reports there may be have some 3 MiB */

/* A replay, and what came of it. */
struct play_through {
    const struct replay_options *o;
    struct recording recording;
    struct player player;
    struct console console;
    struct console_check check;
    struct explainer explainer;
    struct json_object *recorded; /* the verdict of then */
    FILE *json, *log;
    struct report report; /* the verdict of now */
    int exit_code;
    char difference[DIFFERENCE_CHARS]; /* of the reports and counts; "": none */
    char why[ERROR_CHARS];             /* it did not come to the end; "": it did */
};

/* --- what is compared with --- */

static int open_recorded(const char *dir, const char *name, struct error *e)
{
    char *path;
    int fd;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    free(path);
    return fd >= 0 ? fd : error_errno(e, EXIT_UNREADABLE, "%s: cannot open %s", dir, name);
}

static int map_recorded(const char *dir, const char *name, struct view *v, struct error *e)
{
    const int fd = open_recorded(dir, name, e);
    int rc;

    if (fd < 0)
        return -1;
    rc = view_of_fd(fd, v, e);
    close(fd);
    if (rc == 0)
        return 0;
    e->code = EXIT_UNREADABLE;
    return error_context(e, "%s/%s", dir, name);
}

static int read_verdict(struct play_through *t, struct error *e)
{
    struct json_tokener *parser = json_tokener_new();
    struct view v;
    int rc = -1;

    if (parser == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    if (map_recorded(t->o->dir, "verdict.json", &v, e) == 0) {
        if (v.size <= VERDICT_MAX)
            t->recorded = json_tokener_parse_ex(parser, (const char *)v.data, (int)v.size);
        view_drop(&v);
        rc = json_object_is_type(t->recorded, json_type_object)
                 ? 0
                 : error_set(e, EXIT_UNREADABLE, "%s: verdict.json is no JSON object", t->o->dir);
    }
    json_tokener_free(parser);
    return rc;
}

/* --- preparations --- */

static int open_output(const char *path, FILE **out, struct error *e)
{
    if (path == NULL)
        return 0;
    *out = fopen(path, "we");
    return *out != NULL ? 0 : error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", path);
}

static void on_output(void *ctx, const char *data, size_t size)
{
    console_check_feed(ctx, data, size);
}

static int open_symbols(struct play_through *t, struct error *e)
{
    const bool own = t->o->nr_symbols > 0;
    int kernel, rc;

    if (recording_kernel(&t->recording, &kernel, e) != 0)
        return -1;
    t->explainer = (struct explainer){.ram_fd = -1,
                                      .kernel_fd = kernel,
                                      .kernel = t->recording.kernel,
                                      .recording = t->o->dir,
                                      .symbols_anyway = t->o->symbols_anyway ||
                                                        (!own && t->recording.symbols_anyway),
                                      .verbose = t->o->verbose};
    rc = explainer_open(&t->explainer, own ? t->o->symbols : t->recording.symbols,
                        own ? t->o->nr_symbols : t->recording.nr_symbols, e);
    t->explainer.kernel_fd = -1; /* of the machine, when there is one */
    if (kernel >= 0)
        close(kernel);
    if (rc == 0)
        return 0;
    return own ? -1 : error_context(e, "as it was recorded (name files of your own)");
}

static int prepare(struct play_through *t, struct error *e)
{
    int signals;

    if (recording_open(t->o->dir, &t->recording, e) != 0 ||
        map_recorded(t->o->dir, "console", &t->check.recorded, e) != 0 || read_verdict(t, e) != 0 ||
        open_symbols(t, e) != 0 || open_output(t->o->json, &t->json, e) != 0 ||
        open_output(t->o->log, &t->log, e) != 0)
        return -1;
    signals = signals_watch(e);
    t->console.tap = on_output;
    t->console.tap_ctx = &t->check;
    t->player = (struct player){
        .recording = &t->recording,
        .qemu = t->o->qemu,
        .any_qemu = t->o->any_qemu,
        .console = &t->console,
        .log = t->log,
        .signals = signals,
        .deadline =
            t->o->timeout > 0 ? clock_now() + (int64_t)(t->o->timeout * (double)SECOND) : NEVER,
        .verbose = t->o->verbose,
    };
    return signals >= 0 ? 0 : -1;
}

static int start(struct play_through *t, struct error *e)
{
    if (player_start(&t->player, e) != 0)
        return -1;
    if (t->o->verbose)
        fprintf(stderr,
                "pvmm: QEMU is process %d; what is typed goes nowhere: the guest reads what "
                "it read then\n",
                (int)t->player.qemu_process.pid);
    if (!t->recording.real_xen)
        t->explainer.kernel_fd = t->player.machine.kernel_fd;
    return explainer_start(&t->explainer, t->player.machine.ram_fd, e);
}

/* --- playing --- */

static void stop_short(struct play_through *t, int exit_code, const char *why)
{
    t->exit_code = exit_code;
    snprintf(t->why, sizeof(t->why), "%s", why);
}

/* What it means that the machine neither stands where it should nor is over. */
static void break_off(struct play_through *t, enum played how)
{
    char text[64];

    switch (how) {
    case PLAYED_TIMEOUT:
        snprintf(text, sizeof(text), "no end after %g s", t->o->timeout);
        stop_short(t, EXIT_TIMEOUT, text);
        return;
    case PLAYED_INTERRUPT:
        stop_short(t, EXIT_INTERRUPTED, "interrupted");
        return;
    case PLAYED_TERMINATE:
        stop_short(t, EXIT_TERMINATED, "terminated");
        return;
    case PLAYED_OUTPUT:
        stop_short(t, EXIT_ENVIRONMENT, "standard output cannot be written");
        return;
    default:
        stop_short(t, EXIT_FINDINGS, t->player.trouble.text);
        return;
    }
}

/* Each report is looked at where it was: while the hypervisor waits, and nothing changes. */
static bool play_to_reports(struct play_through *t)
{
    struct player *p = &t->player;

    for (unsigned i = 0; i < t->recording.nr_stops; i++) {
        const struct recording_stop *s = &t->recording.stop[i];
        enum played how = player_run(p, s->icount);

        if (how == PLAYED_END)
            how = PLAYED_AWRY;
        if (how == PLAYED_AWRY && p->trouble.code == 0)
            error_set(&p->trouble, EXIT_FINDINGS,
                      "the machine is over after %" PRIu64
                      " instructions, and had a report at %" PRIu64,
                      p->icount, s->icount);
        if (how != PLAYED_THERE) {
            break_off(t, how);
            return false;
        }
        explainer_look(&t->explainer, &p->mailbox, &t->console, stderr);
        if (reports_filed(&p->mailbox) != s->filed && t->difference[0] == '\0')
            snprintf(t->difference, sizeof(t->difference),
                     "after %" PRIu64 " instructions there are %u reports, and were %u", p->icount,
                     reports_filed(&p->mailbox), s->filed);
    }
    return true;
}

static void play(struct play_through *t)
{
    enum played how;

    if (!play_to_reports(t))
        return;
    how = player_run(&t->player, PLAY_TO_END);
    if (how != PLAYED_END)
        break_off(t, how);
}

/* --- what came of it --- */

static void take_facts(struct play_through *t)
{
    struct run_facts *f = &t->report.facts;
    const struct mailbox *m = &t->player.mailbox;

    t->report.kernel = t->recording.kernel;
    t->report.hypervisor = t->recording.hypervisor;
    t->report.accel = "tcg";
    t->report.memory = t->recording.memory;
    f->end = END_GUEST;
    f->real_xen = t->recording.real_xen;
    f->hello = m->box != NULL;
    f->ended = mailbox_state(m) == PVMM_STATE_ENDED;
    f->has_verdict = !f->real_xen && mailbox_verdict(m, &f->verdict);
    mailbox_log_tail(m, f->log_tail, sizeof(f->log_tail));
    if (f->real_xen)
        return;
    t->report.explainer = &t->explainer;
    explainer_look(&t->explainer, m, &t->console, stderr);
    explainer_settle(&t->explainer, m);
    if (report_guest_is_over(&t->report))
        explainer_check(&t->explainer, stderr);
}

static void compare(struct play_through *t)
{
    struct json_object *now;

    console_check_end(&t->check);
    now = report_to_json(&t->report);
    /* Of a real Xen the host learns how it ended, and no more. */
    if (t->difference[0] == '\0' && !t->recording.real_xen)
        verdicts_differ(t->recorded, now, t->difference);
    json_object_put(now);
    if (t->check.different || t->difference[0] != '\0')
        t->exit_code = EXIT_FINDINGS;
}

static bool came_to_end(const struct play_through *t)
{
    return t->why[0] == '\0';
}

static void print_verdict(const struct play_through *t)
{
    const bool color = tone_wanted(stderr), same = t->exit_code == EXIT_CLEAN;

    fprintf(stderr, "pvmm: %s%s%s: %" PRIu64 " instructions replayed",
            !color ? ""
            : same ? "\033[32m"
                   : "\033[31m",
            same                            ? "the same"
            : t->exit_code == EXIT_FINDINGS ? "different"
                                            : "stopped",
            color ? "\033[0m" : "", t->player.icount);
    if (same)
        fprintf(stderr, ", console the same (%" PRIu64 " bytes), reports the same (%u)",
                t->check.at, t->explainer.reports);
    fprintf(stderr, "%s%s\n", came_to_end(t) ? "" : ": ", t->why);
    if (t->check.different)
        fprintf(stderr, "  console        differs from byte %" PRIu64 " on (of %zu)\n",
                t->check.at_fault, t->check.recorded.size);
    if (t->difference[0] != '\0')
        fprintf(stderr, "  reports        %s\n", t->difference);
}

static void put_difference(struct json_object *o, const char *key, const char *text)
{
    put(o, key, text[0] != '\0' ? json_object_new_string(text) : NULL);
}

static int write_json(struct play_through *t)
{
    struct json_object *o = json_object_new_object();
    const int flags =
        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;

    put_int(o, "format", 1);
    put_bool(o, "same", t->exit_code == EXIT_CLEAN);
    put_int(o, "exit_code", (uint64_t)t->exit_code);
    put_text(o, "recording", t->o->dir);
    put_bool(o, "complete", came_to_end(t));
    put_difference(o, "error", t->why);
    put_int(o, "instructions", t->player.icount);
    put_int(o, "console_bytes", t->check.at);
    put(o, "console_difference",
        t->check.different ? json_object_new_uint64(t->check.at_fault) : NULL);
    put_difference(o, "reports_difference", t->difference);
    put(o, "verdict", came_to_end(t) ? report_to_json(&t->report) : NULL);
    fprintf(t->json, "%s\n", json_object_to_json_string_ext(o, flags));
    json_object_put(o);
    return ferror(t->json) || fflush(t->json) != 0 ? -1 : 0;
}

static void tell(struct play_through *t)
{
    t->report.exit_code = t->exit_code;
    t->report.outcome = "replayed";
    print_verdict(t);
    if (t->json != NULL && write_json(t) != 0) {
        fprintf(stderr, "pvmm: cannot write %s\n", t->o->json);
        if (t->exit_code == EXIT_CLEAN)
            t->exit_code = EXIT_ENVIRONMENT;
    }
}

static void close_all(struct play_through *t)
{
    if (t->json != NULL)
        fclose(t->json);
    if (t->log != NULL)
        fclose(t->log);
    json_object_put(t->recorded);
    view_drop(&t->check.recorded);
    explainer_close(&t->explainer);
    recording_close(&t->recording);
}

int replay(const struct replay_options *o)
{
    static struct play_through t; /* large */
    struct error e;

    t = (struct play_through){.o = o, .exit_code = EXIT_CLEAN};
    t.explainer.ram_fd = -1;
    if (prepare(&t, &e) != 0 || start(&t, &e) != 0) {
        fprintf(stderr, "pvmm replay: %s\n", e.text);
        t.exit_code = e.code;
    } else {
        play(&t);
        if (came_to_end(&t)) {
            take_facts(&t);
            compare(&t);
        }
        tell(&t);
        player_end(&t.player);
    }
    close_all(&t);
    return t.exit_code;
}
