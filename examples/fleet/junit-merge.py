#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One JUnit file of those of a matrix, and a table of them; the exit code is the worst of theirs (0, then 1, 124, then
others). A job without a file is an error.

Usage: junit-merge.py --jobs FILE --into FILE DIR
FILE of --jobs has a line for each job, KERNEL<tab>MEMORY<tab>WORDS; DIR has job-1.xml, job-2.xml, ...
"""
import argparse
import collections
import os
import sys
import xml.etree.ElementTree as xml

ENVIRONMENT = 128


def lost(name, path, why):
    """The suite of a job of which there is no file."""
    suite = xml.Element("testsuite", name=name, tests="1", failures="0", errors="1", skipped="0", time="0.000")
    case = xml.SubElement(suite, "testcase", classname=name, name="machine", time="0.000")
    xml.SubElement(case, "error", type="environment", message=f"{os.path.basename(path)}: {why}")
    return suite, ENVIRONMENT, "no file"


def read(name, path):
    """(suite, exit code, outcome)"""
    try:
        suite = xml.parse(path).getroot().find("testsuite")
        told = {p.get("name"): p.get("value") for p in suite.iter("property")}
        code, outcome = int(told["exit_code"]), told["outcome"]
    except (OSError, xml.ParseError, AttributeError, KeyError, ValueError) as e:
        return lost(name, path, str(e))
    suite.set("name", name)
    for case in suite.iter("testcase"):
        case.set("classname", name)
    return suite, code, outcome


def worse(code):
    return (code != 0) + (code not in (0, 1)) + (code not in (0, 1, 124)), code


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", required=True)
    parser.add_argument("--into", required=True)
    parser.add_argument("dir")
    a = parser.parse_args()
    with open(a.jobs, encoding="utf-8") as f:
        jobs = [line.rstrip("\n").split("\t") for line in f]
    whole, codes = xml.Element("testsuites", name="pvmm"), []
    total = collections.Counter()
    for i, (kernel, memory, words) in enumerate(jobs, 1):
        name = ".".join(("pvmm", os.path.basename(kernel).replace(".", "_"), memory) + ((words,) if words else ()))
        suite, code, outcome = read(name, os.path.join(a.dir, f"job-{i}.xml"))
        codes.append(code)
        whole.append(suite)
        total.update({key: int(suite.get(key)) for key in ("tests", "failures", "errors")})
        print(f"{i:4} {'ok' if code == 0 else 'NOT OK':7}{code:4}  {outcome:12} {suite.get('time'):>8} s  {name}")
    for key, n in total.items():
        whole.set(key, str(n))
    with open(a.into + ".new", "wb") as f:
        xml.ElementTree(whole).write(f, encoding="UTF-8", xml_declaration=True)
    os.rename(a.into + ".new", a.into)
    bad = sum(c != 0 for c in codes)
    print(f"{len(codes)} jobs, {bad} of them not ok: {a.into}")
    sys.exit(max(codes, key=worse, default=ENVIRONMENT))


main()
