/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pvmm/recorder.h>

#include "exitcodes.h"
#include "registry.h"
#include "stand.h"

#define PAGE       4096u
#define MEMORY_MAX (UINT64_C(256) << 30)

enum long_option {
    OPT_NAME = 256,
    OPT_HYPERVISOR,
    OPT_EXPECT,
    OPT_E820,
    OPT_TIMEOUT,
    OPT_ICOUNT,
    OPT_STRICT,
    OPT_JSON,
    OPT_JUNIT,
    OPT_SEED,
    OPT_ACCEL,
    OPT_LOADER,
    OPT_CPU,
    OPT_MACHINE,
    OPT_MACHINE_MEMORY,
    OPT_MEMORY_FILE,
    OPT_XEN_ARGS,
    OPT_QEMU,
    OPT_LOG,
    OPT_ALL_KEYS,
    OPT_DETACH,
    OPT_NO_STORE,
    OPT_ON_SUSPEND,
    OPT_RECORDS,
    OPT_SYMBOLS,
    OPT_SYMBOLS_ANYWAY,
    OPT_CORE,
    OPT_NO_CORE,
    OPT_TRACE,
    OPT_GDB,
    OPT_RECORD,
    OPT_LIVE,
    OPT_MAX_MEMORY,
};

static const struct option run_options[] = {
    {"memory", required_argument, NULL, 'm'},
    {"vcpus", required_argument, NULL, 'c'},
    {"initrd", required_argument, NULL, 'i'},
    {"append", required_argument, NULL, 'a'},
    {"name", required_argument, NULL, OPT_NAME},
    {"hypervisor", required_argument, NULL, OPT_HYPERVISOR},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"e820", required_argument, NULL, OPT_E820},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"icount", no_argument, NULL, OPT_ICOUNT},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"json", required_argument, NULL, OPT_JSON},
    {"junit", required_argument, NULL, OPT_JUNIT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"accel", required_argument, NULL, OPT_ACCEL},
    {"loader", required_argument, NULL, OPT_LOADER},
    {"cpu", required_argument, NULL, OPT_CPU},
    {"machine", required_argument, NULL, OPT_MACHINE},
    {"machine-memory", required_argument, NULL, OPT_MACHINE_MEMORY},
    {"memory-file", required_argument, NULL, OPT_MEMORY_FILE},
    {"xen-args", required_argument, NULL, OPT_XEN_ARGS},
    {"qemu", required_argument, NULL, OPT_QEMU},
    {"log", required_argument, NULL, OPT_LOG},
    {"all-keys", no_argument, NULL, OPT_ALL_KEYS},
    {"detach", no_argument, NULL, OPT_DETACH},
    {"no-store", no_argument, NULL, OPT_NO_STORE},
    {"on-suspend", required_argument, NULL, OPT_ON_SUSPEND},
    {"records", required_argument, NULL, OPT_RECORDS},
    {"symbols", required_argument, NULL, OPT_SYMBOLS},
    {"symbols-anyway", no_argument, NULL, OPT_SYMBOLS_ANYWAY},
    {"core", required_argument, NULL, OPT_CORE},
    {"no-core", no_argument, NULL, OPT_NO_CORE},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"gdb", optional_argument, NULL, OPT_GDB},
    {"record", required_argument, NULL, OPT_RECORD},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What a stream does not say itself, and a guest that is not built has. */
static const struct option restore_options[] = {
    {"name", required_argument, NULL, OPT_NAME},
    {"paused", no_argument, NULL, 'p'},
    {"live", no_argument, NULL, OPT_LIVE},
    {"max-memory", required_argument, NULL, OPT_MAX_MEMORY},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"json", required_argument, NULL, OPT_JSON},
    {"junit", required_argument, NULL, OPT_JUNIT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"accel", required_argument, NULL, OPT_ACCEL},
    {"cpu", required_argument, NULL, OPT_CPU},
    {"machine", required_argument, NULL, OPT_MACHINE},
    {"machine-memory", required_argument, NULL, OPT_MACHINE_MEMORY},
    {"memory-file", required_argument, NULL, OPT_MEMORY_FILE},
    {"qemu", required_argument, NULL, OPT_QEMU},
    {"log", required_argument, NULL, OPT_LOG},
    {"all-keys", no_argument, NULL, OPT_ALL_KEYS},
    {"detach", no_argument, NULL, OPT_DETACH},
    {"on-suspend", required_argument, NULL, OPT_ON_SUSPEND},
    {"records", required_argument, NULL, OPT_RECORDS},
    {"symbols", required_argument, NULL, OPT_SYMBOLS},
    {"symbols-anyway", no_argument, NULL, OPT_SYMBOLS_ANYWAY},
    {"core", required_argument, NULL, OPT_CORE},
    {"no-core", no_argument, NULL, OPT_NO_CORE},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What a command takes: the options, and the one word behind them. */
struct syntax {
    const char *letters;
    const struct option *options;
    const char *word;
};

static const struct syntax run_syntax = {":m:c:i:a:vh", run_options, "kernel"};
static const struct syntax restore_syntax = {":pvh", restore_options, "stream"};

bool parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMG";
    unsigned long long n;
    const char *unit;
    unsigned shift = 0;
    char *end;

    errno = 0;
    if (!isdigit((unsigned char)text[0]))
        return false;
    n = strtoull(text, &end, 10);
    if (*end != '\0') {
        unit = strchr(units, toupper((unsigned char)*end));
        if (unit == NULL || end[1] != '\0')
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (errno != 0 || n > UINT64_MAX >> shift)
        return false;
    *bytes = (uint64_t)n << shift;
    return true;
}

static int parse_memory(struct options *o, const char *text, struct error *e)
{
    if (!parse_size(text, &o->memory))
        return error_set(e, EXIT_USAGE, "-m %s: not a size (a number with K, M or G)", text);
    if (o->memory > MEMORY_MAX)
        return error_set(e, EXIT_USAGE, "-m %s: more than 256 GiB", text);
    if (o->memory % PAGE != 0 || o->memory == 0)
        return error_set(
            e, EXIT_USAGE,
            "-m %s: not a positive multiple of 4096 bytes (give K, M or G, as in 256M)", text);
    return 0;
}

static int parse_cpus(const char *text, struct error *e)
{
    char *end;
    const long n = strtol(text, &end, 10);

    if (!isdigit((unsigned char)text[0]) || *end != '\0' || n < 1)
        return error_set(e, EXIT_USAGE, "-c %s: not a number of vCPUs", text);
    if (n > 1)
        return error_set(e, EXIT_NOT_YET, "-c %s: more than one vCPU is not there yet", text);
    return 0;
}

static int parse_timeout(struct options *o, const char *text, struct error *e)
{
    char *end;

    o->timeout = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(o->timeout) || o->timeout <= 0 || o->timeout > 1e8)
        return error_set(e, EXIT_USAGE, "--timeout %s: not a number of seconds", text);
    return 0;
}

static int parse_verdict_file(const char **file, const char *option, const char *arg,
                              struct error *e)
{
    *file = arg;
    if (strcmp(arg, "-") != 0)
        return 0;
    return error_set(e, EXIT_USAGE, "%s -: standard output is the guest's console; name a file",
                     option);
}

static int parse_seed(struct options *o, const char *text, struct error *e)
{
    char *end;

    errno = 0;
    o->seed = strtoull(text, &end, 0);
    o->has_seed = true;
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0)
        return error_set(e, EXIT_USAGE, "--seed %s: not a number", text);
    return 0;
}

static int parse_accel(struct options *o, const char *text, struct error *e)
{
    static const char *const names[] = {
        [ACCEL_AUTO] = "auto", [ACCEL_TCG] = "tcg", [ACCEL_KVM] = "kvm"};

    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            o->accel = (enum accel)i;
            return 0;
        }
    return error_set(e, EXIT_USAGE, "--accel %s: one of auto, tcg, kvm is wanted", text);
}

static int parse_on_suspend(struct options *o, const char *text, struct error *e)
{
    o->has_on_suspend = true;
    o->cancel_suspend = strcmp(text, "cancel") == 0;
    if (!o->cancel_suspend && strcmp(text, "end") != 0)
        return error_set(e, EXIT_USAGE, "--on-suspend %s: one of end, cancel is wanted", text);
    return 0;
}

static int parse_loader(struct options *o, const char *text, struct error *e)
{
    o->loader = strcmp(text, "grub") == 0 ? LOADER_GRUB : LOADER_QEMU;
    if (o->loader == LOADER_QEMU && strcmp(text, "qemu") != 0)
        return error_set(e, EXIT_USAGE, "--loader %s: one of qemu, grub is wanted", text);
    return 0;
}

/* Words that end up inside a list of QEMU's options. */
static int plain_word(const char *option, const char *text, struct error *e)
{
    if (text[0] == '\0' || strpbrk(text, " \t\r\n") != NULL)
        return error_set(e, EXIT_USAGE, "%s \"%s\": a word without blanks is wanted", option, text);
    return 0;
}

static int parse_machine(struct options *o, const char *text, struct error *e)
{
    o->machine = text;
    if (strcmp(text, "q35") != 0 && strcmp(text, "pc") != 0)
        return error_set(e, EXIT_USAGE, "--machine %s: one of q35, pc is wanted", text);
    return 0;
}

static int parse_machine_memory(struct options *o, const char *text, struct error *e)
{
    if (!parse_size(text, &o->machine_memory) || o->machine_memory == 0 ||
        o->machine_memory > MEMORY_MAX)
        return error_set(e, EXIT_USAGE,
                         "--machine-memory %s: not a size up to 256 GiB (a number with K, M or G)",
                         text);
    return 0;
}

static int parse_max_memory(struct options *o, const char *text, struct error *e)
{
    if (!parse_size(text, &o->max_memory) || o->max_memory < PAGE || o->max_memory > MEMORY_MAX)
        return error_set(e, EXIT_USAGE,
                         "--max-memory %s: not a size up to 256 GiB (a number with K, M or G)",
                         text);
    return 0;
}

static int parse_records(struct options *o, const char *text, struct error *e)
{
    o->has_records = true;
    if (strcmp(text, "off") == 0)
        return 0;
    if (!parse_size(text, &o->records) || o->records > PVMM_RECORDS_MAX)
        return error_set(e, EXIT_USAGE,
                         "--records %s: \"off\", or a number (with K or M) up to %uM is wanted",
                         text, PVMM_RECORDS_MAX >> 20);
    return 0;
}

static int parse_symbols(struct options *o, char *file, struct error *e)
{
    if (o->nr_symbols == SYMBOL_FILES)
        return error_set(e, EXIT_USAGE, "--symbols: more than %d files", SYMBOL_FILES);
    o->symbols[o->nr_symbols++] = file;
    return 0;
}

/* What tells of broken contracts, and keeps what is needed for it. */
static int parse_explain(struct options *o, int opt, char *arg, struct error *e)
{
    switch (opt) {
    case OPT_STRICT:
        o->strict = true;
        return 0;
    case OPT_RECORDS:
        return parse_records(o, arg, e);
    case OPT_SYMBOLS:
        return parse_symbols(o, arg, e);
    case OPT_SYMBOLS_ANYWAY:
        o->symbols_anyway = true;
        return 0;
    case OPT_CORE:
        o->core = arg;
        return 0;
    case OPT_NO_CORE:
        o->no_core = true;
        return 0;
    default:
        o->trace = arg;
        return 0;
    }
}

static int parse_gdb(struct options *o, const char *arg, struct error *e)
{
    char *end;
    unsigned long port = STAND_PORT;

    if (arg != NULL) {
        errno = 0;
        port = strtoul(arg, &end, 10);
        if (!isdigit((unsigned char)arg[0]) || *end != '\0' || errno != 0 || port == 0 ||
            port > 65535)
            return error_set(e, EXIT_USAGE, "--gdb=%s: a TCP port is wanted, 1 to 65535", arg);
    }
    o->gdb_port = (unsigned)port;
    return 0;
}

static int parse_long(struct options *o, int opt, char *arg, struct error *e)
{
    switch (opt) {
    case OPT_NAME:
        o->name = arg;
        return guest_name_check(arg, e) == 0 ? 0 : error_context(e, "--name");
    case OPT_E820:
        o->e820 = arg;
        return 0;
    case OPT_STRICT:
    case OPT_RECORDS:
    case OPT_SYMBOLS:
    case OPT_SYMBOLS_ANYWAY:
    case OPT_CORE:
    case OPT_NO_CORE:
    case OPT_TRACE:
        return parse_explain(o, opt, arg, e);
    case OPT_HYPERVISOR:
        o->hypervisor = arg;
        return 0;
    case OPT_EXPECT:
        o->expect = arg;
        return 0;
    case OPT_TIMEOUT:
        return parse_timeout(o, arg, e);
    case OPT_ALL_KEYS:
        o->all_keys = true;
        return 0;
    case OPT_DETACH:
        o->detach = true;
        return 0;
    case OPT_GDB:
        return parse_gdb(o, arg, e);
    case OPT_NO_STORE:
        o->store = false;
        return 0;
    case OPT_ON_SUSPEND:
        return parse_on_suspend(o, arg, e);
    case OPT_ICOUNT:
        o->icount = true;
        return 0;
    case OPT_RECORD:
        o->record = arg;
        return 0;
    case OPT_JSON:
        return parse_verdict_file(&o->json, "--json", arg, e);
    case OPT_JUNIT:
        return parse_verdict_file(&o->junit, "--junit", arg, e);
    case OPT_SEED:
        return parse_seed(o, arg, e);
    case OPT_ACCEL:
        return parse_accel(o, arg, e);
    case OPT_LOADER:
        return parse_loader(o, arg, e);
    case OPT_CPU:
        o->cpu = arg;
        return plain_word("--cpu", arg, e);
    case OPT_MACHINE:
        return parse_machine(o, arg, e);
    case OPT_MACHINE_MEMORY:
        return parse_machine_memory(o, arg, e);
    case OPT_MAX_MEMORY:
        return parse_max_memory(o, arg, e);
    case OPT_LIVE:
        o->live = true;
        return 0;
    case OPT_MEMORY_FILE:
        o->memory_file = arg;
        return 0;
    case OPT_XEN_ARGS:
        o->xen_arguments = arg;
        return 0;
    case OPT_QEMU:
        o->qemu = arg;
        return 0;
    default:
        o->log = arg;
        return 0;
    }
}

static int parse_one(struct options *o, int opt, char **argv, struct error *e)
{
    switch (opt) {
    case 'm':
        return parse_memory(o, optarg, e);
    case 'c':
        return parse_cpus(optarg, e);
    case 'i':
        o->initrd = optarg;
        return 0;
    case 'a':
        o->arguments = optarg;
        return 0;
    case 'p':
        o->paused = true;
        return 0;
    case 'v':
        o->verbose = true;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    case ':':
        return error_set(e, EXIT_USAGE, "option %s wants a value", argv[optind - 1]);
    case '?':
        if (optopt > 0 && optopt < 256)
            return error_set(e, EXIT_USAGE, "unknown option -%c", optopt);
        return error_set(e, EXIT_USAGE, "option %s is unknown, ambiguous or takes no value",
                         argv[optind - 1]);
    default:
        return parse_long(o, opt, optarg, e);
    }
}

static void set_defaults(struct options *o)
{
    const char *qemu = getenv("PVMM_QEMU");

    *o = (struct options){
        .arguments = "",
        .hypervisor = "pvmm",
        .qemu = qemu != NULL && qemu[0] != '\0' ? qemu : "qemu-system-x86_64",
        .cpu = "qemu64",
        .machine = "q35",
        .accel = ACCEL_AUTO,
        .memory = UINT64_C(512) << 20,
        .store = true,
    };
}

/* What a recording cannot be made with. */
static int check_record(struct options *o, struct error *e)
{
    const char *why = o->accel == ACCEL_KVM ? "--accel kvm: KVM cannot count instructions"
                      : o->icount ? "--icount: a recording has a clock of its own, which counts too"
                      : o->gdb_port != 0 ? "--gdb: a debugger has its say in the replay, where it "
                                           "disturbs nothing (pvmm replay)"
                      : o->loader == LOADER_GRUB
                          ? "--loader grub: what a machine reads from a CD is not recorded"
                          : NULL;

    if (o->record == NULL)
        return 0;
    if (why != NULL)
        return error_set(e, EXIT_USAGE, "--record does not go with %s", why);
    o->accel = ACCEL_TCG;
    return 0;
}

/* What excludes what. */
static int check_together(const struct options *o, struct error *e)
{
    if (o->xen_arguments != NULL && strcmp(o->hypervisor, "pvmm") == 0)
        return error_set(e, EXIT_USAGE, "--xen-args wants a Xen image as --hypervisor");
    if (o->has_on_suspend && strcmp(o->hypervisor, "pvmm") != 0)
        return error_set(e, EXIT_USAGE,
                         "--on-suspend: what a real Xen does when its initial domain suspends is "
                         "its own affair");
    if (o->core != NULL && o->no_core)
        return error_set(e, EXIT_USAGE, "--core and --no-core exclude each other");
    if (o->detach && o->name == NULL && !o->restore) /* a stream may tell it */
        return error_set(e, EXIT_USAGE,
                         "--detach wants a --name, by which the guest can be reached");
    if (o->icount && o->accel == ACCEL_KVM)
        return error_set(e, EXIT_USAGE, "--icount counts instructions, which KVM cannot");
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct error *e)
{
    const bool restore = strcmp(argv[0], "restore") == 0;
    const struct syntax *s = restore ? &restore_syntax : &run_syntax;
    int opt;

    set_defaults(o);
    o->restore = restore;
    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, s->letters, s->options, NULL)) != -1)
        if (parse_one(o, opt, argv, e) != 0)
            return -1;
    if (o->help)
        return 0;
    if (optind == argc)
        return error_set(e, EXIT_USAGE, "no %s is given", s->word);
    if (optind + 1 < argc)
        return error_set(e, EXIT_USAGE, "one %s is wanted, but \"%s\" follows it", s->word,
                         argv[optind + 1]);
    o->kernel = argv[optind];
    if (check_together(o, e) != 0)
        return -1;
    if (o->icount)
        o->store = false; /* it answers in the host's time, and no count would repeat */
    return check_record(o, e);
}

/* Does the command line have a word that starts with `key`? */
static bool has_word(const char *line, const char *key)
{
    const size_t n = strlen(key);

    while (*line != '\0') {
        line += strspn(line, " \t");
        if (strncmp(line, key, n) == 0)
            return true;
        line += strcspn(line, " \t");
    }
    return false;
}

char *guest_command_line(const char *arguments)
{
    char *line;

    if (asprintf(&line, "%s%s%s", has_word(arguments, "console=") ? "" : "console=hvc0 ",
                 has_word(arguments, "earlyprintk") ? "" : "earlyprintk=xen ", arguments) < 0)
        return NULL;
    line[strlen(line) - (line[0] != '\0' && line[strlen(line) - 1] == ' ')] = '\0';
    return line;
}
