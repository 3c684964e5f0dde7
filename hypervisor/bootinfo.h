/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader told: read once, before any memory is handed out (the loader's own
 * structures lie anywhere in RAM), into structures of our own. Each protocol's reader fills the
 * same ones.
 */
#ifndef PVMM_HV_BOOTINFO_H
#define PVMM_HV_BOOTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_RANGES_MAX  64
#define BOOT_STRING_MAX  5120 /* a file's path and the longest command line, every byte as \xHH */
#define BOOT_MODULES_MAX 4

struct boot_range {
    uint64_t start, end; /* machine addresses; end exclusive */
};

struct boot_module {
    struct boot_range range;
    char arguments[BOOT_STRING_MAX]; /* its string as <pvmm/boot.h> has it, without a file's name */
};

struct boot_loader_info {
    unsigned nr_ram, nr_modules;
    struct boot_range ram[BOOT_RANGES_MAX]; /* usable RAM */
    struct boot_module module[BOOT_MODULES_MAX];
    char command_line[BOOT_STRING_MAX];
    char loader[64]; /* its name */

    /* what there was no room for */
    unsigned ranges_left_out, modules_left_out;
    uint64_t bytes_left_out; /* of RAM */
};

/* For the readers. Ranges that are empty or wrap are passed over; when there are too many, the
 * largest are kept. A module beyond the last is only counted. */
void boot_add_ram(struct boot_loader_info *b, uint64_t base, uint64_t bytes);
void boot_add_module(struct boot_loader_info *b, uint32_t start, uint32_t end, const char *string,
                     size_t bytes);
/* Copies up to `bytes` bytes of a string that may lack its NUL. */
void boot_copy_string(char *to, size_t size, const char *from, size_t bytes);
/* Once all strings are there: makes of them what <pvmm/boot.h> says. `named`: the protocol puts a
 * file's name before a module's arguments. */
void boot_settle_strings(struct boot_loader_info *b, bool named);

#endif
