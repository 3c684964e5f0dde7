#!/bin/sh
# SPDX-License-Identifier: MIT
# playwright-core, which drives Debian's chromium in tests, from npm's registry and never installed:
# fetch-playwright.sh DIRECTORY leaves the package there. This version runs with Debian 12's Node.js.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

version=1.56.1
sha512=86eb6b6b29f29f7d45f8189f99ef8fb3d56ae7d84ab940b3ec7d640ce701b3eda81a0b8a9164d4e746c15abb73df83945a6230a414d60f16913d7ac85e482f99
url=https://registry.npmjs.org/playwright-core/-/playwright-core-$version.tgz
directory=${1:?usage: fetch-playwright.sh DIRECTORY}

[ ! -s "$directory/package.json" ] || exit 0
mkdir -p "$(dirname "$directory")"
tmp=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
python3 - "$url" "$tmp/package.tgz" <<'EOF' || die "cannot download $url (is there a network?)"
import sys, time, urllib.request
for attempt in range(5):
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], "wb") as out:
            out.write(answer.read())
        sys.exit(0)
    except OSError as e:
        print("fetch-playwright.sh: %s" % e, file=sys.stderr)
        time.sleep(2 << attempt)
sys.exit(1)
EOF
echo "$sha512  $tmp/package.tgz" | sha512sum --check --status || die "what came from $url is not what was asked for"
tar -C "$tmp" -xzf "$tmp/package.tgz"
rm -rf "$directory"
mv "$tmp/package" "$directory"
echo "fetch-playwright.sh: $directory, playwright-core $version"
