/* SPDX-License-Identifier: MIT */
/* To a descriptor of any kind, as it is or through zstd. */
#include "stream_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#define WORKERS_MOST 8
#define JOB_BYTES    (4 << 20) /* of a worker at a time: nothing is told until one is done */
#define JOB_OVERLAP  6         /* an eighth of the window, so that a job may be so small */
#define ASK_AGAIN    100       /* ms */

int sink_tell(const struct sink *k, struct pv_error *e)
{
    return pv_tell(k->progress, "writing pages", k->done, k->total, e);
}

/* ---- writing */

/* Those of `set` that have come meanwhile, and had not before. */
static void take_signals(sigset_t *set, const sigset_t *before)
{
    for (int n = 1; n < NSIG; n++)
        if (sigismember(before, n) > 0)
            sigdelset(set, n);
    while (sigtimedwait(set, NULL, &(struct timespec){0}) > 0)
        ;
}

/* A pipe that nobody reads, and a file that may not grow, kill a process by a signal of their own,
 * which comes with a write that was cut short, too: this one is to be told. */
static ssize_t write_quietly(int fd, const struct iovec *piece, int n)
{
    sigset_t loud, before, pending;
    sigemptyset(&loud);
    sigaddset(&loud, SIGPIPE);
    sigaddset(&loud, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &loud, &before);
    sigpending(&pending);
    const ssize_t put = writev(fd, piece, n);
    const int why = errno;
    take_signals(&loud, &pending);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return put;
}

/* Steps over what has been written. */
static void advance(struct iovec **piece, size_t *n, size_t put)
{
    for (; *n && put >= (*piece)->iov_len; ++*piece, --*n)
        put -= (*piece)->iov_len;
    if (*n) {
        (*piece)->iov_base = (uint8_t *)(*piece)->iov_base + put;
        (*piece)->iov_len -= put;
    }
}

/* Who reads may take his time, but who saves may have enough of it. */
static int wait_for_room(const struct sink *k, int fd, struct pv_error *e)
{
    if (poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, ASK_AGAIN) > 0)
        return 0;
    return sink_tell(k, e);
}

static int write_pieces(struct sink *k, struct iovec *piece, size_t n, struct pv_error *e)
{
    const int fd = k->own >= 0 ? k->own : k->fd;
    for (advance(&piece, &n, 0); n;) {
        const ssize_t put = write_quietly(fd, piece, n < IOV_MAX ? (int)n : IOV_MAX);
        if (put < 0 && errno == EAGAIN) {
            if (wait_for_room(k, fd, e))
                return -1;
        } else if (put < 0 && errno != EINTR)
            return pv_fail_errno(e, "cannot write behind %llu bytes", (unsigned long long)k->bytes);
        else if (put == 0)
            return pv_fail(e, "cannot write behind %llu bytes: nothing more goes into it",
                           (unsigned long long)k->bytes);
        else if (put > 0) {
            k->bytes += (uint64_t)put;
            advance(&piece, &n, (size_t)put);
        }
    }
    return 0;
}

/* ---- zstd */

static int pack(struct sink *k, const void *from, size_t n, ZSTD_EndDirective how,
                struct pv_error *e)
{
    ZSTD_inBuffer in = {from, n, 0};
    size_t left;
    do {
        ZSTD_outBuffer out = {k->packed, k->packed_room, 0};
        left = ZSTD_compressStream2(k->zstd, &out, &in, how);
        if (ZSTD_isError(left))
            return pv_fail(e, "cannot compress: %s", ZSTD_getErrorName(left));
        struct iovec piece = {k->packed, out.pos};
        if (write_pieces(k, &piece, 1, e) || sink_tell(k, e))
            return -1;
    } while (how == ZSTD_e_end ? left != 0 : in.pos < in.size);
    return 0;
}

/* As many as there are processors; a library without threads does without. */
static int workers(void)
{
    const long there = sysconf(_SC_NPROCESSORS_ONLN);
    return there <= 1 ? 0 : there > WORKERS_MOST ? WORKERS_MOST : (int)there;
}

static int start_zstd(struct sink *k, int level, struct pv_error *e)
{
    k->packed_room = ZSTD_CStreamOutSize();
    k->packed = malloc(k->packed_room);
    k->zstd = ZSTD_createCCtx();
    if (!k->zstd || !k->packed)
        return pv_no_memory(e);
    size_t rc = ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(rc))
        rc = ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_checksumFlag, 1);
    if (ZSTD_isError(rc))
        return pv_fail(e, "cannot compress: %s", ZSTD_getErrorName(rc));
    ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_nbWorkers, workers());
    ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_jobSize, JOB_BYTES);
    ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_overlapLog, JOB_OVERLAP);
    return 0;
}

/* ---- */

/* Of a pipe's other users nobody is to be surprised, so it is not the descriptor that is given. */
static int open_anew(int fd)
{
    char path[32];
    struct stat st;
    if (fstat(fd, &st) || !S_ISFIFO(st.st_mode))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

int sink_open(struct sink *k, int fd, const struct pv_save_options *o, struct pv_error *e)
{
    *k = (struct sink){.fd = fd, .own = -1, .progress = &o->progress};
    if (o->zstd < 0 || o->zstd > 19)
        return pv_fail(e, "zstd has no level %d here: 1 to 19", o->zstd);
    if (o->zstd && start_zstd(k, o->zstd, e))
        return -1;
    k->own = open_anew(fd);
    return 0;
}

int sink_put_pieces(struct sink *k, struct iovec *piece, size_t n, struct pv_error *e)
{
    if (!k->zstd)
        return write_pieces(k, piece, n, e);
    for (size_t i = 0; i < n; i++)
        if (pack(k, piece[i].iov_base, piece[i].iov_len, ZSTD_e_continue, e))
            return -1;
    return 0;
}

int sink_put(struct sink *k, const void *from, size_t n, struct pv_error *e)
{
    struct iovec piece = {(void *)(uintptr_t)from, n};
    return sink_put_pieces(k, &piece, 1, e);
}

int sink_end(struct sink *k, struct pv_error *e)
{
    return k->zstd ? pack(k, NULL, 0, ZSTD_e_end, e) : 0;
}

void sink_close(struct sink *k)
{
    ZSTD_freeCCtx(k->zstd);
    free(k->packed);
    if (k->own >= 0)
        close(k->own);
    k->own = -1;
    k->zstd = k->packed = NULL;
}
