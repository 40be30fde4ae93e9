//! `_bulk`: many writes in one request, which is read as a whole before any is done.

pub mod answer;
pub mod lines;
pub mod update;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Destination, Outcome};
use tidewatch_store::index::{Index, Op, Write};
use tidewatch_store::search::Shown;

pub use self::lines::What;
use self::lines::{Action, Lines, Options};
use self::update::Update;
use super::get::{self, ShownParams};
use super::named::Refresh;
use super::one::{Conditions, IGNORED, LARGEST, check_pipeline};
use super::warn_of_dot;
use crate::ApiState;
use crate::body;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;

/// Writes that go to an index together, and bytes of their documents.
const TOGETHER: usize = 10_000;
const BYTES: usize = 16 << 20;
/// Bytes of one request, Elasticsearch's own limit; and writes, since each is told of.
pub const LONGEST: usize = 100 << 20;
const MOST: usize = 500_000;

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Asked {
    refresh: Option<String>,
    routing: Option<String>,
    pipeline: Option<String>,
    require_alias: Option<bool>,
}

pub async fn everywhere(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    take(state, None, &uri, body).await
}

pub async fn into(
    State(state): State<ApiState>,
    Path(index): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    take(state, Some(index), &uri, body).await
}

async fn take(state: ApiState, index: Option<String>, uri: &Uri, body: Body) -> Result<Response> {
    let started = Instant::now();
    let mut params = Params::new(uri)?
        .ignore(&IGNORED)
        .ignore(&["require_data_stream"]);
    let shown = ShownParams::deserialize(&mut params)?;
    let asked: Asked = params.read()?;
    let refresh = Refresh::parse(asked.refresh.as_deref())?;
    let options = Options {
        routing: asked.routing,
        pipeline: asked.pipeline,
        require_alias: asked.require_alias,
        source: shown.value(),
        ..Options::default()
    };
    let body = body::read_up_to(body, LONGEST).await?;
    let lines = || Lines::new(body.clone(), index.as_deref(), &options);
    let count = check(lines())?;
    let mut bulk = Bulk {
        state,
        refresh,
        destinations: HashMap::new(),
        touched: Vec::new(),
        made: BTreeSet::new(),
        items: String::with_capacity(count.saturating_mul(200)),
        has_failed: false,
    };
    let mut lines = lines();
    let mut waiting = Vec::new();
    let mut bytes = 0;
    while let Some(action) = lines.next()? {
        bytes += action.document.len();
        waiting.push(action);
        if waiting.len() >= TOGETHER || bytes >= BYTES {
            bulk.settle(std::mem::take(&mut waiting)).await?;
            bytes = 0;
        }
    }
    bulk.settle(waiting).await?;
    bulk.finish(started).await
}

/// Refuses a request that is wrong in any of its lines. How many actions there are.
fn check(mut lines: Lines<'_>) -> Result<usize> {
    let mut count = 0;
    while let Some(action) = lines.next()? {
        let conditions = Conditions::of(&action.options);
        conditions.check(action.what)?;
        if action.what == What::Update {
            Update::parse(&action.document)?;
        }
        count += 1;
        if count > MOST {
            return Err(ApiError::illegal_argument(format!(
                "at most [{MOST}] actions are taken in one request"
            )));
        }
    }
    match count {
        0 => Err(JobError::invalid_request(&["no requests added"]).into()),
        count => Ok(count),
    }
}

/// What tells destinations apart: a name, whether it must be an alias, and whether an index is made.
type Name = (Arc<str>, bool, bool);

/// A request on its way.
struct Bulk {
    state: ApiState,
    refresh: Refresh,
    destinations: HashMap<Name, std::result::Result<Destination, JobError>>,
    /// The indices that were written to.
    touched: Vec<Arc<Index>>,
    /// The names of those that were made.
    made: BTreeSet<String>,
    /// The answer, an item an action.
    items: String,
    has_failed: bool,
}

/// What is known of an action before its index has it.
enum Fate {
    /// Its destination is one of some, and its outcome the next one there.
    Goes { to: usize, shown: Option<Shown> },
    Refused {
        index: Arc<str>,
        id: Option<String>,
        error: JobError,
    },
}

impl Bulk {
    /// Does what waits, and says in its order what became of it.
    async fn settle(&mut self, actions: Vec<Action>) -> Result<()> {
        let mut groups: Vec<(Destination, Vec<Write>)> = Vec::new();
        let mut fates = Vec::with_capacity(actions.len());
        // One action after the other is mostly for the same index.
        let mut last: Option<(Name, usize)> = None;
        for action in actions {
            let what = action.what;
            let name: Name = (
                action.index.clone(),
                action.options.require_alias.unwrap_or(false),
                what != What::Delete,
            );
            let to = match &last {
                Some((known, to)) if *known == name => Ok(*to),
                _ => self.group(&name, &mut groups).await,
            };
            let (index, id) = (action.index.clone(), action.id.clone());
            let write = to.and_then(|to| Ok((to, write(action)?)));
            let fate = match write {
                Ok((to, (write, shown))) => {
                    groups[to].1.push(write);
                    last = Some((name, to));
                    Fate::Goes { to, shown }
                }
                Err(error) => Fate::Refused { index, id, error },
            };
            fates.push((what, fate));
        }
        let mut outcomes = Vec::with_capacity(groups.len());
        for (destination, writes) in groups {
            let done = self.state.jobs.write(&destination, writes).await;
            outcomes.push((destination, done.map(Vec::into_iter)));
        }
        for (what, fate) in fates {
            self.tell(what, fate, &mut outcomes).await?;
        }
        Ok(())
    }

    /// The group of the writes that go where a name leads.
    async fn group(
        &mut self,
        name: &Name,
        groups: &mut Vec<(Destination, Vec<Write>)>,
    ) -> std::result::Result<usize, JobError> {
        let destination = match self.destinations.get(name) {
            Some(known) => known.clone()?,
            None => {
                let (index, must_be_alias, makes) = name;
                let found = self
                    .state
                    .jobs
                    .destination(index, *makes, *must_be_alias)
                    .await;
                if let Ok((Destination::Own(index), made)) = &found {
                    self.touched.push(index.clone());
                    if *made {
                        self.made.insert(index.name().to_owned());
                    }
                }
                let found = found.map(|(destination, _)| destination);
                self.destinations.insert(name.clone(), found.clone());
                found?
            }
        };
        let mut known = groups.iter();
        let at = known.position(|(group, _)| group.name() == destination.name());
        Ok(at.unwrap_or_else(|| {
            groups.push((destination, Vec::new()));
            groups.len() - 1
        }))
    }

    async fn tell(&mut self, what: What, fate: Fate, groups: &mut [Group]) -> Result<()> {
        if !self.items.is_empty() {
            self.items.push(',');
        }
        let action = what.name();
        let (to, shown) = match fate {
            Fate::Goes { to, shown } => (to, shown),
            Fate::Refused { index, id, error } => {
                self.has_failed = true;
                answer::refused(&mut self.items, action, &index, id.as_deref(), &error);
                return Ok(());
            }
        };
        let (destination, outcomes) = &mut groups[to];
        let outcome = match outcomes {
            Ok(outcomes) => outcomes.next().ok_or_else(|| {
                JobError::internal(format!("a write to [{}] was lost", destination.name()))
            }),
            Err(error) => Err(error.clone()),
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.has_failed = true;
                answer::refused(&mut self.items, action, destination.name(), None, &error);
                return Ok(());
            }
        };
        self.has_failed |= outcome.result.is_err();
        let get = match (shown, &outcome.result, &*destination) {
            (Some(shown), Ok(_), Destination::Own(index)) => {
                get::of_update(index, &outcome.id, &shown).await?
            }
            _ => None,
        };
        let forced = self.refresh == Refresh::Now;
        answer::item(
            &mut self.items,
            action,
            destination.name(),
            &outcome,
            forced,
            get.as_deref(),
        );
        Ok(())
    }

    async fn finish(self, started: Instant) -> Result<Response> {
        for index in &self.touched {
            self.refresh.of(index).await?;
        }
        let mut response = json_response(
            StatusCode::OK,
            format!(
                "{{\"errors\":{},\"took\":{},\"items\":[{}]}}",
                self.has_failed,
                started.elapsed().as_millis(),
                self.items
            ),
        );
        for name in &self.made {
            warn_of_dot(name, &mut response);
        }
        Ok(response)
    }
}

/// A destination, and what became of the writes to it, one after the other.
type Group = (
    Destination,
    std::result::Result<std::vec::IntoIter<Outcome>, JobError>,
);

/// What the index is to do, and what of the document is to be shown.
fn write(action: Action) -> std::result::Result<(Write, Option<Shown>), JobError> {
    let options = action.options;
    check_pipeline(options.pipeline.as_deref())?;
    if action.document.len() > LARGEST {
        return Err(too_long(action.document.len()));
    }
    let mut conditions = Conditions::of(&options);
    let mut shown = None;
    let (op, source) = match action.what {
        What::Index => (Op::Index, action.document),
        What::Create => (Op::Create, action.document),
        What::Delete => (Op::Delete, Bytes::new()),
        What::Update => {
            let said = Update::parse(&action.document).map_err(|error| error.0)?;
            conditions.if_seq_no = conditions.if_seq_no.or(said.if_seq_no);
            conditions.if_primary_term = conditions.if_primary_term.or(said.if_primary_term);
            shown = match said.source.or(options.source) {
                Some(source) => Some(Shown::parse(&source)?),
                None => None,
            };
            (Op::Update(Box::new(said.update)), Bytes::new())
        }
    };
    let checked = conditions.check(action.what).map_err(|error| error.0)?;
    let write = Write {
        op,
        id: action.id,
        source,
        routing: options.routing,
        if_seq_no: checked.if_seq_no,
        if_primary_term: checked.if_primary_term,
        version: checked.version,
    };
    Ok((write, shown))
}

fn too_long(length: usize) -> JobError {
    JobError::new(
        413,
        "illegal_argument_exception",
        format!(
            "the document of [{length}] bytes is too long; at most [{LARGEST}] bytes are taken"
        ),
    )
}
