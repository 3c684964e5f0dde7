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
  PATH            of those that say nothing more: their process, when they have come that far; also of one that finds
                  its input ended
"""
import os
import struct
import sys
import time

HOW = sys.argv[1]
LIBXC_CONTEXT = 1


def say(text):
    os.write(1, text.encode() + b"\n")


def end(text=None):
    if text:
        say(text)
    sys.exit(2)


def mark():
    with open(sys.argv[2], "w", encoding="ascii") as f:
        f.write(f"{os.getpid()}\n")


def stay():
    if len(sys.argv) > 2:
        mark()
    time.sleep(1000)


def line():
    text = b""
    while not text.endswith(b"\n"):
        c = os.read(0, 1)
        if not c:
            end()
        text += c
    return text.decode().rstrip("\n")


taken = 0


def read(n):
    """The next bytes of the stream."""
    global taken
    data = b""
    while len(data) < n:
        piece = os.read(0, n - len(data))
        if not piece:
            if len(sys.argv) > 2:
                mark()
            end()
        data += piece
    taken += n
    if HOW == "full" and taken > 1 << 20:
        end("failed no room on the disk")
    if HOW == "stuck" and taken > 1 << 20:
        stay()
    return data


def records(of_libxl):
    """To the END record."""
    while True:
        kind, length = struct.unpack("<II", read(8))
        read(length + 7 & ~7)
        if kind == 0:
            return
        if of_libxl and kind == LIBXC_CONTEXT:
            read(24 + 16)  # image and domain header
            records(False)


def take():
    """A file as `xl save` writes it: its head, libxl's records, and libxc's among these."""
    read(32 + 12)
    read(struct.unpack("<I", read(4))[0])
    read(16)
    records(True)


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
