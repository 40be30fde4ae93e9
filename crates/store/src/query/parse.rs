//! From the JSON of Elasticsearch's query DSL to a query: what queries are made of.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::parts;
use super::schema::{Field, Schema};
use super::typed;
use super::{FieldType, Query};

/// Queries within queries.
const DEPTH: usize = 30;

/// What a query can't know of itself.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    pub schema: &'c dyn Schema,
    /// The time that `now` means, epoch milliseconds.
    pub now: i64,
}

impl<'c> Context<'c> {
    /// With the time that it is.
    pub fn new(schema: &'c dyn Schema) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            schema,
            now: since.map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }),
        }
    }

    pub(super) fn field(&self, path: &str) -> Option<Field> {
        self.schema.field(path)
    }

    pub(super) fn type_of(&self, path: &str) -> Option<FieldType> {
        self.field(path).map(|field| field.of)
    }
}

/// Why a query is refused: Elasticsearch's name of the exception, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct QueryError {
    pub kind: &'static str,
    pub reason: String,
}

pub(super) type Result<T> = std::result::Result<T, QueryError>;

pub(crate) fn fault(kind: &'static str, reason: impl Into<String>) -> QueryError {
    QueryError {
        kind,
        reason: reason.into(),
    }
}

pub(crate) fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(fault("parsing_exception", reason))
}

/// Reads a query: an object with one field, its kind.
///
/// # Errors
/// [`QueryError`] for what is malformed, and by its name for a kind that isn't known.
pub fn parse(json: &Value, context: &Context<'_>) -> Result<Query> {
    Parser { context, depth: 0 }.query(json)
}

pub(super) struct Parser<'c> {
    pub context: &'c Context<'c>,
    depth: usize,
}

pub(super) type Object = Map<String, Value>;

pub(super) fn object<'v>(json: &'v Value, kind: &str) -> Result<&'v Object> {
    match json {
        Value::Object(map) => Ok(map),
        _ => refuse(format!(
            "[{kind}] query malformed, no start_object after query name"
        )),
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

/// What a query says that has one field of its own, or none.
fn only<'v>(body: &'v Value, kind: &str, field: Option<&str>) -> Result<Option<&'v Value>> {
    let said = object(body, kind)?;
    let is_known = |name: &str| matches!(name, "boost" | "_name") || Some(name) == field;
    match said.keys().find(|name| !is_known(name)) {
        Some(other) => Err(fault(
            "x_content_parse_exception",
            format!("[1:1] [{kind}] unknown field [{other}]"),
        )),
        None => Ok(field.and_then(|field| said.get(field))),
    }
}

impl Parser<'_> {
    pub fn query(&mut self, json: &Value) -> Result<Query> {
        let Value::Object(map) = json else {
            return refuse("[_na] query malformed, must start with start_object");
        };
        let mut kinds = map.iter();
        let (kind, body) = match (kinds.next(), kinds.next()) {
            (Some((kind, body)), None) => (kind.as_str(), body),
            (None, _) => {
                return Err(fault(
                    "illegal_argument_exception",
                    "query malformed, empty clause found",
                ));
            }
            (Some((kind, _)), Some((next, _))) => {
                return refuse(format!(
                    "[{kind}] malformed query, expected [END_OBJECT] but found [FIELD_NAME] [{next}]"
                ));
            }
        };
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(fault(
                "illegal_argument_exception",
                format!(
                    "The nested depth of the query exceeds the maximum nested depth for queries set in \
                     [indices.query.bool.max_nested_depth: {DEPTH}]"
                ),
            ));
        }
        let query = self.of_kind(kind, body)?;
        self.depth -= 1;
        Ok(match boost(kind, body)? {
            Some(boost) => Query::Boosted {
                query: Box::new(query),
                boost,
            },
            None => query,
        })
    }

    fn of_kind(&mut self, kind: &str, body: &Value) -> Result<Query> {
        let context = self.context;
        match kind {
            "match_all" => only(body, kind, None).map(|_| Query::All),
            "match_none" => only(body, kind, None).map(|_| Query::None),
            "term" => parts::term(body, context),
            "terms" => parts::terms(body, context),
            "range" => parts::range(body, context),
            "exists" => {
                let said = object(body, kind)?;
                known(kind, said, &["field", "boost", "_name"])?;
                match said.get("field").and_then(text) {
                    Some(field) => Ok(Query::Exists(field)),
                    None => refuse("[exists] must be provided with a [field]"),
                }
            }
            "prefix" | "wildcard" | "regexp" => parts::pattern(kind, body, context),
            "ids" => match only(body, kind, Some("values"))? {
                Some(Value::Array(ids)) => Ok(Query::Ids(ids.iter().filter_map(text).collect())),
                Some(id) => Ok(Query::Ids(text(id).into_iter().collect())),
                None => refuse("[ids] requires providing a values element"),
            },
            "bool" => self.bool(body),
            "constant_score" => self.constant(object(body, kind)?),
            "dis_max" => self.best(object(body, kind)?),
            "boosting" => self.boosting(object(body, kind)?),
            "nested" => self.nested(object(body, kind)?),
            "match" | "match_phrase" | "match_phrase_prefix" => {
                parts::matching(kind, body, context)
            }
            "multi_match" => parts::multi_match(object(body, kind)?, context),
            "query_string" => typed::parse_query_string(object(body, kind)?, context),
            "simple_query_string" => typed::parse_simple(object(body, kind)?, context),
            other => refuse(format!("unknown query [{other}]")),
        }
    }

    fn constant(&mut self, said: &Object) -> Result<Query> {
        known("constant_score", said, &["filter", "boost", "_name"])?;
        let Some(filter) = said.get("filter") else {
            return refuse("[constant_score] requires a 'filter' element");
        };
        Ok(Query::Constant {
            query: Box::new(self.query(filter)?),
            score: 1.0,
        })
    }

    fn best(&mut self, said: &Object) -> Result<Query> {
        known(
            "dis_max",
            said,
            &["queries", "tie_breaker", "boost", "_name"],
        )?;
        let queries = match said.get("queries") {
            Some(queries) => self.queries(queries)?,
            None => Vec::new(),
        };
        if queries.is_empty() {
            return refuse("[dis_max] requires 'queries' field with at least one clause");
        }
        let tie_breaker = said.get("tie_breaker").and_then(number).unwrap_or(0.0) as f32;
        Ok(Query::Best {
            queries,
            tie_breaker,
        })
    }

    /// What matches `negative` too is found all the same; its lower score is left to those who sort by it: nobody here.
    fn boosting(&mut self, said: &Object) -> Result<Query> {
        known(
            "boosting",
            said,
            &["positive", "negative", "negative_boost", "boost", "_name"],
        )?;
        let Some(positive) = said.get("positive") else {
            return refuse("[boosting] query requires 'positive' query to be set'");
        };
        let Some(negative) = said.get("negative") else {
            return refuse("[boosting] query requires 'negative' query to be set'");
        };
        let Some(factor) = said.get("negative_boost").and_then(number) else {
            return refuse(
                "[boosting] query requires 'negative_boost' to be set to be a positive value'",
            );
        };
        let (positive, negative) = (self.query(positive)?, self.query(negative)?);
        let lowered = Query::Boosted {
            query: Box::new(positive.clone()),
            boost: factor as f32,
        };
        let both = |query, filter| Query::Bool {
            must: vec![query],
            filter: vec![filter],
            should: Vec::new(),
            must_not: Vec::new(),
            at_least: 0,
        };
        Ok(Query::or(vec![
            both(lowered, negative.clone()),
            both(positive, Query::except(negative)),
        ]))
    }

    fn nested(&mut self, said: &Object) -> Result<Query> {
        let names = [
            "path",
            "query",
            "score_mode",
            "ignore_unmapped",
            "boost",
            "_name",
        ];
        known("nested", said, &names)?;
        let Some(query) = said.get("query") else {
            return refuse("[nested] requires 'query' field");
        };
        let Some(path) = said.get("path").and_then(text) else {
            return refuse("[nested] requires 'path' field");
        };
        let query = Box::new(self.query(query)?);
        Ok(Query::Nested { path, query })
    }

    /// One query, or a list.
    fn queries(&mut self, json: &Value) -> Result<Vec<Query>> {
        match json {
            Value::Array(queries) => queries.iter().map(|query| self.query(query)).collect(),
            query => Ok(vec![self.query(query)?]),
        }
    }

    fn bool(&mut self, body: &Value) -> Result<Query> {
        let (mut must, mut filter) = (Vec::new(), Vec::new());
        let (mut should, mut must_not) = (Vec::new(), Vec::new());
        let mut said = None;
        for (name, value) in object(body, "bool")? {
            let clauses = match name.as_str() {
                "must" => &mut must,
                "filter" => &mut filter,
                "should" => &mut should,
                "must_not" | "mustNot" => &mut must_not,
                "minimum_should_match" => {
                    said = Some(value);
                    continue;
                }
                "boost" | "_name" | "adjust_pure_negative" => continue,
                other => return refuse(format!("[bool] query does not support [{other}]")),
            };
            clauses.extend(self.queries(value)?);
        }
        let at_least = match said {
            Some(said) => parts::minimum("bool", said, should.len())?,
            None => usize::from(must.is_empty() && filter.is_empty() && !should.is_empty()),
        };
        Ok(Query::Bool {
            must,
            filter,
            should,
            must_not,
            at_least,
        })
    }
}

/// Refuses what a query doesn't know.
pub(super) fn known(kind: &str, said: &Object, names: &[&str]) -> Result<()> {
    match said.keys().find(|name| !names.contains(&name.as_str())) {
        Some(other) => refuse(format!("[{kind}] query does not support [{other}]")),
        None => Ok(()),
    }
}

/// `boost` of a query, or of its field.
fn boost(kind: &str, body: &Value) -> Result<Option<f32>> {
    let own = body.get("boost").filter(|boost| !boost.is_object());
    let of_field = || match kind {
        "bool" | "dis_max" | "nested" | "constant_score" | "ids" | "exists" => None,
        _ => body
            .as_object()?
            .values()
            .find_map(|field| field.as_object()?.get("boost")),
    };
    let Some(said) = own.or_else(of_field) else {
        return Ok(None);
    };
    match number(said) {
        Some(boost) if boost < 0.0 => Err(fault(
            "illegal_argument_exception",
            format!(
                "negative [boost] are not allowed in [{kind}], use a value between 0 and 1 to deboost"
            ),
        )),
        Some(1.0) => Ok(None),
        Some(boost) => Ok(Some(boost as f32)),
        None => refuse(format!(
            "[{kind}] query does not support [boost] with value [{said}]"
        )),
    }
}
