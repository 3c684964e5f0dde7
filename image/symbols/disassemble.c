/* SPDX-License-Identifier: MIT */
#include <Zydis/Zydis.h>

#include "calls.h"

static bool decode(const uint8_t *code, size_t bytes, ZydisDecodedInstruction *i,
                   ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    ZydisDecoder d;

    return ZYAN_SUCCESS(ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) &&
           ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, code, bytes, i, operands));
}

bool pv_disassemble(const uint8_t *code, size_t bytes, uint64_t address, char *text, size_t size)
{
    ZydisDecodedInstruction i;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisFormatter f;

    if (size == 0)
        return false;
    text[0] = '\0';
    return decode(code, bytes, &i, operands) &&
           ZYAN_SUCCESS(ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_ATT)) &&
           ZYAN_SUCCESS(ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, false)) &&
           ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&f, &i, operands, i.operand_count_visible,
                                                        text, size, address, NULL));
}

/* What PUSH and CALL store to lies below the stack pointer of before. */
static ZyanU64 pushed(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *o)
{
    const bool pushes =
        i->meta.category == ZYDIS_CATEGORY_PUSH || i->meta.category == ZYDIS_CATEGORY_CALL;

    return pushes && o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN ? o->size / 8 : 0;
}

bool pv_stores_to(const uint8_t *code, size_t bytes, uint64_t address, const uint64_t gpr[16],
                  uint64_t *va)
{
    ZydisDecodedInstruction i;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisRegisterContext registers = {{0}};

    if (!decode(code, bytes, &i, operands))
        return false;
    for (unsigned n = 0; n < 16; n++)
        registers.values[ZYDIS_REGISTER_RAX + n] = gpr[n];
    for (unsigned n = 0; n < i.operand_count; n++) {
        const ZydisDecodedOperand *o = &operands[n];

        if (o->type != ZYDIS_OPERAND_TYPE_MEMORY ||
            !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ||
            !ZYAN_SUCCESS(ZydisCalcAbsoluteAddressEx(&i, o, address, &registers, va)))
            continue;
        *va -= pushed(&i, o);
        return true;
    }
    return false;
}

/* Are all `bytes` one near call? */
static bool is_call(const uint8_t *code, size_t bytes, uint64_t address, struct call *out)
{
    ZydisDecodedInstruction i;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    if (!decode(code, bytes, &i, operands) || i.length != bytes ||
        i.mnemonic != ZYDIS_MNEMONIC_CALL || i.meta.branch_type != ZYDIS_BRANCH_TYPE_NEAR)
        return false;
    out->direct = operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    out->target = 0;
    if (out->direct)
        return ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&i, &operands[0], address, &out->target));
    return true;
}

/* `code` has `bytes` up to `end`. The commonest forms first: bytes may read as several. */
bool call_before(const uint8_t *code, size_t bytes, uint64_t end, struct call *out)
{
    static const uint8_t length[] = {5, 2, 3, 6, 7, 4, 8};

    for (size_t i = 0; i < sizeof(length); i++)
        if (length[i] <= bytes &&
            is_call(code + bytes - length[i], length[i], end - length[i], out))
            return true;
    return false;
}
