/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "calls.h"
#include "orc.h"

/* Xen's stubs of the hypercall page, and pvmm's, push rcx and r11 before SYSCALL. */
#define STUB_WORDS 2u

#define NO_EXECUTE (1ull << 63)

struct stack_walk {
    const struct pv_symbols *s;
    const struct pv_view *v;
    mfn_t root;
    struct pv_stack_frame *frame;
    size_t nr;
    size_t anchor; /* the last frame that is reached by certain ones only */
};

static bool maps_code(const struct stack_walk *w, uint64_t va)
{
    struct pv_walk walk;

    if (!pv_walk(w->v, w->root, gva(va), &walk))
        return false;
    for (unsigned level = 4; level >= 1 && level >= walk.level; level--)
        if (walk.entry[level] & NO_EXECUTE)
            return false;
    return true;
}

/* Code that a call may have been made from: the byte before, as the last thing that a function does
 * may be a call that never returns. */
static bool is_code(const struct stack_walk *w, uint64_t address)
{
    struct pv_symbol at;

    if (symbols_empty(w->s))
        return maps_code(w, address - 1);
    return pv_symbol_at(w->s, address - 1, &at) && at.is_code;
}

static bool function_of(const struct stack_walk *w, const struct pv_stack_frame *f, uint64_t *start)
{
    struct pv_symbol at;
    uint64_t inside = f->sp == 0 ? f->address : f->address - 1;

    if (!pv_symbol_at(w->s, inside, &at) || !at.is_code)
        return false;
    *start = at.address;
    return true;
}

/* The call whose return address that is. */
static bool call_to(const struct stack_walk *w, uint64_t address, struct call *out)
{
    uint8_t code[CALL_BYTES];
    size_t n = sizeof(code), skip = 0;

    if (pv_read_va(w->v, w->root, gva(address - n), code, n) != n) {
        /* The page before may not be there. */
        skip = n - (address & (PAGE_BYTES - 1));
        if (skip >= n ||
            pv_read_va(w->v, w->root, gva(address - n + skip), code, n - skip) != n - skip)
            return false;
    }
    return call_before(code, n - skip, address, out);
}

static void accept(struct stack_walk *w, uint64_t address, uint64_t sp, bool certain)
{
    w->frame[w->nr++] = (struct pv_stack_frame){.address = address, .sp = sp, .certain = certain};
}

/* Does that call lead to the function of the last frame? */
static bool leads_here(const struct stack_walk *w, const struct call *call)
{
    uint64_t start;

    return call->direct && function_of(w, &w->frame[w->nr - 1], &start) && start == call->target;
}

static void consider(struct stack_walk *w, uint64_t address, uint64_t sp)
{
    struct call call;
    uint64_t start;

    if (address < PAGE_BYTES || !is_code(w, address) || !call_to(w, address, &call))
        return;
    if (call.direct && function_of(w, &w->frame[w->anchor], &start) && start == call.target) {
        /* What was found in between is left over. */
        w->nr = w->anchor + 1;
        w->anchor = w->nr;
        accept(w, address, sp, true);
        return;
    }
    accept(w, address, sp, leads_here(w, &call));
}

static bool in_hypercall_stub(const struct pv_symbols *s, uint64_t rip)
{
    struct pv_symbol at;

    return pv_symbol_at(s, rip, &at) &&
           (strcmp(at.name, "hypercall_page") == 0 || strncmp(at.name, "xen_hypercall_", 14) == 0);
}

/* As far as the kernel's own tables lead, all of which is certain, or frame pointers, which may
 * point anywhere. true: up to the end. */
static bool unwind(struct stack_walk *w, const struct orc *o, struct orc_place *p)
{
    while (w->nr < PV_FRAMES) {
        struct orc_place next = *p;
        enum orc_step step = orc_step(o, &next);
        bool by_table = step != ORC_UNKNOWN, certain;
        struct call call = {.direct = false};

        if (!by_table && o->kernel.nr == 0)
            step = orc_frame_pointer(o, &next);
        if (step != ORC_CALLER)
            return step == ORC_END;
        if (!is_code(w, next.ip + next.interrupted) ||
            (!next.interrupted && !call_to(w, next.ip, &call)))
            return false;
        *p = next;
        certain = by_table || (w->anchor + 1 == w->nr && leads_here(w, &call));
        if (certain)
            w->anchor = w->nr;
        accept(w, p->ip, p->at, certain);
    }
    return true;
}

/* What tables do not tell: word by word; from what is certain the tables may know on. */
static void search(struct stack_walk *w, struct orc *o, struct orc_place *p)
{
    for (size_t i = (p->sp - o->rsp) / 8; i < o->words && w->nr < PV_FRAMES; i++) {
        size_t anchor = w->anchor;

        consider(w, o->stack[i], o->rsp + 8 * i);
        if (w->anchor == anchor)
            continue;
        *p = (struct orc_place){.ip = o->stack[i], .sp = o->rsp + 8 * (i + 1)};
        if (unwind(w, o, p))
            return;
        i = (p->sp - o->rsp) / 8 - 1;
    }
}

size_t pv_stack_walk(const struct pv_symbols *s, const struct pv_view *v, mfn_t root,
                     const struct pv_stack *k, struct pv_stack_frame frames[PV_FRAMES])
{
    struct stack_walk w = {.s = s, .v = v, .root = root, .frame = frames};
    struct orc o = {
        .s = s, .v = v, .root = root, .rsp = k->rsp, .stack = k->word, .words = k->words};
    struct orc_place p = {
        .ip = k->rip, .sp = k->rsp, .bp = k->rbp, .bp_known = true, .interrupted = true};

    accept(&w, k->rip, 0, true);
    if (in_hypercall_stub(s, k->rip)) {
        if (k->words <= STUB_WORDS || !is_code(&w, k->word[STUB_WORDS]))
            return w.nr;
        p.ip = k->word[STUB_WORDS];
        p.sp = k->rsp + 8 * (STUB_WORDS + 1);
        p.interrupted = false;
        accept(&w, p.ip, p.sp - 8, true);
        w.anchor = 1;
    }
    if (!symbols_empty(s))
        orc_open(&o);
    if (!unwind(&w, &o, &p))
        search(&w, &o, &p);
    return w.nr;
}
