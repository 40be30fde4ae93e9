//! Overall buckets: the scores of several jobs on one time line.

use serde::Serialize;
use tidewatch_model::units::TimeSpan;

use crate::config::Job;
use crate::error::{JobError, Result};
use crate::manager::Jobs;

/// Buckets that one answer may hold.
const MOST: usize = 10_000;

/// Intervals that are looked at together: those without a bucket are told only between two buckets of one such chunk.
const CHUNK: i64 = 1_000;

/// What is asked. Times are epoch milliseconds.
#[derive(Debug, Clone)]
pub struct OverallRequest {
    /// Jobs whose scores are averaged: the highest ones. At least one.
    pub top_n: usize,
    pub bucket_span: Option<TimeSpan>,
    pub overall_score: f64,
    pub exclude_interim: bool,
    pub start: Option<i64>,
    pub end: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverallBucket {
    pub timestamp: i64,
    /// Seconds.
    pub bucket_span: i64,
    pub overall_score: f64,
    pub jobs: Vec<JobScore>,
    pub is_interim: bool,
    pub result_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobScore {
    pub job_id: String,
    pub max_anomaly_score: f64,
}

/// The buckets of one job: start, score, whether it is interim. In the order of time.
type Scores = (String, Vec<(i64, f64, bool)>);

impl Jobs {
    pub async fn overall_buckets(
        &self,
        expression: &str,
        allow_no_match: bool,
        request: &OverallRequest,
    ) -> Result<Vec<OverallBucket>> {
        let jobs = self.find(expression, allow_no_match)?;
        let Some((working, span)) = spans(&jobs, request)? else {
            return Ok(Vec::new());
        };
        let up = |time: i64| time.saturating_add(working - 1).div_euclid(working) * working;
        let down = |time: i64| time.div_euclid(working) * working;
        let (start, end) = (request.start.map(up), request.end.map(down));
        let mut scores: Vec<Scores> = Vec::new();
        for job in &jobs {
            let found = self
                .store()
                .bucket_scores(&job.job_id, start, end, request.exclude_interim)
                .await?;
            scores.push((job.job_id.clone(), found));
        }
        let chunk = working.saturating_mul(CHUNK);
        let mut buckets = Vec::new();
        let origin = down(first_from(&scores, i64::MIN).unwrap_or_default());
        let mut next = first_from(&scores, i64::MIN);
        while let Some(first) = next {
            let start = origin + (first - origin).div_euclid(chunk) * chunk;
            let end = start.saturating_add(chunk);
            let part = within(&scores, first, end);
            let last = part.iter().filter_map(|(_, found)| found.last());
            let last = last.map(|(time, ..)| *time).max().unwrap_or(first);
            buckets.extend(aligned(&part, down(first), down(last), working, request));
            if buckets.len() > MOST {
                buckets = merged(buckets, span);
            }
            if buckets.len() > MOST {
                return Err(JobError::bad_request(format!(
                    "Unable to return more than [{MOST}] results; please use parameters [start] and [end] to limit the \
                     time range"
                )));
            }
            next = first_from(&scores, end);
        }
        Ok(merged(buckets, span))
    }
}

/// The span on which jobs are compared and the one of the answer, in milliseconds; none without jobs.
fn spans(jobs: &[Job], request: &OverallRequest) -> Result<Option<(i64, i64)>> {
    let spans = jobs.iter().map(|job| job.analysis_config.bucket_span);
    let Some(longest) = spans.max_by_key(|span| span.as_secs()) else {
        return Ok(None);
    };
    let millis = |span: TimeSpan| span.as_secs() * 1_000;
    let asked = request.bucket_span.unwrap_or(longest);
    if asked.as_secs() < longest.as_secs() {
        return Err(JobError::bad_request(format!(
            "Param [bucket_span] must be greater or equal to the max bucket_span [{longest}]"
        )));
    }
    // The mean of maxima is the maximum of means where there is only one.
    let simple = request.top_n == 1 || jobs.len() == 1;
    Ok(Some((
        millis(if simple { asked } else { longest }),
        millis(asked),
    )))
}

/// The time of the first bucket of all that is not before `from`.
fn first_from(scores: &[Scores], from: i64) -> Option<i64> {
    let firsts = scores.iter().filter_map(|(_, found)| {
        let place = found.partition_point(|(time, ..)| *time < from);
        found.get(place)
    });
    firsts.map(|(time, ..)| *time).min()
}

/// The scores of a span of time, its end left out.
fn within(scores: &[Scores], start: i64, end: i64) -> Vec<Scores> {
    let part = |found: &[(i64, f64, bool)]| {
        let place = |limit: i64| found.partition_point(|(time, ..)| *time < limit);
        found[place(start)..place(end)].to_vec()
    };
    let parts = scores.iter().map(|(job, found)| (job.clone(), part(found)));
    parts.collect()
}

fn aligned(
    scores: &[Scores],
    first: i64,
    last: i64,
    working: i64,
    request: &OverallRequest,
) -> Vec<OverallBucket> {
    let mut rest: Vec<&[(i64, f64, bool)]> =
        scores.iter().map(|(_, found)| found.as_slice()).collect();
    let mut buckets = Vec::new();
    let mut start = first;
    while start <= last {
        let mut jobs = Vec::new();
        let mut is_interim = false;
        for ((job_id, _), rest) in scores.iter().zip(&mut rest) {
            let here = rest.partition_point(|(time, ..)| *time < start + working);
            let (now, later) = rest.split_at(here);
            *rest = later;
            if let Some(max) = now.iter().map(|(_, score, _)| *score).reduce(f64::max) {
                is_interim |= now.iter().any(|(.., interim)| *interim);
                jobs.push(JobScore {
                    job_id: job_id.clone(),
                    max_anomaly_score: max,
                });
            }
        }
        let mut highest: Vec<f64> = jobs.iter().map(|job| job.max_anomaly_score).collect();
        highest.sort_by(|a, b| b.total_cmp(a));
        highest.truncate(request.top_n);
        let overall_score = highest.iter().sum::<f64>() / highest.len().max(1) as f64;
        if overall_score >= request.overall_score {
            buckets.push(OverallBucket {
                timestamp: start,
                bucket_span: working / 1_000,
                overall_score,
                jobs,
                is_interim,
                result_type: "overall_bucket",
            });
        }
        start += working;
    }
    buckets
}

/// Joins the buckets that fall into one of `span` milliseconds.
fn merged(buckets: Vec<OverallBucket>, span: i64) -> Vec<OverallBucket> {
    let mut merged: Vec<OverallBucket> = Vec::new();
    for bucket in buckets {
        let start = bucket.timestamp.div_euclid(span) * span;
        match merged.last_mut().filter(|last| last.timestamp == start) {
            Some(last) => {
                last.overall_score = last.overall_score.max(bucket.overall_score);
                last.is_interim |= bucket.is_interim;
                for job in bucket.jobs {
                    match last
                        .jobs
                        .iter_mut()
                        .find(|known| known.job_id == job.job_id)
                    {
                        Some(known) => {
                            known.max_anomaly_score =
                                known.max_anomaly_score.max(job.max_anomaly_score)
                        }
                        None => last.jobs.push(job),
                    }
                }
                last.jobs.sort_by(|a, b| a.job_id.cmp(&b.job_id));
            }
            None => merged.push(OverallBucket {
                timestamp: start,
                bucket_span: span / 1_000,
                ..bucket
            }),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(top_n: usize, overall_score: f64) -> OverallRequest {
        OverallRequest {
            top_n,
            bucket_span: None,
            overall_score,
            exclude_interim: false,
            start: None,
            end: None,
        }
    }

    fn scores() -> Vec<Scores> {
        vec![
            (
                "a".to_owned(),
                vec![
                    (0, 10.0, false),
                    (60_000, 90.0, false),
                    (240_000, 5.0, true),
                ],
            ),
            (
                "b".to_owned(),
                vec![(0, 30.0, false), (60_000, 70.0, false)],
            ),
        ]
    }

    #[test]
    fn the_highest_jobs_are_averaged_and_gaps_are_buckets() {
        let told = |top_n: usize, score: f64| -> Vec<(i64, f64, usize, bool)> {
            let buckets = aligned(&scores(), 0, 240_000, 60_000, &request(top_n, score));
            buckets
                .iter()
                .map(|b| (b.timestamp, b.overall_score, b.jobs.len(), b.is_interim))
                .collect()
        };
        assert_eq!(
            told(1, 0.0),
            [
                (0, 30.0, 2, false),
                (60_000, 90.0, 2, false),
                (120_000, 0.0, 0, false),
                (180_000, 0.0, 0, false),
                (240_000, 5.0, 1, true)
            ]
        );
        assert_eq!(told(2, 50.0), [(60_000, 80.0, 2, false)]);
    }

    #[test]
    fn longer_buckets_take_the_highest() {
        let buckets = aligned(&scores(), 0, 240_000, 60_000, &request(2, 0.0));
        let merged = merged(buckets, 180_000);
        let told: Vec<(i64, i64, f64)> = merged
            .iter()
            .map(|b| (b.timestamp, b.bucket_span, b.overall_score))
            .collect();
        assert_eq!(told, [(0, 180, 80.0), (180_000, 180, 5.0)]);
        let jobs: Vec<(&str, f64)> = merged[0]
            .jobs
            .iter()
            .map(|job| (job.job_id.as_str(), job.max_anomaly_score))
            .collect();
        assert_eq!(jobs, [("a", 90.0), ("b", 70.0)]);
        assert!(!merged[0].is_interim && merged[1].is_interim);
    }
}
