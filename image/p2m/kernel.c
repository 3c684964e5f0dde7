/* SPDX-License-Identifier: MIT */
/*
 * The list as Linux itself keeps it. Which symbols there are says which age it is of: one linear
 * array (xen_p2m_addr, from 3.19 on), three levels of pointers (p2m_top with p2m_mid_missing, from
 * 2.6.37 on), two (p2m_top, from 2.6.26 on), or the builder's own list, by a pointer.
 */
#include "sources.h"

#define KIND PV_P2M_SYMBOLS

static bool find(const struct pv_p2m *p, const char *name, uint64_t *va)
{
    return pv_symbol_find(p->symbols, name, va);
}

/* A variable's value, of the kernel's word. */
static bool value(const struct pv_p2m *p, const char *name, uint64_t *to)
{
    uint64_t va;
    *to = 0;
    return find(p, name, &va) &&
           pv_read_va(p->v, p->list[KIND].root, gva(va), to, p->v->width) == p->v->width;
}

/* How many pfns there are: as the kernel has it, or as it publishes it, or as the image has. */
static uint64_t count(const struct pv_p2m *p)
{
    uint64_t n;
    if (value(p, "xen_p2m_last_pfn", &n) || value(p, "xen_max_p2m_pfn", &n))
        return n;
    return p->has_arch && p->arch.max_pfn ? p->arch.max_pfn : p->v->end_pfn.n;
}

static bool find_linear(struct pv_p2m *p, struct p2m_list *l)
{
    return value(p, "xen_p2m_addr", &l->va);
}

static bool find_pointers(struct pv_p2m *p, struct p2m_list *l)
{
    uint64_t top, mid;
    if (!find(p, "p2m_top", &top))
        return false;
    l->shape = P2M_POINTERS;
    l->levels = find(p, "p2m_mid_missing", &mid) ? 3 : 2;
    l->va = top;
    if (l->levels == 2) {
        find(p, "p2m_missing", &l->missing);
        return true;
    }
    value(p, "p2m_missing", &l->missing);
    value(p, "p2m_mid_missing", &l->mid_missing);
    value(p, "p2m_identity", &l->identity);
    return value(p, "p2m_top", &l->va);
}

static bool find_array(struct pv_p2m *p, struct p2m_list *l)
{
    return value(p, "phys_to_machine_mapping", &l->va);
}

static const struct {
    const char *name, *what;
    bool (*find)(struct pv_p2m *p, struct p2m_list *l);
} ages[] = {
    {"xen_p2m_addr", "linear, Linux from 3.19 on", find_linear},
    {"p2m_top", "levels of pointers", find_pointers},
    {"phys_to_machine_mapping", "one array", find_array},
};
#define AGES (sizeof(ages) / sizeof(*ages))

static bool accept_age(struct pv_p2m *p, unsigned age, mfn_t root)
{
    struct p2m_list *l = &p->list[KIND];
    p2m_list_init(l, p->v, P2M_VIRTUAL);
    l->root = root;
    if (!ages[age].find(p, l))
        return false;
    p->source[KIND].how[0] = 0;
    p2m_say(p, KIND, "symbol %s: %llx, %s", ages[age].name, (unsigned long long)l->va,
            l->shape != P2M_POINTERS ? ages[age].what
            : l->levels == 3         ? "three levels, Linux 2.6.37 to 3.18"
                                     : "two levels, Linux 2.6.26 to 2.6.36");
    return p2m_accept(p, KIND, count(p));
}

void p2m_find_symbols(struct pv_p2m *p)
{
    mfn_t root[P2M_ROOTS];
    const unsigned n = p2m_roots(p->v, root);
    p2m_say(p, KIND, "%s",
            p->symbols ? "no symbol of a kernel's p2m list is known" : "no symbols are known");
    for (unsigned age = 0; p->symbols && age < AGES; age++)
        for (unsigned i = 0; i < n; i++)
            if (accept_age(p, age, root[i]))
                return;
    if (p->symbols && p->source[KIND].how[0] == 's')
        p2m_say(p, KIND, "; nothing there has a frame");
}
