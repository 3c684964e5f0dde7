/* SPDX-License-Identifier: MIT */
/*
 * Names of a guest kernel's addresses, from several sources: files that people name (an ELF file
 * with symbols, System.map), the kernel image itself, and the tables that Linux keeps in its own
 * memory (kallsyms, the list of modules). The first source that knows an address names it.
 */
#ifndef PVMM_IMAGE_SYMBOLS_H
#define PVMM_IMAGE_SYMBOLS_H

#include "image.h"

struct pv_symbols;

struct pv_symbol {
    char name[128];
    char module[64];  /* "": the kernel itself */
    uint64_t address; /* of the symbol */
    uint64_t offset;  /* of the address asked for, from it */
    uint64_t size;    /* 0: not known; else offset < size */
    bool is_code;
};

struct pv_symbols *pv_symbols_new(void); /* NULL: out of memory */
void pv_symbols_free(struct pv_symbols *s);

/* An ELF file or a System.map, by content. */
int pv_symbols_file(struct pv_symbols *s, const char *path, struct pv_error *e);
/* The same; the descriptor is not taken over. `name` is for messages. An ELF file without symbols
 * is no error: *count is how many were read. */
int pv_symbols_fd(struct pv_symbols *s, int fd, const char *name, size_t *count,
                  struct pv_error *e);
/* What a Linux keeps in its memory, seen from `root`: kallsyms, and the symbols of the modules that
 * are loaded now. May be called again: modules come and go. 0: the kernel's own are there; why some
 * or all modules' are not is in *e ("": they are). -1: no Linux, or none of its tables makes sense;
 * why is in *e, and what an earlier call found remains. */
int pv_symbols_guest(struct pv_symbols *s, const struct pv_view *v, mfn_t root, size_t *count,
                     struct pv_error *e);

bool pv_symbol_at(const struct pv_symbols *s, uint64_t va, struct pv_symbol *out);
bool pv_symbol_find(const struct pv_symbols *s, const char *name, uint64_t *va);

/* ---- whose symbols a file has */

#define PV_BUILD_ID_BYTES 64u
#define PV_BUILD_ID_CHARS (2 * PV_BUILD_ID_BYTES + 1)

/* What the linker wrote into a program, to tell it from any other (the note NT_GNU_BUILD_ID). */
struct pv_build_id {
    uint8_t byte[PV_BUILD_ID_BYTES];
    unsigned bytes; /* 0: none */
    uint64_t va;    /* of the note, in the memory of who runs it; 0: not there, or not known */
};

/* Of an ELF file; any other has none. -1: its notes are damaged; *e does not name the file. */
int pv_build_id_fd(struct pv_build_id *id, int fd, struct pv_error *e);
/* Of the kernel that runs in a guest, seen from `root`: what lies at `va`, where a file has its own
 * (0: it has not); if that is no build id, by what Linux's kallsyms say. -1: that cannot be told;
 * why is in *e. */
int pv_build_id_guest(struct pv_build_id *id, const struct pv_view *v, mfn_t root, uint64_t va,
                      struct pv_error *e);
bool pv_build_id_same(const struct pv_build_id *a, const struct pv_build_id *b);
/* In hexadecimal digits, as other tools show it; "": none. Returns `text`. */
const char *pv_build_id_text(const struct pv_build_id *id, char text[PV_BUILD_ID_CHARS]);

/* ---- the stack */

#define PV_FRAMES 24
struct pv_stack_frame {
    uint64_t address; /* where it goes on; [0] is rip itself. Behind a call that never returns
                         another function may begin: name address - 1, but of [0] */
    uint64_t sp;      /* where on the stack that stands; 0 for [0] */
    bool certain;     /* the kernel's own tables say so, or the call before it leads to the
                         function of the frame above */
};

struct pv_stack {
    uint64_t rip, rsp, rbp;
    const uint64_t *word; /* from rsp on */
    size_t words;
};

/*
 * What was called from where: as Linux's own tables have it (ORC) where there are any; else by the
 * chain of frame pointers, if rbp begins one; else words of the stack that follow a call
 * instruction in the guest's code. Such a word may be a leftover of an earlier call: what is
 * `certain` is not. Returns the number of frames, at most PV_FRAMES.
 */
size_t pv_stack_walk(const struct pv_symbols *s, const struct pv_view *v, mfn_t root,
                     const struct pv_stack *stack, struct pv_stack_frame frames[PV_FRAMES]);

/* One instruction in words ("mov %rax, (%rdi)"); false: it makes no sense. */
bool pv_disassemble(const uint8_t *code, size_t bytes, uint64_t address, char *text, size_t size);

/* Where the instruction stores to, with the registers of before it in the order of their numbers
 * (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8...); bases of segments are taken for 0. false: it
 * stores to no memory, or makes no sense. */
bool pv_stores_to(const uint8_t *code, size_t bytes, uint64_t address, const uint64_t gpr[16],
                  uint64_t *va);

#endif
