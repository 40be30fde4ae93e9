//! Who may ask: where keys are configured, requests must be signed with one of them.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use tidewatch_datafeed::source::Secret;

use super::detectors::read;
use super::error::AmpError;
use super::settings::Key;
use super::sigv4::{Authorization, Signed};
use crate::{ApiState, escape};

/// How far a client's clock may be from ours.
const SKEW_MINUTES: i64 = 5;
/// How long a signed URL may be good for: a week.
const LONGEST_SECONDS: i64 = 604_800;
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

/// What a request says of who it is from, and when.
struct Claim<'a> {
    authorization: Authorization,
    /// `X-Amz-Date`.
    time: &'a str,
    /// How long it may be used.
    lasts: Duration,
    /// `X-Amz-Security-Token`.
    session_token: Option<&'a str>,
}

fn refuse(kind: &'static str, message: impl Into<String>) -> AmpError {
    AmpError::new(StatusCode::FORBIDDEN, kind, message)
}

fn incomplete(told: String) -> AmpError {
    AmpError::new(
        StatusCode::BAD_REQUEST,
        "IncompleteSignatureException",
        told,
    )
}

impl Incoming<'_> {
    fn check(&self, keys: &[Key], now: DateTime<Utc>) -> Result<(), AmpError> {
        let pairs = escape::pairs(self.query).map_err(|error| incomplete(error.0.reason))?;
        let claim = match self.text(header::AUTHORIZATION.as_str()) {
            Some(header) => self.claim_of_header(header)?,
            None if pairs.iter().any(|(name, _)| name == "X-Amz-Algorithm") => {
                claim_of_parameters(&pairs)?
            }
            None => {
                return Err(refuse(
                    "MissingAuthenticationTokenException",
                    "Missing Authentication Token",
                ));
            }
        };
        let (authorization, time) = (&claim.authorization, claim.time);
        let invalid = |told: String| refuse("InvalidSignatureException", told);
        check_time(&claim, now).map_err(invalid)?;
        if authorization.service != SERVICE {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        let is_meant = |key: &&Key| {
            let session_token = key.session_token.as_ref().map(Secret::reveal);
            key.access_key_id == authorization.access_key_id && session_token == claim.session_token
        };
        let Some(key) = keys.iter().find(is_meant) else {
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

    /// The one header of this name that is text.
    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn claim_of_header<'a>(&'a self, header: &str) -> Result<Claim<'a>, AmpError> {
        let authorization = Authorization::parse(header).map_err(incomplete)?;
        let Some(time) = self.text("x-amz-date") else {
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
        Ok(Claim {
            authorization,
            time,
            lasts: Duration::minutes(SKEW_MINUTES),
            session_token: self.text("x-amz-security-token"),
        })
    }

    /// A key may be for some workspaces only.
    fn check_workspace(&self, key: &Key) -> Result<(), AmpError> {
        let Some(allowed) = &key.workspaces else {
            return Ok(());
        };
        // What is escaped is within a part: a workspace's id may have a slash.
        let mut parts = self.path.split('/').skip(1);
        let mut next = || escape::decode(parts.next()?, false).ok();
        let workspace = match next().as_deref() {
            Some("workspaces") => next(),
            // An ARN: `arn:..:anomalydetector/{workspace}/{detector}`, or `arn:..:workspace/{workspace}`.
            Some("tags") => next().and_then(|arn| arn.split('/').nth(1).map(str::to_owned)),
            _ => None,
        };
        match workspace.as_deref() {
            Some(workspace) if allowed.iter().any(|one| one == workspace) => Ok(()),
            _ => Err(AmpError::access_denied(format!(
                "User: {} is not authorized to perform this action on resource: {}",
                key.access_key_id,
                workspace.as_deref().unwrap_or("*")
            ))),
        }
    }
}

/// Of a URL that was signed before it was handed on.
fn claim_of_parameters(pairs: &[(String, String)]) -> Result<Claim<'_>, AmpError> {
    let authorization = Authorization::of_parameters(pairs).map_err(incomplete)?;
    let find = |name: &str| {
        let found = pairs.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    };
    let missing = |name: &str| {
        incomplete(format!(
            "AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
        ))
    };
    let (time, expires) = ("X-Amz-Date", "X-Amz-Expires");
    let time = find(time).ok_or_else(|| missing(time))?;
    let lasts = find(expires).ok_or_else(|| missing(expires))?;
    let lasts = lasts.parse::<i64>().ok();
    let Some(lasts) = lasts.filter(|lasts| (1..=LONGEST_SECONDS).contains(lasts)) else {
        return Err(incomplete(format!(
            "X-Amz-Expires must be between 1 and {LONGEST_SECONDS} seconds"
        )));
    };
    if !authorization
        .signed_headers
        .iter()
        .any(|name| name == "host")
    {
        return Err(incomplete("'Host' must be signed.".to_owned()));
    }
    Ok(Claim {
        authorization,
        time,
        lasts: Duration::seconds(lasts),
        session_token: find("X-Amz-Security-Token"),
    })
}

fn check_time(claim: &Claim, now: DateTime<Utc>) -> Result<(), String> {
    let (time, date) = (claim.time, &claim.authorization.date);
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
    let (at, shown) = (at.and_utc(), now.format(TIME));
    if at < now - claim.lasts {
        let earliest = (now - claim.lasts).format(TIME);
        return Err(format!(
            "Signature expired: {time} is now earlier than {earliest} ({shown} - {} sec.)",
            claim.lasts.num_seconds()
        ));
    }
    let skew = Duration::minutes(SKEW_MINUTES);
    if at > now + skew {
        let latest = (now + skew).format(TIME);
        return Err(format!(
            "Signature not yet current: {time} is still later than {latest} ({shown} + {SKEW_MINUTES} min.)"
        ));
    }
    Ok(())
}
