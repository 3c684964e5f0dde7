/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <endian.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define FLAGS   (PTE_PRESENT | PTE_ACCESSED | PTE_USER)
#define PAT_BIT (1ull << 7)

static const char configuration[] =
    "{\n    \"c_info\": {\n        \"type\": \"pv\",\n        \"name\": \"small\",\n        "
    "\"uuid\": "
    "\"6e1d5070-dd22-482f-9fe5-5d51de59dedb\"\n    },\n    \"b_info\": {\n        \"max_memkb\": "
    "2048\n    }\n}\n";

/* ---- the guest's pages */

static void fill_start(start_info_t *s)
{
    memset(s, 0x11, sizeof(*s));
    snprintf(s->magic, sizeof(s->magic), "xen-3.0-x86_64");
    s->nr_pages = 99;
    s->shared_info = 0xdead000;
    s->flags = 0x77;
    s->store_mfn = P_STORE;
    s->store_evtchn = 31;
    s->console.domU.mfn = P_CONSOLE;
    s->console.domU.evtchn = 32;
}

static void fill_page(uint64_t p, uint64_t *words)
{
    for (unsigned i = 0; i < 512; i++)
        words[i] = p >= P_L4 && p <= P_USER_L4 ? 0 : 0x7700000000000000ull + p * 4096 + i;
    if (p == P_START)
        fill_start((start_info_t *)words);
    if (p == P_L4)
        words[511] = pte_make(mfn(P_L3), FLAGS | PTE_RW);
    if (p == P_L3)
        words[510] = pte_make(mfn(P_L2), FLAGS | PTE_RW | PTE_NX);
    if (p == P_L2)
        words[3] = pte_make(mfn(P_L1), FLAGS | PTE_RW);
    for (unsigned i = 0; p == P_L1 && i < P_END; i++)
        if (i != P_NONE)
            words[i] = pte_make(mfn(i), FLAGS | (i == P_PLAIN ? PTE_RW | PTE_NX : 0) |
                                            (i == P_ALLOCATED ? PAT_BIT : 0));
    if (p == P_L1)
        words[100] = 0xffffffffffffff00ull; /* not present: the guest's, whatever it is */
    if (p == P_USER_L4)
        words[0] = pte_make(mfn(P_L3), FLAGS | PTE_RW);
}

static unsigned type_of(uint64_t p)
{
    switch (p) {
    case P_L4:
    case P_USER_L4:
        return PAGE_PINNED | 4;
    case P_L3:
        return 3;
    case P_L2:
        return 2;
    case P_L1:
        return PAGE_PINNED | 1;
    case P_ALLOCATED:
        return PAGE_ALLOCATE;
    case P_NONE:
        return PAGE_NONE;
    default:
        return PAGE_PLAIN;
    }
}

/* ---- putting it together */

static void append(struct script *s, const void *from, size_t n)
{
    script_insert(s, s->n, from, n);
}

static void record(struct script *s, uint32_t type, const void *body, uint32_t n)
{
    script_add(s, s->n, type, body, n);
}

static void xl_headers(struct script *s)
{
    struct save_header h = {.byte_order = SAVE_BYTE_ORDER, .mandatory = SAVE_JSON | SAVE_STREAM_V2};
    struct libxl_header l = {.version = htobe32(LIBXL_VERSION)};
    uint32_t bytes = sizeof(configuration);
    memcpy(h.magic, SAVE_MAGIC, sizeof(h.magic));
    memcpy(l.id, LIBXL_ID, sizeof(l.id));
    h.optional_bytes = bytes + (uint32_t)sizeof(bytes);
    append(s, &h, sizeof(h));
    append(s, &bytes, sizeof(bytes));
    append(s, configuration, bytes);
    append(s, &l, sizeof(l));
    record(s, LIBXL_CONTEXT, NULL, 0);
}

static void libxc_headers(struct script *s)
{
    struct libxc_header h = {
        .marker = LIBXC_MARKER, .id = htobe32(LIBXC_ID), .version = htobe32(s->version)};
    struct domain_header d = {
        .type = LIBXC_PV, .page_shift = PAGE_SHIFT_4K, .xen_major = 4, .xen_minor = 17};
    append(s, &h, sizeof(h));
    append(s, &d, sizeof(d));
}

static void static_records(struct script *s)
{
    struct pv_info info = {.width = 8, .levels = 4};
    uint8_t policy[48] = {1};
    record(s, LIBXC_PV_INFO, &info, sizeof(info));
    if (s->version == 2)
        return;
    record(s, LIBXC_CPUID_POLICY, policy, 48);
    record(s, LIBXC_MSR_POLICY, policy, 32);
    record(s, LIBXC_STATIC_DATA_END, NULL, 0);
}

static void p2m_record(struct script *s)
{
    struct {
        struct p2m_frames h;
        uint64_t pfn;
    } r = {.h.end = P_END - 1, .pfn = P_LIST};
    record(s, LIBXC_P2M_FRAMES, &r, sizeof(r));
}

static void pages_record(struct script *s)
{
    static uint8_t body[8 + P_END * 8 + P_END * 4096];
    struct page_data h = {.count = P_END};
    size_t n = sizeof(h);
    memcpy(body, &h, sizeof(h));
    for (uint64_t p = 0; p < P_END; p++, n += 8)
        memcpy(body + n, &(uint64_t){PAGE_DATA_WORD(type_of(p), p)}, 8);
    for (uint64_t p = 0; p < P_END; p++) {
        uint64_t words[512];
        if (type_of(p) >= PAGE_BROKEN)
            continue;
        fill_page(p, words);
        memcpy(body + n, words, sizeof(words));
        n += sizeof(words);
    }
    record(s, LIBXC_PAGE_DATA, body, (uint32_t)n);
}

static void vcpu_records(struct script *s)
{
    struct {
        struct vcpu_record h;
        vcpu_guest_context_t c;
    } basic;
    struct {
        struct vcpu_record h;
        struct extended_context x;
    } extended = {.x = {.bytes = sizeof(struct extended_context),
                        .syscall32_eip = 0xffffffff81000123ull,
                        .sysenter_cs = 0xe033,
                        .sysenter_disables_events = 1}};
    memset(&basic, 0, sizeof(basic));
    basic.c.user_regs.rip = 0xffffffff81000000ull;
    basic.c.user_regs.rdx = P_START;
    basic.c.gdt_ents = 16;
    basic.c.gdt_frames[0] = P_GDT;
    basic.c.gdt_frames[1] = 0x5555; /* behind its end: of no meaning */
    basic.c.ctrlreg[3] = xen_pfn_to_cr3(P_L4);
    basic.c.ctrlreg[1] = xen_pfn_to_cr3(P_USER_L4) | 1;
    record(s, LIBXC_VCPU_BASIC, &basic, sizeof(basic));
    record(s, LIBXC_VCPU_EXTENDED, &extended, sizeof(extended));
}

static void state_records(struct script *s)
{
    struct tsc_info tsc = {.khz = 2596146};
    uint8_t shared[4096];
    for (unsigned i = 0; i < sizeof(shared); i++)
        shared[i] = (uint8_t)(i * 13);
    record(s, LIBXC_TSC_INFO, &tsc, sizeof(tsc));
    record(s, LIBXC_SHARED_INFO, shared, sizeof(shared));
    vcpu_records(s);
    record(s, LIBXC_END, NULL, 0);
}

struct script *script_new(unsigned version, bool xl)
{
    struct script *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->bytes = calloc(1, SCRIPT_BYTES);
    assert_non_null(s->bytes);
    s->version = version;
    s->xl = xl;
    if (xl)
        xl_headers(s);
    libxc_headers(s);
    static_records(s);
    p2m_record(s);
    pages_record(s);
    state_records(s);
    if (xl)
        record(s, LIBXL_END, NULL, 0);
    return s;
}

void script_free(struct script *s)
{
    free(s->bytes);
    free(s);
}

/* ---- finding */

uint64_t script_get(const struct script *s, size_t at, size_t n)
{
    uint64_t value = 0;
    assert_true(at + n <= s->n);
    memcpy(&value, s->bytes + at, n);
    return value;
}

size_t script_libxc(const struct script *s)
{
    return s->xl ? 48 + 4 + sizeof(configuration) + 16 + 8 : 0;
}

static size_t first_record(const struct script *s)
{
    return script_libxc(s) + sizeof(struct libxc_header) + sizeof(struct domain_header);
}

size_t script_size(const struct script *s, size_t at)
{
    return 8 + ((script_get(s, at + 4, 4) + 7) & ~7ull);
}

size_t script_record(const struct script *s, uint32_t type, unsigned nth)
{
    for (size_t at = first_record(s);; at += script_size(s, at)) {
        uint32_t is = (uint32_t)script_get(s, at, 4);
        if (is == type && nth-- == 0)
            return at;
        if (is == LIBXC_END)
            fail_msg("no record of type %u", type);
    }
}

unsigned script_number(const struct script *s, size_t at)
{
    unsigned number = 0;
    for (size_t i = first_record(s); i < at; i += script_size(s, i))
        number++;
    return number;
}

size_t script_libxl_end(const struct script *s)
{
    return script_record(s, LIBXC_END, 0) + 8;
}

size_t script_word(const struct script *s, uint64_t pfn)
{
    return script_record(s, LIBXC_PAGE_DATA, 0) + 16 + pfn * 8;
}

size_t script_content(const struct script *s, uint64_t pfn)
{
    size_t at = script_word(s, P_END);
    for (uint64_t p = 0; p < pfn; p++)
        at += type_of(p) < PAGE_BROKEN ? 4096 : 0;
    return at;
}

size_t script_context(const struct script *s, size_t offset)
{
    return script_record(s, LIBXC_VCPU_BASIC, 0) + 16 + offset;
}

/* ---- spoiling */

void script_put(struct script *s, size_t at, uint64_t value, size_t n)
{
    assert_true(at + n <= s->n);
    memcpy(s->bytes + at, &value, n);
}

void script_cut(struct script *s, size_t at, size_t n)
{
    assert_true(at + n <= s->n);
    memmove(s->bytes + at, s->bytes + at + n, s->n - at - n);
    s->n -= n;
}

void script_insert(struct script *s, size_t at, const void *from, size_t n)
{
    assert_true(at <= s->n && s->n + n <= SCRIPT_BYTES);
    memmove(s->bytes + at + n, s->bytes + at, s->n - at);
    if (n)
        memcpy(s->bytes + at, from, n);
    s->n += n;
}

void script_add(struct script *s, size_t at, uint32_t type, const void *body, uint32_t n)
{
    struct record_header h = {.type = type, .bytes = n};
    script_insert(s, at, &h, sizeof(h));
    script_insert(s, at + sizeof(h), body, n);
    script_insert(s, at + sizeof(h) + n, "padding", -n & 7);
}

/* ---- the other side */

static size_t slot_of(const struct room *r, uint64_t m)
{
    return r->together ? ROOM_FRAMES - 1 - (m - ROOM_MFN) : 2 * (m - ROOM_MFN) + 1;
}

struct room *room_new(bool together)
{
    struct room *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->together = together;
    r->most = ROOM_FRAMES;
    size_t slots = together ? ROOM_FRAMES : 2 * ROOM_FRAMES + 1;
    r->map = mmap(NULL, slots * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r->map, MAP_FAILED);
    memset(r->map, 0xee, slots * 4096);
    for (size_t i = 0; !together && i < slots; i += 2)
        assert_int_equal(mprotect(r->map + i * 4096, 4096, PROT_NONE), 0);
    return r;
}

void room_free(struct room *r)
{
    munmap(r->map, (r->together ? ROOM_FRAMES : 2 * ROOM_FRAMES + 1) * 4096);
    free(r);
}

void *room_at(void *room, mfn_t m)
{
    struct room *r = room;
    assert_true(m.n >= ROOM_MFN && m.n < ROOM_MFN + ROOM_FRAMES);
    return r->map + slot_of(r, m.n) * 4096;
}

static int room_begin(void *context, const struct pv_taken *t, struct pv_error *e)
{
    struct room *r = context;
    (void)e;
    assert_int_equal(r->begun++, 0);
    assert_int_equal(t->width, 8);
    r->end_pfn = t->end_pfn;
    return 0;
}

/* Mfns fall: of frames side by side addresses rise. */
static int room_frame(void *context, void **at, mfn_t *m, struct pv_error *e)
{
    struct room *r = context;
    assert_int_equal(r->begun, 1);
    if (r->given == r->most)
        return pv_fail(e, "all %u frames are given", r->most);
    *m = mfn(ROOM_MFN + ROOM_FRAMES - 1 - r->given++);
    *at = room_at(r, *m);
    return 0;
}

const struct pv_take_ops room_ops = {.begin = room_begin, .frame = room_frame};

static void write_all(int fd, const void *from, size_t n)
{
    assert_int_equal(write(fd, from, n), n);
}

static int pipe_of(const void *from, size_t n)
{
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_true(fcntl(fd[1], F_SETPIPE_SZ, 1 << 18) >= (int)n);
    write_all(fd[1], from, n);
    close(fd[1]);
    return fd[0];
}

static size_t gzip(uint8_t *to, size_t room, const void *from, size_t n)
{
    z_stream z = {.next_in = (void *)(uintptr_t)from,
                  .avail_in = (unsigned)n,
                  .next_out = to,
                  .avail_out = (unsigned)room};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static size_t pack(uint8_t *to, size_t room, const void *from, size_t n, enum script_way way)
{
    size_t out = 0;
    if (way == BY_GZIP)
        return gzip(to, room, from, n);
    if (way == BY_XZ) {
        assert_int_equal(
            lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, from, n, to, &out, room), LZMA_OK);
        return out;
    }
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1); /* as the command does */
    out = ZSTD_compress2(z, to, room, from, n);
    assert_false(ZSTD_isError(out));
    ZSTD_freeCCtx(z);
    return out;
}

int script_fd(const void *from, size_t n, enum script_way way)
{
    if (way == BY_PIPE)
        return pipe_of(from, n);
    size_t room = n + n / 8 + 4096;
    uint8_t *packed = way == BY_FILE ? NULL : malloc(room);
    if (packed) {
        n = pack(packed, room, from, n, way);
        from = packed;
    }
    int fd = way == BY_ZSTD_PIPE ? pipe_of(from, n) : memfd_create("stream", MFD_CLOEXEC);
    assert_true(fd >= 0);
    if (way != BY_ZSTD_PIPE) {
        write_all(fd, from, n);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    }
    free(packed);
    return fd;
}

/* One file for all of them, which is never closed: there are very many. */
static int same_file(const void *from, size_t n)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("stream", MFD_CLOEXEC);
    assert_int_equal(pwrite(fd, from, n, 0), n);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return dup(fd);
}

int script_take(const struct script *s, enum script_way way, const struct pv_take_options *o,
                struct room *r, struct pv_taken **t, struct pv_error *e)
{
    int fd = way == BY_FILE ? same_file(s->bytes, s->n) : script_fd(s->bytes, s->n, way);
    e->text[0] = 0;
    r->given = r->begun = 0;
    int rc = pv_take(t, fd, &room_ops, r, o, e);
    assert_true(rc == 0 || (rc == -1 && e->text[0]));
    close(fd);
    return rc;
}

int script_restore(const struct script *s, enum script_way way, struct room *r, struct pv_taken **t,
                   struct pv_take_start *now, struct pv_error *e)
{
    *now = (struct pv_take_start){.shared_info = mfn(0x777), .store_port = 1, .console_port = 2};
    if (script_take(s, way, SCRIPT_OPTIONS, r, t, e))
        return -1;
    int rc = pv_take_localise(*t, room_at, r, now, e);
    assert_true(rc == 0 || (rc == -1 && e->text[0]));
    return rc;
}
