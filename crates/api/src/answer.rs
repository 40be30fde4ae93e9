//! What every request is checked for before its handler, and every answer is given on its way out.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, PrettyFormatter};

use crate::error::{self, ApiError, Result, plain};
use crate::filter::Filter;
use crate::{PRODUCT, escape, human, media};

/// How the answer is to look.
#[derive(Default)]
struct Look {
    pretty: bool,
    human: bool,
    error_trace: bool,
    filter: Option<Filter>,
}

impl Look {
    fn of(uri: &Uri) -> Result<Self> {
        let mut look = Self::default();
        for (name, value) in escape::pairs(uri.query().unwrap_or_default())? {
            let flag = || match value.as_str() {
                "true" | "" => Ok(true),
                "false" => Ok(false),
                text => Err(ApiError::no_bool(text)),
            };
            match name.as_str() {
                "pretty" => look.pretty = flag()?,
                "human" => look.human = flag()?,
                "error_trace" => look.error_trace = flag()?,
                "filter_path" if value.len() > Filter::LONGEST => {
                    return Err(ApiError::illegal_argument(format!(
                        "[filter_path] cannot be longer than [{}] characters",
                        Filter::LONGEST
                    )));
                }
                "filter_path" => look.filter = Filter::parse(&value),
                _ => {}
            }
        }
        Ok(look)
    }

    /// An answer of JSON, rewritten.
    fn of_answer(&self, bytes: &[u8], is_error: bool) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        if self.human {
            human::add(&mut value);
        }
        if is_error {
            if self.error_trace {
                error::add_trace(&mut value);
            }
        } else if let Some(filter) = &self.filter {
            value = filter.apply(value);
        }
        if !self.pretty {
            return serde_json::to_vec(&value).ok();
        }
        let mut text = Vec::new();
        let mut serializer =
            serde_json::Serializer::with_formatter(&mut text, Pretty(PrettyFormatter::new()));
        value.serialize(&mut serializer).ok()?;
        text.push(b'\n');
        Some(text)
    }
}

/// Elasticsearch has a blank before the colon.
struct Pretty(PrettyFormatter<'static>);

impl Formatter for Pretty {
    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
    ) -> std::io::Result<()> {
        to.write_all(b" : ")
    }

    fn begin_array<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        self.0.begin_array(to)
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        self.0.end_array(to)
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.0.begin_array_value(to, first)
    }

    fn end_array_value<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        self.0.end_array_value(to)
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        self.0.begin_object(to)
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        self.0.end_object(to)
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.0.begin_object_key(to, first)
    }

    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        self.0.end_object_value(to)
    }
}

/// Refuses what no handler should see, and gives the answer the look and the media type that were asked for.
pub async fn speak(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let (look, refused) = match Look::of(&uri) {
        Ok(look) => (look, None),
        Err(error) => (Look::default(), Some(error.into_response())),
    };
    let refused = refused
        .or_else(|| {
            escape::decode(uri.path(), false)
                .err()
                .map(IntoResponse::into_response)
        })
        .or_else(|| media::refuse(request.headers(), uri.query()));
    let accepted = media::answered(request.headers());
    let mut response = match refused {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    let is_json = response.headers().get(header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("application/json"));
    if !is_json {
        return response;
    }
    if let Some(accepted) = accepted {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, accepted);
    }
    let is_error = response.status().as_u16() >= 400;
    let filtered = look.filter.is_some() && !is_error;
    let traced = look.error_trace && is_error;
    if !(look.pretty || look.human || filtered || traced) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A body of ours: it is in memory already.
    let bytes = body.collect().await.map(|collected| collected.to_bytes());
    let bytes = bytes.unwrap_or_default();
    let body = match look.of_answer(&bytes, is_error) {
        Some(rewritten) => Body::from(rewritten),
        None => Body::from(bytes),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// A path has other methods.
fn not_allowed(method: &Method, uri: &Uri, response: &Response) -> Response {
    let allow = response.headers().get(header::ALLOW);
    let methods = allow
        .and_then(|allow| allow.to_str().ok())
        .unwrap_or_default();
    let told = match is_known(method) {
        true => format!("Incorrect HTTP method for uri [{uri}] and method [{method}]"),
        false => format!("Unexpected http method [{method}]"),
    };
    let mut answer = match *method {
        Method::OPTIONS => options(),
        _ => plain(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{told}, allowed: [{}]", methods.replace(',', ", ")),
        ),
    };
    if let Some(allow) = allow {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    answer
}

fn is_known(method: &Method) -> bool {
    [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::HEAD,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ]
    .contains(method)
}

fn options() -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=UTF-8");
    ([(header::CONTENT_TYPE, kind)], Body::empty()).into_response()
}

/// The answer where there is no such path.
pub async fn no_handler(method: Method, uri: Uri) -> Response {
    match method {
        Method::OPTIONS => options(),
        method if !is_known(&method) => plain(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("Unexpected http method [{method}]"),
        ),
        method => {
            let told = format!("no handler found for uri [{uri}] and method [{method}]");
            error::json_response(
                StatusCode::BAD_REQUEST,
                serde_json::json!({"error": told}).to_string(),
            )
        }
    }
}

fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri
        .path()
        .strip_suffix('/')
        .filter(|path| !path.is_empty())?;
    match uri.query() {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}

/// Says in every answer what clients look for before they believe the rest, and why there is none from a handler. It
/// stands outside of the routes: only there is it known which methods a path has.
pub async fn sign(mut request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    // A slash at the end of a path says nothing.
    if let Some(uri) = without_slash(&uri) {
        *request.uri_mut() = uri;
    }
    let encoding = request.headers().get(header::CONTENT_ENCODING).cloned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && response.headers().contains_key(header::ALLOW)
    {
        response = not_allowed(&method, &uri, &response);
    }
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        let encoding = encoding.as_ref().and_then(|value| value.to_str().ok());
        let told = format!(
            "Content-Encoding header [{}] is not supported",
            encoding.unwrap_or_default()
        );
        response = plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, told);
    }
    // The routes have done so to theirs.
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
        .headers_mut()
        .insert("x-elastic-product", HeaderValue::from_static(PRODUCT));
    response
}
