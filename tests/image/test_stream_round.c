/* SPDX-License-Identifier: MIT */
/* There and back: what is written of a guest is taken in elsewhere, and is that guest again. */
#include "suspended.h"

#include <unistd.h>

#define FRAMES 8192u
#define FIRST  0x20000u /* mfns that the guest never had */

struct elsewhere {
    uint8_t *bytes;
    unsigned given;
};

static void *at(void *context, mfn_t m)
{
    struct elsewhere *w = context;
    assert_true(m.n >= FIRST && m.n < FIRST + FRAMES);
    return w->bytes + (m.n - FIRST) * 4096;
}

static int begin(void *context, const struct pv_taken *t, struct pv_error *e)
{
    (void)context;
    (void)e;
    assert_true(t->end_pfn <= FRAMES);
    return 0;
}

/* In an order that is none. */
static int frame(void *context, void **to, mfn_t *m, struct pv_error *e)
{
    struct elsewhere *w = context;
    (void)e;
    *m = mfn(FIRST + w->given++ * 2654435761u % FRAMES);
    *to = at(w, *m);
    return 0;
}

static const struct pv_take_ops ops = {begin, frame};

/* ---- is it the same? */

static uint64_t here(const struct pv_taken *t, uint64_t p)
{
    assert_true(p < t->end_pfn && t->page[p].mfn != ~0u);
    return t->page[p].mfn;
}

static void assert_table(struct suspended *s, struct elsewhere *w, const struct pv_taken *t,
                         uint64_t p, mfn_t was)
{
    const uint64_t *is = at(w, mfn(here(t, p)));
    for (unsigned slot = 0; slot < 512; slot++) {
        uint64_t entry = made_words(s->m, was)[slot];
        if (t->page[p].level == 4 && slot >= 256 && slot <= 271)
            entry = 0;
        if (pte_present(entry))
            entry =
                pte_make(mfn(here(t, s->m->core.m2p[pte_frame(entry).n])), entry & ~PTE_FRAME_MASK);
        assert_int_equal(is[slot], entry);
    }
}

static bool is_leaf(const struct suspended *s, mfn_t m)
{
    for (uint64_t i = 0; i * 512 < s->end; i++)
        if (mfn_eq(s->leaf[i], m))
            return true;
    return false;
}

static void assert_list(struct suspended *s, struct elsewhere *w, const struct pv_taken *t)
{
    for (uint64_t p = 0; p < s->end; p++) {
        const uint64_t *leaf = at(w, mfn(here(t, s->m->core.m2p[s->leaf[p / 512].n])));
        bool there = *suspended_word(s, p) != ~0ull;
        assert_int_equal(t->page[p].mfn != ~0u, there);
        assert_int_equal(leaf[p % 512], there ? here(t, p) : ~0ull);
    }
}

static void assert_pages(struct suspended *s, struct elsewhere *w, const struct pv_taken *t)
{
    for (uint64_t p = 0; p < s->end; p++) {
        const mfn_t was = mfn(*suspended_word(s, p));
        if (was.n == ~0ull || is_leaf(s, was) || p == SUSPENDED_START)
            continue;
        if (t->page[p].level)
            assert_table(s, w, t, p, was);
        else
            assert_memory_equal(at(w, mfn(here(t, p))), made_words(s->m, was), 4096);
    }
}

static void assert_state(struct suspended *s, struct elsewhere *w, const struct pv_taken *t,
                         const struct pv_take_start *now)
{
    const uint64_t *m2p = s->m->core.m2p;
    const vcpu_guest_context_t *c = (const void *)t->vcpu[0].context;
    const start_info_t *start = at(w, mfn(here(t, SUSPENDED_START)));
    assert_int_equal(c->ctrlreg[3], xen_pfn_to_cr3(here(t, m2p[s->m->root.n])));
    assert_int_equal(c->ctrlreg[1] >> 12, here(t, m2p[s->user_root.n]));
    assert_int_equal(c->gdt_frames[0], here(t, SUSPENDED_GDT));
    assert_int_equal(c->user_regs.rdx, here(t, SUSPENDED_START));
    assert_int_equal(c->user_regs.rip, made_context(s->m)->user_regs.rip);
    assert_int_equal(now->start_info.n, SUSPENDED_START);
    assert_int_equal(now->store.n, SUSPENDED_STORE);
    assert_int_equal(now->console.n, SUSPENDED_CONSOLE);
    assert_int_equal(start->store_mfn, here(t, SUSPENDED_STORE));
    assert_int_equal(start->console.domU.mfn, here(t, SUSPENDED_CONSOLE));
    assert_int_equal(start->shared_info, 0x77000);
    assert_int_equal(t->vcpu[0].extended.sysenter_cs, 0xe034);
    assert_int_equal(t->tsc_khz, SUSPENDED_KHZ);
    assert_memory_equal(t->shared_info, made_shared(s->m), 4096);
}

static void assert_comes_back(bool linear, const struct pv_save_options *o)
{
    struct suspended s = suspended_new(linear, 3000);
    struct elsewhere w = {.bytes = calloc(FRAMES, 4096)};
    struct pv_take_start now = {.shared_info = mfn(0x77), .store_port = 1, .console_port = 2};
    const struct pv_take_options options = {.max_pfns = FRAMES, .max_vcpus = 1};
    struct pv_view *v = suspended_open(&s);
    struct pv_taken *t = NULL;
    struct pv_saved saved;
    struct pv_error e;
    int fd = written(v, o, &saved);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    if (pv_take(&t, fd, &ops, &w, &options, &e) || pv_take_localise(t, at, &w, &now, &e))
        fail_msg("%s", e.text);
    assert_int_equal(t->pages, saved.pages);
    assert_int_equal(t->tables, saved.tables);
    assert_int_equal(t->of_xl, o->of_xl);
    assert_string_equal(t->name, o->of_xl ? "guest" : "");
    assert_int_equal(t->end_pfn, s.end);
    assert_pages(&s, &w, t);
    assert_list(&s, &w, t);
    assert_state(&s, &w, t, &now);
    pv_taken_free(t);
    pv_close(v);
    close(fd);
    free(w.bytes);
    suspended_free(&s);
}

static void a_guest_comes_back(void **state)
{
    (void)state;
    for (unsigned linear = 0; linear < 2; linear++)
        for (unsigned i = 0; i < 4; i++)
            assert_comes_back(linear, &(struct pv_save_options){.of_xl = i & 1, .zstd = i & 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_guest_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
