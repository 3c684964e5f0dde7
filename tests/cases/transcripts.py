#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a story's README shows is what pvmm says now, but for numbers and the unsure words of stacks: of the broken
kernel's run, and of the store that is looked for in its recording.

Usage: transcripts.py [--write] CASES-FOLDER BUILD STORY...

With --write the transcript is replaced by that of a run of now.
"""
import difflib
import itertools
import os
import re
import sys
import tempfile

SHOWN = re.compile(r"(?<=^```\n)pvmm: .*?(?=^```$)", re.M | re.S)
STORED = re.compile(r"(?<=^```\n)pvmm: entry .*?(?=^```$)", re.M | re.S)
VERDICT = re.compile(r"pvmm: (not )?clean: ")
UNSURE = re.compile(r"^ +(stack +)?\? 0x")
NUMBER = re.compile(r"0x[0-9a-f]+|\d+\.\d+|(?<=mfn )[0-9a-f]+|\d+ of \d+|\d+ more stores?|\d+ address(es)?")


def said(machine, story, build):
    """From the first report to the verdict's headline."""
    words = [os.path.join(build, "pvmm"), "run", "--accel", "tcg", "--no-core",
             *story.command(build, False, False)]
    lines = [line for _, line in machine.run(words, 240).err]
    ends = [i for i, line in enumerate(lines) if VERDICT.match(line)]
    if not ends:
        sys.exit(f"{story.name}: no verdict: {lines[-3:]}")
    return "".join(line + "\n" for line in lines[:ends[0] + 1])


def said_of_store(machine, story, build):
    """Who stored the entry of the first finding that it is asked of, in a recording that is made for it."""
    with tempfile.TemporaryDirectory(prefix="pvmm-transcripts-") as folder:
        recording, pvmm = os.path.join(folder, "recording"), os.path.join(build, "pvmm")
        machine.run([pvmm, "run", "--no-core", "--record", recording, *story.command(build, False, False)], 240)
        run = machine.run([pvmm, "replay", recording, "--who-stored", story.stored[0].finding], 240)
    if run.code != 0:
        sys.exit(f"{story.name}: who stored it is not found: {run.err[-3:]}")
    return "".join(line + "\n" for line in run.words())


def shape(text):
    """One line for each line with a label or a sign in front, without what varies."""
    whole = []
    for line in text.splitlines():
        if UNSURE.match(line):
            continue
        if re.match(r"pvmm: |  \S| {12}[!-] | {14}(?! )", line) or not whole:
            whole.append(line.strip())
        else:
            whole[-1] += " " + line.strip()
    return [re.sub(r"\s+", " ", NUMBER.sub("N", line)) for line in joined(whole)]


def joined(lines):
    """Where a line is broken depends on its numbers: what stands under one label is one text. In which order
    holders of a kind come depends on their frames."""
    out = []
    for line in lines:
        if out and not re.match(r"pvmm: |\w+\.? {2,}|held by|[!-] ", line):
            out[-1] += " " + line
        else:
            out.append(re.sub(r"^held by +", "", line))
    runs = itertools.groupby(out, lambda line: line.startswith(("! ", "- ")))
    return [line for holders, run in runs for line in (sorted(run) if holders else run)]


def main():
    write = sys.argv[1] == "--write"
    cases, build, *names = sys.argv[2 if write else 1:]
    sys.path.insert(0, cases)
    sys.dont_write_bytecode = True
    import machine  # pylint: disable=import-outside-toplevel
    import story as stories  # pylint: disable=import-outside-toplevel
    wrong = False
    for name in names:
        story = stories.Story(name)
        story.prepare(build)
        path = f"{cases}/{name}/README.md"
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for block, say in [(SHOWN, said), *([(STORED, said_of_store)] if story.stored else [])]:
            shown, now = block.search(text), say(machine, story, build)
            if not shown:
                sys.exit(f"{path}: it does not show what pvmm said")
            if write:
                text = text[:shown.start()] + now + text[shown.end():]
                continue
            for line in difflib.unified_diff(shape(shown.group(0)), shape(now), path, "now", lineterm="", n=0):
                print(line)
                wrong = True
        if write:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    sys.exit(1 if wrong else 0)


main()
