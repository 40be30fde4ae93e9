//! Rules at work: what of a value's judgement is kept from the results or from the model, where a custom rule of its
//! detector holds or a calendar has an event.

mod pattern;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{
    Action, AnalysisConfig, AppliesTo, Condition, CustomRule, Detector, FilterType, Operator,
};
use pattern::Patterns;

/// All rules of a job, as they are journalled and kept with an engine's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleSet {
    /// Those of each detector.
    pub detectors: Vec<Vec<Rule>>,
    /// The items of the filters that rules name.
    pub filters: BTreeMap<String, Vec<String>>,
    pub events: Vec<Event>,
}

/// A custom rule, its scope by the roles of the detector's fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub skip_result: bool,
    pub skip_update: bool,
    /// Seconds.
    pub force_time_shift: Option<i64>,
    pub scope: Vec<Scope>,
    pub conditions: Vec<Condition>,
}

/// A split whose values a rule is limited to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub split: Split,
    pub filter: String,
    /// What is not in the filter is meant.
    pub exclude: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Split {
    By,
    Over,
    Partition,
}

/// An event of a calendar, on the grid of a job's buckets. Epoch seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub description: String,
    /// Start of the first bucket that it touches.
    pub start: i64,
    /// End of the last.
    pub end: i64,
    pub skip_result: bool,
    pub skip_update: bool,
    /// Seconds.
    pub force_time_shift: Option<i64>,
}

impl Event {
    /// Widens a stretch of time, epoch milliseconds, to whole buckets of `span` seconds.
    pub fn grid(start: i64, end: i64, span: i64) -> (i64, i64) {
        let millis = span * 1_000;
        let last = end.div_euclid(millis) + i64::from(end.rem_euclid(millis) > 0);
        (start.div_euclid(millis) * span, last * span)
    }
}

/// A value at its judgement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Case<'a> {
    /// Start of the bucket, epoch seconds.
    pub start: i64,
    pub actual: &'a [f64],
    pub typical: &'a [f64],
    pub by: Option<&'a str>,
    pub over: Option<&'a str>,
    pub partition: Option<&'a str>,
}

impl Case<'_> {
    fn value_of(&self, split: Split) -> Option<&str> {
        match split {
            Split::By => self.by,
            Split::Over => self.over,
            Split::Partition => self.partition,
        }
    }
}

/// What rules and events say of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It is no result, however unusual.
    pub skip_result: bool,
    /// It is not learnt.
    pub skip_update: bool,
}

/// A move of a model's clock that is due in a bucket. Its values play no part in that: conditions on them count as
/// met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Shift {
    Rule(Rule),
    Event(Event),
}

impl Shift {
    pub fn seconds(&self) -> i64 {
        let seconds = match self {
            Self::Rule(rule) => rule.force_time_shift,
            Self::Event(event) => event.force_time_shift,
        };
        seconds.unwrap_or(0)
    }
}

impl RuleSet {
    /// The rules of an analysis with the filters that they name. Filters that are not given are left out: what is in
    /// them can't be told, and so their rules never hold.
    pub fn new(
        analysis: &AnalysisConfig,
        filters: BTreeMap<String, Vec<String>>,
        events: Vec<Event>,
    ) -> Self {
        let rules = |detector: &Detector| {
            let rules = detector.custom_rules.iter();
            rules.map(|rule| Rule::new(rule, detector)).collect()
        };
        Self {
            detectors: analysis.detectors.iter().map(rules).collect(),
            filters,
            events,
        }
    }
}

impl Rule {
    /// A rule of the detector that it was checked against.
    fn new(rule: &CustomRule, detector: &Detector) -> Self {
        let split = |field: &String| {
            if detector.by_field_name.as_ref() == Some(field) {
                Split::By
            } else if detector.partition_field_name.as_ref() == Some(field) {
                Split::Partition
            } else {
                Split::Over
            }
        };
        let scope = rule.scope.iter().map(|(field, filter)| Scope {
            split: split(field),
            filter: filter.filter_id.clone(),
            exclude: filter.filter_type == FilterType::Exclude,
        });
        Self {
            skip_result: rule.actions.contains(&Action::SkipResult),
            skip_update: rule.actions.contains(&Action::SkipModelUpdate),
            force_time_shift: rule.shift(),
            scope: scope.collect(),
            conditions: rule.conditions.clone(),
        }
    }
}

/// A [`RuleSet`], made ready for look-ups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "RuleSet", into = "RuleSet")]
pub struct Rules {
    /// Its events by their start.
    set: RuleSet,
    filters: BTreeMap<String, Patterns>,
    /// For each event the latest end of it and those before.
    ends: Vec<i64>,
    /// Whether any clock is ever to move.
    has_shifts: bool,
}

impl From<RuleSet> for Rules {
    fn from(mut set: RuleSet) -> Self {
        set.events.sort_by_key(|event| event.start);
        let mut end = i64::MIN;
        let ends = set.events.iter().map(|event| {
            end = end.max(event.end);
            end
        });
        let ends = ends.collect();
        let filters = set.filters.iter();
        let filters = filters.map(|(id, items)| (id.clone(), Patterns::new(items)));
        Self {
            filters: filters.collect(),
            ends,
            has_shifts: {
                let rules = set.detectors.iter().flatten();
                let mut amounts = rules
                    .map(|rule| rule.force_time_shift)
                    .chain(set.events.iter().map(|event| event.force_time_shift));
                amounts.any(|amount| amount.is_some())
            },
            set,
        }
    }
}

impl From<Rules> for RuleSet {
    fn from(rules: Rules) -> Self {
        rules.set
    }
}

impl Rules {
    /// The events that touch the bucket that starts at `time`, the one that begins last first.
    fn events(&self, time: i64) -> impl Iterator<Item = &Event> {
        let begun = self.set.events.partition_point(|event| event.start <= time);
        let begun = self.set.events[..begun].iter().zip(&self.ends).rev();
        begun
            .take_while(move |(_, end)| **end > time)
            .filter(move |(event, _)| event.end > time)
            .map(|(event, _)| event)
    }

    fn rules(&self, detector: usize) -> &[Rule] {
        self.set.detectors.get(detector).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing can be said of any value of a detector in the bucket that starts at `time`.
    pub fn is_idle(&self, detector: usize, time: i64) -> bool {
        self.rules(detector).is_empty() && self.events(time).next().is_none()
    }

    /// Descriptions of the events that touch the bucket that starts at `time`, in the order of their start.
    pub fn scheduled(&self, time: i64) -> Vec<String> {
        let mut descriptions: Vec<String> = self
            .events(time)
            .map(|event| event.description.clone())
            .collect();
        descriptions.reverse();
        descriptions
    }

    /// What is to be done with a value of a detector.
    pub fn judge(&self, detector: usize, case: &Case<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for event in self.events(case.start) {
            verdict.skip_result |= event.skip_result;
            verdict.skip_update |= event.skip_update;
        }
        for rule in self.rules(detector) {
            let adds = (rule.skip_result && !verdict.skip_result)
                || (rule.skip_update && !verdict.skip_update);
            if adds && self.holds(rule, case) {
                verdict.skip_result |= rule.skip_result;
                verdict.skip_update |= rule.skip_update;
            }
        }
        verdict
    }

    /// The moves of clocks that rules of a detector and events ask for in the bucket that starts at `time`.
    pub fn shifts(&self, detector: usize, time: i64) -> Vec<Shift> {
        if !self.has_shifts {
            return Vec::new();
        }
        let now = |condition: &&Condition| condition.applies_to == AppliesTo::Time;
        let of_rules = self.rules(detector).iter().filter(|rule| {
            let mut conditions = rule.conditions.iter().filter(now);
            rule.force_time_shift.is_some() && conditions.all(|c| compare(c, time as f64))
        });
        let of_events = self.events(time);
        let of_events = of_events.filter(|event| event.force_time_shift.is_some());
        of_rules
            .map(|rule| Shift::Rule(rule.clone()))
            .chain(of_events.map(|event| Shift::Event(event.clone())))
            .collect()
    }

    /// Whether a shift is one of these rules: one that is not can be forgotten.
    pub fn has_shift(&self, shift: &Shift) -> bool {
        match shift {
            Shift::Rule(rule) => self.set.detectors.iter().any(|rules| rules.contains(rule)),
            Shift::Event(event) => self.set.events.contains(event),
        }
    }

    /// Whether a shift is meant for a series, which `case` names by its splits.
    pub fn concerns(&self, shift: &Shift, case: &Case<'_>) -> bool {
        match shift {
            Shift::Rule(rule) => self.is_in_scope(rule, case),
            Shift::Event(_) => true,
        }
    }

    fn holds(&self, rule: &Rule, case: &Case<'_>) -> bool {
        let (actual, typical) = (case.actual.first(), case.typical.first());
        let mut conditions = rule.conditions.iter();
        conditions.all(|condition| {
            let value = match condition.applies_to {
                AppliesTo::Actual => actual.copied(),
                AppliesTo::Typical => typical.copied(),
                AppliesTo::DiffFromTypical => actual.zip(typical).map(|(a, t)| (a - t).abs()),
                AppliesTo::Time => Some(case.start as f64),
            };
            value.is_some_and(|value| compare(condition, value))
        }) && self.is_in_scope(rule, case)
    }

    /// A series without a value of the field is in no filter, and in none's opposite.
    fn is_in_scope(&self, rule: &Rule, case: &Case<'_>) -> bool {
        rule.scope.iter().all(|scope| {
            let filter = self.filters.get(&scope.filter);
            let found = filter.zip(case.value_of(scope.split));
            found.is_some_and(|(filter, value)| filter.fits(value) != scope.exclude)
        })
    }
}

fn compare(condition: &Condition, value: f64) -> bool {
    match condition.operator {
        Operator::Gt => value > condition.value,
        Operator::Gte => value >= condition.value,
        Operator::Lt => value < condition.value,
        Operator::Lte => value <= condition.value,
    }
}

#[cfg(test)]
mod tests;
