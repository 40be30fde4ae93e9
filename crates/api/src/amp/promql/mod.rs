//! The part of PromQL in which alert rules and panels ask for what detectors found: selectors with offsets, functions of
//! time and of values, aggregations, operators. Subqueries, `@`, `group_left` and rates of counters are not among it.
//!
//! The parser is our own: the crate that there is brings a generator of parsers along, with its twenty crates.

mod aggregate;
mod binary;
mod call;
mod eval;
mod lex;
mod metric;
mod parse;

use std::collections::BTreeMap;

use regex::Regex;

pub use aggregate::{Aggregation, Grouping};
pub use binary::{Matching, Operator};
pub use call::Function;
pub use eval::{Sight, TIMED_OUT, TOO_MANY, Value, within};
pub use lex::duration;
pub use metric::Metric;
pub use parse::{parse, selector};

/// The label that has a metric's name.
pub const NAME: &str = "__name__";
/// A sample is shown for so long where no newer one comes, in milliseconds.
pub const STALENESS: i64 = 300_000;

pub type Labels = BTreeMap<String, String>;

/// Samples of one set of labels: epoch milliseconds and values, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: Labels,
    pub samples: Vec<(i64, f64)>,
}

#[derive(Debug)]
pub enum Expression {
    Number(f64),
    Selector(Selector),
    Negative(Box<Expression>),
    Call(Function, Vec<Expression>),
    Aggregate {
        aggregation: Aggregation,
        grouping: Grouping,
        /// Of those that have one: how many, or which share.
        parameter: Option<Box<Expression>>,
        of: Box<Expression>,
    },
    Binary {
        left: Box<Expression>,
        operator: Operator,
        /// 0 or 1 in the place of what a comparison leaves out or keeps.
        is_bool: bool,
        matching: Matching,
        right: Box<Expression>,
    },
}

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Scalar,
    Vector,
    Matrix,
}

impl Kind {
    /// In the words of Prometheus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

#[derive(Debug)]
pub struct Selector {
    /// Which of a query's selectors it is.
    pub number: usize,
    pub matchers: Vec<Matcher>,
    /// Of a range selector: milliseconds.
    pub range: Option<i64>,
    /// Milliseconds to the past.
    pub offset: i64,
}

#[derive(Debug)]
pub struct Matcher {
    pub label: String,
    pub test: Test,
}

#[derive(Debug)]
pub enum Test {
    Is(String),
    IsNot(String),
    Fits(Regex),
    FitsNot(Regex),
}

impl Test {
    /// A label that isn't there is empty.
    pub fn holds(&self, value: &str) -> bool {
        match self {
            Self::Is(text) => value == text,
            Self::IsNot(text) => value != text,
            Self::Fits(regex) => regex.is_match(value),
            Self::FitsNot(regex) => !regex.is_match(value),
        }
    }
}

impl Selector {
    /// All series that there are.
    pub fn every() -> Self {
        Self {
            number: 0,
            matchers: Vec::new(),
            range: None,
            offset: 0,
        }
    }

    pub fn fits(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = labels.get(&matcher.label);
            matcher.test.holds(value.map_or("", String::as_str))
        })
    }

    /// Whether anything with this value of a label can fit.
    pub fn admits(&self, label: &str, value: &str) -> bool {
        let mut of_label = self
            .matchers
            .iter()
            .filter(|matcher| matcher.label == label);
        of_label.all(|matcher| matcher.test.holds(value))
    }

    /// The first time whose samples it does not see, and the last that it does.
    pub fn window(&self, time: i64) -> (i64, i64) {
        let to = time.saturating_sub(self.offset);
        (to.saturating_sub(self.range.unwrap_or(STALENESS)), to)
    }
}

impl Expression {
    /// All of its selectors, by their numbers.
    pub fn selectors(&self) -> Vec<&Selector> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found.sort_by_key(|selector| selector.number);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Selector>) {
        match self {
            Self::Number(_) => {}
            Self::Selector(selector) => found.push(selector),
            Self::Negative(inner) => inner.collect(found),
            Self::Call(_, arguments) => arguments.iter().for_each(|one| one.collect(found)),
            Self::Aggregate { parameter, of, .. } => {
                parameter.iter().for_each(|one| one.collect(found));
                of.collect(found);
            }
            Self::Binary { left, right, .. } => {
                left.collect(found);
                right.collect(found);
            }
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Number(_) => Kind::Scalar,
            Self::Selector(selector) if selector.range.is_some() => Kind::Matrix,
            Self::Selector(_) | Self::Aggregate { .. } => Kind::Vector,
            Self::Negative(inner) => inner.kind(),
            Self::Call(function, _) => function.kind(),
            Self::Binary { left, right, .. } => match (left.kind(), right.kind()) {
                (Kind::Scalar, Kind::Scalar) => Kind::Scalar,
                _ => Kind::Vector,
            },
        }
    }
}

#[cfg(test)]
mod tests;
