//! Documents of the server's own indices, and results of its jobs as documents.

mod fields;
mod fill;
mod results;
mod rows;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Meant, Reading};
use tidewatch_jobs::{About, JobError, Jobs};
use tidewatch_store::query::Dsl;
use tidewatch_store::search::{
    Found, Search, SearchError, Target, View, add_script_fields, runtime_fields,
};

use super::aggregated::{self, Answers};
use super::flatten::Flattener;
use super::{Pages, Result, Source, SourceError, Summary, Wanted, Window};
use crate::config::Histogram;
use fields::Fields;

/// Buckets that are counted by one search.
const COUNTED: i64 = 5_000;

/// What one datafeed reads of the server's indices.
#[derive(Clone)]
pub(crate) struct Embedded(Arc<Inner>);

struct Inner {
    jobs: Jobs,
    wanted: Wanted,
    flattener: Option<Flattener>,
}

impl Embedded {
    pub fn new(jobs: Jobs, wanted: Wanted) -> Self {
        Self(Arc::new(Inner {
            jobs,
            flattener: Flattener::new(&wanted),
            wanted,
        }))
    }
}

/// What can't be done now may be done later; what can't be understood never.
fn refused(error: JobError) -> SourceError {
    match error.status {
        500.. => SourceError::Unavailable(error.reason),
        status => SourceError::Refused {
            status,
            kind: error.kind,
            reason: match error.cause {
                Some(cause) => format!("{}: {}", error.reason, cause.reason),
                None => error.reason,
            },
        },
    }
}

fn failed(error: SearchError) -> SourceError {
    refused(error.into())
}

/// While a datafeed runs, an index that isn't there may come again.
fn for_now(error: SourceError) -> SourceError {
    match error {
        SourceError::Refused {
            status: 404,
            reason,
            ..
        } => SourceError::Unavailable(reason),
        error => error,
    }
}

impl Inner {
    /// The indices that the datafeed's names mean at this moment.
    ///
    /// # Errors
    /// Refused, as a datafeed that is started tells of it, where a name means nothing.
    async fn meant(&self) -> Result<Vec<Meant>> {
        let options = &self.wanted.indices_options;
        let expands = |state: &str| options.expand_wildcards.iter().any(|known| known == state);
        let reading = Reading {
            ignore_unavailable: options.ignore_unavailable,
            allow_no_indices: options.allow_no_indices,
            open: expands("open"),
            closed: expands("closed"),
            hidden: expands("hidden"),
            ..Reading::default()
        };
        let expression = self.wanted.indices.join(",");
        let found = self.jobs.meant(&expression, reading).await;
        found.map_err(|error| match (error.kind, error.about.as_deref()) {
            ("index_not_found_exception", Some(About::Index { name, .. }))
                if !name.contains('*') =>
            {
                SourceError::refused(
                    404,
                    format!(
                        "datafeed [{}] cannot retrieve data because index [{name}] does not exist",
                        self.wanted.datafeed_id
                    ),
                )
            }
            ("index_not_found_exception", _) => self.no_index(),
            _ => refused(error),
        })
    }

    fn no_index(&self) -> SourceError {
        SourceError::refused(
            400,
            format!(
                "datafeed [{}] cannot retrieve data because no index matches datafeed's indices [{}]",
                self.wanted.datafeed_id,
                self.wanted.indices.join(", ")
            ),
        )
    }

    /// What the datafeed reads, as it is at this moment, with the fields that it makes up.
    async fn targets(&self) -> Result<Vec<Target>> {
        let meant = self.meant().await?;
        let targets = self.jobs.targets(&meant).map_err(refused)?;
        let wanted = &self.wanted;
        let with_fields = |target| {
            let Target::Documents { view, filter } = target else {
                return Ok(target);
            };
            let mut definitions = view.reader.mapping.runtime().clone();
            definitions.extend(wanted.runtime_mappings.clone());
            let mut runtime = runtime_fields(&definitions)?;
            add_script_fields(&mut runtime, &wanted.script_fields)?;
            Ok(Target::Documents {
                view: View::new(view.reader, runtime),
                filter,
            })
        };
        let targets: std::result::Result<_, SearchError> =
            targets.into_iter().map(with_fields).collect();
        targets.map_err(failed)
    }

    /// A search for the documents of a window, and what else it asks for.
    fn asked(&self, window: Window, more: Value) -> Result<Search> {
        let range = json!({"range": {self.wanted.time_field(): {
            "gte": window.start, "lt": window.end, "format": "epoch_millis"
        }}});
        let mut body = Map::new();
        body.insert(
            "query".to_owned(),
            json!({"bool": {"filter": [self.wanted.query, range]}}),
        );
        if let Value::Object(more) = more {
            body.extend(more);
        }
        Search::parse(body).map_err(failed)
    }

    async fn search(&self, targets: &[Target], search: &Search) -> Result<Found> {
        let found = self.jobs.store().search(targets, search).await;
        found.map_err(failed)
    }

    async fn check(&self) -> Result<()> {
        let targets = self.targets().await?;
        if targets.is_empty() {
            return Err(self.no_index());
        }
        let nothing = Window { start: 0, end: 0 };
        match &self.wanted.aggregations {
            // They name what they are about themselves.
            Some(aggregations) => {
                let more = json!({"size": 0, "aggregations": aggregations});
                let search = self.asked(nothing, more)?;
                self.search(&targets, &search).await?;
            }
            None => {
                Fields::new(&self.wanted, &targets)?;
                let search = self.asked(nothing, json!({"size": 0}))?;
                self.search(&targets, &search).await?;
            }
        }
        Ok(())
    }

    async fn summary(&self, window: Window) -> Result<Summary> {
        let time = json!({"field": self.wanted.time_field()});
        let more = json!({
            "size": 0,
            "track_total_hits": true,
            "aggregations": {"earliest": {"min": time}, "latest": {"max": time}}
        });
        let targets = self.targets().await.map_err(for_now)?;
        let found = self.search(&targets, &self.asked(window, more)?).await?;
        let answer = found.aggregations.unwrap_or_default();
        let time = |name: &str| Some(answer.get(name)?["value"].as_f64()? as i64);
        Ok(Summary {
            earliest: time("earliest"),
            latest: time("latest"),
            documents: found.total,
        })
    }

    async fn counts(&self, window: Window, span: i64) -> Result<Vec<(i64, u64)>> {
        let targets = self.targets().await.map_err(for_now)?;
        let mut counts = Vec::new();
        let mut start = window.start;
        while start < window.end {
            // Buckets are multiples of the span: the parts meet between two of them.
            let end = start
                .div_euclid(span)
                .saturating_add(COUNTED)
                .saturating_mul(span);
            let part = Window {
                start,
                end: end.min(window.end),
            };
            let more = json!({"size": 0, "aggregations": {"counts": {"date_histogram": {
                "field": self.wanted.time_field(), "fixed_interval": format!("{span}ms"), "min_doc_count": 1
            }}}});
            let found = self.search(&targets, &self.asked(part, more)?).await?;
            let answer = Value::from(found.aggregations.unwrap_or_default());
            let buckets = answer["counts"]["buckets"].as_array();
            counts.extend(buckets.into_iter().flatten().filter_map(|bucket| {
                let key = bucket["key"].as_f64()? as i64;
                Some((key, bucket["doc_count"].as_u64()?))
            }));
            start = part.end;
        }
        Ok(counts)
    }

    /// The datafeed's query, for whoever has the window beside it.
    fn query(&self) -> Result<Dsl> {
        let query = Dsl::new(Value::Object(self.wanted.query.clone()));
        query.map_err(|error| failed(error.into()))
    }

    async fn read(self: Arc<Self>, window: Window) -> Result<Box<dyn Pages>> {
        if let Some((_, histogram)) = self.aggregated() {
            let search = aggregated::Search::aligned(&self.wanted, histogram, window);
            return Ok(Box::new(aggregated::Buckets::new(self, search)));
        }
        let targets = self.targets().await.map_err(for_now)?;
        if targets
            .iter()
            .any(|target| matches!(target, Target::Results { .. }))
        {
            return Ok(Box::new(results::Documents::new(self, targets, window)));
        }
        // Fields that no index has yet are missing; that they are mapped was asked when the datafeed was started.
        let fields = Fields::of(&self.wanted, &targets);
        let pages = rows::Documents::begin(&self.wanted, self.query()?, targets, fields, window);
        Ok(Box::new(pages))
    }

    async fn preview(&self, window: Window, size: usize) -> Result<Vec<Map<String, Value>>> {
        if self.aggregated().is_some() {
            return match self.summary(window).await?.earliest {
                Some(earliest) => aggregated::preview(self, window, earliest, size).await,
                None => Ok(Vec::new()),
            };
        }
        let targets = self.targets().await?;
        if targets.is_empty() {
            return Err(self.no_index());
        }
        let fields = Fields::new(&self.wanted, &targets)?;
        if targets
            .iter()
            .any(|target| matches!(target, Target::Results { .. }))
        {
            return results::preview(self, &targets, &fields, window, size).await;
        }
        rows::preview(&self.wanted, self.query()?, targets, fields, window, size).await
    }
}

impl Answers for Inner {
    fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    fn aggregated(&self) -> Option<(&Flattener, &Histogram)> {
        self.flattener.as_ref().zip(self.wanted.histogram.as_ref())
    }

    fn aggregations<'a>(
        &'a self,
        window: Window,
        aggregations: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move {
            let more = json!({"size": 0, "track_total_hits": false, "aggregations": aggregations});
            let targets = self.targets().await.map_err(for_now)?;
            let found = self.search(&targets, &self.asked(window, more)?).await?;
            Ok(found.aggregations.unwrap_or_default().into())
        })
    }
}

impl Source for Embedded {
    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.check())
    }

    fn summary(&self, window: Window) -> BoxFuture<'_, Result<Summary>> {
        Box::pin(self.0.summary(window))
    }

    fn read(&self, window: Window) -> BoxFuture<'_, Result<Box<dyn Pages>>> {
        Box::pin(self.0.clone().read(window))
    }

    fn counts(&self, window: Window, span: i64) -> BoxFuture<'_, Result<Vec<(i64, u64)>>> {
        Box::pin(self.0.counts(window, span))
    }

    fn preview(
        &self,
        window: Window,
        size: usize,
    ) -> BoxFuture<'_, Result<Vec<Map<String, Value>>>> {
        Box::pin(self.0.preview(window, size))
    }
}
