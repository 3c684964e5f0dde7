/* SPDX-License-Identifier: MIT */
/* Ways in and out: iret frames, INT n, SYSCALL and SYSENTER from every mode. */
#include "attack.h"

#define HYPERVISOR_VA 0xffff82d040200000ull
#define NOT_CANONICAL 0x0000800000000000ull
#define IOPL3         0x3000u
#define NT            0x4000u
#define RF            0x10000u
#define VM            0x20000u
#define AC            0x40000u
#define TF            0x100u

static void do_iret(void *arg)
{
    raw_iret(arg);
}

static struct iret_frame good_frame(void)
{
    static const uint8_t ud2[] = {0x0f, 0x0b};
    memcpy((void *)LOW_CODE, ud2, sizeof(ud2)); /* low: 32-bit code gets there too */
    return (struct iret_frame){
        .rip = LOW_CODE, .cs = 0xe030, .rflags = 2, .rsp = LOW_STACK, .ss = 0xe02b};
}

static void do_multicall_iret(void *arg)
{
    static multicall_entry_t calls[3];
    for (unsigned i = 0; i < 3; i++)
        calls[i] = (multicall_entry_t){.op = __HYPERVISOR_iret, .result = 5};
    raw_call(arg, __HYPERVISOR_multicall, (uint64_t)calls, 3);
}

static void iret_in_multicall(void)
{
    struct iret_frame f = good_frame();
    attempt("multicall of iret", 0, do_multicall_iret, &f);
    f = good_frame();
    f.rip = NOT_CANONICAL;
    attempt("multicall of iret to rip", f.rip, do_multicall_iret, &f);
    ext1(MMUEXT_NEW_USER_BASEPTR, root_mfn(), 0);
    f = good_frame();
    f.cs = 0xe033;
    attempt("multicall of iret to user mode", 0, do_multicall_iret, &f);
    ext1(MMUEXT_NEW_USER_BASEPTR, 0, 0);
}

static void iret_selectors(void)
{
    static const uint16_t selectors[] = {0,      1,      3,      4,      7,      8,
                                         0x10,   0xe008, 0xe00b, 0xe010, 0xe013, 0xe020,
                                         0xe023, 0xe028, 0xe02b, 0xe033, 0xe040, 0xe043,
                                         0xe050, 0xe058, 0xe060, 0xfff8, 0xffff};
    for (unsigned i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
        struct iret_frame f = good_frame();
        f.cs = selectors[i] & ~3u;
        attempt("iret to cs", f.cs, do_iret, &f);
        f = good_frame();
        f.ss = selectors[i];
        attempt("iret to ss", f.ss, do_iret, &f);
    }
}

static void iret_flags(void)
{
    static const uint64_t flags[] = {0,          2,          IOPL3,  NT,    VM,         RF,
                                     AC,         TF,         0x600,  ~0ull, 1ull << 63, 1ull << 19,
                                     1ull << 20, 1ull << 21, 0x8000, 8,     0x28};
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct iret_frame f = good_frame();
        f.rflags = flags[i];
        attempt("iret with flags", flags[i], do_iret, &f);
    }
    struct iret_frame f = good_frame();
    f.flags = ~0ull;
    attempt("iret with VGCF", f.flags, do_iret, &f);
}

static void iret_addresses(void)
{
    static const uint64_t rips[] = {0,
                                    NOT_CANONICAL,
                                    HYPERVISOR_VA,
                                    ~0ull,
                                    0xffff800000000000ull,
                                    0xffff7fffffffffffull,
                                    0x00007fffffffffffull};
    for (unsigned i = 0; i < sizeof(rips) / sizeof(rips[0]); i++) {
        struct iret_frame f = good_frame();
        f.rip = rips[i];
        attempt("iret to rip", rips[i], do_iret, &f);
    }
}

/* ---- into user mode: the user's root is the kernel's own */

static void user_iret(const char *name, uint64_t which, const uint8_t *code, unsigned n,
                      uint64_t cs)
{
    struct iret_frame f = good_frame();
    f.rip = (uint64_t)code_of(code, n);
    f.cs = cs;
    attempt(name, which, do_iret, &f);
}

static void user_mode(void)
{
    static const uint8_t hlt[] = {0xf4}, syscall[] = {0x0f, 0x05}, sysenter[] = {0x0f, 0x34},
                         in[] = {0xe4, 0x20}, cli[] = {0xfa},
                         cpuid[] = {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2},
                         cr3[] = {0x0f, 0x20, 0xd8}, wrmsr[] = {0x0f, 0x30},
                         lgdt[] = {0x0f, 0x01, 0x10}, swapgs[] = {0x0f, 0x01, 0xf8},
                         iret[] = {0x48, 0xcf}, icebp[] = {0xf1}, sysret[] = {0x48, 0x0f, 0x07};
    ext1(MMUEXT_NEW_USER_BASEPTR, root_mfn(), 0);
#define USER(code) user_iret("user " #code, 0, code, sizeof(code), 0xe033)
    USER(hlt);
    USER(syscall);
    USER(sysenter);
    USER(in);
    USER(cli);
    USER(cpuid);
    USER(cr3);
    USER(wrmsr);
    USER(lgdt);
    USER(swapgs);
    USER(iret);
    USER(icebp);
    USER(sysret);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t code[] = {0xcd, (uint8_t)i};
        if (i == 3 || i == 4 || i == 0x80 || i % 32 == 1)
            user_iret("user int", i, code, sizeof(code), 0xe033);
    }
    ext1(MMUEXT_NEW_USER_BASEPTR, 0, 0);
}

/* ---- in guest-kernel mode */

static void run(void *code)
{
    ((void (*)(void))(uint64_t)code)();
}

static void int_n(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t code[] = {0xcd, (uint8_t)i};
        attempt_quietly(run, code_of(code, sizeof(code)));
    }
    attempts_sum("int n");
    uint8_t icebp[] = {0xf1}, int3[] = {0xcc};
    attempt("icebp", 0, run, code_of(icebp, 1));
    attempt("int3", 0, run, code_of(int3, 1));
}

/* Jumps, returns, SYSCALL, HLT, and what changes the stack pointer or the stack's segment; 256 and
 * above: after 0f. */
static bool leaves_the_guard(unsigned op)
{
    static const uint16_t others[] = {0x88, 0x8a, 0x8e, 0x8f, 0x94,  0x9a,  0x9d, 0xb4,
                                      0xbc, 0xf4, 0xfd, 0xff, 0x105, 0x10b, 0x1cc};
    static const uint16_t ranges[][2] = {
        {0x50, 0x60}, {0x70, 0x80}, {0xc2, 0xd0}, {0xe0, 0xec}, {0x180, 0x190}};
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (op == others[i])
            return true;
    for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (op >= ranges[i][0] && op < ranges[i][1])
            return true;
    return false;
}

/* Every opcode of one and of two bytes, alone and with prefixes, with a harmless operand. */
static void opcodes(void)
{
    static const uint8_t prefixes[] = {0x90, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x48, 0x64};
    for (unsigned p = 0; p < sizeof(prefixes); p++)
        for (unsigned op = 0; op < 512; op++) {
            uint8_t code[20] = {prefixes[p]};
            unsigned n = 1;
            if (op >= 256)
                code[n++] = 0x0f;
            code[n++] = (uint8_t)op;
            code[n++] = 0xc0;                                             /* register operands */
            bool lock_bt = prefixes[p] == 0xf0 && (op & ~0x18u) == 0x1a3; /* QEMU 7.2 dies of it */
            if (!leaves_the_guard(op) && !lock_bt)
                attempt_quietly(bare_run, code_of(code, sizeof(code) - 1));
        }
    attempts_sum("opcodes");
}

struct jump {
    uint64_t cs, rflags;
};

static void do_far_jump(void *arg)
{
    struct jump *j = arg;
    far_jump(j->cs, LOW_CODE, LOW_STACK, j->rflags);
}

/* 32-bit code, from guest-kernel mode. */
static void compatibility_mode(void)
{
    static const uint8_t codes[][8] = {
        {0x0f, 0x05},       /* syscall */
        {0xcd, 0x80},       /* int $0x80 */
        {0x0f, 0x34},       /* sysenter */
        {0xce},             /* into */
        {0x0f, 0x0b},       /* ud2 */
        {0xcc},             /* int3 */
        {0xf4},             /* hlt */
        {0xfa, 0xf4},       /* cli; hlt */
        {0xcd, 0x82},       /* int $0x82 */
        {0xcf},             /* iret */
        {0xcb},             /* lret */
        {0x0f, 0x20, 0xd8}, /* mov %cr3, %eax */
        {0x0f, 0x22, 0xd8}, /* mov %eax, %cr3 */
        {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2},
        {0x48, 0x0f, 0x22, 0xd8},       /* dec %eax; mov %eax, %cr3 */
        {0xea, 0, 0, 0, 0, 0x33, 0xe0}, /* ljmp to 64-bit code at 0 */
    };
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct jump j = {FLAT_USER_CS32, 0x202};
        memcpy((void *)LOW_CODE, codes[i], 8);
        ((uint8_t *)LOW_CODE)[7] = 0xf4;
        attempt("32-bit code", i, do_far_jump, &j);
        j.rflags |= TF;
        attempt("32-bit code, stepping", i, do_far_jump, &j);
    }
}

void attack_entries(void)
{
    int_n();
    iret_selectors();
    iret_flags();
    iret_addresses();
    iret_in_multicall();
    user_mode();
    compatibility_mode();
    opcodes();
}
