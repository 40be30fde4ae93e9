//! Points of a series that were worse than expected, on end.

use super::marks::{Mark, Series};
use super::read::Results;
use crate::error::Result;

/// Points that are looked at together at first, and at most.
const FEW: i64 = 1;
const MANY: i64 = 64;

/// A run that can't be continued on either side. Its points' times are epoch milliseconds.
#[derive(Debug)]
pub struct Run {
    /// Its first point.
    pub start: i64,
    /// The end of its last point, which is not part of it.
    pub end: i64,
    /// The first point that makes an anomaly of it.
    pub anchor: Option<i64>,
    /// Its worst point.
    pub worst: Mark,
}

impl Run {
    fn take(&mut self, point: i64, mark: &Mark, results: &Results<'_>) {
        self.start = self.start.min(point);
        self.end = self.end.max(point.saturating_add(results.timeline.width));
        if mark.is_anchor {
            self.anchor = Some(self.anchor.map_or(point, |anchor| anchor.min(point)));
        }
        self.worst.join(mark, results.play.worse);
    }
}

impl Results<'_> {
    /// The run of a series that a point is part of, if it is of one.
    pub async fn run(&self, series: &Series, point: i64) -> Result<Option<Run>> {
        let width = self.timeline.width;
        let end = point.saturating_add(width);
        let Some(mark) = self.marks(series, point, end).await?.remove(&point) else {
            return Ok(None);
        };
        let mut run = Run {
            start: point,
            end,
            anchor: mark.is_anchor.then_some(point),
            worst: mark,
        };
        self.follow(series, &mut run, |run, points| {
            let start = run.start.saturating_sub(points.saturating_mul(width));
            (start, run.start, run.start.saturating_sub(width))
        })
        .await?;
        self.follow(series, &mut run, |run, points| {
            let end = run.end.saturating_add(points.saturating_mul(width));
            (run.end, end, run.end)
        })
        .await?;
        Ok(Some(run))
    }

    /// Lengthens a run to one side. `ahead` tells the window of so many points there, and the first of them.
    async fn follow(
        &self,
        series: &Series,
        run: &mut Run,
        ahead: impl Fn(&Run, i64) -> (i64, i64, i64),
    ) -> Result<()> {
        let mut points = FEW;
        loop {
            let (start, end, _) = ahead(run, points);
            let marks = self.marks(series, start, end).await?;
            for _ in 0..points {
                let (_, _, next) = ahead(run, 1);
                match marks.get(&next) {
                    Some(mark) => run.take(next, mark, self),
                    None => return Ok(()),
                }
            }
            points = (2 * points).min(MANY);
        }
    }
}
