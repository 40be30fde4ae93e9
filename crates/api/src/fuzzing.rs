//! What the fuzz targets call of what reads a client's bytes.

use serde::Deserialize;
use serde_json::Value;
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_jobs::config::NewJob;
use tidewatch_model::units::{Memory, TimeSpan};

use crate::filter::Filter;
use crate::params::Params;
use crate::results::Page;
use crate::{body, dates};

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
