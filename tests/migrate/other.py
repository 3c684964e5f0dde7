#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An other end of a migration that behaves as it is told, and brings no guest back: other.py HOW [PATH]

  whole           says all that is to be said
  unready         failed instead of ready
  full            failed in the middle of the pages
  stuck           takes nothing more in the middle of the pages
  refuses         failed instead of arrived
  mute            takes all, and then says nothing
  fails           failed instead of running
  lost            ends when it was told to go
  dumb            says nothing when it was told to go
  PATH            of those that say nothing more: their process, when they have come that far
"""
import os
import select
import sys
import time

HOW = sys.argv[1]


def say(text):
    os.write(1, text.encode() + b"\n")


def end(text=None):
    if text:
        say(text)
    sys.exit(2)


def stay():
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="ascii") as f:
            f.write(f"{os.getpid()}\n")
    time.sleep(1000)


def line():
    text = b""
    while not text.endswith(b"\n"):
        c = os.read(0, 1)
        if not c:
            end()
        text += c
    return text.decode().rstrip("\n")


def take():
    """A stream of xl's ends in a record of type 0 and length 0, and nothing follows it."""
    size, tail = 0, b""
    while not (tail == bytes(8) and not select.select([0], [], [], 0.3)[0]):
        data = os.read(0, 1 << 16)
        if not data:
            end()
        size, tail = size + len(data), (tail + data)[-8:]
        if HOW == "full" and size > 1 << 20:
            end("failed no room on the disk")
        if HOW == "stuck" and size > 1 << 20:
            stay()


word, version, memory, name = line().rsplit(" ", 3)
if (word, version) != ("pvmm migration", "1") or not memory.isdigit() or not name:
    end("failed that is no offer")
if HOW == "unready":
    end("failed no room in memory")
say("pvmm migration 1 ready")
take()
if HOW == "refuses":
    end("failed a table is wrong")
if HOW == "mute":
    stay()
say("arrived")
if line() != "go":
    end("failed that is not go")
if HOW == "fails":
    end("failed it would not start")
if HOW == "lost":
    end()
if HOW == "dumb":
    stay()
say("running")
