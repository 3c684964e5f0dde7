#!/bin/sh
# SPDX-License-Identifier: MIT
# What the library shows is what its public headers declare, exactly: names.sh LIBRARY INCLUDE. A kernel
# may use any other name; what is wanted of the kernel and of the link script is declared there, too.
set -eu
lib=$1 include=$2
command -v gcc >/dev/null || { echo "no gcc, which can list declarations"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Functions are what the compiler lists of these headers; objects are declared with `extern`.
for header in "$include"/pvguest/*.h; do
    echo "#include <pvguest/${header##*/}>"
done >"$dir/all.c"
gcc -ffreestanding -I"$include" -fsyntax-only -aux-info "$dir/aux" "$dir/all.c"
{
    grep 'pvguest/[a-z0-9]*\.h:[0-9]*:NC \*/ extern ' "$dir/aux" |
        sed 's/(\*/*/; s/^[^(]*[ *]\([a-z_][a-z0-9_]*\) (.*/\1/'
    sed -n 's/^extern \(.*\);.*/\1/p' "$include"/pvguest/*.h | tr ',' '\n' |
        sed 's/\[.*//; s/.*[ *]//'
} | sort -u >"$dir/declared"

names() { # archive, letters: symbols of these kinds that are global
    nm "$1" | awk -v kinds="$2" 'NF >= 2 && $(NF - 1) ~ "^[" kinds "]$" { print $NF }' | sort -u
}

# compare ARCHIVE: no name more, no name less. Those that others define are known by name.
compare() {
    names "$1" A-TV-Z >"$dir/defined"
    names "$1" U | comm -23 - "$dir/defined" >"$dir/undefined"
    printf '%s\n' kernel_main pvg_image_end pvg_image_start >"$dir/others"
    comm -23 "$dir/declared" "$dir/others" >"$dir/ours"
    same=0
    comm -3 "$dir/ours" "$dir/defined" | sed 's/^\t/shown, but not declared: /; t
        s/^/declared, but not shown: /' | grep . && same=1
    comm -3 "$dir/others" "$dir/undefined" | sed 's/^\t/wanted of nobody: /; t
        s/^/not wanted: /' | grep . && same=1
    return $same
}

compare "$lib" || exit 1
n=$(wc -l <"$dir/ours")
[ "$n" -ge 70 ] || { echo "only $n names"; exit 1; }
# What compilers call must give way to the kernel's own.
names "$lib" W | tr '\n' ' ' >"$dir/weak"
[ "$(cat "$dir/weak")" = "memcmp memcpy memmove memset strcmp strlen strncmp " ] ||
    { echo "weak are: $(cat "$dir/weak")"; exit 1; }

# The comparison can fail, in each direction.
doctor() { # what must be said, objcopy's words
    said=$1
    shift
    objcopy "$@" "$lib" "$dir/doctored.a"
    if compare "$dir/doctored.a" >"$dir/said" || ! grep -qx "$said" "$dir/said"; then
        echo "not found: $said: $(cat "$dir/said")"
        exit 1
    fi
}
doctor "shown, but not declared: fail" --globalize-symbol=fail
doctor "declared, but not shown: pvg_boot" --localize-symbol=pvg_boot
doctor "wanted of nobody: kernel_start" --redefine-sym kernel_main=kernel_start
echo "$n names"
