#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/findings.md names every code of the checker with its rule, a cause and a remedy, and every field of the
JSON, and no other.

Usage: documented.py SOURCE-DIR
"""
import re
import sys


def section(text, title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not found:
        sys.exit(f"docs/findings.md has no section {title}")
    return found.group(1)


def read(name):
    with open(f"{sys.argv[1]}/{name}", encoding="utf-8") as f:
        return f.read()


def differ(what, code, docs):
    for name in sorted(code - docs):
        print(f"{what} {name}: not in docs/findings.md")
    for name in sorted(docs - code):
        print(f"{what} {name}: in docs/findings.md, and the tool never writes it")
    return code != docs


def main():
    docs = read("docs/findings.md")
    codes = set(re.findall(r'\[[A-Z0-9_]+\] = \{"([\w-]+)",\s*(\d+),', read("image/check/codes.c")))
    rows = re.findall(r"^\| `([\w-]+)` \| R(\d+) \| (.+?) \| (.+?) \|$", section(docs, "Codes"), re.M)
    wrong = differ("code", codes, {(code, rule) for code, rule, _, _ in rows})
    json = section(docs, "JSON")
    fields = set(re.findall(r'\bput\w*\(\w+, "(\w+)"', read("cli/cmd_check.c")))
    values = {"holds", "broken", "undecidable", "null", "pvmm check --json", '"0x1df61"'}
    wrong |= differ("field", fields, set(re.findall(r"`([^`]+)`", json)) - values)
    if len(codes) < 25 or len(fields) < 20:
        sys.exit(f"only {len(codes)} codes and {len(fields)} fields were found")
    sys.exit(1 if wrong else 0)


main()
