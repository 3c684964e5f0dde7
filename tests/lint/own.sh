#!/bin/sh
# SPDX-License-Identifier: MIT
# The build's own check: own.sh STAMP PVMM ARGUMENT... Fails, and says why, if there is a finding.
set -eu
stamp=$1 pvmm=$2
shift 2
"$pvmm" lint --quiet "$@"
touch "$stamp"
