/* SPDX-License-Identifier: MIT */
/* Dump-cores as the format allows them and xl of today does not write them: of 32-bit PAE guests,
 * sections, notes and pages in another order, many vCPUs. */
#include "made.h"
#include "make_dump.h"

#include <elf.h>
#include <unistd.h>

#include <xen/foreign/x86_32.h>

#define GUEST_PAGES 16u
#define PAE_VA      0xc0403000u /* L3 slot 3, L2 slot 2, L1 slot 3 */
#define PAE_LARGE   0xc0600000u /* L2 slot 3: a superpage */
#define TEXT        "of a guest of 32 bits"

/* pfns 0..15; the frames go down from there, above 4 GiB of machine memory. */
static uint64_t frame_of(uint64_t p)
{
    return 0x212345 - 3 * p;
}

static struct pv_view *open_fd(int fd)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    if (pv_open(&v, scratch_path(fd), &(struct pv_open_options){.domain = -1}, &e))
        fail_msg("%s", e.text);
    return v;
}

static void assert_refused(int fd, const char *why)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    assert_int_equal(pv_open(&v, scratch_path(fd), &(struct pv_open_options){.domain = -1}, &e),
                     -1);
    if (!strstr(e.text, why))
        fail_msg("\"%s\" does not say \"%s\"", e.text, why);
}

static void put_entry(const struct make_dump *d, uint64_t page, unsigned slot, uint64_t entry)
{
    assert_int_equal(pwrite(d->fd, &entry, 8, (off_t)(d->at[MAKE_PAGES] + page * 4096 + slot * 8)),
                     8);
}

/* L3 in page 1, L2 in page 2, L1 in page 3; page 4 has the text. */
static struct make_dump make_pae(size_t context_bytes)
{
    struct make_dump d = {.fd = scratch_file(),
                          .machine = EM_386,
                          .vcpus = 3,
                          .context_bytes = context_bytes,
                          .pages = GUEST_PAGES};
    uint8_t page[4096] = TEXT;
    assert_true(make_dump(&d));
    for (uint64_t p = 0; p < GUEST_PAGES; p++)
        assert_true(make_dump_element(&d, p, p, frame_of(p)));
    assert_true(make_dump_page(&d, 4, page));
    put_entry(&d, 1, 3, frame_of(2) << 12 | 1);
    put_entry(&d, 2, 2, frame_of(3) << 12 | 0x67);
    put_entry(&d, 2, 3, 0x80000000 | 0xe7);
    put_entry(&d, 3, 3, frame_of(4) << 12 | 0x67);
    for (unsigned i = 0; i < d.vcpus; i++) {
        vcpu_guest_context_x86_32_t c = {
            .user_regs = {.eip = 0xc1000000 + i, .esp = 0xc2000000, .eflags = 0x202},
            .flags = VGCF_in_kernel,
        };
        c.ctrlreg[3] = xen_pfn_to_cr3_x86_32(frame_of(1));
        assert_int_equal(
            pwrite(d.fd, &c, sizeof(c), (off_t)(d.at[MAKE_PRSTATUS] + i * context_bytes)),
            sizeof(c));
    }
    return d;
}

static void assert_pae(const struct pv_view *v)
{
    char text[sizeof(TEXT)];
    struct pv_walk w;
    assert_int_equal(v->width, 4);
    assert_int_equal(v->nr_vcpus, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(v->vcpu[i].valid && v->vcpu[i].in_kernel);
        assert_int_equal(v->vcpu[i].kernel_root.n, frame_of(1));
        assert_int_equal(v->vcpu[i].user_root.n, ~0ull);
        assert_int_equal(v->vcpu[i].rip, 0xc1000000 + i);
    }
    assert_true(pv_walk(v, v->kernel_root, gva(PAE_VA + 5), &w));
    assert_int_equal(w.top, 3);
    assert_int_equal(w.level, 1);
    assert_int_equal(w.at[3].a, frame_of(1) << 12 | 3 * 8);
    assert_int_equal(w.to.a, frame_of(4) << 12 | 5);
    assert_int_equal(pv_read_va(v, v->kernel_root, gva(PAE_VA), text, sizeof(text)), sizeof(text));
    assert_string_equal(text, TEXT);
    assert_true(pv_walk(v, v->kernel_root, gva(PAE_LARGE + 0x12345), &w));
    assert_int_equal(w.level, 2);
    assert_int_equal(w.to.a, 0x80012345);
    assert_false(pv_walk(v, v->kernel_root, gva(0xc0800000), &w));
    assert_int_equal(w.level, 2);
    assert_false(pv_walk(v, v->kernel_root, gva(PAE_VA | 1ull << 32), &w));
    assert_int_equal(w.level, 0);
}

static void a_pae_guest_is_read(void **state)
{
    (void)state;
    const size_t element[] = {5168, 2800}; /* as libxc has it; as it had it on hosts of 32 bits */
    for (unsigned i = 0; i < 2; i++) {
        struct make_dump d = make_pae(element[i]);
        struct pv_view *v = open_fd(d.fd);
        assert_pae(v);
        ask_everything(v);
        int copy = scratch_file();
        struct pv_error e;
        assert_int_equal(pv_dumpcore_write(v, copy, NULL, &e), 0);
        struct pv_view *again = open_fd(copy);
        assert_pae(again);
        pv_close(again);
        pv_close(v);
        close(copy);
        close(d.fd);
    }
}

/* Of a 64-bit guest there is one size; and no other machine has any. */
static void contexts_of_another_size_are_refused(void **state)
{
    (void)state;
    struct make_dump d = make_pae(2800);
    const uint16_t machines[] = {EM_X86_64, EM_ARM};
    const char *const why[] = {"not 3 times 5168", "not of an x86 guest"};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pwrite(d.fd, &machines[i], 2, (off_t)offsetof(Elf64_Ehdr, e_machine)), 2);
        assert_refused(d.fd, why[i]);
    }
    close(d.fd);
    d = make_pae(2801);
    assert_refused(d.fd, "not 3 times 5168");
    close(d.fd);
}

static struct make_dump make_64(bool turned, unsigned vcpus)
{
    struct make_dump d = {.fd = scratch_file(),
                          .machine = EM_X86_64,
                          .vcpus = vcpus,
                          .context_bytes = sizeof(vcpu_guest_context_t),
                          .pages = GUEST_PAGES,
                          .turned = turned};
    assert_true(make_dump(&d));
    return d;
}

static void sections_and_notes_have_no_order(void **state)
{
    (void)state;
    struct make_dump d = make_64(true, 1);
    for (uint64_t p = 0; p < GUEST_PAGES; p++)
        assert_true(make_dump_element(&d, p, p, frame_of(p)));
    struct pv_view *v = open_fd(d.fd);
    struct pv_place place;
    assert_int_equal(v->nr_pages, GUEST_PAGES);
    assert_true(pv_place_of(v, mfn(frame_of(7)), &place));
    assert_int_equal(place.offset, d.at[MAKE_PAGES] + 7 * 4096);
    ask_everything(v);
    pv_close(v);
    close(d.fd);
}

/* The format's document: no rule about the order of the table. Element i is pfn 5i modulo 16, and
 * the last is empty. */
static void pages_have_no_order(void **state)
{
    (void)state;
    struct make_dump d = make_64(false, 1);
    for (uint64_t i = 0; i < GUEST_PAGES - 1; i++) {
        uint64_t page[512] = {1000 + i};
        assert_true(make_dump_element(&d, i, 5 * i % 16, frame_of(5 * i % 16)));
        assert_true(make_dump_page(&d, i, page));
    }
    assert_true(make_dump_element(&d, GUEST_PAGES - 1, ~0ull, ~0ull));
    struct pv_view *v = open_fd(d.fd);
    uint64_t next = 0;
    for (uint64_t i = 0; i < GUEST_PAGES - 1; i++) {
        pfn_t p = pfn(5 * i % 16);
        mfn_t m = v->backend->mfn_of(v, p);
        uint64_t word;
        struct pv_place place;
        assert_int_equal(m.n, frame_of(p.n));
        assert_int_equal(v->backend->pfn_of(v, m).n, p.n);
        assert_true(v->backend->read(v, m, 0, &word, 8));
        assert_int_equal(word, 1000 + i);
        assert_int_equal(v->backend->words(v, m)[0], 1000 + i);
        assert_true(pv_place_of(v, m, &place));
        assert_int_equal(place.offset, d.at[MAKE_PAGES] + i * 4096);
        assert_int_equal(v->backend->next_pfn(v, pfn(next)).n, next == 11 ? 12 : next);
        next += next == 11 ? 2 : 1; /* 5 * 15 modulo 16: pfn 11 has no page */
    }
    assert_int_equal(v->end_pfn.n, 16);
    assert_int_equal(v->backend->mfn_of(v, pfn(11)).n, ~0ull);
    ask_everything(v);
    pv_close(v);
    assert_true(make_dump_element(&d, 7, 0, 1));
    assert_refused(d.fd, "pfn 0 stands twice");
    close(d.fd);
}

static void any_number_of_vcpus(void **state)
{
    (void)state;
    const unsigned vcpus[] = {0, 1, 33, 128};
    for (unsigned i = 0; i < sizeof(vcpus) / sizeof(*vcpus); i++) {
        struct make_dump d = make_64(false, vcpus[i]);
        for (uint64_t p = 0; p < GUEST_PAGES; p++)
            assert_true(make_dump_element(&d, p, p, frame_of(p)));
        for (unsigned c = 0; c < vcpus[i]; c++) {
            uint64_t cr3 = xen_pfn_to_cr3(frame_of(c % 16));
            off_t at = (off_t)(d.at[MAKE_PRSTATUS] + c * sizeof(vcpu_guest_context_t) +
                               offsetof(vcpu_guest_context_t, ctrlreg[3]));
            assert_int_equal(pwrite(d.fd, &cr3, 8, at), 8);
        }
        struct pv_view *v = open_fd(d.fd);
        assert_int_equal(v->nr_vcpus, vcpus[i]);
        for (unsigned c = 0; c < vcpus[i]; c++)
            assert_int_equal(v->vcpu[c].kernel_root.n, frame_of(c % 16));
        pv_close(v);
        close(d.fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pae_guest_is_read),
        cmocka_unit_test(contexts_of_another_size_are_refused),
        cmocka_unit_test(sections_and_notes_have_no_order),
        cmocka_unit_test(pages_have_no_order),
        cmocka_unit_test(any_number_of_vcpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
