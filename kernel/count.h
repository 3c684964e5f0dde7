/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_COUNT_H
#define KERNEL_COUNT_H

#include <stdint.h>

/* How often something was said. Defined in count.c, or, badly, in count_misaligned.c. */
extern uint64_t texts_said;

#endif
