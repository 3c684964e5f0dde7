/* SPDX-License-Identifier: MIT */
/*
 * Direct stores of the guest kernel to its L1 tables. Such a table is mapped read-only (R3), so the
 * store faults; here it is decoded and asked of the core like any other update of an entry.
 */
#include "emulate.h"
#include "log.h"
#include "machine.h"
#include "request.h"
#include "store.h"
#include "traps.h"

#define ENTRY_BYTES 8u

/* The entry that `va` reaches, if it lies in a validated L1 table. */
static bool find_target(struct vcpu *v, gva_t va, maddr_t *at)
{
    struct core *c = the_core();
    struct core_walk w;
    mfn_t table;

    if (!core_walk(c, v->mem.kernel_root, va, &w) || w.level != 1 || !w.present)
        return false;
    table = pte_frame(w.at[1].entry);
    if (table.n >= c->nr_frames || core_frame_type(c, table) != TYPE_L1 ||
        !core_frame_validated(c, table))
        return false;
    *at = mfn_address(table, (unsigned)(va.a % PAGE_BYTES & ~(ENTRY_BYTES - 1ull)));
    return true;
}

/* One attempt. CORE_EBUSY: the entry changed meanwhile. */
static int write_entry(struct vcpu *v, maddr_t at, const struct store *s, uint64_t old)
{
    return core_write_l1(the_core(), &v->mem, at, s->value, s->reads ? &old : NULL);
}

static int decode_and_write(struct vcpu *v, struct regs *r, gva_t va, maddr_t at)
{
    struct insn_text text;
    struct store s;
    int result;

    fetch_instruction(r, &text);
    do {
        uint64_t old = __atomic_load_n((uint64_t *)direct(at), __ATOMIC_ACQUIRE);

        if (!store_decode(&text, r, va.a, old, &s))
            return CORE_EINVAL;
        result = s.writes ? write_entry(v, at, &s, old) : 0;
    } while (result == CORE_EBUSY && v->mem.refusal.reason == REASON_ENTRY_CHANGED);
    if (!result)
        *r = s.regs;
    return result;
}

/* Refused, but by the guest's own fault: there is no L1 table at that place, or no such store. */
static bool is_guests_fault(const struct vcpu *v)
{
    return v->mem.refusal.reason == REASON_NONE || v->mem.refusal.reason == REASON_NOT_A_TABLE;
}

bool emulate_table_write(struct vcpu *v, struct regs *r, gva_t va)
{
    static unsigned seen;
    maddr_t at;
    int rc;

    if (!find_target(v, va, &at))
        return false;
    if (!request_open(v))
        return true; /* the guest executes the instruction again */
    rc = decode_and_write(v, r, va, at);
    if (rc && rc != CORE_RESTART && !is_guests_fault(v))
        request_refused(v, "direct table write", r->rip, log_worthwhile(&seen));
    request_close(v);
    mailbox.verdict.emulated_table_writes += rc == 0;
    return rc == 0 || rc == CORE_RESTART;
}
