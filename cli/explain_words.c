/* SPDX-License-Identifier: MIT */
/* Words for single things: addresses, entries, frames, errors, what a record says. */
#include "explain.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "core.h"
#include "verdict.h"

bool explain_seconds(const struct explain_sources *s, uint64_t time, double *seconds)
{
    if (s->machine.version == 0 || s->machine.tsc_khz == 0)
        return false;
    *seconds = (double)(int64_t)(time - s->machine.entry_tsc) / ((double)s->machine.tsc_khz * 1e3);
    return true;
}

/* Names come out of the guest's memory, too. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if (!isgraph((unsigned char)*text))
            *text = '?';
}

static void symbol_words(struct explain_symbol *to)
{
    const struct pv_symbol *at = &to->symbol;

    if (!to->known)
        snprintf(to->text, sizeof(to->text), "0x%" PRIx64, to->address);
    else
        snprintf(to->text, sizeof(to->text), "%s+0x%" PRIx64 "%s%s%s", at->name, at->offset,
                 at->module[0] != '\0' ? " [" : "", at->module, at->module[0] != '\0' ? "]" : "");
}

void explain_name(const struct explain_sources *s, uint64_t address, struct explain_symbol *to)
{
    *to = (struct explain_symbol){.address = address};
    to->known = s->symbols != NULL && pv_symbol_at(s->symbols, address, &to->symbol);
    make_printable(to->symbol.name);
    make_printable(to->symbol.module);
    symbol_words(to);
}

/* Behind a call that never returns another function may begin: it is the call that is named. */
void explain_return_name(const struct explain_sources *s, uint64_t address,
                         struct explain_symbol *to)
{
    struct pv_symbol *at = &to->symbol;

    explain_name(s, address - 1, to);
    to->address = address;
    at->offset++;
    symbol_words(to);
}

/* What m2p has; PVMM_NONE: nothing. */
static uint64_t pfn_by_m2p(const struct explain_sources *s, uint64_t mfn)
{
    if (s->view == NULL || mfn >= s->view->nr_frames)
        return PVMM_NONE;
    return s->view->backend->pfn_of(s->view, (mfn_t){mfn}).n;
}

void explain_frame_name(const struct explain_sources *s, uint64_t mfn, char *text, size_t size)
{
    const uint64_t pfn = pfn_by_m2p(s, mfn);

    if (pfn != PVMM_NONE)
        snprintf(text, size, "mfn 0x%" PRIx64 " (pfn 0x%" PRIx64 ")", mfn, pfn);
    else
        snprintf(text, size, "mfn 0x%" PRIx64, mfn);
}

static void flag_names(unsigned level, uint64_t value, char *text, size_t size)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } flags[] = {
        {PTE_PRESENT, "PRESENT"}, {PTE_RW, "RW"},         {PTE_USER, "USER"},
        {PTE_PWT, "PWT"},         {PTE_PCD, "PCD"},       {PTE_ACCESSED, "ACCESSED"},
        {PTE_DIRTY, "DIRTY"},     {PTE_GLOBAL, "GLOBAL"}, {PTE_NX, "NX"},
    };
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (value & flags[i].bit)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "",
                                     flags[i].name);
    if (value & PTE_PSE)
        snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", level == 1 ? "PAT" : "PSE");
}

void explain_entry(const struct explain_sources *s, unsigned level, uint64_t value,
                   struct explain_entry *to)
{
    char frame[64];

    *to = (struct explain_entry){
        .value = value, .present = pte_present(value), .mfn = pte_frame(value).n};
    to->pfn = pfn_by_m2p(s, to->mfn);
    flag_names(level, value, to->flags, sizeof(to->flags));
    explain_frame_name(s, to->mfn, frame, sizeof(frame));
    if (to->present)
        snprintf(to->text, sizeof(to->text), "0x%" PRIx64 ": %s, %s", value, frame, to->flags);
    else
        snprintf(to->text, sizeof(to->text), "0x%" PRIx64 "%s", value,
                 value == 0 ? "" : ": not present");
}

const char *explain_error_name(int error)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
#define XEN_ERRNO(name, value) {value, #name},
#include <xen/errno.h>
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].number == -error)
            return names[i].name;
    return "";
}

const char *explain_reason_code(unsigned reason)
{
    static const char *const codes[] = {
        [REASON_NONE] = "bad-argument",
        [REASON_FOREIGN_FRAME] = "foreign-frame",
        [REASON_NOT_RAM] = "not-ram",
        [REASON_NO_SUCH_FRAME] = "no-such-frame",
        [REASON_TYPE_IN_USE] = "type-in-use",
        [REASON_COUNT_OVERFLOW] = "count-overflow",
        [REASON_BAD_FLAGS] = "bad-flags",
        [REASON_RESERVED_SLOT] = "reserved-slot",
        [REASON_ALREADY_PINNED] = "already-pinned",
        [REASON_NOT_PINNED] = "not-pinned",
        [REASON_NOT_A_TABLE] = "not-a-table",
        [REASON_NO_L1] = "no-l1",
        [REASON_BAD_ADDRESS] = "bad-address",
        [REASON_BAD_DESCRIPTOR] = "bad-descriptor",
        [REASON_NO_MEMORY] = "no-memory",
        [REASON_NO_RIGHT] = "no-right",
        [REASON_BAD_COMMAND] = "bad-command",
        [REASON_FRAME_HELD] = "frame-held",
        [REASON_ENTRY_CHANGED] = "entry-changed",
    };

    return reason < sizeof(codes) / sizeof(codes[0]) ? codes[reason] : "unknown-reason";
}

static const char *type_word(uint64_t type)
{
    const char *name = type < PVMM_FRAME_TYPES ? frame_type_name((unsigned)type) : NULL;

    return name != NULL ? name : "unknown";
}

/* What the act was, seen from what was asked for; whose it was follows. */
static void act_words(const struct pvmm_record *r, char *text, size_t size)
{
    switch (record_act(r)) {
    case PVMM_ACT_ENTRY:
        snprintf(text, size, "stored by a request from");
        return;
    case PVMM_ACT_STORE:
        snprintf(text, size, "stored directly by");
        return;
    case PVMM_ACT_TYPE:
        snprintf(text, size, "made %s by", type_word(r->now));
        return;
    case PVMM_ACT_PIN:
        snprintf(text, size, "pinned by");
        return;
    case PVMM_ACT_ROOT:
        snprintf(text, size, "loaded by");
        return;
    default:
        snprintf(text, size, "last touched by");
        return;
    }
}

static void seen_text(struct explain_witness *to)
{
    char act[80], when[48] = "";

    act_words(&to->w.record, act, sizeof(act));
    if (to->timed)
        snprintf(when, sizeof(when), " at %.6f s", to->seconds);
    if (to->w.answer == WITNESS_VALIDATED)
        snprintf(to->text, sizeof(to->text),
                 "stored before its table was validated, which %s caused%s", to->rip.text, when);
    else
        snprintf(to->text, sizeof(to->text), "%s %s%s", act, to->rip.text, when);
}

void explain_witness(const struct explain_sources *s, const struct witnessed *w,
                     struct explain_witness *to)
{
    *to = (struct explain_witness){.asked = true, .w = *w};
    switch (w->answer) {
    case WITNESS_SEEN:
    case WITNESS_VALIDATED:
        to->timed = explain_seconds(s, w->record.time, &to->seconds);
        explain_name(s, w->record.rip, &to->rip);
        seen_text(to);
        return;
    case WITNESS_BEFORE:
        snprintf(to->text, sizeof(to->text), "made so by the domain builder");
        return;
    case WITNESS_UNSEEN:
        snprintf(to->text, sizeof(to->text),
                 "its table is not validated: stores to such a table have no witness");
        return;
    case WITNESS_OLDER:
        snprintf(to->text, sizeof(to->text), "older than the recorder reaches (see --records)");
        return;
    case WITNESS_OFF:
        snprintf(to->text, sizeof(to->text), "by whom is not known: the recorder is off");
        return;
    }
}
