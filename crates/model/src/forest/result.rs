//! What a forest says of one bucket of one entity.

use serde::Serialize;

/// One split field of an entity and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntityField {
    pub name: String,
    pub value: String,
}

/// The result of an entity in a bucket. Lists have one value a detector, in their order; those that the forest can't
/// tell yet are empty, and not written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForestResult {
    /// Start of the bucket, epoch milliseconds.
    pub timestamp: i64,
    /// Seconds.
    pub bucket_span: i64,
    pub is_interim: bool,
    /// The partition field first, then the by field; empty for a job that isn't split.
    pub entity: Vec<EntityField>,
    /// 0 or above, around 1 for what is usual; 0 while the forest has seen too little to tell.
    pub anomaly_score: f64,
    /// 0 to 1: 0 is no anomaly.
    pub anomaly_grade: f64,
    /// 0 to 1.
    pub confidence: f64,
    /// Scores above it get a grade; 0 while there is no score.
    pub threshold: f64,
    pub values: Vec<f64>,
    /// Whether a value was filled in, since the bucket had none.
    pub imputed: Vec<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<f64>,
    /// Where the value was expected: most values lie from `lower` to `upper`, whatever their grade.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lower: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upper: Vec<f64>,
    /// Which share of the score each has; together 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attribution: Vec<f64>,
    /// Points that the forest has seen, this one among them.
    pub updates: u64,
    /// Start of the bucket in which the anomaly began, epoch milliseconds: it is found late where it is an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approx_anomaly_start_time: Option<i64>,
    /// The values of that earlier bucket; `expected` is of that bucket then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub past_values: Vec<f64>,
}
