/* SPDX-License-Identifier: MIT */
/* What the two halves of the domain builder share: the layout, and the guest's memory by pfn. */
#ifndef PVMM_HV_BUILDER_H
#define PVMM_HV_BUILDER_H

#include "domain.h"
#include "elf.h"

/* Ends the run: the image cannot be started. One line: what, where, why. */
#define BAD_GUEST(...)                                                                             \
    do {                                                                                           \
        char message_[PVMM_MESSAGE_CHARS];                                                         \
        format(message_, sizeof(message_), __VA_ARGS__);                                           \
        domain_end(PVMM_OUTCOME_BAD_GUEST, ~0u, message_);                                         \
    } while (0)

/* A run of pages in the guest's own numbering. */
struct pages {
    uint64_t first, count;
};

/*
 * Where everything lies. The linear region maps pfn i at virt_base + i * 4096:
 *
 *   kernel | ramdisk if mapped | P2M if in the region | start_info | xenstore | console |
 *   page tables L4 L3s L2s L1s | boot stack | slack up to a multiple of 4 MiB
 *
 * Behind it, unmapped: ramdisk if passed by pfn, then the P2M if it has an address of its own,
 * with its page tables in the same order.
 */
struct layout {
    uint64_t total; /* pages of the guest */
    uint64_t virt_base, region_end;
    uint64_t mapped; /* pages of the region that exist */
    struct pages module, p2m, tables, p2m_tables;
    uint64_t start_info, xenstore, console, stack;
    uint64_t p2m_va;
    struct pages level[5];     /* tables of the region, by level */
    struct pages p2m_level[5]; /* those that the P2M needs besides */
};

/* build_layout.c: lays the guest out, or ends the run because it does not fit. */
void layout_make(struct layout *l, const struct guest_image *g, uint64_t total,
                 uint64_t module_bytes);
static inline uint64_t layout_va(const struct layout *l, uint64_t page)
{
    return l->virt_base + page * PAGE_BYTES;
}

/* builder.c: frame of page `page`, and its content. */
mfn_t guest_mfn(uint64_t page);
void *guest_page(uint64_t page);

/* build_start.c: start_info, shared_info, hypercall page, first vCPU's registers. */
void start_state_make(struct domain *d, const struct layout *l, const struct guest_image *g,
                      const char *command_line, bool with_store);

#endif
