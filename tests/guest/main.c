/* SPDX-License-Identifier: MIT */
/* What the command line asks for. */
#include "guest.h"

#include <xen/sched.h>

struct pvguest *guest;
const start_info_t *start_info;
shared_info_t *shared_info;
static uint8_t shared_page[PAGE] __attribute__((aligned(4096)));
void kernel_main(const start_info_t *si);

static const char *find_word(const char *word)
{
    const char *line = pvg_command_line(guest);
    size_t n = strlen(word);
    for (const char *p = line; *p; p++)
        if ((p == line || p[-1] == ' ') && memcmp(p, word, n) == 0)
            return p + n;
    return NULL;
}

bool option_word(const char *word)
{
    return find_word(word) != NULL;
}

uint64_t option(const char *name, uint64_t otherwise)
{
    const char *p = find_word(name);
    uint64_t v = 0;
    if (!p || *p != '=')
        return otherwise;
    for (p++; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    return v;
}

static void map_shared_info(void)
{
    if (set_va((uint64_t)shared_page, frame_entry(start_info->shared_info >> 12, RW_ENTRY)))
        pvg_fatal(guest, "shared_info cannot be mapped");
    shared_info = (shared_info_t *)shared_page;
}

void kernel_main(const start_info_t *si)
{
    guest = pvg_start(si);
    start_info = si;
    traps_init();
    pages_init();
    map_shared_info();
    say("TEST-BEGIN\n");
    if (option_word("conform"))
        conform();
    else if (option_word("chaos"))
        chaos(option("seed", 1), option("count", 1000));
    else if (option_word("attack"))
        attack();
    else if (option_word("breach"))
        breach();
    else if (option_word("echo"))
        echo();
    else if (option_word("map"))
        memory_map();
    else
        say("nothing to do\n");
    say("TEST-END\n");
    pvg_shutdown(guest, SHUTDOWN_poweroff);
}
