/* SPDX-License-Identifier: MIT */
/* The page as a file, and the data alone. What is large goes out in portions. */
#include "gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jsonput.h"
#include "template.h"

#define PORTION (192u * 1024u) /* a multiple of 3: so base64 needs no padding before the end */

/* Where it goes: a file, or memory. */
struct sink {
    int fd; /* -1: memory */
    char *text;
    size_t size, room;
    struct pv_error *e;
};

static int to_memory(struct sink *s, const char *from, size_t n)
{
    if (n > s->room - s->size) {
        const size_t room = s->size + n + s->room / 2 + PORTION;
        char *grown = realloc(s->text, room);
        if (!grown)
            return pv_no_memory(s->e);
        s->text = grown;
        s->room = room;
    }
    memcpy(s->text + s->size, from, n);
    s->size += n;
    return 0;
}

static int put_bytes(struct sink *s, const char *from, size_t n)
{
    if (s->fd < 0)
        return to_memory(s, from, n);
    while (n > 0) {
        const ssize_t done = write(s->fd, from, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return pv_fail_errno(s->e, "cannot write the page");
        from += done;
        n -= (size_t)done;
    }
    return 0;
}

static int put_string(struct sink *s, const char *text)
{
    return put_bytes(s, text, strlen(text));
}

/* As text of HTML, and within quotes. */
static int put_html(struct sink *s, const char *text)
{
    for (; *text; text++) {
        const char *as = *text == '<'   ? "&lt;"
                         : *text == '>' ? "&gt;"
                         : *text == '&' ? "&amp;"
                         : *text == '"' ? "&quot;"
                                        : NULL;
        if (as ? put_string(s, as) : put_bytes(s, text, 1))
            return -1;
    }
    return 0;
}

/* Nothing of HTML begins in it: "<" is only in strings, and is written as its number. */
static int put_json(struct sink *s, struct json_object *o)
{
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    if (!text)
        return pv_no_memory(s->e);
    while (*text) {
        const size_t n = strcspn(text, "<");
        if (put_bytes(s, text, n))
            return -1;
        text += n;
        if (*text && put_string(s, "\\u003c"))
            return -1;
        text += *text != '\0';
    }
    return 0;
}

static int put_base64(struct sink *s, const uint8_t *from, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = malloc(PORTION / 3 * 4);
    int rc = to ? 0 : pv_no_memory(s->e);
    for (size_t at = 0; rc == 0 && at < n;) {
        size_t used = 0;
        const size_t end = n - at < PORTION ? n : at + PORTION;
        for (; at < end; at += 3) {
            const size_t left = end - at;
            const uint32_t bits = (uint32_t)from[at] << 16 | (left > 1 ? from[at + 1] << 8 : 0) |
                                  (left > 2 ? from[at + 2] : 0);
            to[used++] = digits[bits >> 18];
            to[used++] = digits[bits >> 12 & 63];
            to[used++] = left > 1 ? digits[bits >> 6 & 63] : '=';
            to[used++] = left > 2 ? digits[bits & 63] : '=';
        }
        at = end;
        rc = put_bytes(s, to, used);
    }
    free(to);
    return rc;
}

static int put_column(struct sink *s, const struct column *c)
{
    if (put_string(s, "<script type=\"application/octet-stream\" id=\"pvmm-column-") ||
        put_string(s, c->name) || put_string(s, "\">") || put_base64(s, c->out, c->size))
        return -1;
    return put_string(s, "</script>\n");
}

static int put_meta(struct sink *s, struct json_object *meta)
{
    if (put_string(s, "<script type=\"application/json\" id=\"pvmm-report\">") || put_json(s, meta))
        return -1;
    return put_string(s, "</script>\n");
}

static int put_data(struct sink *s, struct gathered *g)
{
    struct json_object *meta = meta_make(g);
    int rc = put_meta(s, meta);
    json_object_put(meta);
    for (unsigned i = 0; rc == 0 && i < COLUMNS; i++)
        rc = put_column(s, &g->column[i]);
    return rc;
}

/* A page that asks its server has no data yet. */
static int put_no_data(struct sink *s, const struct report_subject *subject)
{
    struct json_object *meta = json_object_new_object();
    put_int(meta, "format", 1);
    put_words(meta, "pvmm", subject->version);
    put_words(meta, "file", subject->file);
    put_bool(meta, "live", true);
    const int rc = put_meta(s, meta);
    json_object_put(meta);
    return rc;
}

/* What the page may do: nothing but its own script and style; live, it may ask its own server. */
static int put_policy(struct sink *s, bool live)
{
    if (put_string(s, "default-src 'none'; img-src data: blob:; worker-src blob:; base-uri 'none'; "
                      "form-action 'none'; connect-src ") ||
        put_string(s, live ? "'self'" : "'none'") || put_string(s, "; script-src ") ||
        put_string(s, report_script_hashes) || put_string(s, "; style-src "))
        return -1;
    return put_string(s, report_style_hashes);
}

static int put_page(struct sink *s, const struct report_subject *subject, struct gathered *g)
{
    for (const struct report_part *p = report_template; p->what != PART_END; p++) {
        int rc = 0;
        switch (p->what) {
        case PART_TEXT:
            rc = put_bytes(s, (const char *)report_bytes + p->at, p->size);
            break;
        case PART_TITLE:
            rc = put_html(s, subject->file ? subject->file : "pvmm");
            break;
        case PART_POLICY:
            rc = put_policy(s, g == NULL);
            break;
        case PART_DATA:
            rc = g ? put_data(s, g) : put_no_data(s, subject);
            break;
        case PART_END:
            break;
        }
        if (rc)
            return -1;
    }
    return 0;
}

int report_page(const struct report_subject *s, int fd, const struct report_options *o,
                struct pv_error *e)
{
    struct sink to = {.fd = fd, .e = e};
    struct gathered g;
    if (gather(&g, s, o, e))
        return -1;
    const int rc = put_page(&to, s, &g);
    gather_free(&g);
    return rc;
}

int report_live_page(const struct report_subject *s, char **text, size_t *size, struct pv_error *e)
{
    struct sink to = {.fd = -1, .e = e};
    if (put_page(&to, s, NULL)) {
        free(to.text);
        return -1;
    }
    *text = to.text;
    *size = to.size;
    return 0;
}

static int put_answer(struct sink *s, struct gathered *g)
{
    struct json_object *meta = meta_make(g);
    int rc = put_string(s, "{\"meta\":") || put_json(s, meta) || put_string(s, ",\"columns\":{");
    json_object_put(meta);
    for (unsigned i = 0; rc == 0 && i < COLUMNS; i++)
        rc = put_string(s, i ? ",\"" : "\"") || put_string(s, g->column[i].name) ||
             put_string(s, "\":\"") || put_base64(s, g->column[i].out, g->column[i].size) ||
             put_string(s, "\"");
    return rc || put_string(s, "}}") ? -1 : 0;
}

int report_data(const struct report_subject *s, const struct report_options *o, char **text,
                size_t *size, struct pv_error *e)
{
    struct sink to = {.fd = -1, .e = e};
    struct gathered g;
    if (gather(&g, s, o, e))
        return -1;
    const int rc = put_answer(&to, &g);
    gather_free(&g);
    if (rc)
        free(to.text);
    *text = rc ? NULL : to.text;
    *size = rc ? 0 : to.size;
    return rc;
}
