/* SPDX-License-Identifier: MIT */
#include "ask.h"

static unsigned number;

unsigned requests_asked(void)
{
    return number;
}

struct report {
    char text[240];
    size_t n;
};

static void add(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct report *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    r->n = append(r->text, sizeof(r->text), r->n, fmt, args);
    va_end(args);
}

static void start(struct report *r, const char *fmt, va_list args)
{
    r->n = pvg_format(r->text, sizeof(r->text), "%04u ", ++number);
    r->n = append(r->text, sizeof(r->text), r->n, fmt, args);
    add(r, ":");
}

static void finish(struct report *r, int64_t rc)
{
    add(r, " = %ld", rc);
    say("%s\n", r->text);
}

/* The entry at a machine address inside the pool. */
static void add_entry(struct report *r, uint64_t at)
{
    char text[48];
    int n = pool_number((at & ADDRESS) >> 12);
    if (n < 0)
        return;
    entry_text(text, sizeof(text), page((unsigned)n)[(at & (PAGE - 1)) / 8]);
    add(r, " entry %s", text);
}

static void add_m2p(struct report *r, uint64_t at)
{
    uint64_t mfn = (at & ADDRESS) >> 12;
    int n = pool_number(mfn);
    if (n < 0)
        return;
    if (M2P[mfn] == pfn_of(pool[n]))
        add(r, " m2p own");
    else
        add(r, " m2p %lx", M2P[mfn]);
}

int64_t ask_update(uint64_t ptr, uint64_t val, uint64_t domain, const char *fmt, ...)
{
    struct report r;
    mmu_update_t u = {ptr, val};
    uint32_t done = 99;
    va_list args;
    va_start(args, fmt);
    start(&r, fmt, args);
    va_end(args);
    int64_t rc = call4(__HYPERVISOR_mmu_update, &u, 1, &done, domain);
    if ((ptr & 7) == MMU_MACHPHYS_UPDATE)
        add_m2p(&r, ptr);
    else
        add_entry(&r, ptr & ~7ull);
    add(&r, " done %u", done);
    finish(&r, rc);
    return rc;
}

int64_t ask_ext(unsigned cmd, uint64_t arg1, uint64_t arg2, const char *fmt, ...)
{
    struct report r;
    struct mmuext_op op = {.cmd = cmd};
    uint32_t done = 99;
    va_list args;
    va_start(args, fmt);
    start(&r, fmt, args);
    va_end(args);
    op.arg1.mfn = arg1;
    op.arg2.src_mfn = arg2;
    int64_t rc = call4(__HYPERVISOR_mmuext_op, &op, 1, &done, DOMID_SELF);
    add(&r, " done %u", done);
    finish(&r, rc);
    return rc;
}

int64_t ask_va(uint64_t va, uint64_t val, uint64_t flags, const char *fmt, ...)
{
    struct report r;
    char text[48];
    va_list args;
    va_start(args, fmt);
    start(&r, fmt, args);
    va_end(args);
    int64_t rc = call3(__HYPERVISOR_update_va_mapping, va, val, flags);
    bool mapped = va >= VIRT_BASE && live_entry(va, 1);
    if (mapped) {
        entry_text(text, sizeof(text), *live_entry(va, 1) & ~(A_ | D_));
        add(&r, " entry %s", text);
    }
    finish(&r, rc);
    return rc;
}

int64_t ask(const struct call *c, const char *fmt, ...)
{
    struct report r;
    va_list args;
    va_start(args, fmt);
    start(&r, fmt, args);
    va_end(args);
    int64_t rc = hypercall(c->n, c->a, c->b, c->c, c->d, c->e);
    finish(&r, rc);
    return rc;
}

int64_t ask_batch(unsigned nr, const void *list, uint64_t count, uint32_t done, const char *fmt,
                  ...)
{
    struct report r;
    va_list args;
    va_start(args, fmt);
    start(&r, fmt, args);
    va_end(args);
    int64_t rc = call4(nr, list, count, &done, DOMID_SELF);
    add(&r, " done %u", done);
    finish(&r, rc);
    return rc;
}

void tell(const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    pvg_format_list(text, sizeof(text), fmt, args);
    va_end(args);
    say("%04u   %s\n", number, text);
}
