/* SPDX-License-Identifier: MIT */
/* Vmcores as the Linux kernel and makedumpfile make them of a machine with Xen. */
#include "make_vmcore.h"

#include <stdio.h>
#include <unistd.h>

static int try(const struct vmcore *c, int domain, struct pv_view **v, struct pv_error *e)
{
    return pv_open(v, scratch_path(c->fd), &(struct pv_open_options){.domain = domain}, e);
}

static struct pv_view *open_domain(const struct vmcore *c, int domain)
{
    struct pv_view *v;
    struct pv_error e;
    if (try(c, domain, &v, &e))
        fail_msg("%s", e.text);
    return v;
}

static bool is_left_out(const struct made_xen *x, uint64_t m)
{
    return m >= made_xen_mfn(x, GAP) && m < made_xen_mfn(x, GAP_END);
}

/* All its frames are known; the content is that of the machine, but where the file has none. */
static void assert_domain(const struct vmcore *c, unsigned i, int wanted)
{
    const struct made_xen_domain *d = &c->x->domain[i];
    struct pv_view *v = open_domain(c, wanted);
    unsigned lost = 0;
    char words[32];
    assert_int_equal(v->nr_pages, d->pages);
    for (unsigned p = 0; p < d->pages; p++) {
        mfn_t m = mfn(d->mfn[p]);
        uint8_t page[4096], from_file[4096];
        struct pv_place at;
        bool there = v->backend->read(v, m, 0, page, 4096);
        assert_int_equal(v->backend->mfn_of(v, pfn(p)).n, m.n);
        assert_int_equal(there, !is_left_out(c->x, m.n));
        lost += !there;
        if (!there)
            continue;
        assert_memory_equal(page, made_xen_words(c->x, m.n), 4096);
        assert_int_equal(pv_place_of(v, m, &at), c->load[1].p_type == PT_LOAD);
        if (c->load[1].p_type != PT_LOAD) /* compressed: nobody tells */
            continue;
        assert_int_equal(pread(c->fd, from_file, 4096, (off_t)at.offset), 4096);
        assert_memory_equal(page, from_file, 4096);
    }
    assert_true(lost > 0);
    snprintf(words, sizeof(words), "content of %u of", lost);
    assert_non_null(strstr(v->lost, words));
    assert_string_equal(v->kind, "vmcore");
    assert_int_equal(v->domain[v->chosen].id, d->id);
    ask_everything(v);
    pv_close(v);
}

/* Vital frames of the domains' must not lie in the gap: else they are not found. */
static void domains_are_found(void **state)
{
    (void)state;
    for (int split = 0; split < 2; split++) {
        struct vmcore *c = vmcore_new(split);
        assert_domain(c, 0, -1); /* it is dom0's */
        assert_domain(c, 0, 0);
        assert_domain(c, 1, 7);
        vmcore_free(c);
    }
}

static void domains_are_found_in_compressed_ones(void **state)
{
    (void)state;
    for (int split = 0; split < 2; split++) {
        struct vmcore *c = compressed_new(split);
        assert_domain(c, 0, -1);
        assert_domain(c, 1, 7);
        vmcore_free(c);
    }
}

static void assert_refused(struct vmcore *c, const char *why)
{
    struct pv_view *v;
    struct pv_error e;
    assert_int_equal(try(c, -1, &v, &e), -1);
    if (!strstr(e.text, why))
        fail_msg("not \"%s\": %s", why, e.text);
}

/* What would end libkdumpfile by a signal does not get that far. */
static void headers_of_compressed_ones_are_checked(void **state)
{
    (void)state;
    struct vmcore *c = compressed_new(false);
    const struct {
        unsigned at, value;
        const char *why;
    } wrong[] = {
        {8, 99, "version 99"},
        {428, 65536, "blocks of 65536 bytes"},
        {428, 0, "blocks of 0 bytes"},
        {432, 0, "second header of 0 blocks"},
        {432, ~0u, "second header of -1 blocks"},
        {436, 0, "0 blocks of bitmaps"},
        {436, ~0u, "cut short"},
        {272, 0x363833, "not of an x86_64 machine"},
        {BLOCKS_AT + 12, 1, "several parts"},
        {BLOCKS_AT + 40, ~0u, "part 0"},
        {BLOCKS_AT + 56, 1u << 30, "part 1"},
        {BLOCKS_AT + 96, ~0u, "4294967295 frames"},
        {BLOCKS_AT + 100, 1, "frames of which"},
    };
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        uint32_t was;
        assert_int_equal(pread(c->fd, &was, 4, wrong[i].at), 4);
        put(c, wrong[i].at, &wrong[i].value, 4);
        assert_refused(c, wrong[i].why);
        put(c, wrong[i].at, &was, 4);
    }
    put(c, 0, "makedumpfile", 13);
    assert_refused(c, "flattened");
    vmcore_free(c);
}

static void a_vmcore_cut_short_is_said(void **state)
{
    (void)state;
    struct vmcore *c = vmcore_new(false);
    struct pv_view *v;
    struct pv_error e;
    unsigned opened = 0;
    for (uint64_t bytes = c->bytes - 4096; bytes > sizeof(Elf64_Ehdr); bytes /= 2) {
        assert_int_equal(ftruncate(c->fd, (off_t)bytes), 0);
        if (try(c, -1, &v, &e) == 0) {
            snprintf(e.text, sizeof(e.text), "%s", v->lost);
            ask_everything(v);
            pv_close(v);
            opened++;
        }
        if (!strstr(e.text, "cut short"))
            fail_msg("%llu bytes: %s", (unsigned long long)bytes, e.text);
    }
    assert_true(opened > 0); /* a little less is read, and said */
    vmcore_free(c);
}

static void other_elf_files_are_refused(void **state)
{
    (void)state;
    struct vmcore *c = vmcore_new(false);
    struct pv_view *v;
    struct pv_error e;
    const struct {
        unsigned at;
        uint8_t value;
        const char *why;
    } wrong[] = {{EI_CLASS, ELFCLASS32, "not of a 64-bit x86 machine"},
                 {offsetof(Elf64_Ehdr, e_type), ET_EXEC, "not a core file"},
                 {offsetof(Elf64_Ehdr, e_machine), EM_PPC64, "not of a 64-bit x86 machine"},
                 {offsetof(Elf64_Ehdr, e_phentsize), 8, "program headers of 8 bytes"}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        put_header(c);
        put(c, wrong[i].at, &wrong[i].value, 1);
        assert_int_equal(try(c, -1, &v, &e), -1);
        if (!strstr(e.text, wrong[i].why))
            fail_msg("%s", e.text);
    }
    vmcore_free(c);
}

/* ---- damage */

static uint64_t state_of_chance = 0x853c49e6748fea9bull;

static uint64_t chance(void)
{
    state_of_chance ^= state_of_chance << 13;
    state_of_chance ^= state_of_chance >> 7;
    state_of_chance ^= state_of_chance << 17;
    return state_of_chance;
}

static void damage_is_borne(void **state)
{
    (void)state;
    const char *seed = getenv("PVMM_TEST_SEED"), *rounds = getenv("PVMM_TEST_ROUNDS");
    unsigned n = rounds ? (unsigned)atoi(rounds) : 200, opened = 0;
    const uint64_t odd[] = {0, 1, ~0ull, 1ull << 63, 1ull << 43, 4096, 0x1001};
    struct vmcore *c = vmcore_new(true);
    state_of_chance = seed ? strtoull(seed, NULL, 0) : state_of_chance;
    print_message("seed 0x%llx\n", (unsigned long long)state_of_chance);
    for (unsigned i = 0; i < n; i++) {
        uint64_t header = (sizeof(Elf64_Ehdr) + sizeof(c->load)) / 4;
        struct pv_view *v;
        struct pv_error e;
        for (unsigned many = 1 + chance() % 3; many; many--) {
            uint64_t value = chance() % 3 ? odd[chance() % 7] : chance();
            uint64_t at = chance() % 4 ? chance() % header * 4 : NOTES_AT + chance() % 100;
            put(c, at, &value, chance() % 2 ? 8 : 4);
        }
        if (try(c, -1, &v, &e) == 0) {
            ask_everything(v);
            pv_close(v);
            opened++;
        }
        put_notes(c);
        put_header(c);
    }
    print_message("%u of %u opened\n", opened, n);
    assert_true(opened > 0 && opened < n);
    vmcore_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_are_found),
        cmocka_unit_test(domains_are_found_in_compressed_ones),
        cmocka_unit_test(headers_of_compressed_ones_are_checked),
        cmocka_unit_test(a_vmcore_cut_short_is_said),
        cmocka_unit_test(other_elf_files_are_refused),
        cmocka_unit_test(damage_is_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
