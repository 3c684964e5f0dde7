/* SPDX-License-Identifier: MIT */
/* Save streams: what is put into one is found in it, whichever way it was put. */
#include "made.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/foreign/x86_32.h>

#include "make_stream.h"
#include "stream.h"
#include "stream_parts.h"

#define OPTIONS (&(struct pv_open_options){.domain = -1})

static struct pv_view *read_stream(int fd)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    if (pv_open(&v, scratch_path(fd), OPTIONS, &e))
        fail_msg("%s", e.text);
    return v;
}

static bool is_table(const struct pv_view *v, mfn_t m)
{
    struct pv_told t;
    assert_true(v->backend->told(v, m, &t));
    return t.level;
}

static void assert_same_page(const struct pv_view *live, const struct pv_view *s, pfn_t p)
{
    uint64_t a[512], b[512];
    mfn_t m = live->backend->mfn_of(live, p);
    assert_true(live->backend->read(live, m, 0, a, sizeof(a)));
    assert_true(s->backend->read(s, mfn(p.n), 0, b, sizeof(b)));
    for (unsigned i = 0; i < 512; i++) {
        bool mapped = is_table(s, mfn(p.n)) && pte_present(b[i]);
        uint64_t frame = live->backend->pfn_of(live, pte_frame(a[i])).n;
        assert_int_equal(b[i], mapped ? pte_make(mfn(frame), a[i] & ~PTE_FRAME_MASK) : a[i]);
    }
}

/* The same guest, page by page, at other numbers. */
static void assert_same(const struct pv_view *live, const struct pv_view *s)
{
    uint64_t pages = 0;
    pfn_t p = pfn(0);
    for (; (p = live->backend->next_pfn(live, p)).n != NO_PFN.n; p.n++, pages++) {
        assert_int_equal(s->backend->next_pfn(s, p).n, p.n);
        assert_int_equal(s->backend->mfn_of(s, p).n, p.n);
        assert_int_equal(s->backend->pfn_of(s, mfn(p.n)).n, p.n);
        assert_int_equal(s->backend->index_of(s, mfn(p.n)), pages);
        assert_int_equal(s->backend->frame_at(s, pages).n, p.n);
        assert_true(s->backend->owned(s, mfn(p.n)));
        assert_same_page(live, s, p);
    }
    assert_int_equal(s->nr_pages, pages);
    assert_int_equal(s->backend->frame_at(s, pages).n, NO_MFN.n);
    assert_int_equal(s->end_pfn.n, live->end_pfn.n);
    assert_string_equal(s->lost, "");
}

static void assert_same_state(const struct pv_view *live, const struct pv_view *s)
{
    uint8_t a[4096], b[4096];
    assert_int_equal(s->nr_vcpus, live->nr_vcpus);
    assert_true(s->vcpu[0].valid);
    assert_int_equal(s->vcpu[0].rip, live->vcpu[0].rip);
    assert_int_equal(s->vcpu[0].rsp, live->vcpu[0].rsp);
    assert_int_equal(s->vcpu[0].kernel_root.n,
                     live->backend->pfn_of(live, live->vcpu[0].kernel_root).n);
    assert_int_equal(s->vcpu[0].user_root.n, NO_MFN.n);
    assert_int_equal(s->kernel_root.n, s->vcpu[0].kernel_root.n);
    assert_true(live->backend->read(live, live->shared_info, 0, a, sizeof(a)));
    assert_true(s->backend->read(s, s->shared_info, 0, b, sizeof(b)));
    assert_memory_equal(a, b, sizeof(a));
    assert_true(s->shared_info.n >= s->end_pfn.n && s->shared_info.n < s->nr_frames);
    assert_false(s->backend->owned(s, s->shared_info));
}

static void assert_banner(const struct pv_view *s)
{
    char text[sizeof(BANNER)];
    assert_int_equal(pv_read_va(s, s->kernel_root, gva(BANNER_VA + BANNER_AT), text, sizeof(text)),
                     sizeof(text));
    assert_string_equal(text, BANNER);
}

/* Every way of writing it. */
static const struct stream_options ways[] = {
    {.xl = false},
    {.xl = true},
    {.xl = true, .version = 2},
    {.version = 2, .batch = 1},
    {.batch = 1000},
    {.xl = true, .live = true, .batch = 7},
    {.xl = true, .holes = true, .batch = 9},
    {.live = true, .shuffled = true, .batch = 3},
    {.shuffled = true, .holes = true},
    {.verify = true},
    {.checkpoint = true},
    {.xl = true, .checkpoint = true, .batch = 5},
    {.optional = true},
    {.xl = true, .live = true, .verify = true, .optional = true, .holes = true},
};
#define WAYS (sizeof(ways) / sizeof(*ways))

static void a_stream_has_all_of_the_guest(void **state)
{
    (void)state;
    struct made *m = made_new(64, 8);
    made_publish_linear(m);
    made_give(m, pfn(300));
    struct pv_view *live = made_open(m);
    for (unsigned i = 0; i < WAYS; i++) {
        int fd = scratch_file();
        struct stream_made made;
        make_stream(fd, live, &ways[i], &made);
        struct pv_view *s = read_stream(fd);
        assert_string_equal(s->kind, ways[i].xl ? "xl save stream" : "libxc save stream");
        assert_string_equal(s->domain[0].name, ways[i].xl ? "made" : "");
        assert_string_equal(s->xen, "4.17");
        assert_true(s->portable);
        assert_int_equal(s->width, 8);
        assert_same(live, s);
        assert_same_state(live, s);
        assert_banner(s);
        ask_everything(s);
        pv_close(s);
        close(fd);
    }
    pv_close(live);
    made_free(m);
}

/* Pfns far apart. */
static void pfns_may_be_high(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    made_give(m, pfn((1ull << 32) - 1));
    made_give(m, pfn(1ull << 31));
    struct pv_view *live = made_open(m);
    int fd = scratch_file();
    struct stream_made made;
    make_stream(fd, live, &(struct stream_options){0}, &made);
    struct pv_view *s = read_stream(fd);
    assert_same(live, s);
    assert_int_equal(s->shared_info.n, 1ull << 32);
    pv_close(s);
    pv_close(live);
    close(fd);
    made_free(m);
}

static void types_and_pins_are_told(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    mfn_t second = made_root(m);
    struct pv_view *live = made_open(m);
    int fd = scratch_file();
    struct stream_made made;
    make_stream(fd, live, &(struct stream_options){.live = true}, &made);
    struct pv_view *s = read_stream(fd);
    unsigned roots = 0, tables[5] = {0};
    mfn_t r = mfn(0);
    for (; (r = s->backend->next_pinned_root(s, r)).n != NO_MFN.n; r.n++, roots++)
        assert_true(r.n == live->backend->pfn_of(live, m->root).n ||
                    r.n == live->backend->pfn_of(live, second).n);
    assert_int_equal(roots, 2);
    for (mfn_t f = mfn(0); (f = s->backend->next_owned(s, f)).n != NO_MFN.n; f.n++) {
        struct pv_told t;
        assert_true(s->backend->told(s, f, &t));
        assert_int_equal(t.pinned, t.level == 4);
        tables[t.level]++;
    }
    for (unsigned level = 1; level <= 4; level++)
        assert_int_equal(tables[level], 2);
    struct pv_told t;
    assert_false(s->backend->told(s, s->shared_info, &t));
    assert_false(s->backend->told(s, mfn(s->end_pfn.n + 7), &t));
    pv_close(s);
    pv_close(live);
    close(fd);
    made_free(m);
}

/* Where the view says that a page lies, it lies. */
static void places_are_true(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *live = made_open(m);
    for (unsigned way = 0; way < WAYS; way++) {
        int fd = scratch_file();
        struct stream_made made;
        make_stream(fd, live, &ways[way], &made);
        struct pv_view *s = read_stream(fd);
        for (mfn_t f = mfn(0); (f = s->backend->next_owned(s, f)).n != NO_MFN.n; f.n++) {
            struct pv_place place;
            unsigned long long number, page;
            uint8_t a[4096], b[4096];
            assert_true(pv_place_of(s, f, &place));
            assert_true(s->backend->read(s, f, 0, a, sizeof(a)));
            assert_int_equal(pread(fd, b, sizeof(b), (off_t)place.offset), sizeof(b));
            assert_memory_equal(a, b, sizeof(a));
            assert_int_equal(
                sscanf(place.record, "record %llu (PAGE_DATA), page %llu", &number, &page), 2);
            unsigned i = 0;
            for (unsigned long long left = number; !made.record[i].of_libxc || left; i++)
                left -= made.record[i].of_libxc;
            assert_int_equal(made.record[i].type, LIBXC_PAGE_DATA);
            uint32_t count;
            assert_int_equal(pread(fd, &count, 4, made.record[i].at + 8), 4);
            assert_int_equal(place.offset,
                             (uint64_t)made.record[i].at + 16 + count * 8 + page * 4096);
        }
        struct pv_place place;
        assert_true(pv_place_of(s, s->shared_info, &place));
        assert_string_equal(place.record, "the record SHARED_INFO");
        pv_close(s);
        close(fd);
    }
    pv_close(live);
    made_free(m);
}

static void words_lie_where_they_are_aligned(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *live = made_open(m);
    int fd = scratch_file();
    struct stream_made made;
    make_stream(fd, live, &(struct stream_options){0}, &made);
    struct pv_view *s = read_stream(fd);
    uint64_t page[512];
    const uint64_t *words = s->backend->words(s, mfn(1));
    assert_non_null(words);
    assert_true(s->backend->read(s, mfn(1), 0, page, sizeof(page)));
    assert_memory_equal(words, page, sizeof(page));
    assert_null(s->backend->words(s, mfn(s->end_pfn.n + 7)));
    pv_close(s);
    pv_close(live);
    close(fd);
    made_free(m);
}

static void the_list_of_p2m_frames_is_kept(void **state)
{
    (void)state;
    const uint64_t list[] = {7, 9, 7};
    uint64_t start, end;
    const uint64_t *frames;
    size_t n;
    struct made *m = made_new(8, 0);
    struct pv_view *live = made_open(m);
    assert_false(pv_stream_p2m_frames(live, &start, &end, &frames, &n));
    for (unsigned there = 0; there < 2; there++) {
        int fd = scratch_file();
        struct stream_made made;
        make_stream(fd, live,
                    &(struct stream_options){
                        .xl = true, .p2m = list, .p2m_frames = there ? 3 : 0, .p2m_end = 1024},
                    &made);
        struct pv_view *s = read_stream(fd);
        assert_string_equal(s->lost, "");
        assert_int_equal(pv_stream_p2m_frames(s, &start, &end, &frames, &n), there);
        if (there) {
            assert_int_equal(start, 0);
            assert_int_equal(end, 1024);
            assert_int_equal(n, 3);
            assert_memory_equal(frames, list, sizeof(list));
        }
        pv_close(s);
        close(fd);
    }
    pv_close(live);
    made_free(m);
}

static void a_hostile_name_does_no_harm(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *live = made_open(m);
    const struct {
        const char *name, *shown;
    } names[] = {
        {"\\u001b]0;owned\\u0007x", "?]0;owned?x"},
        {"a\\u0000b", "a"},
        {"\xc2\x9b"
         "31m",
         "??31m"},
        {"", ""},
        {"0123456789012345678901234567890123456789012345678901234567890123456789",
         "012345678901234567890123456789012345678901234567890123456789012"},
    };
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        int fd = scratch_file();
        struct stream_made made;
        make_stream(fd, live, &(struct stream_options){.xl = true, .name = names[i].name}, &made);
        struct pv_view *s = read_stream(fd);
        assert_string_equal(s->domain[0].name, names[i].shown);
        assert_string_equal(s->domain[0].uuid, "6e1d5070-dd22-482f-9fe5-5d51de59dedb");
        pv_close(s);
        close(fd);
    }
    pv_close(live);
    made_free(m);
}

/* start_info's pfn is in rdx of vCPU 0, if it is one. */
static void start_info_is_found(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    memcpy(made_words(m, made_mfn(m, pfn(17))), "xen-3.0-x86_64", 15);
    for (unsigned p = 16; p < 18; p++) {
        struct pv_view *live = made_open(m);
        live->start_info = made_mfn(m, pfn(p));
        int fd = scratch_file();
        struct stream_made made;
        make_stream(fd, live, &(struct stream_options){0}, &made);
        struct pv_view *s = read_stream(fd);
        assert_int_equal(s->start_info.n, p == 17 ? 17 : NO_MFN.n);
        pv_close(s);
        pv_close(live);
        close(fd);
    }
    made_free(m);
}

/* ---- guests that made.h does not make: pages in an array, at pfns that are their mfns */

struct plain {
    uint64_t page[16][512];
    uint64_t shared[512];
    mfn_t pinned;
};

static bool plain_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const struct plain *p = v->image;
    bool shared = mfn_eq(m, v->shared_info);
    if (!shared && m.n >= 16)
        return false;
    memcpy(to, (const uint8_t *)(shared ? p->shared : p->page[m.n]) + offset, n);
    return true;
}

static pfn_t plain_pfn_of(const struct pv_view *v, mfn_t m)
{
    (void)v;
    return m.n < 16 ? pfn(m.n) : NO_PFN;
}

static mfn_t plain_mfn_of(const struct pv_view *v, pfn_t p)
{
    (void)v;
    return p.n < 16 ? mfn(p.n) : NO_MFN;
}

static pfn_t plain_next_pfn(const struct pv_view *v, pfn_t from)
{
    return plain_pfn_of(v, mfn(from.n));
}

static mfn_t plain_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    const struct plain *p = v->image;
    return from.n <= p->pinned.n ? p->pinned : NO_MFN;
}

static void plain_close(struct pv_view *v)
{
    (void)v;
}

static const struct pv_backend plain_backend = {
    .read = plain_read,
    .pfn_of = plain_pfn_of,
    .mfn_of = plain_mfn_of,
    .next_pfn = plain_next_pfn,
    .next_pinned_root = plain_next_pinned_root,
    .close = plain_close,
};

/* 0xc0000000 maps pfn 9 by way of pfns 4, 5 and 6. */
static struct pv_view *plain_32(struct plain *p)
{
    const uint64_t flags = PTE_PRESENT | PTE_USER;
    struct pv_view *v = pv_view_new(&plain_backend, "made", 2);
    vcpu_guest_context_x86_32_t c = {0};
    p->pinned = mfn(4);
    p->page[4][3] = PTE_PRESENT | 5ull << 12;
    p->page[4][77] = PTE_PRESENT | 8ull << 12; /* Xen's: only four are the guest's */
    p->page[5][0] = flags | 6ull << 12;
    p->page[6][0] = flags | 9ull << 12;
    memcpy(p->page[9], "here", 5);
    memcpy(p->page[2], "xen-3.0-x86_32p", 16);
    v->image = p;
    v->width = 4;
    v->shared_info = mfn(100);
    c.ctrlreg[3] = 4u << 12;
    c.user_regs.eip = 0xc0001234;
    c.user_regs.edx = 2;
    pv_vcpu_set(v, 1, &c);
    c.user_regs.eip = 0xc0004321;
    pv_vcpu_set(v, 0, &c);
    return v;
}

static void a_32_bit_guest_is_read(void **state)
{
    (void)state;
    struct plain *p = calloc(1, sizeof(*p));
    struct pv_view *live = plain_32(p);
    int fd = scratch_file();
    struct stream_made made;
    const uint64_t list[] = {1, 2};
    make_stream(fd, live,
                &(struct stream_options){.xl = true, .p2m = list, .p2m_frames = 2, .p2m_end = 1024},
                &made);
    struct pv_view *s = read_stream(fd);
    char text[5];
    struct pv_told t;
    assert_string_equal(s->lost, "");
    assert_int_equal(s->width, 4);
    assert_int_equal(s->nr_vcpus, 2);
    assert_int_equal(s->vcpu[0].rip, 0xc0004321);
    assert_int_equal(s->vcpu[1].rip, 0xc0001234);
    assert_int_equal(s->kernel_root.n, 4);
    assert_int_equal(s->start_info.n, 2);
    assert_int_equal(pv_read_va(s, s->kernel_root, gva(0xc0000000), text, 5), 5);
    assert_string_equal(text, "here");
    assert_int_equal(s->backend->next_pinned_root(s, mfn(0)).n, 4);
    assert_true(s->backend->told(s, mfn(4), &t) && t.level == 3 && t.pinned);
    assert_true(s->backend->told(s, mfn(6), &t) && t.level == 1 && !t.pinned);
    assert_true(s->backend->told(s, mfn(8), &t) && t.level == 0);
    pv_close(s);
    pv_view_free(live);
    free(p);
    close(fd);
}

/* A guest of which no vCPU runs: the root with a kernel's half is taken, not the one before it. */
static void a_root_is_found_without_a_vcpu(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *live = made_open(m);
    int fd = scratch_file();
    struct stream_made made;
    live->vcpu[0].valid = false;
    make_stream(fd, live, &(struct stream_options){0}, &made);
    struct pv_view *s = read_stream(fd);
    assert_int_equal(s->nr_vcpus, 0);
    assert_string_equal(s->lost, "no vCPU");
    assert_int_equal(s->kernel_root.n, live->backend->pfn_of(live, m->root).n);
    assert_banner(s);
    pv_close(s);
    pv_close(live);
    close(fd);
    made_free(m);
}

/* ---- the index alone */

/* Against a table by pfn: in order, out of order, again and taken away. */
static void the_index_has_the_last_of_each(void **state)
{
    (void)state;
    enum { PFNS = 200000 };
    uint64_t *last = calloc(PFNS, sizeof(*last)), broken, random = 88172645463325252ull;
    struct stream_index x = {0};
    for (unsigned i = 0; i < 3 * PFNS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t pfn = i < PFNS / 4 ? i * 4 : random % PFNS;
        unsigned type = random >> 60;
        last[pfn] = place_make(type, i + 1);
        assert_true(stream_index_put(&x, pfn, last[pfn]));
    }
    uint64_t n = 0, expected_broken = 0;
    assert_true(stream_index_settle(&x, &broken));
    for (uint64_t pfn = 0; pfn < PFNS; pfn++) {
        unsigned type = place_type(last[pfn]);
        expected_broken += type == PAGE_BROKEN;
        size_t i = stream_index_find(&x, pfn);
        if (last[pfn] == 0 || type == PAGE_NONE || type == PAGE_BROKEN) {
            assert_int_equal(i, NOWHERE);
            continue;
        }
        assert_int_equal(i, n++);
        assert_int_equal(x.place[i], last[pfn]);
    }
    assert_int_equal(x.n, n);
    assert_int_equal(broken, expected_broken);
    assert_int_equal(stream_index_from(&x, PFNS), NOWHERE);
    stream_index_free(&x);
    free(last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_has_all_of_the_guest),
        cmocka_unit_test(pfns_may_be_high),
        cmocka_unit_test(types_and_pins_are_told),
        cmocka_unit_test(places_are_true),
        cmocka_unit_test(words_lie_where_they_are_aligned),
        cmocka_unit_test(the_list_of_p2m_frames_is_kept),
        cmocka_unit_test(a_hostile_name_does_no_harm),
        cmocka_unit_test(start_info_is_found),
        cmocka_unit_test(a_32_bit_guest_is_read),
        cmocka_unit_test(a_root_is_found_without_a_vcpu),
        cmocka_unit_test(the_index_has_the_last_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
