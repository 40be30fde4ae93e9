"""What a user of boto3's `amp` does with anomaly detectors, against a server whose source is a Prometheus of the test's
own, which has a wave with a spike in each series."""

import datetime
import hashlib
import hmac
import http.server
import json
import math
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

boto3 = pytest.importorskip("boto3")
botocore = pytest.importorskip("botocore")

from conftest import PATIENCE_SECONDS, serving  # noqa: E402

WORKSPACE = "ws-11111111-2222-3333-4444-555555555555"
OTHER = "ws-others"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
INTERVAL = 30
QUERY = "avg by (instance) (load)"


class Prometheus(http.server.BaseHTTPRequestHandler):
    """Answers every query with the same two series."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        if form.get("query", "").startswith("avg(refused"):
            return self.answer(400, {"status": "error", "errorType": "bad_data", "error": "refused by the source"})
        if self.path.endswith("/labels"):
            return self.answer(200, {"status": "success", "data": ["instance"]})
        if self.path.endswith("/query"):
            return self.answer(200, {"status": "success", "data": {"resultType": "vector", "result": []}})
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        times = [start + n * step for n in range(int((end - start) / step) + 1)]
        result = [
            {"metric": {"instance": name}, "values": [[t, repr(self.value(name, t))] for t in times]}
            for name in ("a", "b")
        ]
        self.answer(200, {"status": "success", "data": {"resultType": "matrix", "result": result}})

    @classmethod
    def value(cls, name, at):
        noise = math.sin(at * 12.9898 + ord(name)) * 43758.5453 % 1.0
        spike = 80.0 if name == "a" and 0 <= cls.spike - at < INTERVAL else 0.0
        return 10.0 + math.sin(at / 600.0) + 0.2 * noise + spike

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def prometheus():
    Prometheus.spike = time.time() - 600
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def configured(folder, prometheus, more=""):
    path = folder / "settings.toml"
    path.write_text(
        f"""
[sources.prom]
kind = "prometheus"
url = "{prometheus}"
workspace = "{WORKSPACE}"
[sources.more]
kind = "prometheus"
url = "{prometheus}"
workspace = "{OTHER}"
[amp]
history = "5h"
{more}
"""
    )
    return ["--config", str(path)]


def client_of(url, key=KEY, secret=SECRET, token=None, **config):
    return boto3.client(
        "amp",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=botocore.config.Config(retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture(scope="module")
def server(prometheus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("amp")
    with serving(folder, *configured(folder, prometheus)) as url:
        yield url


@pytest.fixture(scope="module")
def amp(server):
    return client_of(server)


def signed_at(url, minutes):
    """The status and body of a list that was signed by a clock that is so many minutes ahead."""
    path = f"/workspaces/{WORKSPACE}/anomalydetectors"
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    time_text, host = at.strftime("%Y%m%dT%H%M%SZ"), url.removeprefix("http://")
    scope = f"{time_text[:8]}/us-east-1/aps/aws4_request"
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n{path}\n\nhost:{host}\nx-amz-date:{time_text}\n\nhost;x-amz-date\n{empty}"
    text = f"AWS4-HMAC-SHA256\n{time_text}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    headers = {"X-Amz-Date": time_text, "Authorization": authorization}
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def forest(query=QUERY, **more):
    return {"randomCutForest": {"query": query, **more}}


def create(amp, alias, workspace=WORKSPACE, **more):
    more.setdefault("configuration", forest())
    more.setdefault("evaluationIntervalInSeconds", INTERVAL)
    return amp.create_anomaly_detector(workspaceId=workspace, alias=alias, **more)


def of(response):
    return {"workspaceId": WORKSPACE, "anomalyDetectorId": response["anomalyDetectorId"]}


def active(amp, response):
    waiter = amp.get_waiter("anomaly_detector_active")
    waiter.wait(**of(response), WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE_SECONDS})
    return amp.describe_anomaly_detector(**of(response))["anomalyDetector"]


def delete(amp, response):
    amp.delete_anomaly_detector(**of(response))
    waiter = amp.get_waiter("anomaly_detector_deleted")
    waiter.wait(**of(response), WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE_SECONDS})


def test_a_detector_from_creation_to_deletion(amp, server):
    made = create(amp, "first", tags={"team": "x"}, labels={"env": "test"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["ResponseMetadata"]["RequestId"]
    assert made["status"] == {"statusCode": "CREATING"} and made["tags"] == {"team": "x"}
    assert made["arn"].endswith(f":anomalydetector/{WORKSPACE}/{made['anomalyDetectorId']}")
    shown = active(amp, made)
    assert shown["alias"] == "first" and shown["labels"] == {"env": "test"}
    assert shown["evaluationIntervalInSeconds"] == INTERVAL
    assert shown["configuration"] == forest(shingleSize=8, sampleSize=256)
    assert shown["createdAt"] == shown["modifiedAt"]
    assert shown["tags"] == {"team": "x"} and "missingDataAction" not in shown

    # What is left out is as if it had never been set.
    put = amp.put_anomaly_detector(**of(made), configuration=forest(shingleSize=4))
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert put["status"]["statusCode"] == "UPDATING" and put["arn"] == made["arn"]
    shown = active(amp, made)
    assert shown["alias"] == "first" and shown["tags"] == {"team": "x"}
    assert shown["evaluationIntervalInSeconds"] == 60 and shown["labels"] == {}
    assert shown["configuration"] == forest(shingleSize=4, sampleSize=256)
    assert shown["modifiedAt"] > shown["createdAt"]

    listed = amp.list_anomaly_detectors(workspaceId=WORKSPACE, alias="first")["anomalyDetectors"]
    assert [one["anomalyDetectorId"] for one in listed] == [made["anomalyDetectorId"]]
    assert "configuration" not in listed[0]
    delete(amp, made)
    with pytest.raises(amp.exceptions.ResourceNotFoundException) as raised:
        amp.describe_anomaly_detector(**of(made))
    assert raised.value.response["resourceId"] == made["anomalyDetectorId"]
    assert raised.value.response["resourceType"] == "AnomalyDetector"


def test_every_member_of_the_documented_request_comes_back(amp):
    wanted = {
        "evaluationIntervalInSeconds": 123,
        "missingDataAction": {"markAsAnomaly": True},
        "configuration": forest(
            shingleSize=12,
            sampleSize=300,
            ignoreNearExpectedFromAbove={"amount": 123.0},
            ignoreNearExpectedFromBelow={"ratio": 123.0},
        ),
        "labels": {"string": "string"},
    }
    named = "ad-Named.by_the-client"
    put = amp.put_anomaly_detector(workspaceId=WORKSPACE, anomalyDetectorId=named, clientToken="string", **wanted)
    documented = {"anomalyDetectorId", "arn", "status", "tags", "ResponseMetadata"}
    assert set(put) == documented and put["status"]["statusCode"] == "CREATING"
    shown = active(amp, put)
    assert {name: shown[name] for name in wanted} == wanted
    assert shown["alias"] == named
    delete(amp, put)


def test_the_same_token_does_the_same_once(amp):
    token = str(uuid.uuid4())
    first = create(amp, "once", clientToken=token)
    again = create(amp, "once", clientToken=token)
    assert again["anomalyDetectorId"] == first["anomalyDetectorId"]
    with pytest.raises(amp.exceptions.ConflictException) as raised:
        create(amp, "twice", clientToken=token)
    assert raised.value.response["resourceId"] == first["anomalyDetectorId"]
    with pytest.raises(amp.exceptions.ConflictException):
        create(amp, "once")
    active(amp, first)
    change = {"configuration": forest(shingleSize=5), "clientToken": token}
    amp.put_anomaly_detector(**of(first), **change)
    changed = active(amp, first)["modifiedAt"]
    assert amp.put_anomaly_detector(**of(first), **change)["status"]["statusCode"] == "ACTIVE"
    assert active(amp, first)["modifiedAt"] == changed
    with pytest.raises(amp.exceptions.ConflictException):
        amp.put_anomaly_detector(**of(first), configuration=forest(), clientToken=token)
    for _ in range(2):
        amp.delete_anomaly_detector(**of(first), clientToken=token)
    amp.get_waiter("anomaly_detector_deleted").wait(**of(first))
    amp.delete_anomaly_detector(**of(first), clientToken=token)
    with pytest.raises(amp.exceptions.ResourceNotFoundException):
        amp.delete_anomaly_detector(**of(first))


def test_lists_have_pages(amp):
    made = [create(amp, f"page-{n}") for n in range(5)]
    pages = amp.get_paginator("list_anomaly_detectors").paginate(
        workspaceId=WORKSPACE, PaginationConfig={"PageSize": 2}
    )
    pages = [page["anomalyDetectors"] for page in pages]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {one["alias"] for page in pages for one in page} == {f"page-{n}" for n in range(5)}
    for one in made:
        delete(amp, one)


def test_tags_come_and_go(amp):
    made = create(amp, "tagged", tags={"a": "1"})
    arn = made["arn"]
    amp.tag_resource(resourceArn=arn, tags={"b": "2", "c:d/e": ""})
    assert amp.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": "2", "c:d/e": ""}
    amp.untag_resource(resourceArn=arn, tagKeys=["a", "c:d/e", "never"])
    assert active(amp, made)["tags"] == {"b": "2"}
    with pytest.raises(amp.exceptions.ResourceNotFoundException):
        amp.list_tags_for_resource(resourceArn=arn + "0")
    with pytest.raises(amp.exceptions.ValidationException):
        amp.tag_resource(resourceArn=arn, tags={"aws:x": "1"})
    delete(amp, made)


WRONG = [
    ({"alias": "_x"}, ["alias"]),
    ({"alias": "x" * 65}, ["alias"]),
    ({"configuration": forest("up")}, ["configuration.randomCutForest.query"]),
    ({"configuration": forest("sum(a) / sum(b)")}, ["configuration.randomCutForest.query"]),
    ({"configuration": forest("avg(" + "a" * 8192 + ")")}, ["configuration.randomCutForest.query"]),
    (
        {"configuration": forest(shingleSize=1025, sampleSize=1025)},
        ["configuration.randomCutForest.shingleSize", "configuration.randomCutForest.sampleSize"],
    ),
    ({"labels": {"a" * 7169: "1"}}, ["labels." + "a" * 7169]),
    ({"labels": {"a": "1" * 7169}}, ["labels.a"]),
    ({"evaluationIntervalInSeconds": 90000}, ["evaluationIntervalInSeconds"]),
    ({"labels": {"__a": "1"}}, ["labels.__a"]),
    ({"labels": {"a-b": "1"}}, ["labels.a-b"]),
    ({"labels": {f"l{n}": "1" for n in range(141)}}, ["labels"]),
    ({"tags": {"aws:a": "1"}}, ["tags.aws:a"]),
    ({"tags": {f"t{n}": "1" for n in range(51)}}, ["tags"]),
    ({"clientToken": "with blanks"}, ["clientToken"]),
    ({"workspace": "ws-unknown"}, ["workspaceId"]),
]


@pytest.mark.parametrize("change, fields", WRONG)
def test_what_is_wrong_is_named(amp, change, fields):
    asked = {"alias": "wrong", **change}
    with pytest.raises(amp.exceptions.ValidationException) as raised:
        create(amp, asked.pop("alias"), **asked)
    response = raised.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["reason"] == "FIELD_VALIDATION_FAILED"
    assert [field["name"] for field in response["fieldList"]] == fields
    assert all(field["message"] for field in response["fieldList"])


def test_unions_have_one_member_whatever_the_client_checks(server):
    amp = client_of(server, parameter_validation=False)
    both = {"skip": True, "markAsAnomaly": True}
    with pytest.raises(amp.exceptions.ValidationException) as raised:
        create(amp, "both", missingDataAction=both)
    assert raised.value.response["fieldList"][0]["name"] == "missingDataAction"
    with pytest.raises(amp.exceptions.ValidationException) as raised:
        create(amp, "typed", evaluationIntervalInSeconds="60")
    assert raised.value.response["reason"] == "CANNOT_PARSE"
    with pytest.raises(amp.exceptions.ValidationException):
        amp.describe_anomaly_detector(workspaceId=WORKSPACE, anomalyDetectorId="zz 1")
    with pytest.raises(amp.exceptions.ResourceNotFoundException) as raised:
        amp.list_anomaly_detectors(workspaceId="ws-unknown")
    assert raised.value.response["resourceType"] == "Workspace"


def test_what_the_source_refuses_is_told(amp):
    made = create(amp, "refused", configuration=forest("avg(refused)"))
    for _ in range(PATIENCE_SECONDS):
        status = amp.describe_anomaly_detector(**of(made))["anomalyDetector"]["status"]
        if status["statusCode"] != "CREATING":
            break
        time.sleep(1)
    # It stays so: the client's waiter knows no failure.
    with pytest.raises(botocore.exceptions.WaiterError):
        amp.get_waiter("anomaly_detector_active").wait(**of(made), WaiterConfig={"Delay": 1, "MaxAttempts": 2})
    assert status["statusCode"] == "CREATION_FAILED" and "refused by the source" in status["statusReason"]
    delete(amp, made)


def test_quotas_throttling_and_keys(prometheus, tmp_path):
    keys = f"""
max_detectors = 1
[[amp.keys]]
access_key_id = "{KEY}"
secret_access_key = "{SECRET}"
[[amp.keys]]
access_key_id = "AKIDOTHER"
secret_access_key = "other"
workspaces = ["{OTHER}"]
[[amp.keys]]
access_key_id = "ASIALENT"
secret_access_key = "lent"
session_token = "lent-token"
"""
    with serving(tmp_path, *configured(tmp_path, prometheus, keys)) as url:
        amp = client_of(url)
        made = create(amp, "only")
        with pytest.raises(amp.exceptions.ServiceQuotaExceededException) as raised:
            create(amp, "second")
        response = raised.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 402
        assert response["resourceId"] == WORKSPACE and response["serviceCode"] == "aps" and response["quotaCode"]
        amp.tag_resource(resourceArn=made["arn"], tags={"signed": "yes"})
        amp.list_anomaly_detectors(workspaceId=WORKSPACE, alias="only", maxResults=5)

        other = client_of(url, "AKIDOTHER", "other")
        assert other.list_anomaly_detectors(workspaceId=OTHER)["anomalyDetectors"] == []
        for denied in (
            lambda: other.describe_anomaly_detector(**of(made)),
            lambda: other.list_tags_for_resource(resourceArn=made["arn"]),
        ):
            with pytest.raises(other.exceptions.AccessDeniedException):
                denied()
        for client, code in (
            (client_of(url, secret="wrong"), "InvalidSignatureException"),
            (client_of(url, key="AKIDNOBODY"), "UnrecognizedClientException"),
            (client_of(url, signature_version=botocore.UNSIGNED), "MissingAuthenticationTokenException"),
        ):
            with pytest.raises(botocore.exceptions.ClientError) as raised:
                client.list_anomaly_detectors(workspaceId=WORKSPACE)
            assert raised.value.response["Error"]["Code"] == code

        # A URL that was signed, and is handed on.
        listing = "list_anomaly_detectors", {"workspaceId": WORKSPACE, "maxResults": 5}
        signed = amp.generate_presigned_url(*listing, ExpiresIn=60)
        with urllib.request.urlopen(signed) as answer:
            assert [one["alias"] for one in json.load(answer)["anomalyDetectors"]] == ["only"]
        other_url = amp.generate_presigned_url("list_anomaly_detectors", {"workspaceId": OTHER})
        for wrong, code in (
            (signed.replace("maxResults=5", "maxResults=6"), "InvalidSignatureException"),
            (signed.replace("X-Amz-Expires=60", "X-Amz-Expires=0"), "IncompleteSignatureException"),
            (signed.split("&X-Amz-Signature")[0], "IncompleteSignatureException"),
            (other_url.replace(OTHER, WORKSPACE), "InvalidSignatureException"),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(wrong)
            assert refused.value.headers["x-amzn-errortype"] == code, wrong

        # A key that is lent has a token.
        lent = client_of(url, "ASIALENT", "lent", token="lent-token")
        assert lent.list_anomaly_detectors(workspaceId=WORKSPACE)["anomalyDetectors"]
        with urllib.request.urlopen(lent.generate_presigned_url(*listing)) as answer:
            assert answer.status == 200
        for wrong in (
            client_of(url, "ASIALENT", "lent"),
            client_of(url, "ASIALENT", "lent", token="another"),
            client_of(url, token="lent-token"),
        ):
            with pytest.raises(botocore.exceptions.ClientError) as raised:
                wrong.list_anomaly_detectors(workspaceId=WORKSPACE)
            assert raised.value.response["Error"]["Code"] == "UnrecognizedClientException"

        # Clocks that are wrong, by signatures that are right.
        for minutes, told in ((-6, "Signature expired"), (6, "Signature not yet current"), (4, None)):
            status, body = signed_at(url, minutes)
            assert (status == 200) if told is None else (status == 403 and told in body["message"]), body
            assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

        urllib.request.urlopen(urllib.request.Request(f"{url}/_ml/set_upgrade_mode?enabled=true", method="POST"))
        with pytest.raises(amp.exceptions.ThrottlingException) as raised:
            amp.put_anomaly_detector(**of(made), configuration=forest())
        assert raised.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
        urllib.request.urlopen(urllib.request.Request(f"{url}/_ml/set_upgrade_mode?enabled=false", method="POST"))
        active(amp, made)


def ask(url, path, **parameters):
    """Status and body of a request to the API of Prometheus, its parameters as a form."""
    form = urllib.parse.urlencode(parameters).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}{path}", data=form)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def matrix(url, query, workspace=f"/workspaces/{WORKSPACE}"):
    """Values by time, by the labels of each series."""
    end = time.time()
    status, body = ask(url, f"{workspace}/api/v1/query_range", query=query, start=end - 7200, end=end, step=INTERVAL)
    assert status == 200 and body["data"]["resultType"] == "matrix", body
    return {
        frozenset(series["metric"].items()): {at: float(value) for at, value in series["values"]}
        for series in body["data"]["result"]
    }


@pytest.fixture(scope="module")
def found(amp):
    made = create(
        amp,
        "series",
        configuration=forest(ignoreNearExpectedFromBelow={"amount": 1000.0}),
        labels={"env": "test"},
        missingDataAction={"skip": True},
    )
    active(amp, made)
    yield made
    delete(amp, made)


def test_the_spike_is_found_and_served_as_series(server, found):
    spike = Prometheus.spike // INTERVAL * INTERVAL
    labels = {"alias": "series", "env": "test", "instance": "a", "__name__": "anomaly_detector:score"}
    end = time.time()
    times = {"start": spike - 3600, "end": spike + 60, "step": INTERVAL}
    status, body = ask(
        server,
        f"/workspaces/{WORKSPACE}/api/v1/query_range",
        query='anomaly_detector:score{alias="series"} > 0.1',
        **times,
    )
    assert status == 200, body
    a = [series for series in body["data"]["result"] if series["metric"] == labels]
    assert len(a) == 1, body
    assert any(spike - INTERVAL <= at <= spike + INTERVAL for at, _ in a[0]["values"]), (spike, body)

    for metric in ("value", "score", "upper_band", "lower_band"):
        series = matrix(server, f'anomaly_detector:{metric}{{alias="series"}}')
        assert {dict(labels)["instance"] for labels in series} == {"a", "b"}
        assert all(len(values) > 100 for values in series.values())
    values = matrix(server, 'anomaly_detector:value{alias="series",instance="a"}', "")
    (values,) = values.values()
    assert max(values.values()) > 80

    rule = 'max_over_time(anomaly_detector:score{alias="series",instance=~"a|c"}[2m]) > 0.1'
    status, body = ask(server, "/api/v1/query", query=rule, time=spike + 60)
    assert status == 200 and body["data"]["resultType"] == "vector", body
    assert [one["metric"].get("instance") for one in body["data"]["result"]] == ["a"]
    status, body = ask(server, "/api/v1/query", query='anomaly_detector:score{alias="series"}', time=end - 4 * 3600 * 24)
    assert body["data"]["result"] == []

    window = {"start": end - 3600, "end": end}
    status, body = ask(server, f"/workspaces/{WORKSPACE}/api/v1/labels", **window)
    assert body["data"] == ["__name__", "alias", "env", "instance"]
    status, body = ask(server, "/api/v1/series", **{"match[]": '{alias="series",instance="b"}'}, **window)
    assert {one["__name__"] for one in body["data"]} == {
        f"anomaly_detector:{metric}" for metric in ("value", "score", "upper_band", "lower_band")
    }
    with urllib.request.urlopen(f"{server}/workspaces/{WORKSPACE}/api/v1/label/instance/values") as answer:
        assert json.load(answer) == {"status": "success", "data": ["a", "b"]}


def test_the_detector_is_a_job_with_a_datafeed(server, amp, found):
    with urllib.request.urlopen(f"{server}/_ml/anomaly_detectors/{found['anomalyDetectorId']}") as answer:
        (job,) = json.load(answer)["jobs"]
    settings = job["custom_settings"]
    assert settings["engine"] == "random_cut_forest" and settings["prometheus"]["alias"] == "series"
    assert job["datafeed_config"]["query"]["promql"]["query"] == QUERY
    path = f"{server}/_ml/anomaly_detectors/{found['anomalyDetectorId']}/results/records?record_score=1"
    with urllib.request.urlopen(path) as answer:
        records = json.load(answer)["records"]
    times = {record["timestamp"] for record in records if '"a"' in record["partition_field_value"]}
    assert any(abs(at / 1000 - Prometheus.spike) <= 2 * INTERVAL for at in times), records
    assert amp.describe_anomaly_detector(**of(found))["anomalyDetector"]["status"]["statusCode"] == "ACTIVE"


def test_what_is_no_part_of_the_api_is_refused_as_prometheus_does(server):
    for query in ("rate(x[5m])", "x{", "", "sum(x, y)", "x[5m:1m]", "x @ 5", "x + on (a) group_left y"):
        status, body = ask(server, "/api/v1/query", query=query)
        assert status == 400 and body["status"] == "error" and body["errorType"] == "bad_data", body
        assert body["error"].startswith('invalid parameter "query": '), body
    status, body = ask(server, "/api/v1/query_range", query="x", start=0, end=1e6, step=1)
    assert status == 400 and "exceeded maximum resolution" in body["error"]
    status, body = ask(server, "/workspaces/ws-unknown/api/v1/query", query="x")
    assert status == 404 and body["resourceType"] == "Workspace"


def test_panels_and_alerts_ask_in_promql(server, found):
    def values(query, at=None):
        status, body = ask(server, f"/workspaces/{WORKSPACE}/api/v1/query", query=query, time=at or time.time())
        assert status == 200, body
        return {one["metric"].get("instance"): float(one["value"][1]) for one in body["data"]["result"]}

    alias = '{alias="series"}'
    assert values(f"count(anomaly_detector:score{alias})") == {None: 2.0}
    assert values(f"max by (instance) (max_over_time(anomaly_detector:score{alias}[1h])) > 0.1").keys() >= {"a"}
    late = time.time() + 1200
    assert values(f"anomaly_detector:value{alias} offset 20m", late).keys() == {"a", "b"}
    assert values(f"anomaly_detector:value{alias}", late) == {}
    within = (
        f"anomaly_detector:value{alias} > anomaly_detector:lower_band{alias} "
        f"and anomaly_detector:value{alias} < anomaly_detector:upper_band{alias}"
    )
    status, body = ask(
        server, "/api/v1/query_range", query=within, start=time.time() - 3600, end=time.time(), step=INTERVAL
    )
    assert status == 200
    # Of a stationary series nearly all values lie within their bands.
    assert all(len(one["values"]) > 105 for one in body["data"]["result"]), body
    share = values(f"avg_over_time(anomaly_detector:score{alias}[1h]) * 100 / 100 - 0")
    assert all(0 <= value <= 1 for value in share.values()) and len(share) == 2


def test_a_preview_needs_no_detector(server):
    end = time.time() // INTERVAL * INTERVAL
    times = {"start": end - 3600 * 4, "end": end, "step": INTERVAL}
    path = f"/workspaces/{WORKSPACE}/anomalydetectors/preview"
    status, body = ask(server, path, query=f"RCF({QUERY}, 8, 256)", **times)
    assert status == 200 and body["data"]["resultType"] == "matrix", body
    series = {}
    for one in body["data"]["result"]:
        key = (one["metric"]["instance"], one["metric"].get("anomaly_detector_preview"))
        series[key] = {at: float(value) for at, value in one["values"]}
    assert set(series) == {
        (name, band) for name in ("a", "b") for band in (None, "upper_band", "lower_band", "score")
    }
    spike = Prometheus.spike // INTERVAL * INTERVAL
    assert max(series["a", "score"].get(spike + n * INTERVAL, 0) for n in (-1, 0, 1)) > 0
    # The bands begin when enough was seen.
    assert min(series["a", "upper_band"]) >= times["start"] + 64 * INTERVAL
    status, body = ask(server, path, query="RCF(up)", **times)
    assert status == 400 and "aggregation" in body["error"]


def test_workspaces_are_sources(server, amp):
    pages = amp.get_paginator("list_workspaces").paginate(PaginationConfig={"PageSize": 1})
    listed = {one["workspaceId"]: one for page in pages for one in page["workspaces"]}
    assert set(listed) == {WORKSPACE, OTHER}
    amp.get_waiter("workspace_active").wait(workspaceId=WORKSPACE)
    shown = amp.describe_workspace(workspaceId=WORKSPACE)["workspace"]
    assert shown["prometheusEndpoint"] == f"{server}/workspaces/{WORKSPACE}/"
    assert shown["createdAt"] == listed[WORKSPACE]["createdAt"] and shown["status"] == {"statusCode": "ACTIVE"}
    amp.update_workspace_alias(workspaceId=WORKSPACE, alias=" production ")
    amp.tag_resource(resourceArn=shown["arn"], tags={"a": "1", "b": "2"})
    amp.untag_resource(resourceArn=shown["arn"], tagKeys=["a"])
    (found,) = amp.list_workspaces(alias="prod")["workspaces"]
    assert found["workspaceId"] == WORKSPACE and found["alias"] == "production" and found["tags"] == {"b": "2"}
    assert amp.list_tags_for_resource(resourceArn=shown["arn"])["tags"] == {"b": "2"}
    with pytest.raises(amp.exceptions.ConflictException):
        amp.delete_workspace(workspaceId=WORKSPACE)
    # No source stands for others here.
    with pytest.raises(amp.exceptions.ValidationException) as raised:
        amp.create_workspace(alias="new")
    assert "settings" in raised.value.response["message"]
    with pytest.raises(amp.exceptions.ResourceNotFoundException):
        amp.describe_workspace(workspaceId="ws-unknown")
    with pytest.raises(amp.exceptions.ResourceNotFoundException):
        amp.describe_alert_manager_definition(workspaceId=WORKSPACE)
    with pytest.raises(amp.exceptions.ValidationException) as raised:
        amp.create_rule_groups_namespace(workspaceId=WORKSPACE, name="x", data=b"")
    assert raised.value.response["reason"] == "UNKNOWN_OPERATION"


def test_workspaces_can_be_made_where_a_source_stands_for_them(prometheus, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[sources.prom]\nkind = "prometheus"\nurl = "{prometheus}"\n[amp]\nhistory = "1h"\n')
    with serving(tmp_path, "--config", str(settings)) as url:
        amp = client_of(url)
        token = str(uuid.uuid4())
        made = amp.create_workspace(alias="new", tags={"team": "x"}, clientToken=token)
        assert made["ResponseMetadata"]["HTTPStatusCode"] == 202 and made["workspaceId"].startswith("ws-")
        assert made["arn"].endswith(f":workspace/{made['workspaceId']}") and made["tags"] == {"team": "x"}
        again = amp.create_workspace(alias="new", tags={"team": "x"}, clientToken=token)
        assert again["workspaceId"] == made["workspaceId"]
        with pytest.raises(amp.exceptions.ConflictException):
            amp.create_workspace(alias="other", clientToken=token)
        of_it = {"workspaceId": made["workspaceId"]}
        amp.get_waiter("workspace_active").wait(**of_it)
        create(amp, "within", **{"workspace": made["workspaceId"]})
        assert amp.delete_workspace(**of_it)["ResponseMetadata"]["HTTPStatusCode"] == 202
        amp.get_waiter("workspace_deleted").wait(**of_it)
        assert amp.list_workspaces()["workspaces"] == []
        assert amp.list_anomaly_detectors(**of_it)["anomalyDetectors"] == []
        # An index of that name is in nobody's way.
        index = urllib.request.Request(f"{url}/workspaces", method="PUT")
        with urllib.request.urlopen(index) as answer:
            assert json.load(answer)["acknowledged"]
        with urllib.request.urlopen(f"{url}/workspaces/_search") as answer:
            assert json.load(answer)["hits"]["total"]["value"] == 0


@pytest.mark.skipif(not shutil.which("prometheus"), reason="there is no prometheus on the path")
def test_results_are_written_to_a_real_prometheus(prometheus, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    with open(tmp_path / "prometheus.log", "wb") as log:
        receiver = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        receiver_url = f"http://127.0.0.1:{port}"
        more = f'[amp.remote_write]\nurl = "{receiver_url}/api/v1/write"\n'
        with serving(tmp_path, *configured(tmp_path, prometheus, more)) as url:
            amp = client_of(url)
            active(amp, create(amp, "written"))
            deadline = time.time() + 3 * INTERVAL + PATIENCE_SECONDS
            result = []
            while len(result) < 8 and time.time() < deadline:
                time.sleep(1)
                try:
                    _, body = ask(receiver_url, "/api/v1/query", query='{alias="written"}')
                    result = body["data"]["result"]
                except (urllib.error.URLError, ConnectionError):
                    continue
            names = sorted((one["metric"]["instance"], one["metric"]["__name__"]) for one in result)
            metrics = [f"anomaly_detector:{m}" for m in ("lower_band", "score", "upper_band", "value")]
            assert names == [(name, metric) for name in ("a", "b") for metric in metrics]
            sent = {(one["metric"]["instance"], one["metric"]["__name__"]): one["value"] for one in result}
            at, value = sent["b", "anomaly_detector:value"]
            _, own = ask(url, "/api/v1/query", query='anomaly_detector:value{instance="b"}', time=at)
            assert own["data"]["result"][0]["value"][1] == value
    finally:
        receiver.kill()
        receiver.wait()
