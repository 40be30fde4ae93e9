//! Rare values of a population: how many people share a value.

use serde::{Deserialize, Serialize};

use super::{Ladder, NEVER, Presence, Rarity, rung};

/// People that are known by name; of more, only how many there are.
const FEW: usize = 16;
/// Words of the bitmap that counts many people.
const WORDS: usize = 8;

/// Who has a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Sharers {
    /// Sorted.
    Few(Vec<u32>),
    /// Linear counting (Whang, Vander-Zanden & Taylor 1990, ACM Transactions on Database Systems 15, p. 208): each
    /// person sets a bit by a hash, and the zeros that are left tell how many they were.
    Many(Box<[u64; WORDS]>),
}

impl Sharers {
    /// How many others than `person`.
    fn others(&self, person: u32) -> f64 {
        match self {
            Self::Few(people) => {
                let own = people.binary_search(&person).is_ok();
                people.len() as f64 - f64::from(u8::from(own))
            }
            Self::Many(bits) => {
                let size = (64 * WORDS) as f64;
                let zeros: u32 = bits.iter().map(|word| word.count_zeros()).sum();
                size * (size / f64::from(zeros).max(0.5)).ln()
            }
        }
    }

    fn add(&mut self, person: u32) {
        match self {
            Self::Few(people) => {
                let Err(at) = people.binary_search(&person) else {
                    return;
                };
                people.insert(at, person);
                if people.len() > FEW {
                    let mut bits = Box::new([0; WORDS]);
                    people.iter().for_each(|&person| set(&mut bits, person));
                    *self = Self::Many(bits);
                }
            }
            Self::Many(bits) => set(bits, person),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Few(people) => people.capacity() * size_of::<u32>(),
            Self::Many(_) => WORDS * 8,
        }
    }
}

/// By Fibonacci hashing (Knuth 1998, The Art of Computer Programming 3, 6.4).
fn set(bits: &mut [u64; WORDS], person: u32) {
    let bit = (u64::from(person) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 9);
    bits[(bit / 64) as usize] |= 1 << (bit % 64);
}

/// The values of one partition, and who has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RarePeople {
    presence: Presence,
    /// By value, in the order of `presence`.
    sharers: Vec<(u32, Sharers)>,
    people: Vec<u32>,
    ladder: Ladder,
}

impl Default for RarePeople {
    fn default() -> Self {
        Self::new()
    }
}

impl RarePeople {
    pub fn new() -> Self {
        Self {
            presence: Presence::new(),
            sharers: Vec::new(),
            people: Vec::new(),
            ladder: Ladder::default(),
        }
    }

    /// Judges that a person has a value in the coming bucket.
    pub fn judge(&self, person: u32, value: u32) -> Rarity {
        let (buckets, count) = self.presence.counts(value);
        let own = Presence::predicted(buckets, count);
        let probability = self.ladder.probability(self.rung(person, value)).max(own);
        self.presence.rarity(value, probability)
    }

    /// Other people who were seen with this value.
    pub fn others(&self, person: u32, value: u32) -> f64 {
        self.sharers
            .binary_search_by_key(&value, |&(id, _)| id)
            .map_or(0.0, |at| self.sharers[at].1.others(person))
    }

    /// How much a person did in a bucket that few others do, of pairs of a value and how often: an event that nobody
    /// shares is one, one that `n` others share the `n + 1`th part of it. It is what `freq_rare` compares people by.
    pub fn singularity(&self, person: u32, done: &[(u32, f64)]) -> f64 {
        done.iter()
            .map(|&(value, times)| times / (1.0 + self.others(person, value)))
            .sum()
    }

    /// Shares are of the people known, at least so many that one of them is few.
    fn rung(&self, person: u32, value: u32) -> usize {
        if self.presence.counts(value).1 == 0.0 {
            return NEVER;
        }
        let all = self.people.len().max(1) as f64;
        rung((self.others(person, value) + 0.5) / (all + 0.5))
    }

    /// Learns a finished bucket by its pairs of person and value: sorted by value, then person, each once.
    pub fn learn(&mut self, pairs: &[(u32, u32)]) {
        let Some(rarest) = pairs.iter().map(|&(p, v)| self.rung(p, v)).max() else {
            return;
        };
        self.ladder.learn(rarest);
        let values = pairs.chunk_by(|a, b| a.1 == b.1).map(|same| same[0].1);
        self.presence.learn(values);
        for &(person, value) in pairs {
            let at = match self.sharers.binary_search_by_key(&value, |&(id, _)| id) {
                Ok(at) => at,
                Err(at) => {
                    self.sharers.insert(at, (value, Sharers::Few(Vec::new())));
                    at
                }
            };
            self.sharers[at].1.add(person);
            if let Err(at) = self.people.binary_search(&person) {
                self.people.insert(at, person);
            }
        }
    }

    /// Values known.
    pub fn len(&self) -> usize {
        self.sharers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sharers.is_empty()
    }

    /// Keeps the values and the people that `value` and `person` say.
    pub fn retain(
        &mut self,
        mut value: impl FnMut(u32) -> bool,
        mut person: impl FnMut(u32) -> bool,
    ) {
        self.presence.retain(&mut value);
        self.sharers.retain(|&(id, _)| value(id));
        self.people.retain(|&id| person(id));
        for (_, sharers) in &mut self.sharers {
            if let Sharers::Few(people) = sharers {
                people.retain(|&id| person(id));
            }
        }
    }

    /// Gives values and people the numbers that they have now. Many sharers are counted by their old numbers: those that
    /// come again count twice, which makes a common value a little more common.
    pub fn rename(
        &mut self,
        mut value: impl FnMut(u32) -> u32,
        mut person: impl FnMut(u32) -> u32,
    ) {
        self.presence.rename(&mut value);
        for (id, sharers) in &mut self.sharers {
            *id = value(*id);
            if let Sharers::Few(people) = sharers {
                people.iter_mut().for_each(|id| *id = person(*id));
                people.sort_unstable();
            }
        }
        self.sharers.sort_unstable_by_key(|&(id, _)| id);
        self.people.iter_mut().for_each(|id| *id = person(*id));
        self.people.sort_unstable();
    }

    /// Bytes that this takes now.
    pub fn bytes(&self) -> usize {
        let sharers: usize = self
            .sharers
            .iter()
            .map(|(_, sharers)| sharers.bytes())
            .sum();
        size_of::<Self>()
            + self.presence.bytes()
            + self.sharers.capacity() * size_of::<(u32, Sharers)>()
            + sharers
            + self.people.capacity() * size_of::<u32>()
    }
}
