//! A server that is asked over HTTP: its addresses, whom it is trusted to be, and who we say that we are.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, redirect};

use super::SourceError;
use super::settings::Endpoint;

const CONNECT: Duration = Duration::from_secs(10);
/// For one request and its answer; a large page of a busy cluster takes its time.
const ANSWER: Duration = Duration::from_secs(300);
/// The longest answer that is taken, unpacked.
const MAX_ANSWER: usize = 256 << 20;

pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A client of one server, or of the nodes of one cluster.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    urls: Vec<String>,
    /// The address that answered last.
    current: AtomicUsize,
    max_answer: usize,
}

/// What came back, whatever it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

impl Http {
    /// # Errors
    /// What is wrong in the settings.
    pub fn new(endpoint: &Endpoint) -> Result<Self, String> {
        let urls = endpoint.url.0.iter().map(|url| address(url));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err("url names no server".to_owned());
        }
        let timeout = match &endpoint.timeout {
            None => ANSWER,
            Some(text) => time(text).ok_or_else(|| format!("timeout: [{text}] is no time"))?,
        };
        // As the rest of tidewatch has it; only the first call can set it, and all would set the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent(concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(endpoint)?)
            .connect_timeout(CONNECT)
            .timeout(timeout)
            // Where a login goes is said by whoever has it, not by a server or the environment.
            .redirect(redirect::Policy::none())
            .no_proxy();
        if let Some(path) = &endpoint.ca {
            let shown = path.display();
            let pem = std::fs::read(path).map_err(|error| format!("ca: {shown}: {error}"))?;
            let authorities = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if authorities.is_empty() {
                return Err(format!("ca: {shown} has no certificate in PEM form"));
            }
            client = client.tls_certs_only(authorities);
        }
        if endpoint.insecure {
            client = client.tls_danger_accept_invalid_certs(true);
        }
        Ok(Self {
            client: client.build().map_err(|error| because(&error))?,
            urls,
            current: AtomicUsize::new(0),
            max_answer: MAX_ANSWER,
        })
    }

    /// Sends a request to the address that answered last, and to the next one where there is no connection. A request
    /// that may have been heard is not sent again: the next page of a scroll is given once.
    ///
    /// # Errors
    /// Unavailable where there is no answer, and Refused where it is too long.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: Vec<u8>,
    ) -> Result<Answer, SourceError> {
        let kind = [(CONTENT_TYPE, HeaderValue::from_static(kind))];
        let headers = if body.is_empty() { &[][..] } else { &kind };
        self.send_as(method, path, headers, body).await
    }

    /// Same, with headers that say what the body is.
    pub async fn send_as(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Vec<u8>,
    ) -> Result<Answer, SourceError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failed = String::new();
        for attempt in 0..self.urls.len() {
            let at = (first + attempt) % self.urls.len();
            let url = format!("{}{path}", self.urls[at]);
            let mut request = self.client.request(method.clone(), url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if !body.is_empty() {
                request = request.body(body.clone());
            }
            let error = match request.send().await {
                Ok(response) => {
                    self.current.store(at, Ordering::Relaxed);
                    return self.take(response).await;
                }
                Err(error) => error,
            };
            let separator = if failed.is_empty() { "" } else { "; " };
            // Writing to a String can't fail.
            let _ = write!(failed, "{separator}{}: {}", self.urls[at], because(&error));
            if !error.is_connect() {
                break;
            }
        }
        Err(SourceError::Unavailable(failed))
    }

    async fn take(&self, mut response: reqwest::Response) -> Result<Answer, SourceError> {
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(Answer { status, body }),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => {
                    let url = response.url().origin().ascii_serialization();
                    let reason = format!("{url}: {}", because(&error));
                    return Err(SourceError::Unavailable(reason));
                }
            }
            if body.len() > self.max_answer {
                return Err(SourceError::refused(
                    400,
                    format!(
                        "an answer of more than [{}mb] can't be read: ask for less at a time",
                        self.max_answer >> 20
                    ),
                ));
            }
        }
    }
}

fn headers(endpoint: &Endpoint) -> Result<HeaderMap, String> {
    let login = match (
        &endpoint.username,
        &endpoint.password,
        &endpoint.api_key,
        &endpoint.bearer_token,
    ) {
        (None, None, None, None) => None,
        (Some(user), Some(password), None, None) => {
            let login = STANDARD.encode(format!("{user}:{}", password.reveal()));
            Some(format!("Basic {login}"))
        }
        (None, None, Some(key), None) => Some(format!("ApiKey {}", encoded_key(key.reveal()))),
        (None, None, None, Some(token)) => Some(format!("Bearer {}", token.reveal())),
        _ => {
            return Err(
                "give username and password, or api_key, or bearer_token, or none".to_owned(),
            );
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(JSON));
    if let Some(login) = login {
        let mut login = HeaderValue::from_str(&login)
            .map_err(|_| "the login has characters that no header can hold".to_owned())?;
        login.set_sensitive(true);
        headers.insert(AUTHORIZATION, login);
    }
    Ok(headers)
}

/// An address that paths can be put behind.
fn address(url: &str) -> Result<String, String> {
    let parsed = reqwest::Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(parsed) = parsed else {
        return Err(format!("url: [{url}] is no http:// or https:// address"));
    };
    // The address is shown where it can't be reached.
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("url: logins are given by username and password".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(format!("url: [{url}] has more than an address and a path"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whole seconds, minutes or milliseconds.
fn time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    match &text[digits.len()..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
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

/// What went wrong, down to the last cause, which says most.
fn because(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// A part of a path: an index expression or an id.
pub(super) fn encoded(part: &str) -> String {
    let mut to = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'*' | b',' => {
                to.push(char::from(byte));
            }
            // Writing to a String can't fail.
            _ => {
                let _ = write!(to, "%{byte:02X}");
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::settings::{Secret, Urls};

    fn endpoint(url: &str) -> Endpoint {
        Endpoint {
            url: Urls(vec![url.to_owned()]),
            ..Endpoint::default()
        }
    }

    #[test]
    fn wrong_settings_are_told_and_secrets_are_not() {
        let wrong = |endpoint: Endpoint| Http::new(&endpoint).unwrap_err();
        assert_eq!(
            wrong(endpoint("ftp://a")),
            "url: [ftp://a] is no http:// or https:// address"
        );
        assert!(!wrong(endpoint("http://me:sesame@a:1")).contains("sesame"));
        assert_eq!(wrong(Endpoint::default()), "url names no server");
        let both = Endpoint {
            password: Some(Secret::new("sesame")),
            ..endpoint("http://a")
        };
        assert!(!format!("{both:?}").contains("sesame"));
        assert!(!serde_json::to_string(&both).unwrap().contains("sesame"));
        assert!(wrong(both).contains("give username and password"));
        let timeout = Endpoint {
            timeout: Some("1w".to_owned()),
            ..endpoint("http://a")
        };
        assert_eq!(wrong(timeout), "timeout: [1w] is no time");
        let ca = Endpoint {
            ca: Some("/nowhere.pem".into()),
            ..endpoint("https://a")
        };
        assert!(wrong(ca).starts_with("ca: /nowhere.pem: "));
    }

    #[test]
    fn a_key_is_taken_in_both_forms() {
        assert_eq!(encoded_key("id:key"), "aWQ6a2V5");
        assert_eq!(encoded_key("aWQ6a2V5"), "aWQ6a2V5");
    }

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(encoded("web-*,<a-{now/d}>"), "web-*,%3Ca-%7Bnow%2Fd%7D%3E");
    }
}
