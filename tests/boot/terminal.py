#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A person at a terminal: with --all-keys every key reaches the guest's shell, Ctrl-C too, and Ctrl-]
quits; without, Ctrl-C quits. The terminal is as it was before. terminal.py PVMM BUILD"""
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time

PATIENCE = 120


class Screen:
    """What the terminal shows, and a way to wait for it."""

    def __init__(self, master):
        self.master, self.text = master, b""

    def await_text(self, wanted):
        end = time.time() + PATIENCE
        while wanted not in self.text:
            if time.time() > end:
                sys.exit(f"FAILED: {wanted!r} never appeared; the screen shows\n"
                         + self.text.decode(errors="replace")[-3000:])
            if select.select([self.master], [], [], 0.5)[0]:
                self.text += os.read(self.master, 4096)

    def type(self, keys):
        self.text = b""
        os.write(self.master, keys)


def check(what, holds):
    print(f"{what}: {'yes' if holds else 'NO'}")
    if not holds:
        sys.exit(f"FAILED: {what}")


def own_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def main():
    command, build = sys.argv[1:3]
    kernel = f"{build}/kernel/vmlinuz"
    if not os.path.exists(kernel):
        print(f"no {kernel}")
        sys.exit(77)
    try:
        master, slave = pty.openpty()
    except OSError as e:
        print(f"no pseudo terminal to be had: {e}")
        sys.exit(77)
    before = termios.tcgetattr(slave)

    def start(*options):
        return subprocess.Popen(
            [command, "run", "-m", "256M", "-a", "pvmm.do=shell", "--timeout", "200",
             "-i", f"{build}/initramfs.cpio.gz", *options, kernel],
            stdin=slave, stdout=slave, stderr=subprocess.PIPE, preexec_fn=own_terminal)

    screen = Screen(master)
    run = start("--all-keys")
    screen.await_text(b"/ # ")
    check("the terminal is raw", not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ISIG))
    screen.type(b"echo begin; cat\n")
    screen.await_text(b"\nbegin")
    screen.type(b"\x03")
    screen.await_text(b"/ # ")
    screen.type(b"echo $((6*7))-answer\n")
    screen.await_text(b"42-answer")
    screen.type(b"\x1d")
    check("Ctrl-] quits with 130", run.wait(20) == 130)
    check("stderr says so", b"interrupted" in run.stderr.read())
    check("the terminal is restored", termios.tcgetattr(slave) == before)
    run = start()
    screen.await_text(b"Linux version")
    screen.type(b"\x03")
    check("Ctrl-C quits with 130", run.wait(20) == 130)
    check("the terminal is restored again", termios.tcgetattr(slave) == before)


main()
