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
 *   store=1        the host keeps a store for the guest, which gets an event channel to it;
 *                  without, or with 0, start_info.store_evtchn is 0
 */
#ifndef PVMM_ABI_BOOT_H
#define PVMM_ABI_BOOT_H

#define PVMM_OPT_MEM   "mem="
#define PVMM_OPT_SEED  "seed="
#define PVMM_OPT_BLANK "blank="
#define PVMM_OPT_STORE "store="

#define PVMM_GUEST_CMDLINE_MAX 1024u /* bytes with the NUL: start_info_t.cmd_line */

#endif
