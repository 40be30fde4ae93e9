//! `_update`: a part of one document goes over the rest.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use tidewatch_jobs::documents::Destination;
use tidewatch_store::index::Op;
use tidewatch_store::search::Shown;

use super::bulk::What;
use super::bulk::update::Update;
use super::get::{self, ShownParams};
use super::named::Refresh;
use super::one::{Asked, Conditions, IGNORED, LARGEST, carry_out, write};
use crate::error::{ApiError, Result};
use crate::params::Params;
use crate::{ApiState, body};

pub async fn update(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    #[derive(Deserialize)]
    struct Tries {
        retry_on_conflict: Option<i32>,
    }
    let mut params = Params::new(&uri)?.ignore(&IGNORED).ignore(&["lang"]);
    let mut conditions = Conditions::deserialize(&mut params)?;
    let shown = ShownParams::deserialize(&mut params)?;
    let tries = Tries::deserialize(&mut params)?.retry_on_conflict;
    let asked: Asked = params.read()?;
    let refresh = Refresh::parse(asked.refresh.as_deref())?;
    let bytes = body::read_up_to(body, LARGEST).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::parse("request body is required"));
    }
    let mut said = Update::parse(&bytes)?;
    said.update.retry_on_conflict = tries.unwrap_or(0).max(0).cast_unsigned();
    conditions.if_seq_no = conditions.if_seq_no.or(said.if_seq_no);
    conditions.if_primary_term = conditions.if_primary_term.or(said.if_primary_term);
    let shown = match said.source.or(shown.value()) {
        Some(source) => Some(Shown::parse(&source)?),
        None => None,
    };
    let checked = conditions.check(What::Update)?;
    let op = Op::Update(Box::new(said.update));
    let write = write(op, Some(id), Bytes::new(), &asked, checked);
    let done = carry_out(&state, &index, write, asked.require_alias, refresh).await?;
    let get = match (&shown, &done.destination) {
        (Some(shown), Destination::Own(index)) => get::of_update(index, &done.id, shown).await?,
        _ => None,
    };
    Ok(done.response(get.as_deref()))
}
