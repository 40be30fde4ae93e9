//! Operators between numbers and vectors.

use std::collections::{BTreeMap, BTreeSet};

use super::eval::Value;
use super::{Labels, Metric, NAME};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    And,
    Unless,
    Or,
}

/// As they are written, and how closely they bind.
pub const OPERATORS: [(&str, Operator, u8); 15] = [
    ("or", Operator::Or, 1),
    ("and", Operator::And, 2),
    ("unless", Operator::Unless, 2),
    ("==", Operator::Equal, 3),
    ("!=", Operator::NotEqual, 3),
    (">", Operator::Greater, 3),
    ("<", Operator::Less, 3),
    (">=", Operator::GreaterOrEqual, 3),
    ("<=", Operator::LessOrEqual, 3),
    ("+", Operator::Add, 4),
    ("-", Operator::Subtract, 4),
    ("*", Operator::Multiply, 5),
    ("/", Operator::Divide, 5),
    ("%", Operator::Remainder, 5),
    ("^", Operator::Power, 6),
];

/// By which labels the values of two vectors find each other; the name is never one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    On(Vec<String>),
    Ignoring(Vec<String>),
}

impl Matching {
    fn has(&self, label: &str) -> bool {
        match self {
            Self::On(labels) => labels.iter().any(|one| one == label),
            Self::Ignoring(labels) => labels.iter().all(|one| one != label),
        }
    }

    fn key(&self, metric: &Metric) -> Labels {
        metric.only(|name| name != NAME && self.has(name))
    }
}

impl Operator {
    pub fn is_comparison(self) -> bool {
        self.compared(0.0, 0.0).is_some()
    }

    pub fn is_of_sets(self) -> bool {
        matches!(self, Self::And | Self::Unless | Self::Or)
    }

    fn compared(self, left: f64, right: f64) -> Option<bool> {
        Some(match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::Less => left < right,
            Self::GreaterOrEqual => left >= right,
            Self::LessOrEqual => left <= right,
            _ => return None,
        })
    }

    fn computed(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Remainder => left % right,
            Self::Power => left.powf(right),
            _ => f64::NAN,
        }
    }

    /// A pair's value, and whether it keeps its name; None where a comparison leaves it out. `kept`: what a comparison
    /// keeps.
    fn of(self, is_bool: bool, left: f64, right: f64, kept: f64) -> Option<(f64, bool)> {
        match self.compared(left, right) {
            None => Some((self.computed(left, right), false)),
            Some(holds) if is_bool => Some((if holds { 1.0 } else { 0.0 }, false)),
            Some(holds) => holds.then_some((kept, true)),
        }
    }
}

/// # Errors
/// Where more than one value of a side has the labels by which they are matched.
pub fn binary(
    left: Value,
    operator: Operator,
    is_bool: bool,
    matching: &Matching,
    right: Value,
) -> Result<Value, String> {
    let named = |metric: Metric, (value, keeps_name): (f64, bool)| match keeps_name {
        true => (metric, value),
        false => (metric.nameless(), value),
    };
    Ok(match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let value = operator.of(true, left, right, left);
            Value::Number(value.map_or(f64::NAN, |(value, _)| value))
        }
        (Value::Vector(vector), Value::Number(number)) => {
            let each = vector.into_iter().filter_map(|(metric, value)| {
                let found = operator.of(is_bool, value, number, value)?;
                Some(named(metric, found))
            });
            Value::Vector(each.collect())
        }
        (Value::Number(number), Value::Vector(vector)) => {
            let each = vector.into_iter().filter_map(|(metric, value)| {
                let found = operator.of(is_bool, number, value, value)?;
                Some(named(metric, found))
            });
            Value::Vector(each.collect())
        }
        (Value::Vector(left), Value::Vector(right)) if operator.is_of_sets() => {
            Value::Vector(sets(left, operator, matching, right))
        }
        (Value::Vector(left), Value::Vector(right)) => {
            let mut partners: BTreeMap<Labels, f64> = BTreeMap::new();
            for (metric, value) in right {
                let key = matching.key(&metric);
                if partners.insert(key, value).is_some() {
                    return Err(many("right"));
                }
            }
            let mut seen = BTreeSet::new();
            let mut found = Vec::new();
            for (metric, value) in left {
                let key = matching.key(&metric);
                let Some(other) = partners.get(&key) else {
                    continue;
                };
                let Some((value, keeps_name)) = operator.of(is_bool, value, *other, value) else {
                    continue;
                };
                if !seen.insert(key) {
                    return Err(many("left"));
                }
                let is_kept = |name: &str| matching.has(name) && (keeps_name || name != NAME);
                found.push((Metric::new(metric.only(is_kept)), value));
            }
            Value::Vector(found)
        }
    })
}

fn many(side: &str) -> String {
    format!(
        "found duplicate series for the match group on the {side} hand-side of the operation: many-to-many matching not \
         allowed: matching labels must be unique on one side"
    )
}

fn sets(
    left: Vec<(Metric, f64)>,
    operator: Operator,
    matching: &Matching,
    right: Vec<(Metric, f64)>,
) -> Vec<(Metric, f64)> {
    let keys = |of: &[(Metric, f64)]| -> BTreeSet<Labels> {
        of.iter().map(|(metric, _)| matching.key(metric)).collect()
    };
    let is_in = |keys: &BTreeSet<Labels>, of: &(Metric, f64)| keys.contains(&matching.key(&of.0));
    match operator {
        Operator::Or => {
            let known = keys(&left);
            let more = right.into_iter().filter(|of| !is_in(&known, of));
            left.into_iter().chain(more).collect()
        }
        _ => {
            let known = keys(&right);
            let wanted = operator == Operator::And;
            let kept = left.into_iter().filter(|of| is_in(&known, of) == wanted);
            kept.collect()
        }
    }
}
