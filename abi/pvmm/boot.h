/* SPDX-License-Identifier: MIT */
/*
 * What the host tool hands to the hypervisor at boot.
 *
 * The machine's boot loader (QEMU -kernel, or GRUB) passes, by multiboot:
 *   command line   words `key=value` separated by blanks, keys below; unknown keys are logged
 *   module 0       the guest kernel, an ELF file; the module's string is the guest's command line
 *   module 1       the guest's initial ramdisk, optional
 *
 *   mem=BYTES      memory of the guest in bytes, decimal, a multiple of 4096 (required)
 *   seed=NUMBER    seed of the frame shuffle, decimal or 0x...; without it, the TSC is taken
 */
#ifndef PVMM_ABI_BOOT_H
#define PVMM_ABI_BOOT_H

#define PVMM_OPT_MEM  "mem="
#define PVMM_OPT_SEED "seed="

#define PVMM_GUEST_CMDLINE_MAX 1024u /* bytes with the NUL: start_info_t.cmd_line */

#endif
