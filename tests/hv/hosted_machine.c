/* SPDX-License-Identifier: MIT */
#include "hosted_machine.h"

#include <stdlib.h>
#include <sys/mman.h>

uint8_t *hosted_ram;

void hosted_machine_init(void)
{
    if (hosted_ram)
        munmap(hosted_ram, HOSTED_RAM);
    hosted_ram = mmap(NULL, HOSTED_RAM, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (hosted_ram == MAP_FAILED)
        abort();
}
