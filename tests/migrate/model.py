#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The hand-over never leaves two guests, nor none: model.py SPIN CC MODEL.

Each property is searched in full. Each mistake that could be made (BUT_... of the model) must break the property that
it is said to break, or the model could not fail."""
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

SPIN, CC, MODEL = sys.argv[1:4]
MODEL = os.path.abspath(MODEL)
PATIENCE = 600
PROPERTIES = ["never_twice", "never_both", "never_none", "no_go_no_run", "stands_is_whole", "arrives_whole",
              "tells_truth", "ends_well", "ends"]
MISTAKES = {
    "BUT_LAST_ROUND_FIRST": "arrives_whole",
    "BUT_NO_HANDOVER": "never_both",
    "BUT_HANDOVER_DENIED": "tells_truth",
    "BUT_END_UNHEARD": "never_none",
    "BUT_SILENCE_IS_NO": "never_both",
    "BUT_LOSS_IS_NO": "stands_is_whole",
    "BUT_END_IS_GO": "no_go_no_run",
    "BUT_DETACH_LAST": "never_none",
    "BUT_RUNNING_FIRST": "never_none",
    "BUT_FAILED_AFTER_GO": "never_twice",
    "BUT_SPEECHLESS": "ends_well",
    "BUT_NOBODY_LOOKS": "ends",
    "BUT_HASTY": "never_both",
    "BUT_DESTROYS_BOTH": "never_none",
}
if SPIN == "-":
    print("SKIP: there is no spin (Debian's package spin)")
    sys.exit(77)


class Wrong(Exception):
    pass


def run(*words, cwd):
    p = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)
    if p.returncode != 0 and words[0] != "./pan":
        raise Wrong(f"{' '.join(words)} ends with {p.returncode}:\n{p.stdout}{p.stderr}")
    return p.stdout + p.stderr


def build(where, prop, mistake):
    """never_twice is an assertion, everything else a claim; deadlocks are looked for with the assertion."""
    asserts = prop == "never_twice"
    words = [f"-D{mistake}"] * bool(mistake) + ["-DNEVER_TWICE"] * asserts + ["-DSPARES"] * prop.startswith("ends")
    run(SPIN, *words, "-a", MODEL, cwd=where)
    run(*CC.split(), "-O2", "-w", "-DMEMLIM=3000", "-DNOFAIR", "-DNOREDUCE", *["-DNOCLAIM", "-DSAFETY"] * asserts,
        "-o", "pan", "pan.c", cwd=where)


def search(prop, mistake=None):
    """How many states there are, and whether the property holds in all of them."""
    with tempfile.TemporaryDirectory(prefix="model.") as where:
        build(where, prop, mistake)
        words = ["-m10000"] + ([] if prop == "never_twice" else ["-a", "-E", "-N", prop])
        said = run("./pan", *words, cwd=where)
    errors, states = re.search(r"errors: (\d+)", said), re.search(r"(\d+) states, stored", said)
    if errors is None or states is None:
        raise Wrong(f"pan does not say what it saw:\n{said}")
    holds = errors[1] == "0"
    if "max search depth too small" in said or "out of memory" in said or (holds and "not completed" in said):
        raise Wrong(f"the search for {prop} is not complete:\n{said}")
    if not holds and mistake is None:
        raise Wrong(f"{prop} does not hold:\n{said}")
    return int(states[1]), holds, said


def property_holds(prop):
    begun = time.time()
    states, _, _ = search(prop)
    return f"{prop} holds: {states} states, {time.time() - begun:.1f} s"


def mistake_shows(mistake):
    prop = MISTAKES[mistake]
    states, holds, said = search(prop, mistake)
    if holds:
        raise Wrong(f"{mistake} does not break {prop}:\n{said}")
    if prop == "never_twice" and "assertion violated" not in said:
        raise Wrong(f"{mistake} breaks something else than {prop}:\n{said}")
    return f"{mistake} breaks {prop}: {states} states"


def all_is_named():
    with open(MODEL) as f:
        text = f.read()
    made, known = set(re.findall(r"BUT_[A-Z_]*[A-Z]", text)), set(MISTAKES)
    if made != known:
        raise Wrong(f"the model's mistakes and those here differ: {made ^ known}")
    said = set(re.findall(r"^ltl (\w+)", text, re.M)) | {"never_twice"}
    if said != set(PROPERTIES) or said - set(MISTAKES.values()):
        raise Wrong(f"properties: {said ^ set(PROPERTIES)}; that no mistake breaks: {said - set(MISTAKES.values())}")


def main():
    all_is_named()
    with ThreadPoolExecutor(2) as pool:
        for line in pool.map(property_holds, PROPERTIES):
            print(line, flush=True)
        for line in pool.map(mistake_shows, MISTAKES):
            print(line, flush=True)


try:
    main()
except Wrong as e:
    print(f"FAILED: {e}")
    sys.exit(1)
