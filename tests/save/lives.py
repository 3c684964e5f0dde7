# SPDX-License-Identifier: MIT
"""The project's test kernel leading a life (kernel/live.c): it suspends itself on the store's word, and tells after
each step whether its pages, lists and spaces are what they were. The script's arguments: PVMM BUILD KERNEL."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

PVMM, BUILD, KERNEL = map(os.path.abspath, sys.argv[1:4])
PATIENCE = 120
TMP = tempfile.mkdtemp(prefix="save.")
DIR, SCRATCH = f"{TMP}/guests", f"{TMP}/tmp"
os.environ.update(PVMM_RUNTIME_DIR=DIR, PVMM_HYPERVISOR=f"{BUILD}/hypervisor/pvmm.elf32", TMPDIR=SCRATCH)
os.mkdir(SCRATCH)
MARK = f"PVMM_RUNTIME_DIR={DIR}".encode()
WELL = re.compile(rb"LIVE (alive|resumed|cancelled)\b.* sum=ok lists=ok spaces=ok$")
started = []


class Wrong(Exception):
    """What a test must not see."""


def need(what, holds, more=""):
    if not holds:
        raise Wrong(f"{what}\n{more}")


def until(what, holds, patience=PATIENCE, more=lambda: ""):
    end = time.time() + patience
    while not holds():
        need(f"in {patience} s: {what}", time.time() < end, more())
        time.sleep(0.01)


def spawn(*words, **how):
    p = subprocess.Popen([PVMM, *words], **({"stdin": subprocess.DEVNULL} | how))
    started.append(p)
    return p


def pvmm(*words, code=0, says="", **how):
    """Run a command to its end; its stdout. Its exit code, and what it says on stderr, are as given."""
    p = subprocess.run([PVMM, *words], capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, **how)
    err = p.stderr.decode(errors="replace")
    need(f"pvmm {' '.join(words)} ends with {p.returncode}, not {code}", p.returncode == code, err)
    need(f"pvmm {' '.join(words)} does not say {says}", re.search(says, err), err)
    return p.stdout


def processes():
    """Those with our runtime directory, or what stands for it, in their environment; by pid, whose they are."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                ours = pid != os.getpid() and any(v.startswith(MARK) for v in f.read().split(b"\0"))
            with open(f"/proc/{pid}/stat", "rb") as f:
                state, parent = f.read().rsplit(b")", 1)[1].split()[:2]
        except OSError:
            continue
        if ours and state != b"Z":
            found[pid] = int(parent)
    return found


class Life:
    """A `pvmm run` or `pvmm restore` with its console."""

    def __init__(self, verb, name, *words):
        self.name, self.text = name, b""
        self.err = tempfile.TemporaryFile(dir=TMP)
        self.p = spawn(verb, "--name", name, "--no-core", "--accel", "tcg", "--timeout", "600", *words,
                       stdout=subprocess.PIPE, stderr=self.err)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        while data := os.read(self.p.stdout.fileno(), 65536):
            self.text += data

    def lines(self, start=0):
        whole, _, _ = self.text[start:].rpartition(b"\n")
        return [line for line in whole.replace(b"\r", b"").split(b"\n") if line.startswith(b"LIVE")]

    def errors(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def all_told(self):
        return self.text[-3000:].decode(errors="replace") + self.errors()

    def says(self, pattern, start=0):
        pattern = re.compile(pattern)
        until(f"guest {self.name} says {pattern.pattern}",
              lambda: any(map(pattern.search, self.lines(start))) or not self.thread.is_alive(), more=self.all_told)
        need(f"guest {self.name} ends, and did not say {pattern.pattern}",
             any(map(pattern.search, self.lines(start))), self.all_told())

    def is_well(self):
        """All that it said."""
        for line in self.lines():
            need("the guest complains", WELL.match(line) or re.match(rb"LIVE (banner|up|suspending|target=)", line),
                 line.decode())

    def goes_on(self):
        """It says something new, and it is good."""
        self.says(rb"LIVE alive", len(self.text))
        self.is_well()

    def end(self, code):
        """Waits for it; what it said on stderr."""
        self.p.wait(PATIENCE)
        self.thread.join(PATIENCE)
        err = self.errors()
        need(f"guest {self.name} ends with {self.p.returncode}, not {code}", self.p.returncode == code,
             self.all_told())
        return err

    def ends_well(self, code):
        err = self.end(code)
        self.is_well()
        need("the contract is not kept", "contract       kept" in err, err)
        need("the audit is not clean", "audit          clean" in err, err)
        return err


def boot(name, memory):
    g = Life("run", name, "-m", memory, "-a", "live", KERNEL)
    g.says(rb"LIVE alive")
    return g


def nothing_left(patience=20):
    """No process of ours, no guest's name, no file in TMPDIR."""
    until("all processes are gone", lambda: not processes(), patience, lambda: str(processes()))
    names = set(os.listdir(DIR)) - {".lock"} if os.path.isdir(DIR) else set()
    need(f"names are left: {names}", not names)
    need(f"files are left: {os.listdir(SCRATCH)}", not os.listdir(SCRATCH))


def main(case):
    """Runs it; whatever happens, nothing of ours stays."""
    code = 0
    try:
        case()
    except (Wrong, subprocess.TimeoutExpired) as e:
        print(f"FAILED: {e}")
        code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    for p in started:
        if p.poll() is None:
            p.kill()
            p.wait()
    shutil.rmtree(TMP, ignore_errors=True)
    sys.stdout.flush()
    os._exit(code)
