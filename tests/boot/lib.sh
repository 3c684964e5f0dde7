# SPDX-License-Identifier: MIT
# What tests of boots share. $dir is their temporary directory, with the hypervisor's log in $dir/log; $out
# the guest's console, $err the verdict, $PATIENCE in seconds.

flunk() {
    echo "FAILED: $*"
    echo "--- console"
    tail -n 60 "$out"
    echo "--- verdict"
    cat "$err"
    echo "--- log of the hypervisor"
    tail -n 40 "$dir/log"
    exit 1
}

# await REGEX: until the console shows it, for whoever types.
await() {
    tries=$((PATIENCE * 5))
    until grep -Eq -- "$1" "$out" 2>/dev/null || [ "$tries" -eq 0 ]; do
        sleep 0.2
        tries=$((tries - 1))
    done
}
