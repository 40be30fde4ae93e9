//! What an analysis says: the documents of Elasticsearch's results, in their wire form.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::forest::ForestResult;
use crate::normalise::Renormalisation;

/// A result with the job that it belongs to and its kind: the document that is stored and served.
#[derive(Serialize)]
pub struct Document<'a, T> {
    pub job_id: &'a str,
    pub result_type: &'static str,
    #[serde(flatten)]
    pub result: &'a T,
}

/// Everything that one bucket gave.
#[derive(Debug, Clone, PartialEq)]
pub struct BucketResults {
    pub bucket: Bucket,
    /// The most unusual first.
    pub records: Vec<Record>,
    pub influencers: Vec<Influencer>,
    pub model_plots: Vec<ModelPlot>,
    pub annotations: Vec<Annotation>,
    /// Of a job whose engine is the random cut forest: what its forests say of their entities.
    pub forests: Vec<ForestResult>,
    /// What the bucket changes in the scores of those before it.
    pub renormalisation: Option<Box<Renormalisation>>,
}

/// A remark on what became of the models in a bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Annotation {
    /// Start of the bucket, epoch milliseconds.
    pub timestamp: i64,
    /// Its end.
    pub end_timestamp: i64,
    pub annotation: String,
    /// What it tells of, in Elasticsearch's terms.
    pub event: &'static str,
    pub detector_index: usize,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub by: Option<ByField>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionField>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// Start of the bucket, epoch milliseconds.
    pub timestamp: i64,
    /// 0 to 100.
    pub anomaly_score: f64,
    /// Seconds.
    pub bucket_span: i64,
    /// As first written; never changed.
    pub initial_anomaly_score: f64,
    pub event_count: u64,
    pub is_interim: bool,
    pub bucket_influencers: Vec<BucketInfluencer>,
    /// Filled by whoever has a clock.
    pub processing_time_ms: u64,
    /// Descriptions of the calendars' events that touch the bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scheduled_events: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BucketInfluencer {
    /// Filled by whoever knows the job, as every result tells its own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub job_id: String,
    pub result_type: &'static str,
    /// `bucket_time`, or an influencer field.
    pub influencer_field_name: String,
    pub initial_anomaly_score: f64,
    pub anomaly_score: f64,
    pub raw_anomaly_score: f64,
    pub probability: f64,
    pub timestamp: i64,
    pub bucket_span: i64,
    pub is_interim: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    pub probability: f64,
    /// -5 (the bucket alone) to 5 (several buckets together).
    pub multi_bucket_impact: f64,
    pub record_score: f64,
    pub initial_record_score: f64,
    pub bucket_span: i64,
    pub detector_index: usize,
    pub is_interim: bool,
    pub timestamp: i64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub by: Option<ByField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlated_by_field_value: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub over: Option<OverField>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionField>,
    pub function: &'static str,
    pub function_description: &'static str,
    /// Of a population's member they are with its causes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub typical: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actual: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geo_results: Option<GeoResults>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_name: Option<String>,
    /// What a member of a population did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub influencers: Vec<RecordInfluencer>,
    pub anomaly_score_explanation: Explanation,
    #[serde(flatten)]
    pub echoed: Echoed,
}

/// One of the things that a member of a population did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    pub probability: f64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub by: Option<ByField>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub over: Option<OverField>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionField>,
    pub function: &'static str,
    pub function_description: &'static str,
    pub typical: Vec<f64>,
    pub actual: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geo_results: Option<GeoResults>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_name: Option<String>,
}

/// Places as `lat,lon`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GeoResults {
    pub actual_point: String,
    pub typical_point: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverField {
    pub over_field_name: String,
    pub over_field_value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByField {
    pub by_field_name: String,
    pub by_field_value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionField {
    pub partition_field_name: String,
    pub partition_field_value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordInfluencer {
    pub influencer_field_name: String,
    /// The most influential first.
    pub influencer_field_values: Vec<String>,
}

/// Why a record has its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Explanation {
    Deviation(Deviation),
    Rarity(Rarity),
}

impl Explanation {
    pub fn deviation(&self) -> Option<&Deviation> {
        match self {
            Self::Deviation(deviation) => Some(deviation),
            Self::Rarity(_) => None,
        }
    }
}

/// Of a value that is not what it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deviation {
    /// `dip` or `spike`.
    pub anomaly_type: &'static str,
    /// Buckets that have been unusual on end.
    pub anomaly_length: u32,
    /// 0 to 5.
    pub single_bucket_impact: u8,
    /// 0 to 5.
    pub multi_bucket_impact: u8,
    /// 0 to 5: of a shape that was never seen.
    pub anomaly_characteristics_impact: u8,
    /// Bounds of 95 % about the typical value. A place has none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bounds {
    pub lower_confidence_bound: f64,
    pub typical_value: f64,
    pub upper_confidence_bound: f64,
}

/// Of a by value that is rare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rarity {
    pub by_field_first_occurrence: bool,
    /// How many times more common the by values are, in the mean.
    pub by_field_relative_rarity: f64,
}

/// Field names and their values, said once more at the top of a record as Elasticsearch does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echoed(pub Vec<(String, Vec<String>)>);

/// Fields of result documents, which an analysis field of the same name may not overwrite.
const RESERVED: [&str; 29] = [
    "job_id",
    "result_type",
    "timestamp",
    "bucket_span",
    "is_interim",
    "probability",
    "multi_bucket_impact",
    "record_score",
    "initial_record_score",
    "detector_index",
    "by_field_name",
    "by_field_value",
    "over_field_name",
    "over_field_value",
    "partition_field_name",
    "partition_field_value",
    "function",
    "function_description",
    "typical",
    "actual",
    "field_name",
    "influencers",
    "causes",
    "geo_results",
    "anomaly_score_explanation",
    "influencer_field_name",
    "influencer_field_value",
    "influencer_score",
    "initial_influencer_score",
];

impl Echoed {
    /// Adds values of a field, each once.
    pub fn add(&mut self, field: &str, values: impl IntoIterator<Item = String>) {
        if RESERVED.contains(&field) {
            return;
        }
        let at = self
            .0
            .iter()
            .position(|(name, _)| name == field)
            .unwrap_or_else(|| {
                self.0.push((field.to_owned(), Vec::new()));
                self.0.len() - 1
            });
        for value in values {
            if !self.0[at].1.contains(&value) {
                self.0[at].1.push(value);
            }
        }
    }
}

impl Serialize for Echoed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            map.serialize_entry(name, values)?;
        }
        map.end()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Influencer {
    pub influencer_field_name: String,
    pub influencer_field_value: String,
    pub influencer_score: f64,
    pub initial_influencer_score: f64,
    pub probability: f64,
    pub bucket_span: i64,
    pub is_interim: bool,
    pub timestamp: i64,
    #[serde(flatten)]
    pub echoed: Echoed,
}

/// What the forecasts of one series have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForecastSeries {
    /// Seconds.
    pub bucket_span: i64,
    pub detector_index: usize,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionField>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub by: Option<ByField>,
    pub model_feature: &'static str,
}

/// What the model expected of one series in one bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelPlot {
    pub timestamp: i64,
    pub bucket_span: i64,
    pub detector_index: usize,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub by: Option<ByField>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub over: Option<OverField>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionField>,
    pub model_feature: &'static str,
    pub model_lower: f64,
    pub model_upper: f64,
    pub model_median: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<f64>,
}
