#!/bin/sh
# SPDX-License-Identifier: MIT
# One job of a matrix: job.sh NUMBER KERNEL MEMORY WORDS [OPTION...]; $FLEET_OUT/job-NUMBER.* come of it.
set -u
to=${FLEET_OUT:-.}/job-$1 kernel=$2 memory=$3 words=$4
shift 4
exec "${PVMM:-pvmm}" run --no-core -m "$memory" -a "$words" --junit "$to.xml" --json "$to.json" "$@" "$kernel" \
    </dev/null >"$to.console" 2>"$to.verdict"
