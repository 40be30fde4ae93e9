//! What an analysis counts of its records and of itself.

use serde::{Deserialize, Serialize};

use crate::categorize::CategorizerStats;

/// `data_counts` of the wire, as far as they follow from the records alone. Times are epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataCounts {
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
    pub earliest_record_timestamp: Option<i64>,
    pub latest_record_timestamp: Option<i64>,
    pub latest_empty_bucket_timestamp: Option<i64>,
    pub latest_sparse_bucket_timestamp: Option<i64>,
    /// All records that were taken: processed, without a usable time, or out of order.
    pub input_record_count: u64,
}

impl DataCounts {
    /// What was counted since `before`: the counts of one upload. Times are those of the whole.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            processed_record_count: self.processed_record_count - before.processed_record_count,
            processed_field_count: self
                .processed_field_count
                .saturating_sub(before.processed_field_count),
            input_bytes: self.input_bytes - before.input_bytes,
            input_field_count: self.input_field_count - before.input_field_count,
            invalid_date_count: self.invalid_date_count - before.invalid_date_count,
            missing_field_count: self.missing_field_count - before.missing_field_count,
            out_of_order_timestamp_count: self.out_of_order_timestamp_count
                - before.out_of_order_timestamp_count,
            empty_bucket_count: self.empty_bucket_count - before.empty_bucket_count,
            sparse_bucket_count: self.sparse_bucket_count - before.sparse_bucket_count,
            bucket_count: self.bucket_count - before.bucket_count,
            input_record_count: self.input_record_count - before.input_record_count,
            ..self.clone()
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryStatus {
    #[default]
    Ok,
    SoftLimit,
    HardLimit,
}

/// `model_size_stats` of the wire, as far as the engine knows them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSize {
    pub model_bytes: u64,
    pub peak_model_bytes: u64,
    pub model_bytes_exceeded: u64,
    pub model_bytes_memory_limit: u64,
    pub total_by_field_count: u64,
    pub total_over_field_count: u64,
    pub total_partition_field_count: u64,
    pub bucket_allocation_failures_count: u64,
    pub memory_status: MemoryStatus,
    /// Of all partitions together; zeros for a job without categories.
    #[serde(flatten)]
    pub categories: CategorizerStats,
    /// Start of the bucket of which this was said, epoch milliseconds.
    pub timestamp: Option<i64>,
}

impl std::ops::AddAssign for DataCounts {
    /// Adds what was counted next.
    fn add_assign(&mut self, next: Self) {
        self.processed_record_count += next.processed_record_count;
        self.processed_field_count += next.processed_field_count;
        self.input_bytes += next.input_bytes;
        self.input_field_count += next.input_field_count;
        self.invalid_date_count += next.invalid_date_count;
        self.missing_field_count += next.missing_field_count;
        self.out_of_order_timestamp_count += next.out_of_order_timestamp_count;
        self.empty_bucket_count += next.empty_bucket_count;
        self.sparse_bucket_count += next.sparse_bucket_count;
        self.bucket_count += next.bucket_count;
        self.input_record_count += next.input_record_count;
        self.earliest_record_timestamp = self
            .earliest_record_timestamp
            .or(next.earliest_record_timestamp);
        self.latest_record_timestamp = next
            .latest_record_timestamp
            .or(self.latest_record_timestamp);
        self.latest_empty_bucket_timestamp = next
            .latest_empty_bucket_timestamp
            .or(self.latest_empty_bucket_timestamp);
        self.latest_sparse_bucket_timestamp = next
            .latest_sparse_bucket_timestamp
            .or(self.latest_sparse_bucket_timestamp);
    }
}
