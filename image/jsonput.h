/* SPDX-License-Identifier: MIT */
/* Fields of JSON objects. A value of NULL is null. */
#ifndef PVMM_IMAGE_JSONPUT_H
#define PVMM_IMAGE_JSONPUT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

static inline void put(struct json_object *o, const char *key, struct json_object *value)
{
    json_object_object_add(o, key, value);
}

static inline void put_text(struct json_object *o, const char *key, const char *text)
{
    put(o, key, text != NULL ? json_object_new_string(text) : NULL);
}

/* An empty text is none. */
static inline void put_text_or_null(struct json_object *o, const char *key, const char *text)
{
    put_text(o, key, text != NULL && text[0] != '\0' ? text : NULL);
}

static inline void put_int(struct json_object *o, const char *key, uint64_t value)
{
    put(o, key, json_object_new_uint64(value));
}

/* Numbers of frames and addresses as text: JSON's readers lose bits above 53. */
static inline struct json_object *json_hex(uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    return json_object_new_string(text);
}

static inline void put_hex(struct json_object *o, const char *key, uint64_t value)
{
    put(o, key, json_hex(value));
}

static inline void put_hex_if(struct json_object *o, const char *key, uint64_t value, bool there)
{
    put(o, key, there ? json_hex(value) : NULL);
}

static inline void put_bool(struct json_object *o, const char *key, bool value)
{
    put(o, key, json_object_new_boolean(value));
}

#endif
