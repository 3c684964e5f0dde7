#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill.py PVMM BUILD KERNEL COUNT: saves that end in the middle, COUNT of them by SIGKILL. What was saved before is
whole, or what is saved now is; and the guest goes on."""
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time

from lives import Life, boot
from setting import TMP, main, need, no_trace, processes, pvmm, spawn, until
from streams import Broken, complete

COUNT = int(sys.argv[4])
FOLDER = f"{TMP}/saves"
FILE = f"{FOLDER}/guest.save"
SLOW = ["--compress=19"]  # there is a middle to be met
dice = random.Random(50)


def read(path=FILE):
    with open(path, "rb") as f:
        return f.read()


def image():
    """What FILE is now: its hash. It is a complete stream, whatever it is."""
    data = read()
    try:
        complete(data)
    except Broken as e:
        need(f"{FILE}: {e}", False)
    return hashlib.sha256(data).digest()


def left():
    """What lies beside FILE: at most what one that was killed leaves, in the moment between two names."""
    names = sorted(os.listdir(FOLDER))
    need(f"left beside it: {names}", all(n == "guest.save" or n.startswith(".guest.save.pvmm-") for n in names))
    return len(names) - 1


def how_to_save(i):
    words = ["--format", "libxc" if i % 2 else "xl"]
    return words if i % 5 == 4 else [*words, "--checkpoint"]


def measure(name):
    """Seconds of a save; the longest of some."""
    took = []
    for i in range(5):
        start = time.time()
        pvmm("save", *how_to_save(i % 4), name, FILE)
        took.append(time.time() - start)
    return max(took)


def kill_one(g, i, delay, before):
    """(the guest, what FILE is, what became of it)"""
    p = spawn("save", *how_to_save(i), g.name, FILE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    p.kill()
    code = p.wait()
    now = image()
    need("more than one is left beside it", left() <= 1)
    need(f"the save ended with {code}, but there is nothing new", code != 0 or now != before)
    if "--checkpoint" in how_to_save(i):
        g.goes_on()
        return g, now, ("new" if now != before else "old")
    return after_plain(g, now, before)


def after_plain(g, now, before):
    """A guest that was to end does so only when its file is there; then it is brought back."""
    start = len(g.text)
    until("it goes on, or ends",
          lambda: any(b"alive" in line for line in g.lines(start)) or not g.thread.is_alive(), more=g.all_told)
    if g.thread.is_alive():
        g.goes_on()
        return g, now, ("new" if now != before else "old")
    g.ends_well(0)
    need("the guest has ended, and its file is the old one", now != before)
    pvmm("check", FILE)
    again = Life("restore", "guest", FILE)
    again.says(rb"LIVE resumed")
    again.goes_on()
    return again, now, "ended"


def saves_killed():
    g = boot("guest", "32M")
    pvmm("save", "--checkpoint", g.name, FILE)
    took = measure(g.name)
    now, became = image(), {"old": 0, "new": 0, "ended": 0}
    for i in range(COUNT):
        delay = took * 1.05 * (i + dice.random()) / COUNT
        g, now, what = kill_one(g, i, delay, now)
        became[what] += 1
    pvmm("save", "--checkpoint", g.name, FILE)
    need("the next save leaves what was left", left() == 0)
    need("no new file", image() != now)
    pvmm("check", FILE)
    print(f"{COUNT} saves of {took:.2f} s killed at random moments: {became['old']} times the file was the old one, "
          f"{became['new'] + became['ended']} times the new one; {became['ended']} guests had been told to end")
    need("none was killed before its end", became["old"] > 0)
    return g


def begin(name, path, *words, stdout=subprocess.DEVNULL):
    """A save that is in the middle of its writing."""
    p = spawn("save", "-v", *words, "--checkpoint", name, path, stdout=stdout, stderr=subprocess.PIPE)
    while b"stands still" not in (line := p.stderr.readline()):
        need("the save ends before it begins", line)
    return p


def fails(p, code, says):
    err = p.communicate(timeout=60)[1].decode(errors="replace")
    need(f"the save ends with {p.returncode}, not {code}", p.returncode == code, err)
    need(f"the save does not say {says}", says in err, err)
    return err


def interrupted(g):
    before = image()
    for number, code in (signal.SIGINT, 130), (signal.SIGTERM, 143):
        p = begin(g.name, FILE, *SLOW)
        time.sleep(0.1)
        p.send_signal(number)
        fails(p, code, "interrupted")
        need(f"{number.name} leaves something, or another file", left() == 0 and image() == before)
        g.goes_on()
    print("SIGINT, SIGTERM: nothing is left, the guest goes on")


def nobody_reads(g):
    """A save into a pipe that is full."""
    for words in [], ["--compress=1"]:
        p = begin(g.name, "-", *words, stdout=subprocess.PIPE)
        time.sleep(1)
        need("a pipe that nobody reads takes all of it", p.poll() is None)
        p.send_signal(signal.SIGINT)
        p.wait(20)
        fails(p, 130, "interrupted")
        g.goes_on()
    print("a pipe that nobody reads, and SIGINT: it ends, the guest goes on")


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))


def full(g):
    before = image()
    p = spawn("save", "-v", "--checkpoint", g.name, FILE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
              preexec_fn=small_files)
    fails(p, 128, "File too large")
    need("a file that may not be so large: something is left, or another file", left() == 0 and image() == before)
    g.goes_on()
    print("no more than 3 MiB in a file: the old one is whole, the guest goes on")
    disk = f"{TMP}/disk"
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True).returncode:
        print("a full disk: no file system can be mounted here")
        return
    try:
        with open(f"{disk}/guest.save", "wb") as f:
            f.write(b"old")
        pvmm("save", g.name, f"{disk}/guest.save", code=128, says="No space left on device")
        need("a full disk: something is left, or another file",
             os.listdir(disk) == ["guest.save"] and read(f"{disk}/guest.save") == b"old")
        g.goes_on()
        print("a full disk: the old file is whole, the guest goes on")
    finally:
        subprocess.run(["umount", disk], check=True)


def qemu_of(g):
    mine = [pid for pid, parent in processes().items() if parent == g.p.pid]
    for pid in mine:
        with open(f"/proc/{pid}/comm") as f:
            if f.read().startswith("qemu"):
                return pid
    need(f"no QEMU among {mine}", False)


def bereaved(g):
    """Who is to be saved is gone."""
    before = image()
    for what in "QEMU", "supervisor":
        p = begin(g.name, FILE, *SLOW)
        os.kill(qemu_of(g) if what == "QEMU" else g.p.pid, signal.SIGKILL)
        err = fails(p, 128, f'guest "{g.name}"')
        print(f"SIGKILL of the {what}: {err.splitlines()[-1]}")
        need("something is left, or another file", left() == 0 and image() == before)
        g.end(128 if what == "QEMU" else -signal.SIGKILL)
        pvmm("save", g.name, FILE, code=1)
        g = Life("restore", "guest", FILE)
        g.says(rb"LIVE resumed")
        g.goes_on()
    return g


def kill():
    os.mkdir(FOLDER)
    g = saves_killed()
    interrupted(g)
    nobody_reads(g)
    full(g)
    g = bereaved(g)
    pvmm("save", g.name, FILE)
    g.ends_well(0)
    image()
    need("something is left", left() == 0)
    no_trace("in the end")


main(kill)
