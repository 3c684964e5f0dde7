#!/bin/sh
# SPDX-License-Identifier: MIT
# A stranger's way: libpvguest is installed, the tree moved elsewhere, and kernels are built outside of it
# with nothing but what pkg-config says; then they boot. consumer.sh PVMM BUILD SOURCE MESON WHERE, where
# WHERE is pvmm, or xen for the real Xen out of BUILD/xen.
set -eu
PVMM=$(realpath "$1") BUILD=$2 SOURCE=$3 MESON=$4 WHERE=$5
PATIENCE=${PVMM_TEST_PATIENCE:-240}
XEN=$BUILD/xen/xen-4.17-amd64.gz
here=$(cd "$(dirname "$0")" && pwd)

if [ "$WHERE" = xen ] && [ ! -s "$XEN" ]; then
    echo "no $XEN: run scripts/fetch-xen.sh $BUILD/xen"
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

flunk() {
    echo "FAILED: $*"
    exit 1
}

# ---- installed, then moved: nothing may know where it was
"$MESON" install -C "$BUILD" --no-rebuild --quiet --tags devel --destdir "$dir/stage"
found=$(find "$dir/stage" -name pvguest.pc)
[ -n "$found" ] || flunk "no pvguest.pc was installed"
prefix=$(PKG_CONFIG_PATH=$(dirname "$found") pkg-config --variable=prefix pvguest)
prefix=$(realpath -m "$prefix")
case $prefix in
    "$(realpath "$dir")"/stage | "$(realpath "$dir")"/stage/*) ;;
    *) flunk "the prefix does not follow the tree: $prefix" ;;
esac
[ -s "$prefix/include/pvguest/pvguest.h" ] || flunk "the prefix is said to be $prefix"
(cd "$SOURCE/include/pvguest" && ls) >"$dir/wanted"
(cd "$prefix/include/pvguest" && ls) | cmp - "$dir/wanted" || flunk "not every public header is installed"
mv "$prefix" "$dir/elsewhere"
rm -rf "$dir/stage"
PKG_CONFIG_LIBDIR=$(dirname "$(find "$dir/elsewhere" -name pvguest.pc)")
export PKG_CONFIG_LIBDIR
cflags=$(pkg-config --cflags pvguest)
libs=$(pkg-config --libs pvguest)
case "$cflags $libs" in
    *"$BUILD"* | *"$SOURCE"*) flunk "the flags lead back: $cflags $libs" ;;
esac

# build COMPILER KERNEL OPTION SOURCE...: flags are to be split into words.
build() {
    compiler=$1 kernel=$2 option=$3
    shift 3
    # shellcheck disable=SC2086
    "$compiler" $cflags $option -Wall -Wextra -Werror "$@" -o "$kernel" $libs ||
        flunk "$compiler $option $*"
}

# boot KERNEL LINE...: reboots, having said each of these lines (regular expressions).
boot() {
    kernel=$1
    shift
    rc=0
    set -f
    # shellcheck disable=SC2046
    timeout $((PATIENCE + 30)) "$PVMM" run --no-core --accel tcg --timeout "$PATIENCE" -m 64M \
        --log "$dir/log" $([ "$WHERE" = pvmm ] || echo --hypervisor "$XEN") \
        "$kernel" </dev/null >"$dir/raw" 2>"$dir/err" || rc=$?
    set +f
    tr -d '\r' <"$dir/raw" | grep -av '^(XEN)' >"$dir/out" || true
    cat "$dir/out"
    for line; do
        grep -aEq -- "^$line\$" "$dir/out" || { cat "$dir/err"; flunk "$kernel does not say $line"; }
    done
    if [ "$rc" -ne 0 ] || ! grep -q '^pvmm: clean: the guest rebooted' "$dir/err"; then
        cat "$dir/err"
        flunk "$kernel ended with $rc"
    fi
}

# ---- the example, as it is explained
mkdir "$dir/work"
cp "$SOURCE/docs/examples/hello.c" "$here/consumer/names.c" "$here/consumer/notes.c" "$dir/work"
cd "$dir/work"
compilers=
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || { echo "no $compiler: left out"; continue; }
    compilers="$compilers $compiler"
    build "$compiler" "hello-$compiler" "" hello.c
    build "$compiler" "hello-$compiler-O2" -O2 hello.c
    for kernel in "hello-$compiler" "hello-$compiler-O2"; do
        entry=$(readelf -hW "$kernel" | awk '/Entry point/ { print $NF }')
        nm "$kernel" | grep -qi "^0*${entry#0x} T pvg_entry$" || flunk "$kernel begins at $entry"
        nm -u "$kernel" | grep . && flunk "$kernel has symbols that nobody defines"
        boot "$kernel" 'hello: 3 of 3 pages at 100000000000 hold what was written' \
            'hello: 16384 pages given, .*' 'hello: p2m up to pfn .*'
    done
done
[ -n "$compilers" ] || flunk "no compiler"

# ---- a kernel with names and notes of its own
for compiler in $compilers; do
    build "$compiler" "own-$compiler" -O2 names.c notes.c
    readelf -nW "own-$compiler" >"$dir/notes"
    [ "$(grep -c '^  Xen ' "$dir/notes")" -eq 9 ] || { cat "$dir/notes"; flunk "its notes are not its own"; }
    boot "own-$compiler" 'consumer: fail 2 publish 1 m2p 4 step 5 mine' \
        'consumer: mapping 1 pages at 1: no whole pages of the address space'
done

# ---- every header by itself, in C11 and C17, with and without GNU's additions
for header in "$dir/elsewhere"/include/pvguest/*.h; do
    echo "#include <pvguest/$(basename "$header")>" >"$dir/work/one.c"
    for compiler in $compilers; do
        for standard in gnu17 c17 c11; do
            # shellcheck disable=SC2086
            "$compiler" $cflags -std=$standard -Wall -Wextra -Werror -Wpedantic -c one.c -o one.o ||
                flunk "$compiler -std=$standard: $(cat one.c)"
        done
    done
done
echo "consumer: all well with$compilers"
