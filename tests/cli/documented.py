#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/explain.md names every code, hint, answer, act and field that the tool writes, and no other.

Usage: documented.py SOURCE-DIR
"""
import re
import sys

CODE = ["explain.c", "explain_words.c", "explain_holders.c", "explain_publication.c", "explain_request.c",
        "explain_json.c", "hints.c", "verdict_json.c", "control_out.c"]
# Words of the JSON section that are text or shapes, not names of the tool's.
ELSEWHERE = {"null", "--json FILE", "pvmm trace --json", "0x...", "EBUSY"}


def section(text, title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not found:
        sys.exit(f"docs/explain.md has no section {title}")
    return found.group(1)


def first_cells(text):
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def strings(text):
    return set(re.findall(r'"([^"\\\s]*)"', text))


def differ(what, code, docs):
    for name in sorted(code - docs):
        print(f"{what} {name}: not in docs/explain.md")
    for name in sorted(docs - code):
        print(f"{what} {name}: in docs/explain.md, and the tool never writes it")
    return code != docs


def main():
    root = sys.argv[1]
    source = {}
    for name in CODE:
        with open(f"{root}/cli/{name}", encoding="utf-8") as f:
            source[name] = f.read()
    with open(f"{root}/docs/explain.md", encoding="utf-8") as f:
        docs = f.read()
    json = section(docs, "JSON")

    codes = set(re.findall(r'\[REASON_\w+\] = "([\w-]+)"', source["explain_words.c"])) | {"unknown-reason"}
    codes |= set(re.findall(r'x->code = "([\w-]+)"', source["explain.c"]))
    codes |= set(re.findall(r'\{"([\w-]+)",\s*"', source["explain_publication.c"]))
    codes |= set(re.findall(r'new_finding\(list, &n, "([\w-]+)"', source["explain_publication.c"]))
    wrong = differ("code", codes, first_cells(section(docs, "Codes")))

    hints = set(re.findall(r'^\s+\{"([\w-]+)", \w+\},$', source["hints.c"], re.M))
    wrong |= differ("hint", hints, first_cells(section(docs, "Hints")))

    answers = set(re.findall(r'\[WITNESS_\w+\] = "([\w-]+)"', source["explain_json.c"]))
    fields, answer_rows = json.split("| answer | |")
    wrong |= differ("answer", answers, first_cells(answer_rows))

    used = set()
    for body in re.findall(r"^[\w *]+\([^;{]*\)\n\{.*?^\}", source["explain_json.c"], re.M | re.S):
        used |= set(re.findall(r'\bput\w*\(\w+, "(\w+)"', body))
    own = source["verdict_json.c"]
    for function in ("contract", "publication", "recorder", "core", "put_explanations"):
        found = re.search(rf"^static [\w *]+\b{function}\([^{{]*\)\n\{{.*?^\}}", own, re.M | re.S)
        if not found:
            sys.exit(f"verdict_json.c has no {function}")
        used |= set(re.findall(r'(?:put\w*|json_object_object_add)\(\w+, "(\w+)"', found.group(0)))
    ticked = set(re.findall(r"`([^`]+)`", json))
    for name in sorted(used - ticked):
        print(f"field {name}: not in the JSON section of docs/explain.md")
        wrong = True
    # What the section names is a field, or a word that the tool writes as a value.
    written = used.union(*(strings(text) | set(re.findall(r'\\"(\w+)\\":', text))
                           for text in source.values()))
    for name in sorted(n for n in ticked - written - ELSEWHERE - answers if not n.startswith('"')):
        print(f"field {name}: in docs/explain.md, and the tool never writes it")
        wrong = True
    for floor, got in ((20, codes), (10, hints), (6, answers), (60, used)):
        if len(got) < floor:
            sys.exit(f"only {len(got)} names were found where {floor} were expected: {sorted(got)}")
    sys.exit(1 if wrong else 0)


main()
