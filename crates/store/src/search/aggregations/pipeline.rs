//! Numbers that are made of other aggregations' numbers.

use serde_json::{Map, Value, json};

use super::{Pipeline, PipelineKind};

/// The number that a path leads to within a part or an answer: `name`, `name.metric`, `outer>name`, `_count`.
pub(super) fn number(inner: &Map<String, Value>, count: Option<u64>, path: &str) -> Option<f64> {
    if path == "_count" || path == "_doc_count" {
        return count.map(|count| count as f64);
    }
    if let Some((outer, rest)) = path.split_once('>') {
        let outer = inner.get(outer)?.as_object()?;
        let count = outer.get("doc_count").and_then(Value::as_u64);
        return number(outer, count, rest);
    }
    // A name may have dots in it.
    let value = |name: &str, metric: &str| {
        let told = inner.get(name)?;
        if let Some(values) = told.get("values").and_then(Value::as_object) {
            let wanted: f64 = metric.parse().ok()?;
            let found = values
                .iter()
                .find(|(percent, _)| percent.parse() == Ok(wanted));
            return found?.1.as_f64();
        }
        match metric {
            "_count" => told.get("doc_count")?.as_f64(),
            metric => told.get(metric)?.as_f64(),
        }
    };
    let bracketed = path
        .strip_suffix(']')
        .and_then(|path| path.rsplit_once('['))
        .map(|(name, metric)| (name, metric.trim_matches(['\'', '"'])));
    if let Some((name, metric)) = bracketed {
        return value(name, metric);
    }
    if inner.contains_key(path) {
        return value(path, "value").or_else(|| value(path, "_count"));
    }
    path.match_indices('.')
        .find_map(|(dot, _)| value(&path[..dot], &path[dot + 1..]))
}

/// What stands in each of a row of parts: by the counts and numbers of all.
pub(super) fn within(pipeline: &Pipeline, parts: &[(u64, Option<f64>)]) -> Vec<Option<Value>> {
    let read = |(count, value): &(u64, Option<f64>)| match value {
        None if pipeline.insert_zeros => Some(0.0),
        Some(_) if *count == 0 && !pipeline.insert_zeros && pipeline.path != "_count" => None,
        value => *value,
    };
    let mut values = parts.iter().map(read);
    let tell = |value: f64| Some(json!({"value": value}));
    match pipeline.of {
        PipelineKind::Derivative => {
            let mut before: Option<f64> = None;
            values
                .map(|value| {
                    let told = value
                        .zip(before)
                        .and_then(|(value, before)| tell(value - before));
                    before = value.or(before);
                    told
                })
                .collect()
        }
        PipelineKind::CumulativeSum => {
            let mut sum = 0.0;
            values
                .map(|value| {
                    sum += value.unwrap_or(0.0);
                    tell(sum)
                })
                .collect()
        }
        PipelineKind::SerialDiff(lag) => {
            let all: Vec<Option<f64>> = values.by_ref().collect();
            let told = |at: usize| {
                let before = all[at.checked_sub(lag)?]?;
                tell(all[at]? - before)
            };
            (0..all.len()).map(told).collect()
        }
        _ => vec![None; parts.len()],
    }
}

/// What stands beside the aggregation whose parts it is made of.
pub(super) fn beside(pipeline: &Pipeline, answers: &Map<String, Value>) -> Value {
    let (name, rest) = pipeline
        .path
        .split_once('>')
        .unwrap_or((&pipeline.path, "_count"));
    let buckets = answers.get(name).and_then(|told| told.get("buckets"));
    let parts: Vec<(String, &Map<String, Value>)> = match buckets {
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(Value::as_object)
            .map(|part| {
                let key = part.get("key_as_string").or(part.get("key"));
                let key = match key {
                    Some(Value::String(key)) => key.clone(),
                    Some(key) => key.to_string(),
                    None => String::new(),
                };
                (key, part)
            })
            .collect(),
        Some(Value::Object(parts)) => parts
            .iter()
            .filter_map(|(key, part)| Some((key.clone(), part.as_object()?)))
            .collect(),
        _ => Vec::new(),
    };
    let mut found: Vec<(String, f64)> = Vec::new();
    for (key, part) in parts {
        let count = part.get("doc_count").and_then(Value::as_u64);
        match number(part, count, rest) {
            Some(_) if count == Some(0) && !pipeline.insert_zeros && rest != "_count" => {}
            Some(value) => found.push((key, value)),
            None if pipeline.insert_zeros => found.push((key, 0.0)),
            None => {}
        }
    }
    let values = || found.iter().map(|(_, value)| *value);
    let best = |best: Option<f64>| {
        let keys: Vec<&str> = found
            .iter()
            .filter(|(_, value)| Some(*value) == best)
            .map(|(key, _)| key.as_str())
            .collect();
        json!({"value": best, "keys": keys})
    };
    let sum: f64 = values().sum();
    let avg = (!found.is_empty()).then(|| sum / found.len() as f64);
    let (min, max) = (values().reduce(f64::min), values().reduce(f64::max));
    match pipeline.of {
        PipelineKind::MaxBucket => best(max),
        PipelineKind::MinBucket => best(min),
        PipelineKind::AvgBucket => json!({"value": avg}),
        PipelineKind::SumBucket => json!({"value": sum}),
        _ => json!({"count": found.len(), "min": min, "max": max, "avg": avg, "sum": sum}),
    }
}
