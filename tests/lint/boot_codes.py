# SPDX-License-Identifier: MIT
"""What lint finds in each of the broken kernels:
boot_codes.py ASK KERNEL EXPECTED (--write in front: EXPECTED is written)"""
import os
import subprocess
import sys
import tempfile

import boot_kernels


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


def main():
    write = sys.argv[1] == "--write"
    tool, kernel, expected = sys.argv[1 + write:]
    lines = list(found(tool, kernel))
    if write:
        with open(expected, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        return 0
    wanted = open(expected, encoding="utf-8").read().splitlines()
    for line in sorted(set(lines) ^ set(wanted)):
        print(("found    " if line in lines else "expected ") + line)
    return 0 if lines == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
