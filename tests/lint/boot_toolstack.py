# SPDX-License-Identifier: MIT
"""Does the toolstack take as a domU what lint says it takes? Its own library is asked, without a Xen
(boot_toolstack.c): boot_toolstack.py ASK BUILDER KERNEL"""
import os
import subprocess
import sys
import tempfile

import boot_kernels

# What comes after the building, and asks the hypervisor: not seen here.
LATER = {"HYPERCALL_INIT failed"}
# Said by the last address, where it looks for ever.
HANGS = {"virt-base-top"}


def build(builder, paths, memory, ramdisk):
    """{name: (outcome, what was said)}"""
    run = subprocess.run([builder, str(memory), str(ramdisk), *paths], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, check=True)
    outcomes = dict(reversed(line.split()) for line in run.stdout.decode().splitlines())
    said, path = {}, None
    for line in run.stderr.decode(errors="replace").splitlines():
        if line[:-1] in outcomes:
            path = line[:-1]
        elif path:
            said[path] = said.get(path, "") + line + "\n"
    return {os.path.basename(p): (o, said.get(p, "")) for p, o in outcomes.items()}


def foretold(name, answer):
    """(outcome, words)"""
    if name in HANGS:
        return "hangs", ""
    if "as a domU: yes" in answer["xen_why"]:
        return "taken", ""
    words = [boot_kernels.said(f, True) for f in answer["findings"]
             if f["code"].startswith("xen-") and f["weight"] != "open"]
    words = [w for w in words if w and w not in LATER]
    return ("refused", words[0]) if words else ("taken", "")


def main():
    tool, builder, kernel = sys.argv[1:4]
    base = open(kernel, "rb").read()
    names = list(boot_kernels.CASES)
    wrong = 0
    outcomes = {}
    with tempfile.TemporaryDirectory() as d:
        for name in names:
            with open(os.path.join(d, name), "wb") as f:
                f.write(boot_kernels.make(name, base))
        answers = boot_kernels.ask([tool], d, names)
        for room in sorted({boot_kernels.room(n) for n in names}):
            paths = [os.path.join(d, n) for n in names if boot_kernels.room(n) == room]
            outcomes.update(build(builder, paths, *room))
    for name in names:
        wanted, words = foretold(name, answers[name])
        got, said = outcomes[name]
        right = got == wanted and words in said
        wrong += not right
        print(f"{name:34} {wanted:8} {got:8} {words:45} {'' if right else 'WRONG: ' + said}")
    kinds = [o for o, _ in outcomes.values()]
    print(f"{len(names)} kernels, {kinds.count('taken')} taken, {kinds.count('refused')} refused; "
          f"{wrong} not as foretold")
    return 1 if wrong or kinds.count("taken") < 20 or kinds.count("refused") < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
