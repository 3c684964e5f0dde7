/* SPDX-License-Identifier: MIT */
#include "registry.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"

#define LOCK     ".lock" /* no guest's name starts with a dot */
#define BACKLOG  16
#define PATIENCE (3 * SECOND) /* with a supervisor whose backlog is full */

int guest_name_check(const char *name, struct error *e)
{
    if (name[0] == '\0')
        return error_set(e, EXIT_USAGE, "a guest's name cannot be empty");
    if (strlen(name) > GUEST_NAME_CHARS)
        return error_set(e, EXIT_USAGE, "a guest's name has at most %d characters, this one %zu",
                         GUEST_NAME_CHARS, strlen(name));
    if (name[0] == '-' || name[0] == '.')
        return error_set(e, EXIT_USAGE, "\"%s\": a guest's name cannot start with \"%c\"", name,
                         name[0]);
    for (const char *p = name; *p != '\0'; p++)
        if (!isascii((unsigned char)*p) ||
            (!isalnum((unsigned char)*p) && strchr("._+-", *p) == NULL))
            return error_set(e, EXIT_USAGE,
                             "a guest's name has letters, digits and . _ + - in it, but character "
                             "%d is another",
                             (int)(p - name) + 1);
    return 0;
}

/* Does the user's runtime directory belong to the user? After `su` it is still another one's. */
static bool own_directory(const char *path)
{
    struct stat st;

    return path != NULL && path[0] == '/' && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid();
}

static int choose_path(struct registry *r, struct error *e)
{
    const char *given = getenv("PVMM_RUNTIME_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
    int n;

    if (given != NULL && given[0] != '\0')
        n = snprintf(r->path, sizeof(r->path), "%s", given);
    else if (own_directory(runtime))
        n = snprintf(r->path, sizeof(r->path), "%s/pvmm", runtime);
    else if (geteuid() == 0)
        n = snprintf(r->path, sizeof(r->path), "/run/pvmm");
    else
        n = snprintf(r->path, sizeof(r->path), "/tmp/pvmm-%u", (unsigned)geteuid());
    if (n >= (int)sizeof(r->path))
        return error_set(e, EXIT_ENVIRONMENT, "the path of the directory of guests is too long");
    return 0;
}

/* /tmp is everybody's: what lies there under our name may have been put there by another. */
static int check_directory(const struct registry *r, struct error *e)
{
    struct stat st;

    if (fstat(r->dir, &st) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot stat it");
    if (st.st_uid != geteuid())
        return error_set(e, EXIT_ENVIRONMENT, "it belongs to user %u, not to %u",
                         (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 077) != 0)
        return error_set(e, EXIT_ENVIRONMENT, "others may use it (its mode is %03o, not 700)",
                         (unsigned)st.st_mode & 0777);
    return 0;
}

static int open_directory(struct registry *r, bool create, struct error *e)
{
    if (create && mkdir(r->path, 0700) != 0 && errno != EEXIST)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make it");
    r->dir = open(r->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r->dir < 0)
        return !create && errno == ENOENT ? 0 : error_errno(e, EXIT_ENVIRONMENT, "cannot open it");
    return check_directory(r, e);
}

int registry_open(struct registry *r, bool create, struct error *e)
{
    r->dir = -1;
    if (choose_path(r, e) != 0)
        return -1;
    if (open_directory(r, create, e) == 0)
        return 0;
    registry_close(r);
    return error_context(e, "directory of guests %s", r->path);
}

void registry_close(struct registry *r)
{
    if (r->dir >= 0)
        close(r->dir);
    r->dir = -1;
}

/* By way of the open directory: it is the one that was checked, and its path may be long. */
static struct sockaddr_un address_of(const struct registry *r, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%.*s", r->dir, GUEST_NAME_CHARS,
             name);
    return a;
}

static int new_socket(struct error *e)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        error_errno(e, EXIT_ENVIRONMENT, "cannot make a socket");
    return fd;
}

static int lock_directory(const struct registry *r, struct error *e)
{
    const int fd = openat(r->dir, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot open its lock");
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            error_errno(e, EXIT_ENVIRONMENT, "cannot lock it");
            close(fd);
            return -1;
        }
    return fd;
}

/* What connect() says of a name: 0 or EAGAIN for a living guest, otherwise the reason. */
static int knock(const struct registry *r, const char *name, int fd)
{
    const struct sockaddr_un a = address_of(r, name);

    return connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 ? 0 : errno;
}

static int refuse_living(int fd, const char *name, struct error *e)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0)
        return error_set(e, EXIT_ENVIRONMENT,
                         "a guest named \"%s\" is running already (its pvmm is process %d)", name,
                         (int)peer.pid);
    return error_set(e, EXIT_ENVIRONMENT, "a guest named \"%s\" is running already", name);
}

/* Under the lock: a refused connection means that nobody listens, and nobody is about to. */
static int remove_stale(const struct registry *r, const char *name, struct error *e)
{
    struct stat st;

    if (fstatat(r->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : error_errno(e, EXIT_ENVIRONMENT, "cannot stat %s", name);
    if (!S_ISSOCK(st.st_mode))
        return error_set(e, EXIT_ENVIRONMENT, "%s/%s is in the way, and is no socket", r->path,
                         name);
    if (unlinkat(r->dir, name, 0) != 0 && errno != ENOENT)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot remove the stale socket %s/%s", r->path,
                           name);
    return 0;
}

static int make_way(const struct registry *r, const char *name, struct error *e)
{
    const int fd = new_socket(e);
    int why, rc;

    if (fd < 0)
        return -1;
    why = knock(r, name, fd);
    if (why == 0 || why == EAGAIN)
        rc = refuse_living(fd, name, e);
    else if (why == ECONNREFUSED)
        rc = remove_stale(r, name, e);
    else if (why == ENOENT)
        rc = 0;
    else
        rc = error_set(e, EXIT_ENVIRONMENT, "cannot tell whether \"%s\" is running: %s", name,
                       strerror(why));
    close(fd);
    return rc;
}

static int listen_there(struct claim *c, struct error *e)
{
    const struct sockaddr_un a = address_of(&c->registry, c->name);

    c->listener = new_socket(e);
    if (c->listener < 0)
        return -1;
    if (bind(c->listener, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
        listen(c->listener, BACKLOG) == 0 &&
        fstatat(c->registry.dir, c->name, &c->file, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    error_errno(e, EXIT_ENVIRONMENT, "cannot listen at %s/%s", c->registry.path, c->name);
    close(c->listener);
    c->listener = -1;
    return -1;
}

static int claim_locked(struct claim *c, struct error *e)
{
    const int lock = lock_directory(&c->registry, e);
    int rc;

    if (lock < 0)
        return error_context(e, "directory of guests %s", c->registry.path);
    rc = make_way(&c->registry, c->name, e);
    if (rc == 0)
        rc = listen_there(c, e);
    close(lock);
    return rc;
}

int registry_claim(struct claim *c, const char *name, struct error *e)
{
    *c = (struct claim){.registry.dir = -1, .listener = -1};
    if (guest_name_check(name, e) != 0 || registry_open(&c->registry, true, e) != 0)
        return -1;
    strcpy(c->name, name);
    if (claim_locked(c, e) == 0)
        return 0;
    registry_close(&c->registry);
    return -1;
}

void registry_release(struct claim *c)
{
    struct error unheard;
    struct stat st;
    int lock;

    if (c->listener < 0)
        return;
    lock = lock_directory(&c->registry, &unheard);
    if (fstatat(c->registry.dir, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == c->file.st_ino && st.st_dev == c->file.st_dev)
        unlinkat(c->registry.dir, c->name, 0);
    if (lock >= 0)
        close(lock);
    close(c->listener);
    c->listener = -1;
    registry_close(&c->registry);
}

static int no_guest(const char *name, struct error *e)
{
    return error_set(e, EXIT_NO_GUEST, "no guest named \"%s\" is running", name);
}

int registry_connect(const struct registry *r, const char *name, struct error *e)
{
    const int64_t deadline = clock_now() + PATIENCE;
    int fd, why;

    if (r->dir < 0)
        return no_guest(name, e);
    fd = new_socket(e);
    if (fd < 0)
        return -1;
    while ((why = knock(r, name, fd)) == EAGAIN && clock_now() < deadline)
        usleep(20000);
    if (why == 0)
        return fd;
    close(fd);
    if (why == ECONNREFUSED || why == ENOENT)
        return no_guest(name, e);
    return error_set(e, EXIT_ENVIRONMENT, "guest \"%s\": its pvmm cannot be reached: %s", name,
                     why == EAGAIN ? "it is busy or stopped" : strerror(why));
}

void registry_clean(const struct registry *r, const char *name)
{
    struct error unheard; /* what cannot be cleaned stays, and nothing depends on it */
    const int lock = lock_directory(r, &unheard);

    if (lock < 0)
        return;
    make_way(r, name, &unheard);
    close(lock);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(char ***names, size_t *count, const char *name)
{
    char **longer = realloc(*names, (*count + 1) * sizeof(**names));

    if (longer == NULL)
        return -1;
    *names = longer;
    longer[*count] = strdup(name);
    if (longer[*count] == NULL)
        return -1;
    (*count)++;
    return 0;
}

static int read_names(DIR *dir, char ***names, size_t *count, struct error *e)
{
    const struct dirent *entry;
    struct error why;

    while ((entry = readdir(dir)) != NULL)
        if (guest_name_check(entry->d_name, &why) == 0 &&
            add_name(names, count, entry->d_name) != 0)
            return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    if (*count > 0)
        qsort(*names, *count, sizeof(**names), by_name);
    return 0;
}

int registry_names(const struct registry *r, char ***names, size_t *count, struct error *e)
{
    DIR *dir;
    int fd, rc;

    *names = NULL;
    *count = 0;
    if (r->dir < 0)
        return 0;
    fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot read the directory of guests %s", r->path);
    rc = read_names(dir, names, count, e);
    closedir(dir);
    if (rc != 0)
        registry_names_free(*names, *count);
    return rc;
}

void registry_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
