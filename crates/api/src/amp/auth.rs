//! Who may ask: where keys are configured, requests must be signed with one of them.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDateTime, Utc};

use super::detectors::read;
use super::error::AmpError;
use super::settings::Key;
use super::sigv4::{Authorization, Signed};
use crate::{ApiState, escape};

/// How far a client's clock may be from ours.
const SKEW_MINUTES: i64 = 5;
const SERVICE: &str = "aps";
const TIME: &str = "%Y%m%dT%H%M%SZ";

pub async fn guard(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let keys = state.amp.keys();
    if keys.is_empty() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let now = DateTime::from_timestamp_millis(state.jobs.now()).unwrap_or_default();
    let signed = Incoming {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body: &body,
    };
    match signed.check(keys, now) {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(error) => error.into_response(),
    }
}

struct Incoming<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

fn refuse(kind: &'static str, message: impl Into<String>) -> AmpError {
    AmpError::new(StatusCode::FORBIDDEN, kind, message)
}

impl Incoming<'_> {
    fn check(&self, keys: &[Key], now: DateTime<Utc>) -> Result<(), AmpError> {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(header) = text(header::AUTHORIZATION.as_str()) else {
            return Err(refuse(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ));
        };
        let incomplete = |told: String| {
            AmpError::new(
                StatusCode::BAD_REQUEST,
                "IncompleteSignatureException",
                told,
            )
        };
        let authorization = Authorization::parse(header).map_err(incomplete)?;
        let Some(time) = text("x-amz-date") else {
            return Err(incomplete(format!(
                "Authorization header requires existence of 'X-Amz-Date' header. Authorization={header}"
            )));
        };
        let signed = |name: &str| authorization.signed_headers.iter().any(|h| h == name);
        if !signed("host") || !signed("x-amz-date") {
            return Err(incomplete(format!(
                "'Host' and 'X-Amz-Date' must be signed. Authorization={header}"
            )));
        }
        let invalid = |told: String| refuse("InvalidSignatureException", told);
        check_time(time, &authorization.date, now).map_err(invalid)?;
        if authorization.service != SERVICE {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        let key = keys
            .iter()
            .find(|key| key.access_key_id == authorization.access_key_id);
        let Some(key) = key else {
            return Err(refuse(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ));
        };
        let headers = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers: Vec<(&str, &str)> = headers.collect();
        let request = Signed {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: &headers,
            time,
            body: self.body,
        };
        if !authorization.is_of(request, key.secret_access_key.reveal()) {
            return Err(invalid(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details."
                    .to_owned(),
            ));
        }
        self.check_workspace(key)
    }

    /// A key may be for some workspaces only.
    fn check_workspace(&self, key: &Key) -> Result<(), AmpError> {
        let Some(allowed) = &key.workspaces else {
            return Ok(());
        };
        let path = escape::decode(self.path, false).unwrap_or_default();
        let mut parts = path.split('/').skip(1);
        // The path's, or the ARN's: `arn:..:anomalydetector/{workspace}/{detector}`.
        let workspace = match parts.next() {
            Some("workspaces") => parts.next(),
            Some("tags") => parts.nth(1),
            _ => None,
        };
        match workspace {
            Some(workspace) if allowed.iter().any(|one| one == workspace) => Ok(()),
            _ => Err(AmpError::access_denied(format!(
                "User: {} is not authorized to perform this action on resource: {}",
                key.access_key_id,
                workspace.unwrap_or("*")
            ))),
        }
    }
}

fn check_time(time: &str, date: &str, now: DateTime<Utc>) -> Result<(), String> {
    let Ok(at) = NaiveDateTime::parse_from_str(time, TIME) else {
        return Err(format!(
            "Date must be in ISO-8601 'basic format'. Got '{time}'."
        ));
    };
    if !time.starts_with(date) || date.len() != 8 {
        return Err(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != \
             '{time}'."
        ));
    }
    let skew = chrono::Duration::minutes(SKEW_MINUTES);
    let (at, shown) = (at.and_utc(), now.format(TIME));
    if at < now - skew {
        let earliest = (now - skew).format(TIME);
        return Err(format!(
            "Signature expired: {time} is now earlier than {earliest} ({shown} - {SKEW_MINUTES} min.)"
        ));
    }
    if at > now + skew {
        let latest = (now + skew).format(TIME);
        return Err(format!(
            "Signature not yet current: {time} is still later than {latest} ({shown} + {SKEW_MINUTES} min.)"
        ));
    }
    Ok(())
}
