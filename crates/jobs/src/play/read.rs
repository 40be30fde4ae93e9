//! The results that anomalies are made from, a page at a time.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_store::{Place, ResultKind, Store, Stretch};

use super::marks::{Mark, Series, Told, read};
use super::settings::Play;
use super::timeline::Timeline;
use crate::config::Job;
use crate::error::Result;

/// Results that are held at a time.
const PAGE: i64 = 1_000;

/// The final results of a job, on its timeline.
pub struct Results<'a> {
    pub store: &'a Store,
    pub job_id: &'a str,
    pub play: &'a Play,
    /// Those that have the metric.
    pub detectors: Vec<usize>,
    pub timeline: Timeline,
    /// Those that tell of any value.
    values: ResultKind,
}

/// By series, and by point.
pub type Marks = BTreeMap<Series, BTreeMap<i64, Mark>>;

/// A page of what makes anomalies: points and series, in the order of time.
pub struct Anchors {
    pub found: Vec<(i64, Series)>,
    /// Where the next page goes on; none after the last.
    pub next: Option<Place>,
}

impl<'a> Results<'a> {
    /// None of a job whose settings can't be followed.
    pub fn of(store: &'a Store, job: &'a Job, play: &'a Play) -> Option<Self> {
        Some(Self {
            store,
            job_id: &job.job_id,
            play,
            // Checked when it was set.
            detectors: play.detectors(&job.analysis_config).ok()?,
            timeline: Timeline::new(job.analysis_config.bucket_span.as_secs()),
            values: match job.forest() {
                Some(_) => ResultKind::Forest,
                None => ResultKind::ModelPlot,
            },
        })
    }

    /// What makes anomalies between two points, behind the place of the last page.
    pub async fn anchors(&self, start: i64, end: i64, after: Option<Place>) -> Result<Anchors> {
        let stretch = Stretch {
            kind: ResultKind::Record,
            start,
            end,
            min_score: self.play.min_score,
        };
        let page = self.page(stretch, after, PAGE).await?;
        let next = (page.len() as i64 == PAGE).then(|| page.last().map(|(place, _)| *place));
        let mut found = Vec::new();
        for ((time, _), text) in &page {
            let point = self.timeline.point(*time);
            for told in read(stretch.kind, text, &self.detectors) {
                if told.mark(self.play).is_some_and(|mark| mark.is_anchor) {
                    found.push((point, told.series));
                }
            }
        }
        Ok(Anchors {
            found,
            next: next.flatten(),
        })
    }

    /// The marks of some series from a point to another, one a point.
    pub async fn marks(&self, of: &BTreeSet<Series>, start: i64, end: i64) -> Result<Marks> {
        let mut marks = Marks::new();
        self.marked_values(start, end, |point, told, mark| {
            if !of.contains(&told.series) {
                return;
            }
            let marks = marks.entry(told.series).or_default();
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
        self.marked_values(point, end, |_, told, _| {
            marked.insert(told.series);
        })
        .await?;
        Ok(marked)
    }

    /// All marks from a point to another, with their points.
    async fn marked_values(
        &self,
        start: i64,
        end: i64,
        mut visit: impl FnMut(i64, Told, Mark),
    ) -> Result<()> {
        for kind in [ResultKind::Record, self.values] {
            self.each(kind, start, end, |time, told| {
                if let Some(mark) = told.mark(self.play) {
                    visit(self.timeline.point(time), told, mark);
                }
            })
            .await?;
        }
        Ok(())
    }

    /// All values from a time to another, with their buckets' times.
    pub async fn values(&self, start: i64, end: i64, visit: impl FnMut(i64, Told)) -> Result<()> {
        self.each(self.values, start, end, visit).await
    }

    /// The time of the first bucket with a value from a time to another.
    pub async fn first_value(&self, start: i64, end: i64) -> Result<Option<i64>> {
        let page = self.page(all(self.values, start, end), None, 1).await?;
        Ok(page.first().map(|((time, _), _)| *time))
    }

    async fn each(
        &self,
        kind: ResultKind,
        start: i64,
        end: i64,
        mut visit: impl FnMut(i64, Told),
    ) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.page(all(kind, start, end), after, PAGE).await?;
            for ((time, _), text) in &page {
                for told in read(kind, text, &self.detectors) {
                    visit(*time, told);
                }
            }
            match page.last() {
                Some((place, _)) if page.len() as i64 == PAGE => after = Some(*place),
                _ => return Ok(()),
            }
        }
    }

    async fn page(
        &self,
        stretch: Stretch,
        after: Option<Place>,
        most: i64,
    ) -> Result<Vec<(Place, String)>> {
        let page = self
            .store
            .results_in_time(self.job_id, stretch, after, most);
        Ok(page.await?)
    }
}

fn all(kind: ResultKind, start: i64, end: i64) -> Stretch {
    Stretch {
        kind,
        start,
        end,
        min_score: 0.0,
    }
}
