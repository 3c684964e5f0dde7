/* SPDX-License-Identifier: MIT */
/* The headers of a stream that is taken in: xl's with the configuration, libxl's, libxc's. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "stream_take.h"

int take_header(struct taking *c, void *to, size_t n, const char *what, struct pv_error *e)
{
    const unsigned long long at = c->in.offset;
    struct iovec all = {to, n};
    size_t got;
    if (take_input_read(&c->in, &all, 1, &got, e))
        return pv_context(e, "%s at offset %llu", what, at);
    if (got < n)
        return pv_fail(e, "cut short in %s at offset %llu: it wants %zu bytes, %zu came", what, at,
                       n, got);
    return 0;
}

/* ---- xl's */

static int parse_configuration(struct taking *c, const char *text, struct pv_error *e)
{
    struct stream_configuration told;
    if (!stream_configuration_parse(&told, text))
        return pv_fail(e, "the domain's configuration, behind xl's header, is no JSON");
    memcpy(c->t->name, told.name, sizeof(c->t->name));
    memcpy(c->t->uuid, told.uuid, sizeof(c->t->uuid));
    c->t->max_memory = told.max_memory;
    return 0;
}

/* Its length, itself; what else is there has no meaning. */
static int take_configuration(struct taking *c, uint32_t room, bool json, struct pv_error *e)
{
    uint32_t bytes = 0;
    if (room > CONFIGURATION_MAX)
        return pv_fail(e, "xl's header is followed by %u bytes of configuration; at most %u are",
                       room, CONFIGURATION_MAX);
    char *text = calloc(1, room + sizeof(bytes) + 1);
    if (!text)
        return pv_no_memory(e);
    int rc = take_header(c, text, room, "the domain's configuration", e);
    memcpy(&bytes, text, sizeof(bytes));
    if (rc == 0 && json && (room < sizeof(bytes) || bytes > room - sizeof(bytes)))
        rc = pv_fail(e,
                     "the domain's configuration, of %u bytes, does not fit in the %u behind "
                     "xl's header",
                     bytes, room);
    if (rc == 0 && json) {
        text[sizeof(bytes) + bytes] = 0;
        rc = parse_configuration(c, text + sizeof(bytes), e);
    }
    free(text);
    return rc;
}

/* The first bytes of a header have been read to tell which it is. */
struct head {
    char byte[8];
};

static int take_rest(struct taking *c, void *to, size_t n, const struct head *head,
                     const char *what, struct pv_error *e)
{
    memcpy(to, head, sizeof(*head));
    return take_header(c, (uint8_t *)to + sizeof(*head), n - sizeof(*head), what, e);
}

static int take_save(struct taking *c, const struct head *head, struct pv_error *e)
{
    struct save_header h;
    if (take_rest(c, &h, sizeof(h), head, "xl's header", e))
        return -1;
    if (memcmp(h.magic, SAVE_MAGIC, sizeof(h.magic)))
        return pv_fail(e, "it begins like xl's header, and is none");
    return stream_check_save(&h, e) ||
                   take_configuration(c, h.optional_bytes, h.mandatory & SAVE_JSON, e)
               ? -1
               : 0;
}

static int take_libxl(struct taking *c, const struct head *head, struct pv_error *e)
{
    struct libxl_header h;
    uint64_t at = c->in.offset;
    if (head ? take_rest(c, &h, sizeof(h), head, "libxl's header", e)
             : take_header(c, &h, sizeof(h), "libxl's header", e))
        return -1;
    if (stream_check_libxl(&h, at, e))
        return -1;
    if (h.options)
        return pv_fail(e, "a libxl stream with options %x, which are not known",
                       be32toh(h.options));
    c->t->of_xl = true;
    return 0;
}

/* ---- libxc's */

static int check_libxc(struct taking *c, const struct libxc_header *h, uint64_t at,
                       struct pv_error *e)
{
    if (stream_check_libxc(h, at, e))
        return -1;
    if (h->options)
        return pv_fail(e, "a libxc stream with options %x, which are not known",
                       be16toh(h->options));
    c->version = be32toh(h->version);
    return 0;
}

static int take_domain(struct taking *c, struct pv_error *e)
{
    struct domain_header d;
    if (take_header(c, &d, sizeof(d), "the domain's header", e) || stream_check_domain(&d, e))
        return -1;
    c->t->xen_major = d.xen_major;
    c->t->xen_minor = d.xen_minor;
    return 0;
}

static int take_libxc(struct taking *c, const struct head *head, struct pv_error *e)
{
    struct libxc_header h;
    uint64_t at = c->in.offset - (head ? sizeof(*head) : 0);
    if (head ? take_rest(c, &h, sizeof(h), head, "libxc's header", e)
             : take_header(c, &h, sizeof(h), "libxc's header", e))
        return -1;
    return check_libxc(c, &h, at, e) || take_domain(c, e) ? -1 : 0;
}

int take_inner(struct taking *c, struct pv_error *e)
{
    return take_libxc(c, NULL, e);
}

int take_outer(struct taking *c, struct pv_error *e)
{
    const uint64_t marker = LIBXC_MARKER;
    struct head head;
    if (take_header(c, &head, sizeof(head), "the stream's header", e))
        return -1;
    if (memcmp(&head, SAVE_MAGIC, sizeof(head)) == 0)
        return take_save(c, &head, e) || take_libxl(c, NULL, e) ? -1 : 0;
    if (memcmp(&head, LIBXL_ID, sizeof(head)) == 0)
        return take_libxl(c, &head, e);
    if (memcmp(&head, &marker, sizeof(marker)) == 0)
        return take_libxc(c, &head, e);
    return pv_fail(e, "not a save stream: it begins neither as xl's, nor as libxl's or libxc's do");
}
