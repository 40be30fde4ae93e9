//! Amazon's document of `put_anomaly_detector`.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::book;
use crate::shape::Shape;
use crate::support::prometheus::prometheus;
use crate::support::{Server, wait_until};

const WORKSPACE: &str = "ws-1";

/// What a document of Python's client says of a value.
#[derive(Debug, Clone, PartialEq)]
enum Syntax {
    Object(Vec<(String, Syntax)>),
    /// One of these.
    Any(Vec<Value>),
}

/// Reads the syntax of a call or of a value.
struct Reader {
    tokens: Vec<String>,
    place: usize,
}

impl Reader {
    fn new(text: &str) -> Self {
        let token = Regex::new(r"'[^']*'|[\w.]+|\S").expect("a pattern");
        let tokens = token.find_iter(text).map(|found| found.as_str().to_owned());
        Self {
            tokens: tokens.collect(),
            place: 0,
        }
    }

    fn take(&mut self) -> String {
        self.place += 1;
        self.tokens[self.place - 1].clone()
    }

    fn is_next(&mut self, token: &str) -> bool {
        let is_next = self
            .tokens
            .get(self.place)
            .is_some_and(|next| next == token);
        self.place += usize::from(is_next);
        is_next
    }

    /// Names and values up to `end`.
    fn members(&mut self, end: &str) -> Syntax {
        let mut members = Vec::new();
        while !self.is_next(end) {
            let name = self.take().trim_matches('\'').to_owned();
            assert!(self.is_next(":") || self.is_next("="), "{name}");
            members.push((name, self.value()));
            self.is_next(",");
        }
        Syntax::Object(members)
    }

    fn value(&mut self) -> Syntax {
        if self.is_next("{") {
            return self.members("}");
        }
        let mut any = Vec::new();
        loop {
            let token = self.take();
            any.push(match token.as_str() {
                "True" => true.into(),
                "False" => false.into(),
                text if text.starts_with('\'') => text.trim_matches('\'').into(),
                number => serde_json::from_str(number).expect("a number"),
            });
            if !self.is_next("|") {
                return Syntax::Any(any);
            }
        }
    }
}

/// The lines between two others.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = text.split_once(from).expect(from).1;
    rest.split_once(to).expect(to).0
}

/// The unions that the document names, with what one of can be set.
fn unions(text: &str) -> BTreeMap<String, Vec<String>> {
    let field = Regex::new(r"^\s*(?:- \*\*(\w+)\*\* \*\(|:param (\w+):)").expect("a pattern");
    let quoted = Regex::new("``(\\w+)``").expect("a pattern");
    let (mut unions, mut last) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        if let Some(found) = field.captures(line) {
            let name = found.get(1).or(found.get(2)).expect("a name");
            last = name.as_str().to_owned();
        }
        if line.contains("Tagged Union structure") {
            let names = quoted.captures_iter(line).map(|found| found[1].to_owned());
            unions.insert(last.clone(), names.collect());
        }
    }
    unions
}

/// What stands for a placeholder that can't be sent as it stands.
fn filled(name: &str, placeholder: &Value) -> Value {
    match name {
        "workspaceId" => WORKSPACE.into(),
        "query" => "avg(load)".into(),
        // The document's numbers are all 123, and this must be 256 at least.
        "sampleSize" => 256.into(),
        _ => placeholder.clone(),
    }
}

/// All that a syntax can mean, as far as one choice differs from the first of each.
fn variants(syntax: &Syntax, name: &str, unions: &BTreeMap<String, Vec<String>>) -> Vec<Value> {
    let members = match syntax {
        Syntax::Any(any) => return any.iter().map(|value| filled(name, value)).collect(),
        Syntax::Object(members) => members,
    };
    let each = members
        .iter()
        .map(|(name, value)| (name, variants(value, name, unions)));
    if unions.contains_key(name) {
        let single = |(name, values): (&String, Vec<Value>)| {
            let name = name.clone();
            values
                .into_iter()
                .map(move |value| json!({name.as_str(): value}))
        };
        return each.flat_map(single).collect();
    }
    let each: Vec<(&String, Vec<Value>)> = each.collect();
    let first: Map<String, Value> = each
        .iter()
        .map(|(name, all)| ((*name).clone(), all[0].clone()))
        .collect();
    let mut all = vec![Value::from(first.clone())];
    for (name, values) in &each {
        for other in &values[1..] {
            let mut changed = first.clone();
            changed.insert((*name).clone(), other.clone());
            all.push(changed.into());
        }
    }
    all
}

/// An example of an answer, and by their paths the values that a text may have.
fn example(syntax: &Syntax, path: &str, allowed: &mut BTreeMap<String, Vec<Value>>) -> Value {
    match syntax {
        Syntax::Object(members) => {
            let each = members.iter().map(|(name, value)| {
                let value = example(value, &format!("{path}/{name}"), allowed);
                (name.clone(), value)
            });
            Value::Object(each.collect())
        }
        Syntax::Any(any) => {
            if any.len() > 1 {
                allowed.insert(path.to_owned(), any.clone());
            }
            any[0].clone()
        }
    }
}

fn server(dir: &tempfile::TempDir) -> Server {
    let path = dir.path().join("settings.toml");
    let url = prometheus(|at| (at as f64 / 600.0).sin() * 3.0);
    let settings = format!(
        "[sources.prom]\nkind = \"prometheus\"\nurl = \"{url}\"\n[amp]\nhistory = \"5h\"\n"
    );
    std::fs::write(&path, settings).expect("a file");
    Server::start(&["--config", &path.display().to_string()])
}

#[test]
fn amazons_requests_are_answered_as_documented() {
    let Some(text) = book::text("000") else {
        return;
    };
    let call = between(&text, "client.put_anomaly_detector(", ":type workspaceId:");
    let request = Reader::new(call).members(")");
    let answer = between(&text, "**Response Syntax**", "**Response Structure**");
    let answer = Reader::new(answer.trim_start().trim_start_matches("::")).value();
    let unions = unions(&text);
    let names: BTreeSet<&str> = unions.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "configuration",
            "ignoreNearExpectedFromAbove",
            "ignoreNearExpectedFromBelow",
            "missingDataAction"
        ])
    );
    let all = variants(&request, "", &unions);
    assert_eq!(all.len(), 6, "{all:?}");
    let mut allowed = BTreeMap::new();
    let answer = example(&answer, "", &mut allowed);
    assert_eq!(allowed["/status/statusCode"].len(), 7);

    let dir = tempfile::tempdir().expect("a directory");
    let server = server(&dir);
    let path = format!("/workspaces/{WORKSPACE}/anomalydetectors");
    let mut tagged = all[0].clone();
    tagged["alias"] = "string".into();
    tagged["tags"] = json!({"string": "string"});
    tagged["clientToken"] = "first".into();
    let sent = tagged.as_object_mut().expect("an object");
    sent.retain(|name, _| !matches!(name.as_str(), "workspaceId" | "anomalyDetectorId"));
    let made = server.call("POST", &path, &tagged);
    assert_eq!(made.status, 202, "{}", made.text);
    let id = made.body["anomalyDetectorId"].as_str().expect("an id");
    let path = format!("{path}/{id}");
    let active = || {
        wait_until("the detector to be active", || {
            let (_, told) = server.get(&path);
            let detector = told["anomalyDetector"].clone();
            (detector["status"]["statusCode"] == "ACTIVE").then_some(detector)
        })
    };
    let mut shape = Shape::new(&[("status.statusReason", "said of what has failed")], &[]);
    for (number, variant) in all.iter().enumerate() {
        active();
        let mut body = variant.clone();
        let sent = body.as_object_mut().expect("an object");
        // They are in the path; what makes requests one is another in each but the first.
        sent.retain(|name, _| !matches!(name.as_str(), "workspaceId" | "anomalyDetectorId"));
        if number > 0 {
            body["clientToken"] = format!("string-{number}").into();
        }
        let reply = server.call("PUT", &path, &body);
        assert_eq!(reply.status, 202, "{}", reply.text);
        shape.check(&answer, &reply.body);
        for (path, values) in &allowed {
            let told = reply.body.pointer(path).expect("a field");
            assert!(values.contains(told), "{path} is {told}");
        }
        assert_eq!(reply.body["anomalyDetectorId"], id);
        let detector = active();
        for (name, value) in body.as_object().expect("an object") {
            if name != "clientToken" {
                assert_eq!(detector[name], *value, "{name}");
            }
        }
    }
    shape.close();
}
