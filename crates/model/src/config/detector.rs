//! One detector, checked.

use serde::{Deserialize, Serialize};

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
    detector_description: Option<String>,
    function: Option<String>,
    field_name: Option<String>,
    by_field_name: Option<String>,
    over_field_name: Option<String>,
    partition_field_name: Option<String>,
    use_null: Option<bool>,
    exclude_frequent: Option<String>,
    custom_rules: Option<Vec<CustomRule>>,
    #[serde(default)]
    detector_index: usize,
}

impl TryFrom<RawDetector> for Detector {
    type Error = ConfigError;

    fn try_from(raw: RawDetector) -> Result<Self, ConfigError> {
        let given = |name: Option<String>| name.filter(|name| !name.is_empty());
        let field_name = given(raw.field_name);
        let by_field_name = given(raw.by_field_name);
        let over_field_name = given(raw.over_field_name);
        let partition_field_name = given(raw.partition_field_name);

        let function = Function::try_from(raw.function.unwrap_or_else(|| "metric".to_owned()))?;
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
        for (split, name) in &splits[..2] {
            if let Some(name @ ("count" | "by" | "over")) = name.as_deref() {
                refuse!("'{name}' is not a permitted value for {split}");
            }
        }
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
        let exclude_frequent = match &raw.exclude_frequent {
            None => None,
            Some(text) => Some(ExcludeFrequent::parse(text)?),
        };
        let use_null = raw.use_null.unwrap_or(false);
        let detector_description = raw
            .detector_description
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| {
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
        let detector_index = raw.detector_index;
        let detector = Self {
            detector_description,
            function,
            field_name,
            by_field_name,
            over_field_name,
            partition_field_name,
            use_null,
            exclude_frequent,
            custom_rules: raw.custom_rules.unwrap_or_default(),
            detector_index,
        };
        detector.check_rules()?;
        Ok(detector)
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
        let splits: Vec<&str> = splits.into_iter().flatten().map(String::as_str).collect();
        let check = |rule: &CustomRule| rule.check(self.function, &splits);
        self.custom_rules.iter().try_for_each(check)
    }
}

impl Detector {
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

pub(super) fn check_field_name(name: &str) -> Result<(), ConfigError> {
    if name == "."
        || name
            .chars()
            .any(|c| matches!(c, '"' | '\\') || c.is_control())
    {
        refuse!(
            "Invalid field name '{name}'. Field names including over, by and partition fields cannot contain any of \
             these characters: \",\\"
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
