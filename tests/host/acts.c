/* SPDX-License-Identifier: MIT */
/*
 * What the core tells of its acts: the last of them are kept for tests to look at, and from all of
 * them each frame's state is derived anew, to be held against the frame table.
 */
#include <inttypes.h>
#include <stdio.h>

#include "world.h"

static bool is_table(uint64_t type)
{
    return type >= TYPE_L1 && type <= TYPE_L4;
}

static const char *told_type(struct world_told *t, uint64_t old, uint64_t now)
{
    /* A table whose release paused is in use still, and may be validated anew. */
    bool fits = t->given && (t->table == 0 || (t->table == now && old == now));
    t->table = is_table(now) ? (uint8_t)now : 0;
    return fits && now != TYPE_NONE ? NULL : "a frame became fit for a use that it cannot have";
}

static const char *told_pin(struct world_told *t, bool pinned, uint64_t level)
{
    bool fits = t->pinned != pinned && t->table == level && level;
    t->pinned = pinned;
    return fits ? NULL : "a pin that cannot be set or undone";
}

static const char *told_freed(struct world_told *t, uint64_t page)
{
    bool fits = t->given && !t->pinned && !t->table && t->pfn == page;
    *t = (struct world_told){.pfn = NO_PFN.n};
    return fits ? NULL : "a frame was freed that something holds";
}

static const char *told(struct world_told *t, enum core_act act, uint64_t old, uint64_t now)
{
    bool fits = t->given;
    switch (act) {
    case ACT_ENTRY:
        return t->table ? NULL : "an entry of no table changed";
    case ACT_TYPE:
        return told_type(t, old, now);
    case ACT_RELEASE:
        fits = t->table == old && !t->pinned;
        t->table = 0;
        return fits ? NULL : "a table was released that was none, or is pinned";
    case ACT_PIN:
        return told_pin(t, true, now);
    case ACT_UNPIN:
        return told_pin(t, false, old);
    case ACT_ROOT:
        return NULL;
    case ACT_GIVEN:
        *t = (struct world_told){.given = true, .pfn = now};
        return fits ? "a frame was given twice" : NULL;
    case ACT_FREED:
        return told_freed(t, old);
    case ACT_M2P:
        fits = fits && t->pfn == old;
        t->pfn = now;
        return fits ? NULL : "a pfn changed that was another one";
    default:
        return "an act that the core does not know";
    }
}

void glue_note(struct core *c, enum core_act act, maddr_t at, uint64_t old, uint64_t now)
{
    struct world *w = c->embedding;
    if (w->acts < WORLD_ACTS)
        w->act[w->acts] = (struct world_act){act, at, old, now};
    w->acts++;
    const char *wrong = told(&w->told[maddr_frame(at).n], act, old, now);
    if (wrong && !w->told_wrong)
        w->told_wrong = wrong;
}

static const char *check_frame(const struct world *w, uint64_t n)
{
    uint64_t use = w->frames[n].use, hold = w->frames[n].hold;
    const struct world_told *t = &w->told[n];
    bool table = is_table(use >> 60) && (uint32_t)use > 0;
    bool owned = hold >> 50 != OWNER_NOBODY && hold >> 50 != OWNER_DEVICE;
    if (t->table != (table ? use >> 60 : 0))
        return "a frame is a table, or is none, and nobody was told";
    if (t->pinned != (use >> 43 & 1))
        return "a pin that nobody was told of";
    if (t->given != owned)
        return "a frame came or went, and nobody was told";
    if (owned && t->pfn != w->m2p[n])
        return "R7: m2p changed, and nobody was told";
    return NULL;
}

const char *world_check_acts(struct world *w)
{
    static char text[160];
    if (w->told_wrong)
        return w->told_wrong;
    for (uint64_t n = 0; n < w->core.nr_frames; n++) {
        const char *wrong = check_frame(w, n);
        if (!wrong)
            continue;
        snprintf(text, sizeof(text), "%s (frame %" PRIx64 ")", wrong, n);
        return text;
    }
    return NULL;
}
