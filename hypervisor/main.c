/* SPDX-License-Identifier: MIT */
/* From boot.S to the guest's first instruction. */
#include "asm.h"
#include "clock.h"
#include "cpu.h"
#include "dirty.h"
#include "frames.h"
#include "incoming.h"
#include "interrupts.h"
#include "log.h"
#include "machine.h"
#include "multiboot.h"
#include "options.h"
#include "paging.h"
#include "recorder.h"
#include "serial.h"
#include "traps.h"

_Noreturn void hv_main(uint32_t magic, uint32_t address);

#define FOUR_GIB 0x100000000ull

struct boot_info boot_info;

static struct boot_loader_info loader;

/* End of the RAM from 4 GiB on; 0: there is none. */
static uint64_t high_end(void)
{
    uint64_t end = 0;

    for (unsigned i = 0; i < loader.nr_ram; i++)
        if (loader.ram[i].end > FOUR_GIB && loader.ram[i].end > end)
            end = loader.ram[i].end;
    return end;
}

static void fill_boot_info(void)
{
    boot_info.command_line = loader.command_line;
    boot_info.nr_modules = loader.nr_modules;
    boot_info.high_end = high_end();
    for (unsigned i = 0; i < loader.nr_modules; i++) {
        const struct boot_module *m = &loader.module[i];

        boot_info.module[i] = (struct module){.data = direct((maddr_t){m->range.start}),
                                              .size = m->range.end - m->range.start,
                                              .arguments = m->arguments};
    }
    if (!option_number(boot_info.command_line, PVMM_OPT_SEED, &boot_info.seed))
        boot_info.seed = rdtsc();
    if (!option_number(boot_info.command_line, PVMM_OPT_BLANK, &boot_info.blank_from))
        boot_info.blank_from = ~0ull;
}

static void log_loader(uint32_t magic)
{
    log_line("loaded by %s (magic %x), %u ranges of RAM, %u modules",
             loader.loader[0] ? loader.loader : "a loader without a name", magic, loader.nr_ram,
             loader.nr_modules);
    if (loader.ranges_left_out)
        log_line("left out of use: %u ranges of RAM with %lu KiB", loader.ranges_left_out,
                 loader.bytes_left_out / 1024);
    if (loader.modules_left_out)
        log_line("left out: %u modules after the first %u", loader.modules_left_out,
                 BOOT_MODULES_MAX);
}

static void memory_init(void)
{
    frames_init(&loader);
    frames_fill(boot_info.seed, boot_info.blank_from);
    recorder_init();
    dirty_init();
    transfer_reserve();
    paging_init(&loader);
    frames_release_ram(&loader);
    log_line("%lu frames free, seed 0x%lx", frames_free(), boot_info.seed);
}

void frames_release_modules(void)
{
    for (unsigned i = 0; i < loader.nr_modules; i++)
        frames_release(&loader, loader.module[i].range);
    frames_release(&loader, transfer_room());
    boot_info.nr_modules = 0;
}

void hv_main(uint32_t magic, uint32_t address)
{
    uint64_t entered = rdtsc();

    serial_init();
    log_init();
    channel_init();
    if (!multiboot_read(&loader, magic, address) && !multiboot2_read(&loader, magic, address))
        panic("not started by a multiboot loader that gives a memory map");
    log_loader(magic);
    fill_boot_info();
    memory_init();
    cpu_init();
    interrupts_init();
    clock_init();
    domain_build();
    mailbox.verdict.boot_ticks = rdtsc() - entered;
    vcpu_start(&the_domain.vcpu[0]);
}
