/* SPDX-License-Identifier: MIT */
#include "balloon_guest.h"

struct machine *m;
struct pvguest *g;
enum pvg_p2m_layout layout;
struct state before, after;

uint64_t looks;

void look_from_outside(struct machine *from, unsigned number)
{
    if (number != __HYPERVISOR_memory_op || outside_info(from)->pfn_to_mfn_frame_list_list == ~0ull)
        return;
    looks++;
    for (uint64_t pfn = 0; pfn < outside_info(from)->max_pfn && pfn < SEEN; pfn++) {
        uint64_t mfn = outside_list(from, pfn);
        if (mfn == ~0ull || (mfn & PVG_P2M_MARKS))
            continue;
        if (machine_owner(from, mfn) != MACHINE_GUEST || machine_m2p(from, mfn) != pfn)
            machine_failed("a tool finds frame %" PRIx64 " for page %" PRIx64, mfn, pfn);
    }
}

void boot_machine(const struct machine_params *p)
{
    struct pvg_options o;
    machine_after_call = NULL;
    m = machine_make(p);
    g = guest_start(m);
    assert_non_null(g);
    pvg_options_default(&o);
    o.p2m = layout;
    if (pvg_boot(g, &o))
        fail_msg("no boot: %s", guest_reason());
    machine_after_call = look_from_outside;
}

void boot_small(void)
{
    boot_machine(&(struct machine_params){.seed = 9, .nr_pages = NR_PAGES, .max_pages = MAX_PAGES});
}

void check_guest(void)
{
    const char *wrong = guest_check(m, g);
    if (!wrong)
        wrong = guest_check_lists(m, g);
    if (wrong)
        fail_msg("%s; last reason: %s", wrong, pvg_reason(g));
}

void end(void)
{
    machine_after_call = NULL;
    check_guest();
    machine_end(m);
}

/* ---- states */

uint64_t *content(uint64_t mfn)
{
    return &machine_frame(m, mfn)[7];
}

void note_state(struct state *s)
{
    s->owned = machine_owned(m);
    s->free = pvg_pages_free(g);
    s->lost = g->p2m.lost;
    s->pins = machine_pins(m);
    s->memory = g->memblock.memory;
    s->direct = g->direct;
    pvg_memory_info(g, &s->info);
    for (uint64_t pfn = 0; pfn < SEEN; pfn++) {
        s->entry[pfn] = pvg_p2m_entry(g, pvg_pfn(pfn));
        s->mark[pfn] = s->entry[pfn] == PVG_P2M_MISSING ? 0 : *content(s->entry[pfn]);
    }
}

bool same_regions(const struct pvg_regions *a, const struct pvg_regions *b)
{
    return a->count == b->count && !memcmp(a->at, b->at, a->count * sizeof(a->at[0]));
}

void check_old(void)
{
    note_state(&after);
    assert_int_equal(after.owned, before.owned);
    assert_int_equal(after.pins, before.pins);
    assert_int_equal(after.free + after.lost, before.free + before.lost);
    assert_true(same_regions(&after.memory, &before.memory));
    assert_true(same_regions(&after.direct, &before.direct));
    assert_memory_equal(&after.info, &before.info, sizeof(after.info));
    assert_memory_equal(after.entry, before.entry, sizeof(after.entry));
}

void check_figures(void)
{
    struct pvg_memory_info info;
    uint64_t extra = 0, pages = pvg_regions_pages(&g->memblock.memory), now, most;
    pvg_memory_info(g, &info);
    for (uint64_t pfn = 0; pfn < MAX_PAGES; pfn++)
        extra += !pvg_regions_holds(&g->memblock.memory, pfn);
    assert_int_equal(info.pages, pages);
    assert_int_equal(info.extra, extra);
    assert_int_equal(pages, machine_owned(m));
    assert_int_equal(pvg_regions_pages(&g->direct), pages);
    assert_int_equal(pvg_reservation(g, &now, &most), 0);
    assert_int_equal(now, pages);
    assert_int_equal(most, MAX_PAGES);
}

/* ---- both layouts */

int linear(void **state)
{
    (void)state;
    layout = PVG_P2M_LINEAR;
    looks = 0;
    return 0;
}

int tree(void **state)
{
    (void)state;
    layout = PVG_P2M_TREE;
    looks = 0;
    return 0;
}
