/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "kallsyms.h"
#include "modules.h"

int pv_symbols_guest(struct pv_symbols *s, const struct pv_view *v, mfn_t root, size_t *count,
                     struct pv_error *e)
{
    struct source *source = source_new();
    struct pv_error modules = {.text = ""};

    *count = 0;
    if (source == NULL)
        return symbols_fail(e, "out of memory for the kernel's symbols");
    if (kallsyms_load(source, v, root, e) != 0) {
        source_free(source);
        return -1;
    }
    modules_load(source, v, root, &modules);
    *count = source_sort(source);
    if (!symbols_adopt(s, source, true)) {
        source_free(source);
        return symbols_fail(e, "out of memory for the kernel's symbols");
    }
    *e = modules;
    return 0;
}
