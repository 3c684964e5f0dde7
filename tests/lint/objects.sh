#!/bin/sh
# SPDX-License-Identifier: MIT
# `pvmm lint` on what compilers, assemblers, archivers and linkers really write.
# objects.sh PVMM CC
set -u
PVMM=$(readlink -f "$1")
shift
CC="$*"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
cd "$dir" || exit 1
failures=0

flunk() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# lint NAME CODE ARGUMENT...: the exit code; what is said is in ./out.
lint() {
    name=$1 code=$2
    shift 2
    rc=0
    timeout 60 "$PVMM" lint "$@" >out 2>err </dev/null || rc=$?
    echo "$name: $rc"
    [ "$rc" -eq "$code" ] || { flunk "$name: exit code $rc instead of $code"; cat out err; }
}

says() {
    grep -Eq -- "$1" out || { flunk "$name: nothing says $1"; cat out; }
}

silent() {
    [ -s out ] && { flunk "$name: is not silent"; cat out; }
    [ -s err ] && { flunk "$name: is not silent"; cat err; }
}

cat >good.c <<'END'
#define PAGES __attribute__((section(".bss..page_aligned"), aligned(4096)))
#define PAGES_OF_DATA __attribute__((section(".data..page_aligned"), aligned(4096)))
unsigned long l4[512] PAGES;
static unsigned long l3[1024] PAGES;
struct page { char bytes[4096]; } page PAGES_OF_DATA = {{1}};
extern unsigned long first[512] __attribute__((alias("l4")));
int page_aligned;
static int f(void) { static int page_aligned; return ++page_aligned; }
unsigned long *use(void) { return l3 + f(); }
int main(void) { return 0; }
END
cat >bad.c <<'END'
unsigned long counter __attribute__((section(".bss..page_aligned")));
END
cat >tables.s <<'END'
    .section .bss..page_aligned, "aw", @nobits
    .globl l2_table
    .type l2_table, @object
l2_table: .skip 4096
    .size l2_table, 4096
l1_pgt: .skip 4096
    .section .note.GNU-stack, "", @progbits
END
sed 's/l2_table: /    .balign 4096\n&/' tables.s >aligned.s
$CC -O2 -fno-lto -c good.c -o good.o && $CC -O2 -fno-lto -fdata-sections -fno-common -c good.c -o sections.o &&
    $CC -O2 -fno-lto -c bad.c -o bad.o && $CC -c tables.s -o tables.o && $CC -c aligned.s -o aligned.o ||
    exit 1

lint "a good object" 0 good.o
says "^good.o: ELF object: 3 symbols in 2 sections are whole pages"
lint "good objects" 0 good.o sections.o aligned.o
[ "$(cat out)" = "3 files are clean: 8 symbols in 5 sections are whole pages" ] || { flunk "$name"; cat out; }
lint "a good one and a bad one" 1 good.o bad.o
says "^bad.o: ELF object$"
says "^1 file is clean: 3 symbols in 2 sections are whole pages$"
grep -q "^good.o" out && flunk "a clean file of two is listed"
lint "good objects, quiet" 0 --quiet good.o sections.o aligned.o
silent
as --32 tables.s -o tables32.o
lint "32-bit" 1 tables32.o
says "ELF object, 32-bit"

lint "a short variable" 1 --quiet bad.o good.o
says "symbol-size: counter is 8 bytes long"
grep -q "^good.o" out && flunk "a clean file is named"
cat >known.c <<'END'
unsigned long known __attribute__((section(".bss..page_aligned"), aligned(4096)));
END
$CC -O2 -fno-lto -c known.c -o known.o || exit 1
lint "one that is known" 0 --except known known.o
says "page-aligned  yes +1 symbol in 1 section is whole pages, but for 1 excepted"
says "symbol-size \(note\): known is 8 bytes"
lint "one that is known, of many" 0 --except known known.o good.o
says "symbol-size \(note\): known is 8 bytes"
says "^1 file is clean: 3 symbols in"
lint "and not another" 1 -q --except known --except nothing known.o bad.o
says "^bad.o"
grep -q "^known" out && flunk "what is known is not left out"
lint "no name" 129 --except "" known.o
lint "tables without an alignment" 1 tables.o
says "section-alignment: .bss..page_aligned is aligned to 1"
lint "a section that is not there" 0 -q --section .mine good.o
lint "another section" 1 -q --section .bss good.o
says "page_aligned"

# Archives, one in another, and one that has no bytes of its own.
ar rc in.a bad.o && ar rc out.a good.o in.a aligned.o && ar rcT thin.a good.o
lint "an archive" 1 out.a
says "out.a: archive of 3 objects"
says "of in.a\(bad.o\)"
ar rc clean.a good.o aligned.o && ar rc noted.a good.o good.c
lint "a clean archive" 0 clean.a
says "clean.a: archive of 2 objects: "
lint "a clean archive with a text" 0 noted.a
says "no-object \(note\): 1 member is no object"
lint "not listed of two" 0 noted.a clean.a
says "^2 files are clean"

# Thin archives: members are found from where the archive is, as a kernel's build names them.
lint "a thin archive" 0 thin.a
says "thin.a: archive of 1 object: "
mkdir -p sub/deep elsewhere && cp good.o sub/deep/a_name_that_is_longer_than_fits.o && cp bad.o sub/bad.o &&
    (cd sub && ar cDPrST built-in.a deep/a_name_that_is_longer_than_fits.o bad.o) &&
    ar cDPrST vmlinux.a sub/built-in.a good.o || exit 1
lint "one in a directory" 1 sub/built-in.a
says "sub/built-in.a: archive of 2 objects"
says "of bad.o$"
lint "one of all" 1 vmlinux.a
says "vmlinux.a: archive of 3 objects"
says "of sub/bad.o$"
(cd elsewhere && timeout 60 "$PVMM" lint -q ../vmlinux.a >../out)
says "of sub/bad.o$"
ar rcT -P "$PWD/absolute.a" "$PWD/sub/bad.o" && mv absolute.a elsewhere
lint "named from the root" 1 -q elsewhere/absolute.a
says "of /.*/sub/bad.o$"
rm sub/bad.o
lint "a member that is gone" 2 vmlinux.a bad.o
says "symbol-size: counter"
grep -q "^pvmm lint: vmlinux.a: sub/bad.o: a file of its own, sub/bad.o: cannot open it: No such" err ||
    { flunk "$name: does not say where it was looked for"; cat err; }
ln vmlinux.a sub/bad.o
lint "one that names itself" 2 vmlinux.a
grep -q "sub/bad.o: a thin archive" err || { flunk "$name"; cat err; }
ar rcT nested.a clean.a
lint "a member of a member" 2 nested.a
grep -q "members of another archive.* itself: clean.a$" err || { flunk "$name"; cat err; }

# Linked again, and compressed.
ld -r bad.o tables.o -o both.o
lint "ld -r" 1 both.o
says "shifts  2 symbols: l2_table, l1_pgt"
gzip -k both.o
lint "compressed" 1 both.o.gz
says "both.o.gz: gzip, ELF object"

# Images: a map decides, and is this image's own.
$CC -fno-lto -no-pie -Wl,-Map=bad.map good.o bad.o tables.o -o bad
lint "an image without a map" 1 --sections-only bad
says "not decidable|no  "
says "table-address: l2_table"
lint "an image" 1 --sections-only --map bad.map bad
says "symbol-size: counter is 8 bytes long"
says "of bad.o"
says "shifts  .*l2_table"
$CC -fno-lto -no-pie -Wl,-Map=good.map good.o aligned.o -o good
lint "a good image" 0 --sections-only --map good.map good
says "whole pages"
lint "a good image without a map" 0 --sections-only good
says "not decidable"
lint "another image's map" 2 --sections-only --map bad.map good
lint "no map" 2 --map good.c good
lint "a map and an object" 2 --map good.map good.o
grep -q "good.o: a map is of a linked image" err || { flunk "$name"; cat err; }
lint "no such map" 2 --map nowhere good
if command -v ld.lld >/dev/null; then
    $CC -fno-lto -no-pie -fuse-ld=lld -Wl,-Map=lld.map good.o bad.o tables.o -o lld
    lint "lld's map" 1 --sections-only --map lld.map lld
    says "symbol-size: counter is 8 bytes long"
    says "of bad.o"
fi

# The command line.
lint "no file" 129
lint "a map of two" 129 --map good.map good bad
lint "no size" 129 -m much good.o
lint "no section" 129 --section "" good.o
lint "no initrd" 2 -i nowhere good.o
lint "not an ELF file" 2 good.c
lint "nothing there" 2 nowhere
lint "others are looked at" 2 nowhere bad.o
says "counter"
lint "help" 0 --help

# Names that a terminal would act on, and such as are no UTF-8: neither in text nor in JSON.
escape=$(printf 'new\nline\033[31m')
latin=$(printf 'caf\351.o')
utf8=$(printf 'caf\303\251\302\233.o')
cp bad.o "$escape" && cp bad.o "$latin" && cp bad.o "$utf8" || exit 1
lint "names of files" 2 "$escape" "$latin" "$utf8" "nowhere$escape"
grep -q "^new?line?\[31m: ELF object$" out && grep -q "^caf?.o: ELF" out &&
    grep -q "^$(printf 'caf\303\251?').o: ELF" out && grep -q "^pvmm lint: nowherenew?line?\[31m: cannot" err ||
    { flunk "$name"; cat -v out err; }
lint "names of files in JSON" 2 --json - "$escape" "$latin" "$utf8" "nowhere$latin"
python3 - out <<'END' || flunk "the JSON is no JSON"
import json, sys
names = [f["file"] for f in json.load(open(sys.argv[1], encoding="utf-8"))["files"]]
assert names == ["new\nline\033[31m", "caf\ufffd.o", "caf\u00e9\u009b.o", "nowherecaf\ufffd.o"], names
END

# JSON: the same, in fields.
lint "JSON" 2 --json - bad.o nowhere good.o
python3 - out <<'END' || flunk "the JSON is not what it should be"
import json, sys
all = json.load(open(sys.argv[1]))
assert all["format"] == 1, all
bad, nowhere, good = all["files"]
assert bad["file"] == "bad.o" and bad["kind"] == "ELF object" and bad["error"] is None
first = bad["findings"][0]
assert (first["code"], first["symbol"], first["size"], first["address"]) == ("symbol-size", "counter", "0x8", "0x0")
assert (first["section"], first["weight"], first["shifted"]) == (".bss..page_aligned", "finding", 0)
assert nowhere["error"] and "findings" not in nowhere
assert good["findings"] == [] and good["questions"][0] == {
    "question": "page-aligned", "answer": "yes", "why": good["questions"][0]["why"]}, good
END
lint "JSON in a file" 1 --json json bad.o
says "symbol-size"
grep -q '"symbol": "counter"' json || flunk "the JSON is not in its file"

[ "$failures" -eq 0 ]
