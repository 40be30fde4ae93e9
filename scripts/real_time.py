#!/usr/bin/env python3
"""Real-time datafeeds beside a writer whose documents come late: within the query delay, and beyond it.

usage: scripts/real_time.py [--bin target/release/tidewatch] [--seconds 120] [--kills 0] [--seed 1]

A minute of the past is there before; then documents of each moment are written with random delays up to the query delay,
and every eleven seconds some far beyond it. Of one job's buckets each must have counted what came in time, and its
annotations must tell how many came too late. Another job counts them in (`reprocess_late_data`): its results must be those
of a job that reads all of it afterwards. With kills, the server is killed at random moments. Needs nothing but the binary
and Python.
"""

import argparse
import collections
import http.client
import heapq
import json
import pathlib
import random
import re
import socket
import subprocess
import tempfile
import threading
import time

DELAY = 4
LATE = 7
ANALYSIS = {
    "bucket_span": "1s",
    "detectors": [{"function": "mean", "field_name": "value", "partition_field_name": "host"}, {"function": "count"}],
}


class Server:
    def __init__(self, binary, directory):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", directory]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        next(line for line in self.process.stdout if "listening on" in line)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, method, path, body=None):
        """Asks again while the server is down."""
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request(method, path, data, {"Content-Type": kind})
                answer = connection.getresponse()
                told = json.load(answer)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.1)
                continue
            assert answer.status < 300 or answer.status == 409, f"{method} {path}: {told}"
            return told

    def results(self, job, kind):
        page = {"page": {"size": 10_000}, "exclude_interim": True, "sort": "timestamp"}
        return self.ask("POST", f"/_ml/anomaly_detectors/{job}/results/{kind}", page)[kind]


class Writer(threading.Thread):
    """Writes a document of every few milliseconds, each with its delay. An id makes a repeated write the same one."""

    def __init__(self, server, rng, seconds):
        super().__init__()
        self.server, self.rng = server, rng
        self.begun = time.time()
        self.end = self.begun + seconds
        self.in_time, self.late = collections.Counter(), collections.Counter()
        self.number = 0

    def document(self, moment):
        self.number += 1
        return self.number, {"time": int(moment * 1000), "host": f"h{self.rng.randrange(3)}", "value": self.rng.random()}

    def send(self, documents, counter):
        lines = [json.dumps(part) for n, document in documents for part in ({"index": {"_id": str(n)}}, document)]
        assert not self.server.ask("POST", "/docs/_bulk", ("\n".join(lines) + "\n").encode())["errors"]
        for _, document in documents:
            counter[document["time"] // 1000 * 1000] += 1

    def run(self):
        past = [self.document(self.begun - self.rng.random() * 60) for _ in range(3_000)]
        self.send(past, self.in_time)
        self.server.ask("POST", "/docs/_refresh")
        pending, moment, next_late = [], self.begun, self.begun + 11
        while time.time() < self.end or pending:
            now = time.time()
            while moment < min(now, self.end):
                delay = self.rng.choice([0, self.rng.random() * (DELAY - 2)])
                heapq.heappush(pending, (moment + delay, *self.document(moment)))
                moment += self.rng.random() * 0.02
            due = []
            while pending and pending[0][0] <= now:
                due.append(heapq.heappop(pending)[1:])
            if due:
                self.send(due, self.in_time)
            if next_late < now < self.end:
                next_late += 11
                self.send([self.document(now - DELAY - 4 - self.rng.random() * 3) for _ in range(LATE)], self.late)
            time.sleep(0.05)


def bare(results):
    """Without names and running times."""
    text = json.dumps(results)
    return re.sub(r'"job_id": "[a-z-]+", |"processing_time_ms": \d+, ', "", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/tidewatch")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    wrong = []
    with tempfile.TemporaryDirectory() as directory:
        server = Server(args.bin, str(pathlib.Path(directory) / "data"))
        try:
            properties = {"time": {"type": "date"}, "host": {"type": "keyword"}, "value": {"type": "double"}}
            server.ask("PUT", "/docs", {"mappings": {"properties": properties}})
            server.ask("PUT", "/_cluster/settings", {"persistent": {"xpack.ml.delayed_data_check_freq": "15s"}})
            check = {"enabled": True, "check_window": "2m"}
            feed = {"indices": ["docs"], "frequency": "1s", "query_delay": f"{DELAY}s", "delayed_data_check_config": check}
            writer = Writer(server, random.Random(args.seed + 1), args.seconds)
            writer.start()
            while writer.number < 3_000:
                time.sleep(0.1)
            for name, counted_in in (("told", False), ("counted-in", True), ("afterwards", False)):
                job = {"analysis_config": ANALYSIS, "data_description": {"time_field": "time"},
                       "custom_settings": {"reprocess_late_data": counted_in}, "datafeed_config": feed}
                server.ask("PUT", f"/_ml/anomaly_detectors/{name}", job)
            for name in ("told", "counted-in"):
                server.ask("POST", f"/_ml/anomaly_detectors/{name}/_open")
                server.ask("POST", f"/_ml/datafeeds/{name}/_start?start=0")
            for moment in sorted(rng.random() * args.seconds for _ in range(args.kills)):
                time.sleep(max(0, writer.begun + moment - time.time()))
                server.kill()
                server.start()
            writer.join()
            # The last check comes, and what it found is counted in.
            time.sleep(DELAY + 40)
            for name in ("told", "counted-in"):
                server.ask("POST", f"/_ml/datafeeds/{name}/_stop")
            server.ask("POST", "/_ml/anomaly_detectors/afterwards/_open")
            server.ask("POST", f"/_ml/datafeeds/afterwards/_start?start=0&end={int(time.time() * 1000)}")
            while server.ask("GET", "/_ml/datafeeds/afterwards/_stats")["datafeeds"][0]["state"] != "stopped":
                time.sleep(0.2)

            end = int(writer.end) * 1000
            both = writer.in_time + writer.late
            for name, written in (("told", writer.in_time), ("counted-in", both)):
                found = {bucket["timestamp"]: bucket["event_count"] for bucket in server.results(name, "buckets")}
                off = [t for t in set(written) | set(found) if t < end and written[t] != found.get(t, 0)]
                times = sorted(found)
                gaps = sum(b - a != 1000 for a, b in zip(times, times[1:]))
                print(f"{name}: {len(found)} buckets, {gaps} gaps, {len(off)} with a count that is off")
                wrong += [f"{name}: buckets"] if off or gaps else []
            query = {"size": 1_000, "query": {"bool": {"filter": [{"term": {"job_id": "told"}}, {"term": {"event": "delayed_data"}}]}}}
            hits = server.ask("POST", "/.ml-annotations-read/_search", query)["hits"]["hits"]
            told = sum(int(re.search(r"missed (\d+)", hit["_source"]["annotation"])[1]) for hit in hits)
            print(f"late: {writer.late.total()} documents, {told} told in {len(hits)} annotations; {both.total():,} documents in all")
            wrong += ["annotations"] if told != writer.late.total() else []
            for kind in ("buckets", "records"):
                one, other = ([r for r in server.results(name, kind) if r["timestamp"] < end] for name in ("counted-in", "afterwards"))
                same = bare(one) == bare(other)
                print(f"counted in, and read afterwards: {len(one)} and {len(other)} {kind}, {'the same' if same else 'not the same'}")
                wrong += [] if same else [f"counted in: {kind}"]
        finally:
            server.kill()
    print("wrong: " + ("; ".join(wrong) or "nothing"))
    raise SystemExit(bool(wrong))


main()
