/* SPDX-License-Identifier: MIT */
#include "recorder.h"

#include "asm.h"
#include "cpu.h"
#include "frames.h"
#include "guestword.h"
#include "machine.h"
#include "options.h"
#include "traps.h"

/* The core's numbers are the records'. */
#define SAME_ACT(act) _Static_assert((int)ACT_##act == (int)PVMM_ACT_##act, "one numbering")
SAME_ACT(NONE);
SAME_ACT(ENTRY);
SAME_ACT(STORE);
SAME_ACT(TYPE);
SAME_ACT(RELEASE);
SAME_ACT(PIN);
SAME_ACT(UNPIN);
SAME_ACT(ROOT);
SAME_ACT(REFUSED);
SAME_ACT(GIVEN);
SAME_ACT(FREED);
SAME_ACT(M2P);

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

/* As guest_range_ok(), for one word, in line. */
static inline bool is_guests_word(uint64_t at)
{
    return at >= HV_SLOTS_END ? at <= ~0ull - sizeof(at) : at < HV_SLOTS_START - sizeof(at);
}

/* In line: this is most of what a record costs. The guest has just executed what stands before rip.
 * An address that is not canonical is a fault like any other. */
static inline __attribute__((always_inline)) uint64_t origin_of(const struct regs *r)
{
    uint64_t code, caller, at = r->rsp + STUB_SAVED;

    if (r->vector != VECTOR_SYSCALL || !is_guests_word(r->rip) || !guest_word_get(&code, r->rip) ||
        (code & STUB_TAIL_MASK) != STUB_TAIL || !is_guests_word(at) || !guest_word_get(&caller, at))
        return r->rip;
    return caller;
}

uint64_t guest_origin(const struct regs *r)
{
    return origin_of(r);
}

/* The act, and the vCPU, as they stand in `at`. The core knows of no difference between the ways of
 * changing an entry. */
static inline uint64_t marks(unsigned act, const struct regs *r, const struct vcpu *v)
{
    if (act == PVMM_ACT_ENTRY && r->vector == TRAP_PF)
        act = PVMM_ACT_STORE;
    return (uint64_t)act << PVMM_RECORD_ACT_SHIFT | (uint64_t)v->id << PVMM_RECORD_VCPU_SHIFT;
}

/* One CPU writes. What a guest calls a machine address may have bits where the marks are. */
__attribute__((noinline)) void recorder_write(unsigned act, maddr_t at, uint64_t old, uint64_t now)
{
    struct cpu *cpu = this_cpu();
    const struct regs *r = guest_regs(cpu);
    uint64_t i = mailbox.recorder.written;
    struct pvmm_record *to = &ring.record[i & ring.mask];

    *to = (struct pvmm_record){
        .time = rdtsc(),
        .rip = origin_of(r),
        .at = (at.a & PVMM_RECORD_ADDRESS) | marks(act, r, cpu->current),
        .old = old,
        .now = now,
    };
    __atomic_store_n(&mailbox.recorder.written, i + 1, __ATOMIC_RELEASE);
}
