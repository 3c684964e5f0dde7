/* SPDX-License-Identifier: MIT */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exitcodes.h"

#define NAME_CHARS 200 /* of the name, as far as it is repeated in the other one */
#define TRIES      100

int outfile_check(const char *path, struct error *e)
{
    struct stat st;

    if (path[0] == '\0' || path[strlen(path) - 1] == '/')
        return error_set(e, EXIT_USAGE, "\"%s\" is no file's name", path);
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        return 0;
    return error_set(e, EXIT_USAGE, "%s: there is something that is no file", path);
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* ".NAME.XXXXXX" in the same directory. */
static char *name_beside(const struct outfile *f)
{
    const char *slash = strrchr(f->path, '/');
    char *name;

    return asprintf(&name, "%s/.%.*s.XXXXXX", f->dir, NAME_CHARS,
                    slash != NULL ? slash + 1 : f->path) < 0
               ? NULL
               : name;
}

static int no_memory(struct error *e)
{
    return error_set(e, EXIT_ENVIRONMENT, "out of memory");
}

static int open_beside(struct outfile *f, struct error *e)
{
    f->fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (f->fd >= 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write to %s", f->dir);
    f->beside = name_beside(f);
    if (f->beside == NULL)
        return no_memory(e);
    f->fd = mkostemp(f->beside, O_CLOEXEC);
    if (f->fd >= 0)
        return 0;
    free(f->beside);
    f->beside = NULL;
    return error_errno(e, EXIT_ENVIRONMENT, "cannot write to %s", f->dir);
}

static int open_stdout(struct outfile *f, struct error *e)
{
    if (isatty(STDOUT_FILENO))
        return error_set(e, EXIT_USAGE, "-: standard output is a terminal");
    f->stdout_ = true;
    f->fd = STDOUT_FILENO;
    return 0;
}

int outfile_begin(struct outfile *f, const char *path, struct error *e)
{
    *f = (struct outfile){.path = path, .fd = -1};
    if (strcmp(path, "-") == 0)
        return open_stdout(f, e);
    if (outfile_check(path, e) != 0)
        return -1;
    f->dir = directory_of(path);
    if (f->dir == NULL)
        return no_memory(e);
    if (open_beside(f, e) == 0)
        return 0;
    outfile_abandon(f);
    return error_context(e, "%s", path);
}

uint64_t outfile_bytes(const struct outfile *f)
{
    struct stat st;

    return fstat(f->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* Files without a name get one that nobody has. */
static int give_name(struct outfile *f, struct error *e)
{
    char from[32];

    snprintf(from, sizeof(from), "/proc/self/fd/%d", f->fd);
    for (unsigned i = 0; i < TRIES; i++) {
        char *name = name_beside(f);

        if (name == NULL)
            return no_memory(e);
        snprintf(name + strlen(name) - 6, 7, "%06x", (unsigned)(random() ^ getpid()) & 0xffffff);
        if (linkat(AT_FDCWD, from, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
            f->beside = name;
            return 0;
        }
        free(name);
        if (errno != EEXIST)
            break;
    }
    return error_errno(e, EXIT_ENVIRONMENT, "cannot give it a name");
}

static int sync_directory(const struct outfile *f, struct error *e)
{
    const int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int rc = fd >= 0 ? fsync(fd) : -1;

    if (fd >= 0)
        close(fd);
    return rc == 0 || errno == EINVAL
               ? 0
               : error_errno(e, EXIT_ENVIRONMENT, "cannot write the directory to its disk");
}

int outfile_sync(const struct outfile *f, struct error *e)
{
    if (f->stdout_ || fsync(f->fd) == 0)
        return 0;
    error_errno(e, EXIT_ENVIRONMENT, "cannot write it to its disk");
    return error_context(e, "%s", f->path);
}

static int put_in_place(struct outfile *f, struct error *e)
{
    if (fsync(f->fd) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write it to its disk");
    if (f->beside == NULL && give_name(f, e) != 0)
        return -1;
    if (rename(f->beside, f->path) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot rename what was written");
    free(f->beside);
    f->beside = NULL;
    return sync_directory(f, e);
}

/* Its reader sees the end before anybody acts on it. */
static int finish_stdout(struct outfile *f, struct error *e)
{
    const int spare = open("/dev/null", O_WRONLY | O_CLOEXEC);

    f->fd = -1;
    if (fsync(STDOUT_FILENO) != 0 && errno != EINVAL && errno != EROFS)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write it to its disk");
    if (spare < 0 || dup2(spare, STDOUT_FILENO) < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot close standard output");
    close(spare);
    return 0;
}

int outfile_finish(struct outfile *f, struct error *e)
{
    int rc;

    if (f->stdout_)
        return finish_stdout(f, e);
    rc = put_in_place(f, e);
    outfile_abandon(f);
    return rc == 0 ? 0 : error_context(e, "%s", f->path);
}

void outfile_abandon(struct outfile *f)
{
    if (f->fd >= 0 && !f->stdout_)
        close(f->fd);
    f->fd = -1;
    if (f->beside != NULL)
        unlink(f->beside);
    free(f->beside);
    free(f->dir);
    f->beside = f->dir = NULL;
}
