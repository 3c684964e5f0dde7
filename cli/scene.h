/* SPDX-License-Identifier: MIT */
/*
 * What there is to be said of a replayed machine while it stands: who runs, where in which
 * function, called from where. Names come from the files people give, the kernel's own, the
 * hypervisor's, and what the guest has in its memory.
 */
#ifndef PVMM_CLI_SCENE_H
#define PVMM_CLI_SCENE_H

#include "explain.h"
#include "pass.h"

#define SCENE_CODE 16 /* bytes of an instruction, at most */

enum scene_mode {
    MODE_FIRMWARE,   /* and boot loader: what runs before a hypervisor does */
    MODE_HYPERVISOR, /* pvmm, or a real Xen */
    MODE_KERNEL,
    MODE_USER,
};

struct scene {
    const struct recording *recording;
    struct pv_symbols *symbols;
    bool named_kernel, named_guest;

    /* of the player that stands; between scene_enter() and scene_leave() */
    struct pass *pass;
    struct pv_view bare;     /* reads at virtual addresses, in any phase of any machine */
    struct pv_view *machine; /* what our hypervisor tells of its machine; NULL: nothing yet */
    struct witness witness;  /* its flight recorder */
    bool running;            /* the guest's first instruction was reached */
    struct explain_sources sources;
};

/* A place in the run. */
struct moment {
    uint64_t icount; /* instructions executed before it */
    struct pass_registers registers;
    enum scene_mode mode;
    struct explain_symbol at; /* of rip */
    uint8_t code[SCENE_CODE];
    size_t code_bytes;
    char instruction[96];
    unsigned calls;
    struct explain_call call[PV_FRAMES];
    bool timed; /* seconds since the guest's start, of the last act recorded before */
    double seconds;
};

/* Reads the files with symbols; one that cannot be read, or is of another kernel and not taken
 * `anyway`, is EXIT_USAGE. Of none those of the recording are taken, as far as they still fit. */
int scene_open(struct scene *s, const struct recording *r, char *const *files, unsigned n,
               bool anyway, struct error *e);
void scene_close(struct scene *s);

void scene_enter(struct scene *s, struct pass *p);
void scene_leave(struct scene *s);

/* An address of the guest's is to be named: if it has no name yet, the guest is asked for its own.
 */
void scene_learn(struct scene *s, uint64_t address, const struct pass_registers *r);

int scene_moment(struct scene *s, struct moment *m, struct error *e);

/* "guest-kernel" and the like, for programs; "the guest's kernel", for people. */
const char *scene_mode_code(enum scene_mode mode);
const char *scene_mode_words(enum scene_mode mode);

/* The machine address of what the moment's instruction stores to, and the virtual one; false: it is
 * not known. */
bool scene_store(const struct scene *s, const struct moment *m, uint64_t *va, uint64_t *address);

/* Virtual addresses at which the frame is mapped, under the root that is loaded: at most `most`. */
unsigned scene_mappings(const struct scene *s, const struct moment *m, uint64_t mfn, uint64_t *va,
                        unsigned most);

#endif
