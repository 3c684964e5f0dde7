/* SPDX-License-Identifier: MIT */
/* What memory there is, and its arrangement by the memory map: <xen/memory.h>. */
#include "internal.h"

#include <xen/memory.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* No page from here on is used as RAM: the option, or the end of the direct map. */
uint64_t memory_limit(const struct pvguest *g)
{
    uint64_t limit = g->options.memory_limit;
    return limit ? least(limit, PVG_DIRECT_PFNS) : PVG_DIRECT_PFNS;
}

void pvg_memory_info(struct pvguest *g, struct pvg_memory_info *info)
{
    *info = g->info;
}

const struct pvg_e820 *pvg_memory_map(struct pvguest *g)
{
    return &g->map;
}

const struct pvg_memblock *pvg_memblock_of(struct pvguest *g)
{
    return &g->memblock;
}

/* ---- discovering: the map and the limits */

/*
 * Of the initial domain the map is the machine's: it says where devices are. Another domain's is
 * what its builder set, if it did: none, or one without entries, means that all it has is RAM from
 * 0 on. The machine's map is never empty.
 */
static int fetch_map(struct pvguest *g)
{
    bool machine = pvg_is_initial_domain(g);
    struct xen_memory_map m = {.nr_entries = PVG_E820_MAX};
    set_xen_guest_handle(m.buffer, g->map.at);
    int rc = (int)memory_op(g, machine ? XENMEM_machine_memory_map : XENMEM_memory_map, &m);
    if (rc == -XEN_ENOSYS || (rc == 0 && m.nr_entries == 0 && !machine)) {
        g->map.count = 1;
        g->map.at[0] = (struct pvg_e820_entry){0, g->info.nr_pages * PVG_PAGE_BYTES, PVG_E820_RAM};
        return 0;
    }
    if (rc)
        return fail(g, rc < 0 ? rc : -XEN_EINVAL, "the hypervisor says %d (%s)", rc,
                    error_name(rc));
    if (m.nr_entries == 0)
        return fail(g, -XEN_EINVAL, "the machine's is empty");
    if (m.nr_entries >= PVG_E820_MAX)
        return fail(g, -XEN_ENOSPC, "%u entries fill the buffer: there may be more", m.nr_entries);
    g->map.count = m.nr_entries;
    return 0;
}

static int order_map(struct pvguest *g)
{
    unsigned bad = 0;
    int rc = pvg_e820_sanitise(&g->map, &g->map_room, &bad);
    if (rc == -XEN_EINVAL)
        return fail(g, rc, "entry %u, %lx bytes from %lx of type %u, wraps", bad,
                    g->map.at[bad].bytes, g->map.at[bad].address, g->map.at[bad].type);
    if (rc)
        return fail(g, rc, "in order, it has more than %u entries", PVG_E820_MAX);
    return 0;
}

/* Who cannot tell a maximum will not give more than there is. */
static int find_maximum(struct pvguest *g)
{
    struct xen_memory_domain self = {.domid = DOMID_SELF};
    int64_t pages = memory_op(g, XENMEM_maximum_reservation, &self);
    if (pages < 0 && pages != -XEN_ENOSYS)
        return fail(g, (int)pages, "maximum reservation: %s", error_name((int)pages));
    g->info.max_pages = pages < 0 ? g->info.nr_pages : (uint64_t)pages;
    return 0;
}

static int drop_missing(struct pvguest *g, struct pvg_range range)
{
    int rc = 0;
    for (uint64_t pfn = range.from; pfn < range.to && rc == 0; pfn++)
        if (pvg_p2m_entry(g, pvg_pfn(pfn)) == PVG_P2M_MISSING)
            rc = pvg_regions_remove(&g->memblock.memory, pfn, pfn + 1);
    return rc;
}

/* RAM of the map that the builder populated. */
static int find_ram(struct pvguest *g)
{
    struct pvg_regions *ram = &g->todo;
    int rc = pvg_e820_ram(&g->map, memory_limit(g), ram);
    uint64_t all = pvg_regions_pages(ram);
    if (rc == 0)
        rc = pvg_regions_remove(ram, g->info.nr_pages, ~0ull);
    g->memblock.memory = *ram;
    for (unsigned i = 0; i < ram->count && rc == 0; i++)
        rc = drop_missing(g, ram->at[i]);
    if (rc)
        return fail(g, rc, "there are more than %u ranges of RAM", PVG_REGIONS_MAX);
    g->info.pages = pvg_regions_pages(&g->memblock.memory);
    g->info.extra = all - g->info.pages;
    return 0;
}

/* ---- discovering: what the builder made (<xen/xen.h>, "Start-of-day memory layout") */

/* Page i from PVG_VIRT_BASE on is pfn i. An address below gives a number that no memory has. */
static struct pvg_range pages_at(uint64_t va, uint64_t bytes)
{
    uint64_t offset = va - PVG_VIRT_BASE;
    uint64_t last = offset + (bytes ? bytes - 1 : 0);
    return (struct pvg_range){offset >> PVG_PAGE_SHIFT, (last >> PVG_PAGE_SHIFT) + 1};
}

static struct pvg_range module_pages(struct pvguest *g)
{
    const start_info_t *si = pvg_start_info(g);
    if (si->mod_len == 0)
        return (struct pvg_range){0, 0};
    if (!(si->flags & SIF_MOD_START_PFN))
        return pages_at(si->mod_start, si->mod_len);
    uint64_t pages = (si->mod_len - 1) / PVG_PAGE_BYTES + 1;
    return (struct pvg_range){si->mod_start, si->mod_start + pages};
}

static struct pvg_range ring_page(struct pvguest *g, uint64_t mfn)
{
    pvg_pfn_t pfn = mfn ? pvg_m2p(g, pvg_mfn(mfn)) : PVG_NO_PFN;
    return same_pfn(pfn, PVG_NO_PFN) ? (struct pvg_range){0, 0}
                                     : (struct pvg_range){pfn.n, pfn.n + 1};
}

/* It must be RAM, and stay where it is: nothing of this is ever moved. */
static int check_place(struct pvguest *g, const char *what, struct pvg_range at)
{
    const struct pvg_regions *memory = &g->memblock.memory;
    if (at.from >= at.to || at.to > g->info.nr_pages)
        return fail(g, -XEN_EINVAL, "%s, pages %lx to %lx: the domain has %lx", what, at.from,
                    at.to, g->info.nr_pages);
    if (at.to > memory_limit(g))
        return fail(g, -XEN_EINVAL, "%s, pages %lx to %lx, is beyond the memory limit, page %lx",
                    what, at.from, at.to, memory_limit(g));
    unsigned i = pvg_regions_search(memory, at.from);
    uint64_t hole = i < memory->count && memory->at[i].from <= at.from ? memory->at[i].to : at.from;
    if (hole < at.to)
        return fail(g, -XEN_EINVAL, "%s, pages %lx to %lx: page %lx is no RAM", what, at.from,
                    at.to, hole);
    return 0;
}

struct thing {
    const char *what;
    struct pvg_range at; /* [0, 0): there is none */
    bool optional;
};

static bool overlap(struct pvg_range a, struct pvg_range b)
{
    return a.from < b.to && b.from < a.to;
}

/* Each will be used, protected or given back by itself. */
static int check_apart(struct pvguest *g, const struct thing *thing, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < i; k++)
            if (overlap(thing[i].at, thing[k].at))
                return fail(g, -XEN_EINVAL,
                            "%s, pages %lx to %lx, and %s, pages %lx to %lx, overlap",
                            thing[k].what, thing[k].at.from, thing[k].at.to, thing[i].what,
                            thing[i].at.from, thing[i].at.to);
    return 0;
}

static int check_places(struct pvguest *g)
{
    const start_info_t *si = pvg_start_info(g);
    bool initial = pvg_is_initial_domain(g);
    struct pvg_range none = {0, 0};
    const struct thing thing[] = {
        {"the kernel's image", g->image, false},
        {"the builder's page tables", g->initial_tables, false},
        {"start_info", pages_at(g->si_va, sizeof(*si)), false},
        {"the module", module_pages(g), true},
        {"the builder's p2m", g->p2m.initial, true},
        {"the xenstore ring", initial ? none : ring_page(g, si->store_mfn), true},
        {"the console ring", initial ? none : ring_page(g, si->console.domU.mfn), true},
    };
    unsigned count = sizeof(thing) / sizeof(thing[0]);
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++)
        if (!thing[i].optional || thing[i].at.to != 0)
            rc = check_place(g, thing[i].what, thing[i].at);
    return rc ? rc : check_apart(g, thing, count);
}

static bool mapped_linearly(struct pvguest *g, pvg_mfn_t root, uint64_t page)
{
    struct pvg_walk w;
    pvg_walk_from(g, root, PVG_VIRT_BASE + page * PVG_PAGE_BYTES, &w);
    return w.mapped && pvg_m2p(g, pte_mfn(w.at[1].entry)).n == page;
}

/* How far the builder's mapping reaches is said nowhere: only that the tables are in it, so that
 * they can be walked to find out. */
static int find_boot_region(struct pvguest *g)
{
    const start_info_t *si = pvg_start_info(g);
    uint64_t most = least(g->info.nr_pages, (PVG_FIXMAP_BASE - PVG_VIRT_BASE) / PVG_PAGE_BYTES);
    pvg_mfn_t root = pvg_root(g);
    g->image = pages_at(port_image_start(), port_image_end() - port_image_start());
    g->initial_tables = pages_at(si->pt_base, 0);
    g->initial_tables.to = g->initial_tables.from + si->nr_pt_frames;
    if (g->initial_tables.from >= g->initial_tables.to || g->initial_tables.to > most)
        return fail(g, -XEN_EINVAL, "start_info: %lu page tables at %lx", si->nr_pt_frames,
                    si->pt_base);
    g->boot = (struct pvg_range){0, g->initial_tables.to};
    uint64_t page = 0;
    while (page < most && mapped_linearly(g, root, page))
        page++;
    if (page < g->boot.to || page < g->image.to)
        return fail(g, -XEN_EINVAL, "page %lx is not at %lx, where the builder has to map it", page,
                    (uint64_t)PVG_VIRT_BASE + page * PVG_PAGE_BYTES);
    g->boot.to = page;
    if (page > memory_limit(g))
        return fail(g, -XEN_EINVAL,
                    "the memory limit, page %lx, is below %lx, the boot region's end",
                    memory_limit(g), page);
    return 0;
}

static int reserve_all(struct pvguest *g)
{
    g->module = module_pages(g);
    const struct pvg_range range[] = {g->boot, g->module, g->p2m.initial};
    int rc = 0;
    for (unsigned i = 0; i < sizeof(range) / sizeof(range[0]) && rc == 0; i++)
        rc = pvg_regions_add(&g->memblock.reserved, range[i].from, range[i].to);
    return rc ? fail(g, rc, "reserving what the builder made") : 0;
}

static int discover(struct pvguest *g)
{
    int (*const step[])(struct pvguest *) = {fetch_map,        order_map,    find_maximum, find_ram,
                                             find_boot_region, check_places, reserve_all};
    uint64_t pages = pvg_start_info(g)->nr_pages;
    if (pages == 0 || pages > PVG_P2M_PFNS)
        return fail(g, -XEN_EINVAL, "start_info: %lx pages", pages);
    g->info = (struct pvg_memory_info){.nr_pages = pages};
    int rc = 0;
    for (unsigned i = 0; i < sizeof(step) / sizeof(step[0]) && rc == 0; i++)
        rc = step[i](g);
    return rc;
}

int memory_discover(struct pvguest *g)
{
    struct pvg_range boot = g->boot, image = g->image, tables = g->initial_tables;
    g->memblock.memory.count = g->memblock.reserved.count = 0;
    int rc = discover(g);
    if (rc == 0)
        return 0;
    g->boot = boot;
    g->image = image;
    g->initial_tables = tables;
    g->info = (struct pvg_memory_info){0};
    g->map.count = g->memblock.memory.count = g->memblock.reserved.count = 0;
    return rc;
}

/* ---- arranging: the plan */

/* The pages of a list, one by one. */
struct cursor {
    const struct pvg_regions *list;
    unsigned i;
    uint64_t page;
};

static struct cursor cursor_at(const struct pvg_regions *list, uint64_t page)
{
    return (struct cursor){list, pvg_regions_search(list, page), page};
}

static uint64_t next_page(struct cursor *c)
{
    if (c->i < c->list->count && c->page >= c->list->at[c->i].to)
        c->i++;
    if (c->i == c->list->count)
        return PVG_NONE;
    if (c->page < c->list->at[c->i].from)
        c->page = c->list->at[c->i].from;
    return c->page++;
}

/* A page of RAM that has no frame, and that nobody else has plans for. */
static uint64_t next_room(struct pvguest *g, const struct plan *p, struct cursor *room)
{
    uint64_t page;
    do
        page = next_page(room);
    while (page < p->limit && (pvg_p2m_entry(g, pvg_pfn(page)) != PVG_P2M_MISSING ||
                               pvg_regions_holds(&g->memblock.reserved, page)));
    return page < p->limit ? page : PVG_NONE;
}

static int plan_page(struct pvguest *g, struct plan *p, uint64_t page, bool hole,
                     struct cursor *room)
{
    uint64_t entry = pvg_p2m_entry(g, pvg_pfn(page));
    if (entry == PVG_P2M_MISSING || (entry & PVG_P2M_MARKS))
        return 0;
    if (pvg_regions_holds(&g->direct, page) || pvg_regions_holds(&g->tables, page))
        return fail(g, -XEN_EBUSY, "page %lx is no RAM, and in use", page);
    uint64_t to = hole ? next_room(g, p, room) : PVG_NONE;
    int rc = pvg_regions_add(to == PVG_NONE ? &p->back : &p->from, page, page + 1);
    if (rc == 0 && to != PVG_NONE)
        rc = pvg_regions_add(p->to, to, to + 1);
    else if (rc == 0 && hole)
        rc = pvg_regions_remove(&p->identity, page, page + 1);
    return rc ? fail(g, rc, "page %lx: too many ranges change", page) : 0;
}

/* Every page that the builder populated and that is none of ours to use. */
static int plan_pages(struct pvguest *g, struct plan *p)
{
    struct cursor room = cursor_at(&p->ram, g->info.nr_pages);
    int rc = 0;
    for (uint64_t page = 0; page < g->info.nr_pages && rc == 0;) {
        unsigned i = pvg_regions_search(&p->ram, page);
        bool hole = i == p->ram.count || page < p->ram.at[i].from;
        if (!hole && page < p->limit)
            page = least(p->ram.at[i].to, p->limit);
        else
            rc = plan_page(g, p, page++, hole, &room);
    }
    return rc;
}

uint64_t memory_end(const struct pvguest *g)
{
    uint64_t end = 0;
    if (g->map.count) {
        const struct pvg_e820_entry *top = &g->map.at[g->map.count - 1];
        end = (top->address + (top->bytes - 1)) / PVG_PAGE_BYTES + 1;
    }
    return least(end > g->info.nr_pages ? end : g->info.nr_pages, PVG_P2M_PFNS);
}

static int make_plan(struct pvguest *g, struct plan *p, struct pvg_regions *to)
{
    p->from.count = p->back.count = p->identity.count = to->count = 0;
    p->to = to;
    p->moved = p->marked = p->given = p->lost = 0;
    p->announced = false;
    p->end = memory_end(g);
    p->limit = memory_limit(g);
    int rc = pvg_e820_ram(&g->map, ~0ull, &p->ram);
    if (rc == 0)
        rc = pvg_regions_add(&p->identity, 0, p->end);
    for (unsigned i = 0; i < p->ram.count && rc == 0; i++)
        rc = pvg_regions_remove(&p->identity, p->ram.at[i].from, p->ram.at[i].to);
    return rc ? fail(g, rc, "too many holes") : plan_pages(g, p);
}

/* ---- arranging: performing it, what cannot be taken back for sure last */

/* The frames get their second names. */
static int move_entries(struct pvguest *g, struct plan *p)
{
    struct cursor from = cursor_at(&p->from, 0), to = cursor_at(p->to, 0);
    uint64_t page;
    while ((page = next_page(&from)) != PVG_NONE) {
        uint64_t target = next_page(&to);
        int rc = pvg_p2m_set(g, pvg_pfn(target), pvg_p2m_mfn(g, pvg_pfn(page)).n);
        if (rc)
            return fail_in(g, rc, "moving page %lx to %lx", page, target);
        p->moved++;
    }
    return 0;
}

static int set_m2p(struct pvguest *g, pvg_mfn_t mfn, uint64_t page)
{
    return batch_update(g, mfn.n << PVG_PAGE_SHIFT | MMU_MACHPHYS_UPDATE, page);
}

/* m2p follows (R7). */
static int announce_moves(struct pvguest *g, struct plan *p)
{
    struct cursor to = cursor_at(p->to, 0);
    uint64_t target;
    int rc = 0;
    p->announced = true;
    pvg_lazy_enter(g);
    while (rc == 0 && (target = next_page(&to)) != PVG_NONE)
        rc = set_m2p(g, pvg_p2m_mfn(g, pvg_pfn(target)), target);
    int left = pvg_lazy_leave(g);
    return fail_in(g, rc ? rc : left, "telling the hypervisor of pages that moved");
}

static int mark_holes(struct pvguest *g, struct plan *p)
{
    for (; p->marked < p->identity.count; p->marked++) {
        int rc = pvg_p2m_set_identity(g, p->identity.at[p->marked]);
        if (rc)
            return rc;
    }
    return 0;
}

/* The next pages of `back` that are alike and in one leaf of the p2m. */
static struct pvg_range next_chunk(const struct plan *p, uint64_t page, bool *hole)
{
    unsigned i = pvg_regions_search(&p->back, page), r;
    struct pvg_range chunk = p->back.at[i];
    if (chunk.from < page)
        chunk.from = page;
    r = pvg_regions_search(&p->ram, chunk.from);
    *hole = r == p->ram.count || chunk.from < p->ram.at[r].from;
    if (r < p->ram.count)
        chunk.to = least(chunk.to, *hole ? p->ram.at[r].from : p->ram.at[r].to);
    chunk.to = least(chunk.to, (chunk.from / CHUNK + 1) * CHUNK);
    return chunk;
}

/* A page of the old state gets its entry back. */
static void put_entry(struct pvguest *g, struct plan *p, uint64_t page, uint64_t entry)
{
    if (pvg_p2m_set(g, pvg_pfn(page), entry))
        p->lost++;
}

/* A frame that cannot be put back is not kept either. */
static void put_frame(struct pvguest *g, struct plan *p, uint64_t page, xen_pfn_t frame)
{
    int rc = pvg_p2m_set(g, pvg_pfn(page), frame);
    if (rc == 0)
        return;
    p->lost++;
    reservation_change(g, XENMEM_decrease_reservation, &frame, 1, &rc);
}

static int give_chunk(struct pvguest *g, struct plan *p, struct pvg_range chunk, bool hole)
{
    uint64_t count = chunk.to - chunk.from;
    for (uint64_t i = 0; i < count; i++)
        p->frame[i] = pvg_p2m_mfn(g, pvg_pfn(chunk.from + i)).n;
    int rc = hole ? pvg_p2m_set_identity(g, chunk) : p2m_set_missing(g, chunk);
    if (rc)
        return rc;
    uint64_t done = reservation_change(g, XENMEM_decrease_reservation, p->frame, count, &rc);
    p->given += done;
    if (done == count)
        return 0;
    for (uint64_t i = done; i < count; i++)
        put_frame(g, p, chunk.from + i, p->frame[i]);
    return fail(g, rc, "frame %lx of page %lx is not taken back: %s", (uint64_t)p->frame[done],
                chunk.from + done, error_name(rc));
}

static int give_back(struct pvguest *g, struct plan *p)
{
    uint64_t all = pvg_regions_pages(&p->back), page = 0;
    while (p->given < all) {
        bool hole;
        struct pvg_range chunk = next_chunk(p, page, &hole);
        int rc = give_chunk(g, p, chunk, hole);
        if (rc)
            return rc;
        page = chunk.to;
    }
    return 0;
}

/* ---- arranging: undoing it */

/* Other frames than before, but nobody had used these pages. */
static void take_again(struct pvguest *g, struct plan *p)
{
    struct cursor ask = cursor_at(&p->back, 0), set = ask;
    while (p->given > 0) {
        uint64_t count = least(p->given, CHUNK);
        int rc;
        for (uint64_t i = 0; i < count; i++)
            p->frame[i] = next_page(&ask);
        uint64_t got = reservation_change(g, XENMEM_populate_physmap, p->frame, count, &rc);
        for (uint64_t i = 0; i < got; i++)
            put_frame(g, p, next_page(&set), p->frame[i]);
        set = ask;
        p->lost += count - got;
        p->given -= count;
    }
}

static void unmark_holes(struct pvguest *g, struct plan *p)
{
    while (p->marked > 0) {
        struct pvg_range range = p->identity.at[--p->marked];
        if (p2m_set_missing(g, range))
            p->lost += range.to - range.from;
    }
}

/* One by one: an element that was refused before must not stop those behind it. Whether it came
 * right is asked of m2p itself. */
static void unmove(struct pvguest *g, struct plan *p)
{
    struct cursor from = cursor_at(&p->from, 0), to = cursor_at(p->to, 0);
    for (; p->moved > 0; p->moved--) {
        uint64_t page = next_page(&from), target = next_page(&to);
        pvg_mfn_t mfn = pvg_p2m_mfn(g, pvg_pfn(target));
        put_entry(g, p, page, mfn.n);
        put_entry(g, p, target, PVG_P2M_MISSING);
        if (!p->announced)
            continue;
        int rc = set_m2p(g, mfn, page);
        if (rc && pvg_m2p(g, mfn).n != page)
            p->lost++;
    }
}

/* The reason stays that of the failure. */
static int undo(struct pvguest *g, struct plan *p, int rc)
{
    undo_begin(g);
    take_again(g, p);
    unmark_holes(g, p);
    unmove(g, p);
    undo_end(g);
    p->to->count = 0;
    if (p->lost)
        fail_in(g, rc, "%lu pages could not be put back as they were", p->lost);
    return rc;
}

static void account(struct pvguest *g, const struct plan *p)
{
    struct pvg_memory_info *info = &g->info;
    uint64_t ram = 0, usable = 0;
    for (unsigned i = 0; i < p->ram.count; i++) {
        struct pvg_range r = p->ram.at[i];
        ram += least(r.to, p->end) - least(r.from, p->end);
        usable += least(r.to, p->limit) - least(r.from, p->limit);
    }
    info->released = pvg_regions_pages(&p->back);
    info->remapped = pvg_regions_pages(&p->from);
    info->identity = p->end - ram;
    info->pages = pvg_regions_pages(&g->memblock.memory) + info->remapped;
    info->extra = usable - info->pages;
}

int memory_arrange(struct pvguest *g, struct pvg_regions *moved)
{
    struct plan *plan = &g->plan;
    int (*const step[])(struct pvguest *, struct plan *) = {move_entries, announce_moves,
                                                            mark_holes, give_back};
    int rc = make_plan(g, plan, moved);
    for (unsigned i = 0; i < sizeof(step) / sizeof(step[0]) && rc == 0; i++)
        rc = step[i](g, plan);
    if (rc)
        return fail_in(g, undo(g, plan, rc), "arranging memory");
    account(g, plan);
    return 0;
}
