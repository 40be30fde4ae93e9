//! `/metrics`, in Prometheus' text format.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use tidewatch_datafeed::Feeds;
use tidewatch_datafeed::run::Run;
use tidewatch_jobs::{JobStats, State as JobState};

use crate::ApiState;
use crate::error::Result;

/// A metric of each job: name, type, help, value.
type JobMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&JobStats) -> f64,
);

const JOB_METRICS: [JobMetric; 7] = [
    (
        "tidewatch_job_records_total",
        "counter",
        "Records that a job has taken.",
        |s| s.data_counts.counts.input_record_count as f64,
    ),
    (
        "tidewatch_job_records_processed_total",
        "counter",
        "Records that a job has analysed.",
        |s| s.data_counts.counts.processed_record_count as f64,
    ),
    (
        "tidewatch_job_input_bytes_total",
        "counter",
        "Bytes of the records that a job has taken.",
        |s| s.data_counts.counts.input_bytes as f64,
    ),
    (
        "tidewatch_job_buckets_total",
        "counter",
        "Buckets that a job has finished.",
        |s| s.data_counts.counts.bucket_count as f64,
    ),
    (
        "tidewatch_job_bucket_seconds_total",
        "counter",
        "Time spent on finished buckets.",
        |s| s.timing_stats.total_bucket_processing_time_ms / 1e3,
    ),
    (
        "tidewatch_job_model_bytes",
        "gauge",
        "Bytes of a job's models.",
        |s| s.model_size_stats.size.model_bytes as f64,
    ),
    (
        "tidewatch_job_latest_record_seconds",
        "gauge",
        "Time of a job's latest record, epoch seconds.",
        |s| {
            s.data_counts
                .counts
                .latest_record_timestamp
                .unwrap_or_default() as f64
                / 1e3
        },
    ),
];

pub async fn metrics(State(state): State<ApiState>) -> Result<impl IntoResponse> {
    let stats = state.jobs.stats("_all", true)?;
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "# HELP tidewatch_jobs Jobs by state.\n# TYPE tidewatch_jobs gauge"
    );
    for job_state in [
        JobState::Closed,
        JobState::Opening,
        JobState::Opened,
        JobState::Closing,
        JobState::Failed,
    ] {
        let count = stats
            .iter()
            .filter(|stats| stats.state == job_state)
            .count();
        let _ = writeln!(
            text,
            "tidewatch_jobs{{state=\"{}\"}} {count}",
            job_state.name()
        );
    }
    for (name, kind, help, value) in JOB_METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for stats in &stats {
            let _ = writeln!(
                text,
                "{name}{{job_id=\"{}\"}} {}",
                stats.job_id,
                value(stats)
            );
        }
    }
    datafeeds(&state.feeds, &mut text);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

/// A metric of each datafeed that runs: name, type, help, value.
type DatafeedMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Run) -> Option<f64>,
);

const DATAFEED_METRICS: [DatafeedMetric; 4] = [
    (
        "tidewatch_datafeed_searches_total",
        "counter",
        "Searches of a datafeed, over all of its runs.",
        |run| Some(run.status().timing_stats.search_count as f64),
    ),
    (
        "tidewatch_datafeed_records_total",
        "counter",
        "Records that a running datafeed has handed to its job since it began.",
        |run| Some(run.figures().records as f64),
    ),
    (
        "tidewatch_datafeed_errors_total",
        "counter",
        "Searches of a running datafeed that failed since it began.",
        |run| Some(run.figures().errors as f64),
    ),
    (
        "tidewatch_datafeed_read_until_seconds",
        "gauge",
        "Time up to which a running datafeed has read its source, epoch seconds.",
        |run| Some(run.figures().read_until? as f64 / 1e3),
    ),
];

fn datafeeds(feeds: &Feeds, text: &mut String) {
    let _ = writeln!(
        text,
        "# HELP tidewatch_datafeeds Datafeeds by state.\n# TYPE tidewatch_datafeeds gauge"
    );
    let states = feeds.states();
    for state in ["stopped", "starting", "started", "stopping"] {
        let count = states.get(state).copied().unwrap_or_default();
        let _ = writeln!(text, "tidewatch_datafeeds{{state=\"{state}\"}} {count}");
    }
    let runs = feeds.runs();
    for (name, kind, help, value) in DATAFEED_METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for run in &runs {
            if let Some(value) = value(run) {
                let id = &run.plan().datafeed_id;
                let _ = writeln!(text, "{name}{{datafeed_id=\"{id}\"}} {value}");
            }
        }
    }
}
