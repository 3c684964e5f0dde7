/* SPDX-License-Identifier: MIT */
/* The page's META: everything that is not a column. */
#include "gather.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jsonput.h"
#include "startinfo.h"

#define BANNER 256u

struct json_object *symbol_json(const struct gathered *g, uint64_t va)
{
    struct pv_symbol is;
    char text[256];
    struct json_object *o = NULL;
    if (!g->s->symbols || !pv_symbol_at(g->s->symbols, va, &is))
        return NULL;
    snprintf(text, sizeof(text), "%s+0x%llx%s%s%s", is.name, (unsigned long long)is.offset,
             is.module[0] ? " [" : "", is.module, is.module[0] ? "]" : "");
    struct json_object *holder = json_object_new_object();
    put_words(holder, "text", text);
    if (json_object_object_get_ex(holder, "text", &o))
        json_object_get(o);
    json_object_put(holder);
    return o;
}

/* ---- the file and the guest */

static void put_banner(const struct gathered *g, struct json_object *o)
{
    char text[BANNER];
    uint64_t va;
    size_t n = 0;
    if (g->s->symbols && pv_symbol_find(g->s->symbols, "linux_banner", &va))
        n = pv_read_va(g->v, g->v->kernel_root, gva(va), text, sizeof(text) - 1);
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    put_words(o, "kernel", text);
}

static void put_domain(const struct gathered *g, struct json_object *o)
{
    const struct pv_domain *d = &g->v->domain[g->v->chosen];
    struct json_object *domain = json_object_new_object();
    put(domain, "id", d->id >= 0 ? json_object_new_int(d->id) : NULL);
    put_words(domain, "name", d->name);
    put_words(domain, "uuid", d->uuid);
    put(o, "domain", domain);
}

static void put_file(const struct gathered *g, struct json_object *o)
{
    const struct report_subject *s = g->s;
    struct stat st;
    const bool is_file = s->file && stat(s->file, &st) == 0 && S_ISREG(st.st_mode);
    put_words(o, "file", s->file);
    put(o, "bytes", is_file ? json_object_new_uint64((uint64_t)st.st_size) : NULL);
    put_words(o, "kind", g->v->kind);
    put_words(o, "xen", g->v->xen);
    put_words(o, "lost", g->v->lost);
    put_text(o, "detail", g->with_l1 ? "entries" : "tables");
    put_words(o, "left_out", g->left_out);
    put_banner(g, o);
    put_domain(g, o);
}

static void put_guest(const struct gathered *g, struct json_object *o)
{
    const struct pv_view *v = g->v;
    put_int(o, "width", v->width);
    put_bool(o, "portable", v->portable);
    put_int(o, "pages", v->nr_pages);
    put_int(o, "end_pfn", v->end_pfn.n);
    put_int(o, "nr_frames", v->nr_frames);
    put_int(o, "cells", g->cells);
    put_int(o, "tables", g->tables);
    put_int(o, "entries", g->upper_entries + g->l1_entries);
    put_number(o, "shared_info", v->shared_info.n);
    put_number(o, "start_info", v->start_info.n);
}

static struct json_object *kinds_json(const struct gathered *g)
{
    struct json_object *all = json_object_new_array();
    for (unsigned k = 0; k < KINDS; k++) {
        struct json_object *o = json_object_new_object();
        put_text(o, "key", kind_keys[k]);
        put_text(o, "name", kind_names[k]);
        put_int(o, "frames", g->of_kind[k]);
        json_object_array_add(all, o);
    }
    return all;
}

static struct json_object *columns_json(const struct gathered *g)
{
    static const char *const types[] = {NULL, "u8", "u16", NULL, "u32"};
    struct json_object *all = json_object_new_object();
    for (unsigned i = 0; i < COLUMNS; i++) {
        const struct column *c = &g->column[i];
        struct json_object *o = json_object_new_object();
        put_text(o, "type", types[c->bytes]);
        put_int(o, "count", c->count);
        put_text(o, "coding", c->delta ? "delta" : "plain");
        put(all, c->name, o);
    }
    return all;
}

static struct json_object *vcpus_json(const struct gathered *g)
{
    struct json_object *all = json_object_new_array();
    for (unsigned i = 0; i < g->v->nr_vcpus; i++) {
        const struct pv_vcpu *c = &g->v->vcpu[i];
        struct json_object *o;
        if (!c->valid)
            continue;
        o = json_object_new_object();
        put_int(o, "n", i);
        put_number(o, "kernel_root", c->kernel_root.n);
        put_number(o, "user_root", c->user_root.n);
        put_hex(o, "rip", c->rip);
        put(o, "symbol", symbol_json(g, c->rip));
        put_bool(o, "in_kernel", c->in_kernel);
        json_object_array_add(all, o);
    }
    return all;
}

/* ---- ranges of addresses */

static void add_region(struct json_object *all, const char *name, uint64_t from, uint64_t to)
{
    struct json_object *o = json_object_new_object();
    put_text(o, "name", name);
    put_hex(o, "from", from);
    put_hex(o, "to", to);
    json_object_array_add(all, o);
}

static bool find(const struct gathered *g, const char *name, uint64_t *va)
{
    return g->s->symbols && pv_symbol_find(g->s->symbols, name, va);
}

static void add_between(const struct gathered *g, struct json_object *all, const char *name,
                        const char *first, const char *last)
{
    uint64_t from, to;
    if (find(g, first, &from) && find(g, last, &to) && from < to)
        add_region(all, name, from, to - 1);
}

/* Innermost first. Where Linux has what on x86-64: Documentation/arch/x86/x86_64/mm.rst. */
static struct json_object *regions_json(const struct gathered *g)
{
    struct json_object *all = json_object_new_array();
    struct pv_arch_info arch;
    struct pv_error ignored;
    uint64_t va;
    gva_t base;
    add_between(g, all, "kernel text", "_text", "_etext");
    add_between(g, all, "kernel read-only data", "__start_rodata", "__end_rodata");
    add_between(g, all, "kernel data", "_sdata", "_edata");
    add_between(g, all, "kernel bss", "__bss_start", "__bss_stop");
    if (pv_arch_info_read(&arch, g->v, &ignored) == 0 && arch.p2m_cr3 && arch.max_pfn &&
        arch.max_pfn < 1ull << 36)
        add_region(all, "list of frames", arch.p2m_vaddr,
                   arch.p2m_vaddr + arch.max_pfn * g->v->width - 1);
    if (g->s->lists && pv_p2m_map_of_all(g->s->lists, &base) && g->v->end_pfn.n < 1ull << 36)
        add_region(all, "map of all memory", base.a,
                   base.a + (g->v->end_pfn.n << PAGE_SHIFT_4K) - 1);
    if (g->v->width != 8)
        return all;
    if (find(g, "linux_banner", &va)) {
        add_region(all, "kernel image", 0xffffffff80000000, 0xffffffff9fffffff);
        add_region(all, "modules", 0xffffffffa0000000, 0xfffffffffeffffff);
        add_region(all, "fixmap", 0xffffffffff000000, 0xffffffffffffffff);
        add_region(all, "vmalloc", 0xffffc90000000000, 0xffffe8ffffffffff);
        add_region(all, "vmemmap", 0xffffea0000000000, 0xffffeaffffffffff);
        add_region(all, "cpu entry area", 0xfffffe0000000000, 0xfffffe7fffffffff);
        add_region(all, "espfix", 0xffffff0000000000, 0xffffff7fffffffff);
    }
    add_region(all, "user", 0, 0x00007fffffffffff);
    add_region(all, "hypervisor", 0xffff800000000000, 0xffff87ffffffffff);
    add_region(all, "kernel", 0xffff880000000000, 0xffffffffffffffff);
    return all;
}

static struct json_object *symbols_json(const struct gathered *g)
{
    static const char *const names[] = {
        "linux_banner",
        "init_task",
        "init_mm",
        "swapper_pg_dir",
        "init_top_pgt",
        "level3_kernel_pgt",
        "level2_fixmap_pgt",
        "xen_start_info",
        "xen_dummy_shared_info",
        "HYPERVISOR_shared_info",
        "hypercall_page",
        "xen_p2m_addr",
        "idt_table",
        "sys_call_table",
        "__log_buf",
        "init_uts_ns",
        "boot_params",
        "jiffies",
        "_text",
        "_etext",
        "_end",
    };
    struct json_object *all = json_object_new_array();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct pv_walk w;
        uint64_t va;
        if (!find(g, names[i], &va))
            continue;
        struct json_object *o = json_object_new_object();
        const bool mapped = pv_walk(g->v, g->v->kernel_root, gva(va), &w);
        put_text(o, "name", names[i]);
        put_hex(o, "va", va);
        put_number(o, "mfn", mapped ? maddr_frame(w.to).n : ~0ull);
        json_object_array_add(all, o);
    }
    return all;
}

/* ---- lists */

static struct json_object *sources_json(const struct gathered *g)
{
    struct json_object *all = json_object_new_array();
    for (enum pv_p2m_kind k = 0; g->s->lists && k < PV_P2M_KINDS; k++) {
        const struct pv_p2m_source *is = pv_p2m_source(g->s->lists, k);
        struct json_object *o = json_object_new_object();
        put_text(o, "name", pv_p2m_name(k));
        put_bool(o, "there", is->there);
        put_bool(o, "stale", is->stale);
        put_int(o, "end", is->there ? is->end : 0);
        put_int(o, "has", g->sum.has[k]);
        put_words(o, "how", is->how);
        json_object_array_add(all, o);
    }
    return all;
}

static struct json_object *summary_json(const struct gathered *g)
{
    struct json_object *o;
    if (!g->compared)
        return NULL;
    o = json_object_new_object();
    put_int(o, "pfns", g->sum.pfns);
    put_int(o, "agreed", g->sum.agreed);
    put_int(o, "disagreed", g->sum.disagreed);
    put_int(o, "recovered", g->sum.recovered);
    put_int(o, "ranges", g->sum.ranges);
    return o;
}

static uint64_t runs(const struct gathered *g)
{
    const struct pv_backend *b = g->v->backend;
    uint64_t n = 0, last_pfn = ~0ull - 1, last_mfn = 0;
    for (pfn_t p = b->next_pfn(g->v, pfn(0)); p.n != NO_PFN.n;
         p = b->next_pfn(g->v, pfn(p.n + 1))) {
        const uint64_t m = b->mfn_of(g->v, p).n;
        n += p.n != last_pfn + 1 || m != last_mfn + 1;
        last_pfn = p.n;
        last_mfn = m;
    }
    return n;
}

/* ---- findings */

static struct json_object *rules_json(const struct gathered *g)
{
    static const char *const answers[] = {
        [PV_HOLDS] = "holds", [PV_BROKEN] = "broken", [PV_UNDECIDABLE] = "undecidable"};
    struct json_object *all = json_object_new_array();
    for (unsigned n = 1; g->s->check && n <= PV_RULES; n++) {
        const struct pv_rule *r = &g->s->check->rule[n];
        struct json_object *o = json_object_new_object();
        put_int(o, "rule", n);
        put_text(o, "answer", answers[r->answer]);
        put_words(o, "why", r->why);
        put_int(o, "findings", r->findings);
        json_object_array_add(all, o);
    }
    return all;
}

static const char *meaning_of(const char *code)
{
    for (unsigned i = 0; i < PV_CODES; i++)
        if (strcmp(pv_codes[i].code, code) == 0)
            return pv_codes[i].meaning;
    return NULL;
}

static struct json_object *finding_json(const struct gathered *g, const struct pv_finding *f)
{
    struct json_object *o = json_object_new_object();
    const bool has_entry = f->at.a != UINT64_MAX;
    put_text(o, "code", f->code);
    put_int(o, "rule", f->rule);
    put_text(o, "meaning", meaning_of(f->code));
    put_words(o, "text", f->text);
    put_number(o, "mfn", f->frame.n);
    put_number(o, "pfn", f->pfn.n);
    put_cell(o, "cell", mfn_eq(f->frame, NO_MFN) ? NO_CELL : cell_of(g, f->frame));
    put_hex_if(o, "at", f->at.a, has_entry);
    put_cell(o, "at_cell", has_entry ? cell_of(g, maddr_frame(f->at)) : NO_CELL);
    put_hex_if(o, "entry", f->entry, has_entry);
    put_hex_if(o, "va", f->va.a, f->has_va);
    put(o, "symbol", f->has_va ? symbol_json(g, f->va.a) : NULL);
    put_int(o, "count", f->count);
    return o;
}

static struct json_object *findings_json(const struct gathered *g)
{
    struct json_object *all = json_object_new_array();
    for (size_t i = 0; g->s->check && i < g->s->check->kept; i++)
        json_object_array_add(all, finding_json(g, &g->s->check->finding[i]));
    return all;
}

/* ---- the timeline */

static struct json_object *timeline_json(const struct gathered *g)
{
    const struct report_timeline *t = g->s->timeline;
    struct json_object *o, *acts;
    if (!t)
        return NULL;
    o = json_object_new_object();
    acts = json_object_new_array();
    for (unsigned i = 0; i < ACT_NAMES; i++)
        json_object_array_add(acts, json_object_new_string(act_names[i]));
    put_int(o, "tick", g->tick);
    put_int(o, "span", t->acts ? t->act[t->acts - 1].time : 0);
    put_int(o, "records", t->acts);
    put_int(o, "lost", t->lost);
    put(o, "acts", acts);
    return o;
}

/* Takes over what was gathered as JSON. */
static void put_gathered(struct gathered *g, struct json_object *o)
{
    put(o, "roots", g->roots_are);
    put(o, "shares", g->shares);
    put(o, "differences", g->differences);
    put(o, "tree", g->tree);
    g->roots_are = g->shares = g->differences = g->tree = NULL;
}

struct json_object *meta_make(struct gathered *g)
{
    struct json_object *o = json_object_new_object();
    put_int(o, "format", 1);
    put_words(o, "pvmm", g->s->version);
    put_words(o, "made", g->s->made);
    put_bool(o, "live", g->o->live);
    put_file(g, o);
    put_guest(g, o);
    put(o, "kinds", kinds_json(g));
    put(o, "columns", columns_json(g));
    put(o, "vcpus", vcpus_json(g));
    put(o, "regions", regions_json(g));
    put(o, "p2m", sources_json(g));
    put(o, "p2m_summary", summary_json(g));
    put_int(o, "p2m_runs", runs(g));
    put_bool(o, "checked", g->s->check != NULL);
    put(o, "rules", rules_json(g));
    put(o, "findings", findings_json(g));
    put_int(o, "findings_in_all", g->s->check ? g->s->check->findings : 0);
    put(o, "symbols", symbols_json(g));
    put(o, "timeline", timeline_json(g));
    put_gathered(g, o);
    return o;
}
