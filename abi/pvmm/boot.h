/* SPDX-License-Identifier: MIT */
/*
 * What the host tool hands to the hypervisor at boot.
 *
 * The machine's boot loader (QEMU -kernel, or GRUB) passes, by multiboot:
 *   command line   words `key=value` separated by blanks, keys below. An unknown key, or a value
 *                  that is no number, ends the run (PVMM_OUTCOME_BAD_GUEST). Words without `=` are
 *                  passed over: QEMU puts the file's name in front.
 *   module 0       the guest kernel, an ELF file
 *   module 1       the guest's initial ramdisk, optional
 *
 * A module's string is "FILENAME ARGUMENTS", as QEMU passes it: the first word is skipped whatever
 * it is, and what follows the blanks behind it is the guest's command line (for module 0). A string
 * of one word, or an empty one, is an empty command line. A boot loader that leaves the name out
 * needs a placeholder there.
 *
 *   mem=BYTES      memory of the guest in bytes, decimal, a multiple of 4096 (required)
 *   seed=NUMBER    seed of the frame shuffle, decimal or 0x...; without it, the TSC is taken
 *   store=1        the host keeps a store for the guest, which gets an event channel to it;
 *                  without, or with 0, start_info.store_evtchn is 0
 */
#ifndef PVMM_ABI_BOOT_H
#define PVMM_ABI_BOOT_H

#define PVMM_OPT_MEM  "mem="
#define PVMM_OPT_SEED "seed="
#define PVMM_OPT_STORE "store="

#define PVMM_GUEST_CMDLINE_MAX 1024u /* bytes with the NUL: start_info_t.cmd_line */

#endif
