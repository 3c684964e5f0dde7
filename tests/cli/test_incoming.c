/* SPDX-License-Identifier: MIT */
/* The empty domain as the hypervisor tells of it: this file is a hypervisor that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "incoming.h"

#include <pvmm/transfer.h>

#define PAGE       UINT64_C(4096)
#define HIGH_BASE  (UINT64_C(1) << 32)
#define LOW_PAGES  48u
#define HIGH_PAGES 16u
#define FRAMES     20u /* the list's */
#define LIST_AT    (2 * PAGE)
#define TRANSFER   (4 * PAGE)

struct machine {
    int fd;
    uint8_t *ram;
    struct pvmm_transfer_page *list;
    struct pvmm_mailbox box;
    struct mailbox m;
    struct incoming in;
    struct error e;
};

/* Frames 20 and up, every other one of them above the PCI hole. */
static uint64_t frame_of(unsigned i)
{
    return i % 2 ? HIGH_BASE / PAGE + i / 2 : 20 + i / 2;
}

static int make_machine(void **state)
{
    struct machine *h = calloc(1, sizeof(*h));

    h->fd = memfd_create("machine", MFD_CLOEXEC);
    assert_int_equal(ftruncate(h->fd, (LOW_PAGES + HIGH_PAGES) * PAGE), 0);
    h->ram =
        mmap(NULL, (LOW_PAGES + HIGH_PAGES) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
    assert_ptr_not_equal(h->ram, MAP_FAILED);
    h->list = (struct pvmm_transfer_page *)(h->ram + LIST_AT);
    for (unsigned i = 0; i < FRAMES; i++)
        h->list[i] = (struct pvmm_transfer_page){.mfn = frame_of(i), .pfn = PVMM_NO_PFN};
    h->box.machine.high_end = HIGH_BASE + HIGH_PAGES * PAGE;
    h->box.machine.shared_mfn = 7;
    h->box.console_port = 1;
    h->box.store_port = 2;
    h->box.transfer = (struct pvmm_transfer_place){
        .version = PVMM_TRANSFER_VERSION,
        .page_bytes = sizeof(struct pvmm_transfer_page),
        .list_at = LIST_AT,
        .pages = FRAMES,
        .at = TRANSFER,
        .refused_pfn = PVMM_NO_PFN,
    };
    h->m.box = &h->box;
    *state = h;
    return 0;
}

static int drop_machine(void **state)
{
    struct machine *h = *state;

    incoming_close(&h->in);
    munmap(h->ram, (LOW_PAGES + HIGH_PAGES) * PAGE);
    close(h->fd);
    free(h);
    return 0;
}

static void open_well(struct machine *h)
{
    if (incoming_open(&h->in, &h->m, h->fd, FRAMES, &h->e) != 0)
        assert_string_equal(h->e.text, "no error");
}

static void refused(struct machine *h, uint64_t end_pfn, const char *words)
{
    assert_int_equal(incoming_open(&h->in, &h->m, h->fd, end_pfn, &h->e), -1);
    if (strstr(h->e.text, words) == NULL)
        assert_string_equal(h->e.text, words);
    assert_null(h->in.map);
}

static void test_not_there_yet(void **state)
{
    struct machine *h = *state;

    assert_true(incoming_is_there(&h->m));
    h->box.transfer.version = 0;
    assert_false(incoming_is_there(&h->m));
    h->m.box = NULL;
    assert_false(incoming_is_there(&h->m));
}

static void test_place_is_checked(void **state)
{
    struct machine *h = *state;
    struct pvmm_transfer_place *p = &h->box.transfer;
    const struct pvmm_transfer_place good = *p;

    p->version = 9;
    refused(h, FRAMES, "version 9 of the transfer");
    *p = good, p->page_bytes = 24;
    refused(h, FRAMES, "elements of 24 bytes");
    *p = good, p->pages = UINT64_MAX / 16 + 2;
    refused(h, FRAMES, "frames for 20 pages, of a machine of 64");
    *p = good;
    refused(h, FRAMES + 1, "20 frames for 21 pages");
    *p = good, p->list_at = LOW_PAGES * PAGE - 8;
    refused(h, FRAMES, "its list cannot be at");
    *p = good, p->list_at = UINT64_MAX - 7;
    refused(h, FRAMES, "its list cannot be at");
    *p = good, p->list_at += 4;
    refused(h, FRAMES, "its list cannot be at");
    *p = good, p->at = LOW_PAGES * PAGE - 16;
    refused(h, FRAMES, "with the transfer at");
    *p = good, p->at = LIST_AT + 16;
    refused(h, FRAMES, "with the transfer at");
    *p = good;
    open_well(h);
}

static void test_memory_is_checked(void **state)
{
    struct machine *h = *state;
    const uint64_t good = h->box.machine.high_end;

    h->box.machine.high_end = HIGH_BASE;
    refused(h, FRAMES, "cannot end at 0x100000000");
    h->box.machine.high_end = HIGH_BASE + (LOW_PAGES + HIGH_PAGES) * PAGE;
    refused(h, FRAMES, "its memory cannot end at");
    h->box.machine.high_end = UINT64_MAX;
    refused(h, FRAMES, "its memory cannot end at");
    h->box.machine.high_end = good + 8;
    refused(h, FRAMES, "its memory cannot end at");
    h->box.machine.high_end = good;
    h->box.machine.shared_mfn = LOW_PAGES;
    refused(h, FRAMES, "shared_info cannot be frame 0x30");
}

static void no_frame(struct machine *h, const char *words)
{
    struct pv_error e;
    void *at;
    mfn_t m;

    assert_int_equal(incoming_frame(&h->in, &at, &m, &e), -1);
    if (strstr(e.text, words) == NULL)
        assert_string_equal(e.text, words);
}

static void test_each_frame_once(void **state)
{
    struct machine *h = *state;
    struct pv_error e;
    void *at;
    mfn_t m;

    open_well(h);
    for (unsigned i = 0; i < FRAMES; i++) {
        assert_int_equal(incoming_frame(&h->in, &at, &m, &e), 0);
        assert_int_equal(m.n, frame_of(i));
        assert_ptr_equal(incoming_at(&h->in, m), at);
        snprintf(at, PAGE, "frame %u", i);
        const uint64_t offset = i % 2 ? (LOW_PAGES + i / 2) * PAGE : (20 + i / 2) * PAGE;
        assert_string_equal(h->ram + offset, at);
    }
    no_frame(h, "no more frames");
}

static void test_frames_that_are_not_its_to_give(void **state)
{
    struct machine *h = *state;
    struct pv_error e;
    void *at;
    mfn_t m;

    open_well(h);
    h->list[0].mfn = LOW_PAGES;
    no_frame(h, "no RAM is there");
    h->list[0].mfn = UINT64_MAX;
    no_frame(h, "no RAM is there");
    h->list[0].mfn = (HIGH_BASE / PAGE) + HIGH_PAGES;
    no_frame(h, "no RAM is there");
    h->list[0].mfn = LIST_AT / PAGE;
    no_frame(h, "not its to give");
    h->list[0].mfn = TRANSFER / PAGE + 1;
    no_frame(h, "not its to give");
    h->list[0].mfn = h->list[1].mfn;
    assert_int_equal(incoming_frame(&h->in, &at, &m, &e), 0);
    no_frame(h, "not its to give");
    assert_null(incoming_at(&h->in, mfn(frame_of(2)))); /* not given yet */
    assert_null(incoming_at(&h->in, mfn(UINT64_MAX)));
}

static void test_told_to_the_hypervisor(void **state)
{
    struct machine *h = *state;
    struct pv_taken_page page[4] = {{.mfn = ~0u}, {.mfn = ~0u}, {.mfn = ~0u}, {.mfn = ~0u}};
    struct pv_vcpu vcpu = {.extended = {.there = true,
                                        .syscall32_eip = 0x1234,
                                        .sysenter_cs = 0xe033,
                                        .sysenter_disables_events = true}};
    struct pv_taken t = {.end_pfn = 4, .page = page, .nr_vcpus = 1, .vcpu = &vcpu};
    const struct pv_take_start start = {.start_info = pfn(3), .store = NO_PFN, .console = pfn(1)};
    struct pvmm_transfer *to;
    struct pv_error e;
    void *at;
    mfn_t m[4];

    open_well(h);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(incoming_frame(&h->in, &at, &m[i], &e), 0);
    page[3] = (struct pv_taken_page){.mfn = (uint32_t)m[0].n};
    page[1] = (struct pv_taken_page){.mfn = (uint32_t)m[1].n, .level = 4, .pinned = true};
    page[0] = (struct pv_taken_page){.mfn = (uint32_t)m[3].n, .level = 1};
    memset(vcpu.context, 0x5a, sizeof(vcpu.context));
    memset(t.shared_info, 0xa5, sizeof(t.shared_info));
    assert_int_equal(incoming_finish(&h->in, &t, &start, &e), 0);

    const uint32_t pfns[] = {3, 1, PVMM_NO_PFN, 0}, pins[] = {0, 4, 0, 0};
    for (unsigned i = 0; i < FRAMES; i++) {
        assert_int_equal(h->list[i].mfn, frame_of(i));
        assert_int_equal(h->list[i].pfn, i < 4 ? pfns[i] : PVMM_NO_PFN);
        assert_int_equal(h->list[i].pin, i < 4 ? pins[i] : 0);
    }
    to = (struct pvmm_transfer *)(h->ram + TRANSFER);
    incoming_date(&h->in, 1795449600123456789);
    assert_int_equal(to->wall_ns, 1795449600123456789);
    assert_int_equal(to->version, PVMM_TRANSFER_VERSION);
    assert_int_equal(to->bytes, sizeof(*to));
    assert_int_equal(to->pages, FRAMES);
    assert_int_equal(to->used, 3);
    assert_int_equal(to->end_pfn, 4);
    assert_int_equal(to->start_info_pfn, 3);
    assert_int_equal(to->store_pfn, PVMM_NO_PFN);
    assert_int_equal(to->console_pfn, 1);
    assert_int_equal(to->vcpus, 1);
    assert_int_equal(to->extended.syscall32_eip, 0x1234);
    assert_int_equal(to->extended.sysenter_cs, 0xe033);
    assert_int_equal(to->extended.sysenter_disables_events, 1);
    assert_memory_equal(to->context, vcpu.context, sizeof(vcpu.context));
    assert_memory_equal(to->shared_info, t.shared_info, sizeof(t.shared_info));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, make_machine, drop_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_not_there_yet),
        TEST(test_place_is_checked),
        TEST(test_memory_is_checked),
        TEST(test_each_frame_once),
        TEST(test_frames_that_are_not_its_to_give),
        TEST(test_told_to_the_hypervisor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
