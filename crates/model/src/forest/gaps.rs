//! Which of the latest buckets were filled in.

use serde::{Deserialize, Serialize};

const WORD: usize = 128;

/// A bit a bucket, of the buckets that a point has; the newest is the last. What is saved with it are the first 128 of
/// them: [`older`](Self::older) is saved beside, since states of before end there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    newest: u128,
    #[serde(skip)]
    older: Vec<u128>,
}

impl Gaps {
    pub fn new(shingle: usize) -> Self {
        Self {
            newest: 0,
            older: vec![0; words(shingle)],
        }
    }

    pub fn bytes(shingle: usize) -> usize {
        words(shingle) * size_of::<u128>()
    }

    /// Buckets before the newest 128.
    pub fn older(&self) -> &[u128] {
        &self.older
    }

    /// After it was read from a state, with what was saved beside it: nothing in states of before.
    pub fn restore(&mut self, mut older: Vec<u128>, shingle: usize) {
        older.resize(words(shingle), 0);
        self.older = older;
    }

    pub fn push(&mut self, is_gap: bool) {
        let mut carried = u128::from(is_gap);
        for word in std::iter::once(&mut self.newest).chain(&mut self.older) {
            let next = *word >> (WORD - 1);
            *word = *word << 1 | carried;
            carried = next;
        }
    }

    /// The share of the latest buckets, as many as a point has.
    pub fn share(&self, shingle: usize) -> f64 {
        let words = std::iter::once(&self.newest).chain(&self.older);
        let counts = words.enumerate().map(|(number, word)| {
            let bits = (shingle - number * WORD).min(WORD);
            (word & u128::MAX >> (WORD - bits)).count_ones()
        });
        f64::from(counts.sum::<u32>()) / shingle as f64
    }
}

/// Words beside the first.
fn words(shingle: usize) -> usize {
    shingle.saturating_sub(1) / WORD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_as_long_as_it_is_in_the_point() {
        for shingle in [1, 8, 127, 128, 129, 256, 300, 1_024] {
            let mut gaps = Gaps::new(shingle);
            let mut all = Vec::new();
            for n in 0..3 * shingle {
                let is_gap = n * 7 % 5 < 2 || n % shingle == 0;
                gaps.push(is_gap);
                all.push(is_gap);
                let latest = all.iter().rev().take(shingle);
                let count = latest.filter(|&&is_gap| is_gap).count();
                assert_eq!(gaps.share(shingle), count as f64 / shingle as f64);
                let older = gaps.older().to_vec();
                let saved = postcard::to_stdvec(&gaps).expect("bytes");
                let mut read: Gaps = postcard::from_bytes(&saved).expect("gaps");
                read.restore(older, shingle);
                assert_eq!(read, gaps);
            }
            // As it was saved once: a number.
            let saved = postcard::to_stdvec(&gaps.newest).expect("bytes");
            assert_eq!(saved, postcard::to_stdvec(&gaps).expect("bytes"));
        }
    }
}
