/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include "exitcodes.h"
#include "explain_print.h"
#include "jsonput.h"

static struct json_object *hypercalls(const struct pvmm_verdict *v)
{
    struct json_object *all = json_object_new_object();

    for (unsigned i = 0; i < PVMM_HYPERCALLS; i++) {
        struct json_object *one;
        char number[16];

        if (v->hypercalls[i] == 0)
            continue;
        one = json_object_new_object();
        put_int(one, "number", i);
        put_int(one, "count", v->hypercalls[i]);
        put_int(one, "refused", v->refused[i]);
        snprintf(number, sizeof(number), "%u", i);
        put(all, hypercall_name(i) != NULL ? hypercall_name(i) : number, one);
    }
    return all;
}

static struct json_object *frames(const struct pvmm_verdict *v)
{
    struct json_object *all = json_object_new_object();

    put_int(all, "given", v->guest_frames);
    for (unsigned i = 0; i < PVMM_FRAME_TYPES; i++)
        put_int(all, frame_type_name(i), v->frames_by_type[i]);
    put_int(all, "pinned", v->frames_pinned);
    return all;
}

static struct json_object *audit(const struct pvmm_audit *a)
{
    struct json_object *o = json_object_new_object();
    struct json_object *texts = json_object_new_array();

    put_bool(o, "taken", a->taken != 0);
    put_bool(o, "clean", a->taken != 0 && a->findings == 0);
    put_int(o, "findings", a->findings);
    put_int(o, "frames", a->frames);
    put_int(o, "tables", a->tables);
    put_int(o, "entries", a->entries);
    for (unsigned i = 0; i < PVMM_FINDINGS && i < a->findings; i++)
        json_object_array_add(texts, json_object_new_string(a->finding[i]));
    put(o, "first", texts);
    return o;
}

static void put_verdict(struct json_object *o, const struct pvmm_verdict *v)
{
    put_int(o, "shutdown_reason", v->shutdown_reason);
    put_int(o, "ns_to_user", v->ns_to_user);
    put_int(o, "ns_total", v->ns_total);
    put_int(o, "seed", v->seed);
    put(o, "hypercalls", hypercalls(v));
    put_int(o, "unknown_hypercalls", v->unknown_hypercalls);
    put_int(o, "refused_requests", v->refused_requests);
    put(o, "frames", frames(v));
    put_int(o, "tlb_flushes", v->tlb_flushes);
    put_int(o, "tlb_page_flushes", v->tlb_page_flushes);
    put_int(o, "root_switches", v->root_switches);
    put_int(o, "exceptions_bounced", v->exceptions_bounced);
    put_int(o, "events_delivered", v->events_delivered);
    put_int(o, "emulated_instructions", v->emulated_instructions);
    put_int(o, "emulated_table_writes", v->emulated_table_writes);
    put(o, "audit", audit(&v->audit));
    put_int(o, "own_frames", v->own_frames);
    put_int(o, "boot_ticks", v->boot_ticks);
    put_int(o, "suspends", v->suspends);
}

static struct json_object *reports(const struct explainer *x)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < x->count; i++)
        json_object_array_add(all, explain_json(x->list[i]));
    return all;
}

static struct json_object *contract(const struct explainer *x)
{
    struct json_object *o;

    if (!x->sum.known)
        return NULL;
    o = json_object_new_object();
    put_int(o, "broken", x->sum.broken);
    put_int(o, "not_kept", x->sum.not_kept);
    return o;
}

static struct json_object *publication(const struct explainer *x)
{
    const struct pv_publication *p = &x->publication;
    struct json_object *o;

    if (!x->checked)
        return NULL;
    o = json_object_new_object();
    put_bool(o, "published", p->published);
    put_bool(o, "linear", p->linear);
    put_int(o, "max_pfn", p->max_pfn);
    put_int(o, "populated", p->populated);
    put_int(o, "covered", p->covered);
    put_int(o, "gaps", p->gaps);
    put_int(o, "nameless", p->nameless);
    put_int(o, "doubled", p->doubled);
    put_int(o, "idle_roots", p->idle_roots);
    put_bool(o, "initial_idle", p->initial_idle);
    return o;
}

static struct json_object *recorder(const struct explainer *x)
{
    struct json_object *o;

    if (!x->has_recorder)
        return NULL;
    o = json_object_new_object();
    put_int(o, "records", x->recorder.records);
    put_int(o, "written", x->recorder.written);
    return o;
}

static struct json_object *core(const struct core_facts *c)
{
    struct json_object *o;

    if (!c->written && c->why[0] == '\0')
        return NULL;
    o = json_object_new_object();
    put_text(o, "path", c->path);
    put_bool(o, "written", c->written);
    put_int(o, "bytes", c->bytes);
    put_text(o, "error", c->why[0] != '\0' ? c->why : NULL);
    return o;
}

static void put_explanations(struct json_object *o, const struct report *r)
{
    if (r->explainer == NULL)
        return;
    put_int(o, "explain_schema", EXPLAIN_SCHEMA);
    put(o, "contract", contract(r->explainer));
    put(o, "reports", reports(r->explainer));
    put(o, "publication", publication(r->explainer));
    put(o, "recorder", recorder(r->explainer));
    put(o, "core", core(&r->core));
}

struct json_object *report_to_json(const struct report *r)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "format", 1);
    put_bool(o, "clean", r->exit_code == EXIT_CLEAN);
    put_int(o, "exit_code", (uint64_t)r->exit_code);
    put_text(o, "outcome", r->outcome);
    put_text(o, "message", r->message);
    put_text(o, "kernel", r->kernel);
    put_text(o, "hypervisor", r->hypervisor);
    put_text(o, "accel", r->accel);
    put_int(o, "memory", r->memory);
    put(o, "wall_seconds", json_object_new_double(r->facts.wall));
    put_bool(o, "verdict_complete", r->facts.ended);
    if (r->facts.has_verdict)
        put_verdict(o, &r->facts.verdict);
    put_explanations(o, r);
    return o;
}

int report_json(const struct report *r, FILE *out)
{
    struct json_object *o = report_to_json(r);
    const int flags =
        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;

    fprintf(out, "%s\n", json_object_to_json_string_ext(o, flags));
    json_object_put(o);
    return ferror(out) || fflush(out) != 0 ? -1 : 0;
}
