#!/bin/sh
# Instructions that one bucket of one warm series takes, and where they go: needs valgrind.
#
# The same work is done for 400 and for 500 buckets under callgrind; the difference is 100 buckets of 200 warm series.
set -eu
cd "$(dirname "$0")/.."
cargo build --release -q -p tidewatch-model --example updates
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
count() {
    valgrind --tool=callgrind --callgrind-out-file="$out/$1" target/release/examples/updates 200 "$1" 300 \
        >"$out/log" 2>&1
    sed -n 's/^summary: *//p; s/^totals: *//p' "$out/$1" | head -1
}
few=$(count 400)
many=$(count 500)
echo "$(((many - few) / (100 * 200))) instructions a bucket update"
callgrind_annotate --threshold=90 "$out/500" | grep -E '^ *[0-9,]+ \(' | head -40
