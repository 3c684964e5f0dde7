/* SPDX-License-Identifier: MIT */
/*
 * Reads what elfcore_write.c wrote, as the view that it was made of: with machine frames, if that
 * had them, and every word as it was. Our own note tells where all is; other tools' headers are for
 * other tools.
 */
#include "elfcore.h"

#include <elf.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portable.h"
#include "pte.h"

#define WORDS     (PAGE_BYTES / 8)
#define LIST_MOST (1u << 23) /* pages of a p2m list: of 16 TiB */

/* Of no guest so much memory is tables; of a damaged file not all of it is to be copied. */
#define COPIES_MOST(pages) ((pages) / 8 + 1024)

/* A table with its machine frames, made when it is asked for first. */
struct copy {
    uint64_t index;
    _Atomic(uintptr_t) words;
};

struct elfcore {
    struct pv_file *file;
    struct elfcore_note note;
    struct pv_frames frames;
    uint8_t *flags; /* by index */
    struct pv_pairs words;
    struct pv_pairs gone; /* pages that lie behind the file's end: their pfns and frames */
    uint64_t *list;
    struct copy *copy; /* of tables, ascending */
    size_t copies;
};

static struct elfcore *elfcore_of(const struct pv_view *v)
{
    return v->image;
}

/* ---- frames */

static uint64_t core_index_of(const struct pv_view *v, mfn_t m)
{
    return pv_frames_mfn(&elfcore_of(v)->frames, m);
}

static mfn_t core_frame_at(const struct pv_view *v, uint64_t index)
{
    const struct pv_frames *f = &elfcore_of(v)->frames;
    return index < f->n ? mfn(f->mfn[index]) : NO_MFN;
}

static bool core_owned(const struct pv_view *v, mfn_t m)
{
    return core_index_of(v, m) != NO_MFN.n;
}

static pfn_t core_pfn_of(const struct pv_view *v, mfn_t m)
{
    const uint64_t index = core_index_of(v, m);
    return index != NO_MFN.n ? pfn(elfcore_of(v)->frames.pfn[index]) : NO_PFN;
}

static mfn_t core_mfn_of(const struct pv_view *v, pfn_t p)
{
    return core_frame_at(v, pv_frames_pfn(&elfcore_of(v)->frames, p));
}

static mfn_t core_next_owned(const struct pv_view *v, mfn_t from)
{
    return pv_frames_next_mfn(&elfcore_of(v)->frames, from);
}

static pfn_t core_next_pfn(const struct pv_view *v, pfn_t from)
{
    const struct pv_frames *f = &elfcore_of(v)->frames;
    const uint64_t index = pv_frames_pfn_from(f, from);
    return index != NO_PFN.n ? pfn(f->pfn[index]) : NO_PFN;
}

/* ---- content */

/* Where it lies, and whether words of it are to be changed back. */
static bool find(const struct pv_view *v, mfn_t m, uint64_t *at, uint64_t *index)
{
    const struct elfcore *c = elfcore_of(v);
    *index = NO_MFN.n;
    if (c->note.shared_at && mfn_eq(m, v->shared_info)) {
        *at = c->note.shared_at;
        return true;
    }
    *index = core_index_of(v, m);
    if (*index == NO_MFN.n || !(c->flags[*index] & ELFCORE_PAGE_CONTENT))
        return false;
    *at = c->note.content_at + *index * PAGE_BYTES;
    return true;
}

static uint64_t key_of(const struct elfcore *c, uint64_t index)
{
    return WORD_KEY(c->frames.pfn[index], 0);
}

static bool is_changed(const struct elfcore *c, uint64_t index)
{
    if (index == NO_MFN.n)
        return false;
    if (c->note.machine && (c->flags[index] & ELFCORE_PAGE_LEVEL))
        return true;
    const struct pv_pair *p = pv_pairs_from(&c->words, key_of(c, index));
    return p && p->key < key_of(c, index) + WORDS;
}

static uint64_t with_frame(const struct pv_view *v, uint64_t word)
{
    const uint64_t p = pte_frame(word).n;
    const struct pv_pair *gone = pv_pairs_find(&elfcore_of(v)->gone, p);
    const mfn_t m = gone ? mfn(gone->value) : core_mfn_of(v, pfn(p));
    return pte_present(word) && !mfn_eq(m, NO_MFN) ? pte_make(m, word & ~PTE_FRAME_MASK) : word;
}

static void change_back(const struct pv_view *v, uint64_t index, unsigned first, unsigned n,
                        uint64_t *word)
{
    const struct elfcore *c = elfcore_of(v);
    const bool table = c->note.machine && (c->flags[index] & ELFCORE_PAGE_LEVEL);
    const uint64_t key = key_of(c, index) + first;
    const struct pv_pair *p = pv_pairs_from(&c->words, key), *end = c->words.pair + c->words.n;
    for (unsigned i = 0; table && i < n; i++)
        word[i] = with_frame(v, word[i]);
    for (; p && p < end && p->key < key + n; p++)
        word[p->key - key] = p->value;
}

static bool core_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const struct elfcore *c = elfcore_of(v);
    struct pv_error ignored;
    uint64_t at, index, word[WORDS];
    if (offset > PAGE_BYTES || n > PAGE_BYTES - offset || !find(v, m, &at, &index))
        return false;
    if (!is_changed(c, index))
        return pv_file_read(c->file, at + offset, to, n, "a page", &ignored) == 0;
    const unsigned first = offset / 8, end = (offset + n + 7) / 8;
    if (pv_file_read(c->file, at + first * 8, word, (end - first) * 8, "a page", &ignored))
        return false;
    change_back(v, index, first, end - first, word);
    memcpy(to, (const uint8_t *)word + (offset - first * 8), n);
    return true;
}

static struct copy *copy_of(const struct elfcore *c, uint64_t index)
{
    size_t low = 0, high = c->copies;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->copy[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->copies && c->copy[low].index == index ? &c->copy[low] : NULL;
}

/* Several threads may make one at a time: the first one's stays. */
static uint64_t *copied(const struct pv_view *v, mfn_t m, uint64_t index)
{
    struct copy *copy = copy_of(elfcore_of(v), index);
    uintptr_t was = copy ? copy->words : 0;
    if (!copy || was)
        return (uint64_t *)was;
    uint64_t *words = malloc(PAGE_BYTES);
    if (!words || !core_read(v, m, 0, words, PAGE_BYTES)) {
        free(words);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&copy->words, &was, (uintptr_t)words))
        return words;
    free(words);
    return (uint64_t *)was;
}

static uint64_t *core_words(const struct pv_view *v, mfn_t m)
{
    const struct elfcore *c = elfcore_of(v);
    uint64_t at, index;
    if (!find(v, m, &at, &index))
        return NULL;
    if (is_changed(c, index))
        return copied(v, m, index);
    return (uint64_t *)pv_file_map(c->file, at, PAGE_BYTES);
}

static bool core_place(const struct pv_view *v, mfn_t m, struct pv_place *out)
{
    uint64_t index;
    if (!find(v, m, &out->offset, &index))
        return false;
    if (index == NO_MFN.n)
        snprintf(out->record, sizeof(out->record), "shared_info");
    else
        snprintf(out->record, sizeof(out->record), "page %llu of the memory",
                 (unsigned long long)index);
    return true;
}

static bool core_told(const struct pv_view *v, mfn_t m, struct pv_told *out)
{
    const struct elfcore *c = elfcore_of(v);
    const uint64_t index = core_index_of(v, m);
    if (index == NO_MFN.n || !(c->flags[index] & ELFCORE_PAGE_TOLD))
        return false;
    const unsigned level = c->flags[index] & ELFCORE_PAGE_LEVEL;
    *out = (struct pv_told){.level = level > 4 ? 0 : level,
                            .pinned = level && (c->flags[index] & ELFCORE_PAGE_PINNED)};
    return true;
}

static mfn_t core_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    struct pv_told told;
    for (mfn_t m = core_next_owned(v, from); !mfn_eq(m, NO_MFN);
         m = core_next_owned(v, mfn(m.n + 1)))
        if (core_told(v, m, &told) && told.pinned && told.level == pv_top_level(v))
            return m;
    return NO_MFN;
}

static bool core_p2m_frames(const struct pv_view *v, uint64_t *start, uint64_t *end,
                            const uint64_t **list, size_t *n)
{
    const struct elfcore *c = elfcore_of(v);
    *start = c->note.list_start;
    *end = c->note.list_last;
    *list = c->list;
    *n = c->note.list;
    return c->list != NULL;
}

static void core_free(struct elfcore *c)
{
    pv_file_close(c->file);
    pv_frames_free(&c->frames);
    pv_pairs_free(&c->words);
    pv_pairs_free(&c->gone);
    for (size_t i = 0; i < c->copies; i++)
        free((void *)c->copy[i].words);
    free(c->copy);
    free(c->flags);
    free(c->list);
    free(c);
}

static void core_close(struct pv_view *v)
{
    core_free(v->image);
}

#define ALL_BUT_TYPES                                                                              \
    .read = core_read, .owned = core_owned, .pfn_of = core_pfn_of, .mfn_of = core_mfn_of,          \
    .next_pinned_root = core_next_pinned_root, .next_owned = core_next_owned,                      \
    .next_pfn = core_next_pfn, .words = core_words, .place = core_place,                           \
    .index_of = core_index_of, .frame_at = core_frame_at, .p2m_frames = core_p2m_frames,           \
    .close = core_close

static const struct pv_backend backend_typed = {ALL_BUT_TYPES, .told = core_told};
static const struct pv_backend backend_untyped = {ALL_BUT_TYPES};

/* ---- the tables */

/* The headers and tables are in front: what is cut off are pages. */
static int check_table(const struct elfcore *c, const char *what, uint64_t at, uint64_t n,
                       uint64_t element, struct pv_error *e)
{
    const uint64_t bytes = c->file->bytes;
    if (n && (at > bytes || n > (bytes - at) / element))
        return pv_fail(e, "cut short: %s, %llu of %llu bytes at %llx, end behind the file's %llu",
                       what, (unsigned long long)n, (unsigned long long)element,
                       (unsigned long long)at, (unsigned long long)bytes);
    return 0;
}

static int check_note(const struct elfcore *c, struct pv_error *e)
{
    const struct elfcore_note *n = &c->note;
    if (n->version != ELFCORE_VERSION)
        return pv_fail(e, "the note's version is %u; known is %u", n->version, ELFCORE_VERSION);
    if (n->width != 8 || n->machine > 1 || n->types > 1)
        return pv_fail(e, "the note makes no sense: words of %u bytes, %u, %u", n->width,
                       n->machine, n->types);
    if (n->vcpus > ELFCORE_VCPUS || n->list > LIST_MOST || n->content_at % PAGE_BYTES ||
        n->content_at >> 60 || n->shared_at % PAGE_BYTES)
        return pv_fail(e,
                       "the note makes no sense: %llu vCPUs, a list of %llu pages, memory at %llx",
                       (unsigned long long)n->vcpus, (unsigned long long)n->list,
                       (unsigned long long)n->content_at);
    return check_table(c, "the table of pages", n->pages_at, n->pages, sizeof(struct elfcore_page),
                       e) ||
                   check_table(c, "the words", n->words_at, n->words, sizeof(struct elfcore_word),
                               e) ||
                   check_table(c, "the vCPUs", n->vcpus_at, n->vcpus, sizeof(struct elfcore_vcpu),
                               e) ||
                   check_table(c, "the p2m list", n->list_at, n->list, sizeof(uint64_t), e)
               ? -1
               : 0;
}

/* Those behind the file's end are lost, but for their numbers. */
static bool is_gone(const struct elfcore *c)
{
    const uint64_t at = c->note.content_at + c->frames.n * PAGE_BYTES;
    return c->gone.n || at > c->file->bytes || c->file->bytes - at < PAGE_BYTES;
}

static int check_order(const struct elfcore *c, uint32_t p, struct pv_error *e)
{
    const struct pv_frames *f = &c->frames;
    const uint64_t before = c->gone.n ? c->gone.pair[c->gone.n - 1].key
                            : f->n    ? f->pfn[f->n - 1]
                                      : 0;
    return (f->n || c->gone.n) && p <= before
               ? pv_fail(e, "pfn %x stands behind pfn %llx in the table of pages", p,
                         (unsigned long long)before)
               : 0;
}

static int take_page(struct elfcore *c, const struct elfcore_page *p, size_t *room,
                     struct pv_error *e)
{
    const uint32_t m = c->note.machine ? p->mfn : p->pfn;
    if (check_order(c, p->pfn, e))
        return -1;
    if (is_gone(c))
        return pv_pairs_add(&c->gone, p->pfn, m) ? 0 : pv_no_memory(e);
    if (c->frames.n == *room) {
        *room = *room ? 2 * *room : 4096;
        uint8_t *grown = realloc(c->flags, *room);
        if (!grown)
            return pv_no_memory(e);
        c->flags = grown;
    }
    c->flags[c->frames.n] = (uint8_t)p->flags;
    return pv_frames_add(&c->frames, pfn(p->pfn), mfn(m)) ? 0 : pv_no_memory(e);
}

static int prepare_copies(struct elfcore *c, struct pv_error *e)
{
    const uint64_t most = COPIES_MOST(c->frames.n);
    uint64_t n = 0;
    for (uint64_t i = 0; c->note.machine && i < c->frames.n; i++)
        n += (c->flags[i] & ELFCORE_PAGE_LEVEL) != 0;
    n = n < most ? n : most;
    c->copy = calloc(n ? n : 1, sizeof(*c->copy));
    if (!c->copy)
        return pv_no_memory(e);
    for (uint64_t i = 0; i < c->frames.n && c->copies < n; i++)
        if (c->flags[i] & ELFCORE_PAGE_LEVEL)
            c->copy[c->copies++].index = i;
    return 0;
}

static int read_pages(struct elfcore *c, struct pv_error *e)
{
    struct elfcore_page chunk[1024];
    size_t room = 0;
    for (uint64_t done = 0; done < c->note.pages;) {
        const uint64_t rest = c->note.pages - done;
        const size_t n = rest < 1024 ? (size_t)rest : 1024;
        if (pv_file_read(c->file, c->note.pages_at + done * sizeof(*chunk), chunk,
                         n * sizeof(*chunk), "the table of pages", e))
            return -1;
        for (size_t i = 0; i < n; i++)
            if (take_page(c, &chunk[i], &room, e))
                return -1;
        done += n;
    }
    if (c->frames.n == 0)
        return pv_fail(e, "it has no page");
    return pv_frames_sort(&c->frames) ? prepare_copies(c, e) : pv_no_memory(e);
}

static int read_words(struct elfcore *c, struct pv_error *e)
{
    struct elfcore_word chunk[1024];
    for (uint64_t done = 0; done < c->note.words;) {
        const uint64_t rest = c->note.words - done;
        const size_t n = rest < 1024 ? (size_t)rest : 1024;
        if (pv_file_read(c->file, c->note.words_at + done * sizeof(*chunk), chunk,
                         n * sizeof(*chunk), "the words", e))
            return -1;
        for (size_t i = 0; i < n; i++) {
            const size_t last = c->words.n;
            if (last && chunk[i].key <= c->words.pair[last - 1].key)
                return pv_fail(e, "word %llx stands behind word %llx",
                               (unsigned long long)chunk[i].key,
                               (unsigned long long)c->words.pair[last - 1].key);
            if (!pv_pairs_add(&c->words, chunk[i].key, chunk[i].was))
                return pv_no_memory(e);
        }
        done += n;
    }
    return 0;
}

static int read_list(struct elfcore *c, struct pv_error *e)
{
    if (c->note.list == 0)
        return 0;
    c->list = calloc(c->note.list, sizeof(*c->list));
    if (!c->list)
        return pv_no_memory(e);
    return pv_file_read(c->file, c->note.list_at, c->list, c->note.list * sizeof(*c->list),
                        "the p2m list's pages", e);
}

/* ---- opening */

static bool find_note(struct pv_file *f, struct elfcore_note *to, struct pv_error *e)
{
    struct {
        Elf64_Nhdr h;
        char name[8];
    } note;
    Elf64_Ehdr h;
    Elf64_Phdr p;
    if (f->bytes < sizeof(h) || pv_file_read(f, 0, &h, sizeof(h), "the header", e) ||
        memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_type != ET_CORE || h.e_phnum == 0 ||
        h.e_phoff > f->bytes || f->bytes - h.e_phoff < sizeof(p) ||
        pv_file_read(f, h.e_phoff, &p, sizeof(p), "a program header", e) || p.p_type != PT_NOTE ||
        p.p_offset > f->bytes || f->bytes - p.p_offset < sizeof(note) + sizeof(*to) ||
        pv_file_read(f, p.p_offset, &note, sizeof(note), "a note", e))
        return false;
    return note.h.n_namesz == sizeof(ELFCORE_NOTE_NAME) &&
           memcmp(note.name, ELFCORE_NOTE_NAME, sizeof(ELFCORE_NOTE_NAME)) == 0 &&
           note.h.n_type == ELFCORE_NOTE_TYPE && note.h.n_descsz >= sizeof(*to) &&
           pv_file_read(f, p.p_offset + sizeof(note), to, sizeof(*to), "a note", e) == 0;
}

static int read_vcpus(const struct elfcore *c, struct pv_view *v, struct pv_error *e)
{
    for (unsigned i = 0; i < v->nr_vcpus; i++) {
        struct elfcore_vcpu in;
        if (pv_file_read(c->file, c->note.vcpus_at + i * sizeof(in), &in, sizeof(in),
                         "a vCPU's state", e))
            return -1;
        pv_vcpu_set(v, i, in.context);
        v->vcpu[i].valid = v->vcpu[i].valid && in.valid;
        v->vcpu[i].extended =
            (struct pv_extended){.there = in.extended,
                                 .syscall32_eip = in.syscall32_eip,
                                 .sysenter_eip = in.sysenter_eip,
                                 .syscall32_cs = in.syscall32_cs,
                                 .sysenter_cs = in.sysenter_cs,
                                 .syscall32_disables_events = in.syscall32_disables_events,
                                 .sysenter_disables_events = in.sysenter_disables_events};
    }
    return 0;
}

static void copy_text(char *to, size_t size, const char *from, size_t most)
{
    snprintf(to, size, "%.*s", (int)most, from);
}

static void describe(struct pv_view *v, const struct elfcore *c)
{
    const struct elfcore_note *n = &c->note;
    const struct pv_frames *f = &c->frames;
    const uint64_t most = f->mfn[f->by_mfn[f->n - 1]] + 1ull;
    v->portable = !n->machine;
    v->tsc_khz = n->tsc_khz;
    v->nr_pages = f->n;
    v->end_pfn = pfn(f->pfn[f->n - 1] + 1ull);
    v->nr_frames = n->nr_frames > most && n->nr_frames <= PV_FRAME_LIMIT ? n->nr_frames : most;
    if (n->shared_at) {
        const bool sane =
            n->shared_info < v->nr_frames && pv_frames_mfn(f, mfn(n->shared_info)) == NO_MFN.n;
        v->shared_info = sane ? mfn(n->shared_info) : mfn(v->nr_frames++);
    }
    if (!mfn_eq(mfn(n->kernel_root), NO_MFN))
        v->kernel_root = mfn(n->kernel_root);
    v->start_info = mfn(n->start_info);
    v->initial_root = mfn(n->initial_root);
    struct pv_domain *d = &v->domain[0];
    d->id = (int)n->domain;
    d->shared_info = v->shared_info;
    d->pages = v->nr_pages;
    copy_text(d->name, sizeof(d->name), n->name, sizeof(n->name));
    copy_text(d->uuid, sizeof(d->uuid), n->uuid, sizeof(n->uuid) - 1);
    copy_text(v->xen, sizeof(v->xen), n->xen, sizeof(n->xen) - 1);
    copy_text(v->lost, sizeof(v->lost), n->lost, sizeof(n->lost) - 1);
    if (c->gone.n) {
        const size_t used = strlen(v->lost);
        snprintf(v->lost + used, sizeof(v->lost) - used,
                 "%scut short: the last %llu pages are missing", used ? "; " : "",
                 (unsigned long long)c->gone.n);
    }
}

static int open_view(struct pv_view **out, struct elfcore *c, struct pv_error *e)
{
    struct elfcore_note *n = &c->note;
    if (n->shared_at > c->file->bytes || c->file->bytes - n->shared_at < PAGE_BYTES)
        n->shared_at = 0;
    struct pv_view *v = pv_view_new(n->types ? &backend_typed : &backend_untyped,
                                    "ELF core of pvmm", (unsigned)n->vcpus);
    if (!v)
        return pv_no_memory(e);
    v->image = c;
    if (read_vcpus(c, v, e)) {
        pv_view_free(v);
        return -1;
    }
    describe(v, c);
    *out = v;
    return 0;
}

static int open_core(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                     struct pv_error *e)
{
    (void)o;
    struct elfcore *c = calloc(1, sizeof(*c));
    if (!c) {
        pv_file_close(f);
        return pv_no_memory(e);
    }
    c->file = f;
    int rc = find_note(f, &c->note, e) ? 0 : pv_fail(e, "its note is gone");
    if (rc || check_note(c, e) || read_pages(c, e) || read_words(c, e) || read_list(c, e) ||
        open_view(out, c, e)) {
        core_free(c);
        return -1;
    }
    return 0;
}

static bool is_core(struct pv_file *f, const uint8_t *head, size_t n)
{
    struct elfcore_note ignored;
    struct pv_error e;
    (void)n;
    return memcmp(head, ELFMAG, SELFMAG) == 0 && find_note(f, &ignored, &e);
}

const struct pv_format pv_format_elfcore = {
    .name = "an ELF core of pvmm", .is = is_core, .open = open_core};
