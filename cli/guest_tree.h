/* SPDX-License-Identifier: MIT */
/* What a PV guest finds in its store, with the paths, values and permissions that `xl` gives. */
#ifndef PVMM_CLI_GUEST_TREE_H
#define PVMM_CLI_GUEST_TREE_H

#include <stdint.h>

#define DOMAIN_MAX 32751u /* the last id that is a domain's: DOMID_FIRST_RESERVED - 1 */

struct store;

struct guest_facts {
    const char *name;
    uint32_t domid;
    uint64_t memory, target; /* bytes: at most, and now */
    uint32_t store_port, console_port;
    uint64_t store_mfn, console_mfn;
};

/* Returns 0 or an errno value. */
int guest_tree_make(struct store *s, const struct guest_facts *f);

#endif
