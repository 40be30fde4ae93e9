//! The first documents of what is found, and what is told of them.

use std::cmp::Ordering;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tantivy::{DocAddress, Score};

use super::Target;
use super::asked::Columns;
use super::error::{Result, SearchError};
use super::request::Search;
use super::sort::{Bound, Key};
use super::values::Datum;
use super::view::View;
use crate::index::IndexError;
use crate::query::Schema;

/// Documents that are held before those that go no further are left out.
const LEAST_HELD: usize = 500;

/// A document that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    pub index: String,
    pub id: String,
    /// None where documents are sorted by something else.
    pub score: Option<Score>,
    /// As JSON. None where it isn't told.
    pub source: Option<Box<RawValue>>,
    pub routing: Option<String>,
    pub fields: Map<String, Value>,
    /// What it is sorted by.
    pub sort: Vec<Value>,
    pub version: Option<u64>,
    pub seq_no: Option<u64>,
}

impl Serialize for Hit {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_index", &self.index)?;
        map.serialize_entry("_id", &self.id)?;
        if let Some(version) = self.version {
            map.serialize_entry("_version", &version)?;
        }
        if let Some(seq_no) = self.seq_no {
            map.serialize_entry("_seq_no", &seq_no)?;
            map.serialize_entry("_primary_term", &1)?;
        }
        map.serialize_entry("_score", &self.score)?;
        if let Some(routing) = &self.routing {
            map.serialize_entry("_routing", routing)?;
        }
        if let Some(source) = &self.source {
            map.serialize_entry("_source", source)?;
        }
        if !self.fields.is_empty() {
            map.serialize_entry("fields", &self.fields)?;
        }
        if !self.sort.is_empty() {
            map.serialize_entry("sort", &self.sort)?;
        }
        map.end()
    }
}

/// Where a document is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Document(DocAddress),
    Result { id: String, source: Value },
}

/// A document that may be among the first.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub sort: Vec<Option<Datum>>,
    pub score: Score,
    /// Its target, and the order of writing there: what tells equals apart.
    pub target: usize,
    pub number: u64,
    pub place: Place,
}

/// The first documents, and never many more of them at once.
pub(super) struct Top<'s> {
    search: &'s Search,
    most: usize,
    after: Option<Vec<Option<Datum>>>,
    held: Vec<Candidate>,
    /// The one that goes first among those that can't be on the page any more.
    limit: Option<Candidate>,
}

impl<'s> Top<'s> {
    pub fn new(search: &'s Search) -> Self {
        let most = search.from.saturating_add(search.size);
        Self {
            search,
            most: usize::try_from(most).unwrap_or_default(),
            after: None,
            held: Vec::new(),
            limit: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.most == 0
    }

    /// What `search_after` means to an index.
    pub fn bind(&mut self, schema: &dyn Schema) {
        self.after = self.search.search_after.as_ref().map(|after| {
            let values = self.search.sort.iter().zip(after);
            values
                .map(|(key, value)| key.place(value, schema))
                .collect()
        });
    }

    fn order(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let equals = || (a.target, a.number).cmp(&(b.target, b.number));
        match self.search.sort.is_empty() {
            true => b.score.total_cmp(&a.score).then_with(equals),
            false => orders(&self.search.sort, &a.sort, &b.sort).then_with(equals),
        }
    }

    /// Whether a document with this score can't be on the page: others do better.
    pub fn is_beaten(&self, score: Score, target: usize, number: u64) -> bool {
        self.search.sort.is_empty()
            && self.limit.as_ref().is_some_and(|limit| {
                let equals = || (target, number).cmp(&(limit.target, limit.number));
                limit.score.total_cmp(&score).then_with(equals).is_ge()
            })
    }

    /// Whether a document whose first sort value is this can't be on the page.
    pub fn is_beaten_by_first(&self, first: Option<&Datum>) -> bool {
        let (Some(limit), Some(key)) = (&self.limit, self.search.sort.first()) else {
            return false;
        };
        let first_of_limit = limit.sort.first().and_then(Option::as_ref);
        key.order(first, first_of_limit) == Ordering::Greater
    }

    /// Whether a document whose first sort value is between two can be on the page.
    pub fn may_take(&self, least: &Datum, most: &Datum) -> bool {
        let Some(key) = self.search.sort.first() else {
            return true;
        };
        let (first, last) = match key.descending {
            true => (most, least),
            false => (least, most),
        };
        let is_turned_over = self.after.as_ref().is_some_and(|after| {
            let after = after.first().and_then(Option::as_ref);
            key.order(Some(last), after) == Ordering::Less
        });
        !is_turned_over && !self.is_beaten_by_first(Some(first))
    }

    pub fn offer(&mut self, candidate: Candidate) {
        if let Some(after) = &self.after
            && orders(&self.search.sort, &candidate.sort, after) != Ordering::Greater
        {
            return;
        }
        if let Some(limit) = &self.limit
            && self.order(&candidate, limit) != Ordering::Less
        {
            return;
        }
        self.held.push(candidate);
        if self.held.len() >= 2 * self.most.max(LEAST_HELD) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        held.sort_by(|a, b| self.order(a, b));
        held.truncate(self.most);
        if held.len() == self.most {
            self.limit = held.last().cloned();
        }
        self.held = held;
    }

    /// Those of the page.
    pub fn take_page(&mut self) -> Vec<Candidate> {
        self.trim();
        let from = usize::try_from(self.search.from).unwrap_or_default();
        std::mem::take(&mut self.held)
            .into_iter()
            .skip(from)
            .collect()
    }
}

fn orders(keys: &[Key], a: &[Option<Datum>], b: &[Option<Datum>]) -> Ordering {
    let each = keys
        .iter()
        .zip(a)
        .zip(b)
        .map(|((key, a), b)| key.order(a.as_ref(), b.as_ref()));
    each.fold(Ordering::Equal, Ordering::then)
}

/// What is told of the documents of a page, as each of their targets sorts.
pub(super) fn told_page(
    search: &Search,
    targets: &[&Target],
    bounds: &[Vec<Bound>],
    page: Vec<Candidate>,
) -> Result<Vec<Hit>> {
    let mut columns: Vec<Columns> = targets.iter().map(|_| Columns::default()).collect();
    let mut told = Vec::with_capacity(page.len());
    for candidate in page {
        let at = candidate.target;
        let Some(((target, bounds), columns)) =
            targets.get(at).zip(bounds.get(at)).zip(columns.get_mut(at))
        else {
            continue;
        };
        match (target, &candidate.place) {
            (Target::Documents { view, .. }, Place::Document(address)) => {
                let address = *address;
                told.push(of_document(
                    search, view, bounds, columns, candidate, address,
                )?);
            }
            (
                Target::Results { source, schema } | Target::Made { source, schema, .. },
                Place::Result { .. },
            ) => {
                told.push(of_result(
                    search,
                    &source.index,
                    &**schema,
                    bounds,
                    candidate,
                )?);
            }
            _ => {}
        }
    }
    Ok(told)
}

/// What is told of a document of an index.
fn of_document(
    search: &Search,
    view: &View,
    bounds: &[Bound],
    columns: &mut Columns,
    candidate: Candidate,
    address: DocAddress,
) -> Result<Hit> {
    let document = view.reader.document(address)?;
    let mut fields = Map::new();
    for asked in &search.docvalue_fields {
        asked.of_columns(view, address, columns, &mut fields)?;
    }
    let parsed = || serde_json::from_slice::<Value>(&document.source).unwrap_or_default();
    if !search.fields.is_empty() {
        let source = parsed();
        for asked in &search.fields {
            asked.of_source(view, &source, address, columns, &mut fields)?;
        }
    }
    let source = match (search.source.hidden, search.source.is_all()) {
        (true, _) => None,
        (_, true) => {
            let text = String::from_utf8(document.source).unwrap_or_default();
            Some(RawValue::from_string(text).map_err(unreadable)?)
        }
        _ => Some(raw(&search.source.of(parsed()))?),
    };
    let segment = address.segment_ord;
    let version = match search.version {
        true => Some(view.reader.versions(segment)?.get_val(address.doc_id)),
        false => None,
    };
    let seq_no = search.seq_no_primary_term.then_some(candidate.number);
    Ok(Hit {
        index: view.name().to_owned(),
        id: document.id,
        score: score(search, candidate.score),
        source,
        routing: document.routing,
        fields,
        sort: told(search, bounds, &candidate),
        version,
        seq_no,
    })
}

/// What is told of a result.
fn of_result(
    search: &Search,
    index: &str,
    schema: &dyn Schema,
    bounds: &[Bound],
    mut candidate: Candidate,
) -> Result<Hit> {
    let place = std::mem::replace(&mut candidate.place, Place::Document(DocAddress::new(0, 0)));
    let (id, source) = match place {
        Place::Result { id, source } => (id, source),
        Place::Document(_) => (String::new(), Value::Null),
    };
    let mut fields = Map::new();
    for asked in search.fields.iter().chain(&search.docvalue_fields) {
        asked.of_result(&source, schema, &mut fields);
    }
    let shown = match search.source.hidden {
        true => None,
        false => Some(raw(&search.source.of(source))?),
    };
    Ok(Hit {
        index: index.to_owned(),
        id,
        score: score(search, candidate.score),
        source: shown,
        routing: None,
        fields,
        sort: told(search, bounds, &candidate),
        version: search.version.then_some(1),
        seq_no: search.seq_no_primary_term.then_some(0),
    })
}

fn unreadable(error: serde_json::Error) -> SearchError {
    SearchError::Index(IndexError::from(tantivy::TantivyError::InternalError(
        error.to_string(),
    )))
}

fn raw(value: &Value) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(unreadable)
}

fn score(search: &Search, score: Score) -> Option<Score> {
    let is_told =
        search.sort.is_empty() || search.track_scores || search.sort.iter().any(Key::is_score);
    is_told.then_some(score)
}

fn told(search: &Search, bounds: &[Bound], candidate: &Candidate) -> Vec<Value> {
    let values = search.sort.iter().zip(&candidate.sort).zip(bounds);
    values
        .map(|((key, value), bound)| key.told(value.as_ref(), bound))
        .collect()
}
