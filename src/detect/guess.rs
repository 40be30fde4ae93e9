//! Where the time is in a source that doesn't say it.

use anyhow::Context;
use tidewatch_datafeed::source::files::Sample;
use tidewatch_jobs::config::Job;

/// Names that time fields have, the most likely first.
const TIME_FIELDS: [&str; 7] = [
    "time",
    "timestamp",
    "@timestamp",
    "_time",
    "datetime",
    "date",
    "ts",
];
/// Formats that are tried when none is given.
const TIME_FORMATS: [&str; 3] = ["iso8601", "epoch", "epoch_ms"];
/// Records in which a format is tried.
const TRIED: u64 = 4096;

pub(super) fn time_field(fields: &[String]) -> anyhow::Result<String> {
    let known = TIME_FIELDS
        .iter()
        .find(|name| fields.iter().any(|field| field == *name));
    known.map(|name| (*name).to_owned()).with_context(|| {
        format!(
            "which field is the time? Say it with --time-field; there are: {}",
            fields.join(", ")
        )
    })
}

/// The format in which the first records have a time.
pub(super) fn time_format(sample: &Sample, job: &Job) -> anyhow::Result<String> {
    let mut best = (0, TIME_FORMATS[0]);
    for format in TIME_FORMATS {
        let batch = sample.records(super::projection(job, format)?, TRIED)?;
        // Seconds read as milliseconds are all in January 1970.
        let sound = batch
            .records()
            .filter(|record| record.time > 30 * 86_400_000)
            .count();
        let years = batch
            .records()
            .map(|record| record.time / 31_557_600_000)
            .max()
            .unwrap_or(0);
        if sound > best.0 && years < 200 {
            best = (sound, format);
        }
    }
    Ok(best.1.to_owned())
}
