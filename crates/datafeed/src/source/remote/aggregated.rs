//! Aggregations of a window: one search, or the pages of a composite aggregation.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::{Inner, Remote};
use crate::config::Histogram;
use crate::source::flatten::Flat;
use crate::source::{Page, Pages, Result, Wanted, Window};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
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
        let kind = Kind::from(histogram);
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
    pub async fn next(&mut self, remote: &Inner) -> Result<Option<Value>> {
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
        let more = json!({"size": 0, "track_total_hits": false, "aggregations": self.aggregations});
        let body = remote.search(window, more).await?;
        let answer = Answer::read(&body)?.aggregations.unwrap_or_default();
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
    remote: Remote,
    search: Search,
    /// Of the interval that may go on in the next answer.
    held: Vec<Flat>,
}

impl Buckets {
    pub fn new(remote: Remote, search: Search) -> Self {
        Self {
            remote,
            search,
            held: Vec::new(),
        }
    }

    async fn page(&mut self) -> Result<Option<Page>> {
        let remote = &self.remote.0;
        let Some((flattener, _)) = remote.aggregated() else {
            return Ok(None);
        };
        while let Some(answer) = self.search.next(remote).await? {
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
                batch: flattener.batch(&remote.wanted, &whole),
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
