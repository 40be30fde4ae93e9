//! Second thoughts about a score over its threshold: whether an earlier anomaly in the same point explains it, whether
//! values were near to what is expected or to what was seen before, and whether it goes on for long. The conditions
//! are those of OpenSearch's forest with automatic adjustment and one alert an anomaly.

use serde::{Deserialize, Serialize};

use super::entity::{Entity, Finding, Judged, Rule, shares};
use super::range::Range;
use super::running::Running;
use super::tree::Scratch;

/// Share of the last anomaly's score that another in the same point has to add.
const REMAINDER: f64 = 0.3;
/// How far what it adds has to be over the threshold, as if the whole point were like it.
const OVER: f64 = 1.2;
/// Share of the trees that explain a value by one which they have seen.
const SUPPORT: f64 = 0.1;
/// Neighbours that are further than this much of the mean distance explain nothing.
const NEAR: f32 = 1.1;
/// Anomalies on end that may be; more like them are the new normal.
const LONG_RUN: u32 = 2;

/// The last anomaly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// Points before it.
    at: u64,
    score: f64,
    /// The point as it should have been, in units.
    expected: Vec<f32>,
}

impl Anomaly {
    pub fn bytes(dimensions: usize) -> usize {
        size_of::<Self>() + dimensions * size_of::<f32>()
    }
}

/// Scores over the threshold on end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    length: u32,
    /// Score and threshold of the last bucket; none before the first.
    last: Option<(f64, f64)>,
    /// Values of the run, and what was expected, a feature.
    actual: Vec<Running>,
    expected: Vec<Running>,
}

impl Run {
    pub fn new(features: usize) -> Self {
        Self {
            length: 0,
            last: None,
            actual: vec![Running::default(); features],
            expected: vec![Running::default(); features],
        }
    }

    pub fn bytes(features: usize) -> usize {
        2 * features * size_of::<Running>()
    }

    /// Whether a score over its threshold is more than the tail of the last one.
    fn is_candidate(&self, score: f64, threshold: f64, shingle: usize) -> bool {
        self.last.is_some_and(|(last, its_threshold)| {
            let length = f64::from(self.length) / (2.0 * shingle.max(10) as f64);
            let discount = threshold.max(its_threshold) * (1.0 + length.max(0.2));
            score > last || last - its_threshold > score - discount
        })
    }
}

impl Entity {
    /// Takes the grade away where there is an explanation; tells what the anomaly is where there is none.
    pub(super) fn correct(
        &self,
        rule: &Rule<'_>,
        finding: &mut Finding,
        judged: &mut Judged,
        scratch: &mut Scratch,
    ) {
        let (features, shingle) = (self.features(), self.shingle());
        let (score, threshold) = (finding.score, finding.threshold);
        judged.candidate = self.run.is_candidate(score, threshold, shingle);
        let gap = self.since_anomaly();
        let point = self.healed(&judged.point, gap);
        let attribution = self.trees.attribution(&point, scratch);
        let entries = attribution.chunks_exact(features);
        let entries = entries.map(|entry| entry.iter().flatten().sum::<f64>());
        let entries: Vec<f64> = entries.collect();
        // Of the entries since the last anomaly the one that counts most, the later of equals.
        let from = shingle - gap.min(shingle);
        let worst = (from..shingle).max_by(|&a, &b| entries[a].total_cmp(&entries[b]));
        let worst = worst.unwrap_or(shingle - 1);
        let start = worst * features;
        let late = shingle - 1 - worst;
        let ranges = |entity: &Self, expected: &[f64]| -> Vec<Range> {
            let each = expected.iter().enumerate();
            each.map(|(feature, &expected)| {
                let unrest = unrest(&judged.point[start..], feature, features);
                Range::of(entity, rule, feature, expected, unrest)
            })
            .collect()
        };
        let values = self.past(&finding.values, late);
        let lies_within = |point: &[f32]| {
            let each = self.scales.iter().zip(&point[start..]);
            let expected: Vec<f64> = each.map(|(scale, &x)| scale.unscaled(x)).collect();
            let ranges = ranges(self, &expected);
            ranges.iter().zip(&values).all(|(range, &x)| range.has(x))
        };
        let mut expected = point.clone();
        self.impute(&mut expected, start, scratch);
        let without = self.trees.score(&expected, scratch);
        if self.is_known(&point, &lies_within, scratch)
            || lies_within(&expected)
            || !self.adds(&attribution, &expected, gap, threshold, scratch)
        {
            finding.grade = 0.0;
            judged.is_explained = true;
        } else {
            judged.corrected = without;
        }
        if judged.candidate && finding.grade > 0.0 {
            let alerted = self.run.length > 0 && gap < shingle;
            if alerted || self.is_new_normal(&judged.point, &expected) {
                finding.grade = 0.0;
                judged.is_explained = true;
            }
        }
        if finding.grade > 0.0 {
            let entry = &attribution[start..][..features];
            finding.attribution = shares(entry.iter().map(|[above, below]| above + below));
            finding.late = late;
            if late > 0 {
                let each = self.scales.iter().zip(&expected[start..]);
                finding.expected = each.map(|(scale, &x)| scale.unscaled(x)).collect();
                finding.past_values = values;
            }
        }
        judged.expected = Some(expected);
    }

    /// Points since the last anomaly.
    fn since_anomaly(&self) -> usize {
        let last = self.anomaly.as_ref();
        last.map_or(usize::MAX, |last| (self.now() - last.at) as usize)
    }

    /// The point with the entries of the last anomaly as they should have been.
    fn healed(&self, point: &[f32], gap: usize) -> Vec<f32> {
        let mut healed = point.to_vec();
        if let Some(last) = &self.anomaly
            && gap < self.shingle()
        {
            let passed = gap * self.features();
            let length = point.len() - passed;
            healed[..length].copy_from_slice(&last.expected[passed..]);
        }
        healed
    }

    /// Whether enough trees have seen a point like it, with a value near to this one.
    fn is_known(
        &self,
        point: &[f32],
        lies_within: &dyn Fn(&[f32]) -> bool,
        scratch: &mut Scratch,
    ) -> bool {
        let known = vec![true; point.len()];
        let near = self.trees.nearest(point, &known, scratch);
        let mean = near.iter().map(|near| near.distance).sum::<f32>() / near.len().max(1) as f32;
        let explains = near.iter().filter(|near| near.distance < NEAR * mean);
        let explains = explains.filter(|&&near| lies_within(self.trees.point(near)));
        explains.count() as f64 >= SUPPORT * self.trees.count() as f64
    }

    /// Whether what came since the last anomaly is odd by itself, where both are in the same point.
    fn adds(
        &self,
        attribution: &[[f64; 2]],
        expected: &[f32],
        gap: usize,
        threshold: f64,
        scratch: &mut Scratch,
    ) -> bool {
        let (Some(last), true) = (&self.anomaly, gap < self.shingle()) else {
            return true;
        };
        let ideal = self.trees.attribution(expected, scratch);
        let new = gap * self.features();
        let from = attribution.len() - new;
        let each = attribution[from..].iter().zip(&ideal[from..]);
        let adds: f64 = each
            .map(|(a, b)| (a[0] - b[0]).abs() + (a[1] - b[1]).abs())
            .sum();
        adds > REMAINDER * last.score
            && adds * attribution.len() as f64 / new.max(1) as f64 > OVER * threshold
    }

    /// Whether a long run of anomalies keeps to values of its own.
    fn is_new_normal(&self, point: &[f32], expected: &[f32]) -> bool {
        if self.run.length <= LONG_RUN {
            return false;
        }
        let last = point.len() - self.features();
        (0..self.features()).all(|feature| {
            let (actual, of_expected) = (self.run.actual[feature], self.run.expected[feature]);
            let scale = &self.scales[feature];
            let away = |of: Running, x: f32| (of.mean() - f64::from(x)).abs();
            let spread = actual.deviation();
            let apart = 0.1 * (actual.mean() - of_expected.mean()).abs();
            away(actual, point[last + feature]) < (2.0 * spread).max(scale.noise() / scale.unit())
                && away(of_expected, expected[last + feature])
                    < 2.0 * spread.max(of_expected.deviation()) + apart
        })
    }

    /// Keeps what later buckets have to know of this one.
    pub(super) fn follow(&mut self, finding: &Finding, judged: Judged, decay: f64) {
        let last = judged.point.len() - self.features();
        if judged.candidate {
            for feature in 0..self.features() {
                self.run.actual[feature].add(judged.point[last + feature].into(), decay);
                if let Some(expected) = &judged.expected {
                    self.run.expected[feature].add(expected[last + feature].into(), decay);
                }
            }
        }
        let is_anomaly = finding.grade > 0.0 && !finding.imputed.contains(&true);
        if is_anomaly {
            self.run.length += 1;
            let expected = judged.expected.unwrap_or(judged.point);
            let at = self.now();
            self.anomaly = Some(Box::new(Anomaly {
                at,
                score: finding.score,
                expected,
            }));
        } else if !judged.is_explained {
            self.run.length = 0;
            self.run.actual.fill(Running::default());
            self.run.expected.fill(Running::default());
        } else if self.run.length > 0 {
            self.run.length += 1;
        }
        self.run.last = Some((finding.score, finding.threshold));
    }
}

/// The mean of how a feature moves from entry to entry.
fn unrest(entries: &[f32], feature: usize, features: usize) -> f64 {
    let moves = entries.len() / features - 1;
    let values = || entries.iter().skip(feature).step_by(features);
    let each = values().zip(values().skip(1));
    let sum: f32 = each.map(|(a, b)| (a - b).abs()).sum();
    f64::from(sum) / moves.max(1) as f64
}
