/* SPDX-License-Identifier: MIT */
/*
 * From pfns to mfns in a guest that was taken in: its tables, p2m list, vCPUs and start_info. All
 * of it is checked, then all of it is rewritten. Whether entries may be what they are is the core's
 * to judge, when the tables are pinned; here every one gets its frame.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#include "pte.h"
#include "transfer.h"

#define ENTRIES     (PAGE_BYTES / sizeof(uint64_t))
#define XENS_FIRST  256u /* slots of an L4 that are the hypervisor's, and 0 in a stream */
#define XENS_LAST   271u
#define GDT_ENTRIES 7168u /* and a frame holds 512 */
#define MAGIC       "xen-3.0-x86_64"

struct localise {
    struct pv_taken *t;
    void *(*at)(void *context, mfn_t m);
    void *context;
    struct pv_take_start *now;
    uint64_t *in_list; /* bits by pfn: pages of the p2m list */
};

static void *bytes_of(const struct localise *l, uint64_t p)
{
    return l->at(l->context, mfn(l->t->page[p].mfn));
}

/* ---- which page may be what */

static bool is_there(const struct pv_taken *t, uint64_t p)
{
    return p < t->end_pfn && t->page[p].mfn != ~0u;
}

/* `what` is the page that should be there. */
static int check_there(const struct pv_taken *t, uint64_t p, const char *what, struct pv_error *e)
{
    if (p >= t->end_pfn)
        return pv_fail(e, "%s is pfn %llx, which is not below %llx", what, (unsigned long long)p,
                       (unsigned long long)t->end_pfn);
    if (!is_there(t, p))
        return pv_fail(e, "%s is pfn %llx, at which the stream has no page", what,
                       (unsigned long long)p);
    return 0;
}

static int check_level(const struct pv_taken *t, uint64_t p, unsigned level, const char *what,
                       struct pv_error *e)
{
    struct pv_place place;
    if (check_there(t, p, what, e))
        return -1;
    if (t->page[p].level == level)
        return 0;
    pv_taken_place(t, pfn(p), &place);
    return pv_fail(e, "%s is pfn %llx, which came as %s%.0u, %s", what, (unsigned long long)p,
                   t->page[p].level ? "a table of level " : "no table", t->page[p].level,
                   place.record);
}

static int check_plain(const struct pv_taken *t, uint64_t p, const char *what, struct pv_error *e)
{
    return check_level(t, p, 0, what, e);
}

/* ---- tables */

static int bad_entry(const struct localise *l, uint64_t table, unsigned slot, uint64_t entry,
                     const char *why, struct pv_error *e)
{
    struct pv_place place;
    pv_taken_place(l->t, pfn(table), &place);
    return pv_fail(e, "L%u at pfn %llx (%s), slot %u: %llx: %s", l->t->page[table].level,
                   (unsigned long long)table, place.record, slot, (unsigned long long)entry, why);
}

static int check_entry(const struct localise *l, uint64_t table, unsigned slot, uint64_t entry,
                       struct pv_error *e)
{
    char why[96];
    unsigned level = l->t->page[table].level;
    uint64_t p = pte_frame(entry).n;
    if (level == 4 && slot >= XENS_FIRST && slot <= XENS_LAST)
        return entry ? bad_entry(l, table, slot, entry, "the slot is the hypervisor's", e) : 0;
    if (!pte_present(entry))
        return 0;
    if (level > 1 && (entry & PTE_PSE))
        return bad_entry(l, table, slot, entry, "a superpage", e);
    if (is_there(l->t, p))
        return 0;
    snprintf(why, sizeof(why), "pfn %llx %s %llx", (unsigned long long)p,
             p < l->t->end_pfn ? "has no page in the stream, of pfns below" : "is not below",
             (unsigned long long)l->t->end_pfn);
    return bad_entry(l, table, slot, entry, why, e);
}

/* Each word is read once. */
static int localise_table(const struct localise *l, uint64_t table, bool write, struct pv_error *e)
{
    uint64_t *words = bytes_of(l, table);
    for (unsigned slot = 0; slot < ENTRIES; slot++) {
        uint64_t entry = words[slot];
        if (check_entry(l, table, slot, entry, e))
            return -1;
        if (write && pte_present(entry))
            words[slot] =
                pte_make(mfn(l->t->page[pte_frame(entry).n].mfn), entry & ~PTE_FRAME_MASK);
    }
    return 0;
}

static int localise_tables(const struct localise *l, bool write, struct pv_error *e)
{
    for (uint64_t p = 0; p < l->t->end_pfn; p++)
        if (is_there(l->t, p) && l->t->page[p].level && localise_table(l, p, write, e))
            return -1;
    return 0;
}

/* ---- the guest's own p2m list */

static int check_list(struct localise *l, struct pv_error *e)
{
    char what[48];
    const struct pv_taken *t = l->t;
    if (t->p2m_frames != (t->end_pfn + ENTRIES - 1) / ENTRIES)
        return pv_fail(e, "the p2m list has %zu pages, which are not what %llx pfns take",
                       t->p2m_frames, (unsigned long long)t->end_pfn);
    for (size_t i = 0; i < t->p2m_frames; i++) {
        uint64_t p = t->p2m_pfn[i];
        snprintf(what, sizeof(what), "page %zu of the p2m list", i);
        if (check_plain(t, p, what, e))
            return -1;
        if (l->in_list[p / 64] >> p % 64 & 1)
            return pv_fail(e, "%s is pfn %llx, which is another page of it already", what,
                           (unsigned long long)p);
        l->in_list[p / 64] |= 1ull << p % 64;
    }
    return 0;
}

/* What is behind the last pfn in the last page is the guest's. */
static void write_list(const struct localise *l)
{
    const struct pv_taken *t = l->t;
    for (uint64_t p = 0; p < t->end_pfn;) {
        uint64_t *words = bytes_of(l, t->p2m_pfn[p / ENTRIES]);
        for (unsigned i = 0; i < ENTRIES && p < t->end_pfn; i++, p++)
            words[i] = t->page[p].mfn == ~0u ? ~0ull : t->page[p].mfn;
    }
}

/* ---- vCPUs */

static unsigned gdt_frames(const vcpu_guest_context_t *c)
{
    return (unsigned)((c->gdt_ents + 511) / 512);
}

static int check_gdt(const struct pv_taken *t, const vcpu_guest_context_t *c, struct pv_error *e)
{
    char what[48];
    if (c->gdt_ents > GDT_ENTRIES)
        return pv_fail(e, "its GDT has %llu entries; at most %u are",
                       (unsigned long long)c->gdt_ents, GDT_ENTRIES);
    for (unsigned i = 0; i < gdt_frames(c); i++) {
        snprintf(what, sizeof(what), "frame %u of its GDT", i);
        if (check_plain(t, c->gdt_frames[i], what, e))
            return -1;
    }
    return 0;
}

static int check_context(const struct pv_taken *t, const vcpu_guest_context_t *c,
                         struct pv_error *e)
{
    if (check_gdt(t, c, e) || check_level(t, xen_cr3_to_pfn(c->ctrlreg[3]), 4, "its cr3", e))
        return -1;
    if (c->ctrlreg[1] == 0)
        return 0;
    if (!(c->ctrlreg[1] & 1))
        return pv_fail(e, "its cr1 is %llx, without the bit that says it is there",
                       (unsigned long long)c->ctrlreg[1]);
    return check_level(t, c->ctrlreg[1] >> PAGE_SHIFT_4K, 4, "its cr1", e);
}

static void context_of(const struct pv_vcpu *v, vcpu_guest_context_t *c)
{
    memcpy(c, v->context, sizeof(*c));
}

static int check_vcpus(const struct localise *l, struct pv_error *e)
{
    for (unsigned i = 0; i < l->t->nr_vcpus; i++) {
        vcpu_guest_context_t c;
        context_of(&l->t->vcpu[i], &c);
        if (l->t->vcpu[i].valid && check_context(l->t, &c, e))
            return pv_context(e, "vCPU %u", i);
    }
    return 0;
}

static uint64_t mfn_at(const struct localise *l, uint64_t p)
{
    return l->t->page[p].mfn;
}

static void write_vcpu(const struct localise *l, struct pv_vcpu *v)
{
    vcpu_guest_context_t c;
    context_of(v, &c);
    for (unsigned i = 0; i < gdt_frames(&c); i++)
        c.gdt_frames[i] = mfn_at(l, c.gdt_frames[i]);
    c.ctrlreg[3] = xen_pfn_to_cr3(mfn_at(l, xen_cr3_to_pfn(c.ctrlreg[3])));
    if (c.ctrlreg[1])
        c.ctrlreg[1] = xen_pfn_to_cr3(mfn_at(l, c.ctrlreg[1] >> PAGE_SHIFT_4K));
    c.flags |= VGCF_online;
    if (v == l->t->vcpu)
        c.user_regs.rdx = mfn_at(l, l->now->start_info.n);
    pv_vcpu_take(v, 8, &c);
}

static void write_vcpus(const struct localise *l)
{
    for (unsigned i = 0; i < l->t->nr_vcpus; i++)
        if (l->t->vcpu[i].valid)
            write_vcpu(l, &l->t->vcpu[i]);
}

/* ---- start_info: the suspend record */

/* No two of these are one page. */
static int check_apart(const struct pv_take_start *now, struct pv_error *e)
{
    if (now->start_info.n == now->console.n || now->start_info.n == now->store.n ||
        now->console.n == now->store.n)
        return pv_fail(e,
                       "start_info, console's and store's ring are not apart: pfns %llx, %llx, "
                       "%llx",
                       (unsigned long long)now->start_info.n, (unsigned long long)now->console.n,
                       (unsigned long long)now->store.n);
    return 0;
}

/* A guest that had no port of a store has no ring of one either. */
static int check_start(struct localise *l, struct pv_error *e)
{
    start_info_t s;
    vcpu_guest_context_t c;
    struct pv_take_start *now = l->now;
    context_of(l->t->vcpu, &c);
    now->start_info = pfn(c.user_regs.rdx);
    if (check_plain(l->t, now->start_info.n, "start_info, by rdx of vCPU 0,", e))
        return -1;
    memcpy(&s, bytes_of(l, now->start_info.n), sizeof(s));
    if (memcmp(s.magic, MAGIC, sizeof(MAGIC) - 1))
        return pv_fail(e,
                       "pfn %llx, by rdx of vCPU 0, is no start_info: it does not begin with "
                       "\"" MAGIC "\"",
                       (unsigned long long)now->start_info.n);
    now->store = s.store_evtchn ? pfn(s.store_mfn) : NO_PFN;
    now->console = pfn(s.console.domU.mfn);
    if ((s.store_evtchn && check_plain(l->t, now->store.n, "the store's ring", e)) ||
        check_plain(l->t, now->console.n, "the console's ring", e) || check_apart(now, e))
        return -1;
    return 0;
}

static void write_start(const struct localise *l)
{
    const struct pv_take_start *now = l->now;
    start_info_t *s = bytes_of(l, now->start_info.n);
    s->nr_pages = l->t->end_pfn;
    s->shared_info = mfn_address(now->shared_info, 0).a;
    s->flags = 0;
    if (now->store.n != NO_PFN.n) {
        s->store_mfn = mfn_at(l, now->store.n);
        s->store_evtchn = now->store_port;
    }
    s->console.domU.mfn = mfn_at(l, now->console.n);
    s->console.domU.evtchn = now->console_port;
}

/* ---- */

static int check_all(struct localise *l, struct pv_error *e)
{
    if (l->t->nr_vcpus == 0 || !l->t->vcpu[0].valid)
        return pv_fail(e, "there is no vCPU 0");
    return check_start(l, e) || check_vcpus(l, e) || check_list(l, e) ||
                   localise_tables(l, false, e)
               ? -1
               : 0;
}

int pv_take_localise(struct pv_taken *t, void *(*at)(void *context, mfn_t m), void *context,
                     struct pv_take_start *now, struct pv_error *e)
{
    struct localise l = {.t = t, .at = at, .context = context, .now = now};
    l.in_list = calloc(t->end_pfn / 64 + 1, sizeof(*l.in_list));
    if (!l.in_list)
        return pv_no_memory(e);
    int rc = check_all(&l, e);
    free(l.in_list);
    if (rc || localise_tables(&l, true, e))
        return -1;
    write_list(&l);
    write_start(&l);
    write_vcpus(&l);
    return 0;
}
