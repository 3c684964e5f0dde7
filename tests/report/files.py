#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`pvmm report` of images that are damaged or hostile, and output that fails: files.py PVMM MKDUMP.

PVMM is built with sanitizers: what they find ends it with another exit code than those that are expected.
"""
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

PVMM, MKDUMP = sys.argv[1], sys.argv[2]
DAMAGED = 150
SEED = 20
PATIENCE = 60
WRITTEN, UNREADABLE = 0, 2


class Flunk(Exception):
    """What was expected did not come."""


def check(what, got, wanted):
    if got != wanted:
        raise Flunk(f"{what}: {got!r}, not {wanted!r}")


def report(image, page, *words, **options):
    return subprocess.run([PVMM, "report", *words, image, "-o", page], capture_output=True, timeout=PATIENCE, **options)


def left(folder):
    return sorted(n for n in os.listdir(folder) if "page" in n)


def scripts(page):
    with open(page, encoding="utf-8", errors="surrogateescape") as f:
        return re.findall(r"<script[^>]*>", f.read())


def hostile_words(folder, image):
    """What a person or a file says becomes no part of the page's own."""
    plain = os.path.join(folder, "page")
    check("exit code", report(image, plain).returncode, WRITTEN)
    usual = [re.sub(r"sha256-[^'\" ]*", "", s) for s in scripts(plain)]
    for word in ("</script><script>alert(1)</script>", "<!--<script>", "\"'><img src=x onerror=alert(1)>", "\x01\x7f\x1b[31m",
                 b"\xff\xfe\xc0\x80".decode(errors="surrogateescape"), "x" * 100000, "&lt;b&gt;"):
        r = report(image, plain, "--title", word)
        check(f"exit code with {word[:20]!r}", r.returncode, WRITTEN)
        check(f"scripts with {word[:20]!r}", [re.sub(r"sha256-[^'\" ]*", "", s) for s in scripts(plain)], usual)
        with open(plain, "rb") as f:
            check(f"pictures with {word[:20]!r}", b"<img" in f.read(), False)
    os.remove(plain)


def copies_that_are_damaged(folder, image):
    """Each ends with a page, or with a reason and no page."""
    with open(image, "rb") as f:
        whole = f.read()
    by = {WRITTEN: 0, UNREADABLE: 0}
    chance = random.Random(SEED)
    page, copy = os.path.join(folder, "page"), os.path.join(folder, "copy")
    for n in range(DAMAGED):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            at = chance.randrange(min(len(data), 16384) if chance.random() < 0.5 else len(data))
            data[at] = chance.randrange(256) if chance.random() < 0.5 else data[at] ^ 1 << chance.randrange(8)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)):]
        with open(copy, "wb") as f:
            f.write(data)
        r = report(copy, page)
        if r.returncode not in by or b"Sanitizer" in r.stderr or b"runtime error" in r.stderr:
            raise Flunk(f"copy {n} of seed {SEED}: exit code {r.returncode}, {r.stderr[-400:]}")
        by[r.returncode] += 1
        check(f"copy {n}: a page", os.path.exists(page), r.returncode == WRITTEN)
        check(f"copy {n}: a reason", r.returncode == WRITTEN or len(r.stderr) > 20, True)
        if r.returncode == WRITTEN:
            os.remove(page)
    check("some of each", min(by.values()) > 5, True)
    check("what is left", left(folder), [])


def output_that_fails(folder, image):
    for page, code in (("/dev/full", 129), ("/nonexistent/page", 128), (folder, 129)):
        r = report(image, page)
        check(f"exit code for {page}", (r.returncode, r.stderr.startswith(b"pvmm report: ")), (code, True))
    r = subprocess.run(f"'{PVMM}' report '{image}' -o - > /dev/full", shell=True, capture_output=True, timeout=PATIENCE)
    check("exit code for -", (r.returncode, len(r.stderr) > 0), (128, True))
    r = report(image, "-")
    check("a page on standard output", (r.returncode, b"pvmm-report" in r.stdout), (0, True))
    check("no page is asked for", subprocess.run([PVMM, "report", image], capture_output=True).returncode, 129)


def interrupted(folder, image):
    """While it waits for more of its image; what was there before stays."""
    page = os.path.join(folder, "page")
    with open(page, "w", encoding="utf-8") as f:
        f.write("before")
    with open(image, "rb") as f:
        half = f.read(50000)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        p = subprocess.Popen([PVMM, "report", "-", "-o", page], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(half)
        p.stdin.flush()
        time.sleep(1)
        p.send_signal(number)
        p.stdin.close()
        p.stderr.read()
        check(f"exit code by {number.name}", p.wait(PATIENCE) in (code, -number), True)
        with open(page, encoding="utf-8") as f:
            check("what was there", f.read(), "before")
    check("what is left", left(folder), ["page"])
    os.remove(page)


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "image")
        subprocess.run([MKDUMP, "whole", image], check=True)
        for case in (hostile_words, output_that_fails, interrupted, copies_that_are_damaged):
            begun = time.monotonic()
            try:
                case(folder, image)
                print(f"ok {case.__name__}, {time.monotonic() - begun:.1f} s", flush=True)
            except (Flunk, OSError, subprocess.SubprocessError) as e:
                failed += 1
                print(f"FAILED {case.__name__}: {e}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
