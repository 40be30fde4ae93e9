//! Room for open jobs: how many there may be, and how much memory each is counted with.

use std::sync::Arc;

use tidewatch_model::units::Memory;

use crate::entry::{Entry, State};
use crate::manager::Jobs;
use crate::stats::MemoryBasis;

/// Memory that a job takes beside its models.
const JOB_OVERHEAD: u64 = 10 << 20;
/// Memory that is taken once, as soon as there is one open job.
const CODE_OVERHEAD: u64 = 30 << 20;

impl Entry {
    /// Bytes that the job is counted with while it is open.
    pub fn memory(&self) -> u64 {
        let live = self.live.read();
        let models = match live.basis.of {
            MemoryBasis::ModelMemoryLimit => {
                self.job.read().analysis_limits.model_memory_limit.bytes
            }
            MemoryBasis::CurrentModelBytes => live.size.model_bytes,
            MemoryBasis::PeakModelBytes => live.size.peak_model_bytes,
        };
        models + JOB_OVERHEAD
    }

    /// Whether it is counted among the open jobs: one that waits isn't, nor one that has failed.
    fn takes_room(&self) -> bool {
        let status = self.status.read();
        match status.state {
            State::Opened | State::Closing => true,
            State::Opening => status.opened_at.is_some(),
            State::Closed | State::Failed => false,
        }
    }
}

impl Jobs {
    /// Memory that open jobs are counted with, in bytes.
    pub fn memory_in_use(&self) -> u64 {
        let jobs = self.0.jobs.read();
        jobs.values()
            .filter(|entry| entry.takes_room())
            .map(|entry| entry.memory())
            .sum()
    }

    /// Memory that open jobs take together beside that of each, in bytes.
    pub fn code_overhead(&self) -> u64 {
        let jobs = self.0.jobs.read();
        match jobs.values().any(|entry| entry.takes_room()) {
            true => CODE_OVERHEAD,
            false => 0,
        }
    }

    /// Why a job has no room now, if it hasn't.
    pub(crate) fn lack_of_room(&self, entry: &Arc<Entry>) -> Option<String> {
        let cluster = &self.0.cluster;
        let jobs = self.0.jobs.read();
        let (mut open, mut used) = (0, 0);
        for other in jobs
            .values()
            .filter(|other| !Arc::ptr_eq(other, entry) && other.takes_room())
        {
            open += 1;
            used += other.memory();
        }
        let not_opening = format!(
            "Not opening job [{}] on node [{{{}}}]. Reason: ",
            entry.job.read().job_id,
            crate::NODE_NAME
        );
        let most = cluster.max_open_jobs();
        if open >= most {
            return Some(format!(
                "{not_opening}This node is full. Number of opened jobs and allocated native inference processes [{open}], \
                 xpack.ml.max_open_jobs [{most}].",
            ));
        }
        let mut needed = entry.memory();
        match open {
            0 => needed += CODE_OVERHEAD,
            _ => used += CODE_OVERHEAD,
        }
        let all = cluster.node_memory().bytes;
        if used + needed > all {
            let human = |bytes| Memory { bytes };
            return Some(format!(
                "{not_opening}This node has insufficient available memory. Available memory for ML [{all} ({})], memory \
                 required by existing jobs [{used} ({})], estimated memory required for this job [{needed} ({})].",
                human(all),
                human(used),
                human(needed),
            ));
        }
        None
    }
}
