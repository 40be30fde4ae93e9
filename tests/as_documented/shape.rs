//! Whether an answer has the documented shape: the same fields with values of the same kinds, and no others.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The one key of a documented map whose keys are anything.
const ANY: &str = "string";

/// A path, of which the end is enough, and why it differs.
pub type Reason = (&'static str, &'static str);

/// Compares answers with the documented ones, and knows what may differ.
pub struct Shape {
    /// Documented, and not told.
    missing: &'static [Reason],
    /// Told, and not documented.
    more: &'static [Reason],
    used: BTreeSet<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Differs {
    Missing(String),
    More(String),
    Wrong(String),
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// All that differs, below `path`.
fn differences(documented: &Value, told: &Value, path: &str) -> Vec<Differs> {
    match (documented, told) {
        (Value::Object(documented), Value::Object(told)) => of_objects(documented, told, path),
        (Value::Array(documented), Value::Array(told)) => {
            let path = format!("{path}[]");
            if told.is_empty() && !documented.is_empty() {
                return vec![Differs::Missing(path)];
            }
            // Each is as one of those that are shown, or as the one that it is most like.
            let nearest = |told: &Value| {
                let each = documented
                    .iter()
                    .map(|documented| differences(documented, told, &path));
                each.min_by_key(Vec::len).unwrap_or_default()
            };
            let all: BTreeSet<Differs> = told.iter().flat_map(nearest).collect();
            all.into_iter().collect()
        }
        _ if kind(documented) == kind(told) => Vec::new(),
        _ => vec![Differs::Wrong(format!(
            "{path} is {}, not {}",
            kind(told),
            kind(documented)
        ))],
    }
}

fn of_objects(
    documented: &Map<String, Value>,
    told: &Map<String, Value>,
    path: &str,
) -> Vec<Differs> {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let (Some(value), 1) = (documented.get(ANY), documented.len()) {
        let each = told.iter();
        return each
            .flat_map(|(name, told)| differences(value, told, &below(name)))
            .collect();
    }
    let shown = documented
        .iter()
        .flat_map(|(name, value)| match told.get(name) {
            Some(told) => differences(value, told, &below(name)),
            None => vec![Differs::Missing(below(name))],
        });
    let more = told.keys().filter(|name| !documented.contains_key(*name));
    shown
        .chain(more.map(|name| Differs::More(below(name))))
        .collect()
}

impl Shape {
    pub fn new(missing: &'static [Reason], more: &'static [Reason]) -> Self {
        Self {
            missing,
            more,
            used: BTreeSet::new(),
        }
    }

    /// Fails where an answer differs from the documented one without a reason.
    #[track_caller]
    pub fn check(&mut self, documented: &Value, told: &Value) {
        let mut unexcused = Vec::new();
        for differs in differences(documented, told, "") {
            let (path, reasons) = match &differs {
                Differs::Missing(path) => (path, self.missing),
                Differs::More(path) => (path, self.more),
                Differs::Wrong(path) => (path, &[] as &[Reason]),
            };
            let is_meant = |name: &str| path == name || path.ends_with(&format!(".{name}"));
            match reasons.iter().find(|(name, _)| is_meant(name)) {
                Some((name, _)) => {
                    self.used.insert(name);
                }
                None => unexcused.push(differs),
            }
        }
        assert!(unexcused.is_empty(), "{unexcused:#?}\nin {told:#}");
    }

    /// Fails where a reason is given for what doesn't differ.
    #[track_caller]
    pub fn close(self) {
        let given = self.missing.iter().chain(self.more).map(|(name, _)| *name);
        let unused: Vec<&str> = given.filter(|name| !self.used.contains(name)).collect();
        assert!(unused.is_empty(), "they do not differ: {unused:?}");
    }
}

#[test]
fn shapes_differ_by_fields_and_kinds() {
    use serde_json::json;
    let documented = json!({"a": [{"b": 1, "c": null}], "m": {"string": "string"}, "d": "x"});
    let told = json!({"a": [{"b": 2.5, "c": null}, {"b": "x", "e": 1}], "m": {"k": "v", "l": 1}});
    assert_eq!(
        differences(&documented, &told, ""),
        [
            Differs::Missing("a[].c".to_owned()),
            Differs::More("a[].e".to_owned()),
            Differs::Wrong("a[].b is a text, not a number".to_owned()),
            Differs::Wrong("m.l is a number, not a text".to_owned()),
            Differs::Missing("d".to_owned()),
        ]
    );
    assert!(differences(&json!([1]), &json!([]), "x").len() == 1);
}
