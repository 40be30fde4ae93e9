#!/usr/bin/env python3
"""How long a detector of Amazon's dialect takes to learn its past: 14 days of one series, from a stand-in for Prometheus
that answers at once.

    python3 scripts/learning.py target/release/tidewatch [interval...]

An interval is the seconds between evaluations (60 and 30 unless said). For each, a server of its own creates a detector
and is asked until that is ACTIVE. Told are the evaluations, the seconds, and how many range queries it took. Standard
library only.
"""
import http.server
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

DAYS = 14


class Prometheus(http.server.BaseHTTPRequestHandler):
    """A wave of a day with noise; the same value for the same time."""

    protocol_version = "HTTP/1.1"
    # Head and body go at once; else each answer waits for a delayed acknowledgement.
    disable_nagle_algorithm = True
    asked = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(urllib.parse.urlparse(self.path).query)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("content-length", 0))).decode())

    def answer(self, query):
        query = dict(urllib.parse.parse_qsl(query))
        data = {"resultType": "vector", "result": []}
        if "query_range" in self.path:
            Prometheus.asked += 1
            start, end, step = (int(float(query[name])) for name in ("start", "end", "step"))
            values = [[at, self.value(at)] for at in range(start, end + 1, step)]
            if query["query"].startswith("count("):
                values = [[at, "1"] for at, _ in values]
            data = {"resultType": "matrix", "result": [{"metric": {"instance": "a"}, "values": values}]}
        elif "labels" in self.path:
            data = ["instance"]
        body = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def value(at):
        return "%.4f" % (50 + 10 * math.sin(at / 86_400 * math.tau) + random.Random(at).gauss(0, 1))


def call(address, method, path, body=None):
    data = json.dumps(body).encode() if body else None
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(address + path, method=method, data=data, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def learn(binary, source, interval):
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "settings.toml")
        config.write_text(f'[sources.prod]\nkind = "prometheus"\nurl = "{source}"\nworkspace = "ws-1"\n')
        command = [binary, "serve", "--config", config, "--listen", "127.0.0.1:0", "--data-dir", pathlib.Path(folder, "data")]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = server.stdout.readline().split()[-1]
            path = "/workspaces/ws-1/anomalydetectors"
            asked, begun = Prometheus.asked, time.monotonic()
            made = call(address, "POST", path, {
                "alias": "learns", "evaluationIntervalInSeconds": interval,
                "configuration": {"randomCutForest": {"query": "avg(load)"}},
            })  # fmt: skip
            while True:
                told = call(address, "GET", f"{path}/{made['anomalyDetectorId']}")["anomalyDetector"]["status"]
                if told["statusCode"] != "CREATING":
                    break
                time.sleep(0.05)
            took = time.monotonic() - begun
            if told["statusCode"] != "ACTIVE":
                sys.exit(f"it did not learn: {told}")
            evaluations = DAYS * 86_400 // interval
            print(f"every {interval} s: {evaluations} evaluations in {took:.2f} s, {Prometheus.asked - asked} range queries")
        finally:
            server.terminate()
            server.wait()


def main():
    arguments = sys.argv[1:]
    if not arguments:
        sys.exit(__doc__)
    binary = arguments.pop(0)
    standin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=standin.serve_forever, daemon=True).start()
    for interval in map(int, arguments or ["60", "30"]):
        learn(binary, f"http://127.0.0.1:{standin.server_port}", interval)


if __name__ == "__main__":
    main()
