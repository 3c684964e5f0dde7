#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py without machines: a script stands in for pvmm. Usage: test_run.py CASES-FOLDER"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

CASES = os.path.abspath(sys.argv.pop(1))
STORY = "initial-pinned"

# Writes its pid, what it is told to, and ends or waits as told.
PVMM = """#!/bin/sh
echo $$ > "$PVMM_FAKE/pid"
kind=broken
for word in "$@"; do
    case $word in
        fault=*) : ;;
        test=*) kind=mended ;;
        *.json) json=$word ;;
        *xen-4.17*) kind=xen ;;
    esac
done
cat "$PVMM_FAKE/$kind.err" >&2
cat "$PVMM_FAKE/$kind.out"
[ ! -e "$PVMM_FAKE/$kind.json" ] || cp "$PVMM_FAKE/$kind.json" "$json"
[ ! -e "$PVMM_FAKE/wait" ] || exec sleep 1000
exit $(cat "$PVMM_FAKE/$kind.rc")
"""
REPORT = {"code": "type-in-use", "weight": "breach"}


class Fake(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.at = self.folder.name
        os.mkdir(f"{self.at}/tmp")
        self.write("pvmm", PVMM)
        os.chmod(f"{self.at}/pvmm", 0o755)
        self.kind("broken", 1, {"clean": False, "reports": [REPORT]},
                  err="pvmm: breach[type-in-use]: in use\n")
        self.kind("mended", 0, {"clean": True, "reports": []})

    def write(self, name, text):
        with open(f"{self.at}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def kind(self, kind, code, verdict, out="", err=""):
        self.write(f"{kind}.rc", str(code))
        self.write(f"{kind}.out", out)
        self.write(f"{kind}.err", err)
        if verdict is not None:
            self.write(f"{kind}.json", json.dumps(verdict))

    def start(self, *words):
        environment = dict(os.environ, PVMM_FAKE=self.at, TMPDIR=f"{self.at}/tmp")
        return subprocess.Popen([sys.executable, "-B", f"{CASES}/run.py", "--build", self.at, *words],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=environment)

    def run_it(self, *words):
        p = self.start(*words)
        said, _ = p.communicate(timeout=60)
        self.assertEqual(os.listdir(f"{self.at}/tmp"), [], said)
        return p.returncode, said

    def child_is_gone(self):
        with open(f"{self.at}/pid", encoding="utf-8") as f:
            pid = int(f.read())
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)


class Judged(Fake):
    """The story's own expectation is not met by the stand-in: what is said of the rest counts here."""

    def said(self, *words):
        code, said = self.run_it(*words, STORY)
        self.assertEqual(code, 1, said)
        return said

    def test_expectation(self):
        self.assertIn(f"{STORY}/expect:", self.said())

    def test_exit_code(self):
        self.kind("broken", 0, {"clean": True, "reports": [REPORT]})
        self.assertIn("exit code 0 instead of 1", self.said())

    def test_not_printed(self):
        self.kind("broken", 1, {"reports": [REPORT]}, err="pvmm: breach[other]: in use\n")
        self.assertIn("the report is not printed", self.said())

    def test_mended_has_reports(self):
        self.kind("mended", 0, {"clean": True, "reports": [REPORT]})
        self.assertIn("the mended kernel has reports: type-in-use", self.said())
        self.assertNotIn("mended", self.said("--no-mended"))

    def test_notes_are_no_reports(self):
        self.kind("mended", 0, {"clean": True, "reports": [{"code": "n", "weight": "note"}]})
        self.assertNotIn("mended", self.said())

    def test_mended_dies(self):
        self.kind("mended", 1, {"clean": False, "reports": [], "message": "died"})
        self.assertIn("the mended kernel: exit code 1, died", self.said())

    def test_xen(self):
        os.mkdir(f"{self.at}/xen")
        self.write("xen/xen-4.17-amd64.gz", "x")
        self.kind("xen", 1, {"clean": False}, out="(XEN) early\n(XEN) Freed 1kB init memory\r\nhello\r\n"
                  "last words\r\n(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds.\r\n")
        said = self.said()
        self.assertIn("Xen: Hardware Dom0 crashed: rebooting machine in 5 seconds.; kernel: last words", said)
        self.assertNotIn("early", said)
        self.assertNotIn("hello", said)
        self.assertNotIn("last words", self.said("--no-xen"))

    def test_xen_says_nothing(self):
        os.mkdir(f"{self.at}/xen")
        self.write("xen/xen-4.17-amd64.gz", "x")
        self.kind("xen", 0, {"clean": True}, out="(XEN) Freed 1kB init memory\n"
                  "(XEN) Hardware Dom0 shutdown: rebooting machine\n")
        said = self.said()
        self.assertIn("Xen: nothing; kernel: nothing", said)
        self.assertIn("exit code 0 on real Xen", said)


class Failing(Fake):
    def test_no_verdict(self):
        os.remove(f"{self.at}/broken.json")
        code, said = self.run_it(STORY)
        self.assertEqual(code, 2)
        self.assertIn("no verdict (exit code 1: pvmm: breach[type-in-use]: in use)", said)

    def test_too_long(self):
        self.write("wait", "")
        code, said = self.run_it("--timeout", "1", STORY)
        self.assertEqual(code, 2)
        self.assertIn("not at its end after 1 s", said)
        self.child_is_gone()

    def test_no_pvmm(self):
        os.remove(f"{self.at}/pvmm")
        self.assertEqual(self.run_it(STORY)[0], 2)

    def test_no_such_story(self):
        code, said = self.run_it("no-such")
        self.assertEqual(code, 2)
        self.assertIn("no story no-such; there are ", said)

    def test_left_out(self):
        code, said = self.run_it("gnumach")
        self.assertEqual(code, 77)
        self.assertIn("left out: no ", said)

    def test_list_and_help(self):
        self.assertIn(STORY, self.run_it("--list")[1].splitlines())
        code, said = self.run_it("--help")
        self.assertEqual(code, 0)
        self.assertIn("Exit codes:", said)

    def test_signals(self):
        self.write("wait", "")
        for number, wanted in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            p = self.start(STORY)
            while not os.path.exists(f"{self.at}/pid"):
                time.sleep(0.02)
            time.sleep(0.2)
            p.send_signal(number)
            said, _ = p.communicate(timeout=30)
            self.assertEqual(p.returncode, wanted, said)
            self.assertEqual(said, "")
            self.child_is_gone()
            self.assertEqual(os.listdir(f"{self.at}/tmp"), [])
            os.remove(f"{self.at}/pid")


if __name__ == "__main__":
    unittest.main()
