#!/usr/bin/env python3
"""Documents a second that one client writes by `_bulk`: log lines of 300 bytes, one connection, the answers read.

usage: scripts/bulk.py [--bin target/release/tidewatch] [--documents 500000] [--batch 5000]

Bodies are made before the clock starts; the clock stops when the last one is answered, and once more when all can be
found. The server is one of its own in a temporary directory, which is deleted.
"""

import argparse
import http.client
import json
import random
import subprocess
import tempfile
import time
import urllib.parse

MAPPING = {
    "properties": {
        "@timestamp": {"type": "date"},
        "host": {"type": "keyword"},
        "level": {"type": "keyword"},
        "status": {"type": "long"},
        "took": {"type": "double"},
        "message": {"type": "text"},
    }
}
WORDS = [
    "connection", "refused", "timeout", "user", "session", "opened", "closed", "request", "served", "cache", "miss",
    "retry", "upstream", "backend", "queue", "full", "worker", "started", "stopped", "checkpoint", "written",
]


def line(n, rng):
    """A document of about 300 bytes."""
    words = " ".join(rng.choice(WORDS) for _ in range(25))
    return json.dumps(
        {
            "@timestamp": 1_700_000_000_000 + n * 10,
            "host": f"web-{rng.randrange(200)}",
            "level": rng.choice(["info", "info", "info", "warn", "error"]),
            "status": rng.choice([200, 200, 200, 304, 404, 500]),
            "took": round(rng.expovariate(0.01), 3),
            "message": f"{words} id={rng.randrange(1 << 40):x}",
        },
        separators=(",", ":"),
    )


def bodies(documents, batch):
    rng = random.Random(1)
    made, size = [], 0
    for first in range(0, documents, batch):
        lines = []
        for n in range(first, min(first + batch, documents)):
            text = line(n, rng)
            size += len(text)
            lines += ['{"index":{}}', text]
        made.append(("\n".join(lines) + "\n").encode())
    return made, size / documents


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", default="target/release/tidewatch")
    options.add_argument("--documents", type=int, default=500_000)
    options.add_argument("--batch", type=int, default=5_000)
    asked = options.parse_args()
    made, mean = bodies(asked.documents, asked.batch)
    with tempfile.TemporaryDirectory() as folder:
        command = [asked.bin, "serve", "--listen", "127.0.0.1:0", "--data-dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = urllib.parse.urlparse(server.stdout.readline().split()[-1])
            measure(http.client.HTTPConnection(url.hostname, url.port), made, mean, asked, server.pid)
        finally:
            server.terminate()
            server.wait()


def measure(connection, made, mean, asked, pid):
    def call(method, path, body=None):
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text[:1_000]
        return text

    call("PUT", "/logs", json.dumps({"mappings": MAPPING}))
    began = time.perf_counter()
    for body in made:
        assert b'"errors":false' in call("POST", "/logs/_bulk", body)[:100]
    written = time.perf_counter() - began
    call("POST", "/logs/_refresh")
    found = time.perf_counter() - began
    count = json.loads(call("GET", "/logs/_count"))["count"]
    assert count == asked.documents, count
    with open(f"/proc/{pid}/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print(
        f"{asked.documents} documents of {mean:.0f} bytes, {asked.batch} a request: {asked.documents / written:,.0f} a "
        f"second written, {asked.documents / found:,.0f} a second until they are found; at most {int(peak) // 1024} MiB"
    )


if __name__ == "__main__":
    main()
