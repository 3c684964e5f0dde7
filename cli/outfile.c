/* SPDX-License-Identifier: MIT */
#include "outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exitcodes.h"

#define NAME_CHARS 200 /* of the name, as far as it is repeated in the other one */
#define DIGITS     6   /* that make it unlike others */
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

/* The name beside, but for its last digits. */
static char *stem_of(const struct outfile *f)
{
    const char *slash = strrchr(f->path, '/');
    char *stem;

    return asprintf(&stem, ".%.*s.pvmm-", NAME_CHARS, slash != NULL ? slash + 1 : f->path) < 0
               ? NULL
               : stem;
}

/* ".NAME.pvmm-XXXXXX" in the same directory. */
static char *name_beside(const struct outfile *f)
{
    char *stem = stem_of(f), *name = NULL;

    if (stem != NULL && asprintf(&name, "%s/%sXXXXXX", f->dir, stem) < 0)
        name = NULL;
    free(stem);
    return name;
}

static int no_memory(struct error *e)
{
    return error_set(e, EXIT_ENVIRONMENT, "out of memory");
}

/* Whoever writes one has it locked, until he ends, however he does. */
static void remove_if_left(int dir, const char *name)
{
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(dir, name, 0);
    close(fd);
}

/* What others left who were killed while they wrote the same file. That it fails is no harm. */
static void remove_left(const struct outfile *f)
{
    char *stem = stem_of(f);
    const size_t n = stem != NULL ? strlen(stem) : 0;
    DIR *d = stem != NULL ? opendir(f->dir) : NULL;

    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strncmp(e->d_name, stem, n) == 0 && strlen(e->d_name) == n + DIGITS)
            remove_if_left(dirfd(d), e->d_name);
    if (d != NULL)
        closedir(d);
    free(stem);
}

/* Between its making and its lock somebody may have taken it for one that was left. */
static bool is_ours(int fd)
{
    struct stat st;

    return (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && fstat(fd, &st) == 0 &&
           st.st_nlink != 0;
}

static int open_named(struct outfile *f, struct error *e)
{
    for (unsigned i = 0; i < TRIES; i++) {
        f->beside = name_beside(f);
        if (f->beside == NULL)
            return no_memory(e);
        f->fd = mkostemp(f->beside, O_CLOEXEC);
        if (f->fd >= 0 && is_ours(f->fd))
            return 0;
        free(f->beside);
        f->beside = NULL;
        if (f->fd < 0)
            break;
        close(f->fd);
        f->fd = -1;
    }
    return error_errno(e, EXIT_ENVIRONMENT, "cannot write to %s", f->dir);
}

static int open_beside(struct outfile *f, struct error *e)
{
    f->fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (f->fd >= 0) {
        flock(f->fd, LOCK_EX | LOCK_NB); /* nobody else can have it */
        return 0;
    }
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write to %s", f->dir);
    return open_named(f, e);
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
    remove_left(f);
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
        snprintf(name + strlen(name) - DIGITS, DIGITS + 1, "%06x",
                 (unsigned)(random() ^ getpid()) & 0xffffff);
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
