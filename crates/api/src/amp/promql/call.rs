//! Functions of series over time, and of values.

use super::aggregate::{mean, quantile, variance};
use super::eval::{Sight, Value};
use super::{Expression, Kind, Labels, Metric, NAME, Test};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    // Of a range.
    MaxOverTime,
    MinOverTime,
    AvgOverTime,
    SumOverTime,
    CountOverTime,
    LastOverTime,
    PresentOverTime,
    StddevOverTime,
    StdvarOverTime,
    QuantileOverTime,
    Changes,
    Delta,
    // Of each value.
    Abs,
    Ceil,
    Floor,
    Round,
    Sqrt,
    Exp,
    Ln,
    Log2,
    Log10,
    Sgn,
    Clamp,
    ClampMin,
    ClampMax,
    // Of a whole vector.
    Absent,
    Sort,
    SortDesc,
    Scalar,
    Vector,
    Time,
}

use Kind::{Matrix as M, Scalar as S, Vector as V};

/// Names, and what their arguments are; those of `round` may be left out from the second on.
pub const FUNCTIONS: [(&str, Function, &[Kind]); 31] = [
    ("max_over_time", Function::MaxOverTime, &[M]),
    ("min_over_time", Function::MinOverTime, &[M]),
    ("avg_over_time", Function::AvgOverTime, &[M]),
    ("sum_over_time", Function::SumOverTime, &[M]),
    ("count_over_time", Function::CountOverTime, &[M]),
    ("last_over_time", Function::LastOverTime, &[M]),
    ("present_over_time", Function::PresentOverTime, &[M]),
    ("stddev_over_time", Function::StddevOverTime, &[M]),
    ("stdvar_over_time", Function::StdvarOverTime, &[M]),
    ("quantile_over_time", Function::QuantileOverTime, &[S, M]),
    ("changes", Function::Changes, &[M]),
    ("delta", Function::Delta, &[M]),
    ("abs", Function::Abs, &[V]),
    ("ceil", Function::Ceil, &[V]),
    ("floor", Function::Floor, &[V]),
    ("round", Function::Round, &[V, S]),
    ("sqrt", Function::Sqrt, &[V]),
    ("exp", Function::Exp, &[V]),
    ("ln", Function::Ln, &[V]),
    ("log2", Function::Log2, &[V]),
    ("log10", Function::Log10, &[V]),
    ("sgn", Function::Sgn, &[V]),
    ("clamp", Function::Clamp, &[V, S, S]),
    ("clamp_min", Function::ClampMin, &[V, S]),
    ("clamp_max", Function::ClampMax, &[V, S]),
    ("absent", Function::Absent, &[V]),
    ("sort", Function::Sort, &[V]),
    ("sort_desc", Function::SortDesc, &[V]),
    ("scalar", Function::Scalar, &[V]),
    ("vector", Function::Vector, &[S]),
    ("time", Function::Time, &[]),
];

impl Function {
    pub fn kind(self) -> Kind {
        match self {
            Self::Scalar | Self::Time => Kind::Scalar,
            _ => Kind::Vector,
        }
    }

    /// How many arguments it needs at least, of those that it may have.
    pub fn needed(self, most: usize) -> usize {
        match self {
            Self::Round => 1,
            _ => most,
        }
    }

    /// Of the samples of a range, at least one; None where they are too few. `share`: of a quantile.
    fn over_time(self, samples: &[(i64, f64)], share: f64) -> Option<f64> {
        let values = || samples.iter().map(|(_, value)| *value);
        let all = || values().collect::<Vec<f64>>();
        let (first, last) = (samples.first()?.1, samples.last()?.1);
        Some(match self {
            Self::MaxOverTime => values().fold(f64::NAN, f64::max),
            Self::MinOverTime => values().fold(f64::NAN, f64::min),
            Self::AvgOverTime => mean(&all()),
            Self::SumOverTime => values().sum(),
            Self::CountOverTime => samples.len() as f64,
            Self::LastOverTime => last,
            Self::PresentOverTime => 1.0,
            Self::StddevOverTime => variance(&all()).sqrt(),
            Self::StdvarOverTime => variance(&all()),
            Self::QuantileOverTime => quantile(share, all()),
            Self::Changes => {
                let pairs = values().zip(values().skip(1));
                pairs.filter(|(one, next)| one != next).count() as f64
            }
            // As the samples have it: nothing is made up for the ends of the range.
            Self::Delta if samples.len() > 1 => last - first,
            _ => return None,
        })
    }

    fn of_value(self, value: f64, [low, high]: [f64; 2]) -> f64 {
        match self {
            Self::Abs => value.abs(),
            Self::Ceil => value.ceil(),
            Self::Floor => value.floor(),
            Self::Round => (value / low + 0.5).floor() * low,
            Self::Sqrt => value.sqrt(),
            Self::Exp => value.exp(),
            Self::Ln => value.ln(),
            Self::Log2 => value.log2(),
            Self::Log10 => value.log10(),
            Self::Sgn if value > 0.0 => 1.0,
            Self::Sgn if value < 0.0 => -1.0,
            Self::Clamp => value.min(high).max(low),
            Self::ClampMin => value.max(low),
            Self::ClampMax => value.min(low),
            _ => value,
        }
    }
}

impl Sight<'_> {
    pub(super) fn call(
        &mut self,
        function: Function,
        arguments: &[Expression],
        time: i64,
    ) -> Result<Value, String> {
        if let Some(Expression::Selector(selector)) = arguments.last()
            && selector.range.is_some()
        {
            let share = match arguments {
                [share, _] => self.at(share, time)?.number(),
                _ => f64::NAN,
            };
            let keeps_name = function == Function::LastOverTime;
            let found = self.seen(selector, time).filter_map(|(metric, samples)| {
                let value = function.over_time(samples, share)?;
                let metric = metric.clone();
                Some(match keeps_name {
                    true => (metric, value),
                    false => (metric.nameless(), value),
                })
            });
            return Ok(Value::Vector(found.collect()));
        }
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.at(argument, time)?);
        }
        let mut values = values.into_iter();
        let first = values.next();
        if function == Function::Time {
            return Ok(Value::Number(time as f64 / 1_000.0));
        }
        if function == Function::Vector {
            let number = first.map_or(f64::NAN, Value::number);
            return Ok(Value::Vector(vec![(Metric::new(Labels::new()), number)]));
        }
        let mut vector = first.map(Value::vector).unwrap_or_default();
        let order = |one: f64, other: f64| (one.is_nan().cmp(&other.is_nan()), one, other);
        Ok(Value::Vector(match function {
            Function::Scalar => {
                return Ok(Value::Number(match vector[..] {
                    [(_, value)] => value,
                    _ => f64::NAN,
                }));
            }
            Function::Absent if vector.is_empty() => {
                vec![(Metric::new(told(arguments.first())), 1.0)]
            }
            Function::Absent => Vec::new(),
            Function::Sort | Function::SortDesc => {
                vector.sort_by(|(_, one), (_, other)| {
                    let (nan, one, other) = order(*one, *other);
                    nan.then(match function {
                        Function::Sort => one.total_cmp(&other),
                        _ => other.total_cmp(&one),
                    })
                });
                vector
            }
            _ => {
                let mut next = |default: f64| values.next().map_or(default, Value::number);
                let bounds = [next(1.0), next(f64::INFINITY)];
                let changed = vector.into_iter().map(|(metric, value)| {
                    let value = function.of_value(value, bounds);
                    (metric.nameless(), value)
                });
                changed.collect()
            }
        }))
    }
}

/// The labels that a selector asks for as they are.
fn told(of: Option<&Expression>) -> Labels {
    let Some(Expression::Selector(selector)) = of else {
        return Labels::new();
    };
    let equal = selector
        .matchers
        .iter()
        .filter_map(|matcher| match &matcher.test {
            Test::Is(value) if matcher.label != NAME => {
                Some((matcher.label.clone(), value.clone()))
            }
            _ => None,
        });
    equal.collect()
}
