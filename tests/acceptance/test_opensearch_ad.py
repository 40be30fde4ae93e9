"""Anomaly detection as opensearch-py asks for it: by its transport, since it has no calls of its own for the plugin."""

import time

import pytest
from opensearchpy import ConflictError, NotFoundError, OpenSearch, RequestError, TransportError
from opensearchpy import helpers

BASES = {
    "opensearch": "/_plugins/_anomaly_detection/detectors",
    "opendistro": "/_opendistro/_anomaly_detection/detectors",
    "searchguard": "/_anomaly_detection/api/detectors",
}
MINUTE = 60_000
START = 1_704_067_200_000
MINUTES = 300
WORST = 250
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def client(url):
    client = OpenSearch(url, timeout=PATIENCE_SECONDS)
    index = "ad-requests"
    client.indices.create(
        index=index,
        body={
            "mappings": {
                "properties": {
                    "at": {"type": "date"},
                    "failed": {"type": "double"},
                    "host": {"type": "keyword"},
                }
            }
        },
    )
    documents = (
        {
            "_index": index,
            "at": START + minute * MINUTE + 1_000,
            "host": host,
            "failed": 900 if minute == WORST and host == "a" else 10 + minute % 5,
        }
        for minute in range(MINUTES)
        for host in "ab"
    )
    helpers.bulk(client, documents, refresh=True)
    yield client
    client.indices.delete(index=index)


@pytest.fixture(params=sorted(BASES))
def ask(client, request):
    """Sends to one dialect, and deletes its detectors at the end."""
    base = BASES[request.param]

    def ask(method, rest="", body=None, params=None):
        return client.transport.perform_request(method, base + rest, params=params, body=body)

    ask.dialect = request.param
    yield ask
    for hit in ask("POST", "/_search", {"size": 100})["hits"]["hits"]:
        ask("DELETE", "/" + hit["_id"])


def detector(name, **more):
    return {
        "name": name,
        "description": "failed requests",
        "time_field": "at",
        "indices": ["ad-requests*"],
        "feature_attributes": [
            {
                "feature_name": "failures",
                "feature_enabled": True,
                "aggregation_query": {"failures": {"sum": {"field": "failed"}}},
            }
        ],
        "detection_interval": {"period": {"interval": 1, "unit": "Minutes"}},
        **more,
    }


def analysed(ask, detector_id):
    ask("POST", f"/{detector_id}/_start", {"start_time": START, "end_time": START + MINUTES * MINUTE})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        task = ask("GET", "/" + detector_id, params={"task": "true"})["historical_analysis_task"]
        if task["state"] == "FINISHED":
            return task
        time.sleep(0.02)
    raise AssertionError(f"not finished: {task}")


def test_the_life_of_a_detector(ask):
    made = ask("POST", body=detector("requests"))
    detector_id = made["_id"]
    assert made["anomaly_detector"]["detector_type"] == "SINGLE_ENTITY"
    assert ask("GET", "/" + detector_id)["anomaly_detector"] == made["anomaly_detector"]
    assert ask("HEAD", "/" + detector_id) is True
    updated = ask("PUT", "/" + detector_id, detector("requests", shingle_size=4))
    assert updated["_version"] == 2
    assert updated["anomaly_detector"]["shingle_size"] == 4
    found = ask("GET", "/_search", {"query": {"match": {"name": "Requests"}}})
    assert [hit["_id"] for hit in found["hits"]["hits"]] == [detector_id]
    assert ask("GET", "/count")["count"] == 1
    assert ask("GET", "/match", params={"name": "requests"})["match"] is True
    assert ask("POST", "/_validate/detector", detector("another")) == {}
    assert ask("GET", f"/{detector_id}/_profile") == {"state": "DISABLED"}
    assert ask("DELETE", "/" + detector_id)["result"] == "deleted"
    with pytest.raises(NotFoundError) as gone:
        ask("GET", "/" + detector_id)
    assert gone.value.error == "status_exception"


def test_an_anomaly_of_the_past_is_found(ask):
    detector_id = ask("POST", body=detector("past"))["_id"]
    task = analysed(ask, detector_id)
    query = {"bool": {"filter": [{"term": {"task_id": task["task_id"]}}, {"range": {"anomaly_grade": {"gt": 0}}}]}}
    hits = ask("POST", "/results/_search", {"query": query, "sort": [{"anomaly_grade": "desc"}]})["hits"]["hits"]
    assert hits[0]["_source"]["data_start_time"] == START + WORST * MINUTE
    assert hits[0]["_source"]["detector_id"] == detector_id
    period = {"period_start": START, "period_end": START + MINUTES * MINUTE}
    previewed = ask("POST", f"/{detector_id}/_preview", period)["anomaly_result"]
    worst = max(previewed, key=lambda result: result["anomaly_grade"])
    assert worst["data_start_time"] == START + WORST * MINUTE
    assert worst["anomaly_grade"] == hits[0]["_source"]["anomaly_grade"]


def test_entities_are_told_apart(ask):
    detector_id = ask("POST", body=detector("hosts", category_field=["host"]))["_id"]
    analysed(ask, detector_id)
    range_ = {"start_time_ms": START, "end_time_ms": START + MINUTES * MINUTE}
    top = ask("POST", f"/{detector_id}/results/_topAnomalies", range_, {"historical": "true"})
    assert top["buckets"][0]["key"] == {"host": "a"}


def test_errors_are_those_of_the_client(ask):
    ask("POST", body=detector("one"))
    with pytest.raises(RequestError if ask.dialect == "opendistro" else ConflictError) as taken:
        ask("POST", body=detector("one"))
    assert "already used by" in taken.value.info["error"]["reason"]
    with pytest.raises(TransportError) as invalid:
        ask("POST", body=detector(""))
    assert invalid.value.status_code == (400 if ask.dialect == "opendistro" else 500)
    with pytest.raises(NotFoundError):
        ask("POST", "/nobody/_start")
    none = ask("POST", body=detector("none", feature_attributes=[]))["_id"]
    with pytest.raises(RequestError) as featureless:
        ask("POST", f"/{none}/_start")
    assert "no features configured" in featureless.value.info["error"]["reason"]


def test_real_time_starts_and_stops(ask):
    detector_id = ask("POST", body=detector("now"))["_id"]
    assert ask("POST", f"/{detector_id}/_start")["_id"] == detector_id
    # An error in an answer that is none.
    again = ask("POST", f"/{detector_id}/_start")
    assert again["error"]["reason"] == f"Anomaly detector job is already running: {detector_id}"
    assert ask("GET", "/" + detector_id, params={"job": "true"})["anomaly_detector_job"]["enabled"] is True
    with pytest.raises(RequestError) as running:
        ask("DELETE", "/" + detector_id)
    assert "is running: " + detector_id in running.value.info["error"]["reason"]
    assert ask("POST", f"/{detector_id}/_stop")["_id"] == detector_id
    assert ask("POST", f"/{detector_id}/_stop")["status"] == 200
