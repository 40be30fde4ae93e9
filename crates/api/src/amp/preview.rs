//! What a detector would have found: `RCF(<promql>, ..)` over a range of time, without a detector.

use std::collections::BTreeMap;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_datafeed::source::{Source, SourceError, Window};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::{Job, NewJob};
use tidewatch_model::counts::MemoryStatus;
use tidewatch_model::engine::{Engine, Flush};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;

use super::asked::{Asked, Range};
use super::check::Check;
use super::detectors::check_workspace;
use super::error::AmpError;
use super::job::{self, analysis};
use super::promql::{Labels, TOO_MANY};
use super::refused::{Outcome, Refused};
use super::series::Point;
use super::shapes::Wanted;
use super::shown::{Matrix, Shown, success};
use crate::ApiState;

/// Samples that one preview may take from its source.
const MAX_SAMPLES: usize = 200_000;
const BAND: &str = "anomaly_detector_preview";

/// Samples of a series, by time.
type Samples = Vec<(i64, f64)>;

pub async fn preview(
    State(state): State<ApiState>,
    Path(workspace_id): Path<String>,
    request: Request,
) -> Outcome<Response> {
    check_workspace(&state, &workspace_id)?;
    let asked = Asked::read(request).await?;
    let range = asked.range()?;
    let refused = |told: String| Refused::parameter("query", told);
    let wanted = wanted(asked.query(), range).map_err(refused)?;
    let source = state.amp.source(&workspace_id).unwrap_or_default();
    let body = analysis(&wanted, source);
    let new: NewJob<NewDatafeed> =
        serde_json::from_value(body).map_err(|error| AmpError::internal(error.to_string()))?;
    let (mut job, source) = state.feeds.trial(new).await.map_err(of_job)?;
    job.analysis_limits.model_memory_limit = job::memory(&state, &wanted);
    let batches = read(&*source, range).await?;
    // Trees are work for a thread that has time.
    let grown = tokio::task::spawn_blocking(move || judged(&job, &batches));
    let grown = grown
        .await
        .map_err(|error| AmpError::internal(error.to_string()))?;
    Ok(success(&Shown::Matrix(grown?)))
}

fn of_job(error: JobError) -> Refused {
    match error.status {
        400..500 => Refused::parameter("query", error.reason),
        _ => Refused::execution(error.reason),
    }
}

/// The values of the query's series, each in the step that its evaluation ends.
async fn read(source: &dyn Source, range: Range) -> Outcome<Vec<RecordBatch>> {
    let refused = |error: SourceError| match error {
        SourceError::Unavailable(reason) => Refused::execution(reason),
        SourceError::Refused { reason, .. } => Refused::parameter("query", reason),
    };
    let window = Window {
        start: range.start.saturating_sub(1),
        end: range.end,
    };
    let mut pages = source.read(window).await.map_err(refused)?;
    let (mut batches, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.next().await.map_err(refused)? {
        count += page.batch.len();
        if count > MAX_SAMPLES {
            return Err(Refused::execution(TOO_MANY));
        }
        batches.push(page.batch);
    }
    Ok(batches)
}

/// What a detector would have found, in the order of the series' labels: each with its bands and scores.
fn judged(job: &Job, batches: &[RecordBatch]) -> Outcome<Matrix> {
    let mut engine = Engine::new(job.analysis(), job.engine_options());
    let (mut results, mut found) = (Vec::new(), BTreeMap::new());
    for batch in batches {
        let mut row = 0;
        while row < batch.len() {
            row = engine.process(batch, row, &mut results);
            take(&mut results, &mut found);
        }
    }
    if let Some(latest) = engine.counts().latest_record_timestamp {
        // The last step is one like the others.
        let flush = Flush {
            advance_time: Some(latest + job.analysis_config.span() * 1_000),
            skip_time: None,
        };
        while !engine.flush(&flush, &mut results) {
            take(&mut results, &mut found);
        }
        take(&mut results, &mut found);
    }
    if engine.size().memory_status == MemoryStatus::HardLimit {
        return Err(Refused::execution(
            "the query has more series than there is memory for: [amp] model_memory_limit",
        ));
    }
    let shown = found.into_iter().flat_map(|(series, samples)| {
        let own: Labels = serde_json::from_str(&series).unwrap_or_default();
        let [value, score, upper, lower] = samples;
        let each = [
            (None, value),
            (Some("upper_band"), upper),
            (Some("lower_band"), lower),
            (Some("score"), score),
        ];
        each.map(|(band, samples)| {
            let mut labels = own.clone();
            labels.extend(band.map(|band| (BAND.to_owned(), band.to_owned())));
            (labels, samples)
        })
    });
    Ok(shown.filter(|(_, samples)| !samples.is_empty()).collect())
}

/// Adds what forests said to the samples of its series, by the metrics.
fn take(results: &mut Vec<BucketResults>, found: &mut BTreeMap<String, [Samples; 4]>) {
    for result in results.drain(..).flat_map(|bucket| bucket.forests) {
        // As what is stored is read.
        let Some(point) = Point::read(&json!(result).to_string()) else {
            continue;
        };
        let of = found.entry(point.series().to_owned()).or_default();
        for (samples, number) in of.iter_mut().zip(point.numbers()) {
            samples.extend(number.map(|number| (point.time(), number)));
        }
    }
}

/// The detector that a preview is of, evaluated at its step.
fn wanted(query: &str, range: Range) -> Result<Wanted, String> {
    if range.step % 1_000 != 0 {
        return Err("the step of a preview has whole seconds".to_owned());
    }
    let parts = parts(query)?;
    let [inner, numbers @ ..] = &parts[..] else {
        return Err("RCF has no query".to_owned());
    };
    let mut forest = json!({"query": inner});
    let near = |kind: &str, text: &str| number(text).map(|number| json!({kind: number}));
    if numbers.len() > 6 {
        return Err("RCF has seven arguments at most".to_owned());
    }
    for (place, text) in numbers.iter().enumerate() {
        if text.is_empty() {
            continue;
        }
        let (above, below) = ("ignoreNearExpectedFromAbove", "ignoreNearExpectedFromBelow");
        let (name, value) = match place {
            0 => ("shingleSize", whole(text)?),
            1 => ("sampleSize", whole(text)?),
            2 => (above, near("amount", text)?),
            3 => (below, near("amount", text)?),
            4 => (above, near("ratio", text)?),
            _ => (below, near("ratio", text)?),
        };
        if forest.get(name).is_some() {
            return Err(format!("[{name}] is an amount or a ratio, not both"));
        }
        forest[name] = value;
    }
    let body = json!({"configuration": {"randomCutForest": forest}});
    let mut check = Check::default();
    let mut wanted = check.wanted(body.as_object().unwrap_or(&serde_json::Map::new()));
    check.finish().map_err(|error| error.message)?;
    wanted.evaluation_interval_in_seconds =
        u32::try_from(range.step / 1_000).map_err(|_| "the step is too long".to_owned())?;
    Ok(wanted)
}

fn number(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|number: &f64| number.is_finite());
    parsed.ok_or_else(|| format!("[{text}] is no number"))
}

fn whole(text: &str) -> Result<Value, String> {
    let parsed: Result<u32, _> = text.parse();
    parsed
        .map(Value::from)
        .map_err(|_| format!("[{text}] is no whole number"))
}

/// What stands between the commas of `RCF(.., ..)`.
fn parts(query: &str) -> Result<Vec<String>, String> {
    let whole = query.trim();
    let name = whole.get(..3).unwrap_or_default();
    let inner = whole.get(3..).map(str::trim).unwrap_or_default();
    let inner = inner.strip_prefix('(').and_then(|i| i.strip_suffix(')'));
    let Some(inner) = inner.filter(|_| name.eq_ignore_ascii_case("rcf")) else {
        return Err("a preview's query is RCF(<promql>, ..)".to_owned());
    };
    let mut parts = vec![String::new()];
    let (mut depth, mut quote) = (0_i64, None);
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (',', None) if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            (c, Some(open)) if c == open => quote = None,
            ('\\', Some('"' | '\'')) => {
                let part = parts.last_mut();
                part.into_iter().for_each(|part| part.push(c));
                let next = chars.next();
                let part = parts.last_mut();
                part.into_iter().for_each(|part| part.extend(next));
                continue;
            }
            ('"' | '\'' | '`', None) => quote = Some(c),
            ('(' | '{' | '[', None) => depth += 1,
            (')' | '}' | ']', None) => depth -= 1,
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    Ok(parts.iter().map(|part| part.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amp::shapes::Near;

    const MINUTES: Range = Range {
        start: 0,
        end: 0,
        step: 60_000,
    };

    #[test]
    fn arguments_have_their_places() {
        let all = "RCF(avg by (a, b) (x{c=\"d,)\\\"\"}), 4, 300,,1.5,2.5)";
        let found = wanted(all, MINUTES).unwrap();
        let forest = found.forest();
        assert_eq!(forest.query, "avg by (a, b) (x{c=\"d,)\\\"\"})");
        assert_eq!((forest.shingle_size, forest.sample_size), (4, 300));
        assert_eq!(
            forest.ignore_near_expected_from_below,
            Some(Near::Amount(1.5))
        );
        assert_eq!(
            forest.ignore_near_expected_from_above,
            Some(Near::Ratio(2.5))
        );
        let documented = wanted("RCF(avg(up),,,,,1.0,1.0)", MINUTES).unwrap();
        let near = documented.forest().ignore_near_expected_from_below;
        assert_eq!(near, Some(Near::Ratio(1.0)));
        for wrong in [
            "avg(up)",
            "RCF(up)",
            "RCF(avg(up), 1)",
            "RCF(avg(up), x)",
            "RCF(avg(up),,,1,,1)",
            "RCF(avg(up),,,,,,,)",
            "RCF()",
            "é",
        ] {
            assert!(wanted(wrong, MINUTES).is_err(), "{wrong}");
        }
    }
}
