//! The model of one series: a forecast, a scale, and tails that tell how unusual a residual is.
//!
//! A value is modelled on the scale of its [`Link`]. The residual to the forecast, in units of a robust width that may
//! depend on the hour, and its sums over the last few buckets, are each judged by the history of that very statistic
//! ([`Tail`]): a statistic calibrates itself, whatever the residuals' family.

mod link;
mod period;
mod predict;
mod season;
mod shape;
mod tail;

use serde::{Deserialize, Serialize};

pub use link::Link;
use predict::Predictors;
use season::{DAY, Table};
use shape::Shapes;
use tail::Tail;

/// Recent values kept to choose the link and to find periods.
const RECENT: usize = 512;
/// Buckets of the multi-bucket sums; the last is the length of the memory of residuals.
const WINDOWS: [usize; 3] = [1, 4, 12];
/// Residuals are cut at so many widths before they teach; each further surprise on the same side doubles it.
const TAME: f64 = 3.5;
/// Values that a series must have seen before it judges.
const WARM: u32 = 12;
/// Below this a bucket counts as anomalous and hardly enters the tails' history.
const FLAGGED: f64 = 3e-4;
/// Two-sided width of 95 % of a normal law, in mean absolute deviations.
const BOUND: f64 = 2.45;

/// Which deviations matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    Both,
    Low,
    High,
}

/// The judgement of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// Of a value at least as unusual, the windows and sides taken together.
    pub probability: f64,
    /// Of this bucket alone.
    pub single: f64,
    /// Of the sums over several buckets, the least.
    pub multiple: f64,
    pub typical: f64,
    pub lower: f64,
    pub upper: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    span: i64,
    link: Link,
    seen: u32,
    /// Start of the last bucket with a value.
    last: i64,
    predictors: Predictors,
    /// Mean absolute residual, over a short and a long time.
    width: [f32; 2],
    spread: Option<Table>,
    /// Tails of each window's sum, below and above.
    tails: [[Tail; 2]; WINDOWS.len()],
    shapes: Shapes,
    residuals: [f32; WINDOWS[WINDOWS.len() - 1]],
    /// Surprises on end, negative below.
    run: i32,
    /// The recent peak of `-ln p`: what comes after it must pass it to count in full.
    bar: f32,
    recent: Vec<f32>,
    head: usize,
}

impl Series {
    pub fn new(span: i64, link: Link) -> Self {
        Self {
            span,
            link,
            seen: 0,
            last: 0,
            predictors: Predictors::new(span),
            width: [0.0; 2],
            spread: Table::new(DAY, 0, span, 24),
            tails: WINDOWS.map(|window| [Tail::new(if window == 1 { 1.8 } else { 2.2 }); 2]),
            shapes: Shapes::default(),
            residuals: [0.0; 12],
            run: 0,
            bar: 0.0,
            recent: Vec::new(),
            head: 0,
        }
    }

    /// Judges the value of the bucket at `time` and learns it. Times must grow.
    pub fn observe(&mut self, time: i64, value: f64, side: Side) -> Finding {
        let judged = self.judge(time, value, side);
        self.learn(time, value, &judged);
        if [48, 192, 512].contains(&self.seen) {
            self.choose_link();
        }
        if self.seen >= 192 && self.seen.is_multiple_of(RECENT as u32 / 2) {
            self.find_period();
        }
        judged.finding
    }

    /// Judges a value without learning it.
    pub fn peek(&self, time: i64, value: f64, side: Side) -> Finding {
        self.judge(time, value, side).finding
    }

    fn judge(&self, time: i64, value: f64, side: Side) -> Judgement {
        let y = self.link.apply(value);
        let forecast = self.predictors.forecast(time);
        let mean = if self.seen == 0 { y } else { forecast.mean };
        let spread = self.spread_at(time);
        let width = self.base_width(mean) * spread;
        let z = ((y - mean) / width).clamp(-1e6, 1e6);
        let bounds = [mean - BOUND * width, mean + BOUND * width].map(|y| self.link.invert(y));
        let mut finding = Finding {
            probability: 1.0,
            single: 1.0,
            multiple: 1.0,
            typical: self.link.invert(mean),
            lower: bounds[0],
            upper: bounds[1],
        };
        let sums = self.sums(z);
        let shape = self.shapes.distance(&self.residuals, z);
        if self.seen >= WARM {
            let sided = |window: usize| {
                let [below, above] = &self.tails[window];
                match side {
                    Side::Low => below.probability(-sums[window]),
                    Side::High => above.probability(sums[window]),
                    Side::Both if sums[window] < 0.0 => {
                        (2.0 * below.probability(-sums[window])).min(1.0)
                    }
                    Side::Both => (2.0 * above.probability(sums[window])).min(1.0),
                }
            };
            let n = f64::from(self.seen);
            // No sample of n can tell of odds much beyond its size.
            let floor = (0.1 / n).powi(2) / n.sqrt();
            let single = sided(0).max(floor);
            let multiple = sided(1).min(sided(2)).max(floor);
            let unusual_shape = self.shapes.probability(shape).max(floor);
            finding.single = single;
            finding.multiple = multiple;
            finding.probability = (1.4 * single)
                .min(5.0 * multiple)
                .min(6.0 * unusual_shape)
                .min(1.0);
        }
        Judgement {
            finding,
            y,
            mean,
            width,
            spread,
            z,
            sums,
            shape,
            forecast,
        }
    }

    fn learn(&mut self, time: i64, value: f64, judged: &Judgement) {
        self.remember(time, value);
        let Judgement {
            y, mean, width, z, ..
        } = *judged;
        let floor = self.link.resolution(mean);
        let flagged = judged.finding.probability < FLAGGED;

        let surprised = z.abs() > TAME;
        self.run = match (surprised, z > 0.0) {
            (false, _) => 0,
            (true, true) => self.run.max(0) + 1,
            (true, false) => self.run.min(0) - 1,
        };
        let tame = TAME * f64::from((self.run.abs() - 1).clamp(0, 20)).exp2() * width;
        let residual = if self.seen < WARM {
            y - mean
        } else {
            (y - mean).clamp(-tame, tame)
        };
        self.predictors
            .learn(time, y, mean + residual, &judged.forecast, floor);

        if self.seen > 0 {
            let n = f64::from(self.seen);
            for (width, memory) in self.width.iter_mut().zip([40.0, 400.0]) {
                let rate = 1.0 / f64::min(n, memory);
                *width += (rate * (residual.abs() / judged.spread - f64::from(*width))) as f32;
            }
            let base = self.base_width(mean);
            if let Some(spread) = &mut self.spread {
                let slot = spread.slot(time);
                let error = (residual.abs() / base).min(4.0) - 1.0 - spread.at(slot);
                spread.learn(slot, error, 0.02);
            }
        }
        if self.seen >= WARM {
            let weight = if flagged { 0.1 } else { 1.0 };
            for (tails, &sum) in self.tails.iter_mut().zip(&judged.sums) {
                // A value on the other side is a value at the bottom of this one.
                tails[0].learn((-sum).max(0.0), weight);
                tails[1].learn(sum.max(0.0), weight);
            }
            self.shapes.learn(&self.residuals, z, judged.shape, weight);
        }
        // What has been told as an anomaly is not told again by the sums that hold it.
        let kept = if flagged {
            z.clamp(-1.0, 1.0)
        } else {
            z.clamp(-4.0, 4.0)
        };
        self.residuals.rotate_left(1);
        self.residuals[WINDOWS[2] - 1] = kept as f32;

        self.seen = self.seen.saturating_add(1);
        self.last = time;
    }

    /// Takes the recent peak off a surprise, so that one event counts once: returns the probability that remains.
    pub fn after_peak(&mut self, probability: f64) -> f64 {
        let surprise = -probability.max(1e-300).ln();
        let bar = f64::from(self.bar);
        let memory = (DAY as f64 / 3.0 / self.span as f64).clamp(12.0, 200.0);
        let left = if surprise >= bar {
            surprise
        } else {
            surprise * (surprise / bar).powi(2)
        };
        self.bar = f64::max(bar * (-1.0 / memory).exp(), surprise) as f32;
        (-left).exp()
    }

    /// Standardised sums over the last buckets, this one included.
    fn sums(&self, z: f64) -> [f64; WINDOWS.len()] {
        let now = z.clamp(-8.0, 8.0);
        WINDOWS.map(|window| {
            if window == 1 {
                return z;
            }
            let before: f32 = self.residuals[WINDOWS[2] - (window - 1)..].iter().sum();
            (f64::from(before) + now) / (window as f64).sqrt()
        })
    }

    fn base_width(&self, mean: f64) -> f64 {
        let [short, long] = self.width.map(f64::from);
        (0.5 * (short * short + long * long))
            .sqrt()
            .max(self.link.resolution(mean))
    }

    /// How much wider residuals are at this hour, shrunk to 1 while little is known.
    fn spread_at(&self, time: i64) -> f64 {
        let Some(spread) = &self.spread else {
            return 1.0;
        };
        let slot = spread.slot(time);
        let n = f64::from(spread.visits(slot));
        (1.0 + spread.at(slot) * n / (n + 20.0)).max(0.2)
    }

    fn remember(&mut self, time: i64, value: f64) {
        let missed = if self.seen == 0 {
            0
        } else {
            ((time - self.last) / self.span - 1).clamp(0, RECENT as i64)
        };
        for value in std::iter::repeat_n(f32::NAN, missed as usize).chain([value as f32]) {
            if self.recent.len() < RECENT {
                self.recent.push(value);
            } else {
                self.recent[self.head] = value;
                self.head = (self.head + 1) % RECENT;
            }
        }
    }

    /// Recent values, oldest first.
    fn recent_in_order(&self) -> Vec<f32> {
        let (newer, older) = self.recent.split_at(self.head);
        [older, newer].concat()
    }

    /// Starts over from the recent values under another link, when they ask for one.
    fn choose_link(&mut self) {
        let recent = self.recent_in_order();
        let link = Link::choose(&recent, self.link);
        if link == self.link {
            return;
        }
        let mut again = Self::new(self.span, link);
        let first = self.last - (recent.len() as i64 - 1) * self.span;
        for (i, &value) in recent
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_nan())
        {
            let time = first + i as i64 * self.span;
            let judged = again.judge(time, f64::from(value), Side::Both);
            again.learn(time, f64::from(value), &judged);
        }
        again.seen = self.seen;
        again.bar = self.bar;
        *self = again;
    }

    fn find_period(&mut self) {
        let recent = self.recent_in_order();
        let link = self.link;
        let scaled: Vec<f32> = recent
            .iter()
            .map(|&v| {
                if v.is_nan() {
                    v
                } else {
                    link.apply(f64::from(v)) as f32
                }
            })
            .collect();
        if let Some(lag) = period::find(&scaled) {
            let values = scaled
                .iter()
                .map(|&v| (!v.is_nan()).then_some(f64::from(v)));
            self.predictors
                .adopt(lag as i64 * self.span, self.span, self.last, values);
        }
    }

    /// Start of the last bucket with a value.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Bytes that a series may come to take, by which it is counted from its start.
    pub fn full_bytes(span: i64) -> usize {
        let day = Table::new(DAY, 0, span, 288).map_or(0, |t| t.bytes());
        let week = Table::new(season::WEEK, 0, span, 168).map_or(0, |t| t.bytes());
        let hours = Table::new(DAY, 0, span, 24).map_or(0, |t| t.bytes());
        // The found period is at most a third of the recent values long.
        size_of::<Self>() + 3 * day + week + hours + RECENT / 3 * 5 + RECENT * size_of::<f32>()
    }

    /// Bytes that the series takes now.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.predictors.bytes()
            + self.spread.as_ref().map_or(0, Table::bytes)
            + self.recent.capacity() * size_of::<f32>()
    }
}

struct Judgement {
    finding: Finding,
    y: f64,
    mean: f64,
    width: f64,
    spread: f64,
    z: f64,
    sums: [f64; WINDOWS.len()],
    shape: f64,
    forecast: predict::Forecast,
}
