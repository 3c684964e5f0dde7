#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/guide.md against the library: it names every public function and no other, each of them is called in an
example that is compiled, and its code stands in the examples, word for word.

Usage: guide.py SOURCE-DIR
"""
import pathlib
import re
import sys

NOT_CALLED = {"pvg_entry", "pvg_trap_handler"}  # the entry point: link.h says so; a type
CALL = re.compile(r"\b(pvg_[a-z0-9_]+)\(")


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def code_of(text):
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', without_comments(text))


def compiled(meson):
    """Names of the examples that docs/examples/meson.build links with the library."""
    found = re.search(r"foreach name : \[([^]]*)\]", meson)
    return re.findall(r"'(\w+)'", found.group(1)) if found else []


def read(root):
    examples = root / "docs/examples"
    return {
        "headers": "\n".join(without_comments(p.read_text()) for p in sorted((root / "include/pvguest").glob("*.h"))),
        "guide": (root / "docs/guide.md").read_text(),
        "examples": {n: (examples / f"{n}.c").read_text() for n in compiled((examples / "meson.build").read_text())},
    }


def complaints(w):
    public = set(CALL.findall(w["headers"])) - NOT_CALLED
    named = set(CALL.findall(w["guide"]))
    called = {n: set(CALL.findall(code_of(text))) for n, text in w["examples"].items()}
    anywhere = set().union(*called.values())
    for name in sorted(public - named):
        yield f"{name}() is public, and not in the guide"
    for name in sorted(named - public):
        yield f"{name}() is in the guide, and not public"
    for name in sorted(public - anywhere):
        yield f"{name}() is called in no example"
    for names, example in re.findall(r"^\| (`pvg_.*) \| (\w+)\.c \|$", w["guide"], re.M):
        for name in sorted(set(CALL.findall(names)) - called.get(example, set())):
            yield f"{name}() is not called in {example}.c"
    for block in re.findall(r"^```c\n(.*?)^```$", w["guide"], re.M | re.S):
        if not any("\n" + block in text for text in w["examples"].values()):
            yield f"stands in no example: {block.splitlines()[0].strip()} ..."


def doctored(w, key, old, new):
    if isinstance(w[key], dict):
        return {**w, key: {n: text.replace(old, new) for n, text in w[key].items()}}
    return {**w, key: w[key].replace(old, new)}


def must_find(w):
    """The check can fail, in each of its ways."""
    for key, old, new, wanted in [
            ("guide", "pvg_space_pin(", "pvg_spice_pin(", "pvg_space_pin() is public, and not in the guide"),
            ("guide", "pvg_time(", "pvg_tame(", "pvg_tame() is in the guide, and not public"),
            ("examples", "pvg_user_run(", "pvg_user_walk(", "pvg_user_run() is called in no example"),
            ("examples", "pvg_regions_add(", "", "pvg_regions_add() is not called in memory.c"),
            ("examples", "look_around(g);", "look(g);", "stands in no example: switch (r->vector) { ...")]:
        if wanted not in set(complaints(doctored(w, key, old, new))):
            yield f"not found out: {wanted}"


def main():
    world = read(pathlib.Path(sys.argv[1]))
    wrong = list(complaints(world))
    wrong = wrong or list(must_find(world))
    public = set(CALL.findall(world["headers"])) - NOT_CALLED
    if len(public) < 110 or len(world["examples"]) < 6:
        wrong.append(f"only {len(public)} functions, {len(world['examples'])} examples")
    print("\n".join(wrong) if wrong else f"{len(public)} functions, {len(world['examples'])} examples")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
