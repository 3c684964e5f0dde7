/* SPDX-License-Identifier: MIT */
/*
 * Prints the linux_banner of a Linux whose memory is in a dump-core: found by the kernel's own
 * kallsyms, read through its own page tables. banner FILE
 */
#include <stdio.h>
#include <string.h>

#include "image.h"
#include "symbols.h"

static int fail(const char *what, const struct pv_error *e)
{
    fprintf(stderr, "banner: %s%s%s\n", what, e != NULL ? ": " : "", e != NULL ? e->text : "");
    return 1;
}

static int print_banner(const struct pv_view *v, struct pv_symbols *s)
{
    struct pv_error e;
    char text[512];
    uint64_t at;
    size_t count, n;

    if (v->nr_vcpus == 0)
        return fail("the core has no vCPU", NULL);
    if (pv_symbols_guest(s, v, v->vcpu[0].kernel_root, &count, &e) != 0)
        return fail("no symbols", &e);
    if (!pv_symbol_find(s, "linux_banner", &at))
        return fail("no linux_banner", NULL);
    n = pv_read_va(v, v->vcpu[0].kernel_root, (gva_t){at}, text, sizeof(text));
    if (memchr(text, '\0', n) == NULL)
        return fail("linux_banner has no end", NULL);
    fputs(text, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct pv_symbols *s = pv_symbols_new();
    struct pv_view *v;
    struct pv_error e;
    int rc;

    if (argc != 2 || s == NULL)
        return fail("usage: banner FILE", NULL);
    if (pv_open(&v, argv[1], &(struct pv_open_options){.domain = -1}, &e) != 0) {
        pv_symbols_free(s);
        return fail(argv[1], &e);
    }
    rc = print_banner(v, s);
    pv_close(v);
    pv_symbols_free(s);
    return rc;
}
