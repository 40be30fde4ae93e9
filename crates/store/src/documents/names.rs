//! The `_id`s of results as documents, in Elasticsearch's patterns. Where it has a hash of values, this has one of its
//! own.

use serde_json::Value;

use crate::ResultKind;

/// Where the document of an `_id` may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A result of a kind and timestamp.
    Result(ResultKind, i64),
    /// One of the documents about a job, by its kind.
    Stats(&'static str),
    Snapshot(String),
    Forecast(String),
    /// A point of a forecast, at a time.
    ForecastPoint(String, i64),
}

/// The word in the `_id` of a result.
fn word(kind: ResultKind) -> &'static str {
    match kind {
        ResultKind::Bucket => "bucket",
        ResultKind::Record => "record",
        ResultKind::Influencer => "influencer",
        ResultKind::ModelPlot => "model_plot",
        ResultKind::Category => "category_definition",
        ResultKind::Forest => "forest",
    }
}

/// The `_id` of a result of the engine. `timestamp`: milliseconds, or the id of a category.
pub fn of_result(job_id: &str, kind: ResultKind, timestamp: i64, doc: &Value) -> String {
    let head = format!("{job_id}_{}_{timestamp}", word(kind));
    let span = number(doc, "bucket_span");
    match kind {
        ResultKind::Category => head,
        ResultKind::Bucket => format!("{head}_{span}"),
        ResultKind::Influencer => format!(
            "{head}_{span}_{}_{}",
            text(doc, "influencer_field_name").unwrap_or_default(),
            digest(&[text(doc, "influencer_field_value")])
        ),
        ResultKind::Record | ResultKind::ModelPlot => {
            format!("{head}_{span}_{}", of_series(doc))
        }
        ResultKind::Forest => format!("{head}_{span}_{}", of_entity(doc)),
    }
}

/// The `_id` of a point of a forecast.
pub fn of_point(job_id: &str, forecast_id: &str, timestamp: i64, doc: &Value) -> String {
    let span = number(doc, "bucket_span");
    format!(
        "{job_id}_model_forecast_{forecast_id}_{timestamp}_{span}_{}",
        of_series(doc)
    )
}

pub fn of_forecast(job_id: &str, forecast_id: &str) -> String {
    format!("{job_id}_model_forecast_request_stats_{forecast_id}")
}

pub fn of_snapshot(job_id: &str, snapshot_id: &str) -> String {
    format!("{job_id}_model_snapshot_{snapshot_id}")
}

/// The `_id` of a document about a job.
pub fn of_stats(job_id: &str, kind: &str, doc: &Value) -> String {
    match kind {
        "model_size_stats" => format!("{job_id}_{kind}_{}", number(doc, "log_time")),
        kind => format!("{job_id}_{kind}"),
    }
}

/// Whose document an `_id` may be, and where it is.
pub fn places(id: &str) -> Vec<(String, Place)> {
    let mut places = Vec::new();
    let mut with = |word: &str, place: &dyn Fn(&str) -> Option<Place>| {
        let mark = format!("_{word}");
        for (at, _) in id.match_indices(&mark) {
            let rest = &id[at + mark.len()..];
            if let Some(place) = place(rest) {
                places.push((id[..at].to_owned(), place));
            }
        }
    };
    for kind in [
        ResultKind::Bucket,
        ResultKind::Record,
        ResultKind::Influencer,
        ResultKind::ModelPlot,
        ResultKind::Category,
        ResultKind::Forest,
    ] {
        with(word(kind), &|rest| {
            let number = rest.strip_prefix('_')?.split('_').next()?;
            Some(Place::Result(kind, number.parse().ok()?))
        });
    }
    for kind in ["data_counts", "timing_stats"] {
        with(kind, &|rest| rest.is_empty().then_some(Place::Stats(kind)));
    }
    with("model_size_stats", &|_| {
        Some(Place::Stats("model_size_stats"))
    });
    let named = |rest: &str| {
        rest.strip_prefix('_')
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
    };
    with("model_snapshot", &|rest| named(rest).map(Place::Snapshot));
    with("model_forecast_request_stats", &|rest| {
        named(rest).map(Place::Forecast)
    });
    with("model_forecast", &|rest| {
        // Forecast ids may have underscores: what follows is counted from the end.
        let mut parts = rest.strip_prefix('_')?.rsplitn(6, '_').skip(4);
        let time = parts.next()?.parse().ok()?;
        Some(Place::ForecastPoint(parts.next()?.to_owned(), time))
    });
    places
}

fn number(doc: &Value, name: &str) -> i64 {
    doc.get(name).and_then(Value::as_i64).unwrap_or_default()
}

fn text<'d>(doc: &'d Value, name: &str) -> Option<&'d str> {
    doc.get(name).and_then(Value::as_str)
}

/// The detector, and which of its series.
fn of_series(doc: &Value) -> String {
    let values = [
        "by_field_value",
        "over_field_value",
        "partition_field_value",
    ];
    let detector = number(doc, "detector_index");
    format!("{detector}_{}", digest(&values.map(|name| text(doc, name))))
}

/// Whose forest it is: the names and the values of its split fields.
fn of_entity(doc: &Value) -> String {
    let fields = doc.get("entity").and_then(Value::as_array);
    let texts = fields.into_iter().flatten();
    let texts = texts.flat_map(|field| [text(field, "name"), text(field, "value")]);
    digest(&texts.collect::<Vec<_>>())
}

/// A hash of values (FNV-1a) and their length in all.
fn digest(values: &[Option<&str>]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for value in values {
        // Differs from every byte of a text: what isn't there is not the same as what is empty.
        eat(if value.is_some() { 0xff } else { 0xfe });
        value.unwrap_or_default().bytes().for_each(&mut eat);
    }
    let length: usize = values.iter().flatten().map(|value| value.len()).sum();
    format!("{hash}_{length}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_tells_where_its_document_is() {
        let doc = json!({"bucket_span": 60, "detector_index": 1, "by_field_value": "a_b", "influencer_field_name": "x_y",
                         "influencer_field_value": "v"});
        for kind in [
            ResultKind::Bucket,
            ResultKind::Record,
            ResultKind::Influencer,
            ResultKind::ModelPlot,
            ResultKind::Category,
            ResultKind::Forest,
        ] {
            let id = of_result("my_bucket_job", kind, 120_000, &doc);
            let place = ("my_bucket_job".to_owned(), Place::Result(kind, 120_000));
            assert!(places(&id).contains(&place), "{id}");
        }
        let id = of_point("j", "a_b", 5, &doc);
        let place = Place::ForecastPoint("a_b".to_owned(), 5);
        assert!(places(&id).contains(&("j".to_owned(), place)), "{id}");
        assert_eq!(
            places("j_data_counts"),
            [("j".to_owned(), Place::Stats("data_counts"))]
        );
        assert_eq!(places("anything"), []);
    }

    #[test]
    fn series_that_differ_have_ids_that_differ() {
        let id = |doc: Value| of_result("j", ResultKind::Record, 0, &doc);
        let by = id(json!({"by_field_value": "a"}));
        assert_ne!(by, id(json!({"over_field_value": "a"})));
        assert_ne!(
            by,
            id(json!({"by_field_value": "a", "over_field_value": ""}))
        );
        assert_eq!(by, id(json!({"by_field_value": "a", "record_score": 3.0})));
    }
}
