# SPDX-License-Identifier: MIT
# What tests of boots share. $dir is their temporary directory, with the hypervisor's log in $dir/log; $out
# the guest's console, $err the verdict, $json the same for programs, $PATIENCE in seconds.

flunk() {
    echo "FAILED: $*"
    echo "--- console"
    tail -n 60 "$out"
    echo "--- verdict"
    cat "$err"
    echo "--- log of the hypervisor"
    tail -n 40 "$dir/log" 2>/dev/null
    exit 1
}

# field NAME: a value of the JSON verdict, as Python prints it; a dotted name goes down.
field() {
    python3 -c '
import functools, json, sys
verdict = json.load(open(sys.argv[1]))
print(functools.reduce(lambda o, k: o.get(k) if o else None, sys.argv[2].split("."), verdict))
' "$json" "$1"
}

# await REGEX: until the console shows it, for whoever types.
await() {
    tries=$((PATIENCE * 5))
    until grep -Eq -- "$1" "$out" 2>/dev/null || [ "$tries" -eq 0 ]; do
        sleep 0.2
        tries=$((tries - 1))
    done
}
