/* SPDX-License-Identifier: MIT */
/* The findings: all are counted, the first of each code are kept. */
#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define KEPT_EACH 16u

struct frame_name check_name_real(const struct run *r, mfn_t m)
{
    struct frame_name name;
    pfn_t p = r->v->backend->pfn_of(r->v, m);
    const unsigned long long n = m.n;
    if (r->v->portable)
        snprintf(name.text, sizeof(name.text), "pfn %llx", n);
    else if (p.n == NO_PFN.n)
        snprintf(name.text, sizeof(name.text), "mfn %llx", n);
    else
        snprintf(name.text, sizeof(name.text), "mfn %llx (pfn %llx)", n, (unsigned long long)p.n);
    return name;
}

struct frame_name check_name(const struct run *r, mfn_t m)
{
    return check_name_real(r, check_real(r, m));
}

static bool make_room(struct run *r)
{
    if (r->out->kept < r->room)
        return true;
    size_t room = r->room ? 2 * r->room : 16;
    struct pv_finding *finding = reallocarray(r->out->finding, room, sizeof(*finding));
    if (finding)
        r->out->finding = finding;
    struct entry_place *place = finding ? reallocarray(r->place, room, sizeof(*place)) : NULL;
    if (!place) {
        r->ending = NO_MEMORY;
        return false;
    }
    r->place = place;
    r->room = room;
    return true;
}

/* NULL: it is only counted. */
static struct pv_finding *new_finding(struct run *r, enum code code, struct entry_place at)
{
    struct pv_check *out = r->out;
    uint64_t keep = r->options->keep ? r->options->keep : KEPT_EACH;
    out->findings++;
    out->rule[pv_codes[code].rule].findings++;
    if (r->out->of_code[code]++ >= keep || !make_room(r))
        return NULL;
    r->place[out->kept] = at;
    out->finding[out->kept] = (struct pv_finding){
        .code = pv_codes[code].code,
        .rule = pv_codes[code].rule,
        .frame = NO_MFN,
        .pfn = NO_PFN,
        .at = {~0ull},
        .count = 1,
    };
    return &out->finding[out->kept++];
}

void check_add(struct run *r, enum code code, mfn_t frame, struct entry_place at, const char *fmt,
               ...)
{
    struct pv_finding *f = new_finding(r, code, at);
    if (!f)
        return;
    f->frame = check_real(r, frame);
    if (!mfn_eq(f->frame, NO_MFN))
        f->pfn = r->v->backend->pfn_of(r->v, f->frame);
    if (!mfn_eq(at.table, NO_MFN)) {
        f->at = mfn_address(check_real(r, at.table), at.slot * 8);
        f->entry = at.entry;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, args);
    va_end(args);
}

void check_add_pfns(struct run *r, enum code code, pfn_t first, uint64_t count, mfn_t frame,
                    maddr_t at, const char *fmt, ...)
{
    struct pv_finding *f = new_finding(r, code, NO_ENTRY);
    if (!f)
        return;
    f->pfn = first;
    f->count = count;
    f->frame = frame;
    f->at = at;
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, args);
    va_end(args);
}

void check_forget(struct run *r)
{
    for (unsigned code = 0; code < CODES; code++) {
        r->out->rule[pv_codes[code].rule].findings -= r->out->of_code[code];
        r->out->findings -= r->out->of_code[code];
        r->out->of_code[code] = 0;
    }
    r->out->kept = 0;
}

void check_find_places(struct run *r)
{
    mfn_t prefer = check_number(r, r->v->kernel_root);
    for (size_t i = 0; i < r->out->kept; i++) {
        const struct entry_place *at = &r->place[i];
        if (mfn_eq(at->table, NO_MFN) || at->level == 0)
            continue;
        struct core_place p = core_place_of(&r->core, at->table, at->level, at->slot, prefer);
        r->out->finding[i].va = p.va;
        r->out->finding[i].has_va = p.top_level == TYPE_L4;
    }
}
