/* SPDX-License-Identifier: MIT */
/* The file behind the memory of a machine with pvmm: found by its mailbox, and read as the live
 * machine is. */
#include <pvmm/channel.h> /* before <xen/xen.h>, which has a macro of the name of a field */

#include "made.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOX_AT (1 * MIB + 0x7000)

static struct pvmm_mailbox *box_of(struct made *m)
{
    return (struct pvmm_mailbox *)(m->map + BOX_AT);
}

static struct made *machine_new(unsigned low_mib, unsigned high_mib)
{
    struct made *m = made_new(low_mib, high_mib);
    struct pvmm_mailbox *box = box_of(m);
    m->is.start_info_pfn = 9;
    box->magic = PVMM_MAILBOX_MAGIC;
    box->version = PVMM_MAILBOX_VERSION;
    box->size = sizeof(*box);
    box->log_size = PVMM_LOG_SIZE;
    box->state = PVMM_STATE_ENDED;
    box->machine = m->is;
    return m;
}

static int try(struct made *m, struct pv_view **v, struct pv_error *e)
{
    return pv_open(v, scratch_path(m->fd), &(struct pv_open_options){.domain = -1}, e);
}

static void assert_as_live(unsigned low_mib, unsigned high_mib)
{
    struct made *m = machine_new(low_mib, high_mib);
    struct pv_view *live = made_open(m), *v;
    struct pv_error e;
    if (try(m, &v, &e))
        fail_msg("%s", e.text);
    assert_int_equal(v->nr_pages, live->nr_pages);
    assert_int_equal(v->end_pfn.n, live->end_pfn.n);
    assert_int_equal(v->kernel_root.n, m->root.n);
    assert_int_equal(v->start_info.n, made_mfn(m, pfn(9)).n);
    assert_int_equal(v->domain[0].id, 7);
    assert_memory_equal(v->vcpu[0].context, live->vcpu[0].context, PVMM_CONTEXT_BYTES);
    for (uint64_t p = 0; p < v->end_pfn.n; p++) {
        mfn_t f = v->backend->mfn_of(v, pfn(p));
        struct pv_place at;
        assert_int_equal(f.n, live->backend->mfn_of(live, pfn(p)).n);
        assert_int_equal(v->backend->pfn_of(v, f).n, p);
        assert_int_equal(v->backend->frame_at(v, v->backend->index_of(v, f)).n, f.n);
        assert_true(pv_place_of(v, f, &at));
        assert_int_equal(at.offset, (uint8_t *)made_words(m, f) - m->map);
    }
    ask_everything(v);
    pv_close(v);
    pv_close(live);
    made_free(m);
}

static void it_is_read_as_the_live_machine(void **state)
{
    (void)state;
    assert_as_live(8, 0);
    assert_as_live(64, 8);
}

static void types_and_pins_are_told(void **state)
{
    (void)state;
    struct made *m = machine_new(8, 0);
    struct pv_view *v;
    struct pv_error e;
    struct pv_told t;
    assert_int_equal(try(m, &v, &e), 0);
    assert_true(v->backend->told(v, m->root, &t));
    assert_true(t.level == 4 && t.pinned);
    assert_true(v->backend->told(v, pte_frame(made_words(m, m->root)[511]), &t));
    assert_true(t.level == 3 && !t.pinned);
    assert_true(v->backend->told(v, made_mfn(m, pfn(3)), &t));
    assert_true(t.level == 0 && !t.pinned);
    assert_false(v->backend->told(v, v->shared_info, &t));
    assert_int_equal(v->backend->index_of(v, v->shared_info), ~0ull);
    pv_close(v);
    made_free(m);
}

/* Each ended where the next one has something new. */
static void the_versions_before_are_read_too(void **state)
{
    (void)state;
    static const struct {
        uint32_t version, size;
    } was[] = {{4, offsetof(struct pvmm_mailbox, received)},
               {5, offsetof(struct pvmm_mailbox, hold)},
               {6, offsetof(struct pvmm_mailbox, hold)},
               {7, offsetof(struct pvmm_mailbox, dirty)},
               {8, sizeof(struct pvmm_mailbox)}};
    struct made *m = machine_new(8, 0);
    struct pv_view *v;
    struct pv_error e;
    for (unsigned i = 0; i < sizeof(was) / sizeof(*was); i++) {
        box_of(m)->version = was[i].version;
        box_of(m)->size = was[i].size;
        if (try(m, &v, &e))
            fail_msg("version %u: %s", was[i].version, e.text);
        assert_int_equal(v->kernel_root.n, m->root.n);
        assert_int_equal(v->vcpu[0].extended.there, was[i].version >= 7);
        pv_close(v);
    }
    made_free(m);
}

static void assert_context(struct made *m, bool there)
{
    struct pv_view *v;
    struct pv_error e;
    if (try(m, &v, &e))
        fail_msg("%s", e.text);
    assert_int_equal(v->vcpu[0].valid, there);
    assert_int_equal(v->vcpu[0].extended.there, there);
    pv_close(v);
}

/* A context that was published when the guest stood, and it runs again. */
static void what_the_vcpu_had_before_is_left_out(void **state)
{
    (void)state;
    struct made *m = machine_new(8, 0);
    assert_context(m, true);
    box_of(m)->state = PVMM_STATE_RUNNING;
    assert_context(m, false);
    box_of(m)->hold = PVMM_HOLD_PAUSED;
    assert_context(m, true);
    box_of(m)->hold = PVMM_HOLD_NONE;
    box_of(m)->reports.waiting = PVMM_WAITING_READ;
    assert_context(m, true);
    box_of(m)->machine.context_valid = 0;
    assert_context(m, false);
    made_free(m);
}

/* Neither looking for the mailbox nor reading makes a hole a page. */
static void holes_stay_holes(void **state)
{
    (void)state;
    struct made *m = machine_new(512, 0);
    struct stat before, after;
    struct pv_view *v;
    struct pv_error e;
    uint8_t page[4096];
    memset(m->map + m->is.frames_at, 0, 1); /* tables are in use in a real one */
    assert_int_equal(fstat(m->fd, &before), 0);
    assert_int_equal(try(m, &v, &e), 0);
    assert_true(v->backend->read(v, mfn(50000), 0, page, 4096));
    pv_close(v);
    assert_int_equal(fstat(m->fd, &after), 0);
    assert_true(after.st_blocks - before.st_blocks < 8 * 1024); /* 4 MiB of 512 */
    made_free(m);
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    struct made *m = machine_new(8, 0);
    struct pvmm_mailbox was = *box_of(m);
    struct pv_view *v;
    struct pv_error e;
    const struct {
        size_t at;
        uint32_t value;
        const char *why;
    } wrong[] = {
        {offsetof(struct pvmm_mailbox, version), 3, "has version 3"},
        {offsetof(struct pvmm_mailbox, version), 9, "has version 9; known are 4 to 8"},
        {offsetof(struct pvmm_mailbox, size), 100, "has a size of 100"},
        {offsetof(struct pvmm_mailbox, size), offsetof(struct pvmm_mailbox, hold), "has a size of"},
        {offsetof(struct pvmm_mailbox, state), PVMM_STATE_BOOTING, "as far as state 1"},
        {offsetof(struct pvmm_mailbox, machine.version), 9, "the description has version 9"},
        {offsetof(struct pvmm_mailbox, machine.nr_frames), ~0u, "does not lie in RAM"},
        {offsetof(struct pvmm_mailbox, magic), 0,
         "no Xen with PV domains"}, /* no machine of ours */
    };
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        memcpy((uint8_t *)box_of(m) + wrong[i].at, &wrong[i].value, 4);
        assert_int_equal(try(m, &v, &e), -1);
        if (!strstr(e.text, wrong[i].why))
            fail_msg("%s", e.text);
        memcpy(box_of(m), &was, sizeof(was));
    }
    assert_int_equal(ftruncate(m->fd, 1 * MIB + 0x8000), 0);
    assert_int_equal(try(m, &v, &e), -1);
    assert_non_null(strstr(e.text, "cut short"));
    assert_int_equal(ftruncate(m->fd, (off_t)m->bytes), 0);
    made_free(m);
}

/* ---- damage */

static uint64_t state_of_chance = 0x2545f4914f6cdd1dull;

static uint64_t chance(void)
{
    state_of_chance ^= state_of_chance << 13;
    state_of_chance ^= state_of_chance >> 7;
    state_of_chance ^= state_of_chance << 17;
    return state_of_chance;
}

static void damage_is_borne(void **state)
{
    (void)state;
    const char *seed = getenv("PVMM_TEST_SEED"), *rounds = getenv("PVMM_TEST_ROUNDS");
    unsigned n = rounds ? (unsigned)atoi(rounds) : 500, opened = 0;
    const uint64_t odd[] = {0, 1, ~0ull, 1ull << 63, 1ull << 32, 4096, 8};
    struct made *m = machine_new(64, 8);
    state_of_chance = seed ? strtoull(seed, NULL, 0) : state_of_chance;
    print_message("seed 0x%llx\n", (unsigned long long)state_of_chance);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *parts[] = {m->map + BOX_AT, (uint8_t *)&box_of(m)->machine,
                            m->map + m->is.frames_at + m->root.n * 16,
                            m->map + m->is.m2p_at + m->root.n * 8};
        uint8_t *at = parts[chance() % 4] + chance() % 16 * 8;
        uint64_t was, value = chance() % 2 ? odd[chance() % 7] : chance();
        struct pv_view *v;
        struct pv_error e;
        memcpy(&was, at, 8);
        memcpy(at, &value, 8);
        if (try(m, &v, &e) == 0) {
            ask_everything(v);
            pv_close(v);
            opened++;
        }
        memcpy(at, &was, 8);
    }
    print_message("%u of %u opened\n", opened, n);
    assert_true(opened > 0 && opened < n);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_as_the_live_machine),
        cmocka_unit_test(types_and_pins_are_told),
        cmocka_unit_test(the_versions_before_are_read_too),
        cmocka_unit_test(what_the_vcpu_had_before_is_left_out),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(damage_is_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
