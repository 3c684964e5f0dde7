/* SPDX-License-Identifier: MIT */
/* R10: every refusal says why, in release builds. */
#include "internal.h"

RARE int refuse(const struct core *c, struct core_vcpu *v, int error, enum core_reason reason,
                unsigned rule, struct refuse_about about)
{
    bool known = frame_exists(c, about.frame);
    v->refusal = (struct core_refusal){
        .error = error,
        .reason = reason,
        .rule = (uint8_t)rule,
        .wanted = (uint8_t)about.wanted,
        .frame = about.frame,
        .use = known ? load_use(c, about.frame) : 0,
        .hold = known ? load_hold(c, about.frame) : 0,
        .value = about.value,
    };
    return error;
}

RARE void refuse_step(struct core_vcpu *v, mfn_t table, unsigned level, unsigned slot)
{
    struct core_refusal *r = &v->refusal;
    if (r->steps == sizeof(r->path) / sizeof(r->path[0]))
        return;
    for (unsigned i = r->steps; i > 0; i--)
        r->path[i] = r->path[i - 1];
    r->path[0] =
        (struct core_step){.table = table, .slot = (uint16_t)slot, .level = (uint8_t)level};
    r->steps++;
}

const char *core_reason_text(enum core_reason r)
{
    static const char *const text[] = {
        [REASON_NONE] = "nothing was refused",
        [REASON_FOREIGN_FRAME] = "the frame does not belong to the domain",
        [REASON_NOT_RAM] = "the frame is not RAM and the domain has no right to devices",
        [REASON_NO_SUCH_FRAME] = "the frame number is beyond the machine's memory",
        [REASON_TYPE_IN_USE] = "the frame is in use as another type",
        [REASON_COUNT_OVERFLOW] = "a reference counter of the frame is at its maximum",
        [REASON_BAD_FLAGS] = "the entry carries bits that its level does not allow",
        [REASON_RESERVED_SLOT] = "the slot belongs to the hypervisor",
        [REASON_ALREADY_PINNED] = "the frame is pinned already",
        [REASON_NOT_PINNED] = "the frame is not pinned",
        [REASON_NOT_A_TABLE] = "the frame is no validated page table",
        [REASON_NO_L1] = "no L1 table maps the address",
        [REASON_BAD_ADDRESS] = "the address is misaligned or out of range",
        [REASON_BAD_DESCRIPTOR] = "the descriptor could raise privilege",
        [REASON_NO_MEMORY] = "no free frame, or the domain is at its maximum",
        [REASON_NO_RIGHT] = "the domain has no right over the other one",
        [REASON_BAD_COMMAND] = "there is no such command",
        [REASON_FRAME_HELD] = "the frame has other uses and cannot be given away",
        [REASON_ENTRY_CHANGED] = "the entry is not what the request expected",
    };
    return (unsigned)r < sizeof(text) / sizeof(text[0]) ? text[r] : "unknown reason";
}

const char *core_rule_text(unsigned rule)
{
    static const char *const text[] = {
        [0] = "",
        [1] = "a frame has one owner and a counted number of references",
        [2] = "a frame has one type at a time, and changes it only when no use is left",
        [3] = "an entry holds references on what it maps, and carries only allowed bits",
        [4] = "a table is validated before its first use at a level",
        [5] = "a pin is one type reference, held once; so is a loaded root",
        [6] = "the hypervisor's L4 slots are its own",
        [7] = "m2p is the hypervisor's, p2m is the guest's",
        [8] = "another domain's frame is reached only by an explicit right",
        [9] = "no stale translation survives a change of type",
        [10] = "a refused request has no effect",
    };
    return rule < sizeof(text) / sizeof(text[0]) ? text[rule] : "";
}

const char *core_type_name(enum frame_type t)
{
    static const char *const name[TYPE_COUNT] = {[TYPE_NONE] = "none",
                                                 [TYPE_L1] = "L1",
                                                 [TYPE_L2] = "L2",
                                                 [TYPE_L3] = "L3",
                                                 [TYPE_L4] = "L4",
                                                 [TYPE_DESC] = "descriptor",
                                                 [TYPE_WRITABLE] = "writable"};
    return (unsigned)t < TYPE_COUNT ? name[t] : "invalid";
}
