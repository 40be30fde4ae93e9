//! One detector, checked.

use serde::{Deserialize, Serialize};

use super::given::given;
use super::{ConfigError, CustomRule, ExcludeFrequent, Excluded, Function};

/// One detector. Built by deserialising, which checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawDetector")]
pub struct Detector {
    pub detector_description: String,
    pub function: Function,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_field_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_field_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_field_name: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_null: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_frequent: Option<ExcludeFrequent>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_rules: Vec<CustomRule>,
    pub detector_index: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetector {
    #[serde(default, deserialize_with = "given")]
    detector_description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    function: Option<Function>,
    #[serde(default, deserialize_with = "given")]
    field_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    by_field_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    over_field_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    partition_field_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    use_null: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    exclude_frequent: Option<ExcludeFrequent>,
    #[serde(default, deserialize_with = "given")]
    custom_rules: Option<Vec<CustomRule>>,
    /// Taken and not used: detectors are numbered in their order.
    #[serde(default, rename = "detector_index", deserialize_with = "given")]
    _detector_index: Option<i64>,
}

impl TryFrom<RawDetector> for Detector {
    type Error = ConfigError;

    fn try_from(raw: RawDetector) -> Result<Self, ConfigError> {
        let given = |name: Option<String>| name.filter(|name| !name.is_empty());
        let field_name = given(raw.field_name);
        let by_field_name = given(raw.by_field_name);
        let over_field_name = given(raw.over_field_name);
        let partition_field_name = given(raw.partition_field_name);

        // What Elasticsearch takes for a detector without a function.
        let function = match raw.function {
            Some(function) => function,
            None => Function::try_from("metric".to_owned())?,
        };
        let name = function.name();
        if !function.stands_alone()
            && [&field_name, &by_field_name, &over_field_name]
                .into_iter()
                .all(Option::is_none)
        {
            refuse!(
                "Unless a count or temporal function is used one of field_name, by_field_name or over_field_name must \
                 be set"
            );
        }
        if function.needs_field() && field_name.is_none() {
            refuse!("field_name must be set when the '{name}' function is used");
        }
        if !function.needs_field() && field_name.is_some() {
            refuse!("field_name cannot be used with function '{name}'");
        }
        if function.needs_by() && by_field_name.is_none() {
            refuse!("by_field_name must be set when the '{name}' function is used");
        }
        if function.needs_over() && over_field_name.is_none() {
            refuse!("over_field_name must be set when the '{name}' function is used");
        }
        if function.refuses_over() && over_field_name.is_some() {
            refuse!("over_field_name cannot be used with function '{name}'");
        }
        let splits = [
            ("by_field_name", &by_field_name),
            ("over_field_name", &over_field_name),
            ("partition_field_name", &partition_field_name),
        ];
        for name in [
            &field_name,
            &by_field_name,
            &over_field_name,
            &partition_field_name,
        ]
        .into_iter()
        .flatten()
        {
            check_field_name(name)?;
        }
        let custom_rules = raw.custom_rules.unwrap_or_default();
        check_rules(&custom_rules, function, &splits.map(|(_, name)| name))?;
        for (a, b) in [(2, 0), (2, 1), (0, 1)] {
            if let (Some(x), Some(y)) = (splits[a].1, splits[b].1)
                && x == y
            {
                refuse!(
                    "{} and {} cannot be the same: '{x}'",
                    splits[a].0,
                    splits[b].0
                );
            }
        }
        for forbidden in ["count", "by", "over"] {
            for (split, name) in &splits[..2] {
                if name.as_deref() == Some(forbidden) {
                    refuse!("'{forbidden}' is not a permitted value for {split}");
                }
            }
        }
        let exclude_frequent = raw.exclude_frequent;
        let use_null = raw.use_null.unwrap_or(false);
        let detector_description = raw.detector_description.unwrap_or_else(|| {
            let quoted = |name: &String| quote(name);
            let mut text = function.name().to_owned();
            text += &field_name
                .as_ref()
                .map_or(String::new(), |name| format!("({})", quoted(name)));
            text += &by_field_name
                .as_ref()
                .map_or(String::new(), |name| format!(" by {}", quoted(name)));
            text += &over_field_name
                .as_ref()
                .map_or(String::new(), |name| format!(" over {}", quoted(name)));
            text += if use_null { " usenull=true" } else { "" };
            text += &partition_field_name
                .as_ref()
                .map_or(String::new(), |n| format!(" partitionfield={}", quoted(n)));
            text += &exclude_frequent.map_or(String::new(), |of| {
                format!(" excludefrequent={}", of.name())
            });
            text
        });
        Ok(Self {
            detector_description,
            function,
            field_name,
            by_field_name,
            over_field_name,
            partition_field_name,
            use_null,
            exclude_frequent,
            custom_rules,
            detector_index: 0,
        })
    }
}

impl Detector {
    /// The rules, against what they are rules of.
    pub fn check_rules(&self) -> Result<(), ConfigError> {
        let splits = [
            &self.by_field_name,
            &self.over_field_name,
            &self.partition_field_name,
        ];
        check_rules(&self.custom_rules, self.function, &splits)
    }

    /// Whether it has a slot for each split value, not one in all.
    pub fn is_split(&self) -> bool {
        self.by_field_name.is_some()
            || self.over_field_name.is_some()
            || self.partition_field_name.is_some()
    }

    pub fn excluded(&self) -> Excluded {
        use ExcludeFrequent::{All, By, Over};
        Excluded {
            by: matches!(self.exclude_frequent, Some(All | By)),
            over: matches!(self.exclude_frequent, Some(All | Over)),
        }
    }
}

fn check_rules(
    rules: &[CustomRule],
    function: Function,
    splits: &[&Option<String>; 3],
) -> Result<(), ConfigError> {
    let mut splits: Vec<&str> = splits.iter().filter_map(|name| name.as_deref()).collect();
    splits.sort_unstable();
    let check = |rule: &CustomRule| rule.check(function, &splits);
    rules.iter().try_for_each(check)
}

pub(super) fn check_field_name(name: &str) -> Result<(), ConfigError> {
    if name
        .chars()
        .any(|c| matches!(c, '"' | '\\') || c.is_control())
    {
        refuse!(
            "Invalid field name '{name}'. Field names including over, by and partition fields cannot contain any of \
             these characters: \",\\"
        );
    }
    // The engine's control messages have that name in Elasticsearch.
    if name == "." {
        refuse!(
            "Invalid field name '.'. Field names including over, by and partition fields cannot be '.'"
        );
    }
    Ok(())
}

fn quote(name: &str) -> String {
    match name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    {
        true => name.to_owned(),
        false => format!("\"{name}\""),
    }
}
