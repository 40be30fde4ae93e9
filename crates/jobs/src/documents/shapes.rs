//! The documents that have a place of their own: how they are known, their fields, and what they become.

use super::schema::{Field, Type, may, must, zero};

const fn job_id() -> Field {
    must("job_id", Type::Text)
}

pub const BUCKET: &[Field] = &[
    job_id(),
    zero("result_type", Type::Text),
    must("timestamp", Type::Date),
    zero("anomaly_score", Type::Double),
    must("bucket_span", Type::Long),
    zero("initial_anomaly_score", Type::Double),
    zero("event_count", Type::Long),
    zero("is_interim", Type::Bool),
    zero("bucket_influencers", Type::Objects(BUCKET_INFLUENCER)),
    zero("processing_time_ms", Type::Long),
    may("scheduled_events", Type::Texts),
];

const BUCKET_INFLUENCER: &[Field] = &[
    may("job_id", Type::Text),
    zero("result_type", Type::Text),
    may("influencer_field_name", Type::Text),
    zero("initial_anomaly_score", Type::Double),
    zero("anomaly_score", Type::Double),
    zero("raw_anomaly_score", Type::Double),
    zero("probability", Type::Double),
    may("timestamp", Type::Date),
    may("bucket_span", Type::Long),
    zero("is_interim", Type::Bool),
];

const GEO_RESULTS: &[Field] = &[
    may("actual_point", Type::Text),
    may("typical_point", Type::Text),
];

const CAUSE: &[Field] = &[
    zero("probability", Type::Double),
    may("by_field_name", Type::Text),
    may("by_field_value", Type::Text),
    may("correlated_by_field_value", Type::Text),
    may("partition_field_name", Type::Text),
    may("partition_field_value", Type::Text),
    may("function", Type::Text),
    may("function_description", Type::Text),
    may("typical", Type::Doubles),
    may("actual", Type::Doubles),
    may("geo_results", Type::Object(GEO_RESULTS)),
    may("field_name", Type::Text),
    may("over_field_name", Type::Text),
    may("over_field_value", Type::Text),
];

const EXPLANATION: &[Field] = &[
    may("anomaly_type", Type::Text),
    may("anomaly_length", Type::Long),
    may("single_bucket_impact", Type::Long),
    may("multi_bucket_impact", Type::Long),
    may("anomaly_characteristics_impact", Type::Long),
    may("lower_confidence_bound", Type::Double),
    may("typical_value", Type::Double),
    may("upper_confidence_bound", Type::Double),
    may("high_variance_penalty", Type::Bool),
    may("incomplete_bucket_penalty", Type::Bool),
    may("multimodal_distribution", Type::Bool),
    may("by_field_first_occurrence", Type::Bool),
    may("by_field_relative_rarity", Type::Double),
];

pub const RECORD: &[Field] = &[
    job_id(),
    zero("result_type", Type::Text),
    zero("probability", Type::Double),
    may("multi_bucket_impact", Type::Double),
    zero("record_score", Type::Double),
    zero("initial_record_score", Type::Double),
    must("bucket_span", Type::Long),
    zero("detector_index", Type::Long),
    zero("is_interim", Type::Bool),
    must("timestamp", Type::Date),
    may("by_field_name", Type::Text),
    may("by_field_value", Type::Text),
    may("correlated_by_field_value", Type::Text),
    may("partition_field_name", Type::Text),
    may("partition_field_value", Type::Text),
    may("function", Type::Text),
    may("function_description", Type::Text),
    may("typical", Type::Doubles),
    may("actual", Type::Doubles),
    may("geo_results", Type::Object(GEO_RESULTS)),
    may("field_name", Type::Text),
    may("over_field_name", Type::Text),
    may("over_field_value", Type::Text),
    may("causes", Type::Objects(CAUSE)),
    may("influencers", Type::Objects(RECORD_INFLUENCER)),
    may("anomaly_score_explanation", Type::Object(EXPLANATION)),
];

const RECORD_INFLUENCER: &[Field] = &[
    must("influencer_field_name", Type::Text),
    zero("influencer_field_values", Type::Texts),
];

pub const INFLUENCER: &[Field] = &[
    job_id(),
    zero("result_type", Type::Text),
    must("influencer_field_name", Type::Text),
    must("influencer_field_value", Type::Text),
    zero("influencer_score", Type::Double),
    zero("initial_influencer_score", Type::Double),
    zero("probability", Type::Double),
    must("bucket_span", Type::Long),
    zero("is_interim", Type::Bool),
    must("timestamp", Type::Date),
];

pub const MODEL_PLOT: &[Field] = &[
    job_id(),
    zero("result_type", Type::Text),
    must("timestamp", Type::Date),
    must("bucket_span", Type::Long),
    zero("detector_index", Type::Long),
    may("by_field_name", Type::Text),
    may("by_field_value", Type::Text),
    may("over_field_name", Type::Text),
    may("over_field_value", Type::Text),
    may("partition_field_name", Type::Text),
    may("partition_field_value", Type::Text),
    may("model_feature", Type::Text),
    zero("model_lower", Type::Double),
    zero("model_upper", Type::Double),
    zero("model_median", Type::Double),
    may("actual", Type::Double),
];

pub const FOREST: &[Field] = &[
    job_id(),
    zero("result_type", Type::Text),
    must("timestamp", Type::Date),
    must("bucket_span", Type::Long),
    zero("is_interim", Type::Bool),
    zero("entity", Type::Objects(ENTITY_FIELD)),
    zero("anomaly_score", Type::Double),
    zero("anomaly_grade", Type::Double),
    zero("confidence", Type::Double),
    zero("threshold", Type::Double),
    zero("values", Type::Doubles),
    zero("imputed", Type::Bools),
    may("expected", Type::Doubles),
    may("lower", Type::Doubles),
    may("upper", Type::Doubles),
    may("attribution", Type::Doubles),
    zero("updates", Type::Long),
    may("approx_anomaly_start_time", Type::Date),
    may("past_values", Type::Doubles),
];

const ENTITY_FIELD: &[Field] = &[must("name", Type::Text), must("value", Type::Text)];

pub const CATEGORY: &[Field] = &[
    job_id(),
    must("category_id", Type::Long),
    may("partition_field_name", Type::Text),
    may("partition_field_value", Type::Text),
    zero("terms", Type::Text),
    zero("regex", Type::Text),
    zero("max_matching_length", Type::Long),
    zero("examples", Type::Texts),
    may("preferred_to_categories", Type::Longs),
    may("num_matches", Type::Long),
];

pub const DATA_COUNTS: &[Field] = &[
    job_id(),
    must("processed_record_count", Type::Long),
    zero("processed_field_count", Type::Long),
    zero("input_bytes", Type::Long),
    zero("input_field_count", Type::Long),
    zero("invalid_date_count", Type::Long),
    zero("missing_field_count", Type::Long),
    zero("out_of_order_timestamp_count", Type::Long),
    zero("empty_bucket_count", Type::Long),
    zero("sparse_bucket_count", Type::Long),
    zero("bucket_count", Type::Long),
    may("earliest_record_timestamp", Type::Date),
    may("latest_record_timestamp", Type::Date),
    may("last_data_time", Type::Date),
    may("latest_empty_bucket_timestamp", Type::Date),
    may("latest_sparse_bucket_timestamp", Type::Date),
    zero("input_record_count", Type::Long),
    may("log_time", Type::Date),
];

pub const MODEL_SIZE_STATS: &[Field] = &[
    job_id(),
    zero("result_type", Type::Text),
    zero("model_bytes", Type::Long),
    zero("peak_model_bytes", Type::Long),
    zero("model_bytes_exceeded", Type::Long),
    zero("model_bytes_memory_limit", Type::Long),
    zero("total_by_field_count", Type::Long),
    zero("total_over_field_count", Type::Long),
    zero("total_partition_field_count", Type::Long),
    zero("bucket_allocation_failures_count", Type::Long),
    zero("memory_status", Type::Text),
    zero("assignment_memory_basis", Type::Text),
    zero("output_memory_allocator_bytes", Type::Long),
    zero("categorized_doc_count", Type::Long),
    zero("total_category_count", Type::Long),
    zero("frequent_category_count", Type::Long),
    zero("rare_category_count", Type::Long),
    zero("dead_category_count", Type::Long),
    zero("failed_category_count", Type::Long),
    zero("categorization_status", Type::Text),
    zero("log_time", Type::Date),
    may("timestamp", Type::Date),
];

pub const TIMING_STATS: &[Field] = &[
    job_id(),
    zero("bucket_count", Type::Long),
    zero("total_bucket_processing_time_ms", Type::Double),
    may("minimum_bucket_processing_time_ms", Type::Double),
    may("maximum_bucket_processing_time_ms", Type::Double),
    may("average_bucket_processing_time_ms", Type::Double),
    may(
        "exponential_average_bucket_processing_time_ms",
        Type::Double,
    ),
    may(
        "exponential_average_bucket_processing_time_per_hour_ms",
        Type::Double,
    ),
];

pub const MODEL_SNAPSHOT: &[Field] = &[
    job_id(),
    may("min_version", Type::Text),
    must("timestamp", Type::Date),
    may("description", Type::Text),
    must("snapshot_id", Type::Text),
    zero("snapshot_doc_count", Type::Long),
    may("model_size_stats", Type::Object(MODEL_SIZE_STATS)),
    may("latest_record_time_stamp", Type::Date),
    may("latest_result_time_stamp", Type::Date),
    zero("retain", Type::Bool),
];

pub const FORECAST: &[Field] = &[
    job_id(),
    zero("result_type", Type::Text),
    must("forecast_id", Type::Text),
    zero("processed_record_count", Type::Long),
    zero("forecast_messages", Type::Texts),
    zero("timestamp", Type::Date),
    zero("forecast_start_timestamp", Type::Date),
    zero("forecast_end_timestamp", Type::Date),
    zero("forecast_create_timestamp", Type::Date),
    may("forecast_expiry_timestamp", Type::Date),
    zero("forecast_progress", Type::Double),
    zero("processing_time_ms", Type::Long),
    zero("forecast_memory_bytes", Type::Long),
    zero("forecast_status", Type::Text),
];

/// What a point of a forecast has in common with the others of its series.
pub const FORECAST_SERIES: &[Field] = &[
    must("bucket_span", Type::Long),
    zero("detector_index", Type::Long),
    may("partition_field_name", Type::Text),
    may("partition_field_value", Type::Text),
    may("by_field_name", Type::Text),
    may("by_field_value", Type::Text),
    may("model_feature", Type::Text),
];

pub const FORECAST_POINT: &[Field] = &[
    job_id(),
    must("forecast_id", Type::Text),
    must("timestamp", Type::Date),
    must("forecast_lower", Type::Double),
    must("forecast_upper", Type::Double),
    must("forecast_prediction", Type::Double),
];

pub const ANNOTATION: &[Field] = &[
    must("annotation", Type::Text),
    may("create_time", Type::Date),
    may("create_username", Type::Text),
    must("timestamp", Type::Date),
    may("end_timestamp", Type::Date),
    job_id(),
    may("modified_time", Type::Date),
    may("modified_username", Type::Text),
    may("type", Type::Text),
    may("event", Type::Text),
    may("detector_index", Type::Long),
    may("partition_field_name", Type::Text),
    may("partition_field_value", Type::Text),
    may("over_field_name", Type::Text),
    may("over_field_value", Type::Text),
    may("by_field_name", Type::Text),
    may("by_field_value", Type::Text),
];

pub const NOTIFICATION: &[Field] = &[
    may("job_id", Type::Text),
    must("message", Type::Text),
    must("level", Type::Text),
    must("timestamp", Type::Date),
];
