/* SPDX-License-Identifier: MIT */
#include "handover.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (HANDOVER_CHARS - 64) /* of NAME and TEXT: room for what stands before them */

static const char *const plain[] = {
    [HANDOVER_ARRIVED] = "arrived", [HANDOVER_GO] = "go", [HANDOVER_RUNNING] = "running"};

/* ---- writing */

static void put_text(char to[TEXT_MAX + 1], const char *from)
{
    size_t n = 0;

    for (; from[n] != '\0' && n < TEXT_MAX; n++)
        to[n] = isprint((unsigned char)from[n]) ? from[n] : '?';
    to[n] = '\0';
}

size_t handover_format(char *to, size_t size, const struct handover_line *l)
{
    char text[TEXT_MAX + 1];
    int n;

    put_text(text, l->text);
    switch (l->word) {
    case HANDOVER_OFFER:
        n = snprintf(to, size, HANDOVER_MAGIC "%d %" PRIu64 " %s\n", HANDOVER_VERSION, l->memory,
                     text[0] != '\0' ? text : "-");
        break;
    case HANDOVER_READY:
        n = snprintf(to, size, HANDOVER_MAGIC "%d ready\n", HANDOVER_VERSION);
        break;
    case HANDOVER_FAILED:
        n = snprintf(to, size, "failed %s\n", text);
        break;
    case HANDOVER_ARRIVED:
    case HANDOVER_GO:
    case HANDOVER_RUNNING:
        n = snprintf(to, size, "%s\n", plain[l->word]);
        break;
    default:
        n = -1;
    }
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* ---- reading */

static bool begins(const char **text, const char *with)
{
    const size_t n = strlen(with);

    if (strncmp(*text, with, n) != 0)
        return false;
    *text += n;
    return true;
}

static bool take_number(const char **text, uint64_t *out)
{
    char *end;

    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

static void take_rest(struct handover_line *l, const char *text)
{
    snprintf(l->text, sizeof(l->text), "%s", strcmp(text, "-") == 0 ? "" : text);
}

/* Behind the magic: "1 ready", or "1 MEMORY NAME". */
static enum handover_word parse_magic(struct handover_line *l, const char *text)
{
    uint64_t version;

    if (!take_number(&text, &version) || version != HANDOVER_VERSION || !begins(&text, " "))
        return HANDOVER_UNKNOWN;
    if (strcmp(text, "ready") == 0)
        return HANDOVER_READY;
    if (!take_number(&text, &l->memory) || !begins(&text, " ") || *text == '\0')
        return HANDOVER_UNKNOWN;
    take_rest(l, text);
    return HANDOVER_OFFER;
}

static enum handover_word parse(struct handover_line *l, const char *text)
{
    if (begins(&text, HANDOVER_MAGIC))
        return parse_magic(l, text);
    if (begins(&text, "failed ")) {
        take_rest(l, text);
        return HANDOVER_FAILED;
    }
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        if (plain[i] != NULL && strcmp(text, plain[i]) == 0)
            return (enum handover_word)i;
    }
    return HANDOVER_UNKNOWN;
}

void handover_parse(struct handover_line *l, const char *text, size_t n)
{
    char copy[HANDOVER_CHARS];

    *l = (struct handover_line){.word = HANDOVER_UNKNOWN};
    if (n >= sizeof(copy))
        n = sizeof(copy) - 1;
    for (size_t i = 0; i < n; i++)
        copy[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
    copy[n] = '\0';
    l->word = parse(l, copy);
    if (l->word == HANDOVER_UNKNOWN)
        snprintf(l->text, sizeof(l->text), "%s", copy);
}
