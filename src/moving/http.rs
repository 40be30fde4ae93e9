//! A server that is read from or written to: Elasticsearch or tidewatch, over HTTP or HTTPS.

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::{Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

const CONNECT: Duration = Duration::from_secs(10);
/// For one request and its answer; a large page of a busy cluster takes its time.
const ANSWER: Duration = Duration::from_secs(300);
/// Waits between attempts: half a second first, twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 6;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// How a client says who it is.
pub enum Login {
    ApiKey(String),
    Password { user: String, password: String },
}

/// Whom a client trusts to be the server.
pub enum Trust {
    /// The certificate authorities that everyone trusts
    Public,
    /// Those in a file (PEM)
    Authorities(Vec<Certificate<'static>>),
    Anyone,
}

impl Trust {
    pub fn in_file(path: &Path) -> anyhow::Result<Self> {
        let pem = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        let mut authorities = Vec::new();
        for item in parse_pem(&pem) {
            let item = item.with_context(|| format!("{} is no PEM file", path.display()))?;
            if let PemItem::Certificate(certificate) = item {
                authorities.push(certificate);
            }
        }
        if authorities.is_empty() {
            bail!("{} has no certificate in PEM form", path.display());
        }
        Ok(Self::Authorities(authorities))
    }
}

/// An answer that is no success, or none at all.
#[derive(Debug)]
pub enum Failure {
    /// The server can't be reached, or isn't understood.
    Unreachable { what: String, again: bool },
    /// What was asked was refused.
    Refused { status: u16, reason: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { what, .. } => f.write_str(what),
            Self::Refused {
                status: status @ 401,
                reason,
                ..
            } => write!(
                f,
                "{reason} ({status}); an API key (--api-key) or a user and a password are asked for"
            ),
            Self::Refused { status, reason, .. } => write!(f, "{reason} ({status})"),
        }
    }
}

impl std::error::Error for Failure {}

impl Failure {
    fn refused(status: StatusCode, text: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(text).unwrap_or_default();
        let error = &body["error"];
        let reason = match (chain(error), error.as_str()) {
            (Some(chain), _) => chain,
            (None, Some(reason)) => reason.to_owned(),
            (None, None) => match String::from_utf8_lossy(text).trim() {
                "" => status.canonical_reason().unwrap_or("refused").to_owned(),
                text => text.chars().take(300).collect(),
            },
        };
        Self::Refused {
            status: status.as_u16(),
            reason,
        }
    }

    /// Whether asking for something else would fare no better.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Refused { status: 401, .. }
        )
    }

    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// The reason of an error and of what caused it.
pub fn chain(error: &Value) -> Option<String> {
    let mut reasons: Vec<&str> = Vec::new();
    let mut at = error;
    while let Some(reason) = at["reason"].as_str() {
        reasons.push(reason);
        at = &at["caused_by"];
    }
    (!reasons.is_empty()).then(|| reasons.join(": "))
}

type Outcome<T> = std::result::Result<T, Failure>;

pub struct Remote {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
}

impl Remote {
    pub fn new(url: &str, login: Option<Login>, trust: Trust) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/');
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("[{url}] is no address of a server: it begins with neither http:// nor https://");
        }
        let tls = TlsConfig::builder();
        let tls = match trust {
            Trust::Public => tls,
            Trust::Authorities(certificates) => {
                tls.root_certs(RootCerts::new_with_certs(&certificates))
            }
            Trust::Anyone => tls.disable_verification(true),
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            // Where a login goes is said by whoever has it, not by a server.
            .max_redirects(0)
            .user_agent(concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .into();
        Ok(Self {
            agent,
            url: url.to_owned(),
            authorization: login.map(|login| match login {
                Login::ApiKey(key) => format!("ApiKey {}", encoded_key(&key)),
                Login::Password { user, password } => {
                    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
                }
            }),
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks once alone: who mistyped an address shall hear of it at once.
    pub fn greet(&self) -> Outcome<Value> {
        self.once("GET", "/", None)
    }

    pub fn get(&self, path: &str) -> Outcome<Value> {
        self.persist("GET", path, None)
    }

    /// Sends JSON, or nothing where `body` is null.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Outcome<Value> {
        match body {
            Value::Null => self.persist(method, path, None),
            body => self.persist(method, path, Some((JSON, body.to_string().as_bytes()))),
        }
    }

    /// Sends lines of JSON.
    pub fn send_lines(&self, path: &str, lines: &[u8]) -> Outcome<Value> {
        self.persist("POST", path, Some((NDJSON, lines)))
    }

    /// Asks again where the server is too busy, and where asking twice does no harm also when it wasn't heard.
    fn persist(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Outcome<Value> {
        let harmless = method == "GET" || path.ends_with("/_bulk") || path.ends_with("_search");
        let mut wait = FIRST_WAIT;
        for _ in 1..ATTEMPTS {
            match self.once(method, path, body) {
                Err(Failure::Refused {
                    status: 429 | 502..=504,
                    ..
                }) => {}
                Err(Failure::Unreachable { again: true, .. }) if harmless => {}
                outcome => return outcome,
            }
            thread::sleep(wait);
            wait *= 2;
        }
        self.once(method, path, body)
    }

    fn once(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Outcome<Value> {
        let unreachable = |error: ureq::Error| {
            let again = is_passing(&error);
            let hint = match error.to_string().contains("certificate") {
                true => "; whom to trust is said by --ca, or --insecure",
                false => "",
            };
            let what = format!("{method} {}{path}: {error}{hint}", self.url);
            Failure::Unreachable { what, again }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("accept", JSON);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let (kind, bytes) = body.unwrap_or_default();
        if body.is_some() {
            request = request.header("content-type", kind);
        }
        let answer = match method {
            "GET" => request
                .body(())
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
            _ => request
                .body(bytes)
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
        };
        let mut response = answer.map_err(unreachable)?;
        let text = response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::refused(status, &text));
        }
        serde_json::from_slice(&text).map_err(|error| Failure::Unreachable {
            what: format!(
                "{method} {}{path}: the answer is no JSON: {error}",
                self.url
            ),
            again: false,
        })
    }
}

/// Whether it may be better in a moment.
fn is_passing(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::InvalidData,
        ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}

/// Elasticsearch gives a key as `id` and `api_key`, and as both together in Base64, which is what it wants to hear.
fn encoded_key(key: &str) -> String {
    if key.contains(':') {
        STANDARD.encode(key)
    } else {
        key.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_taken_in_both_forms() {
        assert_eq!(encoded_key("id:key"), "aWQ6a2V5");
        assert_eq!(encoded_key("aWQ6a2V5"), "aWQ6a2V5");
    }

    #[test]
    fn a_refusal_tells_its_causes() {
        let body = json!({"error": {
            "type": "x_content_parse_exception", "reason": "[1:2] [job_details] failed to parse field [a]",
            "caused_by": {"type": "status_exception", "reason": "no"}}, "status": 400});
        let failure = Failure::refused(StatusCode::BAD_REQUEST, body.to_string().as_bytes());
        assert_eq!(
            failure.to_string(),
            "[1:2] [job_details] failed to parse field [a]: no (400)"
        );
        let text = Failure::refused(StatusCode::BAD_GATEWAY, b"");
        assert_eq!(text.to_string(), "Bad Gateway (502)");
    }
}
