/* SPDX-License-Identifier: MIT */
#include "internal.h"

const struct lint_code lint_codes[] = {
    {"symbol-size", LINT_ALIGNED, "a symbol in a page-aligned section is not whole pages long"},
    {"symbol-address", LINT_ALIGNED, "a symbol in a page-aligned section starts inside a page"},
    {"section-size", LINT_ALIGNED,
     "bytes that no symbol names make a page-aligned section no whole pages long"},
    {"section-alignment", LINT_ALIGNED, "a page-aligned section need not start on a page"},
    {"more-findings", LINT_ALIGNED,
     "more symbols of a page-aligned section are wrong than are listed"},
    {"table-address", LINT_ALIGNED, "a page table, as its name tells, starts inside a page"},
    {"sections-merged", LINT_ALIGNED,
     "a linked image does not have its objects' sections any more"},
    {"no-sections", LINT_ALIGNED, "an image has no section headers"},
    {"intermediate-code", LINT_ALIGNED, "an object has not been compiled to its end"},
    {"no-object", LINT_ALIGNED, "members of an archive are no objects"},
};
const size_t lint_nr_codes = sizeof(lint_codes) / sizeof(lint_codes[0]);
