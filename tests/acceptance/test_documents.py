"""What users of elasticsearch-py and of opensearch-py do with documents of their own: helpers, pages, points in time."""

import pytest
from elasticsearch import ConflictError, NotFoundError
from elasticsearch.helpers import BulkIndexError, bulk, parallel_bulk, reindex, scan, streaming_bulk
from opensearchpy import OpenSearch
from opensearchpy import helpers as opensearch_helpers

COUNT = 5_000
MINUTE = 60_000


def documents(index, count=COUNT):
    for n in range(count):
        yield {"_index": index, "_id": str(n), "n": n, "host": f"web-{n % 5}", "@timestamp": n * MINUTE}


@pytest.fixture
def logs(es):
    bulk(es, documents("py-logs"), refresh=True)
    yield "py-logs"
    es.indices.delete(index="py-logs")


def test_bulk_and_scan(es, logs):
    assert es.count(index=logs)["count"] == COUNT
    seen = [hit["_source"]["n"] for hit in scan(es, index=logs, size=700)]
    assert sorted(seen) == list(range(COUNT))
    query = {"query": {"term": {"host.keyword": "web-3"}}, "sort": [{"n": "desc"}]}
    ordered = [hit["_source"]["n"] for hit in scan(es, index=logs, query=query, size=300, preserve_order=True)]
    assert ordered == list(range(COUNT - 2, 0, -5))


def test_bulk_tells_of_what_is_refused(es):
    actions = [{"_index": "py-refused", "_id": "1", "n": 1}, {"_index": "py-refused", "_id": "2", "n": "a word"}]
    with pytest.raises(BulkIndexError) as refused:
        bulk(es, actions, refresh=True)
    [error] = refused.value.errors
    assert error["index"]["status"] == 400
    assert error["index"]["error"]["type"] == "document_parsing_exception"
    deletions = [{"_op_type": "delete", "_index": "py-refused", "_id": id} for id in ("1", "2")]
    results = list(streaming_bulk(es, deletions, raise_on_error=False, refresh="wait_for"))
    assert [ok for ok, _ in results] == [True, False]
    assert all(ok for ok, _ in parallel_bulk(es, documents("py-refused", 1_000), chunk_size=100))
    updates = [{"_op_type": "update", "_index": "py-refused", "_id": "7", "doc": {"seen": True}}]
    assert bulk(es, updates) == (1, [])
    assert es.get(index="py-refused", id="7")["_source"]["seen"] is True
    es.indices.delete(index="py-refused")


def test_reindex_by_the_helper(es, logs):
    copied, _ = reindex(es, logs, "py-copy", query={"query": {"range": {"n": {"lt": 100}}}})
    assert copied == 100
    es.indices.refresh(index="py-copy")
    assert es.count(index="py-copy")["count"] == 100
    es.indices.delete(index="py-copy")


def test_one_document(es):
    made = es.index(index="py-one", id="1", document={"a": 1}, refresh=True)
    assert made["result"] == "created"
    with pytest.raises(ConflictError):
        es.create(index="py-one", id="1", document={"a": 2})
    es.update(index="py-one", id="1", doc={"b": 2})
    got = es.get(index="py-one", id="1")
    assert got["_source"] == {"a": 1, "b": 2}
    es.index(index="py-one", id="1", document={}, if_seq_no=got["_seq_no"], if_primary_term=got["_primary_term"])
    with pytest.raises(ConflictError):
        es.delete(index="py-one", id="1", if_seq_no=got["_seq_no"], if_primary_term=got["_primary_term"])
    assert es.exists(index="py-one", id="1")
    assert not es.exists(index="py-one", id="2")
    assert es.mget(index="py-one", ids=["1", "2"])["docs"][1]["found"] is False
    es.delete(index="py-one", id="1")
    with pytest.raises(NotFoundError):
        es.get(index="py-one", id="1")
    es.indices.delete(index="py-one")


def test_pages_of_a_point_in_time(es, logs):
    pit = es.open_point_in_time(index=logs, keep_alive="1m")["id"]
    es.index(index=logs, id="late", document={"n": -1}, refresh=True)
    seen, after = [], None
    while True:
        page = es.search(
            pit={"id": pit, "keep_alive": "1m"}, sort=[{"host.keyword": "asc"}], size=900, search_after=after
        )
        if not page["hits"]["hits"]:
            break
        seen += [hit["_source"]["n"] for hit in page["hits"]["hits"]]
        after = page["hits"]["hits"][-1]["sort"]
    assert sorted(seen) == list(range(COUNT))
    assert es.close_point_in_time(id=pit)["succeeded"]
    with pytest.raises(NotFoundError):
        es.search(pit={"id": pit})


def test_indices_and_aliases(es, logs):
    es.indices.create(index="py-made", mappings={"properties": {"x": {"type": "long"}}}, aliases={"py-alias": {}})
    assert es.indices.exists(index="py-made") and es.indices.exists_alias(name="py-alias")
    es.indices.put_mapping(index="py-made", properties={"y": {"type": "keyword"}})
    assert es.indices.get_mapping(index="py-alias")["py-made"]["mappings"]["properties"]["y"] == {"type": "keyword"}
    es.indices.update_aliases(actions=[{"add": {"index": "py-*", "alias": "py-all"}}])
    assert set(es.indices.get_alias(name="py-all")) == {"py-made", logs}
    assert es.field_caps(index="py-all", fields="n")["fields"]["n"]["long"]["searchable"]
    assert [row["index"] for row in es.cat.indices(index="py-*", format="json", s="index")] == [logs, "py-made"]
    es.indices.put_settings(index="py-made", settings={"index": {"refresh_interval": "30s"}})
    assert es.indices.get_settings(index="py-made")["py-made"]["settings"]["index"]["refresh_interval"] == "30s"
    assert es.indices.stats(index=logs)["_all"]["primaries"]["docs"]["count"] == COUNT
    done = es.delete_by_query(index=logs, query={"range": {"n": {"gte": 1_000}}}, refresh=True)
    assert done["deleted"] == COUNT - 1_000
    es.indices.delete(index="py-made")


def test_dashboards_aggregate(es, logs):
    found = es.search(
        index=logs,
        size=0,
        aggs={
            "hosts": {"terms": {"field": "host.keyword"}, "aggs": {"most": {"max": {"field": "n"}}}},
            "hours": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1h"}},
        },
    )
    hosts = found["aggregations"]["hosts"]["buckets"]
    assert [bucket["doc_count"] for bucket in hosts] == [COUNT // 5] * 5
    assert found["hits"]["total"] == {"value": COUNT, "relation": "eq"}


def test_opensearch_client(url):
    client = OpenSearch(url)
    assert opensearch_helpers.bulk(client, documents("os-logs", 500), refresh=True)[0] == 500
    assert len(list(opensearch_helpers.scan(client, index="os-logs", size=90))) == 500
    pit = client.create_pit(index="os-logs", params={"keep_alive": "1m"})["pit_id"]
    body = {"pit": {"id": pit, "keep_alive": "1m"}, "sort": [{"n": "asc"}], "size": 3}
    page = client.search(body=body)
    body["search_after"] = page["hits"]["hits"][-1]["sort"]
    assert [hit["_source"]["n"] for hit in client.search(body=body)["hits"]["hits"]] == [3, 4, 5]
    assert client.delete_pit(body={"pit_id": [pit]})["pits"][0]["successful"]
    client.index(index="os-logs", id="x", body={"n": 1}, refresh=True)
    assert client.get(index="os-logs", id="x")["found"]
    assert client.msearch(body=[{"index": "os-logs"}, {"size": 1}])["responses"][0]["hits"]["total"]["value"] == 501
    client.indices.delete(index="os-logs")
