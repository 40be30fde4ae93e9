//! The kinds of results and of what else is kept for a job, and what each document of theirs is called.

use serde_json::Value;

use super::values_id::values_id;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Bucket,
    Record,
    Influencer,
    Category,
    ModelPlot,
    /// What was asked of a forecast and what became of it
    Forecast,
    ForecastValue,
    Annotation,
    /// A model snapshot's description; its state can't be read through an API
    Snapshot,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Bucket,
        Self::Record,
        Self::Influencer,
        Self::Category,
        Self::ModelPlot,
        Self::Forecast,
        Self::ForecastValue,
        Self::Annotation,
        Self::Snapshot,
    ];

    /// The name of the list in an answer, and of the file.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Bucket => "buckets",
            Self::Record => "records",
            Self::Influencer => "influencers",
            Self::Category => "categories",
            Self::ModelPlot => "model_plots",
            Self::Forecast => "forecasts",
            Self::ForecastValue => "model_forecasts",
            Self::Annotation => "annotations",
            Self::Snapshot => "model_snapshots",
        }
    }

    /// What documents in an index are told apart by.
    pub const fn result_type(self) -> Option<&'static str> {
        match self {
            Self::Bucket => Some("bucket"),
            Self::Record => Some("record"),
            Self::Influencer => Some("influencer"),
            Self::Category => Some("category_definition"),
            Self::ModelPlot => Some("model_plot"),
            Self::Forecast => Some("model_forecast_request_stats"),
            Self::ForecastValue => Some("model_forecast"),
            Self::Annotation | Self::Snapshot => None,
        }
    }

    /// The parameter and field that the results of a moment are ranked by.
    pub const fn score(self) -> Option<&'static str> {
        match self {
            Self::Bucket => Some("anomaly_score"),
            Self::Record => Some("record_score"),
            Self::Influencer => Some("influencer_score"),
            _ => None,
        }
    }

    /// Those that are about a time that was analysed, and may be read in stretches of it.
    pub const fn is_timed(self) -> bool {
        matches!(
            self,
            Self::Bucket | Self::Record | Self::Influencer | Self::ModelPlot
        )
    }

    /// What a document is, by its fields: old categories don't say it.
    pub fn of(document: &Value) -> Option<Self> {
        match document["result_type"].as_str() {
            Some(name) => Self::ALL
                .into_iter()
                .find(|kind| kind.result_type() == Some(name)),
            None if document.get("annotation").is_some() => Some(Self::Annotation),
            None if document.get("category_id").is_some() => Some(Self::Category),
            None if document.get("snapshot_id").is_some() => Some(Self::Snapshot),
            None => None,
        }
    }

    /// Makes an API's document the one that is kept: without what the API adds, with what it leaves out.
    pub fn restore(self, job_id: &str, document: &mut Value) {
        let Some(fields) = document.as_object_mut() else {
            return;
        };
        fields.shift_remove(match self {
            Self::Bucket => "records",
            Self::Category => "grok_pattern",
            _ => "",
        });
        fields
            .entry("job_id")
            .or_insert_with(|| Value::from(job_id));
        if let Some(name) = self.result_type() {
            fields
                .entry("result_type")
                .or_insert_with(|| Value::from(name));
        }
    }

    /// The document's id in an index: the one that Elasticsearch gives it, made of what tells it from all others of the
    /// job. Annotations, whose ids are random there, get one of what they say.
    pub fn id(self, job_id: &str, document: &Value) -> Option<String> {
        let number = |name: &str| document[name].as_i64();
        let text = |name: &str| document[name].as_str();
        let series = |names: &[&str]| {
            let values: Vec<&str> = names.iter().filter_map(|name| text(name)).collect();
            values_id(&values)
        };
        let place = || {
            Some(format!(
                "{}_{}",
                number("timestamp")?,
                number("bucket_span")?
            ))
        };
        let lane = |names: &[&str]| {
            let detector = number("detector_index")?;
            Some(format!("{}_{detector}_{}", place()?, series(names)))
        };
        const BY_OVER_PARTITION: [&str; 3] = [
            "by_field_value",
            "over_field_value",
            "partition_field_value",
        ];
        let rest = match self {
            Self::Bucket => format!("bucket_{}", place()?),
            Self::Record => format!("record_{}", lane(&BY_OVER_PARTITION)?),
            Self::Influencer => format!(
                "influencer_{}_{}_{}",
                place()?,
                text("influencer_field_name")?,
                series(&["influencer_field_value"])
            ),
            Self::Category => format!("category_definition_{}", number("category_id")?),
            Self::ModelPlot => format!("model_plot_{}", lane(&BY_OVER_PARTITION)?),
            Self::Forecast => format!("model_forecast_request_stats_{}", text("forecast_id")?),
            Self::ForecastValue => format!(
                "model_forecast_{}_{}",
                text("forecast_id")?,
                lane(&["by_field_value", "partition_field_value"])?
            ),
            Self::Annotation => format!(
                "annotation_{}_{}",
                number("timestamp")?,
                values_id(&[
                    text("annotation")?,
                    text("event").unwrap_or_default(),
                    &document["detector_index"].to_string(),
                    &series(&BY_OVER_PARTITION),
                ])
            ),
            Self::Snapshot => format!("model_snapshot_{}", text("snapshot_id")?),
        };
        Some(format!("{job_id}_{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_called_what_elasticsearch_calls_it() {
        let document = |kind: Kind, fields: Value| {
            let mut document = json!({"timestamp": 1000, "bucket_span": 60, "detector_index": 3});
            for (name, value) in fields.as_object().expect("an object") {
                document[name] = value.clone();
            }
            kind.id("foo", &document).expect("an id")
        };
        assert_eq!(document(Kind::Bucket, json!({})), "foo_bucket_1000_60");
        assert_eq!(
            document(Kind::Record, json!({})),
            "foo_record_1000_60_3_0_0"
        );
        let split = document(
            Kind::Record,
            json!({"by_field_value": "a", "over_field_value": "b", "partition_field_value": "c"}),
        );
        assert_eq!(
            split,
            format!("foo_record_1000_60_3_{}", values_id(&["abc"]))
        );
        let influencer = document(
            Kind::Influencer,
            json!({"influencer_field_name": "host", "influencer_field_value": "web-1"}),
        );
        assert_eq!(
            influencer,
            format!("foo_influencer_1000_60_host_{}", values_id(&["web-1"]))
        );
        assert_eq!(
            document(Kind::Category, json!({"category_id": 7})),
            "foo_category_definition_7"
        );
        assert_eq!(Kind::Record.id("foo", &json!({"timestamp": 1000})), None);
    }

    #[test]
    fn a_document_is_known_by_its_fields() {
        for (document, kind) in [
            (json!({"result_type": "bucket"}), Some(Kind::Bucket)),
            (
                json!({"result_type": "model_forecast"}),
                Some(Kind::ForecastValue),
            ),
            (
                json!({"category_id": 1, "terms": "a b"}),
                Some(Kind::Category),
            ),
            (json!({"snapshot_id": "1"}), Some(Kind::Snapshot)),
            (
                json!({"annotation": "x", "event": "user"}),
                Some(Kind::Annotation),
            ),
            (json!({"result_type": "overall_bucket"}), None),
            (json!({"a": 1}), None),
        ] {
            assert_eq!(Kind::of(&document), kind, "{document}");
        }
    }
}
