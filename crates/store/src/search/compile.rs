//! Queries over the columns and terms of an index.

use std::sync::Arc;

use serde_json::Value;
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery,
    ExistsQuery, Occur, PhrasePrefixQuery, PhraseQuery, Query as Boxed, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::error::{Result, fault};
use super::predicate;
use super::steady::Steady;
use super::terms::{Matcher, TermsQuery};
use super::view::View;
use crate::index::{FIELD_NAMES, Found, Kind, PHYSICAL, Place};
use crate::query::{How, Limit, Query, wildcard};

/// Numbers that are looked for one by one, not in a set.
const FEW: usize = 8;

type Tantivy = Box<dyn Boxed>;

fn none() -> Tantivy {
    Box::new(EmptyQuery)
}

fn all() -> Tantivy {
    Box::new(AllQuery)
}

fn flat(query: Tantivy, score: f32) -> Tantivy {
    Box::new(ConstScoreQuery::new(query, score))
}

/// A query as tantivy evaluates it on the documents of a view.
pub fn compile(query: &Query, view: &View) -> Result<Tantivy> {
    Ok(match query {
        Query::All => all(),
        Query::None => none(),
        Query::Ids(ids) => flat(
            Box::new(TermSetQuery::new(ids.iter().map(|id| of_id(id)))),
            1.0,
        ),
        Query::Bool {
            must,
            filter,
            should,
            must_not,
            at_least,
        } => {
            let mut clauses: Vec<(Occur, Tantivy)> = Vec::new();
            for query in must {
                clauses.push((Occur::Must, compile(query, view)?));
            }
            for query in filter {
                clauses.push((Occur::Must, flat(compile(query, view)?, 0.0)));
            }
            for query in should {
                clauses.push((Occur::Should, compile(query, view)?));
            }
            for query in must_not {
                clauses.push((Occur::MustNot, compile(query, view)?));
            }
            if *at_least > should.len() {
                return Ok(none());
            }
            if must.is_empty() && filter.is_empty() && *at_least == 0 {
                let score = if should.is_empty() && must_not.is_empty() {
                    1.0
                } else {
                    0.0
                };
                clauses.push((Occur::Must, flat(all(), score)));
            }
            if let [(Occur::Must, only)] = &clauses[..] {
                return Ok(only.box_clone());
            }
            Box::new(BooleanQuery::with_minimum_required_clauses(
                clauses, *at_least,
            ))
        }
        Query::Best {
            queries,
            tie_breaker,
        } => {
            let queries: Result<Vec<Tantivy>> =
                queries.iter().map(|query| compile(query, view)).collect();
            Box::new(DisjunctionMaxQuery::with_tie_breaker(
                queries?,
                *tie_breaker,
            ))
        }
        Query::Constant { query, score } => flat(compile(query, view)?, *score),
        Query::Boosted { query, boost } => Box::new(BoostQuery::new(compile(query, view)?, *boost)),
        Query::Nested { path, query } => nested(path, query, view)?,
        Query::Exists(path) => exists(path, view),
        Query::Words { field: None, .. } => none(),
        Query::Terms { field, .. }
        | Query::Range { field, .. }
        | Query::Addresses { field, .. }
        | Query::Prefix { field, .. }
        | Query::Wildcard { field, .. }
        | Query::Regexp { field, .. }
        | Query::Words {
            field: Some(field), ..
        } => of_field(query, field, view)?,
    })
}

fn of_id(id: &str) -> Term {
    Term::from_field_text(PHYSICAL.id, id)
}

/// A query of one field.
fn of_field(query: &Query, path: &str, view: &View) -> Result<Tantivy> {
    if view.runtime.contains_key(path) {
        return Ok(predicate::of_runtime(view, path, query));
    }
    match path {
        "_id" => {
            return Ok(match query {
                Query::Terms { values, .. } => {
                    let ids = values.iter().filter_map(Value::as_str);
                    flat(Box::new(TermSetQuery::new(ids.map(of_id))), 1.0)
                }
                _ => none(),
            });
        }
        "_index" => return Ok(of_constant(query, view.name())),
        "_seq_no" => return Ok(of_seq_no(query, view)),
        _ => {}
    }
    let Some(found) = view.mapping().find(path) else {
        return Ok(none());
    };
    if let Kind::ConstantKeyword { value } = &found.field.kind {
        return Ok(match value {
            Some(value) => of_constant(query, value),
            None => none(),
        });
    }
    if !found.field.index && (found.field.kind.place() == Place::Text || !found.field.doc_values) {
        let nor = match found.field.kind.place() {
            Place::Text => "",
            _ => " nor has doc values",
        };
        return Err(fault(
            "query_shard_exception",
            format!(
                "failed to create query: Cannot search on field [{path}] since it is not indexed{nor}."
            ),
        ));
    }
    Ok(match (found.field.place(), query) {
        (Place::Words | Place::Booleans, query) => words(query, &found, view),
        (Place::Integers | Place::Floats, Query::Terms { values, .. }) => {
            numbers(values, &found, view)
        }
        (Place::Integers | Place::Floats, Query::Range { from, to, .. }) => {
            between(PHYSICAL.numbers, &found, view, from, to)
        }
        (Place::Text, query) => texts(query, &found),
        _ => none(),
    })
}

/// A query of a field that has the same value in all documents.
fn of_constant(query: &Query, value: &str) -> Tantivy {
    let is = match query {
        Query::Terms {
            values,
            ignore_case,
            ..
        } => values
            .iter()
            .filter_map(Value::as_str)
            .any(|wanted| match ignore_case {
                true => wanted.to_lowercase() == value.to_lowercase(),
                false => wanted == value || wildcard(wanted, value),
            }),
        query => match matcher(query) {
            Some(matcher) => matcher.is_match(value),
            None => false,
        },
    };
    if is { flat(all(), 1.0) } else { none() }
}

fn of_seq_no(query: &Query, view: &View) -> Tantivy {
    let between =
        |from: Option<&Limit>, to: Option<&Limit>| predicate::between(view, "_seq_no", from, to);
    match query {
        Query::Terms { values, .. } => {
            let each = values.iter().map(|value| {
                let limit = Limit {
                    value: value.clone(),
                    inclusive: true,
                };
                between(Some(&limit), Some(&limit))
            });
            Box::new(BooleanQuery::union(each.collect()))
        }
        Query::Range { from, to, .. } => between(from.as_ref(), to.as_ref()),
        _ => none(),
    }
}

/// A term without its value.
fn path_term(field: Field, path: &str) -> Term {
    Term::from_field_json_path(field, &path.replace('\\', "\\\\"), true)
}

fn word_term(field: Field, path: &str, word: &str) -> Term {
    let mut term = path_term(field, path);
    term.append_type_and_str(word);
    term
}

fn bool_term(path: &str, value: bool) -> Term {
    let mut term = path_term(PHYSICAL.words, path);
    term.append_type_and_fast_value(value);
    term
}

/// What a query holds a term against, where it isn't looked up.
fn matcher(query: &Query) -> Option<Matcher> {
    Some(match query {
        Query::Terms {
            values,
            ignore_case: true,
            ..
        } => {
            let wanted = values
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_lowercase);
            Matcher::Lowercase(wanted.collect())
        }
        Query::Prefix {
            prefix,
            ignore_case,
            ..
        } => match ignore_case {
            true => Matcher::LowercasePrefix(prefix.to_lowercase()),
            false => Matcher::Prefix(prefix.clone()),
        },
        Query::Wildcard {
            pattern,
            ignore_case,
            ..
        } => match ignore_case {
            true => Matcher::LowercaseWildcard(pattern.to_lowercase()),
            false => Matcher::Wildcard(pattern.clone()),
        },
        Query::Regexp { pattern, .. } => Matcher::Regexp(pattern.clone()),
        _ => return None,
    })
}

/// A query of keywords, addresses or truths.
fn words(query: &Query, found: &Found, view: &View) -> Tantivy {
    let path = found.path.as_str();
    if let Some(matcher) = matcher(query) {
        return Box::new(TermsQuery::new(path_term(PHYSICAL.words, path), matcher));
    }
    match query {
        Query::Terms { values, .. } => {
            let term = |value: &Value| match value {
                Value::Bool(value) => Some(bool_term(path, *value)),
                Value::String(word) => Some(word_term(PHYSICAL.words, path, word)),
                _ => None,
            };
            let mut terms: Vec<Term> = values.iter().filter_map(term).collect();
            match terms.len() {
                0 => none(),
                1 => Box::new(TermQuery::new(terms.remove(0), IndexRecordOption::Basic)),
                _ => Box::new(TermSetQuery::new(terms)),
            }
        }
        Query::Addresses { from, to, .. } => {
            let digits = |address: &u128| format!("{address:032x}");
            let limit = |address: &u128| Limit {
                value: digits(address).into(),
                inclusive: true,
            };
            match from == to {
                true => Box::new(TermQuery::new(
                    word_term(PHYSICAL.words, path, &digits(from)),
                    IndexRecordOption::Basic,
                )),
                false => predicate::between(view, path, Some(&limit(from)), Some(&limit(to))),
            }
        }
        Query::Range { from, to, .. } if found.field.kind == Kind::Boolean => {
            let is_in = |value: bool| {
                let holds = |limit: &Option<Limit>, wanted: std::cmp::Ordering| match limit {
                    None => true,
                    Some(limit) => {
                        let end = limit.value == Value::Bool(true) || limit.value == "true";
                        let order = value.cmp(&end);
                        order == wanted || (limit.inclusive && order.is_eq())
                    }
                };
                holds(from, std::cmp::Ordering::Greater) && holds(to, std::cmp::Ordering::Less)
            };
            let terms = [false, true].into_iter().filter(|value| is_in(*value));
            Box::new(TermSetQuery::new(terms.map(|value| bool_term(path, value))))
        }
        Query::Range { from, to, .. } => between(PHYSICAL.words, found, view, from, to),
        _ => none(),
    }
}

fn numbers(values: &[Value], found: &Found, view: &View) -> Tantivy {
    if values.len() > FEW {
        return predicate::of_numbers(view, found, values);
    }
    let one = |value: &Value| {
        let limit = Limit {
            value: value.clone(),
            inclusive: true,
        };
        predicate::between(view, &found.path, Some(&limit), Some(&limit))
    };
    match values {
        [] => none(),
        [value] => one(value),
        values => Box::new(BooleanQuery::union(values.iter().map(one).collect())),
    }
}

fn between(
    field: Field,
    found: &Found,
    view: &View,
    from: &Option<Limit>,
    to: &Option<Limit>,
) -> Tantivy {
    match (from, to) {
        (None, None) => column(field, &found.path),
        (from, to) => predicate::between(view, &found.path, from.as_ref(), to.as_ref()),
    }
}

/// Documents that have a value in a column.
fn column(field: Field, path: &str) -> Tantivy {
    let name = PHYSICAL.schema.get_field_name(field);
    let path = path.replace('\\', "\\\\");
    Box::new(ExistsQuery::new(format!("{name}.{path}"), false))
}

/// A query of the words of texts.
fn texts(query: &Query, found: &Found) -> Tantivy {
    let path = found.path.as_str();
    if let Some(matcher) = matcher(query) {
        return Box::new(TermsQuery::new(path_term(PHYSICAL.text, path), matcher));
    }
    let Query::Words { words, how, .. } = query else {
        return none();
    };
    let term = |word: &String| word_term(PHYSICAL.text, path, word);
    let each = |word: &String| -> Tantivy {
        Box::new(TermQuery::new(term(word), IndexRecordOption::WithFreqs))
    };
    match (how, &words[..]) {
        (_, []) => none(),
        (How::PhrasePrefix, [only]) => Box::new(TermsQuery::new(
            path_term(PHYSICAL.text, path),
            Matcher::Prefix(only.clone()),
        )),
        (_, [only]) => each(only),
        (How::All, words) => Box::new(BooleanQuery::intersection(words.iter().map(each).collect())),
        (How::AtLeast(least), words) if *least > words.len() => none(),
        (How::AtLeast(least), words) => {
            Box::new(BooleanQuery::union_with_minimum_required_clauses(
                words.iter().map(each).collect(),
                *least,
            ))
        }
        (How::Phrase(slop), words) => {
            let terms = words.iter().map(term).enumerate().collect();
            let phrase = PhraseQuery::new_with_offset_and_slop(terms, *slop);
            Box::new(Steady(Box::new(phrase)))
        }
        (How::PhrasePrefix, words) => {
            let phrase = PhrasePrefixQuery::new(words.iter().map(term).collect());
            Box::new(Steady(Box::new(phrase)))
        }
    }
}

fn exists(path: &str, view: &View) -> Tantivy {
    if view.runtime.contains_key(path) {
        return predicate::of_runtime(view, path, &Query::Exists(path.to_owned()));
    }
    if matches!(path, "_id" | "_index" | "_seq_no" | "_source") {
        return flat(all(), 1.0);
    }
    if let Some(found) = view.mapping().find(path) {
        return flat(of_column(&found), 1.0);
    }
    // An object is there where one of its fields is.
    let within = view.mapping().fields().filter(|field| {
        field
            .path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    });
    let each: Vec<Tantivy> = within
        .filter_map(|field| view.mapping().find(&field.path))
        .map(|found| of_column(&found))
        .collect();
    match each.is_empty() {
        true => none(),
        false => flat(Box::new(BooleanQuery::union(each)), 1.0),
    }
}

fn of_column(found: &Found) -> Tantivy {
    match (&found.field.kind, found.field.place()) {
        (Kind::ConstantKeyword { value }, _) => {
            if value.is_some() {
                all()
            } else {
                none()
            }
        }
        (_, Place::Text) => Box::new(TermQuery::new(
            word_term(PHYSICAL.words, FIELD_NAMES, &found.path),
            IndexRecordOption::Basic,
        )),
        (_, Place::Words | Place::Booleans) => column(PHYSICAL.words, &found.path),
        (_, Place::Integers | Place::Floats) => column(PHYSICAL.numbers, &found.path),
        (_, Place::Points) => column(PHYSICAL.numbers, &format!("{}.lat", found.path)),
        (_, Place::Source) => none(),
    }
}

/// A query of objects that are taken alone: what all their values together don't match, none of them does; the rest is
/// checked in the source.
fn nested(path: &str, query: &Query, view: &View) -> Result<Tantivy> {
    let may = compile(&relaxed(query), view)?;
    let nested = Query::Nested {
        path: path.to_owned(),
        query: Box::new(query.clone()),
    };
    let is = predicate::of_source(view, Arc::new(nested));
    Ok(flat(
        Box::new(BooleanQuery::intersection(vec![flat(may, 0.0), is])),
        1.0,
    ))
}

/// A query that matches at least what this one does, whichever of a document's objects it is asked of.
fn relaxed(query: &Query) -> Query {
    let each = |queries: &[Query]| queries.iter().map(relaxed).collect();
    match query {
        Query::Bool {
            must,
            filter,
            should,
            at_least,
            ..
        } => Query::Bool {
            must: each(must),
            filter: each(filter),
            should: each(should),
            must_not: Vec::new(),
            at_least: *at_least,
        },
        Query::Best {
            queries,
            tie_breaker,
        } => Query::Best {
            queries: each(queries),
            tie_breaker: *tie_breaker,
        },
        Query::Constant { query, .. }
        | Query::Boosted { query, .. }
        | Query::Nested { query, .. } => relaxed(query),
        query => query.clone(),
    }
}
