# SPDX-License-Identifier: MIT
"""The three machines a kernel is measured on, how they are run, and what a run says."""
import collections
import math
import os
import re
import selectors
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts"))
import children  # pylint: disable=wrong-import-position

MACHINES = ("bare", "xen", "pvmm")
ROWS = ("null-syscall", "fork-exit", "fork-exec", "mmap-touch-munmap", "mprotect",
        "fork-copy-on-write", "pipe-ping-pong")
EMPTY = "none"  # no row of bench.c: the run has nothing but boot and power-off
TAIL_LINES = 15


class BenchError(Exception):
    """Something that keeps the measurement from being made; its text is for people."""


class Setting:
    """Where things lie, and what all machines have in common."""

    def __init__(self, build, memory="1G", timeout=900, qemu=None):
        self.build, self.memory, self.timeout = build, memory, timeout
        self.qemu = qemu or os.environ.get("PVMM_QEMU") or "qemu-system-x86_64"
        self.pvmm = f"{build}/pvmm"
        self.kernel = f"{build}/kernel/vmlinuz"
        self.pvkernel = f"{build}/kernel/pvkernel"
        self.xen = f"{build}/xen/xen-4.17-amd64.gz"
        self.ramdisk = f"{build}/bench/bench.cpio.gz"
        self.hypervisor = f"{build}/hypervisor/pvmm.elf"
        self.loaded = f"{build}/hypervisor/pvmm.elf32"
        self.plugin = f"{build}/bench/libprofile.so"
        self.no_store = []

    def check(self, *wanted):
        """Everything that running Linux takes is there, and what is wanted besides."""
        self.need(self.pvmm, self.kernel, self.ramdisk, self.loaded, *wanted)

    def need(self, *paths):
        """QEMU and these files are there: said before the first machine is started."""
        if shutil.which(self.qemu) is None:
            raise BenchError(f"no QEMU: {self.qemu} is not there or not executable (make deps)")
        how = {self.kernel: "make kernel", self.xen: "make xen"}
        for path in paths:
            if not os.access(path, os.R_OK):
                raise BenchError(f"{path} is missing ({how.get(path, 'make')})")
        # The store answers in the host's time, which an instruction count must not depend on.
        text = subprocess.run([self.pvmm, "run", "--help"], capture_output=True, text=True,
                              check=False).stdout
        self.no_store = ["--no-store"] if "--no-store" in text else []


def command(s, machine, icount, row=None, json=None, qemu=None, options=()):
    """The words that run the kernel on one of the machines; `options` are more of `pvmm run`."""
    words = " ".join(["quiet", *([row] if row else [])])
    if machine == "bare":
        return [qemu or s.qemu, "-machine", "q35,accel=tcg", "-cpu", "qemu64", "-m", s.memory,
                "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                *(["-icount", "shift=0,sleep=off"] if icount else []), "-serial", "stdio",
                "-kernel", s.kernel, "-initrd", s.ramdisk,
                "-append", f"console=ttyS0 panic=-1 {words}"]
    return [*hypervised(s, machine, qemu), *(["--icount"] if icount else []), "-i", s.ramdisk,
            "-a", words, *(["--json", json] if json else []), *options, s.kernel]


def hypervised(s, machine, qemu=None):
    """The words that run something under a hypervisor, but for what it is."""
    return [s.pvmm, "run", "--accel", "tcg", "--machine", "q35", "--cpu", "qemu64",
            "-m", s.memory, "--qemu", qemu or s.qemu,
            *(["--hypervisor", s.xen] if machine == "xen" else [*s.no_store, "--seed", "1"])]


# ---- running

Run = collections.namedtuple("Run", "lines init_seconds")
Run.__doc__ = "What a machine printed, and how long after its start the line BENCH-TSC came."

def started(words):
    try:
        return children.start(words)
    except children.Stopped:
        raise BenchError("stopped") from None
    except OSError as e:
        raise BenchError(f"cannot start {words[0]}: {e.strerror}") from e


def tail(text):
    lines = text.decode(errors="replace").replace("\r", "").splitlines()[-TAIL_LINES:]
    return "".join(f"\n    | {line}" for line in lines)


class Output:
    """What comes out of a child: both streams, and when BENCH-TSC was first seen."""

    def __init__(self, p):
        self.p, self.begun = p, time.monotonic()
        self.text = {p.stdout: bytearray(), p.stderr: bytearray()}
        self.init_seconds = None

    def note(self, stream, data):
        seen = self.text[stream]
        seen += data
        if stream is self.p.stdout and self.init_seconds is None and b"BENCH-TSC" in seen:
            self.init_seconds = time.monotonic() - self.begun

    def follow(self, timeout):
        """Read both streams to their ends; False: time ran out before."""
        with selectors.DefaultSelector() as wait:
            for stream in self.text:
                wait.register(stream, selectors.EVENT_READ)
            while wait.get_map():
                left = self.begun + timeout - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in wait.select(left):
                    data = os.read(key.fileobj.fileno(), 65536)
                    self.note(key.fileobj, data)
                    if not data:
                        wait.unregister(key.fileobj)
        return True

    def said(self):
        return tail(self.text[self.p.stdout]) + tail(self.text[self.p.stderr])


def run(words, timeout):
    """Run one machine to its end. A run that did not do all its work is an error."""
    p = started(words)
    try:
        out = Output(p)
        in_time = out.follow(timeout)
        code = p.wait(10) if in_time else None
    except subprocess.TimeoutExpired:
        raise BenchError(f"closed its output and did not end:{out.said()}") from None
    finally:
        children.end(p)
        p.stdout.close()
        p.stderr.close()
    if children.stopping:
        raise BenchError("stopped")
    if not in_time:
        raise BenchError(f"not at its end after {timeout} s; its output ends with{out.said()}")
    lines = out.text[p.stdout].decode(errors="replace").replace("\r", "").splitlines()
    why = trouble(lines, code)
    if why:
        raise BenchError(f"{why}; its output ends with{out.said()}")
    return Run(lines, out.init_seconds)


# ---- what a run says

BENCH_LINE = re.compile(r"(BENCH(?:-TSC|-PARTS|-DONE|-FAILED)?)(?: (.*))?$")


def bench_lines(lines):
    """The words of the benchmark's own lines; a console may put other words before them."""
    for line in lines:
        at = line.find("BENCH")
        found = BENCH_LINE.match(line[at:]) if at >= 0 else None
        if found:
            yield found.group(1), (found.group(2) or "").split()


def trouble(lines, code):
    """Why this was not a whole run; None if it was one."""
    seen = set()
    for key, words in bench_lines(lines):
        if key == "BENCH-FAILED":
            return f"the benchmark failed at \"{' '.join(words)}\""
        seen.add(key)
    for key in ("BENCH-TSC", "BENCH-DONE"):
        if key not in seen:
            return f"ended (exit code {code}) without {key}"
    return f"exit code {code}" if code != 0 else None


def number(text, line):
    try:
        n = float(text)
    except ValueError:
        n = math.nan
    if not math.isfinite(n) or n < 0:
        raise BenchError(f"a line that makes no sense: {line}")
    return n


def figures(lines):
    """{row: nanoseconds, "tsc": ticks, "parts": n} from a run's lines."""
    found = {}
    for key, words in bench_lines(lines):
        line = " ".join([key, *words])
        if key == "BENCH" and len(words) == 2:
            found[words[0]] = number(words[1], line)
        elif key in ("BENCH-TSC", "BENCH-PARTS") and len(words) == 1:
            found["tsc" if key == "BENCH-TSC" else "parts"] = int(number(words[0], line))
        elif key not in ("BENCH-DONE", "BENCH-FAILED"):
            raise BenchError(f"a line that makes no sense: {line}")
    return found
