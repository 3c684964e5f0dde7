/* SPDX-License-Identifier: MIT */
/*
 * xl's file: the header, and a configuration that `xl restore` makes a domain by. It says no more
 * than it must: kernel and devices are not known here, and a guest that comes from a stream needs
 * none.
 */
#include "stream_write.h"

#include <endian.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define NAMELESS "guest"

/* ---- the configuration */

/* false: out of memory. */
static bool add(struct json_object *to, const char *key, struct json_object *value)
{
    if (value && json_object_object_add(to, key, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static int new_uuid(char to[40], struct pv_error *e)
{
    uint8_t u[16];
    if (getrandom(u, sizeof(u), 0) != sizeof(u))
        return pv_fail_errno(e, "cannot make up a uuid");
    u[6] = (u[6] & 0x0f) | 0x40; /* version 4, of RFC 4122's variant */
    u[8] = (u[8] & 0x3f) | 0x80;
    for (unsigned i = 0, at = 0; i < sizeof(u); i++)
        at += (unsigned)snprintf(to + at, 40 - at, "%s%02x",
                                 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
    return 0;
}

static struct json_object *created(const char *name, const char *uuid)
{
    struct json_object *c = json_object_new_object();
    if (c && add(c, "type", json_object_new_string("pv")) &&
        add(c, "name", json_object_new_string(name)) &&
        add(c, "uuid", json_object_new_string(uuid)))
        return c;
    json_object_put(c);
    return NULL;
}

static struct json_object *started(const struct pv_view *v)
{
    struct json_object *list = json_object_new_array();
    bool told = false; /* of a guest that runs no state is */
    for (unsigned i = 0; i < v->nr_vcpus; i++)
        told |= v->vcpu[i].valid;
    for (unsigned i = 0; list && i < v->nr_vcpus; i++)
        if (v->vcpu[i].valid || !told)
            json_object_array_add(list, json_object_new_int((int)i));
    return list;
}

static struct json_object *built(const struct pv_view *v, uint64_t most, uint64_t has)
{
    struct json_object *b = json_object_new_object();
    if (b && add(b, "max_vcpus", json_object_new_int((int)v->nr_vcpus)) &&
        add(b, "avail_vcpus", started(v)) &&
        add(b, "max_memkb", json_object_new_int64((int64_t)(most >> 10))) &&
        add(b, "target_memkb", json_object_new_int64((int64_t)(has >> 10))) &&
        add(b, "video_memkb", json_object_new_int(0)) &&
        add(b, "type.pv", json_object_new_object()))
        return b;
    json_object_put(b);
    return NULL;
}

static struct json_object *configuration(const struct pv_view *v, const struct pv_save_options *o,
                                         const struct save_count *c, const char *uuid)
{
    const struct pv_domain *d = &v->domain[v->chosen];
    const uint64_t has = c->pages * PAGE_BYTES;
    const char *name = o->name ? o->name : d->name[0] ? d->name : NAMELESS;
    struct json_object *all = json_object_new_object();
    if (all && add(all, "c_info", created(name, uuid)) &&
        add(all, "b_info", built(v, o->max_memory > has ? o->max_memory : has, has)))
        return all;
    json_object_put(all);
    return NULL;
}

/* ---- the headers */

static int put_headers(const char *text, struct sink *k, struct pv_error *e)
{
    const uint32_t bytes = (uint32_t)strlen(text) + 1;
    struct {
        struct save_header save;
        uint32_t bytes;
    } h = {.save = {.byte_order = SAVE_BYTE_ORDER,
                    .mandatory = SAVE_JSON | SAVE_STREAM_V2,
                    .optional_bytes = bytes + (uint32_t)sizeof(bytes)},
           .bytes = bytes};
    struct libxl_header l = {.version = htobe32(LIBXL_VERSION)};
    _Static_assert(sizeof(h) == sizeof(h.save) + sizeof(h.bytes), "layout");
    memcpy(h.save.magic, SAVE_MAGIC, sizeof(h.save.magic));
    memcpy(l.id, LIBXL_ID, sizeof(l.id));
    return sink_put(k, &h, sizeof(h), e) || sink_put(k, text, bytes, e) ||
                   sink_put(k, &l, sizeof(l), e) || save_record(k, LIBXL_CONTEXT, NULL, 0, e)
               ? -1
               : 0;
}

int save_xl_begin(const struct pv_view *v, const struct pv_save_options *o,
                  const struct save_count *c, struct sink *k, struct pv_error *e)
{
    char made[40];
    const char *uuid = v->domain[v->chosen].uuid;
    if (!uuid[0] && new_uuid(made, e))
        return -1;
    struct json_object *all = configuration(v, o, c, uuid[0] ? uuid : made);
    const char *text = all ? json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY) : NULL;
    int rc = text ? put_headers(text, k, e) : pv_no_memory(e);
    json_object_put(all);
    return rc;
}

int save_xl_end(struct sink *k, struct pv_error *e)
{
    return save_record(k, LIBXL_END, NULL, 0, e);
}
