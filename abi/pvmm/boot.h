/* SPDX-License-Identifier: MIT */
/*
 * What the host tool hands to the hypervisor at boot.
 *
 * The machine's boot loader (QEMU -kernel, or GRUB) passes, by multiboot or multiboot2:
 *   command line   words `key=value` separated by blanks, keys below. An unknown key, or a value
 *                  that is no number, ends the run (PVMM_OUTCOME_BAD_GUEST). Words without `=` are
 *                  passed over: QEMU puts the file's name in front.
 *   module 0       the guest kernel, an ELF file
 *   module 1       the guest's initial ramdisk, optional
 *   module N       the guest's memory map, optional: the one that e820=N names, any but module 0.
 *                  The ramdisk is then the first of the others after the kernel.
 *
 * Module 0's string holds the guest's command line:
 *   by multiboot    "FILENAME ARGUMENTS", as QEMU passes it: the first word is skipped whatever it
 *                   is, and what follows the blanks behind it is the command line. A string of one
 *                   word, or an empty one, is an empty command line.
 *   by multiboot2   "ARGUMENTS": all of it is the command line.
 *   by GRUB 2       (a boot loader whose name starts with "GRUB "), with either protocol:
 *                   "ARGUMENTS" in GRUB's quoting. Its double quotes are dropped, a backslash
 *                   before a backslash or a quote is taken off, and `\xHH` is the byte HH: by this
 *                   a script passes any byte.
 *
 *   mem=BYTES      memory of the guest in bytes, decimal, a multiple of 4096 (required)
 *   seed=NUMBER    seed of the frame shuffle, decimal or 0x...; without it, the TSC is taken
 *   blank=ADDRESS  RAM from this machine address on holds zeroes: it was never written to since the
 *                  machine was made, so that it need not be cleared
 *   e820=N         module N is a struct pvmm_e820 and its entries: what XENMEM_memory_map answers.
 *                  Without it, one entry of RAM has all of the guest's memory
 *   store=1        the host keeps a store for the guest, which gets an event channel to it;
 *                  without, or with 0, start_info.store_evtchn is 0
 *   records=N      records of the flight recorder, 0 (off) to PVMM_RECORDS_MAX, rounded up to a
 *                  power of two. Without it, PVMM_RECORDS_DEFAULT
 *   strict=1       the first breach of the memory contract ends the guest (PVMM_OUTCOME_BROKEN)
 *   suspend=N      what becomes of a guest that suspends itself, enum pvmm_on_suspend; without, it
 *                  ends
 *   incoming=1     no kernel: the host puts the domain together (<pvmm/transfer.h>)
 *   halt=1         at the first breach the hypervisor waits for PVMM_BELL_GO before it goes back
 *                  into the guest, at the instruction that was refused: for debuggers
 */
#ifndef PVMM_ABI_BOOT_H
#define PVMM_ABI_BOOT_H

#include <stdint.h>

#define PVMM_OPT_MEM      "mem="
#define PVMM_OPT_SEED     "seed="
#define PVMM_OPT_BLANK    "blank="
#define PVMM_OPT_STORE    "store="
#define PVMM_OPT_E820     "e820="
#define PVMM_OPT_RECORDS  "records="
#define PVMM_OPT_STRICT   "strict="
#define PVMM_OPT_SUSPEND  "suspend="
#define PVMM_OPT_INCOMING "incoming="
#define PVMM_OPT_HALT     "halt="

enum pvmm_on_suspend {
    PVMM_SUSPEND_ENDS = 0,    /* PVMM_OUTCOME_SUSPEND */
    PVMM_SUSPEND_CANCELS = 1, /* it is told so (SUSPEND_CANCEL of <xen/elfnote.h>), and goes on */
    PVMM_SUSPEND_HOLDS = 2,   /* it stands still (PVMM_HOLD_SUSPENDED) until the host decides */
};

#define PVMM_GUEST_CMDLINE_MAX 1024u /* bytes with the NUL: start_info_t.cmd_line */

/*
 * A memory map: this header, then `count` entries, and not a byte more. The entries are the guest's
 * own affair: it gets them as they are, in this order, whatever they say.
 */
#define PVMM_E820_MAGIC   0x303238656d6d7670ull /* "pvmme820" in memory */
#define PVMM_E820_VERSION 1u
#define PVMM_E820_MAX                                                                              \
    1024u /* entries: as many as a real Xen keeps for a domain (4.17: E820MAX)                     \
           */

struct pvmm_e820 {
    uint64_t magic;
    uint32_t version;
    uint32_t count; /* 1 to PVMM_E820_MAX */
};

/* As XENMEM_memory_map hands it out (<xen/memory.h>: the format of the BIOS call). */
struct pvmm_e820_entry {
    uint64_t start, bytes;
    uint32_t type;
} __attribute__((packed));

enum pvmm_e820_type {
    PVMM_E820_RAM = 1,
    PVMM_E820_RESERVED = 2,
    PVMM_E820_ACPI = 3,
    PVMM_E820_NVS = 4,
    PVMM_E820_UNUSABLE = 5,
};

#endif
