#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the image library costs on large images (docs/performance.md, "Images")."""
import argparse
import json
import os
import subprocess
import sys
import time

TRANSLATIONS = 1_000_000
THEIR_SECONDS = 20  # libkdumpfile is stopped after so long


class ImagesError(Exception):
    pass


def run(*words, **options):
    try:
        return subprocess.run(words, check=True, text=True, **options)
    except (OSError, subprocess.CalledProcessError) as e:
        raise ImagesError(str(e)) from None


def ask(s, *words):
    return json.loads(run(f"{s.build}/bench/imagebench", *words, stdout=subprocess.PIPE).stdout)


def image(s, gib, sparse):
    """Made once: it is only ever read."""
    path = f"{s.build}/bench/image-{gib}{'-sparse' if sparse else ''}"
    if not os.path.exists(path):
        print(f"images: making {path}", file=sys.stderr, flush=True)
        run(f"{s.build}/bench/makeimage", *(["--sparse"] if sparse else []), f"{path}.new", str(gib))
        os.replace(f"{path}.new", path)
    return path


def cat_seconds(path):
    """The second of two times: then the file is in the host's memory, if it fits."""
    for _ in range(2):
        begun = time.monotonic()
        run("cat", path, stdout=subprocess.DEVNULL)
        took = time.monotonic() - begun
    return took


def check_row(s, gib):
    path = image(s, gib, False)
    cat = cat_seconds(path)
    return {"gib": gib, "cat": cat, **ask(s, "check", path)}


def measure(s):
    return {
        "open": [{"gib": gib, **ask(s, "open", image(s, gib, gib > 4))} for gib in (1, 16)],
        "translate": ask(s, "translate", image(s, s.gib, False), str(TRANSLATIONS),
                         str(THEIR_SECONDS)),
        "check": check_row(s, s.gib),
    }


def report(r):
    t, c = r["translate"], r["check"]
    lines = [f"open, {o['gib']} GB: {o['seconds']:.2f} s, peak {o['peak'] >> 20} MB" for o in r["open"]]
    ours, theirs = t["count"] / t["ours"], t["compared"] / t["theirs"]
    lines += [f"translate, {t['count']:,} addresses: {t['ours']:.2f} s ({ours:,.0f} a second); "
              f"libkdumpfile {t['compared']:,} of them in {t['theirs']:.1f} s ({theirs:,.0f} a second): "
              f"{ours / theirs:,.1f} times its rate; {t['same']:,} of {t['compared']:,} the same"]
    lines += [f"check, {c['gib']} GB: not in this build" if c["seconds"] is None else
              f"check, {c['gib']} GB: {c['seconds']:.2f} s beside {c['cat']:.2f} s of cat: "
              f"{c['cat'] / c['seconds']:.2f} times its rate, peak {c['peak'] >> 20} MB"]
    return "\n".join(lines)


def verdict(r):
    """What is wrong with it, if anything."""
    t, c = r["translate"], r["check"]
    if t["same"] != t["compared"] or t["found"] != t["count"]:
        return "the translations are not the same"
    if c["seconds"] is not None and c["cat"] / c["seconds"] < 0.5:
        return "check is slower than half the rate of cat"
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default="build", help="the build directory (build)")
    p.add_argument("--gib", type=int, default=4, help="size of the image to check (4)")
    s = p.parse_args()
    try:
        results = measure(s)
        with open(f"{s.build}/bench/images.json", "w", encoding="utf-8") as f:
            json.dump(results, f, indent=2)
    except (ImagesError, OSError, ValueError) as e:
        print(f"images: {e}", file=sys.stderr)
        return 1
    print(report(results))
    wrong = verdict(results)
    if wrong:
        print(f"images: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
