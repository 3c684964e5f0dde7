/* SPDX-License-Identifier: MIT */
/* A whole save stream is taken in as it is, whichever way it comes; and what is in it finds its
 * frames. */
#include "script.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define LIVE (&(struct pv_take_options){.max_pfns = ROOM_FRAMES, .max_vcpus = 2, .live = true})

static const uint64_t *page_of(struct room *r, const struct pv_taken *t, uint64_t p)
{
    return room_at(r, mfn(t->page[p].mfn));
}

static void assert_content(const struct script *s, struct room *r, const struct pv_taken *t,
                           uint64_t p)
{
    assert_memory_equal(page_of(r, t, p), s->bytes + script_content(s, p), 4096);
    assert_int_equal(t->page[p].offset, script_content(s, p));
    assert_int_equal(t->page[p].record, script_number(s, script_record(s, LIBXC_PAGE_DATA, 0)));
}

static void assert_pages(const struct script *s, struct room *r, const struct pv_taken *t)
{
    static const uint8_t zeroes[4096];
    static const struct {
        uint8_t level;
        bool pinned;
    } tables[P_END] = {[P_L4] = {4, true},
                       [P_L3] = {3, false},
                       [P_L2] = {2, false},
                       [P_L1] = {1, true},
                       [P_USER_L4] = {4, true}};
    for (uint64_t p = 0; p < P_END; p++) {
        assert_int_equal(t->page[p].level, tables[p].level);
        assert_int_equal(t->page[p].pinned, tables[p].pinned);
        if (p == P_NONE)
            assert_int_equal(t->page[p].mfn, ~0u);
        else if (p == P_ALLOCATED)
            assert_memory_equal(page_of(r, t, p), zeroes, 4096);
        else
            assert_content(s, r, t, p);
    }
    assert_int_equal(t->pages, P_PAGES);
    assert_int_equal(t->tables, 5);
    assert_int_equal(r->given, P_PAGES);
}

static void assert_state(const struct script *s, const struct pv_taken *t)
{
    assert_int_equal(t->width, 8);
    assert_int_equal(t->end_pfn, P_END);
    assert_int_equal(t->p2m_frames, 1);
    assert_int_equal(t->p2m_pfn[0], P_LIST);
    assert_int_equal(t->xen_major, 4);
    assert_int_equal(t->xen_minor, 17);
    assert_int_equal(t->tsc_khz, 2596146);
    assert_int_equal(t->nr_vcpus, 1);
    assert_int_equal(t->vcpu[0].rip, 0xffffffff81000000ull);
    assert_int_equal(t->vcpu[0].kernel_root.n, P_L4);
    assert_memory_equal(t->vcpu[0].context, s->bytes + script_context(s, 0), PV_CONTEXT_BYTES);
    assert_true(t->vcpu[0].extended.there);
    assert_int_equal(t->vcpu[0].extended.syscall32_eip, 0xffffffff81000123ull);
    assert_int_equal(t->vcpu[0].extended.sysenter_cs, 0xe033);
    assert_true(t->vcpu[0].extended.sysenter_disables_events);
    assert_false(t->vcpu[0].extended.syscall32_disables_events);
    assert_memory_equal(t->shared_info, s->bytes + script_record(s, LIBXC_SHARED_INFO, 0) + 8,
                        4096);
    assert_int_equal(t->bytes, s->n);
}

static void assert_told(const struct script *s, const struct pv_taken *t)
{
    assert_int_equal(t->of_xl, s->xl);
    assert_string_equal(t->name, s->xl ? "small" : "");
    assert_string_equal(t->uuid, s->xl ? "6e1d5070-dd22-482f-9fe5-5d51de59dedb" : "");
    assert_int_equal(t->max_memory, s->xl ? 2048 << 10 : 0);
    assert_int_equal(t->records, s->version == 3 ? 11 : 8);
}

static void it_comes_whole_by_every_way(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SCRIPT_WAYS * 8; i++) {
        struct script *s = script_new(i & 1 ? 3 : 2, i & 2);
        struct room *r = room_new(i & 4);
        struct pv_taken *t;
        struct pv_error e;
        if (script_take(s, i / 8, SCRIPT_OPTIONS, r, &t, &e))
            fail_msg("%s", e.text);
        assert_pages(s, r, t);
        assert_state(s, t);
        assert_told(s, t);
        pv_taken_free(t);
        room_free(r);
        script_free(s);
    }
}

static void a_page_tells_where_it_came_from(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_taken *t;
    struct pv_error e;
    struct pv_place place;
    char expected[64];
    assert_int_equal(script_take(s, BY_FILE, SCRIPT_OPTIONS, r, &t, &e), 0);
    assert_true(pv_taken_place(t, pfn(P_GDT), &place));
    assert_int_equal(place.offset, script_content(s, P_GDT));
    snprintf(expected, sizeof(expected), "record 5 (PAGE_DATA) at offset %zu",
             script_content(s, P_GDT));
    assert_string_equal(place.record, expected);
    assert_true(pv_taken_place(t, pfn(P_ALLOCATED), &place));
    assert_int_equal(place.offset, 0);
    assert_false(pv_taken_place(t, pfn(P_NONE), &place));
    assert_false(pv_taken_place(t, pfn(P_END), &place));
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

/* Optional records, records without content, policies that are left out, an idle XSAVE. */
static void what_has_no_say_is_passed_over(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_taken *t;
    struct pv_error e;
    static const uint8_t xsave[8 + 16 + 576] = {[8] = 3, [16] = 3}, msrs[8 + 16] = {[8] = 0x48};
    size_t end = script_record(s, LIBXC_END, 0);
    script_add(s, end, LIBXC_VCPU_XSAVE, xsave, sizeof(xsave));
    script_add(s, end, LIBXC_VCPU_MSRS, msrs, sizeof(msrs));
    script_add(s, script_libxl_end(s), RECORD_OPTIONAL | 9, "more", 4);
    script_add(s, script_record(s, LIBXC_PAGE_DATA, 0), RECORD_OPTIONAL | 1, "whatever", 7);
    script_add(s, script_record(s, LIBXC_PV_INFO, 0), RECORD_OPTIONAL | 0x12345, NULL, 0);
    size_t at = script_record(s, LIBXC_CPUID_POLICY, 0);
    script_cut(s, at, script_size(s, at));
    if (script_take(s, BY_FILE, SCRIPT_OPTIONS, r, &t, &e))
        fail_msg("%s", e.text);
    assert_pages(s, r, t);
    assert_state(s, t);
    pv_taken_free(t);
    at = script_record(s, LIBXC_VCPU_EXTENDED, 0); /* without content: of Xen 4.6 */
    script_cut(s, at + 16, sizeof(struct extended_context));
    script_put(s, at + 4, 8, 4);
    if (script_take(s, BY_FILE, SCRIPT_OPTIONS, r, &t, &e))
        fail_msg("%s", e.text);
    assert_false(t->vcpu[0].extended.there);
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

/* ---- while the guest runs */

static void add_pages(struct script *s, unsigned type, uint64_t p, uint8_t fill)
{
    struct {
        struct page_data h;
        uint64_t word;
        uint8_t page[4096];
    } r = {.h.count = 1, .word = PAGE_DATA_WORD(type, p)};
    memset(r.page, fill, sizeof(r.page));
    script_add(s, script_record(s, LIBXC_TSC_INFO, 0), LIBXC_PAGE_DATA, &r,
               type < PAGE_BROKEN ? sizeof(r) : 16);
}

static void the_last_of_a_page_counts(void **state)
{
    (void)state;
    struct script *s = script_new(3, false);
    struct room *r = room_new(true);
    struct pv_taken *t;
    struct pv_error e;
    add_pages(s, PAGE_PLAIN, P_PLAIN, 0x21); /* again */
    add_pages(s, PAGE_NONE, P_GDT, 0);       /* goes */
    add_pages(s, PAGE_PLAIN, P_NONE, 0x22);  /* comes */
    add_pages(s, PAGE_NONE, P_L3, 0);        /* goes and comes back, as no table */
    add_pages(s, PAGE_PLAIN, P_L3, 0x23);
    add_pages(s, PAGE_ALLOCATE, P_L2, 0);
    if (script_take(s, BY_PIPE, LIVE, r, &t, &e))
        fail_msg("%s", e.text);
    assert_int_equal(((uint8_t *)page_of(r, t, P_PLAIN))[4095], 0x21);
    assert_int_equal(((uint8_t *)page_of(r, t, P_NONE))[0], 0x22);
    assert_int_equal(((uint8_t *)page_of(r, t, P_L3))[0], 0x23);
    assert_int_equal(page_of(r, t, P_L2)[0], 0);
    assert_int_equal(t->page[P_L2].level, 0);
    assert_int_equal(t->page[P_L3].level, 0);
    assert_int_equal(t->page[P_GDT].mfn, ~0u);
    assert_int_equal(t->pages, P_PAGES);
    assert_int_equal(t->tables, 3);
    assert_int_equal(r->given, P_PAGES + 1);
    assert_content(s, r, t, P_START);
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

/* ---- pipes */

/* The writer neither writes more nor goes: nothing more is waited for. */
static void a_pipe_that_stays_open_is_left_behind_the_end(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_taken *t;
    struct pv_error e;
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_true(fcntl(fd[1], F_SETPIPE_SZ, 1 << 18) > 0);
    assert_int_equal(write(fd[1], s->bytes, s->n), s->n);
    alarm(60);
    if (pv_take(&t, fd[0], &room_ops, r, SCRIPT_OPTIONS, &e))
        fail_msg("%s", e.text);
    alarm(0);
    assert_pages(s, r, t);
    pv_taken_free(t);
    close(fd[0]);
    close(fd[1]);
    room_free(r);
    script_free(s);
}

struct trickle {
    const struct script *s;
    int fd;
};

static void *trickle(void *context)
{
    const struct trickle *w = context;
    for (size_t at = 0, n = 1; at < w->s->n; at += n, n = n % 997 + 1) {
        if (n > w->s->n - at)
            n = w->s->n - at;
        assert_int_equal(write(w->fd, w->s->bytes + at, n), n);
    }
    close(w->fd);
    return NULL;
}

static void a_slow_pipe_is_waited_for(void **state)
{
    (void)state;
    struct script *s = script_new(2, false);
    struct room *r = room_new(true);
    struct pv_taken *t;
    struct pv_error e;
    pthread_t writer;
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(fcntl(fd[1], F_SETFL, 0), 0);
    struct trickle w = {s, fd[1]};
    assert_int_equal(pthread_create(&writer, NULL, trickle, &w), 0);
    if (pv_take(&t, fd[0], &room_ops, r, SCRIPT_OPTIONS, &e))
        fail_msg("%s", e.text);
    assert_pages(s, r, t);
    pthread_join(writer, NULL);
    pv_taken_free(t);
    close(fd[0]);
    room_free(r);
    script_free(s);
}

static bool at_once(void *context, const char *doing, uint64_t done, uint64_t total)
{
    (void)context;
    (void)doing;
    (void)done;
    (void)total;
    return false;
}

static void a_wait_can_be_given_up(void **state)
{
    (void)state;
    struct room *r = room_new(true);
    struct pv_taken *t;
    struct pv_error e;
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(write(fd[1], "Xen sav", 7), 7);
    struct pv_take_options o = *SCRIPT_OPTIONS;
    o.progress.tell = at_once;
    assert_int_equal(pv_take(&t, fd[0], &room_ops, r, &o, &e), -1);
    assert_non_null(strstr(e.text, "stopped while taking in the guest"));
    pv_taken_free(t);
    close(fd[0]);
    close(fd[1]);
    room_free(r);
}

/* ---- one that real Xen wrote */

struct machine {
    uint8_t *memory;
    uint64_t frames, given;
};

static int machine_begin(void *context, const struct pv_taken *t, struct pv_error *e)
{
    struct machine *m = context;
    (void)e;
    m->memory = malloc(t->end_pfn * 4096);
    m->frames = t->end_pfn;
    return 0;
}

static int machine_frame(void *context, void **at, mfn_t *out, struct pv_error *e)
{
    struct machine *m = context;
    if (m->given == m->frames)
        return pv_fail(e, "no more");
    *at = m->memory + m->given * 4096;
    *out = mfn(0x40000 + m->given++);
    return 0;
}

static void *machine_at(void *context, mfn_t m)
{
    return ((struct machine *)context)->memory + (m.n - 0x40000) * 4096;
}

static int open_artifact(const char *name)
{
    char path[4096];
    const char *folder = getenv("PVMM_ARTIFACTS");
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "", name);
    int fd = folder ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        skip();
    return fd;
}

#define REAL (&(struct pv_take_options){.max_pfns = 1 << 16, .max_vcpus = 1})
static const struct pv_take_ops machine_ops = {machine_begin, machine_frame};

static void real_xens_is_taken_in(void **state)
{
    (void)state;
    struct machine m = {0};
    struct pv_taken *t;
    struct pv_error e;
    struct pv_take_start now = {.shared_info = mfn(5), .store_port = 1, .console_port = 2};
    int fd = open_artifact("pv2-ckpt.save.zst");
    if (pv_take(&t, fd, &machine_ops, &m, REAL, &e) ||
        pv_take_localise(t, machine_at, &m, &now, &e))
        fail_msg("%s", e.text);
    assert_string_equal(t->name, "pv2");
    assert_int_equal(t->max_memory, 128 << 20);
    assert_int_equal(t->pages, 32768);
    assert_int_equal(t->tables, 178);
    assert_int_equal(t->p2m_frames, 64);
    assert_int_equal(t->nr_vcpus, 1);
    assert_int_equal(t->bytes, 134492582);
    assert_int_equal(t->vcpu[0].kernel_root.n, t->page[0x2a10].mfn);
    assert_int_equal(now.start_info.n, 0x4a00);
    assert_int_equal(now.store.n, 0x4a01);
    assert_int_equal(now.console.n, 0x4a02);
    pv_taken_free(t);
    free(m.memory);
    close(fd);
}

static void real_xens_that_was_cut_is_not(void **state)
{
    (void)state;
    struct machine m = {0};
    struct pv_taken *t;
    struct pv_error e;
    int fd = open_artifact("pv2-paused.save.zst");
    assert_int_equal(pv_take(&t, fd, &machine_ops, &m, REAL, &e), -1);
    assert_non_null(strstr(e.text, "cut short in the header of record 5"));
    pv_taken_free(t);
    free(m.memory);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_whole_by_every_way),
        cmocka_unit_test(a_page_tells_where_it_came_from),
        cmocka_unit_test(what_has_no_say_is_passed_over),
        cmocka_unit_test(the_last_of_a_page_counts),
        cmocka_unit_test(a_pipe_that_stays_open_is_left_behind_the_end),
        cmocka_unit_test(a_slow_pipe_is_waited_for),
        cmocka_unit_test(a_wait_can_be_given_up),
        cmocka_unit_test(real_xens_is_taken_in),
        cmocka_unit_test(real_xens_that_was_cut_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
