//! Runs a case's steps against a server of its own.

use serde_json::Value;

use super::api::Request;
use super::suite::{Call, Case, Kind, Step, Suite};
use super::value::{
    Stash, contains, difference, java_text, matches_pattern, pattern, plain, truthy,
};
use crate::support::{Client, Reply, Server};

#[derive(Debug)]
pub enum Outcome {
    Passed,
    Failed(String),
    /// It does not apply, and why.
    Skipped(String),
}

/// Runs a case from set-up to teardown.
pub fn run(suite: &Suite, case: &Case) -> Outcome {
    let server = Server::start(&[]);
    let (_, about) = server.get("/");
    let version = plain(&about["version"]["number"]);
    let mut skips = [&suite.skip, &case.skip].into_iter();
    if let Some(reason) = skips.find_map(|skip| skip.reason(&version)) {
        return Outcome::Skipped(reason);
    }
    let mut run = Run {
        client: &server,
        warnings: suite.warnings,
        stash: Stash::default(),
        answer: None,
    };
    let ran = run
        .all("setup: ", &suite.setup)
        .and_then(|()| run.all("", &case.steps));
    let torn_down = run.all("teardown: ", &suite.teardown);
    match ran.and(torn_down) {
        Ok(()) => Outcome::Passed,
        Err(reason) => Outcome::Failed(reason),
    }
}

struct Run<'a> {
    client: &'a Client,
    /// Whether a warning must be expected.
    warnings: bool,
    stash: Stash,
    answer: Option<Reply>,
}

impl Run<'_> {
    fn all(&mut self, section: &str, steps: &[Step]) -> Result<(), String> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step).map_err(|reason| {
                let what = match step {
                    Step::Do(call) => call.api.clone(),
                    Step::Set(_) => "set".into(),
                    Step::Answer(_) => "answer".into(),
                    Step::Check { kind, path, .. } => format!("{kind:?} {path}"),
                };
                format!("{section}step {} ({what}): {reason}", number + 1)
            })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Do(call) => self.call(call),
            Step::Set(names) => {
                for (path, name) in names {
                    let value = self.found(path)?.ok_or("there is no such value")?;
                    self.stash.keep(name, value);
                }
                Ok(())
            }
            Step::Answer(expected) => self.answer(expected),
            Step::Check {
                kind,
                path,
                expected,
            } => {
                let expected = self.stash.fill(expected)?;
                check(*kind, self.found(path)?, &expected)
            }
        }
    }

    fn reply(&self) -> Result<&Reply, String> {
        self.answer.as_ref().ok_or("nothing was asked yet".into())
    }

    fn found(&self, path: &str) -> Result<Option<Value>, String> {
        let reply = self.reply()?;
        let body = body(reply);
        match path.strip_prefix("$body") {
            Some(rest) => self.stash.find(&body, rest.trim_start_matches('.')),
            None => self.stash.find(&body, path),
        }
    }

    fn call(&mut self, call: &Call) -> Result<(), String> {
        // A client refuses such a call before it is sent: there is no client here.
        if call.catch.as_deref() == Some("param") {
            return Ok(());
        }
        let request = Request::of(call, &self.stash)?;
        let headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let writes = matches!(request.method.as_str(), "POST" | "PUT");
        let body = request.body.as_deref().or(writes.then_some(""));
        let reply = self.client.send(
            &request.method,
            &request.path,
            &headers,
            body.map(str::as_bytes),
        );
        let checked = check_status(call, &request.method, &reply)
            .and_then(|()| {
                // What comes with a refusal need not be told of.
                let matters = call.catch.is_none() || !call.warnings.is_empty();
                match self.warnings && matters {
                    true => check_warnings(call, &reply),
                    false => Ok(()),
                }
            })
            .map_err(|e| format!("{e}\n      {} {}", request.method, request.path));
        self.stash.keep("body", self::body(&reply));
        self.answer = Some(reply);
        checked
    }

    fn answer(&self, expected: &Value) -> Result<(), String> {
        let reply = self.reply()?;
        if let Some(status) = expected.get("status") {
            difference(status, &reply.status.into())?;
        }
        for (name, value) in expected
            .get("headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            difference(value, &reply.header(name).into()).map_err(|e| format!("{name}{e}"))?;
        }
        Ok(())
    }
}

/// What an answer's body is to a case: JSON, or its text; of `HEAD`, whether there is something.
fn body(reply: &Reply) -> Value {
    if reply.text.is_empty() {
        return Value::Bool(reply.status < 300);
    }
    match &reply.body {
        Value::Null => Value::String(reply.text.clone()),
        json => json.clone(),
    }
}

fn check_status(call: &Call, method: &str, reply: &Reply) -> Result<(), String> {
    let status = reply.status;
    let ignored = call.params.get("ignore").is_some_and(|codes| {
        super::suite::texts(codes).is_ok_and(|codes| codes.contains(&status.to_string()))
    });
    let fits = match call.catch.as_deref() {
        None => status < 400 || ignored || (method == "HEAD" && status == 404),
        Some("bad_request") => status == 400,
        Some("unauthorized") => status == 401,
        Some("forbidden") => status == 403,
        Some("missing") => status == 404,
        Some("request_timeout") => status == 408,
        Some("conflict") => status == 409,
        Some("gone") => status == 410,
        Some("unavailable") => status == 503,
        Some("request") => status >= 400 && ![400, 401, 403, 404, 408, 409, 410].contains(&status),
        Some(text) => {
            let wanted = pattern(text).ok_or(format!("unknown catch {text}"))?;
            let regex = regex::Regex::new(wanted).map_err(|e| e.to_string())?;
            status >= 400 && regex.is_match(&java_text(&reply.body["error"]))
        }
    };
    if fits {
        return Ok(());
    }
    let wanted = call.catch.as_deref().unwrap_or("success");
    let end = reply
        .text
        .char_indices()
        .nth(600)
        .map_or(reply.text.len(), |(i, _)| i);
    let text = &reply.text[..end];
    Err(format!("expected {wanted}, got {status}: {text}"))
}

/// Every warning must be expected or allowed, and every expected one must be there.
fn check_warnings(call: &Call, reply: &Reply) -> Result<(), String> {
    let mut missing = call.warnings.clone();
    let mut missing_patterns = call.warnings_regex.clone();
    for header in reply.headers.get_all("warning") {
        let header = header.to_str().unwrap_or_default();
        let text = warning_text(header).ok_or(format!("not a warning: {header}"))?;
        let like = |pattern: &String| {
            regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|r| r.is_match(&text))
        };
        if call.allowed_warnings.contains(&text) || call.allowed_warnings_regex.iter().any(like) {
            continue;
        }
        if let Some(place) = missing.iter().position(|w| *w == text) {
            missing.remove(place);
        } else if let Some(place) = missing_patterns.iter().position(like) {
            missing_patterns.remove(place);
        } else if !call.warnings.contains(&text) {
            return Err(format!("unexpected warning: {text}"));
        }
    }
    missing.append(&mut missing_patterns);
    match missing.first() {
        Some(warning) => Err(format!("no warning: {warning}")),
        None => Ok(()),
    }
}

/// What is quoted in `299 Agent-1.0 "text"`.
fn warning_text(header: &str) -> Option<String> {
    let quoted = header.strip_prefix("299 ")?.split_once('"')?.1;
    let mut text = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            other => text.push(other),
        }
    }
}

fn check(kind: Kind, found: Option<Value>, expected: &Value) -> Result<(), String> {
    let shown = found
        .as_ref()
        .map_or("nothing".to_owned(), Value::to_string);
    let absent = found.as_ref().is_none_or(Value::is_null);
    let fail = |wanted: &str| Err(format!("found {shown}, expected {wanted}"));
    match kind {
        Kind::IsTrue if !truthy(found.as_ref()) => return fail("something true"),
        Kind::IsFalse if truthy(found.as_ref()) => return fail("nothing true"),
        Kind::Exists if absent => return fail("a value"),
        Kind::NotExists if !absent => return fail("no value"),
        Kind::IsTrue | Kind::IsFalse | Kind::Exists | Kind::NotExists => return Ok(()),
        Kind::Match if expected.is_null() => {
            return if absent { Ok(()) } else { fail("null") };
        }
        _ => {}
    }
    let Some(found) = found else {
        return fail(&expected.to_string());
    };
    let ordered = |holds: fn(std::cmp::Ordering) -> bool| {
        let order = match (&found, expected) {
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (a, b) => a
                .as_f64()
                .zip(b.as_f64())
                .and_then(|(a, b)| a.partial_cmp(&b)),
        };
        order.is_some_and(holds)
    };
    let holds = match kind {
        Kind::Match => match expected.as_str().and_then(pattern) {
            Some(wanted) => match found.as_str() {
                Some(text) => matches_pattern(wanted, text)?,
                None => return fail("a text"),
            },
            None => return difference(expected, &found),
        },
        Kind::Length => {
            let length = match &found {
                Value::Array(list) => list.len(),
                Value::Object(map) => map.len(),
                Value::String(text) => text.chars().count(),
                _ => return fail("something with a length"),
            };
            expected.as_u64() == u64::try_from(length).ok()
        }
        Kind::Gt => ordered(std::cmp::Ordering::is_gt),
        Kind::Gte => ordered(std::cmp::Ordering::is_ge),
        Kind::Lt => ordered(std::cmp::Ordering::is_lt),
        Kind::Lte => ordered(std::cmp::Ordering::is_le),
        Kind::Contains => contains(&found, expected),
        Kind::CloseTo => {
            let number = |name: &str| expected[name].as_f64().ok_or(format!("no {name}"));
            let error = number("error")?;
            let value = number("value")?;
            found.as_f64().is_some_and(|f| (f - value).abs() <= error)
        }
        Kind::IsTrue | Kind::IsFalse | Kind::Exists | Kind::NotExists => true,
    };
    if holds {
        Ok(())
    } else {
        fail(&format!("{kind:?} {expected}"))
    }
}
