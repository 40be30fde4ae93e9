//! Media types, and the versions of the API in them.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tidewatch_jobs::JobError;

use crate::error::{ApiError, plain};
use crate::{VERSION, escape};

/// Versions whose clients are served: the one that is spoken here and the one before.
const CURRENT: u32 = 9;
const PREVIOUS: u32 = 8;
/// Formats of Elasticsearch's that are not spoken here.
const UNSPOKEN: [&str; 3] = ["yaml", "cbor", "smile"];

/// A media type of a request, in lower case.
struct Media {
    /// Less the vendor's part: `application/json`.
    kind: String,
    parameters: Vec<(String, String)>,
}

impl Media {
    /// None where any type will do.
    fn parse(text: &str) -> Result<Option<Self>, JobError> {
        if text.contains(',') || text.contains("*/*") {
            return Ok(None);
        }
        let lower = text.to_lowercase();
        let mut parts = lower.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let is_token = |text: &str| {
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            !text.is_empty() && text.bytes().all(token)
        };
        match kind.split_once('/') {
            Some((class, name)) if is_token(class) && is_token(name) => {}
            _ => {
                return Err(JobError::illegal_argument(format!(
                    "invalid media-type [{text}]"
                )));
            }
        }
        let mut parameters = Vec::new();
        for part in parts.filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((name, value)) if is_token(name) && is_token(value) => {
                    parameters.push((name.to_owned(), value.to_owned()));
                }
                _ => {
                    let told = format!("invalid parameters for header [{text}]");
                    return Err(JobError::illegal_argument(told));
                }
            }
        }
        let kind = kind.replacen("application/vnd.elasticsearch+", "application/", 1);
        Ok(Some(Self { kind, parameters }))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn version(&self) -> Option<u32> {
        self.parameter("compatible-with")?.parse().ok()
    }

    /// Whether a body of this type can be read.
    fn is_read(&self) -> bool {
        let known = |(name, value): &(String, String)| match name.as_str() {
            "charset" => value == "utf-8",
            "compatible-with" => value.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
        matches!(
            self.kind.as_str(),
            "application/json" | "application/x-ndjson"
        ) && self.parameters.iter().all(known)
    }
}

/// Whether a text of this type can be read.
pub fn is_json(text: &str) -> bool {
    matches!(Media::parse(text), Ok(Some(media)) if media.is_read())
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A header that can't be read or believed.
fn invalid(names: &str, cause: JobError) -> Response {
    let reason = format!("Invalid media-type value on headers [{names}]");
    let error = ApiError::new(
        StatusCode::BAD_REQUEST,
        "media_type_header_exception",
        reason,
    );
    ApiError(error.0.because(cause)).into_response()
}

/// The refusal of media types that can't be read or answered, if they are to be refused.
pub fn refuse(headers: &HeaderMap, query: Option<&str>) -> Option<Response> {
    let mut given = Vec::new();
    for (name, header) in [
        ("Accept", header::ACCEPT),
        ("Content-Type", header::CONTENT_TYPE),
    ] {
        match headers
            .get(&header)
            .map(|value| value.to_str().unwrap_or("\u{fffd}"))
        {
            None => given.push(None),
            Some(text) if text.trim().is_empty() => {
                let told = format!("Header [{name}] cannot be empty.");
                return Some(invalid(name, JobError::illegal_argument(told)));
            }
            Some(text) => match Media::parse(text) {
                Ok(media) => given.push(media),
                Err(cause) => return Some(invalid(name, cause)),
            },
        }
    }
    let content = given.pop().flatten();
    let accept = given.pop().flatten();
    // One in chunks may be empty, as some clients send it: without a type it isn't known to be there.
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        && headers.contains_key(header::CONTENT_TYPE)
        || text(headers, &header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if let Err(told) = check_versions(headers, accept.as_ref(), content.as_ref(), has_body) {
        return Some(invalid("Accept, Content-Type", JobError::bad_request(told)));
    }
    if has_body && !content.is_some_and(|content| content.is_read()) {
        let told = match text(headers, &header::CONTENT_TYPE) {
            Some(content) => format!("Content-Type header [{content}] is not supported"),
            None => "Content-Type header is missing".to_owned(),
        };
        return Some(plain(StatusCode::NOT_ACCEPTABLE, told));
    }
    let unspoken = |kind: &str| UNSPOKEN.contains(&kind);
    if let Some(accept) = accept
        && accept
            .kind
            .strip_prefix("application/")
            .is_some_and(unspoken)
    {
        let told = format!("Accept header [{}] is not supported", accept.kind);
        return Some(plain(StatusCode::NOT_ACCEPTABLE, told));
    }
    let pairs = escape::pairs(query.unwrap_or_default()).unwrap_or_default();
    let format = pairs
        .iter()
        .find(|(name, format)| name == "format" && unspoken(format));
    let told = format!("format [{}] is not supported", format?.1);
    Some(plain(StatusCode::NOT_ACCEPTABLE, told))
}

/// Both headers are to be of one version that is served.
fn check_versions(
    headers: &HeaderMap,
    accept: Option<&Media>,
    content: Option<&Media>,
    has_body: bool,
) -> Result<(), String> {
    let shown = |name| text(headers, name).unwrap_or("null");
    let (accept_text, content_text) = (shown(&header::ACCEPT), shown(&header::CONTENT_TYPE));
    let asked = accept.and_then(Media::version);
    let given = content.and_then(Media::version);
    let versions = [
        ("Accept", asked, accept_text),
        ("Content-Type", given, content_text),
    ];
    for (name, version, whole) in versions.into_iter().take(if has_body { 2 } else { 1 }) {
        if let Some(found) = version
            && ![CURRENT, PREVIOUS].contains(&found)
        {
            return Err(format!(
                "{name} version must be either version {CURRENT} or {PREVIOUS}, but found {found}. {name}={whole}"
            ));
        }
    }
    if !has_body || asked == given {
        return Ok(());
    }
    let both = "A compatible version is required on both Content-Type and Accept headers if either one has requested a \
                compatible version";
    let headers = format!("Accept={accept_text}, Content-Type={content_text}");
    match asked.unwrap_or(CURRENT) == given.unwrap_or(CURRENT) {
        true => Err(format!("{both}. {headers}")),
        false => Err(format!(
            "{both} and the compatible versions must match. {headers}"
        )),
    }
}

/// The vendor's type to answer in, where one was asked for.
pub fn answered(headers: &HeaderMap) -> Option<HeaderValue> {
    let accept = Media::parse(text(headers, &header::ACCEPT)?).ok()??;
    let version = accept.version()?;
    let kind = format!("application/vnd.elasticsearch+json;compatible-with={version}");
    HeaderValue::from_str(&kind).ok()
}

/// Adds a deprecation warning to an answer.
pub fn warn(response: &mut Response, message: &str) {
    let text = format!(
        "299 Elasticsearch-{VERSION}-{} \"{}\"",
        crate::cluster::BUILD_HASH,
        message.replace('"', "\\\"")
    );
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::WARNING, value);
    }
}
