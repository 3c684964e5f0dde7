#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the installed library out of its objects: pack.sh ARCHIVE DIRECTORY OBJECT... They become one
# object, in which all names but pv_... are local: a program may have functions of the same names.
set -eu
archive=$1 dir=$2
shift 2
mkdir -p "$dir"
ld -r -o "$dir/pvimage.o" "$@"
objcopy --wildcard --keep-global-symbol='pv_*' "$dir/pvimage.o"
rm -f "$archive"
ar rcs "$archive" "$dir/pvimage.o"
