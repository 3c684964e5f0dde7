/* SPDX-License-Identifier: MIT */
/* What XENMEM_memory_map answers, to questions for fewer entries than there are, and for more. */
#include "guest.h"

#include <xen/memory.h>

#define ROOM   1100u /* entries; no hypervisor keeps so many */
#define UNUSED 0xa5u

struct entry {
    uint64_t start, bytes;
    uint32_t type;
} __attribute__((packed));

static struct entry entries[ROOM];

static bool untouched(unsigned from)
{
    const uint8_t *end = (const uint8_t *)(entries + ROOM);
    for (const uint8_t *p = (const uint8_t *)(entries + from); p < end; p++)
        if (*p != UNUSED)
            return false;
    return true;
}

/* The entries that came, by the hypervisor's count. */
static unsigned ask_for(const char *name, unsigned wanted, void *buffer)
{
    struct xen_memory_map map = {.nr_entries = wanted, .buffer = {buffer}};
    memset(entries, UNUSED, sizeof(entries));
    int64_t rc = call2(__HYPERVISOR_memory_op, XENMEM_memory_map, &map);
    unsigned count = rc == 0 ? map.nr_entries : 0;
    say("map %s: %ld, %u entries, %s\n", name, rc, count,
        count <= ROOM && untouched(count) ? "nothing behind them" : "more was written");
    return count <= ROOM ? count : 0;
}

void memory_map(void)
{
    ask_for("none", 0, NULL);
    ask_for("one", 1, entries);
    ask_for("128", 128, entries);
    ask_for("nowhere", ROOM, (void *)8);
    say("map asked at a bad address: %ld\n", call2(__HYPERVISOR_memory_op, XENMEM_memory_map, 8));
    unsigned count = ask_for("all", ~0u, entries);
    for (unsigned i = 0; i < count; i++)
        say("0x%lx+0x%lx %u\n", entries[i].start, entries[i].bytes, entries[i].type);
}
