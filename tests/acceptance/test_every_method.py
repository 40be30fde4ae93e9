"""Every method of the client's ml namespace for anomaly detection, called once with success and once without.

A method that the client has and that stands in none of the lists fails `test_no_method_is_forgotten`.
"""

import time

import pytest
from elasticsearch import ApiError, BadRequestError, ConflictError, NotFoundError

from conftest import PATIENCE_SECONDS
from test_client import ANALYSIS, DESCRIPTION, START

HOUR = 3600
INDEX = "every-requests"
JOB = {
    "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]},
    "analysis_limits": {"model_memory_limit": "16mb"},
    "data_description": DESCRIPTION,
}

# Data frame analytics and trained models are another product.
ELSEWHERE = ("data_frame", "trained_model")
NO_API = {"perform_request"}


class World:
    """A client, and ways to make what a call needs."""

    def __init__(self, es):
        self.es = es
        self.ml = es.ml

    def job(self, name, opened=False, records=0, **more):
        self.ml.put_job(job_id=name, **{**JOB, **more})
        if opened or records:
            self.ml.open_job(job_id=name)
        if records:
            self.ml.post_data(job_id=name, data=[{"time": (START + i * HOUR) * 1000} for i in range(records)])
            self.ml.flush_job(job_id=name)
        return name

    def snapshots(self, name):
        """A closed job with two snapshots; the older one first."""
        self.job(name, records=3)
        self.ml.close_job(job_id=name)
        self.ml.open_job(job_id=name)
        self.ml.post_data(job_id=name, data=[{"time": (START + i * HOUR) * 1000} for i in range(3, 6)])
        self.ml.close_job(job_id=name)
        found = self.ml.get_model_snapshots(job_id=name, desc=False)
        return [s["snapshot_id"] for s in found["model_snapshots"]]

    def datafeed(self, name, opened=False):
        """A datafeed and its job of the same name, over three documents."""
        if not self.es.indices.exists(index=INDEX):
            self.es.indices.create(index=INDEX, mappings={"properties": {"time": {"type": "date"}}})
            for i in range(3):
                self.es.index(index=INDEX, id=str(i), document={"time": (START + i * HOUR) * 1000}, refresh=True)
        self.job(name, opened=opened)
        self.ml.put_datafeed(datafeed_id=name, job_id=name, indices=[INDEX], query_delay="1m")
        return name

    def state(self, datafeed):
        return self.ml.get_datafeed_stats(datafeed_id=datafeed)["datafeeds"][0]["state"]

    def event(self, calendar):
        self.ml.put_calendar(calendar_id=calendar, job_ids=["x"])
        event = {"description": "e", "start_time": 1000, "end_time": 2000}
        self.ml.post_calendar_events(calendar_id=calendar, events=[event])
        return self.ml.get_calendar_events(calendar_id=calendar)["events"][0]["event_id"]


@pytest.fixture
def world(es):
    yield World(es)
    for calendar in es.ml.get_calendars()["calendars"]:
        es.ml.delete_calendar(calendar_id=calendar["calendar_id"])
    for job in es.ml.get_jobs()["jobs"]:
        if job["job_id"].startswith("every-"):
            es.ml.delete_job(job_id=job["job_id"], force=True)
    for item in es.ml.get_filters()["filters"]:
        es.ml.delete_filter(filter_id=item["filter_id"])


def own_id(method):
    """An id of the call's own."""
    return "every-" + method.replace("_", "-")


def update_model_snapshot(w, job):
    older, _ = w.snapshots(job)
    return w.ml.update_model_snapshot(job_id=job, snapshot_id=older, retain=True)["model"]["retain"]


def revert_model_snapshot(w, job):
    older, _ = w.snapshots(job)
    answer = w.ml.revert_model_snapshot(job_id=job, snapshot_id=older, delete_intervening_results=True)
    return answer["model"]["snapshot_id"] == older


def delete_model_snapshot(w, job):
    older, _ = w.snapshots(job)
    return w.ml.delete_model_snapshot(job_id=job, snapshot_id=older)["acknowledged"]


def upgrade_job_snapshot(w, job):
    """A snapshot that this version has written needs no upgrade: Elasticsearch says so by a conflict."""
    older, _ = w.snapshots(job)
    with pytest.raises(ConflictError):
        w.ml.upgrade_job_snapshot(job_id=job, snapshot_id=older)
    return True


def forecast(w, job):
    w.job(job, records=6)
    return w.ml.forecast(job_id=job, duration="2h")["acknowledged"]


def set_upgrade_mode(w, job):
    on = w.ml.set_upgrade_mode(enabled=True)["acknowledged"]
    return on and w.ml.set_upgrade_mode(enabled=False)["acknowledged"]


def preview_datafeed(w, name):
    records = w.ml.preview_datafeed(datafeed_id=w.datafeed(name), start=START * 1000, end=(START + 2 * HOUR) * 1000)
    return [record["time"] for record in records] == [START * 1000, (START + HOUR) * 1000]


def start_datafeed(w, name):
    """Over the past alone: it ends by itself, and closes its job."""
    end = (START + 3 * HOUR) * 1000
    started = w.ml.start_datafeed(datafeed_id=w.datafeed(name, opened=True), start=str(START * 1000), end=str(end))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if w.state(name) == "stopped" and w.ml.get_job_stats(job_id=name)["jobs"][0]["state"] == "closed":
            break
        time.sleep(0.1)
    counts = w.ml.get_job_stats(job_id=name)["jobs"][0]["data_counts"]
    return started["started"] and counts["processed_record_count"] == 3


def stop_datafeed(w, name):
    w.ml.start_datafeed(datafeed_id=w.datafeed(name, opened=True), start="0")
    stopped = w.ml.stop_datafeed(datafeed_id=name, timeout="1m")["stopped"]
    return stopped and w.state(name) == "stopped"


def delete_calendar_event(w, calendar):
    return w.ml.delete_calendar_event(calendar_id=calendar, event_id=w.event(calendar))["acknowledged"]


def delete_calendar_job(w, calendar):
    w.event(calendar)
    return w.ml.delete_calendar_job(calendar_id=calendar, job_id="x")["job_ids"] == []


def put_calendar_job(w, calendar):
    w.event(calendar)
    return w.ml.put_calendar_job(calendar_id=calendar, job_id="y")["job_ids"] == ["x", "y"]


def post_calendar_events(w, calendar):
    return bool(w.event(calendar))


def get_calendars(w, calendar):
    w.event(calendar)
    return w.ml.get_calendars(calendar_id=calendar)["count"] == 1


def get_calendar_events(w, calendar):
    w.event(calendar)
    return w.ml.get_calendar_events(calendar_id=calendar, start="0", end="9000")["count"] == 1


def delete_calendar(w, calendar):
    w.event(calendar)
    return w.ml.delete_calendar(calendar_id=calendar)["acknowledged"]


def get_filters(w, item):
    w.ml.put_filter(filter_id=item, items=["a"])
    return w.ml.get_filters(filter_id=item)["count"] == 1


def update_filter(w, item):
    w.ml.put_filter(filter_id=item, items=["a"])
    return w.ml.update_filter(filter_id=item, add_items=["b"])["items"] == ["a", "b"]


def delete_filter(w, item):
    w.ml.put_filter(filter_id=item, items=["a"])
    return w.ml.delete_filter(filter_id=item)["acknowledged"]


# For each method: what makes it succeed (true where it did), the kind of its failure, and how it fails.
METHODS = {
    "close_job": (
        lambda w, j: w.ml.close_job(job_id=w.job(j, opened=True))["closed"],
        (NotFoundError, lambda w: w.ml.close_job(job_id="nobody")),
    ),
    "delete_calendar": (delete_calendar, (NotFoundError, lambda w: w.ml.delete_calendar(calendar_id="nowhere"))),
    "delete_calendar_event": (
        delete_calendar_event,
        (NotFoundError, lambda w: w.ml.delete_calendar_event(calendar_id="nowhere", event_id="e")),
    ),
    "delete_calendar_job": (
        delete_calendar_job,
        (NotFoundError, lambda w: w.ml.delete_calendar_job(calendar_id="nowhere", job_id="x")),
    ),
    "delete_datafeed": (
        lambda w, d: w.ml.delete_datafeed(datafeed_id=w.datafeed(d))["acknowledged"],
        (NotFoundError, lambda w: w.ml.delete_datafeed(datafeed_id="nowhere", force=True)),
    ),
    "delete_expired_data": (
        lambda w, j: w.ml.delete_expired_data(requests_per_second=1000, timeout="1h")["deleted"],
        (NotFoundError, lambda w: w.ml.delete_expired_data(job_id="nobody")),
    ),
    "delete_filter": (delete_filter, (NotFoundError, lambda w: w.ml.delete_filter(filter_id="nowhere"))),
    "delete_forecast": (
        lambda w, j: w.ml.delete_forecast(job_id=w.job(j), forecast_id="_all")["acknowledged"],
        (NotFoundError, lambda w: w.ml.delete_forecast(job_id="every-delete-forecast", forecast_id="none")),
    ),
    "delete_job": (
        lambda w, j: w.ml.delete_job(job_id=w.job(j))["acknowledged"],
        (NotFoundError, lambda w: w.ml.delete_job(job_id="nobody", force=True)),
    ),
    "delete_model_snapshot": (
        delete_model_snapshot,
        (NotFoundError, lambda w: w.ml.delete_model_snapshot(job_id="nobody", snapshot_id="1")),
    ),
    "estimate_model_memory": (
        lambda w, j: w.ml.estimate_model_memory(
            analysis_config={**ANALYSIS, "detectors": [{"function": "count", "by_field_name": "host"}]},
            overall_cardinality={"host": 10},
            max_bucket_cardinality={"host": 10},
        )["model_memory_estimate"].endswith("mb"),
        (BadRequestError, lambda w: w.ml.estimate_model_memory(analysis_config=ANALYSIS)),
    ),
    "flush_job": (
        lambda w, j: w.ml.flush_job(job_id=w.job(j, opened=True), calc_interim=True)["flushed"],
        (ConflictError, lambda w: w.ml.flush_job(job_id=w.job("every-shut"))),
    ),
    "forecast": (
        forecast,
        (BadRequestError, lambda w: w.ml.forecast(job_id="every-forecast", duration="3651d")),
    ),
    "get_buckets": (
        lambda w, j: w.ml.get_buckets(job_id=w.job(j, records=3), expand=True)["count"] == 2,
        (BadRequestError, lambda w: w.ml.get_buckets(job_id="every-get-buckets", timestamp="0", anomaly_score=1)),
    ),
    "get_calendar_events": (
        get_calendar_events,
        (NotFoundError, lambda w: w.ml.get_calendar_events(calendar_id="nowhere")),
    ),
    "get_calendars": (get_calendars, (NotFoundError, lambda w: w.ml.get_calendars(calendar_id="nowhere"))),
    "get_categories": (
        lambda w, j: w.ml.get_categories(job_id=w.job(j))["count"] == 0,
        (NotFoundError, lambda w: w.ml.get_categories(job_id="nobody")),
    ),
    "get_datafeed_stats": (
        lambda w, d: w.state(w.datafeed(d)) == "stopped",
        (NotFoundError, lambda w: w.ml.get_datafeed_stats(datafeed_id="nowhere*", allow_no_match=False)),
    ),
    "get_datafeeds": (
        lambda w, d: w.ml.get_datafeeds(datafeed_id=w.datafeed(d), exclude_generated=True)["count"] == 1,
        (NotFoundError, lambda w: w.ml.get_datafeeds(datafeed_id="nowhere")),
    ),
    "get_filters": (get_filters, (NotFoundError, lambda w: w.ml.get_filters(filter_id="nowhere"))),
    "get_influencers": (
        lambda w, j: w.ml.get_influencers(job_id=w.job(j), sort="timestamp")["count"] == 0,
        (NotFoundError, lambda w: w.ml.get_influencers(job_id="nobody")),
    ),
    "get_job_stats": (
        lambda w, j: w.ml.get_job_stats(job_id=w.job(j))["jobs"][0]["state"] == "closed",
        (NotFoundError, lambda w: w.ml.get_job_stats(job_id="nobody*", allow_no_match=False)),
    ),
    "get_jobs": (
        lambda w, j: w.ml.get_jobs(job_id=w.job(j), exclude_generated=True)["count"] == 1,
        (NotFoundError, lambda w: w.ml.get_jobs(job_id="nobody")),
    ),
    "get_memory_stats": (
        lambda w, j: w.ml.get_memory_stats(human=True)["_nodes"]["total"] == 1,
        (ApiError, lambda w: w.es.perform_request("GET", "/_ml/memory/_stats?tide=1", headers=PLAIN)),
    ),
    "get_model_snapshot_upgrade_stats": (
        lambda w, j: w.ml.get_model_snapshot_upgrade_stats(job_id=w.job(j), snapshot_id="_all")["count"] == 0,
        (
            NotFoundError,
            lambda w: w.ml.get_model_snapshot_upgrade_stats(
                job_id="every-get-model-snapshot-upgrade-stats", snapshot_id="1"
            ),
        ),
    ),
    "get_model_snapshots": (
        lambda w, j: len(w.snapshots(j)) == 2,
        (NotFoundError, lambda w: w.ml.get_model_snapshots(job_id="nobody")),
    ),
    "get_overall_buckets": (
        lambda w, j: w.ml.get_overall_buckets(job_id=w.job(j, records=3), top_n=1)["count"] == 2,
        (BadRequestError, lambda w: w.ml.get_overall_buckets(job_id="every-*", top_n=0)),
    ),
    "get_records": (
        lambda w, j: w.ml.get_records(job_id=w.job(j), page={"size": 3})["count"] == 0,
        (NotFoundError, lambda w: w.ml.get_records(job_id="nobody")),
    ),
    "info": (
        lambda w, j: w.ml.info()["upgrade_mode"] is False,
        (ApiError, lambda w: w.es.perform_request("POST", "/_ml/info", headers=PLAIN)),
    ),
    "open_job": (
        lambda w, j: w.ml.open_job(job_id=w.job(j), timeout="30s")["opened"],
        (ConflictError, lambda w: w.ml.open_job(job_id="every-open-job")),
    ),
    "post_calendar_events": (
        post_calendar_events,
        (BadRequestError, lambda w: w.ml.post_calendar_events(calendar_id="every-post-calendar-events", events=[])),
    ),
    "post_data": (
        lambda w, j: w.ml.post_data(job_id=w.job(j, opened=True), data=[{"time": START}])["input_record_count"] == 1,
        (NotFoundError, lambda w: w.ml.post_data(job_id="nobody", data=[{"time": START}])),
    ),
    "preview_datafeed": (
        preview_datafeed,
        (NotFoundError, lambda w: w.ml.preview_datafeed(datafeed_config={"job_id": "nobody", "indices": [INDEX]})),
    ),
    "put_calendar": (
        lambda w, c: w.ml.put_calendar(calendar_id=c, description="d")["description"] == "d",
        (BadRequestError, lambda w: w.ml.put_calendar(calendar_id="every-put-calendar")),
    ),
    "put_calendar_job": (
        put_calendar_job,
        (NotFoundError, lambda w: w.ml.put_calendar_job(calendar_id="nowhere", job_id="x")),
    ),
    "put_datafeed": (
        lambda w, d: w.ml.put_datafeed(datafeed_id=d, job_id=w.job(d), indices="any", frequency="5m")["frequency"] == "5m",
        (BadRequestError, lambda w: w.ml.put_datafeed(datafeed_id="every-put-datafeed", job_id="nobody", indices=[])),
    ),
    "put_filter": (
        lambda w, f: w.ml.put_filter(filter_id=f, items=["b", "a"])["items"] == ["a", "b"],
        (BadRequestError, lambda w: w.ml.put_filter(filter_id="every-put-filter", items=[])),
    ),
    "put_job": (
        lambda w, j: w.ml.put_job(job_id=j, **JOB)["job_id"] == j,
        (BadRequestError, lambda w: w.ml.put_job(job_id="every-put-job", **JOB)),
    ),
    "reset_job": (
        lambda w, j: w.ml.reset_job(job_id=w.job(j), delete_user_annotations=True)["acknowledged"],
        (NotFoundError, lambda w: w.ml.reset_job(job_id="nobody")),
    ),
    "revert_model_snapshot": (
        revert_model_snapshot,
        (NotFoundError, lambda w: w.ml.revert_model_snapshot(job_id="every-revert-model-snapshot", snapshot_id="1")),
    ),
    "set_upgrade_mode": (
        set_upgrade_mode,
        (ApiError, lambda w: w.es.perform_request("POST", "/_ml/set_upgrade_mode?enabled=maybe", headers=PLAIN)),
    ),
    "start_datafeed": (
        start_datafeed,
        (ConflictError, lambda w: w.ml.start_datafeed(datafeed_id="every-start-datafeed", start="0")),
    ),
    "stop_datafeed": (
        stop_datafeed,
        (NotFoundError, lambda w: w.ml.stop_datafeed(datafeed_id="nowhere*", allow_no_match=False, force=True)),
    ),
    "update_datafeed": (
        lambda w, d: w.ml.update_datafeed(datafeed_id=w.datafeed(d), scroll_size=7)["scroll_size"] == 7,
        (BadRequestError, lambda w: w.ml.update_datafeed(datafeed_id="every-update-datafeed", job_id="nobody")),
    ),
    "update_filter": (
        update_filter,
        (BadRequestError, lambda w: w.ml.update_filter(filter_id="every-update-filter", remove_items=["none"])),
    ),
    "update_job": (
        lambda w, j: w.ml.update_job(job_id=w.job(j), groups=["every-group"])["groups"] == ["every-group"],
        (BadRequestError, lambda w: w.ml.update_job(job_id="every-update-job", groups=[""])),
    ),
    "update_model_snapshot": (
        update_model_snapshot,
        (
            NotFoundError,
            lambda w: w.ml.update_model_snapshot(job_id="every-update-model-snapshot", snapshot_id="1", retain=True),
        ),
    ),
    "upgrade_job_snapshot": (
        upgrade_job_snapshot,
        (NotFoundError, lambda w: w.ml.upgrade_job_snapshot(job_id="every-upgrade-job-snapshot", snapshot_id="1")),
    ),
    "validate": (
        lambda w, j: w.ml.validate(job_id=j, **JOB)["acknowledged"],
        (BadRequestError, lambda w: w.ml.validate(job_id="_", **JOB)),
    ),
    "validate_detector": (
        lambda w, j: w.ml.validate_detector(detector={"function": "count"})["acknowledged"],
        (BadRequestError, lambda w: w.ml.validate_detector(detector={"function": "guess", "field_name": "x"})),
    ),
}
PLAIN = {"accept": "application/json"}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_succeeds_and_fails(world, method):
    succeeds, (kind, fails) = METHODS[method]
    assert succeeds(world, own_id(method)) is True
    with pytest.raises(kind):
        fails(world)


def test_no_method_is_forgotten(es):
    has = {m for m in dir(es.ml) if not m.startswith("_") and callable(getattr(es.ml, m))}
    ours = {m for m in has - NO_API if not any(word in m for word in ELSEWHERE)}
    assert ours == set(METHODS)
