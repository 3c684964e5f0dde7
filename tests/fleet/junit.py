#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`pvmm run --junit`: a file that CI systems can read, whatever the guest prints and however the run ends.

Usage: junit.py PVMM BUILD KERNEL XMLTEXT SCHEMA
"""
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

PVMM, BUILD, KERNEL, XMLTEXT, SCHEMA = map(os.path.abspath, sys.argv[1:6])
PATIENCE = 120
os.environ["PVMM_HYPERVISOR"] = f"{BUILD}/hypervisor/pvmm.elf32"
failures = []


def check(what, holds, more=""):
    print(f"{'ok' if holds else 'FAILED'}: {what}{'' if holds else f': {more}'}")
    if not holds:
        failures.append(what)


def lint(path):
    return subprocess.run(["xmllint", "--noout", "--schema", SCHEMA, path], capture_output=True, text=True, check=False)


def expected(data):
    """What is to be read of these bytes, by other means."""
    out, text = [], data.decode("utf-8", "surrogateescape")
    text = re.sub(r"\r(?=[\r\n])", "", text)
    for c in text:
        o = ord(c)
        if 0xdc80 <= o <= 0xdcff:
            out.append(f"\\x{o - 0xdc00:02x}")
        elif (o < 32 and c not in "\n\t") or o == 127:
            out.append(f"\\x{o:02x}")
        elif o in (0xfffe, 0xffff):
            out.append("".join(f"\\x{b:02x}" for b in c.encode()))
        else:
            out.append(c)
    return "".join(out)


def text_of(data):
    p = subprocess.run([XMLTEXT], input=data, capture_output=True, check=True)
    subprocess.run(["xmllint", "--noout", "-"], input=p.stdout, capture_output=True, check=True)
    return xml.fromstring(p.stdout).text or ""


def hostile_bytes():
    dice = random.Random(7)
    edges = ["\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0010ffff", "\x80", "\x9f", "\u2028"]
    cases = [bytes(range(256)), b"]]>", b"<![CDATA[x]]></t>&amp;&#0;", b"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xf8",
             b"a\r\r\nb\rc\r", "".join(edges).encode(), b"\xe2\x82", b"\xf0\x9f\x98", b""]
    for n in range(300):
        cases.append(bytes(dice.choice((dice.randrange(256), *b"<>&'\"\r\n", *"é€😀".encode()))
                           for _ in range(dice.randrange(400))))
    bad = [c for c in cases if text_of(c) != expected(c)]
    check(f"{len(cases)} hostile texts are well-formed, and read as what they are", not bad, bad[:1])
    lines = b"".join(b"line %d\n" % i for i in range(20000))
    kept = text_of(lines)
    check("of a long console the last lines are kept, whole", lines.decode().endswith(kept) and
          60000 < len(kept) <= 65536 and kept.startswith("line "), kept[:40])


def run(case, code, *words, act=None, **env):
    """(cases by name, the suite, what it is as a whole); the file is as it must be."""
    path = f"{TMP}/{case}.xml"
    with open(path, "w", encoding="utf-8") as f:
        f.write("of before")
    p = subprocess.Popen([PVMM, "run", "--no-core", "--accel", "tcg", "-m", "16M", "--junit", path, *words],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=os.environ | env)
    if act:
        act(p, path)
    out, err = p.communicate(timeout=PATIENCE)
    check(f"{case}: exit code {code}", p.returncode == code, f"{p.returncode}: {err.decode(errors='replace')}")
    seen = lint(path)
    check(f"{case}: as the schema says", seen.returncode == 0, seen.stderr)
    root = xml.parse(path).getroot()
    suite = root.find("testsuite")
    cases = {c.get("name"): (c[0].tag if len(c) else "ok") for c in suite.iter("testcase")}
    told = {q.get("name"): q.get("value") for q in suite.iter("property")}
    answers = list(cases.values())
    check(f"{case}: it says the exit code", told.get("exit_code") == str(code), told)
    check(f"{case}: the counts are right", (int(suite.get("tests")), int(suite.get("failures")),
                                            int(suite.get("errors")), int(suite.get("skipped"))) ==
          (len(answers), answers.count("failure"), answers.count("error"), answers.count("skipped")), answers)
    check(f"{case}: failure is the guest's, error another's",
          ("failure" in answers, "error" in answers) == (code in (1, 124), code not in (0, 1, 124)), cases)
    console = suite.find("system-out").text or ""
    check(f"{case}: the console is there", console.splitlines() == expected(out).splitlines(), console[-200:])
    check(f"{case}: nothing is left beside", not [n for n in os.listdir(TMP) if n.startswith(".")])
    return cases


def kill(number, seconds=1.0):
    def act(p, path):
        time.sleep(seconds)
        check("what was there before is gone meanwhile", not os.path.exists(path))
        p.send_signal(number)
    return act


def kill_qemu(p, _):
    time.sleep(1.0)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                name, rest = f.read().rsplit(")", 1)
        except OSError:
            continue
        if int(rest.split()[1]) == p.pid and "qemu" in name:
            os.kill(int(pid), signal.SIGKILL)


def ends():
    live = ["-a", "live", KERNEL]
    cases = run("clean", 0, "--expect", "LIVE alive", *live)
    check("clean: all is well", set(cases.values()) == {"ok"}, cases)
    cases = run("never", 124, "--timeout", "2", "--expect", "never", *live)
    check("never: the text is to blame", (cases["expect"], cases["end"], cases["boot"]) == ("failure", "skipped", "ok"),
          cases)
    cases = run("timeout", 124, "--timeout", "2", *live)
    check("timeout: the end is to blame", (cases["expect"], cases["end"]) == ("skipped", "failure"), cases)
    cases = run("crash", 1, "-a", "die", KERNEL)
    check("crash: the end is to blame", cases["end"] == "failure", cases)
    cases = run("broken", 1, "--strict", "-a", "fault=initial-pinned", KERNEL)
    check("broken: the contract is to blame", cases["contract"] == "failure", cases)
    check("interrupted: the machine is to blame", run("interrupted", 130, *live, act=kill(signal.SIGINT))["machine"]
          == "error")
    run("terminated", 143, *live, act=kill(signal.SIGTERM))
    run("qemu", 128, *live, act=kill_qemu)
    run("no-kernel", 125, f"{TMP}/none")
    run("no-qemu", 128, "--qemu", f"{TMP}/none", *live)
    run("no-hypervisor", 128, *live, PVMM_HYPERVISOR=f"{TMP}/none")
    path = f"{TMP}/killed.xml"
    p = subprocess.Popen([PVMM, "run", "--no-core", "--accel", "tcg", "-m", "16M", "--junit", path, *live],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    p.kill()
    p.wait()
    check("SIGKILL: no file, and none beside", not [n for n in os.listdir(TMP) if "killed" in n])


with tempfile.TemporaryDirectory(prefix="fleet.") as TMP:
    hostile_bytes()
    ends()
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
