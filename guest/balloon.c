/* SPDX-License-Identifier: MIT */
/*
 * More memory and less, in steps: each is of pages of one leaf of the p2m, which are those of one
 * L1 table of the direct map, too. A step down or up is made, or a part of it is, or it is not;
 * what could fail for want of a page comes before frames go or come.
 *
 * Tools that read the p2m from outside see a page missing before its frame goes.
 */
#include "p2m_nodes.h"

#include <xen/memory.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t leaf_end(uint64_t page)
{
    return (page / CHUNK + 1) * CHUNK;
}

/* ---- reservations */

static int ask(struct pvguest *g, unsigned command, uint64_t *pages)
{
    struct xen_memory_domain self = {.domid = DOMID_SELF};
    int64_t n = memory_op(g, command, &self);
    if (n < 0)
        return fail(g, (int)n, "%s reservation: %s",
                    command == XENMEM_current_reservation ? "current" : "maximum",
                    error_name((int)n));
    *pages = (uint64_t)n;
    return 0;
}

int pvg_reservation(struct pvguest *g, uint64_t *now, uint64_t *most)
{
    uint64_t n = 0, m = 0;
    int rc = ask(g, XENMEM_current_reservation, &n);
    if (rc == 0)
        rc = ask(g, XENMEM_maximum_reservation, &m);
    if (rc)
        return rc;
    *now = n;
    *most = m;
    return 0;
}

/* ---- memblock, direct map, figures */

/* A range more than there may be by now: of a part of a step, too. */
static int check_lists(struct pvguest *g)
{
    const struct pvg_regions *m = &g->memblock.memory, *d = &g->direct;
    if (m->count == PVG_REGIONS_MAX || d->count == PVG_REGIONS_MAX)
        return fail(g, -XEN_ENOSPC, "memblock: there are %u ranges already", PVG_REGIONS_MAX);
    return 0;
}

/* What comes from `page` on makes an own range of what is there below. */
static bool joins(const struct pvg_regions *r, uint64_t page)
{
    return page > 0 && pvg_regions_holds(r, page - 1);
}

static void leave_lists(struct pvguest *g, struct pvg_range pages)
{
    pvg_regions_remove(&g->memblock.memory, pages.from, pages.to);
    pvg_regions_remove(&g->direct, pages.from, pages.to);
}

static void enter_lists(struct pvguest *g, struct pvg_range pages)
{
    pvg_regions_add(&g->memblock.memory, pages.from, pages.to);
    pvg_regions_add(&g->direct, pages.from, pages.to);
}

/* Pages that are in both. */
static uint64_t in_common(const struct pvg_regions *a, const struct pvg_regions *b)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < a->count; i++) {
        struct pvg_range r = a->at[i];
        for (unsigned k = pvg_regions_search(b, r.from); k < b->count && b->at[k].from < r.to; k++)
            pages += least(r.to, b->at[k].to) - (r.from > b->at[k].from ? r.from : b->at[k].from);
    }
    return pages;
}

static void account(struct pvguest *g)
{
    const struct pvg_regions *ram = &g->balloon.ram, *memory = &g->memblock.memory;
    g->info.pages = pvg_regions_pages(memory);
    g->info.extra = pvg_regions_pages(ram) - in_common(ram, memory);
}

static int begin(struct pvguest *g)
{
    if (!g->booted)
        return fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    int rc = flush_before(g);
    if (rc)
        return rc;
    rc = pvg_e820_ram(&g->map, memory_limit(g), &g->balloon.ram);
    return rc ? fail(g, rc, "memory map: there are more than %u ranges of RAM", PVG_REGIONS_MAX)
              : 0;
}

/* ---- down */

/* The highest run of free pages, in one leaf. */
static int next_free(struct pvguest *g, uint64_t most, struct pvg_range *run)
{
    uint64_t free = pvg_pages_free(g), page = PVG_NONE;
    if (free > PVG_BALLOON_KEPT)
        page = pvg_memblock_find(&g->memblock, 1, 1, (struct pvg_range){0, PVG_NONE}, PVG_TOP_DOWN);
    if (page == PVG_NONE)
        return fail(g, -XEN_ENOMEM, "%lu free pages are left, of which none goes", free);
    const struct pvg_regions *m = &g->memblock.memory, *r = &g->memblock.reserved;
    uint64_t from = page - page % CHUNK, below = m->at[pvg_regions_search(m, page)].from;
    unsigned i = pvg_regions_search(r, page);
    most = least(most, free - PVG_BALLOON_KEPT);
    if (from < below)
        from = below;
    if (i > 0 && from < r->at[i - 1].to)
        from = r->at[i - 1].to;
    if (page + 1 - from > most)
        from = page + 1 - most;
    *run = (struct pvg_range){from, page + 1};
    return 0;
}

/* Pages as they were before, to their last entry: their leaf is still our own. */
static int put_back(struct pvguest *g, struct pvg_range pages, const xen_pfn_t *frame)
{
    p2m_put(g, pages, frame);
    enter_lists(g, pages);
    return direct_restore(g, pages);
}

/* Frames of pages that nothing maps. Returns how many went: the first ones. */
static uint64_t give_frames(struct pvguest *g, struct pvg_range pages, int *rc)
{
    xen_pfn_t *frame = g->balloon.frame;
    uint64_t count = pages.to - pages.from;
    p2m_put(g, pages, NULL);
    uint64_t done = reservation_change(g, XENMEM_decrease_reservation, frame, count, rc);
    if (done < count)
        fail(g, *rc, "frame %lx of page %lx is not taken back: %s", (uint64_t)frame[done],
             pages.from + done, error_name(*rc));
    return done;
}

static int down_step(struct pvguest *g, struct pvg_range pages, uint64_t *done)
{
    xen_pfn_t *frame = g->balloon.frame;
    int rc = check_lists(g);
    if (rc)
        return rc;
    rc = direct_unmap(g, pages);
    if (rc)
        return rc;
    leave_lists(g, pages);
    for (uint64_t page = pages.from; page < pages.to; page++)
        frame[page - pages.from] = pvg_p2m_mfn(g, pvg_pfn(page)).n;
    uint64_t went = give_frames(g, pages, &rc);
    *done += went;
    if (rc == 0) {
        p2m_trim(g, pages.from);
        return 0;
    }
    int back = put_back(g, (struct pvg_range){pages.from + went, pages.to}, frame + went);
    return back ? back : rc;
}

int pvg_balloon_down(struct pvguest *g, uint64_t pages, uint64_t *done)
{
    uint64_t went = 0;
    int rc = begin(g);
    bool begun = rc == 0;
    while (went < pages && rc == 0) {
        struct pvg_range run = {0, 0};
        rc = next_free(g, pages - went, &run);
        if (rc == 0)
            rc = down_step(g, run, &went);
    }
    if (begun)
        account(g);
    if (done)
        *done = went;
    return fail_in(g, rc, "balloon: %lu of %lu pages went", went, pages);
}

/* ---- up: which pages */

/* Nobody has it, and nobody has plans for it. */
static bool is_vacant(struct pvguest *g, uint64_t page)
{
    return pvg_p2m_entry(g, pvg_pfn(page)) == PVG_P2M_MISSING &&
           !pvg_regions_holds(&g->memblock.reserved, page);
}

/* Behind the range of the list that holds the page; the page itself when none does. */
static uint64_t behind(const struct pvg_regions *r, uint64_t page)
{
    unsigned i = pvg_regions_search(r, page);
    return i < r->count && r->at[i].from <= page ? r->at[i].to : page;
}

/* The lowest vacant page of the map's RAM, from a page on. */
static uint64_t next_in_map(struct pvguest *g, uint64_t page)
{
    const struct pvg_regions *ram = &g->balloon.ram;
    for (;;) {
        unsigned i = pvg_regions_search(ram, page);
        if (i == ram->count)
            return PVG_NONE;
        if (page < ram->at[i].from)
            page = ram->at[i].from;
        uint64_t next = behind(&g->memblock.memory, behind(&g->memblock.reserved, page));
        if (next == page && is_vacant(g, page))
            return page;
        page = next > page ? next : page + 1;
    }
}

/* Where nothing is known to be. */
static uint64_t next_above(struct pvguest *g, uint64_t page)
{
    const struct pvg_regions *m = &g->memblock.memory;
    uint64_t end = memory_end(g), top = m->count ? m->at[m->count - 1].to : 0;
    if (page < end)
        page = end;
    if (page < top)
        page = top;
    if (page < g->p2m.max_pfn)
        page = g->p2m.max_pfn;
    while (page < memory_limit(g) && !is_vacant(g, page))
        page++;
    return page < memory_limit(g) ? page : PVG_NONE;
}

/* The map of the initial domain is the machine's: what lies above may be a device. */
static int next_vacant(struct pvguest *g, uint64_t most, struct pvg_range *run)
{
    uint64_t (*next)(struct pvguest *, uint64_t) = next_in_map;
    uint64_t page = next(g, 0);
    if (page == PVG_NONE && pvg_is_initial_domain(g))
        return fail(g, -XEN_ENOMEM, "all RAM of the machine's map has frames");
    if (page == PVG_NONE) {
        next = next_above;
        page = next(g, 0);
    }
    if (page == PVG_NONE)
        return fail(g, -XEN_ENOSPC, "no page below %lx is vacant", memory_limit(g));
    *run = (struct pvg_range){page, page + 1};
    while (run->to < leaf_end(page) && run->to - page < most && next(g, run->to) == run->to)
        run->to++;
    return 0;
}

/* ---- up: a step */

static int check_room(struct pvguest *g, uint64_t page)
{
    return joins(&g->memblock.memory, page) && joins(&g->direct, page) ? 0 : check_lists(g);
}

/* What the hypervisor says is written into the p2m: at least it must be a frame. */
static int check_frames(struct pvguest *g, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (g->balloon.frame[i] >= g->m2p_entries)
            return fail(g, -XEN_EINVAL, "the hypervisor gives frame %lx, and has %lx",
                        (uint64_t)g->balloon.frame[i], g->m2p_entries);
    return 0;
}

static uint64_t take_frames(struct pvguest *g, struct pvg_range pages, int *rc)
{
    uint64_t count = pages.to - pages.from;
    for (uint64_t i = 0; i < count; i++)
        g->balloon.frame[i] = pages.from + i;
    uint64_t got = reservation_change(g, XENMEM_populate_physmap, g->balloon.frame, count, rc);
    if (*rc == -XEN_EBUSY)
        *rc = -XEN_ENOMEM;
    if (got < count)
        fail(g, *rc, "the hypervisor gives no frame for page %lx: %s", pages.from + got,
             error_name(*rc));
    return got;
}

static int map_pages(struct pvguest *g, struct pvg_range pages)
{
    int rc = pvg_regions_add(&g->memblock.memory, pages.from, pages.to);
    if (rc)
        return fail(g, rc, "memblock: %s", error_name(rc));
    if (direct_has_table(g, pages.from)) {
        rc = direct_remap(g, pages);
        if (rc == 0)
            pvg_regions_add(&g->direct, pages.from, pages.to);
    } else {
        rc = pvg_direct_map(g, pages);
    }
    if (rc)
        pvg_regions_remove(&g->memblock.memory, pages.from, pages.to);
    return rc;
}

/* The pages' frames go again; one that the hypervisor does not take stays its page's, which nobody
 * has then. */
static int return_frames(struct pvguest *g, struct pvg_range pages, int why)
{
    int rc;
    undo_begin(g);
    uint64_t went = give_frames(g, pages, &rc);
    if (rc)
        p2m_put(g, (struct pvg_range){pages.from + went, pages.to}, g->balloon.frame + went);
    undo_end(g);
    uint64_t kept = pages.to - pages.from - went;
    g->p2m.lost += kept;
    return kept ? fail_in(g, why, "%lu frames could not be given back", kept) : why;
}

static int use_frames(struct pvguest *g, struct pvg_range pages)
{
    int rc = check_frames(g, pages.to - pages.from);
    if (rc == 0)
        p2m_put(g, pages, g->balloon.frame);
    if (rc == 0)
        rc = map_pages(g, pages);
    return rc ? return_frames(g, pages, rc) : 0;
}

static int up_step(struct pvguest *g, struct pvg_range pages, uint64_t *done)
{
    int rc = check_room(g, pages.from), short_of = 0;
    if (rc == 0)
        rc = p2m_reshape(g, pages, NULL); /* a leaf of our own: for whatever comes */
    if (rc)
        return fail_in(g, rc, "p2m of pages %lx to %lx", pages.from, pages.to);
    uint64_t got = take_frames(g, pages, &short_of);
    if (got > 0)
        rc = use_frames(g, (struct pvg_range){pages.from, pages.from + got});
    if (got == 0 || rc)
        p2m_trim(g, pages.from);
    else
        *done += got;
    return rc ? rc : short_of;
}

int pvg_balloon_up(struct pvguest *g, uint64_t pages, uint64_t *done)
{
    uint64_t came = 0;
    int rc = begin(g);
    bool begun = rc == 0;
    while (came < pages && rc == 0) {
        struct pvg_range run = {0, 0};
        rc = next_vacant(g, pages - came, &run);
        if (rc == 0)
            rc = up_step(g, run, &came);
    }
    if (begun)
        account(g);
    if (done)
        *done = came;
    return fail_in(g, rc, "balloon: %lu of %lu pages came", came, pages);
}

/* ---- either */

int pvg_balloon_to(struct pvguest *g, uint64_t pages, uint64_t *now)
{
    uint64_t have = 0, done = 0;
    int rc = begin(g);
    if (rc == 0)
        rc = ask(g, XENMEM_current_reservation, &have);
    if (rc)
        return fail_in(g, rc, "balloon");
    if (pages > have) {
        rc = pvg_balloon_up(g, pages - have, &done);
        have += done;
    } else {
        rc = pvg_balloon_down(g, have - pages, &done);
        have -= done;
    }
    if (now)
        *now = have;
    return rc;
}
