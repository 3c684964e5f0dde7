/* SPDX-License-Identifier: MIT */
/*
 * Direct stores of the guest kernel to its L1 tables. Such a table is mapped read-only (R3), so the
 * store faults; here it is decoded and asked of the core like any other update of an entry.
 */
#include "emulate.h"
#include "log.h"
#include "machine.h"
#include "request.h"
#include "shadow.h"
#include "store.h"
#include "traps.h"

#define ENTRY_BYTES 8u

/* The L1 entry that maps `va`; NULL: there is none. A kernel mostly goes through a table from entry
 * to entry, so the way that the last store went is kept; load_kernel_root() forgets it. */
static const uint64_t *find_mapping(struct vcpu *v, gva_t va)
{
    struct core *c = the_core();
    uint64_t page = va.a / PAGE_BYTES, changes = c->upper_changes;
    maddr_t at;

    if (v->store_target.page == page && v->store_target.changes == changes)
        return v->store_target.entry;
    if (!core_find_l1(c, v->mem.kernel_root, va, &at))
        return NULL;
    v->store_target.page = page;
    v->store_target.changes = changes;
    v->store_target.entry = direct(at);
    return v->store_target.entry;
}

/* The entry that `va` reaches, if it lies in a validated L1 table. */
static bool find_target(struct vcpu *v, gva_t va, maddr_t *at)
{
    const uint64_t *mapping = find_mapping(v, va);
    uint64_t entry = mapping ? __atomic_load_n(mapping, __ATOMIC_ACQUIRE) : 0;
    mfn_t table = pte_frame(entry);

    if (!pte_present(entry) || table.n >= the_core()->nr_frames ||
        core_frame_type(the_core(), table) != TYPE_L1)
        return false;
    *at = mfn_address(table, (unsigned)(va.a % PAGE_BYTES & ~(ENTRY_BYTES - 1ull)));
    return true;
}

/* One attempt. CORE_EBUSY: the entry changed meanwhile. */
static int write_entry(struct vcpu *v, maddr_t at, const struct store *s, uint64_t old)
{
    shadow_tables_change();
    return core_write_l1(the_core(), &v->mem, at, s->value, s->reads ? &old : NULL);
}

/* A kernel has few places that store to its tables: mostly it is the instruction that it was
 * before, and what its bytes mean is known. */
static bool read_store(struct vcpu *v, const struct regs *r)
{
    struct insn_text text;

    fetch_instruction(r, &text);
    if (text.n > 0 && insn_same_text(&text, &v->store_text))
        return true;
    v->store_text.n = 0;
    if (!store_read(&text, &v->store_form))
        return false;
    v->store_text = text;
    return true;
}

static int decode_and_write(struct vcpu *v, struct regs *r, gva_t va, maddr_t at)
{
    struct store s;
    int result;

    if (!read_store(v, r))
        return CORE_EINVAL;
    do {
        uint64_t old = __atomic_load_n((uint64_t *)direct(at), __ATOMIC_ACQUIRE);

        if (!store_compute(&v->store_form, r, va.a, old, &s))
            return CORE_EINVAL;
        result = s.writes ? write_entry(v, at, &s, old) : 0;
    } while (result == CORE_EBUSY && v->mem.refusal.reason == REASON_ENTRY_CHANGED);
    if (!result)
        store_finish(&s, r);
    return result;
}

/* Refused, but by the guest's own fault: there is no L1 table at that place, or no such store. */
static bool is_guests_fault(const struct vcpu *v)
{
    return v->mem.refusal.reason == REASON_NONE || v->mem.refusal.reason == REASON_NOT_A_TABLE;
}

__attribute__((flatten)) enum table_write emulate_table_write(struct vcpu *v, struct regs *r,
                                                              gva_t va)
{
    static unsigned seen;
    bool refused;
    maddr_t at;
    int rc;

    if (!find_target(v, va, &at))
        return TABLE_WRITE_NONE;
    if (!request_open(v))
        return TABLE_WRITE_DONE; /* the guest executes the instruction again */
    rc = decode_and_write(v, r, va, at);
    refused = rc && rc != CORE_RESTART && !is_guests_fault(v);
    if (refused)
        request_refused(
            v, REQUEST(.kind = PVMM_REQUEST_STORE, .name = "direct table write", .address = va.a),
            log_worthwhile(&seen));
    request_close(v);
    mailbox.verdict.emulated_table_writes += rc == 0;
    if (rc == 0 || rc == CORE_RESTART)
        return TABLE_WRITE_DONE;
    return refused ? TABLE_WRITE_REFUSED : TABLE_WRITE_NONE;
}
