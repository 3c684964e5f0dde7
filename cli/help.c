/* SPDX-License-Identifier: MIT */
#include "help.h"

const char help_main[] =
    "Usage: pvmm COMMAND [OPTION]...\n"
    "\n"
    "Boots and checks paravirtual (PV) kernels, without root and without a toolstack.\n"
    "\n"
    "Commands:\n"
    "  run KERNEL    boot a kernel; its console on stdout, a verdict on stderr\n"
    "  restore FILE  bring a saved guest back\n"
    "\n"
    "  lint FILE...  a kernel, or the objects it is made of, judged before it is booted\n"
    "  replay DIR    a run that was recorded (run --record) once more, step by step\n"
    "\n"
    "  list          the running guests that have a name (run --name)\n"
    "  console NAME  a guest's console\n"
    "  dmesg NAME    the log of a guest's hypervisor\n"
    "  trace NAME    the last acts on a guest's memory: who changed which entry, when\n"
    "  pause NAME    let a guest stand still; unpause NAME lets it go on\n"
    "  shutdown NAME ask a guest to power off; reboot NAME to reboot\n"
    "  dump NAME FILE  a guest's memory, as \"xl dump-core\" writes it\n"
    "  save NAME FILE  a guest, to be restored, as \"xl save\" writes it\n"
    "  destroy NAME  end a guest at once\n"
    "\n"
    "  inspect FILE         what an image of a guest's memory is, and what is in it\n"
    "  check FILE           the memory contract, checked in an image\n"
    "  report FILE -o PAGE  one HTML page that shows it: memory, tables, lists, findings\n"
    "  p2m FILE PFN         which frame a page has, by every list that says so\n"
    "  walk FILE VA         the way of a virtual address through the page tables\n"
    "  read FILE VA LEN     what is in memory there\n"
    "  find-maps FILE pfn:N every virtual address that maps a frame\n"
    "\n"
    "A FILE is what \"xl dump-core\" or \"xl save\" wrote, a machine's memory, a core file of\n"
    "\"pvmm run\" and the like, compressed or not; \"-\" is standard input.\n"
    "\n"
    "Options:\n"
    "  --help        this text; \"pvmm COMMAND --help\" tells more\n"
    "  --version     version and build ids, of this program and of the hypervisor that it boots\n"
    "  --commands    the names of all commands\n"
    "\n"
    "Examples:\n"
    "  pvmm run vmlinuz\n"
    "  pvmm run --expect 'login:' --timeout 120 -i initrd.img -m 256M vmlinuz\n";

const char help_run[] =
    "Usage: pvmm run [OPTION]... KERNEL\n"
    "\n"
    "Boots a 64-bit PV kernel in QEMU. The guest's console is on stdin and stdout; at its\n"
    "end a verdict is on stderr. KERNEL is a bzImage or an ELF file, compressed or not.\n"
    "\n"
    "The guest:\n"
    "  -m, --memory SIZE      memory, with K, M or G (default 512M)\n"
    "  -c, --vcpus N          virtual CPUs (1; more are not there yet)\n"
    "  -i, --initrd FILE      initial ramdisk\n"
    "  -a, --append \"WORDS\"   command line; \"console=hvc0 earlyprintk=xen\" goes before it\n"
    "                         unless it has words of its own for these\n"
    "      --hypervisor WHAT  \"pvmm\" (default), or the path of a Xen image, under which the\n"
    "                         kernel runs as the initial domain\n"
    "      --xen-args \"WORDS\" words more for a Xen image's command line\n"
    "      --seed N           seed of the order in which memory is handed out\n"
    "      --name NAME        a name by which \"pvmm list\", console, pause, save, destroy and\n"
    "                         others reach it: at most 64 letters, digits and . _ + -\n"
    "      --no-store         no xenstore for the guest (with --icount, or under a Xen image, it\n"
    "                         has none anyway)\n"
    "      --on-suspend WHAT  of a guest that suspends itself: \"end\" (default), or \"cancel\": "
    "it\n"
    "                         is told that nothing came of it, and goes on\n"
    "      --e820 FILE        the memory map that the guest is told: lines START-END TYPE (END is\n"
    "                         the last byte) or START+SIZE TYPE, passed on as they are; TYPE is\n"
    "                         ram, reserved, acpi, nvs, unusable or a number\n"
    "\n"
    "The contract (\"breaches\" are explained on stderr when they happen):\n"
    "      --strict           end the guest at the first breach, and fail; also if what it\n"
    "                         publishes for tools (its p2m list) is not right at the end, or\n"
    "                         the domain builder's root is left pinned\n"
    "      --symbols FILE     names of the kernel's addresses: an ELF file (vmlinux) or a\n"
    "                         System.map; more than one may be given. Without, the kernel's own\n"
    "                         file and Linux's tables in its memory are looked at. A file of\n"
    "                         another kernel, by its build id, is refused\n"
    "      --symbols-anyway   but for a warning, it is taken\n"
    "      --records N        length of the flight recorder, which knows who changed what (K or\n"
    "                         M; default 64K), or \"off\"\n"
    "      --trace FILE       write the whole recorder there as text, at the end\n"
    "      --core FILE        where the memory of a guest that crashed goes, in the format of\n"
    "                         \"xl dump-core\" (default: the kernel's name with .core, here)\n"
    "      --no-core          nowhere\n"
    "      --gdb[=PORT]       at the first breach stand still, before the instruction, for gdb\n"
    "                         (\"target remote localhost:PORT\", default 1234)\n"
    "\n"
    "The run:\n"
    "      --expect REGEX     succeed as soon as a line of the console matches this extended\n"
    "                         regular expression, and fail if the guest ends without; an\n"
    "                         unfinished line counts once it has stood for 250 ms\n"
    "      --timeout SECONDS  give up after that long (default: never)\n"
    "      --json FILE        write the whole verdict there, whatever it is; not \"-\", as\n"
    "                         stdout is the guest's console\n"
    "      --log FILE         write the hypervisor's log there\n"
    "      --detach           go on in the background when the guest has started; needs --name,\n"
    "                         and the exit code says only whether the guest started\n"
    "      --all-keys         on a terminal, pass Ctrl-C to the guest\n"
    "      --record DIR       keep what a replay needs in a new folder (TCG only; slower)\n"
    "  -v, --verbose          say what is done, and pass on what QEMU says\n";

const char help_run_more[] =
    "\n"
    "The machine:\n"
    "      --accel WHAT       auto (default), tcg or kvm; auto tries KVM if /dev/kvm opens,\n"
    "                         and falls back to TCG if the hypervisor does not come up; with\n"
    "                         a Xen image auto is tcg\n"
    "      --icount           let the clock count instructions: times nearly repeat (TCG only;\n"
    "                         the guest has no store, which would answer in the host's time)\n"
    "      --cpu MODEL        CPU model (default qemu64)\n"
    "      --machine TYPE     q35 (default) or pc\n"
    "      --machine-memory SIZE  memory of the machine, beyond what the guest gets (default: as\n"
    "                         little as will do)\n"
    "      --memory-file FILE keep the machine's memory in this file, sparse, as it is at the end\n"
    "      --loader WHAT      qemu (default): QEMU loads everything by multiboot; or grub: GRUB\n"
    "                         does by multiboot2, from a CD image made for it\n"
    "      --qemu PROGRAM     QEMU (default: $PVMM_QEMU, or qemu-system-x86_64)\n"
    "\n"
    "If stdin is a terminal, keys go to the guest as they are typed; Ctrl-C and Ctrl-] quit,\n"
    "with --all-keys Ctrl-] alone. The end of stdin does not end the run.\n"
    "\n"
    "Exit codes (they fit \"git bisect run\"):\n"
    "    0  the guest powered off or rebooted, or --expect was seen\n"
    "    1  the guest crashed, or ended without showing what --expect waits for, or broke the\n"
    "       contract under --strict\n"
    "  124  --timeout ran out\n"
    "  125  this kernel or initrd cannot be tested: missing, damaged, not PV, 32-bit, too big\n"
    "  128  the environment: no QEMU, QEMU died, no hypervisor image, no memory\n"
    "  129  the command line is wrong\n"
    "  130  interrupted: SIGINT, or a key that quits\n"
    "  131  the hypervisor failed, or its audit found differences\n"
    "  132  an option that is not there yet\n"
    "  133  ended by \"pvmm destroy\"\n"
    "  143  ended by SIGTERM or SIGHUP\n"
    "\n"
    "Environment:\n"
    "  PVMM_QEMU              the QEMU to run\n"
    "  PVMM_HYPERVISOR        the image behind \"--hypervisor pvmm\"\n"
    "  PVMM_RUNTIME_DIR       where guests with names are registered (default:\n"
    "                         $XDG_RUNTIME_DIR/pvmm, /run/pvmm for root, /tmp/pvmm-UID)\n"
    "  TMPDIR                 where --loader grub makes its image (default /tmp)\n"
    "  NO_COLOR               no colours in the verdict\n"
    "\n"
    "Examples:\n"
    "  pvmm run vmlinuz\n"
    "  pvmm run -i initramfs.cpio.gz -a pvmm.do=shell --all-keys vmlinuz\n"
    "  pvmm run -i initramfs.cpio.gz -m 256M --timeout 60 --expect READY vmlinuz\n"
    "  pvmm run --name web --detach -i initrd.img vmlinuz && pvmm console web\n"
    "  pvmm run --hypervisor /boot/xen-4.17-amd64.gz -i initrd.img vmlinuz\n"
    "  git bisect run sh -c 'make -j8 || exit 125; pvmm run --timeout 120 --expect init: "
    "vmlinux'\n";

const char help_replay[] =
    "Usage: pvmm replay [OPTION]... DIR\n"
    "\n"
    "Plays a run that \"pvmm run --record DIR\" recorded: the machine takes the same steps, with\n"
    "the inputs of then. Its console goes to stdout; its reports are explained on stderr where\n"
    "they were filed; at the end stands whether console and reports are the same. Stdin is not\n"
    "read.\n"
    "\n"
    "      --until FINDING    play to the instruction at which it arose, and stand before it with\n"
    "                         QEMU's debugger stub open: an identifier of its report, CODE#N (or\n"
    "                         CODE, for the first of that code)\n"
    "      --who-stored ENTRY find the instruction that stored a page-table entry: MFN:SLOT, a\n"
    "                         machine address, or a finding, for the entry that it is about; as "
    "it\n"
    "                         is when that is reported, or by --until, or at the end\n"
    "      --gdb[=PORT]       of the debugger stub (default 1234); with --who-stored, stand "
    "before\n"
    "                         the store\n"
    "      --json FILE        write what came of it there\n"
    "      --log FILE         write the hypervisor's log there\n"
    "      --symbols FILE     names of the kernel's addresses, instead of those that the run was\n"
    "                         given; more than one may be given\n"
    "      --symbols-anyway   those of another kernel are refused, or left out; with this, but "
    "for\n"
    "                         a warning, they are taken\n"
    "      --timeout SECONDS  give up after that long (default: never, but a machine that gets no\n"
    "                         further for a minute is given up)\n"
    "      --qemu PROGRAM     QEMU (default: $PVMM_QEMU, or qemu-system-x86_64)\n"
    "      --any-qemu         play with another version of QEMU than the run's too\n"
    "  -v, --verbose          say what is done, and pass on what QEMU says\n"
    "\n"
    "Exit codes:\n"
    "    0  console, reports and counts are the same; what was sought is found\n"
    "    1  they are not: where they differ first is said; there is no such finding, or no store\n"
    "    2  the recording is not complete, damaged, or of another version\n"
    "  124  --timeout ran out\n"
    "  128  the environment: no QEMU or another one, no memory\n"
    "  129  the command line is wrong\n"
    "  130  interrupted by SIGINT\n"
    "  143  ended by SIGTERM or SIGHUP\n";

/* What the commands for running guests have in common. */
#define REACHING_CODES                                                                             \
    "Exit codes:\n"                                                                                \
    "    0  done\n"                                                                                \
    "    1  no guest of that name is running\n"                                                    \
    "  128  the environment: the guest's pvmm does not answer or refuses, and the like\n"          \
    "  129  the command line is wrong\n"

const char help_list[] =
    "Usage: pvmm list [--json] [NAME]\n"
    "\n"
    "Shows the running guests that were started with \"pvmm run --name\", or only NAME.\n"
    "\n"
    "  ID       process id of the guest's pvmm\n"
    "  Mem      memory in MiB\n"
    "  State    letters as of \"xl list\", where known: r the guest was started and runs or\n"
    "           waits, p it is paused or its QEMU is stopped, s it has shut down or suspended\n"
    "           itself, c it has crashed, d it is being destroyed; b is never shown, and with\n"
    "           a Xen image r, s and c are not\n"
    "  Time(s)  CPU time that QEMU has used\n"
    "\n"
    "      --json   the same and more as JSON\n"
    "\n" REACHING_CODES;

const char help_console[] =
    "Usage: pvmm console [-e KEY] NAME\n"
    "\n"
    "Attaches to a running guest's console: shows the last 16 KiB and all that follows, and\n"
    "passes on what is typed. Any number of consoles may be attached at a time (up to 24).\n"
    "Ctrl-] leaves, and the guest runs on. Ends when the guest does.\n"
    "\n"
    "  -e, --escape KEY  another key that leaves, as in ^A (Ctrl-A)\n"
    "\n"
    "If stdin is not a terminal, it is copied to the guest, without a key that leaves; after\n"
    "its end, output is shown until the guest ends.\n"
    "\n" REACHING_CODES "  130  interrupted by SIGINT\n"
    "  143  ended by SIGTERM or SIGHUP\n";

const char help_dmesg[] =
    "Usage: pvmm dmesg [-f] NAME\n"
    "\n"
    "Shows the log of a running guest's hypervisor, of which the last 64 KiB are kept. With a\n"
    "Xen image there is none: Xen's log is on the console.\n"
    "\n"
    "  -f, --follow  go on with what is logged from now on, until the guest ends\n"
    "\n" REACHING_CODES;

const char help_trace[] =
    "Usage: pvmm trace [-f] [--json] NAME\n"
    "\n"
    "Shows the flight recorder of a running guest, of which the last acts are kept (\"pvmm run\n"
    "--records\"): number, seconds since the guest's start, what was done to which frame or\n"
    "entry, and by which function of the guest.\n"
    "\n"
    "  -f, --follow  go on with what is done from now on, until the guest ends\n"
    "      --json    the same as JSON, an object on each line\n"
    "\n" REACHING_CODES;

const char help_destroy[] =
    "Usage: pvmm destroy NAME\n"
    "\n"
    "Ends a running guest at once, without asking it, and waits until it is gone and its name\n"
    "is free. The guest's \"pvmm run\" prints its verdict and exits with 133.\n"
    "\n" REACHING_CODES;

const char help_pause[] =
    "Usage: pvmm pause NAME\n"
    "\n"
    "Lets a running guest stand still, before its next instruction, until \"pvmm unpause\": its\n"
    "clock goes on, and what is typed on its console waits. A paused guest stays paused.\n"
    "\n" REACHING_CODES;

const char help_unpause[] = "Usage: pvmm unpause NAME\n"
                            "\n"
                            "Lets a guest go on that \"pvmm pause\" stopped. One that runs goes on "
                            "running.\n"
                            "\n" REACHING_CODES;

#define ASKING_OPTIONS                                                                             \
    "  -w, --wait         and wait until it is gone\n"                                             \
    "      --timeout SECONDS  for it to answer (default 60). If it does not, the request is\n"     \
    "                     taken back, and it goes on running\n"

const char help_shutdown[] =
    "Usage: pvmm shutdown [OPTION]... NAME\n"
    "\n"
    "Asks a guest to power off, by control/shutdown in its store, as \"xl shutdown\" does, and\n"
    "waits until it has taken the request. What it then does is its own affair.\n"
    "\n"
    "      --reboot       ask it to reboot\n" ASKING_OPTIONS "\n" REACHING_CODES;

const char help_reboot[] = "Usage: pvmm reboot [OPTION]... NAME\n"
                           "\n"
                           "Asks a guest to reboot: \"pvmm shutdown --reboot\". A guest that does "
                           "has ended.\n"
                           "\n" ASKING_OPTIONS "\n" REACHING_CODES;

const char help_dump[] =
    "Usage: pvmm dump NAME FILE\n"
    "\n"
    "Writes the memory of a running guest to FILE, in the format of \"xl dump-core\", which "
    "crash,\n"
    "libkdumpfile and \"pvmm check\" read; \"-\" is standard output, which has to be a file. The\n"
    "guest stands still meanwhile, and goes on then, whatever becomes of the command. A FILE that\n"
    "is there already is replaced at the very end, or stays as it was.\n"
    "\n" REACHING_CODES "  130  interrupted by SIGINT\n"
    "  143  ended by SIGTERM or SIGHUP\n";

const char help_save[] =
    "Usage: pvmm save [OPTION]... NAME FILE\n"
    "\n"
    "Asks a running guest to suspend itself, writes it to FILE, a save stream, and ends it.\n"
    "\"pvmm restore\" and \"xl restore\" bring it back. \"-\" is standard output. The FILE that "
    "was\n"
    "there before is replaced when the new one is complete and on its disk, and only then is the\n"
    "guest ended; if anything fails, or the command is ended, the guest goes on.\n"
    "\n"
    "  -c, --checkpoint   the guest goes on afterwards\n"
    "  -p, --paused       likewise, but paused, until \"pvmm unpause\"\n"
    "      --format WHAT  \"xl\" (default), as \"xl save\" writes it, with a configuration; or\n"
    "                     \"libxc\", the stream of libxenguest alone\n"
    "      --compress[=N] with zstd, at level N (1 to 19, default 3)\n"
    "      --timeout SECONDS  for it to suspend itself (default 60). If it does not, the request\n"
    "                     is taken back, and it goes on running\n"
    "  -v, --verbose      say on stderr what is done\n"
    "\n" REACHING_CODES "  130  interrupted by SIGINT\n"
    "  143  ended by SIGTERM or SIGHUP\n";

/* What the commands on images have in common. */
#define IMAGE_OPTIONS                                                                              \
    "      --symbols FILE  names of addresses: a vmlinux or System.map; more than one may be\n"    \
    "                      given. Without, Linux's own tables in its memory are looked for\n"      \
    "                      A file of another kernel, by its build id, is refused\n"                \
    "      --symbols-anyway  but for a warning, it is taken\n"                                     \
    "      --domain N      of a machine with several domains\n"                                    \
    "      --json          the same and more as JSON\n"
#define ROOT_OPTIONS                                                                               \
    "      --vcpu N        as vCPU N sees it (default 0)\n"                                        \
    "      --user          by its root for user mode\n"                                            \
    "      --root MFN      by that root (N, mfn:N or pfn:N)\n"
#define IMAGE_CODES                                                                                \
    "    2  the image cannot be read\n"                                                            \
    "  128  the environment: no memory, and the like\n"                                            \
    "  129  the command line is wrong\n"                                                           \
    "  130  interrupted by SIGINT\n"                                                               \
    "  143  ended by SIGTERM\n"

const char help_walk[] =
    "Usage: pvmm walk [OPTION]... FILE VA|SYMBOL[+N]\n"
    "\n"
    "Shows the way of a virtual address through the page tables in an image: at each level\n"
    "where the entry lies, its value and flags, the frame it names, what that frame is, and\n"
    "where in the file all this was read.\n"
    "\n" ROOT_OPTIONS IMAGE_OPTIONS "\n"
    "Exit codes:\n"
    "    0  mapped\n"
    "    1  not mapped, or no such symbol or root; what is said tells why\n" IMAGE_CODES;

const char help_read[] =
    "Usage: pvmm read [OPTION]... FILE VA|SYMBOL[+N]|pfn:N|mfn:N LENGTH\n"
    "\n"
    "Shows what memory holds in an image, at a virtual address or from a page (pfn:N and those\n"
    "that follow) or a machine frame on. LENGTH is in bytes, with K, M, G, or 0x; a string ends\n"
    "by itself, and needs none. What is not there is left out, and named on stderr.\n"
    "\n"
    "      --as FORM       hex (default): addresses, digits and characters; raw: the bytes as\n"
    "                      they are; string: up to a NUL, on a terminal with control characters\n"
    "                      as \\xNN\n" ROOT_OPTIONS IMAGE_OPTIONS "\n"
    "Exit codes:\n"
    "    0  all of it was there\n"
    "    1  some or all of it was not, or no such symbol or root\n" IMAGE_CODES;

const char help_find_maps[] =
    "Usage: pvmm find-maps [OPTION]... FILE pfn:N|mfn:N\n"
    "\n"
    "Lists every virtual address that maps a frame, in the roots that an image tells: those of\n"
    "vCPUs, and those that are pinned, if it tells pins. Of each: the root, the address, the\n"
    "level of the entry (above L1: a superpage), where it lies, its value, what all levels\n"
    "together allow (w: to write, x: to execute, u: in user mode), the entry's flags, and a\n"
    "symbol at or before the address.\n"
    "\n"
    "      --root MFN      only in that root (N, mfn:N or pfn:N)\n" IMAGE_OPTIONS "\n"
    "Exit codes:\n"
    "    0  something maps it\n"
    "    1  nothing does, or there is no such frame\n" IMAGE_CODES;

const char help_inspect[] =
    "Usage: pvmm inspect [OPTION]... FILE\n"
    "\n"
    "What is in an image of a PV guest: the guest, its vCPUs, what it publishes, and every list\n"
    "that says which frame a pfn has, compared with each other. FILE may be compressed; \"-\" is\n"
    "standard input.\n"
    "\n"
    "Where the list that the guest publishes is short or wrong and another source knows better,\n"
    "the range is \"recovered\", and from what. A \"stale\" source holds frames of before a "
    "suspend.\n"
    "\n"
    "Options:\n" IMAGE_OPTIONS "\n"
    "Exit codes:\n"
    "    0  it could be read\n" IMAGE_CODES;

const char help_p2m[] =
    "Usage: pvmm p2m [OPTION]... FILE PFN|RANGE|all\n"
    "       pvmm p2m [OPTION]... FILE --reverse MFN|RANGE|all\n"
    "\n"
    "Which frame a pfn has, who says so, where the frame and the list's element lie, and which\n"
    "sources say something else (marked \"!\"). RANGE is FIRST-LAST or FIRST+COUNT; \"all\" is "
    "every\n"
    "pfn that any source knows. Of a single pfn every source's word follows.\n"
    "\n"
    "Options:\n"
    "  --reverse       the other way: which pfn has that frame\n"
    "  --source NAME   only what one source says: container, m2p, linear, mfn_list_list, stream,\n"
    "                  symbols, flat, tables\n" IMAGE_OPTIONS "\n"
    "Exit codes:\n"
    "    0  found\n"
    "    1  the one pfn has no frame, the frame no pfn\n" IMAGE_CODES;

const char help_check[] =
    "Usage: pvmm check [OPTION]... FILE\n"
    "\n"
    "Checks the whole memory contract of a guest that lies in a file: a dump, a saved domain,\n"
    "a machine's memory, compressed or not, or - for standard input. Each of the ten rules\n"
    "is answered: it holds, it is broken, or this kind of image cannot tell; then what breaks\n"
    "them. docs/findings.md has the cause and the remedy of each code.\n"
    "\n"
    "Options:\n"
    "      --all           all findings of a code, not only the first 16\n" IMAGE_OPTIONS "\n"
    "Exit codes:\n"
    "    0  nothing is broken\n"
    "    1  findings\n"
    "    2  no rule can be decided of what is there, or\n" IMAGE_CODES;

const char help_lint[] =
    "Usage: pvmm lint [OPTION]... FILE...\n"
    "\n"
    "Judges kernels before they are booted, and the objects and archives they are made of: is\n"
    "all that is in their page-aligned sections page-aligned, in address and size, and what\n"
    "does it shift if not; will pvmm and Xen boot it, and why not. A FILE is an ELF file or an\n"
    "archive (thin ones, too), a bzImage, or one of these compressed. docs/lint.md has the cause\n"
    "and the remedy of each code.\n"
    "\n"
    "Of several files, objects and archives that are clean are counted, and not listed.\n"
    "\n"
    "      --section NAME   one more section in which all is to be page-aligned, besides\n"
    "                       .bss..page_aligned, .data..page_aligned, .bss.page_aligned and\n"
    "                       .data.page_aligned; more than one may be given\n"
    "      --except SYMBOL  its faults are known: what is found of it is a note; more than one\n"
    "                       may be given\n"
    "      --map FILE       of one linked image: its linker's map (-Map, GNU's ld or ld.lld),\n"
    "                       which tells where such sections went\n"
    "      --sections-only  do not ask whether it boots\n"
    "  -m, --memory SIZE    memory that the guest is to have, with K, M or G (default 512M)\n"
    "  -i, --initrd FILE    initial ramdisk that it is to have\n"
    "      --json FILE      write the same and more there; \"-\" is stdout, without the text\n"
    "  -q, --quiet          only what is wrong: no notes, no answers, no count\n"
    "\n"
    "Exit codes:\n"
    "    0  nothing is wrong, as far as it can be decided\n"
    "    1  findings in any of the files\n"
    "    2  one of the files cannot be read; the others are judged all the same\n"
    "  128  the environment: no memory, and the like\n"
    "  129  the command line is wrong\n";
