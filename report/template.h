/* SPDX-License-Identifier: MIT */
/* The page without its data, as pack.py puts it together from report/page/. */
#ifndef PVMM_REPORT_TEMPLATE_H
#define PVMM_REPORT_TEMPLATE_H

#include <stddef.h>

enum report_part_kind { PART_END, PART_TEXT, PART_TITLE, PART_POLICY, PART_DATA };

struct report_part {
    enum report_part_kind what;
    size_t at, size; /* of TEXT: in report_bytes */
};

extern const unsigned char report_bytes[];
extern const struct report_part report_template[];               /* the last one is END */
extern const char report_script_hashes[], report_style_hashes[]; /* for the page's policy */

#endif
