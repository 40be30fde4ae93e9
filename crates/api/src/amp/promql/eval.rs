//! The value of an expression at a time.

use std::time::{Duration, Instant};

use super::binary::binary;
use super::{Expression, Metric, Selector, Series};

/// Values that one query may come to on its way, over all times.
const MOST_VALUES: usize = 20_000_000;

/// How long one query may take.
const LONGEST: Duration = Duration::from_secs(120);

pub const TIMED_OUT: &str = "query timed out in expression evaluation";
pub const TOO_MANY: &str =
    "query processing would load too many samples into memory in query execution";

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Vector(Vec<(Metric, f64)>),
}

impl Value {
    /// Of an expression that is known to give one.
    pub fn number(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Vector(_) => f64::NAN,
        }
    }

    pub fn vector(self) -> Vec<(Metric, f64)> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Vector(vector) => vector,
        }
    }
}

/// Series with their samples.
type Selected<'a> = Vec<(Metric, &'a [(i64, f64)])>;

/// The series that a query's selectors select.
pub struct Sight<'a> {
    /// By the numbers of the selectors.
    selected: Vec<Selected<'a>>,
    /// Values that there were.
    count: usize,
    begun: Instant,
}

impl<'a> Sight<'a> {
    pub fn new(expression: &Expression, series: &'a [Series]) -> Self {
        let all = series.iter().map(|one| Metric::new(one.labels.clone()));
        let all: Vec<Metric> = all.collect();
        let of = |selector: &Selector| {
            let fitting = series.iter().zip(&all);
            let fitting = fitting.filter(|(series, _)| selector.fits(&series.labels));
            fitting
                .map(|(series, metric)| (metric.clone(), &series.samples[..]))
                .collect()
        };
        Self {
            selected: expression.selectors().into_iter().map(of).collect(),
            count: 0,
            begun: Instant::now(),
        }
    }

    /// Evaluates an expression. `time`: epoch milliseconds. A range selector alone has no value: it is for a function.
    ///
    /// # Errors
    /// In the words of Prometheus, where series don't fit together or there is too much of them.
    pub fn at(&mut self, expression: &Expression, time: i64) -> Result<Value, String> {
        if self.begun.elapsed() > LONGEST {
            return Err(TIMED_OUT.to_owned());
        }
        let value = match expression {
            Expression::Number(number) => Value::Number(*number),
            Expression::Selector(selector) => Value::Vector(self.latest(selector, time)),
            Expression::Negative(inner) => match self.at(inner, time)? {
                Value::Number(number) => Value::Number(-number),
                Value::Vector(vector) => {
                    let negative = vector
                        .into_iter()
                        .map(|(metric, value)| (metric.nameless(), -value));
                    Value::Vector(negative.collect())
                }
            },
            Expression::Call(function, arguments) => self.call(*function, arguments, time)?,
            Expression::Aggregate {
                aggregation,
                grouping,
                parameter,
                of,
            } => {
                let parameter = match parameter {
                    Some(parameter) => self.at(parameter, time)?.number(),
                    None => f64::NAN,
                };
                let vector = self.at(of, time)?.vector();
                Value::Vector(aggregation.of(grouping, parameter, vector))
            }
            Expression::Binary {
                left,
                operator,
                is_bool,
                matching,
                right,
            } => {
                let (left, right) = (self.at(left, time)?, self.at(right, time)?);
                binary(left, *operator, *is_bool, matching, right)?
            }
        };
        if let Value::Vector(vector) = &value {
            self.count += vector.len();
            if self.count > MOST_VALUES {
                return Err(TOO_MANY.to_owned());
            }
        }
        Ok(value)
    }

    fn latest(&self, selector: &Selector, time: i64) -> Vec<(Metric, f64)> {
        let seen = self.seen(selector, time);
        seen.filter_map(|(metric, samples)| Some((metric.clone(), samples.last()?.1)))
            .collect()
    }

    /// The series of a selector, with those of their samples that it sees; there may be none.
    pub(super) fn seen(
        &self,
        selector: &Selector,
        time: i64,
    ) -> impl Iterator<Item = (&Metric, &'a [(i64, f64)])> {
        let (from, to) = selector.window(time);
        let selected = self.selected.get(selector.number);
        selected
            .into_iter()
            .flatten()
            .map(move |(metric, samples)| (metric, within(samples, from, to)))
    }
}

/// The samples after `from` up to and with `to`.
pub fn within(samples: &[(i64, f64)], from: i64, to: i64) -> &[(i64, f64)] {
    let start = samples.partition_point(|(time, _)| *time <= from);
    let end = samples.partition_point(|(time, _)| *time <= to);
    samples.get(start..end).unwrap_or_default()
}
