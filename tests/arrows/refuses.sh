#!/bin/sh
# SPDX-License-Identifier: MIT
# The arrow check must refuse a tree in which one include points the wrong way.
# Usage: refuses.sh CHECK SOURCE-ROOT
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
for line in '#include "vcpu.h"' '#include <stdio.h>' '#include "nowhere.h"'; do
    rm -rf "$dir/tree"
    mkdir "$dir/tree"
    (cd "$2" && cp -r abi core hypervisor store cli bench "$dir/tree")
    echo "$line" >> "$dir/tree/core/frame.c"
    if "$1" "$dir/tree" > "$dir/out"; then
        echo "the check let core/frame.c have $line"
        exit 1
    fi
    grep -q 'core/frame.c' "$dir/out"
done
