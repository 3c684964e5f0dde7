/* SPDX-License-Identifier: MIT */
/* What each frame is: the first kind that fits. */
#include "gather.h"

#include <string.h>

#include <xen/xen.h>
#include <xen/foreign/x86_32.h>

#include "startinfo.h"

#define DESCRIPTORS_PER_PAGE (PAGE_BYTES / 8)
#define GDT_FRAMES           14u
#define LDT_FRAMES           16u
#define LIST_STEP            512u /* pfns; no page of a list has fewer */

const char *const kind_keys[KINDS] = {
    "l4",         "l3",     "l2",    "l1",        "segdesc",   "shared_info",
    "start_info", "list",   "text",  "kernel_ro", "user_text", "user",
    "user_ro",    "kernel", "plain", "blank",     "foreign",
};
const char *const kind_names[KINDS] = {
    "L4 table",     "L3 table",        "L2 table",        "L1 table",      "descriptor page",
    "shared_info",  "start_info",      "list of frames",  "kernel's code", "kernel, read-only",
    "user's code",  "user's data",     "user, read-only", "kernel's data", "plain memory",
    "blank memory", "not the guest's",
};

/* What was said of a cell before its kind is looked for. */
#define SAID_NOTHING 0xffu

static void say(struct gathered *g, mfn_t m, enum kind kind)
{
    const uint32_t cell = cell_of(g, m);
    if (cell != NO_CELL && g->kind[cell] > kind)
        g->kind[cell] = (uint8_t)kind;
}

/* ---- descriptor pages */

static void say_ldt(struct gathered *g, const struct pv_vcpu *c, uint64_t base, uint64_t entries)
{
    const uint64_t pages = (entries + DESCRIPTORS_PER_PAGE - 1) / DESCRIPTORS_PER_PAGE;
    struct pv_walk w;
    for (unsigned i = 0; i < pages && i < LDT_FRAMES; i++)
        if (pv_walk(g->v, c->kernel_root, gva(base + (uint64_t)i * PAGE_BYTES), &w))
            say(g, maddr_frame(w.to), KIND_SEGDESC);
}

static void say_gdt(struct gathered *g, const uint64_t frame[GDT_FRAMES], uint64_t entries)
{
    const uint64_t pages = (entries + DESCRIPTORS_PER_PAGE - 1) / DESCRIPTORS_PER_PAGE;
    for (unsigned i = 0; i < pages && i < GDT_FRAMES; i++)
        say(g, mfn(frame[i]), KIND_SEGDESC);
}

static void say_descriptors(struct gathered *g, const struct pv_vcpu *vcpu)
{
    uint64_t frame[GDT_FRAMES];
    if (g->v->width == 8) {
        vcpu_guest_context_t c;
        memcpy(&c, vcpu->context, sizeof(c));
        for (unsigned i = 0; i < GDT_FRAMES; i++)
            frame[i] = c.gdt_frames[i];
        say_gdt(g, frame, c.gdt_ents & 0xffff);
        say_ldt(g, vcpu, c.ldt_base, c.ldt_ents & 0xffff);
    } else {
        vcpu_guest_context_x86_32_t c;
        memcpy(&c, vcpu->context, sizeof(c));
        for (unsigned i = 0; i < GDT_FRAMES; i++)
            frame[i] = c.gdt_frames[i];
        say_gdt(g, frame, c.gdt_ents & 0xffff);
        say_ldt(g, vcpu, c.ldt_base, c.ldt_ents & 0xffff);
    }
}

/* ---- pages of lists */

static void say_list(struct gathered *g, enum pv_p2m_kind k)
{
    const struct pv_p2m_source *is = pv_p2m_source(g->s->lists, k);
    uint64_t steps = g->v->nr_pages / 16 + (1u << 16);
    if (!is->there)
        return;
    for (uint64_t p = 0; p < is->end && steps-- > 0; p += LIST_STEP) {
        const struct pv_p2m_entry e = pv_p2m_get(g->s->lists, k, pfn(p));
        if (e.at.a != ~0ull)
            say(g, maddr_frame(e.at), KIND_LIST);
    }
}

static void say_lists(struct gathered *g)
{
    const char *why;
    if (!g->s->lists)
        return;
    for (enum pv_p2m_kind k = PV_P2M_LINEAR; k <= PV_P2M_FLAT; k++)
        say_list(g, k);
    const struct pv_start_info *start = pv_p2m_start_info(g->s->lists, &why);
    if (start)
        say(g, start->frame, KIND_START_INFO);
}

/* ---- what is left */

static enum kind by_use(const struct gathered *g, uint32_t cell)
{
    const unsigned seen = g->seen[cell];
    const bool in_kernel = seen & (SEEN_ELSE | SEEN_ALL);
    const bool written = seen & (seen & SEEN_ELSE ? SEEN_ELSE_RW : SEEN_ALL_RW);
    if (seen & SEEN_TEXT)
        return KIND_TEXT;
    if (in_kernel && !written)
        return KIND_KERNEL_RO;
    if (seen & SEEN_USER_TEXT)
        return KIND_USER_TEXT;
    if (seen & SEEN_USER_RW)
        return KIND_USER;
    if (seen & SEEN_USER_RO)
        return KIND_USER_RO;
    if (seen & SEEN_ELSE)
        return KIND_KERNEL;
    return g->flags[cell] & FLAG_ZEROES ? KIND_BLANK : KIND_PLAIN;
}

static void set_kind(struct gathered *g, uint32_t cell)
{
    const struct pv_backend *b = g->v->backend;
    const mfn_t m = mfn(g->mfn[cell]);
    struct pv_told told = {0};
    if (g->flags[cell] & FLAG_OWNED) {
        if (b->told && b->told(g->v, m, &told) && told.pinned)
            g->flags[cell] |= FLAG_PINNED;
    }
    if (g->level[cell])
        g->kind[cell] = (uint8_t)(KIND_L1 - (g->level[cell] - 1));
    else if (g->kind[cell] == SAID_NOTHING)
        g->kind[cell] = (uint8_t)(g->flags[cell] & FLAG_OWNED ? by_use(g, cell) : KIND_FOREIGN);
    g->of_kind[g->kind[cell]]++;
}

static void flag_pinned_roots(struct gathered *g)
{
    const struct pv_backend *b = g->v->backend;
    for (mfn_t m = b->next_pinned_root(g->v, mfn(0)); !mfn_eq(m, NO_MFN);
         m = b->next_pinned_root(g->v, mfn(m.n + 1))) {
        const uint32_t cell = cell_of(g, m);
        if (cell != NO_CELL)
            g->flags[cell] |= FLAG_PINNED;
    }
}

int kinds_set(struct gathered *g)
{
    memset(g->kind, SAID_NOTHING, g->cells);
    say(g, g->v->shared_info, KIND_SHARED_INFO);
    say(g, g->v->start_info, KIND_START_INFO);
    for (unsigned i = 0; i < g->v->nr_vcpus; i++)
        if (g->v->vcpu[i].valid)
            say_descriptors(g, &g->v->vcpu[i]);
    say_lists(g);
    flag_pinned_roots(g);
    for (uint32_t i = 0; i < g->cells; i++)
        set_kind(g, i);
    return 0;
}
