//! Results: buckets, records, influencers. With a body, its fields are meant; without one, the query parameters.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tidewatch_jobs::JobError;
use tidewatch_store::{ResultKind, ResultQuery, Sort};

use crate::ApiState;
use crate::dates;
use crate::error::{ApiError, Result, json_response};
use crate::jobs::Text;
use crate::params::Params;

/// How deep into a list of results a page may reach.
const MAX_WINDOW: i64 = 10_000;
const PAGE: i64 = 100;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    pub from: Option<i32>,
    pub size: Option<i32>,
}

impl Page {
    /// What of a list is on the page.
    pub fn of<'l, T>(&self, list: &'l [T]) -> Result<&'l [T]> {
        let (from, size) = page_window(self)?;
        let from = (from as usize).min(list.len());
        let to = (from + size as usize).min(list.len());
        Ok(&list[from..to])
    }
}

/// What is asked of any kind of results.
struct Asked {
    score: Option<f64>,
    desc: Option<bool>,
    start: Option<Text>,
    end: Option<Text>,
    exclude_interim: bool,
    page: Option<Page>,
    sort: Option<String>,
}

/// What is asked of one kind: the name of its score differs, and it may have fields of its own.
macro_rules! asked {
    ($name:ident, $score:ident, $($own:ident: $type:ty),*) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, default)]
        struct $name {
            #[serde(rename = "job_id")]
            _job_id: Option<String>,
            $score: Option<f64>,
            $($own: $type,)*
            desc: Option<bool>,
            start: Option<Text>,
            end: Option<Text>,
            exclude_interim: bool,
            page: Option<Page>,
            sort: Option<String>,
        }

        impl From<$name> for Asked {
            fn from(asked: $name) -> Self {
                Self {
                    score: asked.$score,
                    desc: asked.desc,
                    start: asked.start,
                    end: asked.end,
                    exclude_interim: asked.exclude_interim,
                    page: asked.page,
                    sort: asked.sort,
                }
            }
        }
    };
}

asked!(BucketsAsked, anomaly_score, timestamp: Option<Text>, expand: bool);
asked!(RecordsAsked, record_score,);
asked!(InfluencersAsked, influencer_score,);

/// What differs between the kinds of results.
struct Kind {
    kind: ResultKind,
    plural: &'static str,
    score: &'static str,
    sort: &'static str,
    descending: bool,
}

const BUCKETS_PARSER: &str = "cluster:monitor/xpack/ml/job/results/buckets/get";
const BUCKETS: Kind = Kind {
    kind: ResultKind::Bucket,
    plural: "buckets",
    score: "anomaly_score",
    sort: "timestamp",
    descending: false,
};
const RECORDS: Kind = Kind {
    kind: ResultKind::Record,
    plural: "records",
    score: "record_score",
    sort: "record_score",
    descending: true,
};
const INFLUENCERS: Kind = Kind {
    kind: ResultKind::Influencer,
    plural: "influencers",
    score: "influencer_score",
    sort: "influencer_score",
    descending: true,
};

impl Kind {
    fn query(&self, job_id: &str, asked: Asked) -> Result<ResultQuery> {
        let (start, end) = dates::bounds(asked.start, asked.end)?;
        let page = asked.page.unwrap_or_default();
        let (from, size) = page_window(&page)?;
        Ok(ResultQuery {
            job_id: job_id.to_owned(),
            kind: self.kind,
            start,
            end,
            min_score: asked.score.unwrap_or(0.0),
            exclude_interim: asked.exclude_interim,
            sort: match asked.sort.as_deref().unwrap_or(self.sort) {
                "timestamp" => Sort::Timestamp,
                name if name == self.score => Sort::Score,
                name => Sort::Field(name.to_owned()),
            },
            descending: asked.desc.unwrap_or(self.descending),
            from,
            size,
        })
    }
}

/// A page's place and size, within bounds.
pub fn page_window(page: &Page) -> Result<(i64, i64)> {
    let from = page.from.map_or(0, i64::from);
    let size = page.size.map_or(PAGE, i64::from);
    for (name, value) in [("from", from), ("size", size)] {
        if value < 0 {
            return Err(ApiError::illegal_argument(format!(
                "Parameter [{name}] cannot be < 0"
            )));
        }
    }
    if from + size > MAX_WINDOW {
        return Err(ApiError::illegal_argument(format!(
            "Result window is too large, from + size must be less than or equal to: [{MAX_WINDOW}] but was [{}]",
            from + size
        )));
    }
    Ok((from, size))
}

/// A page of documents, which are JSON already.
pub fn page_of(count: i64, plural: &str, docs: &[String]) -> Response {
    json_response(
        StatusCode::OK,
        format!("{{\"count\":{count},\"{plural}\":[{}]}}", docs.join(",")),
    )
}

pub async fn records(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: RecordsAsked = Params::new(&uri)?
        .body_or(body, "cluster:monitor/xpack/ml/job/results/records/get")
        .await?;
    page(&state, &RECORDS, &job_id, asked.into()).await
}

pub async fn influencers(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: InfluencersAsked = Params::new(&uri)?
        .body_or(body, "cluster:monitor/xpack/ml/job/results/influencers/get")
        .await?;
    page(&state, &INFLUENCERS, &job_id, asked.into()).await
}

async fn page(state: &ApiState, kind: &Kind, job_id: &str, asked: Asked) -> Result<Response> {
    let page = state.jobs.results(&kind.query(job_id, asked)?).await?;
    Ok(page_of(page.count, kind.plural, &page.docs))
}

pub async fn buckets(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut asked: BucketsAsked = Params::new(&uri)?.body_or(body, BUCKETS_PARSER).await?;
    match asked.timestamp.take() {
        Some(timestamp) => one_bucket(&state, &job_id, &timestamp.into_string(), asked).await,
        None => bucket_page(&state, &job_id, asked).await,
    }
}

pub async fn bucket(
    State(state): State<ApiState>,
    Path((job_id, timestamp)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked = Params::new(&uri)?.body_or(body, BUCKETS_PARSER).await?;
    one_bucket(&state, &job_id, &timestamp, asked).await
}

async fn bucket_page(state: &ApiState, job_id: &str, asked: BucketsAsked) -> Result<Response> {
    let expand = asked.expand;
    let query = BUCKETS.query(job_id, asked.into())?;
    let mut page = state.jobs.results(&query).await?;
    if expand {
        for doc in &mut page.docs {
            *doc = with_records(state, job_id, doc, query.exclude_interim).await?;
        }
    }
    Ok(page_of(page.count, BUCKETS.plural, &page.docs))
}

async fn one_bucket(
    state: &ApiState,
    job_id: &str,
    timestamp: &str,
    asked: BucketsAsked,
) -> Result<Response> {
    if asked.page.is_some()
        || asked.start.is_some()
        || asked.end.is_some()
        || asked.anomaly_score.is_some()
    {
        return Err(ApiError::illegal_argument(
            "Param [timestamp] is incompatible with [from,size,start,end,anomaly_score]",
        ));
    }
    let time = dates::bound("timestamp", timestamp)?;
    let (expand, exclude_interim) = (asked.expand, asked.exclude_interim);
    // The bucket that is asked for is told, interim or not; only of its records it matters.
    let query = ResultQuery {
        start: Some(time),
        end: Some(time + 1),
        exclude_interim: false,
        size: 1,
        ..BUCKETS.query(job_id, asked.into())?
    };
    let mut page = state.jobs.results(&query).await?;
    if page.docs.is_empty() {
        return Err(JobError::not_found("Could not find requested buckets").into());
    }
    if expand {
        page.docs[0] = with_records(state, job_id, &page.docs[0], exclude_interim).await?;
    }
    Ok(page_of(page.count, BUCKETS.plural, &page.docs))
}

/// A bucket with its records, where it has something to tell.
async fn with_records(
    state: &ApiState,
    job_id: &str,
    doc: &str,
    exclude_interim: bool,
) -> Result<String> {
    let unreadable = |error: serde_json::Error| {
        JobError::internal(format!("a stored bucket can't be read: {error}"))
    };
    let bucket: Value = serde_json::from_str(doc).map_err(unreadable)?;
    let time = bucket["timestamp"].as_i64();
    let tells = bucket["bucket_influencers"]
        .as_array()
        .is_some_and(|influencers| !influencers.is_empty());
    let records = if tells {
        let query = ResultQuery {
            job_id: job_id.to_owned(),
            kind: ResultKind::Record,
            start: time,
            end: time.map(|time| time + 1),
            min_score: 0.0,
            exclude_interim,
            // The most unusual first.
            sort: Sort::Field("probability".to_owned()),
            descending: false,
            from: 0,
            size: MAX_WINDOW,
        };
        state.jobs.results(&query).await?.docs
    } else {
        Vec::new()
    };
    if records.is_empty() {
        return Ok(doc.to_owned());
    }
    // The document is an object: before its last brace is room for one more field.
    let open = doc.trim_end().strip_suffix('}').unwrap_or(doc);
    Ok(format!("{open},\"records\":[{}]}}", records.join(",")))
}
