/* SPDX-License-Identifier: MIT */
#include "qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exitcodes.h"

#define ARGUMENTS 48
#define PIPE_ROOM (1 << 20) /* of what the machine prints; any user may have as much */

/* The command line of QEMU; strings that were made for it are freed with it. */
struct command {
    char *argv[ARGUMENTS];
    int argc;
    bool failed;
};

/* Descriptors that QEMU's ends of the channels are. */
struct ends {
    int com1, com2; /* -1: it opens pipes by their names */
    int errors, report;
    int qmp; /* -1: none */
};

static void add(struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct command *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (c->argc == ARGUMENTS - 1 || vasprintf(&c->argv[c->argc], fmt, args) < 0)
        c->failed = true;
    else
        c->argc++;
    va_end(args);
}

static void command_free(struct command *c)
{
    for (int i = 0; i < c->argc; i++)
        free(c->argv[i]);
}

/*
 * QEMU's -initrd lists multiboot modules "FILE ARGUMENTS,FILE ARGUMENTS"; a comma inside is
 * doubled. The hypervisor sees "FILE ARGUMENTS", the multiboot way.
 */
static char *module_list(const struct machine *m)
{
    const size_t room = strlen(m->guest_arguments) * 2 + 128;
    char *list = malloc(room);
    size_t n;

    if (list == NULL)
        return NULL;
    n = (size_t)snprintf(list, room, "/proc/self/fd/%d ", m->kernel_fd);
    for (const char *p = m->guest_arguments; *p != '\0'; p++) {
        list[n++] = *p;
        if (*p == ',')
            list[n++] = ',';
    }
    list[n] = '\0';
    if (m->initrd_fd >= 0)
        n += (size_t)snprintf(list + n, room - n, ",/proc/self/fd/%d", m->initrd_fd);
    if (m->e820_fd >= 0)
        snprintf(list + n, room - n, ",/proc/self/fd/%d", m->e820_fd);
    return list;
}

static void add_machine(struct command *c, const struct machine *m)
{
    add(c, "%s", m->qemu);
    add(c, "-machine");
    add(c, "%s,accel=%s,memory-backend=ram", m->machine, m->accel);
    add(c, "-cpu");
    add(c, "%s", m->cpu);
    add(c, "-m");
    add(c, "%lluM", (unsigned long long)m->megabytes);
    add(c, "-object");
    add(c, "memory-backend-file,id=ram,size=%lluM,share=on,mem-path=/proc/self/fd/%d",
        (unsigned long long)m->megabytes, m->ram_fd);
    add(c, "-nodefaults");
    add(c, "-no-user-config");
    add(c, "-no-reboot");
    add(c, "-display");
    add(c, "none");
    if (m->gdb_port != 0) {
        add(c, "-gdb");
        add(c, "tcp:127.0.0.1:%u,server=on,wait=off", m->gdb_port);
    }
    if (m->icount) {
        add(c, "-icount");
        add(c, "shift=0,sleep=off");
    }
}

/* Under record/replay the clock counts instructions, and time that nobody uses passes as it does.
 */
static void add_play(struct command *c, const struct machine *m, int qmp)
{
    if (m->play == PLAY_NOT)
        return;
    add(c, "-icount");
    add(c, "shift=auto,rr=%s,rrfile=/proc/self/fd/%d", m->play == PLAY_RECORD ? "record" : "replay",
        m->events_fd);
    add(c, "-rtc"); /* by the host's clock, each look at it would be an input to be kept */
    add(c, "clock=vm");
    add(c, "-chardev");
    add(c, "socket,id=qmp,fd=%d", qmp);
    add(c, "-mon");
    add(c, "chardev=qmp,mode=control");
    add(c,
        "-no-shutdown"); /* the last instruction can be asked for, and the end is QMP's to tell */
    if (m->stopped)
        add(c, "-S");
}

static void add_serial(struct command *c, const char *id, int fd, const struct machine *m)
{
    add(c, "-chardev");
    if (fd >= 0)
        add(c, "socket,id=%s,fd=%d", id, fd);
    else
        add(c, "pipe,id=%s,path=/proc/self/fd/%d/%s", id, m->pipes_dir, id);
    add(c, "-serial");
    add(c, "chardev:%s", id);
}

static void add_modules(struct command *c, const struct machine *m)
{
    char *modules = module_list(m);

    add(c, "-initrd");
    add(c, "%s", modules != NULL ? modules : "");
    c->failed |= modules == NULL;
    free(modules);
}

/* QEMU is the boot loader itself. */
static void add_kernel(struct command *c, const struct machine *m)
{
    add(c, "-kernel");
    add(c, "/proc/self/fd/%d", m->hypervisor_fd);
    add(c, "-append");
    add(c, "%s", m->hypervisor_arguments);
    if (m->kernel_fd >= 0)
        add_modules(c, m);
}

static void add_cd(struct command *c, int fd)
{
    add(c, "-drive");
    add(c, "media=cdrom,format=raw,readonly=on,file=/proc/self/fd/%d", fd);
    add(c, "-boot");
    add(c, "d");
}

static int build_command(struct command *c, const struct machine *m, const struct ends *ends,
                         struct error *e)
{
    *c = (struct command){.failed = false};
    add_machine(c, m);
    add_play(c, m, ends->qmp);
    add_serial(c, "com1", ends->com1, m);
    add_serial(c, "com2", ends->com2, m);
    if (m->iso_fd >= 0)
        add_cd(c, m->iso_fd);
    else
        add_kernel(c, m);
    return c->failed ? error_set(e, EXIT_ENVIRONMENT, "out of memory") : 0;
}

static void keep_open(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, 0);
}

/* In the child, up to the point of no return; an errno goes back over the report pipe. */
static void become_qemu(const struct command *c, const struct machine *m, const struct ends *ends,
                        pid_t parent)
{
    const int null = open("/dev/null", O_RDONLY);
    sigset_t none;
    int why;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it went away before the line above */
        _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    dup2(null, STDIN_FILENO);
    dup2(ends->errors, STDOUT_FILENO);
    dup2(ends->errors, STDERR_FILENO);
    keep_open(m->ram_fd);
    keep_open(m->iso_fd);
    keep_open(m->hypervisor_fd);
    keep_open(m->kernel_fd);
    keep_open(m->initrd_fd);
    keep_open(m->e820_fd);
    keep_open(m->events_fd);
    keep_open(m->play == PLAY_RECORD ? m->pipes_dir : -1);
    keep_open(ends->com1);
    keep_open(ends->com2);
    keep_open(ends->qmp);
    execvp(c->argv[0], c->argv);
    why = errno;
    if (write(ends->report, &why, sizeof(why)) < 0)
        _exit(126);
    _exit(127);
}

/* The other half of the report pipe: it closes at exec, or brings the errno of a failed one. */
static int await_exec(struct qemu *q, int report, const char *program, struct error *e)
{
    int why;
    ssize_t n;

    do
        n = read(report, &why, sizeof(why));
    while (n < 0 && errno == EINTR);
    if (n != sizeof(why))
        return 0;
    qemu_end(q);
    errno = why;
    return error_errno(e, EXIT_ENVIRONMENT, "cannot start QEMU as \"%s\"", program);
}

static int spawn(struct qemu *q, const struct machine *m, struct ends *ends, int report,
                 struct error *e)
{
    const pid_t parent = getpid();
    struct command c;

    if (build_command(&c, m, ends, e) != 0) {
        command_free(&c);
        return -1;
    }
    q->pid = fork();
    if (q->pid == 0)
        become_qemu(&c, m, ends, parent);
    command_free(&c);
    if (q->pid < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot start a process for QEMU");
    setpgid(q->pid, q->pid); /* in both, so that it is done whoever runs first */
    close(ends->report);
    ends->report = -1;
    q->pidfd = pidfd_open(q->pid, 0);
    if (q->pidfd < 0) {
        error_errno(e, EXIT_ENVIRONMENT, "cannot watch QEMU");
        qemu_end(q);
        return -1;
    }
    return await_exec(q, report, m->qemu, e);
}

static void close_end(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void close_ends(const struct ends *ends)
{
    close_end(ends->com1);
    close_end(ends->com2);
    close_end(ends->errors);
    close_end(ends->report);
    close_end(ends->qmp);
}

static int make_pipe(int *read_end, int *write_end)
{
    int pair[2];

    if (pipe2(pair, O_CLOEXEC) != 0)
        return -1;
    *read_end = pair[0];
    *write_end = pair[1];
    return 0;
}

/* As QEMU holds input back while the UART has no room, so does whoever writes to it. */
static int socket_line(int *ours, int *ours_in, int *qemus)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    *ours = *ours_in = pair[0];
    *qemus = pair[1];
    return 0;
}

/* For reading and writing, as QEMU opens it: nobody waits for the other one. */
static int new_pipe(int dir, const char *name, int *fd)
{
    if (mkfifoat(dir, name, 0600) != 0)
        return -1;
    *fd = openat(dir, name, O_RDWR | O_CLOEXEC);
    return *fd >= 0 ? 0 : -1;
}

/*
 * QEMU writes byte by byte, and a socket holds a few hundred of such. A byte that finds no room is
 * written again later, at an instruction that no record knows: a pipe has room for more.
 */
static int pipe_line(int dir, const char *in, const char *out, int *ours, int *ours_in)
{
    if (new_pipe(dir, in, ours_in) != 0 || new_pipe(dir, out, ours) != 0)
        return -1;
    fcntl(*ours, F_SETPIPE_SZ, PIPE_ROOM);
    return 0;
}

static int serial_lines(struct qemu *q, struct ends *ends, const struct machine *m)
{
    if (m->play == PLAY_RECORD)
        return pipe_line(m->pipes_dir, "com1.in", "com1.out", &q->com1, &q->com1_in) == 0 &&
                       pipe_line(m->pipes_dir, "com2.in", "com2.out", &q->com2, &q->com2_in) == 0
                   ? 0
                   : -1;
    return socket_line(&q->com1, &q->com1_in, &ends->com1) == 0 &&
                   socket_line(&q->com2, &q->com2_in, &ends->com2) == 0
               ? 0
               : -1;
}

void qemu_forget_pipes(int dir)
{
    static const char *const name[] = {"com1.in", "com1.out", "com2.in", "com2.out"};

    for (unsigned i = 0; i < sizeof(name) / sizeof(name[0]); i++)
        unlinkat(dir, name[i], 0);
}

/* Of a monitor, if there is to be one. */
static int monitor(enum play play, int *ours, int *qemus)
{
    int pair[2];

    *ours = *qemus = -1;
    if (play == PLAY_NOT)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    *ours = pair[0];
    *qemus = pair[1];
    return 0;
}

static void nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* `report` is our end of it. What was made before a failure is left in them. */
static int channels(struct qemu *q, struct ends *ends, int *report, const struct machine *m)
{
    if (serial_lines(q, ends, m) != 0 || monitor(m->play, &q->qmp, &ends->qmp) != 0 ||
        make_pipe(&q->errors, &ends->errors) != 0 || make_pipe(report, &ends->report) != 0)
        return -1;
    nonblocking(q->com1);
    nonblocking(q->com1_in);
    nonblocking(q->com2);
    nonblocking(q->com2_in);
    nonblocking(q->errors);
    return 0;
}

int qemu_start(struct qemu *q, const struct machine *m, struct error *e)
{
    struct ends ends = {-1, -1, -1, -1, -1};
    int report = -1, rc;

    *q = (struct qemu){.pid = -1,
                       .pidfd = -1,
                       .com1 = -1,
                       .com1_in = -1,
                       .com2 = -1,
                       .com2_in = -1,
                       .errors = -1,
                       .qmp = -1};
    rc = channels(q, &ends, &report, m);
    if (rc != 0)
        error_errno(e, EXIT_ENVIRONMENT, "cannot make channels for QEMU");
    else
        rc = spawn(q, m, &ends, report, e);
    close_ends(&ends);
    close_end(report);
    if (rc != 0)
        qemu_close(q);
    return rc;
}

void qemu_read_errors(struct qemu *q, bool echo)
{
    char text[512];
    ssize_t n;

    while ((n = read(q->errors, text, sizeof(text))) > 0) {
        if (echo)
            fwrite(text, 1, (size_t)n, stderr);
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] == '\n' || text[i] == '\r') {
                q->said_ended = true;
                continue;
            }
            if (q->said_ended)
                q->said_length = 0;
            q->said_ended = false;
            if (q->said_length < sizeof(q->said) - 1)
                q->said[q->said_length++] = text[i];
            q->said[q->said_length] = '\0';
        }
    }
}

int qemu_end(struct qemu *q)
{
    int status = 0;

    if (q->pid > 0) {
        kill(-q->pid, SIGKILL); /* all it may have started; it has no state worth a farewell */
        while (waitpid(q->pid, &status, 0) < 0 && errno == EINTR)
            ;
        q->pid = -1;
    }
    if (q->pidfd >= 0)
        close(q->pidfd);
    q->pidfd = -1;
    return status;
}

void qemu_close(struct qemu *q)
{
    close_end(q->com1);
    close_end(q->com2);
    if (q->com1_in != q->com1)
        close_end(q->com1_in);
    if (q->com2_in != q->com2)
        close_end(q->com2_in);
    close_end(q->errors);
    close_end(q->qmp);
    q->com1 = q->com1_in = q->com2 = q->com2_in = q->errors = q->qmp = -1;
}
