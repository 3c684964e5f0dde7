/* SPDX-License-Identifier: MIT */
#include "iso.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "memfd.h"

#define MKRESCUE  "grub-mkrescue"
#define GRUB_BIOS "/usr/lib/grub/i386-pc"
#define FOLDER    "pvmm-iso-XXXXXX"
#define PATH_ROOM 4096

/* The keeper: the process that has the directory. */
struct keeper {
    pid_t pid;
    int pidfd;
    int life;   /* closing it, as any end of this process does, makes the keeper clean up and end */
    int report; /* its struct error, if it failed */
};

/* ---- what has to be there */

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_ROOM];

    while (path != NULL && *path != '\0') {
        const size_t n = strcspn(path, ":");

        snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, program);
        if (n != 0 && access(file, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

static int check_tools(struct error *e)
{
    static const char *const tools[][2] = {{MKRESCUE, "grub-common"}, {"xorriso", "xorriso"}};

    for (int i = 0; i < 2; i++)
        if (!in_path(tools[i][0]))
            return error_set(e, EXIT_ENVIRONMENT, "%s is not there (Debian package %s)",
                             tools[i][0], tools[i][1]);
    if (access(GRUB_BIOS "/multiboot2.mod", R_OK) != 0)
        return error_set(e, EXIT_ENVIRONMENT,
                         GRUB_BIOS "/multiboot2.mod is not there (Debian package grub-pc-bin)");
    return 0;
}

/* ---- in the keeper: files */

static int write_all(int fd, struct view v, const char *path, struct error *e)
{
    while (v.size > 0) {
        const ssize_t n = write(fd, v.data, v.size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", path);
        v.data += n;
        v.size -= (size_t)n;
    }
    return 0;
}

static int put_file(const char *dir, const char *name, struct view v, struct error *e)
{
    char path[PATH_ROOM];
    int fd, rc;

    snprintf(path, sizeof(path), "%s/root%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot create %s", path);
    rc = write_all(fd, v, path, e);
    close(fd);
    return rc;
}

static int put_memfd(const char *dir, const char *name, int from, struct error *e)
{
    struct view v;
    int rc;

    if (from < 0)
        return 0;
    if (view_of_fd(from, &v, e) != 0)
        return -1;
    rc = put_file(dir, name, v, e);
    view_drop(&v);
    return rc;
}

static int make_folders(const char *dir, struct error *e)
{
    static const char *const names[] = {"root", "root/boot", "root/boot/grub"};
    char path[PATH_ROOM];

    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (mkdir(path, 0700) != 0)
            return error_errno(e, EXIT_ENVIRONMENT, "cannot create %s", path);
    }
    return 0;
}

static int fill_folder(const char *dir, const struct iso_files *f, const char *script,
                       struct error *e)
{
    const struct view cfg = {(const uint8_t *)script, strlen(script)};

    if (make_folders(dir, e) != 0 || put_file(dir, "/boot/grub/grub.cfg", cfg, e) != 0 ||
        put_memfd(dir, GRUBCFG_HYPERVISOR, f->hypervisor_fd, e) != 0 ||
        put_memfd(dir, GRUBCFG_KERNEL, f->kernel_fd, e) != 0 ||
        put_memfd(dir, GRUBCFG_RAMDISK, f->initrd_fd, e) != 0)
        return -1;
    return put_memfd(dir, GRUBCFG_E820, f->e820_fd, e);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* ---- in the keeper: grub-mkrescue */

static void become_mkrescue(const char *dir, int said)
{
    char image[PATH_ROOM], root[PATH_ROOM];
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(said, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    setenv("TMPDIR", dir, 1);
    snprintf(image, sizeof(image), "%s/iso", dir);
    snprintf(root, sizeof(root), "%s/root", dir);
    execlp(MKRESCUE, MKRESCUE, "-d", GRUB_BIOS, "--install-modules=normal multiboot2 halt",
           "--fonts=", "--locales=", "--themes=", "-o", image, root, NULL);
    dprintf(STDERR_FILENO, "%s\n", strerror(errno));
    _exit(127);
}

/* The last line that has something in it. */
static void last_line(int said, char *line, size_t size)
{
    char text[512];
    const off_t end = lseek(said, 0, SEEK_END);
    const off_t from = end > (off_t)sizeof(text) - 1 ? end - ((off_t)sizeof(text) - 1) : 0;
    ssize_t n = pread(said, text, sizeof(text) - 1, from);
    char *start;

    n = n < 0 ? 0 : n;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    start = strrchr(text, '\n');
    snprintf(line, size, "%s", start != NULL ? start + 1 : text);
}

/* All it started, too: adopted by this subreaper, so that none still writes into the directory. */
static int end_mkrescue(pid_t pid)
{
    int status = 0, other;

    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    while (waitpid(-1, &other, 0) > 0 || errno == EINTR)
        ;
    return status;
}

/* Until it is done, or the other side of `life` is gone. True: it was done. */
static bool await_mkrescue(pid_t pid, int life)
{
    struct pollfd p[2] = {{.fd = pidfd_open(pid, 0), .events = POLLIN},
                          {.fd = life, .events = POLLIN}};

    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    close(p[0].fd);
    return p[1].revents == 0;
}

static int run_mkrescue(const char *dir, int life, struct error *e)
{
    const int said = memfd_new("said", 0, e);
    char line[512];
    pid_t pid;
    int status;
    bool done;

    if (said < 0)
        return -1;
    pid = fork();
    if (pid == 0)
        become_mkrescue(dir, said);
    if (pid < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot start a process for " MKRESCUE);
    setpgid(pid, pid); /* in both, so that it is done whoever runs first */
    done = await_mkrescue(pid, life);
    status = end_mkrescue(pid);
    last_line(said, line, sizeof(line));
    if (!done)
        return error_set(e, EXIT_ENVIRONMENT, "nobody waits for it");
    if (status != 0)
        return error_set(e, EXIT_ENVIRONMENT, MKRESCUE " failed: %s", line);
    return 0;
}

static int take_image(const char *dir, int iso, struct error *e)
{
    char path[PATH_ROOM];
    struct view v;
    int rc;

    snprintf(path, sizeof(path), "%s/iso", dir);
    if (view_of_path(path, EXIT_ENVIRONMENT, &v, e) != 0)
        return error_context(e, MKRESCUE " left no image");
    rc = memfd_append(iso, v.data, v.size, e);
    view_drop(&v);
    return rc;
}

/* ---- the keeper */

static int keep(const struct iso_files *f, const char *script, int life, int iso, struct error *e)
{
    const char *tmp = getenv("TMPDIR");
    char dir[PATH_ROOM - 64];
    int rc = -1;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    snprintf(dir, sizeof(dir), "%s/" FOLDER, tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a directory %s", dir);
    if (fill_folder(dir, f, script, e) == 0 && run_mkrescue(dir, life, e) == 0)
        rc = take_image(dir, iso, e);
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && rc == 0)
        rc = error_errno(e, EXIT_ENVIRONMENT, "cannot remove %s", dir);
    return rc;
}

static _Noreturn void keeper_main(const struct iso_files *f, const char *script, int life,
                                  int report, int iso)
{
    struct error e;

    setpgid(0, 0); /* what the terminal sends goes to the other process, which tells this one */
    if (keep(f, script, life, iso, &e) == 0)
        _exit(0);
    if (write(report, &e, sizeof(e)) != sizeof(e)) /* fits into a pipe at once */
        _exit(2);
    _exit(1);
}

static int keeper_start(struct keeper *k, const struct iso_files *f, const char *script, int iso,
                        struct error *e)
{
    int life[2], report[2];

    if (pipe2(life, O_CLOEXEC) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a pipe");
    if (pipe2(report, O_CLOEXEC) != 0) {
        close(life[0]);
        close(life[1]);
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a pipe");
    }
    k->pid = fork();
    if (k->pid == 0) {
        close(life[1]);
        keeper_main(f, script, life[0], report[1], iso);
    }
    close(life[0]);
    close(report[1]);
    k->life = life[1];
    k->report = report[0];
    if (k->pid < 0) {
        close(k->life);
        close(k->report);
        return error_errno(e, EXIT_ENVIRONMENT, "cannot start a process");
    }
    k->pidfd = pidfd_open(k->pid, 0);
    return 0;
}

static int timeout_ms(int64_t deadline)
{
    const int64_t left = deadline == NEVER ? NEVER : deadline - clock_now();

    if (left <= 0)
        return 0;
    return left / 1000000 >= INT_MAX ? -1 : (int)(left / 1000000) + 1;
}

/* Why it has to end early, or 0 when the keeper is done. */
static int keeper_await(const struct keeper *k, int signals, int64_t deadline, struct error *e)
{
    struct pollfd p[2] = {{.fd = k->pidfd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    int rc;

    do
        rc = poll(p, 2, timeout_ms(deadline));
    while (rc < 0 && errno == EINTR);
    if (p[1].revents != 0 && read(signals, &info, sizeof(info)) == sizeof(info))
        return error_set(e, info.ssi_signo == SIGINT ? EXIT_INTERRUPTED : EXIT_TERMINATED,
                         "interrupted before the machine was started");
    if (rc == 0)
        return error_set(e, EXIT_TIMEOUT, "timeout: the machine was not even started");
    return 0;
}

static int keeper_end(struct keeper *k, struct error *e)
{
    int status;

    close(k->life);
    while (waitpid(k->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0 && read(k->report, e, sizeof(*e)) != sizeof(*e))
        error_set(e, EXIT_ENVIRONMENT, "the process that makes it failed");
    close(k->pidfd);
    close(k->report);
    return status == 0 ? 0 : -1;
}

/* ---- from outside */

static int make(const struct iso_files *f, const char *script, int signals, int64_t deadline,
                struct error *e)
{
    const int iso = memfd_new("iso", 0, e);
    struct error ignored;
    struct keeper k;

    if (iso < 0)
        return -1;
    if (keeper_start(&k, f, script, iso, e) != 0)
        goto fail;
    if (keeper_await(&k, signals, deadline, e) != 0) {
        keeper_end(&k, &ignored);
        goto fail;
    }
    if (keeper_end(&k, e) != 0) {
        error_context(e, "the CD image for GRUB");
        goto fail;
    }
    return iso;
fail:
    close(iso);
    return -1;
}

int iso_make(const struct iso_files *f, const struct grubcfg *g, int signals, int64_t deadline,
             struct error *e)
{
    char *script;
    int iso;

    if (check_tools(e) != 0)
        return error_context(e, "--loader grub");
    script = grubcfg_make(g, e);
    if (script == NULL)
        return -1;
    iso = make(f, script, signals, deadline, e);
    free(script);
    return iso;
}
