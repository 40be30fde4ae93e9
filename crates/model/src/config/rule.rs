//! Custom rules of a detector, in their wire form: when what is to be done beside the plain analysis.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::given::given;
use super::{ConfigError, Function};

/// An enumeration that is read in any case and written in its own names.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $what:literal, $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl TryFrom<String> for $type {
            type Error = ConfigError;

            fn try_from(text: String) -> Result<Self, ConfigError> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(ConfigError::no_constant($what, text.trim())),
                }
            }
        }

        impl From<$type> for &'static str {
            fn from(value: $type) -> Self {
                match value { $($type::$variant => $name),+ }
            }
        }
    };
}

named!(
    /// What is done where a rule holds.
    Action, "RuleAction",
    /// What is unusual is no record, and counts for nothing.
    SkipResult = "skip_result",
    /// The value is judged and not learnt.
    SkipModelUpdate = "skip_model_update",
    /// The model's clock moves, once.
    ForceTimeShift = "force_time_shift"
);

named!(
    /// What a condition looks at.
    AppliesTo, "RuleCondition.AppliesTo",
    Actual = "actual",
    Typical = "typical",
    /// How far the actual value is from the typical one, either way.
    DiffFromTypical = "diff_from_typical",
    /// The start of the bucket, epoch seconds.
    Time = "time"
);

named!(
    /// How a condition compares.
    Operator, "Operator",
    Gt = "gt",
    Gte = "gte",
    Lt = "lt",
    Lte = "lte"
);

named!(
    /// Whether a scope means what is in its filter, or what is not.
    FilterType, "FilterRef.FilterType",
    Include = "include",
    Exclude = "exclude"
);

/// `applies_to operator value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub applies_to: AppliesTo,
    pub operator: Operator,
    pub value: f64,
}

/// The filter that a field's values are looked up in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterRef {
    pub filter_id: String,
    #[serde(default = "include")]
    pub filter_type: FilterType,
}

fn include() -> FilterType {
    FilterType::Include
}

/// A rule of a detector: it holds where the scope's fields and all conditions do. Built by deserialising, which checks
/// what can be checked without its detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawRule")]
pub struct CustomRule {
    /// Each once, in the order of [`Action`].
    pub actions: Vec<Action>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scope: BTreeMap<String, FilterRef>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "RuleParams::is_empty")]
    pub params: RuleParams,
}

/// What actions need to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleParams {
    pub force_time_shift: Option<TimeShift>,
}

impl RuleParams {
    fn is_empty(&self) -> bool {
        self.force_time_shift.is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeShift {
    /// Seconds.
    pub time_shift_amount: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default, deserialize_with = "given")]
    actions: Option<Vec<Action>>,
    #[serde(default, deserialize_with = "given")]
    scope: Option<BTreeMap<String, FilterRef>>,
    #[serde(default, deserialize_with = "given")]
    conditions: Option<Vec<Condition>>,
    #[serde(default, deserialize_with = "given")]
    params: Option<RuleParams>,
}

impl TryFrom<RawRule> for CustomRule {
    type Error = ConfigError;

    fn try_from(raw: RawRule) -> Result<Self, ConfigError> {
        let mut actions = raw.actions.unwrap_or_else(|| vec![Action::SkipResult]);
        actions.sort_unstable();
        actions.dedup();
        let rule = Self {
            actions,
            scope: raw.scope.unwrap_or_default(),
            conditions: raw.conditions.unwrap_or_default(),
            params: raw.params.unwrap_or_default(),
        };
        if rule.scope.is_empty() && rule.conditions.is_empty() {
            refuse!("Invalid detector rule: at least scope or a condition is required");
        }
        let shifts = rule.actions.contains(&Action::ForceTimeShift);
        match &rule.params.force_time_shift {
            None if shifts => {
                refuse!(
                    "Invalid detector rule: action [force_time_shift] requires [force_time_shift] in params"
                )
            }
            Some(_) if !shifts => {
                refuse!(
                    "Invalid detector rule: [force_time_shift] in params requires action [force_time_shift]"
                )
            }
            Some(shift) if shift.time_shift_amount.unsigned_abs() > MAX_SHIFT => {
                refuse!(
                    "Invalid detector rule: time_shift_amount [{}] is more than [{MAX_SHIFT}] seconds",
                    shift.time_shift_amount
                )
            }
            _ => Ok(rule),
        }
    }
}

/// Seconds that one shift may move a clock: a year. Times stay far from the ends of their numbers.
pub const MAX_SHIFT: u64 = 366 * 86_400;

/// Functions whose values are no plain numbers: their rules can only ask for the time.
const TIME_ONLY: [&str; 4] = ["lat_long", "metric", "rare", "freq_rare"];

impl CustomRule {
    /// Whether the rule can be one of a detector of this function and of these split fields.
    ///
    /// # Errors
    /// The reason as Elasticsearch gives it; it looks at the first condition alone, and so does this.
    pub fn check(&self, function: Function, splits: &[&str]) -> Result<(), ConfigError> {
        let by_value = |condition: &Condition| condition.applies_to != AppliesTo::Time;
        if TIME_ONLY.contains(&function.name()) && self.conditions.first().is_some_and(by_value) {
            refuse!(
                "Invalid detector rule: function {} only supports conditions that apply to time",
                function.name()
            );
        }
        for field in self.scope.keys() {
            if splits.is_empty() {
                refuse!(
                    "Invalid detector rule: scope field '{field}' is invalid; detector has no available fields for \
                     scoping"
                );
            }
            if !splits.contains(&field.as_str()) {
                refuse!(
                    "Invalid detector rule: scope field '{field}' is invalid; select from [{}]",
                    splits.join(", ")
                );
            }
        }
        Ok(())
    }

    /// Seconds by which the model's clock is to move.
    pub fn shift(&self) -> Option<i64> {
        let shift = self.params.force_time_shift.as_ref()?;
        Some(shift.time_shift_amount)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Detector;

    fn rule(rule: Value) -> Result<Value, String> {
        let detector = json!({
            "function": "mean", "field_name": "x", "by_field_name": "host", "partition_field_name": "site",
            "custom_rules": [rule]
        });
        let detector = serde_json::from_value::<Detector>(detector).map_err(reason)?;
        let written = serde_json::to_value(&detector).expect("serialises");
        let again: Detector = serde_json::from_value(written.clone()).expect("can be read again");
        assert_eq!(again, detector);
        Ok(written["custom_rules"][0].clone())
    }

    fn reason(error: serde_json::Error) -> String {
        ConfigError::from_display(&error.to_string()).map_or(error.to_string(), |e| e.reason)
    }

    #[test]
    fn rules_are_written_with_their_defaults_and_without_what_is_empty() {
        assert_eq!(
            rule(json!({"scope": {"host": {"filter_id": "safe"}}})),
            Ok(json!({
                "actions": ["skip_result"],
                "scope": {"host": {"filter_id": "safe", "filter_type": "include"}}
            }))
        );
        assert_eq!(
            rule(json!({
                "actions": ["force_time_shift", "skip_model_update", "SKIP_MODEL_UPDATE"],
                "conditions": [{"applies_to": "time", "operator": "GTE", "value": 5}],
                "params": {"force_time_shift": {"time_shift_amount": -3600}}
            })),
            Ok(json!({
                "actions": ["skip_model_update", "force_time_shift"],
                "conditions": [{"applies_to": "time", "operator": "gte", "value": 5.0}],
                "params": {"force_time_shift": {"time_shift_amount": -3600}}
            }))
        );
    }

    #[test]
    fn what_is_no_rule_is_refused_with_the_known_words() {
        let condition = json!([{"applies_to": "actual", "operator": "lt", "value": 1.0}]);
        let cases = [
            (json!({}), "at least scope or a condition is required"),
            (
                json!({"scope": {"x": {"filter_id": "safe"}}}),
                "scope field 'x' is invalid; select from [host, site]",
            ),
            (
                json!({"actions": ["force_time_shift"], "conditions": condition}),
                "action [force_time_shift] requires",
            ),
            (
                json!({"params": {"force_time_shift": {"time_shift_amount": 1}}, "conditions": condition}),
                "requires action [force_time_shift]",
            ),
            (
                json!({
                    "actions": ["force_time_shift"],
                    "params": {"force_time_shift": {"time_shift_amount": i64::MIN}}, "conditions": condition
                }),
                "is more than [31622400] seconds",
            ),
        ];
        for (body, part) in cases {
            let reason = rule(body).expect_err("refused");
            assert!(
                reason.starts_with("Invalid detector rule: ") && reason.contains(part),
                "{reason}"
            );
        }
        let unscoped =
            json!({"function": "count", "custom_rules": [{"scope": {"x": {"filter_id": "safe"}}}]});
        let refused = serde_json::from_value::<Detector>(unscoped)
            .map_err(reason)
            .expect_err("refused");
        assert!(
            refused.ends_with("detector has no available fields for scoping"),
            "{refused}"
        );
        let unknown =
            rule(json!({"conditions": [{"applies_to": "actual", "operator": "eq", "value": 1.0}]}));
        assert!(unknown.expect_err("refused").ends_with(".Operator.EQ"));
    }
}
