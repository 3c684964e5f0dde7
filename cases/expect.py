# SPDX-License-Identifier: MIT
"""What a story's report must say: lines of a file, and whether a report in JSON says it.

    PATH = VALUE     the same: text, true, false, or a number, decimal or 0x...; a number may stand in
                     the report as a number or as text
    PATH ~ REGEX     all of it matches
    PATH has VALUE   a list with that among its elements
    PATH absent      nothing is there, or null

A path goes down by names with dots between: `frame.pfn`. Behind the name of a list stands which of its
elements: `calls[0]`, `holders[conflicts=true]` (all of them that have this), `holders[]` (all). Where
there are several, one is enough. A line `report CODE` begins a report: what follows up to the next such
line is about one report with that code. A line `stored FINDING` begins what `pvmm replay --who-stored FINDING`
must say of the recorded run: who stored the entry that the finding is about. Blank lines and those with a # in
front are for people.
"""
import re


class ExpectError(Exception):
    """A line of the file that means nothing; its text is for people."""


LINE = re.compile(r"(\S+)\s+(=|~|has|absent)(?:\s+(.*))?$")
STEP = re.compile(r"([A-Za-z_][\w-]*)((?:\[[^\]]*\])*)$")
WHICH = re.compile(r"\[([^\]]*)\]")


class Line:
    """One line: where to look, and what to find there."""

    def __init__(self, text, where):
        found = LINE.match(text)
        if not found or (found.group(2) == "absent") != (found.group(3) is None):
            raise ExpectError(f"{where}: \"{text}\" is no line of an expectation")
        self.text, self.where = text, where
        self.path, self.way, self.value = found.groups()
        self.steps = [step for part in self.path.split(".") for step in steps(part, where)]
        if self.way == "~":
            try:
                re.compile(self.value)
            except re.error as e:
                raise ExpectError(f"{where}: {self.value}: {e}") from e

    def holds(self, report):
        seen = list(values(report, self.steps))
        if self.way == "absent":
            return all(v is None for v in seen)
        if self.way == "has":
            return any(isinstance(v, list) and any(same(self.value, e) for e in v) for v in seen)
        if self.way == "=":
            return any(same(self.value, v) for v in seen)
        return any(re.fullmatch(self.value, as_text(v)) for v in seen if v is not None)


def steps(part, where):
    """A part of a path: a name, then what is in its brackets."""
    found = STEP.match(part)
    if not found:
        raise ExpectError(f"{where}: \"{part}\" is no part of a path")
    yield found.group(1)
    for which in WHICH.findall(found.group(2)):
        yield (which,)


def values(node, path):
    """All that lies at the path; nothing where there is none."""
    if not path:
        yield node
    elif isinstance(path[0], str):
        if isinstance(node, dict) and path[0] in node:
            yield from values(node[path[0]], path[1:])
    elif isinstance(node, list):
        for i, element in enumerate(node):
            if chosen(path[0][0], i, element):
                yield from values(element, path[1:])


def chosen(which, i, element):
    if which == "" or which == str(i):
        return True
    key, equals, value = which.partition("=")
    return bool(equals) and isinstance(element, dict) and same(value, element.get(key))


def as_number(value):
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        return int(value, 0)
    except (TypeError, ValueError):
        return None


def as_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def same(wanted, found):
    number = as_number(wanted)
    if number is not None and as_number(found) == number:
        return True
    return found is not None and wanted == as_text(found)


class Wanted:
    """One report that must be there."""

    def __init__(self, code):
        self.code, self.lines = code, []

    def missing(self, reports):
        """What is missing from the report with that code that comes nearest; nothing: all is there."""
        found = [r for r in reports if isinstance(r, dict) and r.get("code") == self.code]
        if not found:
            codes = ", ".join(str(r.get("code")) for r in reports if isinstance(r, dict))
            return [f"no report {self.code} (there are: {codes or 'none'})"]
        return min(([self.said(line, r) for line in self.lines if not line.holds(r)] for r in found),
                   key=len)

    @staticmethod
    def said(line, report):
        seen = ", ".join(as_text(v) for v in values(report, line.steps)) or "nothing"
        return f"{line.where}: {line.text} (there is: {seen})"


class Stored:
    """An answer to who stored the entry of a finding."""

    def __init__(self, finding):
        self.finding, self.lines = finding, []

    def missing(self, answer):
        return [Wanted.said(line, answer) for line in self.lines if not line.holds(answer)]


def read(text, name):
    """The reports that a file asks for, and the answers."""
    wanted = []
    for number, raw in enumerate(text.splitlines(), 1):
        line, where = raw.strip(), f"{name}:{number}"
        if not line or line.startswith("#"):
            continue
        words = line.split()
        if words[0] == "report" and len(words) == 2:
            wanted.append(Wanted(words[1]))
        elif words[0] == "stored" and len(words) == 2 and wanted:
            wanted.append(Stored(words[1]))
        elif not wanted:
            raise ExpectError(f"{where}: a line before the first \"report CODE\"")
        else:
            wanted[-1].lines.append(Line(line, where))
    if not wanted:
        raise ExpectError(f"{name}: it asks for no report")
    return wanted


def of_reports(wanted):
    return [w for w in wanted if isinstance(w, Wanted)]


def of_stores(wanted):
    return [w for w in wanted if isinstance(w, Stored)]


def missing(wanted, reports):
    return [m for w in of_reports(wanted) for m in w.missing(reports)]
