//! Elasticsearch's document of `_update`.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

use crate::book::Book;
use crate::support::{Client, Server};

const JOB: &str = "low_request_rate";

/// What is documented of a value.
#[derive(Debug, Default)]
struct Field {
    /// `array[string]`, `number | string`.
    kind: String,
    is_required: bool,
    /// What an object has, if that is said.
    fields: BTreeMap<String, Field>,
}

/// The fields of the answer, which are bullets within bullets.
fn documented(text: &str) -> Field {
    let answer = text.split_once("\nResponses").expect("what is answered").1;
    let bullet = Regex::new(r"^( *)• (\*|\w+)((?: [^:]*)?)$").expect("a pattern");
    let mut open: Vec<(usize, String, Field)> = Vec::new();
    let close = |open: &mut Vec<(usize, String, Field)>| {
        let (_, name, field) = open.pop().expect("a field");
        let (_, _, parent) = open.last_mut().expect("what it is in");
        parent.fields.insert(name, field);
    };
    for line in answer.lines() {
        let Some(found) = bullet.captures(line) else {
            continue;
        };
        let depth = found[1].len();
        while open.len() > 1 && open.last().is_some_and(|(other, ..)| *other >= depth) {
            close(&mut open);
        }
        let said = found[3].trim();
        let field = Field {
            kind: said
                .split(" Required")
                .next()
                .unwrap_or_default()
                .to_owned(),
            is_required: said.ends_with("Required"),
            ..Field::default()
        };
        open.push((depth, found[2].to_owned(), field));
    }
    while open.len() > 1 {
        close(&mut open);
    }
    open.pop().expect("an answer").2
}

impl Field {
    fn is_of_kind(&self, value: &Value) -> bool {
        let is = |kind: &str| match kind.trim() {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "array[string]" => value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_string)),
            "array[object]" => value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_object)),
            other => panic!("what is {other}?"),
        };
        // Behind its kind stands since when there is one.
        let kind = self.kind.split(" Generally").next().unwrap_or_default();
        let kind = kind.split(" Additional").next().unwrap_or_default();
        kind.split('|').any(is)
    }

    fn check(&self, value: &Value, path: &str) {
        let objects = match value {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        };
        if self.fields.is_empty() {
            return;
        }
        for object in objects {
            let told = object
                .as_object()
                .unwrap_or_else(|| panic!("{path} is {object}"));
            for (name, value) in told {
                let path = format!("{path}.{name}");
                let field = self.fields.get(name).or(self.fields.get("*"));
                let field = field.unwrap_or_else(|| panic!("{path} isn't documented: {object}"));
                assert!(
                    field.is_of_kind(value),
                    "{path} is {value}, not {}",
                    field.kind
                );
                field.check(value, &path);
            }
            let required = self.fields.iter().filter(|(_, field)| field.is_required);
            for (name, _) in required {
                assert!(
                    told.contains_key(name),
                    "{path}.{name} is missing: {object}"
                );
            }
        }
    }
}

#[test]
fn updates_of_jobs_are_answered_as_documented() {
    let Some(mut book) = Book::open("002") else {
        return;
    };
    let documented = documented(&book.text);
    assert!(documented.fields.len() > 20, "{documented:?}");
    let path = "POST /_ml/anomaly_detectors/{job_id}/_update";
    book.next(path, 0);
    let update = book.next(path, 1);
    book.close();
    // The request of the example without a client, and as it is sent by curl.
    let curl =
        Regex::new(r#"(?m)^curl .* -d '(.*)' "\$ELASTICSEARCH_URL(.*)"$"#).expect("a pattern");
    let curl = curl.captures(&book.text).expect("a request by curl");
    let sent: Value = serde_json::from_str(&curl[1]).expect("JSON");
    assert_eq!(sent, update.body);
    assert_eq!(update.answers.len(), 1, "the example's body");
    assert_eq!(update.answers[0], sent);

    let server = Server::start(&[]);
    let config = json!({
        "analysis_config": {"bucket_span": "10m", "detectors": [{"function": "low_count"}], "influencers": ["host"]},
        "data_description": {"time_field": "timestamp"},
        "datafeed_config": {"indices": ["logs"], "query": {"match_all": {}}}
    });
    server.ok("PUT", &Client::job_path(JOB, ""), &config);
    let mut replies = update.send_each(&server, &[("{job_id}", JOB)], &Value::Null);
    replies.push(server.call("POST", &curl[2], &sent));
    assert_eq!(replies.len(), 3);
    for reply in replies {
        assert_eq!(reply.status, 200, "{}", reply.text);
        documented.check(&reply.body, "");
        for (name, value) in sent.as_object().expect("an object") {
            if name != "detectors" {
                let told = &reply.body[name];
                let is_part = value
                    .as_object()
                    .is_some_and(|value| value.iter().all(|(name, value)| told[name] == *value));
                assert!(is_part || told == value, "{name} is {told}");
            }
        }
        let detector = &reply.body["analysis_config"]["detectors"][0];
        assert_eq!(
            detector["detector_description"],
            sent["detectors"]["description"]
        );
    }
}
