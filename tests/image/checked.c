/* SPDX-License-Identifier: MIT */
#include "checked.h"

#include <stdio.h>
#include <unistd.h>

/* ---- guests */

struct made *whole(void)
{
    struct made *m = made_new(8, 0);
    made_context(m)->gdt_ents = made_context(m)->ldt_ents = 0;
    return m;
}

/* The table of that level on the way to the first page. */
mfn_t table_of(struct made *m, unsigned level)
{
    mfn_t table = m->root;
    for (unsigned at = 4; at > level; at--)
        table = pte_frame(made_words(m, table)[KERNEL_VA >> (12 + 9 * (at - 1)) & 511]);
    return table;
}

uint64_t *entry_of(struct made *m, unsigned level, unsigned slot)
{
    return &made_words(m, table_of(m, level))[slot];
}

struct frame *frame_of(struct made *m, mfn_t frame)
{
    return &m->core.frames[frame.n];
}

/* A page that is mapped nowhere, as the GDT of the vCPU. */
mfn_t give_gdt(struct made *m)
{
    mfn_t page = made_page(m);
    made_context(m)->gdt_ents = 16;
    made_context(m)->gdt_frames[0] = page.n;
    return page;
}

struct pv_view *as_dump(struct made *m)
{
    struct pv_view *machine = made_open(m), *v = NULL;
    struct pv_open_options o = {.domain = -1};
    struct pv_error e;
    int fd = scratch_file();
    if (pv_dumpcore_write(machine, fd, NULL, &e) || pv_open(&v, scratch_path(fd), &o, &e))
        fail_msg("%s", e.text);
    close(fd);
    pv_close(machine);
    return v;
}

/* ---- what is found */

uint64_t found(const struct pv_check *c, const char *code)
{
    for (unsigned i = 0; i < PV_CODES; i++)
        if (strcmp(pv_codes[i].code, code) == 0)
            return c->of_code[i];
    fail_msg("no code %s", code);
    return 0;
}

void check(const struct pv_view *v, struct pv_check *c)
{
    struct pv_error e;
    if (pv_check(v, NULL, NULL, c, &e))
        fail_msg("%s", e.text);
}

/* That code, and no other; NULL: none. */
void assert_only(const struct pv_check *c, const char *code)
{
    for (size_t i = 0; i < c->kept; i++)
        if (!code || strcmp(c->finding[i].code, code))
            fail_msg("%s: %s", c->finding[i].code, c->finding[i].text);
    assert_int_equal(c->findings > 0, code != NULL);
    if (!code)
        return;
    assert_int_equal(found(c, code), c->findings);
    const struct pv_finding *f = &c->finding[0];
    assert_true(f->rule >= 1 && f->rule <= PV_RULES);
    assert_int_equal(c->rule[f->rule].answer, PV_BROKEN);
    assert_true(strlen(f->text) > 10);
    for (unsigned n = 1; n <= PV_RULES; n++)
        assert_true(n == f->rule || c->rule[n].answer != PV_BROKEN);
}

void answers(const struct pv_check *c, const char *expected)
{
    for (unsigned n = 1; n <= PV_RULES; n++) {
        if (expected[n - 1] != "+!?"[c->rule[n].answer])
            fail_msg("R%u is %u: %s", n, c->rule[n].answer, c->rule[n].why);
        assert_true(c->rule[n].why[0] != 0);
    }
}
