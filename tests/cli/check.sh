#!/bin/sh
# SPDX-License-Identifier: MIT
# `pvmm check` as a command: exit codes, text and JSON. check.sh PVMM MADE-GUEST
set -u
pvmm=$1 made=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

flunk() {
    echo "FAIL: $*"
    bad=1
}

# run CODE WORDS...: output in out, errors in err
run() {
    wanted=$1
    shift
    "$pvmm" check "$@" > "$dir/out" 2> "$dir/err"
    code=$?
    [ $code -eq "$wanted" ] || flunk "check $*: exit code $code, not $wanted: $(cat "$dir/err")"
}

says() {
    grep -q -- "$1" "$dir/out" || flunk "nothing says: $1"
}

"$made" "$dir/whole" || exit 1
"$made" "$dir/broken" broken || exit 1

run 0 "$dir/whole"
says "^R1 .*holds"
says "^R9 .*not decidable .*no TLBs"
[ "$(grep -c '^R[0-9]' "$dir/out")" -eq 10 ] || flunk "not ten rules"
says "^0 findings"

run 1 "$dir/broken"
says "^R2 .*broken"
says "^table-writable (R2)"
says "maps   ffffffff80064000"
says "^1 finding;"

run 1 --json "$dir/broken"
says '"code": *"table-writable"'
says '"va": *"0xffffffff80064000"'
says '"answer": *"undecidable"'
python3 -c 'import json, sys; o = json.load(sys.stdin); sys.exit(len(o["rules"]) != 10 or o["format"] != 1)' \
    < "$dir/out" || flunk "the JSON is not as it should be"
run 0 --json "$dir/whole"

# A libxc stream that ends behind X86_PV_INFO: nothing of it can be decided, and that is not clean.
{
    printf '\377\377\377\377\377\377\377\377XENF\000\000\000\003\000\000\000\000\000\000\000\000'
    printf '\001\000\000\000\014\000\000\000\004\000\000\000\021\000\000\000'
    printf '\002\000\000\000\010\000\000\000\010\004\000\000\000\000\000\000'
} > "$dir/cut"
run 2 "$dir/cut"
says "^R3 .*not decidable"
grep -q "no rule can be decided" "$dir/err" || flunk "the error does not say why: $(cat "$dir/err")"
run 2 --json "$dir/cut"
says '"answer": *"undecidable"'

run 2 "$dir/none"
echo nothing > "$dir/text"
run 2 "$dir/text"
run 129
run 129 "$dir/whole" "$dir/whole"
run 129 --frobnicate "$dir/whole"
run 129 --domain x "$dir/whole"
run 129 --symbols "$dir/none" "$dir/whole"
run 0 --help
says "docs/findings.md"
exit $bad
