//! `tidewatch eval`: how well anomalies are found in made-up series where they are known.

mod calibration;
mod families;
mod forecast;
mod loghub;
mod matching;
mod plan;

use std::io::{BufWriter, Write};

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Flush, Options};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;
use tidewatch_model::series::Side;

use matching::{Figures, Judged};
use plan::{Function, Labelled};

const THRESHOLDS: [f64; 3] = [25.0, 50.0, 75.0];

#[derive(Args)]
pub struct Eval {
    /// How many seeds to make series from
    #[arg(long, default_value_t = 5, value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000))]
    seeds: u64,
    /// The first seed; the others follow it
    #[arg(long, default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(..=u64::from(u32::MAX)))]
    first_seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Check instead that probabilities are what they say, on series where nothing happens
    #[arg(long)]
    calibration: bool,
    /// With --calibration: seconds of a bucket
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(i64).range(60..=86_400), requires = "calibration")]
    bucket_span: i64,
    /// With --calibration: which deviations count
    #[arg(long, value_enum, default_value_t, requires = "calibration")]
    side: Sides,
    /// Group instead the log messages of the Loghub sets (*_2k.log_structured.csv) below a directory
    #[arg(long, value_name = "DIR", conflicts_with = "calibration")]
    loghub: Option<std::path::PathBuf>,
    /// Check instead how far forecasts are off, and how often their bounds hold, beside those of the last day and week
    #[arg(long, conflicts_with = "calibration")]
    forecast: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Sides {
    #[default]
    Both,
    Low,
    High,
}

impl From<Sides> for Side {
    fn from(sides: Sides) -> Self {
        match sides {
            Sides::Both => Self::Both,
            Sides::Low => Self::Low,
            Sides::High => Self::High,
        }
    }
}

impl Eval {
    pub fn run(&self) -> anyhow::Result<()> {
        let seeds = self.first_seed..self.first_seed + self.seeds;
        let mut out = BufWriter::new(std::io::stdout().lock());
        if let Some(directory) = &self.loghub {
            let (found, took) = loghub::group(directory)?;
            match self.json {
                true => serde_json::to_writer_pretty(&mut out, &json!({"loghub": found}))?,
                false => loghub::print(&mut out, &found, took)?,
            }
        } else if self.calibration {
            let calibrated = calibration::calibrate(seeds, self.bucket_span, self.side.into());
            if self.json {
                self.print_json(&mut out, "calibration", &calibrated)?;
            } else {
                calibration::print(&mut out, &calibrated)?;
            }
        } else if self.forecast {
            let rows = forecast::measure(seeds);
            if self.json {
                self.print_json(&mut out, "forecasts", &rows)?;
            } else {
                forecast::print(&mut out, &rows)?;
            }
        } else {
            let mut report = Report::default();
            for series in seeds.flat_map(families::make) {
                report.add(&series, &scores(&series)?);
            }
            let rows = report.rows();
            if self.json {
                self.print_json(&mut out, "families", &rows)?;
            } else {
                print(&mut out, &rows)?;
            }
        }
        Ok(out.flush()?)
    }

    fn print_json(
        &self,
        out: &mut impl Write,
        name: &str,
        rows: &impl Serialize,
    ) -> anyhow::Result<()> {
        let document = json!({"first_seed": self.first_seed, "seeds": self.seeds, name: rows});
        serde_json::to_writer_pretty(&mut *out, &document)?;
        Ok(writeln!(out)?)
    }
}

/// The initial scores of a series' buckets, by start, as a job over its records gives them.
fn scores(series: &Labelled) -> anyhow::Result<Vec<(i64, f64)>> {
    let detector = match series.function {
        Function::Mean => json!({"function": "mean", "field_name": "value"}),
        Function::Count => json!({"function": "count"}),
    };
    let analysis: AnalysisConfig = serde_json::from_value(json!({
        "bucket_span": format!("{}s", series.span), "detectors": [detector]
    }))?;
    let batch = records(series, analysis.schema().fields.len());
    let mut engine = Engine::new(analysis, Options::default());
    let (mut scores, mut results) = (Vec::new(), Vec::new());
    let mut take = |results: &mut Vec<BucketResults>| {
        let buckets = results.drain(..).map(|result| result.bucket);
        scores.extend(buckets.map(|b| (b.timestamp / 1_000, b.initial_anomaly_score)));
    };
    engine.count_input(&batch);
    let mut row = 0;
    while row < batch.len() {
        row = engine.process(&batch, row, &mut results);
        take(&mut results);
    }
    let end = series
        .values
        .last()
        .map_or(0, |(time, _)| time + series.span);
    let flush = Flush {
        advance_time: Some(end * 1_000),
        skip_time: None,
    };
    while !engine.flush(&flush, &mut results) {
        take(&mut results);
    }
    take(&mut results);
    Ok(scores)
}

/// A record with the value for each bucket of a mean; for a count, as many as it says, evenly over the bucket.
fn records(series: &Labelled, width: usize) -> RecordBatch {
    let mut batch = RecordBatch::new(width);
    for &(start, value) in &series.values {
        match series.function {
            Function::Mean => {
                batch.begin();
                batch.set_number(0, value);
                batch.commit(start * 1_000);
            }
            Function::Count => {
                let events = value as i64;
                for event in 0..events {
                    batch.begin();
                    batch.commit(start * 1_000 + event * series.span * 1_000 / events);
                }
            }
        }
    }
    batch
}

/// What was found in each family, in the families' order.
#[derive(Default)]
struct Report {
    families: Vec<(&'static str, usize, Judged)>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Row {
    family: &'static str,
    series: usize,
    windows: usize,
    at: Vec<Figures>,
    /// None when nothing is found at any threshold.
    best: Option<Figures>,
}

impl Report {
    fn add(&mut self, series: &Labelled, scores: &[(i64, f64)]) {
        let judged = Judged::new(scores, &series.windows, series.span);
        let known = self
            .families
            .iter_mut()
            .find(|(family, ..)| *family == series.family);
        match known {
            Some((_, many, all)) => {
                *many += 1;
                all.add(&judged);
            }
            None => self.families.push((series.family, 1, judged)),
        }
    }

    /// One row for each family, and one for all of them together.
    fn rows(&self) -> Vec<Row> {
        let mut total = ("total", 0, Judged::default());
        for (_, many, judged) in &self.families {
            total.1 += many;
            total.2.add(judged);
        }
        let rows = self.families.iter().chain([&total]);
        rows.map(|(family, series, judged)| Row {
            family,
            series: *series,
            windows: judged.windows.len(),
            at: THRESHOLDS.map(|threshold| judged.at(threshold)).into(),
            best: judged.best(),
        })
        .collect()
    }
}

fn print(out: &mut impl Write, rows: &[Row]) -> std::io::Result<()> {
    write!(out, "{:<15} {:>6}", "", "")?;
    for threshold in THRESHOLDS {
        write!(out, " | {:<33}", format!("score {threshold} or more"))?;
    }
    writeln!(out, " | best F1")?;
    write!(out, "{:<15} {:>6}", "family", "series")?;
    for _ in THRESHOLDS {
        write!(
            out,
            " | {:>9} {:>5} {:>5} {:>5} {:>5}",
            "found", "false", "R", "P", "F1"
        )?;
    }
    writeln!(out, " | {:>5} {:>6}", "F1", "at")?;
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    for row in rows {
        write!(out, "{:<15} {:>6}", row.family, row.series)?;
        for figures in &row.at {
            write!(
                out,
                " | {:>9} {:>5} {:>5} {:>5} {:>5}",
                format!("{}/{}", figures.found, row.windows),
                figures.false_alarms,
                number(figures.recall),
                number(figures.precision),
                number(figures.f1)
            )?;
        }
        let best = row.best.as_ref();
        let threshold = best.map_or("-".to_owned(), |best| format!("{:.1}", best.threshold));
        writeln!(
            out,
            " | {:>5} {threshold:>6}",
            number(best.and_then(|best| best.f1))
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::plan::{DAY, START, inside};
    use super::*;

    /// The rows for a detector that gives each bucket a score.
    fn rows(detect: impl Fn(&Labelled, i64) -> f64) -> Vec<Row> {
        let mut report = Report::default();
        for series in (1..=2).flat_map(families::make) {
            let times = series.values.iter().map(|(time, _)| *time);
            let scores: Vec<(i64, f64)> = times.map(|time| (time, detect(&series, time))).collect();
            report.add(&series, &scores);
        }
        report.rows()
    }

    #[test]
    fn a_perfect_detector_is_told_so() {
        let rows = rows(|series, time| {
            if inside(&series.windows, time) {
                100.0
            } else {
                0.0
            }
        });
        for row in rows {
            for figures in row.at {
                let one = (row.windows > 0).then_some(1.0);
                assert_eq!(
                    (figures.recall, figures.precision),
                    (one, one),
                    "{}",
                    row.family
                );
                assert_eq!(
                    (figures.f1, figures.false_alarms),
                    (one, 0),
                    "{}",
                    row.family
                );
            }
        }
    }

    #[test]
    fn a_silent_detector_finds_nothing() {
        for row in rows(|_, _| 0.0) {
            for figures in row.at {
                let none = (row.windows > 0).then_some(0.0);
                assert_eq!((figures.recall, figures.f1), (none, none), "{}", row.family);
                assert_eq!(
                    (figures.found, figures.precision),
                    (0, None),
                    "{}",
                    row.family
                );
            }
            assert_eq!(row.best, None);
        }
    }

    #[test]
    fn one_that_always_cries_has_no_precision() {
        let rows = rows(|_, _| 90.0);
        let total = &rows[rows.len() - 1];
        assert_eq!((total.family, total.at[2].recall), ("total", Some(1.0)));
        assert!(total.at[2].precision < Some(0.1), "{total:?}");
    }

    /// The series with the longest, and so the fewest, buckets.
    fn small() -> Vec<Labelled> {
        let mut small = families::make(1);
        small.retain(|series| series.span == 3_600);
        small
    }

    #[test]
    fn the_engine_gives_the_same_scores_each_time() {
        let small = small();
        assert!(
            small
                .iter()
                .any(|series| series.function == Function::Count)
        );
        let run = || {
            let mut report = Report::default();
            for series in &small {
                report.add(series, &scores(series).expect("a sound job"));
            }
            report.rows()
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn every_bucket_from_the_first_to_the_last_record_is_scored() {
        for series in small() {
            let scores = scores(&series).expect("a sound job");
            let first = series.values.iter().find(|(_, value)| *value != 0.0);
            let first = first.map_or(START, |(time, _)| *time);
            let last = series.values[series.values.len() - 1].0;
            let all = (last - first) / series.span + 1;
            assert_eq!(scores.len() as i64, all, "{}", series.family);
            assert!(scores.is_sorted_by_key(|(time, _)| *time));
            assert!(all * series.span > 20 * DAY);
        }
    }
}
