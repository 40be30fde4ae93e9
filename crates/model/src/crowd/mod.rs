//! A population: what its members do in a bucket, each judged against all.
//!
//! All values of the members are modelled together on the scale of one `Link`: a level, a time of day where the data show
//! one, a width, and tails. What moves all members of a bucket at once is taken out (the mean of the middle half of
//! their residuals), so that a busy hour makes no one stand out. A member that is always off the others is known after a
//! few values by an effect of its own (`Known`): it is told while it is new.

mod hours;
mod known;

use serde::{Deserialize, Serialize};

use crate::series::{DAY, Finding, Link, Side, Tail, sides};
use hours::Hours;
use known::{Known, Widths};

/// Residuals are cut at so many widths before they teach.
const TAME: f64 = 3.5;
/// Values and buckets that a population must have shown before members are judged.
const WARM: u32 = 48;
const WARM_BUCKETS: u32 = 6;
/// Values after which the widths' past has faded to 1/e.
const MEMORY: f64 = 2_000.0;
/// Buckets after which the level's past has faded to 1/e.
const LEVEL_MEMORY: f64 = 50.0;
/// A judgement below this hardly enters the tails' history.
const FLAGGED: f64 = 3e-4;
/// Two-sided width of 95 % of a normal law, in mean absolute deviations.
const BOUND: f64 = 2.45;
/// No value is taken for larger.
const LARGEST: f64 = 1e18;
/// Members of a bucket from which it is worth asking what they have in common, and how many more values that say nothing
/// of it are added.
const COMMON: usize = 5;
const COMMON_PRIOR: f64 = 4.0;
/// Values that are kept to choose the link by, and when it is chosen.
const SAMPLE: usize = 192;
const CHOICES: [u32; 3] = [48, 192, 960];
/// The time of day counts when it takes so much off the squared errors of buckets.
const SEASON_GAIN: f32 = 0.8;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crowd {
    link: Link,
    /// Whether the link stays as it was given.
    fixed: bool,
    /// Values and buckets seen.
    seen: u32,
    buckets: u32,
    /// Whether there ever was a value below zero.
    negative: bool,
    level: f64,
    /// None where a bucket is too long for them.
    hours: Option<Hours>,
    /// Mean squared errors of buckets without and with the time of day.
    errors: [f32; 2],
    widths: Widths,
    /// Below and above.
    tails: [Tail; 2],
    /// Judgements below [`FLAGGED`], decayed.
    flags: f32,
    /// By member.
    known: Vec<Known>,
    sample: Vec<f32>,
}

impl Crowd {
    /// A population in buckets of `span` seconds; `link` is where the modelling of values starts.
    pub fn new(span: i64, link: Link) -> Self {
        Self {
            link,
            fixed: false,
            seen: 0,
            buckets: 0,
            negative: false,
            level: 0.0,
            hours: (4 * span <= DAY).then(Hours::default),
            errors: [0.0; 2],
            widths: Widths::default(),
            tails: tails(),
            flags: 0.0,
            known: Vec::new(),
            sample: Vec::with_capacity(SAMPLE),
        }
    }

    /// Same, with a link that stays.
    pub fn with_link(span: i64, link: Link) -> Self {
        Self {
            fixed: true,
            ..Self::new(span, link)
        }
    }

    /// Judges the members present in the bucket at `time`: `values` by member, sorted, each once and at least one.
    pub fn judge(&self, time: i64, values: &[(u32, f64)], side: Side) -> Seen {
        let hour = Hours::at(time);
        let apply = |value: f64| self.link.apply(value.clamp(-LARGEST, LARGEST));
        let mean = if self.seen == 0 {
            let mut all: Vec<f64> = values.iter().map(|&(_, v)| apply(v)).collect();
            middle(&mut all)
        } else {
            self.expected(hour)
        };
        let error = |&(id, value): &(u32, f64)| apply(value) - mean - self.effect(id).0;
        let errors: Vec<f64> = values.iter().map(error).collect();
        let common = if errors.len() < COMMON {
            0.0
        } else {
            let n = errors.len() as f64;
            middle(&mut errors.clone()) * n / (n + COMMON_PRIOR)
        };
        let each = values.iter().zip(&errors);
        let finding = |(&(id, _), &error): (&(u32, f64), &f64)| {
            self.judge_one(id, mean + common, error - common, side)
        };
        Seen {
            findings: each.map(finding).collect(),
            hour,
            mean,
            common,
            errors,
        }
    }

    /// Judges a value of a member without learning it, and without what its bucket may have in common.
    pub fn peek(&self, time: i64, member: u32, value: f64, side: Side) -> Finding {
        let hour = Hours::at(time);
        let mean = self.expected(hour);
        let y = self.link.apply(value.clamp(-LARGEST, LARGEST));
        self.judge_one(member, mean, y - mean - self.effect(member).0, side)
    }

    /// The effect of a member, and its variance (in squared mean absolute deviations).
    fn effect(&self, id: u32) -> (f64, f64) {
        let least = self.link.resolution(self.level);
        let known = self.known.binary_search_by_key(&id, |known| known.id);
        match known {
            Ok(at) => self.widths.effect(Some(&self.known[at]), least),
            Err(_) => self.widths.effect(None, least),
        }
    }

    fn judge_one(&self, id: u32, mean: f64, error: f64, side: Side) -> Finding {
        let (effect, variance) = self.effect(id);
        let least = self.link.resolution(mean);
        let width = (self.widths.within(least).powi(2) + variance).sqrt();
        let z = (error / width).clamp(-1e6, 1e6);
        let mut probability = 1.0;
        if self.seen >= WARM && self.buckets >= WARM_BUCKETS {
            let [below, above] = sides(z);
            let [below, above] = [
                self.tails[0].probability(below),
                self.tails[1].probability(above),
            ];
            probability = match side {
                Side::Low => below,
                Side::High => above,
                Side::Both => (2.0 * below.min(above)).min(1.0),
            };
            let n = f64::from(self.seen);
            // No sample of n can tell of odds much beyond its size.
            probability = probability.max((0.1 / n).powi(2) / n.sqrt());
        }
        let typical = mean + effect;
        let bounds = [-BOUND, 0.0, BOUND];
        let bounds = bounds.map(|widths| self.told(typical + widths * width));
        Finding::alone(probability, bounds)
    }

    /// A modelled value as it is told: on the scale of the data, and not below zero where they never were.
    fn told(&self, y: f64) -> f64 {
        let value = self.link.invert(y);
        if self.negative { value } else { value.max(0.0) }
    }

    fn expected(&self, hour: usize) -> f64 {
        self.level + self.of_day(hour) * f64::from(u8::from(self.daily()))
    }

    fn daily(&self) -> bool {
        self.errors[1] < SEASON_GAIN * self.errors[0]
    }

    /// How much higher than the level this time of day is.
    fn of_day(&self, hour: usize) -> f64 {
        self.hours.as_ref().map_or(0.0, |hours| hours.mean(hour))
    }

    /// Learns a bucket as it was judged.
    pub fn learn(&mut self, values: &[(u32, f64)], seen: &Seen) {
        let Seen {
            ref findings,
            hour,
            mean,
            common,
            ref errors,
        } = *seen;
        if values.is_empty() {
            return;
        }
        if self.seen == 0 {
            self.level = mean;
        }
        let least = self.link.resolution(mean);
        let within = self.widths.within(least);
        let warm = self.seen >= WARM;
        for ((&(id, value), &error), finding) in values.iter().zip(errors).zip(findings) {
            self.negative |= value < 0.0;
            if self.sample.len() < SAMPLE {
                self.sample.push(value.clamp(-LARGEST, LARGEST) as f32);
            } else {
                self.sample[self.seen as usize % SAMPLE] = value.clamp(-LARGEST, LARGEST) as f32;
            }
            let (effect, variance) = self.effect(id);
            let width = (within * within + variance).sqrt();
            let z = (error - common) / width;
            if warm {
                let flagged = finding.probability < FLAGGED;
                let weight = self.weight(flagged);
                // A value on the other side is a value at the bottom of this one.
                for (tail, u) in self.tails.iter_mut().zip(sides(z)) {
                    tail.learn(u, weight);
                }
            }
            let at = match self.known.binary_search_by_key(&id, |known| known.id) {
                Ok(at) => at,
                Err(at) => {
                    self.known.insert(at, Known::new(id));
                    at
                }
            };
            let cut = if warm { TAME * width } else { f64::INFINITY };
            let raw = error + effect - common;
            let known = &mut self.known[at];
            self.widths.learn(known, raw, error - common, cut, MEMORY);
            known.learn(raw, cut);
            self.seen = self.seen.saturating_add(1);
        }
        self.learn_bucket(hour, mean, errors, within);
        let before = self.seen - values.len() as u32;
        if !self.fixed
            && CHOICES
                .iter()
                .any(|&n| (before + 1..=self.seen).contains(&n))
        {
            self.choose_link();
        }
    }

    /// Learns where the bucket was: the level, and the time of day.
    fn learn_bucket(&mut self, hour: usize, mean: f64, errors: &[f64], within: f64) {
        self.buckets = self.buckets.saturating_add(1);
        let n = errors.len() as f64;
        let cut = if self.buckets > WARM_BUCKETS {
            TAME * within
        } else {
            f64::INFINITY
        };
        let place = mean + middle(&mut errors.to_vec()).clamp(-cut, cut);
        let of_day = self.of_day(hour);
        let daily = self.daily();
        let both = [place - self.level, place - self.level - of_day];
        let rate = (1.0 / f64::from(self.buckets)).max(1.0 / LEVEL_MEMORY);
        // A bucket of few members says less.
        let trust = n / (n + 3.0);
        if let Some(hours) = &mut self.hours {
            if hours.seen(hour) > 1 {
                for (mean, error) in self.errors.iter_mut().zip(both) {
                    *mean += (rate * (error * error - f64::from(*mean))) as f32;
                }
            }
            hours.learn(hour, both[0]);
        }
        let rate = if self.buckets == 1 { 0.0 } else { rate * trust };
        self.level += rate * both[usize::from(daily)];
    }

    /// How much a judgement counts in the tails: an anomaly hardly, unless anomalies are what the population is made of.
    fn weight(&mut self, flagged: bool) -> f64 {
        self.flags *= (1.0 - 1.0 / MEMORY) as f32;
        if !flagged {
            return 1.0;
        }
        self.flags += 1.0;
        (0.05 * f64::from(self.flags)).clamp(0.1, 1.0)
    }

    /// Starts over under another link when the values ask for one: the level and the width from the sample, the rest anew.
    fn choose_link(&mut self) {
        let start = if self.sample.len() < SAMPLE {
            0
        } else {
            self.seen as usize % SAMPLE
        };
        let mut ordered = self.sample.clone();
        ordered.rotate_left(start);
        let link = Link::choose(&ordered, self.link);
        if link == self.link {
            return;
        }
        let mut scaled: Vec<f64> = ordered
            .iter()
            .map(|&value| link.apply(f64::from(value)))
            .collect();
        let level = middle(&mut scaled);
        let mut again = Self {
            link,
            level,
            hours: self.hours.as_ref().map(|_| Hours::default()),
            errors: [0.0; 2],
            widths: Widths::of(scaled.iter().map(|y| y - level)),
            tails: tails(),
            flags: 0.0,
            known: std::mem::take(&mut self.known),
            sample: std::mem::take(&mut self.sample),
            ..*self
        };
        again.known.iter_mut().for_each(Known::start_over);
        for y in &scaled {
            let z = (y - level) / again.widths.within(link.resolution(level));
            for (tail, u) in again.tails.iter_mut().zip(sides(z)) {
                tail.learn(u, 1.0);
            }
        }
        *self = again;
    }

    /// Members known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Keeps the members that `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.known.retain(|known| keep(known.id));
    }

    /// Gives members the numbers that they have now.
    pub fn rename(&mut self, mut new: impl FnMut(u32) -> u32) {
        for known in &mut self.known {
            known.id = new(known.id);
        }
        self.known.sort_unstable_by_key(|known| known.id);
    }

    /// Bytes of one without members.
    pub fn newborn_bytes() -> usize {
        size_of::<Self>() + SAMPLE * size_of::<f32>()
    }
}

/// Bytes of one member, the list's spare room in the mean included.
pub const MEMBER_BYTES: usize = size_of::<Known>() * 4 / 3;

impl Seen {
    /// Leaves out the members that are not kept.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut kept = keep.iter();
        self.findings.retain(|_| kept.next() != Some(&false));
        let mut kept = keep.iter();
        self.errors.retain(|_| kept.next() != Some(&false));
    }
}

/// What a bucket came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Of the members in their order.
    pub findings: Vec<Finding>,
    hour: usize,
    /// What was expected of all, and what all were off.
    mean: f64,
    common: f64,
    /// What was left of each value.
    errors: Vec<f64>,
}

/// Tails that expect log-normal sizes, counts and means to be nearly Gaussian on their scale.
fn tails() -> [Tail; 2] {
    [Tail::new(1.8, [-6.0, 0.0, 5.0], 1.0); 2]
}

/// The mean of the middle half. `values` must not be empty; it is sorted.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let out = values.len() / 4;
    let half = &values[out..values.len() - out];
    half.iter().sum::<f64>() / half.len() as f64
}

#[cfg(test)]
mod tests;
