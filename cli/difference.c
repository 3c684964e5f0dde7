/* SPDX-License-Identifier: MIT */
#include "difference.h"

#include <stdio.h>
#include <string.h>

#define KEY_CHARS 160
#define DEPTH     16 /* deeper than any verdict; recordings are anybody's */

/* --- consoles --- */

static void disagree(struct console_check *c, uint64_t at)
{
    if (!c->different)
        c->at_fault = at;
    c->different = true;
}

void console_check_feed(struct console_check *c, const char *data, size_t size)
{
    for (size_t i = 0; i < size && !c->different; i++)
        if (c->at + i >= c->recorded.size || c->recorded.data[c->at + i] != (uint8_t)data[i])
            disagree(c, c->at + i);
    c->at += size;
}

void console_check_end(struct console_check *c)
{
    if (c->at < c->recorded.size)
        disagree(c, c->at);
}

/* --- verdicts --- */

/* Of the host, of the moment, or of how the run was ended from outside. */
static bool is_left_out(const char *key)
{
    static const char *const keys[] = {"format",       "clean",  "exit_code",  "outcome",
                                       "message",      "kernel", "hypervisor", "accel",
                                       "wall_seconds", "core"};

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static bool differ(struct json_object *a, struct json_object *b, char key[KEY_CHARS],
                   char what[DIFFERENCE_CHARS], unsigned depth);

static const char *text_of(struct json_object *o)
{
    return o != NULL ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE)
                     : "null";
}

static bool tell(struct json_object *a, struct json_object *b, const char *key,
                 char what[DIFFERENCE_CHARS])
{
    snprintf(what, DIFFERENCE_CHARS, "%s is %.60s, and was %.60s", key, text_of(b), text_of(a));
    return true;
}

/* `key` gets "before.name" or "before[index]", and is cut back by the caller. */
static bool arrays_differ(struct json_object *a, struct json_object *b, char key[KEY_CHARS],
                          char what[DIFFERENCE_CHARS], unsigned depth)
{
    const size_t used = strlen(key), n = json_object_array_length(a),
                 m = json_object_array_length(b);
    bool found = false;

    for (size_t i = 0; i < n && i < m && !found; i++) {
        snprintf(key + used, KEY_CHARS - used, "[%zu]", i);
        found = differ(json_object_array_get_idx(a, i), json_object_array_get_idx(b, i), key, what,
                       depth);
    }
    key[used] = '\0';
    if (found || n == m)
        return found;
    snprintf(what, DIFFERENCE_CHARS, "%s has %zu elements, and had %zu", key, m, n);
    return true;
}

static bool members_differ(struct json_object *a, struct json_object *b, char key[KEY_CHARS],
                           char what[DIFFERENCE_CHARS], unsigned depth)
{
    const size_t used = strlen(key);
    bool found = false;

    for (struct json_object_iterator i = json_object_iter_begin(a), end = json_object_iter_end(a);
         !found && !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
        const char *name = json_object_iter_peek_name(&i);

        if (used == 0 && is_left_out(name))
            continue;
        snprintf(key + used, KEY_CHARS - used, "%s%s", used > 0 ? "." : "", name);
        found = differ(json_object_iter_peek_value(&i), json_object_object_get(b, name), key, what,
                       depth);
    }
    key[used] = '\0';
    return found;
}

static bool differ(struct json_object *a, struct json_object *b, char key[KEY_CHARS],
                   char what[DIFFERENCE_CHARS], unsigned depth)
{
    const json_type type = json_object_get_type(a);

    if (type != json_object_get_type(b))
        return tell(a, b, key, what);
    if (type == json_type_object && depth > 0)
        return members_differ(a, b, key, what, depth - 1) ||
               members_differ(b, a, key, what, depth - 1);
    if (type == json_type_array && depth > 0)
        return arrays_differ(a, b, key, what, depth - 1);
    return strcmp(text_of(a), text_of(b)) != 0 && tell(a, b, key, what);
}

bool verdicts_differ(struct json_object *recorded, struct json_object *played,
                     char what[DIFFERENCE_CHARS])
{
    char key[KEY_CHARS] = "";

    return differ(recorded, played, key, what, DEPTH);
}
