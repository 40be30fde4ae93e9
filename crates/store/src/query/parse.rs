//! From the JSON of Elasticsearch's query DSL to a query.

use serde_json::{Map, Value};

use super::{FieldType, How, Limit, Query, words};

/// Queries within queries.
const DEPTH: usize = 30;
/// Values of one `terms`, as in Elasticsearch.
const TERMS: usize = 65_536;

/// What a query can't know of itself.
pub struct Context<'c> {
    pub type_of: &'c dyn Fn(&str) -> FieldType,
    /// The time that a text means, epoch milliseconds; its end where it is rounded up.
    pub date: &'c dyn Fn(&str, bool) -> std::result::Result<i64, String>,
}

/// Why a query is refused: Elasticsearch's name of the exception, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct QueryError {
    pub kind: &'static str,
    pub reason: String,
}

pub(super) type Result<T> = std::result::Result<T, QueryError>;

pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(QueryError {
        kind: "parsing_exception",
        reason: reason.into(),
    })
}

/// Reads a query: an object with one field, its kind.
///
/// # Errors
/// [`QueryError`] for what is malformed, and by its name for a kind that isn't known.
pub fn parse(json: &Value, context: &Context<'_>) -> Result<Query> {
    Parser { context, depth: 0 }.query(json)
}

struct Parser<'c> {
    context: &'c Context<'c>,
    depth: usize,
}

fn object<'v>(json: &'v Value, kind: &str) -> Result<&'v Map<String, Value>> {
    match json {
        Value::Object(map) => Ok(map),
        _ => refuse(format!(
            "[{kind}] query malformed, no start_object after query name"
        )),
    }
}

/// A query of one field: its name, and what is said of it.
fn single<'v>(json: &'v Value, kind: &str) -> Result<(&'v str, &'v Value)> {
    let map = object(json, kind)?;
    let mut fields = map
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "boost" | "_name"));
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        (None, _) => refuse(format!("[{kind}] query malformed, no field")),
        (Some((first, _)), Some((second, _))) => refuse(format!(
            "[{kind}] query doesn't support multiple fields, found [{first}] and [{second}]"
        )),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn flag(map: &Map<String, Value>, name: &str) -> bool {
    matches!(map.get(name), Some(Value::Bool(true)))
}

impl Parser<'_> {
    fn query(&mut self, json: &Value) -> Result<Query> {
        let Value::Object(map) = json else {
            return refuse("[_na] query malformed, must start with start_object");
        };
        let mut kinds = map.iter();
        let (kind, body) = match (kinds.next(), kinds.next()) {
            (Some((kind, body)), None) => (kind.as_str(), body),
            (None, _) => {
                return Err(QueryError {
                    kind: "illegal_argument_exception",
                    reason: "query malformed, empty clause found".to_owned(),
                });
            }
            (Some((kind, _)), Some((next, _))) => {
                return refuse(format!(
                    "[{kind}] malformed query, expected [END_OBJECT] but found [FIELD_NAME] [{next}]"
                ));
            }
        };
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(QueryError {
                kind: "illegal_argument_exception",
                reason: format!(
                    "The nested depth of the query exceeds the maximum nested depth for queries set in \
                     [indices.query.bool.max_nested_depth: {DEPTH}]"
                ),
            });
        }
        let query = self.of_kind(kind, body)?;
        self.depth -= 1;
        Ok(query)
    }

    fn of_kind(&mut self, kind: &str, body: &Value) -> Result<Query> {
        match kind {
            "match_all" => object(body, kind).map(|_| Query::All),
            "match_none" => object(body, kind).map(|_| Query::None),
            "term" => self.term(body),
            "terms" => self.terms(body),
            "range" => self.range(body),
            "exists" => match object(body, kind)?.get("field").and_then(text) {
                Some(field) => Ok(Query::Exists(field)),
                None => refuse("[exists] must be provided with a [field]"),
            },
            "prefix" | "wildcard" => self.pattern(kind, body),
            "ids" => match object(body, kind)?.get("values") {
                Some(Value::Array(ids)) => Ok(Query::Ids(ids.iter().filter_map(text).collect())),
                Some(id) => Ok(Query::Ids(text(id).into_iter().collect())),
                None => refuse("[ids] requires providing a values element"),
            },
            "bool" => self.bool(body),
            "constant_score" => match object(body, kind)?.get("filter") {
                Some(filter) => self.query(filter),
                None => refuse("[constant_score] requires a 'filter' element"),
            },
            "nested" => self.nested(object(body, kind)?),
            "match" | "match_phrase" => self.matching(kind, body),
            "query_string" => words::parse_query_string(object(body, kind)?, self.context),
            "simple_query_string" => words::parse_simple(object(body, kind)?, self.context),
            other => refuse(format!("unknown query [{other}]")),
        }
    }

    fn nested(&mut self, said: &Map<String, Value>) -> Result<Query> {
        let known = [
            "path",
            "query",
            "score_mode",
            "ignore_unmapped",
            "boost",
            "_name",
        ];
        if let Some(other) = said.keys().find(|name| !known.contains(&name.as_str())) {
            return refuse(format!("[nested] query does not support [{other}]"));
        }
        let Some(query) = said.get("query") else {
            return refuse("[nested] requires 'query' field");
        };
        let Some(path) = said.get("path").and_then(text) else {
            return refuse("[nested] requires 'path' field");
        };
        let query = Box::new(self.query(query)?);
        Ok(Query::Nested { path, query })
    }

    /// A value as documents have it: of a date, milliseconds.
    fn value(&self, field: &str, value: &Value) -> Result<Value> {
        match (value, (self.context.type_of)(field)) {
            (Value::String(text), FieldType::Date) => Ok(date(self.context, text, false)?.into()),
            (Value::String(_) | Value::Number(_) | Value::Bool(_), _) => Ok(value.clone()),
            _ => refuse(format!(
                "[term] query does not support [{field}] with value [{value}]"
            )),
        }
    }

    fn term(&self, body: &Value) -> Result<Query> {
        let (field, said) = single(body, "term")?;
        let (value, ignore_case) = match said {
            Value::Object(said) => match said.get("value") {
                Some(value) => (value, flag(said, "case_insensitive")),
                None => return refuse(format!("[term] query malformed: [{field}] has no value")),
            },
            Value::Array(_) => return refuse("[term] query does not support array of values"),
            value => (value, false),
        };
        Ok(Query::Terms {
            values: vec![self.value(field, value)?],
            field: field.to_owned(),
            ignore_case,
        })
    }

    fn terms(&self, body: &Value) -> Result<Query> {
        let (field, values) = single(body, "terms")?;
        let Value::Array(values) = values else {
            return refuse("[terms] query requires an array of terms");
        };
        if values.len() > TERMS {
            return refuse(format!("[terms] query takes at most [{TERMS}] terms"));
        }
        let values: Result<_> = values
            .iter()
            .map(|value| self.value(field, value))
            .collect();
        Ok(Query::Terms {
            field: field.to_owned(),
            values: values?,
            ignore_case: false,
        })
    }

    fn range(&self, body: &Value) -> Result<Query> {
        let (field, said) = single(body, "range")?;
        let said = object(said, "range")?;
        let seconds = said.get("format").and_then(Value::as_str) == Some("epoch_second");
        let (mut from, mut to) = (None, None);
        for (name, value) in said {
            let limit = |inclusive: bool, up: bool| {
                let value = match (value, (self.context.type_of)(field)) {
                    (Value::Null, _) => return Ok(None),
                    (Value::Number(number), FieldType::Date) if seconds => number
                        .as_i64()
                        .and_then(|n| n.checked_mul(1_000))
                        .unwrap_or(i64::MAX)
                        .into(),
                    (Value::String(text), FieldType::Date) => date(self.context, text, up)?.into(),
                    (Value::String(text), FieldType::Number) => {
                        match text.parse::<serde_json::Number>() {
                            Ok(number) => Value::Number(number),
                            Err(_) => {
                                return Err(QueryError {
                                    kind: "number_format_exception",
                                    reason: format!("For input string: \"{text}\""),
                                });
                            }
                        }
                    }
                    (value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)), _) => {
                        value.clone()
                    }
                    _ => {
                        return refuse(format!(
                            "[range] query does not support [{name}] with value [{value}]"
                        ));
                    }
                };
                Ok(Some(Limit { value, inclusive }))
            };
            match name.as_str() {
                "gte" => from = limit(true, false)?,
                "gt" => from = limit(false, true)?,
                "lte" => to = limit(true, true)?,
                "lt" => to = limit(false, false)?,
                // The older form of the four.
                "from" => {
                    from = limit(
                        said.get("include_lower") != Some(&Value::Bool(false)),
                        false,
                    )?
                }
                "to" => to = limit(said.get("include_upper") != Some(&Value::Bool(false)), true)?,
                "include_lower" | "include_upper" | "format" | "boost" | "_name" | "relation" => {}
                "time_zone" if matches!(value.as_str(), Some("UTC" | "Z" | "+00:00")) => {}
                other => return refuse(format!("[range] query does not support [{other}]")),
            }
        }
        Ok(Query::Range {
            field: field.to_owned(),
            from,
            to,
        })
    }

    fn pattern(&self, kind: &str, body: &Value) -> Result<Query> {
        let (field, said) = single(body, kind)?;
        let (pattern, ignore_case) = match said {
            Value::Object(said) => {
                let pattern = said.get("value").or(said.get("wildcard")).and_then(text);
                (pattern, flag(said, "case_insensitive"))
            }
            value => (text(value), false),
        };
        let (Some(pattern), field) = (pattern, field.to_owned()) else {
            return refuse(format!("[{kind}] query malformed: [{field}] has no value"));
        };
        Ok(match kind {
            "prefix" => Query::Prefix {
                field,
                prefix: pattern,
                ignore_case,
            },
            _ => Query::Wildcard {
                field,
                pattern,
                ignore_case,
            },
        })
    }

    fn matching(&self, kind: &str, body: &Value) -> Result<Query> {
        let (field, said) = single(body, kind)?;
        let (value, all) = match said {
            Value::Object(said) => {
                let operator = said.get("operator").and_then(Value::as_str).unwrap_or("or");
                let Some(value) = said.get("query") else {
                    return refuse("No text specified for text query");
                };
                (value, operator.eq_ignore_ascii_case("and"))
            }
            value => (value, false),
        };
        if (self.context.type_of)(field) != FieldType::Text {
            return Ok(Query::Terms {
                values: vec![self.value(field, value)?],
                field: field.to_owned(),
                ignore_case: false,
            });
        }
        let Some(text) = text(value) else {
            return refuse(format!("[{kind}] query does not support [{value}]"));
        };
        Ok(Query::Words {
            field: Some(field.to_owned()),
            words: words::of(&text),
            how: match (kind, all) {
                ("match_phrase", _) => How::Phrase,
                (_, true) => How::All,
                _ => How::Any,
            },
        })
    }

    fn bool(&mut self, body: &Value) -> Result<Query> {
        let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
        let mut said = None;
        for (name, value) in object(body, "bool")? {
            let clauses = match name.as_str() {
                "must" | "filter" => &mut must,
                "should" => &mut should,
                "must_not" | "mustNot" => &mut must_not,
                "minimum_should_match" => {
                    said = Some(value);
                    continue;
                }
                "boost" | "_name" | "adjust_pure_negative" => continue,
                other => return refuse(format!("[bool] query does not support [{other}]")),
            };
            match value {
                Value::Array(queries) => {
                    for query in queries {
                        clauses.push(self.query(query)?);
                    }
                }
                query => clauses.push(self.query(query)?),
            }
        }
        let at_least = match said {
            Some(said) => minimum(said, should.len())?,
            None => usize::from(must.is_empty() && !should.is_empty()),
        };
        Ok(Query::Bool {
            must,
            should,
            must_not,
            at_least,
        })
    }
}

/// `minimum_should_match`: a number, or a part in percent; below 0, of those that may be missing.
fn minimum(said: &Value, of: usize) -> Result<usize> {
    let told = text(said).unwrap_or_default();
    let of = i64::try_from(of).unwrap_or(i64::MAX);
    let number = match told.strip_suffix('%') {
        Some(percent) => percent.parse::<i64>().ok().map(|percent| {
            let part = of.saturating_mul(percent) / 100;
            if percent < 0 { of + part } else { part }
        }),
        None => told
            .parse::<i64>()
            .ok()
            .map(|n| if n < 0 { of.saturating_add(n) } else { n }),
    };
    match number {
        Some(number) => Ok(usize::try_from(number.max(0)).unwrap_or(usize::MAX)),
        None => refuse(format!(
            "[bool] query does not support [minimum_should_match] with value [{said}]"
        )),
    }
}

pub(super) fn date(context: &Context<'_>, text: &str, up: bool) -> Result<i64> {
    (context.date)(text, up).map_err(|reason| QueryError {
        kind: "parse_exception",
        reason,
    })
}
