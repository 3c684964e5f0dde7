/* SPDX-License-Identifier: MIT */
/*
 * ELF cores as debuggers read them: pseudo-physical memory (p_paddr is pfn << 12, and tables name
 * frames by pfn, so that a walk of them ends in the file), with the kernel's virtual addresses.
 * What such a file has no room for is in a note of our own and the tables that it points to, so
 * that nothing but what convert.h tells of is lost: docs/convert.md has the layout.
 */
#ifndef PVMM_IMAGE_ELFCORE_H
#define PVMM_IMAGE_ELFCORE_H

#include "convert.h"
#include "internal.h"

#define ELFCORE_NOTE_NAME "pvmm"
#define ELFCORE_NOTE_TYPE 1u
#define ELFCORE_VERSION   1u
#define ELFCORE_VCPUS     8192u
#define ELFCORE_LOADS     65000u /* program headers: 65535 is where other tools stop */

#define ELFCORE_PAGE_LEVEL   7u /* 1..4: a table */
#define ELFCORE_PAGE_PINNED  8u
#define ELFCORE_PAGE_TOLD    16u /* the image tells it; else it was found by use */
#define ELFCORE_PAGE_CONTENT 32u

/* All that is in the order of pfns; the page of the same index lies at content_at. */
struct elfcore_page {
    uint32_t pfn, mfn, flags, zero;
};

/* A word of the guest's memory as the image had it: the file's memory has another there. */
struct elfcore_word {
    uint64_t key; /* pfn << 9 | number of the word */
    uint64_t was;
};

struct elfcore_vcpu {
    uint32_t valid, extended;
    uint64_t syscall32_eip, sysenter_eip;
    uint16_t syscall32_cs, sysenter_cs;
    uint8_t syscall32_disables_events, sysenter_disables_events, zero[2];
    uint8_t context[PV_CONTEXT_BYTES];
};

struct elfcore_note {
    uint32_t version, width;
    uint32_t machine; /* 1: elements of the table of pages have machine frames; 0: pfns */
    uint32_t types;   /* 1: their types are the image's */
    uint64_t pages, pages_at, content_at;
    uint64_t words, words_at;
    uint64_t vcpus, vcpus_at;
    uint64_t list, list_at, list_start, list_last; /* pfns of the pages of the guest's p2m list */
    uint64_t shared_at;                            /* 0: not there */
    uint64_t shared_info, start_info, initial_root, kernel_root; /* as the image has them; ~0 */
    uint64_t nr_frames, tsc_khz;
    int64_t domain;
    char xen[96], name[64], uuid[40], lost[256];
};

_Static_assert(sizeof(struct elfcore_note) == 624, "of the file's format");
_Static_assert(sizeof(struct elfcore_vcpu) == 32 + PV_CONTEXT_BYTES, "likewise");

/* ---- elfcore_loads.c: what is mapped where */
struct elfcore_load {
    uint64_t va, frame, index, pages; /* index: of the first page in the file's memory */
};

struct elfcore_loads {
    const struct pv_view *v; /* portable */
    const uint32_t *pfn;     /* all pages, ascending */
    uint64_t nr_pages;
    struct elfcore_load *load;
    size_t n, room;
    bool has_base;
    uint64_t base;     /* of the kernel's map of all memory */
    uint8_t *seen;     /* by index: bit level: gone down from */
    uint64_t repeated; /* entries that lead to such a table again */
    uint64_t left_out; /* mappings for which there is no header */
};

int elfcore_loads_find(struct elfcore_loads *l, const struct pv_symbols *s, struct pv_error *e);
void elfcore_loads_free(struct elfcore_loads *l);

/* ---- elfcore_notes.c */
struct elfcore_notes {
    uint8_t *bytes;
    size_t n, room;
    size_t own_at; /* of struct elfcore_note */
};

/* Our own (still empty), the vCPUs' registers, VMCOREINFO. */
int elfcore_notes_make(struct elfcore_notes *n, const struct pv_view *v, const struct pv_symbols *s,
                       struct pv_losses *lost, struct pv_error *e);

/* ---- elfcore_write.c */
/* `v` is portable; `from` is the view with machine frames that it was made of, or NULL. */
int pv_elfcore_write(const struct pv_view *v, const struct pv_view *from, int fd,
                     const struct pv_convert_options *o, struct pv_converted *out,
                     struct pv_error *e);

/* convert/convert.c */
void pv_lose(struct pv_losses *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
