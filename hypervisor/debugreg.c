/* SPDX-License-Identifier: MIT */
/* What a guest may put into the debug registers: nothing that stops the hypervisor. */
#include "debugreg.h"

#include <xen/errno.h>

#include "machine.h"

#define DR6_ONES    0xffff0ff0ull
#define DR6_ZEROS   0x00001000ull
#define DR7_ONES    0x00000400ull
#define DR7_ZEROS   0x0000d800ull
#define DR7_GD      0x00002000ull
#define DR7_ENABLED 0x000000ffull
#define DR7_TYPES   16u /* two bits of type and two of length for each breakpoint from here */
#define DR7_TYPE_IO 2u

static void load_debugreg(unsigned n, uint64_t value)
{
    switch (n) {
    case 0:
        __asm__ volatile("mov %0, %%db0" : : "r"(value));
        break;
    case 1:
        __asm__ volatile("mov %0, %%db1" : : "r"(value));
        break;
    case 2:
        __asm__ volatile("mov %0, %%db2" : : "r"(value));
        break;
    case 3:
        __asm__ volatile("mov %0, %%db3" : : "r"(value));
        break;
    case 6:
        __asm__ volatile("mov %0, %%db6" : : "r"(value));
        break;
    case 7:
        __asm__ volatile("mov %0, %%db7" : : "r"(value));
        break;
    default:
        break;
    }
}

/* A breakpoint must not fire inside the hypervisor. */
static int check_breakpoint(uint64_t address)
{
    return guest_range_ok(gva(address), sizeof(address)) ? 0 : -XEN_EPERM;
}

static int check_dr7(uint64_t *value)
{
    if (*value >> 32)
        return -XEN_EINVAL;
    *value = (*value & ~DR7_ZEROS) | DR7_ONES;
    if (*value & DR7_GD)
        return -XEN_EPERM;
    for (unsigned i = 0; (*value & DR7_ENABLED) && i < 4; i++)
        if ((*value >> (DR7_TYPES + 4 * i) & 3) == DR7_TYPE_IO)
            return -XEN_EPERM; /* ports are not the guest's */
    return 0;
}

static int check_dr6(uint64_t *value)
{
    if (*value >> 32)
        return -XEN_EINVAL;
    *value = (*value & ~DR6_ZEROS) | DR6_ONES;
    return 0;
}

/* 4 and 5 are other names of 6 and 7. */
static unsigned real_debugreg(uint64_t n)
{
    return n == 4 || n == 5 ? (unsigned)n + 2 : n < 8 ? (unsigned)n : 8;
}

int debugreg_check(uint32_t number, uint64_t *value)
{
    unsigned n = real_debugreg(number);
    return n < 4    ? check_breakpoint(*value)
           : n == 6 ? check_dr6(value)
           : n == 7 ? check_dr7(value)
                    : -XEN_ENODEV;
}

int debugreg_set(struct vcpu *v, uint32_t number, uint64_t value)
{
    unsigned n = real_debugreg(number);
    int rc = debugreg_check(number, &value);
    if (rc)
        return rc;
    v->debugreg[n] = value;
    load_debugreg(n, value);
    return 0;
}

int debugreg_get(const struct vcpu *v, uint32_t number, uint64_t *value)
{
    unsigned n = real_debugreg(number);
    if (n >= 8)
        return -XEN_ENODEV;
    *value = v->debugreg[n];
    return 0;
}
