//! An Elasticsearch or OpenSearch: what it is, what it can do, and what it says when it can't.

use std::fmt;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::source::SourceError;
use crate::source::http::{Answer, Http, JSON};
use crate::source::settings::Endpoint;

/// A cluster that is read from.
#[derive(Debug)]
pub(crate) struct Server {
    http: Http,
    version: OnceCell<Version>,
    /// Never a point in time.
    scroll: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Product {
    Elasticsearch,
    OpenSearch,
}

/// Which server it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    product: Product,
    number: (u32, u32),
    text: String,
}

/// How documents are read that stay as they are while they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// A point in time, in which a document's place is told by time and shard.
    Exact,
    /// A point in time that tells places by time alone.
    ByTime,
    Scroll,
}

/// What the server refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub kind: String,
    pub reason: String,
    /// The index that isn't there.
    pub index: Option<String>,
    /// The point in time or the scroll isn't there any more.
    pub is_lost: bool,
}

#[derive(Debug)]
pub(super) enum Failure {
    Source(SourceError),
    Refused(Refusal),
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl Server {
    /// # Errors
    /// What is wrong in the settings.
    pub fn new(endpoint: &Endpoint) -> Result<Self, String> {
        if endpoint.workspace.is_some() {
            return Err("workspace is Prometheus's".to_owned());
        }
        Ok(Self {
            http: Http::new(endpoint)?,
            version: OnceCell::new(),
            scroll: endpoint.scroll,
        })
    }

    pub(super) async fn version(&self) -> Outcome<&Version> {
        let ask = async {
            let body = self.ask(Method::GET, "/", None).await?;
            Version::read(&body).ok_or_else(|| {
                Failure::Source(SourceError::refused(
                    400,
                    "what answers is neither Elasticsearch nor OpenSearch",
                ))
            })
        };
        self.version.get_or_try_init(|| ask).await
    }

    pub(super) async fn hold(&self) -> Outcome<Hold> {
        let hold = self.version().await?.hold();
        Ok(if self.scroll { Hold::Scroll } else { hold })
    }

    /// Sends a request; the answer's body.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Outcome<Vec<u8>> {
        let body = body.map(|body| body.to_string().into_bytes());
        let sent = self.http.send(method, path, JSON, body.unwrap_or_default());
        let answer = sent.await.map_err(Failure::Source)?;
        if answer.status.is_success() {
            Ok(answer.body)
        } else {
            Err(Failure::Refused(Refusal::read(&answer)))
        }
    }
}

impl Version {
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let version = &body["version"];
        let number = version["number"].as_str()?;
        let mut parts = number.split(['.', '-']).map(str::parse);
        let (Ok(major), Ok(minor)) = (parts.next()?, parts.next()?) else {
            return None;
        };
        let product = match version["distribution"].as_str() {
            Some("opensearch") => Product::OpenSearch,
            _ => Product::Elasticsearch,
        };
        Some(Self {
            product,
            number: (major, minor),
            text: number.to_owned(),
        })
    }

    fn hold(&self) -> Hold {
        match (self.product, self.number) {
            (Product::Elasticsearch, (7, 12..) | (8.., _)) => Hold::Exact,
            (Product::OpenSearch, (3, 3..) | (4.., _)) => Hold::Exact,
            (Product::OpenSearch, (2, 4..) | (3.., _)) => Hold::ByTime,
            _ => Hold::Scroll,
        }
    }

    pub fn is_opensearch(&self) -> bool {
        self.product == Product::OpenSearch
    }

    /// Fields that a search makes up for itself.
    pub fn knows_runtime_mappings(&self) -> bool {
        !self.is_opensearch() && self.number >= (7, 11)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.product, self.text)
    }
}

impl Refusal {
    fn read(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let error = &body["error"];
        let root = &error["root_cause"][0];
        let status = answer.status;
        let lost = "search_context_missing_exception";
        Self {
            status: status.as_u16(),
            kind: error["type"].as_str().unwrap_or_default().to_owned(),
            reason: reason(error).unwrap_or_else(|| plain(status, &answer.body)),
            index: root["index"].as_str().map(str::to_owned),
            // A scroll that is lost is only told of by a failed shard.
            is_lost: status == StatusCode::NOT_FOUND
                && String::from_utf8_lossy(&answer.body).contains(lost),
        }
    }

    /// Whether the same request may be answered another time.
    fn may_pass(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..) || self.is_lost
    }
}

/// The reason of an error and of what is behind it, each once.
fn reason(error: &Value) -> Option<String> {
    if let Some(text) = error.as_str() {
        return Some(text.to_owned());
    }
    let mut reasons: Vec<&str> = vec![error["reason"].as_str()?];
    let root = &error["root_cause"][0];
    for mut at in [root, &error["failed_shards"][0]["reason"], error] {
        while !at.is_null() {
            if let Some(reason) = at["reason"].as_str()
                && !reasons.contains(&reason)
            {
                reasons.push(reason);
            }
            at = &at["caused_by"];
        }
    }
    Some(reasons.join(": "))
}

/// What a server in between says, or nothing but the status.
fn plain(status: StatusCode, body: &[u8]) -> String {
    match String::from_utf8_lossy(body).trim() {
        "" => status.to_string(),
        text => format!("{status}: {}", text.chars().take(300).collect::<String>()),
    }
}

/// Types of errors as they are passed on.
const KINDS: [&str; 9] = [
    "illegal_argument_exception",
    "index_closed_exception",
    "index_not_found_exception",
    "parsing_exception",
    "query_shard_exception",
    "script_exception",
    "search_phase_execution_exception",
    "security_exception",
    "x_content_parse_exception",
];

impl From<Failure> for SourceError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Source(error) => error,
            Failure::Refused(refusal) if refusal.may_pass() => {
                Self::Unavailable(format!("{} ({})", refusal.reason, refusal.status))
            }
            Failure::Refused(refusal) => Self::Refused {
                status: refusal.status.max(400),
                kind: KINDS
                    .into_iter()
                    .find(|kind| *kind == refusal.kind)
                    .unwrap_or("status_exception"),
                reason: refusal.reason,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(distribution: &str, number: &str) -> Version {
        let body = format!(
            r#"{{"version": {{"number": "{number}"{}}}}}"#,
            match distribution {
                "" => String::new(),
                name => format!(r#", "distribution": "{name}""#),
            }
        );
        Version::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn servers_are_told_apart() {
        for (distribution, number, hold, runtime) in [
            ("", "7.17.28", Hold::Exact, true),
            ("", "7.10.2", Hold::Scroll, false),
            ("", "9.2.0-SNAPSHOT", Hold::Exact, true),
            ("opensearch", "1.3.20", Hold::Scroll, false),
            ("opensearch", "2.3.0", Hold::Scroll, false),
            ("opensearch", "2.19.2", Hold::ByTime, false),
            ("opensearch", "3.3.0", Hold::Exact, false),
        ] {
            let version = version(distribution, number);
            let known = (version.hold(), version.knows_runtime_mappings());
            assert_eq!(known, (hold, runtime), "{version}");
        }
        assert_eq!(
            version("opensearch", "2.19.2").to_string(),
            "OpenSearch 2.19.2"
        );
        assert!(Version::read(b"<html>").is_none());
    }

    #[test]
    fn a_refusal_tells_its_causes_once() {
        let body = serde_json::json!({"error": {
            "root_cause": [{"type": "script_exception", "reason": "compile error"}],
            "type": "search_phase_execution_exception", "reason": "all shards failed",
            "failed_shards": [{"reason": {"type": "script_exception", "reason": "compile error",
                "caused_by": {"type": "x", "reason": "no such method"}}}]}, "status": 400});
        let refusal = |status: u16, body: &[u8]| {
            Refusal::read(&Answer {
                status: StatusCode::from_u16(status).unwrap(),
                body: body.to_vec(),
            })
        };
        let told = SourceError::from(Failure::Refused(refusal(400, body.to_string().as_bytes())));
        let reason = "all shards failed: compile error: no such method";
        let expected = SourceError::Refused {
            status: 400,
            kind: "search_phase_execution_exception",
            reason: reason.to_owned(),
        };
        assert_eq!(told, expected);
        let told = SourceError::from(Failure::Refused(refusal(429, body.to_string().as_bytes())));
        assert_eq!(told, SourceError::Unavailable(format!("{reason} (429)")));
        let told = SourceError::from(Failure::Refused(refusal(502, b"")));
        assert_eq!(
            told,
            SourceError::Unavailable("502 Bad Gateway (502)".to_owned())
        );
    }
}
