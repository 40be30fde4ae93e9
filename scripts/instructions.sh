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
# What is inlined is counted by file: the lines of a function are added up.
callgrind_annotate --auto=no --threshold=98 "$out/500" | sed -n 's/^ *\([0-9,]*\) (.*%)  [^:]*:\([^[]*\).*$/\1 \2/p' |
    awk '{ n = $1; gsub(",", "", n); $1 = ""; sum[$0] += n; all += n }
         END { for (f in sum) printf "%5.1f %% %s\n", 100 * sum[f] / all, f }' | sort -rn | head -20
