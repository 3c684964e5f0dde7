#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What README.md shows of two terminals is what they show: the guest is saved on one and goes on on the other.

Usage: transcript.py [--write] SOURCE-DIR BUILD-DIR

A line of the block is that of terminal 1 or 2: "1 | $ ..." is a command, started when the one before has ended;
"1 | / # ..." is typed into its guest; all else is what is said, and "..." stands for any lines. Numbers may
differ. With --write what is said after commands and typed lines is replaced by that of now, where the block
shows as many lines.
"""
import os
import pty
import re
import select
import shlex
import signal
import sys
import tempfile
import time

PATIENCE = 200
BLOCK = re.compile(r"(?<=^```\n)1 \| \$ .*?(?=^```$)", re.M | re.S)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b.|\r|\x07")
NUMBER = re.compile(r"\d+(\.\d+)?")
DATE = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}")
PROMPT = "/ # "


class Wrong(Exception):
    pass


class Terminal:
    everyone = []

    def __init__(self):
        self.everyone.append(self)
        self.text, self.tail, self.process, self.fd = "", "", 0, -1

    def start(self, command, folder):
        self.text += f"$ {command}\n"
        self.process, self.fd = pty.fork()
        if self.process == 0:
            try:
                os.chdir(folder)
                words = shlex.split(command)
                os.execv(words[0], words)
            finally:
                os._exit(127)

    def read(self, seconds):
        """Whether something came, or the end."""
        if self.fd < 0 or not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        if data:
            self.tail += data.decode(errors="replace")  # of a control sequence only the beginning may be there
            cut = max(self.tail.rfind("\x1b"), 0) if re.search(r"\x1b(\[[0-9;?]*)?$", self.tail) else len(self.tail)
            self.text += CONTROL.sub("", self.tail[:cut])
            self.tail = self.tail[cut:]
            return True
        os.close(self.fd)
        self.fd = -1
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        self.process = 0
        if code != 0:
            raise Wrong(f"exit code {code}:\n{self.text[-2000:]}")
        return True

    def wait(self, what, good):
        end = time.monotonic() + PATIENCE
        while not good():
            self.read(0.2)
            for t in self.everyone:
                t.read(0)
            if time.monotonic() > end:
                raise Wrong(f"{what}: not seen:\n{self.text[-2000:]}")

    def ended(self):
        self.wait("the command's end", lambda: self.fd < 0)

    def at_prompt(self):
        return self.text.endswith("\n" + PROMPT)

    def prompt(self):
        """A shell that comes back says none of itself: its last one was said elsewhere."""
        asked = time.monotonic()

        def good():
            nonlocal asked
            if not self.at_prompt() and time.monotonic() - asked > 5:
                asked = time.monotonic()
                os.write(self.fd, b"\r")
            return self.at_prompt()

        self.wait("a prompt", good)

    def type(self, line):
        """At the prompt; the guest's terminal says it again. Until the next prompt, or the guest's end."""
        self.prompt()
        before = len(self.text)
        os.write(self.fd, line.encode() + b"\r")
        self.wait(line, lambda: self.fd < 0 or (line in self.text[before:] and self.at_prompt()))

    def leave(self):
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)


def parse(block):
    lines = []
    for line in block.splitlines():
        terminal, bar, text = line[:2].strip(), line[2:3], line[4:]
        if bar != "|" or terminal not in ("", "1", "2"):
            raise Wrong(f"no line of a terminal: {line}")
        if terminal:
            lines.append((int(terminal), text))
    return lines


def play(lines, folder, terminals):
    for number, text in lines:
        t = terminals[number]
        if text.startswith("$ "):
            t.ended()
            t.start(text[2:], folder)
        elif text.startswith(PROMPT):
            t.type(text[len(PROMPT):])
    for t in terminals.values():
        t.ended()


def shape(line):
    line = NUMBER.sub("N", DATE.sub("DATE", line))
    return re.sub(r"\s+", " ", line).strip()


def matches(shown, said):
    """The lines said, where the shown ones have them; None: they are not alike."""
    if not shown:
        return [] if not said else None
    if shown[0] == "...":
        for skip in range(len(said) + 1):
            rest = matches(shown[1:], said[skip:])
            if rest is not None:
                return ["..."] + rest
        return None
    if not said or shape(shown[0]) != shape(said[0]):
        return None
    rest = matches(shown[1:], said[1:])
    return None if rest is None else [said[0]] + rest


def main():
    write = sys.argv[1] == "--write"
    source, build = map(os.path.abspath, sys.argv[2 if write else 1:])
    path = f"{source}/README.md"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    block = BLOCK.search(text)
    if not block:
        sys.exit(f"{path} shows no two terminals")
    if not os.path.exists(f"{build}/kernel/vmlinuz"):
        print(f"no {build}/kernel/vmlinuz: run make kernel")
        sys.exit(77)
    lines = parse(block.group(0))
    terminals = {1: Terminal(), 2: Terminal()}
    now = {}
    try:
        with tempfile.TemporaryDirectory(prefix="pvmm-readme-") as folder:
            os.symlink(build, f"{folder}/build")
            os.environ["PVMM_RUNTIME_DIR"] = f"{folder}/guests"
            play(lines, folder, terminals)
        for number, t in terminals.items():
            said = [line.rstrip() for line in t.text.splitlines()]
            now[number] = matches([line for n, line in lines if n == number], said)
            if now[number] is None:
                raise Wrong(f"terminal {number} says:\n{t.text}")
    except Wrong as e:
        sys.exit(f"{path}: {e}")
    finally:
        for t in terminals.values():
            t.leave()
    if write:
        new = "".join(f"{line[0]} | {now[int(line[0])].pop(0)}".rstrip() + "\n" if line[0] != " " else line + "\n"
                      for line in block.group(0).splitlines())
        with open(path, "w", encoding="utf-8") as f:
            f.write(text[:block.start()] + new + text[block.end():])
    print(f"{len(lines)} lines of two terminals")


main()
