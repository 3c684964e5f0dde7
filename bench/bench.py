#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a kernel's memory work costs: bare, as Xen's initial domain, and under pvmm (docs/performance.md)."""
import argparse
import concurrent.futures
import gzip
import json
import os
import signal
import struct
import sys
import tempfile
import time

import machines
import micro
from machines import children
from machines import BenchError, EMPTY, MACHINES, ROWS

TIME_TO_INIT = "time-to-init"
UNRECORDED = "pvmm without recorder"
COUNTS = ("tlb_flushes", "tlb_page_flushes", "root_switches")

# Bytes the hypervisor keeps for each frame of the machine. Ours: hypervisor/frames.c, frames_fill();
# Xen's: its frame table's entry. What else Xen keeps is not counted here.
FRAME_TABLE_BYTES = {"pvmm": 16, "xen": 32}
PVMM_OTHER_BYTES = {"m2p": 8, "scratch of the audit": 12, "free list": 8}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


# ---- measuring

class Jobs:
    """Runs of machines, `workers` at a time; the first that fails ends all."""

    def __init__(self, s, workers, what):
        self.s, self.workers, self.what = s, workers, what
        self.done, self.total = {}, 0

    def one(self, key, words):
        begun = time.monotonic()
        try:
            self.done[key] = machines.run(words, self.s.timeout)
        except BenchError as e:
            raise BenchError(f"{self.what}, {' '.join(filter(None, key))}: {e}") from None
        say(f"{self.what}, {' '.join(filter(None, key))}: {time.monotonic() - begun:.0f} s "
            f"({len(self.done)} of {self.total})")

    def run(self, jobs):
        self.total = len(jobs)
        pool = concurrent.futures.ThreadPoolExecutor(self.workers)
        try:
            futures = [pool.submit(self.one, *job) for job in jobs.items()]
            for f in concurrent.futures.as_completed(futures):
                f.result()
        except BaseException:
            children.end_all()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return self.done


def verdict(path):
    with open(path, encoding="utf-8") as f:
        v = json.load(f)
    missing = [k for k in (*COUNTS, "own_frames", "boot_ticks") if k not in v]
    if missing:
        raise BenchError(f"pvmm's verdict has no {', '.join(missing)}: is {path} of this pvmm?")
    return v


def measure_icount(s, scratch):
    """({machine: figures}, {row: (verdict, parts)}, figures of pvmm without its recorder), all by
    counting instructions. The host's load does not matter to a count, so that two machines may run at
    a time."""
    jobs = {("pvmm", row): machines.command(s, "pvmm", True, row, json=f"{scratch}/{row}.json")
            for row in (*ROWS, EMPTY)}
    whole = {(m, None): machines.command(s, m, True) for m in MACHINES}
    whole[UNRECORDED, None] = machines.command(s, "pvmm", True, options=["--records", "off"])
    workers = min(2, os.cpu_count() or 1)
    done = Jobs(s, workers, "icount").run({**whole, **jobs})
    alone = {row: (verdict(f"{scratch}/{row}.json"),
                   machines.figures(done["pvmm", row].lines).get("parts"))
             for row in (*ROWS, EMPTY)}
    figures = {m: machines.figures(done[m, None].lines) for m in MACHINES}
    for found in figures.values():
        found[TIME_TO_INIT] = found.get("tsc")
    return figures, alone, machines.figures(done[UNRECORDED, None].lines)


def measure_micro(s):
    """The rows of the test kernel; two machines at a time, as above."""
    done = Jobs(s, min(2, os.cpu_count() or 1), "microbenchmarks").run(micro.jobs(s))
    return micro.rows_of(micro.figures(done))


def measure_wall(s):
    """{machine: figures} by the clock, one machine after the other."""
    done = Jobs(s, 1, "wall clock").run({(m, None): machines.command(s, m, False)
                                         for m in MACHINES})
    return {m: {**machines.figures(r.lines), TIME_TO_INIT: r.init_seconds * 1e9}
            for (m, _), r in done.items()}


# ---- arithmetic

def ratio(a, b):
    return a / b if b else None


def tax(bare, xen, pvmm):
    """(pvmm - bare) / (Xen - bare): what pvmm adds to the bare machine, in parts of what Xen adds."""
    return ratio(pvmm - bare, xen - bare)


def table_row(name, figures):
    try:
        bare, xen, pvmm = (figures[m][name] for m in MACHINES)
    except KeyError:
        without = [m for m in MACHINES if name not in figures[m]]
        raise BenchError(f"no figure for {name} from {', '.join(without)}") from None
    # An initial domain does more until its init: there is no tax to be told from that.
    return {"name": name, "bare": bare, "xen": xen, "pvmm": pvmm, "ratio_xen": ratio(pvmm, xen),
            "pv_tax": None if name == TIME_TO_INIT else tax(bare, xen, pvmm)}


def rows_of(figures):
    return [table_row(name, figures) for name in (TIME_TO_INIT, *ROWS)]


def recorder_rows(on, off):
    """What the flight recorder costs, as a fraction of the row without it."""
    missing = [row for row in ROWS if row not in on or row not in off]
    if missing:
        raise BenchError(f"no figure with and without the recorder for {', '.join(missing)}")
    return [{"name": row, "off": off[row], "on": on[row],
             "cost": ratio(on[row] - off[row], off[row])} for row in ROWS]


def counts_of(alone, row):
    """A row's share of the machine's counts: the run of it alone less the empty one, for each part."""
    empty = alone[EMPTY][0]
    if row == TIME_TO_INIT:
        return {c: empty[c] for c in COUNTS}
    counted, parts = alone[row]
    if not parts:
        raise BenchError(f"the run of {row} alone did not say its parts")
    return {c: (counted[c] - empty[c]) / parts for c in COUNTS}


def load_segments(image):
    """(bytes in the file, bytes in memory) of a 32-bit ELF image's loaded segments."""
    if image[:2] == b"\x1f\x8b":
        image = gzip.decompress(image)
    if image[:5] != b"\x7fELF\x01":
        raise BenchError("not a 32-bit ELF image")
    at, = struct.unpack_from("<I", image, 28)
    size, count = struct.unpack_from("<HH", image, 42)
    heads = [struct.unpack_from("<8I", image, at + i * size) for i in range(count)]
    return tuple(sum(h[field] for h in heads if h[0] == 1) for field in (4, 5))


def image_sizes(path):
    try:
        with open(path, "rb") as f:
            return load_segments(f.read())
    except (OSError, EOFError, gzip.BadGzipFile, struct.error, BenchError) as e:
        raise BenchError(f"{path}: {e}") from None


def sizes_of(empty, pvmm_image, xen_image):
    """Both hypervisors' sizes; None where Xen does not tell."""
    return [
        {"name": "bytes per frame: frame table", **FRAME_TABLE_BYTES},
        {"name": "bytes per frame: in all", "xen": None,
         "pvmm": FRAME_TABLE_BYTES["pvmm"] + sum(PVMM_OTHER_BYTES.values())},
        {"name": "image: bytes in the file", "pvmm": pvmm_image[0], "xen": xen_image[0]},
        {"name": "image: bytes in memory", "pvmm": pvmm_image[1], "xen": xen_image[1]},
        {"name": "resident: KiB of its own", "pvmm": empty["own_frames"] * 4, "xen": None},
        {"name": "instructions, entry to guest", "pvmm": empty["boot_ticks"], "xen": None},
    ]


# ---- showing

def shown(x):
    if x is None:
        return "-"
    return f"{x:,}" if isinstance(x, int) else f"{x:,.1f}" if abs(x) < 1e6 else f"{x:,.0f}"


def columns(head, body, left=(0,)):
    """Lines of a table: the columns `left` are flush left, numbers right."""
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    return "\n".join("  ".join(t.ljust(w) if i in left else t.rjust(w)
                               for i, (t, w) in enumerate(zip(line, widths))).rstrip()
                     for line in (head, *body))


def cost_table(rows):
    with_counts = COUNTS[0] in rows[0]
    head = ["", "bare", "Xen", "pvmm", "pvmm/Xen", "PV tax",
            *(["TLB flushes", "of a page", "root switches"] if with_counts else [])]

    def fraction(x):
        return "-" if x is None else f"{x:.2f}"

    def count(x):
        return shown(x) if isinstance(x, int) else f"{x:.2f}"

    return columns(head, [[r["name"], *(shown(r[m]) for m in MACHINES), fraction(r["ratio_xen"]),
                           fraction(r["pv_tax"]),
                           *(count(r[c]) for c in COUNTS if with_counts)] for r in rows])


def micro_report(results):
    return "\n".join([
        f"Instructions for each element of a row of the test kernel ({results['micro_memory']}, "
        "-icount shift=0):", "", micro.table(results["micro"], columns, shown)])


def report(results):
    s = results["setting"]
    text = [f"Instructions for each part of a row (QEMU {s['machine']}, {s['cpu']}, "
            f"{s['memory']}, -icount shift=0):", "", cost_table(results["rows"]), "",
            "PV tax: (pvmm - bare) / (Xen - bare). Counts: under pvmm, for each part of the row;",
            "at time-to-init those of a whole run with no row in it, power-off included.", ""]
    text += ["What the flight recorder costs (the same runs, --records off and as it is by itself):",
             "", columns(["", "off", "on", "cost"],
                         [[r["name"], shown(r["off"]), shown(r["on"]),
                           "-" if r["cost"] is None else f"{r['cost']:.2%}"]
                          for r in results["recorder"]]), ""]
    if results["wall"] is not None:
        text += ["Nanoseconds by the wall clock, the same without -icount (noisy):", "",
                 cost_table(results["wall"]), ""]
    text += [micro_report(results), ""]
    text += ["The hypervisors themselves (- where Xen does not tell):", "",
             columns(["", "pvmm", "Xen"], [[z["name"], shown(z["pvmm"]), shown(z["xen"])]
                                           for z in results["sizes"]])]
    return "\n".join(text)


# ---- commands

def measure(s, wall):
    s.check(s.xen, s.pvkernel)
    with tempfile.TemporaryDirectory() as scratch:
        figures, alone, unrecorded = measure_icount(s, scratch)
    return {
        "rows": [{**r, **counts_of(alone, r["name"])} for r in rows_of(figures)],
        "recorder": recorder_rows(figures["pvmm"], unrecorded),
        "wall": rows_of(measure_wall(s)) if wall else None,
        "micro": measure_micro(s), "micro_memory": s.memory,
        "sizes": sizes_of(alone[EMPTY][0], image_sizes(s.loaded), image_sizes(s.xen)),
        "setting": {"machine": "q35", "cpu": "qemu64", "memory": s.memory},
    }


def write_results(path, results):
    new = f"{path}.{os.getpid()}"
    try:
        with open(new, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=2)
            f.write("\n")
        os.replace(new, path)
    except OSError as e:
        raise BenchError(f"cannot write {path}: {e.strerror}") from None


def read_results(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except OSError as e:
        raise BenchError(f"{path}: {e.strerror} (make bench)") from None
    except ValueError as e:
        raise BenchError(f"{path}: not JSON: {e}") from None


def too_dear(results, limit):
    """(rows whose tax is not below the limit, rows that have a tax)."""
    try:
        taxed = [r for r in results["rows"] if r["name"] != TIME_TO_INIT]
        dear = [r for r in taxed if r["pv_tax"] is None or r["pv_tax"] >= limit]
    except (KeyError, TypeError):
        raise BenchError("these are not results of this benchmark") from None
    if not taxed:
        raise BenchError("there is no row with a tax to check")
    return dear, taxed


def micro_alone(s, path):
    """The microbenchmarks, in place of those that the results have."""
    micro.check_setting(s)
    results = read_results(path) if os.path.exists(path) else {}
    if not isinstance(results, dict):
        raise BenchError(f"{path}: these are not results of this benchmark")
    results.update({"micro": measure_micro(s), "micro_memory": s.memory})
    write_results(path, results)
    print(micro_report(results))
    say(f"the same as JSON: {path}")
    return 0


def check_micro(path):
    lines, well = micro.verdict(read_results(path), micro.document())
    print("\n".join(lines))
    return 0 if well else 1


def check(path, limit):
    dear, taxed = too_dear(read_results(path), limit)
    for r in dear:
        print(f"{r['name']}: the PV tax is "
              f"{'not known' if r['pv_tax'] is None else format(r['pv_tax'], '.3f')}, "
              f"not below {limit}")
    print(f"{len(taxed) - len(dear)} of {len(taxed)} rows below a PV tax of {limit}")
    return 1 if dear else 0


def check_recorder(path, limit):
    try:
        costs = {r["name"]: r["cost"] for r in read_results(path)["recorder"]}
        cost = costs["fork-exec"]
    except (KeyError, TypeError):
        raise BenchError("these are not results of this benchmark") from None
    print(f"fork-exec: the recorder costs {'?' if cost is None else format(cost, '.2%')}, "
          f"the limit is {limit:.2%}")
    return 0 if cost is not None and cost < limit else 1


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default="build", help="the build directory (build)")
    p.add_argument("--memory", default="1G", help="the machines' memory (1G)")
    p.add_argument("--timeout", type=int, default=900, help="seconds for each run (900)")
    p.add_argument("--no-wall", action="store_true", help="count instructions only")
    p.add_argument("--check", type=float, metavar="TAX",
                   help="measure nothing: exit 1 unless every PV tax of the last results is below")
    p.add_argument("--check-recorder", type=float, metavar="PERCENT",
                   help="measure nothing: exit 1 unless in the last results the recorder costs less "
                        "of the row fork-exec")
    p.add_argument("--micro", action="store_true", help="the microbenchmarks only")
    p.add_argument("--check-micro", action="store_true",
                   help="measure nothing: exit 1 unless each microbenchmark of the last results is "
                        "below Xen's, or docs/performance.md says why not")
    return p.parse_args()


def main():
    a = arguments()
    path = f"{a.build}/bench/results.json"
    if a.check is not None:
        return check(path, a.check)
    if a.check_recorder is not None:
        return check_recorder(path, a.check_recorder / 100)
    if a.check_micro:
        return check_micro(path)
    if a.micro:
        return micro_alone(machines.Setting(a.build, a.memory, a.timeout), path)
    results = measure(machines.Setting(a.build, a.memory, a.timeout), not a.no_wall)
    write_results(path, results)
    print(report(results))
    say(f"the same as JSON: {path}")
    return 0


def guarded(body):
    """Run it; every way out ends the machines that run."""
    def terminated(*_):
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGHUP, terminated)
    try:
        return body()
    except BenchError as e:
        say(e)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        children.end_all()


if __name__ == "__main__":
    sys.exit(guarded(main))
