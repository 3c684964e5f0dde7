/* SPDX-License-Identifier: MIT */
#include "corefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitcodes.h"
#include "outfile.h"
#include "progress.h"

int corefile_fill(const struct pv_view *v, struct outfile *f, const char *what, int signals,
                  uint64_t *bytes, struct error *e)
{
    struct progress p;
    const struct pv_progress tell = progress_begin(&p, what, signals);
    struct pv_error why;
    const int rc = pv_dumpcore_write(v, f->fd, &tell, &why);

    progress_end(&p);
    *bytes = outfile_bytes(f);
    return rc == 0 ? 0
                   : error_set(e, EXIT_ENVIRONMENT, "%s", p.interrupted ? "interrupted" : why.text);
}

int corefile_write(const struct pv_view *v, const char *path, int signals, uint64_t *bytes,
                   struct error *e)
{
    struct outfile f;

    if (outfile_begin(&f, path, e) != 0)
        return -1;
    if (corefile_fill(v, &f, "core", signals, bytes, e) == 0)
        return outfile_finish(&f, e);
    outfile_abandon(&f);
    return error_context(e, "%s", path);
}

char *corefile_default(const char *kernel)
{
    const char *slash = strrchr(kernel, '/');
    char *here = getcwd(NULL, 0), *path = NULL;

    if (here == NULL)
        return NULL;
    if (asprintf(&path, "%s/%s.core", strcmp(here, "/") == 0 ? "" : here,
                 slash != NULL ? slash + 1 : kernel) < 0)
        path = NULL;
    free(here);
    return path;
}
