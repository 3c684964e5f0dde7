/* SPDX-License-Identifier: MIT */
/* System.map, and what /proc/kallsyms shows: "ffffffff81000000 T _stext", one a line. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define NAME_CHARS 512 /* KSYM_NAME_LEN of Linux */

struct map_line {
    uint64_t address;
    char letter;
    const char *name, *module;
    size_t name_bytes, module_bytes;
};

unsigned letter_flags(char letter)
{
    unsigned flags = 0;

    if (strchr("tTwW", letter) != NULL)
        flags |= ENTRY_CODE;
    if (strchr("wWvV", letter) != NULL)
        flags |= ENTRY_WEAK;
    else if (isupper((unsigned char)letter))
        flags |= ENTRY_GLOBAL;
    return flags;
}

static bool hex_address(const char **at, uint64_t *value)
{
    const char *p = *at;

    *value = 0;
    while (isxdigit((unsigned char)*p)) {
        unsigned char c = (unsigned char)*p++;

        *value = *value << 4 | (isdigit(c) ? c - '0' : (unsigned char)tolower(c) - 'a' + 10);
    }
    if ((p - *at != 16 && p - *at != 8) || *p != ' ')
        return false;
    *at = p + 1;
    return true;
}

static size_t word_bytes(const char *p)
{
    size_t n = 0;

    while (isgraph((unsigned char)p[n]))
        n++;
    return n;
}

/* The text ends with a NUL. */
static bool parse_line(const char *p, struct map_line *out)
{
    if (!hex_address(&p, &out->address) || !isgraph((unsigned char)p[0]) || p[1] != ' ')
        return false;
    out->letter = *p;
    p += 2;
    out->name = p;
    out->name_bytes = word_bytes(p);
    p += out->name_bytes;
    out->module = "";
    out->module_bytes = 0;
    if (p[0] == '\t' && p[1] == '[') {
        out->module = p + 2;
        out->module_bytes = strcspn(p + 2, "] \t\n");
        p = out->module + out->module_bytes;
        if (*p++ != ']')
            return false;
    }
    return out->name_bytes > 0 && out->name_bytes < NAME_CHARS && *p == '\0';
}

struct map {
    struct source *to;
    const char *name;
    struct pv_error *e;
    char module[64]; /* of the line before */
    unsigned module_number;
    unsigned long line;
    bool any_address;
};

static bool name_module(struct map *m, const struct map_line *l)
{
    size_t n = l->module_bytes < sizeof(m->module) ? l->module_bytes : sizeof(m->module) - 1;

    if (n == 0) {
        m->module_number = 0;
        m->module[0] = '\0';
        return true;
    }
    if (strlen(m->module) == n && memcmp(m->module, l->module, n) == 0)
        return true;
    memcpy(m->module, l->module, n);
    m->module[n] = '\0';
    m->module_number = source_module(m->to, m->module);
    return m->module_number != 0;
}

/* nm shows what a file lacks, too: blanks, a letter and a name. */
static bool is_undefined(const char *line)
{
    size_t blanks = strspn(line, " ");

    return blanks >= 8 && strchr("Uwv", line[blanks]) != NULL && line[blanks] != '\0' &&
           line[blanks + 1] == ' ';
}

static int add_line(struct map *m, const char *line)
{
    struct map_line l;
    struct new_entry n;

    if (is_undefined(line))
        return 0;
    if (!parse_line(line, &l)) {
        if (m->line == 1)
            return symbols_fail(m->e, "%s: neither an ELF file nor a System.map", m->name);
        return symbols_fail(m->e, "%s: line %lu is no line of a System.map", m->name, m->line);
    }
    m->any_address |= l.address != 0;
    if (l.letter == 'A' || l.letter == 'a')
        return 0; /* a number, no place */
    if (!name_module(m, &l))
        return symbols_fail(m->e, "%s: out of memory", m->name);
    n = (struct new_entry){
        .name = l.name,
        .name_bytes = l.name_bytes,
        .address = l.address,
        .flags = letter_flags(l.letter),
        .module = m->module_number,
    };
    if (!source_add(m->to, &n))
        return symbols_fail(m->e, "%s: more symbols than can be kept", m->name);
    return 0;
}

static int add_lines(struct map *m, FILE *f)
{
    char line[NAME_CHARS + 128];

    while (fgets(line, sizeof(line), f) != NULL) {
        m->line++;
        line[strcspn(line, "\r\n")] = '\0';
        if (add_line(m, line) != 0)
            return -1;
    }
    if (ferror(f))
        return symbols_fail(m->e, "%s: cannot be read: %s", m->name, strerror(errno));
    if (m->line == 0)
        return symbols_fail(m->e, "%s: is empty", m->name);
    if (!m->any_address)
        return symbols_fail(
            m->e, "%s: every address is 0: the kernel hides them from whoever read it", m->name);
    return 0;
}

/* The descriptor may stand anywhere: pread() through a stream of our own. */
struct cookie {
    int fd;
    off_t at;
};

static ssize_t read_cookie(void *context, char *to, size_t n)
{
    struct cookie *c = context;
    ssize_t got = pread(c->fd, to, n, c->at);

    if (got > 0)
        c->at += got;
    return got;
}

int systemmap_symbols(struct source *to, int fd, const char *name, struct pv_error *e)
{
    struct cookie c = {.fd = fd};
    struct map m = {.to = to, .name = name, .e = e};
    FILE *f = fopencookie(&c, "r", (cookie_io_functions_t){.read = read_cookie});
    int failed;

    if (f == NULL)
        return symbols_fail(e, "%s: out of memory", name);
    failed = add_lines(&m, f);
    fclose(f);
    return failed;
}
