#!/bin/sh
# SPDX-License-Identifier: MIT
# How much of core/ the unit and random tests run. Fails below 95% of lines.
# usage: coverage.sh SOURCE-ROOT WORK-DIR
set -eu

root=$1
work=$2
limit=95
operations=300000

rm -rf "$work"
mkdir -p "$work"
cd "$work"

compile() { # SOURCE OBJECT
    gcc -std=gnu17 -O0 -g --coverage -DWORLD_TABLE_ENTRIES=8 -I"$root/tests/host" -I"$root/core" \
        -I"$root/tests/unit" -I"$root/tests/random" -c "$1" -o "$2"
}

for source in "$root"/core/*.c "$root"/tests/host/*.c; do
    compile "$source" "lib_$(basename "$source" .c).o"
done
for source in "$root"/tests/random/*.c; do
    compile "$source" "random_$(basename "$source" .c).o"
done
gcc --coverage -o random-core lib_*.o random_*.o
compile "$root/tests/unit/unit.c" unit.o
for source in "$root"/tests/unit/test_*.c; do
    area=$(basename "$source" .c)
    compile "$source" "$area.o"
    gcc --coverage -o "$area" "$area.o" unit.o lib_*.o -lcmocka
    "./$area" >"$area.log" 2>&1 || { cat "$area.log"; exit 1; }
done
./random-core --quiet --seed 6 --ops "$operations" || exit 1

gcovr --root "$root" --filter "$root/core/" --object-directory "$work" --txt report.txt \
    --json-summary report.json --fail-under-line "$limit" "$work" || failed=1
cat report.txt
[ -z "${failed:-}" ] || { echo "coverage of core/ is below $limit% of lines"; exit 1; }
