/* SPDX-License-Identifier: MIT */
/* A space with two pages for user mode, and one of which the kernel says that it is its own. */
#include "user_world.h"

#define PAGES 3u

struct user_world world;

volatile uint64_t *data_word(struct pvguest *g)
{
    return pvg_page(g, pvg_pfn(world.first.n + 1));
}

/* ---- a space with two pages */

static int fill_pages(struct pvguest *g)
{
    int rc = pvg_pages_take(g, PAGES, 1, &world.first);
    if (rc)
        return rc;
    volatile uint8_t *to = pvg_page(g, world.first);
    for (unsigned i = 0; i < PVG_PAGE_BYTES; i++)
        to[i] = user_code[i];
    for (unsigned i = 0; i < WORDS; i++)
        data_word(g)[i] = 0;
    return 0;
}

static int map_pages(struct pvguest *g)
{
    struct pvg_space *s = &world.space;
    pvg_pfn_t code = world.first, data = pvg_pfn(code.n + 1), other = pvg_pfn(code.n + 2);
    int rc = pvg_space_map(g, s, USER_CODE, code, 1,
                           PVG_PTE_PRESENT | PVG_PTE_ACCESSED | PVG_PTE_DIRTY | PVG_PTE_USER);
    if (rc == 0)
        rc = pvg_space_map(g, s, USER_DATA, data, 1, PVG_PTE_DATA | PVG_PTE_USER);
    return rc ? rc : pvg_space_map(g, s, USER_OTHER, other, 1, PVG_PTE_DATA);
}

int world_begin(struct pvguest *g)
{
    int rc = fill_pages(g);
    if (rc == 0)
        rc = pvg_space_make(g, &world.space);
    if (rc == 0)
        rc = map_pages(g);
    return rc ? rc : pvg_space_load(g, &world.space);
}

static int end(struct pvguest *g)
{
    int rc = pvg_space_load(g, NULL);
    if (rc == 0)
        rc = pvg_space_end(g, &world.space);
    return rc ? rc : pvg_pages_give(g, world.first, PAGES);
}

void with_space(struct tap *t, void (*test)(struct tap *))
{
    uint64_t free_before = pvg_pages_free(t->g);
    CHECK_OK(t, world_begin(t->g));
    test(t);
    int rc = end(t->g);
    if (t->failed || t->skip[0])
        return;
    CHECK_OK(t, rc);
    CHECK_SAME(t, pvg_pages_free(t->g), free_before);
}

uint64_t va_of(const uint8_t *program)
{
    return USER_CODE + (uint64_t)(program - user_code);
}

struct pvg_trap at(const uint8_t *program, uint64_t rdi, uint64_t rsi)
{
    return (struct pvg_trap){.rip = va_of(program), .rsp = USER_TOP, .rdi = rdi, .rsi = rsi};
}

int run(struct pvguest *g, struct pvg_trap *r)
{
    int rc;
    do
        rc = pvg_user_run(g, r);
    while (rc == 0 && r->vector == PVG_TRAP_EVENT);
    return rc;
}
