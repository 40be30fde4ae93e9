//! Giving results that are written other scores

use std::fmt;
use std::sync::Arc;

use sqlx::SqliteConnection;

use crate::ResultKind;
use crate::error::Result;

/// What a result is rewritten to: of its kind, timestamp and document, its new score and document; `None` where it
/// stays as it is.
pub type Rescore = dyn Fn(ResultKind, i64, &str) -> Option<(f64, String)> + Send + Sync;

/// Which results of a job may get other scores, and how. Interim ones never do.
#[derive(Clone)]
pub struct Rescoring {
    pub kinds: Vec<ResultKind>,
    /// The first timestamp, inclusive, in milliseconds.
    pub from: i64,
    /// The end, exclusive.
    pub before: i64,
    /// Results below this score stay as they are.
    pub floor: f64,
    /// Asked once a result, or again with what it gave; that must give nothing new.
    pub rescore: Arc<Rescore>,
}

impl fmt::Debug for Rescoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescoring")
            .field("kinds", &self.kinds)
            .field("from", &self.from)
            .field("before", &self.before)
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}

/// Results read at a time.
const PAGE: i64 = 256;

/// Few results of a window have a score that is worth a look: the index by score leads to them. A page begins after
/// the last row of the one before. A row that moves up between them is met again. Results that were written as
/// documents (`seq` below 0) are another engine's, and keep their scores.
const CANDIDATES: &str =
    "SELECT timestamp, seq, score, doc FROM results INDEXED BY results_by_score
     WHERE job_id = ?1 AND kind = ?2 AND (score, timestamp, seq) > (?3, ?4, ?5)
     AND timestamp >= ?6 AND timestamp < ?7 AND is_interim = 0 AND seq >= 0
     ORDER BY score, timestamp, seq LIMIT ?8";

type Candidate = (i64, i32, f64, String);

pub(crate) async fn rescore(
    conn: &mut SqliteConnection,
    job_id: &str,
    rescoring: &Rescoring,
) -> Result<()> {
    for &kind in &rescoring.kinds {
        let mut last = (rescoring.floor, i64::MIN, i32::MIN);
        loop {
            let page: Vec<Candidate> = sqlx::query_as(CANDIDATES)
                .bind(job_id)
                .bind(kind as i64)
                .bind(last.0)
                .bind(last.1)
                .bind(last.2)
                .bind(rescoring.from)
                .bind(rescoring.before)
                .bind(PAGE)
                .fetch_all(&mut *conn)
                .await?;
            let Some((timestamp, seq, score, _)) = page.last() else {
                break;
            };
            last = (*score, *timestamp, *seq);
            for (timestamp, seq, _, doc) in page {
                if let Some((score, doc)) = (rescoring.rescore)(kind, timestamp, &doc) {
                    sqlx::query(
                        "UPDATE results SET score = ?, doc = ?
                         WHERE job_id = ? AND kind = ? AND timestamp = ? AND seq = ?",
                    )
                    .bind(score)
                    .bind(doc)
                    .bind(job_id)
                    .bind(kind as i64)
                    .bind(timestamp)
                    .bind(seq)
                    .execute(&mut *conn)
                    .await?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{job, open_with_job, tempdir};
    use crate::{ResultQuery, ResultRow, ResultWrite, Sort, Store};

    fn record(timestamp: i64, seq: i32, score: f64) -> ResultRow {
        ResultRow {
            kind: ResultKind::Influencer,
            timestamp,
            seq,
            score,
            is_interim: false,
            doc: score.to_string(),
        }
    }

    async fn docs(store: &Store, job_id: &str, min_score: f64) -> Vec<String> {
        let query = ResultQuery {
            job_id: job_id.into(),
            kind: ResultKind::Influencer,
            start: None,
            end: None,
            min_score,
            exclude_interim: false,
            sort: Sort::Timestamp,
            descending: false,
            from: 0,
            size: 10_000,
        };
        store.results(&query).await.unwrap().docs
    }

    /// To half of the score that the document says, at most 40.
    fn halved(before: i64, floor: f64) -> Rescoring {
        let rescore = |_, _, doc: &str| {
            let initial = doc.split('/').next()?;
            let score = (initial.parse::<f64>().ok()? / 2.0).min(40.0);
            let new = format!("{initial}/{score}");
            (doc != new).then_some((score, new))
        };
        Rescoring {
            kinds: vec![ResultKind::Influencer],
            from: 100,
            before,
            floor,
            rescore: Arc::new(rescore),
        }
    }

    #[tokio::test]
    async fn results_get_other_scores_with_what_is_written() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        store.insert_job(&job("k")).await.unwrap();
        let mut interim = record(200, 3, 60.0);
        interim.is_interim = true;
        let mut bucket = record(200, 0, 70.0);
        bucket.kind = ResultKind::Bucket;
        let old = vec![
            bucket,
            record(99, 0, 80.0),
            record(100, 0, 80.0),
            record(200, 1, 9.0),
            record(200, 2, 10.0),
            interim,
        ];
        for job in ["j", "k"] {
            let write = ResultWrite {
                rows: old.clone(),
                ..ResultWrite::default()
            };
            store.write_results(job, write).await.unwrap();
        }
        let new = ResultWrite {
            rows: vec![record(300, 0, 90.0), record(400, 0, 90.0)],
            rescoring: Some(halved(400, 10.0)),
            ..ResultWrite::default()
        };
        for _ in 0..2 {
            store.write_results("j", new.clone()).await.unwrap();
            let expected = ["80", "80/40", "9", "10/5", "60", "90/40", "90"];
            assert_eq!(docs(&store, "j", 0.0).await, expected);
            assert_eq!(docs(&store, "j", 50.0).await, ["80", "60", "90"]);
        }
        assert_eq!(docs(&store, "k", 0.0).await, ["80", "80", "9", "10", "60"]);
    }

    #[tokio::test]
    async fn pages_reach_every_result_though_scores_move() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let write = ResultWrite {
            rows: (0..2_000)
                .map(|i| record(100 + i / 3, (i % 3) as i32, (i * 37 % 101) as f64))
                .collect(),
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        // Down, and then up past the rows that are still to come.
        let to = |factor: f64| Rescoring {
            from: 0,
            before: i64::MAX,
            rescore: Arc::new(move |_, _, doc| {
                let initial = doc.split('/').next()?;
                let score = initial.parse::<f64>().ok()? * factor;
                let new = format!("{initial}/{score}");
                (doc != new).then_some((score, new))
            }),
            ..halved(0, 0.0)
        };
        for factor in [0.5, 1.0, 0.25] {
            let write = ResultWrite {
                rescoring: Some(to(factor)),
                ..ResultWrite::default()
            };
            store.write_results("j", write).await.unwrap();
            for doc in docs(&store, "j", 0.0).await {
                let (initial, score) = doc.split_once('/').unwrap();
                let [initial, score] = [initial, score].map(|n| n.parse::<f64>().unwrap());
                assert_eq!(score, initial * factor);
            }
        }
    }
}
