#!/bin/sh
# SPDX-License-Identifier: MIT
# libFuzzer on each parser, in a build of its own with clang. What it finds lies in
# BUILD/found/NAME-*; to be put into tests/fuzz/corpus/NAME once it is mended.
# Usage: run.sh BUILD SECONDS [NAME...]
set -eu
build=$1 seconds=$2
shift 2
[ $# -gt 0 ] || set -- image lint memory symbols take
source=$(cd "$(dirname "$0")/../.." && pwd)
[ -e "$build/build.ninja" ] || CC=clang meson setup "$build" "$source" >/dev/null
# shellcheck disable=SC2046
ninja -C "$build" tests/fuzz/fuzz-seeds $(printf 'tests/fuzz/fuzz-%s ' "$@")
mkdir -p "$build/found"
"$build/tests/fuzz/fuzz-seeds" "$build/seeds"
failed=0
for name in "$@"; do
    mkdir -p "$build/grown/$name" "$build/seeds/$name"
    echo "fuzz: $name, $seconds s"
    "$build/tests/fuzz/fuzz-$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=400000 -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/found/$name-" \
        "$build/grown/$name" "$build/seeds/$name" "$source/tests/fuzz/corpus/$name" || failed=1
done
exit $failed
