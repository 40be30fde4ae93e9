#!/usr/bin/env python3
"""Runs tidewatch over the Numenta Anomaly Benchmark (NAB), as any user would run it over a CSV file.

usage: scripts/nab.py NAB_DIR OUT_DIR [--bin target/release/tidewatch] [--score path/to/nab_score.py] [--jobs 2]
                      [--engine random_cut_forest]

NAB_DIR holds data/<group>/<file>.csv with the columns timestamp and value. Every file goes through

    tidewatch detect FILE --function mean --field value --bucket-span <its most common sampling interval> ...

with the same settings for all of them, and each row gets the initial anomaly score of the bucket that holds it,
divided by 100: what was known when the bucket closed, before any later renormalisation; 0 where there is none.
OUT_DIR gets one CSV a file at the same relative path (timestamp, value, anomaly_score), the shape that NAB's scorers
read; --score names one to call at the end as `SCORER NAB_DIR OUT_DIR`.

tidewatch itself knows nothing of this benchmark: it sees neither labels nor windows, has no setting for a file or a
group, and nothing in the product is fitted to this corpus. This script only turns rows into scores. Standard library
only.
"""
import argparse
import bisect
import calendar
import collections
import concurrent.futures
import csv
import json
import os
import subprocess
import sys
import time


def seconds(stamp):
    return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%d %H:%M:%S"))


def sampling_interval(times):
    """The most common positive step between two rows in seconds; the smaller one of equally common ones."""
    steps = collections.Counter(b - a for a, b in zip(times, times[1:]) if b > a)
    if not steps:
        raise ValueError("fewer than two times")
    return min(steps, key=lambda step: (-steps[step], step))


def bucket_scores(binary, path, span, engine):
    """[(first second, last second + 1, score)] of the buckets that the detector reports, in order."""
    command = [
        binary, "detect", path, "--function", "mean", "--field", "value", "--time-field", "timestamp",
        "--time-format", "yyyy-MM-dd HH:mm:ss", "--bucket-span", f"{span}s", "--results", "buckets", "--ndjson",
    ]  # fmt: skip
    if engine:
        command += ["--engine", engine]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    buckets = []
    for line in done.stdout.splitlines():
        bucket = json.loads(line)
        start = bucket["timestamp"] // 1000
        buckets.append((start, start + bucket["bucket_span"], bucket["initial_anomaly_score"]))
    return sorted(buckets)


def score_file(binary, source, target, engine=None):
    """Scores one file; returns its number of rows and of rows in no bucket."""
    with open(source, newline="") as f:
        rows = [(row["timestamp"], row["value"]) for row in csv.DictReader(f)]
    times = [seconds(stamp) for stamp, _ in rows]
    buckets = bucket_scores(binary, source, sampling_interval(times), engine)
    starts = [start for start, _, _ in buckets]
    outside = 0
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["timestamp", "value", "anomaly_score"])
        for (stamp, value), at in zip(rows, times):
            i = bisect.bisect_right(starts, at) - 1
            inside = i >= 0 and at < buckets[i][1]
            outside += not inside
            out.writerow([stamp, value, buckets[i][2] / 100 if inside else 0.0])
    return len(rows), outside


def data_files(nab):
    """The paths of all data files, relative to data/."""
    root = os.path.join(nab, "data")
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            if name.endswith(".csv"):
                yield os.path.relpath(os.path.join(folder, name), root)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nab_dir")
    parser.add_argument("out_dir")
    parser.add_argument("--bin", default="target/release/tidewatch", help="the tidewatch binary")
    parser.add_argument("--score", help="a scorer to call at the end as SCORER NAB_DIR OUT_DIR")
    parser.add_argument("--jobs", type=int, default=2, help="files at a time")
    parser.add_argument("--engine", help="what finds anomalies: random_cut_forest, or the usual engine when not given")
    args = parser.parse_args()

    binary = os.path.abspath(args.bin)
    if not os.access(binary, os.X_OK):
        sys.exit(f"no binary at {binary}: build it, or name it by --bin")
    files = list(data_files(args.nab_dir))
    if not files:
        sys.exit(f"no CSV files below {os.path.join(args.nab_dir, 'data')}")
    failed, rows, began = 0, 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=args.jobs) as pool:
        running = {
            pool.submit(
                score_file, binary, os.path.join(args.nab_dir, "data", path), os.path.join(args.out_dir, path),
                args.engine,
            ): path
            for path in files
        }
        for done in concurrent.futures.as_completed(running):
            try:
                count, outside = done.result()
                rows += count
                if outside:
                    print(f"{running[done]}: {outside} of {count} rows lie in no bucket", file=sys.stderr)
            except (RuntimeError, ValueError, KeyError, OSError) as e:
                failed += 1
                print(f"{running[done]}: {e}", file=sys.stderr)
    print(f"{len(files) - failed} of {len(files)} files, {rows} rows in {time.monotonic() - began:.1f} s", flush=True)
    if failed:
        sys.exit(1)
    if args.score:
        sys.exit(subprocess.run([sys.executable, args.score, args.nab_dir, args.out_dir]).returncode)


if __name__ == "__main__":
    main()
