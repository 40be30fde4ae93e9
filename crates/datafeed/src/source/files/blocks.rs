//! What is remembered of the records of one file: when they are, a block at a time.

/// Blocks of one file; beyond that two become one.
const MAX_BLOCKS: usize = 1 << 14;

/// Records that follow each other in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// From here up to `end`: bytes, or rows.
    pub at: u64,
    pub end: u64,
    /// The earliest and the latest time, epoch milliseconds.
    pub first: i64,
    pub last: i64,
    /// Those with a time.
    pub count: u64,
    /// Their times never go back.
    pub sorted: bool,
    /// The time for bad records before the first good one: each counts when the record before it does.
    pub lead: i64,
    /// It is as its file says of a row group, and can be parted by reading it.
    pub coarse: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocks {
    all: Vec<Block>,
    /// The size at which a block is full.
    size: u64,
    /// Where the next record begins.
    end: u64,
    /// Of the last good record.
    time: Option<i64>,
    /// Of the times of all records, and where they end.
    digest: u64,
}

impl Blocks {
    pub fn new(start: u64, size: u64) -> Self {
        Self {
            all: Vec::new(),
            size,
            end: start,
            time: None,
            digest: 0,
        }
    }

    /// Of records in a file whose first ones count at `time` as long as they have none.
    pub fn after(time: i64, start: u64, size: u64) -> Self {
        Self {
            time: Some(time),
            ..Self::new(start, size)
        }
    }

    pub fn all(&self) -> &[Block] {
        &self.all
    }

    /// Up to where records are known.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Files with the same records have the same.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The latest time there is.
    pub fn latest(&self) -> Option<i64> {
        self.all.iter().map(|block| block.last).max()
    }

    /// Takes in the next record, which ends at `end`; one without a time is a bad one.
    pub fn add(&mut self, time: Option<i64>, end: u64) {
        let Some(at) = time.or(self.time) else {
            // It will be at the beginning of the first block.
            return;
        };
        match self.all.last_mut() {
            Some(block) if !block.coarse && block.end - block.at < self.size => {
                block.sorted &= at >= block.last;
                block.first = block.first.min(at);
                block.last = block.last.max(at);
                block.count += u64::from(time.is_some());
                block.end = end;
            }
            _ => {
                let lead = self.time.unwrap_or(at);
                self.make_room();
                self.all.push(Block {
                    at: self.end,
                    end,
                    first: at,
                    last: at,
                    count: u64::from(time.is_some()),
                    sorted: true,
                    lead,
                    coarse: false,
                });
            }
        }
        self.digest =
            (self.digest.rotate_left(5) ^ at as u64 ^ end).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.end = end;
        self.time = time.or(self.time);
    }

    /// Takes in a whole row group.
    pub fn push(&mut self, block: Block) {
        self.make_room();
        self.end = block.end;
        self.time = Some(block.last);
        self.all.push(block);
    }

    /// Puts what has been read in the place of a coarse block.
    pub fn part(&mut self, coarse: &Block, parts: &Self) {
        if let Some(at) = self.all.iter().position(|block| block == coarse) {
            self.all.splice(at..=at, parts.all.iter().copied());
        }
    }

    fn make_room(&mut self) {
        if self.all.len() < MAX_BLOCKS {
            return;
        }
        let pairs = self.all.chunks(2).map(|pair| match pair {
            [a, b] => Block {
                end: b.end,
                first: a.first.min(b.first),
                last: a.last.max(b.last),
                count: a.count + b.count,
                sorted: a.sorted && b.sorted && a.last <= b.first,
                coarse: a.coarse || b.coarse,
                ..*a
            },
            rest => rest[0],
        });
        self.all = pairs.collect();
        self.size *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_records_count_with_the_one_before() {
        let mut blocks = Blocks::new(10, 4);
        for (time, end) in [
            (None, 11),
            (Some(5), 12),
            (None, 14),
            (None, 15),
            (Some(4), 16),
        ] {
            blocks.add(time, end);
        }
        let [a, b] = blocks.all() else {
            panic!("{blocks:?}")
        };
        assert_eq!((a.at, a.end, a.first, a.last, a.count), (10, 14, 5, 5, 1));
        assert_eq!((b.at, b.end, b.first, b.last, b.count), (14, 16, 4, 5, 1));
        assert_eq!((a.sorted, b.sorted, b.lead), (true, false, 5));
        assert_eq!((blocks.latest(), blocks.end()), (Some(5), 16));
    }

    #[test]
    fn there_are_never_too_many() {
        let mut blocks = Blocks::new(0, 1);
        let count = 5 * MAX_BLOCKS as i64;
        for time in 0..count {
            blocks.add(Some(time), time as u64 + 1);
        }
        assert!(blocks.all().len() <= MAX_BLOCKS);
        let mut next = 0;
        for block in blocks.all() {
            assert_eq!((block.at as i64, block.first), (next, next));
            assert!(block.sorted && block.last == block.end as i64 - 1);
            next = block.end as i64;
        }
        assert_eq!(next, count);
    }
}
