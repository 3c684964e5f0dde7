#!/bin/sh
# SPDX-License-Identifier: MIT
# Input that cannot be run must be refused with one line that says what, where and why, and with the
# exit code that tells `git bisect run` to skip: bad-input.sh PVMM MKELF INITRD.
set -u
PVMM=$1 MKELF=$2 INITRD=$3
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# A good image, and a QEMU that is not there: what passes every check ends with 128, not with 125.
"$MKELF" "$dir/good"
"$MKELF" "$dir/hypervisor" class=32 machine=3
export PVMM_QEMU=/nonexistent/qemu PVMM_HYPERVISOR="$dir/hypervisor"
check "control" 128 "cannot start QEMU as \"/nonexistent/qemu\": No such file" run "$dir/good"

# bad NAME REGEX WORD...: an image with something wrong.
bad() {
    name=$1 regex=$2
    shift 2
    "$MKELF" "$dir/bad" "$@"
    check "$name" 125 "kernel .*/bad: .*($regex)" run "$dir/bad"
}

# --- kernels: the file
check "kernel missing" 125 "kernel $dir/none: cannot open it: No such file" run "$dir/none"
check "kernel a directory" 125 "not a regular file" run "$dir"
: > "$dir/empty"
check "kernel empty" 125 "the file is empty" run "$dir/empty"
head -c 100000 /dev/urandom | tr 'H' 'h' > "$dir/random"
check "kernel random" 125 "neither a bzImage nor an ELF" run "$dir/random"
head -c 40 "$dir/good" > "$dir/short"
check "kernel cut in its header" 125 "only 40 bytes, less than an ELF header" run "$dir/short"
head -c 100 "$dir/good" > "$dir/short"
check "kernel cut in its program headers" 125 "truncated: .* program headers" run "$dir/short"
head -c 5000 "$dir/good" > "$dir/short"
check "kernel cut in a segment" 125 "truncated: segment 0" run "$dir/short"
for packer in gzip xz "xz --format=lzma" bzip2 "zstd -q" "lz4 -q" "lz4 -q -l"; do
    $packer -c < "$dir/good" > "$dir/packed"
    check "kernel packed with $packer" 128 "cannot start QEMU" run "$dir/packed"
    head -c $(($(wc -c < "$dir/packed") - 20)) "$dir/packed" > "$dir/short"
    check "the same, cut" 125 "truncated|damaged|header|Format|decod|compress" run "$dir/short"
done

# --- kernels: what is in the file
bad "no notes" "no Xen notes: it is not built for paravirtual guests" notes=0
"$MKELF" "$dir/legacy" notes=0 legacy=1
check "described by a section" 128 "cannot start QEMU" run "$dir/legacy"
bad "section outside the file" "truncated: __xen_guest at" notes=0 legacy=1 legacy_size=0x7fffffff
"$MKELF" "$dir/legacy" notes=0 legacy=1 legacy_size=0x1000
check "section longer than what it says" 128 "cannot start QEMU" run "$dir/legacy"
bad "section's entry outside" "in no loaded segment" notes=0 legacy=1 entry=0xffffffff82000000
bad "PVH only" "no ENTRY .*PVH" has_entry=0
bad "no version" "do not describe a paravirtual guest" has_version=0
bad "32-bit class" "32-bit ELF file" class=32
bad "32-bit machine" "ELF machine 3, not x86-64" machine=3
bad "object file" "not an executable" type=1
bad "no program headers" "no program headers" phnum=0
bad "program headers outside" "truncated" phoff=0xfffffffffffffff0
bad "note number of odd size" "Xen note 1 is a number of 3 bytes" entry_size=3
bad "notes run out" "damaged: the one at 0x[0-9a-f]+ has" note_size=40
bad "notes outside the file" "truncated: notes at" note_size=0x100000
bad "segment outside the file" "truncated: segment 0" offset=0x7ffffffffffff000
bad "more in the file than in memory" "bytes in the file but" filesz=0x800 memsz=0x400
bad "segment wraps" "wraps around" paddr=0xfffffffffffff000 memsz=0x2000
bad "segments overlap" "segments overlap: 0xffffffff81000000-0xffffffff81001fff and 0xffffffff81001000-0xffffffff81001fff" \
    paddr2=0x1001000 memsz2=0x1000
bad "below PADDR_OFFSET" "below PADDR_OFFSET" paddr_offset=0x2000000
bad "entry in the hypervisor's slots" "entry 0xffff8000.* hypervisor's slots" \
    entry=0xffff800000001000
bad "entry outside" "in no loaded segment" entry=0xffffffff82000000
bad "entry not canonical" "not canonical" entry=0x8000000000000000
bad "virt_base in the hypervisor's slots" "VIRT_BASE .* hypervisor's slots" \
    virt_base=0xffff820000000000 entry=0xffff820001000000
bad "image grows into the hypervisor's slots" "segment 0 at .* is not canonical" \
    virt_base=0x00007ffffffff000 entry=0x0000800000fff000
bad "virt_base not aligned" "VIRT_BASE .* not page-aligned" virt_base=0xffffffff80000010
bad "image wraps" "wraps around" virt_base=0xffffffffff000000 entry=0xffffffffff000000
bad "p2m in the hypervisor's slots" "INIT_P2M .* hypervisor's slots" p2m=0xffff800000000000
bad "p2m not canonical" "INIT_P2M .* not canonical" p2m=0x0001000000000000
bad "p2m not aligned" "INIT_P2M .* not page-aligned" p2m=0x8000000008
bad "p2m over the image" "INIT_P2M .* lies in its initial mapping" p2m=0xffffffff81001000
bad "p2m reaches the hypervisor's slots" "INIT_P2M .* leaves no room for a list" p2m=0x00007ffffffff000

# --- memory
small="memory is too small: [0-9]+ KiB given, its start needs"
check "image too big" 125 "$small .*the image ends at 16392 KiB" run -m 16M "$dir/good"
check "no room for tables" 125 "memory is too small: 16896 KiB given, its start needs 16[89]" \
    run -m 16896K "$dir/good"
bad "larger than the guest" "$small .*the image ends at 1589248 KiB" memsz=0x60000000
bad "larger than the address space" "wraps around" memsz=0x7fffffffffff

# --- initial ramdisks
initrd() {
    check "initrd $1" "$2" "$3" run -i "$4" "$dir/good"
}
zcat "$INITRD" > "$dir/cpio"
initrd "good, gzip" 128 "cannot start QEMU" "$INITRD"
initrd "good, cpio" 128 "cannot start QEMU" "$dir/cpio"
cat "$dir/cpio" "$INITRD" > "$dir/both"
initrd "good, two parts" 128 "cannot start QEMU" "$dir/both"
initrd "missing" 125 "initrd $dir/none: cannot open it" "$dir/none"
initrd "empty" 125 "initrd $dir/empty: the file is empty" "$dir/empty"
initrd "random" 125 "initrd $dir/random: no known format" "$dir/random"
head -c 100000 "$INITRD" > "$dir/short"
initrd "cut gzip" 125 "gzip-compressed data of 100000 bytes: it ends too early" "$dir/short"
head -c 100000 "$dir/cpio" > "$dir/short"
initrd "cut cpio" 125 "truncated: a cpio member" "$dir/short"
{ head -c 50000 "$INITRD"; head -c 50000 /dev/zero; tail -c +100001 "$INITRD"; } > "$dir/damaged"
initrd "damaged gzip" 125 "gzip-compressed data" "$dir/damaged"
cat "$dir/cpio" "$dir/random" > "$dir/both"
initrd "garbage behind" 125 "part at byte [0-9]+: no known format" "$dir/both"
for packer in xz "xz --format=lzma" bzip2 "zstd -q" "lz4 -q -l"; do
    $packer -c < "$dir/cpio" > "$dir/packed"
    initrd "good, $packer" 128 "cannot start QEMU" "$dir/packed"
    head -c 100000 "$dir/packed" > "$dir/short"
    initrd "cut, $packer" 125 "compressed data of 100000 bytes: " "$dir/short"
done
check "initrd larger than the guest" 125 "$small .*the ramdisk has [0-9]+ KiB" \
    run -m 18M -i "$dir/cpio" "$dir/good"

# --- the verdict of a refusal is in the JSON file too
check "json of a refusal" 125 "32-bit|no Xen" run --json "$dir/json" "$dir/hypervisor"
grep -q '"outcome": "untestable"' "$dir/json" || flunk "the JSON file does not hold the refusal"
grep -q '"exit_code": 125' "$dir/json" || flunk "the JSON file does not hold the exit code"
finish
