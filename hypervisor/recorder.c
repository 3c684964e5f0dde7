/* SPDX-License-Identifier: MIT */
#include "recorder.h"

#include "asm.h"
#include "cpu.h"
#include "dirty.h"
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

#define STUB_TAIL  0x595b41u /* pop %r11; pop %rcx: three bytes */
#define STUB_SAVED 16u       /* bytes of the stack between rsp and the return address */

bool recorder_on;

/* The place of the next record goes round from `first` to `end`. */
static struct {
    struct pvmm_record *first, *next, *end;
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
    ring.first = ring.next = boot_array(n * sizeof(struct pvmm_record));
    ring.end = ring.first + n;
    mailbox.recorder.at = direct_address(ring.first).a;
}

void recorder_start(void)
{
    recorder_on = mailbox.recorder.records > 0;
}

void recorder_listen(void)
{
    recorder_on = ring.first || dirty_bits;
}

/* No word of the hypervisor's slots; what is not canonical is a fault when it is read. */
static inline bool may_be_guests(uint64_t at)
{
    const unsigned shift = (unsigned)__builtin_ctzll(HV_SLOTS_END - HV_SLOTS_START);

    return at >> shift != HV_SLOTS_START >> shift;
}

/* In line, and short: this is most of what a record costs. The guest has just executed what stands
 * before rip, so that rip is no address of the hypervisor's. */
static inline __attribute__((always_inline)) uint64_t origin_of(const struct regs *r)
{
    uint64_t code, caller, at = r->rsp + STUB_SAVED;

    if (r->vector != VECTOR_SYSCALL || !guest_word_get(&code, r->rip) ||
        (uint32_t)code << 8 != STUB_TAIL << 8 || !may_be_guests(at) || !guest_word_get(&caller, at))
        return r->rip;
    return caller;
}

/* HYPERVISOR_iret may have set any rip, and the end may come before the guest is there. */
uint64_t guest_origin(const struct regs *r)
{
    return may_be_guests(r->rip) ? origin_of(r) : r->rip;
}

/* The core knows of no difference between the ways of changing an entry. */
static inline uint64_t marked(uint64_t act, const struct regs *r)
{
    if (act == RECORDED(PVMM_ACT_ENTRY) && r->vector == TRAP_PF)
        return RECORDED(PVMM_ACT_STORE);
    return act;
}

/* One CPU writes. `at` has no bits where the marks are: the core names frames that exist. */
static inline void record(uint64_t act, maddr_t at, uint64_t old, uint64_t now)
{
    struct cpu *cpu = this_cpu();
    const struct regs *r = guest_regs(cpu);
    struct pvmm_record *to = ring.next;

    *to = (struct pvmm_record){
        .time = rdtsc(),
        .rip = origin_of(r),
        .at = at.a | marked(act, r) | cpu->current->recorded_as,
        .old = old,
        .now = now,
    };
    ring.next = to + 1 == ring.end ? ring.first : to + 1;
    __atomic_store_n(&mailbox.recorder.written, mailbox.recorder.written + 1, __ATOMIC_RELEASE);
}

/* On its own, lest the calls here cost registers there. */
static __attribute__((noinline)) void watched_write(uint64_t act, maddr_t at, uint64_t old,
                                                    uint64_t now)
{
    dirty_act((enum core_act)(act >> PVMM_RECORD_ACT_SHIFT), at, old);
    if (ring.first)
        record(act, at, old, now);
}

__attribute__((noinline)) void recorder_write(uint64_t act, maddr_t at, uint64_t old, uint64_t now)
{
    if (__builtin_expect(dirty_bits != NULL, false))
        watched_write(act, at, old, now);
    else
        record(act, at, old, now);
}
