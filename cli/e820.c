/* SPDX-License-Identifier: MIT */
#include "e820.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exitcodes.h"

#define LINE_CHARS 256 /* without comments; a map's lines are short */
#define PAGE       4096u
#define TYPES      "ram, reserved, acpi, nvs, unusable or a number"

_Static_assert(sizeof(struct memory_map) ==
                   sizeof(struct pvmm_e820) + PVMM_E820_MAX * sizeof(struct pvmm_e820_entry),
               "the map lies in memory as the hypervisor reads it");

/* ---- numbers */

/* The number at *at, which is moved behind it. */
static int take_number(const char **at, uint64_t *n, struct error *e)
{
    static const char units[] = "KMG";
    const bool hex = (*at)[0] == '0' && tolower((unsigned char)(*at)[1]) == 'x';
    const char *first = *at + (hex ? 2 : 0), *unit;
    unsigned shift = 0;
    char *end;

    if (!(hex ? isxdigit((unsigned char)*first) : isdigit((unsigned char)*first)))
        return error_set(e, EXIT_USAGE, "a number is wanted (decimal or 0x...), not \"%s\"", *at);
    errno = 0;
    *n = strtoull(*at, &end, hex ? 16 : 10);
    unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    if (errno != 0 || *n > UINT64_MAX >> shift)
        return error_set(e, EXIT_USAGE, "%.*s does not fit into 64 bits", (int)(end - *at), *at);
    *n <<= shift;
    *at = end;
    return 0;
}

/* ---- one line */

static int end_to_size(uint64_t start, uint64_t end, uint64_t *bytes, struct error *e)
{
    if (end < start)
        return error_set(e, EXIT_USAGE, "the end 0x%" PRIx64 " lies before the start 0x%" PRIx64,
                         end, start);
    if (end % PAGE == 0)
        return error_set(e, EXIT_USAGE,
                         "the end 0x%" PRIx64 " is the first byte of a page, but END is the last "
                         "byte that belongs to the entry (or write START+SIZE)",
                         end);
    if (end - start == UINT64_MAX)
        return error_set(e, EXIT_USAGE, "all addresses there are: no size fits them");
    *bytes = end - start + 1;
    return 0;
}

static int take_range(const char **at, struct pvmm_e820_entry *entry, struct error *e)
{
    uint64_t start, second, bytes;
    char between;

    if (take_number(at, &start, e) != 0)
        return -1;
    between = **at;
    if (between != '-' && between != '+')
        return error_set(e, EXIT_USAGE,
                         "START-END or START+SIZE is wanted, but behind START is %s%s%s",
                         between == '\0' ? "nothing" : "\"", *at, between == '\0' ? "" : "\"");
    ++*at;
    if (take_number(at, &second, e) != 0)
        return -1;
    bytes = second;
    if (between == '-' && end_to_size(start, second, &bytes, e) != 0)
        return -1;
    entry->start = start;
    entry->bytes = bytes;
    return 0;
}

/* 0: no such name. The second of two names is what Linux's log has for it. */
static uint32_t type_of_name(const char *name)
{
    static const char *const names[][2] = {
        [PVMM_E820_RAM] = {"ram", "usable"},
        [PVMM_E820_RESERVED] = {"reserved", "reserved"},
        [PVMM_E820_ACPI] = {"acpi", "ACPI data"},
        [PVMM_E820_NVS] = {"nvs", "ACPI NVS"},
        [PVMM_E820_UNUSABLE] = {"unusable", "unusable"},
    };

    for (uint32_t i = PVMM_E820_RAM; i <= PVMM_E820_UNUSABLE; i++)
        if (strcasecmp(name, names[i][0]) == 0 || strcasecmp(name, names[i][1]) == 0)
            return i;
    return 0;
}

static int parse_type(const char *text, struct pvmm_e820_entry *entry, struct error *e)
{
    static const char word[] = "type "; /* Linux's log, of a number it has no name for */
    const char *at = strncasecmp(text, word, strlen(word)) == 0 ? text + strlen(word) : text;
    uint64_t n;

    if (*text == '\0')
        return error_set(e, EXIT_USAGE, "no type behind the range: " TYPES " is wanted");
    entry->type = type_of_name(text);
    if (entry->type != 0)
        return 0;
    if (!isdigit((unsigned char)*at))
        return error_set(e, EXIT_USAGE, "type \"%s\": " TYPES " is wanted", text);
    if (take_number(&at, &n, e) != 0)
        return error_context(e, "type \"%s\"", text);
    if (*at != '\0')
        return error_set(e, EXIT_USAGE, "type \"%s\": \"%s\" follows the number", text, at);
    if (n > UINT32_MAX)
        return error_set(e, EXIT_USAGE, "type \"%s\" does not fit into 32 bits", text);
    entry->type = (uint32_t)n;
    return 0;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static int parse_entry(const char *line, struct pvmm_e820_entry *entry, struct error *e)
{
    static const char bracket[] = "[mem ";
    const char *log = strstr(line, bracket), *at = line;

    if (log != NULL)
        at = skip_blanks(log + strlen(bracket));
    if (take_range(&at, entry, e) != 0)
        return -1;
    if (log != NULL && *at++ != ']')
        return error_set(e, EXIT_USAGE, "no ] closes the range of a line of Linux's log");
    if (log == NULL && *at != '\0' && *at != ' ' && *at != '\t')
        return error_set(e, EXIT_USAGE, "the range is followed by \"%s\" without a blank", at);
    return parse_type(skip_blanks(at), entry, e);
}

/* ---- the file */

/* The line's text without comment and outer blanks, as a string. */
static int copy_line(const uint8_t *from, size_t bytes, char line[LINE_CHARS], struct error *e)
{
    const uint8_t *comment = memchr(from, '#', bytes);
    size_t n = comment != NULL ? (size_t)(comment - from) : bytes;

    while (n > 0 && isspace(from[n - 1]))
        n--;
    while (n > 0 && isspace(*from)) {
        from++;
        n--;
    }
    for (size_t i = 0; i < n; i++)
        if (from[i] != '\t' && !(from[i] >= ' ' && from[i] <= '~'))
            return error_set(e, EXIT_USAGE, "byte 0x%02x is no text", from[i]);
    if (n >= LINE_CHARS)
        return error_set(e, EXIT_USAGE, "longer than %d characters", LINE_CHARS - 1);
    memcpy(line, from, n);
    line[n] = '\0';
    return 0;
}

static int take_line(const uint8_t *from, size_t bytes, struct memory_map *map, struct error *e)
{
    struct pvmm_e820_entry entry;
    char line[LINE_CHARS];

    if (copy_line(from, bytes, line, e) != 0)
        return -1;
    if (line[0] == '\0')
        return 0;
    if (parse_entry(line, &entry, e) != 0)
        return -1;
    if (map->head.count == PVMM_E820_MAX)
        return error_set(e, EXIT_USAGE, "more than %u entries", PVMM_E820_MAX);
    map->at[map->head.count++] = entry;
    return 0;
}

int memory_map_parse(struct view text, struct memory_map *map, struct error *e)
{
    unsigned number = 0;

    map->head = (struct pvmm_e820){PVMM_E820_MAGIC, PVMM_E820_VERSION, 0};
    for (size_t at = 0; at < text.size;) {
        const uint8_t *line = text.data + at;
        const uint8_t *end = memchr(line, '\n', text.size - at);
        const size_t bytes = end != NULL ? (size_t)(end - line) : text.size - at;

        number++;
        if (take_line(line, bytes, map, e) != 0)
            return error_context(e, "line %u", number);
        at += bytes + 1;
    }
    if (map->head.count == 0)
        return error_set(e, EXIT_USAGE, "no entry in it (START-END TYPE or START+SIZE TYPE)");
    return 0;
}

static int load(const char *path, struct error *e)
{
    static struct memory_map map;
    struct view text;
    int rc;

    if (view_of_path(path, EXIT_USAGE, &text, e) != 0)
        return -1;
    rc = memory_map_parse(text, &map, e);
    view_drop(&text);
    if (rc != 0)
        return -1;
    return memfd_copy("e820", &map, sizeof(map.head) + map.head.count * sizeof(map.at[0]), e);
}

int memory_map_load(const char *path, struct error *e)
{
    const int fd = load(path, e);

    return fd >= 0 ? fd : error_context(e, "--e820 %s", path);
}
