//! The rule against another statement of it, over random histories.

use proptest::prelude::*;

use super::*;
use crate::live::Live;

fn snapshot(number: usize, timestamp: i64, retain: bool) -> ModelSnapshot {
    let mut snapshot = ModelSnapshot::new("j", &[], "job close", &Live::default(), timestamp);
    snapshot.snapshot_id = format!("s{number}");
    snapshot.retain = retain;
    snapshot
}

fn history(times: &[(i64, bool)]) -> Vec<ModelSnapshot> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let numbered = times.iter().enumerate();
    numbered
        .map(|(n, (time, retain))| snapshot(n, *time, *retain))
        .collect()
}

/// The ids that go.
fn gone(snapshots: &[ModelSnapshot], active: Option<&str>, terms: Terms) -> Vec<String> {
    let verdicts = judge(snapshots, active, terms).into_iter();
    verdicts
        .filter(|v| !v.kept)
        .map(|v| v.snapshot_id)
        .collect()
}

/// The rule in other words, for one snapshot: it goes when it has no privilege, is older than the days of which all stay,
/// and is before the retention's end or in a day, counted from there, that an unprivileged one before it is in as well.
fn plainly_goes(all: &[ModelSnapshot], which: usize, active: Option<&str>, terms: Terms) -> bool {
    let (Some(active), Some(newest)) = (active, all.last()) else {
        return false;
    };
    let common = |s: &ModelSnapshot| s.snapshot_id != active && !s.retain;
    let Some(whole) =
        (terms.daily_model_snapshot_retention_after_days).or(terms.model_snapshot_retention_days)
    else {
        return false;
    };
    let (one, time) = (&all[which], all[which].timestamp);
    if !common(one) || time >= newest.timestamp - whole * DAY {
        return false;
    }
    let end = (terms.model_snapshot_retention_days).map_or(0, |days| newest.timestamp - days * DAY);
    let day = |time: i64| (time - end).div_euclid(DAY);
    let mut earlier = all[..which]
        .iter()
        .filter(|s| common(s) && s.timestamp >= end);
    time < end || earlier.any(|other| day(other.timestamp) == day(time))
}

fn terms() -> impl Strategy<Value = Terms> {
    let days = || prop_oneof![1 => Just(None), 6 => (0..12i64).prop_map(Some)];
    (days(), days()).prop_map(|(retention, daily)| Terms {
        model_snapshot_retention_days: retention,
        daily_model_snapshot_retention_after_days: daily,
    })
}

/// Histories of up to fifteen days, some with times close to each other or alike; about one in eight is retained.
fn times() -> impl Strategy<Value = Vec<(i64, bool)>> {
    let time = prop_oneof![
        (0..15 * 24i64).prop_map(|hour| hour * 3_600_000),
        0..15 * DAY,
        (0..60i64).prop_map(|quarter| quarter * DAY / 4 - 1),
    ];
    prop::collection::vec((time, prop::bool::weighted(0.125)), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rule_is_the_plain_one(times in times(), active in 0..45usize, terms in terms()) {
        let snapshots = history(&times);
        let active = (active < 44).then(|| format!("s{active}"));
        let expected: Vec<String> = (0..snapshots.len())
            .filter(|which| plainly_goes(&snapshots, *which, active.as_deref(), terms))
            .map(|which| snapshots[which].snapshot_id.clone())
            .collect();
        prop_assert_eq!(gone(&snapshots, active.as_deref(), terms), expected);
    }

    #[test]
    fn what_stays_stays_until_a_newer_one(times in times(), active in 0..40usize, terms in terms()) {
        let snapshots = history(&times);
        let active = format!("s{active}");
        let going = gone(&snapshots, Some(&active), terms);
        let left: Vec<_> = snapshots.iter().filter(|s| !going.contains(&s.snapshot_id)).cloned().collect();
        prop_assume!(left.last().map(|s| s.timestamp) == snapshots.last().map(|s| s.timestamp));
        prop_assert_eq!(gone(&left, Some(&active), terms), Vec::<String>::new());
    }

    /// The moment that is told is the first: a millisecond before it the snapshot stays, then it goes.
    #[test]
    fn the_moment_told_is_the_first(
        times in times(), active in 0..40usize, terms in terms(), probe in 1..30 * DAY
    ) {
        let snapshots = history(&times);
        let active = format!("s{active}");
        let newest = snapshots.last().map_or(0, |s| s.timestamp);
        let goes_with = |id: &str, time: i64| {
            let mut more = snapshots.clone();
            more.push(snapshot(1_000, time, false));
            gone(&more, Some(&active), terms).iter().any(|gone| gone == id)
        };
        for verdict in judge(&snapshots, Some(&active), terms) {
            if !matches!(verdict.reason, Why::Recent | Why::FirstOfDay) {
                prop_assert_eq!(verdict.kept_until_newest_snapshot_at, None);
                continue;
            }
            let id = &verdict.snapshot_id;
            match verdict.kept_until_newest_snapshot_at {
                Some(until) => {
                    prop_assert!(until > newest);
                    prop_assert!(goes_with(id, until), "{:?} at {}", verdict, until);
                    if until - 1 > newest {
                        prop_assert!(!goes_with(id, until - 1), "{:?}", verdict);
                        let between = newest + 1 + probe % (until - 1 - newest);
                        prop_assert!(!goes_with(id, between), "{:?} at {}", verdict, between);
                    }
                }
                None => prop_assert!(!goes_with(id, newest + probe), "{:?}", verdict),
            }
        }
    }
}

#[test]
fn old_snapshots_thin_out_to_one_a_day_and_go() {
    // Two a day for six days; the newest at the end of day 6.
    let times: Vec<(i64, bool)> = (1..=12).map(|half| (half * DAY / 2, half == 2)).collect();
    let snapshots = history(&times);
    let terms = |retention, daily| Terms {
        model_snapshot_retention_days: Some(retention),
        daily_model_snapshot_retention_after_days: daily,
    };
    let gone = |active, terms| gone(&snapshots, active, terms);
    assert!(
        gone(None, terms(4, Some(2))).is_empty(),
        "nothing goes without an active one"
    );
    // The newest is s11: all from s7 stay, from s3 on one a day, before that none but the active and the retained.
    assert_eq!(gone(Some("s0"), terms(4, Some(2))), ["s2", "s4", "s6"]);
    assert_eq!(
        gone(Some("s0"), terms(4, None)),
        ["s2"],
        "without days of one, all of the retention stays"
    );
    // The active one and the retained one are no day's first.
    assert_eq!(gone(Some("s3"), terms(4, Some(2))), ["s0", "s2", "s6"]);
    assert_eq!(gone(Some("s11"), terms(0, Some(0))).len(), 10);
    assert!(gone(Some("s0"), terms(i64::MAX, Some(i64::MAX))).is_empty());
}
