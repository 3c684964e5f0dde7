/* SPDX-License-Identifier: MIT */
/*
 * The test guest: a paravirtual kernel that asks a hypervisor everything about its memory and
 * writes the answers down in a form that does not depend on where its frames lie.
 *
 * It begins, speaks and traps by libpvguest, but stays on the page tables that the domain builder
 * made: there is no pvg_boot(), and whatever it asks of memory it asks by itself.
 *
 * Its subjects are the pages of a pool, known by number. Machine frames are shown as pool numbers
 * or as classes, never as numbers.
 */
#ifndef PVMM_TEST_GUEST_H
#define PVMM_TEST_GUEST_H

#include <pvguest/link.h>
#include <pvguest/pvguest.h>
#include <pvguest/string.h>

#define PAGE      4096ull
#define ENTRIES   512u
#define VIRT_BASE 0xffffffff80000000ull
#define M2P       ((volatile uint64_t *)0xffff800000000000ull)
#define ADDRESS   0x000ffffffffff000ul
#define NO_FRAME  (~0ull)

#define P_          0x001ull /* bits of an entry */
#define RW          0x002ull
#define US          0x004ull
#define PWT         0x008ull
#define PCD         0x010ull
#define A_          0x020ull
#define D_          0x040ull
#define PSE         0x080ull
#define G_          0x100ull
#define KMARK       (1ull << 52)
#define NX          (1ull << 63)
#define RO_ENTRY    (P_ | A_)
#define RW_ENTRY    (P_ | RW | A_)
#define TABLE_ENTRY (P_ | RW | US | A_)

#define FLAT_DS FLAT_KERNEL_SS

/* ---- main.c */

extern struct pvguest *guest;
extern const start_info_t *start_info;
extern shared_info_t *shared_info;

/* "name=VALUE" of the command line as a number; `otherwise` if it is not there. */
uint64_t option(const char *name, uint64_t otherwise);
bool option_word(const char *word);

/* ---- hypercalls: a bare SYSCALL, as numbers of 64 bits are among what is asked */

static inline int64_t hypercall(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                uint64_t e)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "+a"(n), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     :
                     : "rcx", "r11", "memory", "cc");
    return (int64_t)n;
}

#define call1(n, a)       hypercall(n, (uint64_t)(a), 0, 0, 0, 0)
#define call2(n, a, b)    hypercall(n, (uint64_t)(a), (uint64_t)(b), 0, 0, 0)
#define call3(n, a, b, c) hypercall(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0)
#define call4(n, a, b, c, d)                                                                       \
    hypercall(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0)

/* ---- text */

#define say(...) pvg_print(guest, __VA_ARGS__)

/* Adds to a text of n bytes, in room for `size`; its length then. What does not fit is cut. */
static inline size_t append(char *text, size_t size, size_t n, const char *fmt, va_list args)
{
    n += pvg_format_list(text + n, size - n, fmt, args);
    return n < size ? n : size - 1;
}

/* ---- traps.c */

/* For traps out of user mode; above is room for whoever reads a frame past the end. */
extern uint8_t kernel_stack[4][PAGE];
#define KERNEL_STACK_END ((uint64_t)kernel_stack[2])

void traps_init(void);
/* Runs f(arg). 0: it came back; else TRAPPED plus the vector in [15:0], error code in [47:16]. */
uint64_t guarded(void (*f)(void *), void *arg);
#define TRAPPED        (1ull << 63)
#define TRAP_VECTOR(t) ((unsigned)((t)&0xffff))
extern uint64_t traps_seen;
/* Writes 8 bytes; true: it worked. */
bool try_write(uint64_t va, uint64_t value);

/* ---- pages.c */

#define POOL 192u
extern uint8_t pool[POOL][PAGE];
extern uint64_t pool_mfn[POOL]; /* kept up to date by whoever exchanges frames */

void pages_init(void);
static inline uint64_t *page(unsigned i)
{
    return (uint64_t *)pool[i];
}
static inline uint64_t page_va(unsigned i)
{
    return (uint64_t)pool[i];
}
static inline uint64_t frame_entry(uint64_t mfn, uint64_t flags)
{
    return ((mfn << 12) & ADDRESS) | flags;
}
static inline uint64_t entry_for(unsigned i, uint64_t flags)
{
    return frame_entry(pool_mfn[i], flags);
}
/* Machine address of slot `slot` of pool page i. */
static inline uint64_t slot_address(unsigned i, unsigned slot)
{
    return pool_mfn[i] << 12 | slot * 8;
}
uint64_t pfn_of(const void *va);
uint64_t mfn_of(const void *va); /* of a page of the image, by the p2m */
/* The entry of the live tables that maps va, at `level`; NULL if an upper one is not present. */
volatile uint64_t *live_entry(uint64_t va, unsigned level);
uint64_t live_table_mfn(uint64_t va, unsigned level); /* the table that holds it */
uint64_t root_mfn(void);
int64_t set_va(uint64_t va, uint64_t entry); /* with INVLPG */
int64_t make_ro(unsigned i);
int64_t make_rw(unsigned i);
int64_t pin(unsigned i, unsigned level);
int64_t unpin(unsigned i);
int64_t ext1(unsigned cmd, uint64_t arg1, uint64_t arg2);
int64_t update1(uint64_t ptr, uint64_t val);
/* Everything back: unpinned, writable, zero. Complains about pages that will not. */
void pool_reset(unsigned first, unsigned n);
/* Pool number of a frame, or -1. */
int pool_number(uint64_t mfn);
/* "P12" "root" "table" "image" "shared" "other" "none". */
void frame_text(char *to, size_t size, uint64_t mfn);
/* "P12+067", or the value itself when it names no frame. */
void entry_text(char *to, size_t size, uint64_t entry);

/* ---- the modes */

void conform(void);
/* Lines of the console are said again, and some are obeyed (echo.c). */
void echo(void);
void memory_map(void);
void chaos(uint64_t seed, uint64_t count);
void attack(void);
void breach(void);

#endif
