//! Elasticsearch or tidewatch as a source: through the machine-learning API, which asks for no right to an index.
//! What Elasticsearch has in indices alone is searched there; tidewatch has paths of its own for it.

use serde_json::Value;
use tidewatch_jobs::NODE_NAME;

use super::definitions::{Calendar, Definitions, id_of};
use super::http::{Failure, Remote};
use super::kind::Kind;
use super::report::Definition;
use super::search::Search;
use super::source::{Source, Stretch, Taker};
use super::walk::{self, Page, Question};

/// Documents a request: an answer of some megabytes.
const PAGE: usize = 2_000;
/// No API looks further than this into its results.
pub const WINDOW: usize = 10_000;

pub struct Cluster {
    remote: Remote,
    name: String,
    is_tidewatch: bool,
    uuid: Option<String>,
}

impl Cluster {
    /// Asks who is there.
    pub fn meet(remote: Remote) -> anyhow::Result<Self> {
        let (product, is_tidewatch, uuid) = match remote.greet() {
            Ok(root) => {
                let is_tidewatch = root["name"] == NODE_NAME && root["cluster_name"] == NODE_NAME;
                let product = if is_tidewatch {
                    "tidewatch"
                } else {
                    "Elasticsearch"
                };
                let version = root["version"]["number"].as_str().unwrap_or("?");
                // tidewatch says there which Elasticsearch it is like.
                let version = if is_tidewatch {
                    String::new()
                } else {
                    format!(" {version}")
                };
                let uuid = root["cluster_uuid"].as_str().map(str::to_owned);
                (format!("{product}{version}"), is_tidewatch, uuid)
            }
            // A key for machine learning alone may not ask.
            Err(Failure::Refused { status: 403, .. }) => ("Elasticsearch".to_owned(), false, None),
            Err(failure) => return Err(failure.into()),
        };
        Ok(Self {
            name: format!("{product} at {}", remote.url()),
            remote,
            is_tidewatch,
            uuid,
        })
    }

    /// Whether both are one, by whatever addresses.
    pub fn is(&self, other: &Self) -> bool {
        self.uuid.is_some() && self.uuid == other.uuid
    }

    pub fn is_tidewatch(&self) -> bool {
        self.is_tidewatch
    }

    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// A whole list that is given in pages, as far as pages go.
    fn list(&self, path: &str, plural: &str) -> Result<(Vec<Value>, Option<String>), Failure> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let size = PAGE.min(WINDOW - all.len());
            let page = self.page(&format!("{path}?from={}&size={size}", all.len()), plural)?;
            let got = page.documents.len();
            all.extend(page.documents);
            let left = page.count.saturating_sub(all.len() as u64);
            if left == 0 || got == 0 {
                return Ok((all, None));
            }
            if all.len() >= WINDOW {
                let why = format!("{left} of {} are further on than a list goes", page.count);
                return Ok((all, Some(why)));
            }
        }
    }

    fn page(&self, path: &str, plural: &str) -> Result<Page, Failure> {
        let mut answer = self.remote.get(path)?;
        match answer[plural].take() {
            Value::Array(documents) => Ok(Page {
                count: answer["count"].as_u64().unwrap_or(documents.len() as u64),
                documents,
            }),
            _ => Err(Failure::Unreachable {
                what: format!(
                    "{}{path}: the answer has no list of {plural}",
                    self.remote.url()
                ),
                again: false,
            }),
        }
    }

    fn ask(&self, job_id: &str, kind: Kind, question: &Question) -> Result<Page, Failure> {
        self.page(&result_path(job_id, kind, question), kind.plural())
    }

    /// Whether only a search gives these.
    fn is_in_an_index(&self, kind: Kind) -> bool {
        !self.is_tidewatch
            && matches!(
                kind,
                Kind::ModelPlot | Kind::Forecast | Kind::ForecastValue | Kind::Annotation
            )
    }

    fn forecast_ids(&self, job_id: &str) -> Result<Vec<String>, Failure> {
        let (forecasts, _) = self.list(&job_path(job_id, "results/forecasts"), "forecasts")?;
        let ids = forecasts
            .iter()
            .map(|forecast| id_of(forecast, "forecast_id").to_owned());
        Ok(ids.collect())
    }

    fn forecast_values(
        &self,
        job_id: &str,
        take: &mut Taker<'_>,
    ) -> anyhow::Result<Option<String>> {
        let mut missing = None;
        for forecast_id in self.forecast_ids(job_id)? {
            let path = job_path(job_id, &format!("results/forecasts/{forecast_id}"));
            let mut ask = |question: &Question| {
                self.page(
                    &format!("{path}?{}", question.parameters()),
                    "model_forecasts",
                )
            };
            let mut named = |mut values: Vec<Value>| {
                for value in &mut values {
                    value["forecast_id"] = forecast_id.as_str().into();
                }
                take(values)
            };
            let lost = walk::by_time(
                Kind::ForecastValue,
                Stretch::default(),
                PAGE,
                &mut ask,
                &mut named,
            )?;
            missing = missing.or(lost);
        }
        Ok(missing)
    }

    /// The newest of a kind within a stretch.
    pub fn newest(
        &self,
        job_id: &str,
        kind: Kind,
        stretch: Stretch,
    ) -> Result<Option<i64>, Failure> {
        let question = Question {
            stretch,
            size: 1,
            newest_first: true,
            ..Question::default()
        };
        let page = self.ask(job_id, kind, &question)?;
        Ok(page
            .documents
            .first()
            .and_then(|document| document["timestamp"].as_i64()))
    }
}

fn job_path(job_id: &str, rest: &str) -> String {
    format!("/_ml/anomaly_detectors/{job_id}/{rest}")
}

fn result_path(job_id: &str, kind: Kind, question: &Question) -> String {
    let path = job_path(job_id, &format!("results/{}", kind.plural()));
    let parameters = question.parameters();
    match kind.score() {
        None => format!("{path}?{parameters}"),
        Some(score) => {
            let sort = match question.at_least {
                Some(at_least) => format!("&sort={score}&{score}={at_least}"),
                None => "&sort=timestamp".to_owned(),
            };
            let desc = question.newest_first;
            format!("{path}?{parameters}{sort}&desc={desc}&exclude_interim=true")
        }
    }
}

impl Source for Cluster {
    fn name(&self) -> &str {
        &self.name
    }

    fn definitions(&self) -> anyhow::Result<Definitions> {
        let mut found = Definitions {
            jobs: self.page("/_ml/anomaly_detectors", "jobs")?.documents,
            ..Definitions::default()
        };
        let missing = &mut found.missing;
        let mut list = |path: &str, plural: &str| -> anyhow::Result<Vec<Value>> {
            let listed = match plural {
                "datafeeds" => self.page(path, plural).map(|page| (page.documents, None)),
                _ => self.list(path, plural),
            };
            match listed {
                Ok((all, lost)) => {
                    missing.extend(lost.map(|why| Definition::missing("list", plural, why)));
                    Ok(all)
                }
                Err(failure) if failure.is_final() => Err(failure.into()),
                // Of tidewatch before it had datafeeds.
                Err(_) if self.is_tidewatch && plural == "datafeeds" => Ok(Vec::new()),
                Err(failure) => {
                    missing.push(Definition::missing("list", plural, failure.to_string()));
                    Ok(Vec::new())
                }
            }
        };
        found.datafeeds = list("/_ml/datafeeds", "datafeeds")?;
        found.filters = list("/_ml/filters", "filters")?;
        for calendar in list("/_ml/calendars", "calendars")? {
            let id = id_of(&calendar, "calendar_id");
            let events = list(&format!("/_ml/calendars/{id}/events"), "events")?;
            found.calendars.push(Calendar { calendar, events });
        }
        Ok(found.with_datafeeds_of_jobs())
    }

    fn count(&self, job_id: &str, kind: Kind, stretch: Stretch) -> anyhow::Result<Option<u64>> {
        let question = Question {
            stretch,
            size: 0,
            ..Question::default()
        };
        let count = match (kind, list_path(kind)) {
            _ if self.is_in_an_index(kind) => {
                Search::new(job_id, kind, stretch).count(&self.remote)
            }
            // They hang on their forecasts.
            (Kind::ForecastValue, _) => return Ok(None),
            (_, Some(path)) => {
                let path = format!("{}?size=0", job_path(job_id, path));
                self.page(&path, kind.plural()).map(|page| page.count)
            }
            (_, None) => self.ask(job_id, kind, &question).map(|page| page.count),
        };
        match count {
            Ok(count) => Ok(Some(count)),
            Err(failure) if failure.is_final() => Err(failure.into()),
            Err(_) => Ok(None),
        }
    }

    fn read(
        &self,
        job_id: &str,
        kind: Kind,
        stretch: Stretch,
        take: &mut Taker<'_>,
    ) -> anyhow::Result<Option<String>> {
        if self.is_in_an_index(kind) {
            return Search::new(job_id, kind, stretch).read(&self.remote, take);
        }
        if kind == Kind::ForecastValue {
            return self.forecast_values(job_id, take);
        }
        let Some(path) = list_path(kind) else {
            let mut ask = |question: &Question| self.ask(job_id, kind, question);
            return walk::by_time(kind, stretch, PAGE, &mut ask, take);
        };
        let (documents, lost) = self.list(&job_path(job_id, path), kind.plural())?;
        take(documents)?;
        Ok(lost)
    }
}

/// Where a kind is that is given as a list, whatever its times.
fn list_path(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Forecast => Some("results/forecasts"),
        Kind::Annotation => Some("annotations"),
        Kind::Category => Some("results/categories"),
        Kind::Snapshot => Some("model_snapshots"),
        Kind::Bucket | Kind::Record | Kind::Influencer | Kind::ModelPlot | Kind::ForecastValue => {
            None
        }
    }
}
