# SPDX-License-Identifier: MIT
# Are all tests of a plan there, once and in order, none failed, and does the last line agree? Says what
# is wrong, and ends with 1 then. With -v failing=NAME that test, and it alone, must have failed.
/^TAP version 13$/ { versions++ }
/^1\.\.[0-9]+$/ { plans++; planned = substr($0, 4) + 0 }
/^not ok / && failing != "" && $5 == failing { failed++ }
/^error:/ || /^Bail out!/ || (/^not ok/ && (failing == "" || $5 != failing)) {
    print "bad line: " $0
    bad = 1
}
/^ok / && $2 != ++count { print "out of order: " $0; bad = 1 }
/^not ok / && $3 != ++count { print "out of order: " $0; bad = 1 }
/^ok .* # SKIP/ { skipped++ }
/^PVKERNEL-DONE / { done++; last = $0 }
END {
    wanted = sprintf("PVKERNEL-DONE passed=%d failed=%d skipped=%d", count - skipped - failed,
        failed, skipped)
    if (versions != 1 || plans != 1 || done != 1 || planned < 1 || count != planned) {
        printf "%d versions, %d plans of %d tests, %d results, %d ends\n", versions, plans,
            planned, count, done
        bad = 1
    }
    if (failing != "" && failed != 1) {
        printf "%s failed %d times, not once\n", failing, failed
        bad = 1
    }
    if (last != wanted) {
        print "\"" last "\" instead of \"" wanted "\""
        bad = 1
    }
    exit bad
}
