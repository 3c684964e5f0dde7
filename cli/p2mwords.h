/* SPDX-License-Identifier: MIT */
/* The words for p2m sources and what they say; and text of a guest's, made fit to be shown. */
#ifndef PVMM_CLI_P2MWORDS_H
#define PVMM_CLI_P2MWORDS_H

#include <json-c/json.h>

#include "p2m.h"

/* "frame", "missing", ... */
const char *p2m_state_word(enum pv_p2m_state s);
/* "0x1b400", or the state's word; "was 0x1b400" of a stale source. */
void p2m_entry_words(const struct pv_p2m_source *s, const struct pv_p2m_entry *e, char *text,
                     size_t size);
/* What the sources say that differ, or that lack it: "linear missing, tree 0x1b401". */
void p2m_differ_words(const struct pv_p2m *p, const struct pv_p2m_range *r, char *text,
                      size_t size);
/* false: no source has that name. */
bool p2m_kind_named(const char *name, enum pv_p2m_kind *k);

/* An object: state, mfn, at. */
struct json_object *p2m_entry_json(const struct pv_p2m_source *s, const struct pv_p2m_entry *e);

/* n bytes, or up to a 0, with '?' for what cannot be printed. */
void guest_text(char *to, size_t size, const char *from, size_t n);

#endif
