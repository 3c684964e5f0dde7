/* SPDX-License-Identifier: MIT */
/* A kernel's segments: what is no fault, and may cost an afternoon. */
#include <elf.h>
#include <stdio.h>

#include "boot.h"

#define ull(x) ((unsigned long long)(x))

static int write_and_execute(const struct elfview_segment *s, unsigned i, struct lint_report *r,
                             struct lint_error *e)
{
    if ((s->flags & (PF_W | PF_X)) != (PF_W | PF_X))
        return 0;
    return boot_locate(lint_add(r, "segment-rights", LINT_NOTE,
                                "segment %u is writable and executable; builders map all of a "
                                "kernel so, whatever it says",
                                i),
                       s->vaddr, s->bytes, e);
}

static int unaligned(const struct elfview_segment *s, unsigned i, struct lint_report *r,
                     struct lint_error *e)
{
    if (s->paddr % GUEST_PAGE_BYTES == 0)
        return 0;
    return boot_locate(lint_add(r, "segment-unaligned", LINT_NOTE,
                                "segment %u's physical address 0x%llx is not page-aligned: it "
                                "shares its first page",
                                i, ull(s->paddr)),
                       s->vaddr, s->bytes, e);
}

/* Builders go by p_paddr; debuggers and symbol tables by p_vaddr. What is linked at 0 is a
 * template, as Linux has one of what each CPU gets a copy of. */
static int elsewhere(const struct elfview_segment *s, const struct guest_segment *placed,
                     struct lint_report *r, struct lint_error *e)
{
    if (placed->va == s->vaddr || s->vaddr == 0)
        return 0;
    return boot_locate(lint_add(r, "segment-address", LINT_NOTE,
                                "segment %u is linked at 0x%llx but will be at 0x%llx, which is "
                                "VIRT_BASE + p_paddr - PADDR_OFFSET",
                                placed->index, ull(s->vaddr), ull(placed->va)),
                       s->vaddr, s->bytes, e);
}

static const struct guest_segment *next_above(const struct guest_image *g, uint64_t va)
{
    const struct guest_segment *best = NULL;

    for (unsigned i = 0; i < g->segments; i++)
        if (g->segment[i].va >= va && (best == NULL || g->segment[i].va < best->va))
            best = &g->segment[i];
    return best;
}

/* A page or more that no segment fills, in the image or before it. */
static int hole_after(const struct guest_image *g, uint64_t end, struct lint_report *r,
                      struct lint_error *e)
{
    const struct guest_segment *next = next_above(g, end);

    if (next == NULL || next->va - end <= (UINT64_C(16) << 20))
        return 0;
    return boot_locate(lint_add(r, "segment-hole", LINT_NOTE,
                                "nothing is loaded at 0x%llx-0x%llx; the guest's memory is spent "
                                "on it all the same",
                                ull(end), ull(next->va - 1)),
                       end, next->va - end, e);
}

static int holes(const struct guest_image *g, struct lint_report *r, struct lint_error *e)
{
    if (hole_after(g, g->virt_base, r, e) != 0)
        return -1;
    for (unsigned i = 0; i < g->segments; i++)
        if (hole_after(g, g->segment[i].va + g->segment[i].bytes, r, e) != 0)
            return -1;
    return 0;
}

int boot_segments(const struct elfview *v, const struct guest_image *g, struct lint_report *r,
                  struct lint_error *e)
{
    struct elfview_segment s;

    for (unsigned i = 0; i < g->segments; i++) {
        const struct guest_segment *placed = &g->segment[i];

        if (elfview_segment(v, placed->index, &s) &&
            (write_and_execute(&s, placed->index, r, e) != 0 ||
             unaligned(&s, placed->index, r, e) != 0 || elsewhere(&s, placed, r, e) != 0))
            return -1;
    }
    return holes(g, r, e);
}
