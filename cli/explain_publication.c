/* SPDX-License-Identifier: MIT */
/* What the check of the guest's publication found, as explanations. */
#include "explain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *code;
    const char *headline;
    const char *hint;
} gap_words[] = {
    [PV_GAP_BEYOND] =
        {"publication-short", "the p2m list that the guest publishes ends before its memory does",
         "tools can neither save nor dump what the list does not reach: publish a list over all "
         "pfns, and max_pfn as one more than the last; a list built up to nr_pages misses what was "
         "moved above it"},
    [PV_GAP_MISSING] =
        {"publication-short", "the p2m list that the guest publishes has no mfn for frames it owns",
         "tools can neither save nor dump these frames: a list that was built before memory was "
         "moved or populated has to follow"},
    [PV_GAP_DIFFERS] =
        {"publication-differs", "the p2m list that the guest publishes differs from m2p",
         "update the list and m2p (MMU_MACHPHYS_UPDATE) together whenever a frame changes its pfn"},
    [PV_GAP_UNREADABLE] =
        {"publication-unreadable", "frames of the p2m list that the guest publishes cannot be read",
         "the list names a frame that is not the guest's, or lies in one that it has given away"},
};

static void gap_text(const struct pv_gap *g, struct explain_gap *to)
{
    char pfns[64], listed[64] = "";

    *to = (struct explain_gap){g->first.n, g->last.n, g->is.n, g->listed.n, ""};
    if (g->first.n == g->last.n)
        snprintf(pfns, sizeof(pfns), "pfn 0x%" PRIx64, g->first.n);
    else
        snprintf(pfns, sizeof(pfns), "pfns 0x%" PRIx64 " to 0x%" PRIx64, g->first.n, g->last.n);
    if (g->kind == PV_GAP_DIFFERS)
        snprintf(listed, sizeof(listed), ", by the list mfn 0x%" PRIx64, g->listed.n);
    if (g->is.n != NO_MFN.n)
        snprintf(to->text, sizeof(to->text), "%s: the first is mfn 0x%" PRIx64 "%s", pfns, g->is.n,
                 listed);
    else
        snprintf(to->text, sizeof(to->text), "%s%s", pfns, listed);
}

static struct explanation *new_finding(struct explanation **list, unsigned *n, const char *code,
                                       enum explain_weight weight, const char *headline)
{
    struct explanation *x = calloc(1, sizeof(*x));

    if (x == NULL || *n == PUBLICATION_MAX) {
        free(x);
        return NULL;
    }
    x->code = code;
    x->kind = "publication";
    x->weight = weight;
    x->count = 1;
    x->rule_text = x->error_name = "";
    x->report.frame.mfn = PVMM_NONE;
    snprintf(x->headline, sizeof(x->headline), "%s", headline);
    list[(*n)++] = x;
    return x;
}

static void add_hint(struct explanation *x, const char *text)
{
    struct explain_hint *h = &x->hint[x->hints++];

    h->code = x->code;
    snprintf(h->text, sizeof(h->text), "%s", text);
}

static struct explanation *find(struct explanation **list, unsigned n, const char *headline)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(list[i]->headline, headline) == 0)
            return list[i];
    return NULL;
}

static void add_gap(struct explanation **list, unsigned *n, const struct pv_gap *g)
{
    struct explanation *x;

    if ((unsigned)g->kind >= sizeof(gap_words) / sizeof(gap_words[0]))
        return;
    x = find(list, *n, gap_words[g->kind].headline);
    if (x == NULL) {
        x = new_finding(list, n, gap_words[g->kind].code, EXPLAIN_FINDING,
                        gap_words[g->kind].headline);
        if (x == NULL)
            return;
        add_hint(x, gap_words[g->kind].hint);
    }
    if (x->gaps < PV_GAPS)
        gap_text(g, &x->gap[x->gaps++]);
    x->gaps_found++;
}

static void add_short(struct explanation **list, unsigned *n, const struct pv_publication *p)
{
    const uint64_t kept = p->gaps < PV_GAPS ? p->gaps : PV_GAPS;

    for (uint64_t i = 0; i < kept; i++)
        add_gap(list, n, &p->gap[i]);
    if (p->gaps > kept && *n > 0)
        list[*n - 1]->gaps_found += p->gaps - kept;
}

unsigned explain_publication(const struct pv_publication *p, struct explanation **list)
{
    struct explanation *x;
    unsigned n = 0;

    if (p->published) {
        add_short(list, &n, p);
    } else {
        x = new_finding(list, &n, "not-published", EXPLAIN_NOTE, "the guest publishes no p2m list");
        if (x != NULL)
            add_hint(x, "tools can neither save nor dump such a guest: the list belongs into "
                        "shared_info.arch (pfn_to_mfn_frame_list_list and max_pfn)");
    }
    if (!p->initial_idle)
        return n;
    x = new_finding(list, &n, "initial-root-pinned", EXPLAIN_FINDING,
                    "the root that the domain builder made is still pinned, and no vCPU has it "
                    "loaded");
    if (x != NULL)
        add_hint(x, "its tables stay read-only and cannot be freed: unpin it (MMUEXT_UNPIN_TABLE) "
                    "after switching to a root of the kernel's own");
    return n;
}
