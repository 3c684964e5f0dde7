# SPDX-License-Identifier: MIT
# Shell functions for tests of the command. Wanted: $PVMM; given: $dir, a directory that goes away.

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/tmp"
failures=0

flunk() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# check NAME CODE REGEX ARGUMENT...: `pvmm ARGUMENT...` must end with that code, and say one line on
# stderr, which matches the expression. $with_path, if it is set, is the PATH it finds.
check() {
    name=$1 code=$2 regex=$3
    shift 3
    rc=0
    TMPDIR=$dir/tmp timeout 60 env ${with_path:+"PATH=$with_path"} "$PVMM" "$@" </dev/null >"$dir/out" 2>"$dir/err" || rc=$?
    echo "$name: $rc: $(head -n 1 "$dir/err")"
    [ "$rc" -eq "$code" ] || flunk "$name: exit code $rc instead of $code"
    [ "$(grep -c . "$dir/err")" -eq 1 ] || flunk "$name: $(grep -c . "$dir/err") lines on stderr"
    grep -Eq -- "$regex" "$dir/err" || flunk "$name: stderr does not match $regex"
    [ -z "$(ls -A "$dir/tmp")" ] || flunk "$name: temporary files are left"
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
    exit 0
}
