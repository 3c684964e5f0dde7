/* SPDX-License-Identifier: MIT */
/* Traps: either something guarded did not work, or the test is over. */
#include "guest.h"

#define VECTOR_DB 1u
#define RFLAGS_IF 0x200u

uint64_t traps_seen;
uint64_t steps_left; /* single steps to be let go on */
uint8_t kernel_stack[4][PAGE] __attribute__((aligned(4096)));

static bool see_trap(struct pvguest *g, struct pvg_trap *t)
{
    (void)g;
    traps_seen++;
    t->rflags &= ~(uint64_t)RFLAGS_IF; /* no events on the way out of it */
    if (t->vector != VECTOR_DB || steps_left == 0)
        return false;
    steps_left--;
    return true;
}

void traps_init(void)
{
    for (unsigned i = 0; i < PVG_TRAPS; i++)
        pvg_trap_set(guest, i, see_trap);
}

uint64_t guarded(void (*f)(void *), void *arg)
{
    struct pvg_trap t;
    if (pvg_guarded(guest, f, arg, &t))
        return 0;
    return TRAPPED | t.vector | (t.error & 0xffffffff) << 16;
}

struct access {
    uint64_t va, value;
};

static void do_write(void *arg)
{
    struct access *a = arg;
    *(volatile uint64_t *)a->va = a->value;
}

bool try_write(uint64_t va, uint64_t value)
{
    struct access a = {va, value};
    return !guarded(do_write, &a);
}
