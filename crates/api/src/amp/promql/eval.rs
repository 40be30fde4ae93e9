//! The value of an expression at a time.

use super::{Comparison, Expression, Labels, NAME, OverTime, STALENESS, Selector, Series};

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Vector(Vec<(Labels, f64)>),
}

/// Evaluates an expression over the series that fit its selector. `time`: epoch milliseconds. A range selector alone has
/// no value: it is for a function.
pub fn at(expression: &Expression, series: &[Series], time: i64) -> Value {
    match expression {
        Expression::Number(number) => Value::Number(*number),
        Expression::Selector(selector) => Value::Vector(latest(selector, series, time)),
        Expression::OverTime(function, selector) => {
            Value::Vector(over_time(*function, selector, series, time))
        }
        Expression::Compare {
            left,
            operator,
            is_bool,
            right,
        } => {
            let (left, right) = (at(left, series, time), at(right, series, time));
            compare(left, *operator, *is_bool, right)
        }
    }
}

/// The samples after `from` up to and with `to`.
pub fn within(series: &Series, from: i64, to: i64) -> &[(i64, f64)] {
    let samples = &series.samples;
    let start = samples.partition_point(|(time, _)| *time <= from);
    let end = samples.partition_point(|(time, _)| *time <= to);
    samples.get(start..end).unwrap_or_default()
}

fn latest(selector: &Selector, series: &[Series], time: i64) -> Vec<(Labels, f64)> {
    let from = time.saturating_sub(selector.range.unwrap_or(STALENESS));
    let found = series.iter().filter_map(|series| {
        let (_, value) = within(series, from, time).last()?;
        Some((series.labels.clone(), *value))
    });
    found.collect()
}

fn over_time(
    function: OverTime,
    selector: &Selector,
    series: &[Series],
    time: i64,
) -> Vec<(Labels, f64)> {
    let from = time.saturating_sub(selector.range.unwrap_or(STALENESS));
    let found = series.iter().filter_map(|series| {
        let samples = within(series, from, time);
        let values = || samples.iter().map(|(_, value)| *value);
        let value = match function {
            _ if samples.is_empty() => return None,
            OverTime::Max => values().fold(f64::NAN, f64::max),
            OverTime::Min => values().fold(f64::NAN, f64::min),
            OverTime::Avg => values().sum::<f64>() / samples.len() as f64,
        };
        Some((without_name(series.labels.clone()), value))
    });
    found.collect()
}

fn without_name(mut labels: Labels) -> Labels {
    labels.remove(NAME);
    labels
}

fn compare(left: Value, operator: Comparison, is_bool: bool, right: Value) -> Value {
    let flag = |holds: bool| if holds { 1.0 } else { 0.0 };
    let (vector, number, is_left) = match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            return Value::Number(flag(operator.holds(left, right)));
        }
        (Value::Vector(vector), Value::Number(number)) => (vector, number, true),
        (Value::Number(number), Value::Vector(vector)) => (vector, number, false),
        // Refused when it was parsed.
        (Value::Vector(_), Value::Vector(_)) => return Value::Vector(Vec::new()),
    };
    let holds = |value: f64| match is_left {
        true => operator.holds(value, number),
        false => operator.holds(number, value),
    };
    let compared = vector.into_iter().filter_map(|(labels, value)| {
        if is_bool {
            return Some((without_name(labels), flag(holds(value))));
        }
        holds(value).then_some((labels, value))
    });
    Value::Vector(compared.collect())
}

impl Comparison {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::Less => left < right,
            Self::GreaterOrEqual => left >= right,
            Self::LessOrEqual => left <= right,
        }
    }
}
