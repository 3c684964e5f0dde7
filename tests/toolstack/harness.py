# SPDX-License-Identifier: MIT
"""What the cases of toolstack.py are made from: the command, a guest that stays, a terminal."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time

PVMM, BUILD, GUEST = map(os.path.abspath, sys.argv[1:4])
CASE = sys.argv[4]
PATIENCE = 60
TMP = tempfile.mkdtemp()
DIR = f"{TMP}/guests"
os.environ.update(PVMM_RUNTIME_DIR=DIR, PVMM_HYPERVISOR=f"{BUILD}/hypervisor/pvmm.elf32")
started = []


def check(what, holds, more=""):
    print(f"{what}: {'yes' if holds else 'NO'}", flush=True)
    if not holds:
        sys.exit(f"FAILED: {what}\n{more}")


def spawn(*words, **how):
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    p = subprocess.Popen([PVMM, *words], **how)
    started.append(p)
    return p


def pvmm(*words, code=0, says="", **how):
    """Run a command to its end; its exit code, and what it says on stderr, are as given."""
    p = subprocess.run([PVMM, *words], capture_output=True, text=True, errors="replace",
                       timeout=PATIENCE, **({} if "input" in how else {"stdin": subprocess.DEVNULL}), **how)
    check(f"pvmm {' '.join(words)[:60]} ends with {code}", p.returncode == code,
          f"it was {p.returncode}: {p.stdout}{p.stderr}")
    check(f"  and says \"{says}\"", re.search(says, p.stderr) is not None, p.stderr)
    if says == "":
        check("  nothing else", p.stderr == "", p.stderr)
    return p.stdout


def await_that(what, holds, patience=PATIENCE):
    end = time.time() + patience
    while not holds():
        if time.time() > end:
            check(what, False)
        time.sleep(0.05)
    check(what, True)


class Reader:
    """What comes out of a descriptor, and a way to wait for it."""

    def __init__(self, fd):
        self.fd, self.text = fd, b""

    def more(self, patience=0.5):
        if not select.select([self.fd], [], [], patience)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.text += data
        return data != b""

    def await_text(self, wanted):
        end = time.time() + PATIENCE
        while wanted not in self.text and time.time() < end and self.more():
            pass
        check(f"{wanted!r} appears", wanted in self.text, repr(self.text[-2000:]))

    def rest(self):
        end = time.time() + PATIENCE
        while time.time() < end and self.more():
            pass
        return self.text


class Collector(Reader):
    """A reader that reads whether somebody waits or not: a run whose output nobody takes stands still."""

    def __init__(self, fd):
        super().__init__(fd)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        while super().more():
            pass

    def more(self, patience=0.05):
        self.thread.join(patience)
        return self.thread.is_alive()


class Guest:
    """The test guest in its echo mode, in the foreground."""

    def __init__(self, name, *options, words="echo", kernel=GUEST):
        self.name = name
        self.err = open(f"{TMP}/{name}.{len(started)}", "w+")
        self.p = spawn("run", "--no-core", "--name", name, "--accel", "tcg", "-m", "64M", "--timeout", "200",
                       "-a", words, *options, kernel, stderr=self.err)
        self.out = Collector(self.p.stdout.fileno())
        if words == "echo":
            self.out.await_text(b"echo-ready")

    def end(self, code):
        self.p.wait(PATIENCE)
        self.out.thread.join(PATIENCE)
        self.err.seek(0)
        err = self.err.read()
        check(f"guest {self.name} ends with {code}", self.p.returncode == code, err)
        check(f"the name {self.name} is free", not os.path.exists(f"{DIR}/{self.name}"))
        return err


def watch(*words):
    """A command that shows something, and stays."""
    p = spawn(*words)
    check(f"{words[0]} shows something", p.stdout.read(1) != b"")
    return p


def listed():
    return [g["name"] for g in json.loads(pvmm("list", "--json"))["guests"]]


def raw(name, data, patience=10):
    """Send bytes to a guest's socket; all that comes back until it hangs up."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(patience)
    s.connect(f"{DIR}/{name}")
    s.sendall(data)
    got = b""
    while piece := s.recv(65536):
        got += piece
    s.close()
    return got


def ask(name, word):
    """A request whose connection stays open."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(f"{DIR}/{name}")
    s.sendall(json.dumps({"pvmm": 1, "do": word}).encode() + b"\n")
    reply = b""
    while not reply.endswith(b"\n"):
        reply += s.recv(1)
    check(f"{word} is granted", json.loads(reply)["ok"])
    return s


class Terminal:
    """`pvmm console` on a pseudo terminal."""

    def __init__(self, *words):
        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        try:
            self.master, self.slave = pty.openpty()
        except OSError as e:
            print(f"no pseudo terminal to be had: {e}")
            leave(77)
        self.before = termios.tcgetattr(self.slave)
        self.p = spawn("console", *words, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                       preexec_fn=own_terminal)
        self.screen = Reader(self.master)

    def type(self, keys):
        self.screen.text = b""
        os.write(self.master, keys)

    def end(self, code):
        check(f"the console ends with {code}", self.p.wait(PATIENCE) == code)
        check("the terminal is restored", termios.tcgetattr(self.slave) == self.before)


def leave(code):
    for p in started:
        if p.poll() is None:
            p.kill()
            p.wait()
    shutil.rmtree(TMP, ignore_errors=True)
    sys.stdout.flush()
    os._exit(code)


def run_case(cases):
    """The one that the command line names, out of a module's; nothing is left of it."""
    try:
        cases[CASE]()
        code = 0
    except SystemExit as e:
        print(e.code, file=sys.stderr)
        code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    leave(code)
