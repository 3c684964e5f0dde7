/* SPDX-License-Identifier: MIT */
/* Where Linux keeps what of a module, by its own description of its types (BTF). */
#ifndef PVMM_IMAGE_SYMBOLS_BTF_H
#define PVMM_IMAGE_SYMBOLS_BTF_H

#include "table.h"

/* A member; bytes is 0 if the kernel has none of that name. */
struct field {
    uint32_t offset, bytes;
};

#define MAX_REGIONS 16u

/* A piece of a module's memory: within struct module. */
struct region_fields {
    struct field base, size;
    struct field text_size; /* of the older layouts: how much of it, from its start, is code */
    bool is_code;           /* of the newer: all of it, or nothing */
};

struct module_fields {
    uint32_t bytes; /* of struct module */
    struct field state, list, name, kallsyms;
    unsigned nr_regions;
    struct region_fields region[MAX_REGIONS];
    /* struct mod_kallsyms */
    uint32_t kallsyms_bytes;
    struct field symtab, num_symtab, strtab;
    struct field num_orcs, orc_unwind_ip, orc_unwind; /* within struct module; or not there */
    bool has_unformed;
    uint32_t unformed; /* the state of a module that is being put together */
};

/* -1, with the reason: no BTF, or of a kernel whose modules are laid out otherwise. */
int btf_module_fields(const void *btf, size_t bytes, struct module_fields *out, struct pv_error *e);

#endif
