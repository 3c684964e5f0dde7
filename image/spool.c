/* SPDX-License-Identifier: MIT */
/* Pipes and compressed files are copied into a file without a name, once, from front to back. */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK   (1u << 20)
#define BLOCK   4096u
#define WAIT_MS 200 /* so that a pipe on which nothing comes can be given up */

struct spool {
    int from, to;
    bool is_pipe;
    const char *doing;
    const struct pv_progress *progress;
    uint64_t total; /* of a regular file; 0: not known */
    bool at_end;
    uint64_t read, written;
    uint8_t *in, *out; /* CHUNK each */
    size_t in_at, in_end, out_used;
    const struct decoder *decoder; /* NULL: a copy */
    void *state;
    char lost[PV_FILE_LOST];
};

/* ---- the file without a name */

static const char *folder(void)
{
    const char *named = secure_getenv("TMPDIR");
    return named && *named ? named : "/tmp";
}

static int open_named(const char *in)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/pvmm-XXXXXX", in) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static int open_nameless(struct pv_error *e)
{
    int fd = open(folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) /* not every file system has them */
        fd = open_named(folder());
    return fd >= 0 ? fd : pv_fail_errno(e, "cannot make a file in %s (TMPDIR)", folder());
}

/* ---- writing: blocks of zeroes are left out */

static bool is_zero(const uint8_t *block, size_t n)
{
    return n == 0 || (block[0] == 0 && memcmp(block, block + 1, n - 1) == 0);
}

static int write_run(struct spool *s, size_t from, size_t to, struct pv_error *e)
{
    return from == to
               ? 0
               : pv_write_at(s->to, s->written + from, s->out + from, to - from, "the content", e);
}

static int flush(struct spool *s, struct pv_error *e)
{
    size_t run = 0; /* where what is to be written begins */
    for (size_t at = 0; at < s->out_used; at += BLOCK) {
        size_t n = s->out_used - at < BLOCK ? s->out_used - at : BLOCK;
        if (!is_zero(s->out + at, n))
            continue;
        if (write_run(s, run, at, e))
            return -1;
        run = at + n;
    }
    if (write_run(s, run, s->out_used, e))
        return -1;
    s->written += s->out_used;
    s->out_used = 0;
    return 0;
}

static int finish(struct spool *s, struct pv_error *e)
{
    if (flush(s, e))
        return -1;
    return ftruncate(s->to, (off_t)s->written) < 0 ? pv_fail_errno(e, "cannot give it its size")
                                                   : 0;
}

/* ---- reading */

static int tell(struct spool *s, struct pv_error *e)
{
    return pv_tell(s->progress, s->doing, s->read, s->total, e);
}

/* Until there is something, or the last writer is gone. A FIFO without a writer yet has neither. */
static int wait_for_pipe(struct spool *s, struct pv_error *e)
{
    struct pollfd p = {.fd = s->from, .events = POLLIN};
    while (poll(&p, 1, WAIT_MS) <= 0)
        if (tell(s, e))
            return -1;
    return 0;
}

static ssize_t read_some(const struct spool *s, uint8_t *to, size_t n)
{
    return s->is_pipe ? read(s->from, to, n) : pread(s->from, to, n, (off_t)s->read);
}

/* Something behind in_end; nothing: the end is reached. */
static int fill(struct spool *s, struct pv_error *e)
{
    ssize_t got;
    do {
        if (tell(s, e) || (s->is_pipe && wait_for_pipe(s, e)))
            return -1;
        got = read_some(s, s->in + s->in_end, CHUNK - s->in_end);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    if (got < 0)
        return pv_fail_errno(e, "cannot read it at offset %llu", (unsigned long long)s->read);
    s->at_end = got == 0;
    s->in_end += (size_t)got;
    s->read += (uint64_t)got;
    return 0;
}

/* ---- decoding */

static int fill_head(struct spool *s, struct pv_error *e)
{
    while (s->in_end < DECODE_HEAD && !s->at_end)
        if (fill(s, e))
            return -1;
    return 0;
}

static int start(struct spool *s, struct pv_error *e)
{
    if (fill_head(s, e))
        return -1;
    s->decoder = pv_decoder_for(s->in, s->in_end);
    if (!s->decoder)
        return 0;
    s->state = s->decoder->start();
    s->doing = "decompressing";
    return s->state ? 0 : pv_no_memory(e);
}

static enum decoded copy(struct decode_buffers *b)
{
    size_t n = b->in_bytes < b->out_room ? b->in_bytes : b->out_room;
    memcpy(b->out, b->in, n);
    b->in_bytes -= n;
    b->out_room -= n;
    return DECODE_END;
}

/* false: neither took nor gave anything. */
static bool decode(struct spool *s, enum decoded *is, const char **why)
{
    struct decode_buffers b = {s->in + s->in_at, s->in_end - s->in_at, s->out + s->out_used,
                               CHUNK - s->out_used};
    size_t in_was = b.in_bytes, out_was = b.out_room;
    *is = s->decoder ? s->decoder->run(s->state, &b, s->at_end, why) : copy(&b);
    s->in_at += in_was - b.in_bytes;
    s->out_used += out_was - b.out_room;
    return b.in_bytes != in_was || b.out_room != out_was;
}

static void lose(struct spool *s, const char *how, const char *why)
{
    snprintf(s->lost, sizeof(s->lost), "the %s data is %s offset %llu%s%s", s->decoder->name, how,
             (unsigned long long)(s->read - (s->in_end - s->in_at)), *why ? ": " : "", why);
}

/* One step; *done: there will be no more. */
static int step(struct spool *s, enum decoded *is, bool *done, struct pv_error *e)
{
    const char *why = "";
    if (s->in_at == s->in_end && !s->at_end) {
        s->in_at = s->in_end = 0;
        if (fill(s, e))
            return -1;
    }
    *done = s->at_end && s->in_at == s->in_end && *is == DECODE_END;
    if (*done)
        return 0;
    bool moved = decode(s, is, &why);
    if (*is == DECODE_DAMAGED)
        lose(s, "damaged at or before", why);
    else if (!moved && s->at_end && *is == DECODE_MORE)
        lose(s, "cut short at", "");
    *done = s->lost[0];
    return s->out_used == CHUNK ? flush(s, e) : 0;
}

static int run(struct spool *s, struct pv_error *e)
{
    enum decoded is = DECODE_MORE;
    bool done = false;
    if (start(s, e))
        return -1;
    if (!s->decoder)
        is = DECODE_END;
    while (!done)
        if (step(s, &is, &done, e))
            return -1;
    if (finish(s, e))
        return -1;
    return s->lost[0] && s->written == 0 ? pv_fail(e, "%s", s->lost) : 0;
}

/* ---- */

static int run_into_file(struct spool *s, struct pv_error *e)
{
    s->to = open_nameless(e);
    if (s->to < 0)
        return -1;
    if (run(s, e)) {
        close(s->to);
        return pv_context(e, "cannot copy its content into a file in %s (TMPDIR)", folder());
    }
    return 0;
}

static void look_at_source(struct spool *s)
{
    struct stat st;
    bool known = fstat(s->from, &st) == 0;
    s->is_pipe = known && !S_ISREG(st.st_mode);
    s->total = known && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    s->doing = s->is_pipe ? "reading the pipe" : "reading the file";
}

int pv_spool(struct pv_file **out, int fd, const struct pv_progress *progress, struct pv_error *e)
{
    struct spool s = {.from = fd, .progress = progress};
    s.in = malloc(CHUNK);
    s.out = malloc(CHUNK);
    look_at_source(&s);
    int rc = s.in && s.out ? run_into_file(&s, e) : pv_no_memory(e);
    if (rc == 0)
        rc = pv_file_new(out, s.to, s.decoder ? s.decoder->name : "a pipe", e);
    if (rc == 0)
        memcpy((*out)->lost, s.lost, sizeof(s.lost));
    if (s.state)
        s.decoder->end(s.state);
    free(s.in);
    free(s.out);
    close(fd);
    return rc;
}

bool pv_is_compressed(int fd)
{
    uint8_t head[DECODE_HEAD];
    ssize_t n = pread(fd, head, sizeof(head), 0);
    return n > 0 && pv_decoder_for(head, (size_t)n);
}
