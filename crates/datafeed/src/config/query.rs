//! The query of a datafeed, looked at early: what no source could answer is refused when it comes.

use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_store::query::{self, Context, Nothing, QueryError};

/// Of a Prometheus source: `{"promql": {"query": .., "step": .., "at": ..}}` stands in the place of a query.
pub const PROMQL: &str = "promql";

/// Kinds of queries that Elasticsearch has and the embedded index has not: another cluster may be asked them.
const ELSEWHERE: [&str; 31] = [
    "combined_fields",
    "distance_feature",
    "function_score",
    "fuzzy",
    "geo_bounding_box",
    "geo_distance",
    "geo_grid",
    "geo_polygon",
    "geo_shape",
    "has_child",
    "has_parent",
    "intervals",
    "knn",
    "match_bool_prefix",
    "more_like_this",
    "parent_id",
    "percolate",
    "pinned",
    "rank_feature",
    "rule",
    "script",
    "script_score",
    "semantic",
    "shape",
    "span_multi",
    "span_near",
    "span_or",
    "span_term",
    "sparse_vector",
    "terms_set",
    "wrapper",
];

pub(super) fn default_query() -> Map<String, Value> {
    let Value::Object(query) = json!({"match_all": {}}) else {
        return Map::new();
    };
    query
}

/// A query as it is read: well-formed, of kinds that there are.
///
/// # Errors
/// 400 with the query's own refusal as its cause.
pub(super) fn check(query: &Map<String, Value>) -> Result<(), JobError> {
    if query.contains_key(PROMQL) {
        return check_promql(query).map_err(unparsable);
    }
    match parse(query) {
        Err(error) if is_known_elsewhere(&error) => Ok(()),
        Err(error) => Err(unparsable(refusal(error))),
        Ok(()) => Ok(()),
    }
}

/// A query that is for the embedded index alone.
pub(super) fn check_local(query: &Map<String, Value>) -> Result<(), JobError> {
    if query.contains_key(PROMQL) {
        return Err(unparsable(parsing(format!(
            "a [{PROMQL}] query needs a source of Prometheus's in [indices]"
        ))));
    }
    parse(query).map_err(|error| unparsable(refusal(error)))
}

fn parse(query: &Map<String, Value>) -> Result<(), QueryError> {
    // What the fields are is known when the indices are.
    let context = Context::new(&Nothing);
    query::parse(&Value::Object(query.clone()), &context).map(drop)
}

fn is_known_elsewhere(error: &QueryError) -> bool {
    let kind = error.reason.strip_prefix("unknown query [");
    let kind = kind.and_then(|rest| rest.split(']').next());
    kind.is_some_and(|kind| ELSEWHERE.contains(&kind))
}

fn check_promql(given: &Map<String, Value>) -> Result<(), JobError> {
    if let Some(other) = given.keys().find(|name| *name != PROMQL) {
        return Err(parsing(format!(
            "[{PROMQL}] malformed query, expected [END_OBJECT] but found [{other}]"
        )));
    }
    let Some(Value::Object(said)) = given.get(PROMQL) else {
        return Err(parsing(format!(
            "[{PROMQL}] query malformed, no start_object after query name"
        )));
    };
    for (name, value) in said {
        match (name.as_str(), value) {
            ("query" | "step", Value::String(text)) if !text.is_empty() => {}
            ("at", Value::String(text)) if matches!(text.as_str(), "start" | "end") => {}
            ("at", _) => {
                return Err(parsing(format!("[{PROMQL}] [at] must be [start] or [end]")));
            }
            ("query" | "step", _) => {
                return Err(parsing(format!("[{PROMQL}] [{name}] must be a text")));
            }
            _ => {
                return Err(parsing(format!(
                    "[{PROMQL}] query does not support [{name}]"
                )));
            }
        }
    }
    match said.contains_key("query") {
        true => Ok(()),
        false => Err(parsing(format!("[{PROMQL}] requires [query]"))),
    }
}

fn parsing(reason: String) -> JobError {
    refusal(QueryError {
        kind: "parsing_exception",
        reason,
    })
}

fn refusal(error: QueryError) -> JobError {
    JobError::new(400, error.kind, error.reason)
}

fn unparsable(cause: JobError) -> JobError {
    JobError::bad_request("Datafeed query is not parsable").because(cause)
}
