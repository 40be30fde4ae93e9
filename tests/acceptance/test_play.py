"""What a user of google-api-python-client does with the Play Developer Reporting API, by its bundled discovery document.

The data: the crash rate of four versions of an app over thirty days, by the hour, with a daily wave and a little noise.
Two versions crash more for some hours, and one less; its ANRs in two countries, one of which has a bad night, watched by
another job with the other engine; and days of another app, one of them bad.
"""

import json
import math
import random
from datetime import datetime, timedelta, timezone

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

APP = "com.example.shop"
OTHER = "com.example.atlas"
START = datetime(2021, 3, 1, tzinfo=timezone.utc)
HOURS = 30 * 24
DAYS = 120
# By version: the first hour, the end, and what is added to the rate.
CRASHES = {"102": (540, 546, 1.5), "103": (600, 602, 2.0)}
CALM = {"101": (620, 624, -0.6)}
BAD_DAY = 100
NIGHT = (650, 656)


def hourly():
    rng = random.Random(1)
    for hour in range(HOURS):
        wave = 1 + 0.3 * math.sin(2 * math.pi * hour / 24)
        for version in ("101", "102", "103", "104"):
            rate = wave + rng.gauss(0, 0.04)
            first, end, more = (CRASHES | CALM).get(version, (0, 0, 0))
            if first <= hour < end:
                rate += more
            time = START + timedelta(hours=hour, minutes=30)
            yield {"time": int(time.timestamp()), "versionCode": version, "crashRate": round(rate, 5)}


def countries():
    rng = random.Random(3)
    for hour in range(HOURS):
        for country in ("DE", "US"):
            rate = 0.3 + 0.05 * math.sin(2 * math.pi * hour / 24) + rng.gauss(0, 0.01)
            if country == "DE" and NIGHT[0] <= hour < NIGHT[1]:
                rate += 0.6
            time = START + timedelta(hours=hour, minutes=30)
            yield {"time": int(time.timestamp()), "countryCode": country, "anrRate": round(rate, 5)}


def daily():
    rng = random.Random(2)
    for day in range(DAYS):
        # As Google stamps its days: midnight in Los Angeles.
        time = START + timedelta(days=day, hours=8)
        rate = 0.5 + rng.gauss(0, 0.02) + (0.4 if day == BAD_DAY else 0)
        yield {"time": int(time.timestamp()), "userPerceivedAnrRate": round(rate, 5)}


def make(es, job_id, span, detector, play, records, **settings):
    es.ml.put_job(
        job_id=job_id,
        analysis_config={"bucket_span": span, "detectors": [detector]},
        data_description={"time_field": "time", "time_format": "epoch"},
        custom_settings={"play": play, **settings},
    )
    es.ml.open_job(job_id=job_id)
    es.ml.post_data(job_id=job_id, data="\n".join(json.dumps(record) for record in records))
    es.ml.close_job(job_id=job_id)


@pytest.fixture(scope="module")
def play(es, url):
    make(
        es,
        "play-crashes",
        "1h",
        {"function": "mean", "field_name": "crashRate", "partition_field_name": "versionCode"},
        {"app": APP, "metric_set": "crashRateMetricSet", "metric": "crashRate", "worse": "up"},
        hourly(),
    )
    make(
        es,
        "play-countries",
        "1h",
        {"function": "mean", "field_name": "anrRate", "by_field_name": "countryCode"},
        {"app": APP, "metric_set": "anrRateMetricSet", "metric": "anrRate", "worse": "up"},
        countries(),
        engine="random_cut_forest",
    )
    make(
        es,
        "play-anrs",
        "1d",
        {"function": "mean", "field_name": "userPerceivedAnrRate"},
        {"app": OTHER, "metric_set": "anrRateMetricSet", "metric": "userPerceivedAnrRate", "worse": "up"},
        daily(),
    )
    with build(
        "playdeveloperreporting",
        "v1beta1",
        static_discovery=True,
        client_options={"api_endpoint": url},
        credentials=AnonymousCredentials(),
    ) as service:
        yield service
    for job_id in ("play-crashes", "play-countries", "play-anrs"):
        es.ml.delete_job(job_id=job_id, force=True)


def listed(play, **parameters):
    """All pages."""
    request = play.anomalies().list(**parameters)
    found = []
    while request is not None:
        response = request.execute()
        found += response.get("anomalies", [])
        request = play.anomalies().list_next(request, response)
    return found


def crashes(anomalies):
    return [anomaly for anomaly in anomalies if anomaly["metric"]["metric"] == "crashRate"]


def hour(number):
    time = START + timedelta(hours=number)
    return {"year": time.year, "month": time.month, "day": time.day, "hours": time.hour, "timeZone": {"id": "UTC"}}


def refused(request):
    with pytest.raises(HttpError) as error:
        request.execute()
    return error.value


def test_what_got_worse_is_listed(play):
    anomalies = crashes(listed(play, parent=f"apps/{APP}"))
    found = {anomaly["dimensions"][0]["int64Value"]: anomaly for anomaly in anomalies}
    assert len(anomalies) == len(found) == 2 and found.keys() == CRASHES.keys(), anomalies
    for version, (first, end, more) in CRASHES.items():
        anomaly = found[version]
        assert anomaly["name"].startswith(f"apps/{APP}/anomalies/")
        assert anomaly["metricSet"] == f"apps/{APP}/crashRateMetricSet"
        assert anomaly["dimensions"] == [{"dimension": "versionCode", "int64Value": version}]
        assert anomaly["timelineSpec"] == {
            "aggregationPeriod": "HOURLY",
            "startTime": hour(first),
            "endTime": hour(end),
        }
        metric = anomaly["metric"]
        assert metric["metric"] == "crashRate"
        interval = metric["decimalValueConfidenceInterval"]
        lower, upper = (float(interval[bound]["value"]) for bound in ("lowerBound", "upperBound"))
        assert lower < upper < float(metric["decimalValue"]["value"])
        assert float(metric["decimalValue"]["value"]) == pytest.approx(1 + more, abs=0.5)


def test_another_job_watches_the_same_app(play):
    anomalies = listed(play, parent=f"apps/{APP}")
    # A forest is still learning what a day is at first.
    after = f'activeBetween("{(START + timedelta(days=25)).isoformat()}", UNBOUNDED)'
    late = listed(play, parent=f"apps/{APP}", filter=after)
    [anomaly] = [one for one in late if one not in crashes(late)]
    assert anomaly in anomalies
    assert anomaly["metricSet"] == f"apps/{APP}/anrRateMetricSet"
    assert anomaly["dimensions"] == [{"dimension": "countryCode", "stringValue": "DE"}]
    spec = anomaly["timelineSpec"]
    assert (spec["startTime"], spec["endTime"]) == (hour(NIGHT[0]), hour(NIGHT[1]))
    assert len({anomaly["name"] for anomaly in anomalies}) == len(anomalies)


def test_days_are_of_los_angeles(play):
    [anomaly] = listed(play, parent=f"apps/{OTHER}")
    day = START + timedelta(days=BAD_DAY)
    zone = {"id": "America/Los_Angeles"}
    after = day + timedelta(days=1)
    assert anomaly["timelineSpec"] == {
        "aggregationPeriod": "DAILY",
        "startTime": {"year": day.year, "month": day.month, "day": day.day, "timeZone": zone},
        "endTime": {"year": after.year, "month": after.month, "day": after.day, "timeZone": zone},
    }
    assert "dimensions" not in anomaly


def test_pages_of_all_apps(play):
    whole = [anomaly["name"] for anomaly in listed(play, parent="apps/-", pageSize=1000)]
    for size in (1, 2):
        request = play.anomalies().list(parent="apps/-", pageSize=size)
        names = []
        while request is not None:
            response = request.execute()
            assert 1 <= len(response["anomalies"]) <= size
            names += [anomaly["name"] for anomaly in response["anomalies"]]
            request = play.anomalies().list_next(request, response)
        assert names == whole
    assert {name.split("/")[1] for name in whole} == {APP, OTHER}
    assert len(set(whole)) == len(whole) >= 4


def test_what_is_too_long_for_a_uri(play):
    # The client sends it as a form then.
    start = '"2021-03-01T00:00:00Z"'.ljust(900, "\t")
    request = play.anomalies().list(parent=f"apps/{APP}", filter=f"activeBetween({start}, UNBOUNDED)")
    assert len(crashes(request.execute()["anomalies"])) == 2


def test_filter_by_time(play):
    def active(start, end):
        def told(hour):
            time = START + timedelta(hours=hour)
            return f'"{time.astimezone(timezone(timedelta(hours=-4))).isoformat()}"'

        start, end = ("UNBOUNDED" if hour is None else told(hour) for hour in (start, end))
        anomalies = crashes(listed(play, parent=f"apps/{APP}", filter=f"activeBetween({start}, {end})"))
        return sorted(anomaly["dimensions"][0]["int64Value"] for anomaly in anomalies)

    assert active(None, None) == ["102", "103"]
    assert active(None, 540) == []
    assert active(None, 541) == ["102"]
    # Its last hours, long after what was most unusual.
    assert active(545, 546) == ["102"]
    assert active(546, 600) == []
    assert active(545, 601) == ["102", "103"]
    assert active(602, None) == []


def test_errors_have_details(play):
    for parameters, field, told in [
        ({"filter": 'apiLevel = "30"'}, "filter", "expected activeBetween(start, end) at position 0"),
        ({"filter": "activeBetween(UNBOUNDED)"}, "filter", "expected ',' at position 23"),
        ({"pageSize": -1}, "page_size", "-1 is negative"),
        ({"pageToken": "T2"}, "page_token", "no token of this method"),
        ({"fields": "anomalies/colour"}, "fields", "Invalid field selection colour"),
    ]:
        error = refused(play.anomalies().list(parent=f"apps/{APP}", **parameters))
        assert error.status_code == 400
        assert told in error.reason
        [details] = error.error_details
        assert details["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        [violation] = details["fieldViolations"]
        assert violation["field"] == field and told in violation["description"]
    first = play.anomalies().list(parent="apps/-", pageSize=1).execute()
    other = play.anomalies().list(parent="apps/-", pageSize=2, pageToken=first["nextPageToken"])
    assert "all other parameters" in refused(other).reason
    error = refused(play.anomalies().list(parent="apps/com.example.none"))
    assert (error.status_code, error.resp["content-type"].split(";")[0]) == (404, "application/json")


def test_parts_of_an_answer(play):
    fields = "anomalies(metric/decimalValue,dimensions/int64Value)"
    answer = play.anomalies().list(parent=f"apps/{APP}", pageSize=1, fields=fields).execute()
    assert answer.keys() == {"anomalies"}
    [anomaly] = answer["anomalies"]
    assert anomaly.keys() == {"metric", "dimensions"} and anomaly["metric"].keys() == {"decimalValue"}


def test_apps_and_freshness(play):
    assert [app["packageName"] for app in play.apps().search().execute()["apps"]] == [OTHER, APP]
    request = play.apps().search(pageSize=1)
    first = request.execute()
    second = play.apps().search_next(request, first).execute()
    assert [first["apps"][0]["name"], second["apps"][0]["name"]] == [f"apps/{OTHER}", f"apps/{APP}"]
    assert "nextPageToken" not in second
    name = f"apps/{APP}/crashRateMetricSet"
    crashes = play.vitals().crashrate().get(name=name).execute()
    assert crashes["name"] == name
    # The last hour has not ended.
    [freshness] = crashes["freshnessInfo"]["freshnesses"]
    assert freshness == {"aggregationPeriod": "HOURLY", "latestEndTime": hour(HOURS - 1)}
    error = refused(play.vitals().lmkrate().get(name=f"apps/{APP}/lmkRateMetricSet"))
    assert error.status_code == 404


def queried(resource, name, body):
    """All pages."""
    request = resource.query(name=name, body=body)
    found = []
    while request is not None:
        response = request.execute()
        found += response.get("rows", [])
        request = resource.query_next(request, response)
    return found


def test_rows_are_what_was_sent(play):
    name = f"apps/{APP}/crashRateMetricSet"
    spec = {"aggregationPeriod": "HOURLY", "startTime": hour(540), "endTime": hour(546)}
    body = {"metrics": ["crashRate"], "dimensions": ["versionCode"], "timelineSpec": spec, "pageSize": 5}
    rows = queried(play.vitals().crashrate(), name, body)
    sent = {
        (record["time"], record["versionCode"]): record["crashRate"]
        for record in hourly()
        if 540 <= (record["time"] - START.timestamp()) // 3600 < 546
    }
    assert len(rows) == len(sent) == 24
    for row in rows:
        start = row["startTime"]
        time = datetime(start["year"], start["month"], start["day"], start.get("hours", 0), tzinfo=timezone.utc)
        [version] = [value["int64Value"] for value in row["dimensions"]]
        [metric] = row["metrics"]
        value = sent[(int((time + timedelta(minutes=30)).timestamp()), version)]
        assert float(metric["decimalValue"]["value"]) == pytest.approx(value, abs=1e-9)
    # What a filter pins is no dimension.
    body = {"metrics": ["crashRate"], "filter": "versionCode = 102", "timelineSpec": spec}
    rows = queried(play.vitals().crashrate(), name, body)
    assert len(rows) == 6 and all("dimensions" not in row for row in rows)
    # The other engine, and days.
    rows = queried(
        play.vitals().anrrate(),
        f"apps/{APP}/anrRateMetricSet",
        {"dimensions": ["countryCode"], "filter": "countryCode = DE OR countryCode = FR", "timelineSpec": spec},
    )
    assert [row["dimensions"][0]["stringValue"] for row in rows] == ["DE"] * 6
    day = {"year": 2021, "month": 3, "day": 14, "timeZone": {"id": "America/Los_Angeles"}}
    rows = queried(
        play.vitals().anrrate(),
        f"apps/{OTHER}/anrRateMetricSet",
        {"metrics": ["userPerceivedAnrRate"], "timelineSpec": {"aggregationPeriod": "DAILY", "startTime": day}},
    )
    # The day that summer time begins is one, and the last day has not ended.
    assert rows[0]["startTime"] == day and len(rows) == DAYS - 1 - 13


def test_rows_that_there_are_not(play):
    crashrate = play.vitals().crashrate()
    name = f"apps/{APP}/crashRateMetricSet"
    there = "Jobs have: crashRate by [versionCode] (HOURLY)"
    hours = {"aggregationPeriod": "HOURLY"}
    for body, told in [
        ({"metrics": ["distinctUsers"], "timelineSpec": hours}, there),
        ({"metrics": ["crashRate"], "dimensions": ["apiLevel"], "timelineSpec": hours}, there),
        ({"metrics": ["crashRate"], "dimensions": ["versionCode"]}, there),
        ({"metrics": ["colour"]}, "unknown metric colour of crashRateMetricSet"),
        ({"userCohort": "APP_TESTERS"}, "jobs know no cohorts"),
        ({"filter": "versionCode > 1"}, "expected '=' at position 12"),
        ({"pageToken": "T2"}, "no token of this method"),
        ({"timelineSpec": hours | {"startTime": hour(3) | {"minutes": 1}}}, "minutes, seconds and nanos must be unset"),
        ({"timelineSpec": hours | {"startTime": hour(3), "endTime": hour(3)}}, "it must be before the end time"),
    ]:
        error = refused(crashrate.query(name=name, body=body))
        assert error.status_code == 400 and told in error.reason, (body, error)
    error = refused(crashrate.query(name="apps/com.example.none/crashRateMetricSet", body={}))
    assert error.status_code == 404


def test_what_is_not_there_says_so(play):
    for request in [
        play.vitals().errors().issues().search(parent=f"apps/{APP}"),
        play.vitals().errors().reports().search(parent=f"apps/{APP}"),
        play.apps().fetchReleaseFilterOptions(name=f"apps/{APP}"),
    ]:
        error = refused(request)
        assert error.status_code == 501 and "not implemented" in error.reason
