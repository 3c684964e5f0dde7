/* SPDX-License-Identifier: MIT */
/* The checker: guests that are whole, and guests broken in each way that has a code, as a dump-core
 * (where nobody has counted before) and as a machine's memory (with its frame table). */
#include "checked.h"

#include <elf.h>
#include <stdio.h>
#include <unistd.h>

#include "dumpcore.h"

/* ---- whole guests */

static void whole_as_dump(void **state)
{
    (void)state;
    struct made *m = whole();
    give_gdt(m);
    made_publish_tree(m);
    struct pv_view *v = as_dump(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, NULL);
    answers(&c, "+++??+?+??");
    assert_int_equal(c.tables, 4);
    assert_int_equal(c.entries, PAGES + 3);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

static void whole_as_machine(void **state)
{
    (void)state;
    struct made *m = whole();
    struct pv_view *v = made_open(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, NULL);
    answers(&c, "++++++?+?+");
    assert_int_equal(c.tables, 4);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

/* While it runs nobody writes down what the vCPU holds: then counts are not compared. */
static void machine_without_context(void **state)
{
    (void)state;
    struct made *m = whole();
    m->is.context_valid = 0;
    struct pv_view *v = made_open(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, NULL);
    answers(&c, "?+++++?+?+");
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

/* A frame held for the hypervisor's own writes, which no context tells of; and only one. */
static void held_vcpu_info(void **state)
{
    (void)state;
    struct made *m = whole();
    assert_int_equal(core_hold_writable(&m->core, &m->vcpu, made_mfn(m, pfn(7))), 0);
    struct pv_view *v = made_open(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, NULL);
    pv_check_free(&c);
    frame_of(m, made_mfn(m, pfn(8)))->use++;
    frame_of(m, made_mfn(m, pfn(8)))->hold++;
    struct pv_error e;
    assert_int_equal(pv_machine_refresh(v, &m->is, &e), 0);
    check(v, &c);
    assert_int_equal(found(&c, "uses-differ"), 1);
    assert_int_equal(found(&c, "references-differ"), 1);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

/* An L1 entry may map what is not the guest's (shared_info, a grant table) where nobody can tell
 * whose it is. */
static void mapping_of_shared_info(void **state)
{
    (void)state;
    struct made *m = whole();
    *entry_of(m, 1, SPARE) = pte_make(mfn(m->is.shared_mfn), FLAGS | PTE_RW | PTE_GLOBAL);
    struct pv_view *v = as_dump(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, NULL);
    assert_int_equal(c.rule[8].answer, PV_UNDECIDABLE);
    assert_non_null(strstr(c.rule[8].why, "1 L1 entries"));
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

/* ---- broken ones, where nobody has counted */

static void table_of_nobody(struct made *m)
{
    *entry_of(m, 3, 511) = pte_make(mfn(0x7777777), FLAGS | PTE_RW);
}

static void map_table(struct made *m)
{
    *entry_of(m, 1, SPARE) = pte_make(m->root, FLAGS | PTE_RW | PTE_GLOBAL);
}

static void two_levels(struct made *m)
{
    *entry_of(m, 3, 511) = pte_make(table_of(m, 1), FLAGS | PTE_RW);
}

static void table_is_gdt(struct made *m)
{
    made_context(m)->gdt_ents = 1;
    made_context(m)->gdt_frames[0] = table_of(m, 1).n;
}

static void map_gdt(struct made *m)
{
    made_context(m)->gdt_ents = 1;
    made_context(m)->gdt_frames[0] = made_mfn(m, pfn(5)).n;
}

static void gdt_of_nobody(struct made *m)
{
    made_context(m)->gdt_ents = 513;
    made_context(m)->gdt_frames[0] = made_page(m).n;
    made_context(m)->gdt_frames[1] = 0x123456789abc;
}

static void superpage(struct made *m)
{
    *entry_of(m, 2, 1) = pte_make(made_mfn(m, pfn(0)), FLAGS | PTE_RW | PTE_PSE);
}

static void linear(struct made *m)
{
    *entry_of(m, 4, 300) = pte_make(m->root, FLAGS);
}

static void global_above(struct made *m)
{
    *entry_of(m, 2, 0) |= PTE_GLOBAL;
}

static void without_user(struct made *m)
{
    *entry_of(m, 1, 3) &= ~PTE_USER;
}

static void dpl_0(struct made *m)
{
    made_words(m, give_gdt(m))[3] = 0x00cf92000000ffff;
}

static void root_elsewhere(struct made *m)
{
    made_context(m)->ctrlreg[3] = xen_pfn_to_cr3(0x7777);
}

static void reserved(struct made *m)
{
    *entry_of(m, 4, 260) = pte_make(made_mfn(m, pfn(0)), PTE_PRESENT | PTE_USER);
}

/* Without USER: no way for user mode, but no frame that belongs there. */
static void reserved_for_the_kernel(struct made *m)
{
    *entry_of(m, 4, 262) = pte_make(made_mfn(m, pfn(0)), PTE_PRESENT | PTE_RW);
}

struct way {
    const char *code;
    void (*breaks)(struct made *m);
    unsigned level, slot; /* of the entry to blame; 0: none */
    uint64_t va;          /* what it maps; 0: not asked */
};

static void broken_dump(const struct way *w)
{
    struct made *m = whole();
    w->breaks(m);
    struct pv_view *v = as_dump(m);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, w->code);
    assert_int_equal(c.findings, 1);
    const struct pv_finding *f = &c.finding[0];
    if (w->level) {
        assert_int_equal(f->at.a, mfn_address(table_of(m, w->level), w->slot * 8).a);
        assert_int_equal(f->entry, *entry_of(m, w->level, w->slot));
        assert_true(f->has_va);
    }
    if (w->va)
        assert_int_equal(f->va.a, w->va);
    if (f->frame.n != NO_MFN.n)
        assert_int_equal(f->pfn.n, v->backend->pfn_of(v, f->frame).n);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

static void each_way_in_a_dump(void **state)
{
    (void)state;
    const struct way ways[] = {
        {"frame-of-nobody", table_of_nobody, 3, 511, 0xffffffffc0000000},
        {"frame-of-nobody", gdt_of_nobody, 0, 0, 0},
        {"table-writable", map_table, 1, SPARE, KERNEL_VA + SPARE * 4096},
        {"table-two-levels", two_levels, 3, 511, 0xffffffffc0000000},
        {"table-as-descriptors", table_is_gdt, 2, 0, KERNEL_VA},
        {"descriptors-writable", map_gdt, 1, 5, KERNEL_VA + 5 * 4096},
        {"superpage", superpage, 2, 1, KERNEL_VA + (2 << 20)},
        {"table-linear", linear, 4, 300, 0xffff960000000000},
        {"entry-flags", global_above, 2, 0, KERNEL_VA},
        {"entry-unadjusted", without_user, 1, 3, KERNEL_VA + 3 * 4096},
        {"descriptor-refused", dpl_0, 0, 0, 0},
        {"root-not-guest", root_elsewhere, 0, 0, 0},
        {"reserved-slot", reserved, 4, 260, 0xffff820000000000},
        {"reserved-slot", reserved_for_the_kernel, 4, 262, 0xffff830000000000},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
        broken_dump(&ways[i]);
}

/* The file's own table of pfns, written over. */
static void two_pfns(void **state)
{
    (void)state;
    struct made *m = whole();
    struct pv_view *machine = made_open(m), *v = NULL;
    struct pv_open_options o = {.domain = -1};
    struct pv_error e;
    int fd = scratch_file();
    assert_int_equal(pv_dumpcore_write(machine, fd, NULL, &e), 0);
    Elf64_Ehdr h;
    assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
    for (unsigned i = 0; i < h.e_shnum; i++) {
        Elf64_Shdr s;
        struct dump_p2m p[8];
        assert_int_equal(pread(fd, &s, sizeof(s), (off_t)(h.e_shoff + i * sizeof(s))), sizeof(s));
        if (s.sh_entsize != sizeof(*p) || s.sh_size < sizeof(p))
            continue;
        assert_int_equal(pread(fd, p, sizeof(p), (off_t)s.sh_offset), sizeof(p));
        p[7].gmfn = p[6].gmfn;
        assert_int_equal(pwrite(fd, p, sizeof(p), (off_t)s.sh_offset), sizeof(p));
    }
    assert_int_equal(pv_open(&v, scratch_path(fd), &o, &e), 0);
    struct pv_check c;
    check(v, &c);
    assert_only(&c, "frame-two-pfns");
    pv_check_free(&c);
    pv_close(v);
    pv_close(machine);
    close(fd);
    made_free(m);
}

/* ---- against a frame table */

static void one_reference_more(struct made *m)
{
    frame_of(m, made_mfn(m, pfn(9)))->hold++;
}

static void one_use_more(struct made *m)
{
    frame_of(m, made_mfn(m, pfn(9)))->use++;
}

static void other_type(struct made *m)
{
    frame_of(m, table_of(m, 1))->use ^= (uint64_t)(TYPE_L1 ^ TYPE_DESC) << 60;
}

static void half_validated(struct made *m)
{
    struct frame *f = frame_of(m, table_of(m, 1));
    f->use = (f->use & ~VALIDATED) | 512ull << 32;
}

static void root_half_validated(struct made *m)
{
    struct frame *f = frame_of(m, m->root);
    f->use = (f->use & ~(VALIDATED | PINNED)) | 512ull << 32;
    f->use--;
    f->hold--;
}

static void pin_of_nothing(struct made *m)
{
    struct frame *f = frame_of(m, made_page(m));
    f->use = (uint64_t)TYPE_L1 << 60 | PINNED | VALIDATED;
    f->hold++;
}

static void busy(struct made *m)
{
    frame_of(m, table_of(m, 1))->use |= BUSY;
}

static void pfn_of_nobody(struct made *m)
{
    core_frame_is_ram(&m->core, mfn(1));
    m->core.m2p[1] = 99;
}

static void same_pfn(struct made *m)
{
    m->core.m2p[made_mfn(m, pfn(9)).n] = 8;
}

static void foreign(struct made *m)
{
    struct core_domain *other = calloc(1, sizeof(*other));
    core_domain_init(&m->core, other, 9, 10);
    core_frame_is_ram(&m->core, mfn(1));
    assert_int_equal(core_assign(&m->core, other, mfn(1)), 0);
    m->core.domains = other->next;
    free(other);
    frame_of(m, mfn(1))->hold++;
    *entry_of(m, 1, SPARE) = pte_make(mfn(1), FLAGS | PTE_GLOBAL);
}

static void device(struct made *m)
{
    *entry_of(m, 1, SPARE) = pte_make(mfn(2), FLAGS | PTE_GLOBAL);
}

static void map_counted_table(struct made *m)
{
    map_table(m);
    frame_of(m, m->root)->hold++;
}

static void each_way_in_a_machine(void **state)
{
    (void)state;
    const struct way ways[] = {
        {"references-differ", one_reference_more, 0, 0, 0},
        {"uses-differ", one_use_more, 0, 0, 0},
        {"type-differs", other_type, 0, 0, 0},
        {"table-unvalidated", half_validated, 0, 0, 0},
        {"table-unvalidated", root_half_validated, 0, 0, 0},
        {"pin-unheld", pin_of_nothing, 0, 0, 0},
        {"state", busy, 0, 0, 0},
        {"m2p-of-nobody", pfn_of_nobody, 0, 0, 0},
        {"pfn-two-frames", same_pfn, 0, 0, 0},
        {"frame-foreign", foreign, 0, 0, 0},
        {"frame-of-nobody", device, 0, 0, 0},
        {"table-writable", map_counted_table, 0, 0, 0},
        {"reserved-slot", reserved, 0, 0, 0},
        {"superpage", superpage, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        struct made *m = whole();
        ways[i].breaks(m);
        struct pv_view *v = made_open(m);
        struct pv_check c;
        check(v, &c);
        assert_only(&c, ways[i].code);
        pv_check_free(&c);
        pv_close(v);
        made_free(m);
    }
}

/* ---- an image that tells types */

static mfn_t told_frame;
static struct pv_told told_as;
static struct made *told_made;

static bool tells(const struct pv_view *v, mfn_t m, struct pv_told *out)
{
    *out = (struct pv_told){0};
    (void)v;
    for (unsigned level = 1; level <= 4; level++)
        if (mfn_eq(m, table_of(told_made, level)))
            *out = (struct pv_told){.level = level, .pinned = level == 4};
    if (mfn_eq(m, told_frame))
        *out = told_as;
    return true;
}

static void checked_as_told(struct made *m, mfn_t frame, struct pv_told as, const char *code,
                            const char *expected)
{
    struct pv_view *v = as_dump(m);
    struct pv_backend backend = *v->backend;
    const struct pv_backend *own = v->backend;
    struct pv_check c;
    backend.told = tells;
    v->backend = &backend;
    told_made = m;
    told_frame = frame;
    told_as = as;
    check(v, &c);
    assert_only(&c, code);
    if (expected)
        answers(&c, expected);
    pv_check_free(&c);
    v->backend = own;
    pv_close(v);
}

static void types_of_the_image(void **state)
{
    (void)state;
    struct made *m = whole();
    mfn_t idle = made_page(m);
    checked_as_told(m, NO_MFN, (struct pv_told){0}, NULL,
                    "+++++"
                    "+?+??");
    checked_as_told(m, table_of(m, 1), (struct pv_told){0}, "told-type", NULL);
    checked_as_told(m, table_of(m, 2), (struct pv_told){.level = 3}, "told-type", NULL);
    checked_as_told(m, m->root, (struct pv_told){.level = 0}, "root-told", NULL);
    checked_as_told(m, table_of(m, 2), (struct pv_told){.level = 1, .pinned = true},
                    "table-two-levels", NULL);
    /* A type that nothing uses, and a pin of its own. */
    checked_as_told(m, idle, (struct pv_told){.level = 2}, NULL, NULL);
    checked_as_told(m, idle, (struct pv_told){.level = 1, .pinned = true}, NULL, NULL);
    /* What is pinned is looked at, though no root leads to it. */
    made_words(m, idle)[7] = pte_make(m->root, FLAGS | PTE_RW | PTE_GLOBAL);
    checked_as_told(m, idle, (struct pv_told){.level = 1, .pinned = true}, "table-writable", NULL);
    /* Without a pin it is left over, unless it names what is not there, or tables, or is written.
     */
    checked_as_told(m, idle, (struct pv_told){.level = 1}, NULL, NULL);
    checked_as_told(m, idle, (struct pv_told){.level = 2}, "told-type", NULL);
    made_words(m, idle)[7] = pte_make(mfn(0x7777), FLAGS | PTE_GLOBAL);
    checked_as_told(m, idle, (struct pv_told){.level = 1}, "told-type", NULL);
    made_words(m, idle)[7] = 0;
    *entry_of(m, 1, SPARE) = pte_make(idle, FLAGS | PTE_RW | PTE_GLOBAL);
    checked_as_told(m, idle, (struct pv_told){.level = 1}, "told-type", NULL);
    made_free(m);
}

/* A stream has pfns in its tables: one that the guest has not is nobody's. */
static void portable(void **state)
{
    (void)state;
    struct made *m = whole();
    struct pv_check c;
    *entry_of(m, 1, SPARE) = pte_make(mfn(0x7777777), FLAGS);
    struct pv_view *v = as_dump(m);
    v->portable = true;
    check(v, &c);
    assert_only(&c, "frame-of-nobody");
    assert_int_equal(c.finding[0].va.a, KERNEL_VA + SPARE * 4096);
    pv_check_free(&c);
    pv_close(v);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_as_dump),
        cmocka_unit_test(whole_as_machine),
        cmocka_unit_test(machine_without_context),
        cmocka_unit_test(held_vcpu_info),
        cmocka_unit_test(mapping_of_shared_info),
        cmocka_unit_test(each_way_in_a_dump),
        cmocka_unit_test(two_pfns),
        cmocka_unit_test(each_way_in_a_machine),
        cmocka_unit_test(types_of_the_image),
        cmocka_unit_test(portable),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
