#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Guests that are made to stand still, dumped and saved: holds.py PVMM BUILD GUEST CASE

Each case has a directory of guests of its own, starts what it needs, and leaves nothing behind."""
import fcntl
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

from harness import (BUILD, CASE, DIR, GUEST, PATIENCE, PVMM, TMP, Collector, Guest, ask, await_that, check, leave,
                     pvmm, raw, spawn)

FILE = f"{TMP}/file"
KERNEL, INITRD = f"{BUILD}/kernel/vmlinuz", f"{BUILD}/initramfs.cpio.gz"
OLD = b"what was there before"


class Linux(Guest):
    """Debian's kernel with a shell on its console."""

    def __init__(self, name, *options, wait=True):
        if not os.path.exists(KERNEL):
            print(f"no {KERNEL}")
            leave(77)
        self.name = name
        self.err = open(f"{TMP}/{name}.err", "w+")
        self.p = spawn("run", "--no-core", "--name", name, "--accel", "tcg", "-m", "192M", "--timeout", "280", "-i",
                       INITRD, "-a", "pvmm.do=shell", "--all-keys", *options, KERNEL, stdin=subprocess.PIPE,
                       stderr=self.err)
        self.out = Collector(self.p.stdout.fileno())
        self.asked = 0
        if wait:
            self.out.await_text(b"# ")

    def answers(self):
        """The shell still does what it is told."""
        self.asked += 1
        self.p.stdin.write(b"echo $((7000 + %d))\n" % self.asked)
        self.p.stdin.flush()
        self.out.await_text(b"\n%d" % (7000 + self.asked))


def info(name):
    return json.loads(pvmm("list", "--json", name))["guests"][0]


def make_obedient(guest):
    """What the kernel runs when it is asked to shut down."""
    for how in b"poweroff", b"reboot":
        guest.p.stdin.write(b"printf '#!/bin/sh\\n/bin/%s -f\\n' > /sbin/%s; chmod +x /sbin/%s\n" % (how, how, how))
    guest.answers()


def left_overs():
    return [n for n in os.listdir(TMP) if n.startswith(".file.")]


def say(guest, text):
    s = ask(guest.name, "console")
    s.sendall(text)
    return s


def begin(name, word, **more):
    """A request whose reply is not waited for."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(f"{DIR}/{name}")  # with a timeout it would not wait where many do
    s.settimeout(20)
    s.sendall(json.dumps({"pvmm": 1, "do": word} | more).encode() + b"\n")
    return s


def reply(s):
    """The reply, and the descriptor that came with it."""
    text, fds, _, _ = socket.recv_fds(s, 65536, 1)
    return json.loads(text), fds


def pause():
    guest = Guest("g")
    check("pause says nothing", pvmm("pause", "g") == "")
    check("it is listed as paused", info("g")["state"] == "--p---" and info("g")["hold"] == "paused")
    pvmm("pause", "g")
    s = say(guest, b"typed\n")
    time.sleep(1)
    check("it stands still", b"echo: typed" not in guest.out.text)
    pvmm("unpause", "g")
    guest.out.await_text(b"echo: typed")
    check("it is listed as running", info("g")["state"] == "r-----" and info("g")["hold"] is None)
    pvmm("unpause", "g")
    s.sendall(b"flood\n")
    guest.out.await_text(b"flood 100:")
    pvmm("pause", "g")
    time.sleep(0.5)
    before = len(guest.out.text)
    time.sleep(1)
    check("in the middle of its output", len(guest.out.text) == before and b"flood-end" not in guest.out.text)
    pvmm("unpause", "g")
    guest.out.await_text(b"flood-end")
    check("not a line is lost", all(b"flood %d:" % i in guest.out.text for i in range(0, 6000, 7)))
    pvmm("pause", "g")
    for word in "shutdown", "reboot":
        pvmm(word, "g", code=128, says="it is paused, and cannot answer")
    pvmm("save", "g", FILE, code=128, says="it is paused, and cannot answer")
    pvmm("destroy", "g")
    guest.end(133)
    for word in "pause", "unpause", "shutdown", "reboot":
        pvmm(word, "g", code=1, says=f"pvmm {word}: no guest named")
        pvmm(word, code=129, says="a guest's name is wanted")


def dump():
    guest = Guest("g")
    line = pvmm("dump", "g", FILE)
    check("it is told", "16384 pages" in line and "stood still" in line, line)
    check("it goes on", info("g")["state"] == "r-----")
    say(guest, b"one\n")
    guest.out.await_text(b"echo: one")
    check("its memory is in order", "0 findings; 16384 frames" in pvmm("check", FILE))
    with open(FILE, "wb") as f:
        f.write(OLD)
    pvmm("pause", "g")
    pvmm("dump", "g", FILE)
    check("the old file is replaced", os.path.getsize(FILE) > 1 << 20)
    check("one that was paused stays paused", info("g")["state"] == "--p---")
    pvmm("unpause", "g")
    pvmm("dump", "g", TMP, code=129, says="there is something that is no file")
    pvmm("dump", "g", f"{TMP}/none/x", code=128, says="none/x: cannot write to .*No such file")
    pvmm("dump", "g", f"{TMP}/x/", code=129, says="no file's name")
    pvmm("dump", "g", code=129, says="name and a file")
    pvmm("dump", "none", FILE, code=1, says="no guest named")
    with open(FILE, "wb") as f:
        p = subprocess.run([PVMM, "dump", "g", "-"], stdout=f, stderr=subprocess.PIPE, timeout=PATIENCE)
    check("to standard output, told beside it", p.returncode == 0 and b"16384 pages" in p.stderr, p.stderr)
    check("that is in order, too", "0 findings; 16384 frames" in pvmm("check", FILE))
    with open("/dev/full", "wb") as full:
        p = subprocess.run([PVMM, "dump", "g", "-"], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
        check("a full disk is noticed", p.returncode == 128, p.stderr)
    check("it still runs", info("g")["state"] == "r-----")
    check("nothing is left behind", left_overs() == [])
    pvmm("destroy", "g")
    guest.end(133)


def holds():
    """What connections can do to a guest by the protocol, rightly or not."""
    guest = Guest("g")
    r, fds = reply(begin("g", "hold"))
    check("the reply names the guest", r["ok"] and r["name"] == "g" and r["memory"] == 64 << 20 and r["domid"] == 1)
    check("one descriptor comes with it", len(fds) == 1)
    for what in lambda: os.write(fds[0], b"x"), lambda: os.ftruncate(fds[0], 0):
        try:
            what()
            check("the memory can be read only", False)
        except OSError:
            pass
    os.close(fds[0])
    await_that("it goes on when that is closed", lambda: info("g")["state"] == "r-----")
    many = [begin("g", "hold") for _ in range(22)]
    for s in many:
        os.close(reply(s)[1][0])
    check("many hold it", info("g")["state"] == "--p---")
    refused = json.loads(raw("g", b'{"pvmm": 1, "do": "suspend"}\n'))
    check("no suspend meanwhile", not refused["ok"] and "dumped" in refused["error"])
    for s in many[:-1]:
        s.close()
    time.sleep(0.3)
    check("the last one still does", info("g")["state"] == "--p---")
    many[-1].close()
    await_that("and then nobody", lambda: info("g")["state"] == "r-----")
    for data in b"end\n", b"x\n", b"\n", b"\0\n", b"x" * 2000:
        s = begin("g", "hold")
        os.close(reply(s)[1][0])
        try:
            s.sendall(data)
            check(f"{data[:8]!r} ends the hold", s.recv(1) == b"")
        except (BrokenPipeError, ConnectionResetError):
            pass
        await_that("the guest goes on", lambda: info("g")["state"] == "r-----")
    # Half a line holds on; an end of what is sent is an end.
    s = begin("g", "hold")
    os.close(reply(s)[1][0])
    s.sendall(b"en")
    time.sleep(0.3)
    check("half a line changes nothing", info("g")["state"] == "--p---")
    s.shutdown(socket.SHUT_WR)
    await_that("its end does", lambda: info("g")["state"] == "r-----")
    for bad in ({"do": "suspend", "timeout": 0}, {"do": "suspend", "timeout": -1}, {"do": "suspend", "timeout": "x"},
                {"do": "suspend", "timeout": 1e9}, {"do": "suspend", "timeout": 100000}, {"do": "shutdown"},
                {"do": "shutdown", "how": 7}, {"do": "shutdown", "how": "suspend"}):
        r = json.loads(raw("g", json.dumps({"pvmm": 1} | bad).encode() + b"\n"))
        check(f"{bad} is refused", not r["ok"], r)
    # Who hangs up while he waits is forgotten, and who waits does not keep others out.
    begin("g", "suspend", timeout=100).close()
    waiting = begin("g", "suspend", timeout=100)
    time.sleep(0.2)
    check("one is waited for", "being saved" in json.loads(raw("g", b'{"pvmm": 1, "do": "suspend"}\n'))["error"])
    check("it runs meanwhile", info("g")["state"] == "r-----")
    waiting.close()
    await_that("that one is forgotten", lambda: "being saved" not in raw(
        "g", b'{"pvmm": 1, "do": "suspend", "timeout": 1}\n').decode())
    # A machine that does not run heeds nothing.
    qemu = info("g")["qemu_pid"]
    os.kill(qemu, signal.SIGSTOP)
    r = json.loads(raw("g", b'{"pvmm": 1, "do": "pause"}\n', 20))
    check("a stopped machine is given up", not r["ok"] and "does not answer" in r["error"], r)
    os.kill(qemu, signal.SIGCONT)
    await_that("and goes on", lambda: info("g")["state"] == "r-----")
    s = begin("g", "hold")
    os.close(reply(s)[1][0])
    pvmm("destroy", "g")
    check("a hold ends with the guest", s.recv(1) == b"")
    guest.end(133)


def deaf():
    """Guests that do not, or cannot, answer."""
    guest = Guest("g")
    with open(FILE, "wb") as f:
        f.write(OLD)
    pvmm("save", "--timeout", "1", "g", FILE, code=128, says='guest "g": it did not answer within 1 s; it goes on running')
    pvmm("shutdown", "--timeout", "1", "g", code=128, says="it did not answer within 1 s; it goes on running")
    pvmm("reboot", "--timeout", "1", "g", code=128, says="it did not answer within 1 s; it goes on running")
    p = spawn("save", "g", FILE)
    await_that("it is being saved", lambda: "being saved" in raw("g", b'{"pvmm": 1, "do": "unpause"}\n').decode())
    p.send_signal(signal.SIGINT)
    check("Ctrl-C ends the waiting", p.wait(PATIENCE) == 130, p.stderr.read())
    pvmm("save", "--timeout", "0", "g", FILE, code=129, says="number of seconds")
    pvmm("save", "--format", "x", "g", FILE, code=129, says="one of libxc, xl")
    pvmm("save", "--compress=20", "g", FILE, code=129, says="level of zstd")
    pvmm("save", "g", TMP, code=129, says="no file")
    say(guest, b"here\n")
    guest.out.await_text(b"echo: here")
    with open(FILE, "rb") as f:
        check("the old file is whole", f.read() == OLD)
    check("nothing is left behind", left_overs() == [])
    pvmm("destroy", "g")
    guest.end(133)
    guest = Guest("g", "--no-store")
    pvmm("save", "g", FILE, code=128, says="it has no store")
    pvmm("shutdown", "g", code=128, says="it has no store")
    pvmm("destroy", "g")
    guest.end(133)


def save():
    guest = Linux("l", "--json", f"{TMP}/json")
    for options in (), ("--format", "libxc"), ("--compress",):
        line = pvmm("save", "--checkpoint", *options, "l", FILE)
        check("it is told", "49152 pages" in line, line)
        guest.answers()
        check("the file is in order", "0 findings; 49152 frames" in pvmm("check", FILE))
    pvmm("save", "--paused", "l", FILE)
    await_that("--paused leaves it paused", lambda: info("l")["state"] == "--p---")
    pvmm("unpause", "l")
    guest.answers()
    p = subprocess.run(f"{PVMM} save -c --format libxc l - | cat > {FILE}", shell=True, timeout=PATIENCE,
                       stderr=subprocess.PIPE, text=True)
    check("into a pipe", p.returncode == 0 and "49152 pages" in p.stderr, p.stderr)
    check("that is in order, too", "0 findings; 49152 frames" in pvmm("check", FILE))
    p = spawn("save", "l", "-")
    p.stdout.read(100000)
    p.stdout.close()
    check("a reader that leaves is an error", p.wait(PATIENCE) == 128)
    guest.answers()
    with open("/dev/full", "wb") as full:
        check("so is a full disk", spawn("save", "l", "-", stdout=full).wait(PATIENCE) == 128)
    guest.answers()
    pvmm("dump", "l", f"{TMP}/dump")
    check("a dump of it is in order", "0 findings" in pvmm("check", f"{TMP}/dump"))
    guest.answers()
    with open(FILE, "wb") as f:
        f.write(OLD)
    pvmm("save", "l", FILE)
    err = guest.end(0)
    check("the verdict says so", "clean: the guest was saved" in err, err)
    with open(f"{TMP}/json") as f:
        check("in JSON too", json.load(f)["outcome"] == "saved")
    check("the file is in order", "0 findings; 49152 frames" in pvmm("check", FILE))
    check("nothing is left behind", left_overs() == [])


def in_pipe(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]


def given_up_late():
    """Ctrl-C when all is written and its disk is waited for: the guest goes on, and the old file stays."""
    guest = Linux("l")
    with open(FILE, "wb") as f:
        f.write(OLD)
    # What --verbose says stops in a pipe that is full, behind this line; the times have one digit and two.
    lines = ["the guest is asked to suspend itself", "it has, and stands still", "all is written"]
    length = sum(len(f"pvmm save: 0.00 s: {line}\n") for line in lines)
    end, full = os.pipe()
    fcntl.fcntl(full, fcntl.F_SETPIPE_SZ, 4096)
    os.write(full, b"." * (4096 - 10 - length))
    p = spawn("save", "--checkpoint", "--verbose", "l", FILE, stderr=full)
    os.close(full)
    await_that("all is said to be written", lambda: in_pipe(end) >= 4096 - 10)
    await_that("the guest goes on", lambda: info("l")["state"] == "r-----")
    p.send_signal(signal.SIGINT)
    said = b""
    while piece := os.read(end, 4096):
        said += piece
    check("it is interrupted", p.wait(PATIENCE) == 130 and b"interrupted" in said, said)
    with open(FILE, "rb") as f:
        check("the old file is there", f.read() == OLD)
    guest.answers()
    check("nothing is left behind", left_overs() == [])


def piped():
    """Out of one pvmm and into the next; what becomes of the guest there has its name."""
    here = f"{TMP}/here"
    os.mkdir(here)
    guest = Linux("l")
    p = subprocess.Popen(f"{PVMM} save l - | {PVMM} restore --name r --accel tcg --timeout 200 -", shell=True, cwd=here,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    guest.end(0)
    await_that("it is there", lambda: info("r")["state"] == "r-----")
    s = ask("r", "console")
    s.sendall(b"echo $((7000 + 77))\n")
    said = b""
    while b"\n7077" not in said and (piece := s.recv(4096)):
        said += piece
    check("it answers", b"\n7077" in said, said)
    s.sendall(b"echo c > /proc/sysrq-trigger\n")
    _, err = p.communicate(timeout=PATIENCE)
    check("it crashed", p.returncode == 1 and "the guest crashed" in err, f"{p.returncode} {err}")
    check("its core has its name", os.listdir(here) == ["r.core"], os.listdir(here))


def mishaps():
    """A save that is killed, or ended, at any moment: the guest goes on, and the old file is whole."""
    guest = Linux("l")
    with open(FILE, "wb") as f:
        f.write(OLD)
    random.seed(time.time_ns())
    replaced = 0
    for number in [signal.SIGKILL] * 8 + [signal.SIGINT, signal.SIGTERM] * 3:
        p = spawn("save", "--checkpoint", "l", FILE)
        time.sleep(random.uniform(0, 1.5))
        p.send_signal(number)
        code = p.wait(PATIENCE)
        guest.answers()
        check(f"signal {number} is survived", info("l")["state"] == "r-----")
        check("with its exit code", code in (0, {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]))
        if os.path.getsize(FILE) != len(OLD):
            replaced += 1
            check("what is new is whole", "0 findings; 49152 frames" in pvmm("check", FILE))
            with open(FILE, "wb") as f:
                f.write(OLD)
        with open(FILE, "rb") as f:
            check("what is old is whole", f.read() == OLD)
    print(f"{replaced} of 14 were done before")
    check("nothing is left behind", left_overs() == [])
    # Requests that are given up at once, and at any time after: a late answer suspends it for nobody.
    for _ in range(20):
        s = begin("l", "suspend")
        time.sleep(random.uniform(0, 0.4))
        s.close()
    guest.answers()
    for _ in range(5):
        p = spawn("dump", "l", FILE)
        time.sleep(random.uniform(0, 0.5))
        p.kill()
        p.wait()
        guest.answers()
    s = begin("l", "suspend")
    r, fds = reply(s)
    check("it stands", r["ok"] and info("l")["state"] == "---s--" and info("l")["hold"] == "suspended")
    s.sendall(b"nonsense\n")
    check("nonsense ends it", s.recv(1) == b"")
    guest.answers()
    s = begin("l", "suspend")
    s.sendall(b"en")
    reply(s)
    s.sendall(b"d\n")
    check("the end in two pieces", s.recv(1) == b"")
    guest.end(0)


def asked():
    """Guests that are asked to shut down, and one that is asked before it can answer."""
    guest = Linux("l", wait=False)
    await_that("it has a name", lambda: os.path.exists(f"{DIR}/l"))
    await_that("it has started", lambda: info("l")["state"] == "r-----")
    pvmm("save", "--checkpoint", "l", FILE)
    guest.out.await_text(b"# ")
    make_obedient(guest)
    check("shutdown says nothing", pvmm("shutdown", "--wait", "l") == "")
    check("it powered off", "powered off" in guest.end(0))
    guest = Linux("l")
    make_obedient(guest)
    pvmm("reboot", "-w", "l")
    check("it rebooted", "rebooted" in guest.end(0))


def main():
    try:
        globals()[CASE]()
        code = 0
    except SystemExit as e:
        print(e.code, file=sys.stderr)
        code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    leave(code)


main()
