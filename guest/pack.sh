#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the library out of its objects: pack.sh ARCHIVE DIRECTORY OBJECT... All but the notes become one
# object, whose hidden symbols are local.
set -eu
archive=$1 dir=$2
shift 2
notes=
for object; do
    shift
    case $object in
        *notes.S.o) notes=$object ;;
        *) set -- "$@" "$object" ;;
    esac
done
mkdir -p "$dir"
ld -r -o "$dir/pvguest.o" "$@"
objcopy --localize-hidden "$dir/pvguest.o"
cp "$notes" "$dir/notes.o"
rm -f "$archive"
ar rcs "$archive" "$dir/pvguest.o" "$dir/notes.o"
