//! A job that another has taken the place of, which its custom settings say.

use super::Job;

/// The setting: the id of the other job.
pub const REPLACED_BY: &str = "replaced_by";

impl Job {
    /// The job that has taken its place. What this one found stays for as long as if that one had found it.
    pub fn replaced_by(&self) -> Option<&str> {
        self.custom_settings.as_ref()?.get(REPLACED_BY)?.as_str()
    }
}
