/* SPDX-License-Identifier: MIT */
#include "stoprule.h"

#define STANDING  0.08 /* seconds that a guest stands if nothing is left at all */
#define STUCK_MAX 2u   /* rounds of no use, and it is too fast */

double stop_expected(const struct round_facts *f)
{
    return STANDING + (double)(f->written + f->left) / (f->rate > 0 ? f->rate : 1);
}

static bool is_short_enough(const struct round_facts *f, const struct stop_wish *w)
{
    return stop_expected(f) * 1000 <= w->downtime;
}

static bool bound_is_short(struct round_facts f, const struct stop_wish *w)
{
    f.written = 0;
    return !is_short_enough(&f, w);
}

enum stop stop_rule(const struct round_facts *f, const struct stop_wish *w, unsigned *stuck)
{
    enum stop why;

    *stuck = f->written >= f->sent ? *stuck + 1 : 0;
    if (is_short_enough(f, w))
        return STOP_NOW;
    if (f->round >= w->rounds)
        why = STOP_ROUNDS;
    else if (*stuck >= STUCK_MAX)
        why = STOP_TOO_FAST;
    else
        return STOP_NOT_YET;
    return bound_is_short(*f, w) ? STOP_BOUND_SHORT : why;
}
