/* SPDX-License-Identifier: MIT */
/* Who stored an entry, for people and for programs. */
#include "whostored.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core.h"
#include "explain_print.h"
#include "jsonput.h"
#include "tone.h"

#define WORD sizeof(uint64_t)

static const char *const storer_codes[] = {
    [STORER_FIRMWARE] = "firmware",     [STORER_BUILDER] = "builder",
    [STORER_REQUEST] = "request",       [STORER_EMULATION] = "emulated-store",
    [STORER_HYPERVISOR] = "hypervisor", [STORER_KERNEL] = "plain-store",
    [STORER_USER] = "user-store",
};

/* ---- text */

static void entry_name(const struct who_stored *w, char *text, size_t size)
{
    snprintf(text, size, "entry %u of %s", (unsigned)(w->address % PAGE_BYTES / WORD), w->frame);
}

static void time_name(const struct who_stored *w, char *text, size_t size)
{
    if (w->before != NULL)
        snprintf(text, size, "%s#%u", w->before->code, w->before->number);
    else
        snprintf(text, size, "the end");
}

/* Whose function it was: behind a request stands who asked. */
static void headline(const struct who_stored *w, char *text, size_t size)
{
    char entry[120];

    entry_name(w, entry, sizeof(entry));
    switch (w->storer) {
    case STORER_REQUEST:
        snprintf(text, size, "%s was stored by a request of %s", entry, w->asker.text);
        return;
    case STORER_EMULATION:
        snprintf(text, size, "%s was stored by %s, and the hypervisor did it", entry,
                 w->asker.text);
        return;
    case STORER_BUILDER:
        snprintf(text, size, "%s was stored by the domain builder, %s", entry, w->store.at.text);
        return;
    case STORER_HYPERVISOR:
        snprintf(text, size, "%s was stored by the hypervisor, %s", entry, w->store.at.text);
        return;
    case STORER_FIRMWARE:
        snprintf(text, size, "%s was stored by the firmware or the boot loader, at %s", entry,
                 w->store.at.text);
        return;
    case STORER_KERNEL:
    case STORER_USER:
        snprintf(text, size, "%s was stored by %s", entry, w->store.at.text);
        return;
    }
}

static void how_words(const struct who_stored *w, char *text, size_t size)
{
    static const char *const words[] = {
        [STORER_FIRMWARE] = "before the hypervisor ran",
        [STORER_BUILDER] = "the hypervisor's domain builder, before the guest ran",
        [STORER_REQUEST] = "the hypervisor, as the guest asked it to",
        [STORER_EMULATION] = "the hypervisor, in place of a store of the guest's to a table in use",
        [STORER_HYPERVISOR] = "the hypervisor, and not for a request to change this entry",
        [STORER_KERNEL] = "a plain store of the guest's kernel, which no recorder sees",
        [STORER_USER] = "a plain store of a process of the guest, which no recorder sees",
    };
    size_t used = (size_t)snprintf(text, size, "%s", words[w->storer]);

    if (w->has_va && used < size)
        snprintf(text + used, size - used, ", to 0x%" PRIx64, w->va);
}

static void print_checked(const struct who_stored *w, bool color, FILE *out)
{
    char text[EXPLAIN_LINE], time[FINDING_CODE + 16];

    time_name(w, time, sizeof(time));
    if (w->watch.count == 0)
        snprintf(text, sizeof(text),
                 "at no address: a value that came and went unseen between two "
                 "looks may have been stored later");
    else if (w->watch.until >= w->end)
        snprintf(text, sizeof(text),
                 "from there on to %s: %" PRIu64 " more store%s through %u address%s, none of "
                 "which made it another value and back",
                 time, w->watch.seen, w->watch.seen == 1 ? "" : "s", w->watch.count,
                 w->watch.count == 1 ? "" : "es");
    else
        snprintf(text, sizeof(text),
                 "only up to instruction %" PRIu64 ": it is stored too often to be watched to %s",
                 w->watch.until, time);
    explain_text_label("watched", text, color, out);
}

static void print_store(const struct who_stored *w, bool color, FILE *out)
{
    char text[3 * EXPLAIN_LINE];

    explain_text_calls(w->store.call, w->store.calls, w->store.instruction, color, out);
    if (!w->has_guest)
        return;
    snprintf(text, sizeof(text), "the guest, behind it, %s", w->guest.at.text);
    explain_text_label("for", text, color, out);
    explain_text_calls(w->guest.call, w->guest.calls, "", color, out);
}

static void print_values(const struct who_stored *w, bool color, FILE *out)
{
    char text[3 * EXPLAIN_LINE];

    snprintf(text, sizeof(text), "%s", w->was.text);
    explain_text_label("before", text, color, out);
    snprintf(text, sizeof(text), "%s", w->is.text);
    explain_text_label("after", text, color, out);
    if (w->final.value != w->is.value) {
        snprintf(text, sizeof(text), "%s: CPU and hypervisor set bits of their own", w->final.text);
        explain_text_label("since", text, color, out);
    }
    if (w->before == NULL || w->before->entry != w->address ||
        narrow_is_final(&w->change, w->before->value))
        return;
    snprintf(text, sizeof(text), "the report has 0x%" PRIx64 " there", w->before->value);
    explain_text_label("", text, color, out);
}

static void print_not_found(const struct who_stored *w, FILE *out)
{
    char entry[120], time[FINDING_CODE + 16];

    entry_name(w, entry, sizeof(entry));
    time_name(w, time, sizeof(time));
    fprintf(out,
            "pvmm: %s was never stored: it has had the value 0x%" PRIx64
            " from the first instruction to %s (%u looks)\n",
            entry, w->change.final, time, w->change.looks);
}

void who_stored_text(const struct seeking *s, const struct who_stored *w, FILE *out)
{
    const bool color = tone_wanted(out);
    char text[3 * EXPLAIN_LINE];

    if (!w->found) {
        print_not_found(w, out);
        return;
    }
    headline(w, text, sizeof(text));
    fprintf(out, "pvmm: %s\n", text);
    seek_when(s, &w->store, text, sizeof(text));
    explain_text_label("when", text, color, out);
    print_values(w, color, out);
    how_words(w, text, sizeof(text));
    explain_text_label("how", text, color, out);
    print_store(w, color, out);
    print_checked(w, color, out);
}

/* ---- JSON */

static struct json_object *request_json(const struct who_stored *w)
{
    struct json_object *o;

    if (w->storer != STORER_REQUEST && w->storer != STORER_EMULATION)
        return NULL;
    o = json_object_new_object();
    put(o, "rip", explain_symbol_json(&w->asker));
    put(o, "seconds", w->asked_at ? json_object_new_double(w->seconds) : NULL);
    put(o, "behind", w->has_guest ? seek_moment_json(&w->guest) : NULL);
    return o;
}

/* The function to blame: of the guest, if it was for the guest. */
static const char *function_of(const struct who_stored *w)
{
    const bool asked = w->storer == STORER_REQUEST || w->storer == STORER_EMULATION;
    const struct explain_symbol *at = asked ? &w->asker : &w->store.at;

    return at->known ? at->symbol.name : NULL;
}

static struct json_object *store_json(const struct who_stored *w)
{
    struct json_object *o = json_object_new_object();
    const char *function = function_of(w);

    put_int(o, "instruction_number", w->change.icount);
    put_text(o, "by", storer_codes[w->storer]);
    put_text(o, "function", function);
    if (w->has_va)
        put_hex(o, "va", w->va);
    else
        put(o, "va", NULL);
    put(o, "was", explain_entry_json(&w->was));
    put(o, "is", explain_entry_json(&w->is));
    put(o, "at", seek_moment_json(&w->store));
    put(o, "request", request_json(w));
    return o;
}

static struct json_object *watched_json(const struct who_stored *w)
{
    struct json_object *o = json_object_new_object(), *all = json_object_new_array();

    for (unsigned i = 0; i < w->watch.count; i++) {
        char text[24];

        snprintf(text, sizeof(text), "0x%" PRIx64, w->watch.va[i]);
        json_object_array_add(all, json_object_new_string(text));
    }
    put(o, "addresses", all);
    put_int(o, "stores", w->watch.seen);
    put_int(o, "until", w->watch.until);
    put_bool(o, "whole", w->watch.until >= w->end);
    return o;
}

struct json_object *who_stored_json(const struct seeking *s, const struct who_stored *w)
{
    struct json_object *o = json_object_new_object();
    char id[FINDING_CODE + 16];

    time_name(w, id, sizeof(id));
    put_int(o, "schema", EXPLAIN_SCHEMA);
    put_text(o, "recording", s->question->recording->dir);
    put_int(o, "instructions", s->question->recording->instructions);
    put_hex(o, "address", w->address);
    put_hex(o, "mfn", w->address / PAGE_BYTES);
    put_int(o, "slot", w->address % PAGE_BYTES / WORD);
    put(o, "before", w->before != NULL ? json_object_new_string(id) : NULL);
    put_hex(o, "value", w->change.final);
    put_bool(o, "found", w->found);
    put(o, "entry", explain_entry_json(&w->final));
    put(o, "store", w->found ? store_json(w) : NULL);
    put(o, "watched", w->found ? watched_json(w) : NULL);
    return o;
}
