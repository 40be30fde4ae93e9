//! `_search`, `_count` and `_delete_by_query`.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Index, Meant, type_of};
use tidewatch_store::query::{self, Context, Document, Query};

use super::aggregations::{Aggregation, Tally};
use super::bad_request;
use super::fields::{Asked, Shown};
use super::named::Named;
use super::sort::{Hit, Key, Page};
use crate::ApiState;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{body, dates};

/// How deep a page may reach.
const WINDOW: i64 = 10_000;
const SIZE: i64 = 10;
/// How far is counted where nothing is said.
const COUNTED: u64 = 10_000;
/// Documents that are deleted at a time.
const DELETED: usize = 1_000;

/// Parameters that change nothing of what is found here.
const IGNORED: [&str; 15] = [
    "preference",
    "routing",
    "request_cache",
    "batched_reduce_size",
    "max_concurrent_shard_requests",
    "ccs_minimize_roundtrips",
    "search_type",
    "timeout",
    "allow_partial_search_results",
    "ignore_throttled",
    "typed_keys",
    "analyze_wildcard",
    "lenient",
    "conflicts",
    "refresh",
];

/// Parameters of a search; a body says the rest.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Parameters {
    pub q: Option<String>,
    pub df: Option<String>,
    pub default_operator: Option<String>,
    pub from: Option<i64>,
    pub size: Option<i64>,
    pub sort: Option<String>,
    pub track_total_hits: Option<String>,
    pub rest_total_hits_as_int: bool,
    pub _source: Option<String>,
    pub _source_includes: Option<String>,
    pub _source_excludes: Option<String>,
}

impl Parameters {
    /// The query of `q`.
    fn query(&self) -> Result<Option<Query>> {
        let Some(q) = &self.q else {
            return Ok(None);
        };
        let mut said = json!({"query": q});
        if let Some(field) = &self.df {
            said["default_field"] = field.as_str().into();
        }
        if let Some(operator) = &self.default_operator {
            said["default_operator"] = operator.as_str().into();
        }
        parse_query(&json!({"query_string": said})).map(Some)
    }
}

/// A time that a text means: its end where it is rounded up.
pub fn date(text: &str, up: bool) -> std::result::Result<i64, String> {
    let end = if up { end_of(text) } else { None };
    let time = match &end {
        Some(end) => dates::bound("", end).map(|next| next - 1),
        None => dates::bound("", text),
    };
    time.map_err(|_| {
        format!("failed to parse date field [{text}] with format [strict_date_optional_time||epoch_millis]")
    })
}

/// What begins where the whole of a day or month, or of what is rounded to, ends.
fn end_of(text: &str) -> Option<String> {
    if let Some((_, unit)) = text.rsplit_once('/') {
        return Some(format!("{text}+1{unit}"));
    }
    let is_date = |length: usize| {
        text.len() == length
            && text.char_indices().all(|(at, c)| match at {
                4 | 7 => c == '-',
                _ => c.is_ascii_digit(),
            })
    };
    match () {
        () if is_date(10) => Some(format!("{text}||+1d")),
        () if is_date(7) => Some(format!("{text}||+1M")),
        () => None,
    }
}

fn parse_query(json: &Value) -> Result<Query> {
    let context = Context {
        type_of: &type_of,
        date: &date,
    };
    query::parse(json, &context).map_err(|error| bad_request(error.kind, error.reason))
}

/// How far matches are counted, and how that is told.
#[derive(Debug, Clone, Copy)]
enum Counted {
    Not,
    UpTo(u64),
    All,
    /// All, told as a number alone.
    AsNumber,
}

impl Counted {
    fn parse(said: &Value) -> Result<Self> {
        match said {
            Value::Bool(true) => Ok(Self::All),
            Value::Bool(false) => Ok(Self::Not),
            said => match said.as_u64() {
                Some(most) => Ok(Self::UpTo(most)),
                None => Err(ApiError::illegal_argument(format!(
                    "[track_total_hits] parameter must be positive or equals to -1, got {said}"
                ))),
            },
        }
    }

    fn told(self, count: u64) -> Option<Value> {
        let (value, relation) = match self {
            Self::Not => return None,
            Self::AsNumber => return Some(count.into()),
            Self::UpTo(most) if count > most => (most, "gte"),
            Self::UpTo(_) | Self::All => (count, "eq"),
        };
        Some(json!({"value": value, "relation": relation}))
    }
}

/// A search, read from parameters and body.
struct Search {
    query: Query,
    from: i64,
    size: i64,
    sort: Vec<Key>,
    after: Option<Vec<Value>>,
    counted: Counted,
    shown: Shown,
    fields: Vec<Asked>,
    aggregations: Vec<Aggregation>,
}

impl Search {
    fn read(parameters: &Parameters, body: Map<String, Value>) -> Result<Self> {
        let mut search = Self {
            query: Query::All,
            from: 0,
            size: SIZE,
            sort: Vec::new(),
            after: None,
            counted: Counted::UpTo(COUNTED),
            shown: Shown::default(),
            fields: Vec::new(),
            aggregations: Vec::new(),
        };
        for (name, value) in body {
            search.take(&name, value)?;
        }
        search.take_parameters(parameters)?;
        search.check()?;
        Ok(search)
    }

    fn take(&mut self, name: &str, value: Value) -> Result<()> {
        let number = |value: &Value| {
            let text = value.as_str().map(str::parse);
            value
                .as_i64()
                .or(text.and_then(std::result::Result::ok))
                .ok_or_else(|| {
                    bad_request(
                        "parsing_exception",
                        format!("Unknown value [{value}] for [{name}]"),
                    )
                })
        };
        match name {
            "query" => self.query = parse_query(&value)?,
            "from" => self.from = number(&value)?,
            "size" => self.size = number(&value)?,
            "sort" => self.sort = Key::parse(&value)?,
            "search_after" => match value {
                Value::Array(after) => self.after = Some(after),
                _ => {
                    return Err(bad_request(
                        "parsing_exception",
                        "Expected [START_ARRAY] in [search_after]".to_owned(),
                    ));
                }
            },
            "track_total_hits" => self.counted = Counted::parse(&value)?,
            "_source" => self.shown = Shown::parse(&value)?,
            "fields" | "docvalue_fields" => self.fields.extend(Asked::parse(&value)),
            "aggs" | "aggregations" => {
                self.aggregations = Aggregation::parse(&value, &parse_query)?
            }
            // They change nothing of what is found.
            "timeout"
            | "version"
            | "seq_no_primary_term"
            | "track_scores"
            | "explain"
            | "profile"
            | "stored_fields" => {}
            other => {
                return Err(bad_request(
                    "parsing_exception",
                    format!("unknown field [{other}] in a search of these indices"),
                ));
            }
        }
        Ok(())
    }

    fn take_parameters(&mut self, parameters: &Parameters) -> Result<()> {
        if let Some(query) = parameters.query()? {
            self.query = query;
        }
        self.from = parameters.from.unwrap_or(self.from);
        self.size = parameters.size.unwrap_or(self.size);
        if let Some(sort) = &parameters.sort {
            self.sort = Key::of_param(sort)?;
        }
        if let Some(counted) = &parameters.track_total_hits {
            let said = serde_json::from_str(counted).unwrap_or_else(|_| counted.as_str().into());
            self.counted = Counted::parse(&said)?;
        }
        if parameters.rest_total_hits_as_int {
            self.counted = Counted::AsNumber;
        }
        let (source, includes, excludes) = (
            parameters._source.as_deref(),
            parameters._source_includes.as_deref(),
            parameters._source_excludes.as_deref(),
        );
        if source.or(includes).or(excludes).is_some() {
            self.shown = Shown::of_params(source, includes, excludes);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        for (name, value) in [("from", self.from), ("size", self.size)] {
            if value < 0 {
                return Err(ApiError::illegal_argument(format!(
                    "[{name}] parameter cannot be negative, found [{value}]"
                )));
            }
        }
        let reach = self.from.saturating_add(self.size);
        if reach > WINDOW {
            return Err(ApiError::illegal_argument(format!(
                "Result window is too large, from + size must be less than or equal to: [{WINDOW}] but was [{reach}]. \
                 See the scroll api for a more efficient way to request large data sets. This limit can be set by \
                 changing the [index.max_result_window] index level setting."
            )));
        }
        if self.after.is_some() && self.from > 0 {
            return Err(ApiError::illegal_argument(
                "`from` parameter must be set to 0 when `search_after` is used.",
            ));
        }
        Ok(())
    }

    fn hit(&self, hit: Hit, is_sorted: bool) -> Value {
        let score = if is_sorted { Value::Null } else { 1.0.into() };
        let mut told = json!({"_index": hit.index, "_id": hit.id, "_score": score});
        let mut fields = Map::new();
        for asked in &self.fields {
            asked.add(&hit.source, &mut fields);
        }
        if !self.shown.hidden {
            told["_source"] = self.shown.of(hit.source);
        }
        if !fields.is_empty() {
            told["fields"] = fields.into();
        }
        if is_sorted {
            told["sort"] = hit.sort.into();
        }
        told
    }
}

/// The parameters of a request about documents.
pub fn parameters(uri: &Uri) -> Result<(Named, Parameters)> {
    let mut params = Params::new(uri)?.ignore(&IGNORED);
    let named = Named::deserialize(&mut params)?;
    Ok((named, params.read()?))
}

pub async fn indices(state: &ApiState, expression: &str, named: Named) -> Result<Vec<Index>> {
    let meant = state.jobs.meant(expression, named.to_read()?).await?;
    let internal = |meant| match meant {
        Meant::Internal(index) => Some(index),
        Meant::Own { .. } => None,
    };
    Ok(meant.into_iter().filter_map(internal).collect())
}

/// The body of a search, read; with nothing in it, an empty one.
pub async fn object(body: Body) -> Result<Map<String, Value>> {
    let bytes = body::read(body).await?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Map::new()),
        false => body::object(&bytes),
    }
}

pub async fn everywhere(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    search(state, Path("_all".to_owned()), uri, body).await
}

pub async fn search(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let (named, parameters) = parameters(&uri)?;
    let body = object(body).await?;
    let answer = found(&state, &expression, named, parameters, body).await?;
    Ok(json_response(StatusCode::OK, answer.to_string()))
}

/// The answer to a search.
pub async fn found(
    state: &ApiState,
    expression: &str,
    named: Named,
    parameters: Parameters,
    body: Map<String, Value>,
) -> Result<Value> {
    let started = Instant::now();
    let search = Search::read(&parameters, body)?;
    let indices = indices(state, expression, named).await?;
    let most = usize::try_from(search.from + search.size).unwrap_or_default();
    let mut page = Page::new(search.sort.clone(), search.after.clone(), most)?;
    let mut tally = Tally::new(&search.aggregations);
    let mut count = 0;
    let mut take = |index: &str, found: tidewatch_store::Found| {
        count += 1;
        let goes = tally.add(Document {
            index,
            id: &found.id,
            source: &found.source,
        });
        page.add(index, found.id, found.source);
        goes
    };
    state
        .jobs
        .search(&indices, &search.query, &mut take)
        .await?;
    let is_sorted = page.is_sorted();
    let from = usize::try_from(search.from).unwrap_or_default();
    let hits: Vec<Value> = page
        .hits()
        .into_iter()
        .skip(from)
        .map(|hit| search.hit(hit, is_sorted))
        .collect();
    let best = if is_sorted || hits.is_empty() {
        Value::Null
    } else {
        1.0.into()
    };
    let mut told = json!({"max_score": best, "hits": hits});
    if let Some(total) = search.counted.told(count) {
        told["total"] = total;
    }
    let shards = indices.len();
    let mut answer = json!({
        "took": started.elapsed().as_millis() as u64, "timed_out": false,
        "_shards": {"total": shards, "successful": shards, "skipped": 0, "failed": 0}, "hits": told
    });
    if !search.aggregations.is_empty() {
        answer["aggregations"] = tally.answer()?;
    }
    Ok(answer)
}

/// The query of a body that holds nothing else.
pub fn only_query(parameters: &Parameters, body: Map<String, Value>) -> Result<Option<Query>> {
    let mut query = parameters.query()?;
    for (name, value) in body {
        match name.as_str() {
            "query" => query = Some(parse_query(&value)?),
            other => {
                return Err(bad_request(
                    "parsing_exception",
                    format!("request does not support [{other}]"),
                ));
            }
        }
    }
    Ok(query)
}

pub async fn delete(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let started = Instant::now();
    let (named, parameters) = parameters(&uri)?;
    let query = only_query(&parameters, object(body).await?)?;
    let Some(query) = query else {
        return Err(tidewatch_jobs::JobError::invalid_request(&["query is missing"]).into());
    };
    let indices = indices(&state, &expression, named).await?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut take = |index: &str, document: tidewatch_store::Found| {
        found.entry(index.to_owned()).or_default().push(document.id);
        true
    };
    state.jobs.search(&indices, &query, &mut take).await?;
    let (mut total, mut deleted) = (0, 0);
    for (name, ids) in found {
        let Some(index) = indices.iter().find(|index| index.name == name) else {
            continue;
        };
        for ids in ids.chunks(DELETED) {
            total += ids.len();
            let gone = state.jobs.delete_documents(index, ids.to_vec()).await?;
            deleted += gone.into_iter().filter(|gone| *gone).count();
        }
    }
    let answer = json!({
        "took": started.elapsed().as_millis() as u64, "timed_out": false, "total": total, "deleted": deleted,
        "batches": total.div_ceil(DELETED), "version_conflicts": 0, "noops": total - deleted,
        "retries": {"bulk": 0, "search": 0}, "throttled_millis": 0, "requests_per_second": -1.0,
        "throttled_until_millis": 0, "failures": []
    });
    Ok(json_response(StatusCode::OK, answer.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rounded_to_its_end_where_it_is_included() {
        let day = 86_400_000;
        let start = 1_464_739_200_000;
        assert_eq!(date("2016-06-01", false), Ok(start));
        assert_eq!(date("2016-06-01", true), Ok(start + day - 1));
        assert_eq!(date("2016-06-01T00:00:00Z", true), Ok(start));
        assert_eq!(date("2016-06-01T12:00:00Z||/d", true), Ok(start + day - 1));
        assert_eq!(date("1464739200000", true), Ok(start));
        assert!(date("soon", true).is_err());
    }
}
