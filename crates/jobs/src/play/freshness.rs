//! Up to when there are final results.

use tidewatch_store::{ResultKind, ResultQuery, Sort};

use super::timeline::{Period, Timeline};
use crate::config::Job;
use crate::error::Result;
use crate::manager::Jobs;

impl Jobs {
    /// The end of the latest whole hour or day that is final, as a moment of its timeline, of each job with results that
    /// shows a metric set of an app. None where no job shows it.
    pub async fn play_freshness(
        &self,
        app: &str,
        metric_set: &str,
    ) -> Result<Option<Vec<(Period, i64)>>> {
        let mut ends = None;
        for (job, play) in self.shown_to_play()? {
            if play.app != app || play.metric_set != metric_set {
                continue;
            }
            let ends: &mut Vec<(Period, i64)> = ends.get_or_insert_default();
            if let Some(end) = self.play_end(&job).await? {
                let span = job.analysis_config.bucket_span.as_secs();
                ends.push((Timeline::new(span).period, end));
            }
        }
        Ok(ends)
    }

    /// The end of a job's latest whole hour or day that is final, as a moment of its timeline.
    pub(super) async fn play_end(&self, job: &Job) -> Result<Option<i64>> {
        let span = job.analysis_config.bucket_span.as_secs();
        let latest = self.latest_final_bucket(job.job_id.clone()).await?;
        Ok(latest.map(|latest| {
            let end = latest.saturating_add(span.saturating_mul(1_000));
            Timeline::new(span).shown(end, end).0
        }))
    }

    /// Its start, epoch milliseconds.
    async fn latest_final_bucket(&self, job_id: String) -> Result<Option<i64>> {
        let query = ResultQuery {
            job_id,
            kind: ResultKind::Bucket,
            start: None,
            end: None,
            min_score: 0.0,
            exclude_interim: true,
            sort: Sort::Timestamp,
            descending: true,
            from: 0,
            size: 1,
        };
        let page = self.store().results(&query).await?;
        let bucket = page.docs.first();
        let bucket = bucket.and_then(|doc| serde_json::from_str::<serde_json::Value>(doc).ok());
        Ok(bucket.and_then(|bucket| bucket["timestamp"].as_i64()))
    }
}
