/* SPDX-License-Identifier: MIT */
#include "p2mwords.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "jsonput.h"

const char *p2m_state_word(enum pv_p2m_state s)
{
    static const char *const words[] = {
        [PV_P2M_FRAME] = "frame",       [PV_P2M_MISSING] = "missing",
        [PV_P2M_IDENTITY] = "identity", [PV_P2M_FOREIGN] = "foreign",
        [PV_P2M_BEYOND] = "beyond",     [PV_P2M_UNREADABLE] = "unreadable",
    };
    return words[s];
}

void p2m_entry_words(const struct pv_p2m_source *s, const struct pv_p2m_entry *e, char *text,
                     size_t size)
{
    if (e->state == PV_P2M_FRAME)
        snprintf(text, size, "%s0x%" PRIx64, s->stale ? "was " : "", e->mfn.n);
    else if (e->state == PV_P2M_FOREIGN)
        snprintf(text, size, "foreign 0x%" PRIx64, e->mfn.n);
    else
        snprintf(text, size, "%s", p2m_state_word(e->state));
}

void p2m_differ_words(const struct pv_p2m *p, const struct pv_p2m_range *r, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS && used < size; k++) {
        char says[64];

        if ((r->differs & 1u << k) == 0)
            continue;
        p2m_entry_words(pv_p2m_source(p, k), &r->entry[k], says, sizeof(says));
        used += (size_t)snprintf(text + used, size - used, "%s%s %s", used > 0 ? ", " : "",
                                 pv_p2m_name(k), says);
    }
}

bool p2m_kind_named(const char *name, enum pv_p2m_kind *k)
{
    for (*k = 0; *k < PV_P2M_KINDS; (*k)++)
        if (strcmp(pv_p2m_name(*k), name) == 0)
            return true;
    return false;
}

struct json_object *p2m_entry_json(const struct pv_p2m_source *s, const struct pv_p2m_entry *e)
{
    struct json_object *o = json_object_new_object();

    put(o, "state", json_object_new_string(p2m_state_word(e->state)));
    if (e->state == PV_P2M_FRAME || e->state == PV_P2M_FOREIGN)
        put(o, s->stale ? "was" : "mfn", json_hex(e->mfn.n));
    if (e->at.a != ~0ull)
        put(o, "at", json_hex(e->at.a));
    return o;
}

void guest_text(char *to, size_t size, const char *from, size_t n)
{
    size_t i;

    for (i = 0; i < n && i + 1 < size && from[i] != '\0'; i++)
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[i] = '\0';
}
