//! `tidewatch detect`: the analysis of files, or of what a server has, without a server of its own.

mod guess;
mod input;
mod output;

use std::io::IsTerminal;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tidewatch_datafeed::Projection;
use tidewatch_jobs::Pool;
use tidewatch_jobs::config::{Job, NewJob, RANDOM_CUT_FOREST};
use tidewatch_model::engine::{Engine, Flush};
use tidewatch_model::time_format::TimeFormat;

use input::{Input, Reading};
use output::Output;

const EXAMPLES: &str = "\
Examples:
  tidewatch detect requests.csv.gz --function mean --field latency --partition host
  tidewatch detect 'logs/**/*.ndjson' metrics.parquet --job job.json --ndjson
  zstdcat big.csv.zst | tidewatch detect - --function count --time-format epoch
  tidewatch detect 'https://es:9200/web-*' --api-key $KEY --function high_count \\
      --query '{\"term\": {\"status\": 500}}' --start 2024-01-01
  tidewatch detect http://prometheus:9090 --promql 'rate(requests_total[5m])' \\
      --function mean --field value --partition instance --start 2024-01-01";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Detect {
    /// Files and directories: CSV, NDJSON and Parquet, also compressed by gzip or zstd, with *, ? and **; - for
    /// standard input; or the address of indices in Elasticsearch, OpenSearch or tidewatch, or of Prometheus
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
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
    /// What finds anomalies; the usual engine when not given
    #[arg(long, value_parser = [RANDOM_CUT_FOREST], conflicts_with = "job")]
    engine: Option<String>,
    /// The field with the time; guessed from the usual names when not given, @timestamp of a server
    #[arg(long)]
    time_field: Option<String>,
    /// epoch, epoch_ms, iso8601 or a pattern such as yyyy-MM-dd HH:mm:ss; guessed when not given
    #[arg(long)]
    time_format: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// The kinds of results to print with --ndjson
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "buckets,records,influencers,model_plots,forests"
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
    /// Of the engine random_cut_forest
    Forests,
}

impl Detect {
    pub fn run(&self) -> anyhow::Result<()> {
        let input = Input::find(&self.sources, &self.reading)?;
        let (mut job, tells_time) = self.job()?;
        if !tells_time || self.time_field.is_some() {
            job.data_description.time_field = match &self.time_field {
                Some(name) => name.clone(),
                None => input.time_field()?,
            };
        }
        let format = match &self.time_format {
            Some(format) => format.clone(),
            None if tells_time => job.data_description.time_format.clone(),
            None => input.time_format(&job)?,
        };
        job.data_description.time_format = format;
        crate::runtime()?.block_on(self.analyse(input, &job))
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
                let mut body = json!({
                    "analysis_config": {
                        "bucket_span": self.bucket_span, "detectors": [detector], "influencers": self.influencers
                    },
                    "data_description": {}
                });
                if let Some(engine) = &self.engine {
                    body["custom_settings"] = json!({"engine": engine});
                }
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

    async fn analyse(&self, input: Input, job: &Job) -> anyhow::Result<()> {
        let (mut pages, span) = input.read(job, &self.reading).await?;
        let mut engine = Engine::new(job.analysis(), job.engine_options());
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        engine.employ(Arc::new(Pool::new(cores)?));
        // What is printed can't be rescored later: scores are what they are by themselves.
        engine.renormalise(Some(0));
        let mut out = Output::new(self, &job.job_id);
        let bar = progress_bar(span.map(|(first, last)| last.abs_diff(first)));
        let mut results = Vec::new();
        // What could be read is analysed, whatever comes after it.
        let outcome = loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if let Some((first, _)) = span {
                bar.set_position(page.until.abs_diff(first));
            }
            engine.count_input(&page.batch);
            let mut row = 0;
            while row < page.batch.len() {
                row = engine.process(&page.batch, row, &mut results);
                out.take(&mut results)?;
            }
        };
        // A source ends: so do its buckets.
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
        out.finish(&engine)?;
        Ok(outcome?)
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

/// Of the time that is analysed, in milliseconds.
fn progress_bar(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) if std::io::stderr().is_terminal() => {
            let style = ProgressStyle::with_template("{wide_bar} {percent}% {elapsed}");
            ProgressBar::new(total)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        _ => ProgressBar::hidden(),
    }
}
