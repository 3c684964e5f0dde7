/* SPDX-License-Identifier: MIT */
/* An inspection for programs: one document. Frames and addresses are strings in hexadecimal. */
#include "inspect.h"

#include <stdio.h>

#include "jsonput.h"

static void put_guest_text(struct json_object *o, const char *key, const char *text, size_t n)
{
    char clean[PV_CMD_LINE + 1];

    guest_text(clean, sizeof(clean), text, n);
    put_text_or_null(o, key, clean);
}

/* A frame, with its pfn where that is another number. */
static void put_frame(const struct inspection *s, struct json_object *o, const char *key, mfn_t m)
{
    struct json_object *f;
    const pfn_t at = inspect_pfn_of(s, m);

    if (m.n == NO_MFN.n) {
        put(o, key, NULL);
        return;
    }
    f = json_object_new_object();
    if (!s->v->portable)
        put_hex(f, "mfn", m.n);
    put(f, "pfn", at.n == NO_PFN.n ? NULL : json_hex(at.n));
    put(o, key, f);
}

static struct json_object *domains(const struct inspection *s)
{
    struct json_object *list = json_object_new_array();

    for (unsigned i = 0; i < s->v->nr_domains; i++) {
        const struct pv_domain *d = &s->v->domain[i];
        struct json_object *o = json_object_new_object();

        put(o, "id", d->id >= 0 ? json_object_new_int(d->id) : NULL);
        put_guest_text(o, "name", d->name, sizeof(d->name));
        put_guest_text(o, "uuid", d->uuid, sizeof(d->uuid));
        put_int(o, "pages", d->pages);
        put_bool(o, "chosen", i == s->v->chosen);
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *vcpus(const struct inspection *s)
{
    struct json_object *list = json_object_new_array();

    for (unsigned i = 0; i < s->v->nr_vcpus; i++) {
        const struct pv_vcpu *c = &s->v->vcpu[i];
        struct json_object *o = json_object_new_object();

        put_bool(o, "valid", c->valid);
        if (c->valid) {
            put_frame(s, o, "root", c->kernel_root);
            put_frame(s, o, "user_root", c->user_root);
            put_hex(o, "rip", c->rip);
            put_hex(o, "rsp", c->rsp);
            put_hex(o, "rflags", c->rflags);
            put_bool(o, "in_kernel", c->in_kernel);
        }
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *shared(const struct inspection *s)
{
    struct json_object *o;

    if (s->no_arch[0] != '\0')
        return NULL;
    o = json_object_new_object();
    put_hex(o, "max_pfn", s->arch.max_pfn);
    put_hex(o, "pfn_to_mfn_frame_list_list", s->arch.list_list);
    put_hex(o, "p2m_cr3", s->arch.p2m_cr3);
    put_hex(o, "p2m_vaddr", s->arch.p2m_vaddr);
    put_hex(o, "p2m_generation", s->arch.p2m_generation);
    return o;
}

static struct json_object *start(const struct inspection *s)
{
    const struct pv_start_info *i = s->start;
    struct json_object *o;

    if (i == NULL)
        return NULL;
    o = json_object_new_object();
    put_frame(s, o, "frame", i->frame);
    put_guest_text(o, "magic", i->magic, sizeof(i->magic));
    put_int(o, "nr_pages", i->nr_pages);
    put_hex(o, "shared_info", i->shared_info.a);
    put_hex(o, "flags", i->flags);
    put_hex(o, "store_frame", i->store_frame);
    put_hex(o, "console_frame", i->console_frame);
    put_hex(o, "mfn_list", i->mfn_list.a);
    put_guest_text(o, "cmd_line", i->cmd_line, sizeof(i->cmd_line));
    return o;
}

static struct json_object *sources(const struct inspection *s)
{
    struct json_object *list = json_object_new_array();

    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        const struct pv_p2m_source *is = pv_p2m_source(s->p, k);
        struct json_object *o = json_object_new_object();

        put_text_or_null(o, "name", pv_p2m_name(k));
        put_bool(o, "there", is->there);
        put_text_or_null(o, "how", is->how);
        if (is->there) {
            put_bool(o, "stale", is->stale);
            put_hex(o, "end", is->end);
            put_int(o, "frames", s->sum.has[k]);
        }
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *range(const struct inspection *s, const struct pv_p2m_range *r)
{
    struct json_object *o = json_object_new_object(), *entries = json_object_new_object();
    struct json_object *differ = json_object_new_array();

    put_hex(o, "first", r->first.n);
    put_hex(o, "last", r->last.n);
    put_bool(o, "recovered", r->recovered);
    put_text_or_null(o, "from", pv_p2m_name(r->from));
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        if (!pv_p2m_source(s->p, k)->there)
            continue;
        put(entries, pv_p2m_name(k), p2m_entry_json(pv_p2m_source(s->p, k), &r->entry[k]));
        if (r->differs & 1u << k)
            json_object_array_add(differ, json_object_new_string(pv_p2m_name(k)));
    }
    put(o, "differs", differ);
    put(o, "entries", entries);
    return o;
}

static struct json_object *compared(const struct inspection *s)
{
    struct json_object *o = json_object_new_object(), *ranges = json_object_new_array();
    enum pv_p2m_kind k;

    put_text_or_null(o, "published", pv_p2m_publishes(s->p, &k) ? pv_p2m_name(k) : NULL);
    put_int(o, "pfns", s->sum.pfns);
    put_int(o, "agreed", s->sum.agreed);
    put_int(o, "disagreed", s->sum.disagreed);
    put_int(o, "recovered", s->sum.recovered);
    put_int(o, "ranges", s->sum.ranges);
    for (size_t i = 0; i < s->ranges; i++)
        json_object_array_add(ranges, range(s, &s->range[i]));
    put(o, "first_ranges", ranges);
    return o;
}

void inspect_json(const struct inspection *s)
{
    const struct pv_view *v = s->v;
    struct json_object *o = json_object_new_object();

    put_int(o, "format", INSPECT_FORMAT);
    put_text_or_null(o, "file", s->path);
    put_int(o, "bytes", s->bytes);
    put_text_or_null(o, "spooled_from", s->compression);
    put_text_or_null(o, "kind", v->kind);
    put_text_or_null(o, "hypervisor", v->xen);
    put_text_or_null(o, "lost", v->lost);
    put(o, "domains", domains(s));
    put_int(o, "width", v->width);
    put_bool(o, "portable", v->portable);
    put_int(o, "pages", v->nr_pages);
    put(o, "highest_pfn", v->end_pfn.n ? json_hex(v->end_pfn.n - 1) : NULL);
    put_int(o, "holes", inspect_holes(s));
    put_text_or_null(o, "kernel", s->banner);
    put_text_or_null(o, "no_symbols", s->image->no_symbols);
    put(o, "vcpus", vcpus(s));
    put(o, "shared_info", shared(s));
    put(o, "start_info", start(s));
    put(o, "p2m_sources", sources(s));
    put(o, "p2m_compared", compared(s));
    printf("%s\n",
           json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                 JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}
