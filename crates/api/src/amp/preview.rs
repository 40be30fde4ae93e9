//! What a detector would have found: `RCF(<promql>, ..)` over a range of time, without a detector.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tidewatch_datafeed::PreviewRequest;
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_jobs::config::NewJob;
use tidewatch_model::forest::{Entity, ForestConfig, Rule, Scratch};

use super::check::Check;
use super::detectors::check_workspace;
use super::error::AmpError;
use super::job::{SERIES, analysis, options};
use super::promql::Labels;
use super::query::{Asked, Outcome, Range, Refused, matrix_entry, success};
use super::shapes::Wanted;
use crate::ApiState;

/// Samples that one preview may take from its source.
const MAX_SAMPLES: u32 = 200_000;
const BAND: &str = "anomaly_detector_preview";
/// Forests need no other luck from one preview to the next.
const SEED: u64 = 0;

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
    let series = samples(&state, &wanted, source, range).await?;
    let config: ForestConfig =
        serde_json::from_value(options(&wanted)).map_err(|error| refused(error.to_string()))?;
    // Trees are work for a thread that has time.
    let grown = tokio::task::spawn_blocking(move || {
        let shown = series.iter().flat_map(|(labels, samples)| {
            let bands = judged(&config, samples, range.step);
            let all = [("", samples.clone())].into_iter().chain(bands);
            all.filter(|(_, samples)| !samples.is_empty())
                .map(|(band, samples)| {
                    let mut labels = labels.clone();
                    if !band.is_empty() {
                        labels.insert(BAND.to_owned(), band.to_owned());
                    }
                    matrix_entry(&labels, &samples)
                })
        });
        shown.collect::<Vec<Value>>()
    });
    let result = grown
        .await
        .map_err(|error| AmpError::internal(error.to_string()))?;
    Ok(success(&json!({"resultType": "matrix", "result": result})))
}

/// What a forest says of the samples, whose step is in milliseconds.
fn judged(
    config: &ForestConfig,
    samples: &[(i64, f64)],
    step: i64,
) -> [(&'static str, Samples); 3] {
    let mut bands = [
        ("upper_band", Samples::new()),
        ("lower_band", Samples::new()),
        ("score", Samples::new()),
    ];
    let rule = Rule {
        config,
        sides: &[[true; 2]],
    };
    let mut forest = Entity::new(config, 1, SEED);
    let mut scratch = Scratch::default();
    let mut due = samples.first().map_or(0, |(time, _)| *time);
    for (time, value) in samples {
        // A gap is one to the forest, too.
        while due < *time {
            forest.observe(&rule, &[None], |_| true, &mut scratch);
            due += step;
        }
        let found = forest.observe(&rule, &[Some(*value)], |_| true, &mut scratch);
        due += step;
        let Some(found) = found else { continue };
        let (Some(upper), Some(lower)) = (found.upper.first(), found.lower.first()) else {
            continue;
        };
        for ((_, band), value) in bands.iter_mut().zip([*upper, *lower, found.grade]) {
            band.push((*time, value));
        }
    }
    bands
}

/// The values of the query's series. They are evaluated at multiples of the step.
async fn samples(
    state: &ApiState,
    wanted: &Wanted,
    source: &str,
    range: Range,
) -> Outcome<Vec<(Labels, Samples)>> {
    let mut body = analysis(wanted, source);
    // A preview shows a value where it was evaluated.
    body["datafeed_config"]["query"]["promql"]["at"] = json!("start");
    body["datafeed_config"]["scroll_size"] = json!(MAX_SAMPLES);
    let job: NewJob<NewDatafeed> =
        serde_json::from_value(body).map_err(|error| AmpError::internal(error.to_string()))?;
    let request = PreviewRequest {
        job: Some(job),
        start: Some(range.start),
        end: Some(range.end.saturating_add(1)),
        ..PreviewRequest::default()
    };
    let refused = |error: tidewatch_jobs::JobError| match error.status {
        400..500 => Refused::parameter("query", error.reason),
        _ => Refused::execution(error.reason),
    };
    let records = state.feeds.preview(request).await.map_err(refused)?;
    if records.len() >= MAX_SAMPLES as usize {
        return Err(Refused::execution(
            "query processing would load too many samples into memory in query execution",
        ));
    }
    let mut series: Vec<(Labels, Samples)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for record in &records {
        let (Some(time), Some(value)) = (record["time"].as_i64(), record["value"].as_f64()) else {
            continue;
        };
        let name = record[SERIES].as_str().unwrap_or("{}");
        let place = *places.entry(name.to_owned()).or_insert_with(|| {
            series.push((serde_json::from_str(name).unwrap_or_default(), Vec::new()));
            series.len() - 1
        });
        series[place].1.push((time, value));
    }
    Ok(series)
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

    #[test]
    fn a_spike_is_scored_and_bands_begin_when_enough_was_seen() {
        let wanted = wanted("RCF(avg(x))", MINUTES).unwrap();
        let config: ForestConfig = serde_json::from_value(options(&wanted)).unwrap();
        let value = |n: i64| {
            let noise = (n * 7_919 % 101) as f64 / 100.0;
            (n as f64 / 10.0).sin() * 5.0 + noise + if n == 350 { 60.0 } else { 0.0 }
        };
        let samples: Samples = (0..400).map(|n| (n * 60_000, value(n))).collect();
        let [(_, upper), (_, lower), (_, score)] = judged(&config, &samples, 60_000);
        let least = i64::from(config.output_after) * 60_000;
        assert!(upper[0].0 >= least, "{:?}", upper[0]);
        assert_eq!((upper.len(), lower.len()), (score.len(), score.len()));
        let grade = |n: i64| {
            score
                .iter()
                .find(|(time, _)| *time == n * 60_000)
                .unwrap()
                .1
        };
        assert!(grade(350) > 0.5, "{}", grade(350));
        let others = score.iter().filter(|(time, _)| *time < 350 * 60_000);
        assert!(others.filter(|(_, grade)| *grade > 0.0).count() < 10);
    }
}
