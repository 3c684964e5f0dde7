/* SPDX-License-Identifier: MIT */
#include "hold.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "exitcodes.h"

#define HEED_PATIENCE (10 * SECOND) /* for the hypervisor to do as a bell says */
#define SUSPEND       "suspend"

static bool runs(const struct hold *h)
{
    return mailbox_state(h->mailbox) == PVMM_STATE_RUNNING;
}

static bool ended(const struct hold *h)
{
    return mailbox_state(h->mailbox) == PVMM_STATE_ENDED;
}

enum pvmm_hold hold_state(const struct mailbox *m)
{
    uint32_t hold;

    if (m == NULL || mailbox_state(m) != PVMM_STATE_RUNNING)
        return PVMM_HOLD_NONE;
    hold = __atomic_load_n(&m->box->hold, __ATOMIC_ACQUIRE);
    return hold <= PVMM_HOLD_SUSPENDED ? (enum pvmm_hold)hold : PVMM_HOLD_NONE;
}

bool hold_as_wished(const struct hold *h)
{
    return !h->paused || hold_state(h->mailbox) == PVMM_HOLD_PAUSED;
}

enum standing hold_standing(const struct hold *h)
{
    static const enum standing as_seen[] = {
        [PVMM_HOLD_NONE] = STANDING_NOT,
        [PVMM_HOLD_PAUSED] = STANDING_PAUSED,
        [PVMM_HOLD_SUSPENDED] = STANDING_SUSPENDED,
    };

    if (h == NULL || ended(h))
        return STANDING_NOT;
    if (h->arrives)
        return STANDING_ARRIVING;
    if (hold_handed(h))
        return STANDING_HANDED_OVER;
    return h->suspending == SUSPEND_ENDS ? STANDING_SUSPENDED : as_seen[hold_state(h->mailbox)];
}

/* --- bells: the next one only when the last was heeded, or what is seen would be ambiguous --- */

/* What is to be seen of the guest at one moment. */
struct seen {
    uint64_t cancelled; /* suspends, ever */
    uint32_t state;     /* enum pvmm_hold, not checked */
};

/* In this order: a state that is seen with a count is at least as new. */
static struct seen look(const struct hold *h)
{
    const volatile struct pvmm_mailbox *box = h->mailbox->box;
    struct seen s;

    s.cancelled = __atomic_load_n(&box->verdict.suspends, __ATOMIC_ACQUIRE);
    s.state = __atomic_load_n(&box->hold, __ATOMIC_ACQUIRE);
    return s;
}

/* A guest that goes on may suspend itself at once, and then stands as before. */
static void look_after_bell(struct hold *h, const struct seen *s)
{
    if (s->state != h->rung_in || s->cancelled != h->rung_after)
        h->rung = 0;
}

static bool ring(struct hold *h, char bell, const struct seen *s)
{
    if (!bell_ring(h->bell, &bell, 1))
        return false;
    h->rung = bell;
    h->rung_in = s->state;
    h->rung_after = s->cancelled;
    return true;
}

/* --- what the guest is asked by its store --- */

static int ask_guest_for(struct hold *h, const char *how, struct error *e)
{
    if (guest_store_shutdown(h->store, how, e) != 0)
        return -1;
    h->asked = how;
    return 0;
}

/* Whoever reads control/shutdown from now on finds nothing in it. */
static void take_back(struct hold *h)
{
    if (h->asked != NULL && !guest_store_took(h->store, h->asked))
        guest_store_forget(h->store);
    h->asked = NULL;
}

void hold_go_on(struct hold *h)
{
    take_back(h);
    h->suspending = SUSPEND_NOT;
    h->taken_back = true;
}

/* --- serving --- */

static void serve_suspended(struct hold *h, const struct seen *s)
{
    switch (h->suspending) {
    case SUSPEND_ASKED:
        take_back(h);
        h->suspending = SUSPEND_STANDS;
        h->taken_back = false;
        break;
    case SUSPEND_STANDS:
        break;
    case SUSPEND_ENDS:
        h->saved |= ring(h, PVMM_BELL_STOP, s);
        break;
    case SUSPEND_NOT:
        if (ring(h, h->taken_back || h->cancels ? PVMM_BELL_UNPAUSE : PVMM_BELL_STOP, s))
            h->taken_back = false;
        break;
    }
}

int hold_serve(struct hold *h, struct error *e)
{
    const bool stand = h->paused || h->holders > 0;
    struct seen s;

    if (!runs(h))
        return 0;
    s = look(h);
    if (s.state > PVMM_HOLD_SUSPENDED)
        return error_set(e, EXIT_ENVIRONMENT,
                         "the hypervisor says that the guest stands for the unknown reason %u",
                         s.state);
    look_after_bell(h, &s);
    hold_live_serve(h);
    if (h->rung != 0)
        return 0;
    if (s.state == PVMM_HOLD_SUSPENDED)
        serve_suspended(h, &s);
    else if (s.state == PVMM_HOLD_PAUSED && !stand)
        ring(h, PVMM_BELL_UNPAUSE, &s);
    else if (s.state == PVMM_HOLD_NONE && stand)
        ring(h, PVMM_BELL_PAUSE, &s);
    return 0;
}

/* --- requests --- */

static int refuse(struct error *e, const char *why)
{
    return error_set(e, EXIT_ENVIRONMENT, "%s", why);
}

static int check_life(const struct hold *h, struct error *e)
{
    if (ended(h))
        return refuse(e, "it has ended");
    if (!runs(h))
        return refuse(e, "it has not started yet");
    if (h->arrives)
        return refuse(e, "it is arriving from elsewhere, and may still go on there");
    if (hold_handed(h))
        return refuse(e, "it was handed over, and stands (pvmm resume, if it is gone there)");
    return h->suspending == SUSPEND_NOT ? 0 : refuse(e, "it is being saved");
}

static int check_askable(const struct hold *h, struct error *e)
{
    if (h->paused)
        return refuse(e, "it is paused, and cannot answer (pvmm unpause)");
    if (h->holders > 0)
        return refuse(e, "it is being dumped, and cannot answer");
    return h->asked == NULL ? 0 : refuse(e, "it is being asked to shut down already");
}

int hold_suspend(struct hold *h, struct error *e)
{
    if (check_askable(h, e) != 0 || ask_guest_for(h, SUSPEND, e) != 0)
        return -1;
    h->suspending = SUSPEND_ASKED;
    return 0;
}

bool hold_handed(const struct hold *h)
{
    return h->live.handed && !h->live.connected && h->suspending == SUSPEND_STANDS;
}

/* The one wish of a guest that was handed over. */
static int check_handed(const struct hold *h, struct error *e)
{
    if (hold_handed(h))
        return 0;
    return refuse(e, h->live.connected ? "it is being moved" : "it was not handed over");
}

static int begin(struct hold *h, enum hold_wish wish, const char *how, struct error *e)
{
    switch (wish) {
    case WISH_PAUSE:
        h->paused = true;
        return 0;
    case WISH_UNPAUSE:
        h->paused = false;
        return 0;
    case WISH_HOLD:
        h->holders++;
        return 0;
    case WISH_SHUTDOWN:
        return check_askable(h, e) != 0 ? -1 : ask_guest_for(h, how, e);
    case WISH_SUSPEND:
        return h->live.connected ? refuse(e, "it is being copied while it runs")
                                 : hold_suspend(h, e);
    case WISH_LIVE:
        if (hold_live_check(h, e) != 0 || check_askable(h, e) != 0)
            return -1;
        hold_live_begin(h);
        return 0;
    case WISH_RESUME:
        h->live.handed = false;
        hold_go_on(h);
        return 0;
    }
    return -1;
}

int hold_ask(struct hold *h, struct hold_ticket *t, enum hold_wish wish, const char *how,
             unsigned timeout, struct error *e)
{
    const bool guests = wish == WISH_SHUTDOWN || wish == WISH_SUSPEND;
    const bool was_paused = h->paused;

    if ((wish == WISH_RESUME && runs(h) ? check_handed(h, e) : check_life(h, e)) != 0 ||
        begin(h, wish, how, e) != 0)
        return -1;
    *t = (struct hold_ticket){
        .hold = h,
        .wish = wish,
        .timeout = timeout,
        .was_paused = was_paused,
        .deadline = clock_now() + (guests ? (int64_t)timeout * SECOND : HEED_PATIENCE),
    };
    return 0;
}

bool hold_goes_on(const struct hold *h)
{
    return !h->taken_back && h->rung == 0;
}

/* Is it as was wished? */
static bool came_true(const struct hold *h, enum hold_wish wish)
{
    const bool heeded = h->rung == 0;
    const enum pvmm_hold state = hold_state(h->mailbox);

    switch (wish) {
    case WISH_PAUSE:
    case WISH_HOLD:
        return heeded && state == PVMM_HOLD_PAUSED;
    case WISH_UNPAUSE: /* somebody else may hold it */
        return h->holders > 0 || (heeded && state != PVMM_HOLD_PAUSED);
    case WISH_SHUTDOWN:
        return ended(h) || guest_store_took(h->store, h->asked);
    case WISH_SUSPEND:
        return h->suspending == SUSPEND_STANDS;
    case WISH_LIVE:
        return true;
    case WISH_RESUME:
        return hold_goes_on(h);
    }
    return false;
}

void hold_say_late(const struct hold *h, unsigned seconds, struct error *e)
{
    const bool took = guest_store_took(h->store, SUSPEND);

    error_set(e, EXIT_ENVIRONMENT, "it %s within %u s; it goes on running",
              took ? "took the request, but did not suspend itself" : "did not answer", seconds);
}

static int never_came(const struct hold_ticket *t, struct error *e)
{
    const struct hold *h = t->hold;

    if (t->wish != WISH_SUSPEND && t->wish != WISH_SHUTDOWN)
        return refuse(e, "the hypervisor does not answer");
    if (t->wish == WISH_SUSPEND) {
        hold_say_late(h, t->timeout, e);
        return -1;
    }
    return error_set(e, EXIT_ENVIRONMENT, "it did not answer within %u s; it goes on running",
                     t->timeout);
}

static enum hold_reply refused(struct hold_ticket *t)
{
    hold_leave(t);
    return HOLD_REFUSED;
}

static enum hold_reply granted(struct hold_ticket *t)
{
    t->granted = true;
    if (t->wish == WISH_SHUTDOWN)
        t->hold->asked = NULL;
    return HOLD_GRANTED;
}

/* 0: it may still come true. */
static int despair(const struct hold_ticket *t, struct error *e)
{
    const struct hold *h = t->hold;

    if (ended(h))
        return refuse(e, t->wish == WISH_SUSPEND ? "it ended instead of suspending itself"
                                                 : "it has ended");
    if ((t->wish == WISH_PAUSE && !h->paused) || (t->wish == WISH_UNPAUSE && h->paused))
        return refuse(e, "somebody else asked for the opposite meanwhile");
    return clock_now() < t->deadline ? 0 : never_came(t, e);
}

enum hold_reply hold_look(struct hold_ticket *t, struct error *e)
{
    if (came_true(t->hold, t->wish))
        return granted(t);
    return despair(t, e) == 0 ? HOLD_WAIT : refused(t);
}

void hold_leave(struct hold_ticket *t)
{
    struct hold *h = t->hold;

    if (h == NULL)
        return;
    t->hold = NULL;
    if ((t->wish == WISH_PAUSE || t->wish == WISH_UNPAUSE) && !t->granted)
        h->paused = t->was_paused;
    if (t->wish == WISH_HOLD)
        h->holders--;
    if (t->wish == WISH_SHUTDOWN && !t->granted)
        take_back(h);
    if (t->wish == WISH_SUSPEND && h->suspending != SUSPEND_ENDS)
        hold_go_on(h);
    if (t->wish == WISH_LIVE && hold_live_leave(h))
        fprintf(stderr, "pvmm: the guest was handed over, and whoever did that is gone: it stands "
                        "(pvmm resume, if it is gone there; pvmm destroy, if it runs there)\n");
}

bool hold_told(struct hold_ticket *t, const char *line)
{
    struct hold *h = t->hold;

    if (h != NULL && t->wish == WISH_LIVE && t->granted)
        return hold_live_told(h, t, line);
    if (h == NULL || t->wish != WISH_SUSPEND || !t->granted || h->suspending != SUSPEND_STANDS)
        return false;
    if (strcmp(line, "end") == 0)
        h->suspending = SUSPEND_ENDS;
    else if (strcmp(line, "pause") == 0)
        h->paused = true;
    else
        return false;
    return true;
}
