/* SPDX-License-Identifier: MIT */
/* The memory of a machine with Xen: which domains are there, and which frames are whose. */
#include "made_xen.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int try_domain(struct pv_view **v, const struct made_xen *x, int domain, struct pv_error *e)
{
    return pv_open(v, scratch_path(x->fd), &(struct pv_open_options){.domain = domain}, e);
}

static struct pv_view *open_domain(const struct made_xen *x, int domain)
{
    struct pv_view *v;
    struct pv_error e;
    if (try_domain(&v, x, domain, &e))
        fail_msg("%s", e.text);
    return v;
}

static void assert_frames(const struct pv_view *v, const struct made_xen_domain *d)
{
    uint64_t frames = 0;
    assert_int_equal(v->nr_pages, d->pages);
    assert_int_equal(v->end_pfn.n, d->pages);
    for (unsigned p = 0; p < d->pages; p++) {
        mfn_t m = mfn(d->mfn[p]);
        assert_int_equal(v->backend->mfn_of(v, pfn(p)).n, m.n);
        assert_int_equal(v->backend->pfn_of(v, m).n, p);
        assert_int_equal(v->backend->next_pfn(v, pfn(p)).n, p);
        assert_true(v->backend->owned(v, m));
        assert_true(v->backend->index_of(v, m) < d->pages);
        assert_int_equal(v->backend->frame_at(v, v->backend->index_of(v, m)).n, m.n);
    }
    for (mfn_t m = v->backend->next_owned(v, mfn(0)); m.n != ~0ull; frames++)
        m = v->backend->next_owned(v, mfn(m.n + 1));
    assert_int_equal(frames, d->pages);
    assert_int_equal(v->backend->next_pfn(v, pfn(d->pages)).n, ~0ull);
}

static void assert_domain(struct made_xen *x, unsigned i)
{
    const struct made_xen_domain *d = &x->domain[i];
    bool known = x->table || d->id == 0; /* else domains have no id, and are told by their place */
    struct pv_view *v = open_domain(x, known ? d->id : (int)i);
    if (!known && v->start_info.n != d->mfn[XEN_START_PFN]) {
        pv_close(v);
        v = open_domain(x, 3 - (int)i);
    }
    assert_frames(v, d);
    assert_int_equal(v->nr_domains, 3);
    assert_int_equal(v->domain[v->chosen].id, known ? d->id : -1);
    assert_int_equal(v->domain[v->chosen].pages, d->pages);
    assert_int_equal(v->domain[0].id, 0);
    assert_int_equal(v->shared_info.n, d->shared);
    assert_int_equal(v->start_info.n, d->mfn[XEN_START_PFN]);
    assert_int_equal(v->kernel_root.n, d->mfn[XEN_ROOT_PFN]);
    assert_int_equal(v->initial_root.n, i == 2 ? d->mfn[XEN_ROOT_PFN] : ~0ull);
    assert_string_equal(v->xen, XEN_VERSION);
    assert_true(v->has_m2p);
    assert_int_equal(v->nr_vcpus, 0);
    ask_everything(v);
    pv_close(v);
}

static void all_domains_are_found(bool split, bool table)
{
    struct made_xen *x = made_xen_new(split, table);
    for (unsigned i = 0; i < 3; i++)
        assert_domain(x, i);
    made_xen_free(x);
}

static void in_one_piece(void **state)
{
    (void)state;
    all_domains_are_found(false, true);
}

static void on_both_sides_of_the_hole(void **state)
{
    (void)state;
    all_domains_are_found(true, true);
}

/* dom0's tree ends after 512 of 600 pages: what its page tables reach fills it in. */
static void without_a_frame_table(void **state)
{
    (void)state;
    all_domains_are_found(false, false);
    all_domains_are_found(true, false);
}

static void a_domu_is_shown_first(void **state)
{
    (void)state;
    struct made_xen *x = made_xen_new(true, true);
    struct pv_view *v = open_domain(x, -1);
    assert_int_equal(v->chosen, 1);
    assert_int_equal(v->domain[1].id, 7);
    assert_int_equal(v->domain[2].id, 8);
    pv_close(v);
    v = open_domain(x, 2); /* no id: a place */
    assert_int_equal(v->domain[v->chosen].id, 8);
    pv_close(v);
    struct pv_error e;
    assert_int_equal(try_domain(&v, x, 3, &e), -1);
    assert_non_null(strstr(e.text, "domain 3 is none of those that are there: 0, 7, 8"));
    made_xen_free(x);
}

/* What dom0 maps of another domain, as its back ends do, stays that domain's. */
static void what_is_mapped_of_others_is_theirs(void **state)
{
    (void)state;
    for (int table = 0; table < 2; table++) {
        struct made_xen *x = made_xen_new(false, table);
        for (unsigned p = 0; p < 8; p++)
            made_xen_map(x, &x->domain[0], XEN_DIRECT_VA + (1000 + p) * 4096ull,
                         x->domain[1].mfn[20 + p]);
        assert_domain(x, 0);
        assert_domain(x, 1);
        made_xen_free(x);
    }
}

/* A start_info that is a copy, such as a saved image has in dom0's page cache. */
static void a_copy_is_no_domain(void **state)
{
    (void)state;
    struct made_xen *x = made_xen_new(false, true);
    memcpy(made_xen_words(x, x->domain[0].mfn[50]),
           made_xen_words(x, x->domain[1].mfn[XEN_START_PFN]), 4096);
    for (unsigned i = 0; i < 3; i++)
        assert_domain(x, i);
    made_xen_free(x);
}

static void the_frame_table_tells_types(void **state)
{
    (void)state;
    struct made_xen *x = made_xen_new(true, true);
    struct pv_view *v = open_domain(x, 7);
    mfn_t root = mfn(x->domain[1].mfn[XEN_ROOT_PFN]);
    uint64_t l3 = made_xen_words(x, root.n)[XEN_DIRECT_VA >> 39 & 511];
    struct pv_told t;
    assert_true(v->backend->told(v, root, &t));
    assert_true(t.level == 4 && t.pinned);
    assert_true(v->backend->told(v, pte_frame(l3), &t));
    assert_true(t.level == 3 && !t.pinned);
    assert_true(v->backend->told(v, mfn(x->domain[1].mfn[0]), &t));
    assert_true(t.level == 0 && !t.pinned);
    assert_false(v->backend->told(v, mfn(x->domain[0].mfn[0]), &t));
    assert_int_equal(v->backend->next_pinned_root(v, mfn(0)).n, root.n);
    assert_int_equal(v->backend->next_pinned_root(v, mfn(root.n + 1)).n, ~0ull);
    pv_close(v);
    made_xen_free(x);
}

static void places_are_those_of_the_file(void **state)
{
    (void)state;
    struct made_xen *x = made_xen_new(true, true);
    struct pv_view *v = open_domain(x, 7);
    struct pv_place at;
    uint64_t word, m = x->domain[1].mfn[XEN_START_PFN];
    assert_true(pv_place_of(v, mfn(m), &at));
    assert_int_equal(at.offset, (uint8_t *)made_xen_words(x, m) - x->map);
    assert_false(pv_place_of(v, mfn(XEN_LOW), &at)); /* in the hole */
    assert_false(v->backend->read(v, mfn(XEN_LOW), 0, &word, 8));
    assert_false(pv_place_of(v, mfn(v->nr_frames), &at));
    pv_close(v);
    made_xen_free(x);
}

static blkcnt_t blocks(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_blocks;
}

/* A large machine of which little is in use. */
static void holes_stay_holes(void **state)
{
    (void)state;
    struct made_xen *x = made_xen_new(false, true);
    assert_int_equal(ftruncate(x->fd, 1ll << 36), 0); /* 64 GiB */
    blkcnt_t before = blocks(x->fd);
    struct pv_view *v = open_domain(x, 0);
    assert_frames(v, &x->domain[0]);
    pv_close(v);
    assert_int_equal(blocks(x->fd), before);
    made_xen_free(x);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct made_xen *x = made_xen_new(false, true);
    struct pv_view *v;
    struct pv_error e;
    for (unsigned i = 0; i < 3; i++)
        made_xen_words(x, x->domain[i].mfn[XEN_START_PFN])[0] = 0;
    assert_int_equal(try_domain(&v, x, -1, &e), -1);
    assert_non_null(strstr(e.text, "no Xen with PV domains"));
    assert_int_equal(ftruncate(x->fd, 0), 0);
    assert_int_equal(ftruncate(x->fd, 4 * MIB), 0);
    assert_int_equal(try_domain(&v, x, -1, &e), -1);
    assert_non_null(strstr(e.text, "0 frames looked at"));
    made_xen_free(x);
}

/* ---- damage */

static uint64_t state_of_chance;

static uint64_t chance(void)
{
    state_of_chance ^= state_of_chance << 13;
    state_of_chance ^= state_of_chance >> 7;
    state_of_chance ^= state_of_chance << 17;
    return state_of_chance;
}

static uint64_t odd_value(const struct made_xen *x)
{
    const uint64_t odd[] = {0, ~0ull, 1ull << 63, 1ull << 40, 0xfff, 1};
    uint64_t c = chance();
    switch (c % 4) {
    case 0:
        return odd[c / 4 % 6];
    case 1: /* a table that points at something, or at itself */
        return pte_make(mfn(made_xen_vital(x, c / 4)), 0x67);
    case 2:
        return made_xen_vital(x, c / 4);
    default:
        return chance();
    }
}

struct mutation {
    uint64_t *at, was;
};

static void mutate(struct made_xen *x, struct mutation *done, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t *page = made_xen_words(x, made_xen_vital(x, chance() >> 8));
        uint64_t c = chance() >> 8;
        unsigned used = 0;
        while (used < 512 && c % 3 && !page[c % 512] && used++ < 64)
            c += 7; /* rather something that is in use */
        done[i] = (struct mutation){&page[c % 512], page[c % 512]};
        page[c % 512] = odd_value(x);
    }
}

static void damage_is_borne(void **state)
{
    (void)state;
    const char *seed = getenv("PVMM_TEST_SEED"), *rounds = getenv("PVMM_TEST_ROUNDS");
    unsigned n = rounds ? (unsigned)atoi(rounds) : 400, opened = 0, refused = 0;
    state_of_chance = seed ? strtoull(seed, NULL, 0) : 0x9e3779b97f4a7c15ull;
    print_message("seed 0x%llx\n", (unsigned long long)state_of_chance);
    struct made_xen *x[] = {made_xen_new(false, true), made_xen_new(true, true),
                            made_xen_new(false, false), made_xen_new(true, false)};
    for (unsigned i = 0; i < n; i++) {
        struct mutation done[8];
        unsigned many = 1 + chance() % 8;
        struct pv_view *v;
        struct pv_error e;
        mutate(x[i % 4], done, many);
        if (try_domain(&v, x[i % 4], (int)(chance() % 4) - 1, &e)) {
            refused++;
            assert_true(strlen(e.text) > 20);
        } else {
            opened++;
            ask_everything(v);
            pv_close(v);
        }
        while (many--)
            *done[many].at = done[many].was;
    }
    print_message("%u opened, %u refused\n", opened, refused);
    assert_true(opened > 0 && opened + refused == n);
    for (unsigned i = 0; i < 4; i++)
        made_xen_free(x[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_one_piece),
        cmocka_unit_test(on_both_sides_of_the_hole),
        cmocka_unit_test(without_a_frame_table),
        cmocka_unit_test(a_domu_is_shown_first),
        cmocka_unit_test(what_is_mapped_of_others_is_theirs),
        cmocka_unit_test(a_copy_is_no_domain),
        cmocka_unit_test(the_frame_table_tells_types),
        cmocka_unit_test(places_are_those_of_the_file),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(damage_is_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
