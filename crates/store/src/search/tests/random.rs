//! Random documents and requests: what an index answers is what looking at every document says.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

use super::{HOUR, T, bare, plain};
use crate::Store;
use crate::index::{Creation, Op, Write};
use crate::query::{Context, Document, Dsl};
use crate::search::{Datum, RuntimeFields, Scan, Search, Target, View, scan, summary};

fn mappings() -> Value {
    json!({"properties": {
        "time": {"type": "date"}, "value": {"type": "double"}, "bytes": {"type": "long"}, "up": {"type": "boolean"},
        "host": {"type": "keyword"}, "tags": {"type": "keyword"}, "ip": {"type": "ip"},
        "message": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        "object": {"properties": {"name": {"type": "keyword"}}},
        "parts": {"type": "nested", "properties": {"name": {"type": "keyword"}, "size": {"type": "long"}}}
    }})
}

fn one_or_more(value: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => value.clone(),
        1 => prop::collection::vec(value, 0..3).prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn words() -> impl Strategy<Value = String> + Clone {
    prop::collection::vec(select(vec!["disk", "is", "full", "Memory", "low"]), 1..5)
        .prop_map(|words| words.join(" "))
}

fn document() -> impl Strategy<Value = Value> {
    let host = || select(vec!["web-1", "web-2", "db", "Ä"]).prop_map(Value::from);
    let field = |name: &'static str, value: BoxedStrategy<Value>| {
        prop::option::weighted(0.8, value)
            .prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    let part = (select(vec!["a", "b"]), 0..3_i64)
        .prop_map(|(name, size)| json!({"name": name, "size": size}));
    let fields = vec![
        field(
            "time",
            (0..8_i64, 0..3_i64)
                .prop_map(|(h, ms)| json!(T + h * HOUR / 2 + ms))
                .boxed(),
        ),
        field(
            "value",
            one_or_more((-6..6_i64).prop_map(|half| json!(half as f64 / 2.0))).boxed(),
        ),
        field(
            "bytes",
            one_or_more((0..30_i64).prop_map(Value::from)).boxed(),
        ),
        field(
            "up",
            one_or_more(any::<bool>().prop_map(Value::from)).boxed(),
        ),
        field("host", host().boxed()),
        field("tags", one_or_more(host()).boxed()),
        field(
            "ip",
            select(vec!["10.0.0.1", "10.0.1.1", "192.168.0.1", "::1"])
                .prop_map(Value::from)
                .boxed(),
        ),
        field(
            "message",
            one_or_more(words().prop_map(Value::from)).boxed(),
        ),
        field(
            "object",
            host().prop_map(|name| json!({"name": name})).boxed(),
        ),
        field(
            "parts",
            prop::collection::vec(part, 0..3)
                .prop_map(Value::from)
                .boxed(),
        ),
    ];
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect::<Map<_, _>>()))
}

fn range(
    field: &'static str,
    ends: impl Strategy<Value = Value> + Clone + 'static,
) -> BoxedStrategy<Value> {
    let end = |names: [&'static str; 2], ends| prop::option::of((select(names.to_vec()), ends));
    (end(["gt", "gte"], ends.clone()), end(["lt", "lte"], ends))
        .prop_map(move |(from, to)| {
            let ends = from.into_iter().chain(to);
            let said: Map<String, Value> = ends.map(|(name, end)| (name.to_owned(), end)).collect();
            json!({"range": {field: said}})
        })
        .boxed()
}

fn leaf() -> impl Strategy<Value = Value> {
    let host = || select(vec!["web-1", "web-2", "db", "none", "Ä"]);
    let keyword = || {
        select(vec![
            "host",
            "tags",
            "object.name",
            "message.raw",
            "unknown",
        ])
    };
    let any_field = select(vec![
        "time", "value", "bytes", "up", "host", "tags", "ip", "message", "object", "unknown", "_id",
    ]);
    prop_oneof![
        Just(json!({"match_all": {}})),
        (keyword(), host()).prop_map(|(field, host)| json!({"term": {field: host}})),
        (keyword(), prop::collection::vec(host(), 0..3))
            .prop_map(|(field, hosts)| json!({"terms": {field: hosts}})),
        (-6..6_i64).prop_map(|half| json!({"term": {"value": half as f64 / 2.0}})),
        (0..30_i64).prop_map(|bytes| json!({"term": {"bytes": bytes}})),
        prop::collection::vec(0..30_i64, 0..12)
            .prop_map(|bytes| json!({"terms": {"bytes": bytes}})),
        any::<bool>().prop_map(|up| json!({"term": {"up": up}})),
        range(
            "value",
            (-6..6_i64).prop_map(|half| json!(half as f64 / 2.0))
        ),
        range(
            "bytes",
            (-1..31_i64).prop_map(|half| json!(half as f64 / 2.0))
        ),
        range(
            "time",
            (0..8_i64).prop_map(|half| json!(T + half * HOUR / 2))
        ),
        range(
            "host",
            select(vec!["a", "db", "web-1", "z"]).prop_map(Value::from)
        ),
        range(
            "ip",
            select(vec!["10.0.0.1", "10.0.0.255", "::ffff:0:0"]).prop_map(Value::from)
        ),
        Just(json!({"term": {"time": "2016-06-01"}})),
        Just(
            json!({"range": {"time": {"gte": "2016-06-01T01:00", "lt": "2016-06-01T01:00||+1h"}}})
        ),
        select(vec!["10.0.0.0/16", "10.0.0.1", "::/0"]).prop_map(|ip| json!({"term": {"ip": ip}})),
        any_field.prop_map(|field| json!({"exists": {"field": field}})),
        (keyword(), select(vec!["web", "d", ""]))
            .prop_map(|(field, prefix)| json!({"prefix": {field: prefix}})),
        (keyword(), select(vec!["web-?", "*b*", "*"]), any::<bool>()).prop_map(
            |(field, pattern, ignore)| {
                json!({"wildcard": {field: {"value": pattern, "case_insensitive": ignore}}})
            }
        ),
        (keyword(), select(vec!["web-[12]", "d.*|Ä", ".*"]))
            .prop_map(|(field, pattern)| json!({"regexp": {field: pattern}})),
        (words(), select(vec!["or", "and"])).prop_map(|(text, operator)| {
            json!({"match": {"message": {"query": text, "operator": operator}}})
        }),
        words().prop_map(
            |text| json!({"match": {"message": {"query": text, "minimum_should_match": 2}}})
        ),
        words().prop_map(|text| json!({"match_phrase": {"message": text}})),
        select(vec!["disk is f", "mem", "is fu"])
            .prop_map(|text| json!({"match_phrase_prefix": {"message": text}})),
        select(vec!["disk", "Disk", "full"]).prop_map(|word| json!({"term": {"message": word}})),
        select(vec!["dis", "mem", "x"]).prop_map(|word| json!({"prefix": {"message": word}})),
        prop::collection::vec(0..40_u32, 0..5).prop_map(|ids| {
            json!({"ids": {"values": ids.iter().map(u32::to_string).collect::<Vec<_>>()}})
        }),
        (select(vec!["a", "b"]), 0..3_i64, any::<bool>()).prop_map(|(name, size, not)| {
            let within = json!([{"term": {"parts.name": name}}]);
            let size = json!([{"term": {"parts.size": size}}]);
            let other = if not { "must_not" } else { "filter" };
            json!({"nested": {"path": "parts", "query": {"bool": {"must": within, other: size}}}})
        }),
        select(vec![
            "host:web* AND NOT up:true",
            "web-1 OR disk",
            "message:\"is full\"",
            "bytes:[5 TO 20}",
            "bytes:>10 -host:db",
            "_exists_:tags",
            "(disk memory) AND up:true",
        ])
        .prop_map(|text| json!({"query_string": {"query": text}})),
    ]
}

fn query() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(2, 8, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..3);
        (some(), some(), some(), some(), prop::option::of(0..3_u32)).prop_map(
            |(must, filter, should, not, least)| {
                let mut said =
                    json!({"must": must, "filter": filter, "should": should, "must_not": not});
                if let Some(least) = least {
                    said["minimum_should_match"] = least.into();
                }
                json!({"bool": said})
            },
        )
    })
}

fn metric() -> impl Strategy<Value = Value> {
    let kinds = select(vec![
        "min",
        "max",
        "avg",
        "sum",
        "stats",
        "value_count",
        "cardinality",
    ]);
    (kinds, select(vec!["value", "bytes", "time", "unknown"]))
        .prop_map(|(kind, field)| json!({kind: {"field": field}}))
}

fn source() -> impl Strategy<Value = Value> {
    (
        prop_oneof![
            select(vec!["host", "tags", "bytes", "up"])
                .prop_map(|field| json!({"terms": {"field": field}})),
            Just(json!({"date_histogram": {"field": "time", "fixed_interval": "1h"}})),
            Just(json!({"histogram": {"field": "value", "interval": 1.5}})),
        ],
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(mut source, desc, missing)| {
            for body in source.as_object_mut().unwrap().values_mut() {
                body["order"] = if desc { "desc" } else { "asc" }.into();
                // Those without a value go first or last, as the order says; the plain one knows the first alone.
                body["missing_bucket"] = (missing && !desc).into();
            }
            source
        })
}

fn parts() -> impl Strategy<Value = Value> {
    prop_oneof![
        (select(vec!["host", "tags", "bytes", "value", "up", "time"]), 1..6_u32)
            .prop_map(|(field, size)| json!({"terms": {"field": field, "size": size}})),
        (select(vec!["30m", "1h", "1d"]), 0..3_u64).prop_map(|(interval, least)| {
            json!({"date_histogram": {"field": "time", "fixed_interval": interval, "min_doc_count": least}})
        }),
        (select(vec![1.5, 2.0]), select(vec!["value", "bytes"]), 0..2_u64).prop_map(|(interval, field, least)| {
            json!({"histogram": {"field": field, "interval": interval, "min_doc_count": least}})
        }),
        leaf().prop_map(|query| json!({"filter": query})),
        Just(json!({"missing": {"field": "value"}})),
        Just(json!({"range": {"field": "value", "ranges": [{"to": 0.0}, {"from": 0.0, "to": 1.5}, {"from": 1.5}]}})),
    ]
}

fn aggs() -> impl Strategy<Value = Value> {
    let with = |parts: Value, subs: Vec<Value>| {
        let mut parts = parts;
        if !subs.is_empty() {
            let named = subs
                .into_iter()
                .enumerate()
                .map(|(at, sub)| (format!("s{at}"), sub));
            parts["aggs"] = Value::Object(named.collect());
        }
        parts
    };
    let inner = (parts(), prop::collection::vec(metric(), 0..2))
        .prop_map(move |(parts, subs)| with(parts, subs));
    let within = prop_oneof![metric(), inner];
    let outer = prop_oneof![
        4 => parts(),
        1 => (prop::collection::vec(source(), 1..3), 1..5_u32).prop_map(|(sources, size)| {
            let named: Vec<Value> = sources.into_iter().enumerate().map(|(at, source)| json!({format!("k{at}"): source})).collect();
            json!({"composite": {"sources": named, "size": size}})
        }),
    ];
    prop_oneof![
        1 => metric().boxed(),
        3 => (outer, prop::collection::vec(within, 0..3)).prop_map(move |(parts, subs)| with(parts, subs)).boxed(),
    ]
    .prop_map(|one| json!({"x": one}))
}

/// Two indices with documents in several segments, some written twice or deleted.
struct Indices {
    store: Store,
    targets: Vec<Target>,
    /// What is there, in the order of writing: index, id, document.
    documents: Vec<(&'static str, String, Value)>,
    _dir: tempfile::TempDir,
}

async fn indices(documents: &[(bool, bool, Value)], deleted: &[usize]) -> Indices {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let mut targets = Vec::new();
    let mut there = Vec::new();
    for (name, is_second) in [("a", false), ("b", true)] {
        let creation = Creation {
            mappings: mappings(),
            ..Creation::default()
        };
        let index = store.indices().create(name, creation).await.unwrap();
        let mut own: Vec<(&'static str, String, Value)> = Vec::new();
        for (number, (second, refresh, source)) in documents.iter().enumerate() {
            if *second != is_second {
                continue;
            }
            // Some ids come twice.
            let id = (number % 30).to_string();
            let write = Write {
                id: Some(id.clone()),
                source: source.to_string().into(),
                ..Write::default()
            };
            index
                .write(vec![write])
                .await
                .unwrap()
                .remove(0)
                .result
                .unwrap();
            own.retain(|(_, known, _)| *known != id);
            own.push((name, id, source.clone()));
            if *refresh {
                index.refresh().await.unwrap();
            }
        }
        for number in deleted {
            let id = number.to_string();
            let write = Write {
                op: Op::Delete,
                id: Some(id.clone()),
                ..Write::default()
            };
            index.write(vec![write]).await.unwrap();
            own.retain(|(_, known, _)| *known != id);
        }
        index.refresh().await.unwrap();
        there.extend(own);
        targets.push(Target::Documents {
            view: View::new(index.reader().unwrap(), RuntimeFields::new()),
            filter: None,
        });
    }
    Indices {
        store,
        targets,
        documents: there,
        _dir: dir,
    }
}

impl Indices {
    fn matches(&self, query: &Value, document: (&str, &str, &Value)) -> bool {
        let (index, id, source) = document;
        let Some(Target::Documents { view, .. }) = self.targets.iter().find(|t| t.index() == index)
        else {
            panic!("{index}");
        };
        let query = Dsl::new(query.clone())
            .unwrap()
            .read(&Context::new(view))
            .unwrap();
        query.matches(Document {
            index,
            id,
            source,
            schema: Some(view),
        })
    }

    fn matching(&self, query: &Value) -> Vec<&(&'static str, String, Value)> {
        let all = self.documents.iter();
        all.filter(|(index, id, source)| self.matches(query, (index, id, source)))
            .collect()
    }
}

fn sorted(body: &Value) -> Search {
    Search::parse(body.as_object().unwrap().clone()).unwrap()
}

fn first(source: &Value, field: &str, greatest: bool) -> Option<f64> {
    let numbers = plain::values(source, field)
        .into_iter()
        .filter_map(Value::as_f64);
    match greatest {
        true => numbers.reduce(f64::max),
        false => numbers.reduce(f64::min),
    }
}

fn missing_last(a: Option<f64>, b: Option<f64>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descending => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 30,
        rng_seed: RngSeed::Fixed(4),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_index_answers_what_looking_at_every_document_says(
        documents in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.2), document()), 0..45),
        deleted in prop::collection::vec(0..45_usize, 0..4),
        asked in prop::collection::vec((query(), aggs()), 24),
    ) {
        runtime().block_on(async {
            let indices = indices(&documents, &deleted).await;
            for (query, mut aggs) in asked {
                let expected = indices.matching(&query);
                let names = |all: &[&(&'static str, String, Value)]| -> Vec<String> {
                    let mut names: Vec<String> = all.iter().map(|(index, id, _)| format!("{index}/{id}")).collect();
                    names.sort();
                    names
                };
                let sources: Vec<&Value> = expected.iter().map(|(.., source)| source).collect();
                let matches = |query: &Value, source: &Value| {
                    let document = indices.documents.iter().find(|(.., known)| std::ptr::eq(known, source)).unwrap();
                    indices.matches(query, (document.0, &document.1, source))
                };
                // The first page of a composite, and the next.
                for _ in 0..2 {
                    let body = json!({"query": query, "aggs": aggs, "size": 100});
                    let found = indices.store.search(&indices.targets, &sorted(&body)).await;
                    let found = found.unwrap_or_else(|error| panic!("{body}: {error}"));
                    let mut hits: Vec<String> = found.hits.iter().map(|hit| format!("{}/{}", hit.index, hit.id)).collect();
                    hits.sort();
                    prop_assert_eq!(&hits, &names(&expected), "{}", &query);
                    prop_assert_eq!(found.total, expected.len() as u64);
                    let plain = plain::answer(&aggs, &sources, &matches);
                    let answer = Value::Object(found.aggregations.unwrap());
                    prop_assert_eq!(bare(&answer), bare(&plain), "{} {}", &query, &aggs);
                    match plain["x"].get("after_key") {
                        Some(key) => aggs["x"]["composite"]["after"] = key.clone(),
                        None => break,
                    }
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn pages_follow_each_other(
        documents in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.2), document()), 0..30),
        query in query(), descending in any::<bool>(), size in 1..5_i64,
    ) {
        runtime().block_on(async {
            let indices = indices(&documents, &[]).await;
            let mut expected = indices.matching(&query);
            expected.sort_by(|a, b| {
                missing_last(first(&a.2, "value", descending), first(&b.2, "value", descending), descending)
                    .then(missing_last(first(&a.2, "time", false), first(&b.2, "time", false), false))
            });
            let order = if descending { "desc" } else { "asc" };
            let mut body = json!({"query": query, "size": size, "sort": [{"value": order}, "time", "_shard_doc"]});
            let mut all = Vec::new();
            loop {
                let found = indices.store.search(&indices.targets, &sorted(&body)).await.unwrap();
                let Some(last) = found.hits.last() else {
                    break;
                };
                body["search_after"] = last.sort.clone().into();
                all.extend(found.hits.iter().map(|hit| format!("{}/{}", hit.index, hit.id)));
            }
            let expected: Vec<String> = expected.iter().map(|(index, id, _)| format!("{index}/{id}")).collect();
            prop_assert_eq!(all, expected);
            Ok(())
        })?;
    }

    #[test]
    fn a_scan_gives_every_document_of_a_window_in_order(
        documents in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.2), document()), 0..45),
        deleted in prop::collection::vec(0..45_usize, 0..4),
        query in query(), start in 0..6_i64, length in 0..6_i64,
    ) {
        runtime().block_on(async {
            let indices = indices(&documents, &deleted).await;
            let window = T + start * HOUR / 2..T + (start + length) * HOUR / 2;
            let mut expected: Vec<(i64, &Value)> = indices
                .matching(&query)
                .into_iter()
                .filter_map(|(.., source)| Some((source["time"].as_i64()?, source)))
                .filter(|(time, _)| window.contains(time))
                .collect();
            expected.sort_by_key(|(time, _)| *time);
            let dsl = Dsl::new(query.clone()).unwrap();
            let fields = ["host", "value", "message", "ip", "unknown"].map(str::to_owned);
            let what = Scan { query: &dsl, time_field: "time", window: window.clone(), fields: &fields };
            let mut rows = scan(&indices.targets, &what).unwrap();
            for (time, source) in &expected {
                prop_assert_eq!(rows.next_time().unwrap(), Some(*time));
                let mut row = rows.next().unwrap().unwrap();
                prop_assert_eq!(row.time, *time);
                for (at, field) in fields.iter().enumerate() {
                    let mut found = Vec::new();
                    row.each(at, &mut |value| found.push(value.owned())).unwrap();
                    let expected = plain::values(source, field);
                    let mut expected: Vec<Datum> = expected.into_iter().filter_map(Datum::of).collect();
                    for list in [&mut found, &mut expected] {
                        list.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
                    }
                    prop_assert_eq!(found, expected, "{}", field);
                }
            }
            prop_assert!(rows.next().unwrap().is_none());
            let told = summary(&indices.targets, &dsl, "time", window).unwrap();
            prop_assert_eq!(told.documents, expected.len() as u64);
            prop_assert_eq!(told.earliest, expected.first().map(|(time, _)| *time));
            prop_assert_eq!(told.latest, expected.last().map(|(time, _)| *time));
            Ok(())
        })?;
    }
}
