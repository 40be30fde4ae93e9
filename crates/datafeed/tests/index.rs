//! The server's own indices as a datafeed reads them, against what the documents say themselves.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidewatch_datafeed::Projection;
use tidewatch_datafeed::config::{Histogram, HistogramKind, IndicesOptions};
use tidewatch_datafeed::source::{Source, SourceError, Sources, Summary, Wanted, Window};
use tidewatch_jobs::{Clock, Jobs, Settings};
use tidewatch_model::record::Schema;
use tidewatch_model::time_format::TimeFormat;
use tidewatch_model::units::Memory;
use tidewatch_store::Store;
use tidewatch_store::index::{Creation, Op, Write};

const HOUR: i64 = 3_600_000;
const ALL: Window = Window {
    start: 0,
    end: i64::MAX / 2,
};

async fn start(directory: &std::path::Path) -> Jobs {
    let store = Store::open(directory).await.unwrap();
    let settings = Settings {
        max_open_jobs: 1,
        node_memory: Memory::mebibytes(100),
        max_model_memory_limit: None,
        threads: 1,
        checkpoint_journal_bytes: 1 << 20,
        background_persist_interval: Duration::from_secs(3_600),
        maintenance: cron::Schedule::from_str("0 30 0 * * *").unwrap(),
        clock: Clock::default(),
    };
    Jobs::start(store, settings).await.unwrap()
}

async fn create(jobs: &Jobs, name: &str) {
    let mappings = json!({"properties": {
        "time": {"type": "date"},
        "v": {"type": "double"},
        "k": {"type": "keyword"},
        "b": {"type": "boolean"},
        "text": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
        "at": {"type": "date_nanos"}
    }});
    let creation = Creation {
        mappings,
        settings: json!({"refresh_interval": "-1"}),
        aliases: json!({}),
    };
    jobs.store().indices().create(name, creation).await.unwrap();
}

async fn write(jobs: &Jobs, index: &str, documents: impl IntoIterator<Item = (String, Value)>) {
    let index = jobs.store().indices().get(index).unwrap();
    let writes = documents.into_iter().map(|(id, source)| Write {
        op: Op::Index,
        id: Some(id),
        source: source.to_string().into_bytes().into(),
        routing: None,
        if_seq_no: None,
        if_primary_term: None,
        version: None,
    });
    let outcomes = index.write(writes.collect()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    index.refresh().await.unwrap();
}

fn wanted(indices: &str) -> Wanted {
    let mut schema = Schema::default();
    schema.column("v", true, false);
    schema.column("k", false, true);
    schema.column("b", false, true);
    let Value::Object(query) = json!({"match_all": {}}) else {
        unreachable!()
    };
    Wanted {
        datafeed_id: "d".to_owned(),
        indices: indices.split(',').map(str::to_owned).collect(),
        query,
        aggregations: None,
        runtime_mappings: Map::new(),
        script_fields: Map::new(),
        indices_options: IndicesOptions::default(),
        histogram: None,
        page_size: 1_000,
        projection: Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs)),
        written_time: TimeFormat::EpochMs,
        bucket_span: HOUR,
        summary_is_doc_count: false,
    }
}

fn open(jobs: &Jobs, wanted: Wanted) -> Box<dyn Source> {
    let sources = Sources::new(&BTreeMap::new(), Some(jobs.clone())).unwrap();
    sources.open(wanted).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        unreachable!()
    };
    map
}

/// The records of each page as lines: time, and the number and text of each field. Pages never share a time.
async fn pages(source: &dyn Source, window: Window) -> Vec<Vec<String>> {
    let mut pages = source.read(window).await.unwrap();
    let mut all = Vec::new();
    let mut given = i64::MIN;
    while let Some(page) = pages.next().await.unwrap() {
        let mut lines = Vec::new();
        for record in page.batch.records() {
            assert!(
                given <= record.time && record.time < page.until,
                "{}",
                page.until
            );
            let field = |at| {
                let number = record
                    .number(at)
                    .map_or("-".to_owned(), |number| number.to_string());
                format!("{number}/{}", record.text(at).unwrap_or("-"))
            };
            lines.push(format!(
                "{} {} {} {}",
                record.time,
                field(0),
                field(1),
                field(2)
            ));
        }
        given = page.until;
        all.push(lines);
    }
    assert!(given <= window.end);
    all
}

/// The line of a document.
fn line(document: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let all = |name: &str| match &document[name] {
        Value::Null => "-".to_owned(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => {
            // As columns have words: each once, in their order.
            let mut values: Vec<String> = values.iter().map(text).collect();
            values.sort();
            values.join(",")
        }
        value => text(value),
    };
    let number = match &document["v"] {
        Value::Array(values) if values.len() == 1 => values[0].to_string(),
        Value::Number(number) => number.to_string(),
        _ => "-".to_owned(),
    };
    let number = number
        .parse::<f64>()
        .map_or(number, |number| number.to_string());
    format!(
        "{} {number}/- -/{} -/{}",
        document["time"],
        all("k"),
        all("b")
    )
}

fn document() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(Value::Null),
        (-50..50_i32).prop_map(|n| json!(f64::from(n) / 4.0)),
        Just(json!([1.5, 2.5])),
        Just(json!([3.0])),
    ];
    let word = prop_oneof![
        Just(Value::Null),
        Just(json!("a")),
        Just(json!("b c")),
        Just(json!(["y", "x"])),
    ];
    let truth = prop_oneof![Just(Value::Null), Just(json!(true)), Just(json!(false))];
    (0..12_i64, value, word, truth)
        .prop_map(|(time, v, k, b)| json!({"time": 1_000_000 + time * 500, "v": v, "k": k, "b": b}))
}

/// What is written: to which index, under which id, and what; and after how many a refresh.
type Writes = Vec<Vec<(bool, u8, Value)>>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn documents_come_as_they_were_written(
        writes in prop::collection::vec(prop::collection::vec((any::<bool>(), 0..30_u8, document()), 1..12), 1..4),
        only in prop::option::of(prop::sample::select(vec!["a", "x"])),
        window in (0..14_i64, 0..14_i64),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(as_they_were_written(writes, only, window));
    }
}

async fn as_they_were_written(writes: Writes, only: Option<&str>, window: (i64, i64)) {
    let directory = tempfile::tempdir().unwrap();
    let jobs = start(directory.path()).await;
    let names = ["one", "two"];
    for name in names {
        create(&jobs, name).await;
    }
    // The last write of an id counts, and its place is that of the write.
    let mut written: Vec<(usize, u8, Value)> = Vec::new();
    for batch in writes {
        for (at, name) in names.iter().enumerate() {
            let of_index: Vec<_> = batch
                .iter()
                .filter(|(two, ..)| usize::from(*two) == at)
                .collect();
            for (_, id, document) in &of_index {
                written.retain(|(index, known, _)| (*index, *known) != (at, *id));
                written.push((at, *id, document.clone()));
            }
            let documents = of_index
                .iter()
                .map(|(_, id, document)| (id.to_string(), document.clone()));
            write(&jobs, name, documents).await;
        }
    }
    let window = Window {
        start: 1_000_000 + window.0 * 500 - 1,
        end: 1_000_000 + window.1 * 500,
    };
    let is_in = |document: &Value| {
        let time = document["time"].as_i64().unwrap();
        let has = |wanted: &str| match &document["k"] {
            Value::Array(words) => words.contains(&json!(wanted)),
            word => *word == json!(wanted),
        };
        (window.start..window.end).contains(&time) && only.is_none_or(has)
    };
    let mut expected: Vec<_> = written
        .iter()
        .filter(|(.., document)| is_in(document))
        .collect();
    expected.sort_by_key(|(index, _, document)| (document["time"].as_i64(), *index));

    let mut wanted = wanted("one,tw*");
    if let Some(word) = only {
        wanted.query = object(json!({"term": {"k": word}}));
    }
    let source = open(&jobs, wanted);
    source.check().await.unwrap();
    let found: Vec<String> = pages(&*source, window).await.concat();
    let lines: Vec<String> = expected
        .iter()
        .map(|(.., document)| line(document))
        .collect();
    assert_eq!(found, lines);

    let times: Vec<i64> = expected
        .iter()
        .map(|(.., document)| document["time"].as_i64().unwrap())
        .collect();
    let summary = Summary {
        earliest: times.first().copied(),
        latest: times.last().copied(),
        documents: times.len() as u64,
    };
    assert_eq!(source.summary(window).await.unwrap(), summary);
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for time in &times {
        *counts.entry(time.div_euclid(1_000) * 1_000).or_default() += 1;
    }
    let counted = source.counts(window, 1_000).await.unwrap();
    assert_eq!(counted, counts.into_iter().collect::<Vec<_>>());

    let preview = source.preview(window, 3).await.unwrap();
    assert_eq!(preview.len(), times.len().min(3));
    for (record, time) in preview.iter().zip(&times) {
        assert_eq!(record["time"], *time);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pages_are_cut_between_times() {
    let directory = tempfile::tempdir().unwrap();
    let jobs = start(directory.path()).await;
    create(&jobs, "i").await;
    // 37 documents a time, out of order, in several segments; and a time with more than a page.
    let mut documents: Vec<(String, Value)> = (0..12_000_i64)
        .map(|n| n * 7_919 % 12_000)
        .map(|n| {
            (
                n.to_string(),
                json!({"time": 1_000_000 + n / 37, "v": n as f64, "k": "x"}),
            )
        })
        .collect();
    documents.extend((0..5_000).map(|n| (format!("l{n}"), json!({"time": 9_999_999, "v": 1.0}))));
    let mut order: Vec<(i64, usize)> = Vec::new();
    for (at, (_, document)) in documents.iter().enumerate() {
        order.push((document["time"].as_i64().unwrap(), at));
    }
    order.sort_unstable();
    let lines: Vec<String> = order
        .iter()
        .map(|(_, at)| line(&documents[*at].1))
        .collect();
    for part in documents.chunks(5_000) {
        write(&jobs, "i", part.to_vec()).await;
    }
    let source = open(&jobs, wanted("i"));
    let pages = pages(&*source, ALL).await;
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert!(sizes.len() > 2, "{sizes:?}");
    assert!(pages.iter().all(|page| page.len() < 10_000));
    assert_eq!(pages.concat(), lines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fields_are_made_up_by_scripts() {
    let directory = tempfile::tempdir().unwrap();
    let jobs = start(directory.path()).await;
    create(&jobs, "i").await;
    let document = json!({
        "time": 7 * HOUR, "v": 2.5, "k": ["b", "a"], "text": "Hello World", "at": "1970-01-01T00:00:01.234567891Z",
        "loose": {"n": 4}
    });
    write(&jobs, "i", [("1".to_owned(), document)]).await;
    let mut schema = Schema::default();
    for (name, number) in [
        ("hour", true),
        ("double", true),
        ("text", false),
        ("at", false),
        ("loose.n", true),
    ] {
        schema.column(name, number, !number);
    }
    let wanted = Wanted {
        projection: Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs)),
        runtime_mappings: object(json!({
            "hour": {"type": "long", "script": "emit(doc['time'].value.hour)"},
            "loose.n": {"type": "long"}
        })),
        script_fields: object(json!({
            "double": {"script": {"source": "doc['v'].value * params.by + doc['hour'].value", "params": {"by": 2}}}
        })),
        query: object(json!({"range": {"hour": {"gte": 7}}})),
        ..wanted("i")
    };
    let source = open(&jobs, wanted.clone());
    source.check().await.unwrap();
    let preview = source.preview(ALL, 10).await.unwrap();
    assert_eq!(
        Value::from(preview),
        json!([{"time": 7 * HOUR, "hour": 7, "double": 12.0, "text": "Hello World", "at": 1_234, "loose.n": 4}])
    );
    let mut pages = source.read(ALL).await.unwrap();
    let page = pages.next().await.unwrap().unwrap();
    let record = page.batch.record(0);
    let numbers = [record.number(0), record.number(1), record.number(4)];
    assert_eq!(numbers, [Some(7.0), Some(12.0), Some(4.0)]);
    assert_eq!(
        [record.text(2), record.text(3)],
        [Some("Hello World"), Some("1234")]
    );
    assert!(pages.next().await.unwrap().is_none());

    // A script that fails tells so, and gives no record.
    let failing = Wanted {
        script_fields: object(json!({"double": {"script": "1 / (doc['hour'].value - 7)"}})),
        ..wanted.clone()
    };
    let mut pages = open(&jobs, failing).read(ALL).await.unwrap();
    let error = pages.next().await.unwrap_err();
    assert!(error.to_string().contains("/ by zero"), "{error}");
    // One that can't be compiled is refused beforehand.
    let wrong = Wanted {
        runtime_mappings: object(
            json!({"hour": {"type": "long", "script": "emit(doc['time'].value.foo())"}}),
        ),
        ..wanted
    };
    let error = open(&jobs, wrong).check().await.unwrap_err();
    assert!(error.to_string().contains("foo/0"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cant_be_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let jobs = start(directory.path()).await;
    create(&jobs, "i").await;
    let refused = async |wanted: Wanted| match open(&jobs, wanted).check().await {
        Err(SourceError::Refused { status, reason, .. }) => (status, reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(wanted("utopia")).await,
        (
            404,
            "datafeed [d] cannot retrieve data because index [utopia] does not exist".to_owned()
        )
    );
    assert_eq!(
        refused(wanted("utopia*")).await,
        (400, "datafeed [d] cannot retrieve data because no index matches datafeed's indices [utopia*]".to_owned())
    );
    let mut schema = Schema::default();
    schema.column("airline2", false, true);
    let unmapped = Wanted {
        projection: Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs)),
        ..wanted("i")
    };
    assert_eq!(
        refused(unmapped).await,
        (
            400,
            "[d] cannot retrieve field [airline2] because it has no mappings".to_owned()
        )
    );

    // An index that goes away while it is read from may come again.
    let source = open(&jobs, wanted("i"));
    source.check().await.unwrap();
    jobs.store().indices().delete("i").await.unwrap();
    assert!(matches!(
        source.read(ALL).await.err(),
        Some(SourceError::Unavailable(_))
    ));
    assert!(matches!(
        source.summary(ALL).await,
        Err(SourceError::Unavailable(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn aggregations_are_records() {
    let directory = tempfile::tempdir().unwrap();
    let jobs = start(directory.path()).await;
    create(&jobs, "i").await;
    // Every hour and word: a mean of what was written.
    let mut sums: BTreeMap<(i64, &str), (f64, u64, i64)> = BTreeMap::new();
    let mut documents = Vec::new();
    for n in 0..600_i64 {
        let (time, word) = (n * 90_000, ["a", "b", "c"][(n * 5 % 7 % 3) as usize]);
        documents.push((
            n.to_string(),
            json!({"time": time, "v": n as f64, "k": word}),
        ));
        let (sum, count, last) = sums
            .entry((time.div_euclid(HOUR) * HOUR, word))
            .or_default();
        (*sum, *count, *last) = (*sum + n as f64, *count + 1, time);
    }
    write(&jobs, "i", documents).await;
    let mut expected: Vec<String> = sums
        .iter()
        .map(|((_, word), (sum, count, last))| {
            format!("{last} {word} {} {count}", sum / *count as f64)
        })
        .collect();
    expected.sort();

    let inner = json!({"time": {"max": {"field": "time"}}, "v": {"avg": {"field": "v"}}});
    let histogram = json!({"buckets": {
        "date_histogram": {"field": "time", "fixed_interval": "1h"},
        "aggregations": {"time": inner["time"], "k": {"terms": {"field": "k"}, "aggregations": inner}}
    }});
    let composite = json!({"buckets": {
        "composite": {"size": 7, "sources": [
            {"k": {"terms": {"field": "k"}}},
            {"hour": {"date_histogram": {"field": "time", "fixed_interval": "1h"}}}
        ]},
        "aggregations": inner
    }});
    for (kind, aggregations) in [
        (HistogramKind::DateHistogram, histogram),
        (HistogramKind::Composite, composite),
    ] {
        let mut schema = Schema::default();
        schema.column("k", false, true);
        schema.column("v", true, false);
        schema.column("doc_count", true, false);
        let source = open(
            &jobs,
            Wanted {
                aggregations: Some(object(aggregations)),
                histogram: Some(Histogram {
                    kind,
                    path: vec!["buckets".to_owned()],
                    interval: HOUR,
                    field: "time".to_owned(),
                }),
                summary_is_doc_count: true,
                projection: Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs)),
                ..wanted("i")
            },
        );
        source.check().await.unwrap();
        let mut pages = source
            .read(Window {
                start: 0,
                end: 15 * HOUR,
            })
            .await
            .unwrap();
        let mut found = Vec::new();
        let mut given = i64::MIN;
        while let Some(page) = pages.next().await.unwrap() {
            for record in page.batch.records() {
                assert!(given <= record.time && record.time < page.until);
                let (word, mean, count) = (record.text(0), record.number(1), record.number(2));
                found.push(format!(
                    "{} {} {} {}",
                    record.time,
                    word.unwrap(),
                    mean.unwrap(),
                    count.unwrap()
                ));
            }
            given = page.until;
        }
        found.sort();
        assert_eq!(found, expected, "{kind:?}");
        assert!(!source.preview(ALL, 5).await.unwrap().is_empty());
    }
}
