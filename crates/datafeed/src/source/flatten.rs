//! The answer to aggregations as records: one for each innermost bucket, with the keys on the way to it and the
//! metrics in it as its fields.
//!
//! What an aggregation is, its definition says: the answer is read beside it. The refusals are Elasticsearch's.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use tidewatch_model::record::RecordBatch;

use super::wanted::Wanted;
use super::{Result, SourceError};
use crate::row::{Row, Scalar};

const DOC_COUNT: &str = "doc_count";

/// A record and its time.
pub type Flat = (i64, Map<String, Value>);

/// Makes records of the answers to one datafeed's aggregations.
#[derive(Debug, Clone)]
pub struct Flattener {
    aggregations: Vec<Aggregation>,
    time_field: String,
    fields: HashSet<String>,
    doc_count: bool,
}

#[derive(Debug, Clone)]
struct Aggregation {
    name: String,
    kind: Kind,
    children: Vec<Aggregation>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Histogram,
    /// With the name of its source that is a date histogram.
    Composite(Option<String>),
    Buckets,
    SingleBucket,
    Max,
    /// A metric of one number.
    Value,
    Percentiles,
    GeoCentroid,
    /// A metric that no field can hold.
    Other,
}

impl Aggregation {
    fn new(name: &str, definition: &Value) -> Self {
        let parts = definition.as_object().into_iter().flatten();
        let mut kind = Kind::Other;
        let mut children = Vec::new();
        for (part, body) in parts {
            match part.as_str() {
                "aggs" | "aggregations" => children = read(body.as_object()),
                "meta" => {}
                part => kind = Kind::new(part, body),
            }
        }
        Self {
            name: name.to_owned(),
            kind,
            children,
        }
    }

    fn has_buckets(&self) -> bool {
        matches!(
            self.kind,
            Kind::Histogram | Kind::Composite(_) | Kind::Buckets
        )
    }

    fn is_single_bucket(&self) -> bool {
        self.kind == Kind::SingleBucket
    }
}

impl Kind {
    fn new(name: &str, body: &Value) -> Self {
        match name {
            "date_histogram" | "histogram" | "auto_date_histogram" | "variable_width_histogram" => {
                Self::Histogram
            }
            "composite" => Self::Composite(date_source(body)),
            "terms" | "rare_terms" | "significant_terms" | "significant_text" | "multi_terms"
            | "range" | "date_range" | "ip_range" | "ip_prefix" | "geo_distance" | "filters"
            | "adjacency_matrix" | "geohash_grid" | "geotile_grid" | "geohex_grid"
            | "categorize_text" | "time_series" => Self::Buckets,
            "filter"
            | "global"
            | "missing"
            | "nested"
            | "reverse_nested"
            | "sampler"
            | "diversified_sampler"
            | "random_sampler"
            | "children"
            | "parent" => Self::SingleBucket,
            "max" => Self::Max,
            "percentiles" => Self::Percentiles,
            "geo_centroid" => Self::GeoCentroid,
            "stats"
            | "extended_stats"
            | "matrix_stats"
            | "string_stats"
            | "boxplot"
            | "percentile_ranks"
            | "top_hits"
            | "top_metrics"
            | "geo_bounds"
            | "geo_line"
            | "stats_bucket"
            | "extended_stats_bucket"
            | "percentiles_bucket"
            | "t_test" => Self::Other,
            _ => Self::Value,
        }
    }
}

fn read(aggregations: Option<&Map<String, Value>>) -> Vec<Aggregation> {
    aggregations
        .into_iter()
        .flatten()
        .map(|(name, definition)| Aggregation::new(name, definition))
        .collect()
}

/// The name of the source of a composite aggregation that is a date histogram.
fn date_source(composite: &Value) -> Option<String> {
    sources(composite)
        .find(|(_, source)| source.get("date_histogram").is_some())
        .map(|(name, _)| name.clone())
}

fn sources(composite: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let sources = composite["sources"].as_array().into_iter().flatten();
    sources.filter_map(Value::as_object).flatten()
}

impl Flattener {
    /// None for a datafeed without aggregations.
    pub fn new(wanted: &Wanted) -> Option<Self> {
        let aggregations = read(Some(wanted.aggregations.as_ref()?));
        let fields = wanted.projection.schema().fields.iter();
        Some(Self {
            aggregations,
            time_field: wanted.time_field().to_owned(),
            fields: fields.map(|field| field.name.clone()).collect(),
            doc_count: wanted.summary_is_doc_count,
        })
    }

    /// The records of an answer's `aggregations`, in the order of their times; those of a histogram's buckets before
    /// `start` are left out.
    ///
    /// # Errors
    /// Refused where the aggregations can't be made records of.
    pub fn records(&self, answer: &Value, start: i64) -> Result<Vec<Flat>> {
        if self.aggregations.len() > 1 {
            let names: Vec<&str> = self.aggregations.iter().map(|a| a.name.as_str()).collect();
            return Err(unfit(format!(
                "Multiple top level aggregations not supported; found: [{}]",
                names.join(", ")
            )));
        }
        let mut walk = Walk {
            flattener: self,
            start,
            record: Map::new(),
            found: Vec::new(),
        };
        let top = answer.as_object().filter(|top| !top.is_empty());
        if top.is_some() {
            let level: Vec<_> = self.aggregations.iter().map(|a| (a, answer)).collect();
            walk.level(0, &level)?;
        }
        walk.found.sort_by_key(|(time, _)| *time);
        Ok(walk.found)
    }

    /// Records as a batch, those of the same time in the order of their content.
    pub fn batch(&self, wanted: &Wanted, records: &[Flat]) -> RecordBatch {
        let mut batch = wanted.projection.batch();
        let mut row = Row::new(&wanted.projection);
        for (_, record) in records {
            row.clear();
            for (name, value) in record {
                let target = wanted.projection.target(name);
                match scalar(value) {
                    Some(value) => row.put(&wanted.projection, target, value),
                    None => row.skip(),
                }
            }
            row.deliver(&wanted.projection, &mut batch);
            batch.input.bytes += json!(record).to_string().len() as u64;
        }
        batch.order();
        batch
    }
}

fn scalar(value: &Value) -> Option<Scalar<'_>> {
    Some(match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => Scalar::Unsigned(number),
            (_, Some(number), _) => Scalar::Signed(number),
            (_, _, number) => Scalar::Float(number?),
        },
        Value::String(text) => Scalar::Text(text),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

fn unfit(reason: impl Into<String>) -> SourceError {
    SourceError::Refused {
        status: 400,
        kind: "illegal_argument_exception",
        reason: reason.into(),
    }
}

struct Walk<'a> {
    flattener: &'a Flattener,
    start: i64,
    /// What is known of the record on the way down.
    record: Map<String, Value>,
    found: Vec<Flat>,
}

/// Aggregations of one level, each with the object that has its answer.
type Level<'a> = [(&'a Aggregation, &'a Value)];

impl<'a> Walk<'a> {
    fn level(&mut self, documents: u64, level: &Level<'a>) -> Result<()> {
        if level.is_empty() {
            return self.keep(documents);
        }
        let (mut leaves, mut buckets, mut singles) = (Vec::new(), Vec::new(), Vec::new());
        for &(aggregation, at) in level {
            if aggregation.has_buckets() {
                buckets.push((aggregation, at));
            } else if aggregation.is_single_bucket() {
                let inner = &at[&aggregation.name];
                let (deeper, metrics): (Vec<_>, Vec<_>) = aggregation
                    .children
                    .iter()
                    .map(|child| (child, inner))
                    .partition(|(child, _)| child.has_buckets() || child.is_single_bucket());
                leaves.extend(metrics);
                if !deeper.is_empty() {
                    singles.push((inner, deeper));
                }
            } else {
                leaves.push((aggregation, at));
            }
        }
        let below = singles.iter().flat_map(|(_, deeper)| deeper);
        let below = below.filter(|(child, _)| child.has_buckets()).count();
        if buckets.len().max(below) > 1 {
            return Err(unfit(
                "Multiple bucket aggregations at the same level are not supported",
            ));
        }

        let mut added = Vec::new();
        for (leaf, at) in leaves {
            let answer = &at[&leaf.name];
            if leaf.name == self.flattener.time_field {
                self.time(leaf, answer)?;
            } else if self.flattener.fields.contains(&leaf.name)
                && let Some(value) = metric(leaf, answer)?
            {
                self.record.insert(leaf.name.clone(), value);
                added.push(&leaf.name);
            }
        }
        let mut innermost = singles.is_empty();
        if let Some((aggregation, at)) = buckets.first() {
            innermost &= !self.buckets(aggregation, &at[&aggregation.name])?;
        }
        for (inner, deeper) in &singles {
            self.level(documents_of(inner), deeper)?;
        }
        if innermost {
            self.keep(documents)?;
        }
        for name in added {
            self.record.shift_remove(name);
        }
        Ok(())
    }

    /// Whether there were buckets to go into.
    fn buckets(&mut self, aggregation: &'a Aggregation, answer: &'a Value) -> Result<bool> {
        match &aggregation.kind {
            Kind::Histogram => self.histogram(aggregation, answer)?,
            Kind::Composite(source) => self.composite(aggregation, source.as_deref(), answer)?,
            _ if !self.is_wanted(aggregation, answer) => return Ok(false),
            _ => {
                let wanted = self.flattener.fields.contains(&aggregation.name);
                for (name, bucket) in each(answer) {
                    if wanted {
                        let key = name.map_or_else(|| bucket["key"].clone(), Value::from);
                        self.record.insert(aggregation.name.clone(), key);
                    }
                    self.inside(aggregation, bucket)?;
                    if wanted {
                        self.record.shift_remove(&aggregation.name);
                    }
                }
            }
        }
        Ok(true)
    }

    fn inside(&mut self, aggregation: &'a Aggregation, bucket: &'a Value) -> Result<()> {
        let children: Vec<_> = aggregation.children.iter().map(|a| (a, bucket)).collect();
        self.level(documents_of(bucket), &children)
    }

    fn histogram(&mut self, aggregation: &'a Aggregation, answer: &'a Value) -> Result<()> {
        self.once(aggregation)?;
        for (_, bucket) in each(answer) {
            if key_time(&bucket["key"])? < self.start {
                continue;
            }
            self.inside(aggregation, bucket)?;
            self.record.shift_remove(&self.flattener.time_field);
        }
        Ok(())
    }

    fn composite(
        &mut self,
        aggregation: &'a Aggregation,
        source: Option<&str>,
        answer: &'a Value,
    ) -> Result<()> {
        self.once(aggregation)?;
        let Some(source) = source else {
            return Err(unfit(format!(
                "attempted to process composite agg [{}] but does not contain date_histogram value source",
                aggregation.name
            )));
        };
        for (_, bucket) in each(answer) {
            let keys = bucket["key"].as_object();
            if key_time(&bucket["key"][source])? < self.start {
                continue;
            }
            let mut added = Vec::new();
            for (name, key) in keys.into_iter().flatten() {
                if name != source && self.flattener.fields.contains(name) {
                    self.record.insert(name.clone(), key.clone());
                    added.push(name);
                }
            }
            self.inside(aggregation, bucket)?;
            self.record.shift_remove(&self.flattener.time_field);
            for name in added {
                self.record.shift_remove(name);
            }
        }
        Ok(())
    }

    /// Time has one histogram.
    fn once(&self, aggregation: &Aggregation) -> Result<()> {
        if !self.record.contains_key(&self.flattener.time_field) {
            return Ok(());
        }
        Err(unfit(format!(
            "More than one composite or date_histogram cannot be used in the aggregation. [{}] is another instance \
             of a composite or date_histogram aggregation",
            aggregation.name
        )))
    }

    /// Buckets that only serve a pipeline aggregation make no records.
    fn is_wanted(&self, aggregation: &Aggregation, answer: &Value) -> bool {
        let fields = &self.flattener.fields;
        fields.contains(&aggregation.name)
            || each(answer).next().is_some_and(|(_, bucket)| {
                aggregation.children.iter().any(|child| {
                    fields.contains(&child.name)
                        || child.has_buckets() && self.is_wanted(child, &bucket[&child.name])
                })
            })
    }

    fn time(&mut self, leaf: &Aggregation, answer: &Value) -> Result<()> {
        if leaf.kind != Kind::Max {
            return Err(self.no_time());
        }
        // Of a bucket without documents there is none, and it makes no record.
        if let Some(time) = time_of(&answer["value"]) {
            self.record.insert(leaf.name.clone(), time.into());
        }
        Ok(())
    }

    fn no_time(&self) -> SourceError {
        unfit(format!(
            "Missing max aggregation for time_field [{}]",
            self.flattener.time_field
        ))
    }

    fn keep(&mut self, documents: u64) -> Result<()> {
        if documents == 0 {
            return Ok(());
        }
        let time = self.record.get(&self.flattener.time_field);
        let Some(time) = time.and_then(Value::as_i64) else {
            return Err(self.no_time());
        };
        let mut record = self.record.clone();
        if self.flattener.doc_count {
            record.insert(DOC_COUNT.to_owned(), documents.into());
        }
        self.found.push((time, record));
        Ok(())
    }
}

/// The value of a metric; none where it isn't finite, or there were no documents.
fn metric(leaf: &Aggregation, answer: &Value) -> Result<Option<Value>> {
    let unsupported = || unfit(format!("Unsupported aggregation type [{}]", leaf.name));
    let finite = |value: &Value| {
        let number = match value {
            // As values that JSON can't hold are written.
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        };
        number
            .filter(|number: &f64| number.is_finite())
            .map(|_| value.clone())
    };
    match leaf.kind {
        // A pipeline aggregation has no value in the first bucket, and then nothing is there.
        Kind::Max | Kind::Value if answer.is_null() => Ok(None),
        Kind::Max | Kind::Value => match answer.get("value") {
            Some(value @ (Value::Number(_) | Value::Null | Value::String(_))) => Ok(finite(value)),
            _ => Err(unsupported()),
        },
        Kind::Percentiles => {
            let values: Vec<&Value> = match &answer["values"] {
                Value::Object(values) => values
                    .iter()
                    .filter(|(name, _)| !name.ends_with("_as_string"))
                    .map(|(_, value)| value)
                    .collect(),
                Value::Array(values) => values.iter().map(|value| &value["value"]).collect(),
                _ => return Err(unsupported()),
            };
            match values.as_slice() {
                [value] => Ok(finite(value)),
                _ => Err(unfit(format!(
                    "Multi-percentile aggregation [{}] is not supported",
                    leaf.name
                ))),
            }
        }
        Kind::GeoCentroid => {
            let place = &answer["location"];
            let any = answer["count"].as_u64().is_some_and(|count| count > 0);
            let place = place["lat"].as_f64().zip(place["lon"].as_f64());
            Ok(place
                .filter(|_| any)
                .map(|(lat, lon)| format!("{lat:?},{lon:?}").into()))
        }
        _ => Err(unsupported()),
    }
}

/// The buckets of an answer; of those with names, `filters` and keyed ranges, with their names.
fn each(answer: &Value) -> impl Iterator<Item = (Option<&str>, &Value)> {
    let buckets = &answer["buckets"];
    let listed = buckets.as_array().into_iter().flatten();
    let named = buckets.as_object().into_iter().flatten();
    listed
        .map(|bucket| (None, bucket))
        .chain(named.map(|(name, bucket)| (Some(name.as_str()), bucket)))
}

fn documents_of(bucket: &Value) -> u64 {
    bucket[DOC_COUNT].as_u64().unwrap_or(0)
}

fn key_time(key: &Value) -> Result<i64> {
    time_of(key).ok_or_else(|| {
        let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        unfit(format!(
            "Histogram key [{key}] cannot be converted to a timestamp"
        ))
    })
}

/// Epoch milliseconds: a histogram's key, or the greatest time.
fn time_of(value: &Value) -> Option<i64> {
    let time = value.as_f64().filter(|time| time.is_finite());
    value.as_i64().or(time.map(|time| time as i64))
}

#[cfg(test)]
mod tests;
