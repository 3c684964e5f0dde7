/* SPDX-License-Identifier: MIT */
/* The checker where it has to search, and where it is led astray: roots that nothing names, tables
 * that name themselves or are not there, mutations. */
#include "checked.h"

#include <stdio.h>
#include <unistd.h>

/* ---- roots that no vCPU has loaded */

static mfn_t process(struct made *m, uint64_t va)
{
    mfn_t root = made_page(m);
    memcpy(&made_words(m, root)[272], &made_words(m, m->root)[272], 240 * 8);
    made_map(m, root, va, made_mfn(m, pfn(11)), FLAGS | PTE_RW | PTE_GLOBAL);
    return root;
}

static void roots_by_content(void **state)
{
    (void)state;
    struct made *m = whole();
    mfn_t root = process(m, 0x400000), user = made_page(m), left = process(m, 0x800000);
    made_words(m, user)[0] = made_words(m, root)[0];
    *entry_of(m, 1, SPARE) = pte_make(root, FLAGS | PTE_GLOBAL);
    *entry_of(m, 1, SPARE + 1) = pte_make(user, FLAGS | PTE_GLOBAL);
    *entry_of(m, 1, SPARE + 2) = pte_make(left, FLAGS | PTE_GLOBAL | PTE_RW);
    struct pv_view *v = as_dump(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, NULL);
    assert_int_equal(c.tables, 4 + 4 + 1); /* not those of the one that was left */
    pv_check_free(&c);
    pv_close(v);
    /* What is wrong in them is found. */
    made_map(m, root, 0x401000, root, FLAGS | PTE_RW | PTE_GLOBAL);
    v = as_dump(m);
    check(v, &c);
    assert_only(&c, "table-writable"); /* by a table of its own */
    assert_int_equal(c.finding[0].va.a, 0x401000);
    pv_check_free(&c);
    pv_close(v);
    made_map(m, root, 0x401000, user, FLAGS | PTE_GLOBAL);
    made_map(m, root, 0x402000, m->root, FLAGS | PTE_RW | PTE_GLOBAL);
    v = as_dump(m);
    check(v, &c);
    assert_only(&c, "table-writable");
    assert_int_equal(c.finding[0].va.a, 0x402000);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

/* A root that is in use by its tables, and mapped writable. */
static void writable_root_by_content(void **state)
{
    (void)state;
    struct made *m = whole();
    mfn_t root = process(m, 0x400000);
    *entry_of(m, 1, SPARE) = pte_make(root, FLAGS | PTE_GLOBAL | PTE_RW);
    *entry_of(m, 1, SPARE + 1) = pte_make(pte_frame(made_words(m, root)[0]), FLAGS | PTE_GLOBAL);
    struct pv_view *v = as_dump(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, "table-writable");
    assert_int_equal(c.finding[0].frame.n, root.n);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

/* A root is known by its upper half though one entry of it is broken. */
static void root_with_a_broken_half(void **state)
{
    (void)state;
    struct made *m = whole();
    for (unsigned slot = 300; slot < 303; slot++)
        *entry_of(m, 4, slot) = *entry_of(m, 4, KERNEL_VA >> 39 & 511);
    mfn_t root = process(m, 0x400000);
    made_words(m, root)[301] |= PTE_PSE;
    *entry_of(m, 1, SPARE) = pte_make(root, FLAGS | PTE_GLOBAL);
    struct pv_view *v = as_dump(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, "superpage");
    assert_int_equal(c.finding[0].va.a, 0xffff968000000000);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

/* ---- hostile ones */

static void all_slots_name_the_root(void **state)
{
    (void)state;
    struct made *m = whole();
    for (unsigned slot = 0; slot < 512; slot++)
        if (slot < 256 || slot > 271)
            *entry_of(m, 4, slot) = pte_make(m->root, FLAGS);
    struct pv_view *v = as_dump(m);
    struct pv_check c;
    struct pv_error e;
    check(v, &c);
    assert_only(&c, "table-linear");
    assert_int_equal(c.findings, 496);
    assert_int_equal(c.kept, 16);
    pv_check_free(&c);
    const struct pv_check_options all = {.keep = SIZE_MAX};
    assert_int_equal(pv_check(v, NULL, &all, &c, &e), 0);
    assert_int_equal(c.kept, 496);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

static void tables_that_are_missing(void **state)
{
    (void)state;
    struct made *m = whole();
    struct pv_view *v = as_dump(m);
    struct pv_backend backend = *v->backend;
    const struct pv_backend *own = v->backend;
    struct pv_check c;
    /* Without words there are copies. */
    backend.words = NULL;
    v->backend = &backend;
    check(v, &c);
    assert_only(&c, NULL);
    assert_int_equal(c.tables, 4);
    assert_int_equal(c.missing, 0);
    pv_check_free(&c);
    v->backend = own;
    pv_close(v);
    made_free(m);
}

static bool never(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    (void)v;
    (void)m;
    (void)offset;
    (void)to;
    (void)n;
    return false;
}

static void nothing_is_there(void **state)
{
    (void)state;
    struct made *m = whole();
    struct pv_view *v = as_dump(m);
    struct pv_backend backend = *v->backend;
    const struct pv_backend *own = v->backend;
    struct pv_check c;
    backend.words = NULL;
    backend.read = never;
    v->backend = &backend;
    check(v, &c);
    assert_only(&c, NULL);
    answers(&c, "??????????");
    assert_int_equal(c.missing, 1);
    v->width = 4;
    pv_check_free(&c);
    check(v, &c);
    answers(&c, "??????????");
    pv_check_free(&c);
    v->backend = own;
    pv_close(v);
    made_free(m);
}

static bool enough(void *context, const char *doing, uint64_t done, uint64_t total)
{
    (void)context;
    (void)doing;
    (void)done;
    (void)total;
    return false;
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    struct made *m = whole();
    struct pv_view *v[2] = {as_dump(m), made_open(m)};
    const struct pv_check_options o = {.progress = {.tell = enough}};
    for (unsigned i = 0; i < 2; i++) {
        struct pv_check c;
        struct pv_error e = {""};
        assert_int_equal(pv_check(v[i], NULL, &o, &c, &e), -1);
        assert_non_null(strstr(e.text, "not checked to its end"));
        assert_int_equal(c.kept, 0);
        pv_close(v[i]);
    }
    made_free(m);
}

/* ---- mutations: of tables, of the frame table, of the context; nothing but an end is asked */

static uint64_t seed = 0x1234567;

static uint64_t roll(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static uint64_t odd_word(struct made *m)
{
    const uint64_t frame = m->core.nr_frames - 1 - roll(m->given + 4);
    const uint64_t words[] = {0,
                              ~0ull,
                              roll(~0ull),
                              frame,
                              frame << 12 | 0x67,
                              1ull << roll(64),
                              frame << 12 | 0xe7,
                              frame << 12 | 0x65};
    return words[roll(sizeof(words) / sizeof(*words))];
}

static void mutate(struct made *m)
{
    const uint64_t frame = m->core.nr_frames - 1 - roll(m->given);
    switch (roll(6)) {
    case 0:
        frame_of(m, mfn(frame))->use = odd_word(m);
        break;
    case 1:
        frame_of(m, mfn(frame))->use ^= 1ull << roll(64);
        break;
    case 2:
        frame_of(m, mfn(frame))->hold ^= 1ull << roll(50);
        break;
    case 3:
        memcpy(&m->is.context[8 * roll(PV_CONTEXT_BYTES / 8)], &(uint64_t){odd_word(m)}, 8);
        break;
    default:
        *entry_of(m, 1 + (unsigned)roll(4), (unsigned)roll(512)) = odd_word(m);
        break;
    }
}

static void mutations(void **state)
{
    (void)state;
    uint64_t findings = 0, stopped = 0;
    for (unsigned round = 0; round < 400; round++) {
        struct made *m = whole();
        give_gdt(m);
        struct pv_view *v = NULL;
        struct pv_error e;
        for (uint64_t n = 1 + roll(12); n > 0; n--) {
            mfn_t root = m->root;
            bool whole_way = mfn_eq(table_of(m, 4), root);
            for (unsigned level = 3; level >= 1 && whole_way; level--)
                whole_way = table_of(m, level).n < m->core.nr_frames;
            if (!whole_way)
                break;
            mutate(m);
        }
        if (pv_machine_open(&v, m->fd, &m->is, &e)) {
            stopped++;
            made_free(m);
            continue;
        }
        struct pv_check c;
        if (pv_check(v, NULL, NULL, &c, &e) == 0) {
            findings += c.findings;
            pv_check_free(&c);
        }
        struct pv_view *dump = NULL;
        struct pv_open_options o = {.domain = -1};
        int fd = scratch_file();
        if (pv_dumpcore_write(v, fd, NULL, &e) == 0 &&
            pv_open(&dump, scratch_path(fd), &o, &e) == 0) {
            if (pv_check(dump, NULL, NULL, &c, &e) == 0) {
                findings += c.findings;
                pv_check_free(&c);
            }
            pv_close(dump);
        }
        close(fd);
        pv_close(v);
        made_free(m);
    }
    printf("400 mutated guests: %llu findings, %llu did not open\n", (unsigned long long)findings,
           (unsigned long long)stopped);
    assert_true(findings > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_by_content),        cmocka_unit_test(writable_root_by_content),
        cmocka_unit_test(root_with_a_broken_half), cmocka_unit_test(all_slots_name_the_root),
        cmocka_unit_test(tables_that_are_missing), cmocka_unit_test(nothing_is_there),
        cmocka_unit_test(it_can_be_stopped),       cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests_name("check-hostile", tests, NULL, NULL);
}
