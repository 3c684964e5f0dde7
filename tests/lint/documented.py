#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/lint.md names every code of lint with its question, a cause and a remedy, and every field of the JSON,
and no other.

Usage: documented.py SOURCE-DIR
"""
import re
import sys

# Words of the JSON section that are values or shapes, not fields.
VALUES = {"null", '"0x8"', "pvmm lint --json FILE", "pvmm lint --json -", "page-aligned", "boots-pvmm",
          "boots-xen", "yes", "no", "undecidable", "not-asked", "finding", "open", "note", "outer.a(inner.o)"}
QUESTIONS = {"LINT_ALIGNED": "page-aligned", "LINT_BOOT_PVMM": "boots-pvmm", "LINT_BOOT_XEN": "boots-xen"}


def section(text, title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not found:
        sys.exit(f"docs/lint.md has no section {title}")
    return found.group(1)


def read(name):
    with open(f"{sys.argv[1]}/{name}", encoding="utf-8") as f:
        return f.read()


def differ(what, code, docs):
    for name in sorted(code - docs):
        print(f"{what} {name}: not in docs/lint.md")
    for name in sorted(docs - code):
        print(f"{what} {name}: in docs/lint.md, and the tool never writes it")
    return code != docs


def main():
    docs, table = read("docs/lint.md"), read("lint/codes.c")
    codes = {(code, QUESTIONS[question])
             for code, question in re.findall(r'\{"([\w-]+)",\s*(LINT_\w+),', table)}
    if len(codes) != len(re.findall(r'^    \{"', table, re.M)):
        sys.exit("a row of lint/codes.c was not understood")
    rows = re.findall(r"^\| `([\w-]+)` \| ([\w-]+) \| (.+?) \| (.+?) \|$", section(docs, "Codes"), re.M)
    wrong = differ("code", codes, {(code, question) for code, question, _, _ in rows})
    fields = set(re.findall(r'\bput\w*\(\w+, "(\w+)"', read("cli/lint_report.c")))
    wrong |= differ("field", fields, set(re.findall(r"`([^`]+)`", section(docs, "JSON"))) - VALUES)
    if len(codes) < 10 or len(fields) < 20:
        sys.exit(f"only {len(codes)} codes and {len(fields)} fields were found")
    sys.exit(1 if wrong else 0)


main()
