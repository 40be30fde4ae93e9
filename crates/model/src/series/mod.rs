//! The model of one series: a forecast, a scale, and tails that tell how unusual a residual is.
//!
//! A value is modelled on the scale of its `Link`. The residual to the forecast, in units of a robust width that may
//! depend on the hour, and the sums of residuals over the last buckets (`Sums`) are each judged by the history of that
//! very statistic (`Tail`): a statistic calibrates itself, whatever the residuals' family. So is the last half day
//! against a forecast that such an event does not bend (`Days`). Another view asks whether the series has ever moved like
//! this (`Shapes`), and a `Bar` holds back what follows an alarm.
//!
//! Series are many, so one starts small: seasons and the slower views are boxes that it takes up when it is told that
//! it may, and that it gives back when they are of no use (`grow`).

mod bar;
mod day;
mod forecast;
pub(crate) mod format1;
mod grow;
mod link;
mod odds;
mod outlook;
mod period;
mod predict;
mod recent;
mod row;
mod season;
mod seasons;
mod shape;
mod sums;
mod tail;
mod trend;
mod views;

use serde::{Deserialize, Serialize};

pub use bar::Bar;
use day::Days;
pub use forecast::{Forecast, Point};
use grow::Phase;
pub use link::Link;
use odds::Odds;
use outlook::Outlook;
use predict::Predictors;
use recent::Recent;
use row::Cuts;
pub(crate) use season::DAY;
use season::Visit;
use shape::Shapes;
use sums::Sums;
pub use tail::Tail;
pub(crate) use views::sides;
use views::together;

/// Residuals are cut at so many widths before they teach; each further surprise on the same side doubles it.
const TAME: f64 = 3.5;
/// Values that a series must have seen before it judges.
const WARM: u32 = 12;
/// Below this a bucket counts as anomalous and hardly enters the tails' history.
const FLAGGED: f64 = 2e-4;
/// Days after which such buckets are forgotten, to 1/e.
const FLAGS_DAYS: f32 = 2.0;
/// Two-sided width of 95 % of a normal law, in mean absolute deviations.
const BOUND: f64 = 2.45;
/// No value is taken for larger, so that squares of widths stay finite in single precision.
const LARGEST: f64 = 1e18;
/// A width below this part of the whole variation is rounding, not precision.
const EXACT: f64 = 0.003;

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
    /// Of a value at least as unusual, all views and sides taken together.
    pub probability: f64,
    /// Of this bucket alone.
    pub single: f64,
    /// Of the last buckets together.
    pub multiple: f64,
    /// Of the shape of the last values, whatever their height.
    pub shape: f64,
    pub typical: f64,
    pub lower: f64,
    pub upper: f64,
    /// Buckets that have been far out on end, this one among them.
    pub length: u32,
    /// What the series has taken for its new normal with this value.
    pub change: Option<Change>,
}

impl Finding {
    /// Of a value that is judged for its bucket alone, with what is typical between its bounds.
    pub fn alone(probability: f64, [lower, typical, upper]: [f64; 3]) -> Self {
        Self {
            probability,
            single: probability,
            multiple: 1.0,
            shape: 1.0,
            typical,
            lower,
            upper,
            length: 1,
            change: None,
        }
    }
}

/// A change for good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Of the level, from what was expected to what has come to be.
    Level { from: f64, to: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    span: i64,
    link: Link,
    seen: u32,
    /// Whether there ever was a value below zero.
    negative: bool,
    /// Start of the last bucket with a value.
    last: i64,
    predictors: Predictors,
    /// Mean absolute residual, over a short and a long time.
    width: [f32; 2],
    sums: Sums,
    days: Option<Box<Days>>,
    /// Of single residuals and of sums, below and above.
    tails: [[Tail; 2]; 2],
    shapes: Option<Box<Shapes>>,
    /// Surprises on end, negative below.
    run: i32,
    /// Whether the last bucket was anomalous, and the anomalies of late, decayed.
    flagged: bool,
    flags: f32,
    bar: Bar,
    /// Until nothing more is asked of it.
    recent: Option<Box<Recent>>,
    phase: Phase,
    /// Seconds that the clock of the seasons is ahead.
    ahead: i32,
    outlook: Outlook,
    /// What probabilities have come to.
    odds: Odds,
}

impl Series {
    pub fn new(span: i64, link: Link) -> Self {
        // A sum of many residuals is nearly Gaussian; a single one is less surely so.
        let single = Tail::new(1.8, [-6.0, 0.0, 3.0], 1.0);
        let multiple = Tail::new(2.4, [-10.0, 0.0, 10.0], 0.2);
        Self {
            span,
            link,
            seen: 0,
            negative: false,
            last: 0,
            predictors: Predictors::new(),
            width: [0.0; 2],
            sums: Sums::default(),
            days: None,
            tails: [[single; 2], [multiple; 2]],
            shapes: None,
            run: 0,
            flagged: false,
            flags: 0.0,
            bar: Bar::default(),
            recent: Some(Box::default()),
            phase: Phase::default(),
            ahead: 0,
            outlook: Outlook::default(),
            odds: Odds::default(),
        }
    }

    /// Judges the value of the bucket at `time` and learns it, in what the series has. Times must grow.
    pub fn observe(&mut self, time: i64, value: f64, side: Side) -> Finding {
        self.observe_unless(time, value, side, |_| false)
    }

    /// Judges a value and learns it unless it is not to be, which its judgement may decide.
    pub fn observe_unless(
        &mut self,
        time: i64,
        value: f64,
        side: Side,
        is_skipped: impl FnOnce(&Finding) -> bool,
    ) -> Finding {
        let mut judged = self.judge(time, value, side);
        if !is_skipped(&judged.finding) {
            judged.finding.change = self.learn(time, value, &judged);
            self.shrink();
        }
        judged.finding
    }

    /// Observes a value and grows as the series likes, where nobody counts the memory.
    pub fn follow(&mut self, time: i64, value: f64, side: Side) -> Finding {
        let finding = self.observe(time, value, side);
        if self.wants() > 0 {
            self.grow();
        }
        finding
    }

    /// Judges a value without learning it.
    pub fn peek(&self, time: i64, value: f64, side: Side) -> Finding {
        self.judge(time, value, side).finding
    }

    fn judge(&self, time: i64, value: f64, side: Side) -> Judgement {
        let y = self.link.apply(value.clamp(-LARGEST, LARGEST));
        let forecast = self.predictors.forecast(self.clock(time), self.span);
        let mean = if self.seen == 0 { y } else { forecast.mean };
        let spread = self.spread_at(time);
        let width = self.base_width(mean) * spread;
        // Between what the next bucket should be and what it should be on such a day, nothing is unusual.
        let class = forecast.class.filter(|_| self.seen > 0).unwrap_or(mean);
        let z = ((y - y.clamp(mean.min(class), mean.max(class))) / width).clamp(-1e6, 1e6);
        let mut finding = Finding {
            probability: 1.0,
            single: 1.0,
            multiple: 1.0,
            shape: 1.0,
            typical: 0.0,
            lower: 0.0,
            upper: 0.0,
            length: self.length(z),
            change: None,
        };
        // What is told as typical is what the value was found to be unusual against.
        let mut typical = mean;
        let [error, firm_error] = if self.seen == 0 {
            [0.0; 2]
        } else {
            [y - forecast.steady, y - forecast.firm]
        };
        let least = self.least_width(mean);
        let sums = self.sums.add(error / spread, least);
        let day = self.days.as_ref();
        let day = day.map(|days| days.add(firm_error / spread, least, self.span));
        let shape = self.shapes.as_ref();
        let shape = shape.map(|shapes| shapes.see(self.predictors.standardised(y)));
        let mut all = 1.0;
        if self.seen >= WARM {
            let either = |[below, above]: [f64; 2]| match side {
                Side::Low => below,
                Side::High => above,
                Side::Both => (2.0 * below.min(above)).min(1.0),
            };
            let sided = |[below, above]: &[Tail; 2], [down, up]: [f64; 2]| {
                either([below.probability(down), above.probability(up)])
            };
            let n = f64::from(self.seen);
            // No sample of n can tell of odds much beyond its size.
            let floor = (0.1 / n).powi(2) / n.sqrt();
            finding.single = sided(&self.tails[0], sides(z)).max(floor);
            finding.multiple = sided(&self.tails[1], sums.extremes).max(floor);
            let known = self.shapes.as_ref().zip(shape.as_ref());
            let shape = known.map_or(1.0, |(shapes, seen)| shapes.probability(seen).max(floor));
            let known = self.days.as_ref().zip(day.as_ref());
            let days = known.and_then(|(days, day)| days.probabilities(day, self.span));
            let half_day = days.map_or(1.0, |both| either(both).max(floor));
            finding.shape = shape;
            all = together(finding.single, finding.multiple, shape, half_day);
            finding.probability = self.odds.of(all);
            if finding.multiple.min(half_day) < finding.single {
                typical = if half_day < finding.multiple {
                    forecast.firm
                } else {
                    forecast.steady
                };
            }
            finding.multiple = finding.multiple.min(half_day);
        }
        [finding.lower, finding.typical, finding.upper] =
            [-BOUND, 0.0, BOUND].map(|widths| self.told(typical + widths * width));
        Judgement {
            finding,
            together: all,
            y,
            mean,
            width,
            spread,
            z,
            sums,
            day,
            shape,
            forecast,
        }
    }

    /// Buckets far out on end with one that is `z` widths out.
    fn length(&self, z: f64) -> u32 {
        let same_side = f64::from(self.run) * z > 0.0;
        match z.abs() > TAME {
            true if same_side => self.run.unsigned_abs().saturating_add(1),
            far => u32::from(far),
        }
    }

    /// A modelled value as it is told: on the scale of the data, and not below zero where they never were.
    fn told(&self, y: f64) -> f64 {
        let value = self.link.invert(y);
        if self.negative { value } else { value.max(0.0) }
    }

    fn learn(&mut self, time: i64, value: f64, judged: &Judgement) -> Option<Change> {
        self.negative |= value < 0.0;
        let missed = if self.seen == 0 {
            0
        } else {
            (time - self.last) / self.span - 1
        };
        if let Some(recent) = &mut self.recent {
            recent.push(missed, value.clamp(-LARGEST, LARGEST));
        }
        let Judgement {
            y, mean, width, z, ..
        } = *judged;
        let floor = self.link.resolution(mean);
        // The level that is given up for good, if one is.
        let mut left = None;

        let surprised = z.abs() > TAME;
        self.run = match (surprised, z > 0.0) {
            (false, _) => 0,
            (true, true) => self.run.max(0) + 1,
            (true, false) => self.run.min(0) - 1,
        };
        let tame = TAME * f64::from((self.run.abs() - 1).clamp(0, 20)).exp2() * width;
        let cut = if self.seen < WARM {
            f64::INFINITY
        } else {
            tame
        };
        let residual = (y - mean).clamp(-cut, cut);
        let cuts = Cuts {
            seasons: TAME * width,
            levels: cut,
            firm: self.days.as_ref().map_or(cut, |days| days.tame(floor)),
        };
        let clock = self.clock(time);
        let tamed = if self.seen == 0 { y } else { mean + residual };
        self.outlook
            .learn(clock, self.span, tamed, &mut self.predictors);
        self.predictors
            .learn(clock, self.span, y, &judged.forecast, floor, &cuts);

        if self.seen > 0 {
            let n = f64::from(self.seen);
            for (width, memory) in self.width.iter_mut().zip([40.0, 400.0]) {
                let rate = 1.0 / f64::min(n, memory);
                *width += (rate * (residual.abs() / judged.spread - f64::from(*width))) as f32;
            }
            let base = self.base_width(mean);
            if let Some(spread) = self.predictors.spread_mut() {
                let slot = spread.slot(clock);
                let error = (residual.abs() / base).min(4.0) - 1.0 - spread.at(slot);
                let visit = Visit {
                    time: clock,
                    rate: 0.02,
                    tame: f64::INFINITY,
                    first: true,
                };
                spread.learn(slot, error, &visit);
            }
            let warm = self.seen >= WARM;
            if self.sums.learn(&judged.sums, floor, n, warm, self.span) {
                left = Some(judged.forecast.steady);
            }
        }
        let mut weight = 1.0;
        if self.seen >= WARM {
            let flagged = judged.finding.single.min(judged.finding.multiple) < FLAGGED;
            weight = self.weight(flagged);
            // A value on the other side is a value at the bottom of this one.
            let statistics = [sides(z), judged.sums.extremes];
            for (tails, values) in self.tails.iter_mut().zip(statistics) {
                for (tail, value) in tails.iter_mut().zip(values) {
                    tail.learn(value, weight);
                }
            }
            if let Some((shapes, seen)) = self.shapes.as_mut().zip(judged.shape.as_ref()) {
                shapes.learn(seen, weight);
            }
            self.odds.learn(judged.together, f64::from(self.seen));
        }
        if let Some((days, day)) = self.days.as_mut().zip(judged.day.as_ref())
            && days.learn(day, floor, self.span, weight)
        {
            left = left.or(Some(judged.forecast.firm));
        }
        self.seen = self.seen.saturating_add(1);
        self.last = time;
        left.map(|level| {
            self.predictors.shift();
            let (from, to) = (self.told(level), self.told(mean));
            Change::Level { from, to }
        })
    }

    /// How much a bucket counts in the tails: an anomaly hardly, unless anomalies are what the series is made of.
    fn weight(&mut self, flagged: bool) -> f64 {
        let keep = (-self.span as f32 / (FLAGS_DAYS * DAY as f32)).exp();
        self.flags = self.flags * keep + f32::from(u8::from(flagged && !self.flagged));
        self.flagged = flagged;
        if flagged {
            (0.1 * f64::from(self.flags)).clamp(0.1, 1.0)
        } else {
            1.0
        }
    }

    /// Takes the recent peak off a surprise, so that one event counts once: returns the probability that remains.
    pub fn after_peak(&mut self, probability: f64) -> f64 {
        self.bar.pass(probability, self.span)
    }

    /// Moves the clock of the seasons by some seconds: what is known of a time of the day is expected as much earlier.
    pub fn shift_clock(&mut self, seconds: i64) {
        let seconds = i32::try_from(seconds).unwrap_or(0);
        self.ahead = self.ahead.saturating_add(seconds);
    }

    /// What the seasons take a time for.
    fn clock(&self, time: i64) -> i64 {
        time + i64::from(self.ahead)
    }

    fn base_width(&self, mean: f64) -> f64 {
        let [short, long] = self.width.map(f64::from);
        (0.5 * (short * short + long * long))
            .sqrt()
            .max(self.least_width(mean))
    }

    fn least_width(&self, mean: f64) -> f64 {
        f64::max(
            self.link.resolution(mean),
            EXACT * self.predictors.variation(),
        )
    }

    /// How much wider residuals are at this hour, shrunk to 1 while little is known.
    fn spread_at(&self, time: i64) -> f64 {
        let Some(spread) = self.predictors.spread() else {
            return 1.0;
        };
        let slot = spread.slot(self.clock(time));
        let n = f64::from(spread.visits(slot));
        (1.0 + spread.at(slot) * n / (n + 20.0)).max(0.2)
    }

    /// Buckets with a value so far, saturating.
    pub fn seen(&self) -> u32 {
        self.seen
    }

    /// Start of the last bucket with a value.
    pub fn last(&self) -> i64 {
        self.last
    }
}

struct Judgement {
    finding: Finding,
    /// The probability before `Odds`.
    together: f64,
    y: f64,
    mean: f64,
    width: f64,
    spread: f64,
    z: f64,
    sums: sums::Added,
    day: Option<day::Day>,
    shape: Option<shape::Seen>,
    forecast: predict::Forecast,
}

#[cfg(test)]
mod tests;
