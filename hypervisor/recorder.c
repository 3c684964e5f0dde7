/* SPDX-License-Identifier: MIT */
#include "recorder.h"

#include "asm.h"
#include "cpu.h"
#include "frames.h"
#include "guestword.h"
#include "machine.h"
#include "options.h"
#include "traps.h"

#define STUB_TAIL      0x595b41u /* pop %r11; pop %rcx */
#define STUB_TAIL_MASK 0xffffffu
#define STUB_SAVED     16u /* bytes of the stack between rsp and the return address */

bool recorder_on;

static struct {
    struct pvmm_record *record;
    uint64_t mask;
} ring;

static uint64_t wanted_records(void)
{
    uint64_t wanted = PVMM_RECORDS_DEFAULT, n = 1;

    if (!option_number(boot_info.command_line, PVMM_OPT_RECORDS, &wanted))
        wanted = PVMM_RECORDS_DEFAULT;
    if (wanted > PVMM_RECORDS_MAX)
        wanted = PVMM_RECORDS_MAX;
    if (wanted == 0)
        return 0;
    while (n < wanted)
        n *= 2;
    return n;
}

void recorder_init(void)
{
    uint64_t n = wanted_records();

    mailbox.recorder.version = PVMM_RECORDER_VERSION;
    mailbox.recorder.record_bytes = sizeof(struct pvmm_record);
    mailbox.recorder.records = n;
    if (n == 0)
        return;
    ring.record = boot_array(n * sizeof(struct pvmm_record));
    ring.mask = n - 1;
    mailbox.recorder.at = direct_address(ring.record).a;
}

void recorder_start(void)
{
    recorder_on = mailbox.recorder.records > 0;
}

uint64_t guest_origin(const struct regs *r)
{
    uint64_t code, caller, at = r->rsp + STUB_SAVED;

    if (r->vector != VECTOR_SYSCALL || !guest_range_ok(gva(r->rip), sizeof(code)) ||
        !guest_word_get(&code, r->rip) || (code & STUB_TAIL_MASK) != STUB_TAIL ||
        !guest_range_ok(gva(at), sizeof(caller)) || !guest_word_get(&caller, at))
        return r->rip;
    return caller;
}

/* The core knows of no difference between the ways of changing an entry. */
static unsigned act_of(unsigned act, const struct regs *r)
{
    return act == PVMM_ACT_ENTRY && r->vector == TRAP_PF ? PVMM_ACT_STORE : act;
}

/* One CPU writes. */
__attribute__((noinline)) void recorder_write(unsigned act, maddr_t at, uint64_t old, uint64_t now)
{
    const struct regs *r = guest_regs(this_cpu());
    uint64_t i = mailbox.recorder.written;
    struct pvmm_record *to = &ring.record[i & ring.mask];

    to->time = rdtsc();
    to->rip = guest_origin(r);
    to->at = (at.a & PVMM_RECORD_ADDRESS) | (uint64_t)act_of(act, r) << PVMM_RECORD_ACT_SHIFT |
             (uint64_t)current_vcpu()->id << PVMM_RECORD_VCPU_SHIFT;
    to->old = old;
    to->now = now;
    __atomic_store_n(&mailbox.recorder.written, i + 1, __ATOMIC_RELEASE);
}
