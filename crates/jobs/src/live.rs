//! What is known of a job while it runs, and kept after.

use serde::Serialize;
use tidewatch_model::counts::{DataCounts, ModelSize};

use crate::stats::{Basis, DataCountsDoc, ModelSizeDoc, TimingStats};

/// What a job says of itself while it runs, and after.
#[derive(Debug, Clone, Default)]
pub struct Live {
    pub counts: DataCounts,
    pub size: ModelSize,
    pub basis: Basis,
    pub timing: TimingStats,
    pub last_data_time: Option<i64>,
    pub log_time: i64,
    /// When the size was last said: later than the rest after the job was taken back to a model snapshot.
    pub size_log_time: i64,
}

impl Live {
    /// Of a job that has seen nothing yet.
    pub fn new(job_id: &str) -> Self {
        Self {
            timing: TimingStats::new(job_id),
            ..Self::default()
        }
    }

    pub fn documents(&self, job_id: &str) -> Vec<(String, String)> {
        let counts = DataCountsDoc::new(job_id, &self.counts, self.last_data_time, self.log_time);
        let size = ModelSizeDoc::new(job_id, &self.size, self.basis.of, self.size_log_time);
        vec![
            ("data_counts".to_owned(), json(&counts)),
            ("model_size_stats".to_owned(), json(&size)),
            ("timing_stats".to_owned(), json(&self.timing)),
        ]
    }

    /// Takes up what one of [`documents`](Self::documents) says.
    pub fn take(&mut self, kind: &str, document: &str) -> serde_json::Result<()> {
        match kind {
            "data_counts" => {
                let counts: DataCountsDoc = serde_json::from_str(document)?;
                self.last_data_time = counts.last_data_time;
                self.log_time = counts.log_time.unwrap_or_default();
                self.counts = counts.counts;
            }
            "model_size_stats" => {
                let size: ModelSizeDoc = serde_json::from_str(document)?;
                self.size_log_time = size.log_time;
                self.size = size.size;
                self.basis.of = size.fixed.assignment_memory_basis;
            }
            "timing_stats" => self.timing = serde_json::from_str(document)?,
            _ => {}
        }
        Ok(())
    }
}

/// Plain structs with string keys always serialise.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| unreachable!("not JSON: {error}"))
}
