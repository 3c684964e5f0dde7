/* SPDX-License-Identifier: MIT */
/* Suspends: refused, called off, and resumed in other frames, which the model has to learn. */
#include "random.h"

#include <pvguest/suspend.h>

#define ONE_IN 64u /* each looks at, or copies, all of memory */

static bool is_foreign(uint64_t e)
{
    return e != PVG_P2M_MISSING && (e & PVG_P2M_FOREIGN);
}

static bool has_frame(uint64_t e)
{
    return e != PVG_P2M_MISSING && !(e & PVG_P2M_MARKS);
}

static bool can_be_saved(void)
{
    bool can = grants_can_be_saved() && spaces_can_be_saved();
    for (unsigned i = 0; i < 4; i++)
        can = can && !r.remap[i].va;
    for (unsigned a = 0; a < AREAS; a++)
        for (uint64_t i = 0; i < AREA_PAGES; i++)
            can = can && !is_foreign(r.area[a][i]);
    return can;
}

static void let_go(void)
{
    store_let_go();
    grants_let_go();
    for (unsigned i = 0; i < 4; i++) {
        CHECK(!r.remap[i].va || pvg_early_iounmap(r.g, r.remap[i].va) == 0, "it stays mapped");
        r.remap[i].va = NULL;
    }
    for (unsigned a = 0; a < AREAS; a++)
        for (uint64_t i = 0; i < AREA_PAGES; i++) {
            if (!is_foreign(r.area[a][i]))
                continue;
            CHECK(pvg_p2m_set(r.g, pvg_pfn(r.area_base[a] + i), PVG_P2M_MISSING) == 0, "it stays");
            r.area[a][i] = PVG_P2M_MISSING;
        }
}

/* What the model knows by machine frame, by page meanwhile. */
static void slots_to_pages(void)
{
    for (unsigned s = 0; s < SLOTS; s++)
        if (r.slot[s])
            r.slot[s] = machine_m2p(r.m, r.slot[s] >> 12) << 12 | (r.slot[s] & PVG_PTE_RW);
    spaces_to_pages();
}

static void learn_frames(void)
{
    for (unsigned s = 0; s < SLOTS; s++)
        if (r.slot[s])
            r.slot[s] = frame_of(r.slot[s] >> 12) << 12 | (r.slot[s] & PVG_PTE_RW);
    for (uint64_t i = 0; i < AREA_PAGES; i++)
        if (has_frame(r.area[0][i]))
            r.area[0][i] = frame_of(r.area_base[0] + i);
    spaces_learn_frames();
}

static void check_frames(uint64_t shared)
{
    const char *text = guest_check(r.m, r.g);
    if (!text)
        text = guest_check_lists(r.m, r.g);
    CHECK(!text, "%s", text);
    CHECK(machine_shared_frame(r.m) != shared, "the same shared_info");
    check_slots(0, SLOTS);
    grants_are_elsewhere();
    check_spaces();
    store_is_elsewhere();
}

static void suspend(int what)
{
    enum pvg_resumed how = PVG_CANCELLED;
    uint64_t shared = machine_shared_frame(r.m), free = pvg_pages_free(r.g);
    machine_on_suspend(r.m, what);
    if (what == MACHINE_RELOCATES)
        slots_to_pages();
    int rc = pvg_suspend(r.g, &how);
    if (what == MACHINE_RELOCATES)
        learn_frames();
    if (succeeded(rc)) {
        CHECK(how == (what == MACHINE_RELOCATES ? PVG_RESUMED : PVG_CANCELLED), "how is %d", how);
        if (what == MACHINE_RELOCATES)
            check_frames(shared);
    }
    CHECK(pvg_pages_free(r.g) == free, "%" PRIu64 " free pages, there were %" PRIu64,
          pvg_pages_free(r.g), free);
}

/* What fails after a suspend is fatal: here it is only pages that cannot be had. */
void do_suspend(void)
{
    heal();
    r.injected = false;
    if (below(ONE_IN))
        return;
    if (r.initial) {
        refused(pvg_suspend(r.g, NULL), -XEN_EOPNOTSUPP);
        return;
    }
    if (!can_be_saved())
        refused(pvg_suspend(r.g, NULL), -XEN_EBUSY);
    let_go();
    if (below(8) == 0) {
        machine_on_suspend(r.m, -XEN_EPERM);
        refused(pvg_suspend(r.g, NULL), -XEN_EPERM);
    }
    r.injected = below(4) == 0;
    if (r.injected)
        guest_fail_search(1 + below(3));
    suspend(below(2) ? MACHINE_RELOCATES : MACHINE_CANCELS);
}
