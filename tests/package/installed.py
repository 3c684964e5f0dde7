#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `meson install` leaves: below DESTDIR every file that belongs there and no other, each with a tag, a manual page
for each command; and the program finds its hypervisor there.

Usage: installed.py BUILD SOURCE MESON
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD, SOURCE, MESON = sys.argv[1:4]
TAGS = ["runtime", "man", "doc", "devel"]
failures = []
options = {}  # as this build was set up


def check(what, holds, more=""):
    print(f"{'ok' if holds else 'FAILED'}: {what}{'' if holds else f': {more}'}")
    if not holds:
        failures.append(what)


def files(root):
    found = [os.path.join(d, name) for d, _, names in os.walk(root) for name in names]
    return {os.path.relpath(path, root) for path in found}


def install(root, *words):
    subprocess.run([MESON, "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root, *words], check=True,
                   stdout=subprocess.DEVNULL)
    return files(root)


def output(*words):
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}).stdout


def names(pattern):
    return {os.path.basename(path) for path in glob.glob(f"{SOURCE}/{pattern}")}


def headers():
    """Of libpvimage: what the build says is for others, and all that this includes in turn."""
    with open(f"{SOURCE}/image/install/meson.build", encoding="utf-8") as f:
        paths = re.findall(r"'\.\./([\w/.]+\.h)'", f.read())
    found = {os.path.basename(path) for path in paths}
    for path in paths:
        with open(f"{SOURCE}/image/install/../{path}", encoding="utf-8") as f:
            lost = set(re.findall(r'^#include "(?:\w+/)*(\w+\.h)"', f.read(), re.M)) - found
        check(f"{path}: what it includes is installed, too", not lost, sorted(lost))
    check("the library has headers", {"image.h", "check.h", "types.h"} <= found, sorted(found))
    return found


def belongs(commands):
    """Of a whole installation, from the prefix on."""
    lib, share, include = options["libdir"], options["datadir"], options["includedir"]
    all_files = {"bin/pvmm", "lib/pvmm/pvmm.elf", "lib/pvmm/pvmm.elf32", f"{share}/bash-completion/completions/pvmm",
                 f"{lib}/libpvimage.a", f"{lib}/libpvguest.a", f"{lib}/pvguest/pvguest.lds",
                 f"{lib}/pkgconfig/pvimage.pc", f"{lib}/pkgconfig/pvguest.pc"}
    all_files |= {f"{options['mandir']}/man1/{page}.1" for page in ["pvmm", *(f"pvmm-{c}" for c in commands)]}
    all_files |= {f"{include}/pvguest/{name}" for name in names("include/pvguest/*.h")}
    all_files |= {f"{include}/pvimage/{name}" for name in headers()}
    all_files |= {f"{share}/doc/pvmm/{name}" for name in ("README.md", "CAVEATS.md", "LICENSE")}
    docs = {os.path.relpath(path, SOURCE) for part in ("docs", "examples")
            for path in glob.glob(f"{SOURCE}/{part}/**", recursive=True)
            if os.path.isfile(path) and not path.endswith("meson.build")}
    return all_files | {f"{share}/doc/pvmm/{path}" for path in docs}


def whole(root):
    prefix = options["prefix"].strip("/")
    there = install(root)
    outside = {path for path in there if not path.startswith(prefix + "/")}
    check("all lies below the prefix", not outside, sorted(outside))
    there = {os.path.relpath(path, prefix) for path in there}
    pvmm = f"{root}/{prefix}/bin/pvmm"
    commands = output(pvmm, "--commands").split()
    wanted = belongs(commands)
    check("nothing is missing", wanted <= there, sorted(wanted - there))
    check("nothing else is there", there <= wanted, sorted(there - wanted))
    check("it knows its commands", len(commands) >= 20 and "run" in commands, commands)
    version = output(pvmm, "--version").splitlines()
    path = os.path.realpath(f"{root}/{prefix}/lib/pvmm/pvmm.elf32")
    check("it finds its hypervisor", version[1].startswith(f"hypervisor {path} (build id "), version)
    check("with the build's own ids", [line.split("(")[1] for line in version] ==
          [line.split("(")[1] for line in output(f"{BUILD}/pvmm", "--version").splitlines()], version)
    sections = output("readelf", "-SW", f"{root}/{prefix}/lib/pvmm/pvmm.elf")
    check("the hypervisor's symbols are there", ".symtab" in sections, sections)
    return {os.path.join(prefix, path) for path in there}


def by_tag(root, everything):
    seen = set()
    for tag in TAGS:
        tagged = install(f"{root}/{tag}", "--tags", tag)
        check(f"files with the tag {tag}, and no other's", tagged and not tagged & seen, sorted(tagged & seen))
        seen |= tagged
    check("no file is without a tag", seen == everything, sorted(everything ^ seen))


def main():
    introspected = json.loads(output(MESON, "introspect", "--buildoptions", BUILD))
    options.update((o["name"], o["value"]) for o in introspected)
    root = tempfile.mkdtemp(prefix="pvmm-installed-")
    try:
        by_tag(f"{root}/tags", whole(f"{root}/all"))
    finally:
        shutil.rmtree(root)
    sys.exit(1 if failures else 0)


main()
