use serde_json::{Value, json};

use super::*;

const TIME: i64 = 1_464_739_200_000;

fn context(ask: impl Fn(&Context<'_>) -> Result<Query, QueryError>) -> Result<Query, QueryError> {
    let schema = Loose(|field| match field {
        "timestamp" => FieldType::Date,
        "record_score" | "detector_index" => FieldType::Number,
        "is_interim" => FieldType::Bool,
        "annotation" => FieldType::Text,
        _ => FieldType::Keyword,
    });
    ask(&Context::new(&schema))
}

fn parsed(json: &Value) -> Result<Query, QueryError> {
    context(|context| parse(json, context))
}

fn documents() -> [(&'static str, Value); 4] {
    [
        (
            "a",
            json!({"job_id": "one", "result_type": "record", "timestamp": TIME, "record_score": 80.5, "is_interim": false,
                   "by_field_value": "A by field", "host.name": ["web-1", "web-2"],
                   "causes": [{"over_field_value": "x"}, {"over_field_value": "y"}]}),
        ),
        (
            "b",
            json!({"job_id": "one", "result_type": "record", "timestamp": TIME + 86_400_000, "record_score": 3,
                   "is_interim": true, "host": {"name": "db"}}),
        ),
        (
            "c",
            json!({"job_id": "two", "result_type": "bucket", "timestamp": TIME + 1, "empty": {}, "none": null}),
        ),
        (
            "d",
            json!({"job_id": "two", "annotation": "Memory is full, again"}),
        ),
    ]
}

fn found(query: &Query) -> String {
    let all = documents();
    let matching = all.iter().filter(|(id, source)| {
        query.matches(Document {
            index: "i",
            id,
            source,
            schema: None,
        })
    });
    matching.map(|(id, _)| *id).collect()
}

#[track_caller]
fn finds(json: Value, expected: &str) {
    let query = parsed(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(found(&query), expected, "{json}");
}

#[track_caller]
fn typed(text: &str, expected: &str) {
    let query = context(|context| query_string(text, context))
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(found(&query), expected, "{text}: {query:?}");
}

#[test]
fn every_kind_of_query_finds_its_documents() {
    finds(json!({"match_all": {}}), "abcd");
    finds(json!({"match_none": {}}), "");
    finds(json!({"term": {"job_id": "one"}}), "ab");
    finds(
        json!({"term": {"job_id": {"value": "ONE", "case_insensitive": true}}}),
        "ab",
    );
    finds(json!({"term": {"record_score": "3"}}), "b");
    finds(json!({"term": {"is_interim": true}}), "b");
    finds(json!({"term": {"causes.over_field_value": "y"}}), "a");
    finds(json!({"terms": {"_id": ["a", "d"], "boost": 1.0}}), "ad");
    finds(json!({"terms": {"host.name": ["web-2", "db"]}}), "ab");
    finds(
        json!({"range": {"record_score": {"gte": 3, "lt": 80.5}}}),
        "b",
    );
    finds(
        json!({"range": {"timestamp": {"gte": "2016-06-01", "lte": "2016-06-01"}}}),
        "ac",
    );
    finds(json!({"range": {"timestamp": {"gt": "2016-06-01"}}}), "b");
    finds(
        json!({"range": {"timestamp": {"from": TIME, "to": TIME, "include_lower": false}}}),
        "",
    );
    finds(json!({"exists": {"field": "record_score"}}), "ab");
    finds(json!({"exists": {"field": "empty"}}), "");
    finds(json!({"exists": {"field": "none"}}), "");
    finds(json!({"exists": {"field": "host"}}), "b");
    finds(json!({"prefix": {"result_type": "re"}}), "ab");
    finds(json!({"wildcard": {"host.name": {"value": "web-?"}}}), "a");
    finds(json!({"ids": {"values": ["b", "z"]}}), "b");
    finds(
        json!({"constant_score": {"filter": {"term": {"job_id": "two"}}}}),
        "cd",
    );
    finds(json!({"match": {"annotation": "full moon"}}), "d");
    finds(
        json!({"match": {"annotation": {"query": "full moon", "operator": "and"}}}),
        "",
    );
    finds(json!({"match_phrase": {"annotation": "is full"}}), "d");
    finds(json!({"match_phrase": {"annotation": "full is"}}), "");
    finds(json!({"match": {"by_field_value": "A by field"}}), "a");
    let term = |job: &str| json!({"term": {"job_id": job}});
    finds(json!({"bool": {"must_not": [term("one")]}}), "cd");
    finds(
        json!({"bool": {"must": term("one"), "should": [term("two")]}}),
        "ab",
    );
    finds(
        json!({"bool": {"filter": [term("one")], "should": [term("two")], "minimum_should_match": 1}}),
        "",
    );
    finds(
        json!({"bool": {"should": [term("one"), term("two")]}}),
        "abcd",
    );
    finds(json!({"bool": {}}), "abcd");
}

#[test]
fn what_people_type_is_understood() {
    typed("A by field", "a");
    typed("one", "ab");
    typed("job_id:one AND NOT is_interim:true", "a");
    typed("job_id:one -is_interim:true", "a");
    typed("+result_type:record +record_score:>50", "a");
    typed("record_score:[1 TO 10] OR job_id:two", "bcd");
    typed("timestamp:2016-06-01", "ac");
    typed("timestamp:{2016-06-01 TO *]", "b");
    typed("result_type:(bucket OR influencer)", "c");
    typed("host.name:web*", "a");
    typed("web-?", "a");
    typed("job_id:*", "abcd");
    typed("_exists_:record_score && !host.name:db", "a");
    typed("\"by field\"", "a");
    typed("by_field_value:\"A by field\"", "a");
    typed("job_id:one AND (record_score:3 OR record_score:4)", "b");
    typed("A\\ by\\ field", "a");
    typed("-job_id:one", "cd");
    typed("job_id:/(one|tw)/", "ab");
    typed("host.name:/web-[0-9]/ OR job_id:/tw[^:]/", "acd");
    typed("job_id:\"one\"^2", "ab");
    typed("(job_id:one)^2 AND is_interim:true^0.5", "b");
    for broken in [
        "job_id:(one",
        "AND",
        "[1 TO 2]",
        "\"open",
        "job_id:",
        "()",
        "record_score:[a TO b]",
        "job_id:/one",
        "one^high",
    ] {
        let error = context(|context| query_string(broken, context)).expect_err(broken);
        assert_eq!(error.kind, "query_shard_exception", "{broken}");
    }
    let fuzzy = context(|context| query_string("annotation:memry~1", context)).expect_err("fuzzy");
    assert!(fuzzy.reason.contains("[memry~1]"), "{fuzzy}");
    let simple = |text: &str| {
        context(|context| simple_query_string(text, context)).map(|query| found(&query))
    };
    assert_eq!(simple("one + record | two"), Ok("abcd".to_owned()));
    assert_eq!(simple("record + -db"), Ok("a".to_owned()));
    assert_eq!(simple("(\"by field\" web*"), Ok("a".to_owned()));
}

#[test]
fn what_is_not_known_is_refused_by_its_name() {
    let refused = |json: Value, reason: &str| {
        let error = parsed(&json).expect_err("refused");
        assert!(error.reason.contains(reason), "{error}");
    };
    refused(
        json!({"more_like_this": {}}),
        "unknown query [more_like_this]",
    );
    refused(
        json!({"bool": {"must": {"geo": {}}}}),
        "unknown query [geo]",
    );
    refused(
        json!({"bool": {"shall": []}}),
        "[bool] query does not support [shall]",
    );
    refused(
        json!({"range": {"timestamp": {"after": 1}}}),
        "[range] query does not support [after]",
    );
    refused(
        json!({"range": {"timestamp": {"gte": "soon"}}}),
        "failed to parse date field [soon]",
    );
    refused(
        json!({"term": {"a": 1, "b": 2}}),
        "doesn't support multiple fields",
    );
    refused(
        json!({"term": {"a": [1]}}),
        "does not support array of values",
    );
    refused(
        json!({"match_all": {"field": "a"}}),
        "[match_all] unknown field [field]",
    );
    refused(
        json!({"exists": {"field": "a", "value": 1}}),
        "[exists] query does not support [value]",
    );
    refused(json!({"terms": {"a": 1}}), "requires an array");
    refused(json!({}), "empty clause found");
    refused(json!([]), "must start with start_object");
    let deep = (0..100).fold(
        json!({"match_all": {}}),
        |inner, _| json!({"bool": {"must": inner}}),
    );
    refused(deep, "maximum nested depth");
}

#[test]
fn wildcards_match_as_they_say() {
    for (pattern, text, matches) in [
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abb", false),
        ("*a*a*", "banana", true),
        ("?", "", false),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("ä?", "äö", true),
    ] {
        assert_eq!(wildcard(pattern, text), matches, "{pattern} {text}");
    }
}
