//! What a datafeed asks of its source.

use std::sync::Arc;

use tidewatch_jobs::config::Job;
use tidewatch_model::time_format::TimeFormat;

use super::DatafeedConfig;
use crate::projection::Projection;
use crate::source::Wanted;

impl DatafeedConfig {
    /// What is asked of the source for a job.
    pub fn wanted(&self, job: &Job) -> Wanted {
        let analysis = &job.analysis_config;
        // A source gives times in milliseconds, whatever they look like in its documents.
        let time_field = job.data_description.time_field.clone();
        let projection = Projection::new(analysis.schema(), time_field, TimeFormat::EpochMs);
        Wanted {
            datafeed_id: self.datafeed_id.clone(),
            indices: self.indices.clone(),
            query: self.query.clone(),
            aggregations: self.aggregations.clone(),
            runtime_mappings: self.runtime_mappings.clone(),
            script_fields: self.script_fields.clone().unwrap_or_default(),
            indices_options: self.indices_options.clone(),
            histogram: self.histogram(),
            page_size: self.scroll_size.max(1) as usize,
            projection: Arc::new(projection),
            written_time: TimeFormat::new(&job.data_description.time_format)
                .unwrap_or(TimeFormat::EpochMs),
            bucket_span: analysis.span().saturating_mul(1_000),
            summary_is_doc_count: analysis.summary_count_field_name.as_deref() == Some("doc_count"),
        }
    }
}
