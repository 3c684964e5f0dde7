/* SPDX-License-Identifier: MIT */
/*
 * grant_table_op: the table, its versions, copies, swaps. A domain that is alone grants to itself.
 * Entry 8 + i of the table grants page P(i), unless a request says otherwise.
 */
#include "grants.h"

#define TABLE_PAGE 160u /* the first frame of the table lies there */
#define LIST_PAGE  161u
#define FROM       162u
#define TO         163u

grant_entry_v1_t *grants;

domid_t own_id(void)
{
    return start_info->flags & SIF_INITDOMAIN ? 0 : 1;
}

void grant_entry(unsigned i, uint16_t flags, domid_t domain, uint64_t mfn)
{
    grants[REF(i)] = (grant_entry_v1_t){flags, domain, (uint32_t)mfn};
}

void grant_page(unsigned i, uint16_t more_flags)
{
    grant_entry(i, GTF_permit_access | more_flags, own_id(), pool_mfn[i]);
}

void tell_status(int status)
{
    tell("status %d", status);
}

/* ---- the table */

static void sizes(const char *when)
{
    struct gnttab_query_size q = {.dom = DOMID_SELF, .status = 77};
    GRANT(GNTTABOP_query_size, &q, 1, "size %s", when);
    tell("status %d, %u of %u frames", q.status, q.nr_frames, q.max_nr_frames);
}

static void questions(void)
{
    static const domid_t ids[] = {0x123, DOMID_IO, DOMID_XEN, DOMID_INVALID, DOMID_IDLE};
    for (unsigned i = 0; i < 5; i++) {
        struct gnttab_query_size q = {.dom = ids[i], .status = 77};
        struct gnttab_get_version v = {.dom = ids[i], .version = 77};
        struct gnttab_setup_table s = {.dom = ids[i], .status = 77};
        struct gnttab_get_status_frames f = {.dom = ids[i], .status = 77};
        GRANT(GNTTABOP_query_size, &q, 1, "size of domain %x", ids[i]);
        tell("status %d, %u of %u frames", q.status, q.nr_frames, q.max_nr_frames);
        GRANT(GNTTABOP_get_version, &v, 1, "version of domain %x", ids[i]);
        tell("version %u", v.version);
        GRANT(GNTTABOP_setup_table, &s, 1, "table of domain %x", ids[i]);
        tell_status(s.status);
        GRANT(GNTTABOP_get_status_frames, &f, 1, "status frames of domain %x", ids[i]);
        tell_status(f.status);
    }
    struct gnttab_get_version v = {.dom = own_id()};
    GRANT(GNTTABOP_get_version, &v, 1, "version of its own");
    tell("version %u", v.version);
}

static void bad_arguments(void)
{
    static const uint64_t at[] = {0, 0x1000, BAD_VA, 0x800000000000ull, ~0ull};
    static const uint64_t counts[] = {0, 1, 2, 0x7fffffff, 0x80000000u, 1ull << 32};
    for (unsigned cmd = 0; cmd < 14; cmd++) {
        for (unsigned i = 0; i < 5; i++)
            GRANT(cmd, at[i], 1, "command %u at %lx", cmd, at[i]);
        for (unsigned i = 0; i < 6; i++)
            GRANT(cmd, 0x1000, counts[i], "command %u, %lx elements", cmd, counts[i]);
        GRANT(cmd, BAD_VA, 0, "command %u, no element at a bad place", cmd);
        GRANT(cmd | 1 << 12, 0x1000, 1, "command %u continued", cmd);
        GRANT(cmd | 1ull << 32, 0x1000, 1, "command %u and 2^32", cmd);
    }
    GRANT(0xfff, 0, 0, "command fff");
    GRANT(~0ull, 0, 0, "command -1");
}

static void versions(void)
{
    static const uint32_t numbers[] = {0, 1, 3, ~0u};
    for (unsigned i = 0; i < 4; i++) {
        struct gnttab_set_version v = {.version = numbers[i]};
        GRANT(GNTTABOP_set_version, &v, 1, "version := %u", numbers[i]);
        tell("version %u", v.version);
        v.version = numbers[i];
        GRANT(GNTTABOP_set_version, &v, 0, "version := %u, no element", numbers[i]);
    }
}

static int setup(uint32_t n, domid_t id, uint64_t list, const char *name)
{
    struct gnttab_setup_table s = {.dom = id, .nr_frames = n, .status = 77};
    s.frame_list.p = (void *)list;
    GRANT(GNTTABOP_setup_table, &s, 1, "table of %u frames, %s", n, name);
    tell_status(s.status);
    return s.status;
}

/* How many of the frames listed are new, and none of the guest's own. */
static void tell_frames(unsigned n)
{
    const uint64_t *list = page(LIST_PAGE);
    unsigned strange = 0, distinct = 0;
    for (unsigned i = 0; i < n; i++) {
        strange += pool_number(list[i]) >= 0;
        distinct++;
        for (unsigned k = 0; k < i; k++)
            if (list[k] == list[i]) {
                distinct--;
                break;
            }
    }
    tell("%u frames, %u of the pool", distinct, strange);
}

static void tables(void)
{
    uint64_t list = page_va(LIST_PAGE), first;
    struct gnttab_get_status_frames f = {.dom = DOMID_SELF};
    sizes("at first");
    setup(0, DOMID_SELF, list, "good");
    setup(1, DOMID_SELF, list, "good");
    first = page(LIST_PAGE)[0];
    tell_frames(1);
    setup(1, own_id(), list, "by its number");
    tell("the same: %u", page(LIST_PAGE)[0] == first);
    setup(3, DOMID_SELF, list, "good");
    tell("the same: %u", page(LIST_PAGE)[0] == first);
    tell_frames(3);
    sizes("after three");
    setup(2, DOMID_SELF, list, "fewer");
    sizes("after two");
    setup(4, DOMID_SELF, 0x1000, "list not mapped");
    setup(4, DOMID_SELF, BAD_VA, "list of the hypervisor's");
    setup(4, DOMID_SELF, 0x7ffffffffff8, "list at the edge");
    sizes("after those");
    setup(65, DOMID_SELF, list, "too many");
    setup(~0u, DOMID_SELF, list, "too many");
    setup(65, DOMID_SELF, BAD_VA, "too many, bad list");
    setup(64, DOMID_SELF, list, "all");
    tell_frames(64);
    tell("the same: %u", page(LIST_PAGE)[0] == first);
    sizes("after all");
    for (f.nr_frames = 0; f.nr_frames < 3; f.nr_frames++) {
        f.frame_list.p = page(LIST_PAGE) + 100;
        GRANT(GNTTABOP_get_status_frames, &f, 1, "status frames: %u", f.nr_frames);
        tell_status(f.status);
    }
    f.frame_list.p = (void *)BAD_VA;
    GRANT(GNTTABOP_get_status_frames, &f, 1, "status frames, bad list");
}

/* What may be done with a frame of the table, apart from reading and writing it. */
static void frame_uses(void)
{
    uint64_t frame = page(LIST_PAGE)[0], last = page(LIST_PAGE)[63];
    unsigned long gdt = frame;
    make_ro(164);
    pin(164, 2);
    ask_va(page_va(TABLE_PAGE), frame_entry(frame, RO_ENTRY), UVMF_INVLPG, "table read-only");
    ask_va(page_va(TABLE_PAGE), frame_entry(frame, RW_ENTRY), UVMF_INVLPG, "table writable");
    for (unsigned level = 1; level <= 4; level++)
        ask_ext(MMUEXT_PIN_L1_TABLE + level - 1, last, 0, "a frame of it as L%u", level);
    ask_update(slot_address(164, 1), frame_entry(last, TABLE_ENTRY), DOMID_SELF, "L2 -> it");
    unpin(164);
    ASK(__HYPERVISOR_set_gdt, &gdt, 1, 0, 0, "as a GDT");
    ask_ext(MMUEXT_CLEAR_PAGE, last, 0, "cleared");
    ask_ext(MMUEXT_COPY_PAGE, last, pool_mfn[FROM], "copied to");
    ask_ext(MMUEXT_CLEAR_PAGE, last, 0, "cleared");
    ask_update(last << 12 | MMU_MACHPHYS_UPDATE, 5, DOMID_SELF, "m2p of it");
    grants = (grant_entry_v1_t *)page(TABLE_PAGE);
}

/* ---- copying */

static struct gnttab_copy copy_of(unsigned flags, uint64_t from, uint64_t to)
{
    struct gnttab_copy c = {.flags = (uint16_t)flags, .len = 16, .status = 77};
    c.source.u.gmfn = from;
    c.dest.u.gmfn = to;
    c.source.domid = flags & GNTCOPY_source_gref ? own_id() : DOMID_SELF;
    c.dest.domid = flags & GNTCOPY_dest_gref ? own_id() : DOMID_SELF;
    return c;
}

static int copy(struct gnttab_copy *c, const char *name)
{
    page(TO)[0] = page(TO)[1] = page(TO)[2] = 0;
    GRANT(GNTTABOP_copy, c, 1, "%s", name);
    tell("status %d, %lx %lx %lx, entries %x %x", c->status, page(TO)[0], page(TO)[1], page(TO)[2],
         grants[REF(FROM)].flags, grants[REF(TO)].flags);
    return c->status;
}

static void copies(void)
{
    static const char *const names[] = {"frame to frame", "grant to frame", "frame to grant",
                                        "grant to grant"};
    struct gnttab_copy c;
    for (unsigned i = 0; i < 4; i++)
        page(FROM)[i] = 0x1111 * (i + 1);
    grant_page(FROM, 0);
    grant_page(TO, 0);
    for (unsigned flags = 0; flags < 4; flags++) {
        c = copy_of(flags, flags & 1 ? REF(FROM) : pool_mfn[FROM],
                    flags & 2 ? REF(TO) : pool_mfn[TO]);
        copy(&c, names[flags]);
        c.source.offset = c.dest.offset = 8;
        copy(&c, "  at 8");
        c.source.domid = c.dest.domid = DOMID_SELF;
        copy(&c, "  by itself");
        c.source.domid = own_id();
        copy(&c, "  source by its number");
        c.dest.domid = own_id();
        copy(&c, "  both by their number");
        c.source.domid = 0x123;
        copy(&c, "  from another domain");
        c.source.domid = DOMID_SELF;
        c.dest.domid = 0x123;
        copy(&c, "  to another domain");
        c.dest.domid = DOMID_IO;
        copy(&c, "  to IO");
        c.flags |= 0xfff0;
        c.dest.domid = DOMID_SELF;
        copy(&c, "  more flags");
    }
}

static void bounds(void)
{
    static const uint16_t rows[][3] = {
        {0, 0, 0},     {4096, 0, 0},  {4097, 0, 0},         {0, 4096, 0}, {0, 4097, 0},
        {4095, 0, 1},  {4096, 0, 1},  {0, 4095, 1},         {0, 4096, 1}, {1, 2, 3},
        {0, 0, 4096},  {0, 0, 4097},  {1, 0, 4096},         {0, 1, 4096}, {65535, 0, 0},
        {0, 65535, 0}, {0, 0, 65535}, {65535, 65535, 65535}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned flags = 0; flags < 4; flags += 3) {
            struct gnttab_copy c =
                copy_of(flags, flags ? REF(FROM) : pool_mfn[FROM], flags ? REF(TO) : pool_mfn[TO]);
            c.source.offset = rows[i][0];
            c.dest.offset = rows[i][1];
            c.len = rows[i][2];
            copy(&c, flags ? "bounds by grant" : "bounds by frame");
        }
}

static void entry_states(void)
{
    static const uint16_t flags[] = {
        GTF_invalid,
        GTF_accept_transfer,
        GTF_transitive,
        GTF_permit_access | GTF_readonly,
        GTF_permit_access | GTF_sub_page,
        GTF_permit_access | GTF_reading,
        GTF_permit_access | GTF_reading | GTF_writing,
        GTF_permit_access | GTF_readonly | GTF_reading | GTF_writing,
        GTF_permit_access | GTF_PWT | GTF_PCD | GTF_PAT,
        0xfff9,
    };
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct gnttab_copy c = copy_of(1, REF(FROM), pool_mfn[TO]);
        grant_entry(FROM, flags[i], own_id(), pool_mfn[FROM]);
        grant_entry(TO, flags[i], own_id(), pool_mfn[TO]);
        copy(&c, "entry as source");
        c = copy_of(2, pool_mfn[FROM], REF(TO));
        copy(&c, "entry as destination");
        c = copy_of(3, REF(FROM), REF(TO));
        copy(&c, "entries as both");
    }
    struct gnttab_copy c = copy_of(3, REF(FROM), REF(TO));
    grant_page(FROM, 0);
    grant_entry(TO, GTF_permit_access, 0x123, pool_mfn[TO]);
    copy(&c, "granted to another");
    grant_entry(TO, GTF_permit_access, DOMID_SELF, pool_mfn[TO]);
    copy(&c, "granted to DOMID_SELF");
    grant_page(TO, 0);
    c.source.u.ref = 64 * 512 - 1;
    copy(&c, "the last entry");
    c.source.u.ref = 64 * 512;
    copy(&c, "beyond the last entry");
    c.dest.u.ref = ~0u;
    copy(&c, "entry -1");
}

/* Frames of every kind on both sides; the last bytes of a page mean nothing in any of them. */
static void frame_kinds(void)
{
    targets_make();
    for (unsigned t = 0; t < TARGETS; t++)
        for (unsigned flags = 0; flags < 4; flags++) {
            bool grant = flags & 1, dest = flags & 2;
            struct gnttab_copy c = copy_of(0, pool_mfn[FROM], pool_mfn[TO]);
            struct gnttab_copy_ptr *p = dest ? &c.dest : &c.source;
            c.flags = grant ? dest ? GNTCOPY_dest_gref : GNTCOPY_source_gref : 0;
            p->u.gmfn = grant ? REF(TO) : targets[t].mfn;
            p->offset = 4088;
            c.len = 8;
            grant_entry(TO, GTF_permit_access, own_id(), targets[t].mfn);
            GRANT(GNTTABOP_copy, &c, 1, "copy %s %s%s", dest ? "to" : "from", targets[t].name,
                  grant ? " by grant" : "");
            tell("status %d, entry %x", c.status, grants[REF(TO)].flags);
            c.dest.offset = c.source.offset = 4090;
            GRANT(GNTTABOP_copy, &c, 1, "  out of bounds");
            tell("status %d, entry %x", c.status, grants[REF(TO)].flags);
        }
    targets_undo();
}

static void batches(void)
{
    struct gnttab_copy *list = (struct gnttab_copy *)page(LIST_PAGE);
    const unsigned fit = PAGE / sizeof(*list);
    grant_page(TO, 0);
    for (unsigned i = 0; i < fit; i++) {
        list[i] = copy_of(i % 4, i % 4 & 1 ? REF(FROM) : pool_mfn[FROM],
                          i % 4 & 2 ? REF(TO) : pool_mfn[TO]);
        list[i].dest.offset = (uint16_t)(16 * i);
    }
    list[3].source.u.ref = ~0u;
    list[5].dest.domid = 0x123;
    GRANT(GNTTABOP_copy, list, fit, "%u copies", fit);
    for (unsigned i = 0; i < 8; i++)
        tell("status %d, %lx", list[i].status, page(TO)[2 * i]);
    tell("status of the last %d, %lx", list[fit - 1].status, page(TO)[2 * (fit - 1)]);
    ask_va(page_va(LIST_PAGE + 1), 0, UVMF_INVLPG, "the page behind is gone");
    for (unsigned i = 0; i < fit; i++)
        list[i].status = 77;
    GRANT(GNTTABOP_copy, list, fit + 5, "more copies than there are");
    tell("status of the last %d", list[fit - 1].status);
    make_rw(LIST_PAGE + 1);
    make_ro(LIST_PAGE);
    GRANT(GNTTABOP_copy, list, 1, "copy from a list that cannot be written");
    make_rw(LIST_PAGE);
}

/* ---- swapping */

static void swap(uint32_t a, uint32_t b, const char *name)
{
    struct gnttab_swap_grant_ref s = {a, b, 77};
    GRANT(GNTTABOP_swap_grant_ref, &s, 1, "swap %s", name);
    tell("status %d, %s", s.status,
         grants[REF(FROM)].frame == pool_mfn[FROM] ? "in place" : "swapped");
}

static void swaps(void)
{
    grant_page(FROM, 0);
    grant_page(TO, GTF_readonly);
    swap(REF(FROM), REF(TO), "two");
    tell("entries %x %x", grants[REF(FROM)].flags, grants[REF(TO)].flags);
    swap(REF(FROM), REF(TO), "back");
    swap(REF(FROM), REF(FROM), "one with itself");
    swap(REF(FROM), 64 * 512, "with none");
    swap(64 * 512, REF(FROM), "none with it");
    swap(~0u, ~0u, "none with none");
    swap(REF(FROM), 64 * 512 - 1, "with the last");
    swap(REF(FROM), 64 * 512 - 1, "back");
}

/* ---- the rest */

static void flush(uint64_t address, uint16_t offset, uint16_t length, uint32_t op, const char *name)
{
    struct gnttab_cache_flush f = {.offset = offset, .length = length, .op = op};
    f.a.dev_bus_addr = address;
    GRANT(GNTTABOP_cache_flush, &f, 1, "flush %s, offset %u length %u op %x", name, offset, length,
          op);
}

static void flushes(void)
{
    static const uint32_t ops[] = {0, 1, 2, 3, 4, 1u << 31, 1u << 31 | 1, ~0u};
    static const uint16_t ranges[][2] = {{0, 0},    {0, 4096}, {4095, 1}, {4095, 2},
                                         {4096, 0}, {1, 4096}, {0, 4097}, {65535, 65535}};
    uint64_t own = pool_mfn[FROM] << 12;
    for (unsigned i = 0; i < 8; i++) {
        flush(own, 0, 64, ops[i], "a page");
        flush(own, ranges[i][0], ranges[i][1], GNTTAB_CACHE_CLEAN, "a page");
    }
    flush(own + 5, 0, 64, GNTTAB_CACHE_CLEAN, "inside a page");
    flush(start_info->shared_info, 0, 64, GNTTAB_CACHE_CLEAN, "shared_info");
    flush(root_mfn() << 12, 0, 64, GNTTAB_CACHE_CLEAN, "the root");
    flush(1ull << 50, 0, 64, GNTTAB_CACHE_CLEAN, "beyond");
    flush(~0ull, 0, 64, GNTTAB_CACHE_CLEAN, "-1");
    flush(1ull << 50, 0, 0, GNTTAB_CACHE_CLEAN, "beyond, nothing");
    struct gnttab_cache_flush f[2] = {{.op = 0}, {.op = 4}};
    GRANT(GNTTABOP_cache_flush, f, 2, "two flushes, the second bad");
    GRANT(GNTTABOP_cache_flush | 5 << 12, f, 1, "flush of nothing, continued");
}

static void transfers(void)
{
    struct gnttab_transfer t = {.mfn = 1ull << 38, .domid = own_id(), .status = 77};
    GRANT(GNTTABOP_transfer, &t, 1, "transfer of a frame beyond memory");
    tell_status(t.status);
    t.mfn = pool_mfn[FROM];
    GRANT(GNTTABOP_transfer, &t, 1, "transfer of a page that is mapped");
    tell_status(t.status);
    t.mfn = root_mfn();
    GRANT(GNTTABOP_transfer, &t, 1, "transfer of the root");
    tell_status(t.status);
    t.mfn = start_info->shared_info >> 12;
    GRANT(GNTTABOP_transfer, &t, 1, "transfer of shared_info");
    tell_status(t.status);
}

/* A guest with tables of its own has nothing to add pages to. */
static void physmap(void)
{
    static const unsigned spaces[] = {XENMAPSPACE_shared_info, XENMAPSPACE_grant_table,
                                      XENMAPSPACE_gmfn, 77};
    for (unsigned i = 0; i < 4; i++) {
        struct xen_add_to_physmap x = {.domid = DOMID_SELF, .space = spaces[i]};
        x.gpfn = pfn_of(pool[FROM]);
        ASK(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &x, 0, 0, "physmap space %u", spaces[i]);
        x.domid = 0x123;
        ASK(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &x, 0, 0, "  of no domain");
    }
    ASK(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, BAD_VA, 0, 0, "physmap, bad argument");
}

static void version_2(void)
{
    struct gnttab_set_version v = {.version = 2};
    struct gnttab_get_version w = {.dom = DOMID_SELF};
    GRANT(GNTTABOP_set_version, &v, 1, "version := 2");
    tell("version %u", v.version);
    GRANT(GNTTABOP_get_version, &w, 1, "version");
    tell("version %u", w.version);
    v.version = 1;
    GRANT(GNTTABOP_set_version, &v, 1, "version := 1");
    tell("version %u", v.version);
}

void conform_grants(void)
{
    bad_arguments();
    questions();
    versions();
    tables();
    frame_uses();
    copies();
    bounds();
    entry_states();
    frame_kinds();
    batches();
    swaps();
    conform_grant_maps();
    flushes();
    transfers();
    physmap();
    version_2();
}
