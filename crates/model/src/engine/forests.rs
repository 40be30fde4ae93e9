//! Random cut forests as the engine: one for each entity, whose features are the detectors.

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::config::AnalysisConfig;
use crate::detector::{Closed, Closing, Judged, Key, LaneState, NO_SPLIT, Point, taken_on};
use crate::forest::{
    Beside, Entity, EntityField, Finding, ForestConfig, ForestResult, Rule, Scratch,
};
use crate::gather::Gathered;
use crate::intern::Interner;
use crate::normalise::BUCKET_TIME;
use crate::results::BucketResults;
use crate::score::probability_of;
use crate::series::Side;
use crate::workers::Part;

/// Entities from which the work of a bucket is shared.
const MANY: usize = 16;
/// Share of an anomaly from which a feature has a record of its own.
const LEAST_SHARE: f64 = 0.1;

/// The forests of a job, in the order of the lanes' slots.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Forests {
    config: ForestConfig,
    features: usize,
    entities: Vec<Entity>,
    #[serde(skip)]
    scratch: Scratch,
}

/// The bucket at hand.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub analysis: &'a AnalysisConfig,
    pub names: &'a Interner,
    pub states: &'a [LaneState],
    /// Of each lane.
    pub closings: &'a [Closing<'a>],
    pub gathered: &'a [Gathered],
    pub is_interim: bool,
}

/// What forests say of a bucket.
#[derive(Default)]
pub(super) struct Told {
    pub results: Vec<ForestResult>,
    /// What is to be reported of each lane.
    pub closed: Vec<Closed>,
}

impl Forests {
    /// None for a job of another engine.
    pub fn of(analysis: &AnalysisConfig) -> Option<Self> {
        Some(Self {
            config: analysis.forest.clone()?,
            features: analysis.detectors.len(),
            entities: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    /// Reads those of a state, at whose end they stand.
    pub fn restore(bytes: &[u8]) -> Result<Self, postcard::Error> {
        let (mut forests, rest) = postcard::take_from_bytes::<Self>(bytes)?;
        let beside: Vec<Beside> = match rest {
            // As it was once.
            [] => Vec::new(),
            rest => postcard::from_bytes(rest)?,
        };
        let mut beside = beside.into_iter();
        for entity in &mut forests.entities {
            entity.restore(beside.next());
        }
        Ok(forests)
    }

    /// Writes them to the end of a state.
    pub fn save(&self, to: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        let beside: Vec<Beside> = self.entities.iter().map(Entity::beside).collect();
        postcard::to_extend(&beside, postcard::to_extend(self, to)?)
    }

    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Starts the forest of an entity, by its split values.
    pub fn admit(&mut self, splits: [Option<&str>; 3]) {
        // FNV-1a. A byte that no text has parts them.
        let mut seed: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |byte: u8| seed = (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for split in splits {
            eat(if split.is_some() { 0xff } else { 0xfe });
            split.unwrap_or_default().bytes().for_each(&mut eat);
        }
        let entity = Entity::new(&self.config, self.features, seed);
        self.entities.push(entity);
    }

    pub fn retain(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        self.entities.retain(|_| keep.next() == Some(&true));
    }

    /// Judges the values of a bucket, and learns them.
    pub fn close(&mut self, sight: Sight<'_>) -> Told {
        let Self {
            config,
            entities,
            scratch,
            ..
        } = self;
        let workers = sight.closings[0].workers;
        let width = workers.width();
        if width == 1 || entities.len() < MANY {
            return close(config, sight, 0, entities, scratch);
        }
        let size = entities.len().div_ceil(4 * width);
        let shares = entities.chunks_mut(size);
        let mut done: Vec<Told> = Vec::new();
        done.resize_with(shares.len(), Told::default);
        let config = &*config;
        let parts = shares.zip(&mut done).enumerate();
        let parts = parts.map(|(number, (entities, done))| -> Part<'_> {
            Box::new(move || {
                let mut scratch = Scratch::default();
                *done = close(config, sight, number * size, entities, &mut scratch);
            })
        });
        workers.run(parts.collect());
        let mut all = Told::new(sight);
        for told in done {
            all.results.extend(told.results);
            for (all, closed) in all.closed.iter_mut().zip(told.closed) {
                all.told.extend(closed.told);
            }
        }
        all
    }

    /// What would come of a bucket of which the share `complete` has passed; nothing is learnt.
    pub fn peek(&self, sight: Sight<'_>, complete: f64) -> Told {
        let (mut told, mut scratch) = (Told::new(sight), Scratch::default());
        let sides = sides(sight);
        let rule = Rule {
            config: &self.config,
            sides: &sides,
        };
        for (slot, entity) in self.entities.iter().enumerate() {
            let mut values = sight.values(slot);
            // What is missing may still come.
            if values.iter().any(Option::is_none) {
                continue;
            }
            let Some(mut finding) = entity.peek(&rule, &values, &mut scratch) else {
                continue;
            };
            if !finding.expected.is_empty() {
                let each = values.iter_mut().zip(sight.closings);
                for ((value, closing), &expected) in each.zip(&finding.expected) {
                    if closing.lane.metric.adds_up() {
                        *value = value.map(|value| taken_on(value, complete, expected));
                    }
                }
                finding = entity.peek(&rule, &values, &mut scratch).unwrap_or(finding);
            }
            let key = sight.states[0].slot(slot).0;
            let (skipped, _) = sight.verdict(key, &mut finding);
            told.take(sight, slot, key, finding, &skipped);
        }
        told
    }
}

/// The job's scratch is no part of what it has learnt.
impl PartialEq for Forests {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config && self.entities == other.entities
    }
}

/// Judges and learns the values of some entities, of which the first slot is `first`.
fn close(
    config: &ForestConfig,
    sight: Sight<'_>,
    first: usize,
    entities: &mut [Entity],
    scratch: &mut Scratch,
) -> Told {
    let mut told = Told::new(sight);
    let sides = sides(sight);
    let rule = Rule {
        config,
        sides: &sides,
    };
    for (slot, entity) in entities.iter_mut().enumerate() {
        let slot = first + slot;
        let key = sight.states[0].slot(slot).0;
        let mut skipped = Vec::new();
        let rules = |finding: &mut Finding| {
            let (skips, learns) = sight.verdict(key, finding);
            skipped = skips;
            learns
        };
        let values = sight.values(slot);
        if let Some(finding) = entity.observe(&rule, &values, rules, scratch) {
            told.take(sight, slot, key, finding, &skipped);
        }
    }
    told
}

/// For each feature whether values below, and above, what is expected can be anomalies.
fn sides(sight: Sight<'_>) -> Vec<[bool; 2]> {
    let each = sight.closings.iter();
    each.map(|closing| match closing.lane.side {
        Side::Both => [true, true],
        Side::High => [false, true],
        Side::Low => [true, false],
    })
    .collect()
}

impl Sight<'_> {
    /// The values of an entity in the bucket, as far as it has them.
    fn values(&self, slot: usize) -> Vec<Option<f64>> {
        let each = self.closings.iter().zip(self.gathered);
        each.map(|(closing, gathered)| {
            let lane = closing.lane;
            let found = gathered.get(slot);
            let none = lane.zeros.then_some(0.0);
            match found.count > 0.0 {
                true => found.value(lane.metric).or(none),
                false => none,
            }
        })
        .collect()
    }

    /// Asks the rules: which features they leave out, and whether the values may be learnt. Without any feature of
    /// its own an anomaly is none.
    fn verdict(&self, key: Key, finding: &mut Finding) -> (Vec<bool>, bool) {
        let mut learns = true;
        let mut skipped = Vec::new();
        for (feature, closing) in self.closings.iter().enumerate() {
            let actual = finding.values[feature];
            let typical = finding.expected.get(feature).copied().unwrap_or(actual);
            let said = closing.verdict(key, &Point::One(actual), &Point::One(typical));
            learns &= !said.skip_update;
            skipped.push(said.skip_result);
        }
        let told = skipped.iter().zip(&finding.attribution);
        let told: f64 = told
            .filter(|(skips, _)| !**skips)
            .map(|(_, share)| share)
            .sum();
        if finding.grade > 0.0 && told < LEAST_SHARE {
            finding.grade = 0.0;
            finding.attribution.clear();
            finding.late = 0;
            finding.past_values.clear();
        }
        (skipped, learns)
    }

    fn entity(&self, key: Key) -> Vec<EntityField> {
        let detector = &self.analysis.detectors[0];
        let fields = [
            (&detector.partition_field_name, key.partition),
            (&detector.by_field_name, key.by),
        ];
        let named = fields.into_iter().filter_map(|(field, id)| {
            let name = field.clone().filter(|_| id != NO_SPLIT)?;
            Some(EntityField {
                name,
                value: self.names.name(id).to_owned(),
            })
        });
        named.collect()
    }
}

impl Told {
    fn new(sight: Sight<'_>) -> Self {
        let each = sight.closings.iter().enumerate();
        Self {
            results: Vec::new(),
            // A grade is no probability: it isn't set against how many others there are.
            closed: each
                .map(|(lane, _)| Closed {
                    judged: usize::from(lane == 0),
                    ..Closed::default()
                })
                .collect(),
        }
    }

    /// Takes what an entity's values came to: its result, and what is reported of its features.
    fn take(
        &mut self,
        sight: Sight<'_>,
        slot: usize,
        key: Key,
        finding: Finding,
        skipped: &[bool],
    ) {
        let (start, span) = (sight.closings[0].bucket, sight.analysis.span());
        let is_anomaly = finding.grade > 0.0;
        let greatest = finding.attribution.iter().copied().fold(0.0, f64::max);
        for (feature, closing) in sight.closings.iter().enumerate() {
            if finding.expected.is_empty() {
                break;
            }
            let share = finding
                .attribution
                .get(feature)
                .copied()
                .unwrap_or_default();
            let is_told =
                is_anomaly && !skipped[feature] && (share >= LEAST_SHARE || share == greatest);
            if !is_told && !closing.plots(key) {
                continue;
            }
            let probability = match is_told {
                true => probability_of(100.0 * finding.grade),
                false => 1.0,
            };
            let actual = match finding.past_values.get(feature) {
                Some(past) if is_told => *past,
                _ => finding.values[feature],
            };
            let bounds = [
                finding.lower[feature],
                finding.expected[feature],
                finding.upper[feature],
            ];
            let found = crate::series::Finding::alone(probability, bounds);
            let judged = Judged::new(slot as u32, key, Point::One(actual), found);
            self.closed[feature].told.push(judged);
        }
        let began = start - finding.late as i64 * span;
        self.results.push(ForestResult {
            timestamp: start * 1_000,
            bucket_span: span,
            is_interim: sight.is_interim,
            entity: sight.entity(key),
            anomaly_score: finding.score,
            anomaly_grade: finding.grade,
            confidence: finding.confidence,
            threshold: finding.threshold,
            values: finding.values,
            imputed: finding.imputed,
            expected: finding.expected,
            lower: finding.lower,
            upper: finding.upper,
            attribution: finding.attribution,
            updates: finding.updates,
            approx_anomaly_start_time: is_anomaly.then_some(began * 1_000),
            past_values: finding.past_values,
        });
    }
}

impl Engine {
    /// Takes other settings for the forests of a job that has them. Those that are of another size begin anew.
    pub fn configure_forests(&mut self, config: ForestConfig) {
        let Some(forests) = &mut self.forests else {
            return;
        };
        if !config.grows_as(&forests.config) {
            let first = &self.state.lanes[0];
            let keys = (0..first.len()).map(|slot| first.slot(slot).0);
            forests.entities.clear();
            forests.config = config.clone();
            for key in keys {
                let name = |id: u32| (id != NO_SPLIT).then(|| self.state.names.name(id));
                forests.admit([name(key.partition), name(key.by), None]);
            }
        }
        forests.config = config.clone();
        let each = Entity::bytes(&config, forests.features);
        self.analysis.forest = Some(config);
        if let Some(LaneState::Features(features)) = self.state.lanes.first_mut() {
            features.weigh(each);
        }
    }
}

/// Puts what forests said among the results of a bucket.
pub(super) fn tell(results: &mut BucketResults, forests: Vec<ForestResult>) {
    results.forests = forests;
    // Scores are grades, which have few digits: by way of their probabilities they have lost some.
    let digits = |score: f64| (score * 1e6).round() / 1e6;
    for record in &mut results.records {
        record.record_score = digits(record.record_score);
        record.initial_record_score = record.record_score;
    }
    // A bucket is as odd as the oddest entity in it.
    let scores = results.records.iter().map(|record| record.record_score);
    let most = scores.fold(0.0, f64::max);
    let bucket = &mut results.bucket;
    let mut whole = bucket.bucket_influencers.iter_mut();
    if let Some(of) = whole.find(|of| of.influencer_field_name == BUCKET_TIME) {
        (of.anomaly_score, of.initial_anomaly_score) = (most, most);
    }
    (bucket.anomaly_score, bucket.initial_anomaly_score) = (most, most);
}
