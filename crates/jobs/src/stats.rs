//! What `_stats` tells of a job, in wire form.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize, Serializer};
use tidewatch_model::counts::{DataCounts, ModelSize};

/// `data_counts`. Times are epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataCountsDoc {
    pub job_id: String,
    #[serde(flatten, serialize_with = "present")]
    pub counts: DataCounts,
    /// When data last came, by the clock of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_data_time: Option<i64>,
    /// When this was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_time: Option<i64>,
}

impl DataCountsDoc {
    pub fn new(
        job_id: &str,
        counts: &DataCounts,
        last_data_time: Option<i64>,
        log_time: i64,
    ) -> Self {
        let log_time = (log_time > 0).then_some(log_time);
        Self {
            job_id: job_id.to_owned(),
            counts: counts.clone(),
            last_data_time,
            log_time,
        }
    }
}

/// `model_size_stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSizeDoc {
    pub job_id: String,
    pub result_type: String,
    #[serde(flatten, serialize_with = "present")]
    pub size: ModelSize,
    #[serde(flatten)]
    pub fixed: Fixed,
    pub log_time: i64,
}

/// What the statistics have beside, of parts of Elasticsearch that an engine of this version hasn't.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fixed {
    #[serde(default)]
    pub assignment_memory_basis: MemoryBasis,
    pub output_memory_allocator_bytes: u64,
}

impl ModelSizeDoc {
    /// Whether it is that of a snapshot of an old cluster that has none.
    pub fn says_nothing(&self) -> bool {
        self.job_id.is_empty()
    }

    pub fn new(job_id: &str, size: &ModelSize, basis: MemoryBasis, log_time: i64) -> Self {
        Self {
            job_id: job_id.to_owned(),
            result_type: "model_size_stats".to_owned(),
            size: size.clone(),
            fixed: Fixed {
                assignment_memory_basis: basis,
                output_memory_allocator_bytes: 0,
            },
            log_time,
        }
    }
}

/// Leaves out what is null: the engine's own form of these has to keep every field.
fn present<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serde_json::to_value(value).map_err(serde::ser::Error::custom)?;
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    fields.serialize(serializer)
}

/// What a job is counted with when room is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryBasis {
    #[default]
    ModelMemoryLimit,
    CurrentModelBytes,
    PeakModelBytes,
}

/// The basis, and the sizes of late that it follows from.
#[derive(Debug, Clone, Default)]
pub struct Basis {
    pub of: MemoryBasis,
    sizes: VecDeque<u64>,
}

impl Basis {
    /// Sizes that say whether a job has grown up.
    const SIZES: usize = 20;
    /// Their coefficient of variation up to which it has.
    const STEADY: f64 = 0.1;

    /// Goes by what a job has taken after some more buckets.
    pub fn add(&mut self, size: &ModelSize) {
        if self.sizes.len() == Self::SIZES {
            self.sizes.pop_front();
        }
        self.sizes.push_back(size.model_bytes);
        if self.sizes.len() < Self::SIZES {
            return;
        }
        let n = Self::SIZES as f64;
        let mean = self.sizes.iter().map(|size| *size as f64).sum::<f64>() / n;
        let squares = self.sizes.iter().map(|size| (*size as f64 - mean).powi(2));
        let is_steady = (squares.sum::<f64>() / (n - 1.0)).sqrt() <= Self::STEADY * mean;
        self.of = match (is_steady, self.of) {
            (true, _) => MemoryBasis::CurrentModelBytes,
            // It was steady once, and may be as large again.
            (false, MemoryBasis::CurrentModelBytes) => MemoryBasis::PeakModelBytes,
            (false, before) => before,
        };
    }
}

/// `timing_stats`, milliseconds. The averages are absent before the first bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimingStats {
    pub job_id: String,
    pub bucket_count: u64,
    pub total_bucket_processing_time_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_bucket_processing_time_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_bucket_processing_time_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_bucket_processing_time_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_average_bucket_processing_time_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_average_bucket_processing_time_per_hour_ms: Option<f64>,
}

impl TimingStats {
    /// Weight of a new bucket in the exponential average, Elasticsearch's.
    const ALPHA: f64 = 0.01;

    pub fn new(job_id: &str) -> Self {
        Self {
            job_id: job_id.to_owned(),
            ..Self::default()
        }
    }

    /// Takes `buckets` of `span` seconds that took `millis` together.
    pub fn add(&mut self, buckets: u64, millis: f64, span: i64) {
        if buckets == 0 {
            return;
        }
        let each = millis / buckets as f64;
        self.bucket_count += buckets;
        self.total_bucket_processing_time_ms += millis;
        let (least, most) = (
            self.minimum_bucket_processing_time_ms,
            self.maximum_bucket_processing_time_ms,
        );
        self.minimum_bucket_processing_time_ms = Some(least.map_or(each, |least| least.min(each)));
        self.maximum_bucket_processing_time_ms = Some(most.map_or(each, |most| most.max(each)));
        self.average_bucket_processing_time_ms =
            Some(self.total_bucket_processing_time_ms / self.bucket_count as f64);
        let before = self
            .exponential_average_bucket_processing_time_ms
            .unwrap_or(each);
        let kept = (1.0 - Self::ALPHA).powi(buckets.min(10_000) as i32);
        let average = kept * before + (1.0 - kept) * each;
        self.exponential_average_bucket_processing_time_ms = Some(average);
        self.exponential_average_bucket_processing_time_per_hour_ms =
            Some(average * 3_600.0 / span as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_counts_with_its_limit_until_its_size_is_steady() {
        let mut basis = Basis::default();
        let mut of = |bytes: u64, times: usize| {
            for _ in 0..times {
                let size = ModelSize {
                    model_bytes: bytes,
                    ..ModelSize::default()
                };
                basis.add(&size);
            }
            basis.of
        };
        assert_eq!(of(1_000, 10), MemoryBasis::ModelMemoryLimit);
        assert_eq!(
            of(2_000, 10),
            MemoryBasis::ModelMemoryLimit,
            "it still grows"
        );
        assert_eq!(of(2_000, 10), MemoryBasis::CurrentModelBytes);
        assert_eq!(of(4_000, 5), MemoryBasis::PeakModelBytes);
        assert_eq!(of(4_000, 15), MemoryBasis::CurrentModelBytes);
    }
}
