/* SPDX-License-Identifier: MIT */
/* The command line of `pvmm run`. */
#ifndef PVMM_CLI_OPTIONS_H
#define PVMM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define SYMBOL_FILES 16

enum accel { ACCEL_AUTO, ACCEL_TCG, ACCEL_KVM };
enum loader { LOADER_QEMU, LOADER_GRUB };

struct options {
    const char *kernel;        /* of restore: the stream */
    const char *name;          /* NULL: none */
    const char *initrd;        /* NULL: none */
    const char *e820;          /* NULL: no memory map of one's own */
    const char *arguments;     /* of the guest's command line */
    const char *hypervisor;    /* "pvmm", or the path of a Xen image */
    const char *xen_arguments; /* words more for the latter; NULL: none */
    const char *expect;        /* NULL: none */
    const char *json;          /* NULL: none */
    const char *junit;         /* NULL: none */
    const char *log;           /* NULL: none */
    const char *core;          /* NULL: the kernel's name with .core, in the current directory */
    const char *trace;         /* NULL: none */
    const char *record;        /* NULL: the run is not recorded */
    const char *memory_file;   /* keeps the machine's memory; NULL: none does */
    char *symbols[SYMBOL_FILES];
    unsigned nr_symbols;
    bool symbols_anyway; /* also those of another kernel */
    const char *qemu;
    const char *cpu;
    const char *machine;
    enum accel accel;
    enum loader loader;
    uint64_t memory;         /* bytes, a multiple of 4096 */
    uint64_t machine_memory; /* bytes; 0: as much as is needed */
    double timeout;          /* seconds; 0: none */
    uint64_t seed;
    bool has_seed;
    uint64_t records; /* of the flight recorder; 0: off */
    bool has_records;
    bool strict;
    bool no_core;
    bool icount;
    bool detach;
    bool store; /* the guest has one; never with icount */
    bool has_on_suspend;
    bool cancel_suspend; /* a guest that suspends is told so, and goes on */
    bool all_keys;       /* Ctrl-C on a terminal goes to the guest */
    bool verbose;
    bool help;
    bool restore;        /* a stream is restored; else a kernel is booted */
    bool live;           /* of restore: pages may come again */
    bool paused;         /* of restore: the guest does not run yet */
    uint64_t max_memory; /* of restore: a larger guest is refused; 0: this host's memory */
    unsigned gdb_port;   /* 0: no debugger */
};

/* Fill in defaults, then what argv says; argv[0] is "run", or "restore". Errors are EXIT_USAGE or
 * EXIT_NOT_YET.
 */
int options_parse(struct options *o, int argc, char **argv, struct error *e);

/* "64M" and the like; false if it is not a size. */
bool parse_size(const char *text, uint64_t *bytes);

/* The words of `arguments`, with the defaults for those the user did not give. Malloc'd, or NULL.
 */
char *guest_command_line(const char *arguments);

#endif
