//! The constraints on what clients send. Their own libraries check few of them.

use serde_json::{Map, Value};

use super::aggregation;
use super::error::{AmpError, Result, WrongField};
use super::shapes::{
    Configuration, DEFAULT_INTERVAL, DEFAULT_SAMPLE, DEFAULT_SHINGLE, MissingDataAction, Near,
    RandomCutForest, Texts, Wanted,
};

const MAX_LABELS: usize = 140;
const MAX_TAGS: usize = 50;
const LONGEST_QUERY: usize = 8_192;
const LONGEST_LABEL: usize = 7_168;
const NULL: &str = "Member must not be null";

/// Collects what is wrong in one request.
#[derive(Debug, Default)]
pub struct Check {
    wrong: Vec<WrongField>,
    /// What has another type than it must have: then nothing else is worth telling.
    unparsable: Option<String>,
}

/// A request's JSON object.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(AmpError::unparsable("the body must be a JSON object")),
        Err(error) => Err(AmpError::unparsable(format!(
            "the body can't be read: {error}"
        ))),
    }
}

impl Check {
    /// # Errors
    /// All that is wrong.
    pub fn finish(self) -> Result<()> {
        match (self.unparsable, self.wrong.is_empty()) {
            (Some(told), _) => Err(AmpError::unparsable(told)),
            (None, false) => Err(AmpError::fields(&self.wrong)),
            (None, true) => Ok(()),
        }
    }

    pub fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.wrong.push(WrongField {
            name: name.to_owned(),
            message: message.into(),
        });
    }

    fn mistyped(&mut self, name: &str, wanted: &str) {
        self.unparsable
            .get_or_insert_with(|| format!("Value at '{name}' must be {wanted}"));
    }

    pub fn length(&mut self, name: &str, text: &str, least: usize, most: usize) {
        let length = text.chars().count();
        if length < least {
            self.wrong(
                name,
                format!("Member must have length greater than or equal to {least}"),
            );
        } else if length > most {
            self.wrong(
                name,
                format!("Member must have length less than or equal to {most}"),
            );
        }
    }

    fn pattern(&mut self, name: &str, fits: bool, pattern: &str) {
        if !fits {
            self.wrong(
                name,
                format!("Member must satisfy regular expression pattern: {pattern}"),
            );
        }
    }

    pub fn workspace_id(&mut self, id: &str) {
        self.length("workspaceId", id, 1, 64);
        let fits = id.bytes().any(|b| b.is_ascii_alphanumeric());
        self.pattern("workspaceId", fits, ".*[0-9A-Za-z][-.0-9A-Z_a-z]*.*");
    }

    pub fn detector_id(&mut self, id: &str) {
        self.length("anomalyDetectorId", id, 1, 64);
        let fits = id.strip_prefix("ad-").is_some_and(is_name);
        self.pattern("anomalyDetectorId", fits, "ad-[0-9A-Za-z][-.0-9A-Z_a-z]*");
    }

    pub fn alias(&mut self, alias: &str) {
        self.length("alias", alias, 1, 64);
        self.pattern("alias", is_name(alias), "[0-9A-Za-z][-.0-9A-Z_a-z]*");
    }

    pub fn client_token(&mut self, token: &str) {
        self.length("clientToken", token, 1, 64);
        let fits = token.bytes().all(|b| b.is_ascii_graphic());
        self.pattern("clientToken", fits, "[!-~]+");
    }

    /// A text that must be there.
    pub fn required_text(&mut self, from: &Map<String, Value>, name: &str, path: &str) -> String {
        match self.text(from, name, path) {
            Some(text) => text,
            None => {
                self.wrong(path, NULL);
                String::new()
            }
        }
    }

    pub fn text(&mut self, from: &Map<String, Value>, name: &str, path: &str) -> Option<String> {
        match from.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.mistyped(path, "a string");
                Some(String::new())
            }
        }
    }

    fn integer(
        &mut self,
        (from, name, path): (&Map<String, Value>, &str, &str),
        (least, most): (u32, u32),
        default: u32,
    ) -> u32 {
        let number = match from.get(name) {
            None | Some(Value::Null) => return default,
            Some(Value::Number(number)) if !number.is_f64() => number.as_i64(),
            Some(_) => {
                self.mistyped(path, "an integer");
                return default;
            }
        };
        // What no i64 holds is beyond every limit.
        let number = number.unwrap_or(i64::MAX);
        if number < i64::from(least) {
            self.wrong(
                path,
                format!("Member must have value greater than or equal to {least}"),
            );
        } else if number > i64::from(most) {
            self.wrong(
                path,
                format!("Member must have value less than or equal to {most}"),
            );
        }
        u32::try_from(number).unwrap_or(default)
    }

    /// The one member of a union.
    fn union<'a>(
        &mut self,
        value: Option<&'a Value>,
        path: &str,
        members: &[&'static str],
    ) -> Option<(&'static str, &'a Value)> {
        let fields = match value {
            None | Some(Value::Null) => return None,
            Some(Value::Object(fields)) => fields,
            Some(_) => {
                self.mistyped(path, "an object");
                return None;
            }
        };
        let given = fields.iter().filter(|(_, value)| !value.is_null());
        let given: Vec<(&String, &Value)> = given.collect();
        let [(name, value)] = given[..] else {
            let told = format!(
                "Exactly one of the members must be set: {}",
                members.join(", ")
            );
            self.wrong(path, told);
            return None;
        };
        let known = members.iter().find(|member| *member == name);
        if known.is_none() {
            self.wrong(path, format!("There is no member [{name}]"));
        }
        known.map(|member| (*member, value))
    }

    fn texts(&mut self, from: &Map<String, Value>, name: &str) -> Texts {
        let mut texts = Texts::new();
        match from.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(entries)) => {
                for (key, value) in entries {
                    match value {
                        Value::String(value) => drop(texts.insert(key.clone(), value.clone())),
                        _ => self.mistyped(&format!("{name}.{key}"), "a string"),
                    }
                }
            }
            Some(_) => self.mistyped(name, "an object"),
        }
        texts
    }

    pub fn tags(&mut self, from: &Map<String, Value>) -> Texts {
        let tags = self.texts(from, "tags");
        self.tag_count(&tags);
        for (key, value) in &tags {
            self.tag_key(key);
            let path = format!("tags.{key}");
            self.length(&path, value, 0, 256);
            self.pattern(&path, value.chars().all(is_tag), TAG_PATTERN);
        }
        tags
    }

    pub fn tag_count(&mut self, tags: &Texts) {
        if tags.len() > MAX_TAGS {
            let told = format!("Member must have length less than or equal to {MAX_TAGS}");
            self.wrong("tags", told);
        }
    }

    pub fn tag_key(&mut self, key: &str) {
        let path = format!("tags.{key}");
        self.length(&path, key, 1, 128);
        self.pattern(&path, key.chars().all(is_tag), TAG_PATTERN);
        if key.starts_with("aws:") {
            self.wrong(&path, "A key must not begin with aws:");
        }
    }

    fn labels(&mut self, from: &Map<String, Value>) -> Texts {
        let labels = self.texts(from, "labels");
        if labels.len() > MAX_LABELS {
            let told = format!("Member must have length less than or equal to {MAX_LABELS}");
            self.wrong("labels", told);
        }
        for (key, value) in &labels {
            let path = format!("labels.{key}");
            self.length(&path, key, 1, LONGEST_LABEL);
            self.length(&path, value, 1, LONGEST_LABEL);
            let fits = !key.starts_with("__") && is_label(key);
            self.pattern(&path, fits, "(?!__)[a-zA-Z_][a-zA-Z0-9_]*");
        }
        labels
    }

    /// What a body asks of a detector, its defaults filled in.
    pub fn wanted(&mut self, body: &Map<String, Value>) -> Wanted {
        const INTERVAL: &str = "evaluationIntervalInSeconds";
        Wanted {
            evaluation_interval_in_seconds: self.integer(
                (body, INTERVAL, INTERVAL),
                (30, 86_400),
                DEFAULT_INTERVAL,
            ),
            missing_data_action: self.missing_data_action(body),
            configuration: Configuration::RandomCutForest(self.configuration(body)),
            labels: self.labels(body),
        }
    }

    fn missing_data_action(&mut self, body: &Map<String, Value>) -> Option<MissingDataAction> {
        const NAME: &str = "missingDataAction";
        let (member, value) = self.union(body.get(NAME), NAME, &["markAsAnomaly", "skip"])?;
        let Value::Bool(flag) = value else {
            self.mistyped(&format!("{NAME}.{member}"), "a boolean");
            return None;
        };
        Some(match member {
            "skip" => MissingDataAction::Skip(*flag),
            _ => MissingDataAction::MarkAsAnomaly(*flag),
        })
    }

    fn configuration(&mut self, body: &Map<String, Value>) -> RandomCutForest {
        const NAME: &str = "configuration";
        let known = self.wrong.len();
        let empty = Map::new();
        let given = self.union(body.get(NAME), NAME, &["randomCutForest"]);
        let forest = match given {
            Some((_, Value::Object(forest))) => forest,
            Some((member, _)) => {
                self.mistyped(&format!("{NAME}.{member}"), "an object");
                &empty
            }
            None if self.wrong.len() == known => {
                self.wrong(NAME, NULL);
                &empty
            }
            None => &empty,
        };
        let path = |name: &str| format!("{NAME}.randomCutForest.{name}");
        let query = match given {
            Some(_) => self.query(forest, &path("query")),
            None => String::new(),
        };
        let mut size = |name: &str, limits, default| {
            self.integer((forest, name, &path(name)), limits, default)
        };
        let shingle_size = size("shingleSize", (2, 1_024), DEFAULT_SHINGLE);
        let sample_size = size("sampleSize", (256, 1_024), DEFAULT_SAMPLE);
        let mut near = |name: &str| self.near(forest.get(name), &path(name));
        RandomCutForest {
            query,
            shingle_size,
            sample_size,
            ignore_near_expected_from_above: near("ignoreNearExpectedFromAbove"),
            ignore_near_expected_from_below: near("ignoreNearExpectedFromBelow"),
        }
    }

    fn query(&mut self, forest: &Map<String, Value>, path: &str) -> String {
        let query = self.required_text(forest, "query", path);
        if !forest.contains_key("query") {
            return query;
        }
        self.length(path, &query, 1, LONGEST_QUERY);
        if let Err(told) = aggregation::check(&query) {
            self.wrong(path, told);
        }
        query
    }

    fn near(&mut self, value: Option<&Value>, path: &str) -> Option<Near> {
        let (member, value) = self.union(value, path, &["amount", "ratio"])?;
        let path = format!("{path}.{member}");
        let Some(number) = value.as_f64() else {
            self.mistyped(&path, "a number");
            return None;
        };
        if number < 0.0 {
            self.wrong(&path, "Member must have value greater than or equal to 0");
        }
        Some(match member {
            "amount" => Near::Amount(number),
            _ => Near::Ratio(number),
        })
    }
}

const TAG_PATTERN: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)";

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
}

/// `[0-9A-Za-z][-.0-9A-Z_a-z]*`
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(is_name_byte)
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
pub fn is_label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_tag(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c)
}
