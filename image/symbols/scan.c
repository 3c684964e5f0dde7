/* SPDX-License-Identifier: MIT */
/* Where in the guest's memory kallsyms lies. */
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"

/* Linux: the kernel's image lies here (Documentation/x86/x86_64/mm.rst), modules behind it. */
#define KERNEL_START 0xffffffff80000000ull
#define KERNEL_END   0xffffffffc0000000ull

#define PIECE_BYTES (256u << 10)
#define NEAR_BYTES  (64u << 10) /* around the mark: more than tokens and index have */
#define BACK_BYTES  (48u << 20)
#define FORTH_BYTES (16u << 20)

/* Marks that look right are few in a kernel: one. */
#define NEAR_TRIES 256u
#define WIDE_TRIES 4u

struct scan {
    const struct pv_view *v;
    mfn_t root;
    struct source *to;
    struct pv_error *e;
    unsigned near, wide;
    bool any_memory;
};

/* The first address above `va` where something may be mapped, if nothing is at `va`. */
static uint64_t behind_hole(const struct scan *s, uint64_t va)
{
    struct pv_walk walk;
    unsigned level = 1;
    uint64_t next;

    if (!pv_walk(s->v, s->root, gva(va), &walk) && walk.level >= 1 && walk.level <= 4)
        level = walk.level;
    next = (va | ((1ull << (3 + 9 * level)) - 1)) + 1;
    return next > va ? next : KERNEL_END; /* the last slot of L4 ends where addresses do */
}

static bool is_there(const struct scan *s, uint64_t va)
{
    uint8_t byte;

    return pv_read_va(s->v, s->root, gva(va), &byte, 1) == 1;
}

/* How much before the page of `va`, and from it on, can be read: whole pages. */
static size_t mapped_before(const struct scan *s, uint64_t page, size_t most)
{
    size_t n = 0;

    while (n < most && page - n > KERNEL_START && is_there(s, page - n - PAGE_BYTES))
        n += PAGE_BYTES;
    return n;
}

static size_t mapped_from(const struct scan *s, uint64_t page, size_t most)
{
    size_t n = 0;

    while (n < most && is_there(s, page + n))
        n += PAGE_BYTES;
    return n;
}

/* What surrounds `va`, copied. To be freed; NULL: out of memory. */
static uint8_t *copy_around(const struct scan *s, uint64_t va, size_t back, size_t forth,
                            struct window *w)
{
    uint64_t page = va & ~(uint64_t)(PAGE_BYTES - 1);
    size_t before = mapped_before(s, page, back), bytes = before + mapped_from(s, page, forth);
    uint8_t *byte = malloc(bytes + 1);

    w->byte = byte;
    w->va = page - before;
    w->bytes = byte == NULL ? 0 : pv_read_va(s->v, s->root, gva(w->va), byte, bytes);
    return byte;
}

static bool looks_right(struct scan *s, uint64_t va)
{
    struct window w;
    uint8_t *copy;
    bool ok;

    if (s->near++ >= NEAR_TRIES)
        return false;
    copy = copy_around(s, va, NEAR_BYTES, NEAR_BYTES, &w);
    ok = copy != NULL && kallsyms_tokens(&w, (size_t)(va - w.va));
    free(copy);
    return ok;
}

/* 1: loaded; 0: not these; -1: no memory. */
static int load_at(struct scan *s, uint64_t va)
{
    struct kallsyms k;
    struct window w;
    uint8_t *copy;
    int result = 0;

    if (s->wide++ >= WIDE_TRIES)
        return 0;
    copy = copy_around(s, va, BACK_BYTES, FORTH_BYTES, &w);
    if (copy == NULL)
        return symbols_fail(s->e, "out of memory for the kernel's symbols");
    if (kallsyms_find(&w, (size_t)(va - w.va), &k))
        result = kallsyms_decode(&k, s->to)
                     ? 1
                     : symbols_fail(s->e, "the kernel has more symbols than can be kept");
    free(copy);
    return result;
}

static int search_piece(struct scan *s, const uint8_t *piece, size_t bytes, uint64_t va)
{
    const uint8_t *at = piece;

    while ((at = memmem(at, bytes - (size_t)(at - piece), KALLSYMS_MARK, KALLSYMS_MARK_BYTES)) !=
           NULL) {
        uint64_t here = va + (uint64_t)(at - piece);
        int result = looks_right(s, here) ? load_at(s, here) : 0;

        if (result != 0)
            return result;
        at++;
    }
    return 0;
}

static int search_all(struct scan *s, uint8_t *piece)
{
    for (uint64_t va = KERNEL_START; va < KERNEL_END;) {
        size_t n = pv_read_va(s->v, s->root, gva(va), piece, PIECE_BYTES + KALLSYMS_MARK_BYTES);
        int result = search_piece(s, piece, n, va);

        if (result != 0)
            return result;
        s->any_memory |= n != 0;
        if (n == PIECE_BYTES + KALLSYMS_MARK_BYTES)
            va += PIECE_BYTES;
        else
            va = behind_hole(s, va + n);
    }
    return 0;
}

int kallsyms_load(struct source *to, const struct pv_view *v, mfn_t root, struct pv_error *e)
{
    struct scan s = {.v = v, .root = root, .to = to, .e = e};
    uint8_t *piece = malloc(PIECE_BYTES + KALLSYMS_MARK_BYTES);
    int result;

    if (piece == NULL)
        return symbols_fail(e, "out of memory for the kernel's symbols");
    result = search_all(&s, piece);
    free(piece);
    if (result == 1)
        return 0;
    if (result < 0)
        return -1;
    if (!s.any_memory)
        return symbols_fail(e, "nothing is mapped where Linux kernels lie (from %llx on)",
                            KERNEL_START);
    if (s.near == 0)
        return symbols_fail(e, "no table of symbols (kallsyms) is in the kernel's memory");
    return symbols_fail(e, "what looks like a table of symbols (kallsyms) in the kernel's memory "
                           "makes no sense");
}
