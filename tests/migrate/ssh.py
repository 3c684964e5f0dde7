#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ssh.py PVMM BUILD: a guest that is moved through a real ssh, there and back; and before a host that nobody answers
for, a session that dies and one that dies with the last answer. The server is one of our own, behind a pipe in place
of a port. Skipped where there is no server (Debian's openssh-server)."""
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../save")
from guests import TestKernel, nothing_left  # noqa: E402
from setting import DIR, PVMM, TMP, leave, main, need, no_trace, pvmm, spawn, until  # noqa: E402

SERVER = "/usr/sbin/sshd"
PRIVATE = "/run/sshd"  # which it wants to be there, where it is root
KEYS = f"{TMP}/keys"
THERE = f"{TMP}/there"
MARK = f"{TMP}/mark"
NAME = "guest"
CARRIED = ("TMPDIR", "PVMM_HYPERVISOR")  # that a session does not have of itself


class Far(TestKernel):
    """A life that is seen through `pvmm console` alone."""

    def __init__(self, runtime):
        self.name, self.errors = NAME, str
        self.talk("console", NAME, env=at(runtime))

    def end(self, code=0):
        need("its console", self.p.wait(60) == code)
        self.thread.join(60)
        self.is_content()


def at(runtime):
    return os.environ | {"PVMM_RUNTIME_DIR": runtime}


def keys():
    os.mkdir(KEYS, 0o700)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{KEYS}/{key}"], check=True)
    if os.getuid() == 0:
        os.makedirs(PRIVATE, 0o755, exist_ok=True)


def ssh(command, server=SERVER):
    """What --to is given: a command in a shell at the other side of a session."""
    options = ["StrictModes no", "UsePAM no", f"AuthorizedKeysFile {KEYS}/user.pub", "PermitRootLogin yes"]
    proxy = shlex.join([server, "-i", "-f", "/dev/null", "-h", f"{KEYS}/host", *(f"-o{o}" for o in options)])
    return "exec " + shlex.join(["ssh", "-F", "none", "-i", f"{KEYS}/user", "-o", f"ProxyCommand={proxy}",
                                 "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                                 "-o", f"UserKnownHostsFile={KEYS}/known", "localhost", command])


def restore(runtime):
    words = [f"PVMM_RUNTIME_DIR={runtime}", *(f"{name}={os.environ[name]}" for name in CARRIED)]
    return ssh(shlex.join(["env", *words, PVMM, "restore", "--accel", "tcg", "--no-core", "-"]))


def sessions():
    """Clients and servers of ours that are there still."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if KEYS in words or words.startswith("sshd: ") and parent_of(pid) in found:
            found[pid] = words
    return found


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        return f.read().rsplit(")", 1)[1].split()[1]


def no_session():
    until("the session is over", lambda: not sessions(), 10, lambda: str(sessions()))


def there_and_back():
    g = TestKernel.boot(NAME)
    for home, away in ((DIR, THERE), (THERE, DIR)):
        before = g.status()
        pvmm("migrate", NAME, "--to", restore(away), env=at(home), says="it stood still for")
        g.end()
        no_trace(f"of its life in {home}", home)
        no_session()
        g = Far(away)
        now = g.status()
        need(f"beat {before} is followed by {now}", before < now <= before + 10)
    g.leave()


def dies(how, code, says):
    """The other side's end of a session, killed while the tool waits for a word."""
    g = TestKernel.boot(NAME)
    p = spawn("migrate", NAME, "--to", ssh(f"exec {sys.executable} {HERE}/other.py {how} {MARK}"),
              stderr=subprocess.PIPE)
    until("the other end is that far", lambda: os.path.exists(MARK) and os.path.getsize(MARK), 30)
    with open(MARK, encoding="ascii") as f:
        pid = f.read().strip()
    session = parent_of(pid)
    for end in (session, pid):
        os.kill(int(end), signal.SIGKILL)
    said = p.communicate(timeout=60)[1].decode(errors="replace")
    need(f"it ends with {p.returncode}, not {code}, and says {says}", p.returncode == code and says in said, said)
    no_session()
    if code == 134:
        need("handed over", json.loads(pvmm("list", "--json", NAME))["guests"][0]["hold"] == "handed over")
        pvmm("resume", NAME)
    g.status()
    os.unlink(MARK)
    g.leave()


def nobody_answers():
    g = TestKernel.boot(NAME)
    pvmm("migrate", NAME, "--to", ssh("true", "/bin/false"), code=128, says="(?s)ssh|closed.*goes on")
    no_session()
    g.status()
    g.leave()


def cases():
    if not os.path.exists(SERVER):
        print(f"no {SERVER}: apt-get install openssh-server")
        leave(77)
    keys()
    os.mkdir(THERE, 0o700)
    for case, *given in ((there_and_back,), (dies, "mute", 128, "goes on"), (dies, "dumb", 134, "pvmm resume"),
                         (nobody_answers,)):
        case(*given)
        print("ok", case.__name__, *given, flush=True)
    shutil.rmtree(KEYS)
    shutil.rmtree(THERE)
    nothing_left()


main(cases)
