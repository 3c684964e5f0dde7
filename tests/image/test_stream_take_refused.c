/* SPDX-License-Identifier: MIT */
/* Save streams with one thing wrong: each is refused, and the reason names the record by its
 * number, its type and where it is. */
#include "script.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "stream_parts.h"

#define NOWHERE_AT (~(size_t)0) /* the reason is no record's */

/* Through a file and through a pipe; what was read until then is freed. */
static void assert_refused_as(const struct script *s, const struct pv_take_options *o,
                              const char *prefix, const char *words)
{
    for (enum script_way way = BY_FILE; way <= BY_PIPE; way++) {
        struct room *r = room_new(false);
        struct pv_taken *t;
        struct pv_error e;
        if (script_take(s, way, o, r, &t, &e) == 0)
            fail_msg("taken in, though: %s", words);
        if (strncmp(e.text, prefix, strlen(prefix)))
            fail_msg("\"%s\" does not begin with \"%s\"", e.text, prefix);
        if (!strstr(e.text + strlen(prefix), words))
            fail_msg("\"%s\" does not say \"%s\"", e.text, words);
        pv_taken_free(t);
        room_free(r);
    }
}

static void assert_refused_at(const struct script *s, const struct pv_take_options *o, size_t at,
                              const char *words)
{
    char prefix[80] = "";
    if (at != NOWHERE_AT)
        snprintf(prefix, sizeof(prefix), "record %u (%s) at offset %zu: ", script_number(s, at),
                 stream_record_name((uint32_t)script_get(s, at, 4), true), at);
    assert_refused_as(s, o, prefix, words);
}

/* ---- a field that is wrong */

struct poke {
    uint32_t type; /* of the record; */
    size_t at;     /* from its header on */
    uint64_t value;
    size_t n;
    const char *words;
};

#define WORD(p)    (16 + (p)*8)
#define CONTEXT(m) (16 + offsetof(vcpu_guest_context_t, m))

static const struct poke pokes[] = {
    /* lengths */
    {LIBXC_PV_INFO, 4, 9, 4, "its length is 9, not 8"},
    {LIBXC_PV_INFO, 4, 0, 4, "its length is 0, not 8"},
    {LIBXC_CPUID_POLICY, 4, 47, 4, "its length of 47 is no multiple of 24"},
    {LIBXC_CPUID_POLICY, 4, 70000, 4, "its length is 70000, not 0 to 65536"},
    {LIBXC_MSR_POLICY, 4, 31, 4, "its length of 31 is no multiple of 16"},
    {LIBXC_STATIC_DATA_END, 4, 1, 4, "its length is 1, not 0"},
    {LIBXC_P2M_FRAMES, 4, 15, 4, "its length is 15, not 8 and 8 for each page"},
    {LIBXC_P2M_FRAMES, 4, 4, 4, "its length is 4, not 8 and 8 for each page"},
    {LIBXC_PAGE_DATA, 4, 7, 4, "its length of 7 is too short to tell a count"},
    {LIBXC_PAGE_DATA, 4, 16, 4, "its length of 16 is too short for the 13 pfns"},
    {LIBXC_PAGE_DATA, 4, 8 + P_END * 8 + 4096, 4, "13 pfns and 11 pages take 45168"},
    {LIBXC_PAGE_DATA, 4, 8 + P_END * 8 + 11 * 4096 + 1, 4, "its length is 45169; 13 pfns"},
    {LIBXC_PAGE_DATA, 4, 0xfffffff0, 4, "its length is 4294967280; the most is 134217728"},
    {LIBXC_TSC_INFO, 4, 23, 4, "its length is 23, not 24"},
    {LIBXC_SHARED_INFO, 4, 4095, 4, "its length is 4095, not 4096"},
    {LIBXC_VCPU_BASIC, 4, 5175, 4, "its length is 5175, not 5176"},
    {LIBXC_VCPU_BASIC, 4, 8 + 2800, 4, "its length is 2808, not 5176"},
    {LIBXC_VCPU_EXTENDED, 4, 7, 4, "its length is 7, not 8 to 136"},
    {LIBXC_VCPU_EXTENDED, 4, 8 + 31, 4, "its content is 31 bytes, not 32 to 128"},
    {LIBXC_END, 4, 8, 4, "its length is 8, not 0"},
    /* what the guest is */
    {LIBXC_PV_INFO, 8, 0x304, 2, "a guest of 32 bits; 64 are needed"},
    {LIBXC_PV_INFO, 8, 0x308, 2, "words of 8 bytes with 3 levels"},
    {LIBXC_P2M_FRAMES, 8, 1, 4, "its first pfn is 1, not 0"},
    {LIBXC_P2M_FRAMES, 12, 512, 4, "the guest has pfns up to 200; there is room for 40 of them"},
    {LIBXC_P2M_FRAMES, 12, 0xffffffff, 4, "the guest has pfns up to ffffffff"},
    {LIBXC_TSC_INFO, 8, 3, 4, "mode 3 is not known"},
    /* lists of pages */
    {LIBXC_PAGE_DATA, 8, 0, 4, "it lists 0 pfns, not 1 to 1024"},
    {LIBXC_PAGE_DATA, 8, 1025, 4, "it lists 1025 pfns, not 1 to 1024"},
    {LIBXC_PAGE_DATA, WORD(2), P_END, 8, "pfn d is not below d"},
    {LIBXC_PAGE_DATA, WORD(2), (1ull << 52) - 1, 8, "pfn fffffffffffff is not below d"},
    {LIBXC_PAGE_DATA, WORD(2), 1, 8, "pfn 1 comes twice"},
    {LIBXC_PAGE_DATA, WORD(P_NONE), PAGE_DATA_WORD(PAGE_NONE, P_PLAIN), 8, "pfn c comes twice"},
    {LIBXC_PAGE_DATA, WORD(2), PAGE_DATA_WORD(5, 2), 8, "pfn 2 is of type 5, which has no meaning"},
    {LIBXC_PAGE_DATA, WORD(2), PAGE_DATA_WORD(6, 2), 8, "pfn 2 is of type 6, which has no meaning"},
    {LIBXC_PAGE_DATA, WORD(2), PAGE_DATA_WORD(7, 2), 8, "pfn 2 is of type 7, which has no meaning"},
    {LIBXC_PAGE_DATA, WORD(2), PAGE_DATA_WORD(8, 2), 8, "pfn 2 is of type 8, which has no meaning"},
    {LIBXC_PAGE_DATA, WORD(2), PAGE_DATA_WORD(PAGE_BROKEN, 2), 8, "pfn 2 is marked as broken"},
    {LIBXC_PAGE_DATA, WORD(2), PAGE_DATA_WORD(PAGE_NONE, 2), 8, "13 pfns and 10 pages take"},
    {LIBXC_PAGE_DATA, WORD(P_NONE), P_NONE, 8, "13 pfns and 12 pages take"},
    /* vCPUs */
    {LIBXC_VCPU_BASIC, 8, 2, 4, "of vCPU 2; there is room for 2"},
    {LIBXC_VCPU_BASIC, 8, ~0ull, 4, "of vCPU 4294967295; there is room for 2"},
    {LIBXC_VCPU_BASIC, CONTEXT(ctrlreg[4]), 1 << 18, 8, "vCPU 0 uses XSAVE (bit OSXSAVE of cr4)"},
    {LIBXC_VCPU_BASIC, CONTEXT(ctrlreg[3]), 0, 8, "vCPU 0 has no cr3"},
    {LIBXC_VCPU_EXTENDED, 8, 2, 4, "of vCPU 2; there is room for 2"},
    {LIBXC_VCPU_EXTENDED, 16, 1, 4, "it says to be of vCPU 1 with 32 bytes; it is of 0 with 32"},
    {LIBXC_VCPU_EXTENDED, 20, 33, 4, "it says to be of vCPU 0 with 33 bytes"},
    {LIBXC_VCPU_EXTENDED, 20, 31, 4, "it says to be of vCPU 0 with 31 bytes"},
    /* records of another kind */
    {LIBXC_MSR_POLICY, 0, LIBXC_CPUID_POLICY, 4, "it came already"},
    {LIBXC_CPUID_POLICY, 0, 19, 4, "type 13 is not known"},
    {LIBXC_CPUID_POLICY, 0, 0x7fffffff, 4, "type 7fffffff is not known"},
    {LIBXC_TSC_INFO, 0, LIBXC_HVM_CONTEXT, 4, "a PV guest has none"},
    {LIBXC_TSC_INFO, 0, LIBXC_HVM_PARAMS, 4, "a PV guest has none"},
    {LIBXC_TSC_INFO, 0, LIBXC_TOOLSTACK, 4, "the format has it no more"},
    {LIBXC_TSC_INFO, 0, LIBXC_VERIFY, 4, "a stream of `xl migrate --debug`"},
    {LIBXC_TSC_INFO, 0, LIBXC_CHECKPOINT, 4, "checkpoints of a running guest (Remus, COLO)"},
    {LIBXC_TSC_INFO, 0, LIBXC_DIRTY_PFNS, 4, "checkpoints of a running guest (Remus, COLO)"},
};

static void a_wrong_field_is_refused(void **state)
{
    (void)state;
    for (unsigned xl = 0; xl < 2; xl++)
        for (size_t i = 0; i < sizeof(pokes) / sizeof(*pokes); i++) {
            struct script *s = script_new(3, xl);
            size_t at = script_record(s, pokes[i].type, 0);
            script_put(s, at + pokes[i].at, pokes[i].value, pokes[i].n);
            assert_refused_at(s, SCRIPT_OPTIONS, at, pokes[i].words);
            script_free(s);
        }
}

/* ---- headers */

static void wrong_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
        size_t n;
        const char *words;
    } inner[] =
        {
            {0, 0xfffffffffffffffe, 8, ""},
            {8, 0x12345678, 4, "no libxc stream at offset"},
            {12, 0x01000000, 4, "a libxc stream of version 1; known are 2 and 3"},
            {12, 0x04000000, 4, "a libxc stream of version 4; known are 2 and 3"},
            {16, 0x0100, 2, "a big-endian libxc stream"},
            {16, 0x0200, 2, "a libxc stream with options 2, which are not known"},
            {24, LIBXC_HVM, 4, "of an HVM guest, not of a PV one"},
            {24, 3, 4, "of a guest of type 3, not of a PV one"},
            {28, 21, 2, "pages of 2^21 bytes"},
        },
      outer[] = {
          {0, 'Y', 1, "not a save stream"},
          {20, 'y', 1, "it begins like xl's header, and is none"},
          {32, 0x04030201, 4, "of another byte order"},
          {36, 7, 4, "mandatory flags 7"},
          {36, 1, 4, "saved by Xen 4.5 or older"},
          {44, 300000, 4, "xl's header is followed by 300000 bytes of configuration"},
          {48, 100000, 4, "does not fit in the"},
          {52, 'x', 1, "is no JSON"},
      };
    for (unsigned xl = 0; xl < 2; xl++)
        for (size_t i = 0; i < sizeof(inner) / sizeof(*inner); i++) {
            struct script *s = script_new(3, xl);
            script_put(s, script_libxc(s) + inner[i].at, inner[i].value, inner[i].n);
            assert_refused_as(s, SCRIPT_OPTIONS, "", inner[i].words);
            script_free(s);
        }
    for (size_t i = 0; i < sizeof(outer) / sizeof(*outer); i++) {
        struct script *s = script_new(3, true);
        script_put(s, outer[i].at, outer[i].value, outer[i].n);
        assert_refused_as(s, SCRIPT_OPTIONS, "", outer[i].words);
        script_free(s);
    }
}

static void assert_libxl_refused(size_t from_context, uint64_t value, size_t n, const char *words)
{
    struct script *s = script_new(3, true);
    script_put(s, script_libxc(s) - 8 - 16 + from_context, value, n);
    assert_refused_as(s, SCRIPT_OPTIONS, "", words);
    script_free(s);
}

static void wrong_records_of_libxls_are_refused(void **state)
{
    (void)state;
    assert_libxl_refused(0, 'l', 1, "no libxl stream at offset");
    assert_libxl_refused(8, 0x03000000, 4, "a libxl stream of version 3; known is 2");
    assert_libxl_refused(12, 0x01000000, 4, "a big-endian libxl stream");
    assert_libxl_refused(12, 0x02000000, 4, "a libxl stream with options 2");
    assert_libxl_refused(16, LIBXL_END, 4, "record 0 (END) of libxl's at offset");
    assert_libxl_refused(16, LIBXL_END, 4, "no LIBXC_CONTEXT came before it");
    assert_libxl_refused(16, LIBXL_EMULATOR_XENSTORE, 4, "a PV guest has none");
    assert_libxl_refused(16, LIBXL_EMULATOR_CONTEXT, 4,
                         "record 0 (EMULATOR_CONTEXT) of libxl's at offset");
    assert_libxl_refused(16, LIBXL_CHECKPOINT_END, 4, "checkpoints of a running guest");
    assert_libxl_refused(16, LIBXL_CHECKPOINT_STATE, 4, "checkpoints of a running guest");
    assert_libxl_refused(16, 77, 4, "type 4d is not known");
    assert_libxl_refused(20, 8, 4, "its length is 8, not 0");
    struct script *s = script_new(3, true);
    script_put(s, script_libxl_end(s), LIBXL_CONTEXT, 4);
    assert_refused_as(s, SCRIPT_OPTIONS, "record 1 (LIBXC_CONTEXT) of libxl's", "it came already");
    script_put(s, script_libxl_end(s), LIBXL_END, 4);
    script_put(s, script_libxl_end(s) + 4, 8, 4);
    assert_refused_as(s, SCRIPT_OPTIONS, "record 1 (END) of libxl's", "its length is 8, not 0");
    script_free(s);
}

/* ---- records that are not where they should be */

static void assert_without(unsigned version, uint32_t type, uint32_t blamed, const char *words)
{
    struct script *s = script_new(version, true);
    size_t at = script_record(s, type, 0);
    script_cut(s, at, script_size(s, at));
    assert_refused_at(s, SCRIPT_OPTIONS, script_record(s, blamed, 0), words);
    script_free(s);
}

static void a_missing_record_is_missed(void **state)
{
    (void)state;
    assert_without(3, LIBXC_PV_INFO, LIBXC_STATIC_DATA_END, "X86_PV_INFO comes before it");
    assert_without(2, LIBXC_PV_INFO, LIBXC_P2M_FRAMES, "X86_PV_INFO comes before it");
    assert_without(3, LIBXC_STATIC_DATA_END, LIBXC_P2M_FRAMES, "STATIC_DATA_END comes before it");
    assert_without(3, LIBXC_P2M_FRAMES, LIBXC_PAGE_DATA, "X86_PV_P2M_FRAMES comes before it");
    assert_without(2, LIBXC_P2M_FRAMES, LIBXC_PAGE_DATA, "X86_PV_P2M_FRAMES comes before it");
    assert_without(3, LIBXC_PAGE_DATA, LIBXC_TSC_INFO, "PAGE_DATA comes before it");
    assert_without(3, LIBXC_SHARED_INFO, LIBXC_END, "no SHARED_INFO came before it");
    assert_without(3, LIBXC_VCPU_BASIC, LIBXC_END, "no X86_PV_VCPU_BASIC of vCPU 0 came before");
}

static void an_end_that_comes_first_is_refused(void **state)
{
    (void)state;
    struct script *s = script_new(3, false);
    size_t at = script_record(s, LIBXC_TSC_INFO, 0);
    script_cut(s, at, script_record(s, LIBXC_END, 0) - at);
    assert_refused_at(s, SCRIPT_OPTIONS, at, "out of order: PAGE_DATA comes before it");
    script_free(s);
    s = script_new(3, false);
    script_add(s, script_record(s, LIBXC_PV_INFO, 0), LIBXC_END, NULL, 0);
    assert_refused_at(s, SCRIPT_OPTIONS, script_record(s, LIBXC_END, 0), "out of order");
    script_free(s);
}

/* The record comes once more, before the first of another type. */
static void assert_twice(uint32_t type, uint32_t before, const char *words)
{
    struct script *s = script_new(3, true);
    size_t from = script_record(s, type, 0), at = script_record(s, before, 0);
    size_t n = script_size(s, from);
    uint8_t *copy = malloc(n);
    memcpy(copy, s->bytes + from, n);
    script_insert(s, at, copy, n);
    free(copy);
    assert_refused_at(s, SCRIPT_OPTIONS, script_record(s, type, 1), words);
    script_free(s);
}

static void what_comes_twice_is_refused(void **state)
{
    (void)state;
    assert_twice(LIBXC_PV_INFO, LIBXC_PAGE_DATA, "it came already");
    assert_twice(LIBXC_CPUID_POLICY, LIBXC_MSR_POLICY, "it came already");
    assert_twice(LIBXC_STATIC_DATA_END, LIBXC_PAGE_DATA, "it came already");
    assert_twice(LIBXC_P2M_FRAMES, LIBXC_PAGE_DATA, "it came already");
    assert_twice(LIBXC_SHARED_INFO, LIBXC_END, "it came already");
    assert_twice(LIBXC_TSC_INFO, LIBXC_END, "it came already");
    assert_twice(LIBXC_VCPU_BASIC, LIBXC_END, "that of vCPU 0 came already");
    assert_twice(LIBXC_VCPU_EXTENDED, LIBXC_END, "that of vCPU 0 came already");
    assert_twice(LIBXC_PAGE_DATA, LIBXC_TSC_INFO, "pfn 0 came already, in record 5");
}

static void what_comes_late_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        uint32_t before;
        const char *words;
    } late[] = {
        {LIBXC_CPUID_POLICY, LIBXC_P2M_FRAMES, "it cannot come behind STATIC_DATA_END"},
        {LIBXC_MSR_POLICY, LIBXC_TSC_INFO, "it cannot come behind PAGE_DATA"},
        {LIBXC_PAGE_DATA, LIBXC_SHARED_INFO, "it cannot come behind X86_TSC_INFO"},
        {LIBXC_PAGE_DATA, LIBXC_VCPU_BASIC, "it cannot come behind SHARED_INFO"},
        {LIBXC_PAGE_DATA, LIBXC_END, "it cannot come behind X86_PV_VCPU_EXTENDED"},
    };
    for (size_t i = 0; i < sizeof(late) / sizeof(*late); i++) {
        struct script *s = script_new(3, false);
        size_t from = script_record(s, late[i].type, 0), n = script_size(s, from);
        uint8_t *copy = malloc(n);
        memcpy(copy, s->bytes + from, n);
        size_t at = script_record(s, late[i].before, 0) - n;
        script_cut(s, from, n);
        script_insert(s, at, copy, n);
        if (late[i].type == LIBXC_PAGE_DATA) { /* it came before, of another pfn */
            struct {
                struct page_data h;
                uint64_t word;
            } r = {{.count = 1}, PAGE_DATA_WORD(PAGE_NONE, P_NONE)};
            script_add(s, from, LIBXC_PAGE_DATA, &r, sizeof(r));
        }
        free(copy);
        unsigned nth = late[i].type == LIBXC_PAGE_DATA;
        assert_refused_at(s, SCRIPT_OPTIONS, script_record(s, late[i].type, nth), late[i].words);
        script_free(s);
    }
}

static void version_2_has_no_static_data(void **state)
{
    (void)state;
    static const uint32_t types[] = {LIBXC_STATIC_DATA_END, LIBXC_CPUID_POLICY, LIBXC_MSR_POLICY};
    for (size_t i = 0; i < 3; i++) {
        struct script *s = script_new(2, false);
        script_add(s, script_record(s, LIBXC_PV_INFO, 0), types[i], NULL, 0);
        assert_refused_at(s, SCRIPT_OPTIONS, script_record(s, types[i], 0),
                          "streams of version 2 have none");
        script_free(s);
    }
}

/* ---- vCPUs' further state */

static void assert_vcpu_refused(uint32_t type, const void *body, uint32_t n, const char *words)
{
    struct script *s = script_new(3, true);
    script_add(s, script_record(s, LIBXC_END, 0), type, body, n);
    assert_refused_at(s, SCRIPT_OPTIONS, script_record(s, type, 0), words);
    script_free(s);
}

static void state_that_would_be_lost_is_refused(void **state)
{
    (void)state;
    const uint64_t avx[] = {0, 7, 7}, was_avx[] = {0, 3, 7};
    const uint64_t msr[] = {0, 0x48, 0, 0xc0000103, 0x33};
    assert_vcpu_refused(LIBXC_VCPU_XSAVE, avx, sizeof(avx), "vCPU 0 uses XSAVE (xcr0 7, ever 7)");
    assert_vcpu_refused(LIBXC_VCPU_XSAVE, was_avx, sizeof(avx),
                        "vCPU 0 uses XSAVE (xcr0 3, ever 7)");
    assert_vcpu_refused(LIBXC_VCPU_XSAVE, avx, 16, "its content is 8 bytes, fewer than 16");
    assert_vcpu_refused(LIBXC_VCPU_MSRS, msr, sizeof(msr),
                        "MSR c0000103 of vCPU 0 is 33, which is not kept");
    assert_vcpu_refused(LIBXC_VCPU_MSRS, msr, 16, "its content is 8 bytes, no multiple of 16");
    assert_vcpu_refused(LIBXC_VCPU_MSRS, msr, 4, "its length is 4, not 8 to 65536");
}

static void a_vcpu_without_a_context_is_refused(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    script_put(s, script_record(s, LIBXC_VCPU_EXTENDED, 0) + 8, 1, 4);
    script_put(s, script_record(s, LIBXC_VCPU_EXTENDED, 0) + 16, 1, 4);
    assert_refused_at(s, SCRIPT_OPTIONS, script_record(s, LIBXC_END, 0),
                      "no X86_PV_VCPU_BASIC of vCPU 1 came before it");
    script_free(s);
}

/* ---- around it */

static void what_follows_the_end_is_refused_of_files(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * SCRIPT_WAYS; i++) {
        struct script *s = script_new(3, i & 1);
        struct room *r = room_new(false);
        struct pv_taken *t;
        struct pv_error e;
        char words[64];
        enum script_way way = i / 2;
        snprintf(words, sizeof(words), "something follows the record END, at offset %zu", s->n);
        script_insert(s, s->n, "", 1);
        int rc = script_take(s, way, SCRIPT_OPTIONS, r, &t, &e);
        bool pipe = way == BY_PIPE || way == BY_ZSTD_PIPE;
        assert_int_equal(rc, pipe ? 0 : -1);
        if (!pipe)
            assert_string_equal(e.text, words);
        pv_taken_free(t);
        room_free(r);
        script_free(s);
    }
}

static void room_that_is_not_enough_is_told(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_taken *t;
    struct pv_error e;
    r->most = 3;
    assert_int_equal(script_take(s, BY_FILE, SCRIPT_OPTIONS, r, &t, &e), -1);
    assert_non_null(strstr(e.text, "record 5 (PAGE_DATA) at offset"));
    assert_non_null(strstr(e.text, "no frame for pfn 3: all 3 frames are given"));
    pv_taken_free(t);
    room_free(r);
    assert_refused_at(s, &(struct pv_take_options){.max_pfns = P_END - 1, .max_vcpus = 1},
                      script_record(s, LIBXC_P2M_FRAMES, 0),
                      "the guest has pfns up to c; there is room for c of them");
    script_free(s);
}

static void damaged_packing_is_told(void **state)
{
    (void)state;
    static const struct {
        enum script_way way;
        const char *words;
    } ways[] = {{BY_ZSTD, "the zstd data is damaged"},
                {BY_GZIP, "the gzip data is damaged"},
                {BY_XZ, "the xz data is damaged"}};
    struct script *s = script_new(3, true);
    for (unsigned i = 0; i < 3; i++) {
        struct room *r = room_new(false);
        struct pv_taken *t;
        struct pv_error e;
        int fd = script_fd(s->bytes, s->n, ways[i].way);
        uint8_t junk[64];
        memset(junk, 0xff, sizeof(junk));
        assert_int_equal(pwrite(fd, junk, sizeof(junk), 600), sizeof(junk));
        assert_int_equal(pv_take(&t, fd, &room_ops, r, SCRIPT_OPTIONS, &e), -1);
        if (!strstr(e.text, ways[i].words))
            fail_msg("%s", e.text);
        pv_taken_free(t);
        room_free(r);
        close(fd);
    }
    script_free(s);
}

/* ---- without an end */

struct endless {
    const struct script *s;
    size_t from, n; /* what is said over and over */
    int fd;
};

static void *say_endlessly(void *context)
{
    const struct endless *w = context;
    if (write(w->fd, w->s->bytes, w->from) == (ssize_t)w->from)
        while (write(w->fd, w->s->bytes + w->from, w->n) == (ssize_t)w->n)
            ;
    close(w->fd);
    return NULL;
}

static void assert_ends(const struct script *s, size_t from, const struct pv_take_options *o,
                        const char *words)
{
    struct room *r = room_new(false);
    struct pv_taken *t;
    struct pv_error e;
    pthread_t writer;
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    struct endless w = {s, from, script_size(s, from), fd[1]};
    assert_int_equal(pthread_create(&writer, NULL, say_endlessly, &w), 0);
    assert_int_equal(pv_take(&t, fd[0], &room_ops, r, o, &e), -1);
    if (!strstr(e.text, words))
        fail_msg("\"%s\" does not say \"%s\"", e.text, words);
    close(fd[0]);
    pthread_join(writer, NULL);
    pv_taken_free(t);
    room_free(r);
}

static void an_endless_pipe_is_refused(void **state)
{
    (void)state;
    static const uint8_t much[512 << 10];
    struct pv_take_options live = *SCRIPT_OPTIONS;
    live.live = true;
    struct script *s = script_new(3, true);
    assert_ends(s, script_record(s, LIBXC_PAGE_DATA, 0), &live,
                "pages came, of d pfns: there is no end of them");
    size_t at = script_record(s, LIBXC_TSC_INFO, 0);
    script_add(s, at, RECORD_OPTIONAL | 5, NULL, 0);
    assert_ends(s, at, SCRIPT_OPTIONS, "more than 1024 optional records");
    script_cut(s, at, 8);
    script_add(s, at, RECORD_OPTIONAL | 5, much, sizeof(much));
    assert_ends(s, at, SCRIPT_OPTIONS, "or than 16777216 bytes of them");
    script_free(s);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(250);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_field_is_refused),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(wrong_records_of_libxls_are_refused),
        cmocka_unit_test(a_missing_record_is_missed),
        cmocka_unit_test(an_end_that_comes_first_is_refused),
        cmocka_unit_test(what_comes_twice_is_refused),
        cmocka_unit_test(what_comes_late_is_refused),
        cmocka_unit_test(version_2_has_no_static_data),
        cmocka_unit_test(state_that_would_be_lost_is_refused),
        cmocka_unit_test(a_vcpu_without_a_context_is_refused),
        cmocka_unit_test(what_follows_the_end_is_refused_of_files),
        cmocka_unit_test(room_that_is_not_enough_is_told),
        cmocka_unit_test(damaged_packing_is_told),
        cmocka_unit_test(an_endless_pipe_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
