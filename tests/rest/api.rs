//! The names of calls and the requests that they are.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::suite::{Call, text, texts};
use super::value::Stash;

/// Parameters that every call takes.
const EVERYWHERE: [&str; 7] = [
    "pretty",
    "human",
    "error_trace",
    "filter_path",
    "source",
    "format",
    "source_content_type",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Api {
    /// Methods and a path: `GET,POST /{index}/_search`.
    paths: Vec<String>,
    #[serde(default)]
    params: Vec<String>,
}

static APIS: LazyLock<BTreeMap<String, Api>> =
    LazyLock::new(|| serde_json::from_str(include_str!("apis.json")).expect("a table of APIs"));

pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

impl Request {
    /// The request that a call stands for, with what the case has kept put in.
    pub fn of(call: &Call, stash: &Stash) -> Result<Self, String> {
        let body = match &call.body {
            None | Some(Value::Null) => None,
            Some(body) => Some(body_text(body, stash)?),
        };
        let mut params = BTreeMap::new();
        for (name, value) in &call.params {
            params.insert(name.as_str(), texts(&stash.fill(value)?)?.join(","));
        }
        params.remove("ignore");
        let (method, path) = match call.api.as_str() {
            "raw" => {
                let mut take = |name| params.remove(name).ok_or(format!("raw without a {name}"));
                (take("method")?, take("path")?)
            }
            name => route(name, &mut params, body.is_some())?,
        };
        let query: Vec<String> = params
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let mut path = format!("/{}", path.trim_start_matches('/'));
        if !query.is_empty() {
            path += if path.contains('?') { "&" } else { "?" };
            path += &query.join("&");
        }
        let mut headers = Vec::new();
        for (name, value) in &call.headers {
            headers.push((name.clone(), text(&stash.fill(&value.as_str().into())?)?));
        }
        let kind = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
        if body.is_some() && !headers.iter().any(kind) {
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        Ok(Self {
            method,
            path,
            headers,
            body,
        })
    }
}

/// Method and path of a named call: of its paths the one that takes most of the parameters.
fn route(
    name: &str,
    params: &mut BTreeMap<&str, String>,
    has_body: bool,
) -> Result<(String, String), String> {
    let api = APIS.get(name).ok_or(format!("unknown API {name}"))?;
    let parts = |path: &str| -> Vec<String> {
        let inner = |s: &str| s.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
        path.split('/').filter_map(inner).collect()
    };
    let fitting = api.paths.iter().filter_map(|line| {
        let (methods, path) = line.split_once(' ')?;
        let parts = parts(path);
        let fits = parts.iter().all(|p| params.contains_key(p.as_str()));
        fits.then_some((parts, methods, path))
    });
    let (parts, methods, path) = fitting
        .max_by_key(|(parts, _, _)| parts.len())
        .ok_or(format!("{name} needs more parts of a path"))?;
    let mut path = path.to_owned();
    for part in parts {
        let value = params.remove(part.as_str()).unwrap_or_default();
        path = path.replace(&format!("{{{part}}}"), &encode(&value));
    }
    let known = |p: &&&str| !api.params.iter().any(|k| k == **p) && !EVERYWHERE.contains(*p);
    if let Some(unknown) = params.keys().find(known) {
        return Err(format!("{name} has no parameter {unknown}"));
    }
    let mut methods = methods.split(',');
    let method = match has_body {
        true => methods.clone().find(|m| *m != "GET").or(methods.next()),
        false => methods.next(),
    };
    Ok((method.unwrap_or("GET").to_owned(), path))
}

/// A body as it is sent: one object compact, several one a line. Text that is no JSON goes out as it stands.
fn body_text(body: &Value, stash: &Stash) -> Result<String, String> {
    let mut objects = Vec::new();
    let kept = body.as_str().is_some_and(|text| text.starts_with('$'));
    let body = &if kept {
        stash.fill(body)?
    } else {
        body.clone()
    };
    match body {
        Value::Array(list) => {
            for item in list {
                match item {
                    Value::String(text) => match documents(text) {
                        Some(found) => objects.extend(found),
                        None => return Err(format!("not JSON: {text}")),
                    },
                    other => objects.push(other.clone()),
                }
            }
        }
        Value::String(text) => match documents(text) {
            Some(found) => objects.extend(found),
            None => return Ok(text.clone()),
        },
        other => objects.push(other.clone()),
    }
    let filled: Vec<String> = objects
        .iter()
        .map(|o| Ok(stash.fill(o)?.to_string()))
        .collect::<Result<_, String>>()?;
    Ok(match filled.as_slice() {
        [one] => one.clone(),
        several => several.iter().map(|line| format!("{line}\n")).collect(),
    })
}

fn documents(text: &str) -> Option<Vec<Value>> {
    let stream = serde_json::Deserializer::from_str(text).into_iter();
    stream.collect::<Result<_, _>>().ok()
}

/// Percent-encodes what may not stand in a part of a path or in a parameter.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => encoded.push(byte.into()),
            b'-' | b'_' | b'.' | b'~' | b',' | b'*' | b':' => encoded.push(byte.into()),
            other => encoded += &format!("%{other:02X}"),
        }
    }
    encoded
}
