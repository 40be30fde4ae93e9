//! Aliases: other names of indices.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, put};
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Alias, Meant, Reading};
use tidewatch_store::index::{self, AliasAction};
use tidewatch_store::query::wildcard;

use super::indices::IGNORED;
use super::named::{Named, own};
use super::{ALL, acknowledged};
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, body};

pub fn routes() -> Router<ApiState> {
    let one = || put(add).post(add).delete(remove);
    Router::new()
        .route("/_alias", get(all))
        .route("/_aliases", get(all).post(update))
        .route("/_alias/{name}", get(named))
        .route("/{index}/_alias", get(of_indices))
        .route("/{index}/_alias/{name}", one().get(named_of_indices))
        .route("/{index}/_aliases/{name}", one())
}

/// The aliases of an index, as answers have them.
pub fn of(state: &ApiState, index: &Meant) -> Value {
    object(state.jobs.aliases(index))
}

fn object(aliases: Vec<Alias>) -> Value {
    aliases
        .into_iter()
        .map(|alias| (alias.name, Value::from(alias.settings.to_json())))
        .collect::<Map<String, Value>>()
        .into()
}

async fn all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    of_indices(state, Path(ALL.to_owned()), uri).await
}

/// Also of hidden indices, if nothing else is said.
fn reading(uri: &Uri) -> Result<Reading> {
    let named: Named = Params::new(uri)?.ignore(&IGNORED).read()?;
    named.over(Reading {
        closed: true,
        hidden: true,
        takes_closed: true,
        ..Reading::default()
    })
}

async fn of_indices(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let reading = reading(&uri)?;
    super::indices::told(
        &state,
        &expression,
        reading,
        |_, index| json!({"aliases": of(&state, index)}),
    )
    .await
}

async fn named(state: State<ApiState>, Path(name): Path<String>, uri: Uri) -> Result<Response> {
    named_of_indices(state, Path((ALL.to_owned(), name)), uri).await
}

async fn named_of_indices(
    State(state): State<ApiState>,
    Path((expression, names)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let reading = reading(&uri)?;
    let patterns: Vec<&str> = names.split(',').map(str::trim).collect();
    let mut told = Map::new();
    let mut missing: Vec<&str> = patterns
        .iter()
        .copied()
        .filter(|name| *name != ALL && !name.contains('*'))
        .collect();
    for index in state.jobs.meant(&expression, reading).await? {
        let mut aliases = state.jobs.aliases(&index);
        aliases.retain(|alias| {
            patterns
                .iter()
                .any(|pattern| *pattern == ALL || wildcard(pattern, &alias.name))
        });
        missing.retain(|name| !aliases.iter().any(|alias| alias.name == *name));
        if !aliases.is_empty() {
            told.insert(index.name().to_owned(), json!({"aliases": object(aliases)}));
        }
    }
    if missing.is_empty() {
        return Ok(super::ok(&told.into()));
    }
    missing.sort_unstable();
    let aliases = if missing.len() == 1 {
        "alias"
    } else {
        "aliases"
    };
    let mut answer = Map::new();
    answer.insert(
        "error".to_owned(),
        format!("{aliases} [{}] missing", missing.join(",")).into(),
    );
    answer.insert("status".to_owned(), 404.into());
    answer.extend(told);
    Ok(json_response(
        StatusCode::NOT_FOUND,
        Value::from(answer).to_string(),
    ))
}

/// The names of the indices that an action is for.
async fn targets(state: &ApiState, expression: &str) -> Result<Vec<String>> {
    let reading = Reading {
        allow_no_indices: false,
        closed: true,
        takes_closed: true,
        aliases: false,
        ..Reading::default()
    };
    let meant = state.jobs.meant(expression, reading).await?;
    let own = own(meant, "the aliases")?;
    Ok(own.iter().map(|index| index.name().to_owned()).collect())
}

async fn add(
    State(state): State<ApiState>,
    Path((expression, alias)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    Params::new(&uri)?.ignore(&IGNORED).finish()?;
    let bytes = body::read(body).await?;
    let said = match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Map::new(),
        false => body::object(&bytes)?,
    };
    let mut about = About::default();
    for (name, value) in said {
        if !about.take(&name, value)? {
            return Err(ApiError::illegal_argument(format!(
                "[{name}] is not known of an alias"
            )));
        }
    }
    let mut actions = Vec::new();
    for index in targets(&state, &expression).await? {
        actions.push(AliasAction::Add {
            index,
            alias: alias.clone(),
            settings: about.settings.clone(),
        });
    }
    state.jobs.update_aliases(actions).await?;
    Ok(acknowledged())
}

async fn remove(
    State(state): State<ApiState>,
    Path((expression, names)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.ignore(&IGNORED).finish()?;
    let indices = targets(&state, &expression).await?;
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    let actions = removals(&state, &indices, &names, true)?;
    state.jobs.update_aliases(actions).await?;
    Ok(acknowledged())
}

/// Removes what fits a name of some indices. Where none has any, that is refused if one must exist.
fn removals(
    state: &ApiState,
    indices: &[String],
    names: &[String],
    must_exist: bool,
) -> Result<Vec<AliasAction>> {
    let mut actions = Vec::new();
    for name in indices {
        let Some(index) = state.jobs.store().indices().get(name) else {
            continue;
        };
        for alias in index.aliases().keys() {
            if names
                .iter()
                .any(|pattern| pattern == ALL || wildcard(pattern, alias))
            {
                actions.push(AliasAction::Remove {
                    index: name.clone(),
                    alias: alias.clone(),
                    must_exist,
                });
            }
        }
    }
    if actions.is_empty() && must_exist {
        let reason = format!("aliases [{}] missing", names.join(","));
        return Err(JobError::new(404, "aliases_not_found_exception", reason)
            .about(&names.join(","), "_na_")
            .into());
    }
    Ok(actions)
}

/// `_aliases`: several actions, of which all are done or none.
async fn update(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    Params::new(&uri)?.ignore(&IGNORED).finish()?;
    let mut said = body::object(&body::read(body).await?)?;
    let given = said.shift_remove("actions");
    if let Some((name, _)) = said.into_iter().next() {
        return Err(ApiError(body::x_content(format!(
            "[1:2] [aliases] unknown field [{name}]"
        ))));
    }
    let given = given.and_then(|given| match given {
        Value::Array(given) if !given.is_empty() => Some(given),
        _ => None,
    });
    let given = given.ok_or_else(|| ApiError::illegal_argument("No action specified"))?;
    let mut actions = Vec::new();
    for action in given {
        let action = match action {
            Value::Object(action) if action.len() == 1 => action.into_iter().next(),
            _ => None,
        };
        match action {
            Some((kind, Value::Object(about))) => {
                actions.extend(self::actions(&state, &kind, about).await?);
            }
            _ => {
                return Err(ApiError::illegal_argument(
                    "an action is an object of one field: [add], [remove] or [remove_index]",
                ));
            }
        }
    }
    state.jobs.update_aliases(actions).await?;
    Ok(acknowledged())
}

/// What an action says of indices and an alias.
#[derive(Default)]
struct About {
    indices: Vec<String>,
    aliases: Vec<String>,
    settings: index::Alias,
    must_exist: Option<bool>,
}

impl About {
    /// Whether the field is one of these.
    fn take(&mut self, name: &str, value: Value) -> Result<bool> {
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(ApiError::illegal_argument(format!(
                "[{name}] of an alias must be a text"
            ))),
        };
        let flag = |value: &Value| match value {
            Value::Bool(flag) => Ok(Some(*flag)),
            Value::Null => Ok(None),
            value => match value.as_str() {
                Some("true") => Ok(Some(true)),
                Some("false") => Ok(Some(false)),
                _ => Err(ApiError::no_bool(&value.to_string())),
            },
        };
        let texts = |value: &Value| match value {
            Value::Array(all) => all.iter().map(text).collect(),
            one => Ok(vec![text(one)?]),
        };
        let settings = &mut self.settings;
        match name {
            "index" | "indices" => self.indices = texts(&value)?,
            "alias" | "aliases" => self.aliases = texts(&value)?,
            "filter" if value.is_null() => {}
            "filter" => settings.filter = Some(value),
            "routing" => {
                let routing = text(&value)?;
                settings.index_routing = Some(routing.clone());
                settings.search_routing = Some(routing);
            }
            "index_routing" | "index-routing" | "indexRouting" => {
                settings.index_routing = Some(text(&value)?);
            }
            "search_routing" | "search-routing" | "searchRouting" => {
                settings.search_routing = Some(text(&value)?);
            }
            "is_write_index" => settings.is_write_index = flag(&value)?,
            "is_hidden" => settings.is_hidden = flag(&value)?,
            "must_exist" => self.must_exist = flag(&value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

async fn actions(
    state: &ApiState,
    kind: &str,
    fields: Map<String, Value>,
) -> Result<Vec<AliasAction>> {
    let mut about = About::default();
    for (name, value) in fields {
        if !about.take(&name, value)? {
            return Err(ApiError(body::x_content(format!(
                "[1:1] [{kind}] unknown field [{name}]"
            ))));
        }
    }
    if about.indices.is_empty() {
        return Err(ApiError::illegal_argument(
            "One of [index] or [indices] is required",
        ));
    }
    if about.aliases.is_empty() && kind != "remove_index" {
        return Err(ApiError::illegal_argument(
            "One of [alias] or [aliases] is required",
        ));
    }
    let indices = targets(state, &about.indices.join(",")).await?;
    match kind {
        "add" => Ok(indices
            .iter()
            .flat_map(|index| {
                about.aliases.iter().map(|alias| AliasAction::Add {
                    index: index.clone(),
                    alias: alias.clone(),
                    settings: about.settings.clone(),
                })
            })
            .collect()),
        "remove" => removals(
            state,
            &indices,
            &about.aliases,
            about.must_exist.unwrap_or(true),
        ),
        "remove_index" => Ok(indices
            .into_iter()
            .map(|index| AliasAction::RemoveIndex { index })
            .collect()),
        other => Err(ApiError(body::x_content(format!(
            "[1:1] [alias_action] unknown field [{other}]"
        )))),
    }
}
