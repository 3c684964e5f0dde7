/* SPDX-License-Identifier: MIT */
/* grant_table_op: grants mapped and unmapped, by address and by entry. */
#include "grants.h"

/* Pages 180 to 184 get further mappings. */
#define WHAT  170u /* the page that is granted */
#define WHERE 171u /* the page whose address gets the mapping */
#define OTHER 172u
#define L1    173u /* a table of its own, for entries by machine address */
#define KINDS 174u

static uint32_t handle; /* of the last mapping that succeeded */

static void tell_mapping(int status)
{
    char at[48];
    entry_text(at, sizeof(at), *live_entry(page_va(WHERE), 1));
    tell("status %d, %s, entry %x", status, at, grants[REF(WHAT)].flags);
}

static int map_at(uint32_t flags, uint32_t ref, domid_t id, uint64_t address, const char *name)
{
    struct gnttab_map_grant_ref m = {
        .host_addr = address, .flags = flags, .ref = ref, .dom = id, .status = 77};
    GRANT(GNTTABOP_map_grant_ref, &m, 1, "map %s", name);
    if (m.status == GNTST_okay)
        handle = m.handle;
    tell("bus address: %s", m.dev_bus_addr >> 12 == pool_mfn[WHAT] ? "the page's" : "another");
    tell_mapping(m.status);
    return m.status;
}

static int map(uint32_t flags, const char *name)
{
    return map_at(flags | GNTMAP_host_map, REF(WHAT), own_id(), page_va(WHERE), name);
}

static int unmap(uint32_t h, uint64_t address, const char *name)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = address, .handle = h, .status = 77};
    GRANT(GNTTABOP_unmap_grant_ref, &u, 1, "  unmap %s", name);
    tell_mapping(u.status);
    return u.status;
}

static void kinds_of_mappings(void)
{
    static const uint32_t flags[] = {
        0,        GNTMAP_readonly, GNTMAP_application_map, GNTMAP_application_map | GNTMAP_readonly,
        1u << 16, 7u << 16,        0xffffu << 16,          0xffe0u,
    };
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        grant_page(WHAT, 0);
        map(flags[i], "page");
        unmap(handle, page_va(WHERE), "it");
        unmap(handle, page_va(WHERE), "it again");
        grant_page(WHAT, GTF_readonly);
        if (map(flags[i], "read-only grant") == GNTST_okay)
            unmap(handle, page_va(WHERE), "it");
    }
    make_rw(WHERE);
}

static void bad_mappings(void)
{
    static const uint64_t at[] = {0, 0x1000, BAD_VA, 0x800000000000ull, ~0ull, VIRT_BASE - 4096};
    grant_page(WHAT, 0);
    map_at(0, REF(WHAT), own_id(), page_va(WHERE), "nowhere");
    map_at(GNTMAP_readonly, REF(WHAT), own_id(), page_va(WHERE), "nowhere, read-only");
    map_at(GNTMAP_host_map, REF(WHAT), DOMID_SELF, page_va(WHERE), "of DOMID_SELF");
    map_at(GNTMAP_host_map, REF(WHAT), 0x123, page_va(WHERE), "of no domain");
    map_at(GNTMAP_host_map, REF(WHAT), DOMID_IO, page_va(WHERE), "of DOMID_IO");
    map_at(GNTMAP_host_map, 64 * 512, own_id(), page_va(WHERE), "none");
    map_at(GNTMAP_host_map, ~0u, own_id(), page_va(WHERE), "-1");
    map_at(GNTMAP_host_map, 64 * 512 - 1, own_id(), page_va(WHERE), "an empty entry");
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        map_at(GNTMAP_host_map, REF(WHAT), own_id(), at[i], "at a bad address");
    if (map_at(GNTMAP_host_map, REF(WHAT), own_id(), page_va(WHERE) + 5, "inside a page") == 0)
        unmap(handle, page_va(WHERE) + 7, "inside a page");
    grant_entry(WHAT, GTF_permit_access | GTF_sub_page, own_id(), pool_mfn[WHAT]);
    map(0, "part of a page");
    grant_entry(WHAT, GTF_permit_access, 0x123, pool_mfn[WHAT]);
    map(0, "what is another's");
    grant_entry(WHAT, GTF_accept_transfer, own_id(), pool_mfn[WHAT]);
    map(0, "a transfer");
    make_rw(WHERE);
}

/* The entry is named by its machine address. */
static void by_entry(void)
{
    const uint32_t flags = GNTMAP_host_map | GNTMAP_contains_pte;
    make_ro(L1);
    grant_page(WHAT, 0);
    map_at(flags, REF(WHAT), own_id(), slot_address(L1, 3), "in no table");
    for (unsigned level = 1; level <= 4; level++) {
        pin(L1, level);
        int status = map_at(flags, REF(WHAT), own_id(), slot_address(L1, 3), "in a table");
        tell("L%u slot is %s", level, page(L1)[3] ? "used" : "empty");
        if (status == GNTST_okay) {
            unmap(handle, page_va(WHERE), "by address");
            unmap(handle, slot_address(L1, 4), "another slot");
            unmap(handle, slot_address(L1, 3), "it");
            tell("slot is %s", page(L1)[3] ? "used" : "empty");
        }
        unpin(L1);
    }
    pin(L1, 1);
    map_at(flags, REF(WHAT), own_id(), slot_address(L1, 3) + 1, "misaligned");
    map_at(flags, REF(WHAT), own_id(), slot_address(L1, 3) + 4, "misaligned by 4");
    map_at(flags, REF(WHAT), own_id(), slot_address(OTHER, 3), "in a plain page");
    map_at(flags, REF(WHAT), own_id(), 1ull << 50, "beyond memory");
    map_at(flags, REF(WHAT), own_id(), start_info->shared_info, "in shared_info");
    unpin(L1);
    make_rw(L1);
}

/* What the mapping holds of its page, and what becomes of the handle when the entry changes. */
static void states(void)
{
    struct gnttab_swap_grant_ref s = {REF(WHAT), REF(OTHER), 77};
    grant_page(WHAT, 0);
    set_va(page_va(WHAT), 0);
    map(0, "the only mapping");
    page(WHERE)[0] = 0x1234;
    ask_ext(MMUEXT_PIN_L1_TABLE, pool_mfn[WHAT], 0, "its page as a table");
    GRANT(GNTTABOP_swap_grant_ref, &s, 1, "swap what is mapped");
    tell_status(s.status);
    struct gnttab_swap_grant_ref t = {REF(OTHER), REF(WHAT), 77};
    GRANT(GNTTABOP_swap_grant_ref, &t, 1, "swap with what is mapped");
    tell_status(t.status);
    unmap(handle, 0, "no address");
    unmap(handle, page_va(OTHER), "where it is not");
    unmap(handle + 1, page_va(WHERE), "another handle");
    unmap(~0u, page_va(WHERE), "handle -1");
    ask_va(page_va(WHERE), entry_for(WHAT, RO_ENTRY), UVMF_INVLPG, "the mapping read-only");
    unmap(handle, page_va(WHERE), "what is read-only");
    ask_va(page_va(WHERE), entry_for(OTHER, RW_ENTRY), UVMF_INVLPG, "another page there");
    unmap(handle, page_va(WHERE), "what is another page");
    ask_va(page_va(WHERE), 0, UVMF_INVLPG, "nothing there");
    unmap(handle, page_va(WHERE), "nothing");
    ask_va(page_va(WHERE), entry_for(WHAT, RW_ENTRY | NX | 0xe00), UVMF_INVLPG, "as it was");
    unmap(handle, page_va(WHERE), "it at last");
    map(GNTMAP_readonly, "read-only");
    make_ro(KINDS);
    ask_ext(MMUEXT_CLEAR_PAGE, pool_mfn[WHAT], 0, "its page cleared");
    ask_ext(MMUEXT_PIN_L1_TABLE, pool_mfn[WHAT], 0, "its page as a table");
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[WHAT], 0, "and not");
    unmap(handle, page_va(WHERE), "it");
    make_rw(KINDS);
    make_rw(WHAT);
    make_rw(WHERE);
}

static void map_in(unsigned i, uint32_t flags, const char *name)
{
    map_at(flags | GNTMAP_host_map, REF(WHAT), own_id(), page_va(i), name);
}

/* The same grant more than once: marks stay as long as somebody needs them. */
static void several(void)
{
    uint32_t h[5];
    grant_page(WHAT, 0);
    map_in(180, GNTMAP_readonly, "first, read-only");
    h[0] = handle;
    map_in(181, 0, "second, writable");
    h[1] = handle;
    map_in(182, GNTMAP_readonly, "third, read-only");
    h[2] = handle;
    grants[REF(WHAT)].flags |= GTF_readonly;
    map_in(183, 0, "fourth, writable, no more granted");
    h[3] = handle;
    unmap(h[1], page_va(181), "the second");
    unmap(h[3], page_va(183), "the fourth");
    map_in(183, 0, "writable once more");
    grant_entry(WHAT, GTF_invalid, 0, pool_mfn[OTHER]);
    map_in(184, GNTMAP_readonly, "fifth, read-only, no more granted");
    h[4] = handle;
    grant_entry(WHAT, GTF_permit_access, 0x123, pool_mfn[OTHER]);
    map_in(183, 0, "writable, granted to another");
    unmap(handle, page_va(183), "that");
    unmap(h[4], page_va(180), "the fifth, where the first is");
    unmap(h[0], page_va(184), "the first, where the fifth is");
    unmap(h[2], page_va(182), "the third");
    map_in(183, GNTMAP_readonly, "once nobody uses it");
    for (unsigned i = 180; i <= 184; i++)
        make_rw(i);
}

static void target_kinds(void)
{
    targets_make();
    for (unsigned t = 0; t < TARGETS; t++)
        for (unsigned ro = 0; ro < 2; ro++) {
            struct gnttab_map_grant_ref m = {.host_addr = page_va(KINDS),
                                             .flags = GNTMAP_host_map | (ro ? GNTMAP_readonly : 0),
                                             .ref = REF(KINDS),
                                             .dom = own_id(),
                                             .status = 77};
            struct gnttab_unmap_grant_ref u = {.host_addr = page_va(KINDS), .status = 77};
            grant_entry(KINDS, GTF_permit_access, own_id(), targets[t].mfn);
            GRANT(GNTTABOP_map_grant_ref, &m, 1, "map %s%s", targets[t].name,
                  ro ? " read-only" : "");
            tell("status %d, entry %x", m.status, grants[REF(KINDS)].flags);
            u.handle = m.handle;
            if (m.status == GNTST_okay) {
                GRANT(GNTTABOP_unmap_grant_ref, &u, 1, "  unmap");
                tell("status %d, entry %x", u.status, grants[REF(KINDS)].flags);
            }
        }
    targets_undo();
    make_rw(KINDS);
}

static void replace(uint64_t address, uint64_t with, const char *name)
{
    struct gnttab_unmap_and_replace r = {
        .host_addr = address, .new_addr = with, .handle = handle, .status = 77};
    GRANT(GNTTABOP_unmap_and_replace, &r, 1, "  replace %s", name);
    tell_mapping(r.status);
    tell("the other is %s", *live_entry(page_va(OTHER), 1) ? "there" : "gone");
}

static void replacements(void)
{
    grant_page(WHAT, 0);
    map(0, "page");
    replace(page_va(WHERE), 0x1000, "by what is not mapped");
    replace(page_va(WHERE), BAD_VA, "by the hypervisor's");
    replace(page_va(WHERE), page_va(OTHER), "by another page");
    replace(page_va(WHERE), page_va(OTHER), "again");
    make_rw(OTHER);
    map(0, "page");
    replace(page_va(WHERE), 0, "by nothing");
    set_va(page_va(OTHER), 0);
    map(0, "page");
    replace(page_va(WHERE), page_va(OTHER), "by an empty entry");
    make_rw(OTHER);
    make_rw(WHERE);
}

/* A failed replacement, and one by itself. */
static void bad_replacements(void)
{
    grant_page(WHAT, 0);
    map(0, "page");
    replace(page_va(KINDS), page_va(OTHER), "what is not it");
    make_rw(OTHER);
    replace(page_va(WHERE), page_va(WHERE), "by itself");
    ask_va(page_va(WHERE), entry_for(WHAT, RW_ENTRY | NX), UVMF_INVLPG, "as it was");
    unmap(handle, page_va(WHERE), "it");
    make_rw(WHERE);
}

/* For a device: no entry, but an address on the bus. */
static void for_devices(void)
{
    struct gnttab_unmap_grant_ref u = {.dev_bus_addr = pool_mfn[WHAT] << 12, .status = 77};
    grant_page(WHAT, 0);
    map_at(GNTMAP_device_map, REF(WHAT), own_id(), page_va(WHERE), "for a device");
    u.handle = handle;
    GRANT(GNTTABOP_unmap_grant_ref, &u, 1, "unmap for a device");
    tell_mapping(u.status);
}

static void batch(void)
{
    struct gnttab_map_grant_ref *m = (struct gnttab_map_grant_ref *)page(KINDS);
    const unsigned n = 40;
    grant_page(WHAT, 0);
    for (unsigned i = 0; i < n; i++)
        m[i] = (struct gnttab_map_grant_ref){.host_addr = page_va(100 + i),
                                             .flags = GNTMAP_host_map,
                                             .ref = i == 7 ? ~0u : REF(WHAT),
                                             .dom = own_id(),
                                             .status = 77};
    GRANT(GNTTABOP_map_grant_ref, m, n, "%u mappings", n);
    tell("status %d %d %d", m[6].status, m[7].status, m[n - 1].status);
    page(WHAT)[9] = 0x99;
    ext1(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    tell("seen there: %lx %lx", page(100)[9], page(100 + n - 1)[9]);
    struct gnttab_unmap_grant_ref *u = (struct gnttab_unmap_grant_ref *)page(OTHER);
    for (unsigned i = 0; i < n; i++)
        u[i] = (struct gnttab_unmap_grant_ref){
            .host_addr = page_va(100 + i), .handle = m[i].status ? ~0u : m[i].handle, .status = 77};
    GRANT(GNTTABOP_unmap_grant_ref, u, n, "unmapped all");
    tell("status %d %d %d, entry %x", u[6].status, u[7].status, u[n - 1].status,
         grants[REF(WHAT)].flags);
    for (unsigned i = 0; i < n; i++)
        make_rw(100 + i);
}

void conform_grant_maps(void)
{
    kinds_of_mappings();
    bad_mappings();
    by_entry();
    states();
    several();
    target_kinds();
    replacements();
    bad_replacements();
    for_devices();
    batch();
}
