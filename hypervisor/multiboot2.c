/* SPDX-License-Identifier: MIT */
/*
 * Multiboot2 (specification 2.0), as GRUB speaks it: one structure of tags, each with its size. No
 * tag is read beyond the structure's end. Runs on boot.S's tables: 4 GiB are mapped.
 */
#include "memory.h"
#include "multiboot.h"

#define MULTIBOOT2_LOADED 0x36d76289u

#define TAG_ALIGN 8u
#define INFO_MAX  0x1000000u /* no loader says that much */

#define MEMORY_AVAILABLE 1u

enum tag_type {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_LOADER_NAME = 2,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
};

struct info {
    uint32_t bytes, reserved; /* `bytes` counts everything, this too */
};

struct tag {
    uint32_t type, bytes; /* of this header and what follows, without padding */
};

struct module_tag {
    struct tag tag;
    uint32_t start, end;
    char string[];
};

struct memory_map_tag {
    struct tag tag;
    uint32_t entry_bytes, entry_version;
};

struct memory_map_entry {
    uint64_t base, length;
    uint32_t type, reserved;
};

static void read_memory_map(struct boot_loader_info *b, const struct tag *t)
{
    const struct memory_map_tag *map = (const void *)t;
    uint32_t at = sizeof(*map);

    if (t->bytes < sizeof(*map) || map->entry_bytes < sizeof(struct memory_map_entry) ||
        map->entry_bytes % TAG_ALIGN)
        return;
    while (t->bytes - at >= map->entry_bytes) {
        const struct memory_map_entry *e = (const void *)((const char *)t + at);

        if (e->type == MEMORY_AVAILABLE)
            boot_add_ram(b, e->base, e->length);
        at += map->entry_bytes;
    }
}

static void read_module(struct boot_loader_info *b, const struct tag *t)
{
    const struct module_tag *m = (const void *)t;

    if (t->bytes >= sizeof(*m))
        boot_add_module(b, m->start, m->end, m->string, t->bytes - sizeof(*m));
}

static void read_string(char *to, size_t size, const struct tag *t)
{
    boot_copy_string(to, size, (const char *)(t + 1), t->bytes - sizeof(*t));
}

static void read_tag(struct boot_loader_info *b, const struct tag *t)
{
    switch (t->type) {
    case TAG_COMMAND_LINE:
        read_string(b->command_line, sizeof(b->command_line), t);
        break;
    case TAG_LOADER_NAME:
        read_string(b->loader, sizeof(b->loader), t);
        break;
    case TAG_MODULE:
        read_module(b, t);
        break;
    case TAG_MEMORY_MAP:
        read_memory_map(b, t);
        break;
    }
}

/* The tag at `at`; NULL: the last was before it, or it does not fit. */
static const struct tag *tag_at(const struct info *info, uint32_t at)
{
    const struct tag *t = (const void *)((const char *)info + at);

    if (at > info->bytes || info->bytes - at < sizeof(*t))
        return NULL;
    if (t->type == TAG_END || t->bytes < sizeof(*t) || t->bytes > info->bytes - at)
        return NULL;
    return t;
}

bool multiboot2_read(struct boot_loader_info *b, uint32_t magic, uint32_t address)
{
    const struct info *info = direct((maddr_t){address});
    const struct tag *t;

    if (magic != MULTIBOOT2_LOADED || address % TAG_ALIGN || info->bytes > INFO_MAX ||
        address > UINT32_MAX - INFO_MAX)
        return false;
    for (uint32_t at = sizeof(*info); (t = tag_at(info, at)) != NULL;) {
        read_tag(b, t);
        at += (t->bytes + TAG_ALIGN - 1) & ~(TAG_ALIGN - 1);
    }
    boot_settle_strings(b, false);
    return b->nr_ram;
}
