/* SPDX-License-Identifier: MIT */
/* The view of a machine's memory: places in the file, owners, walks, refreshing, and descriptions
 * that are wrong. */
#include "made.h"

#include <unistd.h>

#include "pvmachine.h"

static void everything_is_found(unsigned low_mib, unsigned high_mib)
{
    struct made *m = made_new(low_mib, high_mib);
    struct pv_view *v = made_open(m);
    uint8_t page[4096];
    for (unsigned i = 0; i < PAGES; i++) {
        mfn_t at = made_mfn(m, pfn(i));
        assert_true(v->backend->owned(v, at));
        assert_int_equal(v->backend->pfn_of(v, at).n, i);
        assert_int_equal(v->backend->mfn_of(v, pfn(i)).n, at.n);
        assert_true(v->backend->read(v, at, 0, page, 4096));
        assert_memory_equal(page, made_words(m, at), 4096);
    }
    assert_int_equal(v->nr_pages, m->next_table.n);
    assert_int_equal(v->end_pfn.n, m->next_table.n);
    assert_int_equal(v->nr_vcpus, 1);
    assert_int_equal(v->vcpu[0].kernel_root.n, m->root.n);
    assert_int_equal(v->vcpu[0].user_root.n, ~0ull);
    assert_memory_equal(v->vcpu[0].context, m->is.context, PVMM_CONTEXT_BYTES);
    ask_everything(v);
    pv_close(v);
    made_free(m);
}

static void pages_below_the_hole(void **state)
{
    (void)state;
    everything_is_found(8, 0);
}

static void pages_on_both_sides_of_the_hole(void **state)
{
    (void)state;
    everything_is_found(64, 8);
}

static void the_hole_is_no_memory(void **state)
{
    (void)state;
    struct made *m = made_new(64, 8);
    struct pv_view *v = made_open(m);
    uint64_t word;
    const uint64_t first_high = (1ull << 32) / 4096;
    assert_true(v->backend->read(v, mfn(m->low_bytes / 4096 - 1), 0, &word, 8));
    assert_false(v->backend->read(v, mfn(m->low_bytes / 4096), 0, &word, 8));
    assert_false(v->backend->read(v, mfn(first_high - 1), 0, &word, 8));
    assert_true(v->backend->read(v, mfn(first_high), 0, &word, 8));
    assert_true(v->backend->read(v, mfn(v->nr_frames - 1), 0, &word, 8));
    pv_close(v);
    made_free(m);
}

static void what_is_lent_is_no_page(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    uint64_t word;
    assert_false(v->backend->owned(v, v->shared_info));
    assert_true(v->backend->read(v, v->shared_info, 8, &word, 8));
    assert_false(v->backend->owned(v, mfn(0)));
    assert_false(v->backend->read(v, mfn(v->nr_frames), 0, &word, 8));
    assert_false(v->backend->read(v, mfn(1), 4090, &word, 8));
    pv_close(v);
    made_free(m);
}

/* A machine's file is mostly holes, and looking at it must not fill them: a mapping would. */
static void holes_stay_holes(void **state)
{
    (void)state;
    struct made *m = made_new(64, 8);
    struct pv_view *v = made_open(m);
    uint8_t page[4096];
    off_t hole = lseek(m->fd, (off_t)(m->low_bytes / 2), SEEK_DATA);
    assert_true(v->backend->read(v, mfn(m->low_bytes / 2 / 4096), 0, page, 4096));
    ask_everything(v);
    assert_int_equal(lseek(m->fd, (off_t)(m->low_bytes / 2), SEEK_DATA), hole);
    assert_true(hole > (off_t)(m->low_bytes / 2));
    pv_close(v);
    made_free(m);
}

static void virtual_addresses_are_followed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    char text[sizeof(BANNER)];
    struct pv_walk w;
    assert_int_equal(pv_read_va(v, m->root, gva(BANNER_VA + BANNER_AT), text, sizeof(text)),
                     sizeof(text));
    assert_string_equal(text, BANNER);
    assert_true(pv_walk(v, m->root, gva(BANNER_VA + 5), &w));
    assert_int_equal(w.level, 1);
    assert_int_equal(w.to.a, mfn_address(made_mfn(m, pfn(3)), 5).a);
    for (unsigned level = 1; level <= 4; level++)
        assert_int_equal(w.entry[level],
                         made_words(m, maddr_frame(w.at[level]))[w.at[level].a % 4096 / 8]);
    /* Behind the last page, nothing: what came before is read. */
    uint8_t bytes[100];
    assert_int_equal(
        pv_read_va(v, m->root, gva(KERNEL_VA + PAGES * 4096 - 60), bytes, sizeof(bytes)), 60);
    assert_false(pv_walk(v, m->root, gva(KERNEL_VA + PAGES * 4096), &w));
    assert_int_equal(w.level, 1);
    assert_false(pv_walk(v, m->root, gva(0x1000), &w));
    assert_int_equal(w.level, 4);
    assert_false(pv_walk(v, m->root, gva(0x0000800000000000), &w));
    assert_int_equal(w.level, 0);
    assert_false(pv_walk(v, NO_MFN, gva(KERNEL_VA), &w));
    pv_close(v);
    made_free(m);
}

/* No guest has any, but the hypervisor's part of each root does. */
static void superpages_are_followed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    mfn_t root = made_page(m), third = made_page(m), second = made_page(m);
    uint64_t va = 0xffff830000000000ull;
    made_words(m, root)[262] = pte_make(third, PTE_PRESENT);
    made_words(m, third)[0] = pte_make(mfn(0), PTE_PRESENT | PTE_PSE);
    made_words(m, third)[1] = pte_make(second, PTE_PRESENT);
    made_words(m, second)[1] = pte_make(mfn(512), PTE_PRESENT | PTE_PSE | 1ull << 12);
    struct pv_view *v = made_open(m);
    struct pv_walk w;
    assert_true(pv_walk(v, root, gva(va + 0x12345678), &w));
    assert_int_equal(w.level, 3);
    assert_int_equal(w.to.a, 0x12345678);
    assert_true(pv_walk(v, root, gva(va + (1 << 30) + (2 << 20) + 0x12345), &w));
    assert_int_equal(w.level, 2);
    assert_int_equal(w.to.a, (2 << 20) + 0x12345);
    pv_close(v);
    made_free(m);
}

static void the_highest_address_is_the_last(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    mfn_t root = made_page(m);
    made_map(m, root, 0xfffffffffffff000ull, made_mfn(m, pfn(1)), PTE_PRESENT);
    made_map(m, root, 0, made_mfn(m, pfn(2)), PTE_PRESENT);
    struct pv_view *v = made_open(m);
    uint8_t bytes[8192];
    assert_int_equal(pv_read_va(v, root, gva(0xffffffffffffff00ull), bytes, sizeof(bytes)), 256);
    pv_close(v);
    made_free(m);
}

static void pinned_roots_are_listed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    mfn_t second = made_root(m), third = made_root(m);
    struct pv_walk w;
    struct pv_view *v = made_open(m);
    assert_true(pv_walk(v, third, gva(KERNEL_VA), &w));
    pv_close(v);
    /* A pinned L1 is no root, and a root need not be pinned. */
    core_load_user_root(&m->core, &m->vcpu, third);
    assert_int_equal(core_unpin(&m->core, &m->vcpu, &m->domain, third), 0);
    assert_int_equal(core_pin(&m->core, &m->vcpu, &m->domain, maddr_frame(w.at[1]), 1), 0);
    v = made_open(m);
    mfn_t first = v->backend->next_pinned_root(v, mfn(0));
    assert_int_equal(first.n, second.n); /* frames run downwards */
    first = v->backend->next_pinned_root(v, mfn(first.n + 1));
    assert_int_equal(first.n, m->root.n);
    assert_int_equal(v->backend->next_pinned_root(v, mfn(first.n + 1)).n, ~0ull);
    pv_close(v);
    made_free(m);
}

static void a_refresh_sees_what_changed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    struct pv_error e;
    mfn_t given = made_give(m, pfn(400));
    made_context(m)->ctrlreg[1] = xen_pfn_to_cr3(m->root.n);
    assert_false(v->backend->owned(v, given));
    assert_int_equal(v->backend->mfn_of(v, pfn(400)).n, ~0ull);
    assert_int_equal(pv_machine_refresh(v, &m->is, &e), 0);
    assert_true(v->backend->owned(v, given));
    assert_int_equal(v->backend->mfn_of(v, pfn(400)).n, given.n);
    assert_int_equal(v->end_pfn.n, 401);
    assert_int_equal(v->vcpu[0].user_root.n, m->root.n);

    m->is.m2p_at += 8;
    assert_int_equal(pv_machine_refresh(v, &m->is, &e), -1);
    assert_string_equal(e.text, "the description is of another machine");
    assert_int_equal(v->backend->mfn_of(v, pfn(400)).n, given.n);
    pv_close(v);
    made_free(m);
}

/* The core's own functions work on the view: its audit, offline, agrees with the frame table, and
 * finds a count that is wrong. */
static void the_core_looks_through_its_glue(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    struct core *c = pv_machine_core(v);
    struct core_domain domain;
    struct core_vcpu vcpu;
    struct core_walk w;
    assert_true(core_walk(c, m->root, gva(BANNER_VA), &w));
    assert_int_equal(pte_frame(w.at[1].entry).n, made_mfn(m, pfn(3)).n);

    core_domain_init(c, &domain, 7, 1000);
    core_vcpu_init(&domain, &vcpu, 0);
    domain.frames = v->nr_pages;
    vcpu.kernel_root = v->vcpu[0].kernel_root;
    struct core_count *scratch = calloc(c->nr_frames, sizeof(*scratch));
    struct core_audit audit;
    bool clean = core_audit(c, scratch, &audit);
    assert_true(clean);
    assert_int_equal(audit.missing, 0);
    assert_true(audit.entries >= PAGES);
    c->frames[m->root.n].use++;
    assert_false(core_audit(c, scratch, &audit));
    assert_int_equal(audit.first[0].frame.n, m->root.n);
    free(scratch);
    pv_close(v);
    made_free(m);
}

static mfn_t root_without_a_vcpu(struct made *m)
{
    struct pv_view *v = made_open(m);
    const mfn_t root = v->kernel_root;
    assert_false(v->vcpu[0].valid);
    pv_close(v);
    return root;
}

/* Where no vCPU is told: by whose root it publishes its list; else the builder's, if it is one
 * still; else one that is pinned. */
static void the_kernels_root_without_a_vcpu(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    const mfn_t other = made_root(m), left = made_page(m);
    m->is.context_valid = 0;
    assert_int_equal(root_without_a_vcpu(m).n, m->root.n);
    made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(other.n);
    assert_int_equal(root_without_a_vcpu(m).n, other.n);
    made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(left.n);
    assert_int_equal(root_without_a_vcpu(m).n, m->root.n);
    m->is.initial_root = left.n;
    assert_int_equal(root_without_a_vcpu(m).n, m->root.n < other.n ? m->root.n : other.n);
    made_free(m);
}

/* ---- descriptions that are wrong */

static void refused(struct made *m, const struct pvmm_machine *is, const char *why)
{
    struct pv_view *v = NULL;
    struct pv_error e = {""};
    if (pv_machine_open(&v, m->fd, is, &e) == 0)
        fail_msg("accepted, though: %s", why);
    if (!strstr(e.text, why))
        fail_msg("\"%s\" does not say \"%s\"", e.text, why);
}

#define REFUSED(m, why, ...)                                                                       \
    do {                                                                                           \
        struct pvmm_machine is = (m)->is;                                                          \
        __VA_ARGS__;                                                                               \
        refused(m, &is, why);                                                                      \
    } while (0)

static void wrong_descriptions_say_why(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    REFUSED(m, "version 2", is.version = 2);
    REFUSED(m, "elements of 8 bytes", is.frame_bytes = 8);
    REFUSED(m, "2 vCPUs", is.vcpus = 2);
    REFUSED(m, "vCPUs", is.vcpus = 0);
    REFUSED(m, "a machine of 0 frames", is.nr_frames = 0);
    REFUSED(m, "a machine of", is.nr_frames = 1ull << 60);
    REFUSED(m, "elements, does not lie in RAM", is.nr_frames = 1ull << 40);
    REFUSED(m, "elements, does not lie in RAM", is.nr_frames = 1 << 20);
    REFUSED(m, "elements, does not lie in RAM", is.frames_at = ~0ull << 4);
    REFUSED(m, "elements, does not lie in RAM", is.frames_at += 8);
    REFUSED(m, "m2p at ffff", is.m2p_at = ~7ull);
    REFUSED(m, "m2p at 800000, of", is.m2p_at = m->bytes);
    REFUSED(m, "overlap", is.m2p_at = is.frames_at);
    REFUSED(m, "overlap", is.m2p_at -= 8);
    REFUSED(m, "neither above 4 GiB nor 0", is.high_end = 1 << 20);
    REFUSED(m, "neither above 4 GiB nor 0", is.high_end = (1ull << 32) + 1);
    REFUSED(m, "from 4 GiB on", is.high_end = ~0ull << 12);
    REFUSED(m, "shared_info, mfn", is.shared_mfn = is.nr_frames);
    REFUSED(m, "lent to no domain", is.shared_mfn = 1);
    REFUSED(m, "lent to no domain", is.shared_mfn = is.initial_root);
    REFUSED(m, "the initial root", is.initial_root = ~0ull);
    uint64_t lent = m->core.frames[m->is.shared_mfn].hold;
    m->core.frames[m->is.shared_mfn].hold = lent & ((1ull << 50) - 1); /* owner: nobody */
    REFUSED(m, "lent to no domain", (void)0);
    m->core.frames[m->is.shared_mfn].hold = lent;
    assert_int_equal(ftruncate(m->fd, (off_t)m->bytes - 1), 0);
    REFUSED(m, "no number of frames", (void)0);
    assert_int_equal(ftruncate(m->fd, 0), 0);
    REFUSED(m, "no number of frames", (void)0);
    made_free(m);
}

static void no_field_leads_astray(void **state)
{
    (void)state;
    const uint64_t odd[] = {0,           1,           8,          1 << 12,
                            1ull << 32,  1ull << 40,  1ull << 52, 1ull << 63,
                            ~0ull >> 12, ~0ull << 12, ~0ull >> 1, ~0ull};
    struct made *m = made_new(8, 0);
    unsigned opened = 0;
    for (size_t at = 0; at < offsetof(struct pvmm_machine, context); at += 8)
        for (unsigned i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
            struct pvmm_machine is = m->is;
            struct pv_view *v;
            struct pv_error e;
            memcpy((uint8_t *)&is + at, &odd[i], 8);
            if (pv_machine_open(&v, m->fd, &is, &e))
                continue;
            ask_everything(v);
            pv_close(v);
            opened++;
        }
    assert_true(opened > 0);
    made_free(m);
}

/* m2p is the guest's to write: no number in it costs memory or time. */
static void any_pfn_can_stand_in_m2p(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    mfn_t far = made_give(m, pfn(~1ull)), again = made_give(m, pfn(2));
    struct pv_view *v = made_open(m);
    assert_int_equal(v->end_pfn.n, ~0ull);
    assert_int_equal(v->backend->mfn_of(v, pfn(~1ull)).n, far.n);
    assert_int_equal(v->backend->next_pfn(v, pfn(m->next_table.n)).n, ~1ull);
    assert_int_equal(v->backend->mfn_of(v, pfn(2)).n, again.n); /* the lower of two */
    ask_everything(v);
    pv_close(v);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_below_the_hole),
        cmocka_unit_test(pages_on_both_sides_of_the_hole),
        cmocka_unit_test(the_hole_is_no_memory),
        cmocka_unit_test(what_is_lent_is_no_page),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(virtual_addresses_are_followed),
        cmocka_unit_test(superpages_are_followed),
        cmocka_unit_test(the_highest_address_is_the_last),
        cmocka_unit_test(pinned_roots_are_listed),
        cmocka_unit_test(a_refresh_sees_what_changed),
        cmocka_unit_test(the_core_looks_through_its_glue),
        cmocka_unit_test(the_kernels_root_without_a_vcpu),
        cmocka_unit_test(wrong_descriptions_say_why),
        cmocka_unit_test(no_field_leads_astray),
        cmocka_unit_test(any_pfn_can_stand_in_m2p),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
