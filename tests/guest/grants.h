/* SPDX-License-Identifier: MIT */
/* The grant table as the two halves of its requests see it: conform_grants.c, and the mappings. */
#ifndef PVMM_TEST_GRANTS_H
#define PVMM_TEST_GRANTS_H

#include "ask.h"

#include <xen/grant_table.h>
#include <xen/memory.h>

#define BAD_VA 0xffff830000000000ull /* the hypervisor's */
#define REF(i) (8u + (i))            /* the first eight are not like the others */

extern grant_entry_v1_t *grants; /* the table's first frame, mapped */

#define GRANT(cmd, op, count, ...) ASK(__HYPERVISOR_grant_table_op, cmd, op, count, 0, __VA_ARGS__)

domid_t own_id(void);
void grant_entry(unsigned i, uint16_t flags, domid_t domain, uint64_t mfn);
void grant_page(unsigned i, uint16_t more_flags); /* to itself */
void tell_status(int status);

void conform_grant_maps(void);

#endif
