//! Bodies, as Google reads them: names in either style, numbers also as texts, nulls as if they weren't there.

use serde_json::{Map, Value};

use super::error::{PlayError, Result};

/// A JSON object, of which fields are taken.
pub struct Message {
    /// Where it is in the body: empty, or a path that ends with a dot.
    path: String,
    fields: Map<String, Value>,
}

impl Message {
    /// A body; an empty one has no fields.
    pub fn parse(body: &[u8]) -> Result<Self> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::of(String::new(), Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self::of(String::new(), fields)),
            Ok(_) => Err(PlayError::unreadable("Expected an object.".to_owned())),
            Err(error) => Err(PlayError::unreadable(format!("{error}."))),
        }
    }

    fn of(path: String, mut fields: Map<String, Value>) -> Self {
        fields.retain(|_, value| !value.is_null());
        Self { path, fields }
    }

    /// The path of a field.
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A field, by its name with underscores.
    fn take(&mut self, name: &str) -> Option<Value> {
        let other = camel(name);
        let [one, other] = [name, &other].map(|name| self.fields.remove(name));
        one.or(other)
    }

    fn mistyped(&self, name: &str, kind: &str, value: &Value) -> PlayError {
        let told = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        PlayError::mistyped(&self.path(name), kind, &told)
    }

    /// A text; an empty one is none.
    pub fn text(&mut self, name: &str, kind: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(other) => Err(self.mistyped(name, kind, &other)),
        }
    }

    /// Texts that differ.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        let items = match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.mistyped(name, "TYPE_STRING", &other)),
        };
        let mut texts = Vec::new();
        for item in items {
            match item {
                Value::String(text) if !texts.contains(&text) => texts.push(text),
                Value::String(text) => {
                    return Err(PlayError::bad(
                        &self.path(name),
                        format!("{text} is there twice"),
                    ));
                }
                other => return Err(self.mistyped(name, "TYPE_STRING", &other)),
            }
        }
        Ok(texts)
    }

    pub fn int(&mut self, name: &str) -> Result<Option<i32>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number.and_then(|number| i32::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.mistyped(name, "TYPE_INT32", &value)),
        }
    }

    pub fn message(&mut self, name: &str) -> Result<Option<Self>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => {
                Ok(Some(Self::of(format!("{}.", self.path(name)), fields)))
            }
            Some(other) => Err(self.mistyped(name, "TYPE_MESSAGE", &other)),
        }
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<()> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(PlayError::unknown_field(
                name,
                self.path.trim_end_matches('.'),
            )),
        }
    }
}

/// A name with underscores in the other style.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_or_refused() {
        let body = br#"{"page_size": "7", "filter": null, "metrics": ["a", "b"], "timelineSpec": {"x": 1}, "pageToken": 3}"#;
        let mut message = Message::parse(body).expect("an object");
        assert_eq!(message.int("page_size"), Ok(Some(7)));
        assert_eq!(message.text("filter", "TYPE_STRING"), Ok(None));
        assert_eq!(
            message.texts("metrics"),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
        let told = |error: PlayError| error.message;
        let error = message
            .text("page_token", "TYPE_STRING")
            .expect_err("a number");
        assert_eq!(
            told(error),
            "Invalid value at 'page_token' (TYPE_STRING), \"3\""
        );
        let spec = message.message("timeline_spec");
        let spec = spec.map_err(told).expect("fine").expect("there");
        assert_eq!(
            spec.finish().map_err(told),
            Err("Invalid JSON payload received. Unknown name \"x\" at 'timeline_spec': Cannot find field.".into())
        );
        assert_eq!(message.finish(), Ok(()));
        for (body, refused) in [
            ("[1]", "Expected an object."),
            ("{", "EOF while parsing an object at line 1 column 1."),
        ] {
            assert_eq!(
                Message::parse(body.as_bytes()).err().map(told),
                Some(format!("Invalid JSON payload received. {refused}"))
            );
        }
        let mut twice = Message::parse(br#"{"metrics": ["a", "a"], "pageSize": 3000000000}"#)
            .expect("an object");
        assert_eq!(
            twice.texts("metrics").map_err(told),
            Err("Invalid value for metrics: a is there twice".into())
        );
        assert!(twice.int("page_size").is_err());
    }
}
