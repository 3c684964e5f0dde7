# SPDX-License-Identifier: MIT
"""Guests of the suite `save`: started, saved, restored, and asked through their console whether they are the same."""
import os
import re
import subprocess
import tempfile
import threading
import time

from setting import BUILD, PATIENCE, TMP, leave, need, no_trace, pvmm, spawn

DEBIAN, RAMDISK = f"{BUILD}/kernel/vmlinuz", f"{BUILD}/tests/save/guest.cpio.gz"
TEST_KERNEL = f"{BUILD}/kernel/pvkernel"
COUNTS = ("summer", "tree", "forker", "ping", "pong", "timers", "alarms")
STEP = 0x632be59bd9b4e019  # between the words of a page that guest.c sums


class Guest:
    """One life of a guest: a `pvmm run` or `pvmm restore` with its console; complaint: what it must never say."""

    complaint = None

    def __init__(self, verb, name, *words, keep=()):
        self.name, self.err = name, tempfile.TemporaryFile()
        self.talk(verb, "--name", name, "--no-core", "--accel", "tcg", *words, stderr=self.err, pass_fds=keep)

    def talk(self, *words, **how):
        """With what has its console."""
        self.text, self.at, self.fresh = b"", 0, threading.Condition()
        self.p = spawn(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()
        return self

    def collect(self):
        while data := os.read(self.p.stdout.fileno(), 65536):
            with self.fresh:
                self.text += data
                self.fresh.notify_all()
        with self.fresh:
            self.at = -1
            self.fresh.notify_all()

    def is_content(self):
        need(f"guest {self.name} complains", re.search(self.complaint, self.text) is None,
             self.text[-3000:].decode(errors="replace"))

    def says(self, pattern, start=0, patience=PATIENCE):
        """Waits for a whole line; the match. A guest that complains or ends is wrong at once."""
        end = time.time() + patience
        pattern = re.compile(rb"^" + pattern + rb"\r?\n", re.M)
        with self.fresh:
            while True:
                self.is_content()
                if found := pattern.search(self.text, start):
                    return found
                need(f"guest {self.name} does not say {pattern.pattern}", self.at >= 0 and time.time() < end,
                     self.text[-3000:].decode(errors="replace") + self.errors())
                self.fresh.wait(0.5)

    def ask(self, command, pattern):
        start = len(self.text)
        self.p.stdin.write(command + b"\n")
        self.p.stdin.flush()
        return self.says(pattern, start)

    def clock(self):
        """Between what two values, in seconds, the distance of its clock from the host's lies."""
        before = time.time()
        theirs = self.date()
        return theirs - time.time(), theirs + 1 - before

    def errors(self):
        self.err.flush()
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def end(self, code=0):
        """Waits for its end; what it said on stderr."""
        self.p.wait(PATIENCE)
        self.thread.join(PATIENCE)
        self.p.stdout.close()
        if self.p.stdin:
            self.p.stdin.close()
        err = self.errors()
        need(f"guest {self.name} ends with {self.p.returncode}, not {code}", self.p.returncode == code, err)
        self.is_content()
        need(f"the audit of {self.name}", "breach" not in err and "audit          clean" in err, err)
        return err


class Debian(Guest):
    """guest.c on Debian's kernel."""

    complaint = rb"SAVE-ERROR|Oops|BUG:|WARNING:|Kernel panic"

    @classmethod
    def boot(cls, name, memory="256M", mib=64):
        if not os.path.exists(DEBIAN):
            print(f"no {DEBIAN}: run make kernel")
            leave(77)
        g = cls("run", name, "-m", memory, "-i", RAMDISK, "-a", f"console=hvc0 quiet loglevel=4 save.mib={mib}", DEBIAN)
        g.says(rb"SAVE-READY nonce=[0-9a-f]{16}")
        return g

    def status(self):
        line = self.ask(b"status", rb"STATUS .*").group().decode()
        return dict(word.split("=", 1) for word in line.split()[1:])

    def date(self):
        return int(self.ask(b"date +%s", rb"(\d+)").group(1))

    def moves_on(self, before):
        """The status when everything in it has moved on since `before`, in this life or the one before; within 30 s."""
        end = time.time() + 30
        while True:
            now = self.status()
            if all(int(now[c]) > int(before[c]) for c in COUNTS) or time.time() > end:
                same(before, now)
                return now
            time.sleep(0.02)

    def leave(self):
        self.p.stdin.write(b"off\n")
        self.p.stdin.flush()
        self.end()

    @staticmethod
    def tells(status):
        return f"{status['passes']} passes over the memory, the latest timer {int(status['late_us']) / 1e6:.2f} s late"


def same(before, after):
    """Nothing of the guest is lost between two of its lines of status, and all of it goes on."""
    for word in ("nonce", "shell", "pids", "of"):
        need(f"{word} was {before[word]}, and is {after[word]}", before[word] == after[word])
    for s in (before, after):
        need("somebody is dead", s["alive"] == s["of"], str(s))
        need("the guest has seen errors", s["errors"] == "0", str(s))
    for word in ("uptime_ms", "passes"):
        need(f"{word} went back", int(after[word]) >= int(before[word]), f"{before}\n{after}")
    stuck = [c for c in COUNTS if int(after[c]) <= int(before[c])]
    need(f"{stuck} stand still", not stuck, f"{before}\n{after}")


class TestKernel(Guest):
    """kernel/live.c: looks at its memory, tables, lists, grants and user mode at every beat."""

    complaint = rb"BAD|LIVE (FATAL|refused|balloon|an unknown)|LIVE resumed (?!grant=ok sum=ok lists=ok spaces=ok).*\n"

    @classmethod
    def boot(cls, name, *words):
        g = cls("run", name, "-m", "16M", "-a", "live", *words, TEST_KERNEL)
        g.says(rb"LIVE up .*")
        g.status()
        return g

    def status(self):
        return int(self.says(rb"LIVE alive n=(\d+) sum=ok lists=ok spaces=ok", len(self.text)).group(1))

    def date(self):
        return int(self.ask(b"hello", rb"LIVE heard hello date=(\d+)").group(1))

    def moves_on(self, before):
        beat = int(self.says(rb"LIVE alive n=(\d+) sum=ok lists=ok spaces=ok").group(1))
        need(f"beat {before} is followed by {beat}", before < beat <= before + 5)
        need("it began again", b"LIVE up" not in self.text)
        return beat

    def leave(self):
        pvmm("shutdown", self.name)
        self.end()

    @staticmethod
    def tells(status):
        return f"{status} beats"


def nothing_left(allowed=()):
    """No guest, no process, and no file of ours but those allowed."""
    no_trace("in the end")
    files = sorted(set(os.listdir(TMP)) - {"guests", "tmp", *allowed})
    need(f"left beside: {files}", not files)


def strays(clock, first=(0, 0)):
    """How far a clock is, at least, from where it was first. Linux that boots on a busy host loses ticks, and is
    late from then on."""
    return max(clock[0] - first[1], first[0] - clock[1], 0)


def median(values):
    values = sorted(values)
    return values[len(values) // 2]
