/* SPDX-License-Identifier: MIT */
/* Explanations for programs: docs/explain.md has every field. */
#include "explain_print.h"

#include <inttypes.h>
#include <string.h>

#include "jsonput.h"
#include "verdict.h"

/* A number for which there may be none. */
static void put_hex_or_null(struct json_object *o, const char *key, uint64_t value)
{
    put(o, key, value != PVMM_NONE ? json_hex(value) : NULL);
}

static void put_index(struct json_object *o, const char *key, uint64_t value)
{
    put(o, key, value != PVMM_NONE ? json_object_new_uint64(value) : NULL);
}

static void put_seconds(struct json_object *o, bool timed, double seconds)
{
    char digits[40];

    snprintf(digits, sizeof(digits), "%.9f", seconds);
    put(o, "seconds", timed ? json_object_new_double_s(seconds, digits) : NULL);
}

/* Names with blanks between them. */
static struct json_object *words(const char *text)
{
    struct json_object *all = json_object_new_array();

    while (*text != '\0') {
        const size_t n = strcspn(text, " ");

        json_object_array_add(all, json_object_new_string_len(text, (int)n));
        text += n + strspn(text + n, " ");
    }
    return all;
}

static struct json_object *symbol(const struct explain_symbol *s)
{
    struct json_object *o = json_object_new_object();

    put_hex(o, "address", s->address);
    put_text_or_null(o, "symbol", s->known ? s->symbol.name : NULL);
    put_text_or_null(o, "module", s->known ? s->symbol.module : NULL);
    put(o, "offset", s->known ? json_hex(s->symbol.offset) : NULL);
    return o;
}

static struct json_object *entry(const struct explain_entry *e)
{
    struct json_object *o = json_object_new_object();

    put_hex(o, "value", e->value);
    put_bool(o, "present", e->present);
    put_hex(o, "mfn", e->mfn);
    put_hex_or_null(o, "pfn", e->pfn);
    put(o, "flags", words(e->flags));
    return o;
}

static const char *act_name(unsigned act)
{
    static const char *const names[PVMM_ACTS] = {
        "none",  "entry", "store",   "type",  "release", "pin",
        "unpin", "root",  "refused", "given", "freed",   "m2p",
    };

    return act < PVMM_ACTS ? names[act] : "unknown";
}

static struct json_object *witness(const struct explain_witness *w)
{
    static const char *const answers[] = {
        [WITNESS_OFF] = "recorder-off",    [WITNESS_SEEN] = "seen",
        [WITNESS_VALIDATED] = "validated", [WITNESS_OLDER] = "older-than-recorder",
        [WITNESS_BEFORE] = "before-start", [WITNESS_UNSEEN] = "unseen",
    };
    struct json_object *o;

    if (!w->asked)
        return NULL;
    o = json_object_new_object();
    put_text_or_null(o, "answer", answers[w->w.answer]);
    put_text_or_null(o, "text", w->text);
    if (w->w.answer != WITNESS_SEEN && w->w.answer != WITNESS_VALIDATED)
        return o;
    put_int(o, "record", w->w.index);
    put_text_or_null(o, "act", act_name(record_act(&w->w.record)));
    put(o, "rip", symbol(&w->rip));
    put_seconds(o, w->timed, w->seconds);
    return o;
}

static struct json_object *request(const struct explanation *x)
{
    const struct explain_request *q = &x->request;
    const struct pvmm_report *r = &x->report;
    struct json_object *o = json_object_new_object();
    struct json_object *args = json_object_new_array();
    struct json_object *element = json_object_new_array();

    put_text_or_null(o, "how", q->how);
    put_text_or_null(o, "text", q->text);
    put_text_or_null(o, "hypercall", q->name);
    put_index(o, "number", r->hypercall);
    put_text_or_null(o, "command", q->command);
    put_index(o, "multicall_index", r->multicall_index);
    put_index(o, "batch_index", r->batch_index);
    put_int(o, "batch_count", r->batch_count);
    for (unsigned i = 0; i < q->args; i++) {
        struct json_object *one = json_object_new_object();

        put_text_or_null(one, "name", q->arg[i].name);
        put_hex(one, "value", q->arg[i].value);
        put_text_or_null(one, "meaning", q->arg[i].meaning);
        json_object_array_add(args, one);
    }
    put(o, "arguments", args);
    for (unsigned i = 0; i < 3 && r->batch_index != PVMM_NONE; i++)
        json_object_array_add(element, json_hex(r->element[i]));
    put(o, "element", element);
    return o;
}

static struct json_object *frame(const struct explanation *x)
{
    const struct pvmm_frame_state *f = &x->report.frame;
    struct json_object *o;

    if (!x->frame.there)
        return NULL;
    o = json_object_new_object();
    put_hex(o, "mfn", f->mfn);
    put_bool(o, "known", f->known != 0);
    put_hex_or_null(o, "pfn", f->pfn);
    put(o, "owner", f->owner >= 0 ? json_object_new_int(f->owner) : NULL);
    put_text_or_null(o, "owned_by", x->frame.owner);
    put_text_or_null(o, "type", x->frame.type);
    put_int(o, "uses", f->uses);
    put_int(o, "references", f->references);
    put(o, "flags", words(x->frame.flags));
    put(o, "p2m", x->frame.p2m_known ? json_hex(x->frame.p2m) : NULL);
    put_hex_or_null(o, "mfn_of_that_pfn", x->frame.m2p_back);
    put_text_or_null(o, "text", x->frame.text);
    put(o, "made", witness(&x->frame.maker));
    return o;
}

static struct json_object *one_step(const struct explain_step *s, uint64_t table, unsigned level,
                                    unsigned slot)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "level", level);
    put_hex(o, "table", table);
    put_int(o, "slot", slot);
    put(o, "entry", entry(&s->entry));
    return o;
}

static struct json_object *path(const struct explanation *x)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < x->steps; i++)
        json_object_array_add(all, one_step(&x->step[i], x->report.path[i].table,
                                            x->report.path[i].level, x->report.path[i].slot));
    return all;
}

static struct json_object *walk(const struct explanation *x)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < x->walked; i++) {
        const unsigned level = 4 - i;
        const uint64_t at = x->report.walk_at[level];

        json_object_array_add(all, one_step(&x->walk[i], at >> 12, level, (at & 0xfff) / 8));
    }
    return all;
}

static struct json_object *place(const struct pvmm_place *p)
{
    struct json_object *o;

    if (p->top_level == 0)
        return NULL;
    o = json_object_new_object();
    put_hex(o, "va", p->va);
    put_bool(o, "va_whole", p->top_level == 4);
    put_hex(o, "top", p->top);
    put_int(o, "top_level", p->top_level);
    put_bool(o, "top_pinned", p->top_flags & PVMM_FRAME_PINNED);
    put_bool(o, "top_loaded", p->top_flags & (PVMM_FRAME_KERNEL_ROOT | PVMM_FRAME_USER_ROOT));
    put_bool(o, "top_builders", p->top_flags & PVMM_FRAME_BUILDERS);
    return o;
}

static struct json_object *holder(const struct explain_holder *h, const struct pvmm_holder *r)
{
    struct json_object *o = json_object_new_object();

    put_text_or_null(o, "kind", h->kind);
    put_bool(o, "conflicts", h->conflicts);
    put_text_or_null(o, "text", h->text);
    if (r->kind == PVMM_HOLDER_ENTRY) {
        put_int(o, "level", r->level);
        put_hex(o, "table", r->table);
        put_int(o, "slot", r->slot);
        put_hex(o, "at", r->at);
        put(o, "entry", entry(&h->entry));
        put(o, "place", place(&r->place));
        put_text_or_null(o, "tree", h->tree);
    } else {
        put_int(o, "vcpu", r->vcpu);
    }
    put(o, "made", witness(&h->maker));
    return o;
}

static struct json_object *holders(const struct explanation *x)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < x->holders; i++)
        json_object_array_add(all, holder(&x->holder[i], &x->report.holder[i]));
    return all;
}

struct json_object *explain_symbol_json(const struct explain_symbol *s)
{
    return symbol(s);
}

struct json_object *explain_entry_json(const struct explain_entry *e)
{
    return entry(e);
}

struct json_object *explain_calls_json(const struct explain_call *call, unsigned n)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < n; i++) {
        struct json_object *o = symbol(&call[i].at);

        put_hex(o, "sp", call[i].sp);
        put_bool(o, "certain", call[i].certain);
        json_object_array_add(all, o);
    }
    return all;
}

static struct json_object *registers(const struct pvmm_regs *r)
{
    struct json_object *o = json_object_new_object();

#define PUT(name) put_hex(o, #name, r->name)
    PUT(rax), PUT(rbx), PUT(rcx), PUT(rdx), PUT(rsi), PUT(rdi), PUT(rbp), PUT(rsp);
    PUT(r8), PUT(r9), PUT(r10), PUT(r11), PUT(r12), PUT(r13), PUT(r14), PUT(r15);
    PUT(rip), PUT(rflags), PUT(cs), PUT(ss);
#undef PUT
    return o;
}

static struct json_object *guest(const struct explanation *x)
{
    const struct pvmm_report *r = &x->report;
    struct json_object *o = json_object_new_object();

    put_int(o, "vcpu", r->vcpu);
    put_bool(o, "in_kernel", r->in_kernel != 0);
    put_hex_or_null(o, "kernel_root", r->kernel_root);
    put_hex_or_null(o, "user_root", r->user_root);
    put(o, "origin", symbol(&x->origin));
    put_text_or_null(o, "instruction", x->instruction);
    put(o, "registers", registers(&r->regs));
    put(o, "stack", explain_calls_json(x->call, x->calls));
    return o;
}

static void put_report(struct json_object *o, const struct explanation *x)
{
    const struct pvmm_report *r = &x->report;

    put_int(o, "recorded", r->recorded);
    put(o, "request", request(x));
    put_text_or_null(o, "wanted",
                     r->wanted != PVMM_FRAME_NONE && r->wanted < PVMM_FRAME_TYPES
                         ? frame_type_name(r->wanted)
                         : NULL);
    put_hex(o, "value", r->value);
    put(o, "address", r->address != PVMM_NONE ? symbol(&x->target) : NULL);
    put(o, "frame", frame(x));
    put(o, "path", path(x));
    put(o, "place", place(&r->place));
    put(o, "walk", walk(x));
    put_int(o, "holders_found", x->holders_found);
    put(o, "holders", holders(x));
    put(o, "guest", guest(x));
}

static struct json_object *gaps(const struct explanation *x)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < x->gaps; i++) {
        const struct explain_gap *g = &x->gap[i];
        struct json_object *o = json_object_new_object();

        put_hex(o, "first_pfn", g->first);
        put_hex(o, "last_pfn", g->last);
        put_hex_or_null(o, "mfn", g->is);
        put_hex_or_null(o, "listed", g->listed);
        json_object_array_add(all, o);
    }
    return all;
}

static struct json_object *hints(const struct explanation *x)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < x->hints; i++) {
        struct json_object *o = json_object_new_object();

        put_text_or_null(o, "code", x->hint[i].code);
        put_text_or_null(o, "text", x->hint[i].text);
        json_object_array_add(all, o);
    }
    return all;
}

struct json_object *explain_json(const struct explanation *x)
{
    static const char *const weights[] = {"breach", "fault", "crash", "finding", "note"};
    struct json_object *o = json_object_new_object();

    put_text_or_null(o, "id", x->id);
    put_text_or_null(o, "code", x->code);
    put_text_or_null(o, "kind", x->kind);
    put_text_or_null(o, "weight", weights[x->weight]);
    put_text_or_null(o, "text", x->headline);
    put_int(o, "count", x->count);
    put_seconds(o, x->timed, x->seconds);
    put(o, "rule", x->rule != 0 ? json_object_new_int((int)x->rule) : NULL);
    put_text_or_null(o, "rule_text", x->rule_text);
    put(o, "error", x->error != 0 ? json_object_new_int(x->error) : NULL);
    put_text_or_null(o, "errno", x->error_name);
    if (x->has_report)
        put_report(o, x);
    if (strcmp(x->kind, "publication") == 0) {
        put_int(o, "gaps_found", x->gaps_found);
        put(o, "gaps", gaps(x));
    }
    put_text_or_null(o, "unseen_entry", x->unseen[0] != '\0' ? x->unseen : NULL);
    put(o, "hints", hints(x));
    return o;
}

/* ---- records */

struct json_object *explain_record_json(const struct explain_sources *s, uint64_t index,
                                        const struct pvmm_record *r)
{
    struct json_object *o = json_object_new_object();
    struct explain_symbol rip;
    double seconds = 0;
    const bool timed = explain_seconds(s, r->time, &seconds);

    explain_name(s, r->rip, &rip);
    put_int(o, "record", index);
    put_seconds(o, timed, seconds);
    put_text_or_null(o, "act", act_name(record_act(r)));
    put_int(o, "vcpu", record_vcpu(r));
    put_hex(o, "at", record_address(r));
    put_hex(o, "old", r->old);
    put_hex(o, "now", r->now);
    put(o, "rip", symbol(&rip));
    return o;
}

static const char *type_word(uint64_t type)
{
    const char *name = type < PVMM_FRAME_TYPES ? frame_type_name((unsigned)type) : NULL;

    return name != NULL ? name : "?";
}

/* What the words of the record say, by its act (abi/pvmm/recorder.h). */
static void what_words(const struct pvmm_record *r, char *text, size_t size)
{
    const uint64_t at = record_address(r), mfn = at >> 12;

    switch (record_act(r)) {
    case PVMM_ACT_ENTRY:
    case PVMM_ACT_STORE:
        snprintf(text, size, "mfn 0x%" PRIx64 "[%" PRIu64 "] 0x%" PRIx64 " -> 0x%" PRIx64, mfn,
                 (at & 0xfff) / 8, r->old, r->now);
        return;
    case PVMM_ACT_TYPE:
        snprintf(text, size, "mfn 0x%" PRIx64 " %s -> %s", mfn, type_word(r->old),
                 type_word(r->now));
        return;
    case PVMM_ACT_RELEASE:
        snprintf(text, size, "mfn 0x%" PRIx64 " %s -> none", mfn, type_word(r->old));
        return;
    case PVMM_ACT_PIN:
        snprintf(text, size, "mfn 0x%" PRIx64 " as L%" PRIu64, mfn, r->now);
        return;
    case PVMM_ACT_UNPIN:
        snprintf(text, size, "mfn 0x%" PRIx64 " as L%" PRIu64, mfn, r->old);
        return;
    case PVMM_ACT_ROOT:
        snprintf(text, size, "%s mfn 0x%" PRIx64, r->now == 0 ? "kernel" : "user", mfn);
        return;
    case PVMM_ACT_REFUSED:
        snprintf(text, size, "%s (R%" PRIu64 ") at 0x%" PRIx64 ", value 0x%" PRIx64,
                 explain_reason_code(r->old & 0xff), r->old >> 8 & 0xff, at, r->now);
        return;
    case PVMM_ACT_M2P:
        snprintf(text, size, "mfn 0x%" PRIx64 " pfn 0x%" PRIx64 " -> 0x%" PRIx64, mfn, r->old,
                 r->now);
        return;
    default:
        snprintf(text, size, "mfn 0x%" PRIx64, mfn);
        return;
    }
}

void explain_record_text(const struct explain_sources *s, uint64_t index,
                         const struct pvmm_record *r, char *text, size_t size)
{
    struct explain_symbol rip;
    char what[160];
    double seconds = 0;

    explain_seconds(s, r->time, &seconds);
    explain_name(s, r->rip, &rip);
    what_words(r, what, sizeof(what));
    snprintf(text, size, "%10" PRIu64 " %12.6f  %-8s %s  by %s", index, seconds,
             act_name(record_act(r)), what, rip.text);
}
