#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pictures of reports in docs/: starts the guests, dumps them, has pvmm write the reports and screenshots.mjs take
the pictures. Usage: screenshots.py [--build DIR] OUT-DIR"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

from browser import HERE, needed

# Name, memory, kernel, words, more of `pvmm run`, what is said when it is time to dump, and how long to wait after it.
GUESTS = [
    ("fresh", "256M", "kernel/vmlinuz", "quiet pvmm.do=idle", ["-i", "initramfs.cpio.gz"], b"PVMM-READY", 1),
    ("busy", "128M", "kernel/vmlinuz", "quiet pvmm.forks=4000",
     ["-i", "initramfs.cpio.gz", "--seed", "5"], b"mce: Unable", 6),
    ("short-list", "256M", "kernel/pvkernel", "fault=short-mfn-list live",
     ["--e820", "tests/xen/maps/hole-moved"], b"LIVE alive", 1),
]


def dumped(pvmm, build, folder, guest):
    """The guest's dump, and its report."""
    name, memory, kernel, words, more, said, wait = guest
    places = {".gz": build, "ved": os.path.join(HERE, "..", "..")}
    more = [os.path.join(places[w[-3:]], w) if w[-3:] in places else w for w in more]
    out = os.path.join(folder, name + ".out")
    with open(out, "wb") as f:
        p = subprocess.Popen([pvmm, "run", "--accel", "tcg", "--timeout", "300", "-m", memory, "--no-core",
                              "--name", "shot-" + name, "-a", words, *more, os.path.join(build, kernel)],
                             stdin=subprocess.DEVNULL, stdout=f)
    try:
        until = time.monotonic() + 120
        while said not in open(out, "rb").read():
            if p.poll() is not None or time.monotonic() > until:
                sys.exit("screenshots.py: %s: the guest did not say %s" % (name, said.decode()))
            time.sleep(0.2)
        time.sleep(wait)
        core = os.path.join(folder, name)
        subprocess.run([pvmm, "dump", "shot-" + name, core], check=True)
    finally:
        p.terminate()
        p.wait()
    subprocess.run([pvmm, "report", "--title", name + ".core", core, "-o", core + ".html"], check=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build")
    p.add_argument("out")
    o = p.parse_args()
    build = os.path.abspath(o.build)
    playwright, node, chromium = needed(build)
    with tempfile.TemporaryDirectory(prefix="pvmm-screenshots.") as folder:
        for guest in GUESTS:
            dumped(os.path.join(build, "pvmm"), build, folder, guest)
        return subprocess.run([node, os.path.join(HERE, "screenshots.mjs"), playwright, chromium, folder, o.out],
                              env=dict(os.environ, HOME=folder)).returncode


if __name__ == "__main__":
    sys.exit(main())
