//! What a datafeed asks of its source, whichever that is.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidewatch_jobs::config::Job;
use tidewatch_model::time_format::TimeFormat;

use crate::config::{DatafeedConfig, Histogram, IndicesOptions};
use crate::projection::Projection;

/// One datafeed's question, from its configuration and its job's.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who asks: refusals name it.
    pub datafeed_id: String,
    /// Names and patterns within the source: without the source's name.
    pub indices: Vec<String>,
    pub query: Map<String, Value>,
    pub aggregations: Option<Map<String, Value>>,
    pub runtime_mappings: Map<String, Value>,
    pub script_fields: Map<String, Value>,
    pub indices_options: IndicesOptions,
    /// Where there are aggregations: the one over time.
    pub histogram: Option<Histogram>,
    /// Documents that are asked for at a time.
    pub page_size: usize,
    /// The fields of the job's records and the time, which sources give in epoch milliseconds.
    pub projection: Arc<Projection>,
    /// How times look in the data, for sources that keep them as their writers wrote them.
    pub time_format: TimeFormat,
    /// Milliseconds.
    pub bucket_span: i64,
    /// Records count as many documents as their field `doc_count` says.
    pub summary_is_doc_count: bool,
}

impl Wanted {
    pub fn new(datafeed: &DatafeedConfig, job: &Job) -> Self {
        let analysis = &job.analysis_config;
        let summary = analysis.summary_count_field_name.as_deref();
        Self {
            datafeed_id: datafeed.datafeed_id.clone(),
            indices: datafeed.indices.clone(),
            query: datafeed.query.clone(),
            aggregations: datafeed.aggregations.clone(),
            runtime_mappings: datafeed.runtime_mappings.clone(),
            script_fields: datafeed.script_fields.clone().unwrap_or_default(),
            indices_options: datafeed.indices_options.clone(),
            histogram: datafeed.histogram(),
            page_size: datafeed.scroll_size.max(1) as usize,
            projection: Arc::new(Projection::new(
                analysis.schema(),
                job.data_description.time_field.clone(),
                TimeFormat::EpochMs,
            )),
            // It was checked when the job came.
            time_format: TimeFormat::new(&job.data_description.time_format)
                .unwrap_or(TimeFormat::EpochMs),
            bucket_span: analysis.bucket_span.as_secs().saturating_mul(1_000),
            summary_is_doc_count: summary == Some("doc_count"),
        }
    }

    pub fn time_field(&self) -> &str {
        self.projection.time_field()
    }

    /// The names of the fields that the analysis reads, the time not among them.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let fields = self.projection.schema().fields.iter();
        fields
            .map(|field| field.name.as_str())
            .filter(|name| *name != self.time_field())
    }
}
