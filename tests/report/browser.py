#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The report's page in headless Chromium: makes the pages, asks pvmm what must be found in the one of an image, and
has browser.mjs look. Usage: browser.py PVMM MKDUMP BUILD-DIR CASE [KERNEL]; CASE may be "small": all but "large" and
"guest", which is of a running guest of that kernel. Exit code 77: what is needed is not to be had."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MADE_UP = os.path.join(HERE, "madeup.py")


def skip(why):
    print("SKIP: browser: %s" % why)
    sys.exit(77)


def needed(build):
    """playwright-core, Chromium and Node.js, or the reason why not."""
    playwright = os.path.join(os.path.abspath(build), "playwright")
    if not os.path.exists(os.path.join(playwright, "package.json")):
        skip("no playwright-core (make playwright)")
    node, chromium = shutil.which("node"), shutil.which("chromium")
    if not node:
        skip("no Node.js (package nodejs)")
    if not chromium:
        skip("no chromium (package chromium)")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 18:
        skip("Node.js %s, 18 is wanted" % version.strip())
    return playwright, node, chromium


def said_by(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def made(folder, name, *words):
    path = os.path.join(folder, name if "." in name else name + ".html")
    out = said_by(sys.executable, "-B", MADE_UP, path, *words)
    return json.loads(out) if out.strip() else None


def spoilt(folder, name, change):
    with open(os.path.join(folder, "plain.html"), encoding="utf-8") as f:
        text = f.read()
    new = change(text)
    assert new != text, name
    with open(os.path.join(folder, name + ".html"), "w", encoding="utf-8") as f:
        f.write(new)


def of_an_image(folder, pvmm, mkdump):
    """A page that pvmm wrote, and what pvmm says elsewhere of the same image."""
    image = os.path.join(folder, "image")
    subprocess.run([mkdump, "whole", image], check=True)
    subprocess.run([pvmm, "report", image, "-o", os.path.join(folder, "real.html")], check=True, capture_output=True)
    walks = []
    for va in ("0xffffffff80000000", "0xffffffff80014000", "0xffffffff80007000"):
        levels = json.loads(said_by(pvmm, "walk", "--json", image, va))["levels"]
        walks.append({"va": va, "mfn": entry_mfn(levels[-1]), "levels": [
            {"level": x["level"], "slot": x["slot"], "table": "%x" % (int(x["at"], 16) >> 12)} for x in levels]})
    told = map(json.loads, said_by(pvmm, "p2m", "--json", image, "all").splitlines())
    frames = [{"pfn": int(x["pfn"], 16), "mfn": int(x["mfn"], 16)} for x in told if x["state"] == "frame"]
    assert len(frames) > 32, "pvmm p2m says little"
    return {"frames": frames[::max(1, len(frames) // 8)], "walks": walks}


def entry_mfn(level):
    return int(level["entry"], 16) >> 12 & 0xffffffffff


def fixtures(folder, pvmm, mkdump, case):
    truth = {"plain": made(folder, "plain"),
             "findings": made(folder, "findings", "--findings", "--timeline", "--chunk", "64"),
             "hostile": made(folder, "hostile", "--hostile", "--findings", "--timeline"),
             "real": of_an_image(folder, pvmm, mkdump)}
    if case == "large":
        truth["large"] = made(folder, "large", "--frames", str(1 << 24), "--chunk", "4096")
    made(folder, "live", "--live")
    for turn in range(3):
        truth["live"] = made(folder, "turn%d.json" % turn, "--data", "--turn", str(turn))
    made(folder, "damaged", "--damaged")
    spoilt(folder, "empty", lambda t: t.replace('"columns": {', '"columns": null, "was": {', 1))
    spoilt(folder, "no-data", lambda t: t.replace('id="pvmm-report"', 'id="pvmm-other"', 1))
    spoilt(folder, "wrong-target", lambda t: t.replace('id="pvmm-column-target"', 'id="pvmm-column-nobody"', 1))
    spoilt(folder, "not-json", lambda t: t.replace('{"format": 1', '{"format": ', 1))
    with open(os.path.join(folder, "truth.json"), "w", encoding="utf-8") as f:
        json.dump(truth, f)


class Running:
    """A guest that leads its life, and the server of its page."""

    def __init__(self, folder, pvmm, kernel):
        self.name = "report-page-%d" % os.getpid()
        with open(os.path.join(folder, "console"), "wb") as console:
            guest = subprocess.Popen([pvmm, "run", "--accel", "tcg", "--timeout", "300", "--no-core", "-m", "64M",
                                      "--name", self.name, "-a", "live", kernel],
                                     stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        self.children = [guest, subprocess.Popen([pvmm, "report", "--live", self.name, "--wait", "60"],
                                                 stdout=subprocess.PIPE, text=True)]
        line = self.children[1].stdout.readline()
        with open(os.path.join(folder, "truth.json"), "w", encoding="utf-8") as f:
            json.dump({"guest": {"url": re.search(r"http://\S+", line)[0], "destroy": [pvmm, "destroy", self.name]}}, f)

    def end(self):
        for p in self.children:
            p.terminate()
            p.wait()


def main():
    pvmm, mkdump, build, case = sys.argv[1:5]
    playwright, node, chromium = needed(build)
    with tempfile.TemporaryDirectory(prefix="pvmm-report.") as folder:
        env = dict(os.environ, HOME=folder)         # Chromium writes into its home
        look = [node, os.path.join(HERE, "browser.mjs"), playwright, chromium, folder, case]
        if case != "guest":
            fixtures(folder, os.path.abspath(pvmm), os.path.abspath(mkdump), case)
            return subprocess.run(look, env=env).returncode
        guest = Running(folder, os.path.abspath(pvmm), os.path.abspath(sys.argv[5]))
        try:
            return subprocess.run(look, env=env).returncode
        finally:
            guest.end()


if __name__ == "__main__":
    sys.exit(main())
