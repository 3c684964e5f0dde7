/* SPDX-License-Identifier: MIT */
/* What maps a frame: nothing is left out, nothing is told twice, and tables made to hurt cost no
 * more than one look each. */
#include "flat.h"
#include "made.h"

#include <stdio.h>

#define P   PTE_PRESENT
#define ALL (PTE_PRESENT | PTE_RW | PTE_USER)

struct list {
    struct pv_mapping m[4096];
    size_t n, enough; /* 0: never */
};

static bool take(void *context, const struct pv_mapping *m)
{
    struct list *l = context;
    assert_true(l->n < sizeof(l->m) / sizeof(*l->m));
    l->m[l->n++] = *m;
    return l->n != l->enough;
}

static void find(const struct pv_view *v, const mfn_t *roots, size_t n, mfn_t wanted,
                 struct list *l)
{
    struct pv_error e;
    l->n = 0;
    assert_int_equal(pv_find_maps(v, roots, n, wanted, take, l, &e), 0);
}

static void every_address_of_a_made_guest(void **state)
{
    (void)state;
    static struct list l;
    struct made *m = made_new(8, 0);
    mfn_t other = made_root(m), wanted = made_mfn(m, pfn(7));
    made_map(m, other, 0x7f0000001000, wanted, P | PTE_USER | PTE_NX);
    struct pv_view *v = made_open(m);
    mfn_t *roots;
    size_t n;
    struct pv_error e;
    assert_int_equal(pv_roots(v, &roots, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_true(roots[0].n < roots[1].n);
    find(v, roots, n, wanted, &l);
    assert_int_equal(l.n, 3);
    unsigned at_home = 0;
    for (size_t i = 0; i < l.n; i++) {
        struct pv_walk w;
        assert_true(pv_walk(v, l.m[i].root, l.m[i].va, &w));
        assert_int_equal(w.to.a, mfn_address(wanted, 0).a);
        assert_int_equal(l.m[i].level, 1);
        assert_int_equal(l.m[i].at.a, w.at[1].a);
        assert_int_equal(l.m[i].entry, w.entry[1]);
        assert_true(l.m[i].user);
        bool home = l.m[i].va.a == KERNEL_VA + 7 * 4096;
        at_home += home;
        assert_int_equal(l.m[i].writable, home);
        assert_int_equal(l.m[i].executable, home);
        if (!home) {
            assert_int_equal(l.m[i].va.a, 0x7f0000001000);
            assert_int_equal(l.m[i].root.n, other.n);
        }
    }
    assert_int_equal(at_home, 2);
    find(v, roots, n, mfn(m->core.nr_frames + 5), &l);
    assert_int_equal(l.n, 0);
    free(roots);
    pv_close(v);
    made_free(m);
}

/* ---- against all addresses tried one by one */

static uint64_t random_of(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* In these slots alone there is something; a 32-bit guest's L3 has the first four. */
#define SLOTS 8u
static const unsigned slot_number[SLOTS] = {0, 1, 2, 3, 255, 272, 511, 256};

static unsigned slots_at(const struct flat *f, unsigned level)
{
    return f->view.width == 4 && level == 3 ? 4 : SLOTS;
}

static void scatter(struct flat *f, uint64_t *seed)
{
    for (unsigned t = 0; t < 16; t++)
        for (unsigned i = 0; i < SLOTS; i++) {
            uint64_t r = random_of(seed), to = r % 32 ? r >> 8 & 15 : FLAT_FRAMES + 3;
            uint64_t flags = (r >> 20 & (PTE_RW | PTE_USER)) | (r >> 24 & 1 ? P : 0) |
                             (r >> 25 & 7 ? 0 : PTE_PSE) | (r >> 30 & 1 ? PTE_NX : 0);
            f->frame[t][slot_number[i]] = pte_make(mfn(to), flags);
        }
}

static bool was_told(const struct list *l, mfn_t root, uint64_t va, const struct pv_walk *w)
{
    unsigned times = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->m[i].va.a == va && l->m[i].root.n == root.n) {
            times++;
            assert_int_equal(l->m[i].level, w->level);
            assert_int_equal(l->m[i].at.a, w->at[w->level].a);
            assert_int_equal(l->m[i].entry, w->entry[w->level]);
        }
    assert_true(times < 2);
    return times == 1;
}

/* Walks to all addresses that the slots allow; how many of them lead to the frame. */
static size_t count_by_walking(struct flat *f, mfn_t root, mfn_t wanted, const struct list *l,
                               unsigned level, uint64_t va)
{
    size_t n = 0;
    for (unsigned i = 0; i < slots_at(f, level); i++) {
        unsigned slot = slot_number[i];
        if (level == 4 && slot == 256)
            continue; /* the hypervisor's */
        uint64_t here = va | (uint64_t)slot << (12 + 9 * (level - 1));
        if (level > 1) {
            n += count_by_walking(f, root, wanted, l, level - 1, here);
            continue;
        }
        struct pv_walk w;
        if (f->view.width == 8 && here >> 47)
            here |= 0xffffull << 48;
        /* Below a superpage only the frame itself counts. */
        if (pv_walk(&f->view, root, gva(here), &w) && w.to.a >> 12 == wanted.n) {
            assert_true(was_told(l, root, here, &w));
            n++;
        }
    }
    return n;
}

static void all_that_a_walk_finds(void **state)
{
    (void)state;
    static struct flat f;
    static struct list l;
    uint64_t seed = 0x1234567;
    size_t found = 0, large = 0;
    for (unsigned round = 0; round < 240; round++) {
        flat_init(&f, round & 1, round & 2 ? 8 : 4);
        scatter(&f, &seed);
        mfn_t root = mfn(random_of(&seed) % 16), wanted = mfn(random_of(&seed) % 16);
        find(&f.view, &root, 1, wanted, &l);
        unsigned top = f.view.width == 4 ? 3 : 4;
        size_t by_walking = count_by_walking(&f, root, wanted, &l, top, 0), at_slots = 0;
        for (size_t i = 0; i < l.n; i++) {
            struct pv_walk w;
            assert_true(pv_walk(&f.view, root, l.m[i].va, &w));
            assert_int_equal(w.to.a >> 12, wanted.n);
            at_slots += l.m[i].level == 1;
            large += l.m[i].level > 1;
        }
        assert_true(at_slots <= by_walking && by_walking <= l.n);
        found += l.n;
    }
    assert_true(found > 1000);
    assert_true(large > 20);
}

/* ---- flags */

static void flags_of_all_levels_count(void **state)
{
    (void)state;
    static struct flat f;
    static struct list l;
    const uint64_t takes[] = {PTE_RW, PTE_USER, PTE_NX};
    for (unsigned level = 1; level <= 4; level++)
        for (unsigned k = 0; k < 3; k++) {
            flat_init(&f, true, 8);
            for (unsigned at = 4; at >= 1; at--)
                f.frame[at][1] = pte_make(mfn(at - 1), ALL ^ (at == level ? takes[k] : 0));
            find(&f.view, &(mfn_t){4}, 1, mfn(0), &l);
            assert_int_equal(l.n, 1);
            assert_int_equal(l.m[0].va.a, 1ull << 39 | 1 << 30 | 1 << 21 | 1 << 12);
            assert_int_equal(l.m[0].writable, k != 0);
            assert_int_equal(l.m[0].user, k != 1);
            assert_int_equal(l.m[0].executable, k != 2);
        }
    /* A 32-bit guest's L3 entries have no such bits. */
    flat_init(&f, false, 4);
    f.frame[3][3] = pte_make(mfn(2), P);
    f.frame[2][1] = pte_make(mfn(1), ALL);
    f.frame[1][1] = pte_make(mfn(0), ALL);
    find(&f.view, &(mfn_t){3}, 1, mfn(0), &l);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.m[0].va.a, 0xc0201000);
    assert_true(l.m[0].writable && l.m[0].user && l.m[0].executable);
}

/* ---- made to hurt */

static void fill(uint64_t *table, mfn_t to)
{
    for (unsigned i = 0; i < 512; i++)
        table[i] = pte_make(to, ALL);
}

static void shared_tables_are_looked_through_once(void **state)
{
    (void)state;
    static struct flat f;
    static struct list l;
    const mfn_t roots[] = {{4}, {4}, {4}};
    flat_init(&f, false, 8);
    for (unsigned t = 4; t >= 1; t--)
        fill(f.frame[t], mfn(t - 1));
    find(&f.view, roots, 3, mfn(30), &l); /* 3 * 512^4 ways, none of which leads there */
    assert_int_equal(l.n, 0);
    assert_int_equal(f.reads, 4);
    l.enough = 1000;
    find(&f.view, roots, 3, mfn(0), &l);
    assert_int_equal(l.n, 1000);
    assert_int_equal(l.m[999].va.a, 999ull << 12);
    assert_true(f.reads < 20);
}

static void tables_that_name_themselves(void **state)
{
    (void)state;
    static struct flat f;
    static struct list l;
    flat_init(&f, false, 8);
    fill(f.frame[9], mfn(9));
    find(&f.view, &(mfn_t){9}, 1, mfn(8), &l);
    assert_int_equal(l.n, 0);
    assert_int_equal(f.reads, 4); /* once for each level */
    l.enough = 3;
    find(&f.view, &(mfn_t){9}, 1, mfn(9), &l);
    assert_int_equal(l.n, 3);
    /* Frames that are not there, roots that are none. */
    const mfn_t roots[] = {{FLAT_FRAMES}, {1ull << 52}, NO_MFN, {9}};
    fill(f.frame[9], mfn(1ull << 39));
    l.enough = 0;
    find(&f.view, roots, 4, mfn(9), &l);
    assert_int_equal(l.n, 0);
}

/* ---- roots */

static void roots_come_once_and_in_order(void **state)
{
    (void)state;
    static struct flat f;
    struct pv_vcpu vcpu[3] = {
        {.kernel_root = {7}, .user_root = {2}, .valid = true},
        {.kernel_root = {9}, .user_root = NO_MFN, .valid = true},
        {.kernel_root = {33}, .user_root = {34}, .valid = false},
    };
    const uint64_t expected[] = {2, 5, 7, 9, 11, 40};
    mfn_t *roots;
    size_t n;
    struct pv_error e;
    flat_init(&f, true, 8);
    f.view.vcpu = vcpu;
    f.view.nr_vcpus = 3;
    f.view.kernel_root = mfn(40);
    assert_int_equal(pv_roots(&f.view, &roots, &n, &e), 0);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(roots[i].n, expected[i]);
    free(roots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_of_a_made_guest),
        cmocka_unit_test(all_that_a_walk_finds),
        cmocka_unit_test(flags_of_all_levels_count),
        cmocka_unit_test(shared_tables_are_looked_through_once),
        cmocka_unit_test(tables_that_name_themselves),
        cmocka_unit_test(roots_come_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
