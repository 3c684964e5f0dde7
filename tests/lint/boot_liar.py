# SPDX-License-Identifier: MIT
"""Lint, but for the other answer: boot_liar.py ASK OPTION... FILE... The battery must not believe it."""
import json
import subprocess
import sys

OTHER = {"yes": "no", "no": "yes"}

for line in subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True).stdout.splitlines():
    a = json.loads(line)
    a["pvmm"], a["xen"] = OTHER[a["pvmm"]], OTHER[a["xen"]]
    a["xen_why"] = "as dom0: " + a["xen"]
    print(json.dumps(a))
