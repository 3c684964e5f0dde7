/* SPDX-License-Identifier: MIT */
/* Parts of the library that have nothing to suspend: each is replaced by the part's own. */
#include "internal.h"

#define NOTHING __attribute__((weak))

NOTHING int spaces_suspend(struct pvguest *g)
{
    (void)g;
    return 0;
}

NOTHING int spaces_resume(struct pvguest *g, bool elsewhere)
{
    (void)g, (void)elsewhere;
    return 0;
}

NOTHING int grants_suspend(struct pvguest *g)
{
    (void)g;
    return 0;
}

NOTHING int grants_resume(struct pvguest *g, bool elsewhere)
{
    (void)g, (void)elsewhere;
    return 0;
}

NOTHING int store_suspend(struct pvguest *g)
{
    (void)g;
    return 0;
}

NOTHING int store_resume(struct pvguest *g, bool elsewhere)
{
    (void)g, (void)elsewhere;
    return 0;
}
