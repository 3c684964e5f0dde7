/* SPDX-License-Identifier: MIT */
/*
 * The grant table: its frames misused, mappings and copies that would reach a page table, random
 * operations on a table full of random entries. No entry may ever appear in the page table that
 * everything is aimed at.
 */
#include "attack.h"
#include "chaos.h"
#include "grants.h"

#define TABLE  60u /* pages the grant table is mapped at, in part */
#define MAPPED 4u
#define LIST   70u
#define VICTIM 72u /* an L1 table with no entries */
#define PLAIN  73u
#define DIRECT 74u /* an L1 table whose slots get mappings */
#define SPACE  80u /* pages whose addresses get mappings */
#define AIMS   16u

static uint64_t table_frame[64];

static void look_at_victim(const char *when)
{
    for (unsigned k = 0; k < ENTRIES; k++)
        if (page(VICTIM)[k] & P_)
            say("an entry appeared in the table %s\n", when);
}

static void take_table(void)
{
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 64};
    s.frame_list.p = table_frame;
    call3(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, &s, 1);
    say("the table's frames: status %d\n", s.status);
    for (unsigned i = 0; i < MAPPED; i++)
        set_va(page_va(TABLE + i), frame_entry(table_frame[i], RW_ENTRY));
    grants = (grant_entry_v1_t *)page(TABLE);
    make_ro(VICTIM);
    make_ro(DIRECT);
    pin(VICTIM, 1);
    pin(DIRECT, 1);
}

/* Frames of the table as tables, as descriptors, in the reservation, as vcpu_info of nobody. */
static void misuse_frames(void)
{
    for (unsigned i = 0; i < 64; i += 21) {
        unsigned long gdt = table_frame[i];
        xen_pfn_t list = table_frame[i];
        struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
        set_xen_guest_handle(r.extent_start, &list);
        for (unsigned level = 0; level < 4; level++)
            say("frame %u as L%u: %ld\n", i, level + 1,
                ext1(MMUEXT_PIN_L1_TABLE + level, table_frame[i], 0));
        say("as a GDT %ld, as a root %ld, given away %ld, in an L2 %ld\n",
            call2(__HYPERVISOR_set_gdt, &gdt, 512), ext1(MMUEXT_NEW_BASEPTR, table_frame[i], 0),
            call2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r),
            update1(live_table_mfn(page_va(0), 2) << 12, frame_entry(table_frame[i], TABLE_ENTRY)));
    }
}

/* ---- one aim after the other at the victim */

static int16_t map_victim(uint32_t flags, uint64_t address)
{
    struct gnttab_map_grant_ref m = {
        .host_addr = address, .flags = flags, .ref = REF(0), .dom = own_id()};
    grant_entry(0, GTF_permit_access, own_id(), pool_mfn[VICTIM]);
    call3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, &m, 1);
    return m.status;
}

static int16_t copy_to_victim(unsigned flags)
{
    struct gnttab_copy c = {.flags = (uint16_t)flags, .len = 64};
    c.source.u.gmfn = pool_mfn[PLAIN];
    c.source.domid = DOMID_SELF;
    c.dest.u.gmfn = flags ? REF(0) : pool_mfn[VICTIM];
    c.dest.domid = DOMID_SELF;
    call3(__HYPERVISOR_grant_table_op, GNTTABOP_copy, &c, 1);
    return c.status;
}

/* The grant is mapped read-only while its page is plain; then the page becomes a table, and the
 * entry comes to name another page. What is pinned is the first one. */
static void pinned_frame(void)
{
    struct gnttab_map_grant_ref m = {.host_addr = page_va(SPACE),
                                     .flags = GNTMAP_host_map | GNTMAP_readonly,
                                     .ref = REF(0),
                                     .dom = own_id()};
    struct gnttab_unmap_grant_ref u = {.host_addr = page_va(SPACE)};
    grant_entry(0, GTF_permit_access, own_id(), pool_mfn[VICTIM]);
    call3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, &m, 1);
    grants[REF(0)].frame = (uint32_t)pool_mfn[PLAIN];
    say("read-only %d, copy %d", m.status, copy_to_victim(GNTCOPY_dest_gref));
    look_at_victim("by its old name");
    m.flags = GNTMAP_host_map;
    m.host_addr = page_va(SPACE + 1);
    u.handle = m.handle;
    call3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, &m, 1);
    call3(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1);
    say(", then writable %d, unmapped %d\n", m.status, u.status);
    set_va(page_va(SPACE), entry_for(SPACE, RW_ENTRY));
}

static void aims(void)
{
    for (unsigned k = 0; k < ENTRIES; k++)
        page(PLAIN)[k] = entry_for(PLAIN, P_ | RW | US);
    say("victim mapped writable: %d, over itself %d, in its own slot %d\n",
        map_victim(GNTMAP_host_map, page_va(SPACE)), map_victim(GNTMAP_host_map, page_va(VICTIM)),
        map_victim(GNTMAP_host_map | GNTMAP_contains_pte, slot_address(VICTIM, 3)));
    say("copied to: by frame %d, by grant %d\n", copy_to_victim(0),
        copy_to_victim(GNTCOPY_dest_gref));
    look_at_victim("by a grant");
    say("in slots beyond all memory: %d %d %d\n",
        map_victim(GNTMAP_host_map | GNTMAP_contains_pte, 1ull << 40),
        map_victim(GNTMAP_host_map | GNTMAP_contains_pte, 0xfffffffffffffff8),
        map_victim(GNTMAP_host_map | GNTMAP_contains_pte, 0xfee00000));
    pinned_frame();
    /* statuses that would land in the table */
    set_va(page_va(SPACE), entry_for(VICTIM, RO_ENTRY));
    for (unsigned cmd = 0; cmd < 13; cmd++)
        call3(__HYPERVISOR_grant_table_op, cmd, page_va(SPACE), 1);
    look_at_victim("by a status");
    make_rw(SPACE);
}

/* ---- random operations */

/* The mappings made last: what is undone is then often there. */
static struct {
    uint64_t address;
    uint32_t handle;
} made[32];
static unsigned mappings, undone, copied;

static void remember(const struct gnttab_map_grant_ref *m)
{
    unsigned i = below(32);
    if (m->status)
        return;
    made[i].address = m->host_addr;
    made[i].handle = m->handle;
    mappings++;
}

static uint64_t some_address(void)
{
    static const uint64_t bad[] = {0, 0x1000, BAD_VA, 0x7ffffffff000ull, ~0ull, 0xffff800000000000};
    if (chance(5))
        return bad[below(6)];
    if (chance(40))
        return slot_address(DIRECT, below(8)) + (chance(5) ? below(8) : 0);
    return page_va(SPACE + below(AIMS)) + (chance(10) ? below(PAGE) : 0);
}

static uint64_t some_frame(void)
{
    static const unsigned pages[] = {VICTIM, DIRECT, PLAIN, LIST};
    if (chance(10))
        return random64();
    if (chance(10))
        return table_frame[below(64)];
    return pool_mfn[chance(60) ? SPACE + below(AIMS) : pages[below(4)]];
}

static domid_t some_domain(void)
{
    static const domid_t others[] = {DOMID_SELF, DOMID_IO, 0x123, 0xffff};
    return chance(80) ? own_id() : others[below(4)];
}

static uint32_t some_ref(void)
{
    return chance(95) ? below(32) : (uint32_t)random64();
}

static void random_entry(void)
{
    static const uint16_t flags[] = {0, 1, 1, 1, 5, 0x19, 2, 3, 0x101, 0xffff};
    grants[below(32)] = (grant_entry_v1_t){flags[below(10)], some_domain(), (uint32_t)some_frame()};
}

static void fill_map(struct gnttab_map_grant_ref *m)
{
    static const uint32_t flags[] = {2, 6, 0x12, 0x16, 0xa, 3, 1, 0, 0x70002, ~0u};
    *m = (struct gnttab_map_grant_ref){.host_addr = some_address(),
                                       .flags = flags[below(chance(90) ? 4 : 10)],
                                       .ref = some_ref(),
                                       .dom = some_domain()};
}

static void fill_copy(struct gnttab_copy *o)
{
    *o = (struct gnttab_copy){.flags = (uint16_t)below(4), .len = (uint16_t)below(128)};
    struct gnttab_copy_ptr *ends[] = {&o->source, &o->dest};
    for (unsigned i = 0; i < 2; i++) {
        bool grant = o->flags >> i & 1;
        ends[i]->u.gmfn = grant ? some_ref() : some_frame();
        ends[i]->domid = chance(90) ? DOMID_SELF : some_domain();
        ends[i]->offset = (uint16_t)(chance(90) ? below(4000) : random64());
    }
    if (chance(5))
        o->len = (uint16_t)random64();
}

static void fill_unmap(struct gnttab_unmap_grant_ref *u)
{
    unsigned i = below(32);
    *u = (struct gnttab_unmap_grant_ref){
        .host_addr = chance(95) ? made[i].address : some_address(),
        .handle = chance(95) ? made[i].handle : below(5000),
    };
}

static void fill_replace(struct gnttab_unmap_and_replace *r)
{
    struct gnttab_unmap_grant_ref u;
    fill_unmap(&u);
    *r = (struct gnttab_unmap_and_replace){
        .host_addr = u.host_addr, .handle = u.handle, .new_addr = some_address()};
}

/* What came of it. */
static void note_list(unsigned cmd, const void *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (cmd == GNTTABOP_map_grant_ref)
            remember((const struct gnttab_map_grant_ref *)list + i);
        else if (cmd == GNTTABOP_unmap_grant_ref)
            undone += ((const struct gnttab_unmap_grant_ref *)list)[i].status == 0;
        else if (cmd == GNTTABOP_copy)
            copied += ((const struct gnttab_copy *)list)[i].status == 0;
}

static void random_list(unsigned cmd, void *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (cmd == GNTTABOP_map_grant_ref)
            fill_map((struct gnttab_map_grant_ref *)list + i);
        else if (cmd == GNTTABOP_copy)
            fill_copy((struct gnttab_copy *)list + i);
        else if (cmd == GNTTABOP_unmap_grant_ref)
            fill_unmap((struct gnttab_unmap_grant_ref *)list + i);
        else if (cmd == GNTTABOP_unmap_and_replace)
            fill_replace((struct gnttab_unmap_and_replace *)list + i);
        else
            ((uint64_t *)list)[i] = (uint64_t)some_ref() << 32 | some_ref();
}

static void random_op(void)
{
    static const unsigned often[] = {GNTTABOP_map_grant_ref, GNTTABOP_unmap_grant_ref,
                                     GNTTABOP_copy, GNTTABOP_unmap_and_replace,
                                     GNTTABOP_swap_grant_ref};
    unsigned cmd = chance(90) ? often[below(5)] : below(14), n = 1 + below(6);
    random_list(cmd, page(LIST), n);
    if (cmd == GNTTABOP_setup_table) /* its list goes anywhere */
        page(LIST)[1] = page_va(SPACE + below(AIMS));
    if (call3(__HYPERVISOR_grant_table_op, cmd, page_va(LIST), n) == 0)
        note_list(cmd, page(LIST), n);
    if (chance(1)) /* what a guest does besides */
        set_va(page_va(SPACE + below(AIMS)), entry_for(SPACE + below(AIMS), RW_ENTRY));
    if (chance(2))
        update1(slot_address(DIRECT, below(8)), 0);
}

void attack_grants(void)
{
    chaos_seed(option("seed", 7));
    pool_reset(TABLE, SPACE + AIMS - TABLE);
    take_table();
    misuse_frames();
    aims();
    for (unsigned i = 0; i < 30000; i++) {
        random_entry();
        random_op();
        if (i % 1000 == 0)
            look_at_victim("by a random operation");
    }
    look_at_victim("at last");
    for (unsigned i = 0; i < MAPPED; i++)
        make_rw(TABLE + i);
    for (unsigned i = 0; i < AIMS; i++)
        make_rw(SPACE + i);
    unpin(DIRECT);
    unpin(VICTIM);
    make_rw(DIRECT);
    make_rw(VICTIM);
    say("random grants: %u mapped, %u unmapped, %u copied\n", mappings, undone, copied);
}
