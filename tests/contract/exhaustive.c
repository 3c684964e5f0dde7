/* SPDX-License-Identifier: MIT */
/*
 * Flags x level x kind of frame x way of asking, each held against a specification of its own:
 * written from the ABI and real Xen's replies, with plain bit numbers, and sharing nothing with the
 * core.
 */
#include <inttypes.h>
#include <stdio.h>

#include "exhaustive.h"

#define BIT(n) (1ull << (n))

enum { EPERM_ = -1, EBUSY_ = -16, EINVAL_ = -22 };

/* ---- the specification */

/* Bits 0 1 2 5 6, 9..11 and 52..63 are free to use; PWT, PCD and PAT belong to those who have
 * devices; bit 8, global, to L1 entries; bit 7 above L1 is a superpage. */
static bool flags_allowed(const struct trial *t)
{
    uint64_t free_bits = 0xfff0000000000e67ull;
    if (t->level == 1)
        free_bits |= BIT(8);
    if (t->level == 1 && t->devices)
        free_bits |= BIT(3) | BIT(4) | BIT(7);
    return !(t->flags & ~free_bits);
}

static int spec_upper(const struct trial *t)
{
    unsigned below = t->level - 2; /* counted from L1 */
    bool ok = t->target == TARGET_NONE || t->target == TARGET_L1 + below ||
              t->target == TARGET_PINNED_L1 + below;
    return ok ? 0 : EINVAL_;
}

static int spec_l1(const struct trial *t)
{
    bool writing = t->flags & BIT(1);
    switch (t->target) {
    case TARGET_NONE:
    case TARGET_WRITABLE:
    case TARGET_SHARED:
        return 0;
    case TARGET_FOREIGN:
    case TARGET_FREE:
        return EBUSY_;
    case TARGET_DEVICE:
    case TARGET_BEYOND:
        return t->devices ? 0 : EPERM_;
    case TARGET_ALL_ONES:
        return t->devices ? 0 : EINVAL_;
    default: /* tables and descriptors: to be read only */
        return writing ? EBUSY_ : 0;
    }
}

static int spec_error(const struct trial *t)
{
    if (!(t->flags & BIT(0)))
        return 0;
    if (!flags_allowed(t))
        return EINVAL_;
    return t->level == 1 ? spec_l1(t) : spec_upper(t);
}

/* The flags as stored. */
static uint64_t spec_flags(const struct trial *t)
{
    uint64_t f = t->flags;
    bool device = t->target >= TARGET_DEVICE && t->target <= TARGET_ALL_ONES;
    if (!(f & BIT(0)))
        return f;
    if (t->level == 4)
        return f | BIT(2) | BIT(5);
    if (t->level > 1)
        return f | BIT(2);
    if (device && !(f & (BIT(3) | BIT(4) | BIT(7))))
        f |= BIT(3) | BIT(4);
    if (f & BIT(2))
        f |= f & BIT(52) ? 0 : BIT(8);
    else
        f |= BIT(52);
    return f | BIT(2);
}

static struct answer spec(const struct trial *t)
{
    uint64_t frame = setting_target(t).n << 12 & 0xffffffffff000ull;
    struct answer a = {.error = spec_error(t)};
    if (a.error == 0)
        a.entry = frame | spec_flags(t) | setting_old(t);
    else
        a.entry = t->way == WAY_VALIDATE ? frame | t->flags : setting_old(t);
    return a;
}

/* ---- the trials */

static struct {
    uint64_t trials, accepted, busy, invalid, not_permitted, wrong;
} count;

static void try_one(const struct trial *t)
{
    struct answer want = spec(t);
    struct answer got = setting_try(t);
    count.trials++;
    count.accepted += got.error == 0;
    count.busy += got.error == EBUSY_;
    count.invalid += got.error == EINVAL_;
    count.not_permitted += got.error == EPERM_;
    if (got.error == want.error && got.entry == want.entry)
        return;
    if (count.wrong++ < 20)
        fprintf(stderr,
                "L%u way %u target %u flags %" PRIx64 " devices %d: %d, entry %" PRIx64
                "; should be %d, %" PRIx64 "\n",
                t->level, t->way, t->target, t->flags, t->devices, got.error, got.entry, want.error,
                want.entry);
}

static void try_flags(uint64_t flags)
{
    struct trial t = {.flags = flags};
    for (t.level = 1; t.level <= 4; t.level++)
        for (unsigned way = 0; way < WAYS; way++)
            for (unsigned target = 0; target < 2 * TARGETS; target++) {
                t.way = (enum way)way;
                t.target = (enum target)(target / 2);
                t.devices = target % 2;
                if (t.level == 1 || (t.way != WAY_ADDRESS && t.way != WAY_STORE))
                    try_one(&t);
            }
}

static uint64_t flag(unsigned i)
{
    return BIT(i < 12 ? i : i + 40);
}

/* Every bit, every pair of bits, and each of these with every choice of PRESENT, RW and USER. */
static bool try_all(void)
{
    bool sound = true;
    for (unsigned base = 0; base < 8; base++) {
        try_flags(base);
        for (unsigned a = 3; a < 24; a++)
            for (unsigned b = a; b < 24; b++)
                try_flags(base | flag(a) | flag(b));
        sound = setting_sound() && sound;
    }
    return sound;
}

int main(int argc, char **argv)
{
    setting_make();
    bool sound = try_all();
    printf("%" PRIu64 " trials: %" PRIu64 " accepted, %" PRIu64 " -EBUSY, %" PRIu64
           " -EINVAL, %" PRIu64 " -EPERM; %" PRIu64 " not as specified\n",
           count.trials, count.accepted, count.busy, count.invalid, count.not_permitted,
           count.wrong);
    unsigned differ = argc > 1 ? record_compare(argv[1]) : 0;
    return count.wrong || !sound || differ;
}
