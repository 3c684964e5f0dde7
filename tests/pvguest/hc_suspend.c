/* SPDX-License-Identifier: MIT */
/*
 * SCHEDOP_shutdown with SHUTDOWN_suspend, and what Xen's tools do then (libxenguest, save and
 * restore of x86 PV): they find the p2m as shared_info has it, save each page that has a frame,
 * page tables - what is validated or pinned as one - by pfn, and build the domain again out of
 * other frames. What they do not know of comes back as it was. A guest that they would refuse to
 * save ends the test, whether or not it is to be resumed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xen/errno.h>
#include <xen/sched.h>
#include <xen/xen.h>

#include "inside.h"

#define LEAF    512u
#define PINNED  0x80u
#define LEVEL   0x0fu
#define MISSING (~0ull)
#define RUBBISH 0x5a

bool machine_moves_all;

struct saved {
    uint64_t max_pfn, leaves, pages;
    uint64_t *leaf;         /* pfns of the p2m's frames */
    uint64_t *p2m;          /* as the guest has it; all ones for all that is no frame of its own */
    uint64_t *moved;        /* the new frames */
    uint8_t *type;          /* level, PINNED */
    uint64_t (*page)[LEAF]; /* content, of tables by pfn */
    uint64_t root, user_root, info; /* pfns; 0: no user root */
    shared_info_t shared;
};

static shared_info_t *shared_of(struct machine *m)
{
    return (shared_info_t *)m->w->memory[m->shared];
}

static bool is_ours(struct machine *m, uint64_t n)
{
    return machine_owner(m, n) == MACHINE_GUEST && n != m->shared;
}

static const uint64_t *frame_of(struct machine *m, const char *what, uint64_t n)
{
    if (!is_ours(m, n))
        machine_failed("a suspend: %s is frame %" PRIx64 ", which is not the guest's", what, n);
    return m->w->memory[n];
}

/* ---- saving: the p2m */

static uint64_t linear_leaf(struct machine *m, const arch_shared_info_t *arch, uint64_t i)
{
    uint64_t va = arch->p2m_vaddr + i * PAGE_BYTES, n = arch->p2m_cr3 >> 12;
    for (unsigned level = 4; level > 0; level--) {
        const uint64_t *table = frame_of(m, "a table of the linear p2m", n);
        if (machine_type(m, n) != level)
            machine_failed("a suspend: frame %" PRIx64 " is no L%u table", n, level);
        n = pte_frame(table[va >> (12 + 9 * (level - 1)) & 511]).n;
    }
    return n;
}

static uint64_t listed_leaf(struct machine *m, const arch_shared_info_t *arch, uint64_t i)
{
    const uint64_t *top = frame_of(m, "the frame list list", arch->pfn_to_mfn_frame_list_list);
    return frame_of(m, "a frame list", top[i / LEAF])[i % LEAF];
}

static void save_p2m(struct machine *m, struct saved *s)
{
    const arch_shared_info_t *arch = &shared_of(m)->arch;
    if (arch->p2m_generation & 1)
        machine_failed("a suspend: in the middle of a change of the p2m");
    for (uint64_t i = 0; i < s->leaves; i++) {
        uint64_t n = arch->p2m_cr3 ? linear_leaf(m, arch, i) : listed_leaf(m, arch, i);
        const uint64_t *word = frame_of(m, "a leaf of the p2m", n);
        s->leaf[i] = n;
        for (uint64_t k = 0; k < LEAF && i * LEAF + k < s->max_pfn; k++)
            s->p2m[i * LEAF + k] = is_ours(m, word[k]) ? word[k] : MISSING;
    }
}

/* MISSING: what the guest has there is none of its pages. */
static uint64_t page_of(struct machine *m, const struct saved *s, uint64_t n)
{
    uint64_t page = n < m->w->core.nr_frames ? m->w->m2p[n] : MISSING;
    return page < s->max_pfn && s->p2m[page] == n ? page : MISSING;
}

static uint64_t known_page(struct machine *m, const struct saved *s, const char *what, uint64_t n)
{
    uint64_t page = page_of(m, s, n);
    if (page == MISSING)
        machine_failed("a suspend: %s names frame %" PRIx64 ", which is no page of the guest's",
                       what, n);
    return page;
}

/* ---- saving: pages */

static bool is_reserved(unsigned level, unsigned slot)
{
    return level == 4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

static void save_table(struct machine *m, const struct saved *s, uint64_t page)
{
    for (unsigned slot = 0; slot < LEAF; slot++) {
        uint64_t *e = &s->page[page][slot];
        if (is_reserved(s->type[page] & LEVEL, slot))
            *e = 0;
        else if (pte_present(*e))
            *e = (*e & ~PTE_FRAME_MASK) | known_page(m, s, "a page table", pte_frame(*e).n) << 12;
    }
}

static uint8_t type_of(struct machine *m, uint64_t n)
{
    unsigned type = core_frame_type(&m->w->core, mfn(n));
    bool pinned = core_frame_pinned(&m->w->core, mfn(n));
    if (type < TYPE_L1 || type > TYPE_L4 || !(pinned || core_frame_validated(&m->w->core, mfn(n))))
        return 0;
    return (uint8_t)(type | (pinned ? PINNED : 0));
}

static void save_pages(struct machine *m, struct saved *s)
{
    for (uint64_t page = 0; page < s->max_pfn; page++) {
        uint64_t n = s->p2m[page];
        if (n == MISSING)
            continue;
        known_page(m, s, "the p2m", n);
        s->type[page] = type_of(m, n);
        s->pages++;
        memcpy(s->page[page], m->w->memory[n], PAGE_BYTES);
        if (s->type[page])
            save_table(m, s, page);
    }
    if (s->pages != m->d->frames)
        machine_failed("a suspend: the p2m has %" PRIu64 " frames, the guest %" PRIu64, s->pages,
                       m->d->frames);
}

/* The leaves themselves are plain pages, which the tools will write to. */
static void save_leaves(struct machine *m, struct saved *s)
{
    for (uint64_t i = 0; i < s->leaves; i++) {
        s->leaf[i] = known_page(m, s, "the p2m's frame list", s->leaf[i]);
        if (s->type[s->leaf[i]])
            machine_failed("a suspend: leaf %" PRIu64 " of the p2m is a table", i);
    }
}

/* ---- saving: what else there is */

static void check_ring(const struct saved *s, const char *what, uint64_t page)
{
    if (page >= s->max_pfn || s->p2m[page] == MISSING)
        machine_failed("a suspend: start_info has %" PRIx64 " for %s, which is no page", page,
                       what);
}

static void check_shared(struct machine *m)
{
    if (!shared_of(m)->vcpu_info[0].evtchn_upcall_mask)
        machine_failed("a suspend: events are not masked");
    if (core_frame_holds(&m->w->core, mfn(m->shared)) != 1)
        machine_failed("a suspend: shared_info is mapped");
    if (m->v->gdt_entries)
        machine_failed("a suspend: this machine carries no GDT");
}

static void check_info(struct machine *m, struct saved *s, uint64_t info)
{
    s->info = known_page(m, s, "RDX", info);
    const start_info_t *si = (void *)m->w->memory[info];
    if (s->type[s->info] || memcmp(si->magic, "xen-3.", 6) != 0)
        machine_failed("a suspend: RDX names no start_info");
    check_ring(s, "the xenstore ring", si->store_mfn);
    check_ring(s, "the console ring", si->console.domU.mfn);
}

static void save(struct machine *m, struct saved *s, uint64_t info)
{
    const char *wrong = machine_audit(m);
    if (wrong)
        machine_failed("a suspend: %s", wrong);
    *s = (struct saved){.max_pfn = shared_of(m)->arch.max_pfn};
    s->leaves = (s->max_pfn + LEAF - 1) / LEAF;
    s->leaf = calloc(s->leaves, sizeof(*s->leaf));
    s->p2m = calloc(s->max_pfn, sizeof(*s->p2m));
    s->moved = calloc(s->max_pfn, sizeof(*s->moved));
    s->type = calloc(s->max_pfn, sizeof(*s->type));
    s->page = calloc(s->max_pfn, sizeof(*s->page));
    save_p2m(m, s);
    save_pages(m, s);
    save_leaves(m, s);
    check_shared(m);
    check_info(m, s, info);
    s->shared = *shared_of(m);
    s->root = known_page(m, s, "CR3", m->v->kernel_root.n);
    if (!mfn_eq(m->v->user_root, NO_MFN))
        s->user_root = known_page(m, s, "the user's CR3", m->v->user_root.n);
}

static void forget(struct saved *s)
{
    free(s->leaf);
    free(s->p2m);
    free(s->moved);
    free(s->type);
    free(s->page);
}

/* ---- the new domain */

void suspend_relinquish(struct machine *m)
{
    world_relinquish(m->w, 0);
    if (m->shared >= WORLD_FIRST_FREE)
        m->w->free[m->shared] = true; /* it was lent, and comes back by itself */
}

static uint64_t free_frame(struct machine *m, uint64_t but)
{
    uint64_t n;
    do
        n = WORLD_FIRST_FREE + world_below(m->w, m->w->core.nr_frames - WORLD_FIRST_FREE);
    while (!m->w->free[n] || n == but);
    m->w->free[n] = false;
    return n;
}

static void end_old_domain(struct machine *m, const struct saved *s)
{
    suspend_relinquish(m);
    if (machine_moves_all)
        grants_end(m);
    const char *wrong = world_check_free(m->w);
    if (wrong)
        machine_failed("after the old domain's end: %s", wrong);
    for (uint64_t page = 0; page < s->max_pfn; page++)
        if (s->p2m[page] != MISSING)
            memset(m->w->memory[s->p2m[page]], RUBBISH, PAGE_BYTES);
}

static void make_new_domain(struct machine *m)
{
    bool devices = m->d->has_devices;
    uint64_t max = m->d->max_frames;
    world_domain_again(m->w, 0);
    m->d->has_devices = devices;
    m->d->max_frames = max;
    m->shared = free_frame(m, MISSING);
    memset(shared_of(m), 0, PAGE_BYTES);
    if (core_share(&m->w->core, m->d, mfn(m->shared)))
        machine_failed("the new shared_info cannot be lent");
}

static void give_frames(struct machine *m, struct saved *s)
{
    for (uint64_t page = 0; page < s->max_pfn; page++) {
        s->moved[page] = MISSING;
        if (s->p2m[page] == MISSING)
            continue;
        uint64_t n = free_frame(m, s->p2m[page]);
        if (core_assign(&m->w->core, m->d, mfn(n)))
            machine_failed("frame %" PRIx64 " cannot be given to the new domain", n);
        m->w->m2p[n] = page;
        s->moved[page] = n;
        if (page < m->params.nr_pages)
            m->p2m[page] = n;
    }
}

static void write_page(struct machine *m, const struct saved *s, uint64_t page)
{
    uint64_t *to = m->w->memory[s->moved[page]];
    memcpy(to, s->page[page], PAGE_BYTES);
    for (unsigned slot = 0; s->type[page] && slot < LEAF; slot++)
        if (pte_present(to[slot]))
            to[slot] = (to[slot] & ~PTE_FRAME_MASK) | s->moved[pte_frame(to[slot]).n] << 12;
}

/* Marks are lost: only frames are known. What is behind the last page stays. */
static void write_p2m(struct machine *m, const struct saved *s)
{
    for (uint64_t i = 0; i < s->leaves; i++) {
        uint64_t left = s->max_pfn - i * LEAF;
        memcpy(m->w->memory[s->moved[s->leaf[i]]], s->moved + i * LEAF,
               (left < LEAF ? left : LEAF) * sizeof(*s->moved));
    }
}

static void write_shared(struct machine *m, const struct saved *s)
{
    shared_info_t *to = shared_of(m);
    memcpy(to->vcpu_info, s->shared.vcpu_info, sizeof(to->vcpu_info));
    to->arch = s->shared.arch;
    to->arch.pfn_to_mfn_frame_list_list = 0;
    memset(to->evtchn_mask, 0xff, sizeof(to->evtchn_mask));
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        to->vcpu_info[i].evtchn_pending_sel = 0;
}

static void write_info(struct machine *m, const struct saved *s)
{
    start_info_t *si = (void *)m->w->memory[s->moved[s->info]];
    m->console_port += 2;
    si->store_mfn = s->moved[si->store_mfn];
    si->store_evtchn = machine_moves_all ? 1 : m->console_port - 1; /* the machine's store has 1 */
    si->console.domU.mfn = s->moved[si->console.domU.mfn];
    si->console.domU.evtchn = m->console_port;
    si->nr_pages = s->max_pfn;
    si->shared_info = m->shared << 12;
    si->flags = 0;
}

/* ---- the new domain's tables, validated as any guest's */

static void must(int rc, const char *what, uint64_t page)
{
    if (rc)
        machine_failed("the restored %s, page %" PRIx64 ", is refused: %d", what, page, rc);
}

static void adopt_tables(struct machine *m, struct saved *s)
{
    request_begin(m);
    must(core_load_kernel_root(&m->w->core, m->v, mfn(s->moved[s->root])), "root", s->root);
    if (s->user_root)
        must(core_load_user_root(&m->w->core, m->v, mfn(s->moved[s->user_root])), "user root",
             s->user_root);
    for (uint64_t page = 0; page < s->max_pfn; page++)
        if (s->type[page] & PINNED)
            must(core_pin(&m->w->core, m->v, m->d, mfn(s->moved[page]), s->type[page] & LEVEL),
                 "pinned table", page);
    request_end(m);
    access_flush_all();
}

static void relocate(struct machine *m, struct saved *s)
{
    enum pause_mode pause = m->w->pause;
    bool grants = machine_moves_all && grants_unused(m);
    m->w->pause = PAUSE_NEVER;
    end_old_domain(m, s);
    make_new_domain(m);
    if (grants)
        grants_first_frame(m);
    give_frames(m, s);
    for (uint64_t page = 0; page < s->max_pfn; page++)
        if (s->moved[page] != MISSING)
            write_page(m, s, page);
    write_shared(m, s);
    write_info(m, s);
    adopt_tables(m, s);
    write_p2m(m, s);
    m->w->pause = pause;
    if (machine_moves_all)
        store_moved(m);
    const char *wrong = machine_audit(m);
    if (wrong)
        machine_failed("after a relocation: %s", wrong);
}

/* ---- the hypercall */

void machine_on_suspend(struct machine *m, int what)
{
    m->on_suspend = what;
}

uint64_t machine_suspends(struct machine *m)
{
    return m->suspends;
}

int64_t suspend_domain(struct machine *m, uint64_t info)
{
    struct saved s;
    save(m, &s, info);
    m->suspends++;
    if (m->on_suspend == MACHINE_RELOCATES)
        relocate(m, &s);
    forget(&s);
    return m->on_suspend == MACHINE_RELOCATES ? 0
           : m->on_suspend == MACHINE_CANCELS ? 1
                                              : m->on_suspend;
}
