/* SPDX-License-Identifier: MIT */
/* A space with a program in it, for what is tried in user mode. */
#ifndef KERNEL_USER_WORLD_H
#define KERNEL_USER_WORLD_H

#include "look.h"

#define USER_CODE  0x400000ull /* read-only */
#define USER_DATA  0x600000ull /* writable, and the stack */
#define USER_OTHER 0x800000ull /* without PVG_PTE_USER */
#define USER_TOP   (USER_DATA + PVG_PAGE_BYTES)

/* user_code.S */
extern const uint8_t user_code[PVG_PAGE_BYTES];
extern const uint8_t user_sum[], user_registers[], user_read[], user_write[], user_jump[],
    user_ud[], user_bp[], user_hlt[], user_int[], user_int80[], user_spin[], user_forever[],
    user_flags[], user_stack_use[], user_tf[];

struct user_world {
    struct pvg_space space;
    pvg_pfn_t first; /* code, data, other */
};
extern struct user_world world;

/* The first word of the data, by the direct map. */
volatile uint64_t *data_word(struct pvguest *g);
/* Made and loaded. Whoever fails in the middle has failed the test: there is nothing to be undone.
 */
int world_begin(struct pvguest *g);
/* The test proper, with the space loaded; all is given back whatever it finds. */
void with_space(struct tap *t, void (*test)(struct tap *));
uint64_t va_of(const uint8_t *program);
/* Registers for a program's start. */
struct pvg_trap at(const uint8_t *program, uint64_t rdi, uint64_t rsi);
/* Until it comes back for another reason than an event of somebody's, the console's for example. */
int run(struct pvguest *g, struct pvg_trap *r);

static inline bool from_user(const struct pvg_trap *t)
{
    return (t->cs & 3) == 3;
}

/* Defines the tests that FOR_EACH names, each in a space of its own, and their table. */
#define USER_TEST(name)                                                                            \
    static void with_##name(struct tap *t)                                                         \
    {                                                                                              \
        with_space(t, name);                                                                       \
    }
#define USER_ENTRY(name) {#name, with_##name},
#define USER_TESTS(FOR_EACH)                                                                       \
    FOR_EACH(USER_TEST)                                                                            \
    static const struct test tests[] = {FOR_EACH(USER_ENTRY)};

#endif
