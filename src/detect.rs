//! `tidewatch detect`: the analysis of a file, without a server.

use std::io::{BufWriter, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tidewatch_datafeed::{FileSource, Projection};
use tidewatch_jobs::Pool;
use tidewatch_jobs::config::{Job, NewJob};
use tidewatch_model::engine::{Engine, Flush};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::{BucketResults, Document, Record};
use tidewatch_model::time_format::TimeFormat;

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
/// Records below this score are left out of the table.
const TOLD: f64 = 25.0;
const TABLE_ROWS: usize = 50;

#[derive(Args)]
pub struct Detect {
    /// CSV or NDJSON, also gzipped; - for standard input
    file: String,
    /// A job's configuration, as for the API
    #[arg(long, conflicts_with_all = ["function", "field", "partition", "by", "influencers", "bucket_span"])]
    job: Option<PathBuf>,
    /// A detector function
    #[arg(long, required_unless_present = "job")]
    function: Option<String>,
    /// The field that it is computed of
    #[arg(long)]
    field: Option<String>,
    /// One series for each value of this field
    #[arg(long)]
    partition: Option<String>,
    /// One series for each value of this field, within a partition
    #[arg(long)]
    by: Option<String>,
    /// Fields that may have a share in an anomaly
    #[arg(long, value_delimiter = ',')]
    influencers: Vec<String>,
    #[arg(long, default_value = "15m")]
    bucket_span: String,
    /// The field with the time; guessed from the usual names when not given
    #[arg(long)]
    time_field: Option<String>,
    /// epoch, epoch_ms, iso8601 or a pattern such as yyyy-MM-dd HH:mm:ss; guessed when not given
    #[arg(long)]
    time_format: Option<String>,
    /// The kinds of results to print with --ndjson
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "buckets,records,influencers,model_plots"
    )]
    results: Vec<Kind>,
    /// Print each result as a line of JSON, as the API would give it
    #[arg(long)]
    ndjson: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Buckets,
    Records,
    Influencers,
    #[value(name = "model_plots", alias = "model-plots")]
    ModelPlots,
}

impl Detect {
    pub fn run(&self) -> anyhow::Result<()> {
        let source = FileSource::open(&self.file, None)
            .with_context(|| format!("can't read {}", self.file))?;
        let (mut job, tells_time) = self.job()?;
        if !tells_time || self.time_field.is_some() {
            job.data_description.time_field = self.time_field(source.fields())?;
        }
        let format = match &self.time_format {
            Some(format) => format.clone(),
            None if tells_time => job.data_description.time_format.clone(),
            None => self.time_format(&job)?,
        };
        job.data_description.time_format = format;
        self.analyse(source, &job)
    }

    /// The job to run, and whether it tells where the time is.
    fn job(&self) -> anyhow::Result<(Job, bool)> {
        let mut tells_time = false;
        let (id, body) = match &self.job {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("can't read {}", path.display()))?;
                let mut body: Value = serde_json::from_str(&text)?;
                let fields = body.as_object_mut().context("a job is a JSON object")?;
                // A job as the API gives it may be used as well.
                for generated in Job::GENERATED {
                    fields.shift_remove(generated);
                }
                tells_time = fields.contains_key("data_description");
                fields
                    .entry("data_description")
                    .or_insert_with(|| json!({}));
                let id = fields
                    .get("job_id")
                    .and_then(Value::as_str)
                    .unwrap_or("detect")
                    .to_owned();
                (id, body)
            }
            None => {
                let mut detector = json!({"function": self.function});
                let fields = [
                    ("field_name", &self.field),
                    ("partition_field_name", &self.partition),
                    ("by_field_name", &self.by),
                ];
                for (name, value) in fields {
                    if let Some(value) = value {
                        detector[name] = value.as_str().into();
                    }
                }
                let body = json!({
                    "analysis_config": {
                        "bucket_span": self.bucket_span, "detectors": [detector], "influencers": self.influencers
                    },
                    "data_description": {}
                });
                ("detect".to_owned(), body)
            }
        };
        let readable = |error: serde_json::Error| {
            let text = error.to_string();
            let reason = tidewatch_model::config::ConfigError::from_display(&text)
                .map_or(text, |error| error.reason);
            anyhow::anyhow!("the job can't be run: {reason}")
        };
        let new: NewJob = serde_json::from_value(body).map_err(readable)?;
        let job = new.build(&id, 0, None)?;
        let detectors = job.analysis_config.detectors.iter();
        let mut rules = detectors.flat_map(|detector| &detector.custom_rules);
        anyhow::ensure!(
            rules.all(|rule| rule.scope.is_empty()),
            "the job can't be run: a rule has a scope, and its filter is on no server here"
        );
        Ok((job, tells_time))
    }

    fn time_field(&self, fields: &[String]) -> anyhow::Result<String> {
        if let Some(name) = &self.time_field {
            return Ok(name.clone());
        }
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
    fn time_format(&self, job: &Job) -> anyhow::Result<String> {
        if self.file == "-" {
            bail!(
                "the format of the time can't be guessed from standard input: say it with --time-format"
            );
        }
        let mut best = (0, TIME_FORMATS[0]);
        for format in TIME_FORMATS {
            let mut reader = FileSource::open(&self.file, None)?.project(projection(job, format)?);
            let mut batch = RecordBatch::new(job.analysis_config.schema().fields.len());
            reader.next_batch(&mut batch)?;
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

    fn analyse(&self, source: FileSource, job: &Job) -> anyhow::Result<()> {
        let format = job.data_description.time_format.clone();
        let mut reader = source.project(projection(job, &format)?);
        let mut engine = Engine::new(job.analysis_config.clone(), job.engine_options());
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        engine.employ(Arc::new(Pool::new(cores)?));
        // What is printed can't be rescored later: scores are what they are by themselves.
        engine.renormalise(Some(0));
        let mut out = Output::new(self, &job.job_id);
        let bar = progress_bar(reader.total_bytes());
        let mut batch = RecordBatch::new(job.analysis_config.schema().fields.len());
        let mut results = Vec::new();
        loop {
            batch.clear();
            let more = reader.next_batch(&mut batch)?;
            bar.set_position(reader.bytes_read());
            engine.count_input(&batch);
            let mut row = 0;
            while row < batch.len() {
                row = engine.process(&batch, row, &mut results);
                out.take(&mut results)?;
            }
            if !more {
                break;
            }
        }
        // A file ends: so do its buckets.
        if let Some(latest) = engine.counts().latest_record_timestamp {
            let end = latest + (job.analysis_config.span() + job.analysis_config.latency()) * 1_000;
            let flush = Flush {
                advance_time: Some(end),
                skip_time: None,
            };
            while !engine.flush(&flush, &mut results) {
                out.take(&mut results)?;
            }
            out.take(&mut results)?;
        }
        bar.finish_and_clear();
        out.finish(&engine)
    }
}

fn projection(job: &Job, format: &str) -> anyhow::Result<Projection> {
    let time_field = job.data_description.time_field.clone();
    Ok(Projection::new(
        job.analysis_config.schema(),
        time_field,
        TimeFormat::new(format)?,
    ))
}

fn progress_bar(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) if std::io::stderr().is_terminal() => {
            let style =
                ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
            ProgressBar::new(total)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        _ => ProgressBar::hidden(),
    }
}

struct Output<'a> {
    detect: &'a Detect,
    job_id: &'a str,
    lines: BufWriter<std::io::StdoutLock<'static>>,
    told: Vec<Record>,
    buckets: u64,
    anomalous: u64,
}

impl<'a> Output<'a> {
    fn new(detect: &'a Detect, job_id: &'a str) -> Self {
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

    fn take(&mut self, results: &mut Vec<BucketResults>) -> anyhow::Result<()> {
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

    fn finish(mut self, engine: &Engine) -> anyhow::Result<()> {
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
