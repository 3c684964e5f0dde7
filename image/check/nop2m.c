/* SPDX-License-Identifier: MIT */
/* Stands in for the p2m sources until they are there: nobody has a struct pv_p2m. */
#include "run.h"

const char *pv_p2m_name(enum pv_p2m_kind k)
{
    (void)k;
    return "no list";
}

const struct pv_p2m_source *pv_p2m_source(const struct pv_p2m *p, enum pv_p2m_kind k)
{
    static const struct pv_p2m_source none = {0};
    (void)p;
    (void)k;
    return &none;
}

struct pv_p2m_entry pv_p2m_get(const struct pv_p2m *p, enum pv_p2m_kind k, pfn_t at)
{
    (void)p;
    (void)k;
    (void)at;
    return (struct pv_p2m_entry){.state = PV_P2M_BEYOND};
}

int pv_p2m_compare(const struct pv_p2m *p, pv_each_p2m_range *each, void *context,
                   struct pv_p2m_summary *out, const struct pv_progress *progress,
                   struct pv_error *e)
{
    (void)p;
    (void)each;
    (void)context;
    (void)progress;
    *out = (struct pv_p2m_summary){0};
    return pv_fail(e, "there are no p2m sources");
}
