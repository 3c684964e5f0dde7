/* SPDX-License-Identifier: MIT */
/* The beginning: is start_info to be believed, and what does the hypervisor say of itself. */
#include "internal.h"

#include <xen/memory.h>
#include <xen/version.h>

/* "xen-<version>-<platform>"; the initial domain's has a letter behind it. */
#define MAGIC_START "xen-3."
#define MAGIC_HAS   "-x86_64"

#define TABLES_MIN 4u /* one of each level */

/* <xen/xen.h>, start-of-day memory layout, points 2 and 7 */
#define REGION_STEP  0x400000ull
#define REGION_SLACK 0x80000ull

static struct pvguest the_guest;

/* ---- start_info: believed only as far as it fits together */

static bool contains(const char *text, const char *part)
{
    for (; *text; text++)
        if (strncmp(text, part, strlen(part)) == 0)
            return true;
    return false;
}

static int check_magic(struct pvguest *g, const start_info_t *si)
{
    char magic[sizeof(si->magic) + 1] = {0};
    memcpy(magic, si->magic, sizeof(si->magic));
    if (strncmp(magic, MAGIC_START, strlen(MAGIC_START)) != 0 || !contains(magic, MAGIC_HAS))
        return fail(g, -XEN_EINVAL, "its magic is \"%s\", not " MAGIC_START "*" MAGIC_HAS, magic);
    return 0;
}

static int check_pages(struct pvguest *g, const start_info_t *si)
{
    if (si->nr_pages == 0 || si->nr_pages > PVG_P2M_PFNS)
        return fail(g, -XEN_EINVAL, "nr_pages is %lu", si->nr_pages);
    return 0;
}

static bool page_aligned(uint64_t address)
{
    return address % PVG_PAGE_BYTES == 0;
}

/* Page of the linear region; pages beyond any region for what lies below it. */
static uint64_t region_page(uint64_t va)
{
    return va < PVG_VIRT_BASE ? PVG_NONE : (va - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT;
}

static int check_tables(struct pvguest *g, const start_info_t *si)
{
    uint64_t first = region_page(si->pt_base), pages = si->nr_pt_frames;
    if (!page_aligned(si->pt_base) || first >= si->nr_pages)
        return fail(g, -XEN_EINVAL, "pt_base is %lx", si->pt_base);
    if (first < region_page(port_image_end()))
        return fail(g, -XEN_EINVAL, "pt_base is %lx, inside the image", si->pt_base);
    if (pages < TABLES_MIN || pages > si->nr_pages - first)
        return fail(g, -XEN_EINVAL, "nr_pt_frames is %lu, from page %lu on of %lu", pages, first,
                    si->nr_pages);
    return 0;
}

/* The hypervisor's part of the address space, and what is no address at all. */
static bool ours(uint64_t va)
{
    return va < 0x0000800000000000ull || va >= HYPERVISOR_VIRT_END;
}

static int check_list(struct pvguest *g, const start_info_t *si)
{
    uint64_t bytes = si->nr_pages * sizeof(uint64_t);
    if (si->mfn_list == 0 || si->mfn_list % sizeof(uint64_t) != 0 || !ours(si->mfn_list))
        return fail(g, -XEN_EINVAL, "mfn_list is %lx", si->mfn_list);
    if (si->mfn_list + bytes < si->mfn_list || !ours(si->mfn_list + bytes - 1))
        return fail(g, -XEN_EINVAL, "mfn_list is %lx, which leaves no room for %lu pages",
                    si->mfn_list, si->nr_pages);
    return 0;
}

/* The region is not said, but follows from its last element, the stack after the tables. */
static uint64_t region_end(const start_info_t *si)
{
    uint64_t used = si->pt_base - PVG_VIRT_BASE + (si->nr_pt_frames + 1) * PVG_PAGE_BYTES;
    uint64_t end = (used + REGION_STEP - 1) / REGION_STEP * REGION_STEP;
    if (end - used < REGION_SLACK)
        end += REGION_STEP;
    return end >> PVG_PAGE_SHIFT;
}

static void take_ranges(struct pvguest *g, const start_info_t *si)
{
    uint64_t tables = region_page(si->pt_base), end = region_end(si);
    g->image = (struct pvg_range){region_page(port_image_start()), region_page(port_image_end())};
    g->initial_tables = (struct pvg_range){tables, tables + si->nr_pt_frames};
    g->boot = (struct pvg_range){0, end < si->nr_pages ? end : si->nr_pages};
    g->info.nr_pages = si->nr_pages;
}

int start_check(struct pvguest *g, const start_info_t *si)
{
    int rc = check_magic(g, si);
    if (rc == 0)
        rc = check_pages(g, si);
    if (rc == 0)
        rc = check_tables(g, si);
    if (rc == 0)
        rc = check_list(g, si);
    if (rc)
        return fail_in(g, rc, "start_info");
    take_ranges(g, si);
    memcpy(g->command_line, si->cmd_line, sizeof(g->command_line));
    g->command_line[sizeof(g->command_line) - 1] = 0;
    return 0;
}

/* ---- the hypervisor */

int start_features(struct pvguest *g)
{
    static const struct {
        unsigned feature;
        const char *name;
    } refused[] = {{XENFEAT_writable_page_tables, "writable_page_tables"},
                   {XENFEAT_auto_translated_physmap, "auto_translated_physmap"}};
    for (unsigned i = 0; i < XENFEAT_NR_SUBMAPS; i++) {
        xen_feature_info_t info = {.submap_idx = i};
        int rc = (int)pvg_hypercall(g, __HYPERVISOR_xen_version, XENVER_get_features,
                                    (uintptr_t)&info, 0, 0, 0);
        if (rc)
            return fail(g, rc, "features: XENVER_get_features: %s", error_name(rc));
        g->features[i] = info.submap;
    }
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (pvg_feature(g, refused[i].feature))
            return fail(g, -XEN_EOPNOTSUPP,
                        "features: the hypervisor has %s, which is not for PV with pinned tables",
                        refused[i].name);
    return 0;
}

/* Entries exist for RAM alone, though the table's room is that of all machine addresses. */
static uint64_t ram_frames(struct pvguest *g, uint64_t room)
{
    int64_t last = pvg_hypercall(g, __HYPERVISOR_memory_op, XENMEM_maximum_ram_page, 0, 0, 0, 0);
    return last >= 0 && (uint64_t)last < room ? (uint64_t)last + 1 : room;
}

/* Hypervisors that do not say where it is have it at the ABI's place (<xen/arch-x86/xen-x86_64.h>).
 */
int start_m2p(struct pvguest *g)
{
    struct xen_machphys_mapping m = {0};
    int rc = (int)pvg_hypercall(g, __HYPERVISOR_memory_op, XENMEM_machphys_mapping, (uintptr_t)&m,
                                0, 0, 0);
    if (rc == -XEN_ENOSYS)
        m = (struct xen_machphys_mapping){
            MACH2PHYS_VIRT_START, MACH2PHYS_VIRT_END,
            (MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) / sizeof(uint64_t) - 1};
    else if (rc)
        return fail(g, rc, "m2p: XENMEM_machphys_mapping: %s", error_name(rc));
    if (m.v_start % sizeof(uint64_t) != 0 || m.v_end <= m.v_start || ours(m.v_start) ||
        m.max_mfn >= (m.v_end - m.v_start) / sizeof(uint64_t))
        return fail(g, -XEN_EINVAL, "m2p: it is said to be at [%lx, %lx), for frames up to %lx",
                    m.v_start, m.v_end, m.max_mfn);
    g->m2p_base = m.v_start;
    g->m2p_entries = ram_frames(g, m.max_mfn + 1);
    return 0;
}

/* Traps come early, as looking into the m2p takes them, and the console as soon as it can. */
int start_init(struct pvguest *g)
{
    int rc = start_check(g, pvg_start_info(g));
    if (rc == 0)
        rc = traps_init(g);
    if (rc == 0)
        rc = p2m_init(g);
    if (rc == 0)
        rc = start_m2p(g);
    if (rc == 0)
        rc = console_init(g);
    if (rc == 0)
        rc = start_features(g);
    if (rc == 0)
        batch_init(g);
    return rc;
}

struct pvguest *pvg_start(const start_info_t *si)
{
    struct pvguest *g = &the_guest;
    if (!page_aligned((uint64_t)si) || region_page((uint64_t)si) == PVG_NONE) {
        fail(g, -XEN_EINVAL, "start_info: its address is %lx", (uint64_t)si);
        pvg_fatal(g, "start");
    }
    g->si_va = (uint64_t)si;
    if (start_init(g))
        pvg_fatal(g, "start");
    return g;
}

/* ---- what is known from then on */

const start_info_t *pvg_start_info(struct pvguest *g)
{
    return port_at(g, g->si_va, PORT_READ);
}

shared_info_t *pvg_shared_info(struct pvguest *g)
{
    return g->shared_va ? port_at(g, g->shared_va, PORT_WRITE) : NULL;
}

const char *pvg_command_line(struct pvguest *g)
{
    return g->command_line;
}

bool pvg_feature(struct pvguest *g, unsigned feature)
{
    return feature / 32 < XENFEAT_NR_SUBMAPS && g->features[feature / 32] >> feature % 32 & 1;
}

bool pvg_is_initial_domain(struct pvguest *g)
{
    return pvg_start_info(g)->flags & SIF_INITDOMAIN;
}
