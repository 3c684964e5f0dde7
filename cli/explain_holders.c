/* SPDX-License-Identifier: MIT */
/* Who holds the frame: each holder in words, where it is seen from, and who made it. */
#include "explain.h"

#include <inttypes.h>
#include <string.h>

#include "core.h"

static const char *root_words(uint32_t flags)
{
    const bool kernel = flags & PVMM_FRAME_KERNEL_ROOT, user = flags & PVMM_FRAME_USER_ROOT;

    if (kernel && user)
        return "the root that is loaded for kernel and user";
    if (kernel)
        return "the loaded kernel root";
    if (user)
        return "the loaded user root";
    if (flags & PVMM_FRAME_BUILDERS)
        return flags & PVMM_FRAME_PINNED ? "the builder's root, which is pinned and not loaded"
                                         : "the builder's root, which is not loaded";
    return flags & PVMM_FRAME_PINNED ? "a root that is pinned and not loaded"
                                     : "an L4 table that is neither pinned nor loaded";
}

static void tree_words(const struct explain_sources *s, const struct pvmm_place *p, char *text,
                       size_t size)
{
    char frame[64];

    explain_frame_name(s, p->top, frame, sizeof(frame));
    if (p->top_level == 4)
        snprintf(text, size, "hangs from %s, %s", root_words(p->top_flags), frame);
    else if (p->top_level >= 1 && p->top_level <= 3)
        snprintf(text, size, "hangs from the L%u table %s, which %s", p->top_level, frame,
                 p->top_flags & PVMM_FRAME_PINNED ? "is pinned by itself"
                                                  : "hangs from nothing that is in use");
}

/* An L1 entry maps; one above holds a table. */
static void entry_words(const struct explain_sources *s, const struct pvmm_holder *h, char *text,
                        size_t size)
{
    const char *how = h->entry & PTE_RW ? "writable" : "read-only";
    char table[64], address[40] = "";

    explain_frame_name(s, h->table, table, sizeof(table));
    if (h->place.top_level == 4)
        snprintf(address, sizeof(address), " at 0x%" PRIx64, h->place.va);
    if (h->level == 1)
        snprintf(text, size, "mapped %s%s, by entry %u of the L1 table %s", how, address, h->slot,
                 table);
    else
        snprintf(text, size, "in use as the L%u table%s%s, by entry %u of the L%u table %s",
                 h->level - 1, address[0] != '\0' ? " for addresses from" : "",
                 address[0] != '\0' ? address + 3 : "", h->slot, h->level, table);
}

static void other_words(const struct pvmm_holder *h, char *text, size_t size)
{
    static const char *const words[] = {
        [PVMM_HOLDER_PIN] = "pinned",
        [PVMM_HOLDER_KERNEL_ROOT] = "loaded as the kernel root",
        [PVMM_HOLDER_USER_ROOT] = "loaded as the user root",
        [PVMM_HOLDER_GDT] = "a page of the GDT",
        [PVMM_HOLDER_LDT] = "a page of the LDT",
        [PVMM_HOLDER_HELD] = "written to by the hypervisor (vcpu_info)",
        [PVMM_HOLDER_LOAN] = "lent by the hypervisor for good (shared_info, grant table)",
        [PVMM_HOLDER_LEFTOVER] = "a table whose release is not finished",
    };

    if (h->kind == PVMM_HOLDER_LOAN || h->kind == PVMM_HOLDER_PIN)
        snprintf(text, size, "%s", words[h->kind]);
    else
        snprintf(text, size, "%s, vCPU %u", words[h->kind], h->vcpu);
}

static const char *kind_word(uint32_t kind)
{
    static const char *const words[] = {
        [PVMM_HOLDER_ENTRY] = "entry",
        [PVMM_HOLDER_PIN] = "pin",
        [PVMM_HOLDER_KERNEL_ROOT] = "kernel-root",
        [PVMM_HOLDER_USER_ROOT] = "user-root",
        [PVMM_HOLDER_GDT] = "gdt",
        [PVMM_HOLDER_LDT] = "ldt",
        [PVMM_HOLDER_HELD] = "held",
        [PVMM_HOLDER_LOAN] = "loan",
        [PVMM_HOLDER_LEFTOVER] = "leftover",
    };

    return words[kind];
}

static void ask_witness(const struct explain_sources *s, const struct pvmm_report *r,
                        const struct pvmm_holder *h, struct explain_witness *to)
{
    static const struct witness none;
    const struct witness *w = s->witness != NULL ? s->witness : &none;
    struct witnessed found;

    switch (h->kind) {
    case PVMM_HOLDER_ENTRY:
        found = witness_entry(w, r->recorded, h->at, r->frame.mfn, h->level);
        if (found.answer != WITNESS_SEEN && found.answer != WITNESS_OFF &&
            !(h->table_flags & PVMM_FRAME_VALIDATED))
            found.answer = WITNESS_UNSEEN;
        break;
    case PVMM_HOLDER_PIN:
        found = witness_frame(w, r->recorded, PVMM_ACT_PIN, r->frame.mfn, 0);
        break;
    case PVMM_HOLDER_KERNEL_ROOT:
    case PVMM_HOLDER_USER_ROOT:
        found = witness_frame(w, r->recorded, PVMM_ACT_ROOT, r->frame.mfn,
                              h->kind == PVMM_HOLDER_USER_ROOT);
        break;
    default: /* nothing is recorded of these */
        return;
    }
    explain_witness(s, &found, to);
}

/* Does it stand in the way of the request? Where no type is wanted, holding the frame in one is
 * no conflict. */
static bool in_the_way(const struct pvmm_report *r, const struct pvmm_holder *h)
{
    if (r->kind != PVMM_REPORT_REFUSAL)
        return h->conflicts != 0;
    switch (r->reason) {
    case REASON_TYPE_IN_USE:
    case REASON_FRAME_HELD:
    case REASON_COUNT_OVERFLOW:
        return h->conflicts != 0;
    case REASON_ALREADY_PINNED:
        return h->kind == PVMM_HOLDER_PIN;
    default:
        return false;
    }
}

static void explain_holder(const struct explain_sources *s, const struct pvmm_report *r,
                           const struct pvmm_holder *h, struct explain_holder *to)
{
    *to = (struct explain_holder){.conflicts = in_the_way(r, h)};
    snprintf(to->kind, sizeof(to->kind), "%s", kind_word(h->kind));
    if (h->kind == PVMM_HOLDER_ENTRY) {
        explain_entry(s, h->level, h->entry, &to->entry);
        entry_words(s, h, to->text, sizeof(to->text));
        tree_words(s, &h->place, to->tree, sizeof(to->tree));
    } else {
        other_words(h, to->text, sizeof(to->text));
    }
    ask_witness(s, r, h, &to->maker);
}

void explain_holders(const struct explain_sources *s, struct explanation *x)
{
    const struct pvmm_report *r = &x->report;

    x->holders_found = r->holders;
    x->holders = r->holders < PVMM_REPORT_HOLDERS ? r->holders : PVMM_REPORT_HOLDERS;
    for (unsigned i = 0; i < x->holders; i++)
        explain_holder(s, r, &r->holder[i], &x->holder[i]);
}
