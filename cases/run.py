#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kernels that break the memory contract, each on pvmm and on real Xen: who names the cause?"""
import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile

import expect
import machine
import story as stories
from machine import RunError, children

HELP = """
For each story one line: its name; "explained", or what is missing from the report; the seconds from the
start of the machine until the cause was printed; and what real Xen printed for the same broken kernel:
its own lines after the kernel's start, and the kernel's last line.

Exit codes:
  0  every story is explained, and every mended kernel runs without a report
  1  something is missing
  2  the command line, or a story's own files, make no sense; or something cannot be run
  77 nothing could be run: everything asked for was left out
  130, 143  ended by Ctrl-C, by SIGTERM
"""

# Xen says this of any initial domain that does nothing wrong.
PLAIN = re.compile(r"\(XEN\) (Hardware Dom0 shutdown: rebooting machine|Resetting with|Freed |"
                   r"PCI add device|Preparing system for ACPI|Disabling non-boot CPUs|Entering ACPI)")


class Stopped(Exception):
    def __init__(self, number):
        super().__init__(number)
        self.number = number


def stop(number, _frame):
    raise Stopped(number)


def options():
    p = argparse.ArgumentParser(prog="run.py", description=__doc__, epilog=HELP,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("story", nargs="*", help="only these (default: all; --list names them)")
    p.add_argument("--build", default="build", metavar="DIR", help="the build folder (build)")
    p.add_argument("--no-xen", action="store_true", help="leave real Xen out")
    p.add_argument("--no-mended", action="store_true", help="leave the mended kernels out")
    p.add_argument("--timeout", type=float, default=240, metavar="SECONDS",
                   help="of one machine (240)")
    p.add_argument("--keep", metavar="DIR",
                   help="leave there what each machine printed, and the JSON")
    p.add_argument("--list", action="store_true", help="name the stories, and run nothing")
    return p.parse_args()


class Setting:
    def __init__(self, args, keep):
        self.build, self.timeout, self.keep = args.build, args.timeout, keep
        self.pvmm = os.path.join(self.build, "pvmm")
        self.xen = os.path.join(self.build, "xen", "xen-4.17-amd64.gz")

    def check(self):
        if not os.path.exists(self.pvmm):
            raise RunError(f"{self.pvmm} is missing: run make")

    def boot(self, story, kind):
        """A run of one kind, and the JSON verdict. Where stores are asked for, the broken one is recorded."""
        words = [self.pvmm, "run", "--accel", "tcg",
                 *(["--hypervisor", self.xen] if kind == "xen" else ["--no-core"]),
                 *(["--record", self.recording(story)] if kind == "broken" and story.stored else []),
                 *story.command(self.build, kind == "mended", kind == "xen")]
        return self.run(story, kind, words)

    def recording(self, story):
        path = os.path.join(self.keep, f"{story.name}.recording")
        shutil.rmtree(path, ignore_errors=True)
        return path

    def who_stored(self, story, finding):
        """The replay that looks for the store, and its JSON."""
        recording = os.path.join(self.keep, f"{story.name}.recording")
        return self.run(story, f"stored-{finding}", [self.pvmm, "replay", recording, "--who-stored", finding])

    def run(self, story, kind, words):
        """A run to its end, and the JSON that it leaves."""
        path = os.path.join(self.keep, f"{story.name}.{kind}")
        run = machine.run([*words[:2], "--json", f"{path}.json", *words[2:]], self.timeout)
        for name, lines in (("out", run.out), ("err", run.err)):
            with open(f"{path}.{name}", "w", encoding="utf-8") as f:
                f.writelines(line + "\n" for _, line in lines)
        if not run.in_time:
            raise RunError(f"{kind}: not at its end after {self.timeout:g} s")
        try:
            with open(f"{path}.json", encoding="utf-8") as f:
                return run, json.load(f)
        except (OSError, ValueError) as e:
            said = "; ".join(line for _, line in run.err[-3:])
            raise RunError(f"{kind}: no verdict (exit code {run.code}: {said}): {e}") from e


def seconds_to_cause(run, wanted):
    """When the headline of the last of the wanted reports was printed; None: one never was."""
    seen = [run.said_at(f"[{w.code}]: ") for w in wanted]
    return None if None in seen else max(seen)


def broken(s, story):
    """What is missing from the broken run's report, and when the cause was printed."""
    run, verdict = s.boot(story, "broken")
    missing = expect.missing(story.wanted, verdict.get("reports") or [])
    if run.code not in story.ends:
        missing.append(f"exit code {run.code} instead of {' or '.join(map(str, story.ends))}")
    at = seconds_to_cause(run, story.wanted)
    if at is None:
        missing.append("the report is not printed")
    elif at > story.within:
        missing.append(f"the report was printed after {at:.1f} s")
    return missing, at


def stored(s, story):
    """What is missing from the answers to who stored the entries at fault."""
    missing = []
    for wanted in story.stored:
        run, answer = s.who_stored(story, wanted.finding)
        missing += wanted.missing(answer)
        if run.code != 0:
            missing.append(f"--who-stored {wanted.finding}: exit code {run.code}")
    return missing


def mended(s, story):
    run, verdict = s.boot(story, "mended")
    codes = [str(r.get("code")) for r in verdict.get("reports") or [] if r.get("weight") != "note"]
    missing = [f"the mended kernel has reports: {', '.join(codes)}"] if codes else []
    if run.code != 0 or not verdict.get("clean"):
        missing.append(f"the mended kernel: exit code {run.code}, {verdict.get('message') or 'not clean'}")
    return missing


def xen_said(s, story):
    """What real Xen has to say after the kernel's start, and the kernel's last line."""
    if not os.path.exists(s.xen):
        return [], f"real Xen: left out, no {s.xen}: run make xen"
    run, _ = s.boot(story, "xen")
    missing = [] if run.code in story.ends else [f"exit code {run.code} on real Xen"]
    lines = run.words()
    begun = max((i for i, line in enumerate(lines) if line.startswith("(XEN) Freed")), default=-1)
    after = [line for line in lines[begun + 1:] if line.strip()]
    own = [line for line in after if line.startswith("(XEN)") and not PLAIN.match(line)]
    kernels = [line for line in after if not line.startswith("(XEN)")]
    return missing, (f"Xen: {' / '.join(line[6:] for line in own) or 'nothing'}; "
                     f"kernel: {kernels[-1] if kernels else 'nothing'}")


def tell(s, story, args):
    """Runs one story and prints its line; True: nothing is missing."""
    story.prepare(s.build)
    missing, at = broken(s, story)
    missing += stored(s, story)
    if story.has_mended and not args.no_mended:
        missing += mended(s, story)
    more, xen = xen_said(s, story) if not args.no_xen else ([], "real Xen: left out")
    missing += more
    print(f"{story.name:16} {'; '.join(missing) or 'explained'}  "
          f"{'-' if at is None else f'{at:.1f} s'}  {xen}", flush=True)
    return not missing


def tell_all(args, keep):
    s = Setting(args, keep)
    s.check()
    good, told = True, 0
    for name in args.story or stories.names():
        try:
            good = tell(s, stories.Story(name), args) and good
            told += 1
        except stories.LeftOut as e:
            print(f"{name:16} left out: {e}", flush=True)
    return 77 if told == 0 else 0 if good else 1


def main():
    args = options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    unknown = [name for name in args.story if name not in stories.names()]
    if unknown:
        print(f"run.py: no story {unknown[0]}; there are {', '.join(stories.names())}", file=sys.stderr)
        return 2
    if args.list:
        print("\n".join(stories.names()))
        return 0
    try:
        if args.keep:
            os.makedirs(args.keep, exist_ok=True)
            return tell_all(args, args.keep)
        with tempfile.TemporaryDirectory(prefix="pvmm-cases-") as keep:
            return tell_all(args, keep)
    except (RunError, expect.ExpectError, OSError) as e:
        print(f"run.py: {e}", file=sys.stderr)
        return 2
    except Stopped as e:
        return 128 + e.number
    finally:
        children.end_all()


if __name__ == "__main__":
    sys.exit(main())
