/* SPDX-License-Identifier: MIT */
/* Will pvmm's domain builder take it? Its own code is asked (builder/). */
#include "boot.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "guest_layout.h"
#include "xen.h"

#define ull(x) ((unsigned long long)(x))

int boot_locate(struct lint_finding *f, uint64_t address, uint64_t size, struct lint_error *e)
{
    if (f == NULL)
        return lint_fail(e, "out of memory");
    f->has_address = true;
    f->address = address;
    f->has_size = size != 0;
    f->size = size;
    return 0;
}

/* ---- the builder's refusals, by cause */

#define CODES(_)                                                                                   \
    _(BUILDER_NO_ELF, "headers")                                                                   \
    _(BUILDER_32_BIT, "32-bit")                                                                    \
    _(BUILDER_MACHINE, "not-x86-64")                                                               \
    _(BUILDER_TYPE, "not-executable")                                                              \
    _(BUILDER_HEADERS, "headers")                                                                  \
    _(BUILDER_TRUNCATED, "truncated")                                                              \
    _(BUILDER_NO_NOTES, "not-pv")                                                                  \
    _(BUILDER_NOTES, "notes-damaged")                                                              \
    _(BUILDER_PVH_ALONE, "pvh-only")                                                               \
    _(BUILDER_VERSION, "bad-version")                                                              \
    _(BUILDER_LOADER, "bad-loader")                                                                \
    _(BUILDER_VIRT_BASE, "virt-base")                                                              \
    _(BUILDER_SEGMENTS, "segments")                                                                \
    _(BUILDER_ENTRY, "entry")                                                                      \
    _(BUILDER_HYPERCALL_PAGE, "hypercall-page")                                                    \
    _(BUILDER_INIT_P2M, "p2m")                                                                     \
    _(BUILDER_HV_START_LOW, "hv-start-low")                                                        \
    _(BUILDER_MEMORY, "too-small")
#define CODE(cause, code) [cause] = code,
#define BIT(cause, code)  | 1u << (cause)

static const char *const codes[] = {CODES(CODE)};
_Static_assert((0 CODES(BIT)) == (1u << BUILDER_CAUSES) - 1, "each cause has a code");

static bool holds(const struct elfview *v, const char *words)
{
    return memmem(v->data, v->size, words, strlen(words)) != NULL;
}

/* Whatever it is, it is no PV guest: can one say what else? */
static const char *hint(const struct elfview *v)
{
    if (holds(v, "*** Building a PV Dom%d ***"))
        return "it is Xen itself";
    if (holds(v, "Linux version "))
        return "it is Linux, built without CONFIG_XEN_PV";
    return "";
}

static int refused(const struct elfview *v, const struct builder_error *why, struct lint_report *r,
                   struct lint_error *e)
{
    const char *code = r->not_pv ? "not-pv" : codes[why->cause];
    char text[LINT_CHARS];
    struct lint_finding *f;

    snprintf(text, sizeof(text), why->text, why->value[0], why->value[1], why->value[2],
             why->value[3]);
    f = lint_add(r, code, LINT_FINDING, "%s", text);
    if (f == NULL)
        return lint_fail(e, "out of memory");
    if (r->not_pv)
        snprintf(f->also, sizeof(f->also), "%s", hint(v));
    snprintf(r->why[LINT_BOOT_PVMM], LINT_CHARS, "its domain builder refuses: %s", code);
    return 0;
}

static int ask_pvmm(const struct elfview *v, const struct lint_options *o, struct guest_image *g,
                    struct lint_report *r, struct lint_error *e)
{
    const uint64_t memory = boot_memory(o);
    struct builder_error why = {.text = ""};
    struct guest_layout l;

    if (!guest_image_read(v->data, v->size, g, &why) ||
        !guest_layout_make(&l, g, memory / GUEST_PAGE_BYTES, boot_initrd(o), &why))
        return refused(v, &why, r, e);
    snprintf(r->why[LINT_BOOT_PVMM], LINT_CHARS,
             "its domain builder takes it: entry 0x%llx, initial mapping 0x%llx-0x%llx, p2m list "
             "at 0x%llx, in %llu MiB",
             ull(g->entry), ull(l.virt_base), ull(l.region_end - 1), ull(l.p2m_va),
             ull(memory >> 20));
    return 0;
}

/* ---- what would take for ever: many headers that all mean the same bytes */

/* Notes are in segments and, once more, in sections; more than twice the file's bytes cannot be. */
static bool notes_absurd(const struct elfview *v)
{
    struct elfview_segment s;
    struct elfview_section t;
    uint64_t sum = 0;

    for (unsigned i = 0; elfview_segment(v, i, &s) && sum <= 2 * v->size; i++)
        if (s.type == PT_NOTE && elfview_holds(v, s.offset, s.file_bytes))
            sum += s.file_bytes;
    for (unsigned i = 0; elfview_section(v, i, &t) && sum <= 2 * v->size; i++)
        if (t.type == SHT_NOTE && elfview_holds(v, t.offset, t.bytes))
            sum += t.bytes;
    return sum > 2 * v->size;
}

static int open_question(struct lint_report *r, struct lint_error *e)
{
    static const char text[] = "its note headers claim more bytes than the file has: they overlap, "
                               "and are not read";

    if (lint_add(r, "notes-overlap", LINT_OPEN, text) == NULL ||
        lint_add(r, "xen-notes-overlap", LINT_OPEN, text) == NULL)
        return lint_fail(e, "out of memory");
    snprintf(r->why[LINT_BOOT_PVMM], LINT_CHARS, "its notes are not read");
    snprintf(r->why[LINT_BOOT_XEN], LINT_CHARS, "its notes are not read");
    return 0;
}

/* ---- the whole */

static void answer(struct lint_report *r, size_t first, enum lint_question q)
{
    r->answer[q] = LINT_YES;
    for (size_t i = first; i < r->nr_findings; i++) {
        if (r->finding[i].question != q)
            continue;
        if (r->finding[i].weight == LINT_FINDING)
            r->answer[q] = LINT_NO;
        else if (r->finding[i].weight == LINT_OPEN && r->answer[q] == LINT_YES)
            r->answer[q] = LINT_UNDECIDABLE;
    }
}

static int judge(const struct lint_input *in, const struct elfview *v, const struct lint_options *o,
                 struct lint_report *r, struct lint_error *e)
{
    struct guest_image g;

    if (notes_absurd(v))
        return open_question(r, e);
    r->not_pv = xen_finds_nothing(in);
    if (ask_pvmm(v, o, &g, r, e) != 0)
        return -1;
    if (!r->not_pv && (boot_notes(v, &g, r, e) != 0 || boot_segments(v, &g, r, e) != 0))
        return -1;
    return lint_boot_xen(in, o, r, e);
}

int lint_boot(const struct lint_input *elf, const struct lint_options *o, struct lint_report *r,
              struct lint_error *e)
{
    const size_t first = r->nr_findings;
    struct elfview v;

    if (!elfview_open(&v, elf->data, elf->size))
        return lint_fail(e, "%s is no ELF file", elf->name);
    if (judge(elf, &v, o, r, e) != 0)
        return -1;
    answer(r, first, LINT_BOOT_PVMM);
    answer(r, first, LINT_BOOT_XEN);
    return 0;
}
