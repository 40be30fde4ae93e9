//! What every request of these dialects brings with it.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Uri, header};
use serde_json::{Map, Value};

use super::LATEST;
use super::dialect::Dialect;
use crate::error::{ApiError, Result};
use crate::{ApiState, body, escape};

/// A request but for its path and body.
pub struct Call {
    pub state: ApiState,
    pub dialect: Dialect,
    pub query: Query,
    pub uri: Uri,
    /// OpenSearch's dashboards ask: what they keep with a detector is told to them alone.
    pub to_dashboards: bool,
}

impl FromRequestParts<ApiState> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self> {
        let agent = parts.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        let dialect = parts.extensions.get::<Dialect>().copied();
        Ok(Self {
            state: state.clone(),
            dialect: dialect.unwrap_or_default(),
            query: Query::of(&parts.uri)?,
            uri: parts.uri.clone(),
            to_dashboards: agent.is_some_and(|agent| agent.contains("OpenSearch Dashboards")),
        })
    }
}

/// The parameters of a request; those that nobody knows are left alone.
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn of(uri: &Uri) -> Result<Self> {
        Ok(Self(escape::pairs(uri.query().unwrap_or_default())?))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().rfind(|(given, _)| given == name);
        given.map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(ApiError::no_bool(other)),
        }
    }

    pub fn whole(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let read = text.parse().map(Some);
        read.map_err(|_| {
            ApiError::illegal_argument(format!(
                "Failed to parse int parameter [{name}] with value [{text}]"
            ))
        })
    }
}

/// The body of a request, an object; an empty one where there is none.
pub struct Object(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        object(request.into_body()).await.map(Self)
    }
}

pub async fn object(body: axum::body::Body) -> Result<Map<String, Value>> {
    let bytes = body::read(body).await?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Map::new()),
        false => body::object(&bytes),
    }
}

/// A number of a body, or a text that is one.
pub fn number(body: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = body.get(name)?;
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_i64().or(text)
}

/// A time of a body, epoch milliseconds.
pub fn time(body: &Map<String, Value>, name: &str) -> Option<i64> {
    number(body, name).filter(|time| (0..=LATEST).contains(time))
}
