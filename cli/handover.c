/* SPDX-License-Identifier: MIT */
#include "handover.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t handover_format(char *to, size_t size, const struct handover_line *l)
{
    int n = 0;

    switch (l->word) {
    case HANDOVER_OFFER:
        n = snprintf(to, size, HANDOVER_MAGIC "%d %" PRIu64 " %s\n", HANDOVER_VERSION, l->memory,
                     l->text[0] != '\0' ? l->text : "-");
        break;
    case HANDOVER_READY:
        n = snprintf(to, size, HANDOVER_MAGIC "%d ready\n", HANDOVER_VERSION);
        break;
    case HANDOVER_ARRIVED:
        n = snprintf(to, size, "arrived\n");
        break;
    case HANDOVER_GO:
        n = snprintf(to, size, "go\n");
        break;
    case HANDOVER_RUNNING:
        n = snprintf(to, size, "running\n");
        break;
    case HANDOVER_FAILED:
        n = snprintf(to, size, "failed %.400s\n", l->text);
        break;
    case HANDOVER_UNKNOWN:
        break;
    }
    return n < 0 ? 0 : (size_t)n;
}

void handover_parse(struct handover_line *l, const char *text, size_t n)
{
    char line[HANDOVER_CHARS + 1];

    *l = (struct handover_line){.word = HANDOVER_UNKNOWN};
    if (n >= sizeof(line))
        return;
    memcpy(line, text, n);
    line[n] = '\0';
    if (strcmp(line, "arrived") == 0)
        l->word = HANDOVER_ARRIVED;
    else if (strcmp(line, "go") == 0)
        l->word = HANDOVER_GO;
    else if (strcmp(line, "running") == 0)
        l->word = HANDOVER_RUNNING;
    else if (strcmp(line, HANDOVER_MAGIC "1 ready") == 0)
        l->word = HANDOVER_READY;
    else if (strncmp(line, "failed ", 7) == 0) {
        l->word = HANDOVER_FAILED;
        snprintf(l->text, sizeof(l->text), "%s", line + 7);
    }
}
