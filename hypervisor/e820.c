/* SPDX-License-Identifier: MIT */
#include "e820.h"

#include "string.h"

void e820_flat(struct e820_map *map, uint64_t bytes)
{
    map->count = 1;
    map->at[0] = (struct pvmm_e820_entry){.start = 0, .bytes = bytes, .type = PVMM_E820_RAM};
}

static bool refuse(struct e820_error *why, const char *text, uint64_t a, uint64_t b)
{
    *why = (struct e820_error){text, {a, b}};
    return false;
}

static bool check_header(const struct pvmm_e820 *head, uint64_t bytes, struct e820_error *why)
{
    uint64_t wanted = sizeof(*head) + (uint64_t)head->count * sizeof(struct pvmm_e820_entry);

    if (head->magic != PVMM_E820_MAGIC)
        return refuse(why, "it starts with 0x%lx instead of 0x%lx", head->magic, PVMM_E820_MAGIC);
    if (head->version != PVMM_E820_VERSION)
        return refuse(why, "version %lu, and %lu is the one known", head->version,
                      PVMM_E820_VERSION);
    if (head->count == 0 || head->count > PVMM_E820_MAX)
        return refuse(why, "%lu entries, and there may be 1 to %lu", head->count, PVMM_E820_MAX);
    if (bytes != wanted)
        return refuse(why, "it has %lu bytes, its entries make %lu", bytes, wanted);
    return true;
}

/* Modules lie where the loader put them, aligned or not. */
bool e820_read(struct e820_map *map, const uint8_t *module, uint64_t bytes, struct e820_error *why)
{
    struct pvmm_e820 head;

    if (bytes < sizeof(head))
        return refuse(why, "it has %lu bytes, its header alone %lu", bytes, sizeof(head));
    memcpy(&head, module, sizeof(head));
    if (!check_header(&head, bytes, why))
        return false;
    memcpy(map->at, module + sizeof(head), head.count * sizeof(map->at[0]));
    map->count = head.count;
    return true;
}

uint64_t e820_ram(const struct e820_map *map)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < map->count; i++) {
        if (map->at[i].type == PVMM_E820_RAM)
            sum += map->at[i].bytes;
    }
    return sum;
}
