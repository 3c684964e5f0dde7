/* SPDX-License-Identifier: MIT */
/*
 * What another's library reads in a core: banner CORE ADDRESS [SYSTEM] prints the text at a virtual
 * address, by libkdumpfile alone. With SYSTEM ("linux") the library finds the kernel's root itself;
 * without, it walks the tables from the root that is in the first vCPU.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <libkdumpfile/addrxlat.h>
#include <libkdumpfile/kdumpfile.h>

#define TEXT_MOST 512u

static _Noreturn void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("banner: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static kdump_ctx_t *open_core(const char *path)
{
    kdump_ctx_t *dump = kdump_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!dump || fd < 0)
        die("%s cannot be opened", path);
    if (kdump_open_fd(dump, fd) != KDUMP_OK)
        die("%s: %s", path, kdump_get_err(dump));
    return dump;
}

static void read_text(kdump_ctx_t *dump, kdump_addrspace_t space, kdump_addr_t at, char *text)
{
    /* Up to the end of the page: what lies behind may be anywhere. */
    size_t n = 4096 - at % 4096;
    if (n > TEXT_MOST)
        n = TEXT_MOST;
    if (kdump_read(dump, space, at, text, &n) != KDUMP_OK)
        die("%llx: %s", (unsigned long long)at, kdump_get_err(dump));
    text[n] = 0;
}

/* The machine address, through four levels. */
static kdump_addr_t walk(kdump_ctx_t *dump, kdump_addr_t va)
{
    kdump_num_t root;
    addrxlat_ctx_t *context;
    addrxlat_sys_t *system;
    if (kdump_get_number_attr(dump, "cpu.0.reg.cr3", &root) != KDUMP_OK)
        die("no root in the first vCPU: %s", kdump_get_err(dump));
    if (kdump_get_addrxlat(dump, &context, &system) != KDUMP_OK)
        die("no way to translate: %s", kdump_get_err(dump));
    const addrxlat_meth_t method = {
        .kind = ADDRXLAT_PGT,
        .target_as = ADDRXLAT_MACHPHYSADDR,
        .param.pgt = {.root = {.addr = root, .as = ADDRXLAT_MACHPHYSADDR},
                      .pf = {.pte_format = ADDRXLAT_PTE_X86_64,
                             .nfields = 5,
                             .fieldsz = {12, 9, 9, 9, 9}}},
    };
    addrxlat_step_t step = {.ctx = context, .sys = system, .meth = &method};
    step.base = (addrxlat_fulladdr_t){.addr = va, .as = ADDRXLAT_KVADDR};
    if (addrxlat_walk(&step) != ADDRXLAT_OK)
        die("%llx: %s", (unsigned long long)va, addrxlat_ctx_get_err(context));
    addrxlat_sys_decref(system);
    addrxlat_ctx_decref(context);
    return step.base.addr;
}

int main(int argc, char **argv)
{
    char text[TEXT_MOST + 1], *end = NULL;
    if (argc != 3 && argc != 4)
        die("usage: banner CORE ADDRESS [SYSTEM]");
    kdump_addr_t va = strtoull(argv[2], &end, 16);
    if (end == argv[2] || *end)
        die("%s is no address", argv[2]);
    kdump_ctx_t *dump = open_core(argv[1]);
    if (argc == 4) {
        if (kdump_set_string_attr(dump, "addrxlat.ostype", argv[3]) != KDUMP_OK)
            die("%s: %s", argv[3], kdump_get_err(dump));
        read_text(dump, KDUMP_KVADDR, va, text);
    } else {
        read_text(dump, KDUMP_MACHPHYSADDR, walk(dump, va), text);
    }
    puts(text);
    kdump_free(dump);
    return 0;
}
