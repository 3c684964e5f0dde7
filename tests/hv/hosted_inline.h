/* SPDX-License-Identifier: MIT */
/* Included before anything else (-include): SWAPGS is privileged, so it is counted instead; and the
 * guest's words lie in a window of the test's, so that guestword.h is replaced. */
#ifndef PVMM_TEST_HV_HOSTED_INLINE_H
#define PVMM_TEST_HV_HOSTED_INLINE_H

#include "asm.h"

extern unsigned hosted_swapgs;
#define swapgs() ((void)hosted_swapgs++)

#define PVMM_HV_GUESTWORD_H
bool guest_word_get(uint64_t *to, uint64_t from);
bool guest_word_put(uint64_t to, uint64_t word);

#endif
