/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader (multiboot 1 or 2, 32-bit, paging off) to hv_main() in long mode. The tables built
 * here map the first 4 GiB three times (identity, direct map, image) and live until paging.c has
 * built the final ones.
 */
#include "layout.h"
#include "asm_offsets.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x3 /* page-aligned modules, memory map */

#define MULTIBOOT2_MAGIC 0xe85250d6
#define MULTIBOOT2_I386  0 /* protected mode, 32-bit */

/* Tags of the header, and of the information asked for. */
#define HEADER_END     0
#define HEADER_REQUEST 1
#define HEADER_ALIGN   6
#define INFO_MODULES   3
#define INFO_MEMORY    6

/* Machine addresses: boot_tables_phys comes from the linker script. */
#define BOOT_L4       boot_tables_phys
#define BOOT_L3       boot_tables_phys + 0x1000
#define BOOT_L3_IMAGE boot_tables_phys + 0x2000
#define BOOT_L2       boot_tables_phys + 0x3000

#define BOOT_ENTRY_LARGE 0x83  /* present, writable, 2 MiB */
#define BOOT_ENTRY_TABLE 0x3
#define BOOT_DIRECTORIES 4     /* GiB mapped */

#define CR0_INITIAL 0x80010033 /* PG WP NE ET MP PE */
#define CR4_INITIAL 0x620      /* OSXMMEXCPT OSFXSR PAE */
#define MSR_EFER     0xc0000080
#define EFER_INITIAL 0x901     /* NXE LME SCE */

    .section .boot, "ax", @progbits
    .code32
    .balign 4
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .balign 8
multiboot2_header:
    .long MULTIBOOT2_MAGIC
    .long MULTIBOOT2_I386
    .long multiboot2_header_end - multiboot2_header
    .long -(MULTIBOOT2_MAGIC + MULTIBOOT2_I386 + (multiboot2_header_end - multiboot2_header))
    .short HEADER_REQUEST, 0
    .long 16
    .long INFO_MEMORY, INFO_MODULES
    .short HEADER_ALIGN, 0
    .long 8
    .short HEADER_END, 0
    .long 8
multiboot2_header_end:

    .globl boot_entry
boot_entry:
    cli
    cld
    movl %eax, %ebp /* the loader's magic */

    /* page directories: entry i maps 2 MiB at i * 2 MiB */
    movl $BOOT_L2, %edi
    movl $BOOT_ENTRY_LARGE, %eax
    xorl %edx, %edx
    movl $(512 * BOOT_DIRECTORIES), %ecx
1:  movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    movl $BOOT_L3, %edi
    movl $(BOOT_L2 + BOOT_ENTRY_TABLE), %eax
    movl %eax, BOOT_L3_IMAGE + 8 * IMAGE_L3_INDEX
    movl $BOOT_DIRECTORIES, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b

    movl $(BOOT_L3 + BOOT_ENTRY_TABLE), BOOT_L4
    movl $(BOOT_L3 + BOOT_ENTRY_TABLE), BOOT_L4 + 8 * SLOT_DIRECT
    movl $(BOOT_L3_IMAGE + BOOT_ENTRY_TABLE), BOOT_L4 + 8 * SLOT_IMAGE

    movl $CR4_INITIAL, %eax
    movl %eax, %cr4
    movl $BOOT_L4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    movl $EFER_INITIAL, %eax
    xorl %edx, %edx
    wrmsr
    movl $CR0_INITIAL, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $boot_long

    .code64
boot_long:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    /* below the place of the guest's registers: vcpu_start() fills it while on this stack */
    movabsq $(cpu_blocks + CPU_BLOCK_BYTES - CPU_SIZE - REGS_SIZE), %rsp
    movl %ebp, %edi
    movl %ebx, %esi
    xorl %ebp, %ebp
    movabsq $hv_main, %rax
    call *%rax
    ud2

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 64-bit code, ring 0 */
boot_gdt_pointer:
    .word . - boot_gdt - 1
    .long boot_gdt

    .section .bss.page, "aw", @nobits
    .balign 4096
    .globl boot_tables
boot_tables:
    .skip 0x3000 + 0x1000 * BOOT_DIRECTORIES

    .section .note.GNU-stack, "", @progbits
