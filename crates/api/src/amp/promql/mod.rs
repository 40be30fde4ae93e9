//! The part of PromQL in which alert rules and panels ask for what detectors found: selectors, `*_over_time` of them,
//! and comparisons with a number.

mod eval;
mod lex;
mod parse;

use std::collections::BTreeMap;

use regex::Regex;

pub use eval::{Value, at};
pub use lex::duration;
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
    OverTime(OverTime, Selector),
    Compare {
        left: Box<Expression>,
        operator: Comparison,
        /// 0 or 1 in the place of what is left out or kept.
        is_bool: bool,
        right: Box<Expression>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverTime {
    Max,
    Min,
    Avg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Debug)]
pub struct Selector {
    pub matchers: Vec<Matcher>,
    /// Of a range selector: milliseconds.
    pub range: Option<i64>,
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
}

impl Expression {
    /// The one that it has; numbers have none.
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Number(_) => None,
            Self::Selector(selector) | Self::OverTime(_, selector) => Some(selector),
            Self::Compare { left, right, .. } => left.selector().or_else(|| right.selector()),
        }
    }

    /// How far before an evaluation samples are looked for, in milliseconds.
    pub fn look_back(&self) -> i64 {
        let range = self.selector().and_then(|selector| selector.range);
        range.unwrap_or(STALENESS)
    }

    fn is_number(&self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Selector(_) | Self::OverTime(..) => false,
            Self::Compare { left, right, .. } => left.is_number() && right.is_number(),
        }
    }
}

#[cfg(test)]
mod tests;
