/* SPDX-License-Identifier: MIT */
/* Save streams that are cut short or damaged: what is left of them is read, and what is not there
 * is told; or they are refused with a reason. */
#include "made.h"

#include <endian.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "make_stream.h"
#include "stream.h"
#include "stream_layout.h"

#define OPTIONS   (&(struct pv_open_options){.domain = -1})
#define MUTATIONS 4000

struct guest {
    struct made *m;
    struct pv_view *live;
    int fd;
    struct stream_made made;
};

static const uint64_t p2m_list[] = {7};

static struct guest guest_new(struct stream_options o)
{
    struct guest g = {.m = made_new(8, 0), .fd = scratch_file()};
    made_publish_linear(g.m);
    g.live = made_open(g.m);
    o.p2m = p2m_list;
    o.p2m_frames = 1;
    o.p2m_end = 511;
    make_stream(g.fd, g.live, &o, &g.made);
    return g;
}

static void guest_free(struct guest *g)
{
    pv_close(g->live);
    made_free(g->m);
    close(g->fd);
}

static void put(const struct guest *g, off_t at, uint64_t value, size_t n)
{
    assert_int_equal(pwrite(g->fd, &value, n, at), n);
}

static uint64_t get(const struct guest *g, off_t at, size_t n)
{
    uint64_t value = 0;
    assert_int_equal(pread(g->fd, &value, n, at), n);
    return value;
}

/* NULL: refused. Everything is asked of what opens. */
static struct pv_view *try(const struct guest *g, struct pv_error *e)
{
    struct pv_view *v = NULL;
    uint64_t start, end;
    const uint64_t *frames;
    size_t n;
    e->text[0] = 0;
    if (pv_open(&v, scratch_path(g->fd), OPTIONS, e)) {
        assert_non_null(strstr(e->text, scratch_path(g->fd)));
        return NULL;
    }
    ask_everything(v);
    for (mfn_t m = mfn(0); (m = v->backend->next_owned(v, m)).n != NO_MFN.n; m.n++) {
        struct pv_place place;
        struct pv_told told;
        pv_place_of(v, m, &place);
        v->backend->told(v, m, &told);
        v->backend->words(v, m);
    }
    if (pv_stream_p2m_frames(v, &start, &end, &frames, &n))
        for (size_t i = 0; i < n; i++)
            assert_true(frames[i] + 1 != 0 || frames[i] == ~0ull);
    return v;
}

/* ---- cut short */

static void assert_cut(const struct guest *g, off_t bytes)
{
    struct pv_error e;
    assert_int_equal(ftruncate(g->fd, bytes), 0);
    struct pv_view *v = try(g, &e);
    const char *said = v ? v->lost : e.text;
    bool recognised = bytes >= (g->made.libxc_at ? 32 : 12);
    if (!strstr(said, recognised ? "cut short" : "nothing that is known begins with") && bytes > 0)
        fail_msg("%lld bytes: %s", (long long)bytes, said);
    if (v && bytes < made_record(&g->made, true, LIBXC_PAGE_DATA))
        assert_int_equal(v->nr_pages, 0);
    if (v)
        pv_close(v);
}

static void what_is_before_the_end_is_read(void **state)
{
    (void)state;
    const struct stream_options ways[] = {{.xl = true},
                                          {.version = 2, .holes = true},
                                          {.xl = true, .live = true, .checkpoint = true}};
    for (unsigned way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
        struct guest g = guest_new(ways[way]);
        unsigned i = g.made.n;
        off_t page = g.made.bytes & ~4095;
        while (i > 0 || page > 0) { /* backwards: a file does not get back what it lost */
            off_t at = i > 0 ? g.made.record[i - 1].at : 0;
            for (; page > at + 9; page -= 4096)
                assert_cut(&g, page);
            const int around[] = {9, 8, 1, 0, -1};
            for (unsigned k = 0; i > 0 && k < 5; k++)
                if (at + around[k] < g.made.bytes)
                    assert_cut(&g, at + around[k]);
            i -= i > 0;
        }
        for (off_t at = g.made.record[0].at - 2; at > 0; at--)
            assert_cut(&g, at);
        guest_free(&g);
    }
}

/* Every page that is whole is there, with its content; no other. */
static void a_cut_record_gives_its_whole_pages(void **state)
{
    (void)state;
    struct guest g = guest_new((struct stream_options){.xl = true, .batch = 10});
    off_t at = made_record(&g.made, true, LIBXC_PAGE_DATA), pages = at + 16 + 10 * 8;
    for (int n = 9; n >= 0; n--) {
        struct pv_error e;
        char expected[80];
        assert_int_equal(ftruncate(g.fd, pages + n * 4096 + 4095), 0);
        struct pv_view *v = try(&g, &e);
        assert_non_null(v);
        assert_int_equal(v->nr_pages, n);
        snprintf(expected, sizeof(expected), "cut short in record 5 (PAGE_DATA) at offset %lld",
                 (long long)at + 8);
        assert_non_null(strstr(v->lost, expected));
        snprintf(expected, sizeof(expected), "%d of up to 512 pages are there", n);
        assert_non_null(strstr(v->lost, expected));
        assert_non_null(strstr(v->lost, "no vCPU; no shared_info"));
        snprintf(expected, sizeof(expected), "%d pages lie behind the file's end", 10 - n);
        assert_non_null(strstr(v->lost, expected));
        for (int i = 0; i < n; i++) {
            uint8_t a[4096], b[4096];
            mfn_t m = g.live->backend->mfn_of(g.live, pfn((uint64_t)i));
            assert_true(v->backend->read(v, mfn((uint64_t)i), 0, a, sizeof(a)));
            assert_true(g.live->backend->read(g.live, m, 0, b, sizeof(b)));
            assert_memory_equal(a, b, sizeof(a));
        }
        pv_close(v);
    }
    guest_free(&g);
}

/* ---- fields */

static void assert_refused(const struct guest *g, off_t at, uint64_t value, size_t n,
                           const char *why)
{
    struct pv_error e;
    uint64_t was = get(g, at, n);
    put(g, at, value, n);
    if (try(g, &e))
        fail_msg("opened, though: %s", why);
    if (!strstr(e.text, why))
        fail_msg("\"%s\" does not say \"%s\"", e.text, why);
    put(g, at, was, n);
}

/* Opens, and says what is wrong. */
static void assert_lost(const struct guest *g, off_t at, uint64_t value, size_t n, const char *why)
{
    struct pv_error e;
    uint64_t was = get(g, at, n);
    put(g, at, value, n);
    struct pv_view *v = try(g, &e);
    if (!v)
        fail_msg("refused: %s", e.text);
    if (!strstr(v->lost, why))
        fail_msg("\"%s\" does not say \"%s\"", v->lost, why);
    pv_close(v);
    put(g, at, was, n);
}

static void wrong_headers_say_why(void **state)
{
    (void)state;
    struct guest g = guest_new((struct stream_options){.xl = true});
    off_t libxc = g.made.libxc_at, domain = libxc + 24, libxl = g.made.record[0].at - 16;
    assert_refused(&g, 0, 'Y', 1, "nothing that is known begins with");
    assert_refused(&g, 32, 0x04030201, 4, "of another byte order");
    assert_refused(&g, 36, 7, 4, "mandatory flags 7");
    assert_refused(&g, 36, 1, 4, "saved by Xen 4.5 or older");
    assert_refused(&g, 44, 0, 4, "no libxl stream at offset 48");
    assert_refused(&g, 44, ~0u, 4, "cut short");
    assert_lost(&g, 48, ~0u, 4, "the configuration, of 4294967295 bytes");
    assert_lost(&g, 48, get(&g, 44, 4) - 3, 4, "the configuration, of");
    assert_lost(&g, 36, 2, 4, "");
    assert_refused(&g, libxl, 'X', 1, "no libxl stream");
    assert_refused(&g, libxl + 8, htobe32(1), 4, "a libxl stream of version 1");
    assert_refused(&g, libxl + 12, htobe32(1), 4, "a big-endian libxl stream");
    assert_refused(&g, libxc, 0, 1, "no libxc stream at offset");
    assert_refused(&g, libxc + 8, 0, 4, "no libxc stream at offset");
    assert_refused(&g, libxc + 12, htobe32(1), 4, "a libxc stream of version 1");
    assert_refused(&g, libxc + 12, htobe32(4), 4, "a libxc stream of version 4");
    assert_refused(&g, libxc + 16, htobe16(1), 2, "a big-endian libxc stream");
    assert_refused(&g, domain, LIBXC_HVM, 4, "of an HVM guest, not of a PV one");
    assert_refused(&g, domain, 3, 4, "of a guest of type 3");
    assert_refused(&g, domain + 4, 16, 2, "pages of 2^16 bytes");
    guest_free(&g);
}

#define BODY(g, type) (made_record(&(g).made, true, type) + 8)

static void wrong_records_say_why(void **state)
{
    (void)state;
    struct guest g = guest_new((struct stream_options){.xl = true});
    off_t info = BODY(g, LIBXC_PV_INFO), p2m = BODY(g, LIBXC_P2M_FRAMES),
          pages = BODY(g, LIBXC_PAGE_DATA), shared = BODY(g, LIBXC_SHARED_INFO),
          vcpu = BODY(g, LIBXC_VCPU_BASIC), tsc = BODY(g, LIBXC_TSC_INFO);
    char why[80];
    snprintf(why, sizeof(why), "record 5 (unknown) at offset %lld: type 13", (long long)pages);
    assert_refused(&g, pages - 8, 0x13, 4, why);
    assert_refused(&g, pages - 8, LIBXC_HVM_PARAMS, 4, "record 5 (HVM_PARAMS) at offset");
    assert_lost(&g, tsc - 8, LIBXC_HVM_PARAMS, 4, "(HVM_PARAMS) at offset");
    assert_lost(&g, tsc - 8, 0x13, 4, "no vCPU; no shared_info");
    assert_refused(&g, g.made.record[0].at, 9, 4, "(unknown) of libxl's at offset");
    assert_refused(&g, info - 8, 0x80000000, 4, "no X86_PV_INFO is before it");
    assert_refused(&g, info, 5, 1, "neither 64-bit with 4 levels");
    assert_lost(&g, info, 0x0304, 2, "it has not the length of a vCPU's state");
    assert_lost(&g, p2m, 512, 4, "the pages of its list are not as many");
    assert_lost(&g, p2m + 4, 512, 4, "the pages of its list are not as many");
    assert_lost(&g, p2m + 4, ~0u, 4, "the pages of its list are not as many");
    assert_lost(&g, pages, ~0u, 4, "it is too short for the pfns");
    assert_lost(&g, pages, 15, 4, "do not go together");
    assert_lost(&g, pages, 17, 4, "do not go together");
    assert_lost(&g, pages, 0, 4, "0 of up to 512 pages are there");
    assert_lost(&g, pages + 8, 6ull << 60, 8, "do not go together");
    assert_lost(&g, pages + 8, 8ull << 60, 8, "do not go together"); /* pinned, but no table */
    assert_lost(&g, pages + 8, 15ull << 60, 8, "do not go together");
    assert_lost(&g, pages + 8, 1ull << 32, 8, "1 pages at pfns of 100000000 and above");
    assert_lost(&g, pages + 8, 1ull << 51, 8, "1 pages at pfns of 100000000 and above");
    assert_lost(&g, pages - 4, 4, 4, "it is too short to tell a count");
    assert_lost(&g, pages - 4, ~0u, 4, "do not go together");
    assert_lost(&g, shared - 4, 4090, 4, "it is no page");
    assert_lost(&g, vcpu, 8192, 4, "no guest has that many vCPUs");
    assert_lost(&g, vcpu - 4, 5168, 4, "it has not the length of a vCPU's state");
    assert_lost(&g, tsc - 4, ~0u, 4, "cut short in record");
    assert_lost(&g, tsc - 8, 0x80000001, 4, "");
    assert_lost(&g, vcpu, 5, 4, "");
    guest_free(&g);
}

/* What the configuration has in place of a uuid is none. */
static void a_uuid_is_one(void **state)
{
    (void)state;
    struct guest g = guest_new((struct stream_options){.xl = true});
    struct pv_error e;
    char text[200];
    assert_int_equal(pread(g.fd, text, sizeof(text), 48), sizeof(text));
    off_t at = 48 + ((char *)memmem(text, sizeof(text), "6e1d5070", 8) - text);
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        put(&g, at, wrong ? 'x' : '6', 1);
        struct pv_view *v = try(&g, &e);
        assert_non_null(v);
        assert_int_equal(v->domain[0].uuid[0] == 0, wrong);
        pv_close(v);
    }
    guest_free(&g);
}

static void unknown_records_are_refused_but_optional_ones(void **state)
{
    (void)state;
    for (unsigned xl = 0; xl < 2; xl++) {
        struct guest g = guest_new((struct stream_options){.xl = xl, .unknown = 0x77});
        struct pv_error e;
        assert_null(try(&g, &e));
        assert_non_null(strstr(e.text, "type 77 is not known"));
        guest_free(&g);
        g = guest_new((struct stream_options){.xl = xl, .unknown = 0x80000077});
        struct pv_view *v = try(&g, &e);
        assert_non_null(v);
        assert_string_equal(v->lost, "");
        pv_close(v);
        guest_free(&g);
    }
}

/* Pages that come without content. */
static void pages_without_content_are_no_content(void **state)
{
    (void)state;
    struct guest g = guest_new((struct stream_options){.batch = 1});
    off_t pages = BODY(g, LIBXC_PAGE_DATA);
    struct pv_error e;
    const unsigned types[] = {PAGE_BROKEN, PAGE_ALLOCATE, PAGE_NONE};
    for (unsigned i = 0; i < 3; i++) { /* the page itself becomes a record that may be skipped */
        struct pv_place place;
        struct pv_told told;
        uint8_t byte;
        put(&g, pages - 4, 16, 4);
        put(&g, pages + 8, (uint64_t)types[i] << 60, 8);
        put(&g, pages + 16, 0x80000000 | (4096ull - 8) << 32, 8);
        struct pv_view *v = try(&g, &e);
        assert_non_null(v);
        assert_int_equal(v->backend->owned(v, mfn(0)), types[i] == PAGE_ALLOCATE);
        assert_false(v->backend->read(v, mfn(0), 0, &byte, 1));
        assert_false(v->backend->told(v, mfn(0), &told));
        assert_false(pv_place_of(v, mfn(0), &place));
        assert_int_equal(v->nr_pages, g.live->nr_pages - (types[i] != PAGE_ALLOCATE));
        assert_string_equal(v->lost, types[i] == PAGE_BROKEN ? "1 pages are marked as broken" : "");
        pv_close(v);
    }
    guest_free(&g);
}

/* ---- claims */

/* A file of holes claims any length: nothing is taken for it. */
static void claims_cost_no_memory(void **state)
{
    (void)state;
    struct guest g = guest_new((struct stream_options){0});
    struct pv_error e;
    off_t pages = BODY(g, LIBXC_PAGE_DATA), p2m = BODY(g, LIBXC_P2M_FRAMES);
    assert_int_equal(ftruncate(g.fd, 1ll << 42), 0);
    assert_lost(&g, pages - 4, ~0u, 4, "do not go together");
    put(&g, pages - 4, ~7u, 4);
    assert_lost(&g, pages, (1u << 29) - 2, 4, "do not go together");
    put(&g, p2m - 4, ~7u, 4);
    struct pv_view *v = try(&g, &e);
    assert_non_null(v);
    assert_non_null(strstr(v->lost, "the pages of its list are not as many"));
    pv_close(v);
    guest_free(&g);
}

/* ---- anything */

static uint64_t next_random(uint64_t *r)
{
    *r ^= *r << 13;
    *r ^= *r >> 7;
    *r ^= *r << 17;
    return *r;
}

/* Mostly where headers and lists are. */
static off_t some_place(const struct guest *g, uint64_t *r)
{
    if (next_random(r) % 4 == 0)
        return (off_t)(next_random(r) % (uint64_t)g->made.bytes);
    off_t at = g->made.record[next_random(r) % g->made.n].at;
    at += (off_t)(next_random(r) % 160) - 16;
    return at < g->made.bytes && at >= 0 ? at : 0;
}

static void mutate(const struct guest *g, uint64_t *r)
{
    const uint64_t odd[] = {0, 1, 4095, 1ull << 31, 1ull << 32, 1ull << 60, 1ull << 63, ~0ull};
    for (uint64_t n = next_random(r) % 4 + 1; n > 0; n--) {
        off_t at = some_place(g, r);
        size_t bytes = 1u << next_random(r) % 4;
        if (at + (off_t)bytes > g->made.bytes)
            continue;
        put(g, at, next_random(r) % 2 ? odd[next_random(r) % 8] : next_random(r), bytes);
    }
    if (next_random(r) % 8 == 0)
        assert_int_equal(ftruncate(g->fd, some_place(g, r)), 0);
}

static void restore(const struct guest *g, const uint8_t *bytes)
{
    assert_int_equal(ftruncate(g->fd, g->made.bytes), 0);
    assert_int_equal(pwrite(g->fd, bytes, (size_t)g->made.bytes, 0), g->made.bytes);
}

static long most_memory(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static uint64_t given_seed(void)
{
    const char *given = getenv("PVMM_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    return seed ? seed : 1;
}

static unsigned given_count(void)
{
    const char *given = getenv("PVMM_MUTATIONS");
    return given ? (unsigned)strtoul(given, NULL, 0) : MUTATIONS;
}

static void no_mutation_does_harm(void **state)
{
    (void)state;
    uint64_t seed = given_seed(), r = seed;
    unsigned opened = 0, partly = 0, all = given_count();
    print_message("PVMM_SEED=%llu\n", (unsigned long long)seed);
    for (unsigned way = 0; way < 2; way++) {
        struct guest g =
            guest_new((struct stream_options){.xl = way, .live = way, .holes = way, .batch = 9});
        uint8_t *bytes = malloc((size_t)g.made.bytes);
        assert_int_equal(pread(g.fd, bytes, (size_t)g.made.bytes, 0), g.made.bytes);
        for (unsigned i = 0; i < all / 2; i++) {
            struct pv_error e;
            mutate(&g, &r);
            struct pv_view *v = try(&g, &e);
            opened += v != NULL;
            partly += v && v->lost[0];
            if (v)
                pv_close(v);
            restore(&g, bytes);
        }
        free(bytes);
        guest_free(&g);
    }
    print_message("%u mutations: %u opened, %u of them partly; at most %ld MB\n", all, opened,
                  partly, most_memory() / 1024);
    assert_true(all < 100 || (opened > all / 4 && partly > all / 20 && opened < all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_before_the_end_is_read),
        cmocka_unit_test(a_cut_record_gives_its_whole_pages),
        cmocka_unit_test(wrong_headers_say_why),
        cmocka_unit_test(wrong_records_say_why),
        cmocka_unit_test(a_uuid_is_one),
        cmocka_unit_test(unknown_records_are_refused_but_optional_ones),
        cmocka_unit_test(pages_without_content_are_no_content),
        cmocka_unit_test(claims_cost_no_memory),
        cmocka_unit_test(no_mutation_does_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
