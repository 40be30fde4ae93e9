//! The series of one detector: one for each pair of partition and by value.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Detector;
use crate::gather::{Accumulator, Gathered};
use crate::series::{Finding, Series};

/// Stands for a split that the detector hasn't.
pub const NO_SPLIT: u32 = u32::MAX;

/// One series with the split values that it belongs to, as the engine's names number them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub partition: u32,
    pub by: u32,
    /// Start of the last bucket that had a record of it, epoch seconds.
    pub last_record: i64,
    pub series: Series,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DetectorState {
    pub members: Vec<Member>,
    #[serde(skip)]
    index: FxHashMap<(u32, u32), u32>,
}

impl DetectorState {
    pub fn find(&self, partition: u32, by: u32) -> Option<u32> {
        self.index.get(&(partition, by)).copied()
    }

    pub fn add(
        &mut self,
        detector: &Detector,
        span: i64,
        partition: u32,
        by: u32,
        bucket: i64,
    ) -> u32 {
        let number = self.members.len() as u32;
        let series = Series::new(span, detector.function.link());
        self.members.push(Member {
            partition,
            by,
            last_record: bucket,
            series,
        });
        self.index.insert((partition, by), number);
        number
    }

    /// Feeds the values of a finished bucket to their series, and calls `see` with what each series made of its own:
    /// in the order of the series, whatever the order of the records was.
    pub fn close(
        &mut self,
        detector: &Detector,
        gathered: &mut Gathered,
        bucket: i64,
        mut see: impl FnMut(usize, &Member, f64, f64, Finding),
    ) -> usize {
        let function = detector.function;
        let mut judge = |number: usize, member: &mut Member, found: Accumulator| {
            if found.count > 0.0 {
                member.last_record = bucket;
            }
            let value = found
                .value(function.metric())
                .or_else(|| function.zeros().then_some(0.0));
            let Some(value) = value else { return 0 };
            let finding = member.series.follow(bucket, value, function.side());
            let probability = member.series.after_peak(finding.probability);
            see(number, member, value, probability, finding);
            1
        };
        let mut judged = 0;
        if function.zeros() {
            for (number, member) in self.members.iter_mut().enumerate() {
                judged += judge(number, member, gathered.get(number));
            }
        } else {
            gathered.touched.sort_unstable();
            for &number in &gathered.touched {
                let number = number as usize;
                judged += judge(number, &mut self.members[number], gathered.series[number]);
            }
        }
        judged
    }

    /// Drops the series without a record since `before`; `None` when there were none, else the new place of each.
    pub fn prune(&mut self, before: i64) -> Option<Vec<Option<u32>>> {
        if self
            .members
            .iter()
            .all(|member| member.last_record >= before)
        {
            return None;
        }
        let mut next = 0;
        let places = self.members.iter().map(|member| {
            let stays = member.last_record >= before;
            next += u32::from(stays);
            stays.then(|| next - 1)
        });
        let places = places.collect();
        self.members.retain(|member| member.last_record >= before);
        self.reindex();
        Some(places)
    }

    /// Gives the split values the numbers that they have now.
    pub fn rename(&mut self, new: impl Fn(u32) -> u32) {
        for member in &mut self.members {
            let renamed = |id: u32| if id == NO_SPLIT { id } else { new(id) };
            (member.partition, member.by) = (renamed(member.partition), renamed(member.by));
        }
        self.reindex();
    }

    fn reindex(&mut self) {
        self.index.clear();
        let keys = self
            .members
            .iter()
            .enumerate()
            .map(|(i, m)| ((m.partition, m.by), i as u32));
        self.index.extend(keys);
    }
}

impl<'de> Deserialize<'de> for DetectorState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Stored {
            members: Vec<Member>,
        }
        let mut state = Self {
            members: Stored::deserialize(deserializer)?.members,
            index: FxHashMap::default(),
        };
        state.reindex();
        Ok(state)
    }
}
