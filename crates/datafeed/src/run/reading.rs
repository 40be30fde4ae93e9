//! Since when a job has all that its source has: from there on it can be sent again.

use serde::{Deserialize, Serialize};
use tidewatch_jobs::JobError;

use super::life::Life;

/// Kept in the store, and taken over from run to run as long as there is no gap between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reading {
    /// Epoch milliseconds.
    pub since: i64,
    /// The job had seen nothing then.
    pub from_empty: bool,
    /// The run that this was decided for, see [`Plan::started_at`](super::Plan::started_at).
    pub run: i64,
}

impl Reading {
    /// `next` is where the job is, `before` what was known so far.
    fn decide(
        before: Option<Self>,
        next: Option<i64>,
        start: i64,
        bucket_span: i64,
        run: i64,
    ) -> Self {
        let is_empty = next.is_none();
        let goes_on = before.filter(|before| next.is_some_and(|next| before.since <= next));
        match (goes_on, next) {
            // This very run, after a restart: it may be where it was taken back to.
            (Some(before), _) if before.run == run => before,
            (_, Some(next)) if next < start => Self {
                since: (start + bucket_span - 1).div_euclid(bucket_span) * bucket_span,
                from_empty: false,
                run,
            },
            (Some(before), _) => Self { run, ..before },
            (None, next) => Self {
                since: next.unwrap_or(start),
                from_empty: is_empty,
                run,
            },
        }
    }
}

impl Life {
    /// Decides it for this run, and whether that is new. It is kept before anything is done by it.
    pub(super) async fn decide(&self, next: Option<i64>) -> Result<(Reading, bool), JobError> {
        let (store, plan) = (self.jobs.store(), &self.plan);
        let kept = store.datafeed_reading(&plan.datafeed_id).await?;
        let before = kept.and_then(|kept| serde_json::from_str::<Reading>(&kept).ok());
        let reading = Reading::decide(before, next, plan.start, plan.bucket_span, plan.started_at);
        let is_new = before.is_none_or(|before| before.since != reading.since);
        if before != Some(reading) {
            let kept = tidewatch_jobs::json(&reading);
            store
                .save_datafeed_reading(&plan.datafeed_id, &kept)
                .await?;
        }
        Ok((reading, is_new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_without_a_gap_are_one_reading() {
        let decide = |before, next, start, run| Reading::decide(before, next, start, 100, run);
        let reading = |since, from_empty, run| Reading {
            since,
            from_empty,
            run,
        };
        let first = decide(None, None, 50, 1);
        assert_eq!(first, reading(50, true, 1));
        // It goes on, from where the job is.
        assert_eq!(decide(Some(first), Some(777), 60, 2), reading(50, true, 2));
        // It begins later: what was between is never seen, from the next bucket on all is.
        let later = decide(Some(first), Some(777), 810, 3);
        assert_eq!(later, reading(900, false, 3));
        // After a restart it is the same, wherever the job was taken back to.
        assert_eq!(decide(Some(later), Some(777), 810, 3), later);
        assert_eq!(decide(Some(later), Some(900), 810, 3), later);
        assert_eq!(decide(Some(first), None, 50, 1), first);
        assert_eq!(decide(Some(first), Some(55), 60, 1), first);
        // The job was emptied, or taken back to before, by someone.
        assert_eq!(decide(Some(later), None, 810, 4), reading(810, true, 4));
        assert_eq!(decide(Some(later), Some(500), 0, 4), reading(500, false, 4));
    }
}
