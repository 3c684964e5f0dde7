/* SPDX-License-Identifier: MIT */
#include "internal.h"

const struct lint_code lint_codes[] = {
    {"symbol-size", LINT_ALIGNED, "a symbol in a page-aligned section is not whole pages long"},
    {"symbol-address", LINT_ALIGNED, "a symbol in a page-aligned section starts inside a page"},
};
const size_t lint_nr_codes = sizeof(lint_codes) / sizeof(lint_codes[0]);
