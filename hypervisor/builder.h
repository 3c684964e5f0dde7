/* SPDX-License-Identifier: MIT */
/* What the two halves of domain building share: the way out, and the guest's memory by pfn. What a
 * guest may be and where its pages lie is judged in builder/. */
#ifndef PVMM_HV_BUILDER_H
#define PVMM_HV_BUILDER_H

#include "domain.h"
#include "guest_layout.h"

/* Ends the run: the image cannot be started. One line: what, where, why. */
#define BAD_GUEST(...)                                                                             \
    do {                                                                                           \
        char message_[PVMM_MESSAGE_CHARS];                                                         \
        format(message_, sizeof(message_), __VA_ARGS__);                                           \
        domain_end(PVMM_OUTCOME_BAD_GUEST, ~0u, message_);                                         \
    } while (0)

/* builder.c: frame of page `page`, and its content. */
mfn_t guest_mfn(uint64_t page);
void *guest_page(uint64_t page);

/* build_start.c: the event channels to the console, and to the store if there is one. */
void host_ports_bind(struct domain *d, bool with_store);
/* build_start.c: start_info, shared_info, hypercall page, first vCPU's registers. */
void start_state_make(struct domain *d, const struct guest_layout *l, const struct guest_image *g,
                      const char *command_line, bool with_store);

#endif
