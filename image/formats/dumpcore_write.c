/* SPDX-License-Identifier: MIT */
/* Writes a dump-core. The pages lie before their table, so they are counted first. */
#include "dumpcore.h"
#include "internal.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 256 /* pages between two words of progress */

#define SECTIONS_MAX 7

struct layout {
    Elf64_Shdr section[SECTIONS_MAX];
    unsigned sections;
    uint64_t notes_at, prstatus_at, shared_at, pages_at, p2m_at, names_at, end;
    uint64_t pages;
};

struct batch {
    uint8_t page[BATCH][PAGE_BYTES];
    struct dump_p2m p2m[BATCH];
    unsigned n;
    uint64_t done; /* written before */
};

static const char names[] = "\0.shstrtab\0" DUMP_NOTES "\0" DUMP_PRSTATUS "\0" DUMP_SHARED_INFO
                            "\0" DUMP_PAGES "\0" DUMP_P2M;

static uint32_t name_of(const char *section)
{
    uint32_t at = 1;
    while (strcmp(names + at, section))
        at += (uint32_t)strlen(names + at) + 1;
    return at;
}

/* ---- the layout */

/* Adds a section at l->end, which moves past it; returns where the section lies. */
static uint64_t add(struct layout *l, const char *name, uint32_t type, uint64_t bytes,
                    uint64_t align, uint64_t element)
{
    uint64_t at = align ? (l->end + align - 1) / align * align : l->end;
    l->section[l->sections++] = (Elf64_Shdr){
        .sh_name = name_of(name),
        .sh_type = type,
        .sh_offset = at,
        .sh_size = bytes,
        .sh_addralign = align,
        .sh_entsize = element,
    };
    l->end = at + bytes;
    return at;
}

static uint64_t count_pages(const struct pv_view *v)
{
    uint64_t n = 0;
    for (pfn_t p = v->backend->next_pfn(v, pfn(0)); p.n != NO_PFN.n;
         p = v->backend->next_pfn(v, pfn(p.n + 1)))
        n++;
    return n;
}

/* Section 1 has the names; it lies behind all others. */
static void lay_out(const struct pv_view *v, struct layout *l)
{
    bool shared = !mfn_eq(v->shared_info, NO_MFN);
    l->pages = count_pages(v);
    l->sections = 2;
    l->end = sizeof(Elf64_Ehdr) + (SECTIONS_MAX - !shared) * sizeof(Elf64_Shdr);
    l->notes_at = add(l, DUMP_NOTES, SHT_NOTE, sizeof(struct dump_notes), 0, 0);
    l->prstatus_at = add(l, DUMP_PRSTATUS, SHT_PROGBITS, (uint64_t)v->nr_vcpus * PV_CONTEXT_BYTES,
                         8, PV_CONTEXT_BYTES);
    if (shared)
        l->shared_at = add(l, DUMP_SHARED_INFO, SHT_PROGBITS, PAGE_BYTES, 8, PAGE_BYTES);
    l->pages_at = add(l, DUMP_PAGES, SHT_PROGBITS, l->pages * PAGE_BYTES, PAGE_BYTES, PAGE_BYTES);
    l->p2m_at = add(l, DUMP_P2M, SHT_PROGBITS, l->pages * sizeof(struct dump_p2m), 8,
                    sizeof(struct dump_p2m));
    l->section[1] = (Elf64_Shdr){
        .sh_name = name_of(".shstrtab"),
        .sh_type = SHT_STRTAB,
        .sh_offset = l->end,
        .sh_size = sizeof(names),
    };
    l->names_at = l->end;
    l->end += sizeof(names);
}

/* ---- what stands before the pages */

static int write_headers(const struct pv_view *v, int fd, const struct layout *l,
                         struct pv_error *e)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT,
                    ELFOSABI_SYSV, 1},
        .e_type = ET_CORE,
        .e_machine = v->width == 4 ? EM_386 : EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = sizeof(header),
        .e_ehsize = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = (Elf64_Half)l->sections,
        .e_shstrndx = 1,
    };
    return pv_write_at(fd, 0, &header, sizeof(header), "the ELF header", e) ||
           pv_write_at(fd, sizeof(header), l->section, l->sections * sizeof(*l->section),
                       "the section headers", e) ||
           pv_write_at(fd, l->names_at, names, sizeof(names), "the sections' names", e);
}

static struct dump_note note(uint32_t type, uint32_t bytes)
{
    return (struct dump_note){
        .name_bytes = sizeof(DUMP_NOTE_NAME), .bytes = bytes, .type = type, .name = DUMP_NOTE_NAME};
}

/* The version is that of the ABI, as pvmm tells its guests. */
static int write_notes(const struct pv_view *v, int fd, const struct layout *l, struct pv_error *e)
{
    struct dump_notes n = {
        .none = note(XEN_ELFNOTE_DUMPCORE_NONE, 0),
        .header_note = note(XEN_ELFNOTE_DUMPCORE_HEADER, sizeof(n.header)),
        .header = {DUMP_MAGIC_PV, v->nr_vcpus, l->pages, PAGE_BYTES},
        .version_note = note(XEN_ELFNOTE_DUMPCORE_XEN_VERSION, sizeof(n.version)),
        .version = {.major = 4,
                    .minor = 17,
                    .extra_version = "-pvmm",
                    .capabilities = "xen-3.0-x86_64 ",
                    .changeset = "unavailable",
                    .platform_parameters = {.virt_start = __HYPERVISOR_VIRT_START},
                    .page_bytes = PAGE_BYTES},
        .format_note = note(XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, sizeof(n.format)),
        .format = DUMP_FORMAT_VERSION,
    };
    return pv_write_at(fd, l->notes_at, &n, sizeof(n), "the notes", e);
}

static int write_state(const struct pv_view *v, int fd, const struct layout *l, struct pv_error *e)
{
    for (unsigned i = 0; i < v->nr_vcpus; i++)
        if (pv_write_at(fd, l->prstatus_at + (uint64_t)i * PV_CONTEXT_BYTES, v->vcpu[i].context,
                        PV_CONTEXT_BYTES, "a vCPU's registers", e))
            return -1;
    if (mfn_eq(v->shared_info, NO_MFN))
        return 0;
    uint8_t page[PAGE_BYTES];
    if (!v->backend->read(v, v->shared_info, 0, page, PAGE_BYTES))
        return pv_fail(e, "cannot read shared_info out of the image");
    return pv_write_at(fd, l->shared_at, page, PAGE_BYTES, "shared_info", e);
}

/* ---- the pages */

static bool is_zero(const uint8_t page[PAGE_BYTES])
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

/* Writes each run of pages that are not all zero; the file is a hole elsewhere. */
static int write_runs(const struct batch *b, int fd, const struct layout *l, struct pv_error *e)
{
    for (unsigned first = 0; first < b->n;) {
        unsigned end = first;
        while (end < b->n && !is_zero(b->page[end]))
            end++;
        if (end > first &&
            pv_write_at(fd, l->pages_at + (b->done + first) * PAGE_BYTES, b->page[first],
                        (size_t)(end - first) * PAGE_BYTES, "the pages", e))
            return -1;
        first = end + 1;
    }
    return 0;
}

static int write_batch(struct batch *b, int fd, const struct layout *l, struct pv_error *e)
{
    if (write_runs(b, fd, l, e) || pv_write_at(fd, l->p2m_at + b->done * sizeof(*b->p2m), b->p2m,
                                               b->n * sizeof(*b->p2m), "the table of pages", e))
        return -1;
    b->done += b->n;
    b->n = 0;
    return 0;
}

static int take_page(const struct pv_view *v, struct batch *b, pfn_t p, struct pv_error *e)
{
    mfn_t m = v->backend->mfn_of(v, p);
    b->p2m[b->n] = (struct dump_p2m){.pfn = p.n, .gmfn = m.n};
    const bool there = v->backend->read(v, m, 0, b->page[b->n], PAGE_BYTES);
    if (!there && v->portable) /* a stream may have pages without content */
        memset(b->page[b->n], 0, PAGE_BYTES);
    else if (!there)
        return pv_fail(e, "cannot read pfn %llx, mfn %llx, out of the image",
                       (unsigned long long)p.n, (unsigned long long)m.n);
    b->n++;
    return 0;
}

static int write_pages(const struct pv_view *v, int fd, const struct layout *l, struct batch *b,
                       const struct pv_progress *progress, struct pv_error *e)
{
    pfn_t p = v->backend->next_pfn(v, pfn(0));
    while (p.n != NO_PFN.n) {
        if (take_page(v, b, p, e))
            return -1;
        p = v->backend->next_pfn(v, pfn(p.n + 1));
        if (b->n < BATCH && p.n != NO_PFN.n)
            continue;
        if (write_batch(b, fd, l, e))
            return -1;
        if (pv_tell(progress, "writing pages", b->done, l->pages, e))
            return -1;
    }
    return 0;
}

static int write_all(const struct pv_view *v, int fd, struct batch *b,
                     const struct pv_progress *progress, struct pv_error *e)
{
    struct layout l = {0};
    lay_out(v, &l);
    /* What was there goes, so that what is not written reads as zeroes. */
    if (ftruncate(fd, 0) || ftruncate(fd, (off_t)l.end))
        return pv_fail_errno(e, "cannot give the file its size, %llu bytes",
                             (unsigned long long)l.end);
    if (write_headers(v, fd, &l, e) || write_notes(v, fd, &l, e) || write_state(v, fd, &l, e) ||
        write_pages(v, fd, &l, b, progress, e))
        return -1;
    if (fsync(fd))
        return pv_fail_errno(e, "cannot bring the file to the disk");
    return 0;
}

int pv_dumpcore_write(const struct pv_view *v, int fd, const struct pv_progress *progress,
                      struct pv_error *e)
{
    struct batch *b = calloc(1, sizeof(*b));
    if (!b)
        return pv_no_memory(e);
    int rc = write_all(v, fd, b, progress, e);
    free(b);
    return rc ? pv_context(e, "cannot write the dump-core") : 0;
}
