/* SPDX-License-Identifier: MIT */
/*
 * Shadow tables against the architecture: random guest tables, accesses, changes and flushes. What
 * an access finds must be what a processor with a TLB could have found on the guest's own tables:
 * something that they said since the last flush; what it leaves in them, too. And what was written
 * to is marked in the round.
 */
#include "shadow_world.h"

#include <string.h>

#define VERSIONS   24u
#define STEPS      30000u
#define COMPARED   64u /* each so many steps the tables are looked at */
#define TLB_MISSES 4u  /* one lookup in so many finds nothing, though it could */

/* ---- random numbers: fixed seeds, so that a failure repeats */

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(random_state >> 33) % n;
}

static bool one_in(unsigned n)
{
    return random_below(n) == 0;
}

/* ---- the guest's tables */

static bool allowed(uint64_t rights, uint32_t kind)
{
    return !(kind & WRITE && !(rights & PTE_RW)) && !(kind & USER && !(rights & PTE_USER)) &&
           !(kind & FETCH && rights & PTE_NX);
}

static uint64_t random_entry(unsigned level)
{
    uint64_t target = level == 1 ? LEAVES_AT + random_below(LEAVES)
                                 : first_table(level - 1) + random_below(count_of[level - 1]);
    uint64_t e = PTE_PRESENT;
    if (level == 1 && one_in(16))
        target = OUTSIDE;
    const unsigned rare = level == 1 ? 4 : 24; /* else an address shows next to nothing */
    if (!one_in(rare))
        e |= PTE_RW;
    if (!one_in(2 * rare))
        e |= PTE_USER;
    if (one_in(rare))
        e |= PTE_NX;
    if (one_in(2))
        e |= PTE_ACCESSED;
    if (one_in(2))
        e |= PTE_DIRTY;
    return pte_make(mfn(target), e);
}

/* ---- the architecture's side: what the tables said since the last flush, per root and address */

static struct history {
    struct version {
        uint64_t frame, rights;
    } version[VERSIONS];
    unsigned n;
    bool touched; /* an entry on its way changed */
} history[10][VAS];

static uint64_t *expected[NR_FRAMES]; /* the tables, as a processor without a TLB leaves them */

static void add_version(struct history *h, const struct found *f)
{
    if (!f->present)
        return;
    assert_true(h->n < VERSIONS);
    h->version[h->n++] = (struct version){f->frame, f->rights};
}

static void begin_history(unsigned root, unsigned va)
{
    struct found f = walk(TABLES_AT + root, &vas[va]);
    history[root][va].n = 0;
    history[root][va].touched = false;
    add_version(&history[root][va], &f);
}

static void begin_histories(void)
{
    for (unsigned root = 0; root < count_of[4]; root++) {
        for (unsigned va = 0; va < VAS; va++)
            begin_history(root, va);
    }
}

static bool passes(const struct found *f, const uint64_t *at)
{
    for (unsigned l = 1; l <= 4; l++) {
        if (f->path[l] == at)
            return true;
    }
    return false;
}

static bool is_said(const struct history *h, uint64_t frame, uint64_t rights)
{
    const uint64_t kept = PTE_USER | PTE_NX;
    for (unsigned i = 0; i < h->n; i++) {
        const struct version *v = &h->version[i];
        if (v->frame == frame && !((v->rights ^ rights) & kept) && !(rights & ~v->rights & PTE_RW))
            return true;
    }
    return false;
}

/* Nothing but accessed and dirty bits was set in the guest's tables, and only such as any processor
 * would have. */
static void compare_tables(void)
{
    for (unsigned t = TABLES_AT; level_of(t); t++) {
        for (unsigned slot = 0; slot < 512; slot++) {
            const uint64_t is = *entry_of(t, slot), most = expected[t][slot];
            assert_int_equal(is | PTE_ACCESSED | PTE_DIRTY, most | PTE_ACCESSED | PTE_DIRTY);
            assert_int_equal(is & ~most, 0);
        }
    }
}

/* ---- the hypervisor's side, as cpu.c and dirty.c have it */

static unsigned guest_root; /* index */
static mfn_t loaded;

static void flush_whole(void)
{
    shadow_flush();
    empty_tlb();
    begin_histories();
}

static void load_root(unsigned root)
{
    guest_root = root;
    shadow_flush();
    loaded = shadow_root(mfn(TABLES_AT + root));
    empty_tlb();
    begin_histories();
}

static void flush_page(unsigned va)
{
    shadow_flush_page(gva(vas[va].address));
    hosted_invlpg(vas[va].address);
    for (unsigned root = 0; root < count_of[4]; root++)
        begin_history(root, va);
}

static void next_round(void)
{
    memset(bitmap, 0, sizeof(bitmap));
    shadow_forget();
    empty_tlb();
    begin_histories();
}

/* ---- what the shadows show */

/* Every leaf below, whatever its address: it is one that the guest's tables said. */
static unsigned scan(mfn_t table, unsigned level, uint64_t address)
{
    unsigned leaves = 0;
    for (unsigned slot = 0; slot < 512; slot++) {
        const uint64_t e = *entry_of(table.n, slot);
        const uint64_t at = address | (uint64_t)slot << (12 + 9 * (level - 1));
        if (level == 4 && slot >= 256 && slot <= 271) {
            assert_int_equal(e, TEMPLATE + slot);
            continue;
        }
        if (!pte_present(e))
            continue;
        if (level > 1) {
            leaves += scan(pte_frame(e), level - 1, at);
            continue;
        }
        const int va = va_index(at & 1ull << 47 ? at | 0xffffull << 48 : at);
        assert_true(va >= 0);
        assert_true(
            is_said(&history[guest_root][va], pte_frame(e).n, e & (PTE_RW | PTE_USER | PTE_NX)));
        if (e & PTE_RW)
            assert_true(dirty_is_marked(pte_frame(e)));
        leaves++;
    }
    return leaves;
}

static bool lookup(unsigned va, struct found *f)
{
    if (tlb[va] && !one_in(TLB_MISSES)) {
        *f = (struct found){.present = true, .frame = pte_frame(tlb[va]).n, .rights = tlb[va]};
        return true;
    }
    *f = walk(loaded.n, &vas[va]);
    return f->present;
}

static void expect_bits(const struct found *f, bool write)
{
    for (unsigned l = 4; l > 0; l--) {
        const uint64_t address = direct_address(f->path[l]).a;
        expected[address / PAGE_BYTES][address % PAGE_BYTES / 8] |=
            l == 1 && write ? PTE_ACCESSED | PTE_DIRTY : PTE_ACCESSED;
    }
}

static void check_bits(const struct found *now, unsigned va, bool write)
{
    if (history[guest_root][va].touched)
        return; /* an old translation may have been used */
    for (unsigned l = 4; l > 0; l--)
        assert_true(*now->path[l] & PTE_ACCESSED);
    if (write)
        assert_true(*now->path[1] & PTE_DIRTY);
}

static void check_success(const struct found *f, unsigned va, uint32_t kind)
{
    const struct found now = walk(TABLES_AT + guest_root, &vas[va]);
    const uint64_t rights = f->rights & (PTE_RW | PTE_USER | PTE_NX);

    assert_true(is_said(&history[guest_root][va], f->frame, rights));
    if (kind & WRITE && f->frame < NR_FRAMES)
        assert_true(bitmap[f->frame / 64] >> f->frame % 64 & 1);
    if (now.present)
        check_bits(&now, va, kind & WRITE);
}

static unsigned faults, fills, accesses;

static void check_fault(unsigned va, uint32_t kind, uint32_t error)
{
    const struct found now = walk(TABLES_AT + guest_root, &vas[va]);
    assert_false(now.present && allowed(now.rights, kind));
    assert_int_equal(error, kind | (now.present ? PFEC_PRESENT : 0));
    faults++;
}

static void access_va(unsigned va, uint32_t kind)
{
    const struct found now = walk(TABLES_AT + guest_root, &vas[va]);
    struct found f;

    accesses++;
    if (now.present && allowed(now.rights, kind))
        expect_bits(&now, kind & WRITE);
    for (unsigned attempt = 0;; attempt++) {
        const bool there = lookup(va, &f);
        uint32_t error = kind | (there ? PFEC_PRESENT : 0);
        if (there && allowed(f.rights, kind)) {
            tlb[va] = pte_make(mfn(f.frame), f.rights | PTE_PRESENT);
            check_success(&f, va, kind);
            return;
        }
        assert_true(attempt == 0); /* one fill is enough */
        if (!shadow_fill(gva(vas[va].address), &error)) {
            check_fault(va, kind, error);
            return;
        }
        fills++;
    }
}

static uint32_t random_kind(void)
{
    static const uint32_t kinds[] = {USER,  USER | WRITE, USER | WRITE, 0,
                                     WRITE, FETCH,        USER | FETCH};
    return kinds[random_below(sizeof(kinds) / sizeof(kinds[0]))];
}

/* ---- changes */

static uint64_t changed(uint64_t e, unsigned level)
{
    if (!pte_present(e) || one_in(3))
        return one_in(level == 1 ? 4 : 12) ? 0 : random_entry(level);
    static const uint64_t bits[] = {PTE_RW, PTE_NX, PTE_USER, PTE_PRESENT};
    if (level > 1 ? !one_in(8) : one_in(2))
        return e & ~(one_in(2) ? PTE_ACCESSED | PTE_DIRTY : PTE_DIRTY);
    return e ^ bits[random_below(4)];
}

static void write_entry(uint64_t *at, uint64_t value)
{
    static struct found before[10][VAS];
    const maddr_t address = direct_address(at);

    for (unsigned root = 0; root < count_of[4]; root++) {
        for (unsigned va = 0; va < VAS; va++)
            before[root][va] = walk(TABLES_AT + root, &vas[va]);
    }
    if (one_in(4))
        shadow_tables_change();
    else
        shadow_entry_changes(address.a | random_below(3));
    *at = value;
    expected[address.a / PAGE_BYTES][address.a % PAGE_BYTES / 8] = value;
    for (unsigned root = 0; root < count_of[4]; root++) {
        for (unsigned va = 0; va < VAS; va++) {
            struct found *was = &before[root][va], is = walk(TABLES_AT + root, &vas[va]);
            struct history *h = &history[root][va];
            h->touched |= passes(was, at) || passes(&is, at);
            if (is.frame != was->frame || is.rights != was->rights || is.present != was->present)
                add_version(h, &is);
        }
    }
}

static uint64_t *random_place(unsigned *level)
{
    *level = one_in(3) ? 2 + random_below(3) : 1;
    return entry_of(first_table(*level) + random_below(count_of[*level]),
                    slots_of[*level][random_below(nr_slots[*level])]);
}

static bool histories_have_room(void)
{
    for (unsigned root = 0; root < count_of[4]; root++) {
        for (unsigned va = 0; va < VAS; va++) {
            if (history[root][va].n == VERSIONS)
                return false;
        }
    }
    return true;
}

static void change(void)
{
    unsigned level;
    uint64_t *at = random_place(&level);

    if (!histories_have_room())
        flush_whole();
    write_entry(at, changed(*at, level));
    switch (random_below(6)) {
    case 0:
        flush_whole();
        break;
    case 1:
    case 2:
        flush_page(random_below(VAS));
        break;
    default:
        break;
    }
}

/* ---- tests */

static void fill_tables(void)
{
    for (unsigned t = TABLES_AT; level_of(t); t++) {
        const unsigned level = level_of(t);
        for (unsigned i = 0; i < nr_slots[level]; i++) {
            if (!one_in(level == 1 ? 6 : 24))
                *entry_of(t, slots_of[level][i]) = random_entry(level);
        }
        expected[t] = (uint64_t *)direct_frame(mfn(t + LEAVES_AT + LEAVES));
        memcpy(expected[t], direct_frame(mfn(t)), PAGE_BYTES);
    }
}

static int setup(void **state)
{
    faults = fills = accesses = 0;
    return world_setup(state);
}

static void step(unsigned changes)
{
    const unsigned what = random_below(100);
    if (what < changes)
        change();
    else if (what < changes + 8)
        load_root(random_below(one_in(3) ? count_of[4] : 3));
    else if (what == 98)
        next_round();
    else if (what == 99)
        scan(loaded, 4, 0);
    else
        access_va(random_below(VAS), random_kind());
}

/* `changes` in a hundred steps change the tables. */
static void run(unsigned room, unsigned seed, unsigned changes)
{
    pool.room = room;
    random_state = seed;
    fill_tables();
    assert_true(shadow_begin());
    assert_true(shadow_on);
    load_root(0);
    for (unsigned i = 0; i < STEPS; i++) {
        step(changes);
        if (i % COMPARED == 0)
            compare_tables();
    }
    shadow_end();
    assert_false(shadow_on);
    assert_int_equal(pool.given, pool.taken);
    print_message("%u accesses, %u filled, %u the guest's faults, %u times begun anew\n", accesses,
                  fills, faults, begun_anew);
    assert_true(fills > STEPS / 50 && faults > STEPS / 50);
}

static void test_with_room(void **state)
{
    (void)state;
    run(POOL, 1, 20);
    assert_int_equal(begun_anew, 0);
}

/* It begins anew all the time. */
static void test_with_little_room(void **state)
{
    (void)state;
    run(2 * SHADOW_TABLES_OK, 2, 1);
    assert_true(begun_anew > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_with_room, setup),
        cmocka_unit_test_setup(test_with_little_room, setup),
    };
    return cmocka_run_group_tests_name("shadow-random", tests, NULL, NULL);
}
