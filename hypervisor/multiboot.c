/* SPDX-License-Identifier: MIT */
/* Multiboot 0.6.96, as QEMU -kernel speaks it. Runs on boot.S's tables: 4 GiB are mapped. */
#include "multiboot.h"

#include "memory.h"
#include "string.h"

#define MULTIBOOT_LOADED 0x2badb002u

#define INFO_COMMAND_LINE (1u << 2)
#define INFO_MODULES      (1u << 3)
#define INFO_MEMORY_MAP   (1u << 6)

#define MEMORY_AVAILABLE 1u

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, command_line, nr_modules, modules;
    uint32_t symbols[4];
    uint32_t mmap_bytes, mmap;
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

    while (offset + sizeof(struct multiboot_mmap) <= info->mmap_bytes &&
           b->nr_ram < BOOT_RANGES_MAX) {
        const struct multiboot_mmap *m = at(info->mmap + offset);

        if (m->type == MEMORY_AVAILABLE && m->base + m->length > m->base)
            b->ram[b->nr_ram++] = (struct boot_range){m->base, m->base + m->length};
        offset += (uint64_t)m->size + sizeof(m->size);
    }
}

static void read_modules(struct boot_loader_info *b, const struct multiboot_info *info)
{
    const struct multiboot_module *m = at(info->modules);

    for (unsigned i = 0; i < info->nr_modules && i < BOOT_MODULES_MAX; i++) {
        uint32_t end = m[i].end > m[i].start ? m[i].end : m[i].start;

        b->module[i].range = (struct boot_range){m[i].start, end};
        if (m[i].string)
            copy_string(b->module[i].string, at(m[i].string), BOOT_STRING_MAX);
        b->nr_modules++;
    }
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
        copy_string(b->command_line, at(info->command_line), BOOT_STRING_MAX);
    return b->nr_ram;
}
