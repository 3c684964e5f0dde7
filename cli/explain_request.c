/* SPDX-License-Identifier: MIT */
/* The request in words: what was asked, by which arguments, and where in its batch. */
#include "explain.h"

#include <inttypes.h>
#include <string.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00 /* the newest names */
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

#include "core.h"
#include "verdict.h"

#define MEMOP_COMMAND 0x3f /* the rest of the word is where to go on (<xen/memory.h>) */

#define NAME(prefix, word) [prefix##word] = #prefix #word

static const char *const ext_names[] = {
    NAME(MMUEXT_, PIN_L1_TABLE),    NAME(MMUEXT_, PIN_L2_TABLE),  NAME(MMUEXT_, PIN_L3_TABLE),
    NAME(MMUEXT_, PIN_L4_TABLE),    NAME(MMUEXT_, UNPIN_TABLE),   NAME(MMUEXT_, NEW_BASEPTR),
    NAME(MMUEXT_, TLB_FLUSH_LOCAL), NAME(MMUEXT_, INVLPG_LOCAL),  NAME(MMUEXT_, TLB_FLUSH_MULTI),
    NAME(MMUEXT_, INVLPG_MULTI),    NAME(MMUEXT_, TLB_FLUSH_ALL), NAME(MMUEXT_, INVLPG_ALL),
    NAME(MMUEXT_, FLUSH_CACHE),     NAME(MMUEXT_, SET_LDT),       NAME(MMUEXT_, NEW_USER_BASEPTR),
    NAME(MMUEXT_, CLEAR_PAGE),      NAME(MMUEXT_, COPY_PAGE),     NAME(MMUEXT_, FLUSH_CACHE_GLOBAL),
    NAME(MMUEXT_, MARK_SUPER),      NAME(MMUEXT_, UNMARK_SUPER),
};

static const char *const memory_names[] = {
    NAME(XENMEM_, increase_reservation),
    NAME(XENMEM_, decrease_reservation),
    NAME(XENMEM_, maximum_ram_page),
    NAME(XENMEM_, current_reservation),
    NAME(XENMEM_, maximum_reservation),
    NAME(XENMEM_, machphys_mfn_list),
    NAME(XENMEM_, populate_physmap),
    NAME(XENMEM_, add_to_physmap),
    NAME(XENMEM_, memory_map),
    NAME(XENMEM_, machine_memory_map),
    NAME(XENMEM_, exchange),
    NAME(XENMEM_, machphys_mapping),
    NAME(XENMEM_, set_memory_map),
    NAME(XENMEM_, maximum_gpfn),
    NAME(XENMEM_, remove_from_physmap),
};

static const char *const grant_names[] = {
    NAME(GNTTABOP_, map_grant_ref), NAME(GNTTABOP_, unmap_grant_ref),
    NAME(GNTTABOP_, setup_table),   NAME(GNTTABOP_, dump_table),
    NAME(GNTTABOP_, transfer),      NAME(GNTTABOP_, copy),
    NAME(GNTTABOP_, query_size),    NAME(GNTTABOP_, unmap_and_replace),
    NAME(GNTTABOP_, set_version),   NAME(GNTTABOP_, get_status_frames),
    NAME(GNTTABOP_, get_version),   NAME(GNTTABOP_, swap_grant_ref),
    NAME(GNTTABOP_, cache_flush),
};

static const char *const update_names[] = {
    NAME(MMU_, NORMAL_PT_UPDATE),
    NAME(MMU_, MACHPHYS_UPDATE),
    NAME(MMU_, PT_UPDATE_PRESERVE_AD),
    NAME(MMU_, PT_UPDATE_NO_TRANSLATE),
};

#define PICK(names, i) ((i) < sizeof(names) / sizeof((names)[0]) ? (names)[i] : NULL)

static const char *command_name(const struct pvmm_report *r)
{
    switch (r->hypercall) {
    case __HYPERVISOR_mmu_update:
        return r->batch_index != PVMM_NONE ? update_names[r->element[0] & 3] : NULL;
    case __HYPERVISOR_mmuext_op:
        return r->batch_index != PVMM_NONE ? PICK(ext_names, r->element[0]) : NULL;
    case __HYPERVISOR_memory_op:
        return PICK(memory_names, r->args[0] & MEMOP_COMMAND);
    case __HYPERVISOR_grant_table_op:
        return PICK(grant_names, r->args[0]);
    default:
        return NULL;
    }
}

/* ---- arguments: their names, and what some of them mean */

static const char *const argument_names[PVMM_HYPERCALLS][EXPLAIN_ARGS] = {
    [__HYPERVISOR_set_trap_table] = {"table"},
    [__HYPERVISOR_mmu_update] = {"list", "count", "done", "domain"},
    [__HYPERVISOR_set_gdt] = {"frames", "entries"},
    [__HYPERVISOR_stack_switch] = {"ss", "sp"},
    [__HYPERVISOR_update_descriptor] = {"address", "descriptor"},
    [__HYPERVISOR_memory_op] = {"command", "argument"},
    [__HYPERVISOR_multicall] = {"list", "count"},
    [__HYPERVISOR_update_va_mapping] = {"address", "entry", "flags"},
    [__HYPERVISOR_grant_table_op] = {"command", "list", "count"},
    [__HYPERVISOR_update_va_mapping_otherdomain] = {"address", "entry", "flags", "domain"},
    [__HYPERVISOR_vcpu_op] = {"command", "vcpu", "argument"},
    [__HYPERVISOR_mmuext_op] = {"list", "count", "done", "domain"},
};

static void domain_words(uint64_t id, char *text, size_t size)
{
    if ((uint16_t)id == DOMID_SELF)
        snprintf(text, size, "DOMID_SELF: the caller");
    else if ((uint16_t)id == DOMID_IO)
        snprintf(text, size, "DOMID_IO: what is not RAM");
    else if ((uint16_t)id == DOMID_XEN)
        snprintf(text, size, "DOMID_XEN: the hypervisor");
    else
        snprintf(text, size, "domain %u", (unsigned)(uint16_t)id);
}

static void flush_words(uint64_t flags, char *text, size_t size)
{
    static const char *const kinds[] = {"UVMF_NONE", "UVMF_TLB_FLUSH", "UVMF_INVLPG",
                                        "no flush there is"};

    snprintf(text, size, "%s%s", kinds[flags & UVMF_FLUSHTYPE_MASK],
             flags & UVMF_ALL ? " | UVMF_ALL" : "");
}

static void argument_words(const struct explain_sources *s, const struct explain_request *q,
                           struct explain_argument *a)
{
    struct explain_entry entry;
    struct explain_symbol name;

    if (strcmp(a->name, "domain") == 0)
        domain_words(a->value, a->meaning, sizeof(a->meaning));
    else if (strcmp(a->name, "flags") == 0)
        flush_words(a->value, a->meaning, sizeof(a->meaning));
    else if (strcmp(a->name, "command") == 0 && q->command != NULL)
        snprintf(a->meaning, sizeof(a->meaning), "%s", q->command);
    else if (strcmp(a->name, "entry") == 0) {
        explain_entry(s, 1, a->value, &entry);
        snprintf(a->meaning, sizeof(a->meaning), "%.119s", entry.text);
    } else {
        explain_name(s, a->value, &name);
        if (name.known)
            snprintf(a->meaning, sizeof(a->meaning), "%.119s", name.text);
    }
}

static void arguments(const struct explain_sources *s, const struct pvmm_report *r,
                      struct explain_request *to)
{
    if (r->hypercall >= PVMM_HYPERCALLS)
        return;
    for (unsigned i = 0; i < EXPLAIN_ARGS; i++) {
        const char *name = argument_names[r->hypercall][i];
        struct explain_argument *a = &to->arg[to->args];

        if (name == NULL)
            return;
        snprintf(a->name, sizeof(a->name), "%s", name);
        a->value = r->args[i];
        argument_words(s, to, a);
        to->args++;
    }
}

/* ---- where in its batch; counted from 1 */

static void position(const struct pvmm_report *r, char *text, size_t size)
{
    const bool batch = r->batch_index != PVMM_NONE && r->batch_count > 1;
    size_t used = 0;

    text[0] = '\0';
    if (batch)
        used = (size_t)snprintf(text, size, "element %" PRIu64 " of %" PRIu64, r->batch_index + 1,
                                r->batch_count);
    if (r->multicall_index != PVMM_NONE && used < size)
        snprintf(text + used, size - used, "%selement %" PRIu64 " of a multicall",
                 batch ? ", in " : "", r->multicall_index + 1);
}

/* ---- what was asked for */

static void update_words(const struct explain_sources *s, const struct pvmm_report *r, char *text,
                         size_t size)
{
    const uint64_t ptr = r->element[0] & ~7ull;
    const unsigned command = r->element[0] & 3;
    struct explain_entry entry;
    char frame[64];

    explain_frame_name(s, ptr / PAGE_BYTES, frame, sizeof(frame));
    if (command == MMU_MACHPHYS_UPDATE) {
        snprintf(text, size, "let m2p say pfn 0x%" PRIx64 " for %s", r->element[1], frame);
        return;
    }
    explain_entry(s, r->steps > 0 ? r->path[0].level : 1, r->element[1], &entry);
    snprintf(text, size, "%s%sentry %" PRIu64 " of %s := %s",
             command != MMU_NORMAL_PT_UPDATE ? update_names[command] : "",
             command != MMU_NORMAL_PT_UPDATE ? ": " : "", ptr % PAGE_BYTES / 8, frame, entry.text);
}

static void ext_words(const struct explain_sources *s, const struct pvmm_report *r, char *text,
                      size_t size)
{
    const char *name = PICK(ext_names, r->element[0]);
    char number[40], frame[64];

    snprintf(number, sizeof(number), "command %" PRIu64, r->element[0]);
    if (name == NULL)
        name = number;
    explain_frame_name(s, r->element[1], frame, sizeof(frame));
    switch (r->element[0]) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
    case MMUEXT_UNPIN_TABLE:
    case MMUEXT_NEW_BASEPTR:
    case MMUEXT_NEW_USER_BASEPTR:
    case MMUEXT_CLEAR_PAGE:
        snprintf(text, size, "%s of %s", name, frame);
        return;
    case MMUEXT_COPY_PAGE:
        snprintf(text, size, "%s to %s from mfn 0x%" PRIx64, name, frame, r->element[2]);
        return;
    case MMUEXT_SET_LDT:
        snprintf(text, size, "%s at 0x%" PRIx64 ", %" PRIu64 " entries", name, r->element[1],
                 r->element[2]);
        return;
    default:
        snprintf(text, size, "%s (0x%" PRIx64 ", 0x%" PRIx64 ")", name, r->element[1],
                 r->element[2]);
        return;
    }
}

/* The extent at fault: of a domain like ours, what it gives back are mfns, what it fills are pfns.
 */
static void memory_words(const struct explain_sources *s, const struct pvmm_report *r,
                         const char *command, char *text, size_t size)
{
    const uint64_t number = r->args[0] & MEMOP_COMMAND;
    char frame[64];

    explain_frame_name(s, r->element[0], frame, sizeof(frame));
    if (r->batch_index != PVMM_NONE && number == XENMEM_decrease_reservation)
        snprintf(text, size, "%s of %s", command, frame);
    else if (r->batch_index != PVMM_NONE && number == XENMEM_populate_physmap)
        snprintf(text, size, "%s at pfn 0x%" PRIx64, command, r->element[0]);
    else
        snprintf(text, size, "%s", command);
}

/* true: these words say what the arguments are; else the arguments are listed. */
static bool asked_words(const struct explain_sources *s, const struct pvmm_report *r,
                        const struct explain_request *q, char *text, size_t size)
{
    struct explain_entry entry;
    struct explain_symbol name;

    switch (r->hypercall) {
    case __HYPERVISOR_mmu_update:
    case __HYPERVISOR_mmuext_op:
        if (r->batch_index == PVMM_NONE)
            return false;
        (r->hypercall == __HYPERVISOR_mmu_update ? update_words : ext_words)(s, r, text, size);
        return true;
    case __HYPERVISOR_update_va_mapping:
    case __HYPERVISOR_update_va_mapping_otherdomain:
        explain_name(s, r->args[0], &name);
        explain_entry(s, 1, r->args[1], &entry);
        snprintf(text, size, "entry for 0x%" PRIx64 "%s%s%s := %s", r->args[0],
                 name.known ? " (" : "", name.known ? name.text : "", name.known ? ")" : "",
                 entry.text);
        return true;
    case __HYPERVISOR_memory_op:
        if (q->command == NULL)
            return false;
        memory_words(s, r, q->command, text, size);
        return true;
    case __HYPERVISOR_grant_table_op:
        if (q->command == NULL)
            return false;
        snprintf(text, size, "%s", q->command);
        return true;
    case __HYPERVISOR_set_gdt:
        snprintf(text, size, "a GDT of %" PRIu64 " entries", r->args[1]);
        return true;
    case __HYPERVISOR_update_descriptor:
        snprintf(text, size, "descriptor at 0x%" PRIx64 " := 0x%" PRIx64, r->args[0], r->args[1]);
        return true;
    default:
        return false;
    }
}

static void list_arguments(const struct pvmm_report *r, char *text, size_t size)
{
    snprintf(text, size, "arguments 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64,
             r->args[0], r->args[1], r->args[2], r->args[3]);
}

static void hypercall_words(const struct explain_sources *s, const struct pvmm_report *r,
                            struct explain_request *to)
{
    char asked[EXPLAIN_LINE] = "", number[40];

    snprintf(number, sizeof(number), "hypercall %" PRIu64, r->hypercall);
    if (!asked_words(s, r, to, asked, sizeof(asked)))
        list_arguments(r, asked, sizeof(asked));
    snprintf(to->text, sizeof(to->text), "%s%s%s: %.240s", to->name != NULL ? to->name : number,
             to->position[0] != '\0' ? ", " : "", to->position, asked);
}

static void store_words(const struct explain_sources *s, const struct pvmm_report *r, char *text,
                        size_t size)
{
    struct explain_entry entry;

    explain_entry(s, 1, r->value, &entry);
    snprintf(text, size, "a store to a table at 0x%" PRIx64 ": %s", r->address, entry.text);
}

void explain_request(const struct explain_sources *s, const struct pvmm_report *r,
                     struct explain_request *to)
{
    static const char *const hows[] = {"none", "hypercall", "store", "cr3", "ldt"};
    char frame[64];

    *to = (struct explain_request){.how = hows[r->request]};
    switch (r->request) {
    case PVMM_REQUEST_HYPERCALL:
        if (r->hypercall < PVMM_HYPERCALLS)
            to->name = hypercall_name((unsigned)r->hypercall);
        to->command = command_name(r);
        position(r, to->position, sizeof(to->position));
        arguments(s, r, to);
        hypercall_words(s, r, to);
        return;
    case PVMM_REQUEST_STORE:
        store_words(s, r, to->text, sizeof(to->text));
        return;
    case PVMM_REQUEST_CR3:
        explain_frame_name(s, r->frame.mfn, frame, sizeof(frame));
        snprintf(to->text, sizeof(to->text), "MOV to CR3 of 0x%" PRIx64 " (%s)", r->value,
                 r->frame.mfn != PVMM_NONE ? frame : "no frame");
        return;
    case PVMM_REQUEST_LDT:
        snprintf(to->text, sizeof(to->text),
                 "a selector of the LDT was used: its page at 0x%" PRIx64, r->address);
        return;
    default:
        return;
    }
}
