//! Which model snapshots a job keeps, by Elasticsearch's rule: a function of the snapshots, the active one and the
//! settings, and of nothing else. Time is the newest snapshot's, so a job that stands still loses nothing.
//!
//! Snapshots that are at most some days older than the newest are all kept. Before them, back to the end of the
//! retention, the first one of each day is kept; days are counted from the end of the retention. Older ones go. The
//! active snapshot, and those that are to be retained, stay whatever their age, and count for no day.

use serde::Serialize;

use crate::config::Job;
use crate::snapshots::ModelSnapshot;

/// A day in milliseconds.
pub const DAY: i64 = 86_400_000;

/// The settings that say how long snapshots are kept, in days before the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Terms {
    /// After so many days none is kept; unset: nothing is too old.
    pub model_snapshot_retention_days: Option<i64>,
    /// After so many days one a day is kept; unset: as many as are kept at all.
    pub daily_model_snapshot_retention_after_days: Option<i64>,
}

impl Terms {
    pub fn of(job: &Job) -> Self {
        Self {
            model_snapshot_retention_days: Some(job.model_snapshot_retention_days),
            daily_model_snapshot_retention_after_days: job
                .daily_model_snapshot_retention_after_days,
        }
    }

    /// How long all are kept, in milliseconds; none: for ever.
    fn whole(&self) -> Option<i64> {
        let days = self.daily_model_snapshot_retention_after_days;
        days.or(self.model_snapshot_retention_days).map(millis)
    }

    /// Before this none is kept.
    fn end(&self, newest: i64) -> i64 {
        let days = self.model_snapshot_retention_days.map(millis);
        days.map_or(0, |retention| newest.saturating_sub(retention))
    }
}

fn millis(days: i64) -> i64 {
    days.saturating_mul(DAY)
}

/// Why a snapshot is kept or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The job has no active snapshot: nothing of it goes.
    NoActiveSnapshot,
    /// It is the active one.
    Active,
    /// It was marked to be retained.
    Retained,
    /// It is of the days of which all are kept.
    Recent,
    /// It is the first of a day of which one is kept.
    FirstOfDay,
    /// An older one of the same day is kept.
    NotFirstOfDay,
    /// It is older than the retention.
    PastRetention,
}

impl Why {
    pub fn keeps(self) -> bool {
        !matches!(self, Self::NotFirstOfDay | Self::PastRetention)
    }
}

/// What the rule says of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub snapshot_id: String,
    /// Epoch milliseconds, as the next.
    pub timestamp: i64,
    pub kept: bool,
    pub reason: Why,
    /// The first moment at which a newer snapshot, taken then, would let this one go, the others being as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_until_newest_snapshot_at: Option<i64>,
}

/// The rule's say on each snapshot. They are oldest first.
pub fn judge(snapshots: &[ModelSnapshot], active: Option<&str>, terms: Terms) -> Vec<Verdict> {
    let newest = snapshots.last().map_or(0, |newest| newest.timestamp);
    let end = terms.end(newest);
    let mut keep_from = end;
    let mut before = None;
    let verdict = |snapshot: &ModelSnapshot| {
        let time = snapshot.timestamp;
        let why = if active.is_none() {
            Why::NoActiveSnapshot
        } else if active == Some(&snapshot.snapshot_id) {
            Why::Active
        } else if snapshot.retain {
            Why::Retained
        } else if terms
            .whole()
            .is_none_or(|whole| time >= newest.saturating_sub(whole))
        {
            Why::Recent
        } else if time >= keep_from {
            let days = time.saturating_sub(keep_from) / DAY + 1;
            keep_from = keep_from.saturating_add(millis(days));
            Why::FirstOfDay
        } else if time < end {
            Why::PastRetention
        } else {
            Why::NotFirstOfDay
        };
        let until = match why {
            Why::Recent | Why::FirstOfDay => goes_at(time, before, newest, terms),
            _ => None,
        };
        if !matches!(why, Why::NoActiveSnapshot | Why::Active | Why::Retained) {
            before = Some(time);
        }
        Verdict {
            snapshot_id: snapshot.snapshot_id.clone(),
            timestamp: time,
            kept: why.keeps(),
            reason: why,
            kept_until_newest_snapshot_at: until,
        }
    };
    snapshots.iter().map(verdict).collect()
}

/// The least time of a snapshot newer than `newest` at which one of `time` goes. `before`: the one before it that has no
/// privilege either.
fn goes_at(time: i64, before: Option<i64>, newest: i64, terms: Terms) -> Option<i64> {
    // It is looked at when it is no longer recent.
    let looked_at = time.checked_add(terms.whole()?)?.checked_add(1)?;
    let looked_at = looked_at.max(newest.checked_add(1)?);
    let Some(retention) = terms.model_snapshot_retention_days.map(millis) else {
        // Days are counted from the epoch on, and stand still.
        let day = |time: i64| time.div_euclid(DAY);
        let shares = before.is_some_and(|before| before >= 0 && day(before) == day(time));
        return (shares || time < 0).then_some(looked_at);
    };
    let too_old = time.checked_add(retention)?.checked_add(1)?.max(looked_at);
    let Some(gap) = before.map(|before| time - before).filter(|gap| *gap < DAY) else {
        return Some(too_old);
    };
    // The days move on with the newest one. It goes once it is further into its day than the one before it is away.
    let into_day = (time.checked_add(retention)? - looked_at).rem_euclid(DAY);
    let shares_a_day = match into_day >= gap {
        true => looked_at,
        false => looked_at.checked_add(into_day + 1)?,
    };
    Some(shares_a_day.min(too_old))
}

#[cfg(test)]
mod tests;
