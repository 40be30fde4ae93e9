"""Starts the tidewatch binary that TIDEWATCH_BIN names and hands out an unmodified Elasticsearch client."""

import contextlib
import os
import select
import subprocess

import pytest
from elasticsearch import Elasticsearch

READY = "tidewatch listening on "
# Only a failing test waits so long.
PATIENCE_SECONDS = 180


def pytest_configure(config):
    # Elasticsearch itself deprecates posting data and flushing, and the server passes that on.
    config.addinivalue_line("filterwarnings", "ignore::elasticsearch.ElasticsearchWarning")


@contextlib.contextmanager
def serving(folder, *flags):
    """A server of one's own with these flags: its URL."""
    binary = os.environ.get("TIDEWATCH_BIN")
    if not binary:
        pytest.exit("TIDEWATCH_BIN must name the tidewatch binary to test", returncode=2)
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(folder / "data"), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        readable, _, _ = select.select([server.stdout], [], [], PATIENCE_SECONDS)
        line = server.stdout.readline().decode().strip() if readable else ""
        if not line.startswith(READY):
            pytest.exit(f"not ready: {line!r}\n{(folder / 'log').read_text(errors='replace')}", returncode=1)
        yield line[len(READY):]
        server.terminate()
        assert server.wait(PATIENCE_SECONDS) == 0, "SIGTERM must stop the server cleanly"
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("tidewatch")) as url:
        yield url


@pytest.fixture(scope="session")
def es(url):
    with Elasticsearch(url, request_timeout=PATIENCE_SECONDS) as client:
        yield client
