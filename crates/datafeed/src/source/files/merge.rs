//! The records of a window in the order of time, from many files at once.
//!
//! What is still to be read is a heap of parts, by the earliest time that each may have. A part is read when all that
//! is held is later than that; what is held and earlier is complete, and goes out. A part whose times never go back is
//! read a piece at a time, so that of each file only a piece is held; another at once. Where more is held than there
//! is room for, the later half is dropped, and the parts it was from are read again.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use tidewatch_model::record::{InputCounts, RecordBatch};

use super::reader::Reader;
use super::records::{FileInfo, Step};
use crate::projection::BatchLimit;
use crate::source::{Page, Window};

/// Bytes of records that are held.
const ROOM: usize = 64 << 20;
/// A piece of a part: so many records, or bytes of its file.
const PIECE_RECORDS: usize = 1024;
const PIECE_BYTES: u64 = 256 << 10;
/// Parts that are read before others have their turn.
const TURN: usize = 256;

/// Records of a file that are to be read.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub file: Arc<FileInfo>,
    /// The place of its file among the others.
    pub rank: u32,
    pub what: What,
    /// Only records from this time on and before `until` are asked for.
    pub from: i64,
    pub until: i64,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Records {
        at: u64,
        end: u64,
        sorted: bool,
        /// The time for bad records before the first good one.
        lead: i64,
    },
    /// What follows can't be read.
    Damage(String),
}

impl Part {
    fn key(&self) -> (i64, u32, u64) {
        let at = match self.what {
            What::Records { at, .. } => at,
            What::Damage(_) => u64::MAX,
        };
        (self.from, self.rank, at)
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Part {}

impl PartialOrd for Part {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Part {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// A record that is held; a bad one has no row.
#[derive(Debug, Clone, Copy)]
struct Held {
    time: i64,
    at: u64,
    row: Option<u32>,
    input: InputCounts,
}

/// Records that were read at once, in order.
struct Chunk {
    part: Part,
    batch: RecordBatch,
    held: Vec<Held>,
    next: usize,
}

impl Chunk {
    fn weight(&self) -> usize {
        self.batch.weight() + self.held.len() * size_of::<Held>()
    }

    fn key(&self) -> Option<Place> {
        let held = self.held.get(self.next)?;
        Some((held.time, self.part.rank, held.at))
    }
}

/// Time, file and place in it: the order of records.
type Place = (i64, u32, u64);

pub(super) struct Merge {
    window: Window,
    width: usize,
    limit: BatchLimit,
    room: usize,
    parts: BinaryHeap<Reverse<Part>>,
    /// Of each chunk its next record.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    chunks: Vec<Option<Chunk>>,
    free: Vec<usize>,
    held: usize,
    page: RecordBatch,
    /// Of the last record in the page.
    last: Option<i64>,
    ended: bool,
}

/// Why the records can't be read on.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(String, io::Error),
    /// The file isn't what it was.
    Changed(String),
    Damaged(String, String),
}

/// What came of a turn.
pub(super) enum Turn {
    Page(Page),
    /// Nothing yet.
    Again,
    End,
}

impl Merge {
    pub fn new(window: Window, width: usize, parts: Vec<Part>) -> Self {
        Self {
            window,
            width,
            limit: BatchLimit::default(),
            room: ROOM,
            parts: parts.into_iter().map(Reverse).collect(),
            heads: BinaryHeap::new(),
            chunks: Vec::new(),
            free: Vec::new(),
            held: 0,
            page: RecordBatch::new(width),
            last: None,
            ended: false,
        }
    }

    #[cfg(test)]
    pub fn with_limits(mut self, limit: BatchLimit, room: usize) -> Self {
        (self.limit, self.room) = (limit, room);
        self
    }

    /// Reads on until a page is full, or for a while.
    pub fn turn(&mut self, reader: &mut Reader) -> Result<Turn, ReadError> {
        for _ in 0..TURN {
            let bound = self
                .parts
                .peek()
                .map_or(i64::MAX, |Reverse(part)| part.from);
            if let Some(until) = self.give(bound) {
                return Ok(Turn::Page(self.cut(until)));
            }
            let Some(Reverse(part)) = self.parts.pop() else {
                let more = self.last.is_some() && !self.ended;
                self.ended = true;
                return Ok(match more {
                    true => Turn::Page(self.cut(self.window.end)),
                    false => Turn::End,
                });
            };
            if let What::Damage(reason) = &part.what {
                // What was readable before comes first.
                if let Some(last) = self.last {
                    let page = self.cut(last + 1);
                    self.parts.push(Reverse(part));
                    return Ok(Turn::Page(page));
                }
                let error = ReadError::Damaged(part.file.name.clone(), reason.clone());
                self.parts.push(Reverse(part));
                return Err(error);
            }
            let (chunk, rest) = read(part, reader)?;
            self.parts.extend(rest.map(Reverse));
            self.hold(chunk);
            if self.held > self.room {
                self.shed();
            }
        }
        Ok(Turn::Again)
    }

    fn cut(&mut self, until: i64) -> Page {
        self.last = None;
        let batch = std::mem::replace(&mut self.page, RecordBatch::new(self.width));
        Page { batch, until }
    }

    /// Moves what is held before `bound` into the page, up to a new time at which it is full: that is given.
    fn give(&mut self, bound: i64) -> Option<i64> {
        while let Some(Reverse((key, at))) = self.heads.peek() {
            let (time, at) = (key.0, *at);
            if time >= bound {
                break;
            }
            if let Some(last) = self.last
                && time > last
                && self.limit.reached(&self.page)
            {
                return Some(last + 1);
            }
            self.heads.pop();
            let Some(chunk) = &mut self.chunks[at] else {
                continue;
            };
            let held = chunk.held[chunk.next];
            chunk.next += 1;
            if let Some(row) = held.row {
                self.page.push(chunk.batch.record(row as usize));
            }
            self.page.input += held.input;
            self.last = Some(time);
            match chunk.key() {
                Some(key) => self.heads.push(Reverse((key, at))),
                None => drop(self.release(at)),
            }
        }
        None
    }

    fn hold(&mut self, chunk: Chunk) {
        let Some(key) = chunk.key() else { return };
        self.held += chunk.weight();
        let at = self.free.pop().unwrap_or_else(|| {
            self.chunks.push(None);
            self.chunks.len() - 1
        });
        self.chunks[at] = Some(chunk);
        self.heads.push(Reverse((key, at)));
    }

    fn release(&mut self, at: usize) -> Option<Chunk> {
        let chunk = self.chunks[at].take()?;
        self.held -= chunk.weight();
        self.free.push(at);
        Some(chunk)
    }

    /// Drops the later half of what is held, to be read again. What is of one time can't be parted.
    fn shed(&mut self) {
        let chunks = self.chunks.iter().flatten();
        let mut times: Vec<i64> = chunks
            .flat_map(|chunk| chunk.held[chunk.next..].iter().map(|held| held.time))
            .collect();
        let Some(first) = times.iter().min().copied() else {
            return;
        };
        let half = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(half);
        let limit = (*middle).max(first + 1);
        self.heads.clear();
        for at in 0..self.chunks.len() {
            let Some(mut chunk) = self.release(at) else {
                continue;
            };
            let keep = chunk.held.partition_point(|held| held.time < limit);
            if keep < chunk.held.len() {
                let from = chunk.held[keep].time;
                self.parts.push(Reverse(Part {
                    from,
                    ..chunk.part.clone()
                }));
                chunk = chunk.first(keep, self.width);
                chunk.part.until = from;
            }
            self.hold(chunk);
        }
    }
}

impl Chunk {
    /// What isn't given yet of the first records, in a memory of their own.
    fn first(&self, keep: usize, width: usize) -> Self {
        let mut batch = RecordBatch::new(width);
        let held = self.held[self.next.min(keep)..keep].iter().map(|held| {
            let row = held.row.map(|row| {
                batch.push(self.batch.record(row as usize));
                batch.len() as u32 - 1
            });
            Held { row, ..*held }
        });
        Self {
            part: self.part.clone(),
            held: held.collect(),
            batch,
            next: 0,
        }
    }
}

/// Reads a part, or a piece of it and gives the rest.
fn read(part: Part, reader: &mut Reader) -> Result<(Chunk, Option<Part>), ReadError> {
    let What::Records {
        at: start,
        end,
        sorted,
        lead,
    } = part.what
    else {
        return Err(ReadError::Changed(part.file.name.clone()));
    };
    let mut lead = lead;
    let told = |error| ReadError::Io(part.file.name.clone(), error);
    let mut batch = reader.batch();
    let mut held: Vec<Held> = Vec::new();
    let mut records = reader
        .take(&part.file)
        .map_err(told)?
        .ok_or_else(changed(&part))?;
    records.seek(start);
    let mut rest = None;
    let mut count = 0;
    while records.at() < end {
        if sorted && (count >= PIECE_RECORDS || records.at() - start >= PIECE_BYTES) {
            rest = Some(Part {
                what: What::Records {
                    at: records.at(),
                    end,
                    sorted,
                    lead,
                },
                from: lead.max(part.from),
                ..part.clone()
            });
            break;
        }
        count += 1;
        let at = records.at();
        let (mark, before) = (batch.mark(), batch.input);
        let step = match records.next(&mut batch) {
            Ok(step) => step,
            // What was readable comes first, where it is known to be all until then.
            Err(error) => {
                if !sorted {
                    held.clear();
                }
                rest = Some(Part {
                    what: What::Damage(error.to_string()),
                    from: if sorted {
                        lead.max(part.from)
                    } else {
                        part.from
                    },
                    ..part.clone()
                });
                break;
            }
        };
        let (time, row) = match step {
            Step::Record => {
                let row = batch.len() - 1;
                lead = batch.record(row).time;
                (lead, Some(row as u32))
            }
            Step::Bad => (lead, None),
            Step::End | Step::Waiting => return Err(changed(&part)()),
        };
        // What is sorted and begins too late has nothing more.
        if sorted && time >= part.until {
            batch.rewind(mark);
            break;
        }
        if time < part.from || time >= part.until {
            batch.rewind(mark);
            continue;
        }
        if row.is_some() && !reader.wants(&records, time) {
            batch.rewind(mark);
            continue;
        }
        held.push(Held {
            time,
            at,
            row,
            input: batch.input - before,
        });
    }
    if !matches!(&rest, Some(part) if matches!(part.what, What::Damage(_))) {
        reader.give_back(&part.file, records);
    }
    held.sort_by_key(|held| (held.time, held.at));
    let chunk = Chunk {
        part: Part {
            what: What::Records {
                at: start,
                end: rest.as_ref().map_or(end, |rest: &Part| match rest.what {
                    What::Records { at, .. } => at,
                    What::Damage(_) => end,
                }),
                sorted,
                lead: match part.what {
                    What::Records { lead, .. } => lead,
                    What::Damage(_) => lead,
                },
            },
            ..part
        },
        batch,
        held,
        next: 0,
    };
    Ok((chunk, rest))
}

fn changed(part: &Part) -> impl FnOnce() -> ReadError + use<> {
    let name = part.file.name.clone();
    || ReadError::Changed(name)
}
