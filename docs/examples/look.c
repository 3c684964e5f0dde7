/* SPDX-License-Identifier: MIT */
/* What lies at an address of a guest, in whatever keeps its memory: look FILE ADDRESS. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <pvimage/image.h>

static bool say_mapping(void *context, const struct pv_mapping *m)
{
    (void)context;
    printf("  at %" PRIx64 " of root %" PRIx64 "%s\n", m->va.a, m->root.n,
           m->writable ? ", writable" : "");
    return true;
}

int main(int argc, char **argv)
{
    const struct pv_open_options options = {.domain = -1};
    struct pv_error e;
    struct pv_view *v;
    if (argc != 3 || pv_open(&v, argv[1], &options, &e)) {
        fprintf(stderr, "look: %s\n", argc == 3 ? e.text : "FILE ADDRESS");
        return 1;
    }
    printf("%s, %" PRIu64 " pages, %u vCPUs%s%s\n", v->kind, v->nr_pages, v->nr_vcpus,
           v->lost[0] ? "; lost: " : "", v->lost);

    const gva_t va = gva(strtoull(argv[2], NULL, 0));
    struct pv_walk w;
    char text[64];
    if (!pv_walk(v, v->kernel_root, va, &w)) {
        printf("not mapped, as the L%u table says\n", w.level);
    } else {
        const mfn_t m = maddr_frame(w.to), *root = &v->kernel_root;
        const size_t n = pv_read_va(v, v->kernel_root, va, text, sizeof(text) - 1);
        text[n] = '\0';
        printf("pfn %" PRIx64 ": %s\n", v->backend->pfn_of(v, m).n, text);
        if (pv_find_maps(v, root, 1, m, say_mapping, NULL, &e))
            fprintf(stderr, "look: %s\n", e.text);
    }
    pv_close(v);
    return 0;
}
