#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""junit.py PVMM KERNEL: runs of every kind, told as JUnit has it: XML that parses, the counts that its cases make, the
same outcome as the exit code."""
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

PVMM, KERNEL = map(os.path.abspath, sys.argv[1:3])
RESULTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}
bad = 0


def wrong(what):
    global bad
    bad += 1
    print(f"WRONG: {what}")


def result(case):
    return next((r.tag for r in case if r.tag in RESULTS), "passed")


def run(what, code, expected, *words, says=""):
    """expected: of each case that there must be, its result."""
    with tempfile.TemporaryDirectory() as d:
        path = f"{d}/junit.xml"
        p = subprocess.run([PVMM, "run", "--accel", "tcg", "--no-core", "--junit", path, *words], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=120, check=False)
        suite = tree.parse(path).getroot()
    cases = {c.get("name"): c for c in suite.iter("testcase")}
    found = {name: result(c) for name, c in cases.items()}
    if p.returncode != code or found != expected:
        wrong(f"{what}: exit code {p.returncode}, not {code}; {found}, not {expected}\n{p.stderr.decode(errors='replace')}")
    if suite.tag != "testsuite" or int(suite.get("tests")) != len(cases):
        wrong(f"{what}: {suite.get('tests')} tests are said, {len(cases)} are there")
    for tag, count in RESULTS.items():
        if int(suite.get(count)) != list(found.values()).count(tag):
            wrong(f"{what}: {count} is {suite.get(count)}")
    properties = {x.get("name"): x.get("value") for x in suite.iter("property")}
    if properties.get("exit_code") != str(code):
        wrong(f"{what}: {properties}")
    text = tree.tostring(suite, encoding="unicode")
    if says not in text:
        wrong(f"{what}: it does not say {says!r}: {text}")
    print(f"{what}: {found}")


WELL = {"machine": "passed", "guest": "passed", "contract": "passed", "audit": "passed"}
SMALL = ["-m", "32M"]
run("a guest that ends well", 0, WELL, *SMALL, "-a", "test=mfnlist*", KERNEL)
run("what is expected is seen", 0, WELL | {"expect": "passed"}, *SMALL, "-a", "live", "--expect", "LIVE alive", KERNEL)
run("it is not", 1, WELL | {"guest": "failure", "expect": "failure"}, *SMALL,
    "-a", "test=mfnlist*", "--expect", "never", KERNEL)
run("too slow", 124, WELL | {"guest": "failure"}, *SMALL, "-a", "live", "--timeout", "3", KERNEL, says="timeout")
run("no kernel", 125, {"machine": "passed", "guest": "skipped"}, __file__)
run("no such file", 125, {"machine": "passed", "guest": "skipped"}, "/nowhere/<&\"\x01>", says="/nowhere/&lt;&amp;")
run("no QEMU", 128, {"machine": "error", "guest": "skipped"}, "--qemu", "/nowhere/qemu", *SMALL, KERNEL, says="qemu")
sys.exit(1 if bad else 0)
