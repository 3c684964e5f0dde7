#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A wrong expectation is found: a story is run with its own, and then once for each line of it, made wrong. Who
stored an entry is looked for with lines about that alone.

Usage: finds.py CASES-FOLDER BUILD STORY
"""
import os
import shutil
import subprocess
import sys
import tempfile


def run(folder, build, story):
    p = subprocess.run([sys.executable, "-B", f"{folder}/run.py", "--build", build, "--no-xen",
                        "--no-mended", story], capture_output=True, text=True, check=False, timeout=120)
    return p.returncode, p.stdout + p.stderr


def made_wrong(line):
    """The same line, as the report cannot be."""
    words = line.split()
    if words[0] in ("report", "stored"):
        return f"{words[0]} no-such-code"
    if words[1] == "absent":
        return f"{words[0]} = something"
    return f"{words[0]} {words[1]} 0x7e57"


def main():
    cases, build, story = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        own = os.path.join(folder, "cases")
        for name in ["cases", "scripts"]:
            shutil.copytree(os.path.join(cases, "..", name), os.path.join(folder, name),
                            ignore=shutil.ignore_patterns("__pycache__"))
        path = f"{own}/{story}/expect"
        with open(path, encoding="utf-8") as f:
            right = f.read().splitlines()
        code, said = run(own, build, story)
        if code != 0 or "explained" not in said:
            sys.exit(f"with its own expectation: exit code {code}: {said}")
        meant = [i for i, line in enumerate(right) if line.strip() and not line.startswith("#")]
        reports = next((i for i in meant if right[i].startswith("stored ")), len(right))
        for i in meant:
            wrong = [*right[:i], made_wrong(right[i]), *right[i + 1:]]
            if i < reports:
                wrong = wrong[:reports]
            with open(path, "w", encoding="utf-8") as f:
                f.write("\n".join(wrong) + "\n")
            code, said = run(own, build, story)
            begins = right[i].startswith(("report", "stored"))
            named = "no-such-code" if begins else f"{story}/expect:{i + 1}: "
            if code not in ((1, 2) if right[i].startswith("stored") else (1,)) or named not in said:
                sys.exit(f"line {i + 1} made wrong ({wrong[i]}): exit code {code}: {said}")
        print(f"{story}: {len(meant)} lines made wrong, each was found")


if __name__ == "__main__":
    main()
