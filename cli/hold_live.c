/* SPDX-License-Identifier: MIT */
#include "hold_live.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "exitcodes.h"
#include "hold.h"

#define HEED_PATIENCE (30 * SECOND) /* for a watch to begin, of much memory and on a busy host */
#define PAGE          4096u
#define AT_LIMIT      (UINT64_C(4) << 30) /* below, file offset and machine address agree */

static const volatile struct pvmm_dirty *dirty(const struct hold *h)
{
    return &h->mailbox->box->dirty;
}

static uint64_t heeded(const struct hold *h)
{
    return __atomic_load_n(&dirty(h)->heeded, __ATOMIC_ACQUIRE);
}

int hold_live_check(const struct hold *h, struct error *e)
{
    if (dirty(h)->version != PVMM_DIRTY_VERSION)
        return error_set(e, EXIT_ENVIRONMENT, "its hypervisor cannot tell what it writes to");
    if (h->live.connected)
        return error_set(e, EXIT_ENVIRONMENT, "it is being copied while it runs already");
    return 0;
}

void hold_live_begin(struct hold *h)
{
    h->live.connected = true;
    h->live.handed = false;
    h->live.doing = LIVE_NOTHING;
    h->live.trouble[0] = '\0';
}

/* --- what the hypervisor says of a round */

static bool doubt(struct hold *h, const char *what, uint64_t value)
{
    snprintf(h->live.trouble, sizeof(h->live.trouble),
             "what its hypervisor tells of a round makes no sense: %s %" PRIu64, what, value);
    return false;
}

static uint64_t file_size(const struct hold *h)
{
    struct stat st;

    return fstat(h->ram_fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static bool take_round(struct hold *h)
{
    const volatile struct pvmm_dirty *d = dirty(h);
    const struct live_round is = {.round = d->rounds,
                                  .at = d->at + (d->rounds & 1) * d->bytes,
                                  .bytes = d->bytes,
                                  .frames = d->frames,
                                  .told = d->told};

    h->live.is = is;
    if (is.round == 0)
        return doubt(h, "it is number", is.round);
    if (is.bytes == 0 || is.bytes % PAGE != 0 || is.bytes > AT_LIMIT)
        return doubt(h, "the bytes of a bitmap are", is.bytes);
    if (d->at % PAGE != 0 || d->at > AT_LIMIT - 2 * is.bytes || d->at + 2 * is.bytes > file_size(h))
        return doubt(h, "the bitmaps are at", d->at);
    if (is.frames == 0 || is.frames > is.bytes * 8)
        return doubt(h, "the frames are", is.frames);
    return is.told <= is.frames || doubt(h, "of its frames were written", is.told);
}

static void answer_round(struct hold *h)
{
    const uint32_t state = dirty(h)->state;

    h->live.watched = state == PVMM_DIRTY_ON;
    h->live.is = (struct live_round){0};
    if (state == PVMM_DIRTY_NO_MEMORY)
        snprintf(h->live.trouble, sizeof(h->live.trouble),
                 "its machine has no memory left to watch what it writes to "
                 "(run --machine-memory)");
    else if (state != PVMM_DIRTY_ON)
        doubt(h, "the state is", state);
    else
        take_round(h);
}

/* --- bells: one at a time, each heeded once */

static void ring(struct hold *h, char bell)
{
    const uint64_t before = heeded(h);

    if (!bell_ring(h->bell, &bell, 1))
        return;
    h->live.bell = bell;
    h->live.heeded = before;
    h->live.wanted = false;
    h->live.watched = bell == PVMM_BELL_ROUND;
}

void hold_live_serve(struct hold *h)
{
    struct hold_live *l = &h->live;

    if (l->bell != 0 && heeded(h) != l->heeded) {
        if (l->bell == PVMM_BELL_ROUND)
            answer_round(h);
        l->bell = 0;
    }
    if (l->bell == 0 && l->wanted)
        ring(h, PVMM_BELL_ROUND);
    else if (l->bell == 0 && l->watched && !l->connected)
        ring(h, PVMM_BELL_UNWATCH);
}

/* --- lines */

static enum live_word word_of(const char *line)
{
    static const char *const words[] = {
        [LIVE_ROUND] = "round",   [LIVE_SUSPEND] = "suspend", [LIVE_HANDOVER] = "handover",
        [LIVE_RESUME] = "resume", [LIVE_PAUSE] = "pause",     [LIVE_END] = "end",
    };

    for (unsigned i = LIVE_ROUND; i <= LIVE_END; i++)
        if (strcmp(line, words[i]) == 0)
            return (enum live_word)i;
    return LIVE_NOTHING;
}

/* What only a guest that stands for this connection, or one that does not, can be told. */
static bool fits(const struct hold *h, enum live_word word)
{
    switch (word) {
    case LIVE_ROUND:
        return h->suspending == SUSPEND_NOT || h->suspending == SUSPEND_STANDS;
    case LIVE_SUSPEND:
        return h->suspending == SUSPEND_NOT;
    case LIVE_HANDOVER:
    case LIVE_RESUME:
    case LIVE_PAUSE:
    case LIVE_END:
        return h->suspending == SUSPEND_STANDS;
    case LIVE_NOTHING:
        break;
    }
    return false;
}

static void refuse(struct hold *h, const struct error *e)
{
    snprintf(h->live.trouble, sizeof(h->live.trouble), "%s", e->text);
}

bool hold_live_told(struct hold *h, const struct hold_ticket *t, const char *line)
{
    const enum live_word word = word_of(line);
    struct hold_live *l = &h->live;
    struct error e;

    if (l->doing != LIVE_NOTHING || !fits(h, word))
        return false;
    l->doing = word;
    l->deadline = clock_now() + HEED_PATIENCE;
    l->trouble[0] = '\0';
    if (word == LIVE_ROUND) {
        l->wanted = true;
    } else if (word == LIVE_SUSPEND) {
        l->deadline = clock_now() + (int64_t)t->timeout * SECOND;
        if (hold_suspend(h, &e) != 0)
            refuse(h, &e);
    } else if (word == LIVE_HANDOVER) {
        l->handed = true;
    } else if (word == LIVE_RESUME) {
        l->handed = false;
        hold_go_on(h);
    } else if (word == LIVE_PAUSE) {
        h->paused = true;
    } else {
        h->suspending = SUSPEND_ENDS;
    }
    return true;
}

static bool came_true(const struct hold *h, enum live_word word)
{
    switch (word) {
    case LIVE_ROUND:
        return !h->live.wanted && h->live.bell == 0;
    case LIVE_SUSPEND:
        return h->suspending == SUSPEND_STANDS;
    case LIVE_HANDOVER:
    case LIVE_PAUSE:
        return true;
    case LIVE_RESUME:
        return hold_goes_on(h);
    case LIVE_END:
    case LIVE_NOTHING:
        break;
    }
    return false;
}

/* Not within the bound: as if it had not been said. */
static int give_up(struct hold *h, const struct hold_ticket *t, struct error *e)
{
    const enum live_word word = h->live.doing;

    if (word == LIVE_SUSPEND) {
        hold_say_late(h, t->timeout, e);
        hold_go_on(h);
        return -1;
    }
    h->live.wanted = false;
    return error_set(e, EXIT_ENVIRONMENT, "the hypervisor does not answer");
}

static int answer(struct hold *h, const struct hold_ticket *t, struct error *e)
{
    const struct hold_live *l = &h->live;

    if (mailbox_state(h->mailbox) == PVMM_STATE_ENDED)
        return error_set(e, EXIT_ENVIRONMENT, "it has ended");
    if (l->trouble[0] != '\0')
        return error_set(e, EXIT_ENVIRONMENT, "%s", l->trouble);
    if (came_true(h, l->doing))
        return 1;
    return clock_now() < l->deadline ? 0 : give_up(h, t, e);
}

int hold_live_look(struct hold *h, const struct hold_ticket *t, struct live_round *round,
                   struct error *e)
{
    struct hold_live *l = &h->live;
    int rc;

    *round = (struct live_round){0};
    if (l->doing == LIVE_NOTHING || l->doing == LIVE_END)
        return 0;
    rc = answer(h, t, e);
    if (rc == 0)
        return 0;
    if (l->doing == LIVE_ROUND && rc > 0)
        *round = l->is;
    l->doing = LIVE_NOTHING;
    return rc;
}

bool hold_live_leave(struct hold *h)
{
    const bool stays = h->suspending == SUSPEND_STANDS && h->live.handed;

    h->live.connected = false;
    h->live.wanted = false;
    h->live.doing = LIVE_NOTHING;
    h->live.handed &= stays || h->suspending == SUSPEND_ENDS;
    if (!stays && h->suspending != SUSPEND_NOT && h->suspending != SUSPEND_ENDS)
        hold_go_on(h);
    return stays;
}
