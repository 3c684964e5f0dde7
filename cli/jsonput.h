/* SPDX-License-Identifier: MIT */
/* Fields of JSON objects. A value of NULL is null. */
#ifndef PVMM_CLI_JSONPUT_H
#define PVMM_CLI_JSONPUT_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

static inline void put(struct json_object *o, const char *key, struct json_object *value)
{
    json_object_object_add(o, key, value);
}

static inline void put_int(struct json_object *o, const char *key, uint64_t value)
{
    put(o, key, json_object_new_uint64(value));
}

static inline void put_bool(struct json_object *o, const char *key, bool value)
{
    put(o, key, json_object_new_boolean(value));
}

#endif
