//! Documents of a remote Elasticsearch or OpenSearch.

mod answer;
mod documents;
mod fields;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::flatten::Flattener;
use super::http::encoded;
use super::{Pages, Result, Source, SourceError, Summary, Wanted, Window};
use crate::config::Histogram;
use crate::source::aggregated::{self, Answers};
use answer::Answer;
use fields::Fields;
use server::{Failure, Outcome};

pub(crate) use server::Server;

/// Documents that a search gives at most, unless an index was told otherwise.
const MAX_PAGE: usize = 10_000;
/// Buckets that are counted by one search.
const COUNTED: i64 = 5_000;

/// What one datafeed reads of a cluster.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Inner>);

struct Inner {
    server: Arc<Server>,
    wanted: Wanted,
    fields: OnceCell<Fields>,
    flattener: Option<Flattener>,
}

impl Remote {
    pub fn new(server: Arc<Server>, wanted: Wanted) -> Self {
        Self(Arc::new(Inner {
            server,
            flattener: Flattener::new(&wanted),
            wanted,
            fields: OnceCell::new(),
        }))
    }
}

impl Inner {
    /// The path of a request to the indices, with the options by which their names are understood.
    fn path(&self, what: &str, parameters: &[(&str, &str)]) -> String {
        let options = &self.wanted.indices_options;
        let states = options.expand_wildcards.join(",");
        let mut all: Vec<(&str, &str)> = parameters.to_vec();
        if states != "open" {
            let states = if states.is_empty() { "none" } else { &states };
            all.push(("expand_wildcards", states));
        }
        if options.ignore_unavailable {
            all.push(("ignore_unavailable", "true"));
        }
        if !options.allow_no_indices {
            all.push(("allow_no_indices", "false"));
        }
        if !options.ignore_throttled {
            all.push(("ignore_throttled", "false"));
        }
        let parameters: Vec<_> = all
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mark = if parameters.is_empty() { "" } else { "?" };
        let indices = encoded(&self.wanted.indices.join(","));
        format!("/{indices}/{what}{mark}{}", parameters.join("&"))
    }

    /// The datafeed's query within a window, and the fields that it makes up.
    async fn query(&self, window: Window) -> Outcome<Map<String, Value>> {
        let range = json!({"range": {self.wanted.time_field(): {
            "gte": window.start, "lt": window.end, "format": "epoch_millis"
        }}});
        let mut body = Map::new();
        body.insert(
            "query".to_owned(),
            json!({"bool": {"filter": [self.wanted.query, range]}}),
        );
        let runtime = &self.wanted.runtime_mappings;
        if !runtime.is_empty() {
            let version = self.server.version().await?;
            if !version.knows_runtime_mappings() {
                return Err(Failure::Source(SourceError::refused(
                    400,
                    format!("[runtime_mappings] are not known to {version}"),
                )));
            }
            body.insert("runtime_mappings".to_owned(), json!(runtime));
        }
        Ok(body)
    }

    /// A search of its own. All of the answer, or none of it.
    async fn search(&self, window: Window, more: Value) -> Result<Vec<u8>> {
        let mut body = self.query(window).await?;
        if let Value::Object(more) = more {
            body.extend(more);
        }
        let path = self.path("_search", &[("allow_partial_search_results", "false")]);
        let body = Value::Object(body);
        Ok(self.server.ask(Method::POST, &path, Some(&body)).await?)
    }

    /// How the fields are had, as the mappings said when it was first asked.
    async fn fields(&self) -> Result<&Fields> {
        let ask = async {
            let asked = fields::asked(&self.wanted).join(",");
            let path = self.path("_field_caps", &[("fields", &encoded(&asked))]);
            let asked = self.server.ask(Method::GET, &path, None).await;
            let body = asked.map_err(|failure| self.missing(failure))?;
            let caps: Value = serde_json::from_slice(&body).map_err(|error| {
                SourceError::Unavailable(format!("the answer can't be understood: {error}"))
            })?;
            if caps["indices"].as_array().is_some_and(Vec::is_empty) {
                return Err(self.no_index());
            }
            if self.flattener.is_some() {
                // Aggregations name what they are about themselves.
                return Ok(Fields::none(&self.wanted));
            }
            Fields::new(&self.wanted, &caps)
        };
        self.fields.get_or_try_init(|| ask).await
    }

    fn no_index(&self) -> SourceError {
        SourceError::refused(
            400,
            format!(
                "datafeed [{}] cannot retrieve data because no index matches datafeed's indices [{}]",
                self.wanted.datafeed_id,
                self.wanted.indices.join(",")
            ),
        )
    }

    /// An index that isn't there, as a datafeed that is started tells of it.
    fn missing(&self, failure: Failure) -> SourceError {
        match failure {
            Failure::Refused(refusal) if refusal.kind == "index_not_found_exception" => {
                let index = refusal.index.unwrap_or_default();
                if index.contains('*') || index == "_all" {
                    return self.no_index();
                }
                SourceError::refused(
                    404,
                    format!(
                        "datafeed [{}] cannot retrieve data because index [{index}] does not exist",
                        self.wanted.datafeed_id
                    ),
                )
            }
            failure => failure.into(),
        }
    }

    async fn summary(&self, window: Window) -> Result<Summary> {
        let time = json!({"field": self.wanted.time_field()});
        let more = json!({
            "size": 0,
            "track_total_hits": true,
            "aggregations": {"earliest_time": {"min": time}, "latest_time": {"max": time}}
        });
        let body = self.search(window, more).await?;
        let answer = Answer::read(&body)?;
        let times = answer.aggregations.as_ref();
        let time = |name: &str| Some(times?[name]["value"].as_f64()? as i64);
        Ok(Summary {
            earliest: time("earliest_time"),
            latest: time("latest_time"),
            documents: answer.total(),
        })
    }

    async fn counts(&self, window: Window, span: i64) -> Result<Vec<(i64, u64)>> {
        let mut counts = Vec::new();
        let mut start = window.start;
        while start < window.end {
            // Buckets are multiples of the span: the parts meet between two of them.
            let end = (start.div_euclid(span) + COUNTED).saturating_mul(span);
            let part = Window {
                start,
                end: end.min(window.end),
            };
            let more = json!({"size": 0, "aggregations": {"counts": {"date_histogram": {
                "field": self.wanted.time_field(), "fixed_interval": format!("{span}ms"), "min_doc_count": 1
            }}}});
            let body = self.search(part, more).await?;
            let answer = Answer::read(&body)?;
            let buckets = answer.aggregations.unwrap_or_default();
            let buckets = buckets["counts"]["buckets"].as_array();
            counts.extend(buckets.into_iter().flatten().filter_map(|bucket| {
                let key = bucket["key"].as_f64()? as i64;
                Some((key, bucket["doc_count"].as_u64()?))
            }));
            start = part.end;
        }
        Ok(counts)
    }

    async fn preview(&self, window: Window, size: usize) -> Result<Vec<Map<String, Value>>> {
        if self.aggregated().is_none() {
            return self.first_documents(window, size.min(MAX_PAGE)).await;
        }
        match self.summary(window).await?.earliest {
            Some(earliest) => aggregated::preview(self, window, earliest, size).await,
            None => Ok(Vec::new()),
        }
    }

    async fn first_documents(
        &self,
        window: Window,
        size: usize,
    ) -> Result<Vec<Map<String, Value>>> {
        let fields = self.fields().await?;
        let mut more = fields.ask(&self.wanted);
        more.insert("size".to_owned(), size.into());
        more.insert("sort".to_owned(), json!([self.sort(fields)]));
        let body = self.search(window, more.into()).await?;
        let answer = Answer::read(&body)?;
        let hits = answer.hits.hits.iter();
        Ok(hits.map(|hit| fields.shown(&self.wanted, hit)).collect())
    }

    /// In the order of time.
    fn sort(&self, fields: &Fields) -> Value {
        let mut order = json!({"order": "asc"});
        if fields.in_nanos {
            // Pages are cut between milliseconds.
            order["numeric_type"] = "date".into();
        }
        json!({self.wanted.time_field(): order})
    }
}

impl Source for Remote {
    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            // What can't be asked at all is refused, before anything is.
            self.0.query(Window { start: 0, end: 0 }).await?;
            self.0.fields().await.map(drop)
        })
    }

    fn summary(&self, window: Window) -> BoxFuture<'_, Result<Summary>> {
        Box::pin(self.0.summary(window))
    }

    fn read(&self, window: Window) -> BoxFuture<'_, Result<Box<dyn Pages>>> {
        Box::pin(async move {
            Ok(match self.0.aggregated() {
                Some((_, histogram)) => {
                    let search = aggregated::Search::aligned(&self.0.wanted, histogram, window);
                    Box::new(aggregated::Buckets::new(self.0.clone(), search)) as Box<dyn Pages>
                }
                None => Box::new(documents::Documents::open(self.clone(), window).await?),
            })
        })
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
            let body = self.search(window, more).await?;
            Ok(Answer::read(&body)?.aggregations.unwrap_or_default())
        })
    }
}
