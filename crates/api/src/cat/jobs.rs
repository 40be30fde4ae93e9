//! `_cat/ml/anomaly_detectors`: the statistics of jobs.

use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tidewatch_jobs::{Figures, ForecastFigures, ForecastStats, JobStats, NODE_NAME};
use tidewatch_model::counts::{DataCounts, ModelSize};

use super::{Cell, Column, Served, answer};
use crate::error::Result;
use crate::params::Params;
use crate::{Identity, body};

#[derive(Deserialize)]
struct Asked {
    #[serde(default = "body::yes")]
    allow_no_match: bool,
}

pub async fn all(state: Served, uri: Uri, headers: HeaderMap) -> Result<Response> {
    some(state, Path("_all".to_owned()), uri, headers).await
}

pub async fn some(
    state: Served,
    Path(expression): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let asked = Asked::deserialize(&mut params)?;
    let columns = FIELDS.iter().map(|(column, _)| column).collect();
    let rows = async {
        let stats = state.jobs.stats(&expression, asked.allow_no_match)?;
        let forecasts = state.jobs.forecast_stats().await?;
        let none = ForecastStats::default();
        let of_job = |stats: &JobStats| {
            let row = Row {
                stats,
                forecasts: forecasts.get(&stats.job_id).unwrap_or(&none),
                identity: &state.identity,
            };
            FIELDS.iter().map(|(_, value)| value(&row)).collect()
        };
        Ok(stats.iter().map(of_job).collect())
    };
    answer(&uri, &headers, params, columns, rows).await
}

/// All that is known of a job.
struct Row<'a> {
    stats: &'a JobStats,
    forecasts: &'a ForecastStats,
    identity: &'a Identity,
}

impl Row<'_> {
    fn counts(&self) -> &DataCounts {
        &self.stats.data_counts.counts
    }

    fn size(&self) -> &ModelSize {
        &self.stats.model_size_stats.size
    }

    fn forecast(&self, value: impl Fn(&ForecastFigures) -> Cell) -> Cell {
        self.forecasts.figures.as_ref().map_or(Cell::None, value)
    }

    fn memory(&self, of: impl Fn(&Figures) -> f64) -> Cell {
        self.forecast(|figures| Cell::Bytes(of(&figures.memory_bytes) as u64))
    }

    fn records(&self, of: impl Fn(&Figures) -> f64) -> Cell {
        self.forecast(|figures| Cell::Number(of(&figures.records)))
    }

    fn runtime(&self, of: impl Fn(&Figures) -> Cell) -> Cell {
        self.forecast(|figures| of(&figures.processing_time_ms))
    }

    /// Nothing for a job that runs nowhere.
    fn node<'a>(&'a self, of: impl Fn(&'a Identity) -> &'a str) -> Cell {
        match self.stats.open_for {
            Some(_) => text(of(self.identity)),
            None => Cell::None,
        }
    }
}

fn text(text: &str) -> Cell {
    text.into()
}

/// The name that an enumeration has on the wire.
fn name(value: impl Serialize) -> Cell {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().into()
}

fn date(millis: Option<i64>) -> Cell {
    millis.map_or(Cell::None, Cell::Date)
}

fn millis(millis: Option<f64>) -> Cell {
    millis.map_or(Cell::None, |millis| Cell::Millis(millis as i64))
}

fn number(number: Option<f64>) -> Cell {
    number.map_or(Cell::None, Cell::Number)
}

/// What a column shows of a job.
type Value = fn(&Row<'_>) -> Cell;

static FIELDS: &[(Column, Value)] = &[
    (Column::new("id", &[], "the job_id").shown(), |row| {
        text(&row.stats.job_id)
    }),
    (
        Column::new("state", &["s"], "the job state")
            .shown()
            .right(),
        |row| text(row.stats.state.name()),
    ),
    (
        Column::new(
            "opened_time",
            &["ot"],
            "the amount of time the job has been opened",
        ),
        |row| {
            row.stats.open_for.map_or(Cell::None, |open| {
                Cell::Millis(open.as_secs() as i64 * 1_000)
            })
        },
    ),
    (
        Column::new(
            "assignment_explanation",
            &["ae"],
            "why the job is or is not assigned to a node",
        ),
        |row| row.stats.assignment_explanation.as_deref().into(),
    ),
    (
        Column::new(
            "data.processed_records",
            &["dpr", "dataProcessedRecords"],
            "number of processed records",
        )
        .shown(),
        |row| Cell::Count(row.counts().processed_record_count),
    ),
    (
        Column::new(
            "data.processed_fields",
            &["dpf", "dataProcessedFields"],
            "number of processed fields",
        ),
        |row| Cell::Count(row.counts().processed_field_count),
    ),
    (
        Column::new(
            "data.input_bytes",
            &["dib", "dataInputBytes"],
            "total input bytes",
        ),
        |row| Cell::Bytes(row.counts().input_bytes),
    ),
    (
        Column::new(
            "data.input_records",
            &["dir", "dataInputRecords"],
            "total record count",
        ),
        |row| Cell::Count(row.counts().input_record_count),
    ),
    (
        Column::new(
            "data.input_fields",
            &["dif", "dataInputFields"],
            "total field count",
        ),
        |row| Cell::Count(row.counts().input_field_count),
    ),
    (
        Column::new(
            "data.invalid_dates",
            &["did", "dataInvalidDates"],
            "number of records with invalid dates",
        ),
        |row| Cell::Count(row.counts().invalid_date_count),
    ),
    (
        Column::new(
            "data.missing_fields",
            &["dmf", "dataMissingFields"],
            "number of records with missing fields",
        ),
        |row| Cell::Count(row.counts().missing_field_count),
    ),
    (
        Column::new(
            "data.out_of_order_timestamps",
            &["doot", "dataOutOfOrderTimestamps"],
            "number of records handled out of order",
        ),
        |row| Cell::Count(row.counts().out_of_order_timestamp_count),
    ),
    (
        Column::new(
            "data.empty_buckets",
            &["deb", "dataEmptyBuckets"],
            "number of empty buckets",
        ),
        |row| Cell::Count(row.counts().empty_bucket_count),
    ),
    (
        Column::new(
            "data.sparse_buckets",
            &["dsb", "dataSparseBuckets"],
            "number of sparse buckets",
        ),
        |row| Cell::Count(row.counts().sparse_bucket_count),
    ),
    (
        Column::new("data.buckets", &["db", "dataBuckets"], "total bucket count"),
        |row| Cell::Count(row.counts().bucket_count),
    ),
    (
        Column::new(
            "data.earliest_record",
            &["der", "dataEarliestRecord"],
            "earliest record time",
        ),
        |row| date(row.counts().earliest_record_timestamp),
    ),
    (
        Column::new(
            "data.latest_record",
            &["dlr", "dataLatestRecord"],
            "latest record time",
        ),
        |row| date(row.counts().latest_record_timestamp),
    ),
    (
        Column::new("data.last", &["dl", "dataLast"], "last time data was seen"),
        |row| date(row.stats.data_counts.last_data_time),
    ),
    (
        Column::new(
            "data.last_empty_bucket",
            &["dleb", "dataLastEmptyBucket"],
            "last time an empty bucket occurred",
        ),
        |row| date(row.counts().latest_empty_bucket_timestamp),
    ),
    (
        Column::new(
            "data.last_sparse_bucket",
            &["dlsb", "dataLastSparseBucket"],
            "last time a sparse bucket occurred",
        ),
        |row| date(row.counts().latest_sparse_bucket_timestamp),
    ),
    (
        Column::new("model.bytes", &["mb", "modelBytes"], "model size").shown(),
        |row| Cell::Bytes(row.size().model_bytes),
    ),
    (
        Column::new(
            "model.memory_status",
            &["mms", "modelMemoryStatus"],
            "current memory status",
        )
        .shown()
        .right(),
        |row| name(row.size().memory_status),
    ),
    (
        Column::new(
            "model.bytes_exceeded",
            &["mbe", "modelBytesExceeded"],
            "how much the model has exceeded the limit",
        ),
        |row| Cell::Bytes(row.size().model_bytes_exceeded),
    ),
    (
        Column::new(
            "model.memory_limit",
            &["mml", "modelMemoryLimit"],
            "model memory limit",
        ),
        |row| Cell::Bytes(row.size().model_bytes_memory_limit),
    ),
    (
        Column::new(
            "model.by_fields",
            &["mbf", "modelByFields"],
            "count of 'by' fields",
        ),
        |row| Cell::Count(row.size().total_by_field_count),
    ),
    (
        Column::new(
            "model.over_fields",
            &["mof", "modelOverFields"],
            "count of 'over' fields",
        ),
        |row| Cell::Count(row.size().total_over_field_count),
    ),
    (
        Column::new(
            "model.partition_fields",
            &["mpf", "modelPartitionFields"],
            "count of 'partition' fields",
        ),
        |row| Cell::Count(row.size().total_partition_field_count),
    ),
    (
        Column::new(
            "model.bucket_allocation_failures",
            &["mbaf", "modelBucketAllocationFailures"],
            "number of bucket allocation failures",
        ),
        |row| Cell::Count(row.size().bucket_allocation_failures_count),
    ),
    (
        Column::new(
            "model.output_memory_allocator_bytes",
            &["momab", "modelOutputMemoryAllocatorBytes"],
            "how many bytes have been used to output the model documents",
        ),
        |row| {
            Cell::Bytes(
                row.stats
                    .model_size_stats
                    .fixed
                    .output_memory_allocator_bytes,
            )
        },
    ),
    (
        Column::new(
            "model.categorization_status",
            &["mcs", "modelCategorizationStatus"],
            "current categorization status",
        )
        .right(),
        |row| name(row.size().categories.categorization_status),
    ),
    (
        Column::new(
            "model.categorized_doc_count",
            &["mcdc", "modelCategorizedDocCount"],
            "count of categorized documents",
        ),
        |row| Cell::Count(row.size().categories.categorized_doc_count),
    ),
    (
        Column::new(
            "model.total_category_count",
            &["mtcc", "modelTotalCategoryCount"],
            "count of categories",
        ),
        |row| Cell::Count(row.size().categories.total_category_count),
    ),
    (
        Column::new(
            "model.frequent_category_count",
            &["mfcc", "modelFrequentCategoryCount"],
            "count of frequent categories",
        ),
        |row| Cell::Count(row.size().categories.frequent_category_count),
    ),
    (
        Column::new(
            "model.rare_category_count",
            &["mrcc", "modelRareCategoryCount"],
            "count of rare categories",
        ),
        |row| Cell::Count(row.size().categories.rare_category_count),
    ),
    (
        Column::new(
            "model.dead_category_count",
            &["mdcc", "modelDeadCategoryCount"],
            "count of dead categories",
        ),
        |row| Cell::Count(row.size().categories.dead_category_count),
    ),
    (
        Column::new(
            "model.failed_category_count",
            &["mfcc", "modelFailedCategoryCount"],
            "count of failed categories",
        ),
        |row| Cell::Count(row.size().categories.failed_category_count),
    ),
    (
        Column::new(
            "model.log_time",
            &["mlt", "modelLogTime"],
            "when the model stats were gathered",
        ),
        |row| date(Some(row.stats.model_size_stats.log_time)),
    ),
    (
        Column::new(
            "model.timestamp",
            &["mt", "modelTimestamp"],
            "the time of the last record when the model stats were gathered",
        ),
        |row| date(row.size().timestamp),
    ),
    (
        Column::new(
            "forecasts.total",
            &["ft", "forecastsTotal"],
            "total number of forecasts",
        )
        .shown(),
        |row| Cell::Count(row.forecasts.total),
    ),
    (
        Column::new(
            "forecasts.memory.min",
            &["fmmin", "forecastsMemoryMin"],
            "minimum memory used by forecasts",
        ),
        |row| row.memory(|of| of.min),
    ),
    (
        Column::new(
            "forecasts.memory.max",
            &["fmmax", "forecastsMemoryMax"],
            "maximum memory used by forecasts",
        ),
        |row| row.memory(|of| of.max),
    ),
    (
        Column::new(
            "forecasts.memory.avg",
            &["fmavg", "forecastsMemoryAvg"],
            "average memory used by forecasts",
        ),
        |row| row.memory(|of| of.avg.round()),
    ),
    (
        Column::new(
            "forecasts.memory.total",
            &["fmt", "forecastsMemoryTotal"],
            "total memory used by all forecasts",
        ),
        |row| row.memory(|of| of.total),
    ),
    (
        Column::new(
            "forecasts.records.min",
            &["frmin", "forecastsRecordsMin"],
            "minimum record count for forecasts",
        ),
        |row| row.records(|of| of.min),
    ),
    (
        Column::new(
            "forecasts.records.max",
            &["frmax", "forecastsRecordsMax"],
            "maximum record count for forecasts",
        ),
        |row| row.records(|of| of.max),
    ),
    (
        Column::new(
            "forecasts.records.avg",
            &["fravg", "forecastsRecordsAvg"],
            "average record count for forecasts",
        ),
        |row| row.records(|of| of.avg),
    ),
    (
        Column::new(
            "forecasts.records.total",
            &["frt", "forecastsRecordsTotal"],
            "total record count for all forecasts",
        ),
        |row| row.records(|of| of.total),
    ),
    (
        Column::new(
            "forecasts.time.min",
            &["ftmin", "forecastsTimeMin"],
            "minimum runtime for forecasts",
        ),
        |row| row.runtime(|of| Cell::Millis(of.min as i64)),
    ),
    (
        Column::new(
            "forecasts.time.max",
            &["ftmax", "forecastsTimeMax"],
            "maximum run time for forecasts",
        ),
        |row| row.runtime(|of| Cell::Millis(of.max as i64)),
    ),
    (
        Column::new(
            "forecasts.time.avg",
            &["ftavg", "forecastsTimeAvg"],
            "average runtime for all forecasts (milliseconds)",
        ),
        |row| row.runtime(|of| Cell::Number(of.avg)),
    ),
    (
        Column::new(
            "forecasts.time.total",
            &["ftt", "forecastsTimeTotal"],
            "total runtime for all forecasts",
        ),
        |row| row.runtime(|of| Cell::Millis(of.total as i64)),
    ),
    (
        Column::new("node.id", &["ni", "nodeId"], "id of the assigned node"),
        |row| row.node(|node| &node.node_id),
    ),
    (
        Column::new(
            "node.name",
            &["nn", "nodeName"],
            "name of the assigned node",
        ),
        |row| row.node(|_| NODE_NAME),
    ),
    (
        Column::new(
            "node.ephemeral_id",
            &["ne", "nodeEphemeralId"],
            "ephemeral id of the assigned node",
        ),
        |row| row.node(|node| &node.ephemeral_id),
    ),
    (
        Column::new(
            "node.address",
            &["na", "nodeAddress"],
            "network address of the assigned node",
        ),
        |row| row.node(|node| &node.address),
    ),
    (
        Column::new("buckets.count", &["bc", "bucketsCount"], "bucket count").shown(),
        |row| Cell::Count(row.stats.timing_stats.bucket_count),
    ),
    (
        Column::new(
            "buckets.time.total",
            &["btt", "bucketsTimeTotal"],
            "total bucket processing time",
        ),
        |row| millis(Some(row.stats.timing_stats.total_bucket_processing_time_ms)),
    ),
    (
        Column::new(
            "buckets.time.min",
            &["btmin", "bucketsTimeMin"],
            "minimum bucket processing time",
        ),
        |row| millis(row.stats.timing_stats.minimum_bucket_processing_time_ms),
    ),
    (
        Column::new(
            "buckets.time.max",
            &["btmax", "bucketsTimeMax"],
            "maximum bucket processing time",
        ),
        |row| millis(row.stats.timing_stats.maximum_bucket_processing_time_ms),
    ),
    (
        Column::new(
            "buckets.time.exp_avg",
            &["btea", "bucketsTimeExpAvg"],
            "exponential average bucket processing time (milliseconds)",
        ),
        |row| {
            number(
                row.stats
                    .timing_stats
                    .exponential_average_bucket_processing_time_ms,
            )
        },
    ),
    (
        Column::new(
            "buckets.time.exp_avg_hour",
            &["bteah", "bucketsTimeExpAvgHour"],
            "exponential average bucket processing time by hour (milliseconds)",
        ),
        |row| {
            number(
                row.stats
                    .timing_stats
                    .exponential_average_bucket_processing_time_per_hour_ms,
            )
        },
    ),
];
