//! `_validate`: what would keep a detector from being created, or from learning.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::call::object;
use super::change;
use super::data::Data;
use super::detector::{Detector, Period};
use super::dialect::Dialect;
use super::issue::{Aspect, Issue, Wrong};
use super::read::Sent;
use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};

/// Intervals of the past that are looked at: those of a day, but no fewer and no more.
const FEWEST: i64 = 512;
const MOST: i64 = 1_440;
const DAY: i64 = 24 * 60 * MINUTE;
/// The share of intervals that must have data, for an interval to be good.
const GOOD: f64 = 0.75;
/// The least share of intervals with data that is not called sparse.
const SPARSE: f64 = 0.25;
/// Minutes of the longest interval that is suggested.
const LONGEST: i64 = 60;
/// How long may be looked for an interval.
const PATIENCE: Duration = Duration::from_secs(10);
const MINUTE: i64 = 60_000;

type Checked = std::result::Result<(), Wrong>;

pub async fn detector(
    state: State<ApiState>,
    dialect: Extension<Dialect>,
    body: Body,
) -> Result<Response> {
    let types = Path(Aspect::Detector.name().to_owned());
    validate(state, dialect, types, body).await
}

pub async fn validate(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    Path(types): Path<String>,
    body: Body,
) -> Result<Response> {
    let asked = |aspect: Aspect| types.split(',').any(|of| of.trim() == aspect.name());
    if !asked(Aspect::Detector) && !asked(Aspect::Model) {
        return Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "illegal_state_exception",
            "The given validation type doesn't exist",
        ));
    }
    let body = object(body).await?;
    let checked = async {
        let sent = Sent::read(&body, dialect, None)?;
        check_indices(&state, &sent.detector).await?;
        change::check(&state, &sent.detector, dialect, None).await?;
        match asked(Aspect::Model) {
            true => check_model(&state, &sent, dialect).await,
            false => Ok(()),
        }
    };
    match checked.await {
        Ok(()) => Ok(ok(&json!({}))),
        Err(Wrong::Issue(issue)) => Ok(ok(&issue.told())),
        Err(Wrong::Error(error)) => Err(error),
    }
}

/// That there are indices, before all that is asked of them.
async fn check_indices(state: &ApiState, detector: &Detector) -> Checked {
    match Data::of(state, detector).await {
        Err(error) if error.0.status == 404 => {
            Err(Issue::new("indices", "index does not exist").into())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// The data of a detector, with its first and its last moment.
pub struct Model<'a> {
    state: &'a ApiState,
    data: Data,
    sent: &'a Sent,
    dialect: Dialect,
    /// Epoch milliseconds.
    pub earliest: i64,
    /// Epoch milliseconds, no later than now.
    pub latest: i64,
    /// That there is the entity that has most documents.
    entity: Vec<Value>,
}

async fn check_model(state: &ApiState, sent: &Sent, dialect: Dialect) -> Checked {
    let detector = &sent.detector;
    let Some(data) = Data::of(state, detector).await? else {
        return Ok(());
    };
    let model = Model::of(state, data, sent, dialect).await?;
    match model.find_interval().await? {
        Some(interval) if interval <= detector.interval() => {
            model.check_features(interval).await?;
            model.check_delay()
        }
        Some(interval) => Err(better_interval(interval / MINUTE, dialect).into()),
        None => model.check_configuration().await,
    }
}

/// That another interval has data in most of its times.
fn better_interval(minutes: i64, dialect: Dialect) -> Issue {
    let what = dialect.says("selected interval", "selected detector interval");
    let message = format!(
        "The {what} might collect sparse data. Consider changing interval length to: {minutes}"
    );
    Issue::of_model("detection_interval", message).suggesting(json!(Period::minutes(minutes)))
}

fn sparse_categories() -> Issue {
    Issue::of_model(
        "category_field",
        "Data is most likely too sparse with the given category fields. Consider revising category field/s or ingesting \
         more data.",
    )
}

fn sparse_indices() -> Issue {
    Issue::of_model(
        "indices",
        "Source index data is potentially too sparse for model training. Consider changing interval length or ingesting \
         more data",
    )
}

/// How many intervals of a length are looked at.
fn samples(interval: i64) -> i64 {
    (DAY / interval).clamp(FEWEST, MOST)
}

/// A fifth longer, in whole minutes.
fn longer(minutes: &i64) -> Option<i64> {
    Some((minutes * 6 + 4) / 5)
}

impl<'a> Model<'a> {
    pub async fn of(
        state: &'a ApiState,
        data: Data,
        sent: &'a Sent,
        dialect: Dialect,
    ) -> std::result::Result<Self, Wrong> {
        let mut model = Self {
            state,
            data,
            sent,
            dialect,
            earliest: 0,
            latest: 0,
            entity: Vec::new(),
        };
        let of_time = json!({"field": sent.detector.time_field});
        let asked =
            json!({"size": 0, "aggs": {"first": {"min": of_time}, "last": {"max": of_time}}});
        let found = model.search(asked).await?;
        let time = |name: &str| found[name]["value"].as_f64().map(|time| time as i64);
        let (Some(earliest), Some(latest)) = (time("first"), time("last")) else {
            let message =
                "There isn't enough historical data found with current timefield selected.";
            return Err(Issue::of_model("time_field", message).into());
        };
        (model.earliest, model.latest) = (earliest, latest.min(state.jobs.now()));
        model.find_entity().await?;
        Ok(model)
    }

    fn detector(&self) -> &Detector {
        &self.sent.detector
    }

    fn in_range(&self, interval: i64) -> Value {
        let past = interval.saturating_mul(samples(interval));
        let start = self.latest.saturating_sub(past);
        json!({"range": {self.detector().time_field.as_str(): {
            "gte": start, "lte": self.latest, "format": "epoch_millis"
        }}})
    }

    /// The entity with most documents stands for all.
    async fn find_entity(&mut self) -> Checked {
        let detector = self.detector();
        let interval = detector.interval();
        let mut entity = Vec::new();
        for field in detector.categories() {
            let filters = [self.in_range(interval), self.sent.query.clone()];
            let filters: Vec<&Value> = filters.iter().chain(&entity).collect();
            let asked = json!({
                "size": 0, "query": {"bool": {"filter": filters}},
                "aggs": {"top": {"terms": {"field": field, "size": 1}}}
            });
            let found = self.search(asked).await?;
            let top = &found["top"]["buckets"][0]["key"];
            if top.is_null() {
                return Err(sparse_categories().into());
            }
            entity.push(json!({"term": {field.as_str(): top}}));
        }
        self.entity = entity;
        Ok(())
    }

    /// The answer to aggregations.
    async fn search(&self, asked: Value) -> Result<Value> {
        let found = self.data.search(self.state, asked).await?;
        Ok(found.aggregations.unwrap_or_default().into())
    }

    /// Which share of the intervals between the first and the last one with documents that match has some; none of it
    /// where these are fewer than a model learns from. `interval`: milliseconds.
    async fn share(&self, interval: i64, filters: &[&Value]) -> Result<f64> {
        let range = self.in_range(interval);
        let filters: Vec<&Value> = filters.iter().copied().chain([&range]).collect();
        let asked = json!({
            "size": 0, "query": {"bool": {"filter": filters}},
            "aggs": {"buckets": {"date_histogram": {
                "field": self.detector().time_field, "fixed_interval": format!("{interval}ms"), "min_doc_count": 1
            }}}
        });
        let found = self.search(asked).await?;
        let Some(buckets) = found["buckets"]["buckets"].as_array() else {
            return Ok(0.0);
        };
        let begin = |bucket: Option<&Value>| bucket.and_then(|bucket| bucket["key"].as_i64());
        let (Some(first), Some(last)) = (begin(buckets.first()), begin(buckets.last())) else {
            return Ok(0.0);
        };
        let needed = self.dialect.learnt() + self.detector().shingle_size;
        if i64::try_from(buckets.len()).is_ok_and(|there| there < needed) {
            return Ok(0.0);
        }
        Ok(buckets.len() as f64 / ((last - first) / interval + 1) as f64)
    }

    fn all_filters(&self) -> Vec<&Value> {
        self.entity.iter().chain([&self.sent.query]).collect()
    }

    /// An interval with data in most of its times: the detector's, or else one of whole minutes. Milliseconds.
    async fn find_interval(&self) -> std::result::Result<Option<i64>, Wrong> {
        let interval = self.detector().interval();
        let minutes = (interval + MINUTE - 1) / MINUTE;
        // A fifth longer each time, then a fifth shorter.
        let longer = std::iter::successors(Some(minutes), longer);
        let longer = longer.skip(1).take_while(|now| *now <= LONGEST);
        let shorter = std::iter::successors(Some(minutes), |now| Some(now * 5 / 6));
        let shorter = shorter.skip(1).take_while(|now| *now > 0);
        let others = longer.chain(shorter).map(|minutes| minutes * MINUTE);
        self.first_good(std::iter::once(interval).chain(others))
            .await
    }

    /// The shortest good interval of whole minutes. Milliseconds.
    pub async fn shortest_good(&self) -> std::result::Result<Option<i64>, Wrong> {
        let all = std::iter::successors(Some(1), longer);
        let all = all.take_while(|now| *now <= LONGEST);
        self.first_good(all.map(|minutes| minutes * MINUTE)).await
    }

    /// The first of some intervals, milliseconds, most of which have data.
    async fn first_good(
        &self,
        all: impl Iterator<Item = i64>,
    ) -> std::result::Result<Option<i64>, Wrong> {
        let filters = self.all_filters();
        let deadline = Instant::now() + PATIENCE;
        for interval in all {
            if self.share(interval, &filters).await? >= GOOD {
                return Ok(Some(interval));
            }
            if Instant::now() > deadline {
                let message = "Timed out getting interval recommendation";
                return Err(Issue::of_model("timeout", message).into());
            }
        }
        Ok(None)
    }

    /// What of the configuration makes the data sparse, where no interval helps.
    async fn check_configuration(&self) -> Checked {
        let interval = self.detector().interval();
        if self.share(interval, &[]).await? < GOOD {
            return Err(sparse_indices().into());
        }
        if self.share(interval, &[&self.sent.query]).await? < SPARSE {
            let message = "Data is too sparse after data filter is applied. Consider changing the data filter";
            return Err(Issue::of_model("filter_query", message).into());
        }
        let by_category = !self.detector().categories().is_empty();
        if by_category && self.share(interval, &self.all_filters()).await? < SPARSE {
            return Err(sparse_categories().into());
        }
        self.check_features(interval).await?;
        self.check_delay()?;
        Err(sparse_indices().into())
    }

    /// Whether the field of each feature is in enough intervals of a length.
    async fn check_features(&self, interval: i64) -> Checked {
        let mut sparse = Vec::new();
        for feature in self.detector().enabled() {
            let Some(field) = feature.leaf()[feature.kind()]["field"].as_str() else {
                continue;
            };
            let exists = json!({"exists": {"field": field}});
            let filters: Vec<&Value> = self.all_filters().into_iter().chain([&exists]).collect();
            if self.share(interval, &filters).await? < SPARSE {
                let told = "Data is most likely too sparse when given feature queries are applied. Consider revising \
                            feature queries";
                sparse.push((feature.feature_name.as_str(), told));
            }
        }
        match sparse.is_empty() {
            true => Ok(()),
            false => Err(Issue::of_features(Aspect::Model, &self.detector().name, &sparse).into()),
        }
    }

    /// Whether data comes later than is waited for.
    fn check_delay(&self) -> Checked {
        let late = self.state.jobs.now().saturating_sub(self.latest);
        if late <= self.detector().window_delay.as_millis() {
            return Ok(());
        }
        let minutes = late / MINUTE + i64::from(late % MINUTE > 0);
        let (stop, consider) = match self.dialect.is_legacy() {
            true => (",", "consider"),
            false => (".", "Consider"),
        };
        let message = format!(
            "Latest seen data point is at least {minutes} minutes ago{stop} {consider} changing window delay to at least \
             {minutes} minutes."
        );
        let issue = Issue::of_model("window_delay", message);
        Err(issue.suggesting(json!(Period::minutes(minutes))).into())
    }
}
