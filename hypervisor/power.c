/* SPDX-License-Identifier: MIT */
#include "asm.h"
#include "machine.h"

/* ACPI's PM1a control register: where QEMU's machines have it. Sleep type 0 is power-off there. */
#define PM1A_CONTROL     0x604
#define PM1A_CONTROL_OLD 0xb004
#define SLEEP_ENABLE     0x2000

void machine_poweroff(void)
{
    outw(PM1A_CONTROL, SLEEP_ENABLE);
    outw(PM1A_CONTROL_OLD, SLEEP_ENABLE);
    for (;;)
        __asm__ volatile("cli; hlt");
}
