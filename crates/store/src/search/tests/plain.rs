//! Aggregations once more, as plainly as can be: every part is a list of documents. What this says is what the others
//! are held against.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const DAY: i64 = 86_400_000;

/// A key that can be sorted by: numbers by their value, words as they are.
#[derive(Debug, Clone, PartialEq)]
enum Key {
    Number(f64),
    Word(String),
    Missing,
}

impl Key {
    fn of(value: &Value) -> Self {
        match value {
            Value::String(word) => Self::Word(word.clone()),
            Value::Bool(flag) => Self::Number(f64::from(u8::from(*flag))),
            Value::Null => Self::Missing,
            value => Self::Number(value.as_f64().unwrap()),
        }
    }

    fn order(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Word(a), Self::Word(b)) => a.cmp(b),
            (Self::Missing, Self::Missing) => std::cmp::Ordering::Equal,
            (Self::Missing, _) => std::cmp::Ordering::Less,
            (_, Self::Missing) => std::cmp::Ordering::Greater,
            _ => panic!("keys of one field are of one kind"),
        }
    }
}

pub fn values<'d>(document: &'d Value, field: &str) -> Vec<&'d Value> {
    match &document[field] {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().filter(|value| !value.is_null()).collect(),
        value => vec![value],
    }
}

fn numbers(documents: &[&Value], field: &str) -> Vec<f64> {
    let all = documents
        .iter()
        .flat_map(|document| values(document, field));
    all.filter_map(|value| match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        value => value.as_f64(),
    })
    .collect()
}

/// The parts of documents by the keys that `key` makes of each value.
fn parts<'d>(
    documents: &[&'d Value],
    field: &str,
    key: &dyn Fn(&Value) -> Value,
) -> Vec<(Value, Vec<&'d Value>)> {
    let mut parts: Vec<(Value, Vec<&'d Value>)> = Vec::new();
    for document in documents {
        let mut seen: Vec<Value> = Vec::new();
        for value in values(document, field) {
            let key = key(value);
            if seen.contains(&key) {
                continue;
            }
            seen.push(key.clone());
            match parts.iter_mut().find(|(known, _)| *known == key) {
                Some((_, part)) => part.push(document),
                None => parts.push((key, vec![document])),
            }
        }
    }
    parts.sort_by(|a, b| Key::of(&a.0).order(&Key::of(&b.0)));
    parts
}

fn floor(value: f64, interval: f64) -> f64 {
    (value / interval).floor() * interval
}

fn millis(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => DAY,
    };
    number.parse::<i64>().unwrap() * unit
}

/// The answer to `aggs`, without texts of keys.
pub fn answer(
    aggs: &Value,
    documents: &[&Value],
    matches: &dyn Fn(&Value, &Value) -> bool,
) -> Value {
    let mut told = Map::new();
    for (name, said) in aggs.as_object().into_iter().flatten() {
        let none = json!({});
        let subs = said.get("aggs").unwrap_or(&none);
        let (kind, body) = said
            .as_object()
            .unwrap()
            .iter()
            .find(|(key, _)| *key != "aggs")
            .unwrap();
        let answer = one(kind, body, subs, documents, matches);
        told.insert(name.clone(), answer);
    }
    told.into()
}

fn bucket(
    key: Option<Value>,
    part: &[&Value],
    subs: &Value,
    matches: &dyn Fn(&Value, &Value) -> bool,
) -> Value {
    let mut told = Map::new();
    if let Some(key) = key {
        told.insert("key".to_owned(), key);
    }
    told.insert("doc_count".to_owned(), part.len().into());
    if let Value::Object(inner) = answer(subs, part, matches) {
        told.extend(inner);
    }
    told.into()
}

fn one(
    kind: &str,
    body: &Value,
    subs: &Value,
    documents: &[&Value],
    matches: &dyn Fn(&Value, &Value) -> bool,
) -> Value {
    let field = body["field"].as_str().unwrap_or_default();
    let found = numbers(documents, field);
    let count = found.len();
    let sum: f64 = found.iter().sum();
    let some = |value: f64| if count > 0 { json!(value) } else { Value::Null };
    let min = found.iter().copied().fold(f64::INFINITY, f64::min);
    let max = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match kind {
        "min" => json!({"value": some(min)}),
        "max" => json!({"value": some(max)}),
        "avg" => json!({"value": some(sum / count as f64)}),
        "sum" => json!({"value": sum}),
        "stats" => {
            json!({"count": count, "min": some(min), "max": some(max), "avg": some(sum / count as f64), "sum": sum})
        }
        "value_count" => {
            let all: usize = documents
                .iter()
                .map(|document| values(document, field).len())
                .sum();
            json!({"value": all})
        }
        "cardinality" => {
            json!({"value": parts(documents, field, &Value::clone).len()})
        }
        "terms" => {
            let mut parts = parts(documents, field, &Value::clone);
            parts.sort_by_key(|(_, part)| std::cmp::Reverse(part.len()));
            let size = usize::try_from(body["size"].as_u64().unwrap_or(10)).unwrap();
            let others: usize = parts.iter().skip(size).map(|(_, part)| part.len()).sum();
            let told: Vec<Value> = parts
                .into_iter()
                .take(size)
                .map(|(key, part)| {
                    let key = match key {
                        Value::Bool(flag) => u8::from(flag).into(),
                        key => key,
                    };
                    bucket(Some(key), &part, subs, matches)
                })
                .collect();
            json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": told})
        }
        "date_histogram" => {
            let interval = millis(body["fixed_interval"].as_str().unwrap());
            let start =
                |value: &Value| json!(value.as_i64().unwrap().div_euclid(interval) * interval);
            let parts = parts(documents, field, &start);
            let least = body["min_doc_count"].as_u64().unwrap_or(0);
            gaps(parts, interval as f64, least, subs, matches)
        }
        "histogram" => {
            let interval = body["interval"].as_f64().unwrap();
            let start = |value: &Value| json!(floor(value.as_f64().unwrap(), interval));
            let parts = parts(documents, field, &start);
            let least = body["min_doc_count"].as_u64().unwrap_or(0);
            gaps(parts, interval, least, subs, matches)
        }
        "filter" => {
            let part: Vec<&Value> = documents
                .iter()
                .copied()
                .filter(|document| matches(body, document))
                .collect();
            bucket(None, &part, subs, matches)
        }
        "missing" => {
            let part: Vec<&Value> = documents
                .iter()
                .copied()
                .filter(|document| values(document, field).is_empty())
                .collect();
            bucket(None, &part, subs, matches)
        }
        "range" => {
            let of = |range: &Value| {
                let (from, to) = (range["from"].as_f64(), range["to"].as_f64());
                let part: Vec<&Value> = documents
                    .iter()
                    .copied()
                    .filter(|document| {
                        numbers(&[document], field).iter().any(|value| {
                            from.is_none_or(|from| *value >= from)
                                && to.is_none_or(|to| *value < to)
                        })
                    })
                    .collect();
                let text = |end: Option<f64>| end.map_or("*".to_owned(), |end| format!("{end:?}"));
                let key = format!("{}-{}", text(from), text(to));
                let mut told = bucket(Some(key.into()), &part, subs, matches);
                for (name, end) in [("from", from), ("to", to)] {
                    if let Some(end) = end {
                        told[name] = end.into();
                    }
                }
                told
            };
            let told: Vec<Value> = body["ranges"].as_array().unwrap().iter().map(of).collect();
            json!({"buckets": told})
        }
        "composite" => composite(body, subs, documents, matches),
        other => panic!("{other}"),
    }
}

fn gaps(
    parts: Vec<(Value, Vec<&Value>)>,
    interval: f64,
    least: u64,
    subs: &Value,
    matches: &dyn Fn(&Value, &Value) -> bool,
) -> Value {
    let mut told = Vec::new();
    let mut last: Option<f64> = None;
    for (key, part) in parts {
        let start = key.as_f64().unwrap();
        while let Some(before) = last.filter(|before| before + interval * 1.5 < start) {
            let next = before + interval;
            if least == 0 {
                told.push(bucket(Some(json!(next)), &[], subs, matches));
            }
            last = Some(next);
        }
        last = Some(start);
        if part.len() as u64 >= least {
            told.push(bucket(Some(key), &part, subs, matches));
        }
    }
    json!({"buckets": told})
}

fn composite(
    body: &Value,
    subs: &Value,
    documents: &[&Value],
    matches: &dyn Fn(&Value, &Value) -> bool,
) -> Value {
    let sources: Vec<(&String, &String, &Value)> = body["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| {
            let (name, of) = source.as_object().unwrap().iter().next().unwrap();
            let (kind, body) = of.as_object().unwrap().iter().next().unwrap();
            (name, kind, body)
        })
        .collect();
    let order = |a: &[Value], b: &[Value]| {
        let each = sources
            .iter()
            .zip(a.iter().zip(b))
            .map(|((.., body), (a, b))| {
                let order = Key::of(a).order(&Key::of(b));
                if body["order"] == "desc" {
                    order.reverse()
                } else {
                    order
                }
            });
        each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    let mut parts: Vec<(Vec<Value>, Vec<&Value>)> = Vec::new();
    for document in documents {
        let mut combined: Vec<Vec<Value>> = vec![Vec::new()];
        for (_, kind, body) in &sources {
            let mut keys: Vec<Value> = Vec::new();
            for value in values(document, body["field"].as_str().unwrap()) {
                let key = match kind.as_str() {
                    "date_histogram" => {
                        let interval = millis(body["fixed_interval"].as_str().unwrap());
                        json!(value.as_i64().unwrap().div_euclid(interval) * interval)
                    }
                    "histogram" => json!(floor(
                        value.as_f64().unwrap(),
                        body["interval"].as_f64().unwrap()
                    )),
                    _ => value.clone(),
                };
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            if keys.is_empty() && body["missing_bucket"] == true {
                keys.push(Value::Null);
            }
            combined = combined
                .into_iter()
                .flat_map(|before| {
                    keys.iter().map(move |key| {
                        let mut next = before.clone();
                        next.push(key.clone());
                        next
                    })
                })
                .collect();
        }
        for key in combined {
            match parts.iter_mut().find(|(known, _)| *known == key) {
                Some((_, part)) => part.push(document),
                None => parts.push((key, vec![document])),
            }
        }
    }
    parts.sort_by(|a, b| order(&a.0, &b.0));
    if let Value::Object(after) = &body["after"] {
        let after: Vec<Value> = sources
            .iter()
            .map(|(name, ..)| after[name.as_str()].clone())
            .collect();
        parts.retain(|(key, _)| order(key, &after).is_gt());
    }
    let size = usize::try_from(body["size"].as_u64().unwrap_or(10)).unwrap();
    parts.truncate(size);
    let named = |key: &[Value]| -> Value {
        let names = sources.iter().map(|(name, ..)| (*name).clone());
        names
            .zip(key.iter().cloned())
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect()
    };
    let mut told = json!({});
    if let Some((last, _)) = parts.last() {
        told["after_key"] = named(last);
    }
    told["buckets"] = parts
        .iter()
        .map(|(key, part)| bucket(Some(named(key)), part, subs, matches))
        .collect();
    told
}
