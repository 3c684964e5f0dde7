/* SPDX-License-Identifier: MIT */
/*
 * Patterns that real kernels ran into, each a condition on the facts of an explanation and a
 * sentence on what would have been right. No condition met: no hint. To add one: a function, and a
 * line in the table; docs/explain.md lists the codes.
 */
#include "explain.h"

#include <inttypes.h>
#include <string.h>

#include <xen/xen.h>

#include "core.h"
#include "verdict.h"

typedef bool hint_fn(const struct explain_sources *s, const struct explanation *x, char *text,
                     size_t size);

static bool is_table_type(uint32_t type)
{
    return type >= PVMM_FRAME_L1 && type <= PVMM_FRAME_L4;
}

static bool is_read_only_type(uint32_t type)
{
    return is_table_type(type) || type == PVMM_FRAME_DESC;
}

static bool is_refusal(const struct explanation *x, enum core_reason reason)
{
    return x->report.kind == PVMM_REPORT_REFUSAL && x->report.reason == reason;
}

/* A pin and a new root make a whole tree tables; an update's first step is a table that is one
 * already. */
static uint32_t first_new(const struct pvmm_report *r)
{
    const bool whole = r->request == PVMM_REQUEST_CR3 || (r->request == PVMM_REQUEST_HYPERCALL &&
                                                          r->hypercall == __HYPERVISOR_mmuext_op);

    return whole ? 0 : 1;
}

/* Is this one of the tables that the request would make tables? */
static bool is_new(const struct pvmm_report *r, uint64_t table)
{
    for (uint32_t i = first_new(r); i < r->steps; i++)
        if (r->path[i].table == table)
            return true;
    return false;
}

static bool hangs_from_new(const struct pvmm_report *r, const struct pvmm_holder *h)
{
    return h->kind == PVMM_HOLDER_ENTRY && h->conflicts &&
           (is_new(r, h->table) || is_new(r, h->place.top));
}

/* Of the holders kept those that conflict and are L1 entries that map writable: the first of them,
 * and how many. */
static const struct pvmm_holder *writable_mapping(const struct pvmm_report *r, unsigned kept,
                                                  unsigned *count)
{
    const struct pvmm_holder *first = NULL;

    *count = 0;
    for (unsigned i = 0; i < kept; i++) {
        const struct pvmm_holder *h = &r->holder[i];

        if (!h->conflicts || h->kind != PVMM_HOLDER_ENTRY || h->level != 1 || !(h->entry & PTE_RW))
            continue;
        first = first != NULL ? first : h;
        ++*count;
    }
    return first;
}

/* A tree of tables that is made a table as a whole, and itself maps one of its tables writable. */
static bool maps_its_own_tables(const struct explain_sources *s, const struct explanation *x,
                                char *text, size_t size)
{
    const struct pvmm_report *r = &x->report;
    bool own = is_new(r, r->frame.mfn);

    (void)s;
    if (!is_refusal(x, REASON_TYPE_IN_USE))
        return false;
    if (!(r->wanted == PVMM_FRAME_WRITABLE && is_table_type(r->frame.type)) &&
        !(is_table_type(r->wanted) && r->frame.type == PVMM_FRAME_WRITABLE))
        return false;
    for (unsigned i = 0; i < x->holders && !own; i++)
        own = hangs_from_new(r, &r->holder[i]);
    if (!own)
        return false;
    snprintf(text, size,
             "mfn 0x%" PRIx64 " is a table of the very tree that maps it writable. When the tables "
             "of a direct map are filled, the pages they are made in have to be mapped read-only "
             "by them",
             r->frame.mfn);
    return true;
}

static bool mapped_writable(const struct explain_sources *s, const struct explanation *x,
                            char *text, size_t size)
{
    const struct pvmm_report *r = &x->report;
    char address[64];
    unsigned mappings;
    const struct pvmm_holder *h = writable_mapping(r, x->holders, &mappings);

    (void)s;
    if (!is_refusal(x, REASON_TYPE_IN_USE) || !is_read_only_type(r->wanted) ||
        r->frame.type != PVMM_FRAME_WRITABLE || h == NULL)
        return false;
    if (h->place.top_level == 4)
        snprintf(address, sizeof(address), "0x%" PRIx64, h->place.va);
    else
        snprintf(address, sizeof(address), "entry %u of mfn 0x%" PRIx64, h->slot, h->table);
    snprintf(text, size,
             "a frame that becomes %s must not be mapped writable anywhere: make the mapping at %s "
             "read-only first (update_va_mapping, or mmu_update of its entry, without RW)%s",
             r->wanted == PVMM_FRAME_DESC ? "a descriptor page" : "a page table", address,
             mappings > 1 ? ", and the other writable ones above" : "");
    return true;
}

static bool root_is_idle(uint32_t flags)
{
    return (flags & PVMM_FRAME_PINNED) &&
           !(flags & (PVMM_FRAME_KERNEL_ROOT | PVMM_FRAME_USER_ROOT));
}

/* Everything that holds the frame as a table hangs from roots that nobody has loaded. */
static bool idle_root_holds(const struct explain_sources *s, const struct explanation *x,
                            char *text, size_t size)
{
    const struct pvmm_report *r = &x->report;
    const struct pvmm_holder *root = NULL;
    bool pinned_itself = false;

    (void)s;
    if (!is_refusal(x, REASON_TYPE_IN_USE) || !is_table_type(r->frame.type) ||
        r->holders > x->holders)
        return false;
    for (unsigned i = 0; i < x->holders; i++) {
        const struct pvmm_holder *h = &r->holder[i];

        if (!h->conflicts)
            continue;
        if (h->kind == PVMM_HOLDER_PIN && root_is_idle(r->frame.flags))
            pinned_itself = true;
        else if (h->kind == PVMM_HOLDER_ENTRY && h->place.top_level == 4 &&
                 root_is_idle(h->place.top_flags))
            root = h;
        else
            return false;
    }
    if (root != NULL)
        snprintf(
            text, size,
            "the frame is a table only because of what is pinned and no vCPU has loaded, as %s "
            "mfn 0x%" PRIx64 ": unpin that root (MMUEXT_UNPIN_TABLE) after switching away from "
            "it, before its pages are used for something else",
            root->place.top_flags & PVMM_FRAME_BUILDERS ? "the builder's root" : "the root",
            root->place.top);
    else if (pinned_itself)
        snprintf(text, size,
                 "the frame is %s, and only its pin keeps it one: unpin it (MMUEXT_UNPIN_TABLE) "
                 "before its page is used for something else",
                 r->frame.flags & PVMM_FRAME_BUILDERS ? "the root that the domain builder made"
                                                      : "a table");
    return root != NULL || pinned_itself;
}

/* A table or descriptor page, and nothing that says more about it. */
static bool table_in_use(const struct explain_sources *s, const struct explanation *x, char *text,
                         size_t size)
{
    const struct pvmm_report *r = &x->report;

    (void)s;
    if (!is_refusal(x, REASON_TYPE_IN_USE) || r->wanted != PVMM_FRAME_WRITABLE ||
        !is_read_only_type(r->frame.type) || x->hints > 0)
        return false;
    snprintf(
        text, size,
        "%s in use is never mapped writable: map it without RW and change it by requests (%s), "
        "or end first what holds it as one",
        r->frame.type == PVMM_FRAME_DESC ? "a descriptor page" : "a page table",
        r->frame.type == PVMM_FRAME_DESC ? "update_descriptor" : "mmu_update");
    return true;
}

/* Which root other than the loaded one has an L1 for the address? NO_MFN: none that is known. */
static mfn_t other_root(const struct explain_sources *s, const struct pvmm_report *r, uint64_t va)
{
    struct pv_walk w;
    mfn_t m;

    if (s->view == NULL)
        return NO_MFN;
    m = s->view->initial_root;
    if (m.n != NO_MFN.n && m.n != r->kernel_root && pv_walk(s->view, m, (gva_t){va}, &w))
        return m;
    for (m = s->view->backend->next_pinned_root(s->view, (mfn_t){0}); m.n != NO_MFN.n;
         m = s->view->backend->next_pinned_root(s->view, (mfn_t){m.n + 1}))
        if (m.n != r->kernel_root && pv_walk(s->view, m, (gva_t){va}, &w))
            return m;
    return NO_MFN;
}

/* The last of the tables that were walked: in that entry there is nothing. */
static void dead_end(const struct explain_sources *s, const struct explanation *x, char *text,
                     size_t size)
{
    const unsigned level = 5 - x->walked;
    char frame[64];

    text[0] = '\0';
    if (x->walked == 0 || level < 2)
        return;
    explain_frame_name(s, x->report.walk_at[level] / PAGE_BYTES, frame, sizeof(frame));
    snprintf(text, size,
             ", where the way to the address ends at entry %" PRIu64 " of the L%u table %s",
             x->report.walk_at[level] % PAGE_BYTES / 8, level, frame);
}

static bool other_tree(const struct explain_sources *s, const struct explanation *x, char *text,
                       size_t size)
{
    const struct pvmm_report *r = &x->report;
    char elsewhere[120] = "", end[160];
    mfn_t m;

    if (!is_refusal(x, REASON_NO_L1) || r->request != PVMM_REQUEST_HYPERCALL)
        return false;
    dead_end(s, x, end, sizeof(end));
    m = other_root(s, r, r->args[0]);
    if (m.n != NO_MFN.n)
        snprintf(elsewhere, sizeof(elsewhere),
                 " Root mfn 0x%" PRIx64 ", which is not loaded, does map the address.", m.n);
    snprintf(text, size,
             "update_va_mapping changes the tree that CR3 names, mfn 0x%" PRIx64 "%s.%s If the "
             "kernel did hook a table for it, it was into another tree, slot or page: find tables "
             "from CR3 (the value read back), and see that those in the kernel's image are page "
             "aligned",
             r->kernel_root, end, elsewhere);
    return true;
}

static bool no_table_any_more(const struct explain_sources *s, const struct explanation *x,
                              char *text, size_t size)
{
    const struct pvmm_report *r = &x->report;
    struct witnessed w = {.answer = WITNESS_OFF};
    struct explain_symbol name;
    char released[300] = "";

    if (!is_refusal(x, REASON_NOT_A_TABLE) || r->frame.mfn == PVMM_NONE)
        return false;
    if (s->witness != NULL)
        w = witness_frame(s->witness, r->recorded, PVMM_ACT_RELEASE, r->frame.mfn, 0);
    if (w.answer == WITNESS_SEEN) {
        explain_name(s, w.record.rip, &name);
        snprintf(released, sizeof(released),
                 " It was a table, and its last use ended with a request by %s.", name.text);
    }
    snprintf(text, size,
             "mfn 0x%" PRIx64 " is in no tree that is pinned or loaded, so it is no table to the "
             "hypervisor.%s If it belongs to a tree that is not in use yet, write to it directly; "
             "if it should be one of the tree in use, find it from CR3 (the value read back)",
             r->frame.mfn, released);
    return true;
}

/* Only what was a table for sure is said to have been one; read-only data is right to be that. */
static bool left_read_only(const struct explain_sources *s, const struct explanation *x, char *text,
                           size_t size)
{
    const struct pvmm_report *r = &x->report;
    const uint64_t page = r->address & ~(uint64_t)(PAGE_BYTES - 1);
    struct witnessed w = {.answer = WITNESS_OFF};
    struct explain_symbol name;

    if (r->kind != PVMM_REPORT_WRITE_FAULT || r->frame.mfn == PVMM_NONE || !r->frame.known ||
        r->frame.owner < 0 || (r->frame.flags & PVMM_FRAME_SHARED) || !pte_present(r->walk[1]) ||
        (r->walk[1] & PTE_RW))
        return false;
    if (is_read_only_type(r->frame.type) && r->frame.uses > 0)
        return false;
    if (s->witness != NULL)
        w = witness_frame(s->witness, r->recorded, PVMM_ACT_RELEASE, r->frame.mfn, 0);
    if (w.answer == WITNESS_SEEN) {
        explain_name(s, w.record.rip, &name);
        snprintf(text, size,
                 "mfn 0x%" PRIx64 " was a table until a request from %s, and is none now: its "
                 "mapping at 0x%" PRIx64 " should have been made writable again then",
                 r->frame.mfn, name.text, page);
        return true;
    }
    snprintf(text, size,
             "mfn 0x%" PRIx64
             " is no table: the contract does not ask for it to be read-only, only "
             "the mapping at 0x%" PRIx64 " is. If the page was meant to be written to, make it "
             "writable before it is handed out",
             r->frame.mfn, page);
    return true;
}

/* The store hits a variable that has a table, or a piece of one, on its page. */
static bool shares_a_page(const struct explain_sources *s, const struct explanation *x, char *text,
                          size_t size)
{
    const struct pvmm_report *r = &x->report;
    const uint64_t page = r->address & ~(uint64_t)(PAGE_BYTES - 1);
    struct explain_symbol first, last;
    const struct explain_symbol *other;

    if (r->kind != PVMM_REPORT_WRITE_FAULT || !is_read_only_type(r->frame.type) ||
        r->frame.uses == 0 || !x->target.known || x->target.symbol.is_code)
        return false;
    explain_name(s, page, &first);
    explain_name(s, page + PAGE_BYTES - 1, &last);
    other = first.known && first.symbol.address != x->target.symbol.address ? &first : &last;
    if (!other->known || other->symbol.address == x->target.symbol.address)
        return false;
    snprintf(text, size,
             "the store is to %s, whose page is in use as %s and also holds %s. A page-aligned "
             "section in which a variable is not a whole number of pages long shifts the tables "
             "behind it: align each of them by itself",
             x->target.symbol.name, frame_type_name(r->frame.type), other->symbol.name);
    return true;
}

static bool store_to_table(const struct explain_sources *s, const struct explanation *x, char *text,
                           size_t size)
{
    const struct pvmm_report *r = &x->report;

    (void)s;
    if (r->kind != PVMM_REPORT_WRITE_FAULT || !is_read_only_type(r->frame.type) ||
        r->frame.uses == 0 || x->hints > 0)
        return false;
    snprintf(text, size,
             "%s in use is changed by requests (%s); to use its page for something else, end its "
             "use as one first",
             r->frame.type == PVMM_FRAME_DESC ? "a descriptor page" : "a page table",
             r->frame.type == PVMM_FRAME_DESC ? "update_descriptor"
                                              : "mmu_update, update_va_mapping");
    return true;
}

static bool pfn_for_mfn(const struct explain_sources *s, const struct explanation *x, char *text,
                        size_t size)
{
    const struct pvmm_report *r = &x->report;

    (void)s;
    if (!is_refusal(x, REASON_FOREIGN_FRAME) && !is_refusal(x, REASON_NO_SUCH_FRAME) &&
        !is_refusal(x, REASON_NOT_RAM))
        return false;
    if (!x->frame.there || x->frame.m2p_back == PVMM_NONE || x->frame.m2p_back == r->frame.mfn)
        return false;
    snprintf(text, size,
             "0x%" PRIx64
             " is no frame of the guest's, but it is one of its pfns, with mfn 0x%" PRIx64
             ": this looks like a pfn where an mfn is wanted",
             r->frame.mfn, x->frame.m2p_back);
    return true;
}

static bool pinned_already(const struct explain_sources *s, const struct explanation *x, char *text,
                           size_t size)
{
    (void)s;
    if (!is_refusal(x, REASON_ALREADY_PINNED))
        return false;
    snprintf(text, size,
             "a pin is held once, however often it is asked for: pin when a tree is "
             "made, and unpin once when it is given up");
    return true;
}

static bool pinned_not(const struct explain_sources *s, const struct explanation *x, char *text,
                       size_t size)
{
    (void)s;
    if (!is_refusal(x, REASON_NOT_PINNED))
        return false;
    snprintf(text, size,
             "only what was pinned is unpinned: this frame was not, or has been "
             "unpinned before");
    return true;
}

static unsigned level_at_fault(const struct pvmm_report *r)
{
    if (r->steps > 0)
        return r->path[r->steps - 1].level;
    return 0;
}

static bool superpage(const struct explain_sources *s, const struct explanation *x, char *text,
                      size_t size)
{
    (void)s;
    if (!is_refusal(x, REASON_BAD_FLAGS) || !(x->report.value & PTE_PSE) ||
        level_at_fault(&x->report) < 2)
        return false;
    snprintf(text, size,
             "PSE is set: PV guests have no superpages, every mapping is an L1 entry "
             "(4 KiB). Leave PSE out of the kernel's page flags");
    return true;
}

static bool reserved_slot(const struct explain_sources *s, const struct explanation *x, char *text,
                          size_t size)
{
    (void)s;
    if (!is_refusal(x, REASON_RESERVED_SLOT))
        return false;
    snprintf(text, size,
             "slots 256 to 271 of every L4 are the hypervisor's (addresses "
             "0xffff800000000000 to 0xffff87ffffffffff): leave them out when a root is "
             "copied or cleared by requests");
    return true;
}

static bool still_used(const struct explain_sources *s, const struct explanation *x, char *text,
                       size_t size)
{
    (void)s;
    if (!is_refusal(x, REASON_FRAME_HELD) || x->holders == 0)
        return false;
    snprintf(text, size,
             "a frame is given away only when nothing maps it: remove the mappings "
             "above first, those of other address spaces as well");
    return true;
}

static const struct {
    const char *code;
    hint_fn *applies;
} table[] = {
    {"tables-map-themselves", maps_its_own_tables},
    {"mapped-writable", mapped_writable},
    {"idle-root", idle_root_holds},
    {"table-in-use", table_in_use},
    {"other-tree", other_tree},
    {"not-in-use", no_table_any_more},
    {"left-read-only", left_read_only},
    {"shares-a-page", shares_a_page},
    {"store-to-table", store_to_table},
    {"pfn-for-mfn", pfn_for_mfn},
    {"pinned-already", pinned_already},
    {"pinned-not", pinned_not},
    {"superpage", superpage},
    {"reserved-slot", reserved_slot},
    {"still-used", still_used},
};

void explain_hints(const struct explain_sources *s, struct explanation *x)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]) && x->hints < EXPLAIN_HINTS; i++) {
        struct explain_hint *h = &x->hint[x->hints];

        if (!table[i].applies(s, x, h->text, sizeof(h->text)))
            continue;
        h->code = table[i].code;
        x->hints++;
    }
}
