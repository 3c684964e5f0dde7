/* SPDX-License-Identifier: MIT */
#include "findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pvmm/report.h>

#include "exitcodes.h"
#include "memfd.h"

#define PAGE         4096u
#define SLOTS        512u
#define FINDINGS_MAX 1024u
#define FRAME_LIMIT  (UINT64_C(1) << 40) /* machine addresses have 52 bits */

/* ---- fields, none of which need be there */

static struct json_object *field(struct json_object *o, const char *key, json_type type)
{
    struct json_object *value = NULL;

    json_object_object_get_ex(o, key, &value);
    return json_object_is_type(value, type) ? value : NULL;
}

static const char *text_field(struct json_object *o, const char *key)
{
    struct json_object *value = field(o, key, json_type_string);

    return value != NULL ? json_object_get_string(value) : "";
}

static bool hex_field(struct json_object *o, const char *key, uint64_t *to)
{
    const char *text = text_field(o, key);
    char *end;

    *to = strtoull(text, &end, 16);
    return end != text && *end == '\0';
}

/* A step of a path or a walk, or a holder: the entry's machine address. */
static bool entry_of(struct json_object *step, uint64_t *address)
{
    struct json_object *slot = field(step, "slot", json_type_int);
    uint64_t table;

    if (slot == NULL || !hex_field(step, "table", &table) || table >= FRAME_LIMIT ||
        json_object_get_int64(slot) < 0 || json_object_get_int64(slot) >= SLOTS)
        return false;
    *address = table * PAGE + (uint64_t)json_object_get_int64(slot) * sizeof(uint64_t);
    return true;
}

/* ---- one finding */

/* The last step: the path leads from the request to the entry at fault, the walk to the address. */
static bool take_entry(struct finding *f, const char *way)
{
    struct json_object *steps = field(f->json, way, json_type_array);
    const size_t n = steps != NULL ? json_object_array_length(steps) : 0;
    struct json_object *last = n > 0 ? json_object_array_get_idx(steps, n - 1) : NULL;

    return last != NULL && entry_of(last, &f->entry) &&
           hex_field(field(last, "entry", json_type_object), "value", &f->value);
}

static void take_guest(struct finding *f)
{
    struct json_object *guest = field(f->json, "guest", json_type_object);

    f->has_report = hex_field(field(guest, "registers", json_type_object), "rip", &f->rip);
}

/* When the hypervisor stood still for it; else some time before the end. */
static void take_time(struct finding *f, const struct recording *r)
{
    f->icount = r->instructions;
    for (unsigned i = 0; i < r->nr_stops; i++)
        if (r->stop[i].filed > f->index) {
            f->icount = r->stop[i].icount;
            f->exact = r->stop[i].filed == f->index + 1;
            return;
        }
}

static void take(struct findings *all, struct json_object *one, unsigned reports,
                 const struct recording *r)
{
    struct finding *f = &all->list[all->count];

    *f = (struct finding){.number = 1, .index = reports, .json = one};
    snprintf(f->code, sizeof(f->code), "%s", text_field(one, "code"));
    for (unsigned i = 0; i < all->count; i++)
        f->number += strcmp(all->list[i].code, f->code) == 0;
    take_guest(f);
    f->has_entry = take_entry(f, "path") || take_entry(f, "walk");
    take_time(f, r);
    all->count++;
}

/* ---- all of them */

static int read_verdict(struct findings *f, const char *dir, struct error *e)
{
    struct view file;
    char *path;
    int rc;

    if (asprintf(&path, "%s/verdict.json", dir) < 0)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    rc = view_of_path(path, EXIT_UNREADABLE, &file, e);
    free(path);
    if (rc != 0)
        return error_context(e, "the recording's verdict");
    struct json_tokener *t = json_tokener_new();

    if (t != NULL && file.size <= INT32_MAX)
        f->verdict = json_tokener_parse_ex(t, (const char *)file.data, (int)file.size);
    if (t != NULL)
        json_tokener_free(t);
    view_drop(&file);
    if (json_object_is_type(f->verdict, json_type_object))
        return 0;
    return error_set(e, EXIT_UNREADABLE, "%s/verdict.json is no JSON object", dir);
}

int findings_open(struct findings *f, const struct recording *r, struct error *e)
{
    struct json_object *reports;
    unsigned filed = 0;
    size_t n;

    *f = (struct findings){0};
    if (read_verdict(f, r->dir, e) != 0) {
        findings_close(f);
        return -1;
    }
    reports = field(f->verdict, "reports", json_type_array);
    n = reports != NULL ? json_object_array_length(reports) : 0;
    n = n < FINDINGS_MAX ? n : FINDINGS_MAX;
    f->list = calloc(n + 1, sizeof(f->list[0]));
    if (f->list == NULL) {
        findings_close(f);
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        take(f, json_object_array_get_idx(reports, i), filed, r);
        filed += f->list[i].has_report;
    }
    return 0;
}

void findings_close(struct findings *f)
{
    free(f->list);
    json_object_put(f->verdict);
    *f = (struct findings){0};
}

static int no_such(const struct findings *f, const char *id, struct error *e)
{
    char there[400] = "";
    size_t used = 0;

    for (unsigned i = 0; i < f->count && used < sizeof(there); i++)
        used += (size_t)snprintf(there + used, sizeof(there) - used, "%s%s#%u", i > 0 ? ", " : "",
                                 f->list[i].code, f->list[i].number);
    return error_set(e, EXIT_CRASHED, "the recorded run has no finding %s (there are: %s)", id,
                     f->count > 0 ? there : "none");
}

const struct finding *findings_get(const struct findings *f, const char *id, struct error *e)
{
    const char *number = strchr(id, '#');
    const size_t length = number != NULL ? (size_t)(number - id) : strlen(id);
    char *end = NULL;
    const unsigned long n = number != NULL ? strtoul(number + 1, &end, 10) : 1;

    for (unsigned i = 0; i < f->count && (end == NULL || *end == '\0'); i++)
        if (strlen(f->list[i].code) == length && memcmp(f->list[i].code, id, length) == 0 &&
            f->list[i].number == n)
            return &f->list[i];
    no_such(f, id, e);
    return NULL;
}

static bool shows(const struct finding *f, const char *list, uint64_t address)
{
    struct json_object *all = field(f->json, list, json_type_array);
    const size_t n = all != NULL ? json_object_array_length(all) : 0;
    uint64_t entry;

    for (size_t i = 0; i < n; i++)
        if (entry_of(json_object_array_get_idx(all, i), &entry) && entry == address)
            return true;
    return false;
}

const struct finding *findings_showing(const struct findings *f, uint64_t address)
{
    for (unsigned i = 0; i < f->count; i++)
        if (shows(&f->list[i], "path", address) || shows(&f->list[i], "walk", address) ||
            shows(&f->list[i], "holders", address))
            return &f->list[i];
    return NULL;
}
