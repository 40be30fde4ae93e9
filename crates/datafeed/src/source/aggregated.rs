//! Aggregations of a window: one search, or the pages of a composite aggregation.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::flatten::{Flat, Flattener};
use super::{Page, Pages, Result, Wanted, Window};
use crate::config::{Histogram, HistogramKind};

/// Histogram buckets that a preview shows at most.
const PREVIEWED: i64 = 1_000;

/// Whoever answers the aggregations of a datafeed.
pub(super) trait Answers: Send + Sync {
    fn wanted(&self) -> &Wanted;

    /// None for a datafeed without aggregations.
    fn aggregated(&self) -> Option<(&Flattener, &Histogram)>;

    /// The `aggregations` of an answer, over the documents of a window.
    fn aggregations<'a>(
        &'a self,
        window: Window,
        aggregations: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Value>>;
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// All buckets are in one answer.
    Whole,
    /// The buckets come some at a time, in the order of their time.
    Paged,
}

/// The searches for one window.
pub(super) struct Search {
    kind: Kind,
    interval: i64,
    window: Window,
    aggregations: Map<String, Value>,
    is_over: bool,
}

impl Search {
    pub fn new(wanted: &Wanted, histogram: &Histogram, window: Window) -> Self {
        let mut aggregations = wanted.aggregations.clone().unwrap_or_default();
        let kind = match histogram.kind {
            HistogramKind::Composite => Kind::Paged,
            HistogramKind::Histogram | HistogramKind::DateHistogram => Kind::Whole,
        };
        if kind == Kind::Paged {
            for definition in aggregations.values_mut() {
                if let Some(Value::Array(sources)) = definition.pointer_mut("/composite/sources") {
                    sort(sources);
                }
            }
        }
        Self {
            kind,
            interval: histogram.interval,
            is_over: window.start >= window.end,
            window,
            aggregations,
        }
    }

    /// Of the whole intervals in a window: a part of one would be taken for all of it.
    pub fn aligned(wanted: &Wanted, histogram: &Histogram, window: Window) -> Self {
        let interval = histogram.interval;
        let floor = |time: i64| time.div_euclid(interval).saturating_mul(interval);
        let window = Window {
            start: floor(window.start.saturating_add(interval - 1)),
            end: floor(window.end),
        };
        Self::new(wanted, histogram, window)
    }

    /// The next answer's aggregations.
    pub async fn next(&mut self, source: &dyn Answers) -> Result<Option<Value>> {
        if self.is_over {
            return Ok(None);
        }
        let mut window = self.window;
        if self.kind == Kind::Whole {
            // A derivative knows nothing in the first bucket: that one is left out again.
            window.start = window
                .start
                .saturating_sub(self.interval)
                .max(0)
                .min(window.start);
        }
        let answer = source.aggregations(window, &self.aggregations).await?;
        self.is_over = true;
        if self.kind == Kind::Paged
            && let Some((name, definition)) = self.aggregations.iter_mut().next()
        {
            let after = &answer[name]["after_key"];
            let is_empty = answer[name]["buckets"].as_array().is_none_or(Vec::is_empty);
            self.is_over = is_empty || after.is_null();
            if let Some(Value::Object(composite)) = definition.get_mut("composite") {
                composite.insert("after".to_owned(), after.clone());
            }
        }
        Ok(Some(answer))
    }

    /// The time from which on a page may not have everything.
    fn complete_until(&self) -> i64 {
        if self.is_over {
            return self.window.end;
        }
        let after = self.aggregations.values().next();
        let after = after.and_then(|definition| {
            let composite = &definition["composite"];
            // The date histogram is the first of the sources.
            let name = composite["sources"][0].as_object()?.keys().next()?;
            composite["after"][name].as_i64()
        });
        after.unwrap_or(self.window.start)
    }
}

/// The histogram over time first, so that its buckets come in the order of time.
fn sort(sources: &mut [Value]) {
    sources.sort_by_key(|source| {
        let mut kinds = source.as_object().into_iter().flat_map(Map::values);
        !kinds.any(|kind| kind.get("date_histogram").is_some())
    });
}

/// The pages of a window of aggregations.
pub(super) struct Buckets {
    source: Arc<dyn Answers>,
    search: Search,
    /// Of the interval that may go on in the next answer.
    held: Vec<Flat>,
}

impl Buckets {
    pub fn new(source: Arc<dyn Answers>, search: Search) -> Self {
        Self {
            source,
            search,
            held: Vec::new(),
        }
    }

    async fn page(&mut self) -> Result<Option<Page>> {
        let source = &*self.source;
        let Some((flattener, _)) = source.aggregated() else {
            return Ok(None);
        };
        while let Some(answer) = self.search.next(source).await? {
            self.held
                .extend(flattener.records(&answer, self.search.window.start)?);
            let until = self.search.complete_until();
            let (whole, held) = std::mem::take(&mut self.held)
                .into_iter()
                .partition(|(time, _)| *time < until);
            self.held = held;
            if Vec::is_empty(&whole) {
                continue;
            }
            return Ok(Some(Page {
                batch: flattener.batch(source.wanted(), &whole),
                until,
            }));
        }
        Ok(None)
    }
}

impl Pages for Buckets {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>>> {
        Box::pin(self.page())
    }
}

/// The first records of a window, whose first document is at `earliest`: at most `size`.
pub(super) async fn preview(
    source: &dyn Answers,
    window: Window,
    earliest: i64,
    size: usize,
) -> Result<Vec<Map<String, Value>>> {
    let Some((flattener, histogram)) = source.aggregated() else {
        return Ok(Vec::new());
    };
    let start = earliest.max(window.start).div_euclid(histogram.interval) * histogram.interval;
    let end = start.saturating_add(histogram.interval.saturating_mul(PREVIEWED));
    let part = Window {
        start,
        end: end.min(window.end),
    };
    let mut search = Search::new(source.wanted(), histogram, part);
    let mut records = Vec::new();
    while let Some(answer) = search.next(source).await? {
        records.extend(flattener.records(&answer, start)?);
        if records.len() >= size {
            break;
        }
    }
    records.sort_by_key(|(time, _)| *time);
    let records = records.into_iter().map(|(_, record)| record);
    Ok(records.take(size).collect())
}
