#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""source.py PVMM BUILD [CASE...]: the source's side of a migration, before all kinds of other ends. Each case has a
guest that looks at its memory at every beat, and that goes on, stands or is over as docs/migration.md has it."""
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../save")
from guests import TestKernel, nothing_left  # noqa: E402
from setting import TMP, main, need, pvmm, spawn, until  # noqa: E402

MARK = f"{TMP}/mark"


def other(how, *more):
    return " ".join(["exec", sys.executable, f"{HERE}/other.py", how, *more])


def info(g):
    return json.loads(pvmm("list", "--json", g.name))["guests"][0]


def beats(g):
    before = g.status()
    now = g.status()
    need(f"beat {before} is followed by {now}", before < now <= before + 5)


def goes_on(g):
    until(f"{g.name} runs", lambda: info(g)["hold"] is None and "r" in info(g)["state"], 10)
    beats(g)


def refused(g, command, code, says, *options):
    pvmm("migrate", g.name, "--to", command, *options, code=code, says=f"(?s){says}.*: guest \"{g.name}\" goes on here")
    goes_on(g)


def begin(g, command, *options):
    return spawn("migrate", g.name, "--to", command, *options, stderr=subprocess.PIPE)


def await_mark():
    """The other end has come that far; its process."""
    until("the other end is that far", lambda: os.path.exists(MARK) and os.path.getsize(MARK), 30)
    with open(MARK, encoding="ascii") as f:
        pid = int(f.read())
    os.unlink(MARK)
    return pid


def end_other(pid):
    """What nobody listens to may be asleep."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def ends(p, code, says=""):
    p.wait(60)
    err = p.communicate(timeout=60)[1].decode(errors="replace")
    need(f"migrate ends with {p.returncode}, not {code}", p.returncode == code, err)
    need(f"it does not say {says}", says in err, err)


def rounds_of(path):
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    os.unlink(path)
    return result


def commands_that_lead_nowhere():
    g = TestKernel.boot("guest")
    refused(g, "false", 128, "ended with exit code 1")
    pvmm("migrate", g.name, "--to", "false", code=128, says="ended with exit code 1",
         preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    refused(g, "exit 127", 128, "ended with exit code 127")
    refused(g, "kill -9 $$", 128, "was killed by signal 9")
    refused(g, "yes", 128, 'says "y", which is no word of a migration')
    refused(g, "cat", 128, 'says "an offer" where "ready" is due')
    refused(g, "echo; exec cat > /dev/null", 128, 'says "", which is no word')
    refused(g, "head -c 1000 /dev/zero", 128, r'says "\?{60}\.\.\."')
    refused(g, other("unready"), 128, "the other end: no room in memory")
    refused(g, other("full"), 128, "the other end: no room on the disk")
    refused(g, other("refuses"), 128, "the other end: a table is wrong")
    refused(g, other("fails"), 128, "the other end: it would not start")
    refused(g, "cat > /dev/null", 128, "the other end does not answer")
    g.leave()


def a_pipe_that_takes_nothing():
    g = TestKernel.boot("guest")
    refused(g, other("stuck"), 128, "the other end has taken nothing for 60 s")
    g.leave()


def signals_before_go():
    g = TestKernel.boot("guest")
    for how in (f"echo $$ > {MARK}; exec sleep 1000", other("stuck", MARK), other("mute", MARK)):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            p = begin(g, how)
            pid = await_mark()
            p.send_signal(number)
            if number == signal.SIGKILL:
                p.wait(20)
                end_other(pid)
                p.stderr.close()
            else:
                ends(p, code, "interrupted")
            goes_on(g)
    g.leave()


def answers_that_are_lost():
    g = TestKernel.boot("guest")
    pvmm("migrate", g.name, "--to", other("lost"), "--json", f"{TMP}/json", code=134, says="pvmm resume guest")
    need("its result", rounds_of(f"{TMP}/json")["outcome"] == "unresolved")
    need("list --json", info(g)["hold"] == "handed over", str(info(g)))
    need("list", b"handed over" in pvmm("list"))
    for word in (["pause"], ["unpause"], ["shutdown"], ["migrate", "--to", "false"]):
        pvmm(word[0], g.name, *word[1:], code=128, says="it was handed over")
    pvmm("resume", g.name)
    goes_on(g)
    pvmm("resume", g.name, code=128, says="it was not handed over")
    # killed with the answer on its way, and asked twice to end
    for numbers, code in (([signal.SIGKILL], -9), ([signal.SIGINT, signal.SIGINT], 134)):
        p = begin(g, other("dumb", MARK))
        pid = await_mark()
        for number in numbers:
            need("it waits for the answer", p.poll() is None)
            p.send_signal(number)
            time.sleep(1)
        p.wait(20)
        end_other(pid)  # which has its stderr, too
        ends(p, code, "its answer is waited for" if code == 134 else "")
        until("it was handed over", lambda: info(g)["hold"] == "handed over", 10)
        pvmm("resume", g.name)
        goes_on(g)
    pvmm("migrate", g.name, "--to", other("lost"), code=134)
    pvmm("destroy", g.name)
    g.p.wait(20)
    need("its pvmm", g.p.returncode == 133, g.errors())
    need("a line in its pvmm's stderr", "pvmm resume, if it is gone there" in g.errors(), g.errors())


def a_timeout_while_handed_over():
    """It may be the only one there is, and outlives its --timeout until it is known what became of it."""
    seconds = 15
    begun = time.time()
    g = TestKernel.boot("guest", "--timeout", str(seconds))
    pvmm("migrate", g.name, "--to", other("lost"), code=134)
    need("that took too long for what is to be seen", time.time() < begun + seconds)
    time.sleep(begun + seconds + 1 - time.time())
    need("it stands still", g.p.poll() is None and info(g)["hold"] == "handed over", g.errors())
    pvmm("resume", g.name)
    g.p.wait(20)
    need("its pvmm", g.p.returncode == 124, g.errors())


def too_fast():
    """A downtime that nothing can keep, and rounds that are not enough."""
    g = TestKernel.boot("guest")
    refused(g, other("whole", MARK), 135, "--max-downtime is too short", "--max-downtime", "1", "--max-rounds", "1",
            "--too-fast", "give-up")
    await_mark()
    refused(g, other("whole"), 135, "--max-downtime is too short", "--max-downtime", "1", "--too-fast", "give-up")
    pvmm("migrate", g.name, "--to", other("whole"), "--max-downtime", "1", "--max-rounds", "2", "--json", f"{TMP}/json",
         says="it is stopped all the same")
    result = rounds_of(f"{TMP}/json")
    need("two rounds, and the last", [r["standing"] for r in result["rounds"]] == [False, False, True], str(result))
    need("it was too fast", result["too_fast"] and result["outcome"] == "moved", str(result))
    need("all its pages went", result["rounds"][0]["pages"] + result["rounds"][-1]["pages"] >= 16 << 8, str(result))
    g.end()


def moved():
    g = TestKernel.boot("guest")
    pvmm("migrate", g.name, "--to", other("whole"), "-q", says="^$")
    need("its verdict", "clean: the guest was moved" in g.end(), g.errors())
    pvmm("resume", g.name, code=1, says="no guest")


def saved_live():
    g = TestKernel.boot("guest")
    path = f"{TMP}/live.save"
    for options in (["--checkpoint"], ["--checkpoint", "--format", "libxc"], ["--checkpoint", "--compress"],
                    ["--paused"], []):
        before = g.status()
        pvmm("save", "--live", *options, g.name, path, says=r"round 1: \d+ pages")
        if options == ["--paused"]:
            until("it is paused", lambda: info(g)["hold"] == "paused", 10)
            pvmm("unpause", g.name)
        if options:
            beats(g)
        else:
            g.end()
        back = TestKernel("restore", "back", path)
        beats(back)
        need("it did not begin again", b"LIVE up" not in back.text and back.status() > before)
        back.leave()
    os.unlink(path)


def left_while_saved():
    """What was there stays, and so does the guest."""
    g = TestKernel.boot("guest")
    path = f"{TMP}/live.save"
    with open(path, "w", encoding="ascii") as f:
        f.write("old")
    pvmm("save", "--live", "--max-downtime", "1", "--max-rounds", "1", "--too-fast", "give-up", g.name, path, code=135,
         says="--max-downtime is too short")
    goes_on(g)
    r, w = os.pipe()
    p = spawn("save", "--live", g.name, "-", stdout=w, stderr=subprocess.DEVNULL)
    os.close(w)
    os.read(r, 4096)
    p.kill()
    p.wait()
    os.close(r)
    goes_on(g)
    with open(path, encoding="ascii") as f:
        need("the file is another", f.read() == "old")
    os.unlink(path)
    g.leave()


CASES = [commands_that_lead_nowhere, a_pipe_that_takes_nothing, signals_before_go, answers_that_are_lost,
         a_timeout_while_handed_over, too_fast, moved, saved_live, left_while_saved]


def run():
    chosen = sys.argv[3:]
    for case in CASES:
        if not chosen or case.__name__ in chosen:
            begun = time.time()
            case()
            nothing_left()
            print(f"ok {case.__name__} ({time.time() - begun:.1f} s)", flush=True)


main(run)
