#!/bin/sh
# SPDX-License-Identifier: MIT
# The arrow check must refuse a tree in which one include points the wrong way.
# Usage: refuses.sh CHECK SOURCE-ROOT
set -eu
check=$1 root=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

refuse() { # file line
    rm -rf "$dir/tree"
    mkdir "$dir/tree"
    (cd "$root" && cp -r abi core hypervisor store cli bench include guest kernel "$dir/tree")
    echo "$2" >> "$dir/tree/$1"
    if "$check" "$dir/tree" > "$dir/out"; then
        echo "the check let $1 have $2"
        exit 1
    fi
    grep -q "$1" "$dir/out"
}

for line in '#include "vcpu.h"' '#include <stdio.h>' '#include "nowhere.h"' \
    '#include <pvguest/types.h>'; do
    refuse core/frame.c "$line"
done
for line in '#include "core.h"' '#include "tap.h"' '#include <string.h>'; do
    refuse guest/error.c "$line"
done
for line in '#include "port.h"' '#include "internal.h"' '#include <pvmm/boot.h>'; do
    refuse kernel/tap.c "$line"
done
refuse include/pvguest/types.h '#include "internal.h"'
