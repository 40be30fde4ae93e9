"""Anomaly detection as opensearch-py asks for it: by its transport, since it has no calls of its own for the plugin."""

import csv
import time
from pathlib import Path

import pytest
from opensearchpy import ConflictError, NotFoundError, OpenSearch, RequestError, TransportError
from opensearchpy import helpers

from conftest import PATIENCE_SECONDS

BASES = {
    "opensearch": "/_plugins/_anomaly_detection/detectors",
    "opendistro": "/_opendistro/_anomaly_detection/detectors",
    "searchguard": "/_anomaly_detection/api/detectors",
}
MINUTE = 60_000
START = 1_704_067_200_000
MINUTES = 300
WORST = 250


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


# Loads of servers as they were, every five minutes, with one made up: the load of one of them at one time.
NAB = Path(__file__).parents[2].parent / "shared/data/nab/data/realAWSCloudwatch"
LOADS = {"web": "ec2_cpu_utilization_5f5533", "app": "ec2_cpu_utilization_fe7f93", "db": "rds_cpu_utilization_cc0c53"}
STEP = 5 * MINUTE
POINTS = 4_000
MADE_UP = START + 3_000 * STEP


@pytest.fixture(scope="module")
def loads(client):
    if not NAB.is_dir():
        pytest.skip(f"there is no {NAB}")
    index = "ad-loads"
    fields = {"at": {"type": "date"}, "load": {"type": "double"}, "host": {"type": "keyword"}}
    client.indices.create(index=index, body={"mappings": {"properties": fields}})

    def documents():
        for host, name in LOADS.items():
            with open(NAB / f"{name}.csv", newline="") as lines:
                values = [float(line["value"]) for line in csv.DictReader(lines)][:POINTS]
            worst = 3 * max(values)
            for n, value in enumerate(values):
                at = START + n * STEP
                yield {"_index": index, "at": at, "host": host, "load": worst if (host, at) == ("web", MADE_UP) else value}

    helpers.bulk(client, documents(), refresh=True)
    yield {
        "indices": [index],
        "feature_attributes": [
            {"feature_name": "load", "feature_enabled": True, "aggregation_query": {"load": {"avg": {"field": "load"}}}}
        ],
        "detection_interval": {"period": {"interval": 5, "unit": "Minutes"}},
    }
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


def analysed(ask, detector_id, end=START + MINUTES * MINUTE):
    ask("POST", f"/{detector_id}/_start", {"start_time": START, "end_time": end})
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


@pytest.mark.parametrize("by_host", [False, True])
def test_what_is_made_up_in_real_data_is_found(ask, loads, by_host):
    more = {"category_field": ["host"]} if by_host else {"filter_query": {"term": {"host": "web"}}}
    body = detector("loads", **loads, **more)
    assert ask("POST", "/_validate/detector", body) == {}
    detector_id = ask("POST", body=body)["_id"]
    task = analysed(ask, detector_id, START + POINTS * STEP)
    query = {"bool": {"filter": [{"term": {"task_id": task["task_id"]}}, {"range": {"anomaly_grade": {"gt": 0}}}]}}
    asked = {"query": query, "size": 1_000, "sort": [{"data_start_time": "asc"}]}
    found = [hit["_source"] for hit in ask("GET", "/results/_search", asked)["hits"]["hits"]]
    # Loads jump by themselves now and then; few are told of.
    assert 0 < len(found) < POINTS * (3 if by_host else 1) // 50
    made_up = [result for result in found if result["data_start_time"] == MADE_UP]
    assert len(made_up) == 1
    (result,) = made_up
    assert result["anomaly_grade"] > 0.5
    if by_host:
        assert result["entity"] == [{"name": "host", "value": "web"}]
        range_ = {"start_time_ms": MADE_UP, "end_time_ms": MADE_UP + STEP}
        top = ask("GET", f"/{detector_id}/results/_topAnomalies", range_, {"historical": "true"})["buckets"]
        assert top[0]["key"] == {"host": "web"}
        assert top[0]["max_anomaly_grade"] == result["anomaly_grade"]
    feature = result["feature_data"][0]
    expected = result["expected_values"][0]["value_list"][0]
    assert expected["feature_id"] == feature["feature_id"]
    assert expected["data"] < feature["data"] / 2


def refusal(ask, method, rest="", body=None, params=None):
    """The exception of a request that is refused: the client's kind of it, its status, and the reason that it tells."""
    with pytest.raises(TransportError) as refused:
        ask(method, rest, body, params)
    error = refused.value
    kind = {400: RequestError, 404: NotFoundError, 409: ConflictError}.get(error.status_code, TransportError)
    assert type(error) is kind
    assert error.error == error.info["error"]["type"]
    return error.status_code, error.info["error"]["reason"]


def says(ask, now, before):
    """As OpenSearch says it from 2.15 on, or as it was said before."""
    return now if ask.dialect == "opensearch" else before


def test_definitions_are_refused(ask):
    ask("POST", body=detector("one"))
    status, reason = refusal(ask, "POST", body=detector("one"))
    assert status == (400 if ask.dialect == "opendistro" else 409)
    assert reason.startswith("Cannot create anomaly detector with name [one] as it's already used by ")
    wrong = 400 if ask.dialect == "opendistro" else 500
    for more, now, before in [
        ({"name": ""}, "name should be set", "Detector name should be set"),
        (
            {"name": "a b"},
            "Valid characters for name are a-z, A-Z, 0-9, -(hyphen), _(underscore) and .(period)",
            "Valid characters for detector name are a-z, A-Z, 0-9, -(hyphen), _(underscore) and .(period)",
        ),
        ({"time_field": ""}, "Time field should be set", "Time field should be set"),
        (
            {"time_field": "host"},
            "Timestamp field: (host) must be of type date",
            "Timestamp field: (host) must be of type date",
        ),
        ({"indices": []}, "Indices should be set", "Indices should be set"),
        (
            {"shingle_size": 0},
            "Suggested shingle size must be between 1 and 128. Got 0.",
            "Shingle size must be a positive integer",
        ),
        (
            {"category_field": ["a", "b", "c"]},
            "Currently we only support up to 2 categorical field/s in order to bound system resource consumption.",
            "We can have only 2 categorical field/s.",
        ),
    ]:
        body = {**detector("two"), **more}
        expected = says(ask, now, before)
        assert refusal(ask, "POST", body=body) == (wrong, expected)
        field = next(iter(more))
        assert ask("POST", "/_validate/detector", body) == {"detector": {field: {"message": expected}}}
    sums = [
        {"feature_name": f"f{n}", "aggregation_query": {f"a{n}": {"sum": {"field": "failed"}}}} for n in range(6)
    ]
    body = detector("two", feature_attributes=sums)
    assert refusal(ask, "POST", body=body) == (400, "Can't create more than 5 feature(s)")
    body = detector("two", feature_attributes=[sums[0], {**sums[1], "feature_name": "f0"}])
    assert refusal(ask, "POST", body=body) == (400, "There are duplicate feature names: f0")
    assert refusal(ask, "POST", body=detector("two", indices=["nowhere"]))[0] == 404
    status, reason = refusal(ask, "POST", "/_validate/nothing", detector("two"))
    assert (status, reason) == (500, "The given validation type doesn't exist")


def test_changes_are_refused(ask):
    made = ask("POST", body=detector("one"))
    one = "/" + made["_id"]
    by_host = detector("one", category_field=["host"])
    expected = says(ask, "Can't change category field", "Can't change detector category field")
    assert refusal(ask, "PUT", one, by_host) == (400, expected)
    ask("PUT", one, detector("one", description="another"))
    place = {"if_seq_no": made["_seq_no"], "if_primary_term": made["_primary_term"]}
    status, reason = refusal(ask, "PUT", one, detector("one"), place)
    assert (status, reason.split(" the ")[0]) == (400, "There was a problem updating")
    missing = says(ask, "Can't find config with id: nobody", "Can't find detector with id: nobody")
    for method, rest, body in [
        ("GET", "/nobody", None),
        ("PUT", "/nobody", detector("one")),
        ("POST", "/nobody/_start", None),
        ("GET", "/nobody/_profile", None),
    ]:
        assert refusal(ask, method, rest, body) == (404, missing)
    none = "/" + ask("POST", body=detector("none", feature_attributes=[]))["_id"]
    expected = says(ask, "Can't start job as no features", "Can't start detector job as no features")
    assert refusal(ask, "POST", none + "/_start") == (400, expected + " configured")


def test_questions_are_refused(ask):
    one = ask("POST", body=detector("one"))["_id"]
    hosts = ask("POST", body=detector("hosts", category_field=["host"]))["_id"]
    assert refusal(ask, "GET", f"/{one}/_profile/nothing")[1] == "profiles to collect are missing or invalid"
    period = {"period_start": START, "period_end": START + MINUTE}
    for rest, body, expected in [
        (f"/{one}/_preview", {}, "Must set both period start and end date with epoch of milliseconds"),
        (
            f"/{one}/_preview",
            {"period_start": START, "period_end": START},
            "Period start date should be before end date",
        ),
        ("/_preview", period, "Must set detector id or detector"),
        ("/_preview", {**period, "detector": detector("x", feature_attributes=[])}, "Can't preview detector without feature"),
    ]:
        assert refusal(ask, "POST", rest, body) == (400, expected)
    nobody = {**period, "detector_id": "nobody"}
    assert refusal(ask, "POST", "/_preview", nobody) == (404, "Can't find anomaly detector with id:nobody")
    range_ = {"start_time_ms": START, "end_time_ms": START + MINUTE}
    invalid = "Validation Failed: 1: {};".format
    for detector_id, body, expected in [
        (hosts, {}, invalid("Must set both start time and end time with epoch of milliseconds")),
        (hosts, {**range_, "end_time_ms": START}, invalid("Start time should be before end time")),
        (one, range_, f"No category fields found for detector ID {one}"),
        (hosts, {**range_, "category_field": ["x"]}, f"Category field x doesn't exist for detector ID {hosts}"),
        (hosts, {**range_, "order": "x"}, "Ordering by x is not a valid option"),
        (hosts, {**range_, "size": 1_001}, "Size cannot exceed 1000"),
        (hosts, {**range_, "size": 0}, "Size must be a positive integer"),
    ]:
        assert refusal(ask, "GET", f"/{detector_id}/results/_topAnomalies", body) == (400, expected)
    _, reason = refusal(ask, "GET", f"/{hosts}/results/_topAnomalies", range_, {"historical": "true"})
    assert reason == f"No historical tasks found for detector ID {hosts}"


def test_real_time_starts_and_stops(ask):
    detector_id = ask("POST", body=detector("now"))["_id"]
    assert ask("POST", f"/{detector_id}/_start")["_id"] == detector_id
    # An error in an answer that is none.
    again = ask("POST", f"/{detector_id}/_start")
    assert again["error"]["reason"] == f"Anomaly detector job is already running: {detector_id}"
    assert ask("GET", "/" + detector_id, params={"job": "true"})["anomaly_detector_job"]["enabled"] is True
    running = says(ask, "Job is running: ", "Detector job is running: ") + detector_id
    assert refusal(ask, "DELETE", "/" + detector_id) == (400, running)
    assert refusal(ask, "PUT", "/" + detector_id, detector("now")) == (400, running)
    assert refusal(ask, "POST", f"/{detector_id}/_stop", params={"historical": "true"}) == (400, "Detector not started")
    assert ask("POST", f"/{detector_id}/_stop")["_id"] == detector_id
    stopped = ask("POST", f"/{detector_id}/_stop")
    expected = says(ask, "job is already stopped: ", "Anomaly detector job is already stopped: ") + detector_id
    assert (stopped["status"], stopped["error"]["reason"]) == (200, expected)
    never = ask("POST", body=detector("never"))["_id"]
    if ask.dialect == "opensearch":
        assert ask("POST", f"/{never}/_stop") == {"_id": never}
    else:
        assert refusal(ask, "POST", f"/{never}/_stop") == (400, f"Anomaly detector job not exist: {never}")
