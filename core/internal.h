/* SPDX-License-Identifier: MIT */
/* What the core's own files share. Layout of the frame words: see struct frame in core.h. */
#ifndef PVMM_CORE_INTERNAL_H
#define PVMM_CORE_INTERNAL_H

#include "core.h"
#include "glue.h"

#define ENTRIES ((unsigned)GLUE_TABLE_ENTRIES)

/* The rare continuation of a function whose common case is short, kept out of its way. */
#define RARE __attribute__((noinline, cold))
/* A path that nearly every request takes: all that it calls, but for what is RARE or APART, is
 * compiled into it. */
#define HOT   __attribute__((flatten))
#define APART __attribute__((noinline))

/* ---- the use word */
#define USE_COUNT      0xffffffffull
#define USE_HELD_SHIFT 32
#define USE_HELD       (0x3ffull << USE_HELD_SHIFT)
#define USE_VALIDATED  (1ull << 42)
#define USE_PINNED     (1ull << 43)
#define USE_LOCKED     (1ull << 44)
#define USE_BUSY       (1ull << 45)
#define USE_TYPE_SHIFT 60
#define USE_TYPE       (0xfull << USE_TYPE_SHIFT)

/* ---- the hold word */
#define HOLD_COUNT       0xffffffffull
#define HOLD_COUNT_MAX   (HOLD_COUNT - 16) /* room for the references a frame takes on itself */
#define HOLD_STAMP_SHIFT 32
#define HOLD_STAMP       (0xffffull << HOLD_STAMP_SHIFT)
#define HOLD_ALLOCATED   (1ull << 48)
#define HOLD_SHARED      (1ull << 49)
#define HOLD_OWNER_SHIFT 50

static inline enum frame_type use_type(uint64_t use)
{
    return (enum frame_type)(use >> USE_TYPE_SHIFT);
}

static inline uint32_t use_count(uint64_t use)
{
    return (uint32_t)(use & USE_COUNT);
}

static inline unsigned use_held(uint64_t use)
{
    return (unsigned)((use & USE_HELD) >> USE_HELD_SHIFT);
}

static inline uint64_t use_with_held(uint64_t use, unsigned held)
{
    return (use & ~USE_HELD) | ((uint64_t)held << USE_HELD_SHIFT);
}

static inline uint64_t use_of_type(enum frame_type t)
{
    return (uint64_t)t << USE_TYPE_SHIFT;
}

static inline bool type_is_table(enum frame_type t)
{
    return t >= TYPE_L1 && t <= TYPE_L4;
}

/* Partial state that nobody's count covers: a promotion that was left unfinished. Such a frame
 * holds one reference on itself, so that it is not freed under its children's references. */
static inline bool use_is_orphan(uint64_t use)
{
    return use_count(use) == 0 && use_held(use) > 0 && !(use & USE_BUSY);
}

static inline uint32_t hold_count(uint64_t hold)
{
    return (uint32_t)(hold & HOLD_COUNT);
}

static inline uint32_t hold_owner(uint64_t hold)
{
    return (uint32_t)(hold >> HOLD_OWNER_SHIFT);
}

static inline uint16_t hold_stamp(uint64_t hold)
{
    return (uint16_t)(hold >> HOLD_STAMP_SHIFT);
}

static inline uint64_t hold_with_stamp(uint64_t hold, uint16_t stamp)
{
    return (hold & ~HOLD_STAMP) | ((uint64_t)stamp << HOLD_STAMP_SHIFT);
}

static inline uint64_t hold_of_owner(uint32_t owner)
{
    return (uint64_t)owner << HOLD_OWNER_SHIFT;
}

static inline uint32_t owner_of_domain(const struct core_domain *d)
{
    return d->id + 1u;
}

static inline struct frame *frame_at(const struct core *c, mfn_t m)
{
    return &c->frames[m.n];
}

static inline bool frame_exists(const struct core *c, mfn_t m)
{
    return m.n < c->nr_frames;
}

static inline uint64_t load_use(const struct core *c, mfn_t m)
{
    return __atomic_load_n((const uint64_t *)&frame_at(c, m)->use, __ATOMIC_ACQUIRE);
}

static inline uint64_t load_hold(const struct core *c, mfn_t m)
{
    return __atomic_load_n((const uint64_t *)&frame_at(c, m)->hold, __ATOMIC_ACQUIRE);
}

/* Compare-and-swap; on failure *seen is what is there now. */
static inline bool swap_use(struct core *c, mfn_t m, uint64_t *seen, uint64_t to)
{
    return __atomic_compare_exchange_n((uint64_t *)&frame_at(c, m)->use, seen, to, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline bool swap_hold(struct core *c, mfn_t m, uint64_t *seen, uint64_t to)
{
    return __atomic_compare_exchange_n((uint64_t *)&frame_at(c, m)->hold, seen, to, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline uint64_t entry_load(const uint64_t *e)
{
    return __atomic_load_n(e, __ATOMIC_ACQUIRE);
}

static inline void entry_store(uint64_t *e, uint64_t value)
{
    __atomic_store_n(e, value, __ATOMIC_RELEASE);
}

static inline bool entry_swap(uint64_t *e, uint64_t *seen, uint64_t to)
{
    return __atomic_compare_exchange_n(e, seen, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* May the work pause here? Only after at least one step since core_begin(). */
static inline bool pause_here(struct core *c, const struct core_vcpu *v)
{
    return v->steps > 0 && glue_pause(c);
}

/* ---- frame.c: R1 */
struct core_domain *domain_of_owner(const struct core *c, uint32_t owner);
/* Takes a reference for a holder that belongs to `d`; refuses (no result code, only the record)
 * when the frame is not d's. */
bool ref_get(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m);
/* Its two halves: the attempt, and why it failed (-EINVAL). */
bool ref_try(struct core *c, const struct core_domain *d, mfn_t m);
int ref_refused(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m);
void ref_put(struct core *c, mfn_t m);
/* One more reference where the caller has one already. */
void ref_again(struct core *c, mfn_t m);
void stamp_now(struct core *c, mfn_t m);

/* ---- type.c: R2, R9. The caller holds a reference on m. */
int type_get(struct core *c, struct core_vcpu *v, mfn_t m, enum frame_type t);
int type_put(struct core *c, struct core_vcpu *v, mfn_t m);
/* Takes a reference and a type reference in one go; result: 0, -EINVAL, CORE_RESTART. */
int use_get(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
            enum frame_type t);
/* Drops both, where the type is not a table's. */
void use_put(struct core *c, struct core_vcpu *v, mfn_t m);
/* Drops both; a table's last use is put on the vCPU's leftovers. */
void use_put_later(struct core *c, struct core_vcpu *v, mfn_t m);
void leave_orphan(struct core_vcpu *v, mfn_t m);
int finish_leftovers(struct core *c, struct core_vcpu *v);
/*
 * Locks a validated table of d's that is in use; its level, or 0: m is none. Only the holder
 * changes entries, and needs no reference of its own, as the last use is not let go meanwhile:
 * another vCPU that has it to let go pauses (never waits: it may have locked what the holder has to
 * let go), and the holder itself, when it undoes an orphan that has it, leaves it over.
 */
unsigned table_lock(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m);
/* Unlocks v->locked. */
void table_unlock(struct core *c, struct core_vcpu *v);

/* ---- table.c: R4. m is busy on behalf of the caller; *held is how many entries hold references.
 */
int table_validate(struct core *c, struct core_vcpu *v, mfn_t m, unsigned level, unsigned *held);
int table_release(struct core *c, struct core_vcpu *v, mfn_t m, unsigned level, unsigned *held);

/* ---- entry.c: R3, R6, R8 */
bool slot_is_reserved(unsigned level, unsigned slot);
uint64_t entry_adjust(unsigned level, uint64_t e);
uint64_t entry_allowed(const struct core_domain *d, unsigned level);
/* Takes what present entry *e of a table of `d` needs; may alter its cache bits (device memory). */
int entry_take(struct core *c, struct core_vcpu *v, const struct core_domain *d,
               const struct core_domain *frame_domain, unsigned level, uint64_t *e);
int entry_drop(struct core *c, struct core_vcpu *v, unsigned level, uint64_t e);

struct entry_change {
    uint64_t value;
    bool keep_ad;       /* or in the accessed and dirty bits of the old entry */
    uint64_t *expected; /* NULL, or compare-and-swap */
    const struct core_domain *frame_domain;
};
/* Changes one entry of the locked, validated table m of `d`: an L1 table, or one of a higher level.
 */
int entry_change_l1(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
                    unsigned slot, const struct entry_change *change);
int entry_change_upper(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
                       unsigned level, unsigned slot, const struct entry_change *change);

/* ---- pin.c: R5 */
/* Makes m, whose reference as L4 the caller has taken, the vCPU's kernel or user root (`root` says
 * which), and lets the old one go. NO_MFN: none. */
void root_swap(struct core *c, struct core_vcpu *v, mfn_t *root, mfn_t m);

/* ---- descriptor.c */
int descriptors_validate(struct core *c, struct core_vcpu *v, mfn_t m);

/* ---- refusal.c: R10 */
struct refuse_about {
    mfn_t frame;
    uint64_t value;
    enum frame_type wanted;
};
/* Records why and returns `error`. */
int refuse(const struct core *c, struct core_vcpu *v, int error, enum core_reason reason,
           unsigned rule, struct refuse_about about);
/* Adds an outer step to the path of the refusal being returned. */
void refuse_step(struct core_vcpu *v, mfn_t table, unsigned level, unsigned slot);

#define ABOUT(...)    ((struct refuse_about){__VA_ARGS__})
#define NO_FRAME(...) ((struct refuse_about){.frame = NO_MFN, __VA_ARGS__})

#endif
