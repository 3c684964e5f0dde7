/* SPDX-License-Identifier: MIT */
/*
 * Writes a dump of a made guest, for tests of the commands: mkdump KIND FILE. It has a kernel's map
 * of memory, start_info at pfn 20, and publishes a tree.
 */
#include "made.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define SHORT_AT 40 /* where the list of the kind "short" ends */

static void write_start_info(struct made *m)
{
    start_info_t *s = (start_info_t *)made_words(m, made_mfn(m, pfn(20)));
    memset(s, 0, sizeof(*s));
    strcpy(s->magic, "xen-3.0-x86_64");
    s->nr_pages = m->next_table.n;
    s->shared_info = m->is.shared_mfn << 12;
    strcpy((char *)s->cmd_line, "quiet \033[31m red");
}

/* Its frames are of another machine, as if it had been restored and had not run since. */
static void make_stale(struct made *m)
{
    for (unsigned i = 0; i < m->next_table.n; i++)
        made_words(m, m->list_leaf)[i] = 0x100000 + i;
}

static int write_dump(struct made *m, const char *path)
{
    struct pv_view *v = made_open(m);
    struct pv_error e = {""};
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    const int rc = fd < 0 ? -1 : pv_dumpcore_write(v, fd, NULL, &e);
    if (rc)
        fprintf(stderr, "%s: %s\n", path, e.text);
    close(fd);
    pv_close(v);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct made *m = made_new(8, 0);
    write_start_info(m);
    made_publish_tree(m);
    if (strcmp(argv[1], "short") == 0)
        made_shared(m)->arch.max_pfn = SHORT_AT;
    else if (strcmp(argv[1], "stale") == 0)
        make_stale(m);
    else if (strcmp(argv[1], "swapped") == 0)
        made_words(m, m->list_leaf)[7] = made_words(m, m->list_leaf)[8];
    const int rc = write_dump(m, argv[2]);
    made_free(m);
    return rc ? 1 : 0;
}
