//! `_validate`: what would keep a detector from being created, or from learning.

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
use super::issue::{Aspect, Issue};
use super::read::Sent;
use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};

/// Intervals of the past that are looked at.
const SAMPLES: i64 = 128;
/// The share of intervals that must have data, for an interval to be good.
const GOOD: f64 = 0.75;
/// The least share of intervals with data that is not called sparse.
const SPARSE: f64 = 0.25;
/// Minutes of the longest interval that is suggested.
const LONGEST: i64 = 60;
const MINUTE: i64 = 60_000;

type Checked = std::result::Result<(), Issue>;

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
        change::check(&state, &sent.detector, dialect, None).await?;
        match asked(Aspect::Model) {
            true => check_model(&state, &sent, dialect).await,
            false => Ok(()),
        }
    };
    Ok(ok(&match checked.await {
        Ok(()) => json!({}),
        Err(issue) => issue.told(),
    }))
}

/// The data of a detector, with its first and its last moment.
pub struct Model<'a> {
    state: &'a ApiState,
    data: Data,
    sent: &'a Sent,
    /// Epoch milliseconds.
    pub earliest: i64,
    /// Epoch milliseconds.
    pub latest: i64,
    /// That there is the entity that has most documents.
    entity: Vec<Value>,
}

async fn check_model(state: &ApiState, sent: &Sent, dialect: Dialect) -> Checked {
    let failed = |error| Issue::refused("general_settings", error);
    let data = Data::of(state, &sent.detector).await.map_err(failed)?;
    let Some(data) = data else {
        return Ok(());
    };
    let model = Model::of(state, data, sent).await?;
    model.check_interval(dialect).await?;
    model.check_features().await?;
    model.check_delay(dialect)
}

fn sparse_categories() -> Issue {
    Issue::of_model(
        "category_field",
        "Data is most likely too sparse with the given category fields. Consider revising category field/s or ingesting \
         more data",
    )
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
    ) -> std::result::Result<Self, Issue> {
        let mut model = Self {
            state,
            data,
            sent,
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
            return Err(Issue::of_model(
                "time_field",
                "There isn't enough historical data found with current timefield selected.",
            ));
        };
        (model.earliest, model.latest) = (earliest, latest);
        model.find_entity().await?;
        Ok(model)
    }

    fn detector(&self) -> &Detector {
        &self.sent.detector
    }

    fn in_range(&self, interval: i64) -> Value {
        let start = self.latest - interval.saturating_mul(SAMPLES);
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
                return Err(sparse_categories());
            }
            entity.push(json!({"term": {field.as_str(): top}}));
        }
        self.entity = entity;
        Ok(())
    }

    /// The answer to aggregations.
    async fn search(&self, asked: Value) -> std::result::Result<Value, Issue> {
        let found = self.data.search(self.state, asked).await;
        let found = found.map_err(|error| Issue::refused("general_settings", error))?;
        Ok(found.aggregations.unwrap_or_default().into())
    }

    /// Which share of the last intervals has documents that match. Milliseconds.
    async fn share(&self, interval: i64, filters: &[&Value]) -> std::result::Result<f64, Issue> {
        let range = self.in_range(interval);
        let filters: Vec<&Value> = filters.iter().copied().chain([&range]).collect();
        let asked = json!({
            "size": 0, "query": {"bool": {"filter": filters}},
            "aggs": {"buckets": {"date_histogram": {
                "field": self.detector().time_field, "fixed_interval": format!("{interval}ms"), "min_doc_count": 1
            }}}
        });
        let found = self.search(asked).await?;
        let buckets = found["buckets"]["buckets"].as_array().map_or(0, Vec::len);
        Ok(buckets as f64 / SAMPLES as f64)
    }

    fn all_filters(&self) -> Vec<&Value> {
        self.entity.iter().chain([&self.sent.query]).collect()
    }

    /// Whether there is data in most intervals, or else would be in others.
    async fn check_interval(&self, dialect: Dialect) -> Checked {
        let interval = self.detector().interval();
        let filters = self.all_filters();
        if self.share(interval, &filters).await? >= GOOD {
            return Ok(());
        }
        let minutes = (interval + MINUTE - 1) / MINUTE;
        // A fifth longer each time, then a fifth shorter, in whole minutes.
        let longer = std::iter::successors(Some(minutes), longer);
        let longer = longer.skip(1).take_while(|now| *now <= LONGEST);
        let shorter = std::iter::successors(Some(minutes), |now| Some(now * 5 / 6));
        let shorter = shorter.skip(1).take_while(|now| *now > 0);
        let Some(minutes) = self.first_good(longer.chain(shorter)).await? else {
            return Err(self.why_sparse(interval).await?);
        };
        let what = dialect.says("selected interval", "selected detector interval");
        let message = format!(
            "The {what} might collect sparse data. Consider changing interval length to: {minutes}"
        );
        let issue = Issue::of_model("detection_interval", message);
        Err(issue.suggesting(json!(Period::minutes(minutes))))
    }

    /// The first of some intervals, minutes, most of which have data.
    async fn first_good(
        &self,
        all: impl Iterator<Item = i64>,
    ) -> std::result::Result<Option<i64>, Issue> {
        let filters = self.all_filters();
        for minutes in all {
            if self.share(minutes * MINUTE, &filters).await? >= GOOD {
                return Ok(Some(minutes));
            }
        }
        Ok(None)
    }

    /// The shortest good interval, minutes.
    pub async fn shortest_good(&self) -> std::result::Result<Option<i64>, Issue> {
        let all = std::iter::successors(Some(1), longer);
        self.first_good(all.take_while(|now| *now <= LONGEST)).await
    }

    /// What of the configuration makes the data sparse.
    async fn why_sparse(&self, interval: i64) -> std::result::Result<Issue, Issue> {
        let indices = || {
            Issue::of_model(
                "indices",
                "Source index data is potentially too sparse for model training. Consider changing interval length or \
                 ingesting more data",
            )
        };
        if self.share(interval, &[]).await? < SPARSE {
            return Ok(indices());
        }
        if self.share(interval, &[&self.sent.query]).await? < SPARSE {
            return Ok(Issue::of_model(
                "filter_query",
                "Data is too sparse after data filter is applied. Consider changing the data filter",
            ));
        }
        if self.share(interval, &self.all_filters()).await? < SPARSE {
            return Ok(sparse_categories());
        }
        Ok(indices())
    }

    /// Whether the field of each feature is in enough intervals.
    async fn check_features(&self) -> Checked {
        let interval = self.detector().interval();
        let mut sparse = Vec::new();
        for feature in self.detector().enabled() {
            let Some(field) = feature.leaf()[feature.kind()]["field"].as_str() else {
                continue;
            };
            let exists = json!({"exists": {"field": field}});
            let filters: Vec<&Value> = self.all_filters().into_iter().chain([&exists]).collect();
            if self.share(interval, &filters).await? < SPARSE {
                sparse.push(feature.feature_name.as_str());
            }
        }
        if sparse.is_empty() {
            return Ok(());
        }
        let told = "Data is most likely too sparse when given feature queries are applied. Consider revising feature queries";
        let message = format!("{told}: {}", sparse.join(", "));
        Err(Issue::of_model("feature_attributes", message).of_each(&sparse, told))
    }

    /// Whether data comes later than is waited for.
    fn check_delay(&self, dialect: Dialect) -> Checked {
        let detector = self.detector();
        let late = self.state.jobs.now() - self.latest;
        if late <= detector.window_delay.as_millis() + detector.interval() {
            return Ok(());
        }
        let minutes = (late + MINUTE - 1) / MINUTE;
        let (stop, consider) = match dialect.is_legacy() {
            true => (",", "consider"),
            false => (".", "Consider"),
        };
        let message = format!(
            "Latest seen data point is at least {minutes} minutes ago{stop} {consider} changing window delay to at least \
             {minutes} minutes."
        );
        let issue = Issue::of_model("window_delay", message);
        Err(issue.suggesting(json!(Period::minutes(minutes))))
    }
}
