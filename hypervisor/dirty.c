/* SPDX-License-Identifier: MIT */
#include "dirty.h"

#include "cpu.h"
#include "domain.h"
#include "frames.h"
#include "recorder.h"
#include "shadow.h"
#include "string.h"

uint64_t *dirty_bits;

static struct {
    uint64_t *map[2];
    uint64_t bytes; /* of each */
} room;

void dirty_init(void)
{
    const uint64_t frames = the_core()->nr_frames;

    room.bytes = (frames / 8 + PAGE_BYTES) & ~(PAGE_BYTES - 1ull);
    room.map[0] = boot_array(2 * room.bytes);
    room.map[1] = room.map[0] + room.bytes / sizeof(uint64_t);
    mailbox.dirty.version = PVMM_DIRTY_VERSION;
    mailbox.dirty.at = direct_address(room.map[0]).a;
    mailbox.dirty.bytes = room.bytes;
    mailbox.dirty.frames = frames;
}

/* ---- what the core does */

void dirty_act(enum core_act act, maddr_t at, uint64_t old)
{
    switch (act) {
    case ACT_ENTRY:
        if (pte_present(old))
            shadow_tables_change();
        break;
    case ACT_TYPE:
    case ACT_RELEASE:
        shadow_tables_change();
        dirty_mark(maddr_frame(at));
        break;
    case ACT_GIVEN:
    case ACT_M2P:
        dirty_mark(maddr_frame(at));
        break;
    default:
        break;
    }
}

/* ---- rounds */

static void mark_frame(mfn_t m)
{
    if (!mfn_eq(m, NO_MFN))
        dirty_mark(m);
}

/* What may be written at any moment without a word. */
static void mark_standing(const struct vcpu *v)
{
    mark_frame(v->mem.held);
    for (unsigned i = 0; i < CORE_GDT_FRAMES; i++)
        mark_frame(v->mem.gdt[i]);
    for (unsigned i = 0; i < CORE_LDT_FRAMES; i++)
        mark_frame(v->mem.ldt[i]);
}

static uint64_t count_bits(const uint64_t *map)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < room.bytes / sizeof(*map); i++) {
        for (uint64_t word = map[i]; word; word &= word - 1)
            n++;
    }
    return n;
}

/* The bitmap r & 1 tells of what was before round r. */
static void next_round(struct vcpu *v)
{
    const uint64_t r = mailbox.dirty.rounds + 1;
    uint64_t *told = room.map[r & 1], *next = room.map[(r + 1) & 1];

    memset(next, 0, room.bytes);
    dirty_bits = next;
    shadow_forget();
    tlb_flush_hardware();
    mark_standing(v);
    mailbox.dirty.told = count_bits(told);
    __atomic_store_n(&mailbox.dirty.rounds, r, __ATOMIC_RELEASE);
}

static void begin(struct vcpu *v)
{
    if (!shadow_begin()) {
        log_line(
            "what is written cannot be watched: %lu frames are free, too few for shadow tables",
            frames_free());
        mailbox.dirty.state = PVMM_DIRTY_NO_MEMORY;
        return;
    }
    memset(room.map[0], 0, 2 * room.bytes);
    dirty_bits = room.map[0];
    recorder_listen();
    cpu_load_root(v);
    mailbox.dirty.state = PVMM_DIRTY_ON;
}

void dirty_end(struct vcpu *v)
{
    if (dirty_bits) {
        dirty_bits = NULL;
        shadow_on = false;
        cpu_load_root(v); /* the guest's own again, before the frames go */
        shadow_end();
        recorder_listen();
    }
    mailbox.dirty.state = PVMM_DIRTY_OFF;
    __atomic_store_n(&mailbox.dirty.rounds, 0, __ATOMIC_RELEASE);
}

void dirty_serve(struct vcpu *v)
{
    bool round;
    const uint64_t bells = channel_dirty_bells(&round);

    if (bells == mailbox.dirty.heeded)
        return;
    if (!round)
        dirty_end(v);
    else if (!dirty_bits)
        begin(v);
    if (dirty_bits)
        next_round(v);
    __atomic_store_n(&mailbox.dirty.heeded, bells, __ATOMIC_RELEASE);
    channel_bell();
}
