/* SPDX-License-Identifier: MIT */
#include "archive.h"

#include <ar.h>
#include <stdio.h>
#include <string.h>

#define THIN_MAGIC "!<thin>\n"

static bool begins(const struct lint_input *in, const char *magic)
{
    return in->size >= SARMAG && memcmp(in->data, magic, SARMAG) == 0;
}

bool is_archive(const struct lint_input *in)
{
    return begins(in, ARMAG);
}

bool is_thin_archive(const struct lint_input *in)
{
    return begins(in, THIN_MAGIC);
}

void archive_open(struct archive *a, const struct lint_input *in)
{
    *a = (struct archive){.in = in, .at = SARMAG, .thin = is_thin_archive(in)};
}

/* Decimal digits, then blanks. */
static bool number(const char *text, size_t n, size_t *value)
{
    size_t i = 0;

    for (*value = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
        *value = 10 * *value + (size_t)(text[i] - '0'); /* 15 digits at most */
    if (i == 0)
        return false;
    while (i < n && text[i] == ' ')
        i++;
    return i == n;
}

/* Up to `stop` or `n`; cut if need be. */
static void copy_name(char *to, size_t chars, const char *from, size_t n, char stop)
{
    const char *end = memchr(from, stop, n);

    snprintf(to, chars, "%.*s", (int)(end != NULL ? end - from : (long)n), from);
}

/* "/123": in the table of long names, where each ends with "/\n". */
static int long_name(const struct archive *a, const char *digits, size_t n, char *name,
                     size_t chars, struct lint_error *e)
{
    const char *colon = memchr(digits, ':', n); /* "/123:456": in that archive, at 456 */
    size_t at, length = 0;

    if (!number(digits, colon != NULL ? (size_t)(colon - digits) : n, &at) || a->names == NULL ||
        at >= a->names_size)
        return lint_fail(e,
                         "damaged: a member's name is /%.*s, which is no place in the table of "
                         "names",
                         (int)n, digits);
    while (at + length < a->names_size && length < chars && a->names[at + length] != '\n')
        length++;
    if (length > 0 && a->names[at + length - 1] == '/')
        length--;
    copy_name(name, chars, a->names + at, length, '\0');
    return colon == NULL ? 0
                         : lint_fail(e,
                                     "it has members of another archive, which is to be given "
                                     "itself: %s",
                                     name);
}

/* "#1/20": BSD's; the name is in front of the member's bytes. */
static int bsd_name(const char *digits, size_t n, char *name, size_t chars,
                    struct lint_input *member, struct lint_error *e)
{
    size_t length;

    if (!number(digits, n, &length) || length > member->size)
        return lint_fail(e, "damaged: a member's name is longer than the member");
    copy_name(name, chars, (const char *)member->data, length, '\0');
    member->data += length;
    member->size -= length;
    return 0;
}

static int name_of(const struct archive *a, const struct ar_hdr *h, char *name, size_t chars,
                   struct lint_input *member, struct lint_error *e)
{
    const size_t n = sizeof(h->ar_name);

    if (memcmp(h->ar_name, "#1/", 3) == 0)
        return bsd_name(h->ar_name + 3, n - 3, name, chars, member, e);
    if (h->ar_name[0] == '/' && h->ar_name[1] >= '0' && h->ar_name[1] <= '9')
        return long_name(a, h->ar_name + 1, n - 1, name, chars, e);
    copy_name(name, chars, h->ar_name, n, '/');
    for (size_t end = strlen(name); end > 0 && name[end - 1] == ' ';)
        name[--end] = '\0';
    return 0;
}

static bool is_named(const struct ar_hdr *h, const char *name)
{
    return memcmp(h->ar_name, name, strlen(name)) == 0;
}

/* The header at a->at, and the bytes behind it, which a->at then is behind. */
static int take_header(struct archive *a, struct ar_hdr *h, struct lint_input *member,
                       struct lint_error *e)
{
    const size_t left = a->in->size - a->at;
    size_t size;

    if (left < sizeof(*h))
        return lint_fail(e, "truncated: %zu bytes are left at %zu, for a header of %zu", left,
                         a->at, sizeof(*h));
    memcpy(h, a->in->data + a->at, sizeof(*h));
    if (memcmp(h->ar_fmag, ARFMAG, sizeof(h->ar_fmag)) != 0 ||
        !number(h->ar_size, sizeof(h->ar_size), &size))
        return lint_fail(e, "damaged: no member's header is at %zu", a->at);
    a->at += sizeof(*h);
    member->data = a->in->data + a->at;
    member->size = size;
    if (a->thin && !is_named(h, "/ ") && !is_named(h, "// ") && !is_named(h, "/SYM64/ ")) {
        member->size = 0;
        return 0;
    }
    if (size > a->in->size - a->at)
        return lint_fail(e, "truncated: a member has %zu bytes at %zu, the archive ends at %zu",
                         size, a->at, a->in->size);
    a->at += size;
    if (a->at % 2 != 0 && a->at < a->in->size)
        a->at++;
    return 0;
}

int archive_next(struct archive *a, char *name, size_t chars, struct lint_input *member,
                 struct lint_error *e)
{
    while (a->at < a->in->size) {
        struct ar_hdr h;

        if (take_header(a, &h, member, e) != 0)
            return -1;
        if (is_named(&h, "// ")) {
            a->names = (const char *)member->data;
            a->names_size = member->size;
            continue;
        }
        if (is_named(&h, "/ ") || is_named(&h, "/SYM64/ "))
            continue;
        if (name_of(a, &h, name, chars, member, e) != 0)
            return -1;
        if (strncmp(name, "__.SYMDEF", 9) == 0)
            continue;
        member->name = name;
        return 1;
    }
    return 0;
}
