/* SPDX-License-Identifier: MIT */
/*
 * Reads dump-cores. What a file says of itself is compared with its size and with what else it says
 * before anything relies on it; memory is taken for what has been read, not for what is claimed.
 */
#include "dumpcore.h"
#include "holes.h"
#include "internal.h"

#include <elf.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTIONS_MAX 1024u
#define NAMES_MAX    (64u << 10)
#define NOTES_MAX    (64u << 10)
#define VCPUS_MAX    8192u

struct span {
    bool there;
    uint64_t at, bytes;
};

struct dump {
    struct pv_file *file;
    struct span notes, prstatus, shared, pages, p2m, pfn;
    bool is_dump, has_header, has_format, unordered;
    unsigned width;
    size_t context_bytes; /* from one vCPU's to the next */
    struct dump_header header;
    struct dump_xen_version version;
    uint64_t format;
    struct pv_frames frames;
    uint32_t *page;  /* by index: where in .xen_pages; NULL: the index is the page's number */
    uint64_t beyond; /* pages at pfns that are too high */
    _Atomic(struct pv_holes *) holes; /* of the file; NULL: not asked for yet */
};

/* ---- the backend */

static struct dump *dump_of(const struct pv_view *v)
{
    return v->image;
}

static uint64_t dump_index_of(const struct pv_view *v, mfn_t m)
{
    return pv_frames_mfn(&dump_of(v)->frames, m);
}

static mfn_t dump_frame_at(const struct pv_view *v, uint64_t index)
{
    const struct pv_frames *f = &dump_of(v)->frames;
    return index < f->n ? mfn(f->mfn[index]) : NO_MFN;
}

static uint64_t page_of(const struct dump *d, uint64_t index)
{
    return d->page ? d->page[index] : index;
}

static bool find_frame(const struct pv_view *v, mfn_t m, uint64_t *at)
{
    const struct dump *d = dump_of(v);
    if (d->shared.there && mfn_eq(m, v->shared_info)) {
        *at = d->shared.at;
        return true;
    }
    uint64_t index = dump_index_of(v, m);
    if (index != NO_MFN.n)
        *at = d->pages.at + page_of(d, index) * PAGE_BYTES;
    return index != NO_MFN.n;
}

static bool dump_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    struct pv_error ignored;
    uint64_t at;
    return offset <= PAGE_BYTES && n <= PAGE_BYTES - offset && find_frame(v, m, &at) &&
           pv_file_read(dump_of(v)->file, at + offset, to, n, "a page", &ignored) == 0;
}

static uint64_t *dump_words(const struct pv_view *v, mfn_t m)
{
    uint64_t at;
    return find_frame(v, m, &at) ? (uint64_t *)pv_file_map(dump_of(v)->file, at, PAGE_BYTES) : NULL;
}

static int dump_lies(const struct pv_view *v, const mfn_t *m, size_t n, uint64_t *at)
{
    const struct dump *d = dump_of(v);
    pv_frames_mfn_each(&d->frames, m, n, at);
    for (size_t i = 0; i < n; i++)
        if (at[i] != NO_MFN.n)
            at[i] = d->pages.at + page_of(d, at[i]) * PAGE_BYTES;
        else
            find_frame(v, m[i], &at[i]); /* shared_info */
    return d->file->fd;
}

static bool dump_place(const struct pv_view *v, mfn_t m, struct pv_place *out)
{
    if (!find_frame(v, m, &out->offset))
        return false;
    if (mfn_eq(m, v->shared_info))
        snprintf(out->record, sizeof(out->record), DUMP_SHARED_INFO);
    else
        snprintf(out->record, sizeof(out->record), "page %llu of " DUMP_PAGES,
                 (unsigned long long)page_of(dump_of(v), dump_index_of(v, m)));
    return true;
}

/* Two threads may both look: what one of them found is dropped. */
static const struct pv_holes *holes_of(struct dump *d)
{
    struct pv_holes *known = atomic_load(&d->holes);
    struct pv_holes *found = known ? NULL : pv_holes_find(d->file->fd, d->file->bytes);
    if (known || !found || atomic_compare_exchange_strong(&d->holes, &known, found))
        return known ? known : found;
    free(found);
    return known;
}

static bool dump_blank(const struct pv_view *v, mfn_t m)
{
    uint64_t at;
    const struct pv_holes *h = holes_of(dump_of(v));
    return h && find_frame(v, m, &at) && pv_holes_at(h, at) && pv_holes_at(h, at + PAGE_BYTES - 1);
}

static bool dump_owned(const struct pv_view *v, mfn_t m)
{
    return dump_index_of(v, m) != NO_MFN.n;
}

static pfn_t dump_pfn_of(const struct pv_view *v, mfn_t m)
{
    uint64_t index = dump_index_of(v, m);
    return index != NO_MFN.n ? pfn(dump_of(v)->frames.pfn[index]) : NO_PFN;
}

static mfn_t dump_mfn_of(const struct pv_view *v, pfn_t p)
{
    return dump_frame_at(v, pv_frames_pfn(&dump_of(v)->frames, p));
}

static mfn_t dump_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    (void)v;
    (void)from;
    return NO_MFN;
}

static mfn_t dump_next_owned(const struct pv_view *v, mfn_t from)
{
    return pv_frames_next_mfn(&dump_of(v)->frames, from);
}

static pfn_t dump_next_pfn(const struct pv_view *v, pfn_t from)
{
    const struct pv_frames *f = &dump_of(v)->frames;
    uint64_t index = pv_frames_pfn_from(f, from);
    return index != NO_PFN.n ? pfn(f->pfn[index]) : NO_PFN;
}

static void dump_free(struct dump *d)
{
    pv_file_close(d->file);
    pv_frames_free(&d->frames);
    free(d->holes);
    free(d->page);
    free(d);
}

static void dump_close(struct pv_view *v)
{
    dump_free(v->image);
}

static const struct pv_backend dump_backend = {
    .read = dump_read,
    .owned = dump_owned,
    .pfn_of = dump_pfn_of,
    .mfn_of = dump_mfn_of,
    .next_pinned_root = dump_next_pinned_root,
    .next_owned = dump_next_owned,
    .next_pfn = dump_next_pfn,
    .words = dump_words,
    .blank = dump_blank,
    .lies = dump_lies,
    .place = dump_place,
    .index_of = dump_index_of,
    .frame_at = dump_frame_at,
    .close = dump_close,
};

/* ---- the ELF file */

/* The class is always that of 64 bits: the machine tells the guest's width. 0: no x86. */
static unsigned width_of(const Elf64_Ehdr *h)
{
    return h->e_machine == EM_X86_64 ? 8 : h->e_machine == EM_386 ? 4 : 0;
}

static int check_elf(const Elf64_Ehdr *h, struct pv_error *e)
{
    if (memcmp(h->e_ident, ELFMAG, SELFMAG))
        return pv_fail(e, "not an ELF file");
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || !width_of(h))
        return pv_fail(e, "not of an x86 guest (ELF class %u, machine %u)", h->e_ident[EI_CLASS],
                       h->e_machine);
    if (h->e_type != ET_CORE)
        return pv_fail(e, "not a core file (ELF type %u)", h->e_type);
    if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum == 0 || h->e_shnum > SECTIONS_MAX)
        return pv_fail(e, "%u sections with headers of %u bytes: not a dump-core", h->e_shnum,
                       h->e_shentsize);
    if (h->e_shstrndx >= h->e_shnum)
        return pv_fail(e, "section %u, said to have the names, is none of %u", h->e_shstrndx,
                       h->e_shnum);
    return 0;
}

static struct span *span_of(struct dump *d, const char *name)
{
    const struct {
        const char *name;
        struct span *span;
    } known[] = {
        {DUMP_NOTES, &d->notes}, {DUMP_PRSTATUS, &d->prstatus}, {DUMP_SHARED_INFO, &d->shared},
        {DUMP_PAGES, &d->pages}, {DUMP_P2M, &d->p2m},           {DUMP_PFN, &d->pfn},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].span;
    return NULL;
}

static int take_section(struct dump *d, const Elf64_Shdr *s, const char *name, struct pv_error *e)
{
    struct span *span = span_of(d, name);
    if (!span)
        return 0;
    if (span->there)
        return pv_fail(e, "two sections %s", name);
    if (s->sh_type == SHT_NOBITS)
        return pv_fail(e, "section %s has no content", name);
    if (s->sh_offset > d->file->bytes || s->sh_size > d->file->bytes - s->sh_offset)
        return pv_fail(e,
                       "cut short: section %s, of %llu bytes at %llx, ends behind the file's %llu",
                       name, (unsigned long long)s->sh_size, (unsigned long long)s->sh_offset,
                       (unsigned long long)d->file->bytes);
    *span = (struct span){.there = true, .at = s->sh_offset, .bytes = s->sh_size};
    return 0;
}

static int take_sections(struct dump *d, const Elf64_Shdr *s, unsigned n, const char *names,
                         size_t bytes, struct pv_error *e)
{
    for (unsigned i = 1; i < n; i++) { /* number 0 is none */
        if (s[i].sh_name >= bytes)
            return pv_fail(e, "the name of section %u lies outside of the names", i);
        if (take_section(d, &s[i], names + s[i].sh_name, e))
            return -1;
    }
    return 0;
}

/* The names are returned with a 0 behind them. */
static int read_names(const struct dump *d, const Elf64_Shdr *s, char **out, struct pv_error *e)
{
    if (s->sh_type != SHT_STRTAB || s->sh_size > NAMES_MAX)
        return pv_fail(e, "the sections' names are no table of strings (type %u, %llu bytes)",
                       s->sh_type, (unsigned long long)s->sh_size);
    *out = calloc(1, s->sh_size + 1);
    if (!*out)
        return pv_no_memory(e);
    return pv_file_read(d->file, s->sh_offset, *out, s->sh_size, "the sections' names", e);
}

static int read_sections(struct dump *d, struct pv_error *e)
{
    Elf64_Ehdr h;
    if (pv_file_read(d->file, 0, &h, sizeof(h), "the ELF header", e) || check_elf(&h, e))
        return -1;
    d->width = width_of(&h);
    Elf64_Shdr *s = calloc(h.e_shnum, sizeof(*s));
    char *names = NULL;
    int rc =
        s ? pv_file_read(d->file, h.e_shoff, s, h.e_shnum * sizeof(*s), "the section headers", e)
          : pv_no_memory(e);
    if (rc == 0)
        rc = read_names(d, &s[h.e_shstrndx], &names, e);
    if (rc == 0)
        rc = take_sections(d, s, h.e_shnum, names, s[h.e_shstrndx].sh_size + 1, e);
    free(names);
    free(s);
    return rc;
}

static int check_sections(const struct dump *d, struct pv_error *e)
{
    if (!d->notes.there)
        return pv_fail(e, "not a dump-core: section " DUMP_NOTES " is missing");
    if (d->pfn.there)
        return pv_fail(e, "of no PV guest: it has a section " DUMP_PFN);
    const struct {
        const char *name;
        const struct span *span;
    } needed[] = {{DUMP_PRSTATUS, &d->prstatus}, {DUMP_PAGES, &d->pages}, {DUMP_P2M, &d->p2m}};
    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
        if (!needed[i].span->there)
            return pv_fail(e, "section %s is missing", needed[i].name);
    if (d->shared.there && d->shared.bytes != PAGE_BYTES)
        return pv_fail(e, "section " DUMP_SHARED_INFO " has %llu bytes: not a page",
                       (unsigned long long)d->shared.bytes);
    return 0;
}

/* ---- the notes */

static int take_note(struct dump *d, uint32_t type, const uint8_t *at, uint32_t bytes,
                     struct pv_error *e)
{
    switch (type) {
    case XEN_ELFNOTE_DUMPCORE_NONE:
        d->is_dump = true;
        return 0;
    case XEN_ELFNOTE_DUMPCORE_HEADER:
        if (bytes != sizeof(d->header))
            return pv_fail(e, "the header note has %u bytes", bytes);
        memcpy(&d->header, at, sizeof(d->header));
        d->has_header = true;
        return 0;
    case XEN_ELFNOTE_DUMPCORE_XEN_VERSION:
        /* What follows the first fields depends on the width; nobody needs it here. */
        if (bytes >= offsetof(struct dump_xen_version, compile_info))
            memcpy(&d->version, at, offsetof(struct dump_xen_version, compile_info));
        return 0;
    case XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION:
        if (bytes != sizeof(d->format))
            return pv_fail(e, "the note of the format's version has %u bytes", bytes);
        memcpy(&d->format, at, sizeof(d->format));
        d->has_format = true;
        return 0;
    }
    return 0;
}

/* Parts of a note are padded to 4 bytes. */
static uint64_t padded(uint32_t bytes)
{
    return ((uint64_t)bytes + 3) & ~3ull;
}

static int parse_notes(struct dump *d, const uint8_t *notes, uint64_t bytes, struct pv_error *e)
{
    while (bytes > 0) {
        Elf64_Nhdr n;
        if (bytes < sizeof(n))
            return pv_fail(e, "the last note is cut short");
        memcpy(&n, notes, sizeof(n));
        notes += sizeof(n);
        bytes -= sizeof(n);
        uint64_t name = padded(n.n_namesz), content = padded(n.n_descsz);
        if (name > bytes || content > bytes - name)
            return pv_fail(e, "note %x does not fit into its section", n.n_type);
        bool xen = n.n_namesz == sizeof(DUMP_NOTE_NAME) &&
                   memcmp(notes, DUMP_NOTE_NAME, sizeof(DUMP_NOTE_NAME)) == 0;
        if (xen && take_note(d, n.n_type, notes + name, n.n_descsz, e))
            return -1;
        notes += name + content;
        bytes -= name + content;
    }
    return 0;
}

static int read_notes(struct dump *d, struct pv_error *e)
{
    if (d->notes.bytes > NOTES_MAX)
        return pv_fail(e, "notes of %llu bytes", (unsigned long long)d->notes.bytes);
    uint8_t *notes = malloc(d->notes.bytes + 1);
    if (!notes)
        return pv_no_memory(e);
    int rc = pv_file_read(d->file, d->notes.at, notes, d->notes.bytes, "the notes", e);
    if (rc == 0)
        rc = parse_notes(d, notes, d->notes.bytes, e);
    free(notes);
    return rc;
}

static int check_notes(const struct dump *d, struct pv_error *e)
{
    const struct dump_header *h = &d->header;
    if (!d->is_dump || !d->has_header || !d->has_format)
        return pv_fail(e, "not a dump-core: a note of Xen's is missing");
    if (d->format >> 32 != DUMP_FORMAT_MAJOR)
        return pv_fail(e, "the format's version is %llu.%llu; known is 0.1",
                       (unsigned long long)(d->format >> 32),
                       (unsigned long long)(d->format & 0xffffffff));
    if (h->magic == DUMP_MAGIC_HVM)
        return pv_fail(e, "of an HVM guest, not of a PV one");
    if (h->magic != DUMP_MAGIC_PV)
        return pv_fail(e, "the header note begins with %llx", (unsigned long long)h->magic);
    if (h->page_bytes != PAGE_BYTES)
        return pv_fail(e, "pages of %llu bytes", (unsigned long long)h->page_bytes);
    return 0;
}

/* ---- the tables */

static int check_count(const char *name, const struct span *s, uint64_t n, uint64_t element,
                       struct pv_error *e)
{
    if (s->bytes % element || s->bytes / element != n)
        return pv_fail(e, "section %s has %llu bytes: not %llu times %llu", name,
                       (unsigned long long)s->bytes, (unsigned long long)n,
                       (unsigned long long)element);
    return 0;
}

/* libxc leaves room for a context of either width; old ones, on 32-bit hosts, for theirs alone. */
static size_t context_bytes(const struct dump *d)
{
    size_t own = pv_context_bytes(d->width);
    return d->header.vcpus * own == d->prstatus.bytes ? own : PV_CONTEXT_BYTES;
}

static int check_counts(struct dump *d, struct pv_error *e)
{
    if (d->header.vcpus > VCPUS_MAX)
        return pv_fail(e, "%llu vCPUs", (unsigned long long)d->header.vcpus);
    d->context_bytes = context_bytes(d);
    return check_count(DUMP_PRSTATUS, &d->prstatus, d->header.vcpus, d->context_bytes, e) ||
           check_count(DUMP_PAGES, &d->pages, d->header.pages, PAGE_BYTES, e) ||
           check_count(DUMP_P2M, &d->p2m, d->header.pages, sizeof(struct dump_p2m), e);
}

static int take_page(struct dump *d, const struct dump_p2m *p, struct pv_error *e)
{
    struct pv_frames *f = &d->frames;
    uint64_t before = f->n ? f->pfn[f->n - 1] : 0;
    if (p->pfn >= PV_FRAME_LIMIT) {
        d->beyond++;
        return 0;
    }
    /* What was left out must be the end, and a hole of the file must end it. */
    if (d->beyond || (f->n && p->pfn == before))
        return pv_fail(e, "pfn %llx stands behind pfn %llx in " DUMP_P2M,
                       (unsigned long long)p->pfn,
                       (unsigned long long)(d->beyond ? PV_FRAME_LIMIT : before));
    d->unordered |= f->n && p->pfn < before;
    if (p->gmfn >= PV_FRAME_LIMIT)
        return pv_fail(e, "pfn %llx has mfn %llx, which cannot be", (unsigned long long)p->pfn,
                       (unsigned long long)p->gmfn);
    return pv_frames_add(f, pfn(p->pfn), mfn(p->gmfn)) ? 0 : pv_no_memory(e);
}

/* The last of the elements may be empty. */
static int take_pages(struct dump *d, const struct dump_p2m *p, size_t n, bool *ended,
                      struct pv_error *e)
{
    for (size_t i = 0; i < n; i++) {
        bool empty = p[i].pfn == NO_PFN.n;
        if (*ended && !empty)
            return pv_fail(e, "pfn %llx stands behind an empty element of " DUMP_P2M,
                           (unsigned long long)p[i].pfn);
        *ended = empty;
        if (!empty && take_page(d, &p[i], e))
            return -1;
    }
    return 0;
}

/* xl's tables ascend; the format does not ask for it. */
static int put_in_order(struct dump *d, struct pv_error *e)
{
    const struct pv_frames *f = &d->frames;
    if (!pv_frames_order(&d->frames, &d->page))
        return pv_no_memory(e);
    for (size_t i = 1; i < f->n; i++)
        if (f->pfn[i] == f->pfn[i - 1])
            return pv_fail(e, "pfn %x stands twice in " DUMP_P2M, f->pfn[i]);
    return 0;
}

/* Chunk by chunk: a hole of the file, however large, is a pfn 0 behind another and ends it. */
static int read_p2m(struct dump *d, struct pv_error *e)
{
    struct dump_p2m chunk[1024];
    bool ended = false;
    for (uint64_t done = 0; done < d->p2m.bytes;) {
        uint64_t rest = d->p2m.bytes - done;
        size_t n = rest < sizeof(chunk) ? (size_t)rest : sizeof(chunk);
        if (pv_file_read(d->file, d->p2m.at + done, chunk, n, DUMP_P2M, e) ||
            take_pages(d, chunk, n / sizeof(*chunk), &ended, e))
            return -1;
        done += n;
    }
    if (d->unordered && put_in_order(d, e))
        return -1;
    return pv_frames_sort(&d->frames) ? 0 : pv_no_memory(e);
}

/* ---- opening */

static int read_vcpus(const struct dump *d, struct pv_view *v, struct pv_error *e)
{
    uint8_t context[PV_CONTEXT_BYTES];
    for (unsigned i = 0; i < v->nr_vcpus; i++) {
        if (pv_file_read(d->file, d->prstatus.at + (uint64_t)i * d->context_bytes, context,
                         pv_context_bytes(d->width), DUMP_PRSTATUS, e))
            return -1;
        pv_vcpu_set(v, i, context);
    }
    return 0;
}

static void describe(struct pv_view *v, const struct dump *d)
{
    const struct pv_frames *f = &d->frames;
    v->nr_pages = f->n;
    v->end_pfn = pfn(f->n ? f->pfn[f->n - 1] + 1ull : 0);
    v->nr_frames = f->n ? f->mfn[f->by_mfn[f->n - 1]] + 1ull : 0;
    if (d->shared.there)
        v->shared_info = mfn(v->nr_frames++);
    v->domain[0].pages = v->nr_pages;
    if (d->beyond)
        snprintf(v->lost, sizeof(v->lost), "%llu pages at pfns of %llx and above are left out",
                 (unsigned long long)d->beyond, PV_FRAME_LIMIT);
    v->domain[0].shared_info = v->shared_info;
    snprintf(v->xen, sizeof(v->xen), "%llu.%llu%.*s", (unsigned long long)d->version.major,
             (unsigned long long)d->version.minor, (int)sizeof(xen_extraversion_t) - 1,
             d->version.extra_version);
}

static int read_dump(struct dump *d, struct pv_error *e)
{
    return read_sections(d, e) || check_sections(d, e) || read_notes(d, e) || check_notes(d, e) ||
                   check_counts(d, e) || read_p2m(d, e)
               ? -1
               : 0;
}

static int open_view(struct pv_view **out, struct dump *d, struct pv_error *e)
{
    struct pv_view *v = pv_view_new(&dump_backend, "xl dump-core", (unsigned)d->header.vcpus);
    if (!v)
        return pv_no_memory(e);
    v->width = d->width;
    if (read_vcpus(d, v, e)) {
        pv_view_free(v);
        return -1;
    }
    describe(v, d);
    v->image = d;
    *out = v;
    return 0;
}

static int open_dump(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                     struct pv_error *e)
{
    (void)o;
    struct dump *d = calloc(1, sizeof(*d));
    if (!d) {
        pv_file_close(f);
        return pv_no_memory(e);
    }
    d->file = f;
    if (read_dump(d, e) || open_view(out, d, e)) {
        dump_free(d);
        return -1;
    }
    return 0;
}

/* A vmcore is an ELF core as well: it has program headers, a dump-core sections alone. `head` is
 * filled up with zeroes. */
static bool is_dump(struct pv_file *f, const uint8_t *head, size_t n)
{
    (void)f;
    Elf64_Ehdr h;
    memcpy(&h, head, sizeof(h));
    return memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 && (n < sizeof(h) || h.e_phnum == 0);
}

const struct pv_format pv_format_dumpcore = {
    .name = "a dump-core", .is = is_dump, .open = open_dump};
