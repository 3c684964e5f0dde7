#!/bin/sh
# SPDX-License-Identifier: MIT
# pvmm inspect and pvmm p2m, on small dumps that are made for it. inspect.sh PVMM MKDUMP
set -u
PVMM=$1 MKDUMP=$2
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# shows NAME CODE REGEX ARGUMENT...: that exit code, a line on stdout that matches, nothing on stderr.
shows() {
    name=$1 code=$2 regex=$3
    shift 3
    rc=0
    timeout 60 "$PVMM" "$@" </dev/null >"$dir/out" 2>"$dir/err" || rc=$?
    [ "$rc" -eq "$code" ] || flunk "$name: exit code $rc instead of $code"
    [ ! -s "$dir/err" ] || flunk "$name: stderr: $(cat "$dir/err")"
    grep -Eq -- "$regex" "$dir/out" || flunk "$name: stdout does not match $regex: $(cat "$dir/out")"
}

for kind in whole short stale swapped; do
    "$MKDUMP" "$kind" "$dir/$kind" || flunk "mkdump $kind"
done
pages=$("$PVMM" inspect --json "$dir/whole" | sed -n 's/^  "pages": *\([0-9]*\),$/\1/p')
[ "$pages" -gt 64 ] || flunk "pages: $pages"

# what is in it
shows "kind" 0 "kind +xl dump-core" inspect "$dir/whole"
shows "start_info" 0 'frame +mfn 0x[0-9a-f]+ \(pfn 0x14\), a page that begins' inspect "$dir/whole"
shows "a guest's text is made fit" 0 'cmd_line +"quiet \?\[31m red"' inspect "$dir/whole"
shows "vCPU" 0 'root mfn 0x[0-9a-f]+ \(pfn 0x[0-9a-f]+\)' inspect "$dir/whole"
shows "the tree is there" 0 "mfn_list_list +$pages  of pfns below" inspect "$dir/whole"
shows "the tables are there" 0 "a map of all memory at ffffffff80000000" inspect "$dir/whole"
shows "what is not there says why" 0 "linear +-  the guest publishes none: p2m_cr3 is 0" inspect "$dir/whole"
shows "all agree" 0 "$pages pfns: $pages agreed, 0 disagreed, 0 recovered" inspect "$dir/whole"
last=$(printf '%x' $((pages - 1)))
shows "what is short is recovered" 0 "0x28-0x$last +$((pages - 40)) +recovered from  container 0x[0-9a-f]+, but mfn_list_list beyond" \
    inspect "$dir/short"
shows "so many" 0 "$pages pfns: 40 agreed, $((pages - 40)) disagreed, $((pages - 40)) recovered" inspect "$dir/short"
shows "one that is wrong" 0 "0x7 +1 +recovered from  container 0x[0-9a-f]+, but mfn_list_list 0x" inspect "$dir/swapped"
shows "stale" 0 "mfn_list_list +$pages  of pfns below 0x[0-9a-f]+, stale" inspect "$dir/stale"
shows "json" 0 '"recovered": *true' inspect --json "$dir/short"

# pfns
shows "a pfn" 0 "^pfn 0x14 +mfn 0x[0-9a-f]+ +- +container +page 20 of .xen_pages, at 0x" p2m "$dir/whole" 20
shows "its element" 0 "mfn_list_list +0x[0-9a-f]+  element at 0x[0-9a-f]+0a0  page [0-9]+ of .xen_pages" p2m "$dir/whole" 0x14
shows "a range" 0 "^pfn 0x7 .*! mfn_list_list 0x[0-9a-f]+: recovered" p2m "$dir/swapped" 5-9
[ "$(wc -l < "$dir/out")" -eq 5 ] || flunk "5-9: $(wc -l < "$dir/out") lines"
shows "a range by its length" 0 "^pfn 0x5 " p2m "$dir/whole" 5+2
[ "$(wc -l < "$dir/out")" -eq 2 ] || flunk "5+2: $(wc -l < "$dir/out") lines"
shows "all" 0 "^pfn 0x$last " p2m "$dir/whole" all
[ "$(wc -l < "$dir/out")" -eq "$pages" ] || flunk "all: $(wc -l < "$dir/out") lines"
shows "one that is nowhere" 1 "beyond all that is known" p2m "$dir/whole" 0x100000
shows "by a source" 0 "^pfn 0x7 +mfn was 0x100007 " p2m "$dir/stale" 7 --source mfn_list_list
shows "a source has it not" 1 "^pfn 0x40 +beyond +tables" p2m "$dir/whole" 0x40 --source tables
shows "json" 0 '^\{"state":"frame","mfn":"0x[0-9a-f]+","pfn":"0x7","from":"container"' p2m --json "$dir/whole" 7

# the other way
m=$("$PVMM" p2m "$dir/whole" 9 | sed -n 's/^pfn 0x9 *mfn \(0x[0-9a-f]*\) .*/\1/p')
shows "a frame" 0 "^mfn $m +pfn 0x9 +container" p2m "$dir/whole" --reverse "$m"
shows "a frame of before" 0 "^mfn 0x100009 +pfn 0x9 +mfn_list_list, of before the suspend" p2m "$dir/stale" --reverse 0x100009
shows "a frame that is nowhere" 1 "^mfn 0x900009 +no pfn" p2m "$dir/whole" --reverse 0x900009
shows "all frames" 0 "^mfn $m +pfn 0x9 " p2m "$dir/whole" --reverse all
[ "$(wc -l < "$dir/out")" -eq "$pages" ] || flunk "--reverse all: $(wc -l < "$dir/out") lines"

# what cannot be
shows "help" 0 "^Usage: pvmm inspect" inspect --help
shows "help" 0 "^Usage: pvmm p2m" p2m --help
: > "$dir/nothing"
check "no image" 129 "an image is wanted" inspect
check "no pfn" 129 "a number, a range" p2m "$dir/whole"
check "no number" 129 "\"x\" is no number" p2m "$dir/whole" x
check "a range backwards" 129 "is no number" p2m "$dir/whole" 9-5
check "no source" 129 "none of container" p2m "$dir/whole" 1 --source none
check "a source that is not there" 1 "linear is not there: the guest publishes none" p2m "$dir/whole" 1 --source linear
check "nothing in it" 2 "it is empty" inspect "$dir/nothing"
check "no file" 2 "No such file" p2m "$dir/no" 1
finish
