#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The judges of moves.py can say no: consoles, jobs and clocks that are not as they have to be."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import moves  # noqa: E402

LIVE = """LIVE suspending
LIVE resumed grant=ok sum=ok lists=ok spaces=ok
LIVE alive n=12 sum=ok lists=ok spaces=ok
LIVE heard still there date=1000
"""
SHELL = """beat ok 7
/ # kill -0 $! $tree && echo who=$$-$!-$tree-$me at=$(date +%s)
who=1-70-66-1234 at=1000
beat ok 8
"""
JOB = """MARK arrived test 1
STEP restore-test 0 6
DATE test 999 1000
MARK gone test 5
STEP destroy-test 0 1
"""


class Judges(unittest.TestCase):
    test_kernel = moves.TestKernel("build", "kernel")
    debian = moves.Debian.__new__(moves.Debian)

    def refused(self, f, *args):
        with self.assertRaises(moves.Flunk):
            f(*args)

    def test_a_life_that_goes_on(self):
        self.assertEqual(self.test_kernel.facts(LIVE, True), {"same": "its one life", "beat": 12, "date": 1000})
        self.assertEqual(self.debian.facts(SHELL, True), {"same": "1-70-66-1234", "beat": 8, "date": 1000})

    def test_a_life_that_does_not(self):
        for text in (LIVE.replace("n=12 sum=ok", "n=12 sum=BAD:1-of-9-from-4"), LIVE + "LIVE up pages=9\n",
                     LIVE.replace("resumed grant=ok", "resumed grant=BAD:lost"),
                     LIVE.replace("LIVE heard", "LIVE hear"),
                     LIVE.replace("LIVE alive", "LIVE aliv"), LIVE + "LIVE FATAL waiting: no\n"):
            self.refused(self.test_kernel.facts, text, True)
        for text in (SHELL + "beat BAD\n", SHELL.replace("beat ok", "beat"), SHELL.replace("\nwho=", "\nwh="),
                     SHELL + "[    1.0] BUG: unable to handle\n", SHELL + "PVMM-READY\n"):
            self.refused(self.debian.facts, text, True)

    def test_a_watchdog_that_barks_is_minded_after_a_move_alone(self):
        text = SHELL + "[   93.5] watchdog: BUG: soft lockup - CPU#0 stuck for 38s! [cp:125]\n"
        self.refused(self.debian.facts, text, True)
        self.debian.facts(text, False)

    def test_another_life(self):
        before = {"same": "1-70", "beat": 8, "late": (5, 6)}
        moves.moved_well(before, before | {"beat": 9})
        moves.moved_well(before, before | {"beat": 9, "late": (0, 1)})
        for change in ({"beat": 8}, {"same": "1-71"}, {"late": (6 + moves.SKEW + 1, 30)},
                       {"late": (-9, -moves.SKEW - 1)}):
            self.refused(moves.moved_well, before, before | {"beat": 9} | change)

    def test_a_clock(self):
        facts = {"date": 1010}
        moves.its_time_is(facts, 1009, 1012)
        self.assertEqual(facts["late"], (-1, 2))
        for asked, answered in ((1010 + moves.LATE, 1100), (990, 1010 - moves.SKEW)):
            moves.its_time_is(facts, asked, answered)
        for asked, answered in ((1010 + moves.LATE + 1, 1100), (990, 1010 - moves.SKEW - 1)):
            self.refused(moves.its_time_is, facts, asked, answered)

    def test_a_job(self):
        with tempfile.TemporaryDirectory() as work:
            os.mkdir(os.path.join(work, "console"))
            with open(os.path.join(work, "console/guest-test.log"), "w") as f:
                f.write("LIVE up pages=9\n" + LIVE)
            s = moves.Setting.__new__(moves.Setting)
            s.work, s.log = work, JOB
            self.assertEqual(s.judge(self.test_kernel, "arrived")["beat"], 12)
            for log in (JOB.replace("restore-test 0", "restore-test 1"), JOB.replace("DATE", "DAT"), "",
                        JOB.replace("MARK gone", "MAR gone"), JOB.replace("DATE", "FAILED: test says nothing\nDATE"),
                        JOB.replace("DATE test 999 1000", f"DATE test {1001 + moves.LATE} 1100"),
                        JOB.replace("arrived test 1", "arrived test 0"),
                        JOB.replace("gone test 5", "gone test 4")):
                s.log = log
                self.refused(s.judge, self.test_kernel, "arrived")

    def test_a_part_that_fails_is_told_once(self):
        s = moves.Setting.__new__(moves.Setting)
        s.failed, s.seconds = {}, moves.collections.Counter()
        for why in ("first", "second"):
            with s.part(self.test_kernel, moves.DUMP):
                moves.check(why, False)
        with s.part(self.test_kernel, moves.CHECK):
            pass
        self.assertEqual(list(s.failed), [("test", moves.DUMP)])
        self.assertTrue(s.failed["test", moves.DUMP].startswith("first"))


if __name__ == "__main__":
    unittest.main()
