/* SPDX-License-Identifier: MIT */
/* Descriptor tables and selectors. */
#include "attack.h"

#define TABLE 160u /* and the next: GDT and LDT pages */

static void load_ds(void *arg)
{
    __asm__ volatile("movl %0, %%ds" : : "r"((uint32_t)(uint64_t)arg));
}

static void load_ss(void *arg)
{
    __asm__ volatile("movl %%ss, %%ecx; movl %0, %%ss; int3; movl %%ecx, %%ss"
                     :
                     : "r"((uint32_t)(uint64_t)arg)
                     : "rcx");
}

static void load_fs_gs(void *arg)
{
    __asm__ volatile("movl %0, %%fs; movl %0, %%gs; movl %0, %%es"
                     :
                     : "r"((uint32_t)(uint64_t)arg));
}

static void far_call(void *arg)
{
    struct {
        uint32_t offset;
        uint16_t selector;
    } __attribute__((packed)) to = {0, (uint16_t)(uint64_t)arg};
    __asm__ volatile("lcall *%0" : : "m"(to) : "memory");
}

static void look(void *arg)
{
    uint64_t out = 0;
    __asm__ volatile("verr %w1; verw %w1; lar %1, %0; lsl %1, %0" : "+r"(out) : "r"(arg) : "cc");
}

static void null_selectors(void)
{
    __asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%fs; movl %0, %%gs" : : "r"(0));
}

static void every_selector(const char *name)
{
    for (uint64_t s = 0; s<0x10000; s += s> 0x800 && s < 0xe000 ? 0x101 : 1) {
        attempt_quietly(load_ds, (void *)s);
        attempt_quietly(load_fs_gs, (void *)s);
        attempt_quietly(look, (void *)s);
        if (s % 8 == 3 || s % 8 == 7) {
            attempt_quietly(load_ss, (void *)s);
            attempt_quietly(far_call, (void *)s);
            call2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, s);
        }
    }
    null_selectors();
    call2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, 0);
    attempts_sum(name);
}

/* Descriptors of every type; those that the hypervisor refuses as a page are taken out. */
static void fill(unsigned i)
{
    for (unsigned k = 0; k < ENTRIES; k++) {
        unsigned type = k % 32, dpl = k / 32 % 4;
        uint64_t d = 0x00cf00000000ffffull | (uint64_t)type << 40 | (uint64_t)dpl << 45 |
                     (uint64_t)(k % 3 != 0) << 47 | (uint64_t)(k % 5 == 0) << 53;
        if (type < 16 && type != 12 && type != 0)
            d &= ~(1ull << 47);
        if (type == 12)
            d = (d & ~0xff00000000ull) | 0xe033ull << 16;
        page(i)[k] = d;
    }
}

static void tables(void)
{
    unsigned long frame = pool_mfn[TABLE];
    fill(TABLE);
    fill(TABLE + 1);
    make_ro(TABLE);
    make_ro(TABLE + 1);
    say("gdt %ld\n", call2(__HYPERVISOR_set_gdt, &frame, 512));
    say("ldt %ld\n", ext1(MMUEXT_SET_LDT, page_va(TABLE + 1), 512));
    every_selector("selectors");
    /* the LDT's page taken away and given back, while it is loaded */
    set_va(page_va(TABLE + 1), 0);
    every_selector("selectors, page gone");
    make_rw(TABLE + 1);
    ext1(MMUEXT_SET_LDT, page_va(TABLE + 1), 8192);
    every_selector("selectors, page writable");
    ext1(MMUEXT_SET_LDT, 0x00007ffffffff000ull, 8192);
    every_selector("selectors, no page");
    ext1(MMUEXT_SET_LDT, start_info->pt_base, 8192);
    every_selector("selectors, tables as the LDT");
    ext1(MMUEXT_SET_LDT, 0, 0);
    call2(__HYPERVISOR_set_gdt, 0, 0);
    every_selector("selectors, no tables");
}

void attack_segments(void)
{
    tables();
}
