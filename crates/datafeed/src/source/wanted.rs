//! What a datafeed asks of its source, whichever that is.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidewatch_model::time_format::TimeFormat;

use crate::config::{Histogram, IndicesOptions};
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
    /// How times are written where there are no mappings: in files.
    pub written_time: TimeFormat,
    /// Milliseconds.
    pub bucket_span: i64,
    /// Records count as many documents as their field `doc_count` says.
    pub summary_is_doc_count: bool,
}

impl Wanted {
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
