//! Whose doing a surprise was: the influencer values at work in it, with their shares.

use std::collections::BTreeMap;

use super::{Reporter, Surprise, echo};
use crate::aggregate::joint;
use crate::config::Metric;
use crate::detector::{Closing, Key, LaneState, NO_SPLIT, Point};
use crate::gather::{Accumulator, InfluenceKey, OpenBucket};
use crate::results::{Echoed, Influencer, RecordInfluencer};
use crate::score::score;

/// Least share in a record's surprise that makes a value an influencer of it.
const MIN_INFLUENCE: f64 = 0.4;
/// Values told for one influencer field of one record.
const MAX_VALUES: usize = 10;

/// An influencer value with its share in a surprise, 0 to 1.
pub struct Influence {
    pub field: usize,
    pub value: String,
    pub influence: f64,
}

impl Reporter<'_> {
    /// For each surprise, the influencer values that had a share in it.
    pub(super) fn influences(
        &self,
        bucket: &OpenBucket,
        states: &[LaneState],
    ) -> Vec<Vec<Influence>> {
        if self.surprises.is_empty() || self.analysis.influencers.is_empty() {
            return self.surprises.iter().map(|_| Vec::new()).collect();
        }
        let sorted = |lane: usize| {
            let mut keys: Vec<InfluenceKey> =
                bucket.lanes[lane].influences.keys().copied().collect();
            keys.sort_unstable();
            keys
        };
        let keys: Vec<Vec<InfluenceKey>> = (0..states.len()).map(sorted).collect();
        let of = |surprise: &Surprise| {
            let mut found = Vec::new();
            for (field, name) in self.analysis.influencers.iter().enumerate() {
                if let Some(value) = self.split_value(surprise.lane, surprise.judged.key, name) {
                    found.push(Influence {
                        field,
                        value: value.to_owned(),
                        influence: 1.0,
                    });
                    continue;
                }
                let keys = &keys[surprise.lane];
                let (slot, field) = (surprise.judged.slot, field as u32);
                let from = keys.partition_point(|key| *key < (slot, field, 0));
                let of_field = keys[from..]
                    .iter()
                    .take_while(|key| (key.0, key.1) == (slot, field));
                found.extend(self.shares(surprise, &states[surprise.lane], bucket, of_field));
            }
            found
        };
        self.surprises.iter().map(of).collect()
    }

    /// The share of each value of an influencer field: how much of the surprise goes when its records go.
    fn shares<'k>(
        &self,
        surprise: &Surprise,
        state: &LaneState,
        bucket: &OpenBucket,
        keys: impl Iterator<Item = &'k InfluenceKey> + Clone,
    ) -> Vec<Influence> {
        let closing = self.closing(surprise.lane);
        let gathered = &bucket.lanes[surprise.lane];
        let whole = gathered.get(surprise.judged.slot as usize);
        let alone = keys.clone().nth(1).is_none();
        let mut shares: Vec<Influence> = keys
            .filter_map(|key| {
                let part = &gathered.influences[key];
                let influence = share(surprise, state, &closing, &whole, part, alone);
                (influence >= MIN_INFLUENCE).then(|| Influence {
                    field: key.1 as usize,
                    value: bucket.names.name(key.2).to_owned(),
                    influence,
                })
            })
            .collect();
        shares.sort_by(|a, b| {
            b.influence
                .total_cmp(&a.influence)
                .then_with(|| a.value.cmp(&b.value))
        });
        shares.truncate(MAX_VALUES);
        shares
    }

    /// The value of a field that splits the detector.
    fn split_value(&self, lane: usize, key: Key, field: &str) -> Option<&str> {
        let detector = &self.analysis.detectors[self.lanes[lane].detector];
        let of = |name: &Option<String>, id: u32| {
            (name.as_deref() == Some(field) && id != NO_SPLIT).then(|| self.names.name(id))
        };
        of(&detector.partition_field_name, key.partition)
            .or_else(|| of(&detector.by_field_name, key.by))
            .or_else(|| of(&detector.over_field_name, key.over))
    }

    /// The influencers of a record, and their echo at its top.
    pub(super) fn record_influencers(
        &self,
        influences: &[Influence],
        echoed: &mut Echoed,
    ) -> Vec<RecordInfluencer> {
        let mut influencers: Vec<RecordInfluencer> = Vec::new();
        for influence in influences {
            let name = &self.analysis.influencers[influence.field];
            echoed.add(name, [influence.value.clone()]);
            match influencers
                .last_mut()
                .filter(|last| last.influencer_field_name == *name)
            {
                Some(last) => last.influencer_field_values.push(influence.value.clone()),
                None => influencers.push(RecordInfluencer {
                    influencer_field_name: name.clone(),
                    influencer_field_values: vec![influence.value.clone()],
                }),
            }
        }
        influencers
    }

    /// The influencers of the bucket: what all surprises in which a value had a share come to together.
    pub(super) fn influencers(&self, influences: &[Vec<Influence>]) -> Vec<Influencer> {
        let mut blamed: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
        for (surprise, influences) in self.surprises.iter().zip(influences) {
            for influence in influences {
                blamed
                    .entry((influence.field, &influence.value))
                    .or_default()
                    .push(surprise.judged.probability.powf(influence.influence));
            }
        }
        let among = (self.judged as f64).sqrt().ceil() as usize;
        let result = |((field, value), mut least): ((usize, &str), Vec<f64>)| {
            least.sort_by(f64::total_cmp);
            let probability = joint(&least, among.max(least.len()));
            let influencer_score = score(probability);
            let name = &self.analysis.influencers[field];
            Influencer {
                influencer_field_name: name.clone(),
                influencer_field_value: value.to_owned(),
                influencer_score,
                initial_influencer_score: influencer_score,
                probability,
                bucket_span: self.analysis.span(),
                is_interim: self.is_interim,
                timestamp: self.start * 1_000,
                echoed: echo([(name.as_str(), value)]),
            }
        };
        let mut influencers: Vec<Influencer> = blamed
            .into_iter()
            .map(result)
            .filter(|influencer| influencer.influencer_score > 0.0)
            .collect();
        influencers.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        influencers
    }

    /// The least probabilities of an influencer field's surprises, sorted.
    pub(super) fn of_field(&self, influences: &[Vec<Influence>], field: usize) -> Vec<f64> {
        let mut least: Vec<f64> = self
            .surprises
            .iter()
            .zip(influences)
            .filter_map(|(surprise, of)| {
                let of_field = of.iter().filter(|i| i.field == field);
                let strongest = of_field.map(|i| i.influence).fold(0.0, f64::max);
                (strongest > 0.0).then(|| surprise.judged.probability.powf(strongest))
            })
            .collect();
        least.sort_by(f64::total_cmp);
        least
    }
}

/// The share of a part of a slot's records in its surprise.
fn share(
    surprise: &Surprise,
    state: &LaneState,
    closing: &Closing<'_>,
    whole: &Accumulator,
    part: &Accumulator,
    alone: bool,
) -> f64 {
    let judged = &surprise.judged;
    let metric = closing.lane.metric;
    // What sums can't tell: the share of the events.
    let of_events = part.count / whole.count;
    let (Point::One(actual), Point::One(typical)) = (judged.actual, judged.typical) else {
        return of_events;
    };
    if matches!(
        metric,
        Metric::Median
            | Metric::Information
            | Metric::Presence
            | Metric::TimeOfDay
            | Metric::TimeOfWeek
    ) {
        return of_events;
    }
    let Some(value) = whole.without(part, metric).map(|rest| rest.value(metric)) else {
        // The part holds the extreme.
        return 1.0;
    };
    let judge = |value: f64| {
        let probability = state.again(closing, judged.slot, value);
        probability.map(|p| p.max(1e-300).ln())
    };
    match value {
        None => 1.0,
        Some(_) if alone && actual > typical => 1.0,
        Some(value) => match (judge(actual), judge(value)) {
            (Some(all), Some(rest)) if all < 0.0 => (1.0 - rest / all).clamp(0.0, 1.0),
            (Some(_), Some(_)) => 0.0,
            _ => of_events,
        },
    }
}
