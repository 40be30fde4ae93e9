//! Names of jobs, groups and other objects.

use crate::error::{JobError, Result};

/// Whether a text can be the id of a job, group or other object: lower case letters, digits, `_`, `-` and `.`, with
/// a letter or digit at both ends.
pub fn is_valid_id(id: &str) -> bool {
    let inner =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.');
    let outer = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = id.as_bytes();
    bytes.iter().all(|&b| inner(b)) && outer(bytes.first()) && outer(bytes.last())
}

pub(super) fn check_group(group: &str) -> Result<()> {
    match is_valid_id(group) {
        true => Ok(()),
        false => Err(JobError::illegal_argument(format!(
            "Invalid group id '{group}'; must be non-empty string and may contain lowercase alphanumeric (a-z and \
             0-9), hyphens or underscores; must start and end with alphanumeric"
        ))),
    }
}

/// A job and a group may not share a name.
pub fn same_name(job: &str, group: &str) -> JobError {
    JobError::already_exists(format!(
        "job and group names must be unique but job [{job}] and group [{group}] have the same name"
    ))
}
