/* SPDX-License-Identifier: MIT */
/* Each rule's answer: what was looked at, or why it cannot be decided. */
#include "run.h"

#include <stdarg.h>
#include <stdio.h>

#define ULL (unsigned long long)

__attribute__((format(printf, 4, 5))) static void answer(struct run *r, unsigned rule, bool decided,
                                                         const char *fmt, ...)
{
    struct pv_rule *to = &r->out->rule[rule];
    to->answer = to->findings ? PV_BROKEN : decided ? PV_HOLDS : PV_UNDECIDABLE;
    va_list args;
    va_start(args, fmt);
    vsnprintf(to->why, sizeof(to->why), fmt, args);
    va_end(args);
}

/* The rules of tables can be answered when there are tables, and all of them. */
static bool tables_decide(const struct run *r)
{
    return r->out->tables > 0 && r->out->missing == 0;
}

static const char *tables_why(const struct run *r, char *to, size_t size)
{
    if (r->v->width != 8)
        snprintf(to, size, "tables of 32-bit guests are not looked at");
    else if (r->out->tables == 0)
        snprintf(to, size, "no root is known that leads to a table");
    else if (r->out->missing)
        snprintf(to, size,
                 "%llu of the tables in use are not in the image; in %llu that are, %llu entries",
                 ULL r->out->missing, ULL r->out->tables, ULL r->out->entries);
    else if (r->more_roots)
        snprintf(
            to, size,
            "%llu tables, %llu entries, from %llu loaded roots and %llu found by what they hold",
            ULL r->out->tables, ULL r->out->entries, ULL r->roots, ULL r->more_roots);
    else
        snprintf(to, size, "%llu tables, %llu entries, from %llu loaded roots and %llu pins",
                 ULL r->out->tables, ULL r->out->entries, ULL r->roots, ULL r->pins);
    return to;
}

static void answer_counts(struct run *r, const char *tables)
{
    if (r->no_context)
        answer(r, 1, false, "%s; what the vCPU holds is not in the image", tables);
    else if (!r->counted && r->v->width == 8)
        answer(r, 1, tables_decide(r), "%s: every count is as the frame table has it%s", tables,
               r->held_for_hypervisor ? ", but for a frame held as vcpu_info" : "");
    else
        answer(r, 1, tables_decide(r), "%s; the counts themselves are in no such image", tables);
}

static void answer_validation(struct run *r, const char *tables)
{
    bool told = r->v->backend->told && r->missing_told == 0;
    if (!tables_decide(r))
        answer(r, 4, false, "%s", tables);
    else if (!r->counted)
        answer(r, 4, true, "every table in use is validated");
    else if (told)
        answer(r, 4, true,
               "every table in use has its type in the image; %llu with a type are in no use that "
               "is known",
               ULL r->told_idle);
    else
        answer(r, 4, false, "the image does not tell which tables were validated");
}

static void answer_pins(struct run *r)
{
    const unsigned long long roots = r->roots, pins = r->pins;
    if (r->v->width != 8)
        answer(r, 5, false, "tables of 32-bit guests are not looked at");
    else if (!r->counted)
        answer(r, 5, true, "%llu loaded roots, and every pin is a use", roots);
    else if (r->v->backend->told)
        answer(r, 5, roots + pins > 0, "%llu loaded roots and %llu pins have their types", roots,
               pins);
    else
        answer(r, 5, false,
               "the image does not tell what is pinned; %llu loaded roots are the guest's", roots);
}

static void answer_lists(struct run *r)
{
    bool lists = r->p && r->lists;
    const char *table = r->v->portable  ? "the image has pfns alone"
                        : r->v->has_m2p ? "m2p has one pfn for each frame"
                                        : "the image's table has one frame for each pfn";
    if (lists)
        answer(r, 7, true, "%s, and what the guest publishes was compared with it", table);
    else if (r->list_stale)
        answer(r, 7, false, "the guest's list has frames of before its suspend");
    else if (r->p)
        answer(r, 7, false, "%s; the guest publishes no list", table);
    else
        answer(r, 7, false, "%s; the guest's lists were not looked at", table);
}

static void answer_foreign(struct run *r, const char *tables)
{
    bool decided = tables_decide(r) && (!r->counted || r->outside == 0 || r->v->portable);
    if (decided && !r->counted)
        answer(r, 8, true, "no table names another domain's frame");
    else if (decided)
        answer(r, 8, true, "no L1 entry names a frame that is not the guest's");
    else if (tables_decide(r))
        answer(r, 8, false,
               "%llu L1 entries name frames that are not the guest's: shared_info, grant tables, "
               "devices, or another domain's",
               ULL r->outside);
    else
        answer(r, 8, false, "%s", tables);
}

void check_answer(struct run *r)
{
    char text[160];
    const char *tables = tables_why(r, text, sizeof(text));
    answer_counts(r, tables);
    answer(r, 2, tables_decide(r), "%s, %llu descriptor pages", tables, ULL r->descriptors);
    answer(r, 3, tables_decide(r), "%s", tables);
    answer_validation(r, tables);
    answer_pins(r);
    answer(r, 6, tables_decide(r), "%s", tables);
    answer_lists(r);
    answer_foreign(r, tables);
    answer(r, 9, false, "an image has no TLBs");
    if (!r->counted && r->v->width == 8)
        answer(r, 10, true,
               "no frame's state contradicts itself; what requests were answered is in no image");
    else
        answer(r, 10, false, "the image has no frame table, nor what requests were answered");
}
