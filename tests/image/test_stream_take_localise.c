/* SPDX-License-Identifier: MIT */
/* What names frames in a guest that was taken in names them by mfn afterwards; what names none that
 * is there is refused, with where it stands, and nothing is changed. */
#include "script.h"

#include <stdio.h>

static struct pv_taken *restore(const struct script *s, struct room *r, struct pv_take_start *now)
{
    struct pv_taken *t;
    struct pv_error e;
    if (script_restore(s, BY_FILE, r, &t, now, &e))
        fail_msg("%s", e.text);
    return t;
}

static uint64_t *words_of(struct room *r, const struct pv_taken *t, uint64_t p)
{
    return room_at(r, mfn(t->page[p].mfn));
}

/* ---- what is rewritten */

static void assert_table(const struct script *s, struct room *r, const struct pv_taken *t,
                         uint64_t p)
{
    const uint64_t *now = words_of(r, t, p);
    for (unsigned i = 0; i < 512; i++) {
        uint64_t was = script_get(s, script_content(s, p) + i * 8, 8);
        if (!pte_present(was)) {
            assert_int_equal(now[i], was);
            continue;
        }
        assert_int_equal(pte_frame(now[i]).n, t->page[pte_frame(was).n].mfn);
        assert_int_equal(now[i] & ~PTE_FRAME_MASK, was & ~PTE_FRAME_MASK);
    }
}

static void entries_of_tables_name_frames(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_take_start now;
    struct pv_taken *t = restore(s, r, &now);
    for (uint64_t p = P_L4; p <= P_USER_L4; p++)
        assert_table(s, r, t, p);
    const uint64_t untouched[] = {P_STORE, P_CONSOLE, P_GDT, P_PLAIN};
    for (unsigned i = 0; i < 4; i++)
        assert_memory_equal(words_of(r, t, untouched[i]),
                            s->bytes + script_content(s, untouched[i]), 4096);
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

static void the_guests_list_has_every_frame(void **state)
{
    (void)state;
    struct script *s = script_new(2, false);
    struct room *r = room_new(true);
    struct pv_take_start now;
    struct pv_taken *t = restore(s, r, &now);
    const uint64_t *list = words_of(r, t, P_LIST);
    for (uint64_t p = 0; p < P_END; p++)
        assert_int_equal(list[p], p == P_NONE ? ~0ull : t->page[p].mfn);
    for (uint64_t p = P_END; p < 512; p++) /* not the toolstack's */
        assert_int_equal(list[p], script_get(s, script_content(s, P_LIST) + p * 8, 8));
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

static void a_vcpu_names_frames(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_take_start now;
    vcpu_guest_context_t was, c;
    memcpy(&was, s->bytes + script_context(s, 0), sizeof(was));
    struct pv_taken *t = restore(s, r, &now);
    memcpy(&c, t->vcpu[0].context, sizeof(c));
    assert_int_equal(c.user_regs.rdx, t->page[P_START].mfn);
    assert_int_equal(c.ctrlreg[3], xen_pfn_to_cr3((uint64_t)t->page[P_L4].mfn));
    assert_int_equal(c.ctrlreg[1], xen_pfn_to_cr3((uint64_t)t->page[P_USER_L4].mfn));
    assert_int_equal(c.gdt_frames[0], t->page[P_GDT].mfn);
    assert_int_equal(c.flags, was.flags | VGCF_online);
    assert_int_equal(t->vcpu[0].kernel_root.n, t->page[P_L4].mfn);
    assert_int_equal(t->vcpu[0].user_root.n, t->page[P_USER_L4].mfn);
    c.user_regs.rdx = was.user_regs.rdx;
    memcpy(c.ctrlreg, was.ctrlreg, sizeof(c.ctrlreg));
    c.gdt_frames[0] = was.gdt_frames[0];
    c.flags = was.flags;
    assert_memory_equal(&c, &was, sizeof(c));
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

static void start_info_tells_of_the_new_machine(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_take_start now;
    struct pv_taken *t = restore(s, r, &now);
    const start_info_t *i = (const start_info_t *)words_of(r, t, P_START);
    assert_int_equal(now.start_info.n, P_START);
    assert_int_equal(now.store.n, P_STORE);
    assert_int_equal(now.console.n, P_CONSOLE);
    assert_int_equal(i->nr_pages, P_END);
    assert_int_equal(i->shared_info, 0x777000);
    assert_int_equal(i->flags, 0);
    assert_int_equal(i->store_mfn, t->page[P_STORE].mfn);
    assert_int_equal(i->store_evtchn, 1);
    assert_int_equal(i->console.domU.mfn, t->page[P_CONSOLE].mfn);
    assert_int_equal(i->console.domU.evtchn, 2);
    assert_int_equal(i->pt_base, 0x1111111111111111ull); /* and so on: as it was */
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

#define START(s, m) (script_content(s, P_START) + offsetof(start_info_t, m))

static void a_guest_without_a_store_keeps_none(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_take_start now;
    script_put(s, START(s, store_evtchn), 0, 4);
    script_put(s, START(s, store_mfn), 0x123456, 8);
    struct pv_taken *t = restore(s, r, &now);
    const start_info_t *i = (const start_info_t *)words_of(r, t, P_START);
    assert_int_equal(now.store.n, NO_PFN.n);
    assert_int_equal(i->store_mfn, 0x123456);
    assert_int_equal(i->store_evtchn, 0);
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

static void a_guest_in_its_kernel_has_no_second_root(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(false);
    struct pv_take_start now;
    script_put(s, script_context(s, offsetof(vcpu_guest_context_t, ctrlreg[1])), 0, 8);
    struct pv_taken *t = restore(s, r, &now);
    assert_int_equal(t->vcpu[0].user_root.n, NO_MFN.n);
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

/* ---- what is refused */

/* Taken in; not localised; all of memory is as it was. */
static void assert_refused(const struct script *s, const char *words)
{
    struct room *r = room_new(true);
    struct pv_taken *t;
    struct pv_error e;
    struct pv_take_start now = {.shared_info = mfn(0x777)};
    uint8_t *was = malloc(ROOM_FRAMES * 4096);
    uint8_t context[PV_CONTEXT_BYTES];
    if (script_take(s, BY_FILE, SCRIPT_OPTIONS, r, &t, &e))
        fail_msg("%s", e.text);
    memcpy(was, r->map, ROOM_FRAMES * 4096);
    memcpy(context, t->vcpu[0].context, sizeof(context));
    if (pv_take_localise(t, room_at, r, &now, &e) == 0)
        fail_msg("localised, though: %s", words);
    if (!strstr(e.text, words))
        fail_msg("\"%s\" does not say \"%s\"", e.text, words);
    assert_memory_equal(r->map, was, ROOM_FRAMES * 4096);
    assert_memory_equal(t->vcpu[0].context, context, sizeof(context));
    free(was);
    pv_taken_free(t);
    room_free(r);
}

static void assert_put_refused(struct script *s, size_t at, uint64_t value, size_t n,
                               const char *words)
{
    uint64_t was = script_get(s, at, n);
    script_put(s, at, value, n);
    assert_refused(s, words);
    script_put(s, at, was, n);
}

static void a_bad_entry_is_refused(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    const struct {
        uint64_t p;
        unsigned slot;
        uint64_t entry;
        const char *words;
    } bad[] = {
        {P_L1, 7, (uint64_t)P_END << 12 | 1, "pfn d is not below d"},
        {P_L1, 511, 0x000ffffffffff067, "pfn ffffffffff is not below d"},
        {P_L1, 7, (uint64_t)P_NONE << 12 | 1, "pfn b has no page in the stream"},
        {P_L2, 4, (uint64_t)P_PLAIN << 12 | 0xe7, "a superpage"},
        {P_L3, 0, 0x40000083, "a superpage"},
        {P_L4, 256, (uint64_t)P_L3 << 12 | 1, "the slot is the hypervisor's"},
        {P_USER_L4, 271, 0x10, "the slot is the hypervisor's"},
        {P_L3, 256, (uint64_t)P_END << 12 | 1, "is not below"},
        {P_USER_L4, 272, (uint64_t)P_END << 12 | 1, "is not below"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char words[128];
        const unsigned levels[P_END] = {
            [P_L4] = 4, [P_L3] = 3, [P_L2] = 2, [P_L1] = 1, [P_USER_L4] = 4};
        snprintf(words, sizeof(words),
                 "L%u at pfn %llx (record 5 (PAGE_DATA) at offset %zu), slot %u: %llx: ",
                 levels[bad[i].p], (unsigned long long)bad[i].p, script_content(s, bad[i].p),
                 bad[i].slot, (unsigned long long)bad[i].entry);
        size_t at = script_content(s, bad[i].p) + bad[i].slot * 8;
        assert_put_refused(s, at, bad[i].entry, 8, words);
        assert_put_refused(s, at, bad[i].entry, 8, bad[i].words);
    }
    script_free(s);
}

static void a_bad_vcpu_is_refused(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    const struct {
        size_t at;
        uint64_t value;
        const char *words;
    } bad[] = {
        {offsetof(vcpu_guest_context_t, gdt_ents), 7169, "its GDT has 7169 entries; at most 7168"},
        {offsetof(vcpu_guest_context_t, gdt_ents), ~0ull, "its GDT has 18446744073709551615"},
        {offsetof(vcpu_guest_context_t, gdt_ents), 513, "frame 1 of its GDT is pfn 5555, which"},
        {offsetof(vcpu_guest_context_t, gdt_frames), P_END, "frame 0 of its GDT is pfn d, which"},
        {offsetof(vcpu_guest_context_t, gdt_frames), P_NONE,
         "frame 0 of its GDT is pfn b, at which the stream has no page"},
        {offsetof(vcpu_guest_context_t, gdt_frames), P_L1,
         "frame 0 of its GDT is pfn 6, which came as a table of level 1, record 5 (PAGE_DATA)"},
        {offsetof(vcpu_guest_context_t, ctrlreg[3]), P_END << 12, "its cr3 is pfn d, which is not"},
        {offsetof(vcpu_guest_context_t, ctrlreg[3]), P_L3 << 12, "its cr3 is pfn 4, which came as"},
        {offsetof(vcpu_guest_context_t, ctrlreg[3]), P_GDT << 12,
         "its cr3 is pfn 9, which came as no table, record 5"},
        {offsetof(vcpu_guest_context_t, ctrlreg[1]), P_USER_L4 << 12, "its cr1 is 7000, without"},
        {offsetof(vcpu_guest_context_t, ctrlreg[1]), P_NONE << 12 | 1, "its cr1 is pfn b, at"},
        {offsetof(vcpu_guest_context_t, ctrlreg[1]), ~0ull, "its cr1 is pfn fffffffffffff, which"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_put_refused(s, script_context(s, bad[i].at), bad[i].value, 8, bad[i].words);
    assert_put_refused(s, script_context(s, offsetof(vcpu_guest_context_t, gdt_ents)), 7169, 8,
                       "vCPU 0: ");
    script_free(s);
}

static void a_bad_list_is_refused(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    size_t at = script_record(s, LIBXC_P2M_FRAMES, 0) + 16;
    assert_put_refused(s, at, P_END, 8, "page 0 of the p2m list is pfn d, which is not below d");
    assert_put_refused(s, at, ~0ull, 8, "page 0 of the p2m list is pfn ffffffffffffffff");
    assert_put_refused(s, at, P_NONE, 8, "page 0 of the p2m list is pfn b, at which");
    assert_put_refused(s, at, P_L4, 8, "page 0 of the p2m list is pfn 3, which came as a table");
    script_free(s);
}

static void a_page_is_in_the_list_once(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(true);
    struct pv_taken *t;
    struct pv_error e;
    struct pv_take_start now = {.shared_info = mfn(0x777)};
    const uint64_t again = P_LIST;
    size_t at = script_record(s, LIBXC_P2M_FRAMES, 0);
    script_insert(s, at + script_size(s, at), &again, 8);
    script_put(s, at + 4, 24, 4);
    script_put(s, at + 12, 600, 4);
    const struct pv_take_options o = {.max_pfns = 1000, .max_vcpus = 1};
    assert_int_equal(script_take(s, BY_FILE, &o, r, &t, &e), 0);
    assert_int_equal(t->p2m_frames, 2);
    assert_int_equal(pv_take_localise(t, room_at, r, &now, &e), -1);
    assert_string_equal(e.text, "page 1 of the p2m list is pfn 8, which is another page of it "
                                "already");
    pv_taken_free(t);
    room_free(r);
    script_free(s);
}

static void a_bad_start_info_is_refused(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    size_t rdx = script_context(s, offsetof(vcpu_guest_context_t, user_regs.rdx));
    assert_put_refused(s, rdx, P_END, 8, "start_info, by rdx of vCPU 0, is pfn d, which is not");
    assert_put_refused(s, rdx, 1ull << 32, 8, "start_info, by rdx of vCPU 0, is pfn 100000000");
    assert_put_refused(s, rdx, P_NONE, 8, "start_info, by rdx of vCPU 0, is pfn b, at which");
    assert_put_refused(s, rdx, P_L1, 8, "start_info, by rdx of vCPU 0, is pfn 6, which came as");
    assert_put_refused(s, rdx, P_PLAIN, 8, "pfn c, by rdx of vCPU 0, is no start_info");
    assert_put_refused(s, START(s, magic), 'y', 1, "pfn 0, by rdx of vCPU 0, is no start_info");
    assert_put_refused(s, START(s, store_mfn), P_END, 8, "the store's ring is pfn d, which is not");
    assert_put_refused(s, START(s, store_mfn), P_L2, 8, "the store's ring is pfn 5, which came as");
    assert_put_refused(s, START(s, console.domU.mfn), P_NONE, 8,
                       "the console's ring is pfn b, at which");
    assert_put_refused(s, START(s, console.domU.mfn), ~0ull, 8, "the console's ring is pfn ffff");
    assert_put_refused(s, START(s, console.domU.mfn), P_STORE, 8, "are not apart: pfns 0, 1, 1");
    assert_put_refused(s, START(s, store_mfn), P_START, 8, "are not apart: pfns 0, 2, 0");
    script_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_of_tables_name_frames),
        cmocka_unit_test(the_guests_list_has_every_frame),
        cmocka_unit_test(a_vcpu_names_frames),
        cmocka_unit_test(start_info_tells_of_the_new_machine),
        cmocka_unit_test(a_guest_without_a_store_keeps_none),
        cmocka_unit_test(a_guest_in_its_kernel_has_no_second_root),
        cmocka_unit_test(a_bad_entry_is_refused),
        cmocka_unit_test(a_bad_vcpu_is_refused),
        cmocka_unit_test(a_bad_list_is_refused),
        cmocka_unit_test(a_page_is_in_the_list_once),
        cmocka_unit_test(a_bad_start_info_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
