/* SPDX-License-Identifier: MIT */
/*
 * Writes an ELF core: headers and notes, our tables, then the pages, each once. Several program
 * headers may show one page. Pages of zeroes are holes of the file.
 */
#include "elfcore.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "portable.h"
#include "pte.h"
#include "stream.h"

#define BATCH 256 /* pages between two words of progress */

struct writing {
    const struct pv_view *v, *from;
    const struct pv_convert_options *o;
    int fd;
    uint32_t *pfn;
    uint64_t pages;
    struct elfcore_loads loads;
    struct elfcore_notes notes;
    struct elfcore_note own;
    struct pv_pairs words;
    bool has_hidden; /* the word of xen_start_info, which is 0 in the file */
    uint64_t hidden_pfn;
    unsigned hidden_slot;
    uint64_t notes_at, end;
};

/* ---- what there is */

static int list_pages(struct writing *w, struct pv_error *e)
{
    const struct pv_backend *b = w->v->backend;
    uint64_t room = w->v->nr_pages;
    w->pfn = calloc(room ? room : 1, sizeof(*w->pfn));
    if (!w->pfn)
        return pv_no_memory(e);
    for (pfn_t p = b->next_pfn(w->v, pfn(0)); p.n != NO_PFN.n;
         p = b->next_pfn(w->v, pfn(p.n + 1))) {
        if (w->pages == room || p.n >= PV_FRAME_LIMIT)
            return pv_fail(e, "more pages than the image is said to have, %llu",
                           (unsigned long long)room);
        w->pfn[w->pages++] = (uint32_t)p.n;
    }
    return w->pages ? 0 : pv_fail(e, "it has no page with a pfn");
}

/* crash takes a kernel with a start_info for one whose tables hold machine frames, and looks for
 * them where only xl's cores have them. */
static int hide_start_info(struct writing *w, struct pv_error *e)
{
    struct pv_walk walk;
    uint64_t va, word;
    if (!w->o->symbols || !pv_symbol_find(w->o->symbols, "xen_start_info", &va) || va % 8 ||
        !pv_walk(w->v, w->v->kernel_root, gva(va), &walk))
        return 0;
    const mfn_t m = maddr_frame(walk.to);
    const unsigned offset = walk.to.a & (PAGE_BYTES - 1);
    if (!w->v->backend->owned(w->v, m) ||
        !w->v->backend->read(w->v, m, offset, &word, sizeof(word)) || word == 0)
        return 0;
    w->has_hidden = true;
    w->hidden_pfn = m.n;
    w->hidden_slot = offset / 8;
    return pv_pairs_add(&w->words, WORD_KEY(m.n, offset / 8), word) ? 0 : pv_no_memory(e);
}

static int take_words(struct writing *w, struct pv_error *e)
{
    if (w->from) {
        const struct pv_pairs *p = pv_portable_words(w->v);
        for (size_t i = 0; i < p->n; i++)
            if (!pv_pairs_add(&w->words, p->pair[i].key, p->pair[i].value))
                return pv_no_memory(e);
    }
    return hide_start_info(w, e) || (pv_pairs_sort(&w->words) ? 0 : pv_no_memory(e));
}

/* ---- the layout */

static uint64_t place(struct writing *w, uint64_t bytes, uint64_t align)
{
    const uint64_t at = (w->end + align - 1) / align * align;
    w->end = at + bytes;
    return at;
}

static void describe(struct writing *w)
{
    const struct pv_view *as = w->from ? w->from : w->v;
    const struct pv_domain *d = &as->domain[as->chosen];
    struct elfcore_note *n = &w->own;
    n->version = ELFCORE_VERSION;
    n->width = as->width;
    n->machine = w->from != NULL;
    n->types = !w->from || !pv_portable_told(w->v)->inferred;
    n->pages = w->pages;
    n->words = w->words.n;
    n->vcpus = as->nr_vcpus;
    n->shared_info = as->shared_info.n;
    n->start_info = as->start_info.n;
    n->initial_root = as->initial_root.n;
    n->kernel_root = as->kernel_root.n;
    n->nr_frames = as->nr_frames;
    n->tsc_khz = as->tsc_khz;
    n->domain = d->id;
    snprintf(n->xen, sizeof(n->xen), "%s", as->xen);
    snprintf(n->name, sizeof(n->name), "%s", d->name);
    snprintf(n->uuid, sizeof(n->uuid), "%s", d->uuid);
    snprintf(n->lost, sizeof(n->lost), "%s", as->lost);
}

static void lay_out(struct writing *w)
{
    struct elfcore_note *n = &w->own;
    const uint64_t *list;
    size_t listed = 0;
    /* A view's own list is the guest's to find again; only a stream cannot. */
    if (!w->from && !pv_stream_p2m_frames(w->v, &n->list_start, &n->list_last, &list, &listed))
        listed = 0;
    w->end = sizeof(Elf64_Ehdr) + (1 + w->loads.n) * sizeof(Elf64_Phdr);
    w->notes_at = place(w, w->notes.n, 8);
    n->list = listed;
    n->pages_at = place(w, n->pages * sizeof(struct elfcore_page), 8);
    n->words_at = place(w, n->words * sizeof(struct elfcore_word), 8);
    n->vcpus_at = place(w, n->vcpus * sizeof(struct elfcore_vcpu), 8);
    n->list_at = place(w, n->list * sizeof(uint64_t), 8);
    n->content_at = place(w, n->pages * PAGE_BYTES, PAGE_BYTES);
    n->shared_at = mfn_eq(w->v->shared_info, NO_MFN) ? 0 : place(w, PAGE_BYTES, PAGE_BYTES);
}

/* ---- what stands before the pages */

static int write_headers(struct writing *w, struct pv_error *e)
{
    const struct elfcore_loads *l = &w->loads;
    const Elf64_Ehdr h = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT,
                    ELFOSABI_SYSV},
        .e_type = ET_CORE,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof(h),
        .e_ehsize = sizeof(h),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = (Elf64_Half)(1 + l->n),
    };
    Elf64_Phdr *p = calloc(1 + l->n, sizeof(*p));
    if (!p)
        return pv_no_memory(e);
    p[0] = (Elf64_Phdr){.p_type = PT_NOTE,
                        .p_offset = w->notes_at,
                        .p_filesz = w->notes.n,
                        .p_memsz = w->notes.n,
                        .p_align = 4};
    for (size_t i = 0; i < l->n; i++)
        p[1 + i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                .p_flags = PF_R | PF_W | PF_X,
                                .p_offset = w->own.content_at + l->load[i].index * PAGE_BYTES,
                                .p_vaddr = l->load[i].va,
                                .p_paddr = l->load[i].frame << PAGE_SHIFT_4K,
                                .p_filesz = l->load[i].pages * PAGE_BYTES,
                                .p_memsz = l->load[i].pages * PAGE_BYTES,
                                .p_align = PAGE_BYTES};
    int rc = pv_write_at(w->fd, 0, &h, sizeof(h), "the ELF header", e) ||
             pv_write_at(w->fd, sizeof(h), p, (1 + l->n) * sizeof(*p), "the program headers", e);
    free(p);
    memcpy(w->notes.bytes + w->notes.own_at, &w->own, sizeof(w->own));
    return rc || pv_write_at(w->fd, w->notes_at, w->notes.bytes, w->notes.n, "the notes", e) ? -1
                                                                                             : 0;
}

static struct elfcore_page page_of(const struct writing *w, uint64_t index)
{
    const mfn_t at = mfn(w->pfn[index]);
    struct elfcore_page p = {.pfn = w->pfn[index], .mfn = w->pfn[index]};
    struct pv_told told;
    uint8_t byte;
    if (w->from)
        p.mfn = (uint32_t)w->from->backend->mfn_of(w->from, pfn(at.n)).n;
    if (w->v->backend->told && w->v->backend->told(w->v, at, &told))
        p.flags = (told.level & ELFCORE_PAGE_LEVEL) | (told.pinned ? ELFCORE_PAGE_PINNED : 0) |
                  (w->own.types ? ELFCORE_PAGE_TOLD : 0);
    if (w->v->backend->read(w->v, at, 0, &byte, 1))
        p.flags |= ELFCORE_PAGE_CONTENT;
    return p;
}

static int write_table(struct writing *w, struct pv_converted *out, struct pv_error *e)
{
    struct elfcore_page chunk[BATCH];
    for (uint64_t done = 0; done < w->pages;) {
        unsigned n = 0;
        for (; n < BATCH && done + n < w->pages; n++) {
            chunk[n] = page_of(w, done + n);
            out->tables += (chunk[n].flags & ELFCORE_PAGE_LEVEL) != 0;
        }
        if (pv_write_at(w->fd, w->own.pages_at + done * sizeof(*chunk), chunk, n * sizeof(*chunk),
                        "the table of pages", e))
            return -1;
        done += n;
    }
    return 0;
}

static struct elfcore_vcpu vcpu_of(const struct pv_vcpu *from)
{
    const struct pv_extended *x = &from->extended;
    struct elfcore_vcpu v = {.valid = from->valid,
                             .extended = x->there,
                             .syscall32_eip = x->syscall32_eip,
                             .sysenter_eip = x->sysenter_eip,
                             .syscall32_cs = x->syscall32_cs,
                             .sysenter_cs = x->sysenter_cs,
                             .syscall32_disables_events = x->syscall32_disables_events,
                             .sysenter_disables_events = x->sysenter_disables_events};
    memcpy(v.context, from->context, sizeof(v.context));
    return v;
}

static int write_state(struct writing *w, struct pv_error *e)
{
    const struct pv_view *as = w->from ? w->from : w->v;
    const uint64_t *list;
    uint64_t start, last;
    size_t n;
    for (unsigned i = 0; i < as->nr_vcpus; i++) {
        const struct elfcore_vcpu v = vcpu_of(&as->vcpu[i]);
        if (pv_write_at(w->fd, w->own.vcpus_at + i * sizeof(v), &v, sizeof(v), "a vCPU's state", e))
            return -1;
    }
    _Static_assert(sizeof(struct pv_pair) == sizeof(struct elfcore_word), "as they are");
    if (w->words.n && pv_write_at(w->fd, w->own.words_at, w->words.pair,
                                  w->words.n * sizeof(*w->words.pair), "the words", e))
        return -1;
    return w->own.list && pv_stream_p2m_frames(w->v, &start, &last, &list, &n) &&
                   pv_write_at(w->fd, w->own.list_at, list, n * sizeof(*list),
                               "the p2m list's pages", e)
               ? -1
               : 0;
}

/* ---- the pages */

static bool is_zero(const uint8_t page[PAGE_BYTES])
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static int write_page(struct writing *w, mfn_t at, uint64_t offset, struct pv_error *e)
{
    const struct pv_backend *b = w->v->backend;
    uint8_t page[PAGE_BYTES];
    if ((b->blank && b->blank(w->v, at)) || !b->read(w->v, at, 0, page, PAGE_BYTES))
        return 0; /* what has no content is said to have none */
    if (w->has_hidden && at.n == w->hidden_pfn)
        memset(page + w->hidden_slot * 8u, 0, 8);
    return is_zero(page) ? 0 : pv_write_at(w->fd, offset, page, PAGE_BYTES, "the pages", e);
}

static int write_pages(struct writing *w, struct pv_error *e)
{
    for (uint64_t i = 0; i < w->pages; i++) {
        if (write_page(w, mfn(w->pfn[i]), w->own.content_at + i * PAGE_BYTES, e))
            return -1;
        if (i % BATCH == 0 && pv_tell(&w->o->progress, "writing pages", i, w->pages, e))
            return -1;
    }
    return w->own.shared_at ? write_page(w, w->v->shared_info, w->own.shared_at, e) : 0;
}

/* ---- the whole */

static void tell(const struct writing *w, struct pv_converted *out)
{
    out->pages = w->pages;
    if (w->has_hidden)
        pv_lose(&out->lost, "xen_start_info reads as 0, so that crash does not look for machine "
                            "frames; the note \"pvmm\" has the value");
    if (!w->loads.has_base)
        pv_lose(&out->lost, "no map of all memory is known: memory is shown at its pseudo-physical "
                            "addresses");
    if (w->loads.repeated)
        pv_lose(&out->lost,
                "what %llu entries map by tables that others lead to as well has no program "
                "header: it is found through the tables alone",
                (unsigned long long)w->loads.repeated);
    if (w->loads.left_out)
        pv_lose(&out->lost,
                "%llu mapped pieces have no program header, as there are more than %u: they are "
                "found through the tables alone",
                (unsigned long long)w->loads.left_out, ELFCORE_LOADS);
}

static int write_all(struct writing *w, struct pv_converted *out, struct pv_error *e)
{
    if (list_pages(w, e) || take_words(w, e))
        return -1;
    w->loads = (struct elfcore_loads){.v = w->v, .pfn = w->pfn, .nr_pages = w->pages};
    if (elfcore_loads_find(&w->loads, w->o->symbols, e) ||
        elfcore_notes_make(&w->notes, w->v, w->o->symbols, &out->lost, e))
        return -1;
    describe(w);
    lay_out(w);
    /* What was there goes, so that what is not written reads as zeroes. */
    if (ftruncate(w->fd, 0) || ftruncate(w->fd, (off_t)w->end))
        return pv_fail_errno(e, "cannot give the file its size, %llu bytes",
                             (unsigned long long)w->end);
    if (write_headers(w, e) || write_table(w, out, e) || write_state(w, e) || write_pages(w, e))
        return -1;
    tell(w, out);
    return 0;
}

int pv_elfcore_write(const struct pv_view *v, const struct pv_view *from, int fd,
                     const struct pv_convert_options *o, struct pv_converted *out,
                     struct pv_error *e)
{
    struct writing w = {.v = v, .from = from, .o = o, .fd = fd};
    int rc = v->width == 8
                 ? write_all(&w, out, e)
                 : pv_fail(e, "a guest of 32 bits: no debugger here reads such a kernel's");
    free(w.pfn);
    free(w.notes.bytes);
    pv_pairs_free(&w.words);
    elfcore_loads_free(&w.loads);
    return rc ? pv_context(e, "cannot write the ELF core") : 0;
}
