/* SPDX-License-Identifier: MIT */
/* set_gdt and update_descriptor. */
#include "ask.h"

#define CODE_DATA (1ull << 44)
#define PRESENT   (1ull << 47)
#define LIMIT     0x000f00000000ffffull

static unsigned long frames[16];

static void sizes(void)
{
    static const uint64_t n[] = {0,    1,    8,    511,  512,        513,        1024,
                                 1025, 7168, 7169, 8192, 1ull << 31, 1ull << 32, ~0ull};
    for (unsigned i = 0; i < 14; i++)
        frames[i] = pool_mfn[90 + i % 2];
    for (unsigned i = 0; i < sizeof(n) / sizeof(n[0]); i++)
        ASK(__HYPERVISOR_set_gdt, frames, n[i], 0, 0, "gdt of %lx entries", n[i]);
    ASK(__HYPERVISOR_set_gdt, 0x1000, 1, 0, 0, "gdt list not mapped");
    ASK(__HYPERVISOR_set_gdt, 0xffff830000000000ull, 1, 0, 0, "gdt list of the hypervisor's");
    ASK(__HYPERVISOR_set_gdt, 0, 0, 0, 0, "no gdt, no list");
    ASK(__HYPERVISOR_set_gdt, 0xffff830000000000ull, 0, 0, 0, "no gdt, bad list");
}

static const char *state(unsigned i)
{
    return make_rw(i) == 0 ? "free" : "held";
}

static void holding(void)
{
    frames[0] = pool_mfn[90];
    frames[1] = NO_FRAME;
    ASK(__HYPERVISOR_set_gdt, frames, 513, 0, 0, "gdt with a bad second frame");
    tell("P90 %s", state(90));
    make_ro(90);
    ASK(__HYPERVISOR_set_gdt, frames, 512, 0, 0, "gdt of one frame");
    tell("P90 %s", state(90));
    ask_ext(MMUEXT_PIN_L1_TABLE, pool_mfn[90], 0, "pin the gdt");
    ask_ext(MMUEXT_CLEAR_PAGE, pool_mfn[90], 0, "clear the gdt");
    frames[1] = pool_mfn[92]; /* writable */
    ASK(__HYPERVISOR_set_gdt, frames, 1024, 0, 0, "gdt with a writable second frame");
    tell("P90 %s", state(90));
}

/* Every type of descriptor, at every privilege, present or not. */
static void kinds(void)
{
    for (unsigned type = 0; type < 32; type++)
        for (unsigned dpl = 0; dpl < 4; dpl += 3) {
            uint64_t d = LIMIT | PRESENT | (uint64_t)type << 40 | (uint64_t)dpl << 45;
            ASK(__HYPERVISOR_update_descriptor, slot_address(90, 4), d, 0, 0,
                "descriptor type %02x dpl %u", type, dpl);
            tell("is %016lx", page(90)[4]);
        }
}

static void values(void)
{
    static const uint64_t v[] = {
        0,
        0x00cf9a000000ffffull, /* code, 32 bits */
        0x00af9a000000ffffull, /* code, 64 bits */
        0x00ef9a000000ffffull, /* code, both */
        0x00cf92000000ffffull, /* data */
        0xffcf92000000ffffull, /* data with a base */
        0xffffffffffffffffull,
        0x00008c0000000000ull, /* call gate */
        0x00008c00e0330000ull, /* to the hypervisor's 64-bit code */
        0x00008c00e0080000ull, /* to its own */
        0x00008c0000100000ull, /* to the guest's */
        0x0000ec0000100000ull,
        0x00008e0000100000ull, /* interrupt gate */
        0x0000890000000067ull, /* TSS */
        0x0000820000000fffull, /* LDT */
        0x00000c00e0080000ull, /* absent */
        0x0040f20000000001ull,
    };
    for (unsigned i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        ASK(__HYPERVISOR_update_descriptor, slot_address(90, 5), v[i], 0, 0, "descriptor %016lx",
            v[i]);
        tell("is %016lx", page(90)[5]);
    }
}

static void places(void)
{
    uint64_t flat = 0x00cff3000000ffffull;
    for (unsigned offset = 1; offset < 8; offset += 3)
        ASK(__HYPERVISOR_update_descriptor, slot_address(90, 4) + offset, flat, 0, 0,
            "descriptor at offset %u", offset);
    ASK(__HYPERVISOR_update_descriptor, slot_address(90, 511), flat, 0, 0, "last descriptor");
    ASK(__HYPERVISOR_update_descriptor, slot_address(91, 5), flat, 0, 0, "not in the gdt now");
    ASK(__HYPERVISOR_update_descriptor, slot_address(93, 5), flat, 0, 0, "in a writable page");
    ASK(__HYPERVISOR_update_descriptor, 1ull << 50, flat, 0, 0, "beyond memory");
    ASK(__HYPERVISOR_update_descriptor, ~7ull, flat, 0, 0, "all ones");
}

/* What set_gdt makes of descriptors that stand there already. */
static void validation(void)
{
    static const uint64_t v[] = {0x00cf9a000000ffffull, 0x00008c0000100000ull,
                                 0x0000890000000067ull, 0x0000090000000067ull,
                                 0x00008c00e0080000ull, 0x00cf92000000ffffull};
    call2(__HYPERVISOR_set_gdt, 0, 0);
    for (unsigned i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        make_rw(94);
        page(94)[9] = v[i];
        make_ro(94);
        frames[0] = pool_mfn[94];
        ASK(__HYPERVISOR_set_gdt, frames, 16, 0, 0, "gdt with %016lx", v[i]);
        tell("is %016lx", page(94)[9]);
        call2(__HYPERVISOR_set_gdt, 0, 0);
    }
}

void conform_descriptors(void)
{
    make_ro(90);
    make_ro(91);
    sizes();
    holding();
    kinds();
    values();
    places();
    validation();
}
