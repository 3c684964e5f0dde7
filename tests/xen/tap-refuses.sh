#!/bin/sh
# SPDX-License-Identifier: MIT
# The judge of the kernel's output must find fault with what is faulty: tap-refuses.sh TAP.AWK
set -u
judge=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cat > "$dir/good" <<'END'
TAP version 13
1..3
ok 1 - a.one
# a line between
ok 2 - a.two # SKIP why
ok 3 - b.three
PVKERNEL-DONE passed=2 failed=0 skipped=1
END
bad=0
awk -f "$judge" "$dir/good" > "$dir/said" || { echo "good output is refused: $(cat "$dir/said")"; bad=1; }

good=good failing=
refuse() { # what, sed's words that make it so
    sed "$2" "$dir/$good" > "$dir/doctored"
    if cmp -s "$dir/$good" "$dir/doctored"; then
        echo "$1: nothing was doctored"
        bad=1
    elif awk -v failing="$failing" -f "$judge" "$dir/doctored" > "$dir/said"; then
        echo "$1: passes"
        bad=1
    elif [ ! -s "$dir/said" ]; then
        echo "$1: refused without a word"
        bad=1
    fi
}

refuse "a failed test" 's/^ok 3 .*/not &  # reason/'
refuse "a failed test, and the end says so" \
    's/^ok 3 .*/not &/; s/passed=2 failed=0/passed=1 failed=1/'
refuse "a test missing" '/^ok 3/d'
refuse "a test twice" 's/^ok 3.*/&\n&/'
refuse "the wrong order" 's/^ok 3/ok 4/'
refuse "no plan" '/^1\.\./d'
refuse "two plans" 's/^1\.\..*/&\n&/'
refuse "a plan of nothing" 's/^1\.\.3/1..0/; /^ok/d; s/passed=2/passed=0/; s/skipped=1/skipped=0/'
refuse "another plan" 's/^1\.\.3/1..4/'
refuse "no beginning" '/^TAP/d'
refuse "two beginnings" 's/^TAP.*/&\n&/'
refuse "no end" '/^PVKERNEL/d'
refuse "an end that counts otherwise" 's/passed=2/passed=3/'
refuse "an error" 's/^1\.\..*/&\nerror: unknown word "x"/'
refuse "bailing out" '$s/.*/&\nBail out! boot: x/'

# Where one test is to fail.
sed '/^ok 3/s/.*/not &  # t.c:1: why/; s/passed=2 failed=0/passed=1 failed=1/' "$dir/good" > "$dir/one"
good=one failing=b.three
awk -v failing="$failing" -f "$judge" "$dir/one" > "$dir/said" ||
    { echo "the one that is to fail: $(cat "$dir/said")"; bad=1; }
refuse "it passes" 's/^not ok 3 - b.three .*/ok 3 - b.three/; s/passed=1 failed=1/passed=2 failed=0/'
refuse "another one fails too" 's/^ok 1 .*/not &  # why/; s/passed=1 failed=1/passed=0 failed=2/'
refuse "another one fails instead" 's/b.three/b.four/'
refuse "it is missing" '/^not ok 3/d'
refuse "it fails twice" 's/^not ok 3.*/&\n&/'
refuse "the end says that none failed" 's/failed=1/failed=0/'
failing=
refuse "it is not to fail" 's/why/because/'
exit "$bad"
