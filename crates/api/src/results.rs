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
use crate::jobs::{Text, optional};
use crate::params::Params;

/// How deep into a list of results a page may reach.
const MAX_WINDOW: i64 = 10_000;
const PAGE: i64 = 100;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Page {
    pub from: Option<i64>,
    pub size: Option<i64>,
}

impl Page {
    /// The page that the query parameters ask for, if they do.
    pub fn take(params: &mut Params) -> Result<Option<Self>> {
        let page = Self {
            from: params.take_number("from", "int")?,
            size: params.take_number("size", "int")?,
        };
        Ok((page.from.is_some() || page.size.is_some()).then_some(page))
    }

    /// What of a list is on the page.
    pub fn of<'l, T>(&self, list: &'l [T]) -> Result<&'l [T]> {
        let (from, size) = page_window(self)?;
        let from = (from as usize).min(list.len());
        let to = (from + size as usize).min(list.len());
        Ok(&list[from..to])
    }
}

/// What is asked of results; each kind takes the fields that it knows.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    timestamp: Option<Text>,
    anomaly_score: Option<f64>,
    record_score: Option<f64>,
    influencer_score: Option<f64>,
    desc: Option<bool>,
    descending: Option<bool>,
    start: Option<Text>,
    end: Option<Text>,
    exclude_interim: Option<bool>,
    expand: Option<bool>,
    page: Option<Page>,
    sort: Option<String>,
}

/// What differs between the kinds of results.
struct Kind {
    kind: ResultKind,
    parser: &'static str,
    plural: &'static str,
    score: &'static str,
    sort: &'static str,
    descending: bool,
}

const BUCKETS: Kind = Kind {
    kind: ResultKind::Bucket,
    parser: "ml/get_buckets",
    plural: "buckets",
    score: "anomaly_score",
    sort: "timestamp",
    descending: false,
};
const RECORDS: Kind = Kind {
    kind: ResultKind::Record,
    parser: "ml/get_records",
    plural: "records",
    score: "record_score",
    sort: "record_score",
    descending: true,
};
const INFLUENCERS: Kind = Kind {
    kind: ResultKind::Influencer,
    parser: "ml/get_influencers",
    plural: "influencers",
    score: "influencer_score",
    sort: "influencer_score",
    descending: true,
};

impl Kind {
    async fn read(&self, uri: &Uri, body: Body) -> Result<Asked> {
        let mut params = Params::new(uri)?;
        let asked = match optional::<Asked>(body, self.parser).await? {
            Some(asked) => asked,
            None => self.take_params(&mut params)?,
        };
        params.finish()?;
        self.check(&asked)?;
        Ok(asked)
    }

    fn take_params(&self, params: &mut Params) -> Result<Asked> {
        let mut asked = Asked {
            desc: params.take_bool("desc")?,
            start: params.take("start").map(Text::Text),
            end: params.take("end").map(Text::Text),
            exclude_interim: params.take_bool("exclude_interim")?,
            sort: params.take("sort"),
            ..Asked::default()
        };
        asked.page = Page::take(params)?;
        let score = params.take_number(self.score, "double")?;
        match self.kind {
            ResultKind::Record => asked.record_score = score,
            ResultKind::Influencer => asked.influencer_score = score,
            _ => {
                asked.anomaly_score = score;
                asked.timestamp = params.take("timestamp").map(Text::Text);
                asked.expand = params.take_bool("expand")?;
            }
        }
        Ok(asked)
    }

    /// Refuses the fields of other kinds.
    fn check(&self, asked: &Asked) -> Result<()> {
        let foreign = [
            (
                "anomaly_score",
                asked.anomaly_score.is_some(),
                ResultKind::Bucket,
            ),
            ("timestamp", asked.timestamp.is_some(), ResultKind::Bucket),
            ("expand", asked.expand.is_some(), ResultKind::Bucket),
            (
                "record_score",
                asked.record_score.is_some(),
                ResultKind::Record,
            ),
            (
                "influencer_score",
                asked.influencer_score.is_some(),
                ResultKind::Influencer,
            ),
        ];
        match foreign
            .iter()
            .find(|(_, given, kind)| *given && *kind != self.kind)
        {
            Some((name, ..)) => Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "x_content_parse_exception",
                format!("[1:1] [{}] unknown field [{name}]", self.parser),
            )),
            None => Ok(()),
        }
    }

    fn query(&self, job_id: &str, asked: Asked) -> Result<ResultQuery> {
        let bound = |name: &str, text: Option<Text>| {
            text.map(|text| dates::bound(name, &text.into_string()))
                .transpose()
        };
        let page = asked.page.unwrap_or_default();
        let (from, size) = page_window(&page)?;
        Ok(ResultQuery {
            job_id: job_id.to_owned(),
            kind: self.kind,
            start: bound("start", asked.start)?,
            end: bound("end", asked.end)?,
            min_score: asked
                .anomaly_score
                .or(asked.record_score)
                .or(asked.influencer_score)
                .unwrap_or(0.0),
            exclude_interim: asked.exclude_interim.unwrap_or(false),
            sort: match asked.sort.as_deref().unwrap_or(self.sort) {
                "timestamp" => Sort::Timestamp,
                name if name == self.score => Sort::Score,
                name => Sort::Field(name.to_owned()),
            },
            descending: asked.desc.or(asked.descending).unwrap_or(self.descending),
            from,
            size,
        })
    }
}

/// A page's place and size, within bounds.
pub fn page_window(page: &Page) -> Result<(i64, i64)> {
    let (from, size) = (page.from.unwrap_or(0), page.size.unwrap_or(PAGE));
    for (name, value) in [("from", from), ("size", size)] {
        if value < 0 {
            return Err(ApiError::illegal_argument(format!(
                "Parameter [{name}] cannot be < 0"
            )));
        }
    }
    if from.saturating_add(size) > MAX_WINDOW {
        return Err(ApiError::illegal_argument(format!(
            "Result window is too large, from + size must be less than or equal to: [{MAX_WINDOW}] but was [{}]",
            from.saturating_add(size)
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
    page(&state, &RECORDS, &job_id, &uri, body).await
}

pub async fn influencers(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    page(&state, &INFLUENCERS, &job_id, &uri, body).await
}

async fn page(
    state: &ApiState,
    kind: &Kind,
    job_id: &str,
    uri: &Uri,
    body: Body,
) -> Result<Response> {
    let asked = kind.read(uri, body).await?;
    let page = state.jobs.results(&kind.query(job_id, asked)?).await?;
    Ok(page_of(page.count, kind.plural, &page.docs))
}

pub async fn buckets(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut asked = BUCKETS.read(&uri, body).await?;
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
    let asked = BUCKETS.read(&uri, body).await?;
    one_bucket(&state, &job_id, &timestamp, asked).await
}

async fn bucket_page(state: &ApiState, job_id: &str, asked: Asked) -> Result<Response> {
    let expand = asked.expand.unwrap_or(false);
    let query = BUCKETS.query(job_id, asked)?;
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
    asked: Asked,
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
    let expand = asked.expand.unwrap_or(false);
    let query = ResultQuery {
        start: Some(time),
        end: Some(time + 1),
        ..BUCKETS.query(job_id, asked)?
    };
    let mut page = state.jobs.results(&query).await?;
    if page.docs.is_empty() {
        return Err(JobError::not_found("Could not find requested buckets").into());
    }
    if expand {
        page.docs[0] = with_records(state, job_id, &page.docs[0], query.exclude_interim).await?;
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
            sort: Sort::Score,
            descending: true,
            from: 0,
            size: MAX_WINDOW,
        };
        state.jobs.results(&query).await?.docs
    } else {
        Vec::new()
    };
    // The document is an object: before its last brace is room for one more field.
    let open = doc.trim_end().strip_suffix('}').unwrap_or(doc);
    Ok(format!("{open},\"records\":[{}]}}", records.join(",")))
}
