/* SPDX-License-Identifier: MIT */
/* What is in an image: the guest, and every list of its frames side by side. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "exitcodes.h"
#include "format.h"
#include "help.h"
#include "inspect.h"
#include "tone.h"

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct image_options *o, const char **file)
{
    static const struct option options[] = {IMAGE_LONG_OPTIONS, {NULL, 0, NULL, 0}};
    struct error e;
    int opt, rc = 0;

    optind = 1;
    opterr = 0;
    while (rc == 0 && (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(help_inspect);
        rc = image_option(o, opt, &e);
        if (rc == 0)
            rc = command_bad_option(opt, argv, &e);
        else if (rc > 0)
            rc = 0;
    }
    if (rc == 0)
        rc = command_one_word(argc, argv, "an image", file, &e);
    return rc == 0 ? -1 : command_failed(argv[0], &e);
}

/* ---- gathering */

/* The file itself; the view does not say what its content came out of. */
static void look_at_file(struct inspection *s)
{
    const int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint8_t head[64];
    struct stat st;

    if (strcmp(s->path, "-") == 0 || fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        s->compression = "a pipe";
    } else {
        const ssize_t n = read(fd, head, sizeof(head));
        const enum format f = format_of((struct view){head, n > 0 ? (size_t)n : 0});

        s->bytes = (uint64_t)st.st_size;
        s->compression = format_is_compressed(f) ? format_name(f) : NULL;
    }
    if (fd >= 0)
        close(fd);
}

static void read_banner(struct inspection *s)
{
    char text[sizeof(s->banner)];
    uint64_t va;

    if (!pv_symbol_find(s->image->symbols, "linux_banner", &va))
        return;
    const size_t n = pv_read_va(s->v, s->v->kernel_root, (gva_t){va}, text, sizeof(text) - 1);

    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    guest_text(s->banner, sizeof(s->banner), text, n);
}

static bool keep_range(void *context, const struct pv_p2m_range *r)
{
    struct inspection *s = context;

    if (s->ranges < INSPECT_RANGES)
        s->range[s->ranges++] = *r;
    return true;
}

static int gather(struct inspection *s, struct error *e)
{
    const struct pv_progress progress = image_progress();
    struct pv_error why = {""};

    look_at_file(s);
    if (pv_arch_info_read(&s->arch, s->v, &why) != 0)
        snprintf(s->no_arch, sizeof(s->no_arch), "%s", why.text);
    s->start = pv_p2m_start_info(s->p, &s->no_start);
    read_banner(s);
    const int rc = pv_p2m_compare(s->p, keep_range, s, &s->sum, &progress, &why);

    image_progress_end();
    return rc == 0 ? 0 : error_set(e, image_end_code(), "%s", why.text);
}

uint64_t inspect_holes(const struct inspection *s)
{
    const enum pv_p2m_kind k = s->v->has_m2p ? PV_P2M_M2P : PV_P2M_CONTAINER;
    const uint64_t end = s->v->end_pfn.n;

    return end > s->sum.has[k] ? end - s->sum.has[k] : 0;
}

pfn_t inspect_pfn_of(const struct inspection *s, mfn_t m)
{
    if (!s->v->backend->owned(s->v, m))
        return NO_PFN;
    return s->v->portable ? (pfn_t){m.n} : s->v->backend->pfn_of(s->v, m);
}

/* ---- the command */

static int show(struct image *i, const char *file, bool json, struct error *e)
{
    static struct inspection s;
    struct pv_p2m *p = NULL;
    struct pv_error why;

    if (pv_p2m_open(&p, i->view, i->symbols, &why) != 0)
        return error_set(e, EXIT_ENVIRONMENT, "%s", why.text);
    s = (struct inspection){.path = file, .v = i->view, .image = i, .p = p};
    int rc = gather(&s, e);

    if (rc == 0 && json)
        inspect_json(&s);
    else if (rc == 0)
        inspect_text(&s, tone_wanted(stdout));
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = error_errno(e, EXIT_ENVIRONMENT, "cannot write");
    pv_p2m_close(p);
    return rc;
}

int command_inspect(int argc, char **argv)
{
    struct image_options o = {.domain = -1};
    const char *file;
    struct image i;
    struct error e;
    int rc = parse(argc, argv, &o, &file);

    if (rc >= 0)
        return rc;
    if (image_open(&i, file, &o, true, &e) != 0)
        return command_failed(argv[0], &e);
    rc = show(&i, file, o.json, &e);
    image_close(&i);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}
