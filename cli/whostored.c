/* SPDX-License-Identifier: MIT */
#include "whostored.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "exitcodes.h"
#include "imagefile.h"

#define DIRECT_BASE  0xffff830000000000ull /* of our hypervisor: machine address 0 */
#define WORD         sizeof(uint64_t)
#define SLOTS        512u
#define RECORD_SOON  2000u /* instructions; that of an emulated store is written within so many */
#define RECORD_NEAR  25u   /* fewer than take it from there to the guest's next instruction */
#define RECORD_STEP  500u
#define RECORD_MOST  100000u            /* ... within so many */
#define RETURN_MOST  UINT64_C(20000000) /* until the guest goes on behind a request */
#define RETURN_STEPS 3000u              /* single ones, behind an emulated store */
#define FRAME_LIMIT  (UINT64_C(1) << 40)

/* ---- the question */

static int parse_address(const char *text, uint64_t address, struct who_stored *w, struct error *e)
{
    if (address % WORD != 0)
        return error_set(e, EXIT_USAGE, "%s: entries lie at multiples of 8", text);
    w->address = address;
    return 0;
}

/* "MFN:SLOT" */
static int parse_slot(const char *text, const char *colon, struct who_stored *w, struct error *e)
{
    char frame[32];
    uint64_t mfn, slot;

    snprintf(frame, sizeof(frame), "%.*s", (int)(colon - text), text);
    if (!parse_number(frame, &mfn) || !parse_number(colon + 1, &slot))
        return error_set(e, EXIT_USAGE,
                         "%s: neither MFN:SLOT, nor a machine address, nor a finding", text);
    if (mfn >= FRAME_LIMIT)
        return error_set(e, EXIT_USAGE, "%s: no machine has such a frame", text);
    if (slot >= SLOTS)
        return error_set(e, EXIT_USAGE, "%s: a table has entries 0 to %u", text, SLOTS - 1);
    w->address = mfn * PAGE_BYTES + slot * WORD;
    return 0;
}

static int parse_finding(const struct seeking *s, const char *text, struct who_stored *w,
                         struct error *e)
{
    const struct finding *f = findings_get(&s->findings, text, e);

    if (f == NULL)
        return -1;
    if (!f->has_entry)
        return error_set(e, EXIT_CRASHED, "%s is about no page-table entry", text);
    w->address = f->entry;
    w->before = f;
    return 0;
}

static int parse_entry(const struct seeking *s, const char *text, struct who_stored *w,
                       struct error *e)
{
    const char *colon = strchr(text, ':');
    uint64_t address;

    if (colon != NULL)
        return parse_slot(text, colon, w, e);
    if (parse_number(text, &address))
        return parse_address(text, address, w, e);
    if (text[0] >= '0' && text[0] <= '9')
        return error_set(e, EXIT_USAGE,
                         "%s: neither MFN:SLOT, nor a machine address, nor a finding", text);
    return parse_finding(s, text, w, e);
}

/* At whose time: of the finding named, of the entry's own, of the first that shows it, the end. */
static int choose_end(const struct seeking *s, struct who_stored *w, struct error *e)
{
    if (s->question->until != NULL) {
        w->before = findings_get(&s->findings, s->question->until, e);
        if (w->before == NULL)
            return error_context(e, "--until");
    } else if (w->before == NULL) {
        w->before = findings_showing(&s->findings, w->address);
    }
    w->end = w->before != NULL ? w->before->icount : s->question->recording->instructions;
    return 0;
}

int who_stored_parse(const struct seeking *s, const char *text, struct who_stored *w,
                     struct error *e)
{
    *w = (struct who_stored){0};
    if (parse_entry(s, text, w, e) != 0)
        return error_context(e, "--who-stored");
    w->change.address = w->address;
    return choose_end(s, w, e);
}

/* ---- at the end */

static void add_mappings(const struct scene *s, const struct moment *m, struct who_stored *w)
{
    uint64_t va[NARROW_WATCHES];
    const unsigned n = scene_mappings(s, m, w->address / PAGE_BYTES, va, NARROW_WATCHES / 2);

    for (unsigned i = 0; i < n; i++)
        narrow_watch_add(&w->watch, va[i] + w->address % PAGE_BYTES);
}

struct at_end {
    struct seeking *s;
    struct who_stored *w;
};

/* What the table is, and where it is mapped then. */
static int look_at_end(void *context, struct pass *p, struct error *e)
{
    struct at_end *to = context;
    struct scene *s = &to->s->scene;
    struct who_stored *w = to->w;
    struct moment m;
    int rc;

    scene_enter(s, p);
    rc = scene_moment(s, &m, e);
    if (rc == 0)
        add_mappings(s, &m, w);
    explain_frame_name(&s->sources, w->address / PAGE_BYTES, w->frame, sizeof(w->frame));
    explain_entry(&s->sources, 1, w->change.final, &w->final);
    scene_leave(s);
    return rc;
}

/* ---- at the store */

static enum storer storer_of(const struct scene *s, const struct moment *m)
{
    switch (m->mode) {
    case MODE_FIRMWARE:
        return STORER_FIRMWARE;
    case MODE_KERNEL:
        return STORER_KERNEL;
    case MODE_USER:
        return STORER_USER;
    default:
        return s->running || s->recording->real_xen ? STORER_HYPERVISOR : STORER_BUILDER;
    }
}

/* The virtual address, if the instruction's operand leads to the word. Stores of many bytes begin
 * before it. */
static void take_va(const struct scene *s, struct who_stored *w)
{
    uint64_t va, to;

    w->has_va = scene_store(s, &w->store, &va, &to) && to / PAGE_BYTES == w->address / PAGE_BYTES;
    w->va = va - to % PAGE_BYTES + w->address % PAGE_BYTES;
}

/* Is one of the records from `first` on that of this entry? */
static bool find_record(const struct scene *s, uint64_t first, struct who_stored *w)
{
    struct pvmm_record r;

    for (uint64_t i = first; witness_read(&s->witness, i, &r); i++) {
        const unsigned act = record_act(&r);

        if (record_address(&r) != w->address || (act != PVMM_ACT_ENTRY && act != PVMM_ACT_STORE))
            continue;
        w->record = r;
        w->storer = act == PVMM_ACT_ENTRY ? STORER_REQUEST : STORER_EMULATION;
        return true;
    }
    return false;
}

/* Behind an emulated store the guest is not to be overtaken: there may be another at once. */
static int await_record(struct scene *s, struct pass *p, uint64_t first, struct who_stored *w,
                        bool *found, struct error *e)
{
    const uint64_t start = p->player.icount;
    int rc = 1;

    *found = false;
    while (rc > 0 && !*found && p->player.icount < start + RECORD_MOST) {
        const uint64_t at = p->player.icount;

        rc = pass_run_to(p, at + (at - start < RECORD_SOON ? RECORD_NEAR : RECORD_STEP), e);
        *found = rc > 0 && find_record(s, first, w);
    }
    return rc < 0 ? -1 : 0;
}

/* Behind the call of a hypercall's stub there is a place of its own to stop at; behind a store that
 * was emulated the guest goes on at once, perhaps with another such store, whose trap must not be
 * taken for its absence: pass.h, pass_step(). */
static int await_guest(struct pass *p, const struct who_stored *w, bool *there, struct error *e)
{
    struct pass_registers r = {.level = 0};

    if (w->storer == STORER_REQUEST) {
        const uint64_t end = p->player.icount + RETURN_MOST;

        if (pass_point(p, POINT_EXECUTE, true, w->record.rip, 1, e) != 0)
            return -1;
        const int rc = pass_run(p, end, e);

        *there = rc > 0 && p->player.icount < end;
        return rc < 0 ? -1 : 0;
    }
    for (unsigned n = 0; r.level == 0 && n < RETURN_STEPS; n++) {
        if (pass_step(p, e) != 0 || pass_registers(p, &r, e) != 0)
            return -1;
    }
    *there = r.level > 0;
    return 0;
}

/* On whose behalf the hypervisor stored: by the record that it writes afterwards, and by the
 * guest's registers when it goes on. */
static int find_asker(struct scene *s, struct pass *p, uint64_t first, struct who_stored *w,
                      struct error *e)
{
    bool found;

    if (await_record(s, p, first, w, &found, e) != 0)
        return -1;
    if (!found)
        return 0;
    scene_learn(s, w->record.rip, &w->store.registers);
    (w->storer == STORER_REQUEST ? explain_return_name : explain_name)(&s->sources, w->record.rip,
                                                                       &w->asker);
    w->asked_at = explain_seconds(&s->sources, w->record.time, &w->seconds);
    if (await_guest(p, w, &w->has_guest, e) != 0)
        return -1;
    return w->has_guest ? scene_moment(s, &w->guest, e) : 0;
}

static int not_the_same(const struct who_stored *w, uint64_t value, struct error *e)
{
    return error_set(e, EXIT_ENVIRONMENT,
                     "the store is not where it was found (0x%" PRIx64
                     " is there after instruction %" PRIu64 "): the replay does not take the same "
                     "steps each time",
                     value, w->change.icount);
}

/* The machine stands before the instruction. */
static int look_before(struct scene *s, struct pass *p, struct who_stored *w, struct error *e)
{
    uint64_t was;

    scene_leave(s);
    scene_enter(s, p);
    if (scene_moment(s, &w->store, e) != 0 || pass_word(p, w->address, &was, e) != 0)
        return -1;
    if (narrow_is_final(&w->change, was))
        return not_the_same(w, was, e);
    explain_entry(&s->sources, 1, was, &w->was);
    w->storer = storer_of(s, &w->store);
    take_va(s, w);
    if (w->has_va)
        narrow_watch_add(&w->watch, w->va);
    if (!s->recording->real_xen)
        narrow_watch_add(&w->watch, DIRECT_BASE + w->address);
    add_mappings(s, &w->store, w);
    return 0;
}

static int look_after(struct scene *s, struct pass *p, struct who_stored *w, struct error *e)
{
    const uint64_t first = witness_written(&s->witness);
    uint64_t is;
    const int rc = pass_run_to(p, w->change.icount, e);

    if (rc < 0 || pass_word(p, w->address, &is, e) != 0)
        return -1;
    if (!narrow_is_final(&w->change, is))
        return not_the_same(w, is, e);
    explain_entry(&s->sources, 1, is, &w->is);
    return rc > 0 && w->storer == STORER_HYPERVISOR && !s->recording->real_xen
               ? find_asker(s, p, first, w, e)
               : 0;
}

/* ---- from question to answer */

static int watch(struct pass *p, struct who_stored *w, bool *later, struct error *e)
{
    const int rc = narrow_verify(p, w->end, &w->change, &w->watch, e);

    *later = rc > 0;
    return rc < 0 ? -1 : 0;
}

/* On to the store, and, unless what came of it was followed, at once further to the end. */
static int look_at_store(struct seeking *s, struct who_stored *w, bool *later, bool *watched,
                         struct error *e)
{
    struct pass p;
    int rc;

    if (pass_open(&p, &s->playing, e) != 0)
        return -1;
    rc = pass_run_to(&p, w->change.icount - 1, e) < 0 ? -1 : 0;
    if (rc == 0)
        rc = look_before(&s->scene, &p, w, e) == 0 && look_after(&s->scene, &p, w, e) == 0 ? 0 : -1;
    scene_leave(&s->scene);
    if (rc == 0 && !*watched && p.player.icount == w->change.icount) {
        *watched = true;
        rc = watch(&p, w, later, e);
    }
    pass_close(&p);
    return rc;
}

static int watch_anew(struct seeking *s, struct who_stored *w, bool *later, struct error *e)
{
    struct pass p;
    int rc;

    if (pass_open(&p, &s->playing, e) != 0)
        return -1;
    rc = watch(&p, w, later, e);
    pass_close(&p);
    return rc;
}

/* A later store, which was not seen by looking now and then, takes the place of the one found. */
static int look_and_watch(struct seeking *s, struct who_stored *w, struct error *e)
{
    bool watched = false, later = false;

    if (look_at_store(s, w, &later, &watched, e) != 0)
        return -1;
    if (!watched && watch_anew(s, w, &later, e) != 0)
        return -1;
    watched = true;
    return later ? look_at_store(s, w, &later, &watched, e) : 0;
}

static int find(struct seeking *s, struct who_stored *w, struct error *e)
{
    struct at_end to = {s, w};
    int rc;

    s->playing.passes = narrow_passes(w->end) + 1;
    rc = narrow_change(&s->playing, w->end, &w->change, look_at_end, &to, e);
    w->found = rc > 0;
    return rc > 0 ? look_and_watch(s, w, e) : rc;
}

static int stand(struct seeking *s, const struct who_stored *w, struct error *e)
{
    struct pass p;
    int rc;

    if (pass_open(&p, &s->playing, e) != 0)
        return -1;
    rc = pass_run_to(&p, w->change.icount - 1, e) < 0 ? -1 : 0;
    playing_hide(&s->playing);
    if (rc == 0)
        rc = seek_stand(s, &p, e);
    pass_close(&p);
    return rc;
}

int who_stored_seek(struct seeking *s, struct error *e)
{
    static struct who_stored w; /* large */

    if (who_stored_parse(s, s->question->who_stored, &w, e) != 0 || find(s, &w, e) != 0)
        return -1;
    playing_hide(&s->playing);
    if (seek_write_json(s, who_stored_json(s, &w), e) != 0)
        return -1;
    who_stored_text(s, &w, stdout);
    if (fflush(stdout) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output");
    if (!w.found)
        return EXIT_CRASHED;
    if (s->question->gdb_port != 0 && stand(s, &w, e) != 0)
        return -1;
    return EXIT_CLEAN;
}
