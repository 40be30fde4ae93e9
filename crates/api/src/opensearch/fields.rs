//! The fields of the documents that detectors, their tasks and their results are to a search.

use tidewatch_store::query::{Field, FieldType, Schema};

/// Below it are the words of a text as one.
const KEYWORD: &str = ".keyword";

/// What fields there are, by their paths.
pub struct Fields {
    fields: &'static [(&'static str, FieldType)],
    /// Objects that stand for themselves.
    nested: &'static [&'static str],
}

const DETECTOR: &[(&str, FieldType)] = &[
    ("name", FieldType::Text),
    ("description", FieldType::Text),
    ("time_field", FieldType::Keyword),
    ("indices", FieldType::Text),
    ("window_delay.period.interval", FieldType::Number),
    ("window_delay.period.unit", FieldType::Keyword),
    ("detection_interval.period.interval", FieldType::Number),
    ("detection_interval.period.unit", FieldType::Keyword),
    ("shingle_size", FieldType::Number),
    ("schema_version", FieldType::Number),
    ("recency_emphasis", FieldType::Number),
    ("history", FieldType::Number),
    ("feature_attributes.feature_id", FieldType::Keyword),
    ("feature_attributes.feature_name", FieldType::Text),
    ("feature_attributes.feature_enabled", FieldType::Bool),
    ("last_update_time", FieldType::Date),
    ("category_field", FieldType::Keyword),
    ("result_index", FieldType::Keyword),
    ("result_index_min_size", FieldType::Number),
    ("result_index_min_age", FieldType::Number),
    ("result_index_ttl", FieldType::Number),
    ("flatten_custom_result_index", FieldType::Bool),
    ("last_ui_breaking_change_time", FieldType::Date),
    ("suggested_seasonality", FieldType::Number),
    ("detector_type", FieldType::Keyword),
    ("imputation_option.method", FieldType::Keyword),
    (
        "imputation_option.default_fill.feature_name",
        FieldType::Keyword,
    ),
    ("imputation_option.default_fill.data", FieldType::Number),
    ("rules.action", FieldType::Keyword),
    ("rules.conditions.feature_name", FieldType::Keyword),
    ("rules.conditions.threshold_type", FieldType::Keyword),
    ("rules.conditions.operator", FieldType::Keyword),
    ("rules.conditions.value", FieldType::Number),
];

const TASK: &[(&str, FieldType)] = &[
    ("task_id", FieldType::Keyword),
    ("last_update_time", FieldType::Date),
    ("state", FieldType::Keyword),
    ("error", FieldType::Text),
    ("started_by", FieldType::Keyword),
    ("stopped_by", FieldType::Keyword),
    ("detector_id", FieldType::Keyword),
    ("task_progress", FieldType::Number),
    ("init_progress", FieldType::Number),
    ("current_piece", FieldType::Date),
    ("execution_start_time", FieldType::Date),
    ("execution_end_time", FieldType::Date),
    ("is_latest", FieldType::Bool),
    ("task_type", FieldType::Keyword),
    ("checkpoint_id", FieldType::Keyword),
    ("parent_task_id", FieldType::Keyword),
    ("entity.name", FieldType::Keyword),
    ("entity.value", FieldType::Keyword),
    ("estimated_minutes_left", FieldType::Number),
    ("coordinating_node", FieldType::Keyword),
    ("worker_node", FieldType::Keyword),
    ("detector.name", FieldType::Text),
    ("detector.indices", FieldType::Text),
    ("detector.category_field", FieldType::Keyword),
    ("detector.detector_type", FieldType::Keyword),
    ("detection_date_range.start_time", FieldType::Date),
    ("detection_date_range.end_time", FieldType::Date),
];

const JOB: &[(&str, FieldType)] = &[
    ("name", FieldType::Keyword),
    ("schedule.interval.start_time", FieldType::Date),
    ("schedule.interval.period", FieldType::Number),
    ("schedule.interval.unit", FieldType::Keyword),
    ("window_delay.period.interval", FieldType::Number),
    ("window_delay.period.unit", FieldType::Keyword),
    ("enabled", FieldType::Bool),
    ("enabled_time", FieldType::Date),
    ("disabled_time", FieldType::Date),
    ("last_update_time", FieldType::Date),
    ("lock_duration_seconds", FieldType::Number),
    ("result_index", FieldType::Keyword),
    ("type", FieldType::Keyword),
];

const CHECKPOINT: &[(&str, FieldType)] = &[
    ("detectorId", FieldType::Keyword),
    ("timestamp", FieldType::Date),
    ("schema_version", FieldType::Number),
    ("entity.name", FieldType::Keyword),
    ("entity.value", FieldType::Keyword),
];

const RESULT: &[(&str, FieldType)] = &[
    ("detector_id", FieldType::Keyword),
    ("schema_version", FieldType::Number),
    ("data_start_time", FieldType::Date),
    ("data_end_time", FieldType::Date),
    ("execution_start_time", FieldType::Date),
    ("execution_end_time", FieldType::Date),
    ("approx_anomaly_start_time", FieldType::Date),
    ("anomaly_score", FieldType::Number),
    ("anomaly_grade", FieldType::Number),
    ("confidence", FieldType::Number),
    ("threshold", FieldType::Number),
    ("error", FieldType::Text),
    ("is_anomaly", FieldType::Bool),
    ("task_id", FieldType::Keyword),
    ("model_id", FieldType::Keyword),
    ("feature_data.feature_id", FieldType::Keyword),
    ("feature_data.feature_name", FieldType::Keyword),
    ("feature_data.data", FieldType::Number),
    ("entity.name", FieldType::Keyword),
    ("entity.value", FieldType::Keyword),
    ("relevant_attribution.feature_id", FieldType::Keyword),
    ("relevant_attribution.data", FieldType::Number),
    ("past_values.feature_id", FieldType::Keyword),
    ("past_values.data", FieldType::Number),
    ("expected_values.likelihood", FieldType::Number),
    ("expected_values.value_list.feature_id", FieldType::Keyword),
    ("expected_values.value_list.data", FieldType::Number),
    ("feature_imputed.feature_id", FieldType::Keyword),
    ("feature_imputed.imputed", FieldType::Bool),
];

pub const OF_DETECTORS: Fields = Fields {
    fields: DETECTOR,
    nested: &[
        "feature_attributes",
        "imputation_option",
        "imputation_option.default_fill",
        "rules",
        "rules.conditions",
    ],
};

pub const OF_TASKS: Fields = Fields {
    fields: TASK,
    nested: &["entity"],
};

pub const OF_JOBS: Fields = Fields {
    fields: JOB,
    nested: &[],
};

pub const OF_CHECKPOINTS: Fields = Fields {
    fields: CHECKPOINT,
    nested: &["entity"],
};

pub const OF_RESULTS: Fields = Fields {
    fields: RESULT,
    nested: &[
        "entity",
        "feature_data",
        "relevant_attribution",
        "past_values",
        "expected_values",
        "expected_values.value_list",
        "feature_imputed",
    ],
};

impl Fields {
    fn type_of(&self, path: &str) -> Option<FieldType> {
        let known = |path: &str| {
            let mut fields = self.fields.iter();
            fields.find(|(name, _)| *name == path).map(|(_, of)| *of)
        };
        known(path).or_else(|| {
            let text = path.strip_suffix(KEYWORD)?;
            known(text)
                .filter(|of| *of == FieldType::Text)
                .map(|_| FieldType::Keyword)
        })
    }
}

impl Schema for Fields {
    fn field(&self, path: &str) -> Option<Field> {
        let of = self.type_of(path)?;
        let type_name = match of {
            FieldType::Text => "text",
            FieldType::Number => "double",
            FieldType::Date => "date",
            FieldType::Bool => "boolean",
            _ => "keyword",
        };
        Some(Field::new(of, type_name))
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        let names = self.fields.iter().map(|(name, _)| *name);
        names
            .filter(|name| tidewatch_store::query::wildcard(pattern, name))
            .map(str::to_owned)
            .collect()
    }

    fn in_source(&self, path: &str) -> String {
        let text = path.strip_suffix(KEYWORD);
        let text = text.filter(|text| self.type_of(text) == Some(FieldType::Text));
        text.unwrap_or(path).to_owned()
    }

    fn is_object(&self, path: &str) -> bool {
        let below = |name: &str| {
            name.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.fields.iter().any(|(name, _)| below(name))
    }

    fn is_nested(&self, path: &str) -> bool {
        self.nested.contains(&path)
    }
}
