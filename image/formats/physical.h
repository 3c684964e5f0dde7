/* SPDX-License-Identifier: MIT */
/* A machine's memory by its frames, whatever keeps it: a raw file, or a vmcore. */
#ifndef PVMM_IMAGE_PHYSICAL_H
#define PVMM_IMAGE_PHYSICAL_H

#include "internal.h"

#define HIGH_FRAME (1ull << 20) /* the frame at 4 GiB, where RAM goes on above the PCI hole */

struct pv_physical {
    const struct pv_physical_kind *kind;
    uint64_t end;   /* every frame is below */
    char lost[128]; /* what is missing of it, in words */
};

struct pv_physical_kind {
    const char *name; /* of the view */
    bool of_dom0;     /* unless another domain is asked for, dom0 is what it is about */
    /* Copies n bytes from `offset` of the frame, all within it. false: it is not there. */
    bool (*read)(struct pv_physical *p, mfn_t m, unsigned offset, void *to, unsigned n);
    /* Is the frame's content there? NULL: that of all is. */
    bool (*has)(struct pv_physical *p, mfn_t m);
    bool (*place)(struct pv_physical *p, mfn_t m, struct pv_place *out);
    /* The first frame at or above that may have content: no hole of a file. NO_MFN: no more. */
    mfn_t (*next)(struct pv_physical *p, mfn_t from);
    /* Where the frame lies in memory until it is closed; NULL (the function, too): nowhere. */
    const uint64_t *(*words)(struct pv_physical *p, mfn_t m);
    /* RAM from this frame on lies, in truth, from 4 GiB on. NULL: frames are numbered by what keeps
     * them. */
    void (*split)(struct pv_physical *p, uint64_t low_frames);
    void (*close)(struct pv_physical *p);
};

/* Opens a view of one domain of the Xen that is in this memory, and takes the memory over, also
 * when it fails (formats/xenmachine.c). */
int pv_xen_open(struct pv_view **out, struct pv_physical *p, const struct pv_open_options *o,
                struct pv_error *e);

#endif
