//! What forests said, as the results of detectors.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_store::Found;
use tidewatch_store::query::{Bounds, Limit, Query};
use tidewatch_store::search::Made;

use super::detector::Detector;
use super::dialect::Dialect;
use super::flat::flatten;
use super::{digits, history, stored};
use crate::ApiState;
use crate::error::Result;

/// What a result says itself to be of.
const TYPE: &str = "forest";

/// A field of an entity and its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct EntityField {
    pub name: String,
    pub value: String,
}

/// What a forest says of a bucket. Lists have one value a feature, in the order of those that are enabled; what it
/// can't tell yet is empty.
#[derive(Debug, Deserialize)]
pub struct Told {
    /// Epoch milliseconds.
    pub timestamp: i64,
    /// Seconds.
    pub bucket_span: i64,
    pub is_interim: bool,
    #[serde(default)]
    pub entity: Vec<EntityField>,
    pub anomaly_score: f64,
    pub anomaly_grade: f64,
    pub confidence: f64,
    pub threshold: f64,
    #[serde(default)]
    pub values: Vec<f64>,
    #[serde(default)]
    imputed: Vec<bool>,
    #[serde(default)]
    pub expected: Vec<f64>,
    #[serde(default)]
    pub attribution: Vec<f64>,
    pub updates: u64,
    approx_anomaly_start_time: Option<i64>,
    #[serde(default)]
    pub past_values: Vec<f64>,
}

impl Told {
    pub fn read(doc: &str) -> Option<Self> {
        serde_json::from_str(doc).ok()
    }

    /// How many intervals before this one its anomaly began, as a number below 0.
    pub fn relative_index(&self) -> i64 {
        let span = self.bucket_span.saturating_mul(1_000).max(1);
        let began = self.approx_anomaly_start_time.unwrap_or(self.timestamp);
        began.saturating_sub(self.timestamp) / span
    }

    /// Epoch milliseconds.
    pub fn end(&self) -> i64 {
        let span = self.bucket_span.saturating_mul(1_000);
        self.timestamp.saturating_add(span)
    }
}

/// The name of the model of an entity; of a detector without categories, of the detector's.
pub fn model_id(detector_id: &str, entity: &[EntityField]) -> String {
    if entity.is_empty() {
        return format!("{detector_id}_model_rcf_0");
    }
    // FNV-1a, of 128 bits.
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for field in entity {
        let bytes = field
            .name
            .bytes()
            .chain([0])
            .chain(field.value.bytes())
            .chain([0]);
        for byte in bytes {
            hash ^= u128::from(byte);
            hash = hash.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
    format!("{detector_id}_entity_{}", digits(hash))
}

/// Whose results the jobs are that have some.
#[derive(Debug, Clone)]
pub struct Whose {
    pub detector_id: String,
    /// The id of the historical run; none for real time.
    task_id: Option<String>,
    /// When it was run; none for real time, which says it with each result.
    executed: Option<i64>,
    /// Where it ends; none for real time, which goes on.
    until: Option<i64>,
    /// Where it begins, for a job that took the place of another: what is before is told by that one.
    since: Option<i64>,
    pub detector: Detector,
}

impl Whose {
    pub fn of_detector(detector_id: &str, detector: &Detector) -> Self {
        Self {
            detector_id: detector_id.to_owned(),
            task_id: None,
            executed: None,
            until: None,
            since: None,
            detector: detector.clone(),
        }
    }

    pub fn is_historical(&self) -> bool {
        self.task_id.is_some()
    }

    /// Whether it is a result to clients.
    pub fn tells(&self, told: &Told) -> bool {
        let is_own = self.since.is_none_or(|since| told.timestamp >= since);
        is_own && self.is_final(told)
    }

    /// Whether nothing more will be said of the interval. A job has the last one of a run as interim: it can't know
    /// that nothing follows.
    fn is_final(&self, told: &Told) -> bool {
        !told.is_interim || self.until.is_some_and(|until| told.end() <= until)
    }

    /// The document of a result.
    pub fn document(&self, told: &Told, dialect: Dialect) -> Value {
        let features: Vec<_> = self.detector.enabled().collect();
        let each = |values: &[f64]| -> Value {
            let pairs = features.iter().zip(values);
            pairs
                .map(|(feature, value)| json!({"feature_id": feature.feature_id, "data": value}))
                .collect()
        };
        let data: Vec<Value> = features
            .iter()
            .zip(&told.values)
            .map(|(feature, value)| {
                json!({"feature_id": feature.feature_id, "feature_name": feature.feature_name, "data": value})
            })
            .collect();
        let (start, end) = (told.timestamp, told.end());
        let executed = self.executed;
        let executed =
            executed.unwrap_or_else(|| end.saturating_add(self.detector.window_delay.as_millis()));
        let mut document = json!({
            "detector_id": self.detector_id,
            "schema_version": 0,
            "data_start_time": start,
            "data_end_time": end,
            "feature_data": data,
            "execution_start_time": executed,
            "execution_end_time": executed,
            "anomaly_score": told.anomaly_score,
            "anomaly_grade": told.anomaly_grade,
            "confidence": told.confidence
        });
        if dialect == Dialect::OpenDistro {
            // As its first versions called them.
            document["start_time"] = start.into();
            document["end_time"] = end.into();
        }
        if !told.entity.is_empty() {
            document["entity"] = entity_json(&told.entity);
        }
        if let Some(task_id) = &self.task_id {
            document["task_id"] = task_id.as_str().into();
        }
        document["model_id"] = model_id(&self.detector_id, &told.entity).into();
        if told.anomaly_grade > 0.0 {
            let began = told.approx_anomaly_start_time.unwrap_or(start);
            document["approx_anomaly_start_time"] = began.into();
            document["relevant_attribution"] = each(&told.attribution);
            if !told.past_values.is_empty() {
                document["past_values"] = each(&told.past_values);
            }
            // The forest names one set of values that it expected.
            document["expected_values"] =
                json!([{"likelihood": 1.0, "value_list": each(&told.expected)}]);
        }
        document["threshold"] = json!(told.threshold);
        if told.imputed.contains(&true) {
            let pairs = features.iter().zip(&told.imputed);
            document["feature_imputed"] = pairs
                .map(|(feature, imputed)| json!({"feature_id": feature.feature_id, "imputed": imputed}))
                .collect();
        }
        document
    }
}

pub fn entity_json(entity: &[EntityField]) -> Value {
    let fields = entity.iter();
    fields
        .map(|field| json!({"name": field.name, "value": field.value}))
        .collect()
}

/// The jobs that have results, of detectors, former ones too, and of historical runs, by their ids.
pub fn jobs(state: &ApiState) -> Result<BTreeMap<String, Whose>> {
    let mut jobs = BTreeMap::new();
    let detectors = stored::read(state)?;
    for kept in detectors.current.into_iter().chain(detectors.former) {
        let whose = Whose {
            since: kept.stored.since,
            ..Whose::of_detector(&kept.stored.id, &kept.stored.detector)
        };
        jobs.insert(kept.job.job_id, whose);
    }
    for task in history::all(state)? {
        let whose = Whose {
            task_id: Some(task.id().to_owned()),
            executed: Some(task.run.execution_start_time),
            until: Some(task.run.end_time),
            ..Whose::of_detector(&task.run.detector_id, &task.run.detector)
        };
        jobs.insert(task.job.job_id, whose);
    }
    Ok(jobs)
}

/// The results of jobs as documents.
pub struct Results {
    pub jobs: BTreeMap<String, Whose>,
    pub dialect: Dialect,
    /// In flat fields too.
    pub is_flat: bool,
}

impl Made for Results {
    fn bounds(&self, query: &Query) -> Bounds {
        let mut bounds = Bounds {
            result_types: Some(BTreeSet::from([TYPE.to_owned()])),
            ..Bounds::default()
        };
        self.narrow(query, &mut bounds);
        bounds
    }

    fn document(&self, found: Found) -> Option<Found> {
        if found.source["result_type"] != TYPE {
            return None;
        }
        let whose = self.jobs.get(found.source["job_id"].as_str()?)?;
        let told = Told::deserialize(&found.source).ok()?;
        // What a forest can't judge yet is no result.
        if !whose.tells(&told) || told.anomaly_score <= 0.0 {
            return None;
        }
        let mut source = whose.document(&told, self.dialect);
        if self.is_flat {
            flatten(&mut source);
        }
        Some(Found {
            source,
            id: found.id,
        })
    }
}

impl Results {
    fn narrow(&self, query: &Query, bounds: &mut Bounds) {
        match query {
            Query::None => bounds.jobs = Some(BTreeSet::new()),
            Query::Terms {
                field,
                values,
                ignore_case: false,
            } => self.narrow_terms(field, values, bounds),
            Query::Range { field, from, to } => {
                self.narrow_range(field, from.as_ref(), to.as_ref(), bounds);
            }
            Query::Constant { query, .. } | Query::Boosted { query, .. } => {
                self.narrow(query, bounds);
            }
            Query::Bool { must, filter, .. } => {
                let all = must.iter().chain(filter);
                all.for_each(|query| self.narrow(query, bounds));
            }
            _ => {}
        }
    }

    fn narrow_terms(&self, field: &str, values: &[Value], bounds: &mut Bounds) {
        let is_meant = |whose: &Whose| match field {
            "detector_id" => values.contains(&whose.detector_id.as_str().into()),
            "task_id" => {
                let task_id = whose.task_id.as_deref();
                task_id.is_some_and(|task_id| values.contains(&task_id.into()))
            }
            _ => true,
        };
        let meant: BTreeSet<String> = self
            .jobs
            .iter()
            .filter(|(_, whose)| is_meant(whose))
            .map(|(job_id, _)| job_id.clone())
            .collect();
        bounds.jobs = Some(match bounds.jobs.take() {
            Some(before) => before.intersection(&meant).cloned().collect(),
            None => meant,
        });
    }

    fn narrow_range(
        &self,
        field: &str,
        from: Option<&Limit>,
        to: Option<&Limit>,
        bounds: &mut Bounds,
    ) {
        let longest = self.jobs.values().map(|whose| whose.detector.interval());
        let longest = longest.max().unwrap_or_default();
        let earlier = match field {
            "data_start_time" | "start_time" => 0,
            "data_end_time" | "end_time" => longest,
            "anomaly_grade" => {
                // The score that is kept of a result is 100 times the grade.
                let least =
                    from.and_then(|from| Some((from.value.as_f64()? * 100.0, from.inclusive)));
                bounds.min_score = match least {
                    Some((0.0, false)) => Some(f64::MIN_POSITIVE),
                    Some((least, _)) if least > 0.0 => Some(least * (1.0 - 1e-9)),
                    _ => bounds.min_score,
                };
                return;
            }
            _ => return,
        };
        let whole = |limit: Option<&Limit>| limit.and_then(|limit| limit.value.as_i64());
        bounds.start = bounds
            .start
            .max(whole(from).map(|from| from.saturating_sub(earlier)));
        bounds.end = match (bounds.end, whole(to)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
