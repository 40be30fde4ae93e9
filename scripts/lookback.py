#!/usr/bin/env python3
"""How fast a look-back reads the embedded index, through a running job of a real server: documents a second.

    python3 scripts/lookback.py target/release/tidewatch [documents]

Writes documents of one metric and a thousand hosts over thirty days to an index, and has a datafeed read all of them:
once as they are, once by an aggregation. Needs nothing but the binary and Python.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request

BATCH = 10_000
HOSTS = 1_000
SPAN = 30 * 24 * 3_600_000
START = 1_700_000_000_000 // 3_600_000 * 3_600_000


def ask(url, method, path, body=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
    request = urllib.request.Request(url + path, data, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def memory(pid):
    """Resident and peak memory, MiB."""
    with open(f"/proc/{pid}/status") as status:
        found = dict(line.split(":", 1) for line in status)
    return [int(found[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM")]


def write(url, documents):
    mappings = {"properties": {"time": {"type": "date"}, "host": {"type": "keyword"}, "value": {"type": "double"}}}
    ask(url, "PUT", "/hosts", {"mappings": mappings})
    begun = time.monotonic()
    for first in range(0, documents, BATCH):
        lines = []
        for n in range(first, min(first + BATCH, documents)):
            document = {"time": START + n * SPAN // documents, "host": f"host-{n % HOSTS}", "value": n * 7919 % 1000 / 10}
            lines += ['{"index":{}}', json.dumps(document)]
        answer = ask(url, "POST", "/hosts/_bulk", ("\n".join(lines) + "\n").encode())
        assert not answer["errors"], answer
    ask(url, "POST", "/hosts/_refresh")
    return time.monotonic() - begun


def look_back(url, pid, name, job, datafeed, documents):
    config = {"bucket_span": "1h", **job}
    ask(url, "PUT", f"/_ml/anomaly_detectors/{name}", {
        "analysis_config": config,
        "data_description": {"time_field": "time"},
        "analysis_limits": {"model_memory_limit": "512mb"},
        "datafeed_config": {"indices": ["hosts"], **datafeed},
    })
    ask(url, "POST", f"/_ml/anomaly_detectors/{name}/_open")
    begun = time.monotonic()
    ask(url, "POST", f"/_ml/datafeeds/{name}/_start?end={START + SPAN}")
    while True:
        time.sleep(0.05)
        feed = ask(url, "GET", f"/_ml/datafeeds/{name}/_stats")["datafeeds"][0]
        if feed["state"] == "stopped":
            break
    took = time.monotonic() - begun
    counts = ask(url, "GET", f"/_ml/anomaly_detectors/{name}/_stats")["jobs"][0]["data_counts"]
    buckets = ask(url, "GET", f"/_ml/anomaly_detectors/{name}/results/buckets?size=10000")["buckets"]
    events = sum(bucket["event_count"] for bucket in buckets)
    resident, peak = memory(pid)
    print(f"{name}: {documents / took:,.0f} documents/s ({took:.2f} s, {counts['processed_record_count']:,} records, "
          f"{events:,} of {documents:,} documents in final buckets, memory {resident} MiB, at most {peak} MiB)")


def main():
    binary, documents = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000_000
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen([binary, "serve", "--data-dir", directory, "--listen", "127.0.0.1:0"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = next(line for line in server.stdout if "listening on" in line).split("listening on ")[1].split()[0]
            took = write(url, documents)
            print(f"written: {documents / took:,.0f} documents/s, memory {memory(server.pid)[0]} MiB")
            plain = {"detectors": [{"function": "mean", "field_name": "value"}]}
            look_back(url, server.pid, "plain", plain, {}, documents)
            by_host = {"detectors": [{"function": "mean", "field_name": "value", "by_field_name": "host"}]}
            look_back(url, server.pid, "plain-by-host", by_host, {}, documents)
            metrics = {"time": {"max": {"field": "time"}}, "value": {"avg": {"field": "value"}}}
            histogram = {"buckets": {"date_histogram": {"field": "time", "fixed_interval": "1h"}, "aggs": metrics}}
            look_back(url, server.pid, "aggregated", {**plain, "summary_count_field_name": "doc_count"},
                      {"aggregations": histogram}, documents)
        finally:
            server.terminate()
            server.wait()


main()
