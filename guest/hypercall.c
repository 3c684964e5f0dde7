/* SPDX-License-Identifier: MIT */
#include "internal.h"

int64_t pvg_hypercall(struct pvguest *g, unsigned number, uint64_t a, uint64_t b, uint64_t c,
                      uint64_t d, uint64_t e)
{
    (void)g;
    return port_hypercall(number, a, b, c, d, e);
}
