/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "orc.h"

#define MOST_ENTRIES (8u << 20)
#define ENTRY_BYTES  6u
#define SAMPLE       64u
#define STACK_BYTES  (32u << 10) /* of Linux: 16 KiB, twice that with KASAN */

/* Kinds have other numbers from 6.4 on, registers in 7.2. */
enum age { TO_6_3, FROM_6_4, IN_7_2 };

/* Registers that an entry may count from. */
enum { REG_UNDEFINED = 0, REG_BP = 4 };

static unsigned reg_sp(enum age age)
{
    return age == IN_7_2 ? 3 : 5;
}

static unsigned reg_previous_sp(enum age age)
{
    return age == IN_7_2 ? 8 : 1;
}

enum kind { KIND_NONE, KIND_END, KIND_CALL, KIND_REGS, KIND_IRET };

struct entry {
    int16_t sp_offset, bp_offset;
    uint16_t bits; /* sp_reg:4 bp_reg:4, then the kind */
};
_Static_assert(sizeof(struct entry) == ENTRY_BYTES, "ORC entries");

/* struct pt_regs of Linux, in words */
enum { REGS_BP = 4, REGS_IP = 16 };
/* What an exception pushes, in words from its ip */
enum { FRAME_CS = 1, FRAME_SP = 3 };

static bool find_span(const struct orc *o, const char *start, const char *stop, uint64_t *at,
                      uint64_t *bytes)
{
    uint64_t end;

    if (!pv_symbol_find(o->s, start, at) || !pv_symbol_find(o->s, stop, &end) || end < *at)
        return false;
    *bytes = end - *at;
    return true;
}

void orc_open(struct orc *o)
{
    uint64_t ips, entries;

    o->kernel.nr = 0;
    if (!find_span(o, "__start_orc_unwind_ip", "__stop_orc_unwind_ip", &o->kernel.ips, &ips) ||
        !find_span(o, "__start_orc_unwind", "__stop_orc_unwind", &o->kernel.entries, &entries))
        return;
    if (ips / 4 == entries / ENTRY_BYTES && ips / 4 <= MOST_ENTRIES)
        o->kernel.nr = (uint32_t)(ips / 4);
}

static bool entry_address(const struct orc *o, const struct orc_table *t, uint32_t i, uint64_t *ip)
{
    uint64_t at = t->ips + 4ull * i;
    int32_t offset;

    if (pv_read_va(o->v, o->root, gva(at), &offset, 4) != 4)
        return false;
    *ip = at + (uint64_t)(int64_t)offset;
    return true;
}

/* The last entry at or below `ip`: of several of one address that is the one that counts. */
static bool find_entry(const struct orc *o, const struct orc_table *t, uint64_t ip,
                       struct entry *out)
{
    uint32_t low = 0, high = t->nr;
    uint64_t at;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (!entry_address(o, t, middle, &at))
            return false;
        if (at <= ip)
            low = middle + 1;
        else
            high = middle;
    }
    return low != 0 &&
           pv_read_va(o->v, o->root, gva(t->entries + (uint64_t)ENTRY_BYTES * (low - 1)), out,
                      ENTRY_BYTES) == ENTRY_BYTES;
}

/* From 6.4 a call's kind is 2, before it was 0; and most are of calls, and count from rsp. */
static enum age age_of(const struct orc *o, const struct orc_table *t)
{
    uint32_t nr = t->nr < SAMPLE ? t->nr : SAMPLE, first = (t->nr - nr) / 2;
    uint32_t old = 0, new = 0, by_3 = 0, by_5 = 0;
    struct entry sample[SAMPLE];

    if (pv_read_va(o->v, o->root, gva(t->entries + (uint64_t)ENTRY_BYTES * first), sample,
                   nr * sizeof(sample[0])) != nr * sizeof(sample[0]))
        return TO_6_3;
    for (uint32_t i = 0; i < nr; i++) {
        unsigned kind = sample[i].bits >> 8 & 7, reg = sample[i].bits & 15;

        new += kind == 2;
        old += kind == 0 && reg != REG_UNDEFINED;
        by_3 += reg == reg_sp(IN_7_2);
        by_5 += reg == reg_sp(FROM_6_4);
    }
    return new <= old ? TO_6_3 : by_3 > by_5 ? IN_7_2 : FROM_6_4;
}

static enum kind kind_of(const struct entry *e, enum age age)
{
    static const enum kind to_6_3[] = {KIND_CALL, KIND_REGS, KIND_IRET, KIND_NONE};
    static const enum kind from_6_4[] = {KIND_NONE, KIND_END,  KIND_CALL, KIND_REGS,
                                         KIND_IRET, KIND_NONE, KIND_NONE, KIND_NONE};

    if (age != TO_6_3)
        return from_6_4[e->bits >> 8 & 7];
    if ((e->bits & 15) == REG_UNDEFINED)
        return e->bits >> 10 & 3 ? KIND_END : KIND_NONE; /* bit 10, or 11 in 6.3 */
    return to_6_3[e->bits >> 8 & 3];
}

static bool word_at(const struct orc *o, uint64_t sp, uint64_t *word)
{
    uint64_t i = (sp - o->rsp) / 8;

    if (sp < o->rsp || sp % 8 != 0 || i >= o->words)
        return false;
    *word = o->stack[i];
    return true;
}

static bool previous_sp(const struct entry *e, enum age age, const struct orc_place *p,
                        uint64_t *sp)
{
    const unsigned reg = e->bits & 15;

    *sp = (reg == REG_BP ? p->bp : p->sp) + (uint64_t)(int64_t)e->sp_offset;
    /* Of other registers the stack does not tell. */
    return reg == reg_sp(age) || (reg == REG_BP && p->bp_known);
}

static void previous_bp(const struct orc *o, const struct entry *e, enum age age, uint64_t sp,
                        struct orc_place *p)
{
    const unsigned reg = e->bits >> 4 & 15;

    if (reg == REG_UNDEFINED)
        return; /* as it was */
    if (reg == reg_previous_sp(age))
        p->bp_known = word_at(o, sp + (uint64_t)(int64_t)e->bp_offset, &p->bp);
    else
        p->bp_known = reg == REG_BP && p->bp_known &&
                      word_at(o, p->bp + (uint64_t)(int64_t)e->bp_offset, &p->bp);
}

static enum orc_step call(const struct orc *o, const struct entry *e, enum age age, uint64_t sp,
                          struct orc_place *p)
{
    p->at = sp - 8;
    if (!word_at(o, p->at, &p->ip))
        return ORC_UNKNOWN;
    previous_bp(o, e, age, sp, p);
    p->sp = sp;
    p->interrupted = false;
    return ORC_CALLER;
}

/* `frame` is where the ip of what was interrupted stands. */
static enum orc_step interrupted(const struct orc *o, uint64_t frame, struct orc_place *p)
{
    uint64_t cs;

    p->at = frame;
    if (!word_at(o, frame, &p->ip) || !word_at(o, frame + 8 * FRAME_CS, &cs) ||
        !word_at(o, frame + 8 * FRAME_SP, &p->sp))
        return ORC_UNKNOWN;
    p->interrupted = true;
    return cs & 3 ? ORC_END : ORC_CALLER; /* from user mode: nothing of the kernel is before it */
}

static enum orc_step registers(const struct orc *o, uint64_t sp, struct orc_place *p)
{
    p->bp_known = word_at(o, sp + 8 * REGS_BP, &p->bp);
    return interrupted(o, sp + 8 * REGS_IP, p);
}

static enum orc_step by_entry(const struct orc *o, const struct entry *e, enum age age,
                              struct orc_place *p)
{
    const enum kind kind = kind_of(e, age);
    uint64_t sp;

    if (kind == KIND_END)
        return ORC_END;
    if (kind == KIND_NONE || !previous_sp(e, age, p, &sp))
        return ORC_UNKNOWN;
    if (kind == KIND_CALL)
        return call(o, e, age, sp, p);
    return kind == KIND_REGS ? registers(o, sp, p) : interrupted(o, sp, p);
}

/* The next rbp of a chain lies further up the same stack, or is 0 where the stack begins. */
static bool goes_on(uint64_t bp, uint64_t next)
{
    return next == 0 || (next > bp && next - bp < STACK_BYTES);
}

/* CONFIG_FRAME_POINTER: each function pushes its caller's rbp below the return address and lets rbp
 * point there. */
enum orc_step orc_frame_pointer(const struct orc *o, struct orc_place *p)
{
    struct orc_place next = {.at = p->bp + 8, .sp = p->bp + 16, .bp_known = true};

    if (!p->bp_known || p->bp < p->sp || !word_at(o, p->bp, &next.bp) ||
        !word_at(o, next.at, &next.ip) || !goes_on(p->bp, next.bp))
        return ORC_UNKNOWN;
    *p = next;
    return ORC_CALLER;
}

enum orc_step orc_step(const struct orc *o, struct orc_place *p)
{
    uint64_t ip = p->interrupted ? p->ip : p->ip - 1;
    struct orc_table t = o->kernel;
    struct orc_place next = *p;
    enum orc_step step;
    struct entry e;

    symbols_orc(o->s, ip, &t);
    if (t.nr == 0 || !find_entry(o, &t, ip, &e))
        return ORC_UNKNOWN;
    step = by_entry(o, &e, age_of(o, &t), &next);
    if (step == ORC_CALLER && next.sp <= p->sp)
        return ORC_UNKNOWN; /* stacks are left upwards */
    if (step == ORC_CALLER)
        *p = next;
    return step;
}
