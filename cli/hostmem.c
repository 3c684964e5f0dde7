/* SPDX-License-Identifier: MIT */
#include "hostmem.h"

#include <stdio.h>
#include <unistd.h>

uint64_t hostmem_all(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);

    return pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t hostmem_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];

    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL && sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
        ;
    fclose(f);
    return (uint64_t)kib << 10;
}
