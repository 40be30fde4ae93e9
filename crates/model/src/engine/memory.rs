//! What the models take, and how the limit is kept.

use super::{Engine, INFLUENCE_BYTES, SOFT};
use crate::counts::{MemoryStatus, ModelSize};
use crate::detector::{Member, NO_SPLIT};

impl Engine {
    /// Bytes of the models, against the limit.
    pub fn size(&self) -> ModelSize {
        let by = self.distinct(|member| member.by);
        let partition = self.distinct(|member| member.partition);
        let bytes = self.bytes();
        ModelSize {
            model_bytes: bytes,
            peak_model_bytes: self.state.peak_bytes.max(bytes),
            model_bytes_exceeded: self.state.exceeded_bytes,
            model_bytes_memory_limit: self.state.options.memory_limit,
            total_by_field_count: by,
            total_over_field_count: 0,
            total_partition_field_count: partition,
            bucket_allocation_failures_count: self.state.allocation_failures,
            memory_status: match (self.state.refused, self.state.pruned) {
                (true, _) => MemoryStatus::HardLimit,
                (false, true) => MemoryStatus::SoftLimit,
                (false, false) => MemoryStatus::Ok,
            },
            timestamp: self
                .last_finalized_bucket_end()
                .map(|end| end - self.analysis.span() * 1_000),
        }
    }

    fn distinct(&self, of: impl Fn(&Member) -> u32) -> u64 {
        let members = self
            .state
            .detectors
            .iter()
            .flat_map(|detector| &detector.members);
        let mut ids: Vec<u32> = members.map(of).filter(|&id| id != NO_SPLIT).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len() as u64
    }

    pub(super) fn series_count(&self) -> u64 {
        self.state
            .detectors
            .iter()
            .map(|detector| detector.members.len() as u64)
            .sum()
    }

    /// A series counts in full from its start: what has been let in may grow without a look at the limit.
    pub(super) fn bytes(&self) -> u64 {
        self.series_count() * self.series_bytes
            + self.state.names.bytes() as u64
            + self.state.influences * INFLUENCE_BYTES
    }

    /// Drops the series that have had no record for the prune window, and sooner where memory is short.
    pub(super) fn prune(&mut self, now: i64) {
        let span = self.analysis.span();
        let window = self.state.options.prune_window;
        let short = self.state.options.memory_limit > 0
            && self.bytes() as f64 > SOFT * self.state.options.memory_limit as f64;
        let window = if short {
            (window / 4).max(2 * span)
        } else {
            window
        };
        if now - self.state.last_pruning < (window / 16).max(span) {
            return;
        }
        self.state.last_pruning = now;
        let before = now - window;
        let mut pruned = false;
        for (number, detector) in self.state.detectors.iter_mut().enumerate() {
            // The only series of a detector without splits stays.
            let config = &self.analysis.detectors[number];
            if config.by_field_name.is_none() && config.partition_field_name.is_none() {
                continue;
            }
            if let Some(places) = detector.prune(before) {
                pruned = true;
                self.state
                    .open
                    .iter_mut()
                    .for_each(|bucket| bucket.detectors[number].renumber(&places));
            }
        }
        if pruned {
            self.rebuild_names();
        }
        self.state.pruned = short;
        if !short {
            self.state.refused = false;
        }
    }

    fn rebuild_names(&mut self) {
        let old = std::mem::take(&mut self.state.names);
        let names = &mut self.state.names;
        let mut ids = vec![NO_SPLIT; old.len()];
        for member in self
            .state
            .detectors
            .iter()
            .flat_map(|detector| &detector.members)
        {
            for id in [member.partition, member.by]
                .into_iter()
                .filter(|&id| id != NO_SPLIT)
            {
                // What fitted before fits now.
                ids[id as usize] = names.intern(old.name(id)).unwrap_or(NO_SPLIT);
            }
        }
        self.state
            .detectors
            .iter_mut()
            .for_each(|detector| detector.rename(|id| ids[id as usize]));
    }
}
