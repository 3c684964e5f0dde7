# SPDX-License-Identifier: MIT
"""A story: a folder with a broken kernel's description (`run`) and what its report must say (`expect`).

`run` has lines KEY VALUE:
    kernel FILE      the broken kernel, in the build folder
    words WORDS      its command line, if any
    memory SIZE      of the guest
    map FILE         the memory map that a pvmm domain is told, in the source tree, if any
    initrd FILE      its ramdisk, in the build folder, if any
    build FILE       a script of the story's folder that makes what is missing, called with the build folder
    needs FILE HOW   a file of the build folder, and what makes it
    ends CODES       how the broken run ends: exit codes of `pvmm run` (1)
    within SECONDS   so soon after its start the cause must be printed (10)
    mended-kernel FILE, mended-words WORDS, mended-initrd FILE
                     the mended one, where it differs; "mended no": there is none
    xen-memory SIZE, xen-options OPTIONS
                     what is different on real Xen
"""
import os
import shlex
import subprocess

import expect
from machine import RunError

KEYS = {"kernel", "words", "memory", "map", "initrd", "build", "needs", "ends", "within", "mended",
        "mended-kernel", "mended-words", "mended-initrd", "xen-memory", "xen-options"}
OWN = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.dirname(OWN)


class LeftOut(Exception):
    """A story that cannot be run for want of something; its text is for people."""


class Story:
    def __init__(self, name):
        self.name, self.folder = name, os.path.join(OWN, name)
        self.keys = read_keys(os.path.join(self.folder, "run"))
        path = os.path.join(self.folder, "expect")
        with open(path, encoding="utf-8") as f:
            self.expect_text = f.read()
        wanted = expect.read(self.expect_text, f"{name}/expect")
        self.wanted, self.stored = expect.of_reports(wanted), expect.of_stores(wanted)
        self.ends = [int(code) for code in self.keys.get("ends", "1").split()]
        self.within = float(self.keys.get("within", "10"))
        self.has_mended = self.keys.get("mended") != "no"

    def prepare(self, build):
        """Everything it needs is there, or is made."""
        if "needs" in self.keys:
            path, how = self.keys["needs"].split(maxsplit=1)
            if not os.path.exists(os.path.join(build, path)):
                raise LeftOut(f"no {build}/{path}: run {how}")
        if "build" in self.keys:
            made = subprocess.run([os.path.join(self.folder, self.keys["build"]), build], check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if made.returncode != 0:
                raise RunError(f"{self.keys['build']}: {made.stderr.strip() or made.returncode}")

    def command(self, build, mended, xen):
        """The options of `pvmm run` and the kernel."""
        words = ["-m", self.keys["memory"]]
        if xen:
            words = ["-m", self.keys.get("xen-memory", self.keys["memory"]),
                     *shlex.split(self.keys.get("xen-options", ""))]
        elif "map" in self.keys:
            words += ["--e820", os.path.join(SOURCES, self.keys["map"])]
        said = self.value("words", mended)
        initrd = self.value("initrd", mended)
        return [*words, *(["-a", said] if said else []),
                *(["-i", os.path.join(build, initrd)] if initrd else []),
                os.path.join(build, self.value("kernel", mended))]

    def value(self, key, mended):
        """A mended run's own value; without one it is the broken one's."""
        own = self.keys.get(f"mended-{key}") if mended else None
        return own or self.keys.get(key, "")


def read_keys(path):
    keys = {}
    with open(path, encoding="utf-8") as f:
        for number, raw in enumerate(f, 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            key, _, value = line.partition(" ")
            if key not in KEYS or not value.strip() or key in keys:
                raise expect.ExpectError(f"{path}:{number}: \"{line}\" is no line of a description")
            keys[key] = value.strip()
    for key in ("kernel", "memory"):
        if key not in keys:
            raise expect.ExpectError(f"{path}: it has no {key}")
    return keys


def names():
    return sorted(n for n in os.listdir(OWN) if os.path.exists(os.path.join(OWN, n, "run")))
