#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What judges the stories' reports: that it sees what is wrong. Usage: test_expect.py CASES-FOLDER"""
import os
import sys
import unittest

sys.dont_write_bytecode = True
CASES = os.path.abspath(sys.argv.pop(1))
sys.path.insert(0, CASES)

import expect
import story as stories

REPORT = {"code": "type-in-use", "rule": 2, "errno": "EBUSY", "module": None, "clean": False,
          "frame": {"pfn": "0x3fde", "flags": ["validated", "pinned"]},
          "holders": [{"kind": "entry", "conflicts": True, "place": {"va": "0xffff888003fde000"}},
                      {"kind": "pin", "conflicts": False}],
          "guest": {"stack": [{"symbol": "hook_table"}, {"symbol": "pvg_boot"}]}}
OTHER = dict(REPORT, rule=3)

RIGHT = """
# a comment, and a line of blanks
report type-in-use
rule = 2
rule = 0x2
errno = EBUSY
clean = false
module absent
nothing.at.all absent
frame.pfn = 16350
frame.pfn = 0x3fde
frame.pfn ~ 0x3f[0-9a-f]{2}
frame.flags has pinned
holders[].kind = pin
holders[1].kind = pin
holders[conflicts=true].kind = entry
holders[kind=entry].place.va ~ 0xffff8880.*000
guest.stack[0].symbol = hook_table
guest.stack[].symbol = pvg_boot
"""
WRONG = """rule = 3
rule ~ [3-9]
errno = EINVAL
errno ~ BUSY
clean = true
frame absent
module = x
frame.pfn = 0x3fdf
frame.pfn ~ 0x3
frame.flags has shared
frame.flags = pinned
frame = 0x3fde
holders[].kind = held
holders[0].kind = pin
holders[2].kind = pin
holders[conflicts=true].kind = pin
holders[kind=loan].kind = loan
guest.stack[0].symbol = pvg_boot
guest.stack.symbol = pvg_boot
no.such.path = 1
rule.deeper = 2
"""
NONSENSE = ["rule = 2", "report", "report a b", "report x\nrule", "report x\nrule is 2", "report x\nrule =",
            "report x\nrule absent 2", "report x\nru!e = 2", "report x\nframe.. = 2",
            "report x\nholders[ = 2", "report x\nrule ~ (", "", "# nothing"]


def missing(text, *reports):
    return expect.missing(expect.read(text, "f"), list(reports))


class Expect(unittest.TestCase):
    def test_right(self):
        self.assertEqual(missing(RIGHT, REPORT), [])

    def test_each_right_line_alone(self):
        for line in RIGHT.split("type-in-use\n")[1].splitlines():
            self.assertEqual(missing(f"report type-in-use\n{line}", REPORT), [], line)

    def test_each_wrong_line_is_named(self):
        for line in WRONG.splitlines():
            found = missing(f"report type-in-use\n{line}\n", REPORT)
            self.assertEqual(len(found), 1, line)
            self.assertIn(f"f:2: {line} (there is: ", found[0])

    def test_wrong_among_right(self):
        for line in WRONG.splitlines():
            self.assertEqual(len(missing(RIGHT + line, REPORT)), 1, line)

    def test_no_report(self):
        self.assertEqual(missing("report x", REPORT), ["no report x (there are: type-in-use)"])
        self.assertEqual(missing("report x"), ["no report x (there are: none)"])

    def test_all_lines_are_about_one_report(self):
        both = "report type-in-use\nrule = 3\nframe.pfn = 0x3fde\n"
        self.assertEqual(missing(both, REPORT, OTHER), [])
        elsewhere = dict(OTHER, frame={"pfn": "0x1"})
        self.assertEqual(len(missing(both, REPORT, elsewhere)), 1)

    def test_two_reports(self):
        text = "report type-in-use\nrule = 2\nreport no-l1\nrule = 3\n"
        self.assertEqual(missing(text, REPORT, {"code": "no-l1", "rule": 3}), [])
        self.assertEqual(len(missing(text, REPORT)), 1)

    def test_truth_is_no_number(self):
        self.assertEqual(len(missing("report type-in-use\nclean = 0", REPORT)), 1)
        self.assertEqual(len(missing("report type-in-use\nrule = true", dict(REPORT, rule=1))), 1)

    def test_stored(self):
        wanted = expect.read("report x\nrule = 2\nstored x#2\nby = plain\nstack[].symbol = f\n", "f")
        self.assertEqual([w.code for w in expect.of_reports(wanted)], ["x"])
        stored = expect.of_stores(wanted)
        self.assertEqual([w.finding for w in stored], ["x#2"])
        right = {"by": "plain", "stack": [{"symbol": "e"}, {"symbol": "f"}]}
        self.assertEqual(stored[0].missing(right), [])
        self.assertEqual(stored[0].missing(dict(right, by="request")), ["f:4: by = plain (there is: request)"])
        self.assertEqual(len(stored[0].missing({})), 2)
        self.assertEqual(expect.missing(wanted, [{"code": "x", "rule": 2}]), [])

    def test_stored_alone(self):
        with self.assertRaises(expect.ExpectError):
            expect.read("stored x\nby = plain\n", "f")

    def test_nonsense(self):
        for text in NONSENSE:
            with self.assertRaises(expect.ExpectError, msg=text):
                expect.read(text, "f")


class Stories(unittest.TestCase):
    def test_all_can_be_read(self):
        names = stories.names()
        self.assertGreaterEqual(len(names), 7)
        for name in names:
            story = stories.Story(name)
            self.assertTrue(story.wanted[0].lines, name)
            self.assertTrue(os.path.exists(os.path.join(story.folder, "README.md")), name)

    def test_mended_differs(self):
        for story in map(stories.Story, stories.names()):
            if story.has_mended:
                self.assertNotEqual(story.command("b", True, False), story.command("b", False, False))

    def test_xen_has_no_map(self):
        command = stories.Story("short-mfn-list").command("b", False, True)
        self.assertNotIn("--e820", command)
        self.assertIn("--machine-memory", command)


if __name__ == "__main__":
    unittest.main()
