/* SPDX-License-Identifier: MIT */
/* What the guest's lists say, where they differ, and what of it the page's map shows. */
#include "gather.h"

#include <stdio.h>
#include <string.h>

#include "jsonput.h"

#define DIFFERENCES_MAX 200u

struct comparison {
    struct gathered *g;
    bool publishes;
    enum pv_p2m_kind published;
};

static void unlist(struct gathered *g, pfn_t p)
{
    const uint32_t cell = cell_of(g, g->v->backend->mfn_of(g->v, p));
    if (cell != NO_CELL)
        g->flags[cell] &= (uint8_t)~FLAG_LISTED;
}

static const char *state_word(enum pv_p2m_state s)
{
    static const char *const words[] = {
        [PV_P2M_FRAME] = "a frame",     [PV_P2M_MISSING] = "nothing",
        [PV_P2M_IDENTITY] = "identity", [PV_P2M_FOREIGN] = "a foreign frame",
        [PV_P2M_BEYOND] = "its end",    [PV_P2M_UNREADABLE] = "an unreadable page",
    };
    return words[s];
}

static size_t append(char *text, size_t size, size_t used, const char *name,
                     const struct pv_p2m_entry *e)
{
    if (used >= size)
        return used;
    const char *comma = used ? ", " : "";
    if (e->state == PV_P2M_FRAME)
        return used + (size_t)snprintf(text + used, size - used, "%s%s has %llx", comma, name,
                                       (unsigned long long)e->mfn.n);
    return used + (size_t)snprintf(text + used, size - used, "%s%s has %s", comma, name,
                                   state_word(e->state));
}

static void tell_difference(struct gathered *g, const struct pv_p2m_range *r)
{
    struct json_object *o = json_object_new_object();
    char text[512] = "";
    size_t used = append(text, sizeof(text), 0, pv_p2m_name(r->from), &r->entry[r->from]);
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++)
        if (r->differs & 1u << k)
            used = append(text, sizeof(text), used, pv_p2m_name(k), &r->entry[k]);
    put_int(o, "first", r->first.n);
    put_int(o, "last", r->last.n);
    put_bool(o, "recovered", r->recovered);
    put_text(o, "text", text);
    json_object_array_add(g->differences, o);
}

static bool take_range(void *context, const struct pv_p2m_range *r)
{
    struct comparison *c = context;
    struct gathered *g = c->g;
    if (c->publishes && r->differs & 1u << c->published)
        for (pfn_t p = g->v->backend->next_pfn(g->v, r->first); p.n != NO_PFN.n && p.n <= r->last.n;
             p = g->v->backend->next_pfn(g->v, pfn(p.n + 1)))
            unlist(g, p);
    if (json_object_array_length(g->differences) < DIFFERENCES_MAX)
        tell_difference(g, r);
    return true;
}

/* All that has a pfn, until somebody differs. */
static void list_all(struct gathered *g)
{
    for (uint32_t i = 0; i < g->cells; i++)
        if (g->pfn[i] != NO_CELL && g->flags[i] & FLAG_OWNED)
            g->flags[i] |= FLAG_LISTED;
}

int lists_compare(struct gathered *g)
{
    struct comparison c = {.g = g};
    g->differences = json_object_new_array();
    if (!g->s->lists)
        return 0;
    c.publishes = pv_p2m_publishes(g->s->lists, &c.published) &&
                  pv_p2m_source(g->s->lists, c.published)->there;
    if (c.publishes)
        list_all(g);
    g->compared = true;
    return pv_p2m_compare(g->s->lists, take_range, &c, &g->sum, &g->o->progress, g->e);
}
