/* SPDX-License-Identifier: MIT */
/* Save streams as they are written: what was the guest's is in them, by pfn, and what does not
 * agree is refused by name. */
#include <pvmm/channel.h> /* before <xen/xen.h>, which has a macro of the name of a field */

#include "suspended.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "stream_layout.h"
#include "transfer.h"

#define FLAGS (PTE_PRESENT | PTE_ACCESSED | PTE_USER)

/* ---- all of it */

static void assert_saves(bool linear, uint64_t pages, const struct pv_save_options *o)
{
    struct suspended s = suspended_new(linear, pages);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    int fd = written(v, o, &saved);
    assert_same(&s, fd, &saved);
    pv_close(v);
    close(fd);
    suspended_free(&s);
}

static void a_stream_has_all_of_the_guest(void **state)
{
    (void)state;
    for (unsigned linear = 0; linear < 2; linear++) {
        assert_saves(linear, 0, NULL);
        assert_saves(linear, 5000, NULL);
        assert_saves(linear, 3000, &(struct pv_save_options){.of_xl = true});
        assert_saves(linear, 100, &(struct pv_save_options){.zstd = 1});
        assert_saves(linear, 3000, &(struct pv_save_options){.zstd = 3, .of_xl = true});
    }
}

/* ---- the order of records, the file around them */

static void records_come_in_libxc_s_order(void **state)
{
    (void)state;
    static const uint32_t order[] = {LIBXC_PV_INFO,     LIBXC_STATIC_DATA_END, LIBXC_P2M_FRAMES,
                                     LIBXC_PAGE_DATA,   LIBXC_PAGE_DATA,       LIBXC_TSC_INFO,
                                     LIBXC_SHARED_INFO, LIBXC_VCPU_BASIC,      LIBXC_VCPU_EXTENDED,
                                     LIBXC_END};
    static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'X', 'E',
                                   'N',  'F',  0,    0,    0,    3,    0,    0,    0,   0,
                                   0,    0,    0,    0,    1,    0,    0,    0,    12,  0,
                                   0,    0,    4,    0,    0,    0,    17,   0,    0,   0};
    struct suspended s = suspended_new(true, 1200);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    struct record_header h;
    struct tsc_info clock = {0};
    uint8_t begins[sizeof(head)];
    int fd = written(v, NULL, &saved);
    off_t at = sizeof(head);
    assert_int_equal(pread(fd, begins, sizeof(begins), 0), sizeof(begins));
    assert_memory_equal(begins, head, sizeof(head));
    for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++) {
        assert_int_equal(pread(fd, &h, sizeof(h), at), sizeof(h));
        assert_int_equal(h.type, order[i]);
        if (h.type == LIBXC_TSC_INFO)
            assert_int_equal(pread(fd, &clock, sizeof(clock), at + 8), sizeof(clock));
        at += (off_t)sizeof(h) + ((h.bytes + 7) & ~7u);
    }
    assert_int_equal(at, saved.bytes);
    assert_int_equal(clock.mode, 0);
    assert_int_equal(clock.khz, SUSPENDED_KHZ);
    assert_int_equal(clock.nsec, 123456789);
    pv_close(v);
    close(fd);
    suspended_free(&s);
}

static struct json_object *configuration(int fd)
{
    struct {
        struct save_header save;
        uint32_t bytes;
    } h;
    char text[4096];
    assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
    assert_int_equal(h.save.mandatory, 3);
    assert_true(h.bytes < sizeof(text) && h.save.optional_bytes == h.bytes + 4);
    assert_int_equal(pread(fd, text, h.bytes, sizeof(h)), h.bytes);
    assert_int_equal(strlen(text), h.bytes - 1);
    return json_tokener_parse(text);
}

static struct json_object *in(struct json_object *o, const char *a, const char *b)
{
    struct json_object *found = NULL;
    assert_true(json_object_object_get_ex(o, a, &found));
    assert_true(json_object_object_get_ex(found, b, &found));
    return found;
}

static void xl_s_file_says_what_domain_it_is(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 2000);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    char uuid[40] = "";
    for (unsigned i = 0; i < 2; i++) {
        const char *name = i ? "a \"name\"\n" : NULL;
        int fd = written(
            v, &(struct pv_save_options){.of_xl = true, .name = name, .max_memory = i << 30},
            &saved);
        struct json_object *o = configuration(fd);
        uint64_t has = saved.pages * 4;
        assert_non_null(o);
        assert_string_equal(json_object_get_string(in(o, "c_info", "type")), "pv");
        assert_string_equal(json_object_get_string(in(o, "c_info", "name")), i ? name : "guest");
        assert_int_equal(json_object_get_int64(in(o, "b_info", "target_memkb")), has);
        assert_int_equal(json_object_get_int64(in(o, "b_info", "max_memkb")), i ? 1 << 20 : has);
        assert_int_equal(json_object_get_int64(in(o, "b_info", "max_vcpus")), 1);
        assert_int_equal(json_object_array_length(in(o, "b_info", "avail_vcpus")), 1);
        assert_int_equal(strlen(json_object_get_string(in(o, "c_info", "uuid"))), 36);
        assert_string_not_equal(json_object_get_string(in(o, "c_info", "uuid")), uuid);
        snprintf(uuid, sizeof(uuid), "%s", json_object_get_string(in(o, "c_info", "uuid")));
        json_object_put(o);
        struct pv_view *w = read_back(fd);
        assert_string_equal(w->domain[0].uuid, uuid);
        pv_close(w);
        close(fd);
    }
    pv_close(v);
    suspended_free(&s);
}

/* ---- a stream goes through as it is */

static void assert_same_view(const struct pv_view *a, const struct pv_view *b)
{
    uint64_t p[512], q[512];
    pfn_t at = pfn(0);
    for (; (at = a->backend->next_pfn(a, at)).n != NO_PFN.n; at.n++) {
        struct pv_told t = {0}, u = {0};
        assert_int_equal(b->backend->next_pfn(b, at).n, at.n);
        bool there = a->backend->read(a, mfn(at.n), 0, p, sizeof(p));
        assert_int_equal(b->backend->read(b, mfn(at.n), 0, q, sizeof(q)), there);
        assert_int_equal(a->backend->told(a, mfn(at.n), &t), b->backend->told(b, mfn(at.n), &u));
        assert_true(t.level == u.level && t.pinned == u.pinned);
        if (there)
            assert_memory_equal(p, q, sizeof(p));
    }
    assert_int_equal(a->nr_pages, b->nr_pages);
    assert_memory_equal(a->vcpu[0].context, b->vcpu[0].context, PV_CONTEXT_BYTES);
    assert_memory_equal(&a->vcpu[0].extended, &b->vcpu[0].extended, sizeof(a->vcpu[0].extended));
    assert_int_equal(a->tsc_khz, b->tsc_khz);
}

static void a_stream_is_written_as_it_was(void **state)
{
    (void)state;
    struct suspended s = suspended_new(false, 1500);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved first, second;
    int fd = written(v, &(struct pv_save_options){.of_xl = true, .name = "through"}, &first);
    struct pv_view *w = read_back(fd);
    int again = written(w, &(struct pv_save_options){.of_xl = true}, &second);
    struct pv_view *x = read_back(again);
    assert_same_view(w, x);
    assert_string_equal(x->domain[0].name, "through");
    assert_string_equal(x->domain[0].uuid, w->domain[0].uuid);
    assert_int_equal(first.bytes, second.bytes);
    pv_close(x);
    pv_close(w);
    pv_close(v);
    close(fd);
    close(again);
    suspended_free(&s);
}

/* ---- what is refused */

/* Nothing is said to have been written, and the reason has these words. */
static void assert_refused(struct suspended *s, const char *why, bool at_once)
{
    struct pv_view *v = suspended_open(s);
    struct pv_saved saved;
    struct pv_error e = {""};
    struct stat st;
    int fd = scratch_file();
    if (write_to(v, fd, NULL, &saved, &e) == 0)
        fail_msg("not refused: %s", why);
    if (!strstr(e.text, why))
        fail_msg("\"%s\", not \"%s\"", e.text, why);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size == 0, at_once);
    pv_close(v);
    close(fd);
}

/* A word is another for the while. */
static void refused_with(struct suspended *s, uint64_t *word, uint64_t value, const char *why,
                         bool at_once)
{
    uint64_t was = *word;
    *word = value;
    assert_refused(s, why, at_once);
    *word = was;
}

static const char *text(const char *fmt, uint64_t a, uint64_t b, uint64_t c)
{
    static char to[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(to, sizeof(to), fmt, (unsigned long long)a, (unsigned long long)b,
             (unsigned long long)c);
#pragma GCC diagnostic pop
    return to;
}

static void p2m_and_m2p_must_agree(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 1000);
    uint64_t a = made_mfn(s.m, pfn(30)).n, b = made_mfn(s.m, pfn(31)).n;
    uint64_t *m2p = s.m->core.m2p;
    refused_with(&s, suspended_word(&s, 30), b,
                 text("pfn 1e, at which the guest's p2m has mfn %llx: m2p has it at pfn 1f, and so",
                      b, 0, 0),
                 true);
    refused_with(&s, &m2p[a], 31,
                 text("pfn 1e, at which the guest's p2m has mfn %llx: m2p has mfn %llx at pfn 1f, "
                      "where the guest's p2m has mfn %llx",
                      a, a, b),
                 true);
    refused_with(&s, &m2p[a], NO_PFN.n, text("m2p has mfn %llx at no pfn", a, 0, 0), true);
    refused_with(
        &s, &m2p[a], s.end,
        text("m2p has mfn %llx at pfn %llx, and the guest's p2m ends at %llx", a, s.end, s.end),
        true);
    refused_with(&s, suspended_word(&s, 30), 7, "mfn 7 is no page of the guest's", true);
    refused_with(&s, suspended_word(&s, 30), s.m->is.shared_mfn, "is no page of the guest's", true);
    refused_with(&s, suspended_word(&s, 30), 1ull << 50, "is no page of the guest's", true);
    suspended_free(&s);
}

static void entries_are_named(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 1000);
    struct made *m = s.m;
    uint64_t *l1 = made_words(m, s.l1), *root = made_words(m, m->root);
    uint64_t *l3 = made_words(m, pte_frame(root[511])), *l2 = made_words(m, pte_frame(l3[510]));
    uint64_t table = m->core.m2p[s.l1.n], lost = made_mfn(m, pfn(40)).n;
    refused_with(&s, &l1[12], pte_make(mfn(7), FLAGS),
                 text("pfn %llx, an L1 table: slot 12, with 7025: mfn 7 is no page of the guest's",
                      table, 0, 0),
                 false);
    refused_with(&s, &l1[12], pte_make(mfn(m->is.shared_mfn), FLAGS), "slot 12", false);
    refused_with(&s, &l2[0], l2[0] | PTE_PSE, "an L2 table: slot 0", false);
    refused_with(&s, &l2[0], l2[0] | PTE_PSE, "a superpage", false);
    refused_with(&s, &l3[510], l3[510] | PTE_PSE, "an L3 table: slot 510", false);
    refused_with(&s, &root[0], pte_make(mfn(9), FLAGS), "an L4 table: slot 0", false);
    /* A frame that the guest's own list no longer has, but a table. */
    refused_with(&s, suspended_word(&s, 40), ~0ull,
                 text("slot 40, with %llx: m2p has mfn %llx at pfn 28, where the guest's p2m has "
                      "no frame",
                      l1[40], lost, 0),
                 false);
    refused_with(&s, suspended_word(&s, 40), lost | 1ull << 62, "has no frame", false);
    refused_with(&s, suspended_word(&s, 40), lost | 1ull << 63, "has no frame", false);
    suspended_free(&s);
}

static void what_the_vcpu_names_is_checked(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 0);
    vcpu_guest_context_t *c = made_context(s.m);
    uint64_t page = made_mfn(s.m, pfn(33)).n;
    refused_with(&s, &c->user_regs.rdx, 7, "rdx of vCPU 0, 7, is no page of the guest's", true);
    refused_with(&s, &c->user_regs.rdx, page, "does not begin as start_info", true);
    refused_with(&s, &c->ctrlreg[3], page << 12, "cr3: mfn", true);
    refused_with(&s, &c->ctrlreg[3], s.lone_l1.n << 12, "is no L4 table", true);
    refused_with(&s, &c->ctrlreg[3], s.m->is.shared_mfn << 12, "cr3: mfn", true);
    refused_with(&s, &c->ctrlreg[1], page << 12, "the user root: mfn", true);
    refused_with(&s, &c->gdt_frames[0], 3, "page 0 of the GDT: mfn 3 is no page", true);
    refused_with(&s, &c->gdt_frames[0], s.lone_l1.n, "is a page table", true);
    refused_with(&s, &c->gdt_ents, 7169, "a GDT of 7169 entries; there is room for 7168", true);
    suspended_free(&s);
}

static void the_list_itself_is_checked(void **state)
{
    (void)state;
    struct suspended s = suspended_new(false, 1000);
    struct arch_shared_info *a = &made_shared(s.m)->arch;
    uint64_t *middle = made_words(s.m, s.m->list_middle);
    refused_with(&s, &a->max_pfn, 0, "said to have 0 pfns", true);
    refused_with(&s, &a->max_pfn, ~0ull, "said to have ffffffffffffffff pfns", true);
    refused_with(&s, &a->pfn_to_mfn_frame_list_list, ~0ull, "publishes none", true);
    refused_with(&s, &a->pfn_to_mfn_frame_list_list, 0, "publishes none", true);
    refused_with(&s, &a->pfn_to_mfn_frame_list_list, 7, "the tree at mfn 7 leads to no page", true);
    refused_with(&s, &middle[1], ~0ull, "no page for pfn 200, and one for 400", true);
    refused_with(&s, &middle[1], 7, "no page for pfn 200, and one for 400", true);
    refused_with(&s, &middle[2], s.lone_l1.n, "the list's page for pfn 400 on", true);
    suspended_free(&s);
    s = suspended_new(true, 0);
    a = &made_shared(s.m)->arch;
    refused_with(&s, &a->p2m_vaddr, LIST_VA + 8, "where no page begins", true);
    refused_with(&s, &a->p2m_vaddr, LIST_VA + (1ull << 30), "leads to no page", true);
    refused_with(&s, &a->p2m_cr3, 7 << 12, "the root with mfn 7 leads to no page", true);
    suspended_free(&s);
}

static void what_cannot_be_saved_is_said(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 0);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    struct pv_error e;
    assert_int_equal(write_to(v, -1, &(struct pv_save_options){.zstd = 20}, &saved, &e), -1);
    assert_non_null(strstr(e.text, "no level 20"));
    assert_int_equal(write_to(v, -1, NULL, &saved, &e), -1);
    assert_non_null(strstr(e.text, "Bad file descriptor"));
    int fd = scratch_file();
    assert_int_equal(pv_dumpcore_write(v, fd, NULL, &e), 0);
    struct pv_view *core = read_back(fd);
    assert_int_equal(write_to(core, -1, NULL, &saved, &e), -1);
    assert_non_null(strstr(e.text, "has no m2p to compare"));
    v->vcpu[0].valid = false;
    assert_int_equal(write_to(v, -1, NULL, &saved, &e), -1);
    assert_non_null(strstr(e.text, "the state of vCPU 0 is not in the image"));
    pv_close(core);
    pv_close(v);
    close(fd);
    suspended_free(&s);
}

/* What is of before the guest went on is none of its state. */
static void a_guest_that_runs_is_not_saved(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 0);
    pv_close(suspended_open(&s));
    struct pvmm_mailbox *box = (struct pvmm_mailbox *)(s.m->map + 1 * MIB + 0x7000);
    box->hold = PVMM_HOLD_NONE;
    struct pv_view *v = read_back(s.m->fd);
    assert_false(v->vcpu[0].valid || v->vcpu[0].extended.there);
    pv_close(v);
    box->state = PVMM_STATE_ENDED;
    v = read_back(s.m->fd);
    assert_true(v->vcpu[0].valid && v->vcpu[0].extended.there);
    pv_close(v);
    suspended_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_has_all_of_the_guest),
        cmocka_unit_test(records_come_in_libxc_s_order),
        cmocka_unit_test(xl_s_file_says_what_domain_it_is),
        cmocka_unit_test(a_stream_is_written_as_it_was),
        cmocka_unit_test(p2m_and_m2p_must_agree),
        cmocka_unit_test(entries_are_named),
        cmocka_unit_test(what_the_vcpu_names_is_checked),
        cmocka_unit_test(the_list_itself_is_checked),
        cmocka_unit_test(what_cannot_be_saved_is_said),
        cmocka_unit_test(a_guest_that_runs_is_not_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
