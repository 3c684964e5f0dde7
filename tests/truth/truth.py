#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real images, of which others have told what is in them: what pvmm says must be the same.

Usage: truth.py PVMM [DIRECTORY]   (or the directory in PVMM_ARTIFACTS; without one: SKIP)

In the directory or below it lie images: NAME.core (xl dump-core), NAME.save (xl save), NAME.migstream
(what xl migrate sends) or "ram" (a machine's memory), also as .zst. Beside them is `truth` or
truth.tar(.zst) with
  truth-NAME/   xenctx.txt, mfndump-p2m.txt, mfndump-ptes-cr3.txt, mfndump-lookup-cr3.txt as Xen's tools
                print them, console-so-far.txt with the markers that the guest tells (LABMARK, LABVAL);
                of "ram" one for each domain
  oracle/FILE.json   what an independent reader found in it
System.map-RELEASE belongs to the kernels of that release. Whatever is there is compared.
"""
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

import compare
from image import Image, Report

SKIP = 77


def unpacked(path, directory):
    """A path without .zst: the file itself, or what comes out of it."""
    if not path.endswith(".zst"):
        return path
    to = os.path.join(directory, os.path.basename(path)[:-len(".zst")])
    if not os.path.exists(to):
        subprocess.run(["zstd", "-dqf", "--sparse", path, "-o", to], check=True)
    return to


def truth_of(folder, names, directory):
    """The folder with the truth of these files; None: there is none."""
    if os.path.isdir(os.path.join(folder, "truth")):
        return os.path.join(folder, "truth")
    for name in ("truth.tar", "truth.tar.zst"):
        if name in names:
            to = tempfile.mkdtemp(dir=directory)
            with tarfile.open(unpacked(os.path.join(folder, name), directory)) as tar:
                tar.extractall(to)
            inner = os.path.join(to, "truth")
            return inner if os.path.isdir(inner) else to
    return None


def plain(name):
    return name[:-len(".zst")] if name.endswith(".zst") else name


def is_image(name):
    return plain(name).endswith((".core", ".save", ".migstream")) or plain(name) == "ram"


def find_images(top, directory):
    maps, images = [], []
    for folder, below, names in os.walk(top):
        below[:] = sorted(n for n in below if not n.startswith("truth"))
        maps += [os.path.join(folder, n) for n in names if n.startswith("System.map-")]
        mine = sorted(n for n in names if is_image(n))
        mine = [n for n in mine if not (n.endswith(".zst") and plain(n) in names)]
        truth = truth_of(folder, names, directory) if mine else None
        if truth:
            images += [(os.path.join(folder, n), truth) for n in mine]
    return maps, images


def check_image(pvmm, path, truth, maps, directory, report):
    """All that can be compared of one file."""
    there = unpacked(path, directory)
    packed = path if there != path else None
    about = report.name
    for image in Image.all_of(pvmm, there, truth, report):
        report.name = about + (f", domain {image.domain}" if image.domain else "")
        image.packed = packed
        image.choose_map(maps)
        compare.everything(image)
    return there


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    top = sys.argv[2] if len(sys.argv) == 3 and sys.argv[2] else os.environ.get("PVMM_ARTIFACTS", "")
    if not top:
        print("SKIP: no directory of real images (meson -Dartifacts=DIR, or PVMM_ARTIFACTS)")
        sys.exit(SKIP)
    directory = tempfile.mkdtemp(prefix="pvmm-truth-")
    report = Report()
    try:
        maps, images = find_images(top, directory)
        maps = [unpacked(m, directory) for m in maps]
        if not images:
            sys.exit(f"no images with a truth beside them in {top}")
        for path, truth in images:
            name = os.path.relpath(path, top)
            with report.about(name):
                there = check_image(sys.argv[1], path, truth, maps, directory, report)
            pair = plain(path)[:-len(".save")] + ".core" if plain(path).endswith(".save") else None
            if pair:
                core = next((p for p, _ in images if plain(p) == pair), None)
                if core:
                    with report.about(name + " against its core"):
                        compare.same_state(Image(sys.argv[1], there, truth, report),
                                           Image(sys.argv[1], unpacked(core, directory), truth, report))
            if there != path and not pair and not there.endswith(".core"):
                os.unlink(there)
    finally:
        shutil.rmtree(directory)
    report.end()


if __name__ == "__main__":
    main()
