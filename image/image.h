/* SPDX-License-Identifier: MIT */
/*
 * libpvimage: a paravirtual guest's memory, out of whatever keeps it. Every kind of image gives the
 * same view; what reads, checks and writes goes by the view alone. Nothing in an image is trusted.
 *
 * Functions that can fail return 0, or -1 with a chain of reasons in *e.
 */
#ifndef PVMM_IMAGE_IMAGE_H
#define PVMM_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pvmm/machine.h>

#include "types.h"

struct pv_error {
    char text[512];
};

/* What is known of a vCPU. The context is a 64-bit vcpu_guest_context_t (<xen/arch-x86/xen.h>). */
struct pv_vcpu {
    mfn_t kernel_root, user_root; /* NO_MFN: none */
    uint8_t context[PVMM_CONTEXT_BYTES];
};

struct pv_view;

/* How one kind of image is read. */
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
    /* Where the frame's words lie, not to be written, until the view is closed; NULL: nowhere. The
     * pointer itself may be NULL: this kind of image has none. */
    uint64_t *(*words)(const struct pv_view *v, mfn_t m);
    void (*close)(struct pv_view *v);
};

struct pv_view {
    const struct pv_backend *backend;
    void *image;        /* the backend's */
    const char *kind;   /* "pvmm machine memory", "xl dump-core", ... */
    uint64_t nr_frames; /* machine frames: every mfn is below */
    uint64_t nr_pages;  /* the guest's pages */
    pfn_t end_pfn;      /* every pfn of the guest is below */
    mfn_t shared_info;  /* NO_MFN: not in the image. In a dump-core, which does not tell: a number
                           above all others that stands for it */
    mfn_t initial_root; /* the L4 that the domain builder made; NO_MFN: not known */
    unsigned nr_vcpus;
    struct pv_vcpu *vcpu;
};

/*
 * The memory of a machine that runs pvmm: the file behind QEMU's memory, and the mailbox's
 * description of it (checked here). It may be running: what is read then may be torn. `ram_fd` is
 * not taken over.
 */
int pv_machine_open(struct pv_view **out, int ram_fd, const struct pvmm_machine *m,
                    struct pv_error *e);
/* Looks anew at what changes while the machine runs: who owns what, the vCPU's context. */
int pv_machine_refresh(struct pv_view *v, const struct pvmm_machine *m, struct pv_error *e);

/* Xen's dump-core format (xl dump-core; docs/misc/dump-core-format.txt of Xen), of a 64-bit PV
 * guest. */
int pv_dumpcore_open(struct pv_view **out, const char *path, struct pv_error *e);

/*
 * Writes one: all pages with a pfn, pages of zeroes as holes of the file. `progress` (may be NULL)
 * is told now and then how many pages are written; if it returns false the writing ends with an
 * error. The file is complete and synced, or, after an error, the caller's to remove.
 */
int pv_dumpcore_write(const struct pv_view *v, int fd,
                      bool (*progress)(void *context, uint64_t done, uint64_t pages), void *context,
                      struct pv_error *e);

void pv_close(struct pv_view *v);

/* ---- virtual addresses */

/* Copies up to n bytes at `va` as seen from `root`; how many were there, from the first on. */
size_t pv_read_va(const struct pv_view *v, mfn_t root, gva_t va, void *to, size_t n);

struct pv_walk {
    unsigned level; /* the lowest level reached: 4..1; 0: the address is not canonical */
    bool present;   /* a mapping exists; superpages are followed, as other hypervisors have them */
    maddr_t at[5];  /* by level */
    uint64_t entry[5];
    maddr_t to; /* what the address maps */
};
/* Returns w->present; *w is filled as far as the walk came. */
bool pv_walk(const struct pv_view *v, mfn_t root, gva_t va, struct pv_walk *w);

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

#endif
