/* SPDX-License-Identifier: MIT */
#include "detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exitcodes.h"

static void redirect(int fd, int mode)
{
    const int null = open("/dev/null", mode | O_CLOEXEC);

    if (null < 0)
        return;
    dup2(null, fd);
    close(null);
}

/* One byte says that the guest has started; without it, the background process tells how it went.
 */
static _Noreturn void await_start(pid_t child, int report)
{
    int status;
    char byte;
    ssize_t n;

    do
        n = read(report, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(EXIT_CLEAN);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_ENVIRONMENT);
}

int detach_fork(struct detach *d, bool keep_stdin, struct error *e)
{
    const pid_t parent = getpid();
    int pipe[2];
    pid_t child;

    if (pipe2(pipe, O_CLOEXEC) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a pipe");
    child = fork();
    if (child > 0) {
        close(pipe[1]);
        await_start(child, pipe[0]);
    }
    close(pipe[0]);
    if (child < 0) {
        error_errno(e, EXIT_ENVIRONMENT, "cannot start a process in the background");
        close(pipe[1]);
        return -1;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* until the guest has started, both end together */
    if (getppid() != parent)
        _exit(EXIT_TERMINATED);
    if (!keep_stdin)
        redirect(STDIN_FILENO, O_RDONLY);
    redirect(STDOUT_FILENO, O_WRONLY);
    d->report = pipe[1];
    return 0;
}

void detach_alone(const struct detach *d)
{
    if (d != NULL && d->report >= 0)
        prctl(PR_SET_PDEATHSIG, 0);
}

void detach_started(struct detach *d)
{
    if (d == NULL || d->report < 0)
        return;
    detach_alone(d);
    setsid();
    redirect(STDERR_FILENO, O_WRONLY);
    if (chdir("/") != 0 || write(d->report, "", 1) != 1) {
        /* the directory stays in use, or the command was killed: the guest runs all the same */
    }
    detach_close(d);
}

void detach_close(struct detach *d)
{
    if (d != NULL && d->report >= 0)
        close(d->report);
    if (d != NULL)
        d->report = -1;
}
