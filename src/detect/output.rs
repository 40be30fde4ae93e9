//! What is told of the results: a table, or documents as lines.

use std::io::{BufWriter, Write};

use tidewatch_model::engine::Engine;
use tidewatch_model::results::{BucketResults, Document, Record};

use super::{Detect, Kind};

/// Records below this score are left out of the table.
const TOLD: f64 = 25.0;
const TABLE_ROWS: usize = 50;

pub(super) struct Output<'a> {
    detect: &'a Detect,
    job_id: &'a str,
    lines: BufWriter<std::io::StdoutLock<'static>>,
    told: Vec<Record>,
    buckets: u64,
    anomalous: u64,
}

impl<'a> Output<'a> {
    pub fn new(detect: &'a Detect, job_id: &'a str) -> Self {
        let lines = BufWriter::new(std::io::stdout().lock());
        Self {
            detect,
            job_id,
            lines,
            told: Vec::new(),
            buckets: 0,
            anomalous: 0,
        }
    }

    pub fn take(&mut self, results: &mut Vec<BucketResults>) -> anyhow::Result<()> {
        for mut result in results.drain(..) {
            for influencer in &mut result.bucket.bucket_influencers {
                influencer.job_id = self.job_id.to_owned();
            }
            self.buckets += 1;
            self.anomalous += u64::from(result.bucket.anomaly_score >= TOLD);
            if !self.detect.ndjson {
                self.told.extend(
                    result
                        .records
                        .into_iter()
                        .filter(|record| record.record_score >= TOLD),
                );
                continue;
            }
            if self.wants(Kind::Buckets) {
                self.line("bucket", &result.bucket)?;
            }
            if self.wants(Kind::Records) {
                result
                    .records
                    .iter()
                    .try_for_each(|record| self.line("record", record))?;
            }
            if self.wants(Kind::Influencers) {
                result
                    .influencers
                    .iter()
                    .try_for_each(|influencer| self.line("influencer", influencer))?;
            }
            if self.wants(Kind::ModelPlots) {
                result
                    .model_plots
                    .iter()
                    .try_for_each(|plot| self.line("model_plot", plot))?;
            }
            if self.wants(Kind::Forests) {
                result
                    .forests
                    .iter()
                    .try_for_each(|forest| self.line("forest", forest))?;
            }
        }
        Ok(())
    }

    fn wants(&self, kind: Kind) -> bool {
        self.detect.results.contains(&kind)
    }

    fn line<T: serde::Serialize>(
        &mut self,
        result_type: &'static str,
        result: &T,
    ) -> anyhow::Result<()> {
        serde_json::to_writer(
            &mut self.lines,
            &Document {
                job_id: self.job_id,
                result_type,
                result,
            },
        )?;
        Ok(self.lines.write_all(b"\n")?)
    }

    pub fn finish(mut self, engine: &Engine) -> anyhow::Result<()> {
        if !self.detect.ndjson {
            self.table()?;
            let counts = engine.counts();
            writeln!(
                self.lines,
                "{} records in {} buckets of {}; {} buckets scored {TOLD} or more.",
                counts.processed_record_count,
                self.buckets,
                engine.analysis().bucket_span,
                self.anomalous
            )?;
            let unused = [
                (counts.invalid_date_count, "without a time that can be read"),
                (
                    counts.out_of_order_timestamp_count,
                    "too late for their bucket",
                ),
                (counts.missing_field_count, "fields missing or not a number"),
            ];
            for (count, what) in unused.into_iter().filter(|(count, _)| *count > 0) {
                writeln!(self.lines, "{count} {what}.")?;
            }
        }
        Ok(self.lines.flush()?)
    }

    fn table(&mut self) -> anyhow::Result<()> {
        if self.told.is_empty() {
            return Ok(writeln!(self.lines, "No anomalies.")?);
        }
        let omitted = self.told.len().saturating_sub(TABLE_ROWS);
        self.told
            .sort_by(|a, b| b.record_score.total_cmp(&a.record_score));
        self.told.truncate(TABLE_ROWS);
        self.told.sort_by_key(|record| record.timestamp);
        writeln!(
            self.lines,
            "{:<20} {:>5}  {:<40} {:>14} {:>14}",
            "time", "score", "what", "actual", "typical"
        )?;
        for record in &self.told {
            let time = humantime::format_rfc3339_seconds(
                std::time::UNIX_EPOCH
                    + std::time::Duration::from_millis(record.timestamp.max(0) as u64),
            );
            // A member of a population has them with what it did.
            let (actual, typical) = match record.causes.first() {
                Some(cause) => (&cause.actual, &cause.typical),
                None => (&record.actual, &record.typical),
            };
            writeln!(
                self.lines,
                "{time} {:>5.1}  {:<40} {:>14} {:>14}",
                record.record_score,
                describe(record),
                number(actual.first()),
                number(typical.first())
            )?;
        }
        if omitted > 0 {
            writeln!(self.lines, "... and {omitted} more of a lower score")?;
        }
        Ok(writeln!(self.lines)?)
    }
}

/// What a record is about, in a few words.
fn describe(record: &Record) -> String {
    let mut text = record.function.to_owned();
    if let Some(field) = &record.field_name {
        text += &format!("({field})");
    }
    if let Some(by) = &record.by {
        text += &format!(" {}={}", by.by_field_name, by.by_field_value);
    }
    if let Some(over) = &record.over {
        text += &format!(" {}={}", over.over_field_name, over.over_field_value);
    }
    if let Some(partition) = &record.partition {
        text += &format!(
            " {}={}",
            partition.partition_field_name, partition.partition_field_value
        );
    }
    text
}

fn number(value: Option<&f64>) -> String {
    match value {
        Some(value) if value.abs() >= 1e7 || (*value != 0.0 && value.abs() < 1e-3) => {
            format!("{value:.3e}")
        }
        Some(value) => format!("{value:.2}"),
        None => String::new(),
    }
}
