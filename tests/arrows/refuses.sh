#!/bin/sh
# SPDX-License-Identifier: MIT
# The arrow check must refuse a tree in which includes point the wrong way, and name each of them.
# Usage: refuses.sh CHECK SOURCE-ROOT
set -eu
check=$1 root=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
mkdir -p "$dir/tree/tests"
(cd "$root" && cp -r abi core builder hypervisor store image lint cli bench include guest kernel "$dir/tree" &&
    cp -r tests/guest "$dir/tree/tests")

cat > "$dir/wrong" <<'END'
builder/guest_image.c "core.h"
builder/guest_image.c "builder.h"
builder/guest_layout.c "error.h"
builder/guest_notes.c <elf.h>
builder/guest_notes.c <string.h>
builder/reader.h <pvmm/boot.h>
core/frame.c "guest_image.h"
image/view.c "guest_layout.h"
lint/report.c "vcpu.h"
lint/report.c "options.h"
store/tree.c "guest_image.h"
core/frame.c "vcpu.h"
core/frame.c <stdio.h>
core/frame.c "nowhere.h"
core/frame.c <pvguest/types.h>
guest/error.c "core.h"
guest/error.c "tap.h"
guest/error.c <string.h>
image/view.c "vcpu.h"
image/view.c "options.h"
image/view.c <pvguest/types.h>
kernel/tap.c "port.h"
kernel/tap.c "internal.h"
kernel/tap.c <pvmm/boot.h>
include/pvguest/types.h "internal.h"
tests/guest/main.c "internal.h"
tests/guest/main.c "tap.h"
tests/guest/main.c <pvmm/boot.h>
tests/guest/main.c <string.h>
END
while read -r file header; do
    echo "#include $header" >> "$dir/tree/$file"
done < "$dir/wrong"

if "$check" "$dir/tree" > "$dir/out"; then
    echo "the check let all of it pass"
    exit 1
fi
while read -r file header; do
    grep -qF "$file: includes $header" "$dir/out" || {
        echo "the check let $file have $header"
        exit 1
    }
done < "$dir/wrong"
