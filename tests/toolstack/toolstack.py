#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Guests with names, as a user meets them: toolstack.py PVMM BUILD GUEST CASE

Each case has a directory of guests of its own, starts what it needs, and leaves nothing behind."""
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import time

from harness import (BUILD, CASE, DIR, GUEST, PATIENCE, PVMM, TMP, Guest, Reader, Terminal, ask,
                     await_that, check, leave, listed, pvmm, raw, run_case, spawn, watch)

# --- cases


def names():
    run = ["run", "--accel", "tcg", "--name"]
    for name in "", ".", "..", "-x", ".x", "a/b", "../x", "a b", "a\nb", "ä", "x" * 65:
        pvmm(*run, name, GUEST, code=129, says="--name: .*name")
    for command in "list", "console", "dmesg", "trace", "destroy", "pause", "unpause", "shutdown", "reboot":
        pvmm(command, "a/b", code=129, says="another")
        pvmm(command, "none", code=1, says=f"pvmm {command}: no guest named \"none\" is running")
        pvmm(command, "a", "b", code=129, says="follows it")
        pvmm(command, "--frobnicate", code=129, says="frobnicate")
        check(f"{command} --help", "Usage: pvmm " + command in pvmm(command, "--help"))
    pvmm("console", code=129, says="name is wanted")
    check("nothing was made", not os.path.exists(DIR))
    guest, longest = Guest("a.b_c+d-E9"), Guest("x" * 64)
    pvmm(*run, guest.name, GUEST, code=128,
         says=f'"a.b_c.d-E9" is running already .its pvmm is process {guest.p.pid}')
    check("both are listed", listed() == [guest.name, longest.name])
    for g in guest, longest:
        pvmm("destroy", g.name)
        g.end(133)
    check("the name can be had again", Guest(guest.name).p.poll() is None)


def directory():
    run = ["run", "--accel", "tcg", "--name", "a", GUEST]

    def refused(says):
        pvmm(*run, code=128, says=says)
        pvmm("list", code=128, says=says)

    os.mkdir(DIR)
    os.chmod(DIR, 0o755)
    refused("others may use it")
    os.rmdir(DIR)
    os.symlink(TMP, DIR)
    refused("cannot open it")
    os.unlink(DIR)
    open(DIR, "w").close()
    refused("cannot open it")
    os.unlink(DIR)
    pvmm("list", "x", code=1, says="no guest")
    os.environ["PVMM_RUNTIME_DIR"] = f"{TMP}/no/such"
    pvmm(*run, code=128, says="cannot make it: No such file")
    os.environ["PVMM_RUNTIME_DIR"] = "/" + "x" * 300
    pvmm("list", code=128, says="too long")
    if os.geteuid() == 0:
        os.mkdir(DIR, 0o700)
        os.chown(DIR, 65534, -1)
        os.environ["PVMM_RUNTIME_DIR"] = DIR
        refused("it belongs to user 65534")
        os.rmdir(DIR)
    # Without the variable: the user's runtime directory.
    del os.environ["PVMM_RUNTIME_DIR"]
    os.environ["XDG_RUNTIME_DIR"] = TMP
    os.mkdir(f"{TMP}/pvmm", 0o755)
    os.chmod(f"{TMP}/pvmm", 0o755)
    refused(f"{TMP}/pvmm: others may use it")
    # A long path is no hindrance, and a file in the way stays.
    os.environ["PVMM_RUNTIME_DIR"] = deep = f"{TMP}/{'x' * 150}"
    os.mkdir(deep, 0o700)
    open(f"{deep}/a", "w").close()
    pvmm(*run, code=128, says="in the way, and is no socket")
    check("the file is still there", os.path.exists(f"{deep}/a"))
    os.unlink(f"{deep}/a")
    Guest("a")


def fake_qemu():
    path = f"{TMP}/qemu"
    with open(path, "w") as f:
        f.write("#!/bin/sh\nexec sleep 100\n")
    os.chmod(path, 0o700)
    return path


def race():
    """Of many that want one name at one time, with a dead one's socket there, one gets it."""
    qemu = fake_qemu()
    for _ in range(4):
        os.makedirs(DIR, 0o700, exist_ok=True)
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(f"{DIR}/x")
        dead.close()
        crowd = [spawn("run", "--name", "x", "--accel", "tcg", "--qemu", qemu, GUEST)
                 for _ in range(8)]
        await_that("seven give up", lambda: sum(p.poll() is not None for p in crowd) == 7)
        time.sleep(0.3)
        check("with 128", sorted(str(p.poll()) for p in crowd) == ["128"] * 7 + ["None"])
        alive = next(p for p in crowd if p.poll() is None)
        check("one is listed", json.loads(pvmm("list", "--json"))["guests"][0]["id"] == alive.pid)
        pvmm("destroy", "x")
        check("it was that one", alive.wait(PATIENCE) == 133)
    # The window is narrow, so it is held open: while another has the lock, nobody touches a thing.
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{DIR}/x")
    before = os.stat(f"{DIR}/x").st_ino
    with open(f"{DIR}/.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pair = [spawn("run", "--name", "x", "--accel", "tcg", "--qemu", qemu, GUEST)
                for _ in range(2)]
        cleaner = spawn("list")
        time.sleep(2)
        check("all wait for the lock", [p.poll() for p in (*pair, cleaner)] == [None] * 3)
        check("the stale socket is untouched", os.stat(f"{DIR}/x").st_ino == before)
    await_that("one gives up", lambda: sum(p.poll() == 128 for p in pair) == 1)
    await_that("one lives", lambda: listed() == ["x"])
    check("list was not in the way", cleaner.wait(PATIENCE) == 0)


def list_():
    check("nothing runs", pvmm("list").split() == ["Name", "ID", "Mem", "VCPUs", "State", "Time(s)"])
    check("not even JSON", json.loads(pvmm("list", "--json")) == {"format": 1, "guests": []})
    b, a = Guest("b"), Guest("a", "-m", "128M")
    lines = pvmm("list").splitlines()
    row = re.fullmatch(rf"a +{a.p.pid} +128 +1 +r----- +(\d+\.\d)", lines[1])
    check("a table", len(lines) == 3 and row and lines[2].startswith("b "), "\n".join(lines))
    one = pvmm("list", "b").splitlines()
    check("one alone", len(one) == 2 and one[1].startswith("b "))
    facts = json.loads(pvmm("list", "--json", "b"))["guests"]
    check("as JSON", len(facts) == 1 and facts[0]["memory"] == 64 << 20 and facts[0]["vcpus"] == 1
          and facts[0]["id"] == b.p.pid and facts[0]["hypervisor"] == "pvmm"
          and facts[0]["kernel"] == GUEST and facts[0]["state"] == "r-----")
    before = facts[0]["cpu_seconds"]
    console = ask("b", "console")
    console.sendall(b"flood\n")
    b.out.await_text(b"flood-end")
    check("CPU time grows", json.loads(pvmm("list", "--json", "b"))["guests"][0]["cpu_seconds"] > before)
    os.kill(facts[0]["qemu_pid"], signal.SIGSTOP)
    await_that("a stopped QEMU is p", lambda: "--p---" in pvmm("list", "b"))
    os.kill(facts[0]["qemu_pid"], signal.SIGCONT)
    await_that("and goes on", lambda: "r-----" in pvmm("list", "b"))
    # A supervisor that does not answer is said to be so, and the others are shown.
    os.kill(b.p.pid, signal.SIGSTOP)
    out = pvmm("list", code=128, says='guest "b": it does not answer')
    check("the others are shown", f" {a.p.pid} " in out)
    os.kill(b.p.pid, signal.SIGCONT)
    with open("/dev/full", "w") as full:
        check("a full disk is noticed", spawn("list", stdout=full).wait(PATIENCE) == 128)


def console():
    guest = Guest("g")
    t = Terminal("g")
    t.screen.await_text(b"echo-ready")
    check("the terminal is raw", not termios.tcgetattr(t.slave)[3] & (termios.ICANON | termios.ISIG))
    t.type(b"hello\r")
    t.screen.await_text(b"echo: hello")
    t.type(b"a\x03b\x1ac\r")
    t.screen.await_text(b"echo: a\x03b\x1ac")
    t.type(b"last\r\x1d")
    t.end(0)
    guest.out.await_text(b"echo: last")
    t = Terminal("-e", "^A", "g")
    t.screen.await_text(b"echo: last")
    t.type(b"x\x1dy\r")
    t.screen.await_text(b"echo: x\x1dy")
    t.type(b"\x01")
    t.end(0)
    for key in "A", "^", "^a", "^AB", "":
        pvmm("console", "-e", key, "g", code=129, says="--escape")
    for number, code in (signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130):
        t = Terminal("g")
        t.screen.await_text(b"echo: x")
        t.p.send_signal(number)
        t.end(code)
    t = Terminal("g")
    t.screen.await_text(b"echo: x")
    os.close(t.slave)
    os.close(t.master)
    check("a hung-up terminal ends it", t.p.wait(PATIENCE) in (0, 128, 143))
    t = Terminal("g")
    t.screen.await_text(b"echo: x")
    t.type(b"off\r")
    t.screen.await_text(b'guest "g" is gone')
    t.end(0)
    guest.end(0)


def consoles():
    """Two consoles and the run's own see the same; what came before them is the last 16 KiB."""
    guest = Guest("g")
    one, two = Terminal("g"), Terminal("g")
    for t in one, two:
        t.screen.await_text(b"echo-ready")
    for t, word in (one, b"from-one"), (two, b"from-two"):
        t.type(word + b"\r")
        for reader in one.screen, two.screen, guest.out:
            reader.await_text(b"echo: " + word)
    one.type(b"\x1d")
    one.end(0)
    two.type(b"flood\r")
    two.screen.await_text(b"flood-end")
    guest.out.await_text(b"flood-end")
    late = ask("g", "console")
    late.sendall(b"off\n")
    text = b""
    while piece := late.recv(65536):
        text += piece
    back = text[:text.index(b"flood-end")]
    check("the scrollback is 16 KiB", 16000 < len(back) <= 16384)
    check("and has no gap", not re.search(rb"bytes lost", text))
    two.screen.await_text(b"echo: off")
    two.end(0)
    guest.end(0)
    lines = re.findall(rb"flood (\d+):", guest.out.text)
    check("the run's own console saw all", [int(n) for n in lines] == list(range(6000)))


def pipe():
    """Without a terminal: the end of input is not the end, no key leaves, no byte is lost."""
    guest = Guest("g")
    p = spawn("console", "g", stdin=subprocess.PIPE)
    p.stdin.write(b"one\n\x1dtwo\n")
    p.stdin.close()
    out = Reader(p.stdout.fileno())
    out.await_text(b"echo: \x1dtwo")
    check("it stays", p.poll() is None)
    for i in range(40):  # with output under way to them, these leave as soon as they have typed
        with ask("g", "console") as s:
            s.sendall(b"quick %d\n" % i)
    await_that("who leaves at once is heard", lambda: out.more() and {
        int(n) for n in re.findall(rb"echo: quick (\d+)", out.text)} == set(range(40)))
    lines = b"".join(b"line %d\n" % i for i in range(1000))
    pvmm_input = spawn("console", "g", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    pvmm_input.stdin.write(lines + b"off\n")
    pvmm_input.stdin.close()
    text = out.rest()
    check("all input arrived", re.findall(rb"echo: line (\d+)", text)
          == [b"%d" % i for i in range(1000)])
    check("both end with the guest", p.wait(PATIENCE) == 0 and pvmm_input.wait(PATIENCE) == 0)
    guest.end(0)


def stuck():
    """Consoles that do not read hold up nobody, and are told what they missed."""
    guest = Guest("g")
    sleepers = [ask("g", "console") for _ in range(20)]
    start = time.time()
    for _ in range(3):
        sleepers[0].sendall(b"flood\n")
        guest.out.text = b""
        guest.out.await_text(b"flood-end")
    print(f"three floods took {time.time() - start:.1f} s")
    check("others are answered", listed() == ["g"])
    others = [ask("g", "console") for _ in range(4)]
    check("there is a limit", b"too many" in raw("g", b'{"pvmm": 1, "do": "console"}\n'))
    check("but not for the rest", listed() == ["g"])
    sleepers[1].settimeout(5)
    text = b""
    while b"bytes lost: read too slowly" not in text:
        text += sleepers[1].recv(65536)
    check("the gap is owned up to", True)
    for s in sleepers[2:] + others:
        s.close()
    await_that("who leaves makes room", lambda: b"too many" not in peek("g"))
    sleepers[0].sendall(b"off\n")
    guest.end(0)


def peek(name):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{DIR}/{name}")
        s.sendall(b'{"pvmm": 1, "do": "console"}\n')
        return s.recv(64)


def dmesg():
    guest = Guest("g", "--log", f"{TMP}/log")
    text = pvmm("dmesg", "g")
    with open(f"{TMP}/log") as f:
        log = f.read()
    check("dmesg shows the log", len(text) > 100 and text == log, text + "\n---\n" + log)
    p = spawn("dmesg", "--follow", "g")
    out = Reader(p.stdout.fileno())
    out.await_text(text.encode()[-40:])
    check("--follow stays", p.poll() is None)
    ask("g", "console").sendall(b"crash\n")
    whole = out.rest()
    check("--follow ends with the guest", p.wait(PATIENCE) == 0)
    check("and has shown its end", whole.startswith(text.encode()) and len(whole) > len(text))
    guest.end(1)
    with open(f"{TMP}/log", "rb") as f:
        check("all of it", f.read() == whole)


def trace():
    guest = Guest("g", "--trace", f"{TMP}/trace")
    text = pvmm("trace", "g")
    numbers = [int(line.split()[0]) for line in text.splitlines()]
    check("the trace has records", len(numbers) > 0 and numbers == list(range(len(numbers))), text)
    records = [json.loads(line) for line in pvmm("trace", "--json", "g").splitlines()]
    check("as JSON too", [r["record"] for r in records] == numbers)
    check("and in order", all(a["seconds"] <= b["seconds"] for a, b in zip(records, records[1:])))
    p = spawn("trace", "--follow", "g")
    out = Reader(p.stdout.fileno())
    out.await_text(text.encode()[-40:])
    check("--follow stays", p.poll() is None)
    ask("g", "console").sendall(b"crash\n")
    whole = out.rest()
    check("--follow ends with the guest", p.wait(PATIENCE) == 0 and whole.startswith(text.encode()))
    err = guest.end(1)
    check("the crash is explained", "pvmm: crash[crash]: " in err, err)
    with open(f"{TMP}/trace") as f:
        check("--trace has all of it", f.read().startswith(text))
    guest = Guest("g", "--records", "off")
    pvmm("trace", "g", code=128, says="its recorder is off")
    pvmm("destroy", "g")
    guest.end(133)


def destroy():
    guest = Guest("g", "--json", f"{TMP}/json")
    qemu = json.loads(pvmm("list", "--json", "g"))["guests"][0]["qemu_pid"]
    watcher = watch("dmesg", "-f", "g")
    check("destroy says nothing", pvmm("destroy", "g") == "")
    check("QEMU is gone", not os.path.exists(f"/proc/{qemu}"))
    check("the name is free", not os.path.exists(f"{DIR}/g"))
    check("the verdict says so", "stopped: the guest was destroyed on request" in guest.end(133))
    with open(f"{TMP}/json") as f:
        verdict = json.load(f)
    check("in JSON too", verdict["outcome"] == "destroyed" and verdict["exit_code"] == 133)
    check("watchers end", watcher.wait(PATIENCE) == 0)
    pvmm("destroy", "g", code=1, says="no guest")
    guest = Guest("g")
    both = [spawn("destroy", "g"), spawn("destroy", "g")]
    check("two at once", {p.wait(PATIENCE) for p in both} <= {0, 1})
    guest.end(133)
    # Before the hypervisor has said a word.
    p = spawn("run", "--name", "g", "--accel", "tcg", "--qemu", fake_qemu(), GUEST)
    await_that("it is listed", lambda: listed() == ["g"])
    check("its state is not known", "------" in pvmm("list", "g"))
    check("its log is empty", pvmm("dmesg", "g") == "")
    pvmm("destroy", "g")
    check("that one ends, too", p.wait(PATIENCE) == 133)


def signals():
    for number, code in (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143):
        guest = Guest("g")
        watcher = watch("console", "g")
        guest.p.send_signal(number)
        guest.end(code)
        check("its console ends", watcher.wait(PATIENCE) == 0)
    check("only the lock is left", os.listdir(DIR) == [".lock"])
    guest = Guest("g")
    guest.p.send_signal(signal.SIGINT)
    check("a name is free at once", Guest("h").p.poll() is None and guest.p.wait(PATIENCE) == 130)


def killed():
    """A supervisor that had no time to clean up."""
    guest, other = Guest("g"), Guest("other")
    watcher = watch("console", "g")
    guest.p.kill()
    guest.p.wait()
    check("its socket is left", os.path.exists(f"{DIR}/g"))
    check("its console ends", watcher.wait(PATIENCE) == 0)
    pvmm("list", "g", code=1, says="no guest")
    pvmm("console", "g", code=1, says="no guest")
    pvmm("destroy", "g", code=1, says="no guest")
    again = Guest("g")
    check("the name can be taken", listed() == ["g", "other"])
    again.p.kill()
    again.p.wait()
    check("list skips it", listed() == ["other"])
    check("and cleans it", not os.path.exists(f"{DIR}/g"))
    # Somebody removed the socket, and another guest has the name: it keeps it.
    os.unlink(f"{DIR}/other")
    successor = Guest("other")
    other.p.send_signal(signal.SIGTERM)
    check("the first one ends", other.p.wait(PATIENCE) == 143)
    check("the second keeps the name", listed() == ["other"] and successor.p.poll() is None)


def garbage():
    guest = Guest("g")
    for data in (b"\n", b"\0\n", b"\xff\xfe\n", b"{\n", b"[]\n", b'{"pvmm": 1}\n', b"GET / HTTP/1.0\r\n\r\n",
                 b'{"pvmm": 99, "do": "destroy"}\n', b'{"pvmm": 1, "do": "frobnicate"}\n',
                 b"x" * 1024, os.urandom(1000).replace(b"\n", b"") + b"\n"):
        reply = json.loads(raw("g", data))
        check(f"{data[:20]!r} is refused: {reply.get('error')}", not reply["ok"])
    s = socket.socket(socket.AF_UNIX)
    s.connect(f"{DIR}/g")
    s.sendall(b"half a requ")
    s.shutdown(socket.SHUT_WR)
    check("half a request", b"has no end" in s.recv(1000))
    silent = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for s in silent:
        s.connect(f"{DIR}/g")
    time.sleep(6)
    check("who is silent is shown out", listed() == ["g"])
    # In pieces, with the console's input in the same breath.
    s = socket.socket(socket.AF_UNIX)
    s.connect(f"{DIR}/g")
    for piece in b'{"pvmm"', b': 1, "do": "con', b'sole"}\nat-once\n':
        s.sendall(piece)
        time.sleep(0.1)
    guest.out.await_text(b"echo: at-once")
    # A server that talks nonsense.
    for reply, says in ((b"", "has just ended"), (b"{", "hung up"), (b"hello\n", "no sense"), (b"{}\n", "no sense"),
                        (b"x" * 20000, "too long"), (b'{"pvmm": 2, "ok": true}\n', "version"),
                        (b'{"pvmm": 1, "ok": false, "code": 0}\n', "without a reason")):
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{DIR}/liar")
        server.listen()
        p = spawn("dmesg", "liar")
        peer = server.accept()[0]
        peer.recv(1000)
        peer.sendall(reply)
        peer.close()
        check(f"a reply of {reply[:20]!r}", p.wait(PATIENCE) == (128 if reply else 1)
              and says in p.stderr.read().decode())
        server.close()
        os.unlink(f"{DIR}/liar")
    if os.geteuid() == 0:
        others_are_refused()
    check("the guest still runs", guest.p.poll() is None)
    pvmm("destroy", "g")
    guest.end(133)


def others_are_refused():
    """Even if somebody opened the directory's doors, another user gets nothing."""
    os.chmod(TMP, 0o755)
    os.chmod(DIR, 0o777)
    os.chmod(f"{DIR}/g", 0o777)
    code = ("import os, socket, sys\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\n"
            "s.connect(sys.argv[1])\ns.settimeout(10)\n"
            "try:\n s.sendall(b'{\"pvmm\": 1, \"do\": \"destroy\"}\\n')\n sys.exit(len(s.recv(1)))\n"
            "except OSError:\n pass\n")
    check("another user is refused",
          subprocess.run([sys.executable, "-c", code, f"{DIR}/g"], timeout=PATIENCE).returncode == 0)
    os.chmod(DIR, 0o700)


def detach():
    run = ["run", "--detach", "--accel", "tcg", "-m", "64M", "-a", "echo", "--json", f"{TMP}/json"]
    pvmm("run", "--detach", GUEST, code=129, says="wants a --name")
    check("it starts", pvmm(*run, "--name", "g", "--timeout", "100", GUEST) == "")
    facts = json.loads(pvmm("list", "--json", "g"))["guests"][0]
    check("its guest runs", facts["state"] == "r-----")
    check("in a session of its own", os.getsid(facts["id"]) == facts["id"])
    for fd in 0, 1, 2:
        check(f"descriptor {fd} is let go", os.readlink(f"/proc/{facts['id']}/fd/{fd}") == "/dev/null")
    check("a second one is refused", "already" in subprocess.run(
        [PVMM, *run, "--name", "g", GUEST], capture_output=True, text=True).stderr)
    pvmm("destroy", "g")
    await_that("it is gone", lambda: not os.path.exists(f"/proc/{facts['id']}/exe"))
    with open(f"{TMP}/json") as f:
        check("and left its verdict", json.load(f)["outcome"] == "destroyed")
    pvmm(*run, "--name", "g", f"{TMP}/none", code=125, says="cannot open it")
    pvmm(*run, "--name", "g", "--qemu", "/none", GUEST, code=128, says="cannot start QEMU")
    check("nothing is listed", listed() == [])
    # Until the guest has started, the command and the run end together.
    p = spawn(*run, "--name", "g", "--qemu", fake_qemu(), GUEST)
    await_that("it is there", lambda: listed() == ["g"])
    p.kill()
    await_that("it goes with its command", lambda: not os.path.exists(f"{DIR}/g"))


def xen():
    image = f"{BUILD}/xen/xen-4.17-amd64.gz"
    if not os.path.exists(image):
        print(f"no {image}")
        leave(77)
    guest = Guest("x", "--hypervisor", image, words="chaos seed=1 count=100000000")
    guest.out.await_text(b"TEST-BEGIN")
    facts = json.loads(pvmm("list", "--json", "x"))["guests"][0]
    check("its state is not known", facts["state"] == "------" and facts["hypervisor"] == image)
    pvmm("dmesg", "x", code=128, says="a real Xen, which shows its log on the console")
    pvmm("trace", "x", code=128, says="a real Xen, which has no recorder")
    for words in (("pause",), ("unpause",), ("shutdown",), ("reboot",), ("dump", f"{TMP}/file"), ("save", f"{TMP}/file")):
        pvmm(words[0], "x", *words[1:], code=128, says="the initial domain of a real Xen, which nobody outside")
    check("nothing was written", not os.path.exists(f"{TMP}/file"))
    s = ask("x", "console")
    check("its console is shown", b"(XEN)" in s.recv(4096))
    pvmm("destroy", "x")
    guest.end(133)


run_case(globals() | {"list": list_})
