#!/bin/sh
# SPDX-License-Identifier: MIT
# A stranger's way: libpvimage is installed, the tree moved elsewhere, and a program built outside of it
# with nothing but what pkg-config says; then it reads a dump. consumer.sh BUILD SOURCE MESON MADE-DUMP
set -eu
BUILD=$1 SOURCE=$2 MESON=$3 MADE=$(realpath "$4")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

flunk() {
    echo "FAILED: $*"
    exit 1
}

"$MESON" install -C "$BUILD" --no-rebuild --quiet --tags devel --destdir "$dir/stage"
found=$(find "$dir/stage" -name pvimage.pc)
[ -n "$found" ] || flunk "no pvimage.pc was installed"
prefix=$(realpath -m "$(PKG_CONFIG_PATH=$(dirname "$found") pkg-config --variable=prefix pvimage)")
case $prefix in
    "$(realpath "$dir")"/stage | "$(realpath "$dir")"/stage/*) ;;
    *) flunk "the prefix does not follow the tree: $prefix" ;;
esac
mv "$prefix" "$dir/elsewhere"
rm -rf "$dir/stage"
PKG_CONFIG_PATH=$(dirname "$(find "$dir/elsewhere" -name pvimage.pc)")
export PKG_CONFIG_PATH
cflags=$(pkg-config --cflags pvimage)
libs=$(pkg-config --libs pvimage)
case "$cflags $libs" in
    *"$BUILD"* | *"$SOURCE"*) flunk "the flags lead back: $cflags $libs" ;;
esac
nm -g --defined-only "$(find "$dir/elsewhere" -name libpvimage.a)" |
    awk 'NF == 3 && $3 !~ /^pv_/ { print }' | grep . && flunk "it shows names that are not pv_..."

mkdir "$dir/work"
cp "$SOURCE/docs/examples/look.c" "$dir/work"
cd "$dir/work"
"$MADE" guest.core
cat >names.c <<'C'
/* Names that the library has, too, within itself. */
#include <pvimage/check.h>
#include <pvimage/image.h>
#include <pvimage/p2m.h>
#include <pvimage/symbols.h>
#include <pvimage/transfer.h>

#include <stdio.h>

int core_init(void);
int core_init(void)
{
    return 3;
}

int main(void)
{
    struct pv_symbols *s = pv_symbols_new();
    uint64_t va;
    printf("%d %d\n", core_init(), pv_symbol_find(s, "none", &va));
    pv_symbols_free(s);
    return 0;
}
C
compilers=
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || { echo "no $compiler: left out"; continue; }
    compilers="$compilers $compiler"
    for program in look names; do
        # shellcheck disable=SC2086
        "$compiler" $cflags -O2 -Wall -Wextra -Werror $program.c -o $program $libs ||
            flunk "$compiler $program.c"
    done
    ./names >out
    [ "$(cat out)" = "3 0" ] || flunk "names: $(cat out)"
    ./look guest.core 0xffffffff80003fa0 >out || flunk "look ends with $?"
    cat out
    grep -Eq "^xl dump-core, [0-9]+ pages, 1 vCPUs$" out || flunk "it says nothing of the image"
    grep -q "^pfn 3: a kernel's banner, long enough" out || flunk "it does not read the banner"
    grep -Eq "^  at ffffffff80003000 of root [0-9a-f]+, writable$" out || flunk "it finds no mapping"
    ./look guest.core 0x1000 | grep -q '^not mapped' || flunk "it maps what is not mapped"
    ./look look.c 0 2>err && flunk "it opens what is no image"
    grep -q '^look: look.c: ' err || flunk "no reason: $(cat err)"
    # Every header by itself.
    for header in "$dir/elsewhere"/include/pvimage/*.h; do
        echo "#include <pvimage/$(basename "$header")>" >one.c
        for standard in gnu17 c17 c11; do
            # shellcheck disable=SC2086
            "$compiler" $cflags -std=$standard -Wall -Wextra -Werror -Wpedantic -c one.c -o one.o ||
                flunk "$compiler -std=$standard: $(cat one.c)"
        done
    done
done
[ -n "$compilers" ] || flunk "no compiler"
echo "consumer: all well with$compilers"
