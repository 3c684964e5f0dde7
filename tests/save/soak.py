#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""soak.py PVMM BUILD [--cycles N] [--seed N] [--memory SIZE]: one guest that is saved and restored for as long as it
takes (make soak). Each cycle is drawn: the container, compressed or not, through a file or a pipe, with the guest
ended by it or going on (and then destroyed), how large the next machine is, whether it comes back paused. After each
the guest must be what it was: processes, memory, timers, shell, clock. A cycle that fails is told with its number and
words, and the next begins with a new guest. Ctrl-C ends it, with the summary so far. Exit code: 1 when anything was
wrong, 130 when it was stopped."""
import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import time

from guests import Debian, median, nothing_left, strays
from setting import PATIENCE, TMP, Wrong, leave, main, need, processes, pvmm, spawn

KINDS = ("file", "pipe", "checkpoint")
SIZES = ("384M", "512M", "640M", "1G")
PATH = f"{TMP}/guest.save"
STOPPED = 130  # exit code
CLOCK = 2  # seconds that it may be off
END = 60  # of the cycles at either end are compared, for what grows
GROWTH = {"memory": 4, "fds": 2}  # by which it may, in MiB and in number

parser = argparse.ArgumentParser(prog="soak.py PVMM BUILD")
parser.add_argument("--cycles", type=int, default=500)
parser.add_argument("--seed", type=int)
parser.add_argument("--memory", default="256M", help="the guest's")
parser.add_argument("--sums", type=int, default=64, help="MiB of it that are rewritten and checked")
options = parser.parse_args(sys.argv[3:])
seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
dice = random.Random(seed)

Way = collections.namedtuple("Way", "kind save restore paused")
Figures = collections.namedtuple("Figures", "save restore answered cycle memory fds strayed")


def draw():
    save = ["--format", dice.choice(("libxc", "xl"))] + (["--compress=1"] if dice.random() < 0.1 else [])
    machine = dice.choice((None,) + SIZES)
    restore = ["--seed", str(dice.getrandbits(32))] + (["--machine-memory", machine] if machine else [])
    paused = dice.random() < 0.1
    return Way(dice.choices(KINDS, (6, 2, 2))[0], save, restore + (["--paused"] if paused else []), paused)


def words(way):
    return f"{way.kind}: save {' '.join(way.save)}, restore {' '.join(way.restore)}"


# ---- the ways; each leaves the stream in PATH, and the guest over


def by_file(g, way):
    pvmm("save", *way.save, g.name, PATH)
    g.end()


def by_pipe(g, way):
    save = spawn("save", *way.save, g.name, "-", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open(PATH, "wb") as f:
        while piece := save.stdout.read(1 << 20):
            f.write(piece)
    save.stdout.close()
    need("the save into a pipe ends well", save.wait() == 0)
    g.end()


def by_checkpoint(g, way):
    pvmm("save", "--checkpoint", *way.save, g.name, PATH)
    need("the guest is gone after a checkpoint", g.p.poll() is None)
    g.moves_on(g.status())


def come_back(name, way):
    """The next life, and who feeds it."""
    if way.kind != "pipe":
        return Debian("restore", name, *way.restore, PATH), None
    cat = subprocess.Popen(["cat", PATH], stdout=subprocess.PIPE)
    g = Debian("restore", name, *way.restore, f"/proc/self/fd/{cat.stdout.fileno()}", keep=(cat.stdout.fileno(),))
    cat.stdout.close()
    return g, cat


def destroy(g):
    pvmm("destroy", g.name)
    g.p.wait(PATIENCE)
    g.thread.join(PATIENCE)
    g.p.stdout.close()
    g.p.stdin.close()
    g.is_content()


def unpause(g):
    deadline = time.time() + PATIENCE
    while subprocess.run([os.path.abspath(sys.argv[1]), "unpause", g.name], capture_output=True).returncode:
        need(f"guest {g.name} cannot be unpaused", time.time() < deadline and g.p.poll() is None, g.errors())
        time.sleep(0.02)


# ---- one cycle


def anonymous(pid):
    """MiB that are the process's own: not the machine's memory, which is a file, nor code."""
    with open(f"/proc/{pid}/status") as f:
        return int(next(line for line in f if line.startswith("RssAnon")).split()[1]) / 1024


class Soak:
    def __init__(self):
        self.lives, self.figures, self.failures, self.kinds = 0, [], [], collections.Counter()
        self.begin = time.time()

    def boot(self):
        self.g = Debian.boot(self.new_name(), options.memory, options.sums)
        self.before = self.g.status()

    def new_name(self):
        self.lives += 1
        return f"life{self.lives}"

    def cycle(self, way):
        g, begun = self.g, time.time()
        {"file": by_file, "pipe": by_pipe, "checkpoint": by_checkpoint}[way.kind](g, way)
        saved = time.time()
        if way.kind == "checkpoint":
            destroy(g)
        back = time.time()
        self.g, cat = come_back(self.new_name(), way)
        if way.paused:
            unpause(self.g)
        now = self.g.clock()
        answers = time.time()
        off = strays(now)
        need(f"the clock is {off:.1f} s from the host's", off <= CLOCK)
        need("all of the stream is read", cat is None or cat.wait(PATIENCE) == 0)
        self.before = self.g.moves_on(self.before)
        pid = self.g.p.pid
        self.figures.append(Figures(saved - begun, answers - back, answers - begun, time.time() - begun, anonymous(pid),
                                    len(os.listdir(f"/proc/{pid}/fd")), off))

    def clear(self):
        """After a failure: no guest is left that the next one could be taken for."""
        for pid in processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def fails(self, number, what, e):
        self.failures.append(f"cycle {number} ({what}): {e}")
        print("FAILED: " + self.failures[-1], flush=True)

    def all_cycles(self):
        self.boot()
        for number in range(1, options.cycles + 1):
            way = draw()
            try:
                self.cycle(way)
                self.kinds[way.kind] += 1
            except (Wrong, OSError, subprocess.TimeoutExpired) as e:
                self.fails(number, words(way), e)
                self.clear()
                self.boot()
            if number % 10 == 0:
                self.progress(number)
        self.leave()

    def leave(self):
        """What is left beside it is a failure, too."""
        try:
            self.g.leave()
            if os.path.exists(PATH):
                os.unlink(PATH)
            nothing_left()
        except Wrong as e:
            self.fails("-", "the end", e)

    def progress(self, number):
        left = (time.time() - self.begin) / number * (options.cycles - number)
        last = f", the last one in {self.figures[-1].cycle:.1f} s" if self.figures else ""
        print(f"{number} of {options.cycles} cycles, {len(self.failures)} failed{last}; {left / 60:.0f} min to go; "
              f"{self.g.tells(self.before)}", flush=True)

    # ---- the summary

    def row(self, name, field, unit="s"):
        values = [getattr(f, field) for f in self.figures]
        print(f"{name:<42} {min(values):7.2f} {median(values):7.2f} {max(values):7.2f} {unit}")

    def growth(self, name, field, unit):
        values = [getattr(f, field) for f in self.figures]
        first, last = median(values[:END]), median(values[-END:])
        print(f"{name:<42} {first:7.2f} {last:7.2f} {max(values):7.2f} {unit}")
        if last > first + GROWTH[field]:
            self.failures.append(f"{name} grew from {first:.2f} to {last:.2f}")

    def summary(self, stopped):
        kinds = ", ".join(f"{self.kinds[k]} by {k}" for k in KINDS)
        print(f"\n{'stopped: ' if stopped else ''}{len(self.figures)} cycles that went well ({kinds}) in "
              f"{(time.time() - self.begin) / 60:.1f} min, {len(self.failures)} that failed; seed {seed}")
        if self.figures:
            print(f"{'':<42} {'least':>7} {'median':>7} {'most':>7}")
            self.row("save", "save")
            self.row("restore, until its console answers", "restore")
            self.row("from the save to the next life's answer", "answered")
            self.row("cycle", "cycle")
            self.row("its clock strayed", "strayed")
            print(f"{'':<42} {'first':>7} {'last':>7} {'most':>7}  (medians of up to {END} cycles at either end)")
            self.growth("the supervisor's own memory", "memory", "MiB")
            self.growth("its file descriptors", "fds", "")
            print(f"the guest: {self.g.tells(self.before)}, errors {self.before['errors']}")
        if not stopped and not self.failures:
            print("left in the end: no process, no name, no file")
        for told in self.failures:
            print(f"FAILED: {told.splitlines()[0]}")


def soak():
    print(f"seed {seed}: {options.cycles} cycles of a guest of {options.memory}, {options.sums} MiB of it summed",
          flush=True)
    s, stopped = Soak(), False
    try:
        s.all_cycles()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stopped = True
        s.clear()
    s.summary(stopped)
    leave(1 if s.failures else STOPPED if stopped else 0)


main(soak)
