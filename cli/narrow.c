/* SPDX-License-Identifier: MIT */
#include "narrow.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core.h"
#include "exitcodes.h"

#define LOOKS_LEAST  100u /* of a pass: a pass costs a start, a look 1.5 ms */
#define LOOKS_MOST   2000u
#define WATCHED_MOST 20000u /* stores at which the watch stops: some 40 s */

struct look {
    uint64_t icount, value;
};

/* QEMU 7.2 loses its place in the record when it is stopped just where it has an input, and the
 * machine gets no further. There one does not look. */
#define ASTRAY_MOST 8u
struct astray {
    uint64_t at[ASTRAY_MOST];
    unsigned count;
};

static uint64_t passable(const struct astray *a, uint64_t icount)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->at[i] == icount)
            return passable(a, icount + 1);
    return icount;
}

bool narrow_is_final(const struct change *c, uint64_t value)
{
    const uint64_t by_themselves = PTE_ACCESSED | PTE_DIRTY | PTE_USER | PTE_KERNEL;
    const uint64_t light = c->final & PTE_PRESENT ? by_themselves : 0;

    return ((value ^ c->final) & ~light) == 0;
}

/* So many that three passes are enough, and their looks take about as long as their running. */
static unsigned looks_of(uint64_t end)
{
    unsigned n = LOOKS_LEAST;

    while (n < LOOKS_MOST && (uint64_t)n * n * n < end)
        n += n / 10;
    return n < LOOKS_MOST ? n : LOOKS_MOST;
}

unsigned narrow_passes(uint64_t end)
{
    const unsigned looks = looks_of(end);
    unsigned n = 1;

    for (uint64_t left = end; left > looks; left = left / looks + 1)
        n++;
    return n;
}

static int look_now(struct pass *p, uint64_t at, const struct change *c, struct look *to,
                    struct error *e)
{
    to->icount = at;
    return pass_word(p, c->address, &to->value, e);
}

/* From `from` to `to`, both included. */
static int look_through(struct pass *p, uint64_t from, uint64_t to, const struct change *c,
                        struct astray *a, struct look *look, unsigned *n, struct error *e)
{
    const uint64_t step = (to - from + looks_of(to) - 1) / looks_of(to);
    int rc = pass_run_to(p, from, e);

    *n = 0;
    if (rc < 0 || look_now(p, from, c, &look[(*n)++], e) != 0)
        return -1;
    while (from < to && rc > 0) {
        from = passable(a, to - from > step ? from + step : to);
        rc = pass_run_to(p, from, e);
        if (rc < 0 && p->player.trouble.code != 0 && a->count < ASTRAY_MOST)
            a->at[a->count++] = from;
        if (rc == 0) /* what a machine that is gone has left is what it had at the end */
            from = to;
        if (rc < 0 || look_now(p, from, c, &look[(*n)++], e) != 0)
            return -1;
    }
    return 0;
}

/* Which look is the last that finds another value? -1: none does. */
static int last_other(const struct change *c, const struct look *look, unsigned n)
{
    int i = (int)n - 1;

    while (i >= 0 && narrow_is_final(c, look[i].value))
        i--;
    return i;
}

/* One pass over *from..*to, which it narrows. Returns as narrow_change(). */
static int pass(struct playing *playing, uint64_t *from, uint64_t *to, struct change *c,
                struct astray *a, struct look *looks, narrow_look *at_end, void *context,
                struct error *e)
{
    struct pass p;
    unsigned n;
    int rc, i;

    if (pass_open(&p, playing, e) != 0)
        return -1;
    rc = look_through(&p, *from, *to, c, a, looks, &n, e);
    if (rc == 0 && at_end != NULL) {
        c->final = looks[n - 1].value;
        rc = at_end(context, &p, e);
    }
    pass_close(&p);
    if (rc != 0)
        return -1;
    c->looks += n;
    i = last_other(c, looks, n);
    if (i < 0)
        return 0;
    if (i == (int)n - 1)
        return error_set(e, EXIT_ENVIRONMENT,
                         "the word has another value at %" PRIu64 " than it had there before: the "
                         "replay does not take the same steps each time",
                         looks[i].icount);
    *from = looks[i].icount;
    *to = looks[i + 1].icount;
    return 1;
}

/* The same, once more where a stop led astray. */
static int sure_pass(struct playing *playing, uint64_t *from, uint64_t *to, struct change *c,
                     struct astray *a, struct look *looks, narrow_look *at_end, void *context,
                     struct error *e)
{
    unsigned before;
    int rc;

    do {
        before = a->count;
        rc = pass(playing, from, to, c, a, looks, at_end, context, e);
    } while (rc < 0 && a->count > before);
    return rc;
}

int narrow_change(struct playing *playing, uint64_t end, struct change *c, narrow_look *look,
                  void *context, struct error *e)
{
    struct look *looks = calloc(LOOKS_MOST + 2, sizeof(*looks));
    struct astray a = {.count = 0};
    uint64_t from = 0, to = end;
    int rc;

    if (looks == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    rc = sure_pass(playing, &from, &to, c, &a, looks, look, context, e);
    while (rc > 0 && passable(&a, from + 1) < to) {
        rc = sure_pass(playing, &from, &to, c, &a, looks, NULL, NULL, e);
        if (rc == 0)
            rc = error_set(e, EXIT_ENVIRONMENT,
                           "a change that was seen is not there again: the replay does not take "
                           "the same steps each time");
    }
    c->icount = to;
    free(looks);
    return rc;
}

/* ---- values that went away and came back */

void narrow_watch_add(struct narrow_watch *w, uint64_t va)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->va[i] == va)
            return;
    if (w->count < NARROW_WATCHES)
        w->va[w->count++] = va;
}

static int set_points(struct pass *p, const struct narrow_watch *w, struct error *e)
{
    for (unsigned i = 0; i < w->count; i++)
        if (pass_point(p, POINT_STORE, true, w->va[i], sizeof(uint64_t), e) != 0)
            return -1;
    return 0;
}

int narrow_verify(struct pass *p, uint64_t end, struct change *c, struct narrow_watch *w,
                  struct error *e)
{
    const uint64_t found = c->icount;
    bool is_final = true;
    uint64_t value;
    int rc = pass_run_to(p, found, e);

    if (rc > 0 && set_points(p, w, e) != 0)
        return -1;
    while (rc > 0 && p->player.icount < end && w->seen < WATCHED_MOST) {
        rc = pass_run(p, end, e);
        if (rc < 0 || pass_word(p, c->address, &value, e) != 0)
            return -1;
        if (rc > 0 && narrow_is_final(c, value) && !is_final)
            c->icount = p->player.icount;
        is_final = narrow_is_final(c, value);
        w->seen += rc > 0 && p->player.icount < end;
    }
    if (rc < 0)
        return -1;
    w->until = p->player.over ? end : p->player.icount;
    return c->icount != found;
}
