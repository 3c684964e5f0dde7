#!/bin/sh
# SPDX-License-Identifier: MIT
# `pvmm diff` as a command: exit codes, text and JSON, on dumps that are made here. diff.sh PVMM MKDUMP
set -u
PVMM=$1 MKDUMP=$2
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# run CODE ARGUMENT...: output in $dir/out and $dir/err.
run() {
    code=$1
    shift
    rc=0
    timeout 60 "$PVMM" diff "$@" >"$dir/out" 2>"$dir/err" </dev/null || rc=$?
    [ "$rc" -eq "$code" ] || { cat "$dir/out" "$dir/err"; flunk "diff $*: exit code $rc instead of $code"; }
}
says() {
    grep -Eq -- "$1" "$dir/out" || { cat "$dir/out"; flunk "stdout does not match $1"; }
}
lacks() {
    ! grep -Eq -- "$1" "$dir/out" || { cat "$dir/out"; flunk "stdout matches $1"; }
}
complains() {
    grep -Eq -- "$1" "$dir/err" || { cat "$dir/err"; flunk "stderr does not match $1"; }
}
json() {
    python3 -c "import json, sys; o = json.load(sys.stdin); sys.exit(not ($1))" <"$dir/out" ||
        { cat "$dir/out"; flunk "the JSON is not as it should be: $1"; }
}

"$MKDUMP" whole "$dir/a" && "$MKDUMP" swapped "$dir/b" && cp "$dir/a" "$dir/c" || exit 1

run 0 "$dir/a" "$dir/c"
says "^contents +0$"
lacks "seen at"
run 0 --json "$dir/a" "$dir/c"
json 'o["format"] == 1 and not o["different"] and o["ranges"] == []'

# Element 7 of the guest's list: one page, 8 bytes of it at most.
run 1 "$dir/a" "$dir/b"
says "^contents +1$"
says "^[0-9a-f]+ +1  contents"
run 1 --bytes "$dir/a" "$dir/b"
says "^    [1-8] bytes differ, the first at \+0x03[89a-f]$"
run 1 --json --bytes --entries "$dir/a" "$dir/b"
json 'len(o["ranges"]) == 1 and 56 <= o["ranges"][0]["first_byte"] < 64 and "entries" not in o["ranges"][0]'

# One byte of a page that the kernel maps: which one is found again, by pfn, address and symbol.
python3 - "$dir/a" "$dir/d" <<'PY' || exit 1
import sys
data = bytearray(open(sys.argv[1], "rb").read())
at = data.index(b"a kernel's banner")
data[at] ^= 1
open(sys.argv[2], "wb").write(data)
PY
printf 'ffffffff80000000 T _text\nffffffff80003fa0 D banner\nffffffff80040000 T _end\n' >"$dir/map"
run 1 --bytes --symbols "$dir/map" "$dir/a" "$dir/d"
says "^3 +1  contents +ffffffff80003000"
says "^    1 bytes differ, the first at \+0xfa0$"
says "^      A  61 20 6b 65"
says "^      B  60 20 6b 65"
run 1 -n 0 "$dir/a" "$dir/d"
says "and 1 more"

# From standard input, and packed.
gzip -c "$dir/a" >"$dir/a.gz"
run 0 "$dir/a.gz" "$dir/c"
rc=0
timeout 60 "$PVMM" diff - "$dir/d" <"$dir/a" >"$dir/out" 2>"$dir/err" || rc=$?
[ "$rc" -eq 1 ] || flunk "from standard input: exit code $rc"

run 129
complains "two images"
run 129 "$dir/a"
run 129 "$dir/a" "$dir/b" "$dir/c"
complains "follows them"
run 129 - -
complains "standard input"
run 129 -n x "$dir/a" "$dir/b"
run 129 --frobnicate "$dir/a" "$dir/b"
run 2 "$dir/a" "$dir/none"
run 2 "$dir/none" "$dir/a"
echo nothing >"$dir/text"
run 2 "$dir/text" "$dir/a"
run 0 --help
says "docs/diff.md"
finish
