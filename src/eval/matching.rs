//! Which alarms hit a labelled window and which are false, and the figures that follow.

use serde::Serialize;

use super::plan::{DAY, HOUR, START, Window};

/// A model has seen a week before it is judged.
const JUDGED_FROM: i64 = START + 7 * DAY;
/// Alarms this near to a higher one are the same alarm to an operator. Seconds.
pub const CLUSTER: i64 = 4 * HOUR;
/// Buckets after a window's end that still count as finding it: sums over several buckets lag behind.
const LATE: i64 = 2;

/// The scores that decide: of windows whether they are found, of clusters whether they are false alarms.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// The highest score in each window.
    pub windows: Vec<f64>,
    /// The highest score of each cluster of alarms outside windows.
    pub clusters: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    pub threshold: f64,
    pub found: usize,
    pub false_alarms: usize,
    /// None without windows.
    pub recall: Option<f64>,
    /// None without alarms.
    pub precision: Option<f64>,
    /// None without windows.
    pub f1: Option<f64>,
}

impl Judged {
    /// Judges the scores of a series' buckets, of `span` seconds each, by start.
    pub fn new(scores: &[(i64, f64)], windows: &[Window], span: i64) -> Self {
        let mut best = vec![0.0; windows.len()];
        let mut outside = Vec::new();
        for &(time, score) in scores.iter().filter(|(time, _)| *time >= JUDGED_FROM) {
            let mut excused = false;
            for (window, best) in windows.iter().zip(&mut best) {
                if (window.from..=window.to + LATE * span).contains(&time) {
                    *best = score.max(*best);
                }
                excused |= (window.from - span..window.settled).contains(&time);
            }
            if !excused {
                outside.push((time, score));
            }
        }
        Self {
            windows: best,
            clusters: clusters(outside),
        }
    }

    pub fn add(&mut self, more: &Self) {
        self.windows.extend_from_slice(&more.windows);
        self.clusters.extend_from_slice(&more.clusters);
    }

    /// What is found, and what is cried, when scores of `threshold` or more are alarms.
    pub fn at(&self, threshold: f64) -> Figures {
        let reaching = |scores: &[f64]| scores.iter().filter(|&&score| score >= threshold).count();
        let (found, false_alarms) = (reaching(&self.windows), reaching(&self.clusters));
        let share = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
        let all = self.windows.len();
        Figures {
            threshold,
            found,
            false_alarms,
            recall: share(found, all),
            precision: share(found, found + false_alarms),
            f1: share(2 * found, all + found + false_alarms).filter(|_| all > 0),
        }
    }

    /// The figures at the threshold of the best F1; none when nothing is found at any. Between the scores of two
    /// windows a higher threshold only sheds false alarms: the windows' scores are all that need a try.
    pub fn best(&self) -> Option<Figures> {
        let mut thresholds = self.windows.clone();
        thresholds.retain(|&score| score > 0.0);
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        let figures = thresholds.into_iter().map(|threshold| self.at(threshold));
        figures.max_by(|a, b| f64::total_cmp(&a.f1.unwrap_or(0.0), &b.f1.unwrap_or(0.0)))
    }
}

/// The peaks of clusters: a score is a peak unless a higher one is near. For every threshold the peaks that reach it are
/// what clustering the alarms of that threshold alone would give.
pub fn clusters(mut scores: Vec<(i64, f64)>) -> Vec<f64> {
    scores.retain(|(_, score)| *score > 0.0);
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut peaks: Vec<(i64, f64)> = Vec::new();
    for (time, score) in scores {
        if peaks.iter().all(|peak| (peak.0 - time).abs() > CLUSTER) {
            peaks.push((time, score));
        }
    }
    peaks.into_iter().map(|(_, score)| score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: i64 = 900;

    fn at(hours: i64) -> i64 {
        START + 10 * DAY + hours * HOUR
    }

    fn window() -> Window {
        Window::of(at(0), 2 * HOUR)
    }

    fn judged(scores: &[(i64, f64)]) -> Judged {
        Judged::new(scores, &[window()], SPAN)
    }

    #[test]
    fn an_alarm_in_the_window_or_two_buckets_after_finds_it() {
        for time in [at(0), at(1), at(2), at(2) + 2 * SPAN] {
            let judged = judged(&[(time, 80.0)]);
            assert_eq!(judged.windows, [80.0], "{time}");
            assert!(judged.clusters.is_empty(), "{time}");
        }
    }

    #[test]
    fn what_is_near_a_window_neither_finds_it_nor_is_false() {
        for time in [at(0) - SPAN, at(2) + 3 * SPAN, at(8) - SPAN] {
            let judged = judged(&[(time, 80.0)]);
            assert_eq!(judged.windows, [0.0], "{time}");
            assert!(judged.clusters.is_empty(), "{time}");
        }
        for time in [at(0) - 2 * SPAN, at(8)] {
            assert_eq!(judged(&[(time, 80.0)]).clusters, [80.0], "{time}");
        }
    }

    #[test]
    fn false_alarms_within_four_hours_count_once() {
        let together = [(at(20), 30.0), (at(22), 60.0), (at(26), 40.0)];
        assert_eq!(judged(&together).clusters, [60.0]);
        let apart = [(at(20), 30.0), (at(20) + CLUSTER + SPAN, 60.0)];
        assert_eq!(judged(&apart).clusters, [60.0, 30.0]);
    }

    #[test]
    fn the_first_week_is_not_judged() {
        let early = Window::of(START + 6 * DAY, HOUR);
        let scores = [(START + 6 * DAY, 90.0), (START + 3 * DAY, 90.0)];
        let judged = Judged::new(&scores, &[early], SPAN);
        assert_eq!((judged.windows, judged.clusters), (vec![0.0], vec![]));
    }

    #[test]
    fn figures_follow_from_the_counts() {
        let judged = Judged {
            windows: vec![90.0, 60.0, 60.0, 10.0],
            clusters: vec![70.0, 30.0, 20.0],
        };
        let figures = judged.at(50.0);
        assert_eq!((figures.found, figures.false_alarms), (3, 1));
        assert_eq!(figures.recall, Some(0.75));
        assert_eq!(figures.precision, Some(0.75));
        assert_eq!(figures.f1, Some(0.75));
        let best = judged.best().expect("something is found");
        assert_eq!((best.threshold, best.f1), (60.0, Some(0.75)));
    }

    #[test]
    fn without_windows_there_is_no_recall() {
        let judged = Judged {
            windows: vec![],
            clusters: vec![70.0],
        };
        let figures = judged.at(50.0);
        assert_eq!((figures.recall, figures.f1), (None, None));
        assert_eq!(figures.precision, Some(0.0));
        assert_eq!(judged.at(75.0).precision, None);
        assert_eq!(judged.best(), None);
    }
}
