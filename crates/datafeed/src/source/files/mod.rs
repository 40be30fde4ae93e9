//! Files below a directory as a source: CSV, NDJSON and Parquet, plain or compressed, also while they are written.
//!
//! Each file is scanned once, and what is appended to it when it is there; what is remembered are blocks of records
//! with their times. A window reads the blocks that it overlaps, all files at once, in the order of time; records of
//! the same time come in the order of their files' names and of their places.
//!
//! A file is known by its inode and its first bytes, so it may be renamed; one that is shorter than it was, or begins
//! otherwise, is another. The last line waits until it has its end, or its file has been left alone for a minute. A
//! copy that a rotation makes beside a file is not read twice (`twins`). What follows damage can't be read, and no
//! time passes over it: records before it are given, and then an error, until the file is repaired or gone.

mod blocks;
mod bytes;
mod count;
mod filter;
mod index;
mod layout;
mod lines;
mod listing;
mod merge;
mod parquet;
mod reader;
mod records;
mod sample;
mod settings;
mod twins;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tidewatch_model::record::Schema;
use tidewatch_model::time_format::TimeFormat;

pub(crate) use bytes::Compression;
pub use sample::{Sample, named};
pub use settings::{Directory, Format};

use self::blocks::Block;
use self::count::Counts;
use self::filter::Filter;
use self::index::{Index, IndexError};
use self::listing::{ListError, Pattern};
use self::merge::{Merge, Part, ReadError, Turn, What};
use self::reader::Reader;
use super::{Pages, Result, Source, SourceError, Summary, Wanted, Window};
use crate::projection::Projection;

/// Bytes that are scanned before the scan looks whether it is still wanted.
const SLICE: u64 = 32 << 20;

/// The files that the patterns of one datafeed name.
#[derive(Clone)]
pub struct FilesSource {
    shared: Arc<Shared>,
}

struct Shared {
    /// As in the settings; messages say it.
    name: String,
    patterns: Vec<String>,
    parsed: Vec<Pattern>,
    projection: Arc<Projection>,
    is_filtered: bool,
    index: Mutex<Index>,
    reader: Mutex<Reader>,
    /// Reads times alone.
    counter: Mutex<Reader>,
}

impl FilesSource {
    /// What a datafeed asks of the directory that the settings have as `name`. Its indices are paths below the
    /// directory: `*` and `?` stand for what a name has, `**` for any directories; a directory means all files in it.
    ///
    /// # Errors
    /// Refused where a path isn't below the directory, and where more is asked for than records by a query.
    pub fn open(
        name: &str,
        directory: &Directory,
        wanted: &Wanted,
        time_format: TimeFormat,
    ) -> Result<Self> {
        let beyond = [
            ("aggregations", wanted.aggregations.is_some()),
            ("script_fields", !wanted.script_fields.is_empty()),
            ("runtime_mappings", !wanted.runtime_mappings.is_empty()),
        ];
        if let Some((what, _)) = beyond.into_iter().find(|(_, is_asked)| *is_asked) {
            return Err(SourceError::refused(
                400,
                format!("[{what}] can't be asked of a source of kind [files]"),
            ));
        }
        let projection = Projection::new(
            wanted.projection.schema().clone(),
            wanted.time_field(),
            time_format,
        );
        let (indices, query) = (&wanted.indices, &wanted.query);
        Self::new(name, directory, indices, query, projection, false)
    }

    /// Files that nobody writes to, anywhere: what they end with is all there is. The paths are absolute; an empty
    /// query is `match_all`.
    ///
    /// # Errors
    /// Refused where a path is none, or the query can't be asked of files.
    pub fn whole(
        directory: &Directory,
        paths: &[String],
        query: &Map<String, Value>,
        projection: Projection,
    ) -> Result<Self> {
        let directory = Directory {
            path: "/".into(),
            ..directory.clone()
        };
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.trim_start_matches('/').to_owned())
            .collect();
        Self::new("", &directory, &paths, query, projection, true)
    }

    fn new(
        name: &str,
        settings: &Directory,
        patterns: &[String],
        query: &Map<String, Value>,
        projection: Projection,
        whole: bool,
    ) -> Result<Self> {
        settings.check().map_err(refused)?;
        let parsed = patterns.iter().map(|pattern| {
            Pattern::new(pattern).ok_or_else(|| {
                refused(format!(
                    "[{name}:{pattern}] is no path below the directory of source [{name}]"
                ))
            })
        });
        let parsed: Vec<Pattern> = parsed.collect::<Result<_>>()?;
        let filter = Filter::new(query, name, projection.time_field())?.map(Arc::new);
        let times = Projection::new(
            Schema::default(),
            projection.time_field(),
            projection.time_format().clone(),
        );
        let index = Index::new(settings.clone(), parsed.clone(), whole, &projection);
        let projection = Arc::new(projection);
        Ok(Self {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                patterns: patterns.to_vec(),
                parsed,
                is_filtered: filter.is_some(),
                index: Mutex::new(index),
                reader: Mutex::new(Reader::new(projection.clone(), filter.clone())),
                counter: Mutex::new(Reader::new(Arc::new(times), filter)),
                projection,
            }),
        })
    }

    /// Works in turns until all is done: what nobody waits for any more doesn't go on.
    async fn in_turns(
        &self,
        turn: impl Fn(&Shared) -> Result<bool> + Clone + Send + 'static,
    ) -> Result<()> {
        loop {
            let (shared, turn) = (self.shared.clone(), turn.clone());
            if blocking(move || turn(&shared)).await? {
                return Ok(());
            }
        }
    }

    /// Reads what is new in the files.
    async fn refresh(&self) -> Result<()> {
        let turn = |shared: &Shared| {
            let mut index = shared.index.lock();
            let done = index.refresh(SLICE);
            let done = done.map_err(|error| shared.index_error(error))?;
            if done {
                let is_there = |file: &records::FileInfo| index.knows(file.id);
                shared.reader.lock().keep(is_there);
                shared.counter.lock().keep(is_there);
            }
            Ok(done)
        };
        self.in_turns(turn).await
    }

    /// Looks closer at the blocks of a window that are too coarse.
    async fn refine(
        &self,
        window: Window,
        wants: impl Fn(&Block) -> bool + Clone + Send + 'static,
    ) -> Result<()> {
        let overlaps = move |block: &Block| block.last >= window.start && block.first < window.end;
        let turn = move |shared: &Shared| {
            let done = shared
                .index
                .lock()
                .refine(|block| overlaps(block) && wants(block));
            done.map_err(|error| shared.index_error(error))
        };
        self.in_turns(turn).await
    }

    /// Counts what is in a window, by the start of each bucket.
    async fn count(&self, window: Window, span: Option<i64>) -> Result<Counts> {
        self.refresh().await?;
        let mut counts = Counts::new(window, span);
        let (is_filtered, empty) = (self.shared.is_filtered, Counts::new(window, span));
        self.refine(window, move |block| is_filtered || !empty.takes(block))
            .await?;
        // Of filtered files the blocks say too much.
        let parts = self.shared.parts(window, |block| {
            !self.shared.is_filtered && counts.take(block)
        });
        let mut parts = parts.into_iter();
        loop {
            let shared = self.shared.clone();
            let (rest, counted, more) = blocking(move || {
                let mut reader = shared.counter.lock();
                let more = count::turn(&mut parts, &mut counts, &mut reader)
                    .map_err(|error| shared.read_error(error))?;
                Ok((parts, counts, more))
            })
            .await?;
            (parts, counts) = (rest, counted);
            if !more {
                return Ok(counts);
            }
        }
    }
}

impl Shared {
    /// What must be read of a window, but for blocks that have been taken.
    fn parts(&self, window: Window, mut taken: impl FnMut(&Block) -> bool) -> Vec<Part> {
        let index = self.index.lock();
        let mut parts = Vec::new();
        for (rank, known) in index.files().enumerate() {
            let rank = rank as u32;
            for block in known.within(window.start, window.end) {
                if !taken(block) {
                    parts.push(Part {
                        file: known.info.clone(),
                        rank,
                        from: block.first.max(window.start),
                        until: window.end,
                        what: What::Records {
                            at: block.at,
                            end: block.end,
                            sorted: block.sorted,
                            lead: block.lead,
                        },
                    });
                }
            }
            if let Some(damage) = known.damage() {
                // Where nothing could be read, what is missing may be of any time. Whoever starts later than what
                // could be read does without the rest.
                let whole = i64::from(index.is_whole());
                let from = damage.from.map_or(window.start, |from| from + whole);
                if from >= window.start && from < window.end {
                    parts.push(Part {
                        file: known.info.clone(),
                        rank,
                        from,
                        until: window.end,
                        what: What::Damage(damage.reason.clone()),
                    });
                }
            }
        }
        parts
    }

    fn label(&self, name: &str) -> String {
        match self.name.as_str() {
            // Of the whole file system.
            "" => format!("/{name}"),
            source => format!("{source}:{name}"),
        }
    }

    fn missing(&self, pattern: &str) -> SourceError {
        SourceError::Refused {
            status: 404,
            kind: "index_not_found_exception",
            reason: format!("no such index [{}]", self.label(pattern)),
        }
    }

    fn index_error(&self, error: IndexError) -> SourceError {
        match error {
            IndexError::List(ListError::Outside(name)) => refused(format!(
                "[{}] is a link that leaves the directory of source [{}]",
                self.label(&name),
                self.name
            )),
            IndexError::List(ListError::TooMany) => refused(format!(
                "[{}] are more than [{}] files",
                self.patterns.join(","),
                listing::MAX_FILES
            )),
            IndexError::List(ListError::Io(path, error)) => {
                SourceError::Unavailable(format!("[{}] can't be read: {error}", path.display()))
            }
            IndexError::File(name, error) => {
                SourceError::Unavailable(format!("[{}] can't be read: {error}", self.label(&name)))
            }
            IndexError::Restless => SourceError::Unavailable(format!(
                "the files of [{}] change their names all the time",
                self.patterns.join(",")
            )),
        }
    }

    fn read_error(&self, error: ReadError) -> SourceError {
        SourceError::Unavailable(match error {
            ReadError::Io(name, error) => format!("[{}] can't be read: {error}", self.label(&name)),
            ReadError::Changed(name) => {
                format!("[{}] has changed while it was read", self.label(&name))
            }
            ReadError::Damaged(name, reason) => {
                format!("[{}] is damaged: {reason}", self.label(&name))
            }
        })
    }
}

impl Source for FilesSource {
    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let shared = self.shared.clone();
            blocking(move || {
                let index = shared.index.lock();
                for (pattern, parsed) in shared.patterns.iter().zip(&shared.parsed) {
                    let there = index
                        .has(parsed)
                        .map_err(|error| shared.index_error(error))?;
                    if !there {
                        return Err(shared.missing(pattern));
                    }
                }
                let columns = index.columns().map_err(|error| shared.index_error(error))?;
                let Some(columns) = columns else {
                    return Ok(());
                };
                let is_there = |name: &str| columns.iter().any(|column| column == name);
                let unmapped = |what: &str, name: &str| SourceError::Refused {
                    status: 400,
                    kind: "status_exception",
                    reason: format!("cannot retrieve {what} [{name}] because it has no mappings"),
                };
                let time = shared.projection.time_field();
                if !is_there(time) {
                    return Err(unmapped("time field", time));
                }
                let fields = &shared.projection.schema().fields;
                match fields.iter().find(|field| !is_there(&field.name)) {
                    Some(field) => Err(unmapped("field", &field.name)),
                    None => Ok(()),
                }
            })
            .await
        })
    }

    fn summary(&self, window: Window) -> BoxFuture<'_, Result<Summary>> {
        Box::pin(async move { Ok(self.count(window, None).await?.summary()) })
    }

    fn read(&self, window: Window) -> BoxFuture<'_, Result<Box<dyn Pages>>> {
        Box::pin(async move {
            self.refresh().await?;
            self.refine(window, |_| true).await?;
            let width = self.shared.projection.schema().fields.len();
            let merge = Merge::new(window, width, self.shared.parts(window, |_| false));
            let pages: Box<dyn Pages> = Box::new(FilePages {
                shared: self.shared.clone(),
                merge: Some(Box::new(merge)),
            });
            Ok(pages)
        })
    }

    fn counts(&self, window: Window, span: i64) -> BoxFuture<'_, Result<Vec<(i64, u64)>>> {
        Box::pin(async move {
            let counts = self.count(window, Some(span)).await?;
            Ok(counts.buckets.into_iter().collect())
        })
    }

    fn preview(
        &self,
        window: Window,
        size: usize,
    ) -> BoxFuture<'_, Result<Vec<Map<String, Value>>>> {
        Box::pin(async move {
            let mut pages = self.read(window).await?;
            let mut records = Vec::new();
            while let Some(page) = pages.next().await? {
                let left = size - records.len();
                let page = page.batch;
                records.extend(page.records().take(left).map(|record| {
                    let mut sent = Map::new();
                    sent.insert(
                        self.shared.projection.time_field().to_owned(),
                        record.time.into(),
                    );
                    let fields = self.shared.projection.schema().fields.iter();
                    for (at, field) in fields.enumerate() {
                        let number = record.number(at).map(Value::from);
                        if let Some(value) = number.or_else(|| record.text(at).map(Value::from)) {
                            sent.insert(field.name.clone(), value);
                        }
                    }
                    sent
                }));
                if records.len() >= size {
                    break;
                }
            }
            Ok(records)
        })
    }
}

struct FilePages {
    shared: Arc<Shared>,
    /// None after an error: what was held is lost.
    merge: Option<Box<Merge>>,
}

impl Pages for FilePages {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<super::Page>>> {
        Box::pin(async move {
            loop {
                let Some(mut merge) = self.merge.take() else {
                    let reason = "the window must be read again from its last page on";
                    return Err(SourceError::Unavailable(reason.to_owned()));
                };
                let shared = self.shared.clone();
                let (merge, turn) = blocking(move || {
                    let turn = merge
                        .turn(&mut shared.reader.lock())
                        .map_err(|error| shared.read_error(error))?;
                    Ok((merge, turn))
                })
                .await?;
                self.merge = Some(merge);
                match turn {
                    Turn::Page(page) => return Ok(Some(page)),
                    Turn::Again => {}
                    Turn::End => return Ok(None),
                }
            }
        })
    }
}

/// Files are read where it may take its time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(SourceError::Unavailable(format!(
            "files can't be read: {error}"
        ))),
    }
}

fn refused(reason: String) -> SourceError {
    SourceError::Refused {
        status: 400,
        kind: "illegal_argument_exception",
        reason,
    }
}
