/* SPDX-License-Identifier: MIT */
#include "corefile.h"

#include <inttypes.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"

#define SILENCE (SECOND) /* then it is worth saying how far it is */

struct progress {
    int signals;
    int64_t next; /* when to say something */
    bool said, interrupted;
};

static bool go_on(void *context, const char *doing, uint64_t done, uint64_t pages)
{
    struct progress *p = context;
    (void)doing;
    struct pollfd news = {.fd = p->signals, .events = POLLIN};

    if (p->signals >= 0 && poll(&news, 1, 0) > 0) {
        p->interrupted = true;
        return false;
    }
    if (clock_now() < p->next || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "\rpvmm: core: %" PRIu64 " of %" PRIu64 " pages", done, pages);
    fflush(stderr);
    p->said = true;
    p->next = clock_now() + SILENCE / 4;
    return true;
}

static int fill(const struct pv_view *v, int fd, int signals, uint64_t *bytes, struct error *e)
{
    struct progress p = {.signals = signals, .next = clock_now() + SILENCE};
    struct pv_error why;
    struct stat st;
    int rc = pv_dumpcore_write(v, fd, &(struct pv_progress){go_on, &p}, &why);

    if (p.said)
        fprintf(stderr, "\r%60s\r", "");
    if (rc != 0)
        return error_set(e, EXIT_ENVIRONMENT, "%s", p.interrupted ? "interrupted" : why.text);
    if (fstat(fd, &st) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot stat it");
    *bytes = (uint64_t)st.st_blocks * 512;
    return 0;
}

static int write_beside(const struct pv_view *v, char *beside, const char *path, int signals,
                        uint64_t *bytes, struct error *e)
{
    const int fd = mkostemp(beside, O_CLOEXEC);
    int rc;

    if (fd < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a file beside it");
    rc = fill(v, fd, signals, bytes, e);
    close(fd);
    if (rc == 0 && rename(beside, path) != 0)
        rc = error_errno(e, EXIT_ENVIRONMENT, "cannot rename what was written");
    if (rc != 0)
        unlink(beside);
    return rc;
}

int corefile_check(const char *path, struct error *e)
{
    struct stat st;

    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        return 0;
    return error_set(e, EXIT_USAGE, "%s: there is something that is no file", path);
}

int corefile_write(const struct pv_view *v, const char *path, int signals, uint64_t *bytes,
                   struct error *e)
{
    char *beside;
    int rc;

    if (corefile_check(path, e) != 0)
        return -1;
    if (asprintf(&beside, "%s.XXXXXX", path) < 0)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    rc = write_beside(v, beside, path, signals, bytes, e);
    free(beside);
    return rc == 0 ? 0 : error_context(e, "%s", path);
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
