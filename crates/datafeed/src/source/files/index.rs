//! The files of a source, and what is known of them: each is scanned once, and what is appended to it once more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustc_hash::{FxHashMap, FxHashSet};
use tidewatch_model::record::{RecordBatch, Schema};

use super::blocks::{Block, Blocks};
use super::bytes::{Compression, FileId, Stamp};
use super::layout::Layout;
use super::listing::{ListError, Pattern, list};
use super::parquet;
use super::records::{FileInfo, Records, Step, open};
use super::settings::Directory;
use super::twins;
use crate::projection::Projection;

/// Bytes of a block; of a compressed file fewer, as a decoder keeps one to go back by.
const BLOCK: u64 = 1 << 20;
const COMPRESSED_BLOCK: u64 = 256 << 10;
/// Rows of a block of Parquet.
const BLOCK_ROWS: u64 = 16 << 10;
/// Files that are looked into before a start.
const CHECKED: usize = 16;
/// Row groups whose times are read before others have their turn.
const REFINED: usize = 16;
/// A last line without its end is whole when its file has been left alone for so long.
const STILL: Duration = Duration::from_secs(60);

pub(super) struct Index {
    patterns: Vec<Pattern>,
    settings: Directory,
    /// Nothing is written any more.
    whole: bool,
    /// The time alone.
    projection: Arc<Projection>,
    files: FxHashMap<FileId, Known>,
    /// Those that are read, in the order of their names.
    order: Vec<FileId>,
    /// Of the file that is being scanned.
    scanner: Option<(FileId, Records)>,
}

pub(super) struct Known {
    pub info: Arc<FileInfo>,
    /// When the scan began.
    stamp: Stamp,
    pub blocks: Blocks,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Scanning,
    /// `waits` for the end of its last line.
    Scanned {
        waits: bool,
    },
    Damaged(Damage),
}

/// Why not all of a file can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub reason: String,
    /// What is missing may be from here on; of any time where there is none.
    pub from: Option<i64>,
}

impl Known {
    /// Whether its end is missing, as far as can be seen.
    pub fn waits(&self) -> bool {
        self.state == State::Scanned { waits: true }
    }

    pub fn damage(&self) -> Option<&Damage> {
        match &self.state {
            State::Damaged(damage) => Some(damage),
            _ => None,
        }
    }
}

/// Why files can't be read.
#[derive(Debug)]
pub(super) enum IndexError {
    List(ListError),
    /// By name.
    File(String, io::Error),
    /// A file changes its name faster than the directory can be read.
    Restless,
}

impl Index {
    pub fn new(
        settings: Directory,
        patterns: Vec<Pattern>,
        whole: bool,
        projection: &Projection,
    ) -> Self {
        let projection = Projection::new(
            Schema::default(),
            projection.time_field(),
            projection.time_format().clone(),
        );
        Self {
            patterns,
            settings,
            whole,
            projection: Arc::new(projection),
            files: FxHashMap::default(),
            order: Vec::new(),
            scanner: None,
        }
    }

    /// The files to read, in their order.
    pub fn files(&self) -> impl Iterator<Item = &Known> {
        self.order.iter().filter_map(|id| self.files.get(id))
    }

    pub fn is_whole(&self) -> bool {
        self.whole
    }

    pub fn knows(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    /// Whether there is any file that a pattern names.
    pub fn has(&self, pattern: &Pattern) -> Result<bool, IndexError> {
        let found = list(&self.settings.path, std::slice::from_ref(pattern));
        Ok(!found.map_err(IndexError::List)?.is_empty())
    }

    /// The names of all fields of the first files. None where a file doesn't tell them, or can't be read.
    pub fn columns(&self) -> Result<Option<Vec<String>>, IndexError> {
        let mut all = Vec::new();
        let files = self.list()?;
        for Listed { name, path, .. } in files.iter().take(CHECKED) {
            match columns(&self.settings, name, path, self.whole) {
                Ok(Some(columns)) => all.extend(columns),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
        Ok((!files.is_empty()).then_some(all))
    }

    /// Looks for what is new, and reads about so many bytes of it. True when all is known.
    pub fn refresh(&mut self, budget: u64) -> Result<bool, IndexError> {
        let listed = self.list()?;
        let there: FxHashSet<FileId> = listed.iter().map(|listed| listed.stamp.id).collect();
        self.files.retain(|id, _| there.contains(id));
        let mut budget = budget;
        for file in &listed {
            self.visit(file, &mut budget)
                .map_err(|error| IndexError::File(file.name.clone(), error))?;
            if budget == 0 {
                return Ok(false);
            }
        }
        self.scanner = None;
        let ids = listed.iter().map(|listed| listed.stamp.id);
        self.order = ids.filter(|id| self.files.contains_key(id)).collect();
        twins::remove(&mut self.order, &self.files);
        Ok(true)
    }

    /// Reads the times of row groups for those who want to know more of a block than its file says. True when there
    /// are no such any more.
    pub fn refine(&mut self, wants: impl Fn(&Block) -> bool) -> Result<bool, IndexError> {
        let mut left = REFINED;
        for id in &self.order {
            let Some(known) = self.files.get_mut(id) else {
                continue;
            };
            let all = known.blocks.all().iter();
            let coarse: Vec<Block> = all
                .filter(|block| block.coarse && wants(block))
                .take(left)
                .copied()
                .collect();
            if coarse.is_empty() {
                continue;
            }
            let told = |error| IndexError::File(known.info.name.clone(), error);
            let records = Records::open(&known.info, self.projection.clone(), false);
            let Some(mut records) = records.map_err(told)? else {
                return Err(told(io::Error::other("it has changed")));
            };
            for block in &coarse {
                known
                    .refine(block, &mut records)
                    .map_err(|error| IndexError::File(known.info.name.clone(), error))?;
            }
            left -= coarse.len();
            if left == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The files as they are called now. Where they are renamed meanwhile one could be missed.
    fn list(&self) -> Result<Vec<Listed>, IndexError> {
        let mut before = self.list_once()?;
        if self.whole {
            return Ok(before);
        }
        for _ in 0..10 {
            let again = self.list_once()?;
            let same = |a: &Listed, b: &Listed| a.name == b.name && a.stamp.id == b.stamp.id;
            if before.len() == again.len() && before.iter().zip(&again).all(|(a, b)| same(a, b)) {
                return Ok(again);
            }
            before = again;
        }
        Err(IndexError::Restless)
    }

    fn list_once(&self) -> Result<Vec<Listed>, IndexError> {
        let paths = list(&self.settings.path, &self.patterns).map_err(IndexError::List)?;
        let mut listed: Vec<Listed> = Vec::with_capacity(paths.len());
        let mut seen = FxHashSet::default();
        for (name, path) in paths {
            match std::fs::metadata(&path) {
                Ok(metadata) => {
                    let stamp = Stamp::of(&metadata);
                    // A file may have many names.
                    if seen.insert(stamp.id) {
                        listed.push(Listed { name, path, stamp });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(IndexError::File(name, error)),
            }
        }
        Ok(listed)
    }

    fn visit(&mut self, file: &Listed, budget: &mut u64) -> io::Result<()> {
        let id = file.stamp.id;
        let whole = self.whole || is_still(&file.stamp);
        if let Some(known) = self.files.get_mut(&id) {
            if known.info.name != file.name || known.info.path != file.path {
                let mut info = FileInfo::clone(&known.info);
                (info.name, info.path) = (file.name.clone(), file.path.clone());
                known.info = Arc::new(info);
            }
            let same = known.stamp == file.stamp;
            match &known.state {
                State::Scanning => {}
                State::Scanned { waits: true } if same && whole => known.state = State::Scanning,
                _ if same => return Ok(()),
                _ => known.state = State::Scanning,
            }
        }
        let going_on = self.scanner.take().filter(|(of, _)| *of == id);
        let mut records = match going_on {
            Some((_, records)) => records,
            None => match self.open(file, whole) {
                Ok(Some(records)) => records,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let Some(known) = self.files.get_mut(&id) else {
            return Ok(());
        };
        let before = *budget;
        let outcome = known.scan(&mut records, budget);
        // Opening costs as well.
        *budget = (*budget).min(before.saturating_sub(4096));
        match outcome {
            Ok(true) => {}
            Ok(false) => self.scanner = Some((id, records)),
            Err(error) => known.fail(error, whole)?,
        }
        Ok(())
    }

    /// Opens a file to scan it from where it is known. None when it doesn't say yet what it is, or is damaged.
    fn open(&mut self, file: &Listed, whole: bool) -> io::Result<Option<Records>> {
        let (bytes, stamp, head) = open(&file.path)?;
        if stamp.id != file.stamp.id {
            // Renamed meanwhile: the next look finds it.
            return Ok(None);
        }
        let compressed = bytes.lock().compression() != Compression::None;
        if let Some(known) = self.files.get_mut(&stamp.id) {
            let grown = compressed || stamp.len >= known.blocks.end();
            if grown && head.starts_with(&known.info.head) && known.info.layout != Layout::Parquet {
                known.stamp = stamp;
                let mut info = FileInfo::clone(&known.info);
                (info.head, info.stamp) = (head, stamp);
                known.info = Arc::new(info);
                let mut records = Records::new(
                    bytes,
                    &known.info.layout,
                    self.projection.clone(),
                    whole,
                    false,
                )?;
                records.seek(known.blocks.end());
                return Ok(Some(records));
            }
        }
        self.files.remove(&stamp.id);
        let layout = match Layout::find(&self.settings, &file.name, &bytes, whole) {
            Ok(layout) => layout,
            Err(error) if compressed || error.kind() == io::ErrorKind::InvalidData => {
                self.fail(file, stamp, head, error, whole)?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(layout) = layout else {
            return Ok(None);
        };
        if layout == Layout::Parquet && compressed {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                "Parquet that is compressed as a whole can't be read",
            );
            self.fail(file, stamp, head, error, true)?;
            return Ok(None);
        }
        if layout == Layout::Parquet && !whole && !parquet::is_whole(&bytes.lock().file()?)? {
            return Ok(None);
        }
        let records = Records::new(bytes, &layout, self.projection.clone(), whole, false);
        let records = match records {
            Ok(records) => records,
            Err(error) => {
                self.fail(file, stamp, head, error, true)?;
                return Ok(None);
            }
        };
        let size = match (&layout, compressed) {
            (Layout::Parquet, _) => BLOCK_ROWS,
            (_, true) => COMPRESSED_BLOCK,
            (_, false) => BLOCK,
        };
        let known = Known {
            blocks: Blocks::new(records.at(), size),
            state: State::Scanning,
            stamp,
            info: Arc::new(FileInfo {
                id: stamp.id,
                name: file.name.clone(),
                path: file.path.clone(),
                layout,
                compressed,
                stamp,
                head,
            }),
        };
        self.files.insert(stamp.id, known);
        Ok(Some(records))
    }

    /// Keeps a file that can't be read at all.
    fn fail(
        &mut self,
        file: &Listed,
        stamp: Stamp,
        head: Vec<u8>,
        error: io::Error,
        whole: bool,
    ) -> io::Result<()> {
        let mut known = Known {
            blocks: Blocks::new(0, BLOCK),
            state: State::Scanned { waits: false },
            stamp,
            info: Arc::new(FileInfo {
                id: stamp.id,
                name: file.name.clone(),
                path: file.path.clone(),
                layout: Layout::Ndjson,
                compressed: false,
                stamp,
                head,
            }),
        };
        known.fail(error, whole)?;
        // What is cut off may go on, as whatever it is then.
        if known.damage().is_some() {
            self.files.insert(stamp.id, known);
        }
        Ok(())
    }
}

impl Known {
    /// False when the budget was too small.
    fn scan(&mut self, records: &mut Records, budget: &mut u64) -> io::Result<bool> {
        let mut batch = RecordBatch::new(0);
        while *budget > 0 {
            let before = records.at();
            if let Records::Parquet(rows) = records
                && let Some(times) = rows.times()
            {
                self.blocks.push(Block {
                    at: before,
                    end: times.end,
                    first: times.first,
                    last: times.last,
                    count: times.count,
                    sorted: false,
                    lead: times.first,
                    coarse: true,
                });
                rows.seek(times.end);
                *budget = budget.saturating_sub(4096);
                continue;
            }
            let step = records.next(&mut batch)?;
            let used = (records.at() - before).max(1);
            *budget = budget.saturating_sub(match records {
                Records::Lines(_) => used,
                // About what a row takes.
                Records::Parquet(_) => used * 16,
            });
            match step {
                Step::Record => {
                    let time = batch.records().last().map(|record| record.time);
                    self.blocks.add(time, records.at());
                }
                Step::Bad => self.blocks.add(None, records.at()),
                Step::End | Step::Waiting => {
                    self.state = State::Scanned {
                        waits: step == Step::Waiting,
                    };
                    return Ok(true);
                }
            }
            batch.clear();
        }
        Ok(false)
    }

    /// Tells damage, which is of the file, from errors of reading, which may pass.
    fn fail(&mut self, error: io::Error, whole: bool) -> io::Result<()> {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        let reason = match error.kind() {
            // It is being written.
            UnexpectedEof if !whole => {
                self.state = State::Scanned { waits: true };
                return Ok(());
            }
            UnexpectedEof => "it ends too early".to_owned(),
            InvalidData | InvalidInput | Other => error.to_string(),
            _ => return Err(error),
        };
        let from = self.blocks.latest();
        self.state = State::Damaged(Damage { reason, from });
        Ok(())
    }

    /// Reads the times of a row group of which only the first and the last are known.
    fn refine(&mut self, coarse: &Block, records: &mut Records) -> io::Result<()> {
        let mut parts = Blocks::after(coarse.lead, coarse.at, BLOCK_ROWS);
        let mut batch = RecordBatch::new(0);
        records.seek(coarse.at);
        while records.at() < coarse.end {
            batch.clear();
            let time = match records.next(&mut batch) {
                Ok(Step::Record) => batch.records().last().map(|record| record.time),
                Ok(Step::Bad) => None,
                Ok(Step::End | Step::Waiting) => break,
                Err(error) => {
                    self.fail(error, true)?;
                    // Behind this are records that can be read, but time doesn't pass over what can't.
                    if let State::Damaged(damage) = &mut self.state {
                        damage.from = Some(coarse.first);
                    }
                    break;
                }
            };
            parts.add(time, records.at());
        }
        self.blocks.part(coarse, &parts);
        Ok(())
    }

    /// The blocks in which there may be records of a window.
    pub fn within(&self, start: i64, end: i64) -> impl Iterator<Item = &Block> {
        let blocks = self.blocks.all().iter();
        blocks.filter(move |block| block.last >= start && block.first < end)
    }
}

struct Listed {
    name: String,
    path: PathBuf,
    stamp: Stamp,
}

fn is_still(stamp: &Stamp) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as i128);
    now - stamp.modified >= STILL.as_nanos() as i128
}

/// The names of the fields of a file, where it tells them without its records being read.
fn columns(
    settings: &Directory,
    name: &str,
    path: &Path,
    whole: bool,
) -> io::Result<Option<Vec<String>>> {
    let (bytes, ..) = open(path)?;
    match Layout::find(settings, name, &bytes, whole)? {
        Some(Layout::Csv { columns, .. }) => Ok(Some(columns)),
        Some(Layout::Parquet) => parquet::columns(bytes.lock().file()?).map(Some),
        Some(Layout::Ndjson) | None => Ok(None),
    }
}
