/* SPDX-License-Identifier: MIT */
/* Multiboot 0.6.96, as QEMU -kernel and GRUB speak it. Runs on boot.S's tables: 4 GiB are mapped.
 */
#include "multiboot.h"

#include "memory.h"

#define MULTIBOOT_LOADED 0x2badb002u

#define INFO_COMMAND_LINE (1u << 2)
#define INFO_MODULES      (1u << 3)
#define INFO_MEMORY_MAP   (1u << 6)
#define INFO_LOADER_NAME  (1u << 9)

#define MEMORY_AVAILABLE 1u

#define MAP_MAX 0x100000u /* bytes: no machine has that many ranges */

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, command_line, nr_modules, modules;
    uint32_t symbols[4];
    uint32_t mmap_bytes, mmap;
    uint32_t drives_bytes, drives, config_table, loader_name;
};

struct multiboot_module {
    uint32_t start, end, string, reserved;
};

struct multiboot_mmap {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

static const void *at(uint64_t address)
{
    return direct((maddr_t){address});
}

static void read_memory_map(struct boot_loader_info *b, const struct multiboot_info *info)
{
    uint64_t offset = 0;

    while (offset + sizeof(struct multiboot_mmap) <= info->mmap_bytes && offset < MAP_MAX) {
        const struct multiboot_mmap *m = at(info->mmap + offset);

        if (m->type == MEMORY_AVAILABLE)
            boot_add_ram(b, m->base, m->length);
        offset += (uint64_t)m->size + sizeof(m->size);
    }
}

static void read_modules(struct boot_loader_info *b, const struct multiboot_info *info)
{
    const struct multiboot_module *m = at(info->modules);

    for (unsigned i = 0; i < info->nr_modules && i < BOOT_MODULES_MAX; i++)
        boot_add_module(b, m[i].start, m[i].end, at(m[i].string),
                        m[i].string ? BOOT_STRING_MAX : 0);
    if (info->nr_modules > BOOT_MODULES_MAX)
        b->modules_left_out = info->nr_modules - BOOT_MODULES_MAX;
}

bool multiboot_read(struct boot_loader_info *b, uint32_t magic, uint32_t address)
{
    const struct multiboot_info *info = at(address);

    if (magic != MULTIBOOT_LOADED || !(info->flags & INFO_MEMORY_MAP))
        return false;
    read_memory_map(b, info);
    if (info->flags & INFO_MODULES)
        read_modules(b, info);
    if (info->flags & INFO_COMMAND_LINE)
        boot_copy_string(b->command_line, sizeof(b->command_line), at(info->command_line),
                         BOOT_STRING_MAX);
    if (info->flags & INFO_LOADER_NAME)
        boot_copy_string(b->loader, sizeof(b->loader), at(info->loader_name), BOOT_STRING_MAX);
    boot_settle_strings(b, true);
    return b->nr_ram;
}
