/* SPDX-License-Identifier: MIT */
/* A hostile guest. What it does must end in an errno, in a trap of its own or in its own end. */
#ifndef PVMM_TEST_ATTACK_H
#define PVMM_TEST_ATTACK_H

#include "guest.h"

/* HYPERVISOR_iret's frame, and a call with the stack pointing there. */
struct iret_frame {
    uint64_t rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
};
_Noreturn void raw_call(const struct iret_frame *f, unsigned nr, uint64_t a, uint64_t b);
static inline _Noreturn void raw_iret(const struct iret_frame *f)
{
    raw_call(f, __HYPERVISOR_iret, 0, 0);
}
/* Runs code with most registers zero, so that what it writes, it writes nowhere. */
void bare_run(void *code);
/* A far return to cs:rip with that stack and those flags; the guest's own instruction. */
_Noreturn void far_jump(uint64_t cs, uint64_t rip, uint64_t rsp, uint64_t rflags);
extern uint64_t steps_left; /* single steps that traps.c counts and lets go on */

/* Runs f guarded and says how it went. */
void attempt(const char *name, uint64_t which, void (*f)(void *), void *arg);
/* As attempt, but counts only; the sum is said by attempts_sum(). */
void attempt_quietly(void (*f)(void *), void *arg);
void attempts_sum(const char *name);
/* A copy of code in a page that can be executed; ends in RET. */
void *code_of(const uint8_t *bytes, unsigned n);
/* Traps, callbacks, stack, segments, debug registers as they should be. */
void defaults(void);
/* Maps pool pages at low addresses: LOW_CODE, LOW_STACK, LOW_DATA. */
#define LOW_CODE  0x400000ull
#define LOW_STACK 0x402000ull /* top of the page below */
#define LOW_DATA  0x403000ull
void map_low(void);

void attack_entries(void);  /* iret, int n, callbacks, user mode, compatibility mode */
void attack_segments(void); /* LDT, GDT, selectors */
void attack_debug(void);
void attack_buffers(void); /* hypercalls with absurd pointers and counts */
void attack_stores(void);  /* every instruction that writes, on a page table */
void attack_frames(void);  /* frames in use: freed, turned into tables */
void attack_grants(void);
void attack_rings(void); /* after what needs the store: its ring is gone then */
void attack_events(void);
/* Those that end the guest, one in each run. */
void attack_fatal(unsigned which);

#endif
