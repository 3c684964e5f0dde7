/* SPDX-License-Identifier: MIT */
#include "asked.h"

bool pv_symbol_find(const struct pv_symbols *s, const char *name, uint64_t *va)
{
    for (unsigned i = 0; i < s->n; i++)
        if (strcmp(s->is[i].name, name) == 0) {
            *va = s->is[i].va;
            return true;
        }
    return false;
}

void name(struct pv_symbols *s, const char *is, uint64_t va)
{
    s->is[s->n].name = is;
    s->is[s->n++].va = va;
}

/* ---- what is asked */

static bool keep(void *context, const struct pv_p2m_range *r)
{
    struct asked *a = context;
    if (a->ranges < 64)
        a->range[a->ranges++] = *r;
    return true;
}

void ask_view(struct asked *a, struct pv_view *v, const struct pv_symbols *s)
{
    struct pv_error e;
    *a = (struct asked){.v = v};
    if (pv_p2m_open(&a->p, v, s, &e) || pv_p2m_compare(a->p, keep, a, &a->sum, NULL, &e))
        fail_msg("%s", e.text);
    assert_int_equal(a->sum.pfns, a->sum.agreed + a->sum.disagreed);
}

void ask(struct asked *a, struct made *m, const struct pv_symbols *s)
{
    ask_view(a, made_open(m), s);
}

void done(struct asked *a)
{
    pv_p2m_close(a->p);
    pv_close(a->v);
}

const struct pv_p2m_source *source(const struct asked *a, enum pv_p2m_kind k)
{
    return pv_p2m_source(a->p, k);
}

void assert_how(const struct asked *a, enum pv_p2m_kind k, bool there, const char *words)
{
    assert_int_equal(source(a, k)->there, there);
    if (!strstr(source(a, k)->how, words))
        fail_msg("%s: \"%s\" has no \"%s\"", pv_p2m_name(k), source(a, k)->how, words);
}

/* One source's word is the machine's, at every pfn from `from` on that has a frame. */
void assert_says(const struct asked *a, enum pv_p2m_kind k, uint64_t from)
{
    const struct pv_backend *b = a->v->backend;
    assert_true(source(a, k)->there);
    for (pfn_t p = b->next_pfn(a->v, pfn(from)); p.n != NO_PFN.n;
         p = b->next_pfn(a->v, pfn(p.n + 1))) {
        const struct pv_p2m_entry e = pv_p2m_get(a->p, k, p);
        assert_int_equal(e.state, PV_P2M_FRAME);
        assert_int_equal(e.mfn.n, b->mfn_of(a->v, p).n);
    }
}

void assert_state(const struct asked *a, enum pv_p2m_kind k, uint64_t at, enum pv_p2m_state state)
{
    assert_int_equal(pv_p2m_get(a->p, k, pfn(at)).state, state);
}

void assert_range(const struct asked *a, unsigned i, uint64_t first, uint64_t last,
                  unsigned differs, bool recovered)
{
    assert_true(i < a->ranges);
    assert_int_equal(a->range[i].first.n, first);
    assert_int_equal(a->range[i].last.n, last);
    assert_int_equal(a->range[i].differs, differs);
    assert_int_equal(a->range[i].recovered, recovered);
}

/* ---- a guest's own pages */

void fill(struct made *m, mfn_t page, uint64_t from)
{
    uint64_t *word = made_words(m, page);
    for (unsigned i = 0; i < 512; i++)
        word[i] = ~0ull;
    for (uint64_t n = 0; n < m->core.nr_frames; n++)
        if (m->core.m2p[n] >= from && m->core.m2p[n] < from + 512)
            word[m->core.m2p[n] - from] = n;
}

void write_start_info(struct made *m, uint64_t at, uint64_t list_va)
{
    start_info_t *s = (start_info_t *)made_words(m, made_mfn(m, pfn(at)));
    memset(s, 0, sizeof(*s));
    strcpy(s->magic, "xen-3.0-x86_64");
    s->nr_pages = m->next_table.n;
    s->shared_info = m->is.shared_mfn << 12;
    s->mfn_list = list_va;
    strcpy((char *)s->cmd_line, "quiet\033[31m");
}
