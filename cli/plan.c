/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "corefile.h"
#include "e820.h"
#include "exitcodes.h"
#include "hostmem.h"
#include "hvimage.h"
#include "initrd.h"
#include "iso.h"
#include "memfd.h"
#include "outfile.h"
#include "registry.h"
#include "signals.h"

#include <pvmm/boot.h>

#define PAGE         UINT64_C(4096)
#define XEN_OVERHEAD (512 * MIB)
#define OWN_OVERHEAD (64 * MIB)     /* the hypervisor, its frame table, the firmware's holes */
#define BLANK_FROM   0x100000000ull /* firmware and loaders are 32-bit: above, all is new */
#define MODULES_MAX  (1024 * MIB)   /* QEMU puts them below the PCI hole, after the hypervisor */

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static int open_output(const char *path, FILE **out, struct error *e)
{
    if (path == NULL)
        return 0;
    *out = fopen(path, "we");
    return *out != NULL ? 0 : error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", path);
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

static int prepare_junit(struct plan *p, struct error *e)
{
    return p->o->junit != NULL ? junit_begin(&p->junit, absolute(p->o->junit), e) : 0;
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
    if (pv_image_fits(&p->kernel.image, p->memory, p->initrd_size, e) != 0)
        return error_context(e, "kernel %s", p->o->kernel);
    if (p->kernel.elf_size + p->initrd_size > MODULES_MAX)
        return error_set(e, EXIT_UNTESTABLE,
                         "kernel and initrd have %llu MiB, more than a boot loader can place",
                         (unsigned long long)((p->kernel.elf_size + p->initrd_size) / MIB));
    return 0;
}

static int prepare_signals(struct plan *p, struct error *e)
{
    if (p->signals < 0)
        p->signals = signals_watch(e);
    return p->signals >= 0 ? 0 : -1;
}

/* ---- a restore: the guest comes out of a stream, and with it what the options do not say */

/* Standard input is the stream's then, and the guest's console has none. */
static int take_stdin(struct error *e)
{
    const int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), none = open("/dev/null", O_RDONLY);

    if (fd < 0 || none < 0 || dup2(none, STDIN_FILENO) < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot take standard input for the stream");
    close(none);
    return fd;
}

bool plan_wants_stdin(const struct plan *p)
{
    return p->o->restore && strcmp(p->o->kernel, "-") == 0;
}

static bool is_readable(int fd)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) > 0;
}

/* The command may still be left by a parent that waits: signals are as they were afterwards. */
int plan_look_at_stdin(struct plan *p, struct error *e)
{
    sigset_t before;
    int rc, signals;

    if (!plan_wants_stdin(p) || isatty(STDIN_FILENO))
        return 0;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    signals = signals_watch(e);
    if (signals < 0)
        return -1;
    rc = target_open(&p->target, signals, plan_deadline(p), &p->begun, &p->begun_bytes, e);
    if (rc == 0 && is_readable(signals))
        rc = error_set(e, signals_code(signals), "-: interrupted before the guest was known");
    p->target.stays = p->o->paused;
    close(signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

bool plan_detaches(const struct plan *p)
{
    return p->o->detach || p->target.stage != TARGET_NONE;
}

static int open_stream(const struct plan *p, struct error *e)
{
    const char *path = p->o->kernel;
    struct stat st;
    int fd;

    if (plan_wants_stdin(p))
        return isatty(STDIN_FILENO)
                   ? error_set(e, EXIT_USAGE, "-: a stream does not come from a terminal")
                   : take_stdin(e);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO without a writer */
    if (fd < 0)
        return error_errno(e, EXIT_UNREADABLE, "%s", path);
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        return fd;
    close(fd);
    return error_set(e, EXIT_UNREADABLE, "%s: a folder is no stream", path);
}

/* A guest that is larger than this machine would not come far. */
static uint64_t most_pages(const struct options *o)
{
    return (o->max_memory != 0 ? o->max_memory : hostmem_all()) / PAGE;
}

/* Where the guest is to come to, others may be; where it comes from, it runs well. A file's memory
 * need not be this host's. */
static uint64_t room_for_one_more(const struct options *o)
{
    const uint64_t available = hostmem_available();

    return o->max_memory != 0 || o->memory_file != NULL || available == 0 ? most_pages(o) * PAGE
                                                                          : available;
}

/* xl's files tell what the guest is called. */
static void take_name(struct plan *p)
{
    const char *told = arrival_head(p->arrival)->name;
    struct error ignored;

    if (p->name == NULL && told[0] != '\0' && guest_name_check(told, &ignored) == 0)
        p->name = told;
}

/* A guest that nobody could reach would be lost, or stand still for ever. */
static int check_name(const struct plan *p, struct error *e)
{
    if ((!p->o->detach && !p->o->paused) || p->name != NULL)
        return 0;
    return error_set(e, EXIT_USAGE,
                     "%s wants a --name, by which the guest can be reached: the stream tells none",
                     p->o->detach ? "--detach" : "--paused");
}

static int check_name_is_free(const char *name, struct error *e)
{
    struct registry r;
    struct error ignored;
    int fd;

    if (registry_open(&r, false, e) != 0)
        return -1;
    fd = registry_connect(&r, name, &ignored);
    registry_close(&r);
    if (fd < 0)
        return 0;
    close(fd);
    return error_set(e, EXIT_ENVIRONMENT, "a guest named \"%s\" is running here", name);
}

/* All that can be told before there is a stream. */
static int accept_offer(struct plan *p, struct error *e)
{
    const struct handover_line *offer = &p->target.offer;
    const uint64_t most = room_for_one_more(p->o);
    bool xen;

    if (p->name == NULL && offer->text[0] != '\0')
        p->name = offer->text;
    if (p->name == NULL)
        return error_set(e, EXIT_USAGE, "the guest has no name: --name is wanted");
    if (guest_name_check(p->name, e) != 0 || check_name_is_free(p->name, e) != 0)
        return -1;
    if (offer->memory > most)
        return error_set(e, EXIT_ENVIRONMENT,
                         "the guest has %llu MiB, and there is room for %llu (--max-memory)",
                         (unsigned long long)(offer->memory / MIB),
                         (unsigned long long)(most / MIB));
    p->hypervisor_fd = hv_image_load(p->o->hypervisor, &xen, e);
    return p->hypervisor_fd < 0 ? -1 : target_ready(&p->target, e);
}

/* The signals first: the stream may be a pipe that nothing comes out of. */
static int prepare_stream(struct plan *p, struct error *e)
{
    struct arrival_options o = {.path = p->o->kernel,
                                .max_pfns = most_pages(p->o),
                                .live = p->o->live || target_holds_back(&p->target),
                                .paused = p->o->paused || target_holds_back(&p->target),
                                .begun = p->begun,
                                .has_begun = p->begun_bytes > 0,
                                .progress = isatty(STDERR_FILENO),
                                .deadline = plan_deadline(p)};

    if (prepare_signals(p, e) != 0)
        return -1;
    if (p->target.stage == TARGET_OFFERED && accept_offer(p, e) != 0)
        return -1;
    p->stream_fd = open_stream(p, e);
    if (p->stream_fd < 0)
        return -1;
    p->target.in = p->stream_fd;
    o.fd = p->stream_fd;
    o.signals = p->signals;
    p->arrival = arrival_open(&o, e);
    if (p->arrival == NULL)
        return -1;
    p->memory = arrival_head(p->arrival)->end_pfn * PAGE;
    take_name(p);
    return check_name(p, e);
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

/* What the core file is called after. */
static const char *called(const struct plan *p)
{
    if (!plan_wants_stdin(p))
        return p->o->kernel;
    return p->name != NULL ? p->name : "guest";
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
    p->core = p->o->core != NULL ? absolute(p->o->core) : corefile_default(called(p));
    if (p->core == NULL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot name the core file");
    return p->o->core == NULL || outfile_check(p->core, e) == 0 ? 0 : error_context(e, "--core");
}

static int xen_words(struct plan *p)
{
    const unsigned long long kib = p->memory / 1024;
    const char *more = p->o->xen_arguments != NULL ? p->o->xen_arguments : "";

    return snprintf(p->hypervisor_arguments, sizeof(p->hypervisor_arguments),
                    "console=com1 com1=115200 serial_tx_buffer=256K loglvl=all guest_loglvl=all "
                    "bootscrub=0 "
                    "dom0_mem=%lluK,max:%lluK dom0_max_vcpus=1%s%s",
                    kib, kib, more[0] != '\0' ? " " : "", more);
}

/* What becomes of a guest with a name is its supervisor's to decide (hold.h). */
static const char *suspend_word(const struct plan *p)
{
    if (p->name != NULL)
        return " " PVMM_OPT_SUSPEND "2";
    return p->o->cancel_suspend ? " " PVMM_OPT_SUSPEND "1" : "";
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
                    PVMM_OPT_MEM "%llu " PVMM_OPT_STORE "%d " PVMM_OPT_BLANK "0x%llx%s%s%s%s%s%s%s",
                    (unsigned long long)p->memory, p->o->store, BLANK_FROM, seed, e820, records,
                    p->o->strict ? " " PVMM_OPT_STRICT "1" : "", suspend_word(p),
                    p->o->gdb_port != 0 ? " " PVMM_OPT_HALT "1" : "",
                    p->arrival != NULL ? " " PVMM_OPT_INCOMING "1" : "");
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
    uint64_t bytes = p->memory + p->initrd_size +
                     (p->o->has_records ? 2 * p->o->records * sizeof(struct pvmm_record) : 0);

    if (p->real_xen)
        bytes += XEN_OVERHEAD + p->kernel.original_size;
    else
        bytes += OWN_OVERHEAD + p->memory / 32 + p->kernel.elf_size;
    if (p->o->machine_memory != 0 && p->o->machine_memory < bytes)
        return error_set(e, EXIT_USAGE, "--machine-memory: less than the %llu MiB that are needed",
                         (unsigned long long)((bytes + MIB - 1) / MIB));
    if (p->o->machine_memory != 0)
        bytes = p->o->machine_memory;
    p->megabytes = (bytes + MIB - 1) / MIB;
    return 0;
}

int64_t plan_deadline(const struct plan *p)
{
    return p->o->timeout > 0 ? p->start + (int64_t)(p->o->timeout * (double)SECOND) : NEVER;
}

/* What the hypervisor gets as its first module: a real Xen unpacks the kernel by itself. -1: a
 * guest that is brought in has none. */
static int module_fd(const struct plan *p)
{
    if (p->arrival != NULL)
        return -1;
    return p->real_xen ? p->kernel.original_fd : p->kernel.elf_fd;
}

static int prepare_disc(struct plan *p, struct error *e)
{
    const struct iso_files files = {p->hypervisor_fd, module_fd(p), p->initrd_fd, p->e820_fd};
    const struct grubcfg script = {p->real_xen, p->initrd_fd >= 0, p->e820_fd >= 0,
                                   p->hypervisor_arguments, p->guest_arguments};

    if (p->o->loader != LOADER_GRUB)
        return 0;
    p->iso_fd = iso_make(&files, &script, p->signals, plan_deadline(p), e);
    return p->iso_fd >= 0 ? 0 : -1;
}

/* Last, so that what cannot be run never shows up, and after the signals, so that it is taken back.
 */
static int prepare_control(struct plan *p, struct error *e)
{
    const struct supervised g = {
        .name = p->name,
        .kernel = p->o->kernel,
        .hypervisor = p->o->hypervisor,
        .memory = p->memory,
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
struct machine plan_machine(const struct plan *p, const char *accel)
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

int plan_prepare(struct plan *p, struct error *e)
{
    if (prepare_junit(p, e) != 0 || open_output(p->o->json, &p->json, e) != 0 ||
        open_output(p->o->log, &p->log, e) != 0 || open_output(p->o->trace, &p->trace, e) != 0 ||
        prepare_memory_file(p, e) != 0 || prepare_expect(p, e) != 0 ||
        prepare_arguments(p, e) != 0 || (p->o->restore ? prepare_stream : prepare_guest)(p, e) != 0)
        return -1;
    close_fd(p->hypervisor_fd);
    p->hypervisor_fd = hv_image_load(p->o->hypervisor, &p->real_xen, e);
    if (p->hypervisor_fd < 0 || prepare_memory_map(p, e) != 0 || prepare_explainer(p, e) != 0)
        return -1;
    if (hypervisor_arguments(p, e) != 0 || size_machine(p, e) != 0)
        return -1;
    if (prepare_signals(p, e) != 0 || prepare_disc(p, e) != 0 || prepare_record(p, e) != 0)
        return -1;
    return prepare_control(p, e);
}

struct plan plan_new(const struct options *o)
{
    return (struct plan){
        .o = o,
        .name = o->name,
        .memory = o->memory,
        .kernel = {.elf_fd = -1, .original_fd = -1},
        .stream_fd = -1,
        .target = TARGET_NO_MIGRATION,
        .initrd_fd = -1,
        .e820_fd = -1,
        .hypervisor_fd = -1,
        .iso_fd = -1,
        .memory_fd = -1,
        .signals = -1,
        .detach = DETACH_NONE,
        .record = RECORD_NONE,
        .start = clock_now(),
        .explainer = {.ram_fd = -1, .kernel_fd = -1},
        .junit = JUNIT_NONE,
    };
}

static void close_file(FILE *f)
{
    if (f != NULL)
        fclose(f);
}

void plan_close(struct plan *p)
{
    if (p->has_expect)
        regfree(&p->expect);
    close_file(p->log);
    close_file(p->json);
    close_file(p->trace);
    junit_close(&p->junit);
    explainer_close(&p->explainer);
    arrival_close(p->arrival);
    close_fd(p->stream_fd);
    close_fd(p->memory_fd);
    record_close(&p->record);
    for (unsigned i = 0; i < p->o->nr_symbols; i++)
        free(p->symbols[i]);
    free(p->core);
    free(p->guest_arguments);
    detach_close(&p->detach);
}
