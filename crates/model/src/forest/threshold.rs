//! From scores to grades: how far a score is over what scores were, as OpenSearch's thresholded forest has it.

use serde::{Deserialize, Serialize};

use super::running::Running;

/// Scores before which their deviation says nothing; as many more for it to be trusted in full.
const ENOUGH: u64 = 10;
/// The threshold until then.
const INITIAL: f64 = 1.5;
/// No threshold is below this, where scores are about 1.
const LEAST: f64 = 0.8;
/// Where scores are lower than this in the mean, thresholds are lower in proportion.
const USUAL: f64 = 0.9;
/// Deviations to the threshold, and the least of them.
const FACTOR: (f64, f64) = (3.0, 2.0);
/// Higher scores are learnt as this.
const HIGHEST: f64 = 2.0;
/// How fast differences of scores are forgotten: the expected rate of anomalies.
const RATE: f64 = 0.005;

/// What scores have been like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    scores: Running,
    /// From one score to the next.
    steps: Running,
    /// Of scores below the mean, how far.
    below: Running,
    count: u64,
    last: f64,
}

impl Threshold {
    /// The threshold of now, and the grade of a score: 0 to 1 in steps of 1/16. `overlaps`: points share values.
    pub fn grade(&self, score: f64, overlaps: bool) -> (f64, f64) {
        if self.count < ENOUGH {
            let grade = ((score - LEAST) / LEAST).clamp(0.0, 1.0);
            return (INITIAL, if score < INITIAL { 0.0 } else { steps(grade) });
        }
        let mean = self.scores.mean();
        let lower = (mean / USUAL).min(1.0);
        let factor = (FACTOR.0 * lower).max(FACTOR.1);
        let deviation = (factor - 1.0) * self.lasting(overlaps) + self.scores.deviation();
        let trust = ((self.count - ENOUGH) as f64 / ENOUGH as f64).min(1.0);
        let least = if trust < 1.0 { LEAST } else { LEAST * lower };
        let threshold = least.max(trust * (mean + deviation) + (1.0 - trust) * INITIAL);
        if score < threshold {
            return (threshold, 0.0);
        }
        let over = match deviation > 0.0 {
            true => ((score - threshold) / deviation).min(1.0),
            false => 1.0,
        };
        (threshold, steps(over))
    }

    /// A deviation that few high scores don't raise.
    fn lasting(&self, overlaps: bool) -> f64 {
        let lower = std::f64::consts::SQRT_2 * self.below.deviation();
        let scores = self.scores.deviation();
        if !overlaps {
            return scores.min(lower);
        }
        let steps = self.steps.deviation();
        0.5 * scores.min(steps.max(lower)) + 0.5 * steps
    }

    /// Learns a score, and what it would have been without the anomaly, if there is one.
    pub fn learn(&mut self, score: f64, corrected: f64, overlaps: bool, decay: f64) {
        let known = score.min(HIGHEST);
        let gap = self.scores.mean() - known;
        if gap > 0.0 {
            self.below.add(gap, decay / 2.0);
        }
        self.scores.add(known, decay);
        self.steps.add(corrected - self.last, RATE);
        self.count += 1;
        if overlaps {
            self.last = score;
        }
    }
}

fn steps(over: f64) -> f64 {
    ((over * 20.0).floor() / 16.0).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_above_what_is_usual_get_grades_in_steps() {
        let mut threshold = Threshold::default();
        assert_eq!(threshold.grade(1.49, true), (1.5, 0.0));
        assert_eq!(threshold.grade(1.6, true), (1.5, 1.0));
        for i in 0..500 {
            let score = 0.9 + 0.05 * f64::from(i % 5);
            threshold.learn(score, score, true, 1e-3);
        }
        let (at, none) = threshold.grade(1.1, true);
        assert!(none == 0.0 && (1.2..1.4).contains(&at), "{at}");
        let grades = (0..40).map(|i| threshold.grade(at + 0.01 * f64::from(i), true).1);
        let grades: Vec<f64> = grades.collect();
        assert!(grades.is_sorted() && grades.ends_with(&[1.0]));
        assert!(grades.iter().all(|grade| (grade * 16.0).fract() == 0.0));
    }
}
