# SPDX-License-Identifier: MIT
"""What the scripts of the suite `save` stand on: the command, a place of its own for each, and a clean end. A script's
first arguments: PVMM BUILD."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PVMM, BUILD = map(os.path.abspath, sys.argv[1:3])
PATIENCE = 120
TMP = tempfile.mkdtemp(prefix="save.")
DIR, SCRATCH = f"{TMP}/guests", f"{TMP}/tmp"
os.environ.update(PVMM_RUNTIME_DIR=DIR, PVMM_HYPERVISOR=f"{BUILD}/hypervisor/pvmm.elf32", TMPDIR=SCRATCH)
os.mkdir(SCRATCH)
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
    p = subprocess.run([PVMM, *words], capture_output=True, timeout=PATIENCE, **({"stdin": subprocess.DEVNULL} | how))
    err = p.stderr.decode(errors="replace")
    need(f"pvmm {' '.join(words)} ends with {p.returncode}, not {code}", p.returncode == code, err)
    need(f"pvmm {' '.join(words)} does not say {says}", re.search(says, err), err)
    return p.stdout


def processes(runtime=DIR):
    """Those with a runtime directory that begins like this in their environment; by pid, whose they are."""
    mark, found = f"PVMM_RUNTIME_DIR={runtime}".encode(), {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                ours = pid != os.getpid() and any(v.startswith(mark) for v in f.read().split(b"\0"))
            with open(f"/proc/{pid}/stat", "rb") as f:
                state, parent = f.read().rsplit(b")", 1)[1].split()[:2]
        except OSError:
            continue
        if ours and state != b"Z":
            found[pid] = int(parent)
    return found


def no_trace(what, runtime=DIR, scratch=SCRATCH):
    """No process, no guest's name, no file in TMPDIR."""
    until(f"{what}: all processes are gone", lambda: not processes(runtime), 20, lambda: str(processes(runtime)))
    names = set(os.listdir(runtime)) - {".lock"} if os.path.isdir(runtime) else set()
    need(f"{what}: names are left: {names}", not names)
    need(f"{what}: files are left: {os.listdir(scratch)}", not os.listdir(scratch))


def leave(code):
    """Whatever happened, nothing of ours stays behind; what is in the background is nobody's child."""
    for p in started:
        if p.poll() is None:
            p.kill()
            p.wait()
    for pid in processes(TMP):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    shutil.rmtree(TMP, ignore_errors=True)
    sys.stdout.flush()
    os._exit(code)


def main(case):
    """Runs it, and ends with the exit code that says how it went."""
    code = 0
    try:
        case()
    except Wrong as e:
        print(f"FAILED: {e}")
        code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    leave(code)
