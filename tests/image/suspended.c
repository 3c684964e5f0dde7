/* SPDX-License-Identifier: MIT */
#include <pvmm/channel.h> /* before <xen/xen.h>, which has a macro of the name of a field */

#include "suspended.h"

#include <sys/stat.h>

#include "stream.h"

#define FLAGS  (PTE_PRESENT | PTE_ACCESSED | PTE_USER)
#define BOX_AT (1 * MIB + 0x7000)
#define HOLE   700u /* of the pages from SUSPENDED_FAR on, every so many there is none */

/* ---- tables */

/* An L4 with a page of its own in its lower half, as user space has it. */
static mfn_t make_user_root(struct made *m)
{
    mfn_t root = made_page(m);
    made_map(m, root, 0x400000, made_mfn(m, pfn(20)), FLAGS | PTE_NX);
    assert_int_equal(core_pin(&m->core, &m->vcpu, &m->domain, root, 4), 0);
    assert_int_equal(core_load_user_root(&m->core, &m->vcpu, root), 0);
    return root;
}

static mfn_t make_lone_l1(struct made *m)
{
    mfn_t l1 = made_page(m);
    made_words(m, l1)[3] = pte_make(made_mfn(m, pfn(21)), FLAGS);
    made_words(m, l1)[4] = 0x123456789abcdef0ull; /* not present: the guest's own */
    assert_int_equal(core_pin(&m->core, &m->vcpu, &m->domain, l1, 1), 0);
    return l1;
}

/* Nobody loads it: what it names may be gone. */
static mfn_t make_idle_root(struct made *m)
{
    mfn_t root = made_page(m);
    made_map(m, root, 0x800000, made_mfn(m, pfn(22)), FLAGS);
    assert_int_equal(core_pin(&m->core, &m->vcpu, &m->domain, root, 4), 0);
    assert_int_equal(core_unpin(&m->core, &m->vcpu, &m->domain, root), 0);
    assert_int_equal(core_end(&m->core, &m->vcpu), 0);
    assert_false(core_frame_validated(&m->core, root));
    made_words(m, root)[0] = pte_make(mfn(7), FLAGS);
    return root;
}

static mfn_t below(struct made *m, mfn_t table, unsigned slot)
{
    return pte_frame(made_words(m, table)[slot]);
}

/* ---- the list */

static void add_pages(struct made *m, uint64_t pages)
{
    for (uint64_t i = 0, p = SUSPENDED_FAR; i < pages; i++, p++) {
        p += p % HOLE == 0;
        uint64_t *words = made_words(m, made_give(m, pfn(p)));
        for (unsigned w = 0; w < 512 && i % 5; w++) /* every fifth remains a hole of the file */
            words[w] = p << 32 | w;
    }
}

static uint64_t end_of(const struct made *m)
{
    uint64_t end = 0;
    for (uint64_t n = 0; n < m->core.nr_frames; n++)
        if (m->core.m2p[n] != NO_PFN.n && m->core.m2p[n] + 1 > end)
            end = m->core.m2p[n] + 1;
    return end;
}

static unsigned make_leaves(struct suspended *s)
{
    s->end = end_of(s->m) + 512 + 64; /* and room for a page of nothing, and the list's own */
    unsigned leaves = (unsigned)((s->end + 511) / 512);
    assert_true(leaves <= sizeof(s->leaf) / sizeof(*s->leaf));
    for (unsigned i = 0; i < leaves; i++) {
        s->leaf[i] = made_page(s->m);
        memset(made_words(s->m, s->leaf[i]), 0xff, 4096);
    }
    return leaves;
}

static void fill_leaves(struct suspended *s)
{
    struct made *m = s->m;
    for (uint64_t n = 0; n < m->core.nr_frames; n++)
        if (m->core.m2p[n] != NO_PFN.n)
            *suspended_word(s, m->core.m2p[n]) = n;
    made_shared(m)->arch.max_pfn = s->end;
}

static void publish(struct suspended *s, bool linear)
{
    struct made *m = s->m;
    unsigned leaves = make_leaves(s);
    m->list_top = made_page(m);
    if (linear) {
        for (unsigned i = 0; i < leaves; i++)
            made_map(m, m->list_top, LIST_VA + i * 4096ull, s->leaf[i], FLAGS);
        assert_int_equal(core_pin(&m->core, &m->vcpu, &m->domain, m->list_top, 4), 0);
        made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(m->list_top.n);
        made_shared(m)->arch.p2m_vaddr = LIST_VA;
    } else {
        m->list_middle = made_page(m);
        made_words(m, m->list_top)[0] = m->list_middle.n;
        for (unsigned i = 0; i < leaves; i++)
            made_words(m, m->list_middle)[i] = s->leaf[i].n;
        made_shared(m)->arch.pfn_to_mfn_frame_list_list = m->list_top.n;
    }
    fill_leaves(s);
}

uint64_t *suspended_word(struct suspended *s, uint64_t pfn)
{
    return &made_words(s->m, s->leaf[pfn / 512])[pfn % 512];
}

/* ---- the vCPU and the mailbox */

static void make_state(struct suspended *s)
{
    struct made *m = s->m;
    vcpu_guest_context_t *c = made_context(m);
    start_info_t *start = (start_info_t *)made_words(m, made_mfn(m, pfn(SUSPENDED_START)));
    *start = (start_info_t){
        .magic = "xen-3.0-x86_64", .nr_pages = 64, .store_mfn = SUSPENDED_STORE, .store_evtchn = 1};
    start->console.domU.mfn = SUSPENDED_CONSOLE;
    start->console.domU.evtchn = 2;
    c->user_regs.rdx = made_mfn(m, pfn(SUSPENDED_START)).n;
    c->gdt_ents = 16;
    c->gdt_frames[0] = made_mfn(m, pfn(SUSPENDED_GDT)).n;
    c->ctrlreg[1] = s->user_root.n << 12;
    c->ctrlreg[4] = 0;
    made_shared(m)->vcpu_info[0].time.system_time = 123456789;
    m->is.tsc_khz = SUSPENDED_KHZ;
}

static void make_box(const struct suspended *s)
{
    struct pvmm_mailbox *box = (struct pvmm_mailbox *)(s->m->map + BOX_AT);
    box->magic = PVMM_MAILBOX_MAGIC;
    box->version = PVMM_MAILBOX_VERSION;
    box->size = sizeof(*box);
    box->log_size = PVMM_LOG_SIZE;
    box->state = PVMM_STATE_RUNNING;
    box->hold = PVMM_HOLD_SUSPENDED;
    box->machine = s->m->is;
    box->extended = (struct pvmm_extended){.syscall32_eip = 0xffffffff81027f50ull,
                                           .sysenter_eip = 0xffffffff81027f60ull,
                                           .syscall32_cs = 0xe033,
                                           .sysenter_cs = 0xe034,
                                           .syscall32_disables_events = 1};
}

struct suspended suspended_new(bool linear, uint64_t pages)
{
    struct suspended s = {.m = made_new(64, 24)};
    struct made *m = s.m;
    const mfn_t balloon = made_mfn(m, pfn(SUSPENDED_BALLOON));
    made_words(m, m->root)[260] = pte_make(mfn(5), FLAGS); /* Xen's own, as the guest sees it */
    s.l1 = below(m, below(m, below(m, m->root, 511), 510), 0);
    s.user_root = make_user_root(m);
    s.lone_l1 = make_lone_l1(m);
    s.idle_root = make_idle_root(m);
    add_pages(m, pages);
    publish(&s, linear);
    make_state(&s);
    /* Its frame is the guest's still, at no pfn; an entry that names it goes as well. */
    m->core.m2p[balloon.n] = NO_PFN.n;
    *suspended_word(&s, SUSPENDED_BALLOON) = ~0ull;
    made_words(m, s.l1)[SUSPENDED_BALLOON] = 0;
    return s;
}

void suspended_free(struct suspended *s)
{
    made_free(s->m);
}

struct pv_view *suspended_open(struct suspended *s)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    make_box(s);
    if (pv_open(&v, scratch_path(s->m->fd), &(struct pv_open_options){.domain = -1}, &e))
        fail_msg("%s", e.text);
    return v;
}

/* ---- writing and reading */

int write_to(const struct pv_view *v, int fd, const struct pv_save_options *o,
             struct pv_saved *saved, struct pv_error *e)
{
    static const struct pv_save_options plain;
    return pv_stream_write(v, fd, o ? o : &plain, saved, e);
}

int written(const struct pv_view *v, const struct pv_save_options *o, struct pv_saved *saved)
{
    struct pv_error e;
    struct stat st;
    int fd = scratch_file();
    if (write_to(v, fd, o, saved, &e))
        fail_msg("%s", e.text);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, saved->bytes);
    return fd;
}

struct pv_view *read_back(int fd)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    if (pv_open(&v, scratch_path(fd), &(struct pv_open_options){.domain = -1}, &e))
        fail_msg("%s", e.text);
    assert_string_equal(v->lost, "");
    return v;
}

/* ---- is it the same guest? */

static uint64_t expected_entry(struct suspended *s, unsigned level, unsigned slot, uint64_t entry)
{
    if (level == 4 && slot >= 256 && slot <= 271)
        return 0;
    return pte_present(entry)
               ? pte_make(mfn(s->m->core.m2p[pte_frame(entry).n]), entry & ~PTE_FRAME_MASK)
               : entry;
}

static void assert_page(struct suspended *s, const struct pv_view *w, uint64_t p, mfn_t m)
{
    uint64_t words[512];
    struct pv_told t;
    enum frame_type type = core_frame_type(&s->m->core, m);
    bool table = core_frame_validated(&s->m->core, m) && type >= TYPE_L1 && type <= TYPE_L4;
    assert_true(w->backend->told(w, mfn(p), &t));
    assert_int_equal(t.level, table ? type - TYPE_L1 + 1 : 0);
    assert_int_equal(t.pinned, table && core_frame_pinned(&s->m->core, m));
    assert_true(w->backend->read(w, mfn(p), 0, words, sizeof(words)));
    for (unsigned i = 0; i < 512; i++) {
        uint64_t is = made_words(s->m, m)[i];
        assert_int_equal(words[i], table ? expected_entry(s, t.level, i, is) : is);
    }
}

static void assert_pages(struct suspended *s, const struct pv_view *w, const struct pv_saved *saved)
{
    uint64_t pages = 0, tables = 0;
    for (uint64_t p = 0; p < s->end; p++) {
        uint64_t listed = *suspended_word(s, p);
        struct pv_told t;
        assert_int_equal(w->backend->owned(w, mfn(p)), listed != ~0ull);
        if (listed == ~0ull)
            continue;
        assert_page(s, w, p, mfn(listed));
        pages++;
        tables += w->backend->told(w, mfn(p), &t) && t.level;
    }
    assert_int_equal(w->nr_pages, pages);
    assert_int_equal(saved->pages, pages);
    assert_int_equal(saved->tables, tables);
}

static uint64_t pfn_of(struct suspended *s, mfn_t m)
{
    return s->m->core.m2p[m.n];
}

static void assert_context(struct suspended *s, const struct pv_view *w)
{
    vcpu_guest_context_t was, is;
    memcpy(&was, s->m->is.context, sizeof(was));
    memcpy(&is, w->vcpu[0].context, sizeof(is));
    assert_int_equal(is.ctrlreg[3], xen_pfn_to_cr3(pfn_of(s, s->m->root)));
    assert_int_equal(is.ctrlreg[1], pfn_of(s, s->user_root) << 12 | 1);
    assert_int_equal(is.gdt_frames[0], SUSPENDED_GDT);
    assert_int_equal(is.user_regs.rdx, SUSPENDED_START);
    is.ctrlreg[3] = was.ctrlreg[3];
    is.ctrlreg[1] = was.ctrlreg[1];
    is.gdt_frames[0] = was.gdt_frames[0];
    is.user_regs.rdx = was.user_regs.rdx;
    assert_memory_equal(&is, &was, sizeof(is)); /* the rest is as it was */
}

static void assert_state(struct suspended *s, const struct pv_view *w)
{
    const struct pv_extended *x = &w->vcpu[0].extended;
    uint8_t shared[4096];
    assert_int_equal(w->nr_vcpus, 1);
    assert_int_equal(w->start_info.n, SUSPENDED_START);
    assert_int_equal(w->tsc_khz, SUSPENDED_KHZ);
    assert_string_equal(w->xen, "4.17");
    assert_true(x->there && x->syscall32_disables_events && !x->sysenter_disables_events);
    assert_int_equal(x->syscall32_eip, 0xffffffff81027f50ull);
    assert_int_equal(x->sysenter_eip, 0xffffffff81027f60ull);
    assert_int_equal(x->syscall32_cs, 0xe033);
    assert_int_equal(x->sysenter_cs, 0xe034);
    assert_true(w->backend->read(w, w->shared_info, 0, shared, sizeof(shared)));
    assert_memory_equal(shared, made_shared(s->m), sizeof(shared));
}

/* The list has room for a page more than it needs, and no frame beyond. */
static void assert_list(struct suspended *s, const struct pv_view *w)
{
    uint64_t start, end;
    const uint64_t *pfns;
    size_t n;
    assert_true(pv_stream_p2m_frames(w, &start, &end, &pfns, &n));
    assert_int_equal(start, 0);
    assert_int_equal(end, s->end - 1);
    assert_int_equal(n, (s->end + 511) / 512);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pfns[i], pfn_of(s, s->leaf[i]));
}

void assert_same(struct suspended *s, int fd, const struct pv_saved *saved)
{
    struct pv_view *w = read_back(fd);
    assert_pages(s, w, saved);
    assert_context(s, w);
    assert_state(s, w);
    assert_list(s, w);
    pv_close(w);
}
