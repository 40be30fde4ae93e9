//! Final results in the order of time, each page from the place of the last result on: for readers of long histories,
//! to whom neither the number of all matches nor another order means anything.

use super::ResultKind;
use crate::Store;
use crate::error::Result;

/// Where a result stands among those of its job and kind: its timestamp, epoch milliseconds, and its number there.
pub type Place = (i64, i64);

/// What is read of a job.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    pub kind: ResultKind,
    /// The first timestamp, and the end, which is not part of it; epoch milliseconds.
    pub start: i64,
    pub end: i64,
    /// Results below this score are left out.
    pub min_score: f64,
}

impl Store {
    /// The next `most` results of a stretch, from its start or behind the place of the last one that was read.
    pub async fn results_in_time(
        &self,
        job_id: &str,
        stretch: Stretch,
        after: Option<Place>,
        most: i64,
    ) -> Result<Vec<(Place, String)>> {
        let (time, seq) = after.unwrap_or((stretch.start.saturating_sub(1), i64::MAX));
        // The sign keeps SQLite from the index by scores, after which it would have to sort.
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT timestamp, seq, doc FROM results
             WHERE job_id = ? AND kind = ? AND timestamp < ? AND (timestamp, seq) > (?, ?)
             AND is_interim = 0 AND +score >= ?
             ORDER BY timestamp, seq LIMIT ?",
        )
        .bind(job_id)
        .bind(stretch.kind as i64)
        .bind(stretch.end)
        .bind(time)
        .bind(seq)
        .bind(stretch.min_score)
        .bind(most)
        .fetch_all(self.readers())
        .await?;
        let rows = rows.into_iter();
        Ok(rows.map(|(time, seq, doc)| ((time, seq), doc)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{ResultRow, ResultWrite};
    use crate::testing::{open_with_job, tempdir};

    #[tokio::test]
    async fn pages_go_on_from_the_place_of_the_last() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let row = |timestamp, seq, score, is_interim| ResultRow {
            kind: ResultKind::Record,
            timestamp,
            seq,
            score,
            is_interim,
            doc: format!("{{\"n\":\"{timestamp}-{seq}\"}}"),
        };
        let rows = vec![
            row(100, 0, 50.0, false),
            row(200, 0, 50.0, false),
            row(200, 1, 10.0, false),
            row(200, 2, 50.0, false),
            row(300, 0, 50.0, true),
            row(300, 1, 50.0, false),
            row(400, 0, 50.0, false),
        ];
        let write = ResultWrite {
            rows,
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        let stretch = Stretch {
            kind: ResultKind::Record,
            start: 200,
            end: 400,
            min_score: 25.0,
        };
        let mut places = Vec::new();
        while let Some((place, _)) = store
            .results_in_time("j", stretch, places.last().copied(), 1)
            .await
            .unwrap()
            .pop()
        {
            places.push(place);
        }
        assert_eq!(places, [(200, 0), (200, 2), (300, 1)]);
    }
}
