/* SPDX-License-Identifier: MIT */
/* Included before anything else (-include): SWAPGS is privileged, so it is counted instead. */
#ifndef PVMM_TEST_HV_HOSTED_SWAPGS_H
#define PVMM_TEST_HV_HOSTED_SWAPGS_H

#include "asm.h"

extern unsigned hosted_swapgs;
#define swapgs() ((void)hosted_swapgs++)

#endif
