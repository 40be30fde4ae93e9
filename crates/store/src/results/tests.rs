use super::*;
use crate::testing::{job, open_with_job, tempdir};

fn row(kind: ResultKind, timestamp: i64, seq: i32, score: f64, doc: &str) -> ResultRow {
    ResultRow {
        kind,
        timestamp,
        seq,
        score,
        is_interim: false,
        doc: doc.into(),
    }
}

fn rows(rows: Vec<ResultRow>) -> ResultWrite {
    ResultWrite {
        rows,
        ..ResultWrite::default()
    }
}

fn all(kind: ResultKind) -> ResultQuery {
    ResultQuery {
        job_id: "j".into(),
        kind,
        start: None,
        end: None,
        min_score: 0.0,
        exclude_interim: false,
        sort: Sort::Timestamp,
        descending: false,
        from: 0,
        size: 1000,
    }
}

async fn docs(store: &Store, q: &ResultQuery) -> Vec<String> {
    store.results(q).await.unwrap().docs
}

/// Six records, whose documents begin with their names a..f.
async fn store_of_records(dir: &std::path::Path) -> Store {
    let store = open_with_job(dir, "j").await;
    let record = |timestamp, seq, score, doc| row(ResultKind::Record, timestamp, seq, score, doc);
    let mut interim = record(300, 0, 90.0, r#"{"n":"f","actual":[7.5,1],"by":"z"}"#);
    interim.is_interim = true;
    let write = rows(vec![
        record(100, 0, 10.0, r#"{"n":"a","actual":[3.0],"by":"x"}"#),
        record(100, 1, 50.0, r#"{"n":"b","actual":[20.0],"by":"y"}"#),
        record(200, 0, 50.0, r#"{"n":"c","actual":[-4],"by":"x"}"#),
        record(200, 1, 50.0, r#"{"n":"d","actual":8}"#),
        record(200, 2, 70.0, r#"{"n":"e","a.\u0062":1,"a\"\\":1}"#),
        interim,
    ]);
    store.write_results("j", write).await.unwrap();
    // Another job's rows never show.
    store.insert_job(&job("k")).await.unwrap();
    let other = rows(vec![record(100, 0, 99.0, r#"{"n":"k"}"#)]);
    store.write_results("k", other).await.unwrap();
    store
}

/// The names of a page, in its order, and the count.
async fn names(store: &Store, q: &ResultQuery) -> (String, i64) {
    let page = store.results(q).await.unwrap();
    (page.docs.iter().map(|d| &d[6..7]).collect(), page.count)
}

#[tokio::test]
async fn pages_are_filtered_and_counted() {
    let dir = tempdir();
    let store = store_of_records(dir.path()).await;
    let q = all(ResultKind::Record);
    let check = async |q: ResultQuery, expected: &str, count| {
        assert_eq!(
            names(&store, &q).await,
            (expected.to_owned(), count),
            "{q:?}"
        );
    };
    check(q.clone(), "abcdef", 6).await;
    check(
        ResultQuery {
            start: Some(200),
            ..q.clone()
        },
        "cdef",
        4,
    )
    .await;
    check(
        ResultQuery {
            end: Some(200),
            ..q.clone()
        },
        "ab",
        2,
    )
    .await;
    check(
        ResultQuery {
            min_score: 50.0,
            ..q.clone()
        },
        "bcdef",
        5,
    )
    .await;
    check(
        ResultQuery {
            exclude_interim: true,
            ..q.clone()
        },
        "abcde",
        5,
    )
    .await;
    check(
        ResultQuery {
            from: 1,
            size: 2,
            ..q.clone()
        },
        "bc",
        6,
    )
    .await;
    check(
        ResultQuery {
            from: 5,
            size: 2,
            ..q.clone()
        },
        "f",
        6,
    )
    .await;
    check(
        ResultQuery {
            from: 6,
            ..q.clone()
        },
        "",
        6,
    )
    .await;
    check(
        ResultQuery {
            from: -1,
            size: 1,
            ..q.clone()
        },
        "a",
        6,
    )
    .await;
    check(
        ResultQuery {
            size: 0,
            ..q.clone()
        },
        "",
        6,
    )
    .await;
    check(
        ResultQuery {
            size: -1,
            ..q.clone()
        },
        "",
        6,
    )
    .await;
    check(
        ResultQuery {
            job_id: "none".into(),
            ..q.clone()
        },
        "",
        0,
    )
    .await;
    check(all(ResultKind::Influencer), "", 0).await;
    let both = ResultQuery {
        start: Some(100),
        end: Some(300),
        min_score: 20.0,
        exclude_interim: true,
        sort: Sort::Score,
        descending: true,
        from: 1,
        size: 2,
        ..q
    };
    check(both, "cd", 4).await;
}

#[tokio::test]
async fn pages_are_sorted_and_ties_follow_time() {
    let dir = tempdir();
    let store = store_of_records(dir.path()).await;
    let sorted = async |sort: Sort, descending| {
        let q = ResultQuery {
            sort,
            descending,
            ..all(ResultKind::Record)
        };
        names(&store, &q).await.0
    };
    let field = |name: &str| Sort::Field(name.into());
    // Among records, the score is next.
    assert_eq!(sorted(Sort::Timestamp, true).await, "fecdba");
    assert_eq!(sorted(Sort::Score, false).await, "abcdef");
    assert_eq!(sorted(Sort::Score, true).await, "fecdba");
    // -4, 3, 7.5, 8, 20; e has none.
    assert_eq!(sorted(field("actual"), false).await, "cafdbe");
    assert_eq!(sorted(field("actual"), true).await, "bdface");
    assert_eq!(sorted(field("by"), false).await, "acbfde");
    assert_eq!(sorted(field("by"), true).await, "fbcaed");
    // Names are data, never SQL or a path.
    for name in ["a.b", r#"a"\"#] {
        assert_eq!(sorted(field(name), false).await, "eabcdf", "{name}");
    }
    for name in [
        "none",
        "",
        "a\"b",
        "'); DROP TABLE results; --",
        "actual[0]",
        "\\",
        "\0",
    ] {
        assert_eq!(sorted(field(name), false).await, "abcdef", "{name}");
    }
}

#[tokio::test]
async fn rewriting_a_bucket_leaves_nothing_stale() {
    use ResultKind::{Bucket, Influencer, ModelPlot, Record};
    let dir = tempdir();
    let store = open_with_job(dir.path(), "j").await;
    let mut first = Vec::new();
    for timestamp in [100, 200] {
        first.push(row(Bucket, timestamp, 0, 1.0, r#"{"old":0}"#));
        for kind in [Record, Influencer, ModelPlot] {
            first.extend((0..3).map(|seq| row(kind, timestamp, seq, 1.0, r#"{"old":1}"#)));
        }
    }
    store.write_results("j", rows(first.clone())).await.unwrap();
    // A replay changes nothing.
    store.write_results("j", rows(first)).await.unwrap();
    assert_eq!(store.results(&all(Record)).await.unwrap().count, 6);

    let again = vec![
        row(Record, 200, 0, 2.0, r#"{"new":1}"#),
        row(Bucket, 200, 0, 2.0, r#"{"new":0}"#),
    ];
    store.write_results("j", rows(again)).await.unwrap();
    let old = r#"{"old":1}"#;
    assert_eq!(
        docs(&store, &all(Record)).await,
        [old, old, old, r#"{"new":1}"#]
    );
    assert_eq!(docs(&store, &all(Influencer)).await, [old; 3]);
    assert_eq!(docs(&store, &all(ModelPlot)).await, [old; 3]);
    assert_eq!(
        docs(&store, &all(Bucket)).await,
        [r#"{"old":0}"#, r#"{"new":0}"#]
    );

    // Without its bucket a row replaces its own name only.
    let renormalized = rows(vec![row(Record, 100, 1, 3.0, r#"{"re":1}"#)]);
    store.write_results("j", renormalized).await.unwrap();
    assert_eq!(
        docs(&store, &all(Record)).await,
        [old, old, r#"{"re":1}"#, r#"{"new":1}"#],
        "within a bucket, by their scores"
    );
}

#[tokio::test]
async fn interim_rows_come_and_go() {
    let dir = tempdir();
    let store = open_with_job(dir.path(), "j").await;
    let mut interim = row(ResultKind::Bucket, 200, 0, 1.0, "{}");
    interim.is_interim = true;
    let write = rows(vec![row(ResultKind::Bucket, 100, 0, 1.0, "{}"), interim]);
    store.write_results("j", write).await.unwrap();
    assert_eq!(store.newest_bucket("j").await.unwrap(), Some(200));
    for (before, left) in [(200, 2), (201, 1)] {
        let write = ResultWrite {
            delete_interim: Some(before),
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        let there = docs(&store, &all(ResultKind::Bucket)).await;
        assert_eq!(there.len(), left, "before {before}");
    }
    assert_eq!(store.newest_bucket("j").await.unwrap(), Some(100));
}

#[tokio::test]
async fn every_row_of_a_large_write_arrives() {
    let dir = tempdir();
    let store = open_with_job(dir.path(), "j").await;
    // 64 + 64 + 8 + 1 + 1 + 1: every statement there is.
    let expected: Vec<String> = (0..139).map(|seq| format!(r#"{{"n":{seq}}}"#)).collect();
    let write = ResultWrite {
        rows: (0..)
            .zip(&expected)
            .map(|(seq, doc)| row(ResultKind::Record, 100, seq, f64::from(seq) / 2.0, doc))
            .collect(),
        stats: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
        ..ResultWrite::default()
    };
    store.write_results("j", write).await.unwrap();
    assert_eq!(docs(&store, &all(ResultKind::Record)).await, expected);
    let high = ResultQuery {
        min_score: 60.0,
        ..all(ResultKind::Record)
    };
    assert_eq!(store.results(&high).await.unwrap().count, 19);

    let nan = rows(vec![row(ResultKind::Record, 100, 0, f64::NAN, "{}")]);
    store.write_results("j", nan).await.unwrap_err();
    assert_eq!(docs(&store, &all(ResultKind::Record)).await, expected);

    let write = ResultWrite {
        stats: vec![("b".into(), "3".into())],
        ..ResultWrite::default()
    };
    store.write_results("j", write).await.unwrap();
    let stats = [
        ("a".to_owned(), "1".to_owned()),
        ("b".to_owned(), "3".to_owned()),
    ];
    assert_eq!(store.stats("j").await.unwrap(), stats);
}

#[tokio::test]
async fn retention_deletes_what_is_strictly_older() {
    use ResultKind::{Bucket, Influencer, Record};
    let dir = tempdir();
    let store = open_with_job(dir.path(), "j").await;
    let write = rows(
        [100, 200, 300]
            .into_iter()
            .flat_map(|t| [Bucket, Record, Influencer].map(|kind| row(kind, t, 0, 1.0, "{}")))
            .collect(),
    );
    store.write_results("j", write).await.unwrap();
    assert_eq!(store.delete_results_before("j", 200, 99).await.unwrap(), 3);
    assert_eq!(store.delete_results_before("j", 200, 99).await.unwrap(), 0);
    for kind in [Bucket, Record, Influencer] {
        assert_eq!(store.results(&all(kind)).await.unwrap().count, 2);
    }
}

/// What SQLite says it will do for a statement.
async fn plan(store: &Store, sql: &str) -> String {
    let rows: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
            .fetch_all(store.readers())
            .await
            .unwrap();
    rows.into_iter().map(|row| row.3 + "\n").collect()
}

#[tokio::test]
async fn the_frequent_statements_use_their_indexes() {
    let dir = tempdir();
    let store = open_with_job(dir.path(), "j").await;
    let by_time = "SELECT doc FROM results WHERE job_id = 'j' AND kind = 1 AND timestamp >= 5
                   ORDER BY timestamp DESC, seq LIMIT 10";
    assert!(plan(&store, by_time).await.contains("PRIMARY KEY"));
    let by_score = "SELECT doc FROM results WHERE job_id = 'j' AND kind = 1 AND score >= 5
                    ORDER BY score DESC, timestamp DESC, seq LIMIT 10";
    assert!(plan(&store, by_score).await.contains("results_by_score"));
    assert!(
        plan(&store, DELETE_INTERIM)
            .await
            .contains("results_interim")
    );
    let bucket = "DELETE FROM results WHERE job_id = 'j' AND kind IN (1, 2, 3)
                  AND timestamp IN (SELECT value FROM json_each('[1]'))";
    let bucket = plan(&store, bucket).await;
    assert!(bucket.contains("timestamp=?"), "{bucket}");
    let old = "DELETE FROM results
               WHERE job_id = 'j' AND kind IN (0, 1, 2, 3) AND timestamp < 5";
    let old = plan(&store, old).await;
    assert!(old.contains("timestamp<?"), "{old}");
}
