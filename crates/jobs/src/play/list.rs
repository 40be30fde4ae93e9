//! The anomalies of all jobs that show some, in an order that stays: by job, then by the time of what made them.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::marks::{Bounds, Series};
use super::read::Results;
use super::run::Run;
use super::settings::Play;
use super::timeline::Period;
use crate::config::Job;
use crate::error::Result;
use crate::manager::Jobs;

/// Rounding to hours moves a moment by less than this.
const SLACK: i64 = 3_600_000;

/// Which anomalies are wanted. Times are epoch milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// All apps if none.
    pub app: Option<String>,
    /// They were active after this,
    pub start: Option<i64>,
    /// and before that.
    pub end: Option<i64>,
    /// Those behind this one.
    pub after: Option<Spot>,
    /// At least 1.
    pub most: usize,
}

/// The place of an anomaly among all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Spot {
    pub job_id: String,
    pub anchor: i64,
    pub id: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// The same as long as the anomaly's first point stays.
    pub id: String,
    pub app: String,
    pub metric_set: String,
    pub metric: String,
    pub period: Period,
    /// Moments of its timeline; the end is not part of it.
    pub start: i64,
    pub end: i64,
    pub dimensions: Vec<(String, String)>,
    /// The worst value, and where it was expected.
    pub value: f64,
    pub bounds: Option<Bounds>,
}

/// A page of them.
#[derive(Debug, Default)]
pub struct Listed {
    pub anomalies: Vec<Anomaly>,
    /// The last one, if there are more.
    pub last: Option<Spot>,
}

impl Jobs {
    /// The jobs that show themselves to Google's API, sorted by id.
    pub fn shown_to_play(&self) -> Result<Vec<(Job, Play)>> {
        let jobs = self.find("_all", true)?.into_iter();
        Ok(jobs
            .filter(|job| !job.deleting)
            .filter_map(|job| {
                let play = job.play()?;
                Some((job, play))
            })
            .collect())
    }

    /// A page of anomalies.
    pub async fn play_anomalies(&self, asked: &Asked) -> Result<Listed> {
        let mut found: Vec<(Spot, Anomaly)> = Vec::new();
        for (job, play) in self.shown_to_play()? {
            let is_asked = asked.app.as_ref().is_none_or(|app| *app == play.app);
            let is_behind = asked.after.as_ref().is_some_and(|a| job.job_id < a.job_id);
            if !is_asked || is_behind {
                continue;
            }
            let Some(results) = Results::of(self.store(), &job, &play) else {
                continue;
            };
            Search::new(&results, asked).run(&mut found).await?;
            if found.len() > asked.most {
                break;
            }
        }
        let is_more = found.len() > asked.most;
        found.truncate(asked.most);
        Ok(Listed {
            last: found
                .last()
                .filter(|_| is_more)
                .map(|(spot, _)| spot.clone()),
            anomalies: found.into_iter().map(|(_, anomaly)| anomaly).collect(),
        })
    }
}

/// The way through one job.
struct Search<'a> {
    results: &'a Results<'a>,
    asked: &'a Asked,
    /// Moments of the timeline.
    start: Option<i64>,
    end: Option<i64>,
}

impl<'a> Search<'a> {
    fn new(results: &'a Results<'a>, asked: &'a Asked) -> Self {
        let moment = |time| results.timeline.moment(time);
        Self {
            results,
            asked,
            start: asked.start.map(moment),
            end: asked.end.map(moment),
        }
    }

    /// Adds what is asked for, until there is one more than that.
    ///
    /// What made an anomaly lies between the first point and the last that are asked for; but for one that comes in
    /// over the first of them, or goes out over the last, and was so unusual only before, or afterwards.
    async fn run(&self, found: &mut Vec<(Spot, Anomaly)>) -> Result<()> {
        let timeline = self.results.timeline;
        let (earliest, latest) = timeline.all();
        let first = self.start.map(|start| timeline.point(start - SLACK));
        let last = self.end.map(|end| timeline.point(end - 1 + SLACK));
        let start = first.unwrap_or(earliest);
        let end = last.map_or(latest, |last| last + timeline.width);
        if let Some(first) = first {
            let before = self.over(first, |anchor| anchor < start).await?;
            self.add(before, found);
        }
        self.between(start, end, found).await?;
        if let Some(last) = last.filter(|_| found.len() <= self.asked.most) {
            let afterwards = self.over(last, |anchor| anchor >= end).await?;
            self.add(afterwards, found);
        }
        Ok(())
    }

    /// The runs over a point whose anchors are of an interest.
    async fn over(&self, point: i64, wanted: impl Fn(i64) -> bool) -> Result<Vec<(Series, Run)>> {
        let of = self.results.marked(point).await?;
        let mut runs = self.results.runs(of, point).await?;
        runs.retain(|(_, run)| run.anchor.is_some_and(&wanted));
        Ok(runs)
    }

    /// The runs whose anchors are between two points.
    async fn between(&self, start: i64, end: i64, found: &mut Vec<(Spot, Anomaly)>) -> Result<()> {
        let of_job = |spot: &&Spot| spot.job_id == self.results.job_id;
        let after = self.asked.after.as_ref().filter(of_job);
        let start = after.map_or(start, |after| after.anchor.max(start));
        let mut ends: HashMap<Series, i64> = HashMap::new();
        let mut together: (i64, BTreeSet<Series>) = (start, BTreeSet::new());
        let mut place = None;
        loop {
            let page = self.results.anchors(start, end, place).await?;
            for (point, series) in page.found {
                if point != together.0 {
                    let (at, series) = std::mem::replace(&mut together, (point, BTreeSet::new()));
                    self.begun(at, series, &mut ends, found).await?;
                    if found.len() > self.asked.most {
                        return Ok(());
                    }
                }
                together.1.insert(series);
            }
            place = page.next;
            if place.is_none() {
                return self.begun(together.0, together.1, &mut ends, found).await;
            }
        }
    }

    /// Adds the runs that become anomalies at a point. `ends` are those of the runs before.
    async fn begun(
        &self,
        point: i64,
        all: BTreeSet<Series>,
        ends: &mut HashMap<Series, i64>,
        found: &mut Vec<(Spot, Anomaly)>,
    ) -> Result<()> {
        ends.retain(|_, end| *end > point);
        let is_new = |series: &Series| !ends.contains_key(series);
        let of = all.into_iter().filter(is_new).collect();
        let mut runs = self.results.runs(of, point).await?;
        ends.extend(runs.iter().map(|(series, run)| (series.clone(), run.end)));
        runs.retain(|(_, run)| run.anchor == Some(point));
        self.add(runs, found);
        Ok(())
    }

    /// Adds what is asked for of some runs, in the order of their spots.
    fn add(&self, runs: Vec<(Series, Run)>, found: &mut Vec<(Spot, Anomaly)>) {
        let runs = runs.into_iter();
        let mut new: Vec<(Spot, Anomaly)> = runs
            .filter_map(|(series, run)| self.anomaly(series, run))
            .filter(|(spot, _)| self.asked.after.as_ref().is_none_or(|after| spot > after))
            .collect();
        new.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.extend(new);
    }

    /// None if it was not active when it is asked for.
    fn anomaly(&self, series: Series, run: Run) -> Option<(Spot, Anomaly)> {
        let Results { job_id, play, .. } = *self.results;
        let timeline = self.results.timeline;
        let (start, end) = timeline.shown(run.start, run.end);
        let is_before = self.start.is_some_and(|from| end <= from);
        let is_after = self.end.is_some_and(|to| start >= to);
        if is_before || is_after {
            return None;
        }
        let id = id(job_id, &series, run.start);
        let spot = Spot {
            job_id: job_id.to_owned(),
            anchor: run.anchor?,
            id: id.clone(),
        };
        let anomaly = Anomaly {
            id,
            app: play.app.clone(),
            metric_set: play.metric_set.clone(),
            metric: play.metric.clone(),
            period: timeline.period,
            start,
            end,
            dimensions: series.dimensions,
            value: run.worst.value,
            bounds: run.worst.bounds,
        };
        Some((spot, anomaly))
    }
}

/// The id of the anomaly of a series that begins at a point: a hash (FNV-1a) of all that tells it from others.
fn id(job_id: &str, series: &Series, start: i64) -> String {
    let mut parts = vec![
        job_id.to_owned(),
        series.detector.to_string(),
        start.to_string(),
    ];
    for (name, value) in &series.dimensions {
        parts.extend([name.clone(), value.clone()]);
    }
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        // No text has the byte that ends each.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
