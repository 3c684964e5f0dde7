/* SPDX-License-Identifier: MIT */
/*
 * Numbers that assembly, the linker script and C share: where things lie, and the selectors.
 *
 * The hypervisor's sixteen L4 slots (the guest owns all the others):
 *
 *   slot  address            what                                            guest may
 *   256   ffff800000000000   m2p, 8 bytes for each machine frame             read
 *   260   ffff820000000000   descriptor area, 32 pages for each CPU:         nothing
 *                            +0   the guest's GDT frames (absent: zero page)
 *                            +14  the hypervisor's descriptors (selectors 0xe000..)
 *                            +16  the guest's LDT, faulted in page by page
 *   261   ffff82d040000000   the image: machine address + IMAGE_BASE         nothing
 *         ffff82d0c0000000   local APIC                                      nothing
 *   262.. ffff830000000000   direct map: machine address + DIRECT_BASE       nothing
 *
 * No mapping here is writable for the guest, and none shows a page table through another.
 */
#ifndef PVMM_HV_LAYOUT_H
#define PVMM_HV_LAYOUT_H

#define IMAGE_BASE 0xffff82d040000000
#define IMAGE_PHYS 0x200000 /* machine address the boot loader puts the image at */

#define DESCRIPTOR_BASE   0xffff820000000000
#define DESCRIPTOR_STRIDE 0x20000 /* bytes for each CPU */
#define DESCRIPTOR_OWN    0xe000  /* the hypervisor's own descriptors, <xen/xen.h> */
#define DESCRIPTOR_LDT    0x10000

#define LAPIC_BASE 0xffff82d0c0000000
#define LAPIC_PHYS 0xfee00000

#define SLOT_M2P        256
#define SLOT_DESCRIPTOR 260
#define SLOT_IMAGE      261
#define SLOT_DIRECT     262
#define SLOT_LAST       271

/* Index of IMAGE_BASE and LAPIC_BASE in slot 261's L3 table. */
#define IMAGE_L3_INDEX 321
#define LAPIC_L3_INDEX 323

/* Selectors. The DPL-3 ones are ABI (<xen/arch-x86/xen-x86_64.h>). */
#define SELECTOR_HV_CODE   0xe008
#define SELECTOR_HV_DATA   0xe010
#define SELECTOR_FLAT_CS32 0xe023
#define SELECTOR_FLAT_SS   0xe02b
#define SELECTOR_FLAT_CS64 0xe033
#define SELECTOR_TSS       0xe040
#define SELECTOR_LDT       0xe050

#define MAX_CPUS 1

/*
 * Each CPU has one block, aligned to its size, so that any stack pointer in it leads to struct cpu:
 *   page 0 NMI stack, 1 #MC stack, 2 #DF stack, 3 #DB stack, 4 not mapped, 5..15 stack,
 *   struct cpu at the top
 */
#define CPU_BLOCK_BYTES 0x10000
#define CPU_BLOCK_GUARD 4

/* Vectors of interrupts. */
#define VECTOR_PIC      0x20 /* 16 of them */
#define VECTOR_TIMER    0xf0
#define VECTOR_SPURIOUS 0xff

#endif
