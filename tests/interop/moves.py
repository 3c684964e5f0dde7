#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Guests that pvmm and real Xen hand to each other: moves.py PVMM BUILD TEST-KERNEL BANNER.

The unmodified Debian kernel and the test kernel, each: runs on pvmm, leaves a dump and a save, and one that was
made while it ran; goes on from either as a domain of xl's, in the lab; runs there from its beginning, leaves a core
and a save; goes on from that save on pvmm. Every guest that has moved must have what it had: processes,
memory, the time of its host, a console that answers. One line for each way; exit code 0 when all of them are green, 77 where the lab has not been fetched.
"""
import collections
import contextlib
import json
import lzma
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../save")]
import lab  # noqa: E402
import streams  # noqa: E402
from lab import children  # noqa: E402

PATIENCE = int(os.environ.get("PVMM_TEST_PATIENCE", "300"))
# Seconds. While Linux boots it counts ticks, and where the host is busy an emulated machine loses some, under real Xen
# too: it is late from then on. A move must leave it as late as it was.
LATE, SKEW = 20, 3
WAYS = ("xl save -> pvmm restore", "pvmm save -> xl restore", "pvmm save --live -> xl restore",
        "pvmm dump -> libkdumpfile", "xl dump-core -> pvmm check")
FROM_XL, TO_XL, LIVE, DUMP, CHECK = WAYS


class Flunk(Exception):
    pass


def check(what, good, more=""):
    if not good:
        raise Flunk(f"{what}\n{more[-3000:]}")


def found(what, pattern, text):
    """The last of them."""
    all_of_them = list(re.finditer(pattern, text, re.M))
    check(f"{what}: nothing like {pattern}", all_of_them, text)
    return all_of_them[-1]


# ---- what runs, and how it is asked


class TestKernel:
    """Looks at its memory, tables, lists and its program in user mode at every beat (kernel/live.c)."""
    name, memory, words, ramdisk = "test", 16, "live", None
    alive = r"^LIVE alive .* sum=ok lists=ok spaces=ok"
    beginning = [("", alive)]
    asks = [("", alive), ("still there", r"^LIVE heard still there date=")]

    def __init__(self, build, kernel):
        self.kernel, self.title = kernel, "test kernel"
        self.elf = kernel

    def facts(self, text, moved):
        """Of what it said: whether all is well, what must be as it was, and what its clock says."""
        bad = re.findall(r"^.*(?:BAD|FATAL|LIVE refused" + ("|LIVE up" if moved else "") + ").*$", text, re.M)
        check("the guest is not well", not bad, "\n".join(bad))
        beat = found("the guest lives", r"^LIVE alive n=(\d+) sum=ok lists=ok spaces=ok$", text)
        heard = found("its console", r"^LIVE heard still there date=(\d+)$", text)
        return {"same": "its one life", "beat": int(beat[1]), "date": int(heard[1])}

    def banner(self, console):
        """Its address by the symbols of the file, what it must be, and the system that libkdumpfile knows it as."""
        out = subprocess.run(["nm", self.kernel], capture_output=True, text=True, check=True).stdout
        return (found("a symbol", r"^([0-9a-f]{16}) r banner$", out)[1],
                found("it", "^LIVE banner (.*)$", console)[1], [])


class Debian:
    """A shell on the console; beside it half of 48 MiB is copied into the other half and back for ever, and summed."""
    name, memory, words = "debian", 160, "console=hvc0 pvmm.do=shell"
    alive = r"^beat ok"
    asks = [("", alive), ("kill -0 $! $tree && echo who=$$-$!-$tree-$me at=$(date +%s)", "^who=.* at=")]
    beginning = [("", "^/ # "),
                 ("dd if=/dev/urandom of=/tmp/a bs=1M count=24; echo made", "^made"),
                 ("md5sum </tmp/a >/tmp/s; me=$RANDOM$RANDOM; dmesg -n 4; echo summed", "^summed"),
                 ("look() { md5sum </tmp/b | cmp -s - /tmp/s; }; echo known", "^known"),
                 ("turn() { cp /tmp/a /tmp/b && look && cp /tmp/b /tmp/a; }; echo known", "^known"),
                 ("(sleep 9999 & sleep 9999 & wait) & tree=$!; echo known", "^known"),
                 ("n=0; while turn; do n=$((n+1)); echo beat ok $n; done || echo beat BAD &", alive),
                 ("grep -w linux_banner /proc/kallsyms; cat /proc/version", "^Linux version "),
                 ("grep -m 1 flags /proc/cpuinfo", "^flags")]

    def __init__(self, build, work):
        folder = os.path.join(build, "kernel")
        self.kernel, self.ramdisk = os.path.join(folder, "vmlinuz"), os.path.join(build, "initramfs.cpio.gz")
        for path in (self.kernel, self.ramdisk):
            if not os.path.exists(path):
                raise lab.NoLab(f"no {path}: run make, make kernel")
        with open(os.path.join(folder, "version")) as f:
            self.title = "Debian " + f.read().strip().replace("-amd64", "")
        self.elf = os.path.join(work, "vmlinux")
        unpack(self.kernel, self.elf)

    def facts(self, text, moved):
        # While xl dumps its core it is paused, for longer than its watchdog likes.
        lockup = "" if moved else "(?! soft lockup)"
        bad = re.findall(rf"^(?:beat BAD|.*(?:Oops|BUG:{lockup}|WARNING|Call Trace|rcu: INFO)).*$", text, re.M)
        bad += re.findall(r"^.*(?:Linux version|PVMM-READY).*$", text, re.M) if moved else []
        check("the guest is not well", not bad, "\n".join(bad))
        beat = found("its sums", r"^beat ok (\d+)$", text)
        who = found("its console", r"^who=(\S+) at=(\d+)", text)
        return {"same": who[1], "beat": int(beat[1]), "date": int(who[2])}

    def banner(self, console):
        """Behind it, on the same line, may be the echo of what is typed next."""
        return (found("a symbol", r"^([0-9a-f]{16}) \w linux_banner$", console)[1],
                found("it", r"^(Linux version .* \(\d{4}-\d\d-\d\d\))", console)[1], ["linux"])


def unpack(bzimage, to):
    """The kernel as it is in a bzImage: dom0 would take its time over that."""
    with open(bzimage, "rb") as f:
        data = f.read()
    sectors, = struct.unpack_from("<B", data, 0x1f1)
    offset, length = struct.unpack_from("<II", data, 0x248)
    begin = (sectors + 1) * 512 + offset
    with open(to, "wb") as f:
        f.write(lzma.LZMADecompressor().decompress(data[begin:begin + length]))


def comes_again(path):
    """How many pages of a save stream have come already when they come."""
    with open(path, "rb") as f:
        stream = streams.Stream(f.read())
    came = [word & streams.PFN for record in stream.records if record.kind == streams.PAGE_DATA
            for word in record.words() if word >> 60 not in streams.NO_CONTENT]
    return len(came) - len(set(came))


def its_time_is(facts, asked, answered):
    """How late its clock is, at least and at most: it told its date between these times of its host's."""
    late = facts["late"] = (asked - facts["date"], answered - facts["date"])
    check(f"its clock is late by {late[0]} to {late[1]} s", late[0] <= LATE and late[1] >= -SKEW)


def moved_well(before, after):
    """What it said before, and what it says now."""
    told = f"{before}\n{after}"
    check("not the same processes", before["same"] == after["same"], told)
    check("its life has not gone on", after["beat"] > before["beat"], told)
    was, late = before["late"], after["late"]
    as_it_was = late[0] <= was[1] + SKEW and was[0] <= late[1] + SKEW
    set_right = late[0] <= SKEW and late[1] >= -SKEW
    check("its clock has not moved on", as_it_was or set_right, told)


def lines_of(asks):
    """As jobs/moves.sh reads them."""
    return "".join(f"{typed}\t{answer}\n" for typed, answer in asks)


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read().replace("\r", "")
    except OSError:
        return ""


# ---- on pvmm


class Here:
    """A guest of pvmm's in the foreground."""

    def __init__(self, setting, label, words):
        self.log = open(os.path.join(setting.work, label + ".stderr"), "w+")
        self.p = children.start([setting.pvmm, *words], stdin=subprocess.PIPE, stderr=self.log)
        self.text, self.label = "", label
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        while piece := os.read(self.p.stdout.fileno(), 65536):
            self.text += piece.decode(errors="replace").replace("\r", "")

    def await_text(self, pattern, begin):
        end = time.time() + PATIENCE
        while not re.search(pattern, self.text[begin:], re.M):
            check(f"{self.label}: {pattern} does not appear", time.time() < end and self.thread.is_alive(),
                  self.text + self.said())
            time.sleep(0.05)

    def ask(self, asks):
        """The host's clock before and after the last of them."""
        for typed, answer in asks:
            begin, asked = len(self.text), time.time()
            if typed:
                self.p.stdin.write(typed.encode() + b"\r")
                self.p.stdin.flush()
            self.await_text(answer, begin)
        return int(asked), int(time.time())

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def end(self):
        children.end(self.p)
        self.thread.join(PATIENCE)
        with open(self.log.name.replace(".stderr", ".console"), "w") as f:
            f.write(self.text)


class Setting:
    """Where the guests run, and what has become of each way."""

    def __init__(self, pvmm, build, kernel, banner, work):
        self.pvmm, self.build, self.banner, self.work = pvmm, build, banner, work
        os.environ["PVMM_RUNTIME_DIR"] = os.path.join(work, "run")
        os.environ["PVMM_HYPERVISOR"] = os.path.join(build, "hypervisor/pvmm.elf32")
        self.guests = [Debian(build, work), TestKernel(build, kernel)]
        self.failed = {}  # why, by guest and way
        self.seconds = collections.Counter()
        self.facts = {}  # by guest and where it is

    def path(self, name):
        return os.path.join(self.work, name)

    def command(self, *words):
        done = subprocess.run([str(w) for w in words], capture_output=True, timeout=PATIENCE)
        text = (done.stdout + done.stderr).decode(errors="replace")
        check(f"{os.path.basename(words[0])} {words[1]}: exit code {done.returncode}", done.returncode == 0, text)
        return done.stdout.decode(errors="replace")

    @contextlib.contextmanager
    def part(self, guest, *ways):
        """What has to succeed for these ways; the first failure is what is told."""
        begun = time.time()
        told = None
        try:
            yield
        except (lab.NoLab, KeyboardInterrupt, children.Stopped):
            raise
        except (Flunk, OSError, subprocess.SubprocessError) as e:
            told = str(e)
        except Exception:  # a fault of this program's: not green, and the other ways are still wanted
            told = traceback.format_exc()
        for way in ways:
            self.seconds[guest.name, way] += time.time() - begun
            if told:
                self.failed.setdefault((guest.name, way), told)

    def needs(self, guest, way, name):
        """A file that an earlier part has left, unless that failed."""
        check("an earlier step failed", (guest.name, way) not in self.failed)
        path = self.path(name)
        check(f"there is no {name}", os.path.exists(path))
        return path

    # ---- on pvmm

    def begins_here(self, guest):
        here = None
        try:
            with self.part(guest, DUMP, TO_XL, LIVE):
                ramdisk = ["-i", guest.ramdisk] if guest.ramdisk else []
                here = Here(self, guest.name + "-begins",
                            ["run", "--name", guest.name, "--no-core", "--timeout", "600", "-m", f"{guest.memory}M",
                             "-a", guest.words, *ramdisk, guest.kernel])
                clock = here.ask(guest.beginning + guest.asks)
                facts = self.facts[guest.name, "begun here"] = guest.facts(here.text, False)
                its_time_is(facts, *clock)
            with self.part(guest, DUMP):
                self.dump(guest, here)
            with self.part(guest, LIVE):
                self.saves_live(guest, here)
            with self.part(guest, TO_XL):
                self.command(self.pvmm, "save", guest.name, self.path(f"{guest.name}-here.save"))
        finally:
            if here:
                here.end()

    def dump(self, guest, here):
        core = self.path(f"{guest.name}-here.core")
        self.command(self.pvmm, "dump", guest.name, core)
        address, text, system = guest.banner(here.text)
        read = self.command(self.banner, core, address, *system).strip()
        check("libkdumpfile reads something else", read == text, f"{read}\n{text}")
        here.ask(guest.asks)

    def saves_live(self, guest, here):
        """A copy in rounds, in which pages come again; the guest goes on."""
        path = self.path(f"{guest.name}-live.save")
        self.command(self.pvmm, "save", "--live", "--checkpoint", guest.name, path)
        again = comes_again(path)
        check("no page of it comes twice", again)
        print(f"({guest.title}, live: {again} pages come again)", flush=True)
        here.ask(guest.asks)

    def arrives_here(self, guest):
        here = None
        try:
            with self.part(guest, FROM_XL):
                save = self.needs(guest, FROM_XL, f"{guest.name}.save")
                here = Here(self, guest.name + "-arrives", ["restore", "--name", guest.name, save])
                clock = here.ask(guest.asks)
                its_time_is(facts := guest.facts(here.text, True), *clock)
                moved_well(self.facts[guest.name, "begun there"], facts)
        finally:
            if here:
                here.end()

    def core_holds(self, guest):
        with self.part(guest, CHECK):
            core = self.needs(guest, CHECK, f"{guest.name}.core")
            told = json.loads(self.command(self.pvmm, "check", "--json", core))
            check("there are findings", told.get("findings", None) in ([], 0), json.dumps(told, indent=1))

    # ---- in the lab

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def job(self):
        """What is done there, and what comes along: files, and images of disks."""
        jobs = os.path.join(HERE, "jobs")
        files = [os.path.join(jobs, name) for name in ("lib.sh", "moves.sh")]
        images, lines = [], [". ./moves.sh"]

        def disk(path):
            images.append(path)
            return f"/dev/vd{chr(ord('a') + len(images))}"

        for guest in self.guests:
            files.append(self.write(f"begins.{guest.name}", lines_of(guest.beginning)))
            files.append(self.write(f"asks.{guest.name}", lines_of(guest.asks)))
            for save, phase in (("here", "arrived"), ("live", "arrived-live")):
                save = self.path(f"{guest.name}-{save}.save")
                if os.path.exists(save):
                    lines.append(f"arrives {guest.name} {disk(save)} {phase}")
        for guest in self.guests:
            kernel = f"kernel-{guest.name}"
            files += [guest.ramdisk] if guest.ramdisk else []
            lines += [f"cat {disk(guest.elf)} >/job/{kernel}",
                      f"config {guest.name} {guest.memory} {guest.memory} destroy {shlex.quote(guest.words)} {kernel} "
                      + os.path.basename(guest.ramdisk or ""),
                      f"departs {guest.name} {kernel}"]
        return self.write("job.sh", "\n".join(lines) + "\n"), files, images

    def visits_lab(self):
        job, files, images = self.job()
        rc = lab.run(self.build, job, self.work, files, 2 * PATIENCE, images)
        self.log = read(self.path("job.log" if rc != lab.LOST else "dom0-console.log"))
        for guest in self.guests:
            with self.part(guest, FROM_XL, TO_XL, LIVE, CHECK):
                check(f"the lab ended with {rc}", rc == 0, self.log)
            for way, phase in ((TO_XL, "arrived"), (LIVE, "arrived-live")):
                with self.part(guest, way):
                    facts = self.judge(guest, phase)
                    moved_well(self.facts[guest.name, "begun here"], facts)
            with self.part(guest, FROM_XL, CHECK):
                self.facts[guest.name, "begun there"] = self.judge(guest, "began")

    def judge(self, guest, phase):
        """Facts of a guest of the lab: its steps there and what it said, between the phase's mark and the next."""
        marks = list(re.finditer(rf"^MARK (\S+) {guest.name} (\d+)$", self.log, re.M))
        here = next((i for i, m in enumerate(marks) if m[1] == phase), None)
        check(f"it has not {phase}", here is not None and here + 1 < len(marks), self.log)
        told = self.log[marks[here].end():marks[here + 1].start()]
        console = read(self.path(f"console/guest-{guest.name}.log")).split("\n")
        said = "\n".join(console[int(marks[here][2]):int(marks[here + 1][2])])
        failed = re.findall(r"^(?:STEP \S+ [1-9].*|FAILED.*)$", told, re.M)
        check("; ".join(failed), not failed, told + said)
        facts = guest.facts(said, phase.startswith("arrived"))
        clock = found("dom0's clock", rf"^DATE {guest.name} (\d+) (\d+)$", told)
        its_time_is(facts, int(clock[1]), int(clock[2]))
        return facts

    # ---- all of it

    def all_ways(self):
        for f in (self.begins_here, None, self.core_holds, self.arrives_here):
            if f is None:
                begun = time.time()
                self.visits_lab()
                print(f"(the lab: {time.time() - begun:.1f} s)", flush=True)
                continue
            for guest in self.guests:
                f(guest)

    def tell(self):
        for way in WAYS:
            for guest in self.guests:
                told = self.failed.get((guest.name, way))
                print(f"{'FAILED' if told else 'ok':<7} {way:<30} {guest.title:<20} "
                      f"{self.seconds[guest.name, way]:6.1f} s", flush=True)
        for (name, way), told in self.failed.items():
            print(f"\n{way}, {name}: {told}", file=sys.stderr)
        return 1 if self.failed else 0


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    lab.stop_by_signals()
    keep = os.environ.get("PVMM_KEEP")  # a folder for what comes to be
    work = os.path.join(keep, "moves") if keep else tempfile.mkdtemp(prefix="moves.")
    os.makedirs(work, exist_ok=True)
    try:
        lab.fetched(sys.argv[2])
        setting = Setting(*sys.argv[1:], work)
        setting.all_ways()
        return setting.tell()
    except lab.NoLab as e:
        print(e)
        return lab.MISSING
    except (KeyboardInterrupt, children.Stopped):
        return lab.STOPPED
    finally:
        children.end_all()
        if not keep:
            shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
