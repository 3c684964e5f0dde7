#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/fleet: the matrix runs under GNU parallel, and the manifests are what their readers take.

Usage: matrix.py PVMM BUILD KERNEL SOURCE SCHEMA
"""
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import jsonschema
import yaml

PVMM, BUILD, KERNEL, SOURCE, SCHEMA = map(os.path.abspath, sys.argv[1:6])
FLEET = f"{SOURCE}/examples/fleet"
os.environ.update(PVMM=PVMM, PVMM_HYPERVISOR=f"{BUILD}/hypervisor/pvmm.elf32")
SHORT = ("--accel", "tcg", "--timeout", "60")
failures = []


def check(what, holds, more=""):
    print(f"{'ok' if holds else 'FAILED'}: {what}{'' if holds else f': {more}'}")
    if not holds:
        failures.append(what)


def matrix(what, code, jobs, bad, *words, run=None, options=SHORT):
    """The matrix in a folder of its own; what it says. `run`: how many jobs it really runs."""
    before = time_of_jobs()
    p = subprocess.run([f"{FLEET}/matrix.sh", "-j", "2", "-o", "fleet", *words, "--", *options], cwd=TMP,
                       capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=280, check=False)
    check(f"{what}: exit code {code}", p.returncode == code, f"{p.returncode}\n{p.stdout}{p.stderr}")
    check(f"{what}: {jobs} jobs, {bad} not ok", f"{jobs} jobs, {bad} of them not ok" in p.stdout, p.stdout + p.stderr)
    seen = subprocess.run(["xmllint", "--noout", "--schema", SCHEMA, f"{TMP}/fleet/junit.xml"], capture_output=True,
                          text=True, check=False)
    check(f"{what}: the file of all is as the schema says", seen.returncode == 0, seen.stderr)
    suites = xml.parse(f"{TMP}/fleet/junit.xml").getroot().findall("testsuite")
    check(f"{what}: a suite for each, of its own name", len({s.get("name") for s in suites}) == jobs)
    after = time_of_jobs()
    if run is not None:
        ran = sum(after[n] != before.get(n) for n in after)
        check(f"{what}: {run} are run", ran == run, ran)
    return p.stdout


def time_of_jobs():
    folder = f"{TMP}/fleet"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return {n: os.stat(f"{folder}/{n}").st_mtime_ns for n in names if n.startswith("job-") and n.endswith(".xml")}


def matrices():
    two = ("-k", KERNEL, "-m", "16M", "-m", "64M")
    alive = (*SHORT, "--expect", "LIVE alive")
    print(matrix("good", 0, 4, 0, *two, "-a", "live", "-a", "live spoil", run=4, options=alive))
    matrix("good again", 0, 4, 0, *two, "-a", "live", "-a", "live spoil", run=0, options=alive)
    print(matrix("bad", 1, 4, 2, *two, "-a", "live", "-a", "die", run=4, options=alive))
    matrix("bad again", 1, 4, 2, *two, "-a", "live", "-a", "die", run=2, options=alive)
    matrix("worse", 125, 2, 2, "-k", f"{TMP}/none", "-m", "16M", "-m", "64M", run=2)


def schema(name):
    with open(f"{SOURCE}/tests/fleet/{name}.json", encoding="utf-8") as f:
        return json.load(f)


def takes(what, kind, document):
    try:
        jsonschema.validate(document, schema(kind))
        return True
    except jsonschema.ValidationError as e:
        print(f"  {what}: {e.message} at {list(e.absolute_path)}")
        return False


def manifests():
    with open(f"{FLEET}/kubernetes.yaml", encoding="utf-8") as f:
        config, claim, job = yaml.safe_load_all(f)
    with open(f"{FLEET}/gitlab-ci.yml", encoding="utf-8") as f:
        ci = yaml.safe_load(f)
    check("the Job is one", takes("kubernetes.yaml", "job", job))
    check("the pipeline is one", takes("gitlab-ci.yml", "gitlab", ci))
    spoiled = json.loads(json.dumps(job))
    spoiled["spec"]["completion"] = spoiled["spec"].pop("completions")
    check("a Job with a misspelt field is none", not takes("of a misspelt field", "job", spoiled))
    spoiled = json.loads(json.dumps(ci))
    spoiled["boot"]["artifacts"]["when"] = "sometimes"
    check("a pipeline with a wrong word is none", not takes("of a wrong word", "gitlab", spoiled))
    lines = config["data"]["jobs.tsv"].splitlines()
    check("the Job has an index for each line", job["spec"]["completions"] == len(lines), lines)
    check("each line has its three columns", all(line.count("\t") == 2 for line in lines), lines)
    named = {config["metadata"]["name"], claim["metadata"]["name"]}
    volumes = job["spec"]["template"]["spec"]["volumes"]
    check("its volumes are there", named == {v["configMap"]["name"] if "configMap" in v else
                                             v["persistentVolumeClaim"]["claimName"] for v in volumes}, volumes)
    script = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    check("its script is one", subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0)
    pod(script, lines)


def pod(script, lines):
    """What the pod does with each line, with a job.sh that tells what it is given."""
    with open(f"{TMP}/jobs.tsv", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    with open(f"{TMP}/tell.sh", "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\nprintf "%s|" "$@"\n')
    os.chmod(f"{TMP}/tell.sh", 0o755)
    script = script.replace("/matrix/jobs.tsv", f"{TMP}/jobs.tsv").replace("/usr/local/lib/fleet/job.sh",
                                                                          f"{TMP}/tell.sh")
    for i, line in enumerate(lines):
        said = subprocess.run(["sh", "-c", script], env=os.environ | {"JOB_COMPLETION_INDEX": str(i)},
                              capture_output=True, text=True, check=True).stdout
        check(f"pod {i} runs line {i + 1}", said.split("|")[:4] == [str(i + 1), *line.split("\t")], said)


with tempfile.TemporaryDirectory(prefix="fleet.") as TMP:
    manifests()
    matrices()
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
