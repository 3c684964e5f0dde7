#!/bin/sh
# SPDX-License-Identifier: MIT
# Small files of every format, mutated: fuzz.sh FUZZ_KERNEL MKELF ROUNDS SEED
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$2" "$dir/elf" memsz2=0x1000
"$2" "$dir/legacy" notes=0 legacy=1
echo /dev/null | cpio --quiet -o -H newc > "$dir/cpio"
printf '%s\n' '# a map' '0-0x9efff ram' '640K+384K reserved' '[mem 0x100000-0x5ffffff] usable' \
    '0xffffffffffffffff+1 type 20' > "$dir/map"
for packer in gzip xz "xz --format=lzma" bzip2 "zstd -q" "lz4 -q" "lz4 -q -l"; do
    $packer -c < "$dir/elf" > "$dir/packed-$(echo "$packer" | tr -c 'a-z0-9\n' _)"
done
"$1" "$3" "$4" "$dir"/*
