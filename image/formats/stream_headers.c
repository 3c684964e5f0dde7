/* SPDX-License-Identifier: MIT */
/* What save streams begin with: xl's header and configuration, libxl's header, libxc's. */
#include "stream_parts.h"

#include <ctype.h>
#include <endian.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX      32
#define MEMORY_KIB_MAX (1ll << 34) /* 16 TiB */

bool stream_begins(const uint8_t *head)
{
    const uint64_t marker = LIBXC_MARKER;
    uint32_t id = htobe32(LIBXC_ID);
    return memcmp(head, SAVE_MAGIC, sizeof(SAVE_MAGIC) - 1) == 0 ||
           memcmp(head, LIBXL_ID, sizeof(LIBXL_ID) - 1) == 0 ||
           (memcmp(head, &marker, sizeof(marker)) == 0 &&
            memcmp(head + sizeof(marker), &id, sizeof(id)) == 0);
}

/* ---- the configuration: who wrote it is not trusted, and it ends on a terminal */

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *found = NULL;
    return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &found)
               ? found
               : NULL;
}

static void take_text(char *to, size_t size, struct json_object *from)
{
    if (!json_object_is_type(from, json_type_string))
        return;
    const char *text = json_object_get_string(from);
    size_t n = 0;
    for (; n + 1 < size && text[n]; n++)
        to[n] = (unsigned char)text[n] < 0x80 && isprint((unsigned char)text[n]) ? text[n] : '?';
    to[n] = 0;
}

static bool is_uuid(const char *text)
{
    return strlen(text) == 36 && strspn(text, "0123456789abcdefABCDEF-") == 36;
}

static uint64_t kib(struct json_object *from)
{
    int64_t n = json_object_is_type(from, json_type_int) ? json_object_get_int64(from) : 0;
    return n > 0 && n <= MEMORY_KIB_MAX ? (uint64_t)n << 10 : 0;
}

bool stream_configuration_parse(struct stream_configuration *out, const char *text)
{
    *out = (struct stream_configuration){0};
    struct json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
    if (!t)
        return false;
    struct json_object *all = json_tokener_parse_ex(t, text, (int)strlen(text));
    struct json_object *created = member(all, "c_info");
    take_text(out->name, sizeof(out->name), member(created, "name"));
    take_text(out->uuid, sizeof(out->uuid), member(created, "uuid"));
    if (!is_uuid(out->uuid))
        out->uuid[0] = 0;
    out->max_memory = kib(member(member(all, "b_info"), "max_memkb"));
    bool is = json_object_is_type(all, json_type_object);
    json_object_put(all);
    json_tokener_free(t);
    return is;
}

static void take_configuration(struct stream *s, const char *text)
{
    struct stream_configuration c;
    stream_configuration_parse(&c, text);
    snprintf(s->name, sizeof(s->name), "%.63s", c.name);
    memcpy(s->uuid, c.uuid, sizeof(s->uuid));
}

/* Nothing but the domain's name comes out of it: what cannot be read is left out. */
static int read_configuration(struct stream *s, uint64_t at, uint32_t room, struct pv_error *e)
{
    uint32_t bytes;
    if (room < sizeof(bytes))
        return 0;
    if (pv_file_read(s->file, at, &bytes, sizeof(bytes), "the configuration's length", e))
        return -1;
    if (bytes > room - sizeof(bytes) || bytes > CONFIGURATION_MAX) {
        stream_lose(s, "the configuration, of %u bytes in %u, is not read", bytes, room);
        return 0;
    }
    char *text = calloc(1, bytes + 1);
    if (!text)
        return pv_no_memory(e);
    int rc = pv_file_read(s->file, at + sizeof(bytes), text, bytes, "the configuration", e);
    if (rc == 0)
        take_configuration(s, text);
    free(text);
    return rc;
}

/* ---- the headers */

int stream_check_save(const struct save_header *h, struct pv_error *e)
{
    if (h->byte_order != SAVE_BYTE_ORDER)
        return pv_fail(e, "xl's header is of another byte order (%x)", h->byte_order);
    if (h->mandatory & ~(SAVE_JSON | SAVE_STREAM_V2))
        return pv_fail(e, "xl's header has mandatory flags %x, of which some are unknown",
                       h->mandatory);
    if (!(h->mandatory & SAVE_STREAM_V2))
        return pv_fail(e, "saved by Xen 4.5 or older, in a format without records");
    return 0;
}

static int read_save(struct stream *s, uint64_t *at, struct pv_error *e)
{
    struct save_header h;
    if (pv_file_read(s->file, *at, &h, sizeof(h), "xl's header", e) || stream_check_save(&h, e))
        return -1;
    *at += sizeof(h);
    if ((h.mandatory & SAVE_JSON) && read_configuration(s, *at, h.optional_bytes, e))
        return -1;
    *at += h.optional_bytes;
    return 0;
}

int stream_check_libxl(const struct libxl_header *h, uint64_t at, struct pv_error *e)
{
    if (memcmp(h->id, LIBXL_ID, sizeof(h->id)))
        return pv_fail(e, "no libxl stream at offset %llu, behind xl's header",
                       (unsigned long long)at);
    if (be32toh(h->version) != LIBXL_VERSION)
        return pv_fail(e, "a libxl stream of version %u; known is %u", be32toh(h->version),
                       LIBXL_VERSION);
    if (be32toh(h->options) & LIBXL_BIG_ENDIAN)
        return pv_fail(e, "a big-endian libxl stream");
    return 0;
}

static int read_libxl(struct stream *s, uint64_t *at, struct pv_error *e)
{
    struct libxl_header h;
    if (pv_file_read(s->file, *at, &h, sizeof(h), "libxl's header", e) ||
        stream_check_libxl(&h, *at, e))
        return -1;
    *at += sizeof(h);
    s->of_xl = true;
    return 0;
}

static int head_of(const struct stream *s, uint64_t at, char *head, size_t n, struct pv_error *e)
{
    return pv_file_read(s->file, at, head, n, "the stream's beginning", e);
}

int stream_read_outer(struct stream *s, uint64_t *at, struct pv_error *e)
{
    char head[sizeof(LIBXL_ID) - 1];
    if (head_of(s, *at, head, sizeof(head), e))
        return -1;
    if (memcmp(head, SAVE_MAGIC, sizeof(head)) == 0)
        return read_save(s, at, e) || read_libxl(s, at, e) ? -1 : 0;
    return memcmp(head, LIBXL_ID, sizeof(head)) == 0 ? read_libxl(s, at, e) : 0;
}

int stream_check_libxc(const struct libxc_header *h, uint64_t at, struct pv_error *e)
{
    uint32_t version = be32toh(h->version);
    if (h->marker != LIBXC_MARKER || be32toh(h->id) != LIBXC_ID)
        return pv_fail(e, "no libxc stream at offset %llu", (unsigned long long)at);
    if (version != 2 && version != 3)
        return pv_fail(e, "a libxc stream of version %u; known are 2 and 3", version);
    if (be16toh(h->options) & LIBXC_BIG_ENDIAN)
        return pv_fail(e, "a big-endian libxc stream");
    return 0;
}

int stream_check_domain(const struct domain_header *h, struct pv_error *e)
{
    if (h->type == LIBXC_HVM)
        return pv_fail(e, "of an HVM guest, not of a PV one");
    if (h->type != LIBXC_PV)
        return pv_fail(e, "of a guest of type %u, not of a PV one", h->type);
    if (h->page_shift != PAGE_SHIFT_4K)
        return pv_fail(e, "pages of 2^%u bytes", h->page_shift);
    return 0;
}

int stream_read_inner(struct stream *s, uint64_t *at, struct pv_error *e)
{
    struct libxc_header h;
    struct domain_header d;
    if (pv_file_read(s->file, *at, &h, sizeof(h), "libxc's header", e) ||
        stream_check_libxc(&h, *at, e) ||
        pv_file_read(s->file, *at + sizeof(h), &d, sizeof(d), "the domain's header", e) ||
        stream_check_domain(&d, e))
        return -1;
    *at += sizeof(h) + sizeof(d);
    s->xen_major = d.xen_major;
    s->xen_minor = d.xen_minor;
    return 0;
}
