//! What the fuzz targets call of what reads a client's bytes.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_jobs::config::NewJob;
use tidewatch_model::units::{Memory, TimeSpan};

use crate::amp::{Authorization, Signed, promql};
use crate::filter::Filter;
use crate::opensearch::{Dialect, Sent};
use crate::params::Params;
use crate::results::Page;
use crate::{body, dates, play};

/// A filter over an answer: what it keeps is in the answer.
pub fn filter(filter: &str, answer: &str) {
    if let (Some(filter), Ok(answer)) =
        (Filter::parse(filter), serde_json::from_str::<Value>(answer))
    {
        let size = answer.to_string().len();
        assert!(filter.apply(answer).to_string().len() <= size.max(2));
    }
}

/// Dates of both kinds.
pub fn dates(text: &str) {
    let _ = dates::seconds_or_millis("start", text);
    let _ = dates::bound("start", text);
}

/// Every kind of parameter.
pub fn query(text: &str) {
    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Asked {
        force: bool,
        top_n: Option<i32>,
        score: Option<f64>,
        speed: Option<f32>,
        timeout: Option<TimeSpan>,
        memory: Option<Memory>,
        sort: Option<String>,
        page: Option<Page>,
    }
    if let Ok(uri) = format!("/?{text}").parse()
        && let Ok(params) = Params::new(&uri)
        && let Ok(asked) = params.read::<Asked>()
    {
        let _ = (
            asked.force,
            asked.top_n,
            asked.score,
            asked.speed,
            asked.timeout,
        );
        let _ = (asked.memory, asked.sort, asked.page);
    }
}

/// A body: what is taken is JSON.
pub fn content(bytes: &[u8]) {
    if body::parse::<NewJob>(bytes, "job_details").is_ok() {
        assert!(serde_json::from_slice::<Value>(bytes).is_ok());
    }
    if let Ok(new) = body::parse::<NewDatafeed>(bytes, "datafeed_config") {
        let _ = new.for_job("job");
    }
}

/// What Google's methods take: a text as each of their kinds.
pub fn play(text: &str) {
    play::read(text);
}

/// A query of Amazon's series.
pub fn promql(text: &str) {
    if let Ok(query) = promql::parse(text) {
        let _ = promql::Sight::new(&query, &[]).at(&query, 0);
    }
    let _ = promql::selector(text);
}

/// The signature of a request.
pub fn sigv4(header: &str, query: &str, body: &[u8]) {
    if let Ok(authorization) = Authorization::parse(header) {
        let request = Signed {
            method: "GET",
            path: "/",
            query,
            headers: &[("host", query)],
            time: "20261121T051518Z",
            body,
        };
        assert!(!authorization.is_of(request, "secret"));
    }
}

/// A detector of OpenSearch's: what is taken is told in a form that is taken again.
pub fn detector(bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    for dialect in Dialect::ALL {
        let Ok(sent) = Sent::read(&body, dialect, None) else {
            continue;
        };
        let told = sent.detector.told(dialect, false);
        let told = told.as_object().cloned().unwrap_or_default();
        assert!(Sent::read(&told, dialect, None).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Texts made of a language's words, and of anything.
    fn of(words: &'static str) -> impl Strategy<Value = String> {
        let words: Vec<&str> = words.split_whitespace().chain([" "]).collect();
        let word = prop_oneof![9 => proptest::sample::select(words).prop_map(str::to_owned), 1 => ".{0,3}"];
        proptest::collection::vec(word, 0..12).prop_map(|words| words.concat())
    }

    const DETECTOR: &str = r#"{ } [ ] , : "name" "d" "time_field" "at" "indices" "i" "feature_attributes"
"feature_name" "aggregation_query" {"a":{"sum":{"field":"x"}}} "detection_interval" {"period":{"interval":1,"unit":"Minutes"}}
"category_field" "shingle_size" 8 -1 1e99 null true "rules" "imputation_option" {"method":"ZERO"} "filter_query" {"match_all":{}}"#;

    proptest! {
        #[test]
        fn any_text_is_answered(
            play in of(r#"activeBetween ( ) , " 2021-03-01T00:00:00Z UNBOUNDED a = AND OR \ / * { } : "timelineSpec" "startTime" "year" 2021 -1"#),
            promql in of(r#"anomaly_detector:score { } alias = =~ !~ " ( [ ] 5m 1.5e3 max_over_time avg_over_time sum by offset and unless + - > >= bool 0.1 \ ) ,"#),
            header in of("AWS4-HMAC-SHA256 Credential= A/20261121/us-east-1/aps/aws4_request , SignedHeaders= host ; x-amz-date Signature= 0f / ="),
            detector in of(DETECTOR),
        ) {
            super::play(&play);
            super::promql(&promql);
            super::sigv4(&header, &play, detector.as_bytes());
            super::detector(detector.as_bytes());
        }
    }

    #[test]
    fn a_detector_that_is_taken_is_told_as_one() {
        let detector = r#"{"name": "d", "time_field": "at", "indices": ["i"], "category_field": ["c"],
            "feature_attributes": [{"feature_name": "f", "feature_enabled": true,
                "aggregation_query": {"a": {"sum": {"field": "x"}}}}],
            "detection_interval": {"period": {"interval": 1, "unit": "Minutes"}}}"#;
        super::detector(detector.as_bytes());
    }
}
