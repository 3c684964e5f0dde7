#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`pvmm restore`, as a user meets it: restore.py PVMM BUILD GUEST CASE

What cannot be restored is refused with its place, and nothing is left: no process, no file, no name."""
import glob
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

from harness import (BUILD, DIR, GUEST, PATIENCE, TMP, Collector, Guest, await_that, check, listed, pvmm, run_case,
                     spawn, started)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../save"))
from streams import (  # noqa: E402
    END, P2M_FRAMES, PAGE_DATA, PV_INFO, STATIC_DATA_END, head, headers, of_xl, p2m_frames, pages, record, stored_pages)

HERE = f"{TMP}/here"
KERNEL = f"{BUILD}/kernel/pvkernel"
QUIET = ["--accel", "tcg", "--timeout", "100"]


def file(name, data):
    with open(f"{TMP}/{name}", "wb") as f:
        f.write(data)
    return f.name


def offspring():
    """Processes that were started by a test of this directory, whoever is their parent by now."""
    mark, found = f"PVMM_RUNTIME_DIR={DIR}\0".encode(), []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as f:
                if mark in f.read() and int(path.split("/")[2]) != os.getpid():
                    found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


def nothing_left():
    await_that("no process is left", lambda: offspring() == [], 10)
    check("no file is left", os.listdir(HERE) == ["tmp"] and os.listdir(f"{HERE}/tmp") == [])
    check("no name is left", not os.path.exists(DIR) or os.listdir(DIR) in ([], [".lock"]))


def refused(what, path, says, *options, code=2, **how):
    print(f"--- {what}")
    pvmm("restore", *QUIET, "--name", "r", *options, path, code=code, says=says, **how)
    nothing_left()


def options():
    whole = file("whole", head() + pages(0, 4))
    check("there is a help text", "Usage: pvmm restore" in pvmm("restore", "--help"))
    for words, says in (
            ([], "no stream is given"),
            ([whole, whole], "one stream is wanted, but .* follows it"),
            (["-m", "64M", whole], "unknown option -m"),
            (["--gdb", whole], "--gdb is unknown"),
            (["--initrd", whole, whole], "--initrd is unknown"),
            (["--no-store", whole], "--no-store is unknown"),
            (["--max-memory", "much", whole], "--max-memory"),
            (["--max-memory", "0", whole], "--max-memory"),
            (["--core", "a", "--no-core", whole], "exclude each other"),
            (["--name", "a/b", whole], "--name: .*name"),
            (["--timeout", "x", whole], "--timeout"),
            (["--json", "-", whole], "--json -"),
            (["--on-suspend", "sleep", whole], "--on-suspend"),
            (["--paused", whole], "--paused wants a --name"),
            (["--detach", whole], "wants a --name, .*the stream tells none"),
            (["--detach", file("xl", of_xl("no name!", head() + pages(0, 4)))], "wants a --name")):
        pvmm("restore", *words, code=129, says=says)
    check("nothing was made", not os.path.exists(DIR))
    pvmm("restore", *QUIET, "--qemu", "/none", whole, code=128, says="cannot start QEMU")
    refused("a machine that is too small", whole, "--machine-memory: less than the .* MiB", "--machine-memory", "8M",
            code=129)


def heads():
    """What is refused before there is a machine."""
    for what, data, says in (
            ("empty", b"", "cut short in the stream's header at offset 0"),
            ("seven bytes", b"\xff" * 7, "cut short in the stream's header at offset 0: it wants 8 bytes, 7"),
            ("zeroes", bytes(9999), "not a save stream"),
            ("text", b"hello\n" * 99, "not a save stream"),
            ("half a header", headers()[:20], "cut short in libxc's header"),
            ("no domain", headers()[:24], "cut short in the domain's header at offset 24"),
            ("another version", headers(version=9), "of version 9"),
            ("HVM", headers(kind=2), "of an HVM guest"),
            ("another type", headers(kind=7), "a guest of type 7"),
            ("no record", headers(), "header of record 0 at offset 40"),
            ("32 bits", head(width=4), r"record 0 \(X86_PV_INFO\) at offset 40: a guest of 32 bits"),
            ("twice", headers() + record(PV_INFO, b"\x08\x04" + bytes(6)) * 2,
             r"record 1 \(X86_PV_INFO\) at offset 56: it came already"),
            ("wrong order", headers() + p2m_frames(512), r"record 0 \(X86_PV_P2M_FRAMES\) at offset 40: out of order"),
            ("a page too early", headers() + pages(0, 1), r"record 0 \(PAGE_DATA\) at offset 40: out of order"),
            ("unknown", headers() + record(0x77), "record 0 .* at offset 40: type 77 is not known"),
            ("too long", headers() + struct.pack("<II", PV_INFO, 0xfffffff0), "at offset 40: its length is"),
            ("a short list", headers() + record(PV_INFO, b"\x08\x04" + bytes(6)) + record(STATIC_DATA_END)
             + record(P2M_FRAMES, struct.pack("<IIQ", 0, 4095, 1)), r"record 2 \(X86_PV_P2M_FRAMES\) at offset 64"),
            ("damaged zstd", b"\x28\xb5\x2f\xfd" + b"\xee" * 100, "the zstd data is damaged"),
            ("xl without libxl", of_xl("a", b"")[:60], "cut short in the domain's configuration")):
        path = file("stream", data)
        refused(what, path, f"{path}: .*{says}")
    refused("a folder", TMP, "a folder is no stream")
    refused("no file", f"{TMP}/none", "none: No such file")
    refused("a kernel", GUEST, "not a save stream")
    refused("/dev/zero", "/dev/zero", "not a save stream")
    refused("standard input with nothing", "-", "cut short in the stream's header at offset 0")
    refused("a guest that is too large", file("big", head(1 << 20)), "pfns up to fffff; there is room for 1000 of them",
            "--max-memory", "16M")
    refused("4 TiB", file("vast", headers() + record(PV_INFO, b"\x08\x04" + bytes(6)) + record(STATIC_DATA_END)
            + record(P2M_FRAMES, struct.pack("<II", 0, (1 << 30) - 1) + bytes(8 << 10))), "record 2 .*room for")


def in_the_pages():
    """What is refused when the machine is there, and an empty domain in it."""
    good = pages(0, 16)
    for what, data, says in (
            ("no page", b"", r"the header of record 3 at offset 144: it wants 8 bytes, 0 came|header of record 3"),
            ("cut off in the pages", good[:9000], r"cut short in record 3 \(PAGE_DATA\) at offset \d+"),
            ("a page twice", good + pages(15, 1),
             r"record 4 \(PAGE_DATA\) at offset \d+: pfn f came already, in record 3"),
            ("twice in a record", record(PAGE_DATA, struct.pack("<IIQQ", 2, 0, 5, 5) + bytes(8192)),
             r"record 3 \(PAGE_DATA\) at offset \d+: pfn 5 comes twice"),
            ("a pfn beyond", good + pages(4096, 1), r"record 4 .*: pfn 1000 is not below 1000"),
            ("a type that is none", record(PAGE_DATA, struct.pack("<IIQ", 1, 0, 5 << 60) + bytes(4096)),
             r"record 3 .*pfn 0 is of type 5"),
            ("no state", good + record(END), r"record 4 \(END\) at offset \d+: "),
            ("the list again", good + p2m_frames(4096), r"record 4 \(X86_PV_P2M_FRAMES\) at offset \d+: ")):
        path = file("stream", head() + data)
        refused(what, path, f"{path}: .*{says}")
    path = file("stream", subprocess.run(["gzip", "-c"], input=head() + pages(0, 64) + b"x" * 5000,
                                         stdout=subprocess.PIPE, check=True).stdout)
    refused("compressed", path, r"record 4 .* at offset \d+")


def feed(p, chunks):
    """How much a command takes before it has had enough; it must have had enough."""
    n, end = 0, time.time() + PATIENCE
    try:
        for chunk in chunks:
            if time.time() > end:
                break
            p.stdin.write(chunk)
            n += len(chunk)
        p.stdin.flush()
    except BrokenPipeError:
        pass
    return n


def endless():
    """Pipes that have no end."""
    for what, start, more, says, live in (
            ("yes", b"", b"y\n" * 4096, "not a save stream", False),
            ("optional records", headers(), record(0x80000077, bytes(64)) * 64, "optional records", False),
            ("optional records among the pages", head() + pages(0, 4), record(0x80000077, bytes(64)) * 64,
             "optional records", False),
            ("the same pages", head(), pages(0, 512), "came already", False),
            ("the same pages, live", head(512), pages(0, 512), "there is no end of them", True)):
        print(f"--- {what}")
        p = spawn("restore", *QUIET, *(["--live"] if live else []), "-", stdin=subprocess.PIPE)
        n = feed(p, itertools.chain([start], itertools.repeat(more)))
        err = p.communicate(timeout=PATIENCE)[1].decode()
        check(f"{n} bytes of it are enough", p.returncode == 2 and says in err, f"{p.returncode}: {err}")
        nothing_left()


def stalled(data, *options):
    """A restore that waits for more; it has taken what there is."""
    p = spawn("restore", *QUIET, *options, "-", stdin=subprocess.PIPE)
    p.stdin.write(data)
    p.stdin.flush()
    return p


def ended(what, p, code, says):
    p.wait(PATIENCE)
    err = p.stderr.read().decode()
    check(f"{what} ends with {code}", p.returncode == code and says in err, f"{p.returncode}: {err}")
    p.stdin.close()
    nothing_left()


def slow():
    """A pipe that nothing comes out of: the command is there for signals, and for other commands."""
    signals = (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)
    for (number, code), data in itertools.product(signals, (b"", head()[:50])):
        p = stalled(data)
        time.sleep(0.5)
        p.send_signal(number)
        ended(f"{number.name} behind {len(data)} bytes", p, code, "interrupted")
    for data in head(), head() + pages(0, 64) + pages(64, 2)[:5000]:
        for number, code in signals:
            p = stalled(data, "--name", "r")
            await_that("it is listed", lambda: listed() == ["r"])
            time.sleep(1.5)
            check("it waits", p.poll() is None)
            p.send_signal(number)
            ended(f"{number.name} in the pages", p, code, "interrupted" if code == 130 else "terminated")
        p = stalled(data, "--name", "r")
        await_that("it is listed", lambda: listed() == ["r"])
        time.sleep(1.5)
        facts = json.loads(pvmm("list", "--json", "r"))["guests"][0]
        check("its memory is known", facts["memory"] == 16 << 20 and facts["id"] == p.pid)
        pvmm("dmesg", "r")
        pvmm("destroy", "r")
        ended("destroy in the pages", p, 133, "destroyed")
    for data in b"", head(), head() + pages(0, 8):
        p = stalled(data, "--timeout", "4")
        ended(f"a timeout behind {len(data)} bytes", p, 124, "timeout")
        p = stalled(data)
        time.sleep(1.5)
        p.kill()
        p.wait()
        p.stdin.close()
        nothing_left()
    os.mkfifo(f"{TMP}/fifo")
    p = spawn("restore", *QUIET, f"{TMP}/fifo", stdin=subprocess.PIPE)
    time.sleep(0.5)
    check("a FIFO without a writer is waited for", p.poll() is None)
    p.send_signal(signal.SIGINT)
    ended("SIGINT there", p, 130, "interrupted")
    p = spawn("restore", *QUIET, f"{TMP}/fifo", stdin=subprocess.PIPE)
    time.sleep(0.5)
    with open(f"{TMP}/fifo", "wb") as f:
        f.write(head())
        f.flush()
        time.sleep(1)
        check("it reads what comes late", p.poll() is None)
    ended("a writer that leaves", p, 2, "record 3")


def names():
    """The name is the one that is given, or the stream's; of two that want it, one gets it."""
    taken = Guest("taken")
    path = file("xl", of_xl("taken", head() + pages(0, 4)))
    for options in [], ["--name", "taken"]:
        pvmm("restore", *QUIET, *options, path, code=128, says=f'"taken" is running already .*{taken.p.pid}')
    check("the other one is unharmed", listed() == ["taken"])
    for told in "told", "z" * 64:
        p = stalled(of_xl(told, head() + pages(0, 4)))
        await_that("the stream's name is taken", lambda: listed() == ["taken", told])
        pvmm("destroy", told)
        p.wait(PATIENCE)
    p = stalled(of_xl("told", head() + pages(0, 4)), "--name", "given")
    await_that("a name that is given counts more", lambda: listed() == ["given", "taken"])
    pvmm("destroy", "given")
    p.wait(PATIENCE)
    for none in "a/b", "..", "", "x" * 65:
        p = stalled(of_xl(none, head() + pages(0, 4)))
        time.sleep(1.5)
        check(f"{none[:9]!r} is nobody's name", p.poll() is None and listed() == ["taken"])
        p.send_signal(signal.SIGTERM)
        p.wait(PATIENCE)
    pvmm("destroy", "taken")
    taken.end(133)
    nothing_left()


def detach():
    run = ["restore", "--detach", "--name", "r", *QUIET]
    for path, code, says in ((file("bad", head() + pages(0, 2) + pages(1, 1)), 2, "pfn 1 came already"),
                             (file("none", b""), 2, "cut short"), (f"{TMP}/nowhere", 2, "No such file")):
        pvmm(*run, path, code=code, says=says)
        nothing_left()
    # Until the guest has started, the command and what it started end together.
    for data in head()[:50], head() + pages(0, 8):
        for end in "kill", "terminate":
            p = stalled(data, "--detach", "--name", "r")
            time.sleep(1.5)
            check("it waits", p.poll() is None)
            getattr(p, end)()
            p.wait(PATIENCE)
            p.stdin.close()
            nothing_left()
    p = stalled(head() + pages(0, 8), "--detach", "--name", "r")
    await_that("it is listed", lambda: listed() == ["r"])
    pvmm("destroy", "r")
    ended("one that is destroyed", p, 133, "destroyed")


class Restored(Guest):
    """One that comes out of a stream."""

    def __init__(self, name, path, *options):
        self.name = name
        self.err = open(f"{TMP}/{name}.{len(started)}", "w+")
        self.p = spawn("restore", *QUIET, "--no-core", *options, path, stderr=self.err)
        self.out = Collector(self.p.stdout.fileno())


def states():
    return {g["name"]: g["state"] for g in json.loads(pvmm("list", "--json"))["guests"]}


def again():
    """A guest that was saved goes on: under its name, paused first, on a larger machine, for good."""
    guest = Guest("g", words="live", kernel=KERNEL)
    guest.out.await_text(b"LIVE alive")
    for round_, options in enumerate(([], ["--machine-memory", "256M"], ["--paused", "--seed", "7"])):
        path = f"{TMP}/saved{round_}"
        pvmm("save", "g", path)
        guest.end(0)
        check("its name is free", listed() == [])
        guest = Restored("g", path, *options)
        if "--paused" in options:
            await_that("it is there, paused", lambda: states() == {"g": "--p---"})
            time.sleep(1)
            check("it has said nothing", guest.out.text == b"", guest.out.text)
            pvmm("unpause", "g")
        guest.out.await_text(b"LIVE resumed grant=ok sum=ok lists=ok spaces=ok")
        guest.out.await_text(b"LIVE alive")
        check("it goes on, and does not begin", b"LIVE up" not in guest.out.text)
        check("under the name it had", states() == {"g": "r-----"})
    pvmm("shutdown", "g")
    err = guest.end(0)
    check("nothing was against the contract", re.search("contract +kept", err), err)
    nothing_left()


def spoilt(data, what, change):
    """The stream, with a page that is changed by `change`; the page's pfn and record."""
    for number, pfn, kind, at in stored_pages(data):
        if what == kind % 8 and change(data, at):
            return pfn, number
    check("the stream has such a page", False)


def illegal():
    """What a stream cannot bring in: tables that the guest could not have made."""
    guest = Guest("g", words="live", kernel=KERNEL)
    guest.out.await_text(b"LIVE alive")
    pvmm("save", "--format", "libxc", "g", f"{TMP}/saved")
    guest.end(0)
    with open(f"{TMP}/saved", "rb") as f:
        good = f.read()
    tables = [pfn for _, pfn, kind, _ in stored_pages(good) if kind % 8 == 1]

    def entry(want):
        """Makes an entry that is there another one."""
        def change(data, at):
            for i in range(512):
                old, = struct.unpack_from("<Q", data, at + 8 * i)
                if old & 1:
                    struct.pack_into("<Q", data, at + 8 * i, want)
                    return True
            return False
        return change

    for what, kind, want in (("a table that is mapped writable", 1, tables[0] << 12 | 0x67),
                             ("a pfn that no page has", 1, 0xfffff << 12 | 0x67),
                             ("a data page as a table", 2, 0 << 12 | 0x67),
                             ("a bit that is reserved", 1, 1 << 51 | 0x67),
                             ("a table of the wrong level", 3, tables[0] << 12 | 0x67)):
        data = bytearray(good)
        pfn, number = spoilt(data, kind, entry(want))
        path = file("bad", data)
        print(f"--- {what}: pfn {pfn:x}, in record {number}")
        p = spawn("restore", *QUIET, "--name", "r", path)
        err = p.communicate(timeout=PATIENCE)[1].decode()
        check("it is refused", p.returncode == 2, f"{p.returncode}: {err}")
        check("with its place", re.search(rf"record {number} \(PAGE_DATA\) at offset \d+", err), err)
        print(err.splitlines()[0])
        nothing_left()


os.makedirs(f"{HERE}/tmp")
os.chdir(HERE)
os.environ["TMPDIR"] = f"{HERE}/tmp"
run_case(globals())
