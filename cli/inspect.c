/* SPDX-License-Identifier: MIT */
/* An inspection for people. */
#include "inspect.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool in_color;

static const char *tone(const char *code)
{
    return in_color ? code : "";
}

#define BOLD  tone("\033[1m")
#define DIM   tone("\033[2m")
#define RED   tone("\033[1;31m")
#define GREEN tone("\033[32m")
#define PLAIN tone("\033[0m")

static void title(const char *text)
{
    printf("\n%s%s%s\n", BOLD, text, PLAIN);
}

static void line(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(const char *name, const char *fmt, ...)
{
    va_list args;

    printf("  %-14s ", name);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

/* ---- the file and the guest */

static void show_file(const struct inspection *s)
{
    const struct pv_view *v = s->v;

    printf("%s%s%s\n", BOLD, s->path, PLAIN);
    line("kind", "%s", v->kind);
    if (s->compression != NULL && s->bytes == 0)
        line("file", "%s, spooled: offsets are those of its content", s->compression);
    else
        line("file", "%" PRIu64 " bytes%s%s%s", s->bytes, s->compression ? ", " : "",
             s->compression ? s->compression : "",
             s->compression ? ", spooled: offsets are those of the content" : "");
    line("hypervisor", "%s", v->xen[0] != '\0' ? v->xen : "not known");
    if (v->lost[0] != '\0')
        line("lost", "%s%s%s", RED, v->lost, PLAIN);
}

static void show_domain(const struct pv_domain *d, bool chosen, bool several)
{
    char name[sizeof(d->name)], id[16] = "not known";

    guest_text(name, sizeof(name), d->name, sizeof(d->name));
    if (d->id >= 0)
        snprintf(id, sizeof(id), "%d%s", d->id, name[0] ? " " : "");
    else if (name[0] != '\0')
        id[0] = '\0';
    line(chosen ? "domain" : "", "%s%s%s%s%s%s%s", id, name[0] ? "\"" : "", name,
         name[0] ? "\"" : "", d->uuid[0] ? ", uuid " : "", d->uuid,
         several && chosen ? " (this one is shown)" : "");
}

static void show_guest(const struct inspection *s)
{
    const struct pv_view *v = s->v;

    title("guest");
    show_domain(&v->domain[v->chosen], true, v->nr_domains > 1);
    for (unsigned i = 0; i < v->nr_domains; i++)
        if (i != v->chosen)
            show_domain(&v->domain[i], false, true);
    line("width", "%u bits%s", v->width * 8, v->width == 4 ? ", PAE" : "");
    line("memory", "%" PRIu64 " pages, %" PRIu64 ".%" PRIu64 " MiB", v->nr_pages,
         v->nr_pages * 4096 >> 20, ((v->nr_pages * 4096) & 0xfffff) * 10 >> 20);
    if (v->end_pfn.n > 0)
        line("pfns", "up to 0x%" PRIx64 ", %" PRIu64 " holes below", v->end_pfn.n - 1,
             inspect_holes(s));
    if (v->portable)
        line("tables", "hold pfns: frame numbers are pfns");
    if (s->banner[0] != '\0')
        line("kernel", "%s", s->banner);
    line("symbols", "%s", s->image->no_symbols[0] != '\0' ? s->image->no_symbols : "known");
}

/* "mfn 0x19732 (pfn 0x6932)" */
static void frame_words(const struct inspection *s, mfn_t m, char *text, size_t size)
{
    const pfn_t at = inspect_pfn_of(s, m);

    if (m.n == NO_MFN.n)
        snprintf(text, size, "none");
    else if (s->v->portable)
        snprintf(text, size, "pfn 0x%" PRIx64 "%s", m.n, at.n == NO_PFN.n ? ", not there" : "");
    else if (at.n != NO_PFN.n)
        snprintf(text, size, "mfn 0x%" PRIx64 " (pfn 0x%" PRIx64 ")", m.n, at.n);
    else
        snprintf(text, size, "mfn 0x%" PRIx64, m.n);
}

static void symbol_words(const struct inspection *s, uint64_t va, char *text, size_t size)
{
    struct pv_symbol is;

    text[0] = '\0';
    if (pv_symbol_at(s->image->symbols, va, &is))
        snprintf(text, size, "  %s+0x%" PRIx64, is.name, is.offset);
}

static void show_vcpus(const struct inspection *s)
{
    title("vCPUs");
    if (s->v->nr_vcpus == 0)
        printf("  none         %s\n", s->v->portable ? "the stream ends before them"
                                                     : "this kind of image does not tell them");
    for (unsigned i = 0; i < s->v->nr_vcpus; i++) {
        const struct pv_vcpu *c = &s->v->vcpu[i];
        char number[16], kernel[64], user[64], name[200];

        snprintf(number, sizeof(number), "%u", i);
        if (!c->valid) {
            line(number, "never started, or not known");
            continue;
        }
        frame_words(s, c->kernel_root, kernel, sizeof(kernel));
        frame_words(s, c->user_root, user, sizeof(user));
        symbol_words(s, c->rip, name, sizeof(name));
        line(number, "root %s, user root %s", kernel, user);
        line("", "rip 0x%016" PRIx64 "%s", c->rip, name);
        line("", "rsp 0x%016" PRIx64 "  rflags 0x%" PRIx64 "  in the %s", c->rsp, c->rflags,
             c->in_kernel ? "kernel" : "user's code");
    }
}

/* ---- what it was told, and what it tells */

static void show_shared(const struct inspection *s)
{
    const struct pv_arch_info *a = &s->arch;
    char frame[64];

    title("shared_info.arch");
    if (s->no_arch[0] != '\0') {
        printf("  %s\n", s->no_arch);
        return;
    }
    frame_words(s, s->v->shared_info, frame, sizeof(frame));
    if (s->v->has_m2p)
        line("frame", "%s", frame);
    line("max_pfn", "0x%" PRIx64, a->max_pfn);
    line("mfn_list_list", "0x%" PRIx64, a->list_list);
    line("p2m_cr3", "0x%" PRIx64, a->p2m_cr3);
    line("p2m_vaddr", "0x%" PRIx64, a->p2m_vaddr);
    line("p2m_generation", "0x%" PRIx64, a->p2m_generation);
}

static void show_start(const struct inspection *s)
{
    const struct pv_start_info *i = s->start;
    char frame[64], magic[40], words[PV_CMD_LINE + 1];

    title("start_info");
    if (i == NULL) {
        printf("  %s\n", s->no_start);
        return;
    }
    frame_words(s, i->frame, frame, sizeof(frame));
    guest_text(magic, sizeof(magic), i->magic, sizeof(i->magic));
    guest_text(words, sizeof(words), i->cmd_line, sizeof(i->cmd_line));
    line("frame", "%s, %s", frame, i->how);
    line("magic", "%s", magic);
    line("nr_pages", "%" PRIu64, i->nr_pages);
    line("shared_info", "0x%" PRIx64, i->shared_info.a);
    line("flags", "0x%" PRIx64, i->flags);
    line("store", "frame 0x%" PRIx64 ", port %" PRIu64, i->store_frame, i->store_port);
    line("console", "frame 0x%" PRIx64 ", port %" PRIu64, i->console_frame, i->console_port);
    line("mfn_list", "0x%" PRIx64, i->mfn_list.a);
    line("cmd_line", "\"%s\"", words);
}

/* ---- the lists */

static void show_sources(const struct inspection *s)
{
    title("p2m sources");
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        const struct pv_p2m_source *is = pv_p2m_source(s->p, k);

        if (!is->there) {
            printf("  %s%-14s         -  %s%s\n", DIM, pv_p2m_name(k), is->how, PLAIN);
            continue;
        }
        printf("  %-14s %9" PRIu64 "  of pfns below 0x%" PRIx64 "%s\n", pv_p2m_name(k),
               s->sum.has[k], is->end, is->stale ? ", stale" : "");
        printf("  %-14s            %s\n", "", is->how);
    }
}

static void show_range(const struct inspection *s, const struct pv_p2m_range *r)
{
    char pfns[48], differ[256], believed[64];

    if (r->first.n == r->last.n)
        snprintf(pfns, sizeof(pfns), "0x%" PRIx64, r->first.n);
    else
        snprintf(pfns, sizeof(pfns), "0x%" PRIx64 "-0x%" PRIx64, r->first.n, r->last.n);
    p2m_differ_words(s->p, r, differ, sizeof(differ));
    p2m_entry_words(pv_p2m_source(s->p, r->from), &r->entry[r->from], believed, sizeof(believed));
    printf("  %-23s %8" PRIu64 "  %s%s%s  %s %s%s%s\n", pfns, r->last.n - r->first.n + 1,
           r->recovered ? GREEN : RED, r->recovered ? "recovered from" : "believed is", PLAIN,
           pv_p2m_name(r->from), believed, differ[0] ? ", but " : "", differ);
}

static void show_ranges(const struct inspection *s)
{
    const struct pv_p2m_summary *n = &s->sum;

    title("p2m compared");
    printf("  %" PRIu64 " pfns: %" PRIu64 " agreed, %s%" PRIu64 " disagreed%s, %" PRIu64
           " recovered\n",
           n->pfns, n->agreed, n->disagreed ? RED : "", n->disagreed, n->disagreed ? PLAIN : "",
           n->recovered);
    if (n->ranges == 0)
        return;
    printf("  %-23s %8s  (frames are those of the first pfn)\n", "pfns", "count");
    for (size_t i = 0; i < s->ranges; i++)
        show_range(s, &s->range[i]);
    if (n->ranges > s->ranges)
        printf("  and %" PRIu64 " ranges more\n", n->ranges - s->ranges);
}

void inspect_text(const struct inspection *s, bool color)
{
    in_color = color;
    show_file(s);
    show_guest(s);
    show_vcpus(s);
    show_shared(s);
    show_start(s);
    show_sources(s);
    show_ranges(s);
}
