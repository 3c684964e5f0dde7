# SPDX-License-Identifier: MIT
"""What single acts of a guest's memory cost, under Xen and under pvmm: the test kernel's `bench`."""
import os
import re

import machines
from machines import BenchError

HYPERVISORS = ("xen", "pvmm")
# The rows of each of the kernel's runs, by the layout of its p2m; in the order of kernel/bench_*.c.
ROWS = {
    "linear": ("null-hypercall", "multicall-of-32", "mmu-update-1", "mmu-update-128",
               "update-va-mapping", "direct-write", "page-fault", "pin", "unpin", "root-switch",
               "p2m-look-up-linear", "p2m-set-linear", "balloon-down-linear", "balloon-up-linear"),
    "tree": ("p2m-look-up-tree", "p2m-set-tree", "balloon-down-tree", "balloon-up-tree"),
}
ALL_ROWS = tuple(row for rows in ROWS.values() for row in rows)

# Here are the reasons for rows that are not below 1: a list whose points begin with `row`.
DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "performance.md")
HEADING = "### Rows that are not below 1"


# ---- measuring

def command(s, machine, layout, rows="*", qemu=None):
    return [*machines.hypervised(s, machine, qemu), "--icount", "--no-core",
            "-a", f"bench={rows} p2m={layout}", s.pvkernel]


def layout_of(row):
    return next(layout for layout, rows in ROWS.items() if row in rows)


def check_setting(s):
    s.need(s.pvmm, s.pvkernel, s.loaded, s.xen)


def jobs(s):
    """{(machine, layout): words} of all that is run."""
    return {(machine, f"p2m={layout}"): command(s, machine, layout)
            for machine in HYPERVISORS for layout in ROWS}


def figures(done):
    """{machine: {row: figure}} of all runs; each has its rows, and no others."""
    found = {machine: {} for machine in HYPERVISORS}
    for machine in HYPERVISORS:
        for layout, rows in ROWS.items():
            run = machines.figures(done[machine, f"p2m={layout}"].lines)
            run.pop("tsc", None)
            strange = set(run) ^ set(rows)
            if strange:
                raise BenchError(f"{machine}, p2m={layout}: not the rows that were awaited: "
                                 f"{', '.join(sorted(strange))}")
            found[machine].update(run)
    return found


def rows_of(found):
    return [{"name": row, "xen": found["xen"][row], "pvmm": found["pvmm"][row],
             "ratio_xen": found["pvmm"][row] / found["xen"][row] if found["xen"][row] else None}
            for row in ALL_ROWS]


# ---- judging

def is_dear(row):
    return row["ratio_xen"] is None or row["ratio_xen"] >= 1


def table(rows, columns, shown):
    """columns() and shown() are the report's."""
    def ratio(r):
        return "-" if r["ratio_xen"] is None else f"{r['ratio_xen']:.3f}"

    return columns(["", "Xen", "pvmm", "pvmm/Xen", ""],
                   [[r["name"], shown(r["xen"]), shown(r["pvmm"]), ratio(r),
                     "not below 1" if is_dear(r) else ""] for r in rows], left=(0, 4))


def excused(text):
    """The rows that the document gives reasons for."""
    _, found, rest = text.partition(f"\n{HEADING}\n")
    if not found:
        raise BenchError(f"{DOCUMENT} has no \"{HEADING}\"")
    return re.findall(r"^- `([a-z0-9-]+)`", re.split(r"^#", rest, flags=re.MULTILINE)[0],
                      flags=re.MULTILINE)


def document():
    try:
        with open(DOCUMENT, encoding="utf-8") as f:
            return f.read()
    except OSError as e:
        raise BenchError(f"{DOCUMENT}: {e.strerror}") from None


def verdict(results, text):
    """(lines to be said, whether all is well) of results and the document."""
    try:
        rows = {r["name"]: (r["ratio_xen"], is_dear(r)) for r in results["micro"]}
    except (KeyError, TypeError):
        raise BenchError("these are not results with microbenchmarks (make bench-micro)") from None
    missing = [row for row in ALL_ROWS if row not in rows]
    if missing:
        raise BenchError(f"there are no results of {', '.join(missing)}")
    reasons = excused(text)
    lines = [f"{row}: {'not known' if ratio is None else format(ratio, '.3f')} of Xen's, and no "
             "reason is given" for row, (ratio, dear) in rows.items() if dear and row not in reasons]
    lines += [f"{row}: a reason is given, but there is no such row" for row in reasons
              if row not in rows]
    below = sum(not dear for _, dear in rows.values())
    return [*lines, f"{below} of {len(rows)} rows below 1"], not lines
