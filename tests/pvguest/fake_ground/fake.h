/* SPDX-License-Identifier: MIT */
/* The rest of the library, and the hypervisor, as the tests of the ground want them. */
#ifndef FAKE_GROUND_H
#define FAKE_GROUND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* the library has one of its own, as a function */

#include "internal.h"

/* Answers the hypercalls of a test; NULL: all fail with -XEN_ENOSYS. */
typedef int64_t hypercall_fake(unsigned number, uint64_t a, uint64_t b, uint64_t c);
extern hypercall_fake *fake_answers;

extern uint64_t fake_ring_mfn; /* the only frame that pvg_m2p() knows, as page 7 */
extern uint64_t fake_ring_va;  /* where page_va() has it */
extern unsigned fake_traps;    /* calls of traps_init() */
extern int fake_traps_rc;

#endif
