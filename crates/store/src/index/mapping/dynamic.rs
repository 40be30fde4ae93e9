//! What becomes of a field that nobody mapped

use serde_json::{Map, Value};

use super::dates::{self, DateFormats};
use super::params::{Params, boolean, plain};
use super::{Limits, Mapping, parse};
use crate::index::error::Refusal;

type Result<T> = std::result::Result<T, Refusal>;

/// How a mapping takes up fields by their values.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    dates: bool,
    numbers: bool,
    formats: Vec<DateFormats>,
    templates: Vec<Template>,
    /// As it was given, for printing.
    pub(super) given: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
struct Template {
    /// `match_mapping_type`; none for any.
    kinds: Vec<String>,
    not_kinds: Vec<String>,
    names: Vec<String>,
    not_names: Vec<String>,
    paths: Vec<String>,
    not_paths: Vec<String>,
    runtime: bool,
    definition: Map<String, Value>,
}

/// The value that a field without a mapping was seen with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen<'a> {
    Text(&'a str),
    Long,
    Double,
    Bool,
    Object,
}

/// What a document adds to a mapping.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Growth {
    /// By whole path.
    pub properties: Map<String, Value>,
    pub runtime: Map<String, Value>,
}

impl Growth {
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.runtime.is_empty()
    }

    pub fn has(&self, path: &str) -> bool {
        self.properties.contains_key(path) || self.runtime.contains_key(path)
    }
}

impl Default for Detection {
    fn default() -> Self {
        Self {
            dates: true,
            numbers: false,
            formats: ["yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis"]
                .into_iter()
                .filter_map(|pattern| DateFormats::new(pattern).ok())
                .fold(vec![DateFormats::default()], |mut formats, format| {
                    formats.push(format);
                    formats
                }),
            templates: Vec::new(),
            given: Map::new(),
        }
    }
}

impl Detection {
    pub(super) fn parse(params: &mut Params) -> Result<Self> {
        let mut detection = Self::default();
        if let Some(dates) = params.take("date_detection") {
            detection.dates = boolean(dates)?;
            let value = detection.dates.into();
            detection.given.insert("date_detection".to_owned(), value);
        }
        if let Some(numbers) = params.take("numeric_detection") {
            detection.numbers = boolean(numbers)?;
            let value = detection.numbers.into();
            detection
                .given
                .insert("numeric_detection".to_owned(), value);
        }
        if let Some(formats) = params.take("dynamic_date_formats") {
            detection.formats = list(formats)
                .iter()
                .map(|pattern| {
                    DateFormats::new(pattern).map_err(|format| {
                        Refusal::illegal_argument(format!("Invalid format: [{format}]"))
                    })
                })
                .collect::<Result<_>>()?;
            detection
                .given
                .insert("dynamic_date_formats".to_owned(), formats.clone());
        }
        if let Some(templates) = params.take("dynamic_templates") {
            let Value::Array(items) = templates else {
                return Err(Refusal::mapper_parsing(
                    "Dynamic template syntax error. An array of named objects is expected.",
                ));
            };
            for item in items {
                let one = item.as_object().filter(|named| named.len() == 1);
                let Some((name, template)) = one.and_then(|named| named.iter().next()) else {
                    return Err(Refusal::mapper_parsing(
                        "A dynamic template must be defined with a name",
                    ));
                };
                detection.templates.push(Template::parse(name, template)?);
            }
            detection
                .given
                .insert("dynamic_templates".to_owned(), templates.clone());
        }
        Ok(detection)
    }

    /// This one, with what the other was given over it.
    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for (name, value) in &other.given {
            match name.as_str() {
                "date_detection" => merged.dates = other.dates,
                "numeric_detection" => merged.numbers = other.numbers,
                "dynamic_date_formats" => merged.formats.clone_from(&other.formats),
                _ => merged.templates.clone_from(&other.templates),
            }
            merged.given.insert(name.clone(), value.clone());
        }
        merged
    }

    /// Maps the field at a path. `runtime`: where it isn't mapped otherwise, it becomes a runtime field; an object then
    /// becomes nothing.
    pub fn define(&self, growth: &mut Growth, path: &str, seen: Seen<'_>, runtime: bool) {
        if growth.has(path) {
            return;
        }
        let (kind, definition) = self.by_value(seen);
        let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
        let template = self
            .templates
            .iter()
            .find(|template| template.matches(kind, name, path));
        if let Some(template) = template {
            let default = match kind {
                "string" if template.runtime => "keyword",
                "string" => "text",
                "double" if !template.runtime => "float",
                other => other,
            };
            let definition = template.definition(name, default);
            if template.runtime {
                growth.runtime.insert(path.to_owned(), definition);
            } else {
                growth.properties.insert(path.to_owned(), definition);
            }
            return;
        }
        if !runtime {
            growth.properties.insert(path.to_owned(), definition.into());
        } else if kind != "object" {
            let kind = if kind == "string" { "keyword" } else { kind };
            let definition = Map::from_iter([("type".to_owned(), kind.into())]);
            growth.runtime.insert(path.to_owned(), definition.into());
        }
    }

    /// The dynamic type of a value, and what is mapped for it without a template.
    fn by_value(&self, seen: Seen<'_>) -> (&'static str, Map<String, Value>) {
        let typed = |kind: &str| Map::from_iter([("type".to_owned(), Value::from(kind))]);
        match seen {
            Seen::Long => ("long", typed("long")),
            Seen::Double => ("double", typed("float")),
            Seen::Bool => ("boolean", typed("boolean")),
            Seen::Object => ("object", typed("object")),
            Seen::Text(text) => {
                let is_long = text.parse::<i64>().is_ok();
                let is_number = is_long || text.parse::<f64>().is_ok();
                if self.numbers && is_long {
                    return ("long", typed("long"));
                }
                if self.numbers && is_number {
                    return ("double", typed("float"));
                }
                let format = self
                    .formats
                    .iter()
                    .filter(|_| self.dates && !is_number)
                    .find(|format| format.parse(text).is_some());
                if let Some(format) = format {
                    let mut definition = typed("date");
                    if format.pattern != dates::DEFAULT {
                        definition.insert("format".to_owned(), format.pattern.clone().into());
                    }
                    return ("date", definition);
                }
                let mut keyword = typed("keyword");
                keyword.insert("ignore_above".to_owned(), 256.into());
                let mut definition = typed("text");
                let fields = Map::from_iter([("keyword".to_owned(), keyword.into())]);
                definition.insert("fields".to_owned(), fields.into());
                ("string", definition)
            }
        }
    }
}

impl Template {
    fn parse(name: &str, template: &Value) -> Result<Self> {
        const KINDS: [&str; 8] = [
            "*", "object", "string", "long", "double", "boolean", "date", "binary",
        ];
        let empty = Map::new();
        let mut params = Params::new(template.as_object().unwrap_or(&empty));
        let mut take = |key: &str| params.take(key).map(list).unwrap_or_default();
        let kinds = take("match_mapping_type");
        let not_kinds = take("unmatch_mapping_type");
        let (names, not_names) = (take("match"), take("unmatch"));
        let (paths, not_paths) = (take("path_match"), take("path_unmatch"));
        let pattern = take("match_pattern");
        let bad = |reason: String| {
            Refusal::mapper_parsing(format!("dynamic template [{name}]: {reason}"))
        };
        if let Some(kind) = kinds
            .iter()
            .chain(&not_kinds)
            .find(|k| !KINDS.contains(&k.as_str()))
        {
            return Err(Refusal::illegal_argument(format!(
                "No field type matched on [{kind}], possible values are [object, string, long, double, boolean, \
                 date, binary]"
            )));
        }
        if pattern.iter().any(|pattern| pattern != "simple") {
            return Err(bad(format!(
                "match_pattern [{}] is not supported, only [simple] is",
                pattern.join(", ")
            )));
        }
        let mapping = params.take("mapping");
        let runtime = params.take("runtime");
        let definition = match (mapping, runtime) {
            (Some(_), Some(_)) => {
                return Err(Refusal::mapper_parsing(format!(
                    "mapping and runtime cannot be both specified in the same dynamic template [{name}]"
                )));
            }
            (Some(definition), None) | (None, Some(definition)) => definition,
            (None, None) => {
                return Err(Refusal::mapper_parsing(format!(
                    "template [{name}] must have either mapping or runtime set"
                )));
            }
        };
        if let Some(left) = params.left() {
            return Err(Refusal::illegal_argument(format!(
                "Illegal dynamic template parameter:{left}"
            )));
        }
        if kinds.is_empty() && names.is_empty() && paths.is_empty() {
            return Err(Refusal::mapper_parsing(format!(
                "template [{name}] must have match, path_match or match_mapping_type set"
            )));
        }
        let template = Self {
            kinds: kinds.into_iter().filter(|kind| kind != "*").collect(),
            not_kinds,
            names,
            not_names,
            paths,
            not_paths,
            runtime: runtime.is_some(),
            definition: definition.as_object().cloned().unwrap_or_default(),
        };
        template.check(name)?;
        Ok(template)
    }

    /// What it would map must be a mapping.
    fn check(&self, name: &str) -> Result<()> {
        if self.runtime || self.definition.values().any(|v| plain(v).contains('{')) {
            return Ok(());
        }
        let default = match self.kinds.first().map_or("string", String::as_str) {
            "string" => "text",
            "double" => "float",
            kind => kind,
        };
        let definition = self.definition("a", default);
        let properties = Map::from_iter([("a".to_owned(), definition)]);
        let mapping = Map::from_iter([("properties".to_owned(), Value::from(properties))]);
        match parse::parts(&mapping.into(), Limits::default()) {
            Ok(_) => Ok(()),
            Err(cause) => Err(Refusal::mapper_parsing(format!(
                "dynamic template [{name}] has invalid content: {}",
                cause.reason
            ))
            .because(cause)),
        }
    }

    fn matches(&self, kind: &str, name: &str, path: &str) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|p| simple_match(p, text));
        (self.kinds.is_empty() || self.kinds.iter().any(|k| k == kind))
            && !self.not_kinds.iter().any(|k| k == kind)
            && (self.names.is_empty() || any(&self.names, name))
            && !any(&self.not_names, name)
            && (self.paths.is_empty() || any(&self.paths, path))
            && !any(&self.not_paths, path)
    }

    /// The definition with its placeholders filled in.
    fn definition(&self, name: &str, default: &str) -> Value {
        fn fill(value: &Value, name: &str, kind: &str) -> Value {
            match value {
                Value::String(text) => text
                    .replace("{name}", name)
                    .replace("{dynamic_type}", kind)
                    .replace("{dynamicType}", kind)
                    .into(),
                Value::Array(items) => items.iter().map(|item| fill(item, name, kind)).collect(),
                Value::Object(entries) => entries
                    .iter()
                    .map(|(key, value)| {
                        let key = key.replace("{name}", name).replace("{dynamic_type}", kind);
                        (key, fill(value, name, kind))
                    })
                    .collect(),
                other => other.clone(),
            }
        }
        let mut definition = Map::new();
        if !self.definition.contains_key("type") {
            definition.insert("type".to_owned(), default.into());
        }
        for (key, value) in &self.definition {
            definition.insert(key.clone(), fill(value, name, default));
        }
        definition.into()
    }
}

/// A text, or many.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        one => vec![plain(one)],
    }
}

/// `*` stands for anything.
fn simple_match(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((part, next)) = rest.split_once('*') {
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
        rest = next;
    }
    text.ends_with(rest)
}

impl Mapping {
    /// This mapping and what a document brings.
    pub fn grown(&self, growth: Growth, limits: Limits) -> Result<Self> {
        let adding = growth.properties.len() + growth.runtime.len();
        let addition = Map::from_iter([
            ("properties".to_owned(), Value::from(growth.properties)),
            ("runtime".to_owned(), Value::from(growth.runtime)),
        ]);
        let parts = parse::parts(&addition.into(), limits)?;
        self.with(parts, limits, adding)
    }
}
