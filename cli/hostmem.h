/* SPDX-License-Identifier: MIT */
/* This host's memory, in bytes; 0: it is not told. */
#ifndef PVMM_CLI_HOSTMEM_H
#define PVMM_CLI_HOSTMEM_H

#include <stdint.h>

uint64_t hostmem_all(void);

/* What may be had of it now without anybody's being pushed out (MemAvailable of proc(5)). */
uint64_t hostmem_available(void);

#endif
