/* SPDX-License-Identifier: MIT */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>

#include <xen/memory.h>

struct fake fake;
static struct pvguest the_guest;
uint64_t fake_image_start, fake_image_end;

/* Not the pages' numbers. Frames from FAKE_PAGES on are had by asking. */
static uint64_t first_frame(uint64_t page)
{
    return page ^ 7;
}

static void own(uint64_t mfn, uint64_t page)
{
    fake.owned[mfn] = true;
    fake.m2p[mfn] = page;
    if (++fake.frames > fake.most)
        fake.most = fake.frames;
}

void fake_reset(uint64_t pages)
{
    /* at first everything is 0, which is no p2m */
    static bool begun;
    uint64_t used = !begun || fake.si.nr_pages > FAKE_SMALL ? FAKE_PAGES : FAKE_SMALL;
    memset(&fake, 0, offsetof(struct fake, p2m));
    memset(&the_guest, 0, sizeof(the_guest));
    memset(fake.p2m, 0xff, used * sizeof(fake.p2m[0]));
    memset(fake.owned, 0, used);
    memset(fake.owned + FAKE_PAGES, 0, FAKE_FRAMES - FAKE_PAGES);
    begun = true;
    fake.g = &the_guest;
    fake.next_frame = FAKE_PAGES;
    fake.populates = true;
    fake.stuck_frame = fake.no_frame_for = PVG_NONE;
    fake.maximum = (int64_t)pages;
    fake.si.nr_pages = pages;
    for (uint64_t page = 0; page < pages; page++) {
        fake.p2m[page] = first_frame(page);
        own(first_frame(page), page);
    }
}

void fake_unpopulate(uint64_t page)
{
    fake.owned[fake.p2m[page]] = false;
    fake.frames--;
    fake.p2m[page] = PVG_P2M_MISSING;
}

static bool fails(void)
{
    bool now = ++fake.calls == fake.fail_at;
    fake.failed |= now;
    return now;
}

/* ---- reasons */

static int say(struct pvguest *g, int code, const char *before, const char *format, va_list list)
{
    char old[REASON_MAX], text[REASON_MAX];
    snprintf(old, sizeof(old), "%s", before);
    vsnprintf(text, sizeof(text), format, list);
    snprintf(g->reason, sizeof(g->reason), "%.250s%s%.250s", text, *old ? ": " : "", old);
    return code;
}

int fail(struct pvguest *g, int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (!g->undoing)
        say(g, code, "", format, list);
    va_end(list);
    return code;
}

int fail_in(struct pvguest *g, int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (code && !g->undoing)
        say(g, code, g->reason, format, list);
    va_end(list);
    return code;
}

const char *error_name(int code)
{
    return code == -XEN_EPERM ? "EPERM" : "E?";
}

/* ---- what the guest is told */

const start_info_t *pvg_start_info(struct pvguest *g)
{
    (void)g;
    return &fake.si;
}

bool pvg_is_initial_domain(struct pvguest *g)
{
    (void)g;
    return fake.initial_domain;
}

pvg_mfn_t pvg_root(struct pvguest *g)
{
    (void)g;
    return pvg_mfn(42);
}

/* Tables can be read only where the guest knows its boot region to be. */
void pvg_walk_from(struct pvguest *g, pvg_mfn_t root, uint64_t va, struct pvg_walk *w)
{
    uint64_t page = (va - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT;
    *w = (struct pvg_walk){.level = 0};
    if (root.n != 42 || g->boot.to == 0 || page >= fake.mapped)
        return;
    w->level = 1;
    w->mapped = true;
    w->at[1].entry = pvg_pte(pvg_mfn(fake.p2m[page]), PVG_PTE_IMAGE);
}

/* ---- p2m and m2p */

pvg_pfn_t pvg_m2p(struct pvguest *g, pvg_mfn_t mfn)
{
    if (mfn.n >= FAKE_FRAMES || !fake.owned[mfn.n])
        return PVG_NO_PFN;
    uint64_t page = fake.m2p[mfn.n];
    return pvg_p2m_mfn(g, pvg_pfn(page)).n == mfn.n ? pvg_pfn(page) : PVG_NO_PFN;
}

uint64_t pvg_p2m_entry(struct pvguest *g, pvg_pfn_t pfn)
{
    (void)g;
    if (pfn.n < FAKE_PAGES)
        return fake.p2m[pfn.n];
    return pvg_regions_holds(&fake.high, pfn.n) ? PVG_P2M_IDENTITY | pfn.n : PVG_P2M_MISSING;
}

int pvg_p2m_set(struct pvguest *g, pvg_pfn_t pfn, uint64_t entry)
{
    if (fails())
        return fail(g, -XEN_ENOMEM, "no leaf");
    if (pfn.n >= FAKE_PAGES)
        abort();
    fake.p2m[pfn.n] = entry;
    return 0;
}

static void set_range(struct pvg_range range, bool identity)
{
    for (uint64_t page = range.from; page < range.to && page < FAKE_PAGES; page++)
        fake.p2m[page] = identity ? PVG_P2M_IDENTITY | page : PVG_P2M_MISSING;
    if (range.to <= FAKE_PAGES)
        return;
    uint64_t from = range.from > FAKE_PAGES ? range.from : FAKE_PAGES;
    if (identity ? pvg_regions_add(&fake.high, from, range.to)
                 : pvg_regions_remove(&fake.high, from, range.to))
        abort();
}

int pvg_p2m_set_identity(struct pvguest *g, struct pvg_range range)
{
    if (fails())
        return fail(g, -XEN_ENOMEM, "no leaf for identity");
    set_range(range, true);
    return 0;
}

int p2m_set_missing(struct pvguest *g, struct pvg_range range)
{
    if (fails())
        return fail(g, -XEN_ENOMEM, "no leaf for what is missing");
    set_range(range, false);
    return 0;
}

/* ---- the queue: what is behind a refused element is not made */

static int flush(struct pvguest *g)
{
    int rc = 0;
    if (fake.queued)
        fake.hypercalls++;
    for (unsigned i = 0; i < fake.queued && rc == 0; i++) {
        uint64_t mfn = fake.queue[i].mfn;
        if (fails() || mfn >= FAKE_FRAMES || !fake.owned[mfn])
            rc = fail(g, -XEN_EPERM, "update of m2p[%lx] refused", mfn);
        else
            fake.m2p[mfn] = fake.queue[i].page;
    }
    fake.queued = 0;
    return rc;
}

int batch_update(struct pvguest *g, uint64_t ptr, uint64_t value)
{
    if ((ptr & 3) != MMU_MACHPHYS_UPDATE || (ptr & 0xffc))
        abort();
    fake.queue[fake.queued].mfn = ptr >> PVG_PAGE_SHIFT;
    fake.queue[fake.queued++].page = value;
    if (!fake.lazy)
        return flush(g);
    if (fake.queued == 128) {
        int rc = flush(g);
        fake.first_error = fake.first_error ? fake.first_error : rc;
    }
    return 0;
}

void pvg_lazy_enter(struct pvguest *g)
{
    (void)g;
    fake.lazy++;
}

int pvg_lazy_leave(struct pvguest *g)
{
    int rc = flush(g);
    if (--fake.lazy)
        abort();
    rc = fake.first_error ? fake.first_error : rc;
    fake.first_error = 0;
    return rc;
}

/* ---- memory_op */

static int64_t tell_map(struct xen_memory_map *m)
{
    if (fake.map_rc)
        return fake.map_rc;
    unsigned count = 0;
    while (count < PVG_E820_MAX && count < m->nr_entries && fake.map[count].bytes)
        count++;
    memcpy(m->buffer.p, fake.map, count * sizeof(fake.map[0]));
    m->nr_entries = fake.map_count ? fake.map_count : count;
    return 0;
}

static bool give_one(xen_pfn_t mfn)
{
    if (fails() || mfn >= FAKE_FRAMES || !fake.owned[mfn] || mfn == fake.stuck_frame)
        return false;
    fake.owned[mfn] = false;
    fake.frames--;
    return true;
}

static bool populate_one(xen_pfn_t *number)
{
    if (fails() || !fake.populates || *number == fake.no_frame_for ||
        fake.frames >= (uint64_t)fake.maximum)
        return false;
    if (fake.next_frame == FAKE_FRAMES)
        abort();
    own(fake.next_frame, *number);
    *number = fake.next_frame++;
    return true;
}

static int64_t reservation(unsigned command, struct xen_memory_reservation *r)
{
    uint64_t most = r->nr_extents, i;
    if (r->domid != DOMID_SELF || r->extent_order || r->nr_extents == 0)
        abort();
    if (fake.extents_at_a_time && most > fake.extents_at_a_time)
        most = fake.extents_at_a_time;
    for (i = 0; i < most; i++)
        if (command == XENMEM_decrease_reservation ? !give_one(r->extent_start.p[i])
                                                   : !populate_one(&r->extent_start.p[i]))
            break;
    return (int64_t)i;
}

int64_t pvg_hypercall(struct pvguest *g, unsigned number, uint64_t a, uint64_t b, uint64_t c,
                      uint64_t d, uint64_t e)
{
    (void)g;
    if (number != __HYPERVISOR_memory_op || c || d || e)
        abort();
    fake.hypercalls++;
    switch (a) {
    case XENMEM_memory_map:
    case XENMEM_machine_memory_map:
        fake.map_command = a;
        return tell_map((struct xen_memory_map *)b);
    case XENMEM_maximum_reservation:
        return ((struct xen_memory_domain *)b)->domid == DOMID_SELF ? fake.maximum : -XEN_ESRCH;
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return fails() ? -XEN_EPERM : reservation(a, (struct xen_memory_reservation *)b);
    default:
        abort();
    }
}
