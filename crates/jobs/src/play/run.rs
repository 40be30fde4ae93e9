//! Points of a series that were worse than expected, on end.

use std::collections::{BTreeMap, BTreeSet};

use super::marks::{Mark, Series};
use super::read::{Marks, Results};
use super::settings::Worse;
use crate::error::Result;

/// Points that are looked at together at first, and at most.
const FEW: i64 = 1;
const MANY: i64 = 64;
/// How far from what was expected at its beginning, towards its worst value, a value is still part of a run that its
/// forest has come to expect.
const STILL: f64 = 0.25;

/// A run that can't be continued on either side. Its points' times are epoch milliseconds.
#[derive(Debug, PartialEq)]
pub struct Run {
    /// Its first point.
    pub start: i64,
    /// The end of its last point, which is not part of it.
    pub end: i64,
    /// The first point that makes an anomaly of it.
    pub anchor: Option<i64>,
    /// Its worst point.
    pub worst: Mark,
    /// What its first value had to cross.
    crossed: Option<f64>,
}

impl Run {
    fn new(point: i64, width: i64, mark: Mark, worse: Worse) -> Self {
        Self {
            start: point,
            end: point.saturating_add(width),
            anchor: mark.is_anchor.then_some(point),
            crossed: mark.bounds.map(|bounds| bounds.worse(worse)),
            worst: mark,
        }
    }

    /// Whether it goes on with the next point.
    fn goes_on_with(&self, mark: &Mark, worse: Worse) -> bool {
        let still = self
            .crossed
            .map(|crossed| crossed + STILL * (self.worst.value - crossed));
        mark.is_out || still.is_some_and(|still| worse.is(mark.value, still))
    }

    fn take(&mut self, point: i64, mut mark: Mark, width: i64, worse: Worse) {
        self.end = point.saturating_add(width);
        if mark.is_anchor {
            self.anchor.get_or_insert(point);
        }
        if !mark.is_out {
            // What its forest has come to expect is no measure of it.
            mark.bounds = self.worst.bounds;
        }
        self.worst.join(&mark, worse);
    }
}

/// The run that a point is part of, among marks on end.
fn run(marks: BTreeMap<i64, Mark>, point: i64, width: i64, worse: Worse) -> Option<Run> {
    let mut found: Option<Run> = None;
    for (at, mark) in marks {
        match &mut found {
            Some(run) if run.goes_on_with(&mark, worse) => run.take(at, mark, width, worse),
            // It has ended behind the point.
            Some(run) if run.end > point => break,
            _ => found = mark.is_out.then(|| Run::new(at, width, mark, worse)),
        }
    }
    found.filter(|run| (run.start..run.end).contains(&point))
}

impl Results<'_> {
    /// The runs that a point is part of, of some series.
    pub async fn runs(&self, of: BTreeSet<Series>, point: i64) -> Result<Vec<(Series, Run)>> {
        let width = self.timeline.width;
        let mut marks = self.marks(&of, point, point.saturating_add(width)).await?;
        self.follow(&mut marks, point, -width).await?;
        self.follow(&mut marks, point, width).await?;
        let runs = marks.into_iter().filter_map(|(series, marks)| {
            let run = run(marks, point, width, self.play.worse)?;
            Some((series, run))
        });
        Ok(runs.collect())
    }

    /// Adds the marks next to a point on one side, on end. `step` leads from a point to the next there.
    async fn follow(&self, found: &mut Marks, point: i64, step: i64) -> Result<()> {
        let mut of: BTreeSet<Series> = found.keys().cloned().collect();
        let mut points = FEW;
        let mut next = point.saturating_add(step);
        while !of.is_empty() {
            let last = next.saturating_add(step.saturating_mul(points - 1));
            let end = next.max(last).saturating_add(self.timeline.width);
            let mut marks = self.marks(&of, next.min(last), end).await?;
            for _ in 0..points {
                of.retain(|series| {
                    let mark = marks.get_mut(series).and_then(|marks| marks.remove(&next));
                    let goes_on = mark.is_some();
                    if let (Some(mark), Some(found)) = (mark, found.get_mut(series)) {
                        found.insert(next, mark);
                    }
                    goes_on
                });
                next = next.saturating_add(step);
            }
            points = (2 * points).min(MANY);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::Bounds;
    use super::*;

    fn mark(value: f64, upper: f64, is_anchor: bool) -> Mark {
        Mark {
            value,
            bounds: Some(Bounds {
                lower: upper - 1.0,
                upper,
            }),
            is_out: value > upper,
            is_anchor,
        }
    }

    #[test]
    fn a_run_goes_on_where_a_forest_has_come_to_expect_it() {
        // A forest's points: two come out worse, it expects the others, of which the last are usual again; then once
        // more one.
        let values = [
            (5.0, 2.0, true),
            (6.0, 2.5, false),
            (5.5, 5.9, false),
            (3.1, 5.6, false),
            (2.9, 3.5, false),
            (6.5, 3.0, false),
        ];
        let marks: BTreeMap<i64, Mark> = (0..)
            .zip(values)
            .map(|(place, (value, upper, is_anchor))| (10 * place, mark(value, upper, is_anchor)))
            .collect();
        let of = |point| run(marks.clone(), point, 10, Worse::Up);
        let first = of(0).expect("a run");
        assert_eq!((first.start, first.end, first.anchor), (0, 40, Some(0)));
        assert_eq!(
            (first.worst.value, first.worst.bounds),
            (6.0, marks[&10].bounds)
        );
        for point in [10, 20, 30] {
            assert_eq!(of(point).as_ref(), Some(&first), "{point}");
        }
        assert_eq!(of(40), None);
        let last = of(50).expect("a run");
        assert_eq!((last.start, last.end, last.anchor), (50, 60, None));
        // Nothing that was only expected begins one.
        let rest: BTreeMap<i64, Mark> = marks.range(20..50).map(|(k, v)| (*k, v.clone())).collect();
        assert_eq!(run(rest, 20, 10, Worse::Up), None);
    }
}
