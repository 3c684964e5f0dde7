/* SPDX-License-Identifier: MIT */
/* What lint says of a kernel's booting, for boot_*.py: ask [--memory BYTES] [--initrd BYTES]
 * FILE... One JSON object a line and file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "exitcodes.h"
#include "internal.h"
#include "kernel.h"

static const char *const answers[] = {"not-asked", "yes", "no", "undecidable"};
static const char *const weights[] = {"finding", "open", "note"};

static struct json_object *finding_json(const struct lint_finding *f)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "code", json_object_new_string(f->code));
    json_object_object_add(o, "weight", json_object_new_string(weights[f->weight]));
    json_object_object_add(o, "text", json_object_new_string(f->text));
    json_object_object_add(o, "also", json_object_new_string(f->also));
    return o;
}

static void print_report(const char *path, const struct lint_report *r)
{
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();

    json_object_object_add(o, "file", json_object_new_string(path));
    json_object_object_add(o, "pvmm", json_object_new_string(answers[r->answer[LINT_BOOT_PVMM]]));
    json_object_object_add(o, "pvmm_why", json_object_new_string(r->why[LINT_BOOT_PVMM]));
    json_object_object_add(o, "xen", json_object_new_string(answers[r->answer[LINT_BOOT_XEN]]));
    json_object_object_add(o, "xen_why", json_object_new_string(r->why[LINT_BOOT_XEN]));
    json_object_object_add(o, "not_pv", json_object_new_boolean(r->not_pv));
    for (size_t i = 0; i < r->nr_findings; i++)
        json_object_array_add(list, finding_json(&r->finding[i]));
    json_object_object_add(o, "findings", list);
    printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
    json_object_put(o);
}

static int judge(const char *path, struct view elf, const struct lint_options *o)
{
    const struct lint_input in = {.name = path, .data = elf.data, .size = elf.size};
    struct lint_report r = {.finding = NULL};
    struct lint_error e = {.text = ""};
    const int rc = lint_boot(&in, o, &r, &e);

    if (rc == 0)
        print_report(path, &r);
    else
        fprintf(stderr, "ask: %s: %s\n", path, e.text);
    lint_free(&r);
    return rc;
}

static int ask(const char *path, const struct lint_options *o)
{
    struct view file, elf;
    struct error e = {0};
    int fd, rc = -1;

    if (view_of_path(path, EXIT_UNTESTABLE, &file, &e) != 0)
        goto fail;
    fd = elf_unwrap(file, &e);
    view_drop(&file);
    if (fd < 0 || view_of_fd(fd, &elf, &e) != 0)
        goto fail;
    rc = judge(path, elf, o);
    view_drop(&elf);
    return rc;
fail:
    fprintf(stderr, "ask: %s: no kernel can be read from it\n", path);
    return rc;
}

int main(int argc, char **argv)
{
    struct lint_options o = {.memory = 0};
    int i = 1, rc = 0;

    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        *(strcmp(argv[i], "--memory") == 0 ? &o.memory : &o.initrd) =
            strtoull(argv[i + 1], NULL, 0);
    for (; i < argc; i++)
        rc |= ask(argv[i], &o);
    return rc == 0 ? 0 : 1;
}
