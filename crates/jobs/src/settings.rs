//! How many jobs run, and with how much.

use std::time::Duration;

use tidewatch_model::units::Memory;

use crate::clock::Clock;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Jobs that may be open at once.
    pub max_open_jobs: usize,
    /// Memory for the models of all open jobs; each counts with its limit.
    pub node_memory: Memory,
    /// The highest `model_memory_limit` that a job may ask for.
    pub max_model_memory_limit: Option<Memory>,
    /// CPU threads that analyse.
    pub threads: usize,
    /// Journal of a job at which its state is saved and the journal cut.
    pub checkpoint_journal_bytes: u64,
    /// Time between model snapshots of an open job that sets none; up to a third more is added, spread over jobs.
    pub background_persist_interval: Duration,
    /// When results and snapshots past their retention are deleted.
    pub maintenance: cron::Schedule,
    /// What all times of day are told by.
    pub clock: Clock,
}

#[cfg(test)]
impl Settings {
    pub(crate) fn of_tests() -> Self {
        use std::str::FromStr;
        Self {
            max_open_jobs: 10,
            node_memory: Memory::mebibytes(4_000),
            max_model_memory_limit: None,
            threads: 1,
            checkpoint_journal_bytes: 1 << 20,
            background_persist_interval: Duration::from_secs(3_600),
            maintenance: cron::Schedule::from_str("0 30 0 * * *").expect("a schedule"),
            clock: Clock::default(),
        }
    }
}
