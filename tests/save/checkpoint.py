#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""checkpoint.py PVMM BUILD: a guest under load that is saved again and again while it goes on; what was saved comes
back later, as it was then, beside the guest itself and beside each other; of a bit that was changed in the file the
guest complains."""
import mmap
import os
import time

from guests import STEP, Debian, median, nothing_left, same, strays
from setting import TMP, main, need, pvmm

CHECKPOINTS = 5


def checkpoint(g, clock, i):
    """(status before, seconds); the guest goes on, on the same machine. What its shell knows is of this save alone."""
    g.ask(b"saved=%d; echo set" % i, rb"set")
    before = g.status()
    start = time.time()
    pvmm("save", "--checkpoint", "--format", ("xl", "libxc")[i % 2], g.name, f"{TMP}/{i}.save")
    seconds = time.time() - start
    need("the guest is gone after a checkpoint", g.p.poll() is None)
    after = g.moves_on(before)
    need("the clock is off", strays(g.clock(), clock) <= 2)
    g.ask(b"saved=no; echo set", rb"set")
    same(before, after)
    return before, seconds


def come_back(i, before):
    g = Debian("restore", f"back{i}", f"{TMP}/{i}.save")
    knows = g.ask(b"echo saved=$saved", rb"saved=(.*)").group(1)
    need(f"checkpoint {i} is of another time: its shell says {knows}", knows == b"%d" % i)
    g.moves_on(before)
    need(f"the clock of checkpoint {i} is off", strays(g.clock()) <= 1)
    return g


def spoil(path):
    """One bit of every hundredth page that looks summed (guest.c, page_start()): some of them are pages that a process
    has given back, which nobody looks at any more."""
    found = 0
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m, memoryview(m)[:len(m) & ~7] as b, b.cast("Q") as words:
        for at in range(256, len(words) - 1024, 512):
            if all((words[at + i + 1] - words[at + i]) % 2**64 == STEP for i in range(8)):
                found += 1
                if found % 100 == 1:
                    words[at + 4] ^= 1
    need(f"{found} pages of the sums are in {path}", found > 10000)


def spoilt_is_seen(path):
    spoil(path)
    g = Debian("restore", "spoilt", path)
    g.complaint = rb"Oops|BUG:|WARNING:|Kernel panic"  # of the sums it is meant to
    g.says(rb".*SAVE-ERROR pid \d+: page \d+ of round \d+: 1 words are wrong, the first is \d+")
    pvmm("destroy", "spoilt")
    g.p.wait()


def checkpoints():
    g = Debian.boot("guest")
    clock = g.clock()
    taken = [checkpoint(g, clock, i) for i in range(CHECKPOINTS)]
    last = g.status()
    old, young = (come_back(i, taken[i][0]) for i in (0, CHECKPOINTS - 1))
    g.moves_on(last)
    for each in (g, old, young):
        each.leave()
    spoilt_is_seen(f"{TMP}/1.save")  # libxc's, the words of which are aligned
    for i in range(CHECKPOINTS):
        os.unlink(f"{TMP}/{i}.save")
    nothing_left()
    seconds = [s for _, s in taken]
    print(f"{CHECKPOINTS} checkpoints: median {median(seconds):.2f} s, most {max(seconds):.2f} s")
    print("three lives of it at once; a bit that is changed is seen")


main(checkpoints)
