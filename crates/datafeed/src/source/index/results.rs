//! Results of jobs as documents, in the order of time: they are searched for, a page after the other.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tidewatch_store::query::values;
use tidewatch_store::search::{Datum, Hit, Target};

use super::Inner;
use super::fields::Fields;
use super::fill::Filler;
use super::rows::insert;
use crate::source::{Page, Pages, Result, Window};

/// Documents that are asked for at a time.
const SIZE: usize = 4_096;

/// The pages of a window.
pub(super) struct Documents {
    source: Arc<Inner>,
    targets: Vec<Target>,
    fields: Fields,
    window: Window,
    size: usize,
}

impl Documents {
    pub fn new(source: Arc<Inner>, targets: Vec<Target>, window: Window) -> Self {
        let fields = Fields::of(&source.wanted, &targets);
        Self {
            source,
            targets,
            fields,
            window,
            size: SIZE,
        }
    }

    async fn page(&mut self) -> Result<Option<Page>> {
        let wanted = &self.source.wanted;
        while self.window.start < self.window.end {
            let (mut hits, is_full) =
                hits(&self.source, &self.targets, self.window, self.size).await?;
            let mut until = self.window.end;
            // Of the last time there may be more.
            if is_full && let Some(last) = hits.last().map(|(time, _)| *time) {
                hits.retain(|(time, _)| *time < last);
                until = last;
                if hits.is_empty() {
                    self.size *= 2;
                    continue;
                }
            }
            self.size = SIZE;
            self.window.start = until;
            if hits.is_empty() {
                continue;
            }
            let mut batch = wanted.projection.batch();
            let mut filler = Filler::new();
            for (time, source) in &hits {
                batch.begin();
                for field in &self.fields.0 {
                    filler.begin();
                    values(source, &field.name, &mut |value| {
                        if let Some(value) = Datum::of(value) {
                            filler.value(field, value.scalar());
                        }
                        false
                    });
                    filler.put(field, &mut batch);
                }
                filler.commit(*time, &self.fields, &wanted.projection, &mut batch);
            }
            return Ok(Some(Page { batch, until }));
        }
        Ok(None)
    }
}

impl Pages for Documents {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>>> {
        Box::pin(self.page())
    }
}

/// The first documents of a window with their times, and whether there are as many as were asked for.
async fn hits(
    source: &Inner,
    targets: &[Target],
    window: Window,
    size: usize,
) -> Result<(Vec<(i64, Value)>, bool)> {
    let more = json!({
        "size": size,
        "sort": [{source.wanted.time_field(): {"order": "asc"}}],
        "track_total_hits": false
    });
    let mut search = source.asked(window, more)?;
    search.window = i64::MAX;
    let found = source.search(targets, &search).await?;
    let is_full = found.hits.len() >= size;
    Ok((found.hits.iter().filter_map(read).collect(), is_full))
}

fn read(hit: &Hit) -> Option<(i64, Value)> {
    let time = hit.sort.first()?.as_i64()?;
    let source = serde_json::from_str(hit.source.as_ref()?.get()).ok()?;
    Some((time, source))
}

/// The first documents of a window as clients would send them.
pub(super) async fn preview(
    source: &Inner,
    targets: &[Target],
    fields: &Fields,
    window: Window,
    size: usize,
) -> Result<Vec<Map<String, Value>>> {
    let (hits, _) = hits(source, targets, window, size).await?;
    let record = |(time, document): (i64, Value)| {
        let mut record = Map::new();
        record.insert(source.wanted.time_field().to_owned(), time.into());
        for field in &fields.0 {
            let mut found = Vec::new();
            values(&document, &field.name, &mut |value| {
                found.push(value.clone());
                false
            });
            insert(&mut record, &field.name, found);
        }
        record
    };
    Ok(hits.into_iter().map(record).collect())
}
