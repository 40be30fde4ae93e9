use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::*;
use crate::query::{Bounds, Document, Limit, Query};
use crate::testing::{job, open_with_job, tempdir};
use crate::{
    AnnotationRow, ForecastPoint, ForecastRow, ResultKind, ResultRow, ResultWrite, SnapshotRow,
    Store,
};

fn adopted(id: &str, kind: ResultKind, timestamp: i64, doc: Value) -> NewDocument {
    NewDocument {
        id: id.to_owned(),
        only_new: false,
        row: DocumentRow::Result(AdoptedResult {
            job_id: "a".to_owned(),
            kind,
            timestamp,
            score: doc["record_score"].as_f64().unwrap_or_default(),
            is_interim: doc["is_interim"] == true,
            has_own_name: id == names::of_result("a", kind, timestamp, &doc),
            doc: doc.to_string(),
        }),
    }
}

fn record(job_id: &str, timestamp: i64, score: f64) -> Value {
    json!({
        "job_id": job_id, "result_type": "record", "timestamp": timestamp, "record_score": score, "bucket_span": 10,
        "is_interim": timestamp % 30 == 0, "detector_index": 0, "by_field_value": format!("v{}", score as i64 % 3)
    })
}

/// A store with some of everything.
async fn filled(dir: &std::path::Path) -> Store {
    let store = open_with_job(dir, "a").await;
    store.insert_job(&job("b")).await.unwrap();
    for job_id in ["a", "b"] {
        let mut rows = Vec::new();
        for n in 0..20 {
            let timestamp = n * 10;
            let bucket = json!({
                "job_id": job_id, "result_type": "bucket", "timestamp": timestamp, "anomaly_score": n, "bucket_span": 10,
                "is_interim": false
            });
            let row = |kind, seq, score: f64, doc: Value| ResultRow {
                kind,
                timestamp,
                seq,
                score,
                is_interim: doc["is_interim"] == true,
                doc: doc.to_string(),
            };
            rows.push(row(ResultKind::Bucket, 0, n as f64, bucket));
            for seq in 0..3 {
                let score = (n * 7 + i64::from(seq)) as f64;
                rows.push(row(
                    ResultKind::Record,
                    seq,
                    score,
                    record(job_id, timestamp, score),
                ));
            }
            let category =
                json!({"job_id": job_id, "category_id": n, "result_type": "category_definition"});
            rows.push(ResultRow {
                timestamp: n,
                ..row(ResultKind::Category, 0, 0.0, category)
            });
        }
        let counts = json!({"job_id": job_id, "processed_record_count": 3});
        let write = ResultWrite {
            rows,
            stats: vec![("data_counts".to_owned(), counts.to_string())],
            ..ResultWrite::default()
        };
        store.write_results(job_id, write).await.unwrap();
        let snapshot = SnapshotRow {
            job_id: job_id.to_owned(),
            snapshot_id: "s".to_owned(),
            timestamp: 50,
            retain: false,
            doc: json!({"job_id": job_id, "snapshot_id": "s", "timestamp": 50}).to_string(),
        };
        store.save_snapshot(&snapshot, vec![1]).await.unwrap();
    }
    let forecast = ForecastRow {
        job_id: "a".to_owned(),
        forecast_id: "f".to_owned(),
        created: 1,
        expires: None,
        running: false,
        doc: json!({"job_id": "a", "result_type": "model_forecast_request_stats", "forecast_id": "f"}).to_string(),
    };
    let point = DocumentRow::ForecastPoint {
        forecast,
        series: json!({"bucket_span": 10, "detector_index": 0}).to_string(),
        point: ForecastPoint {
            timestamp: 120,
            lower: 1.0,
            prediction: 2.0,
            upper: 3.0,
        },
    };
    let loose = DocumentRow::Other {
        index: "i".to_owned(),
        job_id: Some("c".to_owned()),
        doc: json!({"job_id": "c", "record_score": 50, "timestamp": 40}).to_string(),
    };
    let documents = vec![
        adopted("old-1", ResultKind::Record, 30, record("a", 30, 88.0)),
        adopted("old-2", ResultKind::Record, 35, record("a", 35, 5.0)),
        NewDocument {
            id: "point".to_owned(),
            only_new: false,
            row: point,
        },
        NewDocument {
            id: "loose".to_owned(),
            only_new: false,
            row: loose,
        },
    ];
    let written = store.write_documents(documents).await.unwrap();
    assert_eq!(written, [Written::Created; 4]);
    store
}

fn source() -> Source {
    Source {
        index: "i".to_owned(),
        holds: Holds::Results(vec!["a".to_owned(), "b".to_owned()]),
        only: None,
    }
}

async fn found(store: &Store, query: &Query, bounds: &Bounds) -> Vec<String> {
    let mut ids = Vec::new();
    let mut take = |found: Found| {
        let document = Document {
            index: "i",
            id: &found.id,
            source: &found.source,
            schema: None,
        };
        if query.matches(document) {
            ids.push(found.id);
        }
        true
    };
    store
        .scan_documents(&source(), bounds, &mut take)
        .await
        .unwrap();
    ids
}

fn queries(ids: Vec<String>) -> impl Strategy<Value = Query> {
    let term = |field: &'static str, values: &[&'static str]| {
        let values: Vec<Value> = values.iter().map(|value| Value::from(*value)).collect();
        proptest::sample::subsequence(values.clone(), 1..=values.len()).prop_map(move |values| {
            Query::Terms {
                field: field.to_owned(),
                values,
                ignore_case: false,
            }
        })
    };
    let limit = || {
        proptest::option::of(
            (-5_i64..210, any::<bool>()).prop_map(|(value, inclusive)| Limit {
                value: value.into(),
                inclusive,
            }),
        )
    };
    let field = proptest::sample::select(vec![
        "timestamp",
        "record_score",
        "anomaly_score",
        "category_id",
    ]);
    let leaf = prop_oneof![
        Just(Query::All),
        Just(Query::None),
        term("job_id", &["a", "b", "c", "z"]),
        term(
            "result_type",
            &["bucket", "record", "category_definition", "model_forecast"]
        ),
        term("by_field_value", &["v1", "v2"]),
        any::<bool>().prop_map(|is| Query::term("is_interim", is)),
        (field, limit(), limit()).prop_map(|(field, from, to)| Query::Range {
            field: field.to_owned(),
            from,
            to,
        }),
        proptest::sample::subsequence(ids.clone(), 0..=4).prop_map(Query::Ids),
        proptest::sample::select(ids).prop_map(|id| Query::term("_id", id)),
        Just(Query::Exists("snapshot_id".to_owned())),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 0..3);
        (several(), several(), several(), 0_usize..3).prop_map(
            |(must, should, must_not, at_least)| Query::Bool {
                filter: Vec::new(),
                must,
                should,
                must_not,
                at_least,
            },
        )
    })
}

#[test]
fn what_sql_leaves_out_matches_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempdir();
    let store = runtime.block_on(filled(dir.path()));
    let all = runtime.block_on(found(&store, &Query::All, &Bounds::default()));
    // Two jobs with buckets, records, categories, counts and a snapshot each, and five documents more.
    assert_eq!(all.len(), 2 * (20 + 60 + 20 + 2) + 5);
    let ids: Vec<String> = all
        .iter()
        .step_by(3)
        .chain(&all[all.len() - 6..])
        .cloned()
        .collect();
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(400)
    };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let compared = runner.run(&queries(ids), |query| {
        let (bounded, brute) = runtime.block_on(async {
            let bounded = found(&store, &query, &Bounds::of(&query)).await;
            (bounded, found(&store, &query, &Bounds::default()).await)
        });
        prop_assert_eq!(bounded, brute);
        Ok(())
    });
    compared.unwrap();
}

#[tokio::test]
async fn a_document_of_an_id_is_one() {
    let dir = tempdir();
    let store = filled(dir.path()).await;
    let of = async |id: &str| {
        let query = Query::Ids(vec![id.to_owned()]);
        found(&store, &query, &Bounds::of(&query)).await.len()
    };
    // Moved in time, twice in one writing, over one of the engine's.
    let moved = vec![
        adopted("old-1", ResultKind::Record, 300, record("a", 300, 1.0)),
        adopted("twice", ResultKind::Record, 300, record("a", 300, 1.0)),
        adopted("twice", ResultKind::Record, 310, record("a", 310, 2.0)),
    ];
    use Written::{Created, Exists, Updated};
    assert_eq!(
        store.write_documents(moved).await.unwrap(),
        [Updated, Created, Updated]
    );
    assert_eq!((of("old-1").await, of("twice").await), (1, 1));
    let bucket = json!({"bucket_span": 10, "result_type": "bucket", "timestamp": 30});
    let own = names::of_result("a", ResultKind::Bucket, 30, &bucket);
    assert_eq!(of(&own).await, 1);
    let mut over = adopted(&own, ResultKind::Bucket, 30, bucket);
    assert_eq!(
        store.write_documents(vec![over.clone()]).await.unwrap(),
        [Updated]
    );
    assert_eq!(of(&own).await, 1);
    over.only_new = true;
    assert_eq!(store.write_documents(vec![over]).await.unwrap(), [Exists]);
    for id in [own.as_str(), "twice", "loose", "a_model_snapshot_s"] {
        assert_eq!(
            store
                .delete_documents(&source(), vec![id.to_owned()])
                .await
                .unwrap(),
            [true],
            "{id}"
        );
        assert_eq!(
            store
                .delete_documents(&source(), vec![id.to_owned()])
                .await
                .unwrap(),
            [false],
            "{id}"
        );
        assert_eq!(of(id).await, 0, "{id}");
    }
}

#[tokio::test]
async fn documents_of_a_job_that_is_gone_are_not_written() {
    let dir = tempdir();
    let store = open_with_job(dir.path(), "a").await;
    let new = |row: DocumentRow| NewDocument {
        id: "note".to_owned(),
        only_new: false,
        row,
    };
    let counts = |job_id: &str| DocumentRow::Stats {
        job_id: job_id.to_owned(),
        kind: "data_counts".to_owned(),
        doc: "{}".to_owned(),
    };
    // What people write may outlive the job.
    let note = DocumentRow::Annotation(AnnotationRow {
        job_id: "gone".to_owned(),
        annotation_id: "note".to_owned(),
        timestamp: 1,
        doc: "{}".to_owned(),
    });
    let documents = [counts("gone"), counts("a"), note].map(new);
    let written = store.write_documents(documents.into()).await.unwrap();
    assert_eq!(
        written,
        [Written::NoJob, Written::Created, Written::Created]
    );
    assert_eq!(store.stats("a").await.unwrap().len(), 1);
    assert_eq!(store.annotations("gone").await.unwrap().len(), 1);
}
