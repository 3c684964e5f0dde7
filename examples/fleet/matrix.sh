#!/bin/sh
# SPDX-License-Identifier: MIT
# Boots every kernel with every size of memory and every command line, as many at a time as there are processors
# (docs/fleet.md). What has passed before is not run again; the exit code is 0 if all have passed.
set -u

kernels= sizes= words= jobs=0 out=fleet
usage() {
    cat <<'END'
Usage: matrix.sh [-j JOBS] [-o DIR] -k KERNEL... -m SIZE... [-a WORDS]... [-- OPTION...]
  -k KERNEL  a kernel to boot; -m SIZE: of its memory; -a WORDS: its command line: each may come again
  -j JOBS    at a time (default: one a processor)
  -o DIR     for what comes of it (default: fleet)
  OPTION...  for each `pvmm run`, for instance --timeout 120 --expect login: -i initrd.img
END
}

line='
'
while getopts k:m:a:j:o:h letter; do
    case $letter in
    k) kernels=$kernels$OPTARG$line ;;
    m) sizes=$sizes$OPTARG$line ;;
    a) words=$words$OPTARG$line ;;
    j) jobs=$OPTARG ;;
    o) out=$OPTARG ;;
    h) usage && exit ;;
    *) usage >&2 && exit 129 ;;
    esac
done
shift $((OPTIND - 1))
if [ -z "$kernels" ] || [ -z "$sizes" ]; then
    usage >&2
    exit 129
fi
here=$(cd "$(dirname "$0")" && pwd)
export PVMM="${PVMM:-pvmm}" FLEET_OUT="$out"
mkdir -p "$out" || exit 128
tab=$(printf '\t')
printf '%s' "$kernels" | while IFS= read -r k; do
    printf '%s' "$sizes" | while IFS= read -r m; do
        printf '%s' "${words:-$line}" | while IFS= read -r a; do
            printf '%s\n' "$k$tab$m$tab$a"
        done
    done
done >"$out/jobs.tsv"

# --resume-failed runs what failed, and what has not run, again; it goes by the number in the list.
{ cat "$out/jobs.tsv" && echo "$*"; } >"$out/asked"
cmp -s "$out/asked" "$out/asked.before" || rm -f "$out/joblog" "$out"/job-*.xml
mv "$out/asked" "$out/asked.before"
if [ "$jobs" = 0 ]; then
    jobs=$(nproc)
fi
# Not SIGTERM alone: a pvmm that gets one has 10 s to end its machine and to write its file.
parallel --will-cite --quote --jobs "$jobs" --joblog "$out/joblog" --resume-failed --colsep '\t' \
    --termseq TERM,10000,KILL,25 --arg-file "$out/jobs.tsv" "$here/job.sh" '{#}' '{1}' '{2}' '{3}' "$@"
python3 "$here/junit-merge.py" --jobs "$out/jobs.tsv" --into "$out/junit.xml" "$out"
