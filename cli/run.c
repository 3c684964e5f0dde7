/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "corefile.h"
#include "detach.h"
#include "e820.h"
#include "exitcodes.h"
#include "explainer.h"
#include "hvimage.h"
#include "initrd.h"
#include "iso.h"
#include "kernel.h"
#include "memfd.h"
#include "outfile.h"
#include "record.h"
#include "session.h"
#include "signals.h"

#include <pvmm/boot.h>

#define MIB          (UINT64_C(1) << 20)
#define XEN_OVERHEAD (512 * MIB)
#define OWN_OVERHEAD (64 * MIB)     /* the hypervisor, its frame table, the firmware's holes */
#define BLANK_FROM   0x100000000ull /* firmware and loaders are 32-bit: above, all is new */
#define MODULES_MAX  (1024 * MIB)   /* QEMU puts them below the PCI hole, after the hypervisor */

/* Everything a run is made from. */
struct plan {
    const struct options *o;
    struct kernel kernel;
    int initrd_fd; /* -1: none */
    uint64_t initrd_size;
    int e820_fd; /* -1: none */
    int hypervisor_fd;
    int iso_fd;    /* -1: QEMU loads the files itself */
    int memory_fd; /* keeps the machine's memory; -1: nothing does */
    bool real_xen;
    char *guest_arguments;
    char hypervisor_arguments[1024];
    uint64_t megabytes; /* of the machine */
    bool has_expect;
    regex_t expect;
    FILE *log, *json, *trace;
    char *core; /* where the image of a crashed guest's memory goes; NULL: nowhere */
    struct explainer explainer;
    int signals;
    struct control *control; /* NULL: the guest has no name */
    struct detach detach;
    struct record record;
    char *symbols[SYMBOL_FILES]; /* as for it: absolute */
    int64_t start;
};

static int open_output(const char *path, FILE **out, struct error *e)
{
    if (path == NULL)
        return 0;
    *out = fopen(path, "we");
    return *out != NULL ? 0 : error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", path);
}

static int prepare_expect(struct plan *p, struct error *e)
{
    char why[128];
    int rc;

    if (p->o->expect == NULL)
        return 0;
    rc = regcomp(&p->expect, p->o->expect, REG_EXTENDED | REG_NOSUB);
    if (rc != 0) {
        regerror(rc, &p->expect, why, sizeof(why));
        return error_set(e, EXIT_USAGE, "--expect \"%s\": %s", p->o->expect, why);
    }
    p->has_expect = true;
    return 0;
}

static int prepare_arguments(struct plan *p, struct error *e)
{
    p->guest_arguments = guest_command_line(p->o->arguments);
    if (p->guest_arguments == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    if (strlen(p->guest_arguments) >= PVMM_GUEST_CMDLINE_MAX)
        return error_set(e, EXIT_USAGE,
                         "-a: the guest's command line is %zu bytes long, and %u are the limit",
                         strlen(p->guest_arguments), PVMM_GUEST_CMDLINE_MAX - 1);
    return 0;
}

static int prepare_guest(struct plan *p, struct error *e)
{
    if (kernel_load(p->o->kernel, &p->kernel, e) != 0)
        return -1;
    if (p->o->initrd != NULL && initrd_load(p->o->initrd, &p->initrd_fd, &p->initrd_size, e) != 0)
        return -1;
    if (pv_image_fits(&p->kernel.image, p->o->memory, p->initrd_size, e) != 0)
        return error_context(e, "kernel %s", p->o->kernel);
    if (p->kernel.elf_size + p->initrd_size > MODULES_MAX)
        return error_set(e, EXIT_UNTESTABLE,
                         "kernel and initrd have %llu MiB, more than a boot loader can place",
                         (unsigned long long)((p->kernel.elf_size + p->initrd_size) / MIB));
    return 0;
}

static int prepare_memory_map(struct plan *p, struct error *e)
{
    if (p->o->e820 == NULL)
        return 0;
    if (p->real_xen)
        return error_set(e, EXIT_USAGE,
                         "--e820: the initial domain of a real Xen is told of the machine's own "
                         "memory map, and of no other");
    p->e820_fd = memory_map_load(p->o->e820, e);
    return p->e820_fd >= 0 ? 0 : -1;
}

/* What only our own hypervisor tells of. */
static int refuse_for_xen(const struct plan *p, struct error *e)
{
    const struct options *o = p->o;
    const char *option = o->strict          ? "--strict"
                         : o->has_records   ? "--records"
                         : o->trace != NULL ? "--trace"
                         : o->core != NULL  ? "--core"
                                            : NULL;

    if (!p->real_xen || option == NULL)
        return 0;
    return error_set(e, EXIT_USAGE, "%s: a real Xen neither records nor reports anything", option);
}

/* A relative name means the directory of now: a detached run has another one. */
static char *absolute(const char *path)
{
    char *here = path[0] != '/' ? getcwd(NULL, 0) : NULL, *whole = NULL;

    if (path[0] == '/')
        return strdup(path);
    if (here != NULL && asprintf(&whole, "%s/%s", here, path) < 0)
        whole = NULL;
    free(here);
    return whole;
}

static int prepare_explainer(struct plan *p, struct error *e)
{
    p->explainer.kernel = p->o->kernel;
    p->explainer.kernel_fd = p->kernel.elf_fd;
    p->explainer.symbols_anyway = p->o->symbols_anyway;
    p->explainer.verbose = p->o->verbose;
    if (refuse_for_xen(p, e) != 0 ||
        explainer_open(&p->explainer, p->o->symbols, p->o->nr_symbols, e) != 0)
        return -1;
    if (p->o->no_core || p->real_xen)
        return 0;
    p->core = p->o->core != NULL ? absolute(p->o->core) : corefile_default(p->o->kernel);
    if (p->core == NULL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot name the core file");
    return p->o->core == NULL || outfile_check(p->core, e) == 0 ? 0 : error_context(e, "--core");
}

static int xen_words(struct plan *p)
{
    const unsigned long long kib = p->o->memory / 1024;
    const char *more = p->o->xen_arguments != NULL ? p->o->xen_arguments : "";

    return snprintf(p->hypervisor_arguments, sizeof(p->hypervisor_arguments),
                    "console=com1 com1=115200 serial_tx_buffer=256K loglvl=all guest_loglvl=all "
                    "bootscrub=0 "
                    "dom0_mem=%lluK,max:%lluK dom0_max_vcpus=1%s%s",
                    kib, kib, more[0] != '\0' ? " " : "", more);
}

/* What a guest with a name does is its supervisor's to decide. */
static const char *suspend_word(const struct options *o)
{
    return o->name != NULL     ? " " PVMM_OPT_SUSPEND "2"
           : o->cancel_suspend ? " " PVMM_OPT_SUSPEND "1"
                               : "";
}

static int pvmm_words(struct plan *p)
{
    char seed[40] = "", e820[40] = "", records[40] = "";

    if (p->o->has_seed)
        snprintf(seed, sizeof(seed), " " PVMM_OPT_SEED "0x%llx", (unsigned long long)p->o->seed);
    if (p->e820_fd >= 0) /* the last module */
        snprintf(e820, sizeof(e820), " " PVMM_OPT_E820 "%d", p->initrd_fd >= 0 ? 2 : 1);
    if (p->o->has_records)
        snprintf(records, sizeof(records), " " PVMM_OPT_RECORDS "%llu",
                 (unsigned long long)p->o->records);
    return snprintf(p->hypervisor_arguments, sizeof(p->hypervisor_arguments),
                    PVMM_OPT_MEM "%llu " PVMM_OPT_STORE "%d " PVMM_OPT_BLANK "0x%llx%s%s%s%s%s%s",
                    (unsigned long long)p->o->memory, p->o->store, BLANK_FROM, seed, e820, records,
                    p->o->strict ? " " PVMM_OPT_STRICT "1" : "", suspend_word(p->o),
                    p->o->gdb_port != 0 ? " " PVMM_OPT_HALT "1" : "");
}

static int hypervisor_arguments(struct plan *p, struct error *e)
{
    const int n = p->real_xen ? xen_words(p) : pvmm_words(p);

    if ((size_t)n >= sizeof(p->hypervisor_arguments))
        return error_set(e, EXIT_USAGE, "--xen-args: %zu bytes are more than Xen's command line",
                         strlen(p->o->xen_arguments));
    return 0;
}

/* The guest's memory, the modules that lie beside it for a while, and the hypervisor's own. */
static int size_machine(struct plan *p, struct error *e)
{
    uint64_t bytes = p->o->memory + p->initrd_size +
                     (p->o->has_records ? 2 * p->o->records * sizeof(struct pvmm_record) : 0);

    if (p->real_xen)
        bytes += XEN_OVERHEAD + p->kernel.original_size;
    else
        bytes += OWN_OVERHEAD + p->o->memory / 32 + p->kernel.elf_size;
    if (p->o->machine_memory != 0 && p->o->machine_memory < bytes)
        return error_set(e, EXIT_USAGE, "--machine-memory: less than the %llu MiB that are needed",
                         (unsigned long long)((bytes + MIB - 1) / MIB));
    if (p->o->machine_memory != 0)
        bytes = p->o->machine_memory;
    p->megabytes = (bytes + MIB - 1) / MIB;
    return 0;
}

static int prepare_signals(struct plan *p, struct error *e)
{
    p->signals = signals_watch(e);
    return p->signals >= 0 ? 0 : -1;
}

static int64_t deadline(const struct plan *p)
{
    return p->o->timeout > 0 ? p->start + (int64_t)(p->o->timeout * (double)SECOND) : NEVER;
}

/* What the hypervisor gets as its first module: a real Xen unpacks the kernel by itself. */
static int module_fd(const struct plan *p)
{
    return p->real_xen ? p->kernel.original_fd : p->kernel.elf_fd;
}

static int prepare_disc(struct plan *p, struct error *e)
{
    const struct iso_files files = {p->hypervisor_fd, module_fd(p), p->initrd_fd, p->e820_fd};
    const struct grubcfg script = {p->real_xen, p->initrd_fd >= 0, p->e820_fd >= 0,
                                   p->hypervisor_arguments, p->guest_arguments};

    if (p->o->loader != LOADER_GRUB)
        return 0;
    p->iso_fd = iso_make(&files, &script, p->signals, deadline(p), e);
    return p->iso_fd >= 0 ? 0 : -1;
}

/* Last, so that what cannot be run never shows up, and after the signals, so that it is taken back.
 */
static int prepare_control(struct plan *p, struct error *e)
{
    const struct supervised g = {
        .name = p->o->name,
        .kernel = p->o->kernel,
        .hypervisor = p->o->hypervisor,
        .memory = p->o->memory,
        .vcpus = 1,
        .real_xen = p->real_xen,
        .explainer = &p->explainer,
    };

    if (g.name == NULL)
        return 0;
    p->control = control_open(&g, e);
    return p->control != NULL ? 0 : error_context(e, "--name %s", g.name);
}

static int prepare_memory_file(struct plan *p, struct error *e)
{
    if (p->o->memory_file == NULL)
        return 0;
    p->memory_fd = memory_file_open(p->o->memory_file, e);
    return p->memory_fd >= 0 ? 0 : error_context(e, "--memory-file");
}

/* What QEMU gets; its memory is made for each. */
static struct machine plan_machine(const struct plan *p, const char *accel)
{
    return (struct machine){
        .qemu = p->o->qemu,
        .machine = p->o->machine,
        .cpu = p->o->cpu,
        .accel = accel,
        .icount = p->o->icount,
        .gdb_port = p->o->gdb_port,
        .megabytes = p->megabytes,
        .hypervisor_fd = p->hypervisor_fd,
        .iso_fd = p->iso_fd,
        .kernel_fd = module_fd(p),
        .initrd_fd = p->initrd_fd,
        .e820_fd = p->e820_fd,
        .play = p->o->record != NULL ? PLAY_RECORD : PLAY_NOT,
        .events_fd = p->record.events_fd,
        .pipes_dir = p->record.dir,
        .hypervisor_arguments = p->hypervisor_arguments,
        .guest_arguments = p->guest_arguments,
    };
}

static int prepare_record(struct plan *p, struct error *e)
{
    const struct machine m = plan_machine(p, "tcg");

    if (p->o->record == NULL)
        return 0;
    p->explainer.recording = p->o->record;
    for (unsigned i = 0; i < p->o->nr_symbols; i++) {
        p->symbols[i] = absolute(p->o->symbols[i]);
        if (p->symbols[i] == NULL)
            return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    }
    return record_open(&p->record, p->o->record, &m, e);
}

static int prepare(struct plan *p, struct error *e)
{
    if (open_output(p->o->json, &p->json, e) != 0 || open_output(p->o->log, &p->log, e) != 0 ||
        open_output(p->o->trace, &p->trace, e) != 0 || prepare_memory_file(p, e) != 0 ||
        prepare_expect(p, e) != 0 || prepare_arguments(p, e) != 0 || prepare_guest(p, e) != 0)
        return -1;
    p->hypervisor_fd = hv_image_load(p->o->hypervisor, &p->real_xen, e);
    if (p->hypervisor_fd < 0 || prepare_memory_map(p, e) != 0 || prepare_explainer(p, e) != 0)
        return -1;
    if (hypervisor_arguments(p, e) != 0 || size_machine(p, e) != 0)
        return -1;
    if (prepare_signals(p, e) != 0 || prepare_disc(p, e) != 0 || prepare_record(p, e) != 0)
        return -1;
    return prepare_control(p, e);
}

/* Each machine begins with memory of zeroes. */
static int machine_memory(const struct plan *p, struct error *e)
{
    const uint64_t size = p->megabytes * MIB;
    int fd;

    if (p->memory_fd < 0)
        return memfd_new("machine", size, e);
    if (memory_file_clear(p->memory_fd, size, e) != 0)
        return error_context(e, "--memory-file");
    fd = fcntl(p->memory_fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? fd : error_errno(e, EXIT_ENVIRONMENT, "cannot keep the memory file open");
}

/* One machine, with the accelerator `accel`. */
static int attempt(struct plan *p, const char *accel, bool on_trial, struct console *console,
                   struct report *r, struct error *e)
{
    static struct session session; /* large, and there is one at a time */
    struct machine m = plan_machine(p, accel);
    int rc;

    session = (struct session){
        .real_xen = p->real_xen,
        .on_trial = on_trial,
        .from_disc = p->iso_fd >= 0,
        .verbose = p->o->verbose,
        .expect = p->has_expect ? &p->expect : NULL,
        .log = p->log,
        .signals = p->signals,
        .control = p->control,
        .detach = &p->detach,
        .explainer = &p->explainer,
        .store = {.wanted = p->o->store && !p->real_xen,
                  .name = p->o->name != NULL ? p->o->name : "guest",
                  .memory = p->o->memory},
        .hold = {.cancels = p->o->cancel_suspend},
        .stand = {.port = p->real_xen ? 0 : p->o->gdb_port},
        .record = p->o->record != NULL ? &p->record : NULL,
        .deadline = deadline(p),
    };
    m.ram_fd = machine_memory(p, e);
    if (m.ram_fd < 0)
        return -1;
    r->facts = (struct run_facts){.timeout = p->o->timeout};
    rc = session_run(&session, &m, console, &r->facts, e);
    close(m.ram_fd);
    r->accel = rc == 0 ? accel : NULL;
    r->facts.wall = (double)(clock_now() - p->start) / (double)SECOND;
    return rc;
}

/* Is what happened under KVM better explained by a KVM that does not work? */
static bool kvm_failed(const struct report *r, const struct console *c)
{
    const struct run_facts *f = &r->facts;

    if (f->end == END_NO_HELLO)
        return true;
    if (c->seen) /* the guest has spoken: the machine works */
        return false;
    if (f->ended)
        return f->verdict.outcome == PVMM_OUTCOME_PANIC ||
               f->verdict.outcome == PVMM_OUTCOME_KILLED;
    return f->end == END_MACHINE;
}

/* A real Xen sends no hello, so that a KVM that does not work cannot be told from a slow start. */
static bool try_kvm(const struct plan *p)
{
    return p->o->accel == ACCEL_AUTO && !p->real_xen && !p->o->icount &&
           access("/dev/kvm", R_OK | W_OK) == 0;
}

/* The log of a try that does not count. */
static void forget_log(FILE *log)
{
    if (log == NULL)
        return;
    rewind(log);
    if (ftruncate(fileno(log), 0) != 0)
        fprintf(log, "... what follows is another try\n"); /* a pipe, for instance */
}

static int start(struct plan *p, struct report *r, struct error *e)
{
    static struct console console;
    int rc;

    console.all_keys = p->o->all_keys;
    console.spool = p->o->record != NULL ? &p->record.spool : NULL;
    terminal_raw();
    if (try_kvm(p)) {
        rc = attempt(p, "kvm", true, &console, r, e);
        if (rc != 0 || !kvm_failed(r, &console))
            goto out;
        if (p->o->verbose)
            fprintf(stderr, "pvmm: KVM does not work here (%s), going on with TCG\n",
                    r->facts.qemu_said[0] != '\0' ? r->facts.qemu_said : "no sign of life");
        forget_log(p->log);
    }
    rc = attempt(p, p->o->accel == ACCEL_KVM ? "kvm" : "tcg", false, &console, r, e);
out:
    terminal_restore();
    return rc;
}

static bool core_is_due(const struct report *r)
{
    const uint32_t outcome = r->facts.verdict.outcome;

    return report_guest_is_over(r) &&
           (outcome == PVMM_OUTCOME_CRASH || outcome == PVMM_OUTCOME_KILLED ||
            outcome == PVMM_OUTCOME_BROKEN);
}

static void write_core(struct plan *p, struct core_facts *c)
{
    struct error e;

    c->path = p->core;
    if (p->explainer.view == NULL)
        snprintf(c->why, sizeof(c->why), "the machine's memory could not be read");
    else if (corefile_write(p->explainer.view, p->core, p->signals, &c->bytes, &e) != 0)
        snprintf(c->why, sizeof(c->why), "%s", e.text);
    else
        c->written = true;
}

/* What is left to do with the memory of a machine that is over. */
static void look_back(struct plan *p, struct report *r)
{
    if (p->real_xen)
        return;
    r->explainer = &p->explainer;
    if (report_guest_is_over(r))
        explainer_check(&p->explainer, stderr);
    if (core_is_due(r) && p->core != NULL)
        write_core(p, &r->core);
}

/* A run that went well failed all the same if what was wanted of it is not there. */
static void regret(struct report *r, const struct error *e)
{
    if (r->exit_code == EXIT_CLEAN)
        report_error(r, e);
    else
        fprintf(stderr, "pvmm: %s\n", e->text);
}

static void write_trace(struct plan *p, struct report *r)
{
    struct error e;

    if (p->real_xen || p->trace == NULL || explainer_trace(&p->explainer, p->trace) == 0)
        return;
    error_set(&e, EXIT_ENVIRONMENT, "cannot write %s", p->o->trace);
    regret(r, &e);
}

/* For a structure whose texts are its own, where it is only read. */
static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void finish_record(struct plan *p, struct report *r)
{
    const struct recording what = {
        .kernel = lent(p->o->kernel),
        .hypervisor = lent(p->o->hypervisor),
        .real_xen = p->real_xen,
        .memory = p->o->memory,
        .machine = lent(p->o->machine),
        .cpu = lent(p->o->cpu),
        .megabytes = p->megabytes,
        .hypervisor_arguments = p->hypervisor_arguments,
        .guest_arguments = p->guest_arguments,
        .symbols = p->symbols,
        .nr_symbols = p->o->nr_symbols,
        .symbols_anyway = p->o->symbols_anyway,
        .has_initrd = p->initrd_fd >= 0,
        .has_e820 = p->e820_fd >= 0,
        .store = p->o->store && !p->real_xen,
        .exit_code = r->exit_code,
    };
    struct error e;

    if (p->o->record == NULL)
        return;
    r->recording = p->o->record;
    if (record_finish(&p->record, r->facts.qemu_status, &what, r, &e) == 0)
        r->instructions = p->record.instructions;
    else
        regret(r, &e);
}

static void close_all(struct plan *p)
{
    if (p->has_expect)
        regfree(&p->expect);
    if (p->log != NULL)
        fclose(p->log);
    if (p->json != NULL)
        fclose(p->json);
    if (p->trace != NULL)
        fclose(p->trace);
    explainer_close(&p->explainer);
    if (p->memory_fd >= 0)
        close(p->memory_fd);
    record_close(&p->record);
    for (unsigned i = 0; i < p->o->nr_symbols; i++)
        free(p->symbols[i]);
    free(p->core);
    free(p->guest_arguments);
    detach_close(&p->detach);
}

int run(const struct options *o)
{
    static struct report r;
    static struct plan p; /* large */
    struct error e;

    p = (struct plan){
        .o = o,
        .initrd_fd = -1,
        .e820_fd = -1,
        .hypervisor_fd = -1,
        .iso_fd = -1,
        .memory_fd = -1,
        .detach = DETACH_NONE,
        .record = RECORD_NONE,
        .start = clock_now(),
        .explainer = {.ram_fd = -1, .kernel_fd = -1},
    };
    r = (struct report){
        .kernel = o->kernel, .hypervisor = o->hypervisor, .memory = o->memory, .strict = o->strict};
    if (o->detach && detach_fork(&p.detach, &e) != 0)
        report_error(&r, &e);
    else if (prepare(&p, &e) != 0 || start(&p, &r, &e) != 0) {
        record_discard(&p.record);
        report_error(&r, &e);
    } else {
        look_back(&p, &r);
        report_decide(&r);
        write_trace(&p, &r);
        finish_record(&p, &r);
    }
    control_close(p.control);
    report_print(&r, stderr);
    if (p.json != NULL && report_json(&r, p.json) != 0) {
        fprintf(stderr, "pvmm: cannot write %s\n", o->json);
        if (r.exit_code == EXIT_CLEAN)
            r.exit_code = EXIT_ENVIRONMENT;
    }
    close_all(&p);
    return r.exit_code;
}
