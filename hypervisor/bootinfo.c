/* SPDX-License-Identifier: MIT */
#include "bootinfo.h"

#include "memory.h"
#include "options.h"
#include "string.h"

#define DIRECT_BYTES (HV_SLOTS_END - DIRECT_BASE) /* RAM beyond is out of reach */

static uint64_t bytes_of(struct boot_range r)
{
    return r.end - r.start;
}

static void leave_out(struct boot_loader_info *b, struct boot_range r)
{
    b->ranges_left_out++;
    b->bytes_left_out += bytes_of(r);
}

/* The table is full: the smallest of all goes. */
static void squeeze_in(struct boot_loader_info *b, struct boot_range r)
{
    struct boot_range *smallest = &r;

    for (unsigned i = 0; i < b->nr_ram; i++) {
        if (bytes_of(b->ram[i]) < bytes_of(*smallest))
            smallest = &b->ram[i];
    }
    leave_out(b, *smallest);
    *smallest = r;
}

/* Loaders cut RAM into pieces where their own things lie. */
static bool extend(struct boot_loader_info *b, struct boot_range r)
{
    for (unsigned i = 0; i < b->nr_ram; i++) {
        if (b->ram[i].end != r.start)
            continue;
        b->ram[i].end = r.end;
        return true;
    }
    return false;
}

void boot_add_ram(struct boot_loader_info *b, uint64_t base, uint64_t bytes)
{
    struct boot_range r = {base, base + bytes};

    if (r.end <= r.start)
        return;
    if (r.end > DIRECT_BYTES) {
        uint64_t start = r.start > DIRECT_BYTES ? r.start : DIRECT_BYTES;

        leave_out(b, (struct boot_range){start, r.end});
        r.end = start;
    }
    if (r.start >= DIRECT_BYTES || extend(b, r))
        return;
    if (b->nr_ram == BOOT_RANGES_MAX)
        squeeze_in(b, r);
    else
        b->ram[b->nr_ram++] = r;
}

void boot_copy_string(char *to, size_t size, const char *from, size_t bytes)
{
    size_t n = 0;

    while (n < bytes && n + 1 < size && from[n]) {
        to[n] = from[n];
        n++;
    }
    to[n] = 0;
}

void boot_add_module(struct boot_loader_info *b, uint32_t start, uint32_t end, const char *string,
                     size_t bytes)
{
    struct boot_module *m = &b->module[b->nr_modules];

    if (b->nr_modules == BOOT_MODULES_MAX) {
        b->modules_left_out++;
        return;
    }
    m->range = (struct boot_range){start, end > start ? end : start};
    boot_copy_string(m->arguments, sizeof(m->arguments), string, bytes);
    b->nr_modules++;
}

/* Legacy GRUB calls itself "GNU GRUB" and passes names, as QEMU does. */
static bool is_grub2(const struct boot_loader_info *b)
{
    return !strncmp(b->loader, "GRUB ", 5);
}

static void drop_name(char *string)
{
    const char *rest = option_arguments(string);

    memmove(string, rest, strlen(rest) + 1);
}

void boot_settle_strings(struct boot_loader_info *b, bool named)
{
    for (unsigned i = 0; i < b->nr_modules; i++) {
        if (is_grub2(b))
            option_unquote(b->module[i].arguments);
        else if (named)
            drop_name(b->module[i].arguments);
    }
}
