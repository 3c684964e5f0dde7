/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader told: read once, while its tables still stand, into structures of our own
 * (another boot protocol would fill the same ones).
 */
#ifndef PVMM_HV_MULTIBOOT_H
#define PVMM_HV_MULTIBOOT_H

#include <stdbool.h>
#include <stdint.h>

#define BOOT_RANGES_MAX  64
#define BOOT_STRING_MAX  5120 /* a file's path and the longest command line */
#define BOOT_MODULES_MAX 4

struct boot_range {
    uint64_t start, end; /* machine addresses; end exclusive */
};

struct boot_module {
    struct boot_range range;
    char string[BOOT_STRING_MAX];
};

struct boot_loader_info {
    unsigned nr_ram, nr_modules;
    struct boot_range ram[BOOT_RANGES_MAX]; /* usable RAM */
    struct boot_module module[BOOT_MODULES_MAX];
    char command_line[BOOT_STRING_MAX];
};

/* false: `magic` is not multiboot's, or there is no memory map. */
bool multiboot_read(struct boot_loader_info *b, uint32_t magic, uint32_t address);

#endif
