//! What has been written since the last commit, by id

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::translog::Place;

/// How long the version of a deleted document is remembered, as `index.gc_deletes` has it by default.
const REMEMBERED: Duration = Duration::from_secs(60);
/// No more of them than this.
const TOMBSTONES: usize = 50_000;

/// The last write of an id.
#[derive(Debug, Clone)]
pub struct Recent {
    pub seq_no: u64,
    pub version: u64,
    /// None: it was deleted.
    pub place: Option<Box<(Place, Option<Box<str>>)>>,
}

/// Writes that look-ups in what is committed don't find yet: those that a commit takes up, and those after it.
#[derive(Debug, Default)]
pub struct RecentWrites {
    current: HashMap<Box<str>, Recent>,
    committing: VecDeque<HashMap<Box<str>, Recent>>,
    /// Deleted documents whose deletion is committed.
    tombstones: HashMap<Box<str>, (u64, u64)>,
    ages: VecDeque<(Instant, Box<str>)>,
}

impl RecentWrites {
    pub fn get(&self, id: &str) -> Option<&Recent> {
        let committing = self.committing.iter().rev();
        std::iter::once(&self.current)
            .chain(committing)
            .find_map(|part| part.get(id))
    }

    /// The `seq_no` and version of the deletion of an id that was deleted not long ago and is in no segment.
    pub fn tombstone(&self, id: &str) -> Option<(u64, u64)> {
        self.tombstones.get(id).copied()
    }

    /// Puts a write down and gives the one that it comes over in the current part.
    pub fn put(&mut self, id: &str, recent: Recent) -> Option<Recent> {
        if let Some(there) = self.current.get_mut(id) {
            return Some(std::mem::replace(there, recent));
        }
        self.current.insert(id.into(), recent);
        None
    }

    /// Takes a write back.
    pub fn undo(&mut self, id: &str, before: Option<Recent>) {
        match before {
            Some(before) => self.put(id, before),
            None => self.current.remove(id),
        };
    }

    pub fn len(&self) -> usize {
        self.current.len()
    }

    /// A commit of everything until now begins.
    pub fn begin_commit(&mut self) {
        self.committing.push_back(std::mem::take(&mut self.current));
    }

    /// The commit that began first is there, and whoever looks for an id looks in it.
    pub fn end_commit(&mut self) {
        let now = Instant::now();
        for (id, recent) in self.committing.pop_front().unwrap_or_default() {
            self.tombstones.remove(&id);
            if recent.place.is_none() {
                self.ages.push_back((now, id.clone()));
                self.tombstones.insert(id, (recent.seq_no, recent.version));
            }
        }
        while let Some((age, _)) = self.ages.front()
            && (now.duration_since(*age) > REMEMBERED || self.ages.len() > TOMBSTONES)
        {
            if let Some((_, id)) = self.ages.pop_front() {
                self.tombstones.remove(&id);
            }
        }
    }
}
