//! The samples of a window in the order of time, some points at a time.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tidewatch_model::record::RecordBatch;

use super::answer::{Labelled, Matrix, Sample};
use super::{MAX_POINTS, Points, Series};
use crate::row::{Row, Scalar};
use crate::source::{Page, Pages, Result, SourceError, Window};

/// Samples that a page is to have: how many points that are depends on how many series there are.
const PAGE: i64 = 50_000;
/// Points that are asked for at first.
const FIRST: i64 = 60;

const VALUE: &str = "value";
/// All labels but the name of the metric, as one text: which series it is. No label of a user's begins so.
pub(super) const LABELS: &str = "__labels__";
const NAME: &str = "__name__";

pub(super) struct Samples {
    series: Series,
    rest: Points,
    /// Points that are asked for next.
    count: i64,
}

impl Samples {
    pub async fn new(series: Series, window: Window) -> Result<Self> {
        Ok(Self {
            rest: series.0.points(window).await?,
            series,
            count: FIRST,
        })
    }

    /// The answer for the next points, and the time up to which it has everything.
    async fn ask(&mut self) -> Result<Option<(Vec<u8>, i64)>> {
        while !self.rest.is_empty() {
            let (points, rest) = self.rest.split(self.count);
            match self.series.0.range(&self.series.0.query, points).await {
                Ok(body) => {
                    self.rest = rest;
                    return Ok(Some((body, rest.first - self.series.0.ahead)));
                }
                // The server, too, bounds what it holds at a time.
                Err(SourceError::Refused { reason, .. })
                    if reason.contains("too many samples") && self.count > 1 =>
                {
                    self.count /= 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// By how many samples the points of the last answer had.
    fn adapt(&mut self, points: i64, samples: i64) {
        let fitting = points.saturating_mul(PAGE) / samples.max(1);
        self.count = fitting.clamp(1, MAX_POINTS);
    }

    async fn page(&mut self) -> Result<Option<Page>> {
        loop {
            let asked = self.count;
            let Some((body, until)) = self.ask().await? else {
                return Ok(None);
            };
            let matrix = Matrix::read(&body)?;
            let batch = self.batch(&matrix);
            let samples = i64::try_from(batch.len()).unwrap_or(i64::MAX);
            self.adapt(asked.min(self.count), samples);
            if !batch.is_empty() {
                return Ok(Some(Page { batch, until }));
            }
        }
    }

    fn batch(&self, matrix: &Matrix) -> RecordBatch {
        let projection = &self.series.0.wanted.projection;
        let mut batch = projection.batch();
        let mut row = Row::new(projection);
        let time = projection.target(projection.time_field());
        let value = projection.target(VALUE);
        let labels_field = projection.target(LABELS);
        let ahead = self.series.0.ahead;
        for series in &matrix.result {
            let labels = series.metric.iter();
            let size: usize = labels.map(|(name, text)| name.len() + text.len()).sum();
            let all = labels_text(series);
            for sample in &series.values {
                let Some(number) = sample.number() else {
                    continue;
                };
                row.clear();
                for (name, text) in &series.metric {
                    row.put(projection, projection.target(name), Scalar::Text(text));
                }
                row.put(projection, labels_field, Scalar::Text(&all));
                row.put(projection, value, Scalar::Float(number));
                row.put(projection, time, Scalar::Signed(sample.time() - ahead));
                row.deliver(projection, &mut batch);
                batch.input.bytes += (size + sample.1.len()) as u64;
            }
        }
        batch.order();
        batch
    }

    /// The records of the next points that have any, as a client would send them.
    pub async fn shown(&mut self) -> Result<Option<Vec<Map<String, Value>>>> {
        while let Some((body, _)) = self.ask().await? {
            let wanted = &self.series.0.wanted;
            let ahead = self.series.0.ahead;
            let mut shown = Vec::new();
            for series in Matrix::read(&body)?.result {
                let is_number = |sample: &&Sample| sample.number().is_some();
                for sample in series.values.iter().filter(is_number) {
                    let mut record = Map::new();
                    let time = sample.time() - ahead;
                    record.insert(wanted.time_field().to_owned(), time.into());
                    for name in wanted.fields() {
                        let value = match series.metric.get(name) {
                            _ if name == VALUE => json!(sample.number()),
                            _ if name == LABELS => json!(labels_text(&series)),
                            Some(text) => json!(text),
                            None => continue,
                        };
                        record.insert(name.to_owned(), value);
                    }
                    shown.push((time, record));
                }
            }
            self.count = (self.count * 4).min(MAX_POINTS);
            if !shown.is_empty() {
                shown.sort_by_key(|(time, record)| (*time, json!(record).to_string()));
                return Ok(Some(shown.into_iter().map(|(_, record)| record).collect()));
            }
        }
        Ok(None)
    }
}

/// A JSON object, sorted by the labels' names.
fn labels_text(series: &Labelled) -> String {
    let labels = series.metric.iter().filter(|(name, _)| *name != NAME);
    json!(labels.collect::<BTreeMap<_, _>>()).to_string()
}

impl Pages for Samples {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>>> {
        Box::pin(self.page())
    }
}
