/* SPDX-License-Identifier: MIT */
#include "shadow_world.h"

#include <string.h>

#define POOL_AT 0x2000u

const unsigned count_of[] = {0, 12, 8, 6, 10};
const unsigned slots_of[][5] = {{0}, {0, 1, 2, 7, 511}, {0, 3}, {0, 511}, {0, 1, 272, 511}};
const unsigned nr_slots[] = {0, 5, 2, 2, 4};

/* ---- what stands around */

static struct core core = {.nr_frames = NR_FRAMES};
uint64_t bitmap[NR_FRAMES / 64];
uint64_t *dirty_bits = bitmap;
uint64_t root_template[512];

struct core *the_core(void)
{
    return &core;
}

unsigned first_table(unsigned level)
{
    unsigned at = TABLES_AT;
    for (unsigned l = 4; l > level; l--)
        at += count_of[l];
    return at;
}

unsigned level_of(uint64_t frame)
{
    for (unsigned l = 1; l <= 4; l++) {
        if (frame >= first_table(l) && frame < first_table(l) + count_of[l])
            return l;
    }
    return 0;
}

enum frame_type core_frame_type(const struct core *c, mfn_t m)
{
    (void)c;
    return level_of(m.n) ? (enum frame_type)(TYPE_L1 + level_of(m.n) - 1) : TYPE_WRITABLE;
}

struct shadow_pool pool;

bool frames_take(unsigned order, uint64_t limit, mfn_t *out)
{
    (void)limit;
    assert_int_equal(order, 0);
    if (pool.taken == pool.room)
        return false;
    *out = mfn(POOL_AT + pool.taken++);
    memset(direct_frame(*out), 0, PAGE_BYTES);
    return true;
}

void frames_give(mfn_t m)
{
    assert_true(m.n >= POOL_AT && m.n < POOL_AT + pool.taken);
    pool.given++;
}

uint64_t frames_free(void)
{
    return pool.room - pool.taken;
}

/* ---- the processor's TLB, of the shadows */

struct va vas[VAS];
uint64_t tlb[VAS];

int va_index(uint64_t address)
{
    for (unsigned i = 0; i < VAS; i++) {
        if (vas[i].address == (address & ~(PAGE_BYTES - 1ull)))
            return (int)i;
    }
    return -1;
}

void hosted_invlpg(uint64_t address)
{
    if (va_index(address) >= 0)
        tlb[va_index(address)] = 0;
}

void empty_tlb(void)
{
    memset(tlb, 0, sizeof(tlb));
}

unsigned begun_anew;

void tlb_flush_hardware(void)
{
    begun_anew++;
    empty_tlb();
}

/* ---- the guest's tables */

uint64_t *entry_of(uint64_t table, unsigned slot)
{
    return (uint64_t *)direct_frame(mfn(table)) + slot;
}

struct found walk(uint64_t table, const struct va *va)
{
    struct found f = {.rights = PTE_RW | PTE_USER};
    for (unsigned l = 4; l > 0; l--) {
        uint64_t *at = f.path[l] = entry_of(table, va->slot[l]);
        if (!pte_present(*at))
            return f;
        f.rights = (f.rights & *at & (PTE_RW | PTE_USER)) | ((f.rights | *at) & PTE_NX);
        table = pte_frame(*at).n;
    }
    f.present = true;
    f.frame = table;
    return f;
}

static void make_vas(void)
{
    for (unsigned i = 0; i < VAS; i++) {
        unsigned rest = i;
        vas[i].address = 0;
        for (unsigned l = 1; l <= 4; l++) {
            vas[i].slot[l] = slots_of[l][rest % nr_slots[l]];
            vas[i].address |= (uint64_t)vas[i].slot[l] << (12 + 9 * (l - 1));
            rest /= nr_slots[l];
        }
        if (vas[i].slot[4] & 256)
            vas[i].address |= 0xffffull << 48;
    }
}

int world_setup(void **state)
{
    (void)state;
    hosted_machine_init();
    make_vas();
    for (unsigned slot = 0; slot < 512; slot++)
        root_template[slot] = slot >= 256 && slot <= 271 ? TEMPLATE + slot : 0;
    memset(bitmap, 0, sizeof(bitmap));
    empty_tlb();
    pool.room = POOL;
    pool.taken = pool.given = 0;
    begun_anew = 0;
    return 0;
}
