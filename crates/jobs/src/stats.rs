//! What `_stats` tells of a job, in wire form.

use serde::{Deserialize, Serialize};
use tidewatch_model::counts::{DataCounts, MemoryStatus, ModelSize};

/// `data_counts`. Times are epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataCountsDoc {
    pub job_id: String,
    pub processed_record_count: u64,
    pub processed_field_count: u64,
    pub input_bytes: u64,
    pub input_field_count: u64,
    pub invalid_date_count: u64,
    pub missing_field_count: u64,
    pub out_of_order_timestamp_count: u64,
    pub empty_bucket_count: u64,
    pub sparse_bucket_count: u64,
    pub bucket_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earliest_record_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_record_timestamp: Option<i64>,
    /// When data last came, by the clock of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_data_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_empty_bucket_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_sparse_bucket_timestamp: Option<i64>,
    pub input_record_count: u64,
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
        Self {
            job_id: job_id.to_owned(),
            processed_record_count: counts.processed_record_count,
            processed_field_count: counts.processed_field_count,
            input_bytes: counts.input_bytes,
            input_field_count: counts.input_field_count,
            invalid_date_count: counts.invalid_date_count,
            missing_field_count: counts.missing_field_count,
            out_of_order_timestamp_count: counts.out_of_order_timestamp_count,
            empty_bucket_count: counts.empty_bucket_count,
            sparse_bucket_count: counts.sparse_bucket_count,
            bucket_count: counts.bucket_count,
            earliest_record_timestamp: counts.earliest_record_timestamp,
            latest_record_timestamp: counts.latest_record_timestamp,
            last_data_time,
            latest_empty_bucket_timestamp: counts.latest_empty_bucket_timestamp,
            latest_sparse_bucket_timestamp: counts.latest_sparse_bucket_timestamp,
            input_record_count: counts.input_record_count,
            log_time: (log_time > 0).then_some(log_time),
        }
    }
}

/// `model_size_stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelSizeDoc {
    pub job_id: String,
    pub result_type: String,
    pub model_bytes: u64,
    pub peak_model_bytes: u64,
    pub model_bytes_exceeded: u64,
    pub model_bytes_memory_limit: u64,
    pub total_by_field_count: u64,
    pub total_over_field_count: u64,
    pub total_partition_field_count: u64,
    pub bucket_allocation_failures_count: u64,
    pub memory_status: MemoryStatus,
    pub assignment_memory_basis: String,
    pub output_memory_allocator_bytes: u64,
    pub categorized_doc_count: u64,
    pub total_category_count: u64,
    pub frequent_category_count: u64,
    pub rare_category_count: u64,
    pub dead_category_count: u64,
    pub failed_category_count: u64,
    pub categorization_status: String,
    pub log_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
}

impl ModelSizeDoc {
    pub fn new(job_id: &str, size: &ModelSize, log_time: i64) -> Self {
        Self {
            job_id: job_id.to_owned(),
            result_type: "model_size_stats".to_owned(),
            model_bytes: size.model_bytes,
            peak_model_bytes: size.peak_model_bytes,
            model_bytes_exceeded: size.model_bytes_exceeded,
            model_bytes_memory_limit: size.model_bytes_memory_limit,
            total_by_field_count: size.total_by_field_count,
            total_over_field_count: size.total_over_field_count,
            total_partition_field_count: size.total_partition_field_count,
            bucket_allocation_failures_count: size.bucket_allocation_failures_count,
            memory_status: size.memory_status,
            assignment_memory_basis: "model_memory_limit".to_owned(),
            categorization_status: "ok".to_owned(),
            log_time,
            timestamp: size.timestamp,
            ..Self::default()
        }
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

impl From<DataCountsDoc> for DataCounts {
    fn from(doc: DataCountsDoc) -> Self {
        Self {
            processed_record_count: doc.processed_record_count,
            processed_field_count: doc.processed_field_count,
            input_bytes: doc.input_bytes,
            input_field_count: doc.input_field_count,
            invalid_date_count: doc.invalid_date_count,
            missing_field_count: doc.missing_field_count,
            out_of_order_timestamp_count: doc.out_of_order_timestamp_count,
            empty_bucket_count: doc.empty_bucket_count,
            sparse_bucket_count: doc.sparse_bucket_count,
            bucket_count: doc.bucket_count,
            earliest_record_timestamp: doc.earliest_record_timestamp,
            latest_record_timestamp: doc.latest_record_timestamp,
            latest_empty_bucket_timestamp: doc.latest_empty_bucket_timestamp,
            latest_sparse_bucket_timestamp: doc.latest_sparse_bucket_timestamp,
            input_record_count: doc.input_record_count,
        }
    }
}

impl From<ModelSizeDoc> for ModelSize {
    fn from(doc: ModelSizeDoc) -> Self {
        Self {
            model_bytes: doc.model_bytes,
            peak_model_bytes: doc.peak_model_bytes,
            model_bytes_exceeded: doc.model_bytes_exceeded,
            model_bytes_memory_limit: doc.model_bytes_memory_limit,
            total_by_field_count: doc.total_by_field_count,
            total_over_field_count: doc.total_over_field_count,
            total_partition_field_count: doc.total_partition_field_count,
            bucket_allocation_failures_count: doc.bucket_allocation_failures_count,
            memory_status: doc.memory_status,
            timestamp: doc.timestamp,
        }
    }
}
