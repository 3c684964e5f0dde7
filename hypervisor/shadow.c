/* SPDX-License-Identifier: MIT */
#include "shadow.h"

#include "asm.h"
#include "cpu.h"
#include "dirty.h"
#include "glue.h"
#include "machine.h"
#include "string.h"

#define ENTRIES    512u
#define TOP        4u
#define BITS       9u /* of an address, for each level */
#define TABLE      (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED)
#define LEAF_KEPT  (PTE_PRESENT | PTE_PWT | PTE_PCD | PTE_PAT)
#define PFEC_FETCH 16u

bool shadow_on, shadow_out_of_date;

static struct {
    struct shadow_root {
        mfn_t guest; /* NO_MFN: free */
        mfn_t frame; /* its hypervisor's slots are always there: the CPU may be using it */
    } root[SHADOW_ROOTS];
    const struct shadow_root *loaded; /* the CPU's; NULL: not yet one of these */
    unsigned evict;
    uint32_t table[SHADOW_TABLES]; /* frames; those below `used` are in the trees */
    unsigned tables, used;
} pool;

static unsigned slot_of(gva_t va, unsigned level)
{
    return va.a >> (PAGE_SHIFT_4K + BITS * (level - 1)) & (ENTRIES - 1);
}

static bool is_hypervisors(unsigned slot)
{
    return slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

/* ---- frames */

static bool take_roots(void)
{
    for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
        struct shadow_root *r = &pool.root[i];

        r->guest = NO_MFN;
        r->frame = NO_MFN;
        if (!frames_take(0, CORE_NO_LIMIT, &r->frame))
            return false;
        memcpy(direct_frame(r->frame), root_template, PAGE_BYTES);
    }
    return true;
}

static void take_tables(uint64_t most)
{
    mfn_t m;

    for (pool.tables = 0; pool.tables < SHADOW_TABLES && pool.tables < most; pool.tables++) {
        if (!frames_take(0, CORE_NO_LIMIT, &m))
            return;
        pool.table[pool.tables] = (uint32_t)m.n;
    }
}

static void give_all(void)
{
    for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
        if (!mfn_eq(pool.root[i].frame, NO_MFN))
            frames_give(pool.root[i].frame);
        pool.root[i].frame = NO_MFN;
    }
    while (pool.tables > 0)
        frames_give(mfn(pool.table[--pool.tables]));
}

bool shadow_begin(void)
{
    const uint64_t free = frames_free();

    pool.used = pool.evict = 0;
    pool.loaded = NULL;
    shadow_out_of_date = false;
    for (unsigned i = 0; i < SHADOW_ROOTS; i++)
        pool.root[i].frame = NO_MFN;
    if (take_roots())
        take_tables(free / 2);
    if (pool.tables >= SHADOW_TABLES_OK) {
        shadow_on = true;
        return true;
    }
    give_all();
    return false;
}

void shadow_end(void)
{
    shadow_on = false;
    give_all();
}

/* ---- forgetting */

static void forget_root(const struct shadow_root *r)
{
    uint64_t *e = direct_frame(r->frame);

    memset(e, 0, GLUE_L4_RESERVED_FIRST * sizeof(*e));
    memset(e + GLUE_L4_RESERVED_LAST + 1, 0, (ENTRIES - 1 - GLUE_L4_RESERVED_LAST) * sizeof(*e));
}

void shadow_forget(void)
{
    for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
        if (!mfn_eq(pool.root[i].guest, NO_MFN))
            forget_root(&pool.root[i]);
    }
    pool.used = 0;
    shadow_out_of_date = false;
}

void shadow_entry_changes(uint64_t at)
{
    const mfn_t table = maddr_frame((maddr_t){at});
    const struct core *c = the_core();

    if (table.n >= c->nr_frames)
        return;
    /* What is no table is refused, or gets the value as any word. */
    if (core_frame_type(c, table) < TYPE_L1 || core_frame_type(c, table) > TYPE_L4)
        dirty_mark(table);
    else if (pte_present(*(const uint64_t *)direct((maddr_t){at & ~7ull})))
        shadow_out_of_date = true;
}

void shadow_flush(void)
{
    if (shadow_out_of_date)
        shadow_forget();
}

/* The shadow's entry at `level` for `va`; NULL: there is none. */
static uint64_t *find(const struct shadow_root *r, gva_t va, unsigned level)
{
    uint64_t *e = (uint64_t *)direct_frame(r->frame) + slot_of(va, TOP);

    for (unsigned l = TOP; l > level; l--) {
        if (!pte_present(*e))
            return NULL;
        e = (uint64_t *)direct_frame(pte_frame(*e)) + slot_of(va, l - 1);
    }
    return e;
}

void shadow_flush_page(gva_t va)
{
    if (is_hypervisors(slot_of(va, TOP)))
        return;
    for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
        uint64_t *e = mfn_eq(pool.root[i].guest, NO_MFN) ? NULL : find(&pool.root[i], va, 1);

        if (e)
            *e = 0;
    }
}

/* ---- roots */

static struct shadow_root *root_of(mfn_t guest)
{
    for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
        if (mfn_eq(pool.root[i].guest, guest))
            return &pool.root[i];
    }
    return NULL;
}

/* The frames of the one that goes are free again when all is forgotten. The CPU may be using it,
 * for the hypervisor's slots, until the new one is loaded. */
static struct shadow_root *new_root(mfn_t guest)
{
    struct shadow_root *r = &pool.root[pool.evict++ % SHADOW_ROOTS];

    forget_root(r);
    r->guest = guest;
    return r;
}

mfn_t shadow_root(mfn_t guest_root)
{
    const struct shadow_root *r = root_of(guest_root);

    pool.loaded = r ? r : new_root(guest_root);
    return pool.loaded->frame;
}

/* ---- the guest's tables, as a processor walks them */

struct walk {
    uint64_t *entry[TOP + 1]; /* by level */
    uint64_t rights;          /* PTE_RW and PTE_USER if all levels have them, PTE_NX if one has */
};

static uint64_t narrowed(uint64_t rights, uint64_t entry)
{
    return (rights & (entry | PTE_NX)) | (entry & PTE_NX);
}

/* false: nothing is there. */
static bool walk_guest(mfn_t root, gva_t va, struct walk *w)
{
    mfn_t table = root;

    w->rights = PTE_RW | PTE_USER;
    for (unsigned level = TOP; level > 0; level--) {
        uint64_t *e = (uint64_t *)direct_frame(table) + slot_of(va, level);
        const uint64_t entry = __atomic_load_n(e, __ATOMIC_ACQUIRE);

        if (!pte_present(entry))
            return false;
        w->entry[level] = e;
        w->rights = narrowed(w->rights, entry);
        table = pte_frame(entry);
    }
    return true;
}

/* CR0.WP is on, EFER.NXE too, CR4.SMEP and SMAP are off (cpu_init.c). */
static bool allows(uint64_t rights, uint32_t error)
{
    if (error & PFEC_WRITE && !(rights & PTE_RW))
        return false;
    if (error & PFEC_USER && !(rights & PTE_USER))
        return false;
    return !(error & PFEC_FETCH && rights & PTE_NX);
}

static void set_bits(uint64_t *entry, uint64_t bits)
{
    if ((__atomic_load_n(entry, __ATOMIC_ACQUIRE) & bits) != bits)
        __atomic_fetch_or(entry, bits, __ATOMIC_ACQ_REL);
}

static void note_access(const struct walk *w, bool write)
{
    for (unsigned level = TOP; level > 1; level--)
        set_bits(w->entry[level], PTE_ACCESSED);
    set_bits(w->entry[1], write ? PTE_ACCESSED | PTE_DIRTY : PTE_ACCESSED);
}

/* ---- filling */

static uint64_t leaf(uint64_t entry, uint64_t rights, bool write)
{
    const uint64_t has = (rights & ~PTE_RW) | (write ? rights & PTE_RW : 0);

    return (entry & (PTE_FRAME_MASK | LEAF_KEPT)) | has | PTE_ACCESSED | PTE_DIRTY;
}

/* May it be written without another fault? Only what a write would change nothing of. */
static bool written_already(uint64_t entry)
{
    return entry & PTE_DIRTY && dirty_is_marked(pte_frame(entry));
}

/* A fault costs more than looking at a table: what the processor would have found accessed is
 * entered with it. `upper`: the rights of the levels above. */
static void fill_around(uint64_t *to, const uint64_t *from, uint64_t upper)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        const uint64_t e = __atomic_load_n(&from[i], __ATOMIC_RELAXED);

        if ((e & (PTE_PRESENT | PTE_ACCESSED)) == (PTE_PRESENT | PTE_ACCESSED))
            to[i] = leaf(e, narrowed(upper, e), written_already(e));
    }
}

static uint64_t rights_above_l1(const struct walk *w)
{
    uint64_t rights = PTE_RW | PTE_USER;

    for (unsigned level = TOP; level > 1; level--)
        rights = narrowed(rights, *w->entry[level]);
    return rights;
}

/* A table below *entry of the shadow, for the guest's at `level`. */
static void add_table(uint64_t *entry, unsigned level, const struct walk *w)
{
    const mfn_t m = mfn(pool.table[pool.used++]);
    uint64_t *to = direct_frame(m);

    memset(to, 0, PAGE_BYTES);
    if (level == 1)
        fill_around(to, (const uint64_t *)((uintptr_t)w->entry[1] & ~(PAGE_BYTES - 1ull)),
                    rights_above_l1(w));
    *entry = pte_make(m, TABLE);
}

/* The shadow's L1 entry; tables that are missing are made. */
static uint64_t *make_way(gva_t va, const struct walk *w)
{
    uint64_t *e = (uint64_t *)direct_frame(pool.loaded->frame) + slot_of(va, TOP);

    for (unsigned level = TOP - 1; level > 0; level--) {
        if (!pte_present(*e))
            add_table(e, level, w);
        e = (uint64_t *)direct_frame(pte_frame(*e)) + slot_of(va, level);
    }
    return e;
}

bool shadow_fill(gva_t va, uint32_t *error)
{
    const bool write = *error & PFEC_WRITE;
    struct walk w;

    if (!pool.loaded || is_hypervisors(slot_of(va, TOP)))
        return false;
    *error &= ~PFEC_PRESENT;
    if (!walk_guest(pool.loaded->guest, va, &w))
        return false;
    if (!allows(w.rights, *error)) {
        *error |= PFEC_PRESENT;
        return false;
    }
    if (pool.used + TOP > pool.tables) {
        shadow_forget();
        tlb_flush_hardware();
    }
    note_access(&w, write);
    if (write)
        dirty_mark(pte_frame(*w.entry[1]));
    *make_way(va, &w) = leaf(*w.entry[1], w.rights, written_already(*w.entry[1]));
    invlpg(va.a);
    return true;
}
