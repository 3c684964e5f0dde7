#!/bin/sh
# SPDX-License-Identifier: MIT
# walk, read and find-maps on a dump-core that is made here. What they print is compared with the file's
# own bytes. lookup.sh PVMM MADE-DUMP
set -u
PVMM=$1 MADE=$2
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

"$MADE" "$dir/guest" || exit 1
g=$dir/guest
banner_at=0xffffffff80003fa0
banner="a kernel's banner, long enough to end in the page that follows the one it begins in: so that a \
reader has to look at two tables' entries"
cat >"$dir/map" <<MAP
ffffffff80000000 T _text
ffffffff80003fa0 D banner
ffffffff80040000 T _end
MAP

# run CODE ARGUMENT...: output in $dir/out and $dir/err.
run() {
    code=$1
    shift
    rc=0
    timeout 60 "$PVMM" "$@" </dev/null >"$dir/out" 2>"$dir/err" || rc=$?
    [ "$rc" -eq "$code" ] || { cat "$dir/out" "$dir/err"; flunk "$*: exit code $rc instead of $code"; }
}

# says REGEX: on stdout; quiet: nothing on stderr.
says() {
    grep -Eq -- "$1" "$dir/out" || { cat "$dir/out"; flunk "stdout does not match $1"; }
}
complains() {
    grep -Eq -- "$1" "$dir/err" || { cat "$dir/err"; flunk "stderr does not match $1"; }
}
quiet() {
    [ ! -s "$dir/err" ] || { cat "$dir/err"; flunk "something on stderr"; }
}

# field EXPRESSION: of the JSON on stdout, as Python sees it in j.
field() {
    python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$dir/out" "$1" || flunk "no field $1"
}
is() {
    [ "$1" = "$2" ] || flunk "$3: $1 instead of $2"
}
bytes_at() { # OFFSET N
    dd if="$g" bs=1 skip="$1" count="$2" status=none
}

# ---- walk
run 0 walk "$g" $banner_at
quiet
says '^ffffffff80003fa0 from mfn [0-9a-f]+ \(pfn [0-9a-f]+ by container\), root of vCPU 0, kernel$'
says '^  L4 slot 511 at [0-9a-f]+ff8: '
says '^  L1 slot   3 at [0-9a-f]+018: [0-9a-f]{16}  P RW US A G$'
says '^machine address [0-9a-f]+fa0: mfn [0-9a-f]+ \(pfn 3 by container\), file offset 0x[0-9a-f]+ \(page '

run 0 walk "$g" --json --symbols "$dir/map" banner
quiet
is "$(field 'j["format"], j["mapped"], j["why"], [l["level"] for l in j["levels"]]')" \
    "(1, True, None, [4, 3, 2, 1])" "walk"
is "$(field 'j["va"], j["symbol"]["name"], j["symbol"]["offset"], j["root"]["of"]')" \
    "('$banner_at', 'banner', '0x0', 'vCPU 0, kernel')" "walk"
is "$(field 'j["to"]["pfn"], j["to"]["pfn_from"], j["to"]["offset"]')" "('0x3', 'container', 4000)" "target"
is "$(bytes_at "$(field 'j["to"]["file_offset"]')" 17)" "a kernel's banner" "the target's bytes in the file"
for level in 0 1 2 3; do
    where=$(field "j['levels'][$level]['file_offset']")
    is "0x$(bytes_at "$where" 8 | od -An -tx8 | tr -d ' ' | sed 's/^0*//')" \
        "$(field "j['levels'][$level]['entry']")" "the entry's bytes in the file"
    is "$(field "int(j['levels'][$level]['at'], 16) >> 12")" \
        "$(field "int(([j['root']] + [l['names'] for l in j['levels']])[$level]['mfn'], 16)")" "the table"
done
is "$(field '[l["names"]["type"] for l in j["levels"]]')" "['L3', 'L2', 'L1', None]" "types"

root=$(field 'j["root"]["mfn"]')
run 0 walk "$g" --root "$root" $banner_at
says 'root of --root$'
run 0 walk "$g" --root "mfn:$root" ffffffff80003fa0
run 0 walk "$g" $((0x3fa0))+0xffffffff80000000
says '^ffffffff80003fa0 '

run 1 walk "$g" 0x1000
says '^not mapped: the L4 entry at [0-9a-f]+, 0+, is not present$'
run 1 walk "$g" --json 0xffffffff80040000
is "$(field 'j["mapped"], j["why"], j["to"], len(j["levels"])')" "(False, 'not-present', None, 4)" "not mapped"
run 1 walk "$g" --json 0x800000000000
is "$(field 'j["why"], j["levels"]')" "('not-canonical', [])" "not canonical"
check "no symbols" 1 "linux_banner: no symbols are known .*--symbols" walk "$g" linux_banner
check "no such symbol" 1 "no symbol other" walk "$g" --symbols "$dir/map" other
check "no user root" 1 "vCPU 0 has no user root" walk "$g" --user 0
check "root of no frame" 1 "pfn 99999999 has no frame" walk "$g" --root pfn:0x99999999 0
check "no such vCPU" 129 "vCPU 1: the image has 1" walk "$g" --vcpu 1 0

# ---- read
run 0 read "$g" --as string $banner_at
quiet
is "$(cat "$dir/out")" "$banner" "the banner"
run 0 read "$g" --as string --symbols "$dir/map" banner+2 6
is "$(cat "$dir/out")" "kernel" "a part of it"
run 0 read "$g" pfn:2+8 0x18
quiet
printf '%s\n%s\n' '0000000000002008: 0120 0000 7856 3412 0220 0000 7856 3412  . ..xV4.. ..xV4.' \
    '0000000000002018: 0320 0000 7856 3412                      . ..xV4.' | cmp - "$dir/out" ||
    { cat "$dir/out"; flunk "hexadecimal digits"; }
run 0 read "$g" --as raw pfn:0 256K
quiet
is "$(wc -c <"$dir/out")" 262144 "raw bytes"
cp "$dir/out" "$dir/raw"
run 0 read "$g" --as raw ffffffff80000000 256K
cmp "$dir/out" "$dir/raw" || flunk "the same pages, by address"
dd if="$dir/raw" bs=1 skip=$((0x3fa0)) count=17 status=none | grep -q "^a kernel's banner" || flunk "no banner"
run 0 read "$g" --json pfn:3+4000 200
is "$(field 'bytes.fromhex("".join(p["hex"] for p in j["pieces"])).split(b"\0")[0].decode()')" "$banner" "hex"
is "$(field 'j["kind"], j["length"], j["read"], j["missing"], [p["pfn"] for p in j["pieces"]]')" \
    "('pfn', 200, 200, 0, ['0x3', '0x4'])" "pieces"
run 0 read "$g" --json --as string $banner_at
is "$(field '"".join(p["text"] for p in j["pieces"]), j["terminated"]')" "(\"$banner\", True)" "a text"

run 1 read "$g" --as raw 0xffffffff8003ff00 1G
is "$(wc -c <"$dir/out")" 256 "bytes before the gap"
complains '^pvmm read: ffffffff80040000 to ffffffffc003feff \(1073741568 bytes\): the L1 entry at '
is "$(wc -l <"$dir/err")" 1 "lines on stderr"
run 1 read "$g" --json 0xffffffff7ffffff0 32
is "$(field '[(p["address"], p["bytes"], "missing" in p) for p in j["pieces"]], j["read"], j["missing"]')" \
    "([('0xffffffff7ffffff0', 16, True), ('0xffffffff80000000', 16, False)], 16, 16)" "a gap in front"
run 1 read "$g" --as raw pfn:0x3f 1000000G
complains 'there is no frame at pfn [0-9a-f]+ \(container\)$'
[ "$(wc -c <"$dir/out")" -ge 4096 ] || flunk "no page before the gap"
run 1 read "$g" 0 100000G
[ ! -s "$dir/out" ] || flunk "something at 0"
if [ -w /dev/full ]; then
    timeout 60 "$PVMM" read "$g" --as raw pfn:0 256K >/dev/full 2>"$dir/err"
    is $? 128 "a full disk"
    complains 'cannot write to standard output: No space left on device$'
fi

# ---- find-maps
run 0 find-maps "$g" pfn:3 --symbols "$dir/map"
quiet
says '^mfn [0-9a-f]+ \(pfn 3 by container\), in 1 root$'
says '^[0-9a-f]+ +ffffffff80003000  L1  .* wxu  P RW US A G +_text\+0x3000$'
run 0 find-maps "$g" --json pfn:3
is "$(field 'j["found"], [m["va"] for m in j["mappings"]], len(j["roots"])')" "(1, ['0xffffffff80003000'], 1)" "maps"
is "$(field 'j["mappings"][0]["writable"], j["mappings"][0]["flags"]')" "(True, ['P', 'RW', 'US', 'A', 'G'])" "flags"
run 0 find-maps "$g" --json "mfn:$(field 'j["frame"]["mfn"]')" --root "$root"
is "$(field 'j["found"], j["frame"]["pfn"]')" "(1, '0x3')" "by mfn"
run 1 find-maps "$g" --json "mfn:$root"
is "$(field 'j["found"], j["mappings"]')" "(0, [])" "nothing maps the root"
run 1 find-maps "$g" "mfn:$root"
says '^nothing maps it$'
check "no frame" 1 "pfn 7777777 has no frame" find-maps "$g" pfn:0x7777777

# ---- command lines that are wrong
for command in walk read find-maps; do
    check "$command, nothing" 129 "an image is wanted" $command
    check "$command, an image alone" 129 "wanted" $command "$g"
    check "$command, bad option" 129 "--frobnicate" $command --frobnicate "$g" 0
    check "$command, no value" 129 "wants a value" $command "$g" 0 --symbols
    check "$command, --domain" 129 "--domain x" $command --domain x "$g" pfn:0
    check "$command, --symbols" 129 "$dir/none" $command --symbols "$dir/none" "$g" \
        "$([ $command = find-maps ] && echo pfn:0 || echo _text)" $([ $command = read ] && echo 4)
    run 0 $command --help
    says "^Usage: pvmm $command "
done
for bad in pfn: pfn:x mfn:-1 12x 0x +4 banner+x ""; do
    check "place '$bad'" 129 "neither an address" read "$g" "$bad" 4
done
check "walk of a frame" 129 "a frame has no way" walk "$g" pfn:1
check "walk, two places" 129 "follows it" walk "$g" 1 2
check "read, no length" 129 "a length is wanted" read "$g" 0
for bad in 0 x 4Q -1 99999999999999999999; do
    check "length $bad" 129 "not a length" read "$g" 0 -- "$bad"
done
check "read, too much" 129 "follows the length" read "$g" 0 4 5
check "read, --as" 129 "hex, raw or string" read "$g" 0 4 --as words
check "read, raw JSON" 129 "exclude each other" read "$g" 0 4 --as raw --json
check "read, --root of a frame" 129 "go with virtual addresses" read "$g" pfn:0 4 --root 5
check "read beyond the end" 129 "beyond the last address" read "$g" 0xfffffffffffffff0 17
check "--root and --vcpu" 129 "exclude each other" walk "$g" 0 --root 1 --vcpu 0
check "--root and --user" 129 "exclude each other" walk "$g" 0 --root 1 --user
check "--vcpu x" 129 "not a number" walk "$g" 0 --vcpu x
check "--root x" 129 "not a frame" walk "$g" 0 --root x
check "find-maps of an address" 129 "not a frame" find-maps "$g" 0x1000
check "find-maps, --vcpu" 129 "--vcpu" find-maps "$g" pfn:1 --vcpu 0

# ---- images that cannot be read
: >"$dir/empty"
for command in "walk 0" "read 0 4" "find-maps pfn:0"; do
    verb=${command%% *} words=${command#* }
    # shellcheck disable=SC2086
    check "$verb, no file" 2 "$dir/none: .*No such file" $verb "$dir/none" $words
    # shellcheck disable=SC2086
    check "$verb, an empty file" 2 "$dir/empty: " $verb "$dir/empty" $words
done
finish
