//! The results that anomalies are made from, a page at a time.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_store::{Place, ResultKind, Store, Stretch};

use super::marks::{Mark, Series, read};
use super::settings::Play;
use super::timeline::Timeline;
use crate::error::Result;

/// Results that are held at a time.
const PAGE: i64 = 1_000;

/// The final results of a job, as marks of its timeline.
pub struct Results<'a> {
    pub store: &'a Store,
    pub job_id: &'a str,
    pub play: &'a Play,
    /// Those that have the metric.
    pub detectors: &'a [usize],
    pub timeline: Timeline,
}

/// A page of what makes anomalies: points and series, in the order of time.
pub struct Anchors {
    pub found: Vec<(i64, Series)>,
    /// Where the next page goes on; none after the last.
    pub next: Option<Place>,
}

impl Results<'_> {
    /// What makes anomalies between two points, behind the place of the last page.
    pub async fn anchors(&self, start: i64, end: i64, after: Option<Place>) -> Result<Anchors> {
        let stretch = Stretch {
            kind: ResultKind::Record,
            start,
            end,
            min_score: self.play.min_score,
        };
        let page = self.page(stretch, after).await?;
        let next = (page.len() as i64 == PAGE).then(|| page.last().map(|(place, _)| *place));
        let mut found = Vec::new();
        for ((time, _), text) in &page {
            let point = self.timeline.point(*time);
            let marks = read(text, self.play, self.detectors).into_iter();
            let anchors = marks.filter(|(_, mark)| mark.is_anchor);
            found.extend(anchors.map(|(series, _)| (point, series)));
        }
        Ok(Anchors {
            found,
            next: next.flatten(),
        })
    }

    /// The marks of a series from a point to another, one a point.
    pub async fn marks(
        &self,
        series: &Series,
        start: i64,
        end: i64,
    ) -> Result<BTreeMap<i64, Mark>> {
        let mut marks: BTreeMap<i64, Mark> = BTreeMap::new();
        self.each(start, end, |point, other, mark| {
            if other != *series {
                return;
            }
            marks
                .entry(point)
                .and_modify(|there| there.join(&mark, self.play.worse))
                .or_insert(mark);
        })
        .await?;
        Ok(marks)
    }

    /// The series that have a mark at a point.
    pub async fn marked(&self, point: i64) -> Result<BTreeSet<Series>> {
        let mut marked = BTreeSet::new();
        let end = point.saturating_add(self.timeline.width);
        self.each(point, end, |_, series, _| {
            marked.insert(series);
        })
        .await?;
        Ok(marked)
    }

    /// All marks from a point to another, with their points.
    async fn each(
        &self,
        start: i64,
        end: i64,
        mut visit: impl FnMut(i64, Series, Mark),
    ) -> Result<()> {
        for kind in [ResultKind::Record, ResultKind::ModelPlot] {
            let stretch = Stretch {
                kind,
                start,
                end,
                min_score: 0.0,
            };
            let mut after = None;
            loop {
                let page = self.page(stretch, after).await?;
                for ((time, _), text) in &page {
                    for (series, mark) in read(text, self.play, self.detectors) {
                        visit(self.timeline.point(*time), series, mark);
                    }
                }
                match page.last() {
                    Some((place, _)) if page.len() as i64 == PAGE => after = Some(*place),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    async fn page(&self, stretch: Stretch, after: Option<Place>) -> Result<Vec<(Place, String)>> {
        let page = self
            .store
            .results_in_time(self.job_id, stretch, after, PAGE);
        Ok(page.await?)
    }
}
