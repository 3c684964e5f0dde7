/* SPDX-License-Identifier: MIT */
/*
 * A report is filed by the hypervisor, in the middle of what the guest's instruction led to: from
 * that instruction on to the report no other of the guest's is executed. So it is the last time
 * before the report that the guest was about to execute what the report has as its rip. Pass 1
 * looks at the mode now and then over a window before the report: the last look that finds the
 * guest running comes shortly before that instruction. Pass 2 goes there, and has the debugger stub
 * stop at each execution of the instruction. Pass 3 stands at the last of these.
 */
#include "until.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exitcodes.h"
#include "explain_print.h"
#include "jsonput.h"
#include "reports.h"
#include "tone.h"

#define WINDOW      UINT64_C(1000000) /* instructions; what a report takes is some 100000 */
#define WIDER       16u
#define LOOKS       500u
#define LATER       UINT64_C(100000)   /* a step beyond the time that the record has ... */
#define LATER_MOST  UINT64_C(50000000) /* ... and how far one goes */
#define PASSES_MOST 100000u            /* by the instruction, in pass 2 */

/* ---- pass 1 */

/* On until the report is there; *filed: no later than that. */
static int await_report(struct pass *p, const struct finding *f, uint64_t *filed, struct error *e)
{
    const uint64_t end = p->player.icount + LATER_MOST;
    int rc = 1;

    while (rc > 0 && reports_filed(&p->player.mailbox) <= f->index && p->player.icount < end)
        rc = pass_run_to(p, p->player.icount + LATER, e);
    if (rc < 0)
        return -1;
    if (reports_filed(&p->player.mailbox) <= f->index)
        return error_set(e, EXIT_ENVIRONMENT,
                         "%s#%u is not reported when it should be: the replay "
                         "does not take the same steps as the record",
                         f->code, f->number);
    *filed = p->player.icount;
    return 0;
}

static int check_report(struct pass *p, const struct finding *f, struct error *e)
{
    static struct pvmm_report r; /* large */

    if (reports_copy(&p->player.mailbox, f->index, &r) && r.regs.rip == f->rip)
        return 0;
    return error_set(e, EXIT_UNREADABLE, "the report replayed is not the one of verdict.json");
}

/* Looks at the mode from `from` to `to`; *guest: the last time that the guest ran, if any. The
 * report may come before `to`, which then is the end. */
static int look_for_guest(struct pass *p, const struct finding *f, uint64_t to, uint64_t *guest,
                          bool *found, struct error *e)
{
    const uint64_t step = (to - p->player.icount) / LOOKS + 1;
    struct pass_registers r;
    int rc = 1;

    *found = false;
    while (rc > 0 && p->player.icount < to && reports_filed(&p->player.mailbox) <= f->index) {
        if (pass_registers(p, &r, e) != 0)
            return -1;
        if (r.level > 0) {
            *guest = p->player.icount;
            *found = true;
        }
        rc = pass_run_to(p, to - p->player.icount > step ? p->player.icount + step : to, e);
    }
    return rc < 0 ? -1 : 0;
}

struct window {
    uint64_t from; /* the guest ran there, and executed few instructions from then on */
    uint64_t to;   /* the report is there */
};

static int find_window(struct seeking *s, const struct finding *f, uint64_t width, struct window *w,
                       bool *found, struct error *e)
{
    const uint64_t filed = f->icount, from = filed > width ? filed - width : 1;
    struct pass p;
    int rc;

    if (pass_open(&p, &s->playing, e) != 0)
        return -1;
    rc = pass_run_to(&p, from, e) < 0 || look_for_guest(&p, f, filed, &w->from, found, e) != 0 ||
                 await_report(&p, f, &w->to, e) != 0 || check_report(&p, f, e) != 0
             ? -1
             : 0;
    pass_close(&p);
    return rc;
}

/* ---- passes 2 and 3 */

/* The stub stops again where it stands: one instruction on without the point. */
static int step_over(struct pass *p, uint64_t rip, struct error *e)
{
    return pass_point(p, POINT_EXECUTE, false, rip, 1, e) == 0 && pass_step(p, e) == 0
               ? pass_point(p, POINT_EXECUTE, true, rip, 1, e)
               : -1;
}

/* 1: the guest is about to execute it; 0: not before `limit`. */
static int next_execution(struct pass *p, uint64_t rip, uint64_t limit, struct error *e)
{
    struct pass_registers r;
    int rc;

    do {
        rc = pass_run(p, limit, e);
        if (rc <= 0 || p->player.icount >= limit)
            return rc < 0 ? -1 : 0;
        if (pass_registers(p, &r, e) != 0)
            return -1;
    } while (r.r.rip != rip || r.level == 0);
    return 1;
}

/*
 * From w->from on, by each time that the guest is about to execute it, to that after `last`
 * instructions, where it stands (1), or to w->to (0). *at is the last time that it came by, *times
 * how often it did.
 */
static int follow(struct pass *p, uint64_t rip, const struct window *w, uint64_t last, uint64_t *at,
                  unsigned *times, struct error *e)
{
    int rc = pass_run_to(p, w->from, e);

    *times = 0;
    if (rc <= 0 || pass_point(p, POINT_EXECUTE, true, rip, 1, e) != 0)
        return rc == 0 ? 0 : -1;
    while ((rc = next_execution(p, rip, w->to, e)) > 0) {
        *at = p->player.icount;
        if (*at >= last)
            return pass_point(p, POINT_EXECUTE, false, rip, 1, e) == 0 ? *at == last : -1;
        if (++*times == PASSES_MOST)
            return error_set(e, EXIT_ENVIRONMENT,
                             "the guest comes by 0x%" PRIx64 " too often to be followed", rip);
        if (step_over(p, rip, e) != 0)
            return -1;
    }
    return rc;
}

static int find_execution(struct seeking *s, const struct finding *f, const struct window *w,
                          uint64_t *at, bool *found, struct error *e)
{
    unsigned times = 0;
    struct pass p;
    int rc;

    if (pass_open(&p, &s->playing, e) != 0)
        return -1;
    rc = follow(&p, f->rip, w, UINT64_MAX, at, &times, e);
    pass_close(&p);
    *found = times > 0;
    return rc < 0 ? -1 : 0;
}

static int find(struct seeking *s, const struct finding *f, struct window *w, uint64_t *at,
                struct error *e)
{
    bool found = false;

    /* Where nobody waited for the report, it may have been filed at any time. */
    for (uint64_t width = f->exact ? WINDOW : f->icount; !found; width *= WIDER) {
        s->playing.passes = s->playing.pass + 3;
        if (find_window(s, f, width, w, &found, e) != 0)
            return -1;
        if (found && find_execution(s, f, w, at, &found, e) != 0)
            return -1;
        if (!found && width >= f->icount)
            return error_set(e, EXIT_CRASHED, "the guest never executed 0x%" PRIx64 " before %s#%u",
                             f->rip, f->code, f->number);
    }
    return 0;
}

/* ---- pass 3: how it is there */

static void tell(struct seeking *s, const struct finding *f, const struct moment *m)
{
    const bool color = tone_wanted(stdout);
    char text[EXPLAIN_LINE];

    playing_hide(&s->playing);
    printf("pvmm: %s#%u: %s is about to execute what it arose at, %s\n", f->code, f->number,
           scene_mode_words(m->mode), m->at.text);
    seek_when(s, m, text, sizeof(text));
    explain_text_label("where", text, color, stdout);
    explain_text_calls(m->call, m->calls, m->instruction, color, stdout);
}

static struct json_object *answer(const struct seeking *s, const struct finding *f,
                                  const struct moment *m)
{
    struct json_object *o = json_object_new_object();
    char id[FINDING_CODE + 16];

    snprintf(id, sizeof(id), "%s#%u", f->code, f->number);
    put_int(o, "schema", EXPLAIN_SCHEMA);
    put_text(o, "recording", s->question->recording->dir);
    put_text(o, "finding", id);
    put_int(o, "instructions", s->question->recording->instructions);
    put(o, "stands", seek_moment_json(m));
    return o;
}

/* The same way as before, and not by the number alone: pass.h, pass_step(). */
static int go_there(struct pass *p, const struct finding *f, const struct window *w, uint64_t at,
                    struct error *e)
{
    uint64_t last;
    unsigned times;
    const int rc = follow(p, f->rip, w, at, &last, &times, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    return error_set(e, EXIT_ENVIRONMENT,
                     "the guest does not come by 0x%" PRIx64 " after %" PRIu64
                     " instructions again: the replay does not take the same steps each time",
                     f->rip, at);
}

static int stand(struct seeking *s, const struct finding *f, const struct window *w, uint64_t at,
                 struct error *e)
{
    struct moment m;
    struct pass p;
    int rc;

    if (pass_open(&p, &s->playing, e) != 0)
        return -1;
    rc = go_there(&p, f, w, at, e);
    if (rc == 0) {
        scene_enter(&s->scene, &p);
        rc = scene_moment(&s->scene, &m, e);
        scene_leave(&s->scene);
    }
    if (rc == 0)
        rc = seek_write_json(s, answer(s, f, &m), e);
    if (rc == 0) {
        tell(s, f, &m);
        rc = seek_stand(s, &p, e);
    }
    pass_close(&p);
    return rc == 0 ? EXIT_CLEAN : -1;
}

int until_seek(struct seeking *s, struct error *e)
{
    const struct finding *f;
    struct window w = {0, 0};
    uint64_t at = 0;

    if (s->question->recording->real_xen)
        return error_set(e, EXIT_USAGE,
                         "--until %s: a real Xen reports nothing, so that there are "
                         "no findings",
                         s->question->until);
    f = findings_get(&s->findings, s->question->until, e);
    if (f == NULL)
        return error_context(e, "--until");
    if (!f->has_report)
        return error_set(e, EXIT_CRASHED,
                         "--until %s: this is about what the guest published, as "
                         "it is at the end: it arose at no single instruction",
                         s->question->until);
    return find(s, f, &w, &at, e) == 0 ? stand(s, f, &w, at, e) : -1;
}
