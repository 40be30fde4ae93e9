//! Settings of an index: all are kept and printed; those that mean something here are read

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::Refusal;
use super::mapping::{Limits, plain};

type Result<T> = std::result::Result<T, Refusal>;

/// The settings of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// By whole name, `index.number_of_shards`, as texts.
    values: BTreeMap<String, String>,
    /// How often what was written becomes findable; None: only when it is asked for.
    pub refresh_interval: Option<Duration>,
    /// What mappings may have.
    pub limits: Limits,
    /// Left out by wildcards that don't ask for it.
    pub hidden: bool,
}

/// Settings that can only be given when an index is created.
const FINAL: [&str; 9] = [
    "index.codec",
    "index.mode",
    "index.number_of_routing_shards",
    "index.number_of_shards",
    "index.routing_partition_size",
    "index.shard.check_on_startup",
    "index.soft_deletes.enabled",
    "index.store.type",
    "index.load_fixed_bitset_filters_eagerly",
];

/// Settings that can be changed at any time; those that end with a dot stand for all below.
const DYNAMIC: [&str; 46] = [
    "index.allocation.",
    "index.analyze.max_token_count",
    "index.auto_expand_replicas",
    "index.blocks.metadata",
    "index.blocks.read",
    "index.blocks.read_only",
    "index.blocks.read_only_allow_delete",
    "index.blocks.write",
    "index.default_pipeline",
    "index.final_pipeline",
    "index.gc_deletes",
    "index.hidden",
    "index.highlight.max_analyzed_offset",
    "index.highlight.weight_matches_mode.enabled",
    "index.indexing.slowlog.",
    "index.lifecycle.",
    "index.mapping.coerce",
    "index.mapping.depth.limit",
    "index.mapping.dimension_fields.limit",
    "index.mapping.field_name_length.limit",
    "index.mapping.ignore_malformed",
    "index.mapping.nested_fields.limit",
    "index.mapping.nested_objects.limit",
    "index.mapping.total_fields.ignore_dynamic_beyond_limit",
    "index.mapping.total_fields.limit",
    "index.max_docvalue_fields_search",
    "index.max_inner_result_window",
    "index.max_ngram_diff",
    "index.max_refresh_listeners",
    "index.max_regex_length",
    "index.max_rescore_window",
    "index.max_result_window",
    "index.max_script_fields",
    "index.max_shingle_diff",
    "index.max_slices_per_scroll",
    "index.max_terms_count",
    "index.merge.",
    "index.number_of_replicas",
    "index.priority",
    "index.query.default_field",
    "index.refresh_interval",
    "index.routing.",
    "index.search.",
    "index.translog.",
    "index.unassigned.node_left.delayed_timeout",
    "index.write.wait_for_active_shards",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            values: BTreeMap::from(
                [("number_of_shards", "1"), ("number_of_replicas", "1")]
                    .map(|(name, value)| (format!("index.{name}"), value.to_owned())),
            ),
            refresh_interval: Some(Duration::from_secs(1)),
            limits: Limits::default(),
            hidden: false,
        }
    }
}

impl Settings {
    /// The settings of a new index.
    pub fn parse(settings: &Value) -> Result<Self> {
        let mut all = Self::default();
        for (name, value) in flat(settings)? {
            check_known(&name)?;
            if let Some(value) = value {
                all.values.insert(name, value);
            }
        }
        all.read()?;
        Ok(all)
    }

    /// These, and what is changed of them. A null takes a setting back to its default.
    pub fn changed(&self, settings: &Value) -> Result<Self> {
        let mut all = self.clone();
        for (name, value) in flat(settings)? {
            check_known(&name)?;
            if FINAL.contains(&name.as_str()) && value.as_ref() != all.values.get(&name) {
                return Err(Refusal::illegal_argument(format!(
                    "final index setting [{name}], not updateable"
                )));
            }
            match value {
                Some(value) => all.values.insert(name, value),
                None => match Self::default().values.remove(&name) {
                    Some(default) => all.values.insert(name, default),
                    None => all.values.remove(&name),
                },
            };
        }
        all.read()?;
        Ok(all)
    }

    /// Takes out of the values what means something here, and checks it.
    fn read(&mut self) -> Result<()> {
        let defaults = Limits::default();
        self.count("index.number_of_shards", 1, 1, 1024)?;
        self.count("index.number_of_replicas", 1, 0, usize::MAX)?;
        self.hidden = self.flag("index.hidden", false)?;
        self.limits = Limits {
            fields: self.count(
                "index.mapping.total_fields.limit",
                defaults.fields,
                1,
                usize::MAX,
            )?,
            depth: self.count("index.mapping.depth.limit", defaults.depth, 1, 100)?,
            nested: self.count(
                "index.mapping.nested_fields.limit",
                defaults.nested,
                0,
                usize::MAX,
            )?,
            ignore_malformed: self
                .flag("index.mapping.ignore_malformed", defaults.ignore_malformed)?,
            coerce: self.flag("index.mapping.coerce", defaults.coerce)?,
        };
        self.refresh_interval = match self.values.get("index.refresh_interval") {
            None => Some(Duration::from_secs(1)),
            Some(text) if text == "-1" => None,
            Some(text) => Some(duration("index.refresh_interval", text)?),
        };
        for name in ["index.default_pipeline", "index.final_pipeline"] {
            if let Some(pipeline) = self.values.get(name).filter(|name| *name != "_none") {
                return Err(Refusal::illegal_argument(format!(
                    "[{name}: {pipeline}] is not supported: there are no ingest pipelines"
                )));
            }
        }
        Ok(())
    }

    fn count(&self, name: &str, default: usize, min: usize, max: usize) -> Result<usize> {
        let Some(text) = self.values.get(name) else {
            return Ok(default);
        };
        let number: i64 = text.parse().map_err(|_| {
            Refusal::illegal_argument(format!(
                "Failed to parse value [{text}] for setting [{name}]"
            ))
        })?;
        match usize::try_from(number) {
            Ok(number) if number > max => Err(Refusal::illegal_argument(format!(
                "Failed to parse value [{text}] for setting [{name}] must be <= {max}"
            ))),
            Ok(number) if number >= min => Ok(number),
            _ => Err(Refusal::illegal_argument(format!(
                "Failed to parse value [{text}] for setting [{name}] must be >= {min}"
            ))),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.values.get(name).map(String::as_str) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(Refusal::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// A setting by its whole name, where it was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All by whole name, as they are stored.
    pub fn to_flat(&self) -> Map<String, Value> {
        self.values
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect()
    }
}

fn check_known(name: &str) -> Result<()> {
    let known = FINAL.contains(&name)
        || DYNAMIC.iter().any(|known| {
            *known == name
                || (known.ends_with('.') && name.len() > known.len() && name.starts_with(known))
        });
    if known {
        return Ok(());
    }
    if name.starts_with("index.analysis.")
        || name.starts_with("index.sort.")
        || name.starts_with("index.similarity.")
    {
        return Err(Refusal::illegal_argument(format!(
            "setting [{name}] is not supported"
        )));
    }
    if matches!(
        name,
        "index.creation_date" | "index.uuid" | "index.provided_name" | "index.version.created"
    ) {
        return Err(Refusal::illegal_argument(format!(
            "private index setting [{name}] can not be set explicitly"
        )));
    }
    Err(Refusal::illegal_argument(format!(
        "unknown setting [{name}] please check that any required plugins are installed, or check the breaking changes \
         documentation for removed settings"
    )))
}

/// Settings by whole name, with or without `index.` before them, nested or dotted; None for a null.
fn flat(settings: &Value) -> Result<Vec<(String, Option<String>)>> {
    fn walk(path: &str, value: &Value, out: &mut Vec<(String, Option<String>)>) {
        let text = match value {
            Value::Object(below) => {
                for (name, value) in below {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    walk(&path, value, out);
                }
                return;
            }
            Value::Null => None,
            other => Some(plain(other)),
        };
        let name = if path.starts_with("index.") {
            path.to_owned()
        } else {
            format!("index.{path}")
        };
        out.push((name, text));
    }
    let mut out = Vec::new();
    match settings {
        Value::Null | Value::Object(_) => walk("", settings, &mut out),
        other => {
            return Err(Refusal::illegal_argument(format!(
                "settings must be an object, got [{}]",
                plain(other)
            )));
        }
    }
    // What `null` gives: nothing.
    out.retain(|(name, _)| name != "index.");
    Ok(out)
}

/// A time as Elasticsearch writes it: `5s`, `100ms`, `1m`.
fn duration(name: &str, text: &str) -> Result<Duration> {
    let wrong = |reason: &str| {
        Refusal::illegal_argument(format!(
            "failed to parse setting [{name}] with value [{text}] as a time value: {reason}"
        ))
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let nanos: u64 = match unit.to_ascii_lowercase().as_str() {
        "nanos" => 1,
        "micros" => 1000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(wrong("unit is missing or unrecognized")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(nanos))
        .map(Duration::from_nanos)
        .ok_or_else(|| wrong(&format!("failed to parse [{text}]")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_in_all_forms() {
        let forms = [
            json!({"number_of_shards": 2, "refresh_interval": "5s"}),
            json!({"index": {"number_of_shards": "2", "refresh_interval": "5s"}}),
            json!({"index.number_of_shards": 2, "index": {"refresh_interval": "5s"}}),
        ];
        for form in forms {
            let settings = Settings::parse(&form).unwrap();
            assert_eq!(settings.get("index.number_of_shards"), Some("2"));
            assert_eq!(settings.refresh_interval, Some(Duration::from_secs(5)));
            assert_eq!(
                Settings::parse(&settings.to_flat().into()).unwrap(),
                settings
            );
        }
        assert_eq!(Settings::parse(&Value::Null).unwrap(), Settings::default());
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (settings, reason) in [
            (
                json!({"foo": 1}),
                "unknown setting [index.foo] please check that any required plugins are installed, or check the \
                 breaking changes documentation for removed settings",
            ),
            (
                json!({"number_of_shards": 0}),
                "Failed to parse value [0] for setting [index.number_of_shards] must be >= 1",
            ),
            (
                json!({"number_of_shards": "x"}),
                "Failed to parse value [x] for setting [index.number_of_shards]",
            ),
            (
                json!({"refresh_interval": "5"}),
                "failed to parse setting [index.refresh_interval] with value [5] as a time value: unit is missing or \
                 unrecognized",
            ),
            (
                json!({"uuid": "x"}),
                "private index setting [index.uuid] can not be set explicitly",
            ),
        ] {
            assert_eq!(Settings::parse(&settings).unwrap_err().reason, reason);
        }
    }

    #[test]
    fn settings_change() {
        let settings = Settings::parse(&json!({"refresh_interval": -1})).unwrap();
        assert_eq!(settings.refresh_interval, None);
        let back = settings
            .changed(&json!({"index": {"refresh_interval": null}}))
            .unwrap();
        assert_eq!(back, Settings::default());
        let refusal = settings
            .changed(&json!({"number_of_shards": 3}))
            .unwrap_err();
        assert_eq!(
            refusal.reason,
            "final index setting [index.number_of_shards], not updateable"
        );
    }
}
