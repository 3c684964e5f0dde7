/* SPDX-License-Identifier: MIT */
/* Offsets for assembly. Compiled to text only; offsets.sh turns the marks into #defines. */
#include <stddef.h>

#include "cpu.h"
#include "regs.h"

#define EMIT(name, value) __asm__ volatile(".ascii \"@@ " #name " %c0 \"" : : "i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    EMIT(REGS_cs, offsetof(struct regs, cs));
    EMIT(REGS_SIZE, sizeof(struct regs));
    EMIT(VECTOR_SYSCALL, VECTOR_SYSCALL);
    EMIT(VECTOR_SYSCALL32, VECTOR_SYSCALL32);
    EMIT(CPU_SIZE, sizeof(struct cpu));
    EMIT(CPU_syscall_rsp, offsetof(struct cpu, syscall_rsp));
}
