#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the image library costs on large images (docs/performance.md, "Images")."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

TRANSLATIONS = 1_000_000
THEIR_SECONDS = 20  # libkdumpfile is stopped after so long
TRANSLATE_LEAST = 10  # times libkdumpfile's rate, where frames are scattered (docs/performance.md)
CAT_LEAST = 0.8  # of the rate of cat
ROUNDS = 5
DIRECT_VA = "0xffff880000000000"  # bench/makeimage.c


class ImagesError(Exception):
    pass


def run(*words, **options):
    try:
        return subprocess.run(words, check=True, text=True, **options)
    except (OSError, subprocess.CalledProcessError) as e:
        raise ImagesError(str(e)) from None


def ask(s, *words):
    return json.loads(run(f"{s.build}/bench/imagebench", *words, stdout=subprocess.PIPE).stdout)


def image(s, gib, *options):
    """Made once: it is only ever read."""
    path = f"{s.build}/bench/image-{gib}{''.join(o[1:] for o in options)}"
    if not os.path.exists(path):
        print(f"images: making {path}", file=sys.stderr, flush=True)
        run(f"{s.build}/bench/makeimage", *options, f"{path}.new", str(gib))
        os.replace(f"{path}.new", path)
    return path


# ---- commands beside cat

def seconds(words, pipe):
    """How long it takes, its output going nowhere or through a pipe."""
    begun = time.monotonic()
    if pipe:
        with subprocess.Popen(words, stdout=subprocess.PIPE) as p:
            run("cat", stdin=p.stdout, stdout=subprocess.DEVNULL)
        if p.returncode:
            raise ImagesError(f"{' '.join(words)}: exit code {p.returncode}")
    else:
        run(*words, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def beside_cat(s, path):
    """Each in turn with cat, so that what else the host does meets both; medians of the ratios."""
    read = [f"{s.build}/pvmm", "read", "--as", "raw", path]
    size = f"{s.gib}G"
    rows = [("check", [f"{s.build}/pvmm", "check", path], False),
            ("read, pfns", [*read, "pfn:0", size], False),
            ("read, addresses", [*read, DIRECT_VA, size], False),
            ("read, pfns, a pipe", [*read, "pfn:0", size], True)]
    seconds(["cat", path], False)  # then the file is in the host's memory, if it fits
    taken = {name: [] for name, _, _ in rows}
    for _ in range(ROUNDS):
        for name, words, pipe in rows:
            cat, ours = seconds(["cat", path], pipe), seconds(words, pipe)
            taken[name].append({"cat": cat, "seconds": ours, "ratio": cat / ours})
    return [{"name": name, "times": times, **{key: statistics.median(t[key] for t in times)
                                              for key in ("cat", "seconds", "ratio")}}
            for name, times in taken.items()]


def translate(s, path):
    return ask(s, "translate", path, str(TRANSLATIONS), str(THEIR_SECONDS))


def measure(s):
    path = image(s, s.gib)
    return {
        "open": [{"gib": gib, **ask(s, "open", image(s, gib, *(["--sparse"] if gib > 4 else [])))}
                 for gib in (1, 16)],
        "translate": [{"image": f"{s.gib} GB, frames scattered", "scattered": True, **translate(s, path)},
                      {"image": "1 GB, frames in order", "scattered": False,
                       **translate(s, image(s, 1, "--sparse", "--in-order"))}],
        "check": {"gib": s.gib, **ask(s, "check", path)},
        "beside": beside_cat(s, path),
    }


def rates(t):
    return t["count"] / t["ours"], t["compared"] / t["theirs"]


def report(r):
    lines = [f"open, {o['gib']} GB: {o['seconds']:.2f} s, peak {o['peak'] >> 20} MB" for o in r["open"]]
    for t in r["translate"]:
        ours, theirs = rates(t)
        lines += [f"translate, {t['image']}, {t['count']:,} addresses: {t['ours']:.2f} s ({ours:,.0f} a second); "
                  f"libkdumpfile {t['compared']:,} of them in {t['theirs']:.1f} s ({theirs:,.0f} a second): "
                  f"{ours / theirs:,.1f} times its rate; {t['same']:,} of {t['compared']:,} the same"]
    c = r["check"]
    lines += [f"check, {c['gib']} GB: {c['tables']:,} tables, peak {c['peak'] >> 20} MB",
              f"beside cat of the file, medians of {ROUNDS} (1.00: as fast as cat)"]
    lines += [f"  {b['name']:20} {b['seconds']:6.2f} s  cat {b['cat']:6.2f} s  {b['ratio']:6.2f}"
              for b in r["beside"]]
    return "\n".join(lines)


def verdict(r):
    """What is wrong with it, if anything."""
    for t in r["translate"]:
        ours, theirs = rates(t)
        if t["same"] != t["compared"] or t["found"] != t["count"]:
            return f"{t['image']}: the translations are not the same"
        if t["scattered"] and ours < TRANSLATE_LEAST * theirs:
            return f"{t['image']}: less than {TRANSLATE_LEAST} times libkdumpfile's rate"
    for b in r["beside"]:
        if b["ratio"] < CAT_LEAST:
            return f"{b['name']}: {b['ratio']:.2f} of cat's rate, less than {CAT_LEAST}"
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
