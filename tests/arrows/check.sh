#!/bin/sh
# SPDX-License-Identifier: MIT
# Arrows point down only: every quoted include of a folder must resolve inside the folders that its
# DEPENDS file names, and freestanding folders may include only the compiler's own <headers>.
# Usage: check.sh SOURCE-ROOT
set -eu
cd "$1"
bad=0

allowed() { # folder name -> 0 if DEPENDS lists it
    grep -v '^#' "$1/DEPENDS" | grep -qx "$2"
}

resolve() { # folder header -> folder that holds it, empty if none of ours
    for dir in "$1" "$1/glue" core builder hypervisor hypervisor/glue store image image/glue image/symbols image/formats image/p2m image/check image/convert image/diff lint report cli guest guest/port kernel tests/guest; do
        [ -e "$dir/$2" ] || continue
        case $dir in
        */glue | */port | */symbols | */formats | */p2m | */check | */convert | */diff) echo "${dir%/*}" ;; # a part of the folder above
        *) echo "$dir" ;;
        esac
        return
    done
}

check_quoted() { # folder file header
    base=$(basename "$3")
    if [ "$1" = core ] && [ "$base" = glue.h ]; then
        return # the seam itself: core/glue.md
    fi
    case $3 in
    *asm_offsets.h) return ;; # generated from the folder's own headers
    esac
    owner=$(resolve "$1" "$base")
    if [ -z "$owner" ] || ! allowed "$1" "$owner"; then
        echo "$2: includes \"$3\" (of ${owner:-nobody}); $1/DEPENDS does not allow it"
        bad=1
    fi
}

check_angled() { # folder file header
    case $1:$3 in
    *:pvmm/*) allowed "$1" abi || [ "$1" = abi ] && return ;;
    abi:stdint.h | abi:stddef.h) return ;;
    core:stdint.h | core:stddef.h | core:stdbool.h) return ;;
    builder:stdint.h | builder:stddef.h | builder:stdbool.h) return ;;
    builder:xen/*) allowed "$1" xen && return ;;
    hypervisor:stdint.h | hypervisor:stddef.h | hypervisor:stdbool.h | hypervisor:stdarg.h) return ;;
    hypervisor:xen/*) return ;;
    include:pvguest/* | guest:pvguest/* | kernel:pvguest/* | tests/guest:pvguest/*)
        allowed "$1" include && return
        ;;
    include:xen/* | guest:xen/* | kernel:xen/* | tests/guest:xen/*) allowed "$1" xen && return ;;
    include:stdint.h | include:stddef.h | include:stdbool.h | include:stdarg.h) return ;;
    guest:stdint.h | guest:stddef.h | guest:stdbool.h | guest:stdarg.h) return ;;
    kernel:stdint.h | kernel:stddef.h | kernel:stdbool.h | kernel:stdarg.h) return ;;
    store:xen/io/xs_wire.h | store:errno.h | store:std*.h | store:string.h) return ;;
    image:xen/* | lint:xen/* | report:xen/*) allowed "$1" xen && return ;;
    image:pvguest/* | lint:pvguest/*) ;;
    image:* | lint:* | report:* | cli:* | bench:*) return ;;
    esac
    echo "$2: includes <$3>, which $1/DEPENDS does not allow"
    bad=1
}

for folder in abi core builder hypervisor store image lint report cli bench include guest kernel tests/guest; do
    [ -e "$folder/DEPENDS" ] || { echo "$folder/DEPENDS is missing"; bad=1; continue; }
    for file in $(find "$folder" -name '*.[chS]' | sort); do
        for header in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
            check_quoted "$folder" "$file" "$header"
        done
        for header in $(sed -n 's/^ *# *include *<\([^>]*\)>.*/\1/p' "$file"); do
            check_angled "$folder" "$file" "$header"
        done
    done
done
[ "$bad" -eq 0 ] && echo "arrows: every include points down"
exit "$bad"
