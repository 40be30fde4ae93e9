"""What a user of elasticsearch-py does with anomaly detection jobs, from creating one to deleting it.

The data: five hosts over two weeks, with a daily wave and a little noise; host web-3 is ten times as slow for two
buckets on the last day. The job must name that host, and leave the quiet ones in peace.
"""

import json
import math
import random
import time

import pytest
from elasticsearch import BadRequestError, ConflictError, NotFoundError

from conftest import PATIENCE_SECONDS

JOB = "low_request_rate"
SPAN = 900
START = 1_704_067_200
BUCKETS = 14 * 96
HOSTS = ["web-1", "web-2", "web-3", "web-4", "web-5"]
ANOMALY = BUCKETS - 40
ANOMALY_MS = (START + ANOMALY * SPAN) * 1000

# The example body of the documentation of `_update`, verbatim: its `detectors` is a single object.
UPDATE_EXAMPLE = """
{
  "description":"An updated job",
  "detectors": {
    "detector_index": 0,
    "description": "An updated detector description"
  },
  "groups": ["kibana_sample_data","kibana_sample_web_logs"],
  "model_plot_config": {
    "enabled": true
  },
  "renormalization_window_days": 30,
  "background_persist_interval": "2h",
  "model_snapshot_retention_days": 7,
  "results_retention_days": 60
}
"""

ANALYSIS = {
    "bucket_span": "15m",
    "detectors": [{"function": "mean", "field_name": "responsetime", "partition_field_name": "host"}],
    "influencers": ["host"],
}
DESCRIPTION = {"time_field": "time", "time_format": "epoch_ms"}


def records():
    rng = random.Random(7)
    for bucket in range(BUCKETS):
        wave = 1 + 0.3 * math.sin(2 * math.pi * bucket / 96)
        for offset in (100, 400, 700):
            for number, host in enumerate(HOSTS):
                value = (100 + 20 * number) * wave * rng.triangular(0.9, 1.1)
                if host == "web-3" and ANOMALY <= bucket < ANOMALY + 2:
                    value *= 10
                time = (START + bucket * SPAN + offset) * 1000
                yield {"time": time, "host": host, "responsetime": round(value, 3)}


@pytest.fixture(scope="module")
def job(es):
    """An open job that has seen all the data."""
    created = es.ml.put_job(
        job_id=JOB, description="slow hosts", analysis_config=ANALYSIS, data_description=DESCRIPTION
    )
    assert created["job_id"] == JOB
    assert created["job_type"] == "anomaly_detector"
    assert created["analysis_config"]["detectors"][0]["detector_description"]
    assert created["analysis_config"]["model_prune_window"] == "30d"
    assert created["model_snapshot_retention_days"] == 10
    assert created["results_index_name"] == "shared"
    assert es.ml.open_job(job_id=JOB)["opened"] is True

    data = list(records())
    middle = len(data) // 2
    # A list goes out as a JSON array; text, here NDJSON, as it is.
    first = es.ml.post_data(job_id=JOB, data=data[:middle])
    assert first["processed_record_count"] == middle
    second = es.ml.post_data(job_id=JOB, data="\n".join(map(json.dumps, data[middle:])))
    assert second["processed_record_count"] == len(data) - middle
    flushed = es.ml.flush_job(job_id=JOB)
    assert flushed["flushed"] is True
    assert flushed["last_finalized_bucket_end"] == (START + (BUCKETS - 1) * SPAN) * 1000
    yield JOB
    es.ml.delete_job(job_id=JOB, force=True)


def test_who_is_there(es):
    info = es.info()
    assert info["tagline"] == "You Know, for Search"
    assert int(info["version"]["number"].split(".")[0]) >= 8
    assert es.ping()
    assert es.cluster.health()["status"] == "green"
    assert es.license.get()["license"]["status"] == "active"
    ml = es.ml.info()
    assert ml["defaults"]["anomaly_detectors"]["model_snapshot_retention_days"] == 10
    assert ml["upgrade_mode"] is False
    assert "effective_max_model_memory_limit" in ml["limits"]


def test_the_slow_host_is_named(es, job):
    found = es.ml.get_records(job_id=job, sort="record_score", desc=True)
    assert found["count"] >= 1
    top = found["records"][0]
    assert top["partition_field_value"] == "web-3"
    assert top["host"] == ["web-3"]
    assert top["record_score"] > 75
    assert ANOMALY_MS <= top["timestamp"] < ANOMALY_MS + 2 * SPAN * 1000
    assert top["function"] == "mean" and top["field_name"] == "responsetime"
    assert top["actual"][0] > 5 * top["typical"][0] > 0
    assert 0 <= top["probability"] < 0.001
    assert {"influencer_field_name": "host", "influencer_field_values": ["web-3"]} in top["influencers"]


def test_the_quiet_hosts_are_left_in_peace(es, job):
    loud = es.ml.get_records(job_id=job, record_score=50, page={"from": 0, "size": 1000})
    assert {record["partition_field_value"] for record in loud["records"]} == {"web-3"}
    # Nor is the host itself blamed for anything before its slow hour.
    assert min(record["timestamp"] for record in loud["records"]) >= ANOMALY_MS


def test_the_influencer_is_named(es, job):
    found = es.ml.get_influencers(job_id=job)
    top = found["influencers"][0]
    assert (top["influencer_field_name"], top["influencer_field_value"]) == ("host", "web-3")
    assert top["influencer_score"] > 50
    high = es.ml.get_influencers(job_id=job, influencer_score=50, sort="influencer_score", desc=True)
    assert {i["influencer_field_value"] for i in high["influencers"]} == {"web-3"}


def test_buckets_sorted_filtered_and_expanded(es, job):
    found = es.ml.get_buckets(job_id=job, sort="anomaly_score", desc=True, expand=True)
    assert found["count"] == BUCKETS - 1
    top = found["buckets"][0]
    scores = [bucket["anomaly_score"] for bucket in found["buckets"]]
    assert len(scores) == 100 and scores == sorted(scores, reverse=True)
    assert scores[0] > 75
    assert ANOMALY_MS <= top["timestamp"] < ANOMALY_MS + 2 * SPAN * 1000
    assert top["bucket_span"] == SPAN and top["event_count"] == 3 * len(HOSTS)
    assert top["is_interim"] is False and top["result_type"] == "bucket"
    assert any(record["partition_field_value"] == "web-3" for record in top["records"])
    assert "records" not in es.ml.get_buckets(job_id=job, anomaly_score=75)["buckets"][0]

    high = es.ml.get_buckets(job_id=job, anomaly_score=50)
    assert 1 <= high["count"] <= 4
    assert all(bucket["anomaly_score"] >= 50 for bucket in high["buckets"])


def test_buckets_by_page_time_and_timestamp(es, job):
    first = es.ml.get_buckets(job_id=job)
    assert [b["timestamp"] for b in first["buckets"]] == [(START + i * SPAN) * 1000 for i in range(100)]
    by_query = es.ml.get_buckets(job_id=job, from_=10, size=5)
    by_body = es.ml.get_buckets(job_id=job, page={"from": 10, "size": 5})
    assert by_query["buckets"] == by_body["buckets"] == first["buckets"][10:15]
    assert by_query["count"] == first["count"] == BUCKETS - 1

    # The start belongs to the range, the end does not.
    start, end = START * 1000, (START + 4 * SPAN) * 1000
    ranged = es.ml.get_buckets(job_id=job, start=str(start), end=str(end))
    assert ranged["buckets"] == first["buckets"][:4]
    iso = es.ml.get_buckets(job_id=job, start="2024-01-01T00:00:00Z", end="2024-01-01T01:00:00Z")
    assert iso["buckets"] == first["buckets"][:4]

    one = es.ml.get_buckets(job_id=job, timestamp=str(ANOMALY_MS))
    assert one["count"] == 1 and one["buckets"][0]["timestamp"] == ANOMALY_MS
    with pytest.raises(NotFoundError):
        es.ml.get_buckets(job_id=job, timestamp=str(ANOMALY_MS + 1))


def test_stats(es, job):
    stats = es.ml.get_job_stats(job_id=job)
    assert stats["count"] == 1
    stats = stats["jobs"][0]
    assert stats["state"] == "opened"
    counts = stats["data_counts"]
    assert counts["input_record_count"] == counts["processed_record_count"] == BUCKETS * 3 * len(HOSTS)
    assert counts["out_of_order_timestamp_count"] == counts["invalid_date_count"] == 0
    assert counts["earliest_record_timestamp"] == (START + 100) * 1000
    assert counts["latest_record_timestamp"] == (START + (BUCKETS - 1) * SPAN + 700) * 1000
    assert stats["model_size_stats"]["memory_status"] == "ok"
    assert stats["timing_stats"]["bucket_count"] >= 1
    assert stats["forecasts_stats"]["total"] == 0
    assert es.ml.get_job_stats(job_id="low_*")["count"] == 1


def test_forecast_and_delete_forecast(es, job):
    answer = es.ml.forecast(job_id=job, duration="12h", expires_in="1d")
    assert answer["acknowledged"] is True
    forecast = answer["forecast_id"]
    headers = {"accept": "application/json"}
    results = f"/_ml/anomaly_detectors/{job}/results/forecasts"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        request = es.perform_request("GET", results, headers=headers)["forecasts"][-1]
        if request["forecast_status"] in ("finished", "failed"):
            break
        time.sleep(0.05)
    assert (request["forecast_id"], request["forecast_status"]) == (forecast, "finished")
    points = es.perform_request("GET", f"{results}/{forecast}?size=1000", headers=headers)
    assert points["count"] == 48 * len(HOSTS)
    for point in points["model_forecasts"]:
        assert 0 <= point["forecast_lower"] <= point["forecast_prediction"] <= point["forecast_upper"]
        assert 50 < point["forecast_prediction"] < 300
    stats = es.ml.get_job_stats(job_id=job)["jobs"][0]["forecasts_stats"]
    assert stats["total"] == 1 and stats["status"] == {"finished": 1}

    with pytest.raises(BadRequestError) as too_long:
        es.ml.forecast(job_id=job, duration="3651d")
    assert "[duration] must be 3650d or less: [3651d]" in str(too_long.value)
    assert es.ml.delete_forecast(job_id=job, forecast_id=forecast)["acknowledged"] is True
    with pytest.raises(NotFoundError) as gone:
        es.ml.delete_forecast(job_id=job, forecast_id=forecast)
    assert f"No forecast(s) [{forecast}] exists for job [{job}]" in str(gone.value)
    assert es.ml.delete_forecast(job_id=job)["acknowledged"] is True


def test_update_with_the_example_of_the_documentation(es, job):
    body = json.loads(UPDATE_EXAMPLE)
    for updated in (es.ml.update_job(job_id=job, **body), es.ml.get_jobs(job_id=job)["jobs"][0]):
        assert updated["description"] == "An updated job"
        detector = updated["analysis_config"]["detectors"][0]
        assert detector["detector_description"] == "An updated detector description"
        assert detector["function"] == "mean"
        assert updated["groups"] == body["groups"]
        assert updated["model_plot_config"] == {"enabled": True, "annotations_enabled": True}
        assert updated["renormalization_window_days"] == 30
        assert updated["background_persist_interval"] == "2h"
        assert updated["model_snapshot_retention_days"] == 7
        assert updated["results_retention_days"] == 60
    assert es.ml.get_jobs(job_id="kibana_sample_data")["count"] == 1, "by the name of its group"


def test_errors_are_the_exceptions_of_the_client(es, job):
    with pytest.raises(NotFoundError) as unknown:
        es.ml.get_jobs(job_id="nobody")
    assert unknown.value.error == "resource_not_found_exception"
    assert "No known job with id 'nobody'" in str(unknown.value)
    with pytest.raises(NotFoundError):
        es.ml.get_records(job_id="nobody")
    assert es.ml.get_jobs(job_id="nobody*")["count"] == 0
    with pytest.raises(NotFoundError):
        es.ml.get_jobs(job_id="nobody*", allow_no_match=False)

    with pytest.raises(ConflictError) as opened:
        es.ml.delete_job(job_id=job)
    assert "because the job is opened" in str(opened.value)
    with pytest.raises(ConflictError):
        es.ml.open_job(job_id=job)

    with pytest.raises(BadRequestError) as taken:
        es.ml.put_job(job_id=job, analysis_config=ANALYSIS, data_description=DESCRIPTION)
    assert taken.value.error == "resource_already_exists_exception"
    wrong = {"detectors": [{"function": "magic", "field_name": "x"}]}
    with pytest.raises(BadRequestError) as unknown_function:
        es.ml.put_job(job_id="wrong", analysis_config=wrong, data_description=DESCRIPTION)
    assert "Unknown function 'magic'" in str(unknown_function.value.body)
    with pytest.raises(BadRequestError):
        es.ml.put_job(job_id="WRONG", analysis_config=ANALYSIS, data_description=DESCRIPTION)


def test_close_snapshot_reopen_delete(es):
    name = "whole-life"
    es.ml.put_job(job_id=name, analysis_config=ANALYSIS, data_description=DESCRIPTION)
    with pytest.raises(ConflictError):
        es.ml.post_data(job_id=name, data=[{"time": START * 1000}])
    es.ml.open_job(job_id=name)
    es.ml.post_data(job_id=name, data=[r for r, _ in zip(records(), range(15 * 96))])
    assert es.ml.close_job(job_id=name)["closed"] is True
    assert es.ml.close_job(job_id=name)["closed"] is True, "closing twice is no mistake"

    closed = es.ml.get_jobs(job_id=name)["jobs"][0]
    snapshots = es.ml.get_model_snapshots(job_id=name)
    assert snapshots["count"] >= 1
    assert closed["model_snapshot_id"] in [s["snapshot_id"] for s in snapshots["model_snapshots"]]
    one = es.ml.get_model_snapshots(job_id=name, snapshot_id=closed["model_snapshot_id"])
    assert one["model_snapshots"][0]["job_id"] == name

    es.ml.open_job(job_id=name)
    assert es.ml.get_job_stats(job_id=name)["jobs"][0]["data_counts"]["processed_record_count"] == 15 * 96
    es.ml.close_job(job_id=name)
    assert es.ml.delete_job(job_id=name)["acknowledged"] is True
    with pytest.raises(NotFoundError):
        es.ml.delete_job(job_id=name)


def test_upkeep(es):
    name = "upkeep"
    assert es.ml.validate(analysis_config=ANALYSIS, data_description=DESCRIPTION)["acknowledged"]
    assert es.ml.validate_detector(detector={"function": "count"})["acknowledged"]
    es.ml.put_job(job_id=name, analysis_config=ANALYSIS, data_description=DESCRIPTION)
    data = list(records())[:3000]
    for part in (data[:1500], data[1500:]):
        es.ml.open_job(job_id=name)
        es.ml.post_data(job_id=name, data=part)
        es.ml.close_job(job_id=name)
    overall = es.ml.get_overall_buckets(job_id=name, top_n=1)
    assert overall["count"] == es.ml.get_buckets(job_id=name, size=1)["count"] > 0

    old, active = es.ml.get_model_snapshots(job_id=name, desc=False)["model_snapshots"]
    changed = es.ml.update_model_snapshot(job_id=name, snapshot_id=old["snapshot_id"], description="kept", retain=True)
    assert changed["model"]["description"] == "kept" and changed["model"]["retain"] is True
    assert es.ml.delete_expired_data(job_id=name)["deleted"]
    with pytest.raises(BadRequestError):
        es.ml.delete_model_snapshot(job_id=name, snapshot_id=active["snapshot_id"])
    assert es.ml.delete_model_snapshot(job_id=name, snapshot_id=old["snapshot_id"])["acknowledged"]

    assert es.ml.reset_job(job_id=name)["acknowledged"]
    assert es.ml.get_job_stats(job_id=name)["jobs"][0]["data_counts"]["processed_record_count"] == 0
    assert es.ml.delete_job(job_id=name)["acknowledged"]


def test_filters(es):
    made = es.ml.put_filter(filter_id="safe_domains", description="safe", items=["*.google.com", "wikipedia.org"])
    assert made == {"filter_id": "safe_domains", "description": "safe", "items": ["*.google.com", "wikipedia.org"]}
    es.ml.put_filter(filter_id="safe_hosts")
    assert [f["filter_id"] for f in es.ml.get_filters()["filters"]] == ["safe_domains", "safe_hosts"]
    assert es.ml.get_filters(filter_id="safe_domains")["filters"] == [made]
    assert es.ml.get_filters(from_=1, size=5)["filters"][0]["filter_id"] == "safe_hosts"
    changed = es.ml.update_filter(
        filter_id="safe_domains", description="less", add_items=["*.myorg.com"], remove_items=["wikipedia.org"]
    )
    assert (changed["description"], changed["items"]) == ("less", ["*.google.com", "*.myorg.com"])
    with pytest.raises(BadRequestError):
        es.ml.update_filter(filter_id="safe_domains", remove_items=["wikipedia.org"])
    with pytest.raises(BadRequestError) as taken:
        es.ml.put_filter(filter_id="safe_hosts", items=[])
    assert taken.value.error == "resource_already_exists_exception"

    rule = {"scope": {"host": {"filter_id": "safe_hosts", "filter_type": "include"}}}
    detector = {"function": "mean", "field_name": "responsetime", "by_field_name": "host", "custom_rules": [rule]}
    job = es.ml.put_job(
        job_id="ruled", analysis_config={"detectors": [detector]}, data_description=DESCRIPTION
    )
    assert job["analysis_config"]["detectors"][0]["custom_rules"] == [{"actions": ["skip_result"], **rule}]
    with pytest.raises(ConflictError):
        es.ml.delete_filter(filter_id="safe_hosts")
    es.ml.delete_job(job_id="ruled")
    for name in ("safe_hosts", "safe_domains"):
        assert es.ml.delete_filter(filter_id=name)["acknowledged"]
    with pytest.raises(NotFoundError):
        es.ml.get_filters(filter_id="safe_hosts")


def test_calendars(es):
    made = es.ml.put_calendar(calendar_id="planned-outages", job_ids=["total-requests"], description="no news")
    assert made == {"calendar_id": "planned-outages", "job_ids": ["total-requests"], "description": "no news"}
    assert es.ml.get_calendars(calendar_id="planned-outages")["calendars"] == [made]
    es.ml.put_calendar(calendar_id="holidays")
    assert [c["calendar_id"] for c in es.ml.get_calendars()["calendars"]] == ["holidays", "planned-outages"]
    assert es.ml.get_calendars(page={"from": 1, "size": 1})["calendars"] == [made]
    joined = es.ml.put_calendar_job(calendar_id="planned-outages", job_id="web")
    assert joined["job_ids"] == ["total-requests", "web"]
    left = es.ml.delete_calendar_job(calendar_id="planned-outages", job_id="total-requests")
    assert left["job_ids"] == ["web"]

    times = [(1513641600000, 1513728000000), (1513814400000, 1513900800000), (1514160000000, 1514246400000)]
    events = [
        {"description": f"event {number}", "start_time": start, "end_time": end}
        for number, (start, end) in enumerate(times, 1)
    ]
    assert len(es.ml.post_calendar_events(calendar_id="planned-outages", events=events)["events"]) == 3
    found = es.ml.get_calendar_events(calendar_id="planned-outages")
    assert found["count"] == 3
    assert [event["description"] for event in found["events"]] == ["event 1", "event 2", "event 3"]
    assert all(event["skip_result"] and event["skip_model_update"] for event in found["events"])
    late = es.ml.get_calendar_events(calendar_id="_all", start=str(times[1][0]), end=str(times[2][0]))
    assert [event["description"] for event in late["events"]] == ["event 2"]
    first = found["events"][0]["event_id"]
    assert es.ml.delete_calendar_event(calendar_id="planned-outages", event_id=first)["acknowledged"]
    with pytest.raises(NotFoundError):
        es.ml.delete_calendar_event(calendar_id="planned-outages", event_id=first)
    with pytest.raises(BadRequestError):
        es.ml.post_calendar_events(calendar_id="planned-outages", events=[])
    for name in ("holidays", "planned-outages"):
        assert es.ml.delete_calendar(calendar_id=name)["acknowledged"]
    with pytest.raises(NotFoundError):
        es.ml.get_calendar_events(calendar_id="planned-outages")


COUNTS = ["count", "non_zero_count"]
VALUES = ["distinct_count", "info_content", "mean", "avg", "median", "varp", "sum", "non_null_sum"]
FUNCTIONS = (
    [{"function": side + name} for name in COUNTS for side in ("", "low_", "high_")]
    + [{"function": side + name, "field_name": "v"} for name in VALUES for side in ("", "low_", "high_")]
    + [{"function": name, "field_name": "v"} for name in ("min", "max", "metric")]
    + [{"function": "rare", "by_field_name": "user"}, {"function": "lat_long", "field_name": "place"}]
    + [{"function": "freq_rare", "by_field_name": "host", "over_field_name": "user"}]
    + [{"function": name} for name in ("time_of_day", "time_of_week")]
)


def test_every_function_in_one_job(es):
    name = "every-function"
    analysis = {"bucket_span": "1h", "detectors": FUNCTIONS}
    made = es.ml.put_job(job_id=name, analysis_config=analysis, data_description=DESCRIPTION)
    assert [d["function"] for d in made["analysis_config"]["detectors"]] == [d["function"] for d in FUNCTIONS]
    es.ml.open_job(job_id=name)
    times = [(START + 60 * minute) * 1000 for minute in range(0, 3 * 24 * 60, 10)]
    data = [
        {"time": t, "v": n % 7, "host": f"h{n % 2}", "user": f"u{n % 5}", "place": "48.1,11.5"} for n, t in enumerate(times)
    ]
    assert es.ml.post_data(job_id=name, data=data)["processed_record_count"] == len(data)
    assert es.ml.flush_job(job_id=name, calc_interim=True)["flushed"]
    assert es.ml.get_buckets(job_id=name)["count"] == 3 * 24, "the last one is interim"
    assert es.ml.get_records(job_id=name, record_score=50)["count"] == 0, "nothing is odd"
    es.ml.delete_job(job_id=name, force=True)


def test_a_member_of_a_population_with_its_causes(es):
    name = "population"
    analysis = {
        "bucket_span": "1h",
        "detectors": [{"function": "high_sum", "field_name": "bytes", "over_field_name": "user"}],
        "influencers": ["user"],
    }
    es.ml.put_job(job_id=name, analysis_config=analysis, data_description=DESCRIPTION)
    es.ml.open_job(job_id=name)
    rng = random.Random(3)
    odd, data = 100, []
    for hour in range(120):
        for user in range(12):
            size = rng.gauss(1000, 50) * (30 if (hour, user) == (odd, 7) else 1)
            data.append({"time": (START + 3600 * hour + user) * 1000, "user": f"u{user}", "bytes": size})
    es.ml.post_data(job_id=name, data=data)
    es.ml.close_job(job_id=name)
    (record,) = es.ml.get_records(job_id=name, record_score=50)["records"]
    assert (record["timestamp"], record["over_field_value"]) == ((START + 3600 * odd) * 1000, "u7")
    (cause,) = record["causes"]
    assert cause["actual"][0] > 20_000 > 2000 > cause["typical"][0] > 500
    assert "actual" not in record and record["user"] == ["u7"]
    es.ml.delete_job(job_id=name)


def test_categories_of_messages(es):
    name = "messages"
    analysis = {
        "bucket_span": "1h",
        "categorization_field_name": "message",
        "categorization_filters": ["(?i)AGAIN", r"\p{Lu}{9}\d"],
        "detectors": [{"function": "count", "by_field_name": "mlcategory"}],
    }
    es.ml.put_job(job_id=name, analysis_config=analysis, data_description=DESCRIPTION)
    es.ml.open_job(job_id=name)
    kinds = ["Node {} started in zone {}", "Connection to {} refused after {} tries"]
    data = [
        {"time": (START + 60 * minute) * 1000, "message": kinds[minute % 2].format(minute, 3 * minute)}
        for minute in range(300)
    ]
    es.ml.post_data(job_id=name, data=data)
    es.ml.flush_job(job_id=name)
    found = es.ml.get_categories(job_id=name)
    assert found["count"] == 2
    first = found["categories"][0]
    assert (first["category_id"], first["num_matches"], first["terms"]) == (1, 150, "Node started in zone")
    # The server's own patterns are at work in the binary as it is built, not only in tests.
    assert first["grok_pattern"] == ".*?Node.+?%{NUMBER:field}.+?started.+?in.+?zone.*?%{NUMBER:field2}.*"
    assert len(first["examples"]) == 4 and first["max_matching_length"] > 20
    assert es.ml.get_categories(job_id=name, category_id="2")["categories"] == found["categories"][1:]
    es.ml.delete_job(job_id=name, force=True)


def test_metric_is_refused_where_records_are_summaries(es):
    analysis = {"summary_count_field_name": "n", "detectors": [{"function": "metric", "field_name": "v"}]}
    with pytest.raises(BadRequestError) as refused:
        es.ml.put_job(job_id="refused", analysis_config=analysis, data_description=DESCRIPTION)
    assert "cannot be used in jobs that will take pre-summarized input" in str(refused.value.body)
