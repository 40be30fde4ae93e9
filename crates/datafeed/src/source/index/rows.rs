//! Documents of a window in the order of time, through columns: read by a thread of their own, a page ahead.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::sync::Arc;
use tidewatch_store::query::Dsl;
use tidewatch_store::search::{Rows, Scan, Target, scan};
use tokio::sync::mpsc;

use super::failed;
use super::fields::Fields;
use super::fill::{Filler, in_millis};
use crate::projection::{BatchLimit, Projection};
use crate::source::{Page, Pages, Result, SourceError, Wanted, Window};

/// Scrolls in a page, and the least and most documents that make one: as many more as have its last time.
const SCROLLS: usize = 4;
const LEAST: usize = 4_096;
const MOST: usize = 16_384;
/// Bytes of records that make a page.
const WEIGHT: usize = 4 << 20;

/// What is read of the documents of a window.
struct Reader {
    projection: Arc<Projection>,
    query: Dsl,
    targets: Vec<Target>,
    fields: Fields,
    window: Window,
}

impl Reader {
    fn rows(&self) -> Result<Rows> {
        let paths = self.fields.paths();
        let what = Scan {
            query: &self.query,
            time_field: self.projection.time_field(),
            window: self.window.start..self.window.end,
            fields: &paths,
        };
        scan(&self.targets, &what).map_err(failed)
    }

    /// Reads until nobody listens any more. The end is told as `None`.
    fn read(&self, limit: BatchLimit, to: &mpsc::Sender<Result<Option<Page>>>) -> Result<()> {
        let mut rows = self.rows()?;
        let mut filler = Filler::new();
        loop {
            let page = self.page(&mut rows, &mut filler, limit)?;
            let is_over = page.is_none();
            if to.blocking_send(Ok(page)).is_err() || is_over {
                return Ok(());
            }
        }
    }

    fn page(
        &self,
        rows: &mut Rows,
        filler: &mut Filler,
        limit: BatchLimit,
    ) -> Result<Option<Page>> {
        let mut batch = self.projection.batch();
        let mut last = i64::MIN;
        while let Some(time) = rows.next_time().map_err(failed)? {
            if time > last && limit.reached(&batch) {
                return Ok(Some(Page { batch, until: time }));
            }
            last = time;
            let Some(mut row) = rows.next().map_err(failed)? else {
                break;
            };
            batch.begin();
            for (at, field) in self.fields.0.iter().enumerate() {
                filler.begin();
                if field.nanos.is_empty() {
                    row.each(at, &mut |value| filler.value(field, value))
                        .map_err(failed)?;
                } else {
                    let index = row.index().to_owned();
                    row.each(at, &mut |value| {
                        filler.value(field, in_millis(field, &index, value));
                    })
                    .map_err(failed)?;
                }
                filler.put(field, &mut batch);
            }
            filler.commit(time, &self.fields, &self.projection, &mut batch);
        }
        Ok((!batch.is_empty()).then_some(Page {
            batch,
            until: self.window.end,
        }))
    }
}

/// The pages of a window.
pub(super) struct Documents {
    pages: mpsc::Receiver<Result<Option<Page>>>,
    is_over: bool,
}

impl Documents {
    pub fn begin(
        wanted: &Wanted,
        query: Dsl,
        targets: Vec<Target>,
        fields: Fields,
        window: Window,
    ) -> Self {
        let limit = BatchLimit {
            records: wanted.page_size.saturating_mul(SCROLLS).clamp(LEAST, MOST),
            weight: WEIGHT,
        };
        let reader = Reader {
            projection: wanted.projection.clone(),
            query,
            targets,
            fields,
            window,
        };
        let (to, pages) = mpsc::channel(1);
        let is_over = window.start >= window.end;
        if !is_over {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = reader.read(limit, &to) {
                    // Whoever doesn't listen any more need not know.
                    let _ = to.blocking_send(Err(error));
                }
            });
        }
        Self { pages, is_over }
    }

    async fn page(&mut self) -> Result<Option<Page>> {
        if self.is_over {
            return Ok(None);
        }
        match self.pages.recv().await {
            Some(Ok(Some(page))) => Ok(Some(page)),
            Some(Ok(None)) => {
                self.is_over = true;
                Ok(None)
            }
            Some(Err(error)) => Err(error),
            // Without its end, a window was not read.
            None => Err(SourceError::Unavailable(
                "the documents could not be read to their end".to_owned(),
            )),
        }
    }
}

impl Pages for Documents {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>>> {
        Box::pin(self.page())
    }
}

/// The first documents of a window as clients would send them.
pub(super) async fn preview(
    wanted: &Wanted,
    query: Dsl,
    targets: Vec<Target>,
    fields: Fields,
    window: Window,
    size: usize,
) -> Result<Vec<Map<String, Value>>> {
    let reader = Reader {
        projection: wanted.projection.clone(),
        query,
        targets,
        fields,
        window,
    };
    let read = move || {
        let mut rows = reader.rows()?;
        let mut records = Vec::new();
        let time_field = reader.projection.time_field();
        while records.len() < size
            && let Some(mut row) = rows.next().map_err(failed)?
        {
            let mut record = Map::new();
            record.insert(time_field.to_owned(), row.time.into());
            let index = row.index().to_owned();
            for (at, field) in reader.fields.0.iter().enumerate() {
                let mut values = Vec::new();
                row.each(at, &mut |value| {
                    values.push(in_millis(field, &index, value).json());
                })
                .map_err(failed)?;
                insert(&mut record, &field.name, values);
            }
            records.push(record);
        }
        Ok(records)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(records) => records,
        Err(error) => Err(SourceError::Unavailable(error.to_string())),
    }
}

/// Puts the values of a field into a record: one is itself, and more are a list.
pub(super) fn insert(record: &mut Map<String, Value>, name: &str, mut values: Vec<Value>) {
    if values.len() > 1 {
        record.insert(name.to_owned(), values.into());
    } else if let Some(value) = values.pop() {
        record.entry(name.to_owned()).or_insert(value);
    }
}
