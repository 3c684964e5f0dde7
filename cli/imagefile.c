/* SPDX-License-Identifier: MIT */
/* Opening an image for a command: options, progress, names. */
#include "imagefile.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "symbolfile.h"

/* ---- options */

int image_option(struct image_options *o, int opt, struct error *e)
{
    uint64_t n;

    switch (opt) {
    case IMAGE_OPTION_DOMAIN:
        if (!parse_number(optarg, &n) || n > 0xffff)
            return error_set(e, EXIT_USAGE, "--domain %s: no domain's number", optarg);
        o->domain = (int)n;
        return 1;
    case IMAGE_OPTION_JSON:
        o->json = true;
        return 1;
    case IMAGE_OPTION_SYMBOLS:
        if (o->nr_symbols == IMAGE_SYMBOL_FILES)
            return error_set(e, EXIT_USAGE, "--symbols: at most %u", IMAGE_SYMBOL_FILES);
        o->symbols[o->nr_symbols++] = optarg;
        return 1;
    case IMAGE_OPTION_ANYWAY:
        o->symbols_anyway = true;
        return 1;
    }
    return 0;
}

static bool number_until(const char **text, uint64_t *n)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *n = strtoull(*text, &end, 0);
    if (errno != 0 || end == *text)
        return false;
    *text = end;
    return true;
}

bool parse_number(const char *text, uint64_t *n)
{
    return number_until(&text, n) && *text == '\0';
}

bool parse_range(const char *text, uint64_t *first, uint64_t *last)
{
    uint64_t n;

    *first = 0;
    *last = UINT64_MAX;
    if (strcmp(text, "all") == 0)
        return true;
    if (!number_until(&text, first))
        return false;
    *last = *first;
    if (*text == '\0')
        return true;
    if (*text == '-' && text[1] == '\0') {
        *last = UINT64_MAX;
        return true;
    }
    const char kind = *text++;
    if ((kind != '-' && kind != '+') || !parse_number(text, &n))
        return false;
    if (kind == '+' && (n == 0 || *first + (n - 1) < *first))
        return false;
    *last = kind == '+' ? *first + (n - 1) : n;
    return *last >= *first;
}

/* ---- progress */

#define AFTER (SECOND)

static struct {
    volatile sig_atomic_t signal;
    int64_t next; /* when to say something; 0: not begun */
    bool said;
} progress;

static void note_signal(int number)
{
    progress.signal = number;
}

static bool tell(void *context, const char *doing, uint64_t done, uint64_t total)
{
    (void)context;
    if (progress.signal != 0)
        return false;
    if (progress.next == 0)
        progress.next = clock_now() + AFTER;
    if (clock_now() < progress.next || !isatty(STDERR_FILENO))
        return true;
    if (total != 0)
        fprintf(stderr, "\rpvmm: %s: %3" PRIu64 "%%", doing,
                done >= total ? 100 : done * 100 / total);
    else
        fprintf(stderr, "\rpvmm: %s: %" PRIu64 " MiB", doing, done >> 20);
    progress.said = true;
    progress.next = clock_now() + AFTER / 4;
    return true;
}

struct pv_progress image_progress(void)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    progress.next = 0;
    return (struct pv_progress){.tell = tell};
}

void image_progress_end(void)
{
    if (progress.said)
        fprintf(stderr, "\r%60s\r", "");
    progress.said = false;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

/* ---- opening */

int image_end_code(void)
{
    if (progress.signal == SIGINT)
        return EXIT_INTERRUPTED;
    return progress.signal == SIGTERM ? EXIT_TERMINATED : EXIT_UNREADABLE;
}

int image_write_code(void)
{
    return progress.signal != 0 ? image_end_code() : EXIT_ENVIRONMENT;
}

static void take_guest_symbols(struct image *i)
{
    struct pv_error why;
    size_t count;

    if (pv_symbols_guest(i->symbols, i->view, i->view->kernel_root, &count, &why) != 0)
        snprintf(i->no_symbols, sizeof(i->no_symbols), "%s", why.text);
}

int image_take_symbols(struct image *i, const struct image_options *o, struct error *e)
{
    const struct symbol_owner of = {
        .name = i->path, .view = i->view, .kernel_fd = -1, .anyway = o->symbols_anyway};

    i->symbols = pv_symbols_new();
    if (i->symbols == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    for (unsigned n = 0; n < o->nr_symbols; n++)
        if (symbol_file_take(i->symbols, o->symbols[n], &of, e) != 0)
            return -1;
    if (o->nr_symbols == 0)
        take_guest_symbols(i);
    return 0;
}

int image_open(struct image *i, const char *path, const struct image_options *o, bool want_symbols,
               struct error *e)
{
    struct pv_open_options how = {.domain = o->domain, .progress = image_progress()};
    struct pv_error why;
    int rc;

    *i = (struct image){.path = path};
    rc = pv_open(&i->view, path, &how, &why);
    image_progress_end();
    if (rc != 0)
        return error_set(e, image_end_code(), "%s", why.text);
    if (i->view->lost[0] != '\0')
        fprintf(stderr, "pvmm: %s: %s\n", path, i->view->lost);
    if (want_symbols && image_take_symbols(i, o, e) != 0) {
        image_close(i);
        return -1;
    }
    return 0;
}

void image_close(struct image *i)
{
    if (i->symbols != NULL)
        pv_symbols_free(i->symbols);
    pv_close(i->view);
    *i = (struct image){0};
}
