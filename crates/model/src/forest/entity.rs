//! The forest of one entity, from the values of a bucket to a grade.

use serde::{Deserialize, Serialize};

use super::band::{Reach, band};
use super::config::{ForestConfig, Method};
use super::correct::{Anomaly, Run};
use super::gaps::Gaps;
use super::running::Running;
use super::scale::Scale;
use super::threshold::Threshold;
use super::tree::Scratch;
use super::trees::Trees;

/// Values by which units are found before anything is scored.
const FIRST: usize = 10;
/// Share of a point that may be filled in for it to be learnt.
const MOST_IMPUTED: f64 = 0.5;
/// From here on a confidence is what the data's quality is.
const LONG: f64 = 20.0;

/// What a job knows of the values that its entities may have.
pub struct Rule<'a> {
    pub config: &'a ForestConfig,
    /// For each feature whether values below, and above, what is expected can be anomalies.
    pub sides: &'a [[bool; 2]],
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    pub(super) trees: Trees,
    pub(super) scales: Vec<Scale>,
    pub(super) threshold: Threshold,
    /// Of the values, the share that was there.
    quality: Running,
    /// Buckets seen.
    updates: u64,
    /// Values of the first buckets, until units are known.
    first: Vec<f64>,
    /// The latest values, the newest last: as many buckets as a point has.
    recent: Vec<f64>,
    /// Which of the latest buckets were filled in.
    imputed: Gaps,
    pub(super) anomaly: Option<Box<Anomaly>>,
    pub(super) run: Run,
    /// How far from its forecasts each feature was.
    #[serde(skip)]
    reaches: Vec<Reach>,
}

/// What is saved beside an entity, since states of before don't have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Beside {
    older_gaps: Vec<u128>,
    reaches: Vec<Reach>,
}

/// What a bucket's values come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    pub score: f64,
    pub grade: f64,
    pub confidence: f64,
    pub threshold: f64,
    pub values: Vec<f64>,
    pub imputed: Vec<bool>,
    pub expected: Vec<f64>,
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    pub attribution: Vec<f64>,
    pub updates: u64,
    /// Buckets ago that the anomaly began.
    pub late: usize,
    /// Of the bucket in which it began, if it is an earlier one.
    pub past_values: Vec<f64>,
}

/// What judging found out, for learning.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    /// In units.
    pub point: Vec<f32>,
    /// Of the values, before they were known.
    pub forecast: Vec<f64>,
    /// The score without what is odd.
    pub corrected: f64,
    /// The point as it should have been, if there is a grade.
    pub expected: Option<Vec<f32>>,
    /// Score and threshold were far over what they should be, whether or not it was told.
    pub candidate: bool,
    /// Why there is no grade where a score was over the threshold.
    pub is_explained: bool,
}

impl Entity {
    pub fn new(config: &ForestConfig, features: usize, seed: u64) -> Self {
        Self {
            trees: Trees::new(config, features, seed),
            scales: vec![Scale::default(); features],
            threshold: Threshold::default(),
            quality: Running::default(),
            updates: 0,
            first: Vec::new(),
            recent: vec![0.0; usize::from(config.shingle_size) * features],
            imputed: Gaps::new(config.shingle_size.into()),
            anomaly: None,
            run: Run::new(features),
            reaches: vec![Reach::default(); features],
        }
    }

    /// Bytes of an entity, which it has from the start.
    pub fn bytes(config: &ForestConfig, features: usize) -> u64 {
        let dimensions = usize::from(config.shingle_size) * features;
        let beside = features
            * (size_of::<Scale>() + FIRST * size_of::<f64>() + size_of::<Reach>())
            + Gaps::bytes(config.shingle_size.into())
            + dimensions * size_of::<f64>()
            + Anomaly::bytes(dimensions)
            + Run::bytes(features);
        (size_of::<Self>() + Trees::bytes(config, features) + beside) as u64
    }

    /// What is saved beside it.
    pub fn beside(&self) -> Beside {
        Beside {
            older_gaps: self.imputed.older().to_vec(),
            reaches: self.reaches.clone(),
        }
    }

    /// After it was read from a state: finds what isn't part of that. `beside`: none in states of before.
    pub fn restore(&mut self, beside: Option<Beside>) {
        self.trees.restore();
        let (older, mut reaches) = beside.map_or_else(Default::default, |beside| {
            (beside.older_gaps, beside.reaches)
        });
        reaches.resize(self.features(), Reach::default());
        self.reaches = reaches;
        let shingle = self.shingle();
        self.imputed.restore(older, shingle);
    }

    pub fn updates(&self) -> u64 {
        self.updates
    }

    pub(super) fn features(&self) -> usize {
        self.scales.len()
    }

    pub(super) fn shingle(&self) -> usize {
        self.trees.dimensions() / self.features()
    }

    /// Buckets that have points.
    pub(super) fn now(&self) -> u64 {
        self.trees.added()
    }

    /// Whether the next bucket gets a score.
    fn is_ready(&self, config: &ForestConfig) -> bool {
        let least = u64::from(config.output_after.max(config.shingle_size.into()));
        self.updates >= least && self.trees.added() >= self.shingle() as u64
    }

    /// What the values of a bucket come to. None: some are missing, and nothing stands in for them.
    pub fn peek(
        &self,
        rule: &Rule<'_>,
        values: &[Option<f64>],
        scratch: &mut Scratch,
    ) -> Option<Finding> {
        self.judge(rule, values, scratch)
            .map(|(finding, _)| finding)
    }

    /// Same, and learns them if `said` wants to: it may change what was found before.
    pub fn observe(
        &mut self,
        rule: &Rule<'_>,
        values: &[Option<f64>],
        mut said: impl FnMut(&mut Finding) -> bool,
        scratch: &mut Scratch,
    ) -> Option<Finding> {
        let (mut finding, judged) = self.judge(rule, values, scratch)?;
        if said(&mut finding) {
            self.learn(rule.config, &finding, judged, scratch);
        }
        Some(finding)
    }

    fn judge(
        &self,
        rule: &Rule<'_>,
        values: &[Option<f64>],
        scratch: &mut Scratch,
    ) -> Option<(Finding, Judged)> {
        let config = rule.config;
        let is_ready = self.is_ready(config);
        let forecast = if is_ready {
            self.forecast(scratch)
        } else {
            Vec::new()
        };
        let imputed: Vec<bool> = values.iter().map(Option::is_none).collect();
        let values = self.filled(config, values, &forecast)?;
        let mut finding = Finding {
            values,
            imputed,
            updates: self.updates + 1,
            ..Finding::default()
        };
        let mut judged = Judged::default();
        if !is_ready {
            return Some((finding, judged));
        }
        judged.point = self.point(&finding.values);
        finding.confidence = self.confidence(config);
        finding.score = self.trees.score(&judged.point, scratch);
        let is_split = self.shingle() > 1;
        let (threshold, grade) = self.threshold.grade(finding.score, is_split);
        (finding.threshold, finding.grade) = (threshold, grade);
        judged.corrected = finding.score;
        for (feature, &expected) in forecast.iter().enumerate() {
            let (scale, reach) = (&self.scales[feature], self.reaches[feature]);
            let near = config.near_expected(feature);
            let (lower, upper) = band(scale, reach, near, expected);
            finding.expected.push(expected);
            finding.lower.push(lower);
            finding.upper.push(upper);
        }
        judged.forecast = forecast;
        if finding.imputed.contains(&true) {
            finding.grade = 0.0;
            if config.imputation.method == Method::Anomaly {
                finding.grade = 1.0;
                finding.attribution =
                    shares(finding.imputed.iter().map(|&is| f64::from(u8::from(is))));
            }
        } else if grade > 0.0 {
            self.correct(rule, &mut finding, &mut judged, scratch);
        }
        Some((finding, judged))
    }

    /// Values with what stands in for those that are missing.
    fn filled(
        &self,
        config: &ForestConfig,
        values: &[Option<f64>],
        forecast: &[f64],
    ) -> Option<Vec<f64>> {
        let of = |(feature, value): (usize, &Option<f64>)| match (value, config.imputation.method) {
            (Some(value), _) => Some(*value),
            (None, Method::None) => None,
            (None, Method::Zero) => Some(0.0),
            (None, Method::Previous) => self.scales[feature].last(),
            (None, Method::Fixed) => config.imputation.values.get(feature).copied(),
            (None, Method::Anomaly) => forecast.get(feature).copied(),
        };
        values.iter().enumerate().map(of).collect()
    }

    /// The point that values make with those before them, in units.
    fn point(&self, values: &[f64]) -> Vec<f32> {
        let mut point = vec![0.0; self.trees.dimensions()];
        self.trees.lead_in(&mut point);
        let last = point.len() - self.features();
        for ((to, scale), &value) in point[last..].iter_mut().zip(&self.scales).zip(values) {
            *to = scale.scaled(value);
        }
        point
    }

    /// What the next values should be, by those before them.
    fn forecast(&self, scratch: &mut Scratch) -> Vec<f64> {
        let mut point = vec![0.0; self.trees.dimensions()];
        self.trees.lead_in(&mut point);
        let last = point.len() - self.features();
        if last > 0 {
            self.impute(&mut point, last, scratch);
        }
        let each = point[last..].iter().zip(&self.scales);
        each.map(|(&scaled, scale)| scale.unscaled(scaled))
            .collect()
    }

    /// Gives the entry of a point that begins at `start` the values that it should have, by the others: medians of the
    /// nearest point of each tree.
    pub(super) fn impute(&self, point: &mut [f32], start: usize, scratch: &mut Scratch) {
        let entry = start..start + self.features();
        let known: Vec<bool> = (0..point.len()).map(|at| !entry.contains(&at)).collect();
        if !known.contains(&true) {
            // Nothing to go by but the level.
            point[entry].fill(0.0);
            return;
        }
        let near = self.trees.nearest(point, &known, scratch);
        for at in entry {
            let each = near.iter().map(|&near| self.trees.point(near)[at]);
            let mut each: Vec<f32> = each.collect();
            if each.is_empty() {
                continue;
            }
            let middle = each.len() / 2;
            point[at] = *each.select_nth_unstable_by(middle, f32::total_cmp).1;
        }
    }

    /// How much of what will be known in the long run is known now.
    fn confidence(&self, config: &ForestConfig) -> f64 {
        let seen = (self.updates + 1) as f64;
        let decay = config.decay();
        let early = seen.min(f64::from(config.output_after));
        let known = if decay * seen >= LONG {
            1.0
        } else if decay > 0.0 {
            ((decay * seen).exp() - (decay * early).exp()) / (decay * seen).exp_m1()
        } else {
            (seen - early) / seen
        };
        (self.quality.mean() * known).clamp(0.0, 1.0)
    }

    /// The values of an entry of the latest points, some buckets ago; 0 is the one at hand.
    pub(super) fn past(&self, values: &[f64], ago: usize) -> Vec<f64> {
        let features = self.features();
        match (self.recent.len() / features).checked_sub(ago) {
            _ if ago == 0 => values.to_vec(),
            Some(entry) => self.recent[entry * features..][..features].to_vec(),
            None => Vec::new(),
        }
    }

    fn learn(
        &mut self,
        config: &ForestConfig,
        finding: &Finding,
        judged: Judged,
        scratch: &mut Scratch,
    ) {
        let (features, decay) = (self.features(), config.decay());
        let missing = finding.imputed.iter().filter(|&&is| is).count();
        self.quality
            .add(1.0 - missing as f64 / features as f64, decay);
        self.updates += 1;
        self.imputed.push(missing > 0);
        self.recent.copy_within(features.., 0);
        let last = self.recent.len() - features;
        self.recent[last..].copy_from_slice(&finding.values);
        self.learn_reaches(finding, &judged.forecast);
        if !judged.point.is_empty() {
            if missing == 0 && finding.score > 0.0 {
                let is_split = self.shingle() > 1;
                self.threshold
                    .learn(finding.score, judged.corrected, is_split, decay);
            }
            self.follow(finding, judged, decay);
        }
        let each = self.scales.iter_mut().zip(&finding.values);
        let each = each.zip(&finding.imputed);
        each.for_each(|((scale, &value), &is_imputed)| scale.learn(value, is_imputed, decay));
        if self.updates <= FIRST as u64 {
            self.first.extend_from_slice(&finding.values);
            if self.updates == FIRST as u64 {
                let first = std::mem::take(&mut self.first);
                first
                    .chunks_exact(features)
                    .for_each(|values| self.add(values, scratch));
            }
        } else {
            self.add(&finding.values, scratch);
        }
    }

    fn learn_reaches(&mut self, finding: &Finding, forecast: &[f64]) {
        for (feature, &expected) in forecast.iter().enumerate() {
            if !finding.imputed[feature] {
                let error = finding.values[feature] - expected;
                let noise = self.scales[feature].noise();
                self.reaches[feature].learn(error, noise);
            }
        }
    }

    fn add(&mut self, values: &[f64], scratch: &mut Scratch) {
        let each = self.scales.iter().zip(values);
        let mut entry = [0.0; 8];
        let entry = &mut entry[..values.len()];
        for (to, (scale, &value)) in entry.iter_mut().zip(each) {
            *to = scale.scaled(value);
        }
        let share = self.imputed.share(self.shingle());
        self.trees.add(entry, share <= MOST_IMPUTED, scratch);
    }
}

/// Shares of what is there, together 1.
pub(super) fn shares(of: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let all: f64 = of.clone().sum();
    let count = of.clone().count() as f64;
    of.map(|one| if all > 0.0 { one / all } else { 1.0 / count })
        .collect()
}
