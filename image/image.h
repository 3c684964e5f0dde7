/* SPDX-License-Identifier: MIT */
/*
 * libpvimage: a paravirtual guest's memory, out of whatever keeps it. Every kind of image gives the
 * same view; what reads, checks and writes goes by the view alone. Nothing in an image is trusted.
 *
 * Functions that can fail return 0, or -1 with a chain of reasons in *e. A view that is open does
 * not change (but by pv_machine_refresh()): any number of threads may read it.
 */
#ifndef PVMM_IMAGE_IMAGE_H
#define PVMM_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "types.h"

struct pv_error {
    char text[512];
};

/* Told now and then how far a long piece of work is: `done` of `total` (0: not known) bytes or
 * pages. If it returns false the work ends with an error. `tell` may be NULL. */
struct pv_progress {
    bool (*tell)(void *context, const char *doing, uint64_t done, uint64_t total);
    void *context;
};

/* ---- what a view shows */

#define PV_CONTEXT_BYTES 5168u /* of a 64-bit vcpu_guest_context_t */

/* Entry points that a context has no room for (XEN_DOMCTL_get_ext_vcpucontext; X86_PV_VCPU_EXTENDED
 * of a save stream). */
struct pv_extended {
    bool there; /* false: the image does not tell */
    uint64_t syscall32_eip, sysenter_eip;
    uint16_t syscall32_cs, sysenter_cs;
    bool syscall32_disables_events, sysenter_disables_events;
};

/* What is known of a vCPU. The context is a vcpu_guest_context_t of <xen/arch-x86/xen.h>, or, of a
 * 32-bit guest, a vcpu_guest_context_x86_32_t of <xen/foreign/x86_32.h>. */
struct pv_vcpu {
    mfn_t kernel_root, user_root; /* NO_MFN: none */
    uint64_t rip, rsp, rflags;
    bool in_kernel;
    bool valid; /* false: this vCPU was never started, or the image does not tell */
    struct pv_extended extended;
    uint8_t context[PV_CONTEXT_BYTES];
};

struct pv_domain {
    int id;        /* -1: not known */
    char name[64]; /* "": not known */
    char uuid[40]; /* likewise */
    mfn_t shared_info;
    uint64_t pages;
};

/* Where the content of a frame lies. */
struct pv_place {
    uint64_t offset; /* in the file; in the spooled content of one that is compressed or a pipe */
    char record[64]; /* "page 17 of .xen_pages", "record 12 (PAGE_DATA), page 5"; never empty */
};

/* What the image itself says of a frame's use. Counts are 0 where it says nothing of them. */
struct pv_told {
    unsigned level; /* 1..4: a table of that level; 0: none */
    bool pinned;
};

struct pv_view;

/* How one kind of image is read. Frames are named by the numbers that the guest's page tables hold:
 * machine frames, or (v->portable) the guest's own pfns. */
struct pv_backend {
    /* Copies n bytes from `offset` of the frame, all within it. false: it is not there. */
    bool (*read)(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n);
    /* Is it the guest's memory (shared_info and the like are not)? */
    bool (*owned)(const struct pv_view *v, mfn_t m);
    /* What m2p, or the image's own table, has; NO_PFN, NO_MFN: nothing. */
    pfn_t (*pfn_of)(const struct pv_view *v, mfn_t m);
    mfn_t (*mfn_of)(const struct pv_view *v, pfn_t p);
    /* L4 frames that are pinned, in ascending order from `from`; NO_MFN: no more, or not known. */
    mfn_t (*next_pinned_root)(const struct pv_view *v, mfn_t from);
    /* The guest's frames, and the pfns at which it has one, in ascending order likewise. */
    mfn_t (*next_owned)(const struct pv_view *v, mfn_t from);
    pfn_t (*next_pfn)(const struct pv_view *v, pfn_t from);
    /* What follows may be NULL: this kind of image has none. */
    /* Where the frame's words lie, not to be written, until the view is closed; NULL: nowhere. */
    uint64_t *(*words)(const struct pv_view *v, mfn_t m);
    /* Is it known to be zeroes, without a look? Its words should be left alone then: a hole of a
     * file in memory is filled by being touched. */
    bool (*blank)(const struct pv_view *v, mfn_t m);
    /* The open file in which bytes of frames lie as they are, -1: there is none; and where those of
     * each of n frames do, ~0: nowhere. */
    int (*lies)(const struct pv_view *v, const mfn_t *m, size_t n, uint64_t *at);
    /* Where in the file; false: nowhere. */
    bool (*place)(const struct pv_view *v, mfn_t m, struct pv_place *out);
    /* Types and pins that the image carries; false: of this frame it tells nothing. */
    bool (*told)(const struct pv_view *v, mfn_t m, struct pv_told *out);
    /* The frame's number among those of the guest, 0..nr_pages - 1 without gaps, and back: so that
     * arrays by frame stay as large as the guest. ~0, NO_MFN: none. */
    uint64_t (*index_of)(const struct pv_view *v, mfn_t m);
    mfn_t (*frame_at)(const struct pv_view *v, uint64_t index);
    /* Of a portable view: pv_stream_p2m_frames() of formats/stream.h. */
    bool (*p2m_frames)(const struct pv_view *v, uint64_t *start, uint64_t *end,
                       const uint64_t **pfn, size_t *n);
    void (*close)(struct pv_view *v);
};

struct pv_view {
    const struct pv_backend *backend;
    void *image;        /* the backend's */
    const char *kind;   /* "pvmm machine memory", "xl dump-core", "xl save stream", ... */
    unsigned width;     /* bytes of the guest's words: 8; 4: 32-bit PAE */
    bool portable;      /* page tables hold pfns: an mfn_t of this view is the pfn itself */
    bool has_m2p;       /* pfn_of() is the machine's m2p, not a table of the file */
    uint64_t nr_frames; /* machine frames: every mfn is below */
    uint64_t nr_pages;  /* the guest's pages */
    pfn_t end_pfn;      /* every pfn of the guest is below */
    mfn_t shared_info;  /* NO_MFN: not in the image. Where the image does not tell its mfn: a number
                           above all others that stands for it */
    mfn_t start_info;   /* NO_MFN: not known */
    mfn_t initial_root; /* the L4 that the domain builder made; NO_MFN: not known */
    mfn_t kernel_root;  /* a root that has the kernel's half; that of vCPU 0 if there is one */
    unsigned nr_vcpus;
    struct pv_vcpu *vcpu;
    unsigned nr_domains;      /* in the image; 1 but for a machine's memory */
    struct pv_domain *domain; /* nr_domains of them */
    unsigned chosen;          /* which of them this view shows */
    uint64_t tsc_khz;         /* the guest's TSC; 0: not known */
    char xen[96];             /* the hypervisor's version, "" if not known */
    char lost[256];           /* what of the image is missing or damaged, in words; "": nothing */
};

/* ---- opening */

struct pv_open_options {
    int domain; /* of a machine with several: its id, or place in `domain`; -1: the first domU, else
                   the only one there is */
    struct pv_progress progress;
};

/*
 * Opens an image, whatever it is: recognised by its content, not by its name. Compressed files
 * (zstd, gzip, xz) and pipes ("-" is standard input) are spooled into a file without a name in
 * $TMPDIR. Takes at most 16 bytes of memory for each frame of the guest's. What can be read of a
 * damaged image is read, and v->lost says what is not there; an error if that is nothing.
 */
int pv_open(struct pv_view **out, const char *path, const struct pv_open_options *o,
            struct pv_error *e);

/*
 * Writes a file of Xen's dump-core format: all pages with a pfn, pages of zeroes as holes of the
 * file. The file is complete and synced, or, after an error, the caller's to remove.
 */
int pv_dumpcore_write(const struct pv_view *v, int fd, const struct pv_progress *progress,
                      struct pv_error *e);

void pv_close(struct pv_view *v);

/* Where the frame's content lies; false: the image does not have it. */
bool pv_place_of(const struct pv_view *v, mfn_t m, struct pv_place *out);

/* ---- virtual addresses */

/* Copies up to n bytes at `va` as seen from `root`; how many were there, from the first on. */
size_t pv_read_va(const struct pv_view *v, mfn_t root, gva_t va, void *to, size_t n);

struct pv_walk {
    unsigned top;   /* the level of the root: 4; 3 of a 32-bit guest */
    unsigned level; /* the lowest level reached: top..1; 0: the address is not canonical */
    bool present;   /* a mapping exists; superpages are followed, as other hypervisors have them */
    bool absent;    /* the walk ends because a table's frame is not in the image */
    maddr_t at[5];  /* by level */
    uint64_t entry[5];
    maddr_t to; /* what the address maps */
};
/* Returns w->present; *w is filled as far as the walk came. */
bool pv_walk(const struct pv_view *v, mfn_t root, gva_t va, struct pv_walk *w);

/* What maps a frame: every virtual address under the roots given, by all levels' entries, tables
 * that several roots share counted for each. `writable`, `user` and `executable` say what all
 * levels together allow. The hypervisor's own slots of a root are left out. false: enough. */
struct pv_mapping {
    mfn_t root;
    gva_t va;
    unsigned level; /* of the entry: 1; above it: a superpage */
    maddr_t at;     /* of the entry */
    uint64_t entry;
    bool writable, user, executable;
};
typedef bool pv_each_mapping(void *context, const struct pv_mapping *m);
int pv_find_maps(const struct pv_view *v, const mfn_t *root, size_t roots, mfn_t m,
                 pv_each_mapping *each, void *context, struct pv_error *e);
/* The roots of a view: of its vCPUs, pinned, and its kernel_root; each once, in ascending order.
 * Malloc'd, to be freed; *n of them. */
int pv_roots(const struct pv_view *v, mfn_t **out, size_t *n, struct pv_error *e);

/* ---- what the guest publishes for tools (shared_info.arch, <xen/arch-x86/xen.h>) */

enum pv_gap_kind {
    PV_GAP_BEYOND,     /* at or above max_pfn */
    PV_GAP_MISSING,    /* the list has no mfn there */
    PV_GAP_DIFFERS,    /* the list has another mfn than m2p */
    PV_GAP_UNREADABLE, /* a frame of the list itself is not the guest's, or not there */
};

struct pv_gap {
    enum pv_gap_kind kind;
    pfn_t first, last; /* neighbouring pfns of one kind */
    mfn_t is, listed;  /* of the first: by m2p, by the list */
};

#define PV_GAPS 16
struct pv_publication {
    bool published;     /* the guest published a list at all */
    bool linear;        /* p2m_cr3 and p2m_vaddr; else pfn_to_mfn_frame_list_list */
    uint64_t max_pfn;   /* as published: a count */
    uint64_t populated; /* pfns at which m2p has a frame of the guest's */
    uint64_t covered;   /* of these: the list says the same */
    uint64_t gaps;      /* runs that differ; the first are kept */
    struct pv_gap gap[PV_GAPS];
    uint64_t nameless;   /* frames of the guest that m2p has at no pfn */
    uint64_t doubled;    /* frames beyond the first at one pfn */
    uint64_t idle_roots; /* pinned L4s that no vCPU has loaded: address spaces of processes, or
                            forgotten */
    bool initial_idle;   /* the builder's is one of them */
};
/* The guest must not run. */
int pv_publication(const struct pv_view *v, struct pv_publication *out, struct pv_error *e);
/* The element of that pfn, as it stands in the guest's list; false: none, or it cannot be read. */
bool pv_published(const struct pv_view *v, pfn_t at, mfn_t *listed);

#endif
