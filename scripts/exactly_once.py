#!/usr/bin/env python3
"""A datafeed over very many documents, its server and its source killed at random moments, against calm runs.

usage: scripts/exactly_once.py [--bin target/release/tidewatch] [--documents 10000000] [--kills 12] [--seed 1]

Writes the documents to one server. A second one reads them from there as from a remote Elasticsearch, calmly and with
SIGKILLs of either; then a copy of the first reads its own index, calmly and with SIGKILLs; each plainly and by an
aggregation. Results and data counts of a killed run must equal the calm one's to the byte, and the plain remote run's
those of the own index to nine digits. Needs nothing but the binary and Python.
"""

import argparse
import http.client
import json
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import time

START = 1_483_228_800_000
SPAN = 30 * 24 * 3_600_000
BATCH = 10_000
RESULTS = "/_ml/anomaly_detectors/job/results/"
ANALYSIS = {
    "bucket_span": "15m",
    "detectors": [{"function": "mean", "field_name": "value", "partition_field_name": "host"}, {"function": "count"}],
    "influencers": ["host"],
}
BY_HOST = {"terms": {"field": "host", "size": 20}, "aggs": {"value": {"avg": {"field": "value"}}}}
BY_TIME = {
    "date_histogram": {"field": "time", "fixed_interval": "5m"},
    "aggs": {"time": {"max": {"field": "time"}}, "host": BY_HOST},
}


class Server:
    def __init__(self, binary, directory, settings=""):
        self.directory = directory
        directory.mkdir(exist_ok=True)
        (directory / "settings.toml").write_text(settings)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(directory / "data"),
                        "--config", str(directory / "settings.toml"), "--checkpoint-journal-bytes", "16mb"]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        next(line for line in self.process.stdout if "listening on" in line)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, method, path, body=None):
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        self.connection.request(method, path, data, {"Content-Type": kind})
        answer = self.connection.getresponse()
        told = json.load(answer)
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {told}")
        return told

    def stats(self):
        return self.ask("GET", "/_ml/anomaly_detectors/job/_stats")["jobs"][0]

    def results(self, kind):
        """All of a kind, without how long they took."""
        found = []
        while True:
            page = {"page": {"from": len(found), "size": 10_000}, "exclude_interim": False, "sort": "timestamp"}
            results = self.ask("POST", RESULTS + kind, page)[kind]
            for result in results:
                result.pop("processing_time_ms", None)
            found += results
            if len(results) < 10_000:
                return found

    def outcome(self):
        counts = self.stats()["data_counts"]
        for wall_clock in ("log_time", "last_data_time"):
            counts.pop(wall_clock, None)
        kinds = ("buckets", "records", "influencers")
        return {**{kind: json.dumps(self.results(kind)) for kind in kinds}, "counts": json.dumps(counts)}


def rounded(outcome):
    """What a remote and an own index agree in: documents of one millisecond come in another order, and in other forms."""
    told = json.loads(outcome, parse_float=lambda number: f"{float(number):.9g}")
    if isinstance(told, dict):
        told.pop("input_bytes", None)
    return told


def write(server, documents):
    properties = {"time": {"type": "date"}, "host": {"type": "keyword"}, "value": {"type": "double"}}
    server.ask("PUT", "/docs", {"mappings": {"properties": properties}, "settings": {"refresh_interval": "30s"}})
    rng = random.Random(5)
    for first in range(0, documents, BATCH):
        lines = []
        for n in range(first, min(first + BATCH, documents)):
            moment = max(START, START + SPAN * n // documents + rng.randrange(-200_000, 200_000))
            value = rng.random() * (9 if n % (documents // 200) < documents // 30_000 else 1)
            lines.append('{"index":{}}\n{"time":%d,"host":"h%d","value":%f}\n' % (moment, rng.randrange(10), value))
        assert not server.ask("POST", "/docs/_bulk?filter_path=errors", "".join(lines).encode()).get("errors")
    server.ask("POST", "/docs/_refresh")
    assert server.ask("GET", "/docs/_count")["count"] == documents


def run(name, server, source, indices, aggregated, documents, kills, rng):
    analysis = {**ANALYSIS, "summary_count_field_name": "doc_count"} if aggregated else ANALYSIS
    feed = {"indices": [indices], **({"aggregations": {"buckets": BY_TIME}} if aggregated else {})}
    job = {"analysis_config": analysis, "data_description": {"time_field": "time"}, "datafeed_config": feed}
    server.ask("PUT", "/_ml/anomaly_detectors/job", job)
    server.ask("POST", "/_ml/anomaly_detectors/job/_open")
    begun = time.monotonic()
    server.ask("POST", f"/_ml/datafeeds/job/_start?end={START + 2 * SPAN}")
    total = SPAN // 300_000 * 10 if aggregated else documents
    moments = sorted(rng.randrange(total) for _ in range(kills))
    killed = {"server": 0, "source": 0}
    peak = 0
    while True:
        stats = server.stats()
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) // 1024)
        if stats["state"] == "closed":
            break
        if moments and stats["data_counts"]["processed_record_count"] >= moments[0]:
            # What is due once it has gone on a little from there.
            moments.pop(0)
            time.sleep(rng.random() * 0.2)
            victim = rng.choice([server, source or server])
            victim.kill()
            killed["server" if victim is server else "source"] += 1
            time.sleep(rng.random() * 2 if victim is source else 0)
            victim.start()
        time.sleep(0.01)
    took = time.monotonic() - begun
    outcome = server.outcome()
    sizes = ", ".join(f"{len(json.loads(outcome[kind]))} {kind}" for kind in ("buckets", "records", "influencers"))
    print(f"{name}: {took:.1f} s, kills {killed}, {stats['data_counts']['processed_record_count']:,} records, {sizes}, "
          f"at most {peak} MiB", flush=True)
    return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/tidewatch")
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    differences = []
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        servers = []

        def serve(name, settings=""):
            servers.append(Server(args.bin, directory / name, settings))
            return servers[-1]

        def pair(name, make, source, indices, aggregated):
            outcomes = []
            for kind, kills in (("calm", 0), ("killed", args.kills)):
                server = make(f"{name}-{kind}")
                outcomes.append(run(f"{name}, {kind}", server, source, indices, aggregated, args.documents, kills, rng))
                server.kill()
                shutil.rmtree(server.directory)
            differences.extend(f"{name}: {kind}" for kind in outcomes[0] if outcomes[0][kind] != outcomes[1][kind])
            return outcomes[0]

        def copy(name):
            shutil.copytree(source.directory, directory / name)
            return serve(name)

        try:
            source = serve("source")
            begun = time.monotonic()
            write(source, args.documents)
            print(f"{args.documents:,} documents written in {time.monotonic() - begun:.0f} s", flush=True)
            settings = f'[sources.far]\nkind = "elasticsearch"\nurl = "http://127.0.0.1:{source.port}"\n'
            far = pair("remote", lambda name: serve(name, settings), source, "far:docs", False)
            pair("remote, aggregated", lambda name: serve(name, settings), source, "far:docs", True)
            source.kill()
            own = pair("own", copy, None, "docs", False)
            pair("own, aggregated", copy, None, "docs", True)
            differences.extend(f"remote and own: {kind}" for kind in far if rounded(far[kind]) != rounded(own[kind]))
        finally:
            for server in servers:
                server.kill()
    print("differences: " + ("; ".join(differences) or "none"))
    raise SystemExit(bool(differences))


main()
