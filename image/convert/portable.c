/* SPDX-License-Identifier: MIT */
/*
 * The view itself. Its frames are pfns; shared_info, which has none, gets a number above all
 * others, as in a view of a stream.
 */
#include "portable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#include "glue.h"
#include "list.h"
#include "pte.h"
#include "startinfo.h"
#include "stream.h"
#include "stream_write.h"

#define MAGIC "xen-3.0-x86"
#define WORDS_MOST                                                                                 \
    (1u << 20) /* and one for each page: more of them nobody has who is not damaged */

struct portable {
    const struct pv_view *from;
    mfn_t shared; /* the frame that tables name shared_info by; NO_MFN: not known */
    uint8_t *level;
    uint64_t frames; /* of `level` */
    struct pv_pairs words;
    struct portable_told told;
    uint64_t list_end;
    uint64_t *list; /* pfns of the pages of the guest's p2m list */
    size_t list_pages;
};

static struct portable *portable_of(const struct pv_view *v)
{
    return v->image;
}

/* ---- frames */

static mfn_t real(const struct pv_view *v, mfn_t m)
{
    const struct pv_view *from = portable_of(v)->from;
    if (mfn_eq(m, v->shared_info))
        return from->shared_info;
    return m.n < v->end_pfn.n ? from->backend->mfn_of(from, pfn(m.n)) : NO_MFN;
}

/* The pfn that has this frame, and no other has. */
static bool number(const struct pv_view *from, mfn_t m, uint64_t *p)
{
    if (!from->backend->owned(from, m))
        return false;
    *p = from->backend->pfn_of(from, m).n;
    return *p < from->end_pfn.n && mfn_eq(from->backend->mfn_of(from, pfn(*p)), m);
}

static unsigned level_of(const struct portable *t, mfn_t m)
{
    const uint64_t i = pv_tables_index(t->from, m);
    return i < t->frames ? t->level[i] & 7 : 0;
}

/* ---- entries */

enum verdict { KEPT, XENS, FOREIGN, SUPERPAGE };

static enum verdict normalise(const struct pv_view *v, unsigned level, unsigned slot,
                              uint64_t *word)
{
    const struct portable *t = portable_of(v);
    const uint64_t entry = *word;
    uint64_t p;
    if (pv_is_xens_slot(level, slot)) {
        *word = 0;
        return entry ? XENS : KEPT;
    }
    if (!pte_present(entry))
        return KEPT;
    const bool shared = !mfn_eq(t->shared, NO_MFN) && mfn_eq(pte_frame(entry), t->shared);
    *word = 0;
    if (level > 1 && pv_is_leaf(level, entry))
        return SUPERPAGE;
    if (!shared && !number(t->from, pte_frame(entry), &p))
        return FOREIGN;
    *word = pte_make(shared ? v->shared_info : mfn(p), entry & ~PTE_FRAME_MASK);
    return shared ? XENS : KEPT;
}

/* Whole words around what is asked for. */
static bool read_table(const struct pv_view *v, mfn_t m, unsigned level, unsigned offset, void *to,
                       unsigned n)
{
    const struct pv_view *from = portable_of(v)->from;
    uint64_t word[GLUE_TABLE_ENTRIES];
    const unsigned first = offset / 8, end = (offset + n + 7) / 8;
    if (!from->backend->read(from, m, first * 8, word, (end - first) * 8))
        return false;
    for (unsigned slot = first; slot < end; slot++)
        normalise(v, level, slot, &word[slot - first]);
    memcpy(to, (const uint8_t *)word + (offset - first * 8), n);
    return true;
}

/* ---- the backend */

static bool portable_read(const struct pv_view *v, mfn_t at, unsigned offset, void *to, unsigned n)
{
    const struct portable *t = portable_of(v);
    const mfn_t m = real(v, at);
    if (mfn_eq(m, NO_MFN) || offset > PAGE_BYTES || n > PAGE_BYTES - offset)
        return false;
    const unsigned level = mfn_eq(at, v->shared_info) ? 0 : level_of(t, m);
    return level ? read_table(v, m, level, offset, to, n)
                 : t->from->backend->read(t->from, m, offset, to, n);
}

static bool portable_owned(const struct pv_view *v, mfn_t m)
{
    return !mfn_eq(m, v->shared_info) && !mfn_eq(real(v, m), NO_MFN);
}

static pfn_t portable_pfn_of(const struct pv_view *v, mfn_t m)
{
    return portable_owned(v, m) ? pfn(m.n) : NO_PFN;
}

static mfn_t portable_mfn_of(const struct pv_view *v, pfn_t p)
{
    return portable_owned(v, mfn(p.n)) ? mfn(p.n) : NO_MFN;
}

static pfn_t portable_next_pfn(const struct pv_view *v, pfn_t from)
{
    const struct pv_view *beneath = portable_of(v)->from;
    return beneath->backend->next_pfn(beneath, from);
}

static mfn_t portable_next_owned(const struct pv_view *v, mfn_t from)
{
    return mfn(portable_next_pfn(v, pfn(from.n)).n);
}

static bool portable_told(const struct pv_view *v, mfn_t at, struct pv_told *out)
{
    const struct portable *t = portable_of(v);
    const mfn_t m = real(v, at);
    const uint64_t i = mfn_eq(m, NO_MFN) ? NO_MFN.n : pv_tables_index(t->from, m);
    if (i >= t->frames)
        return false;
    *out = (struct pv_told){.level = t->level[i] & 7, .pinned = t->level[i] & PAGE_PINNED};
    return true;
}

static mfn_t portable_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    struct pv_told told;
    for (mfn_t m = portable_next_owned(v, from); !mfn_eq(m, NO_MFN);
         m = portable_next_owned(v, mfn(m.n + 1)))
        if (portable_told(v, m, &told) && told.pinned && told.level == pv_top_level(v))
            return m;
    return NO_MFN;
}

static uint64_t *portable_words(const struct pv_view *v, mfn_t at)
{
    const struct portable *t = portable_of(v);
    const mfn_t m = real(v, at);
    if (mfn_eq(m, NO_MFN) || !t->from->backend->words || level_of(t, m))
        return NULL;
    return t->from->backend->words(t->from, m);
}

static bool portable_blank(const struct pv_view *v, mfn_t at)
{
    const struct pv_view *from = portable_of(v)->from;
    const mfn_t m = real(v, at);
    return !mfn_eq(m, NO_MFN) && from->backend->blank && from->backend->blank(from, m);
}

static bool portable_place(const struct pv_view *v, mfn_t at, struct pv_place *out)
{
    const mfn_t m = real(v, at);
    return !mfn_eq(m, NO_MFN) && pv_place_of(portable_of(v)->from, m, out);
}

static bool portable_p2m_frames(const struct pv_view *v, uint64_t *start, uint64_t *end,
                                const uint64_t **list, size_t *n)
{
    const struct portable *t = portable_of(v);
    *start = 0;
    *end = t->list_end - 1;
    *list = t->list;
    *n = t->list_pages;
    return t->list_pages != 0;
}

static void portable_free(struct portable *t)
{
    pv_pairs_free(&t->words);
    free(t->level);
    free(t->list);
    free(t);
}

static void portable_close(struct pv_view *v)
{
    portable_free(v->image);
}

static const struct pv_backend portable_backend = {
    .read = portable_read,
    .owned = portable_owned,
    .pfn_of = portable_pfn_of,
    .mfn_of = portable_mfn_of,
    .next_pinned_root = portable_next_pinned_root,
    .next_owned = portable_next_owned,
    .next_pfn = portable_next_pfn,
    .words = portable_words,
    .blank = portable_blank,
    .place = portable_place,
    .told = portable_told,
    .p2m_frames = portable_p2m_frames,
    .close = portable_close,
};

/* ---- types */

/* false: of some page the image does not tell. */
static bool take_told(struct portable *t)
{
    const struct pv_backend *b = t->from->backend;
    struct pv_told told;
    if (!b->told)
        return false;
    for (mfn_t m = b->next_owned(t->from, mfn(0)); !mfn_eq(m, NO_MFN);
         m = b->next_owned(t->from, mfn(m.n + 1))) {
        const uint64_t i = pv_tables_index(t->from, m);
        if (!b->told(t->from, m, &told) || i >= t->frames)
            return false;
        t->level[i] = (uint8_t)((told.level & 7) | (told.level && told.pinned ? PAGE_PINNED : 0));
    }
    return true;
}

/* Roots that were found are pinned: Xen has no other way for one to last. */
static int infer(struct portable *t, const struct pv_progress *progress, struct pv_error *e)
{
    const unsigned top = pv_top_level(t->from);
    t->told.inferred = true;
    memset(t->level, 0, t->frames);
    if (pv_tables_infer(t->from, t->level, progress, e))
        return -1;
    for (uint64_t i = 0; i < t->frames; i++)
        if (t->level[i] == top)
            t->level[i] |= PAGE_PINNED;
    return 0;
}

static int take_types(struct portable *t, const struct pv_progress *progress, struct pv_error *e)
{
    t->frames = t->from->nr_pages;
    t->level = calloc(t->frames ? t->frames : 1, 1);
    if (!t->level)
        return pv_no_memory(e);
    return take_told(t) ? 0 : infer(t, progress, e);
}

/* ---- words that are not kept */

static void count(struct portable_told *told, enum verdict what)
{
    told->xens += what == XENS;
    told->foreign += what == FOREIGN;
    told->superpages += what == SUPERPAGE;
}

static int keep_word(struct portable *t, uint64_t p, unsigned slot, uint64_t was,
                     struct pv_error *e)
{
    if (t->words.n >= WORDS_MOST + t->from->nr_pages) {
        t->told.beyond++;
        return 0;
    }
    return pv_pairs_add(&t->words, WORD_KEY(p, slot), was) ? 0 : pv_no_memory(e);
}

static int look_through(const struct pv_view *v, uint64_t p, mfn_t m, struct pv_error *e)
{
    struct portable *t = portable_of(v);
    const unsigned level = level_of(t, m);
    uint64_t word[GLUE_TABLE_ENTRIES];
    if (level == 0 || !t->from->backend->read(t->from, m, 0, word, sizeof(word)))
        return 0;
    t->told.tables++;
    for (unsigned slot = 0; slot < GLUE_TABLE_ENTRIES; slot++) {
        const uint64_t was = word[slot];
        const enum verdict what = normalise(v, level, slot, &word[slot]);
        count(&t->told, what);
        if (what != KEPT && keep_word(t, p, slot, was, e))
            return -1;
    }
    return 0;
}

static int take_words(const struct pv_view *v, struct pv_error *e)
{
    const struct pv_view *from = portable_of(v)->from;
    const struct pv_backend *b = from->backend;
    uint64_t pages = 0;
    for (pfn_t p = b->next_pfn(from, pfn(0)); p.n != NO_PFN.n;
         p = b->next_pfn(from, pfn(p.n + 1))) {
        pages++;
        if (look_through(v, p.n, b->mfn_of(from, p), e))
            return -1;
    }
    portable_of(v)->told.nameless = from->nr_pages > pages ? from->nr_pages - pages : 0;
    return 0;
}

/* ---- the vCPUs */

static bool number_or_count(struct portable *t, mfn_t m, uint64_t *p)
{
    const bool is = number(t->from, m, p);
    t->told.registers += !is;
    return is;
}

static bool begins_as_start_info(const struct pv_view *from, mfn_t m)
{
    char begins[sizeof(MAGIC) - 1];
    return from->backend->owned(from, m) &&
           from->backend->read(from, m, 0, begins, sizeof(begins)) &&
           memcmp(begins, MAGIC, sizeof(begins)) == 0;
}

static void localise(struct pv_view *v, unsigned vcpu)
{
    struct portable *t = portable_of(v);
    vcpu_guest_context_t c;
    uint64_t p;
    memcpy(&c, v->vcpu[vcpu].context, sizeof(c));
    if (vcpu == 0 && begins_as_start_info(t->from, mfn(c.user_regs.rdx)) &&
        number(t->from, mfn(c.user_regs.rdx), &p)) {
        c.user_regs.rdx = p;
        t->told.suspended = true;
    }
    for (unsigned i = 0; i < FIRST_RESERVED_GDT_PAGE && i * 512 < c.gdt_ents; i++)
        if (number_or_count(t, mfn(c.gdt_frames[i]), &p))
            c.gdt_frames[i] = p;
    if (c.ctrlreg[3] && number_or_count(t, mfn(xen_cr3_to_pfn(c.ctrlreg[3])), &p))
        c.ctrlreg[3] = xen_pfn_to_cr3(p);
    /* A user root has bit 0 set, so that pfn 0 and none are not the same. */
    if (c.ctrlreg[1] && number_or_count(t, mfn(xen_cr3_to_pfn(c.ctrlreg[1])), &p))
        c.ctrlreg[1] = p << PAGE_SHIFT_4K | 1;
    pv_vcpu_take(&v->vcpu[vcpu], v->width, &c);
}

static mfn_t named(const struct pv_view *from, mfn_t m)
{
    uint64_t p;
    return !mfn_eq(m, NO_MFN) && number(from, m, &p) ? mfn(p) : NO_MFN;
}

static void take_state(struct pv_view *v)
{
    const struct pv_view *from = portable_of(v)->from;
    for (unsigned i = 0; i < v->nr_vcpus; i++) {
        v->vcpu[i] = from->vcpu[i];
        if (from->vcpu[i].valid)
            localise(v, i);
    }
    v->kernel_root = named(from, from->kernel_root);
    v->initial_root = named(from, from->initial_root);
    v->start_info = named(from, from->start_info);
    if (portable_of(v)->told.suspended) {
        vcpu_guest_context_t c;
        memcpy(&c, v->vcpu[0].context, sizeof(c));
        v->start_info = mfn(c.user_regs.rdx);
    }
}

/* ---- the guest's own list */

static int number_list(struct portable *t, const struct save_list *l, struct pv_error *e)
{
    t->list = calloc(l->pages, sizeof(*t->list));
    if (!t->list)
        return pv_no_memory(e);
    for (size_t i = 0; i < l->pages; i++)
        if (!number(t->from, l->page[i].frame, &t->list[i]))
            return pv_fail(e, "its page %zu, mfn %llx, is no page of the guest's", i,
                           (unsigned long long)l->page[i].frame.n);
    t->list_pages = l->pages;
    t->list_end = l->end;
    return 0;
}

static void take_list(struct portable *t)
{
    struct save_list l = {.v = t->from};
    struct pv_error why;
    if (save_list_published(&l, &why) || number_list(t, &l, &why))
        snprintf(t->told.no_list, sizeof(t->told.no_list), "%.*s", (int)sizeof(t->told.no_list) - 1,
                 why.text);
    save_list_free(&l);
}

/* ---- opening */

static mfn_t find_shared(const struct pv_view *from, const struct pv_symbols *s)
{
    struct pv_start_info start;
    struct pv_error ignored;
    if (mfn_eq(from->shared_info, NO_MFN))
        return NO_MFN;
    if (from->has_m2p || pv_start_info_find(&start, from, s, &ignored))
        return from->shared_info;
    const mfn_t m = maddr_frame(start.shared_info);
    return start.shared_info.a && !from->backend->owned(from, m) ? m : from->shared_info;
}

static void describe(struct pv_view *v, const struct pv_view *from)
{
    v->width = from->width;
    v->portable = true;
    v->tsc_khz = from->tsc_khz;
    v->end_pfn = from->end_pfn;
    v->nr_pages = from->nr_pages;
    v->nr_frames = v->end_pfn.n;
    if (!mfn_eq(from->shared_info, NO_MFN))
        v->shared_info = mfn(v->nr_frames++);
    v->domain[0] = from->domain[from->chosen];
    v->domain[0].shared_info = v->shared_info;
    memcpy(v->xen, from->xen, sizeof(v->xen));
    memcpy(v->lost, from->lost, sizeof(v->lost));
}

static int fill(struct pv_view *v, const struct pv_progress *progress, struct pv_error *e)
{
    struct portable *t = portable_of(v);
    if (take_types(t, progress, e) || take_words(v, e))
        return -1;
    take_state(v);
    take_list(t);
    return 0;
}

int pv_portable_open(struct pv_view **out, const struct pv_view *from, const struct pv_symbols *s,
                     bool to_write, const struct pv_progress *progress, struct pv_error *e)
{
    if (!from->backend->index_of)
        return pv_fail(e, "%s does not number its frames", from->kind);
    if (from->portable || from->width != 8)
        return pv_fail(e, "%s of %u bits", from->kind, from->width * 8);
    struct pv_view *v = pv_view_new(&portable_backend, from->kind, from->nr_vcpus);
    struct portable *t = calloc(1, sizeof(*t));
    if (!v || !t) {
        free(t);
        if (v)
            pv_view_free(v);
        return pv_no_memory(e);
    }
    t->from = from;
    t->shared = to_write ? NO_MFN : find_shared(from, s);
    v->image = t;
    describe(v, from);
    if (fill(v, progress, e)) {
        pv_close(v);
        return -1;
    }
    *out = v;
    return 0;
}

const struct portable_told *pv_portable_told(const struct pv_view *v)
{
    return &portable_of(v)->told;
}

const struct pv_pairs *pv_portable_words(const struct pv_view *v)
{
    return &portable_of(v)->words;
}

const struct pv_view *pv_portable_from(const struct pv_view *v)
{
    return v->backend == &portable_backend ? portable_of(v)->from : NULL;
}
