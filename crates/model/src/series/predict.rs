//! What the next value should be: many simple predictors, mixed by how well each has predicted lately.
//!
//! A predictor is a season (none, daily, weekly, ...) plus a level that follows what the season leaves, at one of four
//! rates. Each keeps the width of its errors and its decayed log predictive likelihood (Laplace), and the forecast is
//! their mean under the weights that the likelihoods give: Bayesian model averaging with forgetting (Raftery et al.
//! 2010, Technometrics 52, p. 55).

use serde::{Deserialize, Serialize};

use super::season::{DAY, Table, WEEK, is_weekend};

/// Rates at which a level follows: slow mean, slow with a slope, fast mean, last value.
const RATES: usize = 4;
/// The first of them, which do not follow a spell of some hours.
const STEADY: usize = 1;
/// Seasons: none, daily, daily smoothed, workday/weekend, daily + weekly, found.
pub const SEASONS: usize = 6;
const CLASS: usize = 3;
const WEEKLY: usize = 4;
pub const FOUND: usize = 5;
/// Slots of a workday or weekend day: smoothed, so that ten minutes are fine enough.
const CLASS_SLOTS: i64 = 144;
/// How much a slot learns at each visit of the day or week, however many buckets share it: else an event of an hour
/// would move a shared slot as if it had been seen several times.
const CLASS_RATE: f64 = 0.15;
const WEEK_RATE: f64 = 0.2;
/// Days after which evidence has faded to 1/e: a season must not be given up for one day without its peak.
const EVIDENCE_DAYS: f64 = 3.0;
/// The week learns what the day leaves, so not before the day is known.
const SETTLED_DAYS: f64 = 1.5;
/// Weeks that a week's shape must have been seen to count half, far ahead.
const FAR_DOUBT: f64 = 0.2;
/// The firm levels are so many times as slow as the slow mean.
const FIRM: f64 = 3.0;
/// A forecast by the kind of day is still in question when it is worse by no more than this a bucket, in nats.
const IN_QUESTION: f32 = 0.15;
/// Errors beyond so many widths say no more against a predictor.
const CLIP: f64 = 16.0;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Predictor {
    level: f64,
    slope: f32,
    width: f32,
    evidence: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictors {
    learnt: u32,
    /// Days to a bucket.
    day: f32,
    /// Mean absolute distance from the slow mean.
    variation: f32,
    slow: f32,
    forget: f32,
    daily: Option<Table>,
    /// Workdays and weekends, a day each.
    classes: Option<[Table; 2]>,
    /// What the week adds to the day, or the week itself where the day has no table.
    weekly: Option<Table>,
    found: Option<Table>,
    predictors: [[Predictor; RATES]; SEASONS],
    /// Levels beside the seasons that an event of a day hardly bends.
    firm: [f64; SEASONS],
}

/// What each predictor said for one time: kept from the forecast to the learning.
pub struct Forecast {
    pub mean: f64,
    /// The same by the predictors that do not follow what just happened.
    pub steady: f64,
    /// The same by seasons and firm levels alone.
    pub firm: f64,
    /// What the kind of day says, where that is in question.
    pub class: Option<f64>,
    seasons: [Option<f64>; SEASONS],
    /// The same for times far ahead.
    pub far: [Option<f64>; SEASONS],
}

/// How much of an error is learnt: by seasons (unless it comes again in its slot), by levels, by firm levels.
pub struct Cuts {
    pub seasons: f64,
    pub levels: f64,
    pub firm: f64,
}

impl Predictors {
    pub fn new(span: i64) -> Self {
        let daily = Table::new(DAY, 0, span, 288);
        let day = span as f64 / DAY as f64;
        Self {
            learnt: 0,
            day: day as f32,
            variation: 0.0,
            slow: day.clamp(1.0 / 300.0, 0.1) as f32,
            forget: 1.0 - (day / EVIDENCE_DAYS).clamp(1.0 / 3_000.0, 1.0 / 60.0) as f32,
            classes: Table::new(DAY, 0, span, CLASS_SLOTS).map(|table| [table.clone(), table]),
            daily,
            weekly: Table::new(WEEK, 0, span, 168),
            found: None,
            predictors: Default::default(),
            firm: [0.0; SEASONS],
        }
    }

    pub fn variation(&self) -> f64 {
        f64::from(self.variation)
    }

    /// Distance from the slow mean in units of the whole variation.
    pub fn standardised(&self, y: f64) -> f64 {
        (y - self.predictors[0][0].level) / self.variation().max(1e-12)
    }

    /// What each season says of a time, past or future: its deviation from the level beside it; none where it has no
    /// table. The second form is for times far ahead, where nothing else makes up for a week that is held back.
    pub fn seasons(&self, time: i64) -> [[Option<f64>; SEASONS]; 2] {
        let mut seasons = [None; SEASONS];
        seasons[0] = Some(0.0);
        if let Some(daily) = &self.daily {
            let slot = daily.slot(time);
            seasons[1] = Some(daily.at(slot));
            seasons[2] = Some(daily.smooth(slot));
        }
        if let Some(classes) = &self.classes {
            let class = &classes[usize::from(is_weekend(time))];
            let slot = class.slot(time);
            // A first weekend knows nothing yet: as any day.
            seasons[CLASS] = if class.visits(slot) > 0 {
                Some(class.smooth(slot))
            } else {
                seasons[2]
            };
        }
        seasons[FOUND] = self.found.as_ref().map(|table| table.at(table.slot(time)));
        let mut far = seasons;
        if let Some(weekly) = &self.weekly {
            let (weeks, week) = (self.weeks(), weekly.at(weekly.slot(time)));
            let day = seasons[2].unwrap_or(0.0);
            seasons[WEEKLY] = Some(day + week * weeks / (weeks + 1.0));
            far[WEEKLY] = Some(day + week * weeks / (weeks + FAR_DOUBT));
        }
        [seasons, far]
    }

    /// The slow level beside a season.
    pub fn slow_level(&self, season: usize) -> f64 {
        self.predictors[season][0].level
    }

    /// Days by which a slow level is behind.
    pub fn slow_days(&self) -> f64 {
        f64::from(self.day) / f64::from(self.slow)
    }

    /// Mean absolute errors of late beside a season: of the slow level and of the last value as forecasts.
    pub fn slow_and_last_width(&self, season: usize) -> [f64; 2] {
        let row = &self.predictors[season];
        [row[0].width, row[RATES - 1].width].map(f64::from)
    }

    pub fn forecast(&self, time: i64) -> Forecast {
        let [seasons, far] = self.seasons(time);
        Forecast {
            mean: self.mixed(&seasons, RATES),
            steady: self.mixed(&seasons, STEADY),
            firm: self.firmly(&seasons),
            class: self.by_class(time, &seasons),
            seasons,
            far,
        }
    }

    /// Weeks that the weekly season has seen: after one, it is as much that week's noise as a week's shape.
    fn weeks(&self) -> f64 {
        ((f64::from(self.learnt) * f64::from(self.day) - SETTLED_DAYS) / 7.0).max(0.0)
    }

    /// The forecast by the kind of day, on the first day of a kind: all evidence of late is from days of the other kind,
    /// and tells little of which predictor will be right today.
    fn by_class(&self, time: i64, seasons: &[Option<f64>; SEASONS]) -> Option<f64> {
        if is_weekend(time) == is_weekend(time - DAY) {
            return None;
        }
        let shape = seasons[CLASS]?;
        let most = |row: &[Predictor]| row.iter().fold(f32::MIN, |most, p| most.max(p.evidence));
        let known = self.predictors.iter().zip(seasons);
        let best = known
            .filter(|(_, season)| season.is_some())
            .fold(f32::MIN, |best, (row, _)| best.max(most(row)));
        let own = &self.predictors[CLASS];
        let own = own
            .iter()
            .max_by(|a, b| a.evidence.total_cmp(&b.evidence))?;
        // Evidence fades, so it is worth `1 / (1 - forget)` buckets.
        let behind = (best - own.evidence) * (1.0 - self.forget);
        (behind < IN_QUESTION).then_some(shape + own.level + f64::from(own.slope))
    }

    /// Seasons and firm levels, weighted by how well each season has done beside its slow mean.
    fn firmly(&self, seasons: &[Option<f64>; SEASONS]) -> f64 {
        let known = || {
            let rows = self.predictors.iter().zip(&self.firm).zip(seasons);
            rows.filter_map(|((row, level), season)| Some((row[0].evidence, (*season)? + level)))
        };
        let best = known().fold(f32::MIN, |best, (evidence, _)| best.max(evidence));
        let (mut sum, mut weights) = (0.0, 0.0);
        for (evidence, value) in known() {
            let weight = f64::from(evidence - best).exp();
            sum += weight * value;
            weights += weight;
        }
        sum / weights
    }

    /// The mean of the first `rates` predictors of each season, weighted by evidence.
    fn mixed(&self, seasons: &[Option<f64>; SEASONS], rates: usize) -> f64 {
        if self.learnt == 0 {
            return 0.0;
        }
        let known = || {
            let rows = self.predictors.iter().zip(seasons);
            rows.filter_map(|(row, season)| season.map(|season| (&row[..rates], season)))
        };
        let best = known()
            .flat_map(|(row, _)| row)
            .fold(f32::MIN, |best, p| best.max(p.evidence));
        let (mut sum, mut weights) = (0.0, 0.0);
        for (row, shape) in known() {
            for predictor in row {
                let behind = predictor.evidence - best;
                if behind > -12.0 {
                    let weight = f64::from(behind).exp();
                    sum += weight * (shape + predictor.level + f64::from(predictor.slope));
                    weights += weight;
                }
            }
        }
        sum / weights
    }

    /// Learns the value `y`. Errors are cut by `cuts`, each predictor's own: who was right must not be bent by those who
    /// were surprised.
    pub fn learn(&mut self, time: i64, y: f64, forecast: &Forecast, floor: f64, cuts: &Cuts) {
        let cut = cuts.levels;
        self.learnt = self.learnt.saturating_add(1);
        let n = f64::from(self.learnt);
        let slow = f64::from(self.slow).max(1.0 / n);
        if self.learnt == 1 {
            for (season, row) in self.predictors.iter_mut().enumerate() {
                let level = y - forecast.seasons[season].unwrap_or(0.0);
                *row = [Predictor {
                    level,
                    ..Predictor::default()
                }; RATES];
                self.firm[season] = level;
            }
            return;
        }
        let away = (y - self.predictors[0][0].level).abs();
        let away = if n < 100.0 {
            away
        } else {
            away.min(20.0 * f64::from(self.variation).max(floor))
        };
        self.variation += ((away - f64::from(self.variation)) * (1.0 / n).max(0.002)) as f32;
        self.learn_seasons(time, y, forecast, cuts.seasons);
        let rate = (1.0 / n).max(0.02);
        for (season, row) in self.predictors.iter_mut().enumerate() {
            let Some(shape) = forecast.seasons[season] else {
                continue;
            };
            let level = &mut self.firm[season];
            let most = if n < 48.0 { f64::INFINITY } else { cuts.firm };
            *level += (slow / FIRM).max(1.0 / n) * (y - shape - *level).clamp(-most, most);
            for (kind, predictor) in row.iter_mut().enumerate() {
                let predicted = shape + predictor.level + f64::from(predictor.slope);
                let error = (y - predicted).abs();
                let width = f64::from(predictor.width).max(floor);
                let likelihood = -width.ln() - (error / width).min(CLIP);
                if n > 4.0 {
                    predictor.evidence = self.forget * predictor.evidence + likelihood as f32;
                }
                let seen = (y - predicted).clamp(-cut, cut);
                predictor.width = (width + rate * (seen.abs() - width)) as f32;
                let left = predicted + seen - shape;
                match kind {
                    0 => predictor.level += slow * (left - predictor.level),
                    1 => {
                        let surprise = left - predictor.level - f64::from(predictor.slope);
                        let alpha = (2.0 * slow).clamp(0.02, 0.3);
                        predictor.level += f64::from(predictor.slope) + alpha * surprise;
                        predictor.slope += (alpha * 0.05 * surprise) as f32;
                    }
                    2 => predictor.level += 0.3 * (left - predictor.level),
                    _ => predictor.level = left,
                }
            }
        }
    }

    fn learn_seasons(&mut self, time: i64, y: f64, forecast: &Forecast, tame: f64) {
        // A season learns what it leaves of the slow level beside it.
        let error = |season: usize| {
            let slow = &self.predictors[season][0];
            y - slow.level - forecast.seasons[season].unwrap_or(0.0)
        };
        let (daily_error, class_error, week_error, found_error) = (
            error(1),
            {
                let class = self
                    .classes
                    .as_ref()
                    .map(|classes| &classes[usize::from(is_weekend(time))]);
                y - self.predictors[CLASS][0].level
                    - class.map_or(0.0, |class| class.at(class.slot(time)))
            },
            {
                let weekly = self.weekly.as_ref();
                let daily = forecast.seasons[2].unwrap_or(0.0);
                let week = weekly.map_or(0.0, |weekly| weekly.at(weekly.slot(time)));
                y - self.predictors[WEEKLY][0].level - daily - week
            },
            error(FOUND),
        );
        let span = (f64::from(self.day) * DAY as f64).round() as i64;
        let settled = f64::from(self.learnt) * f64::from(self.day) > SETTLED_DAYS;
        if let Some(daily) = &mut self.daily {
            let slot = daily.slot(time);
            daily.learn(slot, daily_error, 0.12, tame, daily.is_first(time, span));
        }
        if let Some(classes) = &mut self.classes {
            let class = &mut classes[usize::from(is_weekend(time))];
            let slot = class.slot(time);
            let (rate, first) = (CLASS_RATE / class.buckets(span), class.is_first(time, span));
            class.learn(slot, class_error, rate, tame, first);
        }
        if let Some(weekly) = &mut self.weekly
            && settled
        {
            let slot = weekly.slot(time);
            let (rate, first) = (
                WEEK_RATE / weekly.buckets(span),
                weekly.is_first(time, span),
            );
            weekly.learn(slot, week_error, rate, tame, first);
        }
        if let Some(found) = &mut self.found {
            let slot = found.slot(time);
            found.learn(slot, found_error, 0.15, tame, found.is_first(time, span));
        }
    }

    /// Takes up a period that the data showed, its shape folded from `values` (transformed, oldest first, the last one
    /// at `end`). It starts with the evidence of the best without it, and must hold it. Tells whether it was taken up.
    pub fn adopt(
        &mut self,
        period: i64,
        span: i64,
        end: i64,
        values: impl Iterator<Item = Option<f64>> + Clone,
    ) -> bool {
        let fits = |other: i64| other % period < span || period - other % period < span;
        if fits(DAY) || fits(WEEK) || self.found.as_ref().is_some_and(|t| t.period() == period) {
            return false;
        }
        let Some(mut table) = Table::new(period, 0, span, 512) else {
            return false;
        };
        let count = values.clone().count() as i64;
        let known = values.clone().flatten();
        let mean = known.clone().sum::<f64>() / known.count().max(1) as f64;
        for (i, value) in values.enumerate() {
            if let Some(value) = value {
                let slot = table.slot(end - (count - 1 - i as i64) * span);
                let error = value - mean - table.at(slot);
                table.learn(slot, error, 0.15, f64::INFINITY, true);
            }
        }
        let plain = self.predictors[0];
        self.predictors[FOUND] = [Predictor {
            level: mean,
            slope: 0.0,
            ..plain[0]
        }; RATES];
        self.firm[FOUND] = mean;
        self.found = Some(table);
        true
    }

    /// Takes a lasting shift for the new level: the slow and firm levels go where the fast one is.
    pub fn shift(&mut self) {
        for (row, firm) in self.predictors.iter_mut().zip(&mut self.firm) {
            *firm = row[2].level;
            for kind in 0..2 {
                row[kind].level = row[2].level;
                row[kind].slope = 0.0;
            }
        }
    }

    /// What `bytes` may come to for buckets of `span` seconds.
    pub fn full_bytes(span: i64) -> usize {
        let size = |period: i64, slots: i64| {
            Table::new(period, 0, span, slots).map_or(0, |table| table.bytes())
        };
        // The found period is at most a third of the recent values long.
        size(DAY, 288)
            + 2 * size(DAY, CLASS_SLOTS)
            + size(WEEK, 168)
            + super::recent::RECENT / 3 * 5
    }

    pub fn bytes(&self) -> usize {
        let tables = [&self.daily, &self.weekly, &self.found];
        let classes = self.classes.iter().flatten();
        tables
            .into_iter()
            .flatten()
            .chain(classes)
            .map(Table::bytes)
            .sum()
    }
}
