/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_COUNT_H
#define KERNEL_COUNT_H

#include <stdint.h>

/* How often the console was told of trouble. Defined in count.c, or, badly, in count_misaligned.c.
 */
extern uint64_t troubles_told;

#endif
