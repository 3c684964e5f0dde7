#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cycles.py PVMM BUILD debian|kernel COUNT: a guest that is saved and restored COUNT times in a row."""
import os
import random
import subprocess
import sys
import time

from guests import Debian, TestKernel, median, nothing_left, strays
from setting import TMP, main, need, pvmm, spawn

KIND, COUNT = {"debian": Debian, "kernel": TestKernel}[sys.argv[3]], int(sys.argv[4])
MACHINES = ([], ["--machine-memory", "640M"], ["--machine-memory", "1G"])
dice = random.Random(20)


def how_to_save(i):
    words = ["--format", "libxc" if i % 2 else "xl"]
    return words + (["--compress=1"] if i % 10 == 3 else [])


def how_to_restore(i):
    return ["--seed", str(dice.getrandbits(32)), *MACHINES[i % len(MACHINES)]]


def through_a_file(g, i):
    """(next life, seconds of the save)"""
    path = f"{TMP}/guest.save"
    start = time.time()
    pvmm("save", *how_to_save(i), g.name, path)
    saved = time.time() - start
    g.end()
    return KIND("restore", f"life{i}", *how_to_restore(i), path), saved


def through_a_pipe(g, i):
    """Neither side can seek; the stream is kept in between, as the old life ends with its writing."""
    start = time.time()
    save = spawn("save", *how_to_save(i), g.name, "-", stdout=subprocess.PIPE,
                 stderr=subprocess.DEVNULL)
    path = f"{TMP}/guest.save"
    with open(path, "wb") as f:
        while piece := save.stdout.read(1 << 20):
            f.write(piece)
    need("the save into a pipe ends well", save.wait() == 0)
    saved = time.time() - start
    g.end()
    read, write = os.pipe()
    cat = subprocess.Popen(["cat", path], stdout=write)
    os.close(write)
    g = KIND("restore", f"life{i}", *how_to_restore(i), f"/proc/self/fd/{read}", keep=(read,))
    os.close(read)
    need("all of the stream is read", cat.wait() == 0)
    return g, saved


def cycle(g, before, i):
    """(next life, its status, (seconds of the save, of the restore, of both, what its clock strayed))"""
    start = time.time()
    g, saved = (through_a_pipe if i % 10 == 7 else through_a_file)(g, i)
    now = g.clock()
    restored = time.time() - start - saved
    off = strays(now)
    need(f"in life {i} the clock is {off:.1f} s from the host's", off <= 1)
    after = g.moves_on(before)
    return g, after, (saved, restored, time.time() - start, off)


def cycles():
    g = KIND.boot("life0")
    before, clock = g.status(), g.clock()
    figures = []
    for i in range(1, COUNT + 1):
        g, before, f = cycle(g, before, i)
        figures.append(f)
        if i % 10 == 0:
            print(f"{i} cycles, the last one in {f[2]:.2f} s: {g.tells(before)}", flush=True)
    g.leave()
    os.unlink(f"{TMP}/guest.save")
    nothing_left()
    for name, column in (("save", 0), ("restore, until its console answers", 1), ("cycle", 2)):
        values = [f[column] for f in figures]
        print(f"{name}: median {median(values):.2f} s, most {max(values):.2f} s")
    strayed = max(f[3] for f in figures)
    print(f"clock: at first {strays(clock):.1f} s off the host's, then strayed {strayed:.1f} s at most")
    print(f"in the end: {g.tells(before)}")


main(cycles)
