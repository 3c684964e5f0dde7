#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's GRUB for PV guests, a kernel that no one here wrote and that is not Linux: it boots to its
# prompt, answers what is typed, and powers off. grub.sh PVMM BUILD
#
# It will not start without a store, maps its grant table, and edits its tables by
# update_va_mapping alone.
set -u
PVMM=$1 BUILD=$2
GRUB=$BUILD/grub/grub-x86_64-xen.bin
PATIENCE=${PVMM_TEST_PATIENCE:-120}

[ -s "$GRUB" ] || { echo "no $GRUB: run scripts/fetch-grub.sh $BUILD/grub"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out err=$dir/err

# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

# Answers cannot be echoes of the questions.
person() {
    await 'grub> '
    # shellcheck disable=SC2016
    printf 'set x=hello; echo ${x}-world\r'
    await 'hello-world'
    printf 'if [ -f (memdisk)/grub.cfg ]; then echo is-"a-file"; fi\r'
    await 'is-a-file'
    printf 'halt\r'
}

: > "$out"
mkfifo "$dir/keys"
person > "$dir/keys" &
rc=0
timeout $((PATIENCE + 60)) "$PVMM" run --no-core -m 128M --timeout "$PATIENCE" --log "$dir/log" \
    --json "$dir/json" "$GRUB" < "$dir/keys" >"$out" 2>"$err" || rc=$?
cat "$err"
[ "$rc" -eq 0 ] || flunk "exit code $rc"
grep -q 'GNU GRUB  *version' "$out" || flunk "no GRUB to be seen"
grep -q 'hello-world' "$out" || flunk "it did not answer"
grep -q 'is-a-file' "$out" || flunk "it did not answer the second time"
grep -q 'guest powered off' "$err" || flunk "it did not power off"
grep -q '^  audit *clean' "$err" || flunk "the audit is not clean"
