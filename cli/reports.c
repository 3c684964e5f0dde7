/* SPDX-License-Identifier: MIT */
#include "reports.h"

#include <ctype.h>

#include <pvmm/report.h>

static void copy_out(void *to, const volatile void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
}

static const volatile struct pvmm_reports *known(const struct mailbox *m)
{
    const volatile struct pvmm_reports *all;

    if (m->box == NULL)
        return NULL;
    all = &m->box->reports;
    if (all->version != PVMM_REPORTS_VERSION || all->report_bytes != sizeof(struct pvmm_report))
        return NULL;
    return all;
}

unsigned reports_filed(const struct mailbox *m)
{
    const volatile struct pvmm_reports *all = known(m);
    const uint32_t filed = all != NULL ? all->filed : 0;

    return filed < PVMM_REPORTS ? filed : PVMM_REPORTS;
}

static void limit(uint32_t *n, uint32_t most)
{
    if (*n > most)
        *n = most;
}

static void make_printable(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (; *text != '\0'; text++)
        if (!isprint((unsigned char)*text))
            *text = ' ';
}

static void check_frame(struct pvmm_frame_state *f)
{
    limit(&f->type, PVMM_FRAME_TYPES); /* one beyond the last: no type */
    if (f->mfn != PVMM_NONE && f->mfn > PVMM_RECORD_ADDRESS >> 12)
        f->mfn = PVMM_NONE;
}

/* Levels index tables of names and of entries, slots are printed. */
static bool level_ok(uint32_t level, uint32_t slot)
{
    return level >= 1 && level <= 4 && slot < 512;
}

static bool check_holders(struct pvmm_report *r)
{
    const uint32_t kept = r->holders < PVMM_REPORT_HOLDERS ? r->holders : PVMM_REPORT_HOLDERS;

    for (uint32_t i = 0; i < kept; i++) {
        const struct pvmm_holder *h = &r->holder[i];

        if (h->kind < PVMM_HOLDER_ENTRY || h->kind > PVMM_HOLDER_LEFTOVER)
            return false;
        if (h->kind == PVMM_HOLDER_ENTRY && !level_ok(h->level, h->slot))
            return false;
    }
    return true;
}

static bool check(struct pvmm_report *r)
{
    if (r->kind < PVMM_REPORT_REFUSAL || r->kind > PVMM_REPORT_CRASH ||
        r->request > PVMM_REQUEST_LDT)
        return false;
    limit(&r->steps, PVMM_REPORT_PATH);
    limit(&r->stack_words, PVMM_REPORT_STACK);
    limit(&r->code_bytes, PVMM_REPORT_CODE);
    limit(&r->wanted, PVMM_FRAME_TYPES);
    for (uint32_t i = 0; i < r->steps; i++)
        if (!level_ok(r->path[i].level, r->path[i].slot))
            return false;
    check_frame(&r->frame);
    make_printable(r->message, sizeof(r->message));
    return check_holders(r);
}

bool reports_copy(const struct mailbox *m, unsigned index, struct pvmm_report *r)
{
    const volatile struct pvmm_reports *all = known(m);

    if (all == NULL || index >= reports_filed(m))
        return false;
    copy_out(r, &all->report[index], sizeof(*r));
    return check(r);
}

uint64_t reports_count(const struct mailbox *m, unsigned index)
{
    const volatile struct pvmm_reports *all = known(m);

    return all != NULL && index < reports_filed(m) ? all->report[index].count : 0;
}

struct reports_sum reports_sum(const struct mailbox *m)
{
    const volatile struct pvmm_reports *all = known(m);

    if (all == NULL)
        return (struct reports_sum){.known = false};
    return (struct reports_sum){true, all->broken, all->not_kept};
}

bool reports_machine(const struct mailbox *m, struct pvmm_machine *machine)
{
    if (m->box == NULL || m->box->machine.version != PVMM_MACHINE_VERSION)
        return false;
    copy_out(machine, &m->box->machine, sizeof(*machine));
    return true;
}

bool reports_recorder(const struct mailbox *m, struct pvmm_recorder *r)
{
    if (m->box == NULL || m->box->recorder.version != PVMM_RECORDER_VERSION)
        return false;
    copy_out(r, &m->box->recorder, sizeof(*r));
    return true;
}
