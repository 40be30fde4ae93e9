//! Media types, and what every answer says.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;

use crate::error::{ApiError, Result, plain};
use crate::filter::Filter;
use crate::{PRODUCT, VERSION};

/// Versions whose clients are served: the one that is spoken here and the one before.
const COMPATIBLE: [&str; 2] = ["8", "9"];

/// A media type of a request, as far as it matters.
struct Media<'a> {
    /// Less the vendor's part: `json`, `x-ndjson`.
    kind: &'a str,
    compatible_with: Option<&'a str>,
}

fn parse(text: &str) -> Option<Media<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next()?.strip_prefix("application/")?;
    let kind = kind.strip_prefix("vnd.elasticsearch+").unwrap_or(kind);
    let compatible_with = parts.find_map(|part| part.strip_prefix("compatible-with="));
    Some(Media {
        kind,
        compatible_with,
    })
}

/// Whether a body of this type can be read.
pub fn is_json(text: &str) -> bool {
    parse(text).is_some_and(|media| matches!(media.kind, "json" | "x-ndjson"))
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Refuses media types that can't be read or answered, and answers in the one that was asked for.
pub async fn speak(request: Request, next: Next) -> Response {
    let query: Vec<(String, String)> = axum::extract::Query::try_from_uri(request.uri())
        .map(|query| query.0)
        .unwrap_or_default();
    let asked = |name: &str| {
        query
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    };
    let pretty = matches!(asked("pretty"), Some("" | "true"));
    let filter = asked("filter_path")
        .filter(|text| text.len() <= Filter::LONGEST)
        .and_then(Filter::parse);
    let accepted = match check(&request) {
        Ok(accepted) => accepted,
        Err(error) => return error.into_response(),
    };
    let uri = request.uri().to_string();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = text(response.headers(), &header::ALLOW)
            .unwrap_or_default()
            .replace(',', ", ");
        let told = format!(
            "Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{allowed}]"
        );
        let allow = response.headers_mut().remove(header::ALLOW);
        response = plain(StatusCode::METHOD_NOT_ALLOWED, told);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let is_json = text(response.headers(), &header::CONTENT_TYPE) == Some("application/json");
    if is_json && let Some(accepted) = accepted {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, accepted);
    }
    if is_json && (pretty || filter.is_some()) {
        rewritten(response, filter, pretty).await
    } else {
        response
    }
}

/// The vendor's type to answer in, where one was asked for.
fn check(request: &Request) -> Result<Option<HeaderValue>> {
    let headers = request.headers();
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || text(headers, &header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        let content = text(headers, &header::CONTENT_TYPE);
        let media = content
            .and_then(parse)
            .filter(|media| matches!(media.kind, "json" | "x-ndjson"));
        match media {
            Some(media) => check_version("Content-Type", &media, content)?,
            None => {
                return Err(ApiError::new(
                    StatusCode::NOT_ACCEPTABLE,
                    "media_type_header_exception",
                    match content {
                        Some(content) => {
                            format!("Content-Type header [{content}] is not supported")
                        }
                        None => "Content-Type header is missing".to_owned(),
                    },
                ));
            }
        }
    }
    let Some(accept) = text(headers, &header::ACCEPT) else {
        return Ok(None);
    };
    let Some(media) = accept.split(',').find_map(|one| parse(one.trim())) else {
        return Ok(None);
    };
    check_version("Accept", &media, Some(accept))?;
    let Some(version) = media.compatible_with else {
        return Ok(None);
    };
    Ok(HeaderValue::from_str(&format!(
        "application/vnd.elasticsearch+json;compatible-with={version}"
    ))
    .ok())
}

fn check_version(name: &str, media: &Media<'_>, whole: Option<&str>) -> Result<()> {
    match media.compatible_with {
        Some(version) if !COMPATIBLE.contains(&version) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "media_type_header_exception",
            format!(
                "{name} version must be either version {} or {}, but found {version}. {name}={}",
                COMPATIBLE[1],
                COMPATIBLE[0],
                whole.unwrap_or_default()
            ),
        )),
        _ => Ok(()),
    }
}

/// An answer as the client wants to read it.
async fn rewritten(response: Response, filter: Option<Filter>, pretty: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    // A body of ours: it is in memory already.
    let bytes = body
        .collect()
        .await
        .map(|collected| collected.to_bytes())
        .unwrap_or_default();
    let rewrite = || {
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let value = match &filter {
            Some(filter) => filter.apply(value),
            None => value,
        };
        if pretty {
            serde_json::to_string_pretty(&value)
                .ok()
                .map(|text| text + "\n")
        } else {
            Some(value.to_string())
        }
    };
    let body = rewrite().map_or_else(|| Body::from(bytes.clone()), Body::from);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// Says in every answer what clients look for before they believe the rest.
pub async fn sign(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert("x-elastic-product", HeaderValue::from_static(PRODUCT));
    response
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
