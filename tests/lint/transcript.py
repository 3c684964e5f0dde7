#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What docs/lint.md shows of the command is what the command says; addresses are the compiler's.

Usage: transcript.py SOURCE-DIR BUILD-DIR
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile


def plain(text):
    return re.sub(r"0x[0-9a-f]{16}", "0xADDRESS", text)


def main():
    source, build = map(os.path.abspath, sys.argv[1:3])
    with open(f"{source}/docs/lint.md", encoding="utf-8") as f:
        blocks = re.findall(r"^```\n(\$ .*?)^```$", f.read(), re.M | re.S)
    runs = [run for block in blocks for run in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M)]
    wrong = len(runs) < 4
    with tempfile.TemporaryDirectory() as place:
        os.symlink(build, f"{place}/build")
        for command, shown in runs:
            words = shlex.split(command)
            if not all(os.path.exists(f"{place}/{word}") for word in words if word.startswith("build/")):
                sys.exit(f"{command}: not all of it is there")
            said = subprocess.run(words, cwd=place, stdout=subprocess.PIPE, text=True, check=False).stdout
            if plain(said) != plain(shown):
                print(f"$ {command}\n--- docs/lint.md\n{shown}--- said\n{said}")
                wrong = True
    print(f"{len(runs)} commands")
    sys.exit(1 if wrong else 0)


main()
