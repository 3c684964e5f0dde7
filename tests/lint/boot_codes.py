# SPDX-License-Identifier: MIT
"""What lint finds in each of the broken kernels, and that each refusal of pvmm's builder has a code:
boot_codes.py ASK KERNEL EXPECTED BUILDER_SOURCE... (--write in front: EXPECTED is written)"""
import os
import re
import subprocess
import sys
import tempfile

import boot_kernels

LITERALS = re.compile(r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*')


def found(tool, kernel):
    base = open(kernel, "rb").read()
    with tempfile.TemporaryDirectory() as d:
        names = list(boot_kernels.CASES)
        for name in names:
            with open(os.path.join(d, name), "wb") as f:
                f.write(boot_kernels.make(name, base))
        answers = boot_kernels.ask([tool], d, names)
    for a in answers.values():
        codes = sorted({f["code"] for f in a["findings"]} - {"segment-rights"})
        yield f"{os.path.basename(a['file'])}: {a['pvmm']}, {a['xen_why']}: {' '.join(codes)}"


def refusals(sources):
    """The builder's sentences; of those put together from two parts, the first says enough."""
    for path in sources:
        text = open(path, encoding="utf-8").read()
        for m in LITERALS.finditer(text):
            words = "".join(s[1:-1] for s in re.findall(r'"(?:[^"\\]|\\.)*"', m.group()))
            if re.match(r"(the )?(kernel|guest)", words) and not words.endswith(".h"):
                yield words


def check_causes(tool, sources):
    words = list(refusals(sources))
    out = subprocess.run([tool, "--cause", *words], stdout=subprocess.PIPE, check=True).stdout
    codes = out.decode().split()
    without = [w for w, c in zip(words, codes) if c == "refused"]
    for w in without:
        print(f"no code for \"{w}\"")
    print(f"{len(words)} refusals of the builder, {len(set(codes))} codes")
    return not without and len(words) > 25 and len(codes) == len(words)


def main():
    write = sys.argv[1] == "--write"
    tool, kernel, expected, *sources = sys.argv[1 + write:]
    lines = list(found(tool, kernel))
    if write:
        with open(expected, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        return 0
    wanted = open(expected, encoding="utf-8").read().splitlines()
    for line in sorted(set(lines) ^ set(wanted)):
        print(("found    " if line in lines else "expected ") + line)
    return 0 if check_causes(tool, sources) and lines == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
