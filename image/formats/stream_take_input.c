/* SPDX-License-Identifier: MIT */
/* A stream's content, read once and from front to back: pages go from the file straight to where
 * they are to lie. Of a pipe no byte is waited for that is not needed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream_take.h"

#define RAW_BYTES   (64u << 10)
#define AHEAD_BYTES (16u << 10) /* a record's header, 1024 pfns and little more: that is copied */
#define WAIT_MS     200         /* so that a pipe on which nothing comes can be given up */

int take_input_tell(struct take_input *in, struct pv_error *e)
{
    return pv_tell(in->progress, "taking in the guest", in->done, in->total, e);
}

static int wait_for_some(struct take_input *in, struct pv_error *e)
{
    struct pollfd p = {.fd = in->fd, .events = POLLIN};
    while (poll(&p, 1, WAIT_MS) <= 0)
        if (take_input_tell(in, e))
            return -1;
    return 0;
}

/* From the file; *got is 0 where it ends. */
static int read_file(struct take_input *in, const struct iovec *piece, unsigned n, size_t *got,
                     struct pv_error *e)
{
    ssize_t rc;
    do {
        if (!in->regular && wait_for_some(in, e))
            return -1;
        rc = readv(in->fd, piece, (int)n);
    } while (rc < 0 && (errno == EINTR || errno == EAGAIN));
    if (rc < 0)
        return pv_fail_errno(e, "cannot read it");
    *got = (size_t)rc;
    return 0;
}

static int fill_raw(struct take_input *in, struct pv_error *e)
{
    struct iovec room = {in->raw + in->raw_end, RAW_BYTES - in->raw_end};
    size_t got;
    if (read_file(in, &room, 1, &got, e))
        return -1;
    in->raw_end += got;
    in->raw_ended = got == 0;
    return 0;
}

/* Some content; *got is 0 where it ends, also where the compressed data is cut short. */
static int decode(struct take_input *in, void *to, size_t room, size_t *got, struct pv_error *e)
{
    const char *why = "";
    for (*got = 0; *got == 0;) {
        if (in->raw_at == in->raw_end && !in->raw_ended && !in->held) {
            in->raw_at = in->raw_end = 0;
            if (fill_raw(in, e))
                return -1;
        }
        if (in->raw_ended && in->raw_at == in->raw_end && in->is == DECODE_END)
            return 0;
        struct decode_buffers b = {in->raw + in->raw_at, in->raw_end - in->raw_at, to, room};
        size_t was = b.in_bytes;
        in->is = in->decoder->run(in->state, &b, in->raw_ended, &why);
        in->raw_at += was - b.in_bytes;
        *got = room - b.out_room;
        in->held = b.out_room == 0;
        if (in->is == DECODE_DAMAGED)
            return pv_fail(e, "the %s data is damaged%s%s", in->decoder->name, *why ? ": " : "",
                           why);
        if (*got == 0 && b.in_bytes == was && in->raw_ended)
            return 0;
    }
    return 0;
}

static int read_some(struct take_input *in, const struct iovec *piece, unsigned n, size_t *got,
                     struct pv_error *e)
{
    return in->decoder ? decode(in, piece->iov_base, piece->iov_len, got, e)
                       : read_file(in, piece, n, got, e);
}

static int fill_ahead(struct take_input *in, struct pv_error *e)
{
    struct iovec all = {in->ahead, AHEAD_BYTES};
    in->at = in->end = 0;
    return read_some(in, &all, 1, &in->end, e);
}

/* ---- pieces */

/* Passes n bytes of them; returns the pieces that are full. */
static unsigned advance(struct iovec *piece, unsigned n, size_t bytes)
{
    unsigned full = 0;
    for (; full < n && bytes >= piece[full].iov_len; full++)
        bytes -= piece[full].iov_len;
    if (full < n) {
        piece[full].iov_base = (uint8_t *)piece[full].iov_base + bytes;
        piece[full].iov_len -= bytes;
    }
    return full;
}

static size_t from_ahead(struct take_input *in, const struct iovec *piece)
{
    size_t n = in->end - in->at;
    if (n > piece->iov_len)
        n = piece->iov_len;
    memcpy(piece->iov_base, in->ahead + in->at, n);
    in->at += n;
    return n;
}

/* What is small comes by way of `ahead`, the rest straight from the file. */
static int read_into(struct take_input *in, const struct iovec *piece, unsigned n, size_t *got,
                     struct pv_error *e)
{
    if (in->at == in->end && (n > 1 || piece->iov_len >= AHEAD_BYTES))
        return read_some(in, piece, n, got, e);
    if (in->at == in->end && fill_ahead(in, e))
        return -1;
    *got = from_ahead(in, piece);
    return 0;
}

int take_input_read(struct take_input *in, struct iovec *piece, unsigned n, size_t *got,
                    struct pv_error *e)
{
    *got = 0;
    for (unsigned done = advance(piece, n, 0); done < n;) {
        size_t part;
        if (read_into(in, piece + done, n - done, &part, e))
            return -1;
        if (part == 0)
            return 0;
        in->offset += part;
        *got += part;
        done += advance(piece + done, n - done, part);
    }
    return 0;
}

int take_input_ended(struct take_input *in, bool *ended, struct pv_error *e)
{
    if (in->at == in->end && fill_ahead(in, e))
        return -1;
    *ended = in->at == in->end;
    if (*ended && in->decoder && in->is != DECODE_END) /* its sums come last */
        return pv_fail(e, "the %s data is cut short", in->decoder->name);
    return 0;
}

/* ---- */

static int begin(struct take_input *in, struct pv_error *e)
{
    while (in->raw_end < DECODE_HEAD && !in->raw_ended)
        if (fill_raw(in, e))
            return -1;
    in->decoder = pv_decoder_for(in->raw, in->raw_end);
    if (!in->decoder) {
        in->ahead = in->raw;
        in->end = in->raw_end;
        in->raw = NULL;
        return 0;
    }
    in->ahead = malloc(AHEAD_BYTES);
    in->state = in->decoder->start();
    in->is = DECODE_MORE;
    return in->ahead && in->state ? 0 : pv_no_memory(e);
}

int take_input_open(struct take_input *in, int fd, const struct pv_take_options *o,
                    struct pv_error *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return pv_fail_errno(e, "cannot look at it");
    *in = (struct take_input){.fd = fd, .progress = &o->progress, .regular = S_ISREG(st.st_mode)};
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint */
    in->raw = malloc(RAW_BYTES);
    if (!in->raw)
        return pv_no_memory(e);
    in->raw_end = o->begun_bytes < PV_BEGUN_MOST ? o->begun_bytes : PV_BEGUN_MOST;
    memcpy(in->raw, o->begun ? o->begun : "", in->raw_end);
    return begin(in, e);
}

void take_input_close(struct take_input *in)
{
    if (in->state)
        in->decoder->end(in->state);
    free(in->raw);
    free(in->ahead);
}
