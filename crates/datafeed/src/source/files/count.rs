//! How many records there are in a window, and when: from the blocks where they tell, else by reading the times.

use std::collections::BTreeMap;

use super::blocks::Block;
use super::merge::{Part, ReadError, What};
use super::reader::Reader;
use super::records::Step;
use crate::source::{Summary, Window};

/// Parts that are read before it is asked whether anybody still waits.
const TURN: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Counts {
    window: Window,
    /// Milliseconds of a bucket; without it there is one.
    span: Option<i64>,
    /// By the start of the bucket.
    pub buckets: BTreeMap<i64, u64>,
    summary: Summary,
}

impl Counts {
    pub fn new(window: Window, span: Option<i64>) -> Self {
        Self {
            window,
            span,
            buckets: BTreeMap::new(),
            summary: Summary::default(),
        }
    }

    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Takes in a block, if all of it is in the window and in one bucket.
    pub fn take(&mut self, block: &Block) -> bool {
        let takes = self.takes(block);
        if takes {
            self.add(block.first, block.last, block.count);
        }
        takes
    }

    pub fn takes(&self, block: &Block) -> bool {
        let inside = block.first >= self.window.start && block.last < self.window.end;
        inside && self.bucket(block.first) == self.bucket(block.last)
    }

    fn bucket(&self, time: i64) -> i64 {
        match self.span {
            Some(span) => time.div_euclid(span) * span,
            None => 0,
        }
    }

    fn add(&mut self, first: i64, last: i64, count: u64) {
        if count == 0 {
            return;
        }
        let Summary {
            earliest,
            latest,
            documents,
        } = &mut self.summary;
        *earliest = Some(earliest.map_or(first, |time| time.min(first)));
        *latest = Some(latest.map_or(last, |time| time.max(last)));
        *documents += count;
        *self.buckets.entry(self.bucket(first)).or_default() += count;
    }
}

/// Reads some of the parts. False when there are none left.
pub(super) fn turn(
    parts: &mut impl Iterator<Item = Part>,
    counts: &mut Counts,
    reader: &mut Reader,
) -> Result<bool, ReadError> {
    let mut batch = reader.batch();
    for _ in 0..TURN {
        let Some(part) = parts.next() else {
            return Ok(false);
        };
        let (at, end) = match part.what {
            What::Records { at, end, .. } => (at, end),
            // What can't be read can't be counted.
            What::Damage(_) => continue,
        };
        let told = |error| ReadError::Io(part.file.name.clone(), error);
        let changed = || ReadError::Changed(part.file.name.clone());
        let mut records = reader.take(&part.file).map_err(told)?.ok_or_else(changed)?;
        records.seek(at);
        while records.at() < end {
            batch.clear();
            match records.next(&mut batch).map_err(told)? {
                Step::Record => {
                    let time = batch.record(0).time;
                    let inside = time >= counts.window.start && time < counts.window.end;
                    if inside && reader.wants(&records, time) {
                        counts.add(time, time, 1);
                    }
                }
                Step::Bad => {}
                Step::End | Step::Waiting => return Err(changed()),
            }
        }
        reader.give_back(&part.file, records);
    }
    Ok(true)
}
