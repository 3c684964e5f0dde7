#!/bin/sh
# SPDX-License-Identifier: MIT
# The test guest under pvmm, against what real Xen said: conform.sh PVMM BUILD GUEST CASE.
#
# Cases: conform; chaos SEED; attack; attack-store; fatal FROM TO; map; map-bad. With xen- before it, conform
# and chaos run under the real Xen out of BUILD/xen instead, which must say what is recorded.
set -u
PVMM=$1 BUILD=$2 GUEST=$3 CASE=$4
shift 4
here=$(dirname "$0")
# shellcheck source=tests/conform/lib.sh
. "$here/lib.sh"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2034 # for what is sourced
out=$dir/out err=$dir/err json=$dir/json
# shellcheck source=tests/boot/lib.sh
. "$here/../boot/lib.sh"

audited() {
    [ "$(field audit.taken)" = True ] || flunk "no audit was taken"
    [ "$(field audit.clean)" = True ] || flunk "the audit is not clean"
}

ended_well() {
    [ "$rc" -eq 0 ] || flunk "exit code $rc"
    grep -q '^TEST-END' "$dir/out" || flunk "the guest did not come to its end"
}

# What pvmm is to say: the record, with the differences that docs/compatibility.md explains.
expected() {
    awk '
        FNR == NR && /^< / { from = substr($0, 3) }
        FNR == NR && /^> / { to[from] = substr($0, 3) }
        FNR == NR { next }
        $0 in to { print to[$0]; used[$0] = 1; next }
        { print }
        END {
            for (line in to)
                if (!(line in used)) {
                    print "not in the record: " line
                    exit 1
                }
        }' "$here/differences.txt" "$here/xen-4.17.conform.txt"
}

# What the guest says of a map.
map_says() { # ENTRIES: those of $dir/map, whose lines are as the guest writes them
    few=$(($1 < 128 ? $1 : 128))
    printf 'map none: 0, 0 entries, nothing behind them\n'
    printf 'map one: 0, 1 entries, nothing behind them\n'
    printf 'map 128: 0, %u entries, nothing behind them\n' "$few"
    printf 'map nowhere: -14, 0 entries, nothing behind them\n'
    printf 'map asked at a bad address: -14\n'
    printf 'map all: 0, %u entries, nothing behind them\n' "$1"
    cat "$dir/map"
}

# The guest asks for its memory map, and gets that of $dir/map.
map_is() { # ENTRIES OPTION...
    entries=$1
    shift
    guest_run "$dir" 60 map "$@"
    ended_well
    { echo TEST-BEGIN; map_says "$entries"; echo TEST-END; } > "$dir/expected"
    diff -u "$dir/expected" "$dir/out" || flunk "the guest got another map"
    audited
    echo "$entries entries $*: verbatim"
}

# $1 instead of the word e820=... for the hypervisor, by a QEMU in between.
with_word() {
    cat > "$dir/qemu" <<END
#!/bin/sh
for word; do
    shift
    case \$word in mem=*) word="\${word%% e820=*} $1" ;; esac
    set -- "\$@" "\$word"
done
exec qemu-system-x86_64 "\$@"
END
    chmod +x "$dir/qemu"
}

map_refused() { # WORD REGEX OPTION...
    with_word "$1"
    why=$2
    shift 2
    PVMM_QEMU="$dir/qemu" guest_run "$dir" 60 map "$@"
    [ "$rc" -eq 125 ] || flunk "exit code $rc instead of 125"
    grep -Eq "the hypervisor cannot start this kernel: $why" "$dir/err" || flunk "it does not say: $why"
    head -n 1 "$dir/err"
}

case $CASE in
    xen-*)
        xen=$BUILD/xen/xen-4.17-amd64.gz
        [ -s "$xen" ] || { echo "no $xen: run scripts/fetch-xen.sh $BUILD/xen"; exit 77; }
        set -- "$@" --hypervisor "$xen"
        ;;
esac

# The guest gets a store that nobody keeps: a word more for the hypervisor.
case $CASE in
    attack-store)
        cat > "$dir/qemu" <<'END'
#!/bin/sh
for word; do
    shift
    case $word in mem=*) word="$word store=1" ;; esac
    set -- "$@" "$word"
done
exec qemu-system-x86_64 "$@"
END
        chmod +x "$dir/qemu"
        export PVMM_QEMU="$dir/qemu"
        ;;
esac

case $CASE in
    conform)
        guest_run "$dir" 200 conform "$@"
        ended_well
        expected > "$dir/expected" || flunk "differences.txt does not fit the record"
        diff -u "$dir/expected" "$dir/out" || flunk "the answers differ from the recorded ones"
        audited
        grep '^# [0-9]* requests' "$dir/out"
        ;;
    xen-conform)
        guest_run "$dir" 300 conform "$@"
        ended_well
        diff -u "$here/xen-4.17.conform.txt" "$dir/out" || flunk "Xen's answers differ"
        ;;
    chaos | xen-chaos)
        seed=$1
        shift
        guest_run "$dir" 600 "chaos seed=$seed count=$CHAOS_COUNT" "$@"
        ended_well
        chaos_lines "$dir/out" > "$dir/lines"
        grep "^chaos seed $seed " "$here/xen-4.17.chaos.txt" > "$dir/expected"
        [ -s "$dir/expected" ] || flunk "nothing is recorded for seed $seed"
        diff -u "$dir/expected" "$dir/lines" || flunk "the digests differ"
        [ "$CASE" = xen-chaos ] || audited
        tail -n 1 "$dir/lines"
        ;;
    attack | attack-store)
        guest_run "$dir" 600 attack "$@"
        ended_well
        grep -q '^# alive' "$dir/out" || flunk "the guest did not get through"
        ! grep -q 'an entry appeared' "$dir/out" || flunk "a page table was written to"
        [ "$CASE" = attack ] || grep -q '^ring as a ring: consumer 512' "$dir/out" ||
            flunk "the store's ring was not served"
        audited
        ;;
    fatal)
        # The guest may end in any way of its own; the hypervisor may not.
        for n in $(seq "$1" "$2"); do
            guest_run "$dir" 120 "attack fatal=$n"
            [ "$rc" -le 1 ] || flunk "fatal $n: exit code $rc"
            audited
            echo "fatal $n: $(head -n 1 "$dir/err")"
        done
        ;;
    map)
        echo '0x0+0x4000000 1' > "$dir/map"
        map_is 1
        # What no toolstack makes: out of order, overlapping, empty, beyond the last address, without RAM,
        # of types that nobody knows.
        cat > "$dir/map" <<'END'
0x8000000+0x1000000 1
0x0+0x9f000 2
0x9e000+0x3000 1
0x100000+0x0 1
0xfffffffffffff000+0x2000 3
0xffffffffffffffff+0xffffffffffffffff 4294967295
0x0+0x1 0
END
        map_is 7 --e820 "$dir/map"
        map_is 7 --e820 "$dir/map" -i "$BUILD/initramfs.cpio.gz"
        seq 1 1024 | while read -r i; do printf '0x%x+0x%x %u\n' $((i * 8192)) $((i * 3)) $((i % 7)); done \
            > "$dir/map"
        map_is 1024 --e820 "$dir/map"
        ;;
    map-bad)
        echo '0+64M ram' > "$dir/map"
        map_refused e820=0 "the option e820=0 names no module for a memory map: .* passed 2, and 0 is the kernel" \
            --e820 "$dir/map"
        map_refused e820=2 "the option e820=2 names no module for a memory map" --e820 "$dir/map"
        map_refused e820=18446744073709551615 "the option e820=18446744073709551615 names no module" \
            --e820 "$dir/map"
        map_refused e820=here "the boot loader's command line has a bad option: e820=here" --e820 "$dir/map"
        map_refused e820=1 "the guest's memory map is none: it starts with 0x[0-9a-f]* instead of 0x303238656d6d7670" \
            --e820 "$dir/map" -i "$BUILD/initramfs.cpio.gz"
        ;;
    *)
        echo "no case $CASE"
        exit 2
        ;;
esac
