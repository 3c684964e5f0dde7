#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What saving and restoring takes: save.py --build DIR [--megabytes N] [--rounds N] [--out FOLDER].

A guest whose memory is full of what looks like chance is saved and restored; in between `cat` copies the file that
keeps its machine's memory, in the same folder. Files are in the page cache when they are read, and both writers'
are synced. Rates are the guest's bytes by seconds of the wall; medians of the rounds, taken in turn.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
PATIENCE = 300
WANTED = 0.5  # of cat's rate


class Guest:
    """A supervisor, its console read as it comes."""

    def __init__(self, pvmm, words):
        self.began = time.monotonic()
        self.p = subprocess.Popen([pvmm, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)

    def says(self, pattern):
        """Seconds until a line does."""
        for line in self.p.stdout:
            if re.match(pattern, line):
                return time.monotonic() - self.began
        sys.exit("bench: the guest ended too early")

    def end(self):
        self.p.terminate()
        self.p.communicate(timeout=PATIENCE)


def timed(*words):
    began = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    return time.monotonic() - began, done.stdout


def copied(memory, to):
    began = time.monotonic()
    with open(to, "wb") as f:
        subprocess.run(["cat", memory], stdout=f, check=True, timeout=PATIENCE)
        os.fsync(f.fileno())
    took = time.monotonic() - began
    os.unlink(to)
    return took


def rounds(a, pvmm, kernel, ramdisk, folder):
    memory, saved, other = (os.path.join(folder, name) for name in ("memory", "guest.save", "copy"))
    took = {"cat": [], "save": [], "still": [], "restore": []}
    guest = Guest(pvmm, ["run", "--name", "bench", "-m", f"{a.megabytes}M", "--memory-file", memory, "--no-core",
                         "-a", "quiet", "-i", ramdisk, kernel])
    guest.says(rb"BENCH-FULL")
    for _ in range(a.rounds):
        took["cat"].append(copied(memory, other))
        seconds, said = timed(pvmm, "save", "--checkpoint", "--format", "libxc", "bench", saved)
        took["save"].append(seconds)
        took["still"].append(float(re.search(r"stood still for ([\d.]+) s", said)[1]))
        again = Guest(pvmm, ["restore", "--name", "bench-again", "--no-core", saved])
        took["restore"].append(again.says(rb"BENCH-BEAT"))
        again.end()
    size = os.stat(memory).st_size
    guest.end()
    return {name: statistics.median(values) for name, values in took.items()}, size


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", help="where the files go while it measures (default: the build's folder)")
    a = parser.parse_args()
    pvmm, kernel, ramdisk = (os.path.join(os.path.abspath(a.build), name)
                             for name in ("pvmm", "kernel/vmlinuz", "bench/fill.cpio.gz"))
    with tempfile.TemporaryDirectory(prefix="save-", dir=a.out or a.build) as folder:
        os.environ["PVMM_RUNTIME_DIR"] = os.path.join(folder, "run")
        took, size = rounds(a, pvmm, kernel, ramdisk, os.path.abspath(folder))
    rate = {name: a.megabytes / seconds for name, seconds in took.items()}
    base = size / MIB / took["cat"]
    print(f"\nsave and restore of a guest of {a.megabytes} MiB, medians of {a.rounds} (1.00: as fast as cat)")
    print(f"  {'cat of the memory file, synced':34} {took['cat']:6.2f} s {base:7.0f} MiB/s")
    for name, what in (("save", "save --checkpoint"), ("still", "  of it: the guest stands still"),
                       ("restore", "restore, until the guest goes on")):
        print(f"  {what:34} {took[name]:6.2f} s {rate[name]:7.0f} MiB/s   {rate[name] / base:5.2f}")
    if min(rate["save"], rate["restore"]) < WANTED * base:
        print(f"  less than {WANTED} of cat's rate")


main()
