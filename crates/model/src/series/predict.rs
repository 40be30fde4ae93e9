//! What the next value should be: many simple predictors, mixed by how well each has predicted lately.
//!
//! A predictor is a season (none, daily, weekly, ...) plus a level that follows what the season leaves, at one of four
//! rates. Each keeps the width of its errors and its decayed log predictive likelihood (Laplace), and the forecast is
//! their mean under the weights that the likelihoods give: Bayesian model averaging with forgetting (Raftery et al.
//! 2010, Technometrics 52, p. 55).
//!
//! The seasons are taken up when there is something to fold, and each goes again when it has hardly any weight: most
//! series have no season, or one.

use serde::{Deserialize, Serialize};

use super::row::{Cuts, Pace, RATES, Row};
use super::season::{DAY, Table, Visit, WEEK, allocated, is_weekend};
use super::seasons::{
    CLASS, CLASS_SLOTS, DAILY_SLOTS, FOUND, HOURS, SEASONS, Seasons, Told, WEEK_SLOTS, days,
};

/// Days after which evidence has faded to 1/e: a season must not be given up for one day without its peak.
const EVIDENCE_DAYS: f64 = 3.0;
/// The week learns what the day leaves, so not before the day is known.
const SETTLED_DAYS: f64 = 1.5;
/// Nats of evidence by which seasons on trial start behind: a true season makes up for them within hours.
const UNPROVED: f32 = 14.0;
/// A forecast by the kind of day is still in question when it is worse by no more than this a bucket, in nats.
const IN_QUESTION: f32 = 0.15;
/// Levels this many variations from the origin have it moved.
const FAR: f64 = 64.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictors {
    pub(super) learnt: u32,
    /// Mean absolute distance from the slow mean.
    pub(super) variation: f32,
    pub(super) origin: f64,
    pub(super) plain: Row,
    pub(super) seasons: Option<Box<Seasons>>,
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
    told: Told,
}

/// Share of the evidence that is kept from one bucket to the next.
fn forget(span: i64) -> f32 {
    1.0 - (days(span) / EVIDENCE_DAYS).clamp(1.0 / 3_000.0, 1.0 / 60.0) as f32
}

/// Share of a value that the slow levels take up.
fn slow(span: i64) -> f64 {
    days(span).clamp(1.0 / 300.0, 0.1)
}

/// Days by which slow levels are behind.
pub fn slow_days(span: i64) -> f64 {
    days(span) / slow(span)
}

impl Predictors {
    pub fn new() -> Self {
        Self {
            learnt: 0,
            variation: 0.0,
            origin: 0.0,
            plain: Row::default(),
            seasons: None,
        }
    }

    pub fn variation(&self) -> f64 {
        f64::from(self.variation)
    }

    /// Distance from the slow mean in units of the whole variation.
    pub fn standardised(&self, y: f64) -> f64 {
        (y - self.origin - f64::from(self.plain.levels[0])) / self.variation().max(1e-12)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        let seasonal = self.seasons.iter().flat_map(|seasons| &seasons.rows);
        std::iter::once(&self.plain).chain(seasonal)
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        let seasonal = self
            .seasons
            .iter_mut()
            .flat_map(|seasons| &mut seasons.rows);
        std::iter::once(&mut self.plain).chain(seasonal)
    }

    pub fn forecast(&self, time: i64, span: i64) -> Forecast {
        let mut forecast = Forecast {
            mean: 0.0,
            steady: 0.0,
            firm: 0.0,
            class: None,
            told: Told {
                seasons: [None; SEASONS],
                shares: [0.0; SEASONS],
            },
        };
        forecast.told.seasons[0] = Some(0.0);
        if let Some(seasons) = &self.seasons {
            seasons.at(time, span, self.weeks(span), &mut forecast.told.seasons);
        }
        if self.learnt > 0 {
            self.mix(&mut forecast);
            forecast.class = self.by_class(time, span, &forecast.told.seasons);
        }
        forecast
    }

    /// What each season says of a time far ahead, as its deviation from the level beside it.
    pub fn far(&self, time: i64, span: i64) -> [Option<f64>; SEASONS] {
        let mut far = [None; SEASONS];
        far[0] = Some(0.0);
        if let Some(seasons) = &self.seasons {
            seasons.far(time, span, self.weeks(span), &mut far);
        }
        far
    }

    fn row(&self, season: usize) -> &Row {
        let seasons = self.seasons.as_ref().filter(|_| season > 0);
        seasons.map_or(&self.plain, |seasons| &seasons.rows[season - 1])
    }

    /// The slow level beside a season.
    pub fn slow_level(&self, season: usize) -> f64 {
        self.origin + self.row(season).level(0)
    }

    /// Mean absolute error of each season beside its slow level, over weeks; none where there is no season.
    pub fn far_errors(&self) -> [Option<f64>; SEASONS] {
        let far = |season| f64::from(self.row(season).far);
        let known = self.far(0, DAY).map(|season| season.is_some());
        std::array::from_fn(|season| known[season].then(|| far(season)))
    }

    /// Learns how far each season is off the value `y`.
    pub fn learn_far(&mut self, time: i64, span: i64, y: f64, rate: f64) {
        let (far, y) = (self.far(time, span), y - self.origin);
        for (row, shape) in self.rows_mut().zip(far) {
            if let Some(shape) = shape {
                let error = (y - shape - row.level(0)).abs();
                row.far += (rate * (error - f64::from(row.far))) as f32;
            }
        }
    }

    /// Mean absolute errors of late beside a season: of the slow level and of the last value as forecasts.
    pub fn slow_and_last_width(&self, season: usize) -> [f64; 2] {
        let widths = &self.row(season).widths;
        [widths[0], widths[RATES - 1]].map(f64::from)
    }

    /// Weeks that the weekly season has seen: after one, it is as much that week's noise as a week's shape.
    fn weeks(&self, span: i64) -> f64 {
        ((f64::from(self.learnt) * days(span) - SETTLED_DAYS) / 7.0).max(0.0)
    }

    /// The forecast by the kind of day, on the first day of a kind: all evidence of late is from days of the other kind,
    /// and tells little of which predictor will be right today.
    fn by_class(&self, time: i64, span: i64, seasons: &[Option<f64>; SEASONS]) -> Option<f64> {
        let shape = seasons[CLASS]?;
        if is_weekend(time) == is_weekend(time - DAY) {
            return None;
        }
        let known = self
            .rows()
            .zip(seasons)
            .filter(|(_, season)| season.is_some());
        let best = known.fold(f32::MIN, |best, (row, _)| best.max(row.best()));
        let own = &self.seasons.as_ref()?.rows[CLASS - 1];
        let kind = (0..RATES).max_by(|&a, &b| own.evidence[a].total_cmp(&own.evidence[b]))?;
        // Evidence fades, so it is worth `1 / (1 - forget)` buckets.
        let behind = (best - own.evidence[kind]) * (1.0 - forget(span));
        (behind < IN_QUESTION).then_some(self.origin + shape + own.level(kind))
    }

    /// The means of the predictors, weighted by evidence: of all, of the slow means, and of the firm levels, which are
    /// worth what the slow mean beside them is.
    fn mix(&self, forecast: &mut Forecast) {
        let (mut best, mut best_steady) = (f32::MIN, f32::MIN);
        for (row, _) in self
            .rows()
            .zip(&forecast.told.seasons)
            .filter(|(_, season)| season.is_some())
        {
            best = best.max(row.best());
            best_steady = best_steady.max(row.evidence[0]);
        }
        let (mut mean, mut all) = (0.0, 0.0);
        let (mut steady, mut firm, mut slow) = (0.0, 0.0, 0.0);
        let mut shares = [[0.0; 2]; SEASONS];
        for ((row, season), share) in self.rows().zip(&forecast.told.seasons).zip(&mut shares) {
            let Some(shape) = *season else {
                continue;
            };
            for kind in 0..RATES {
                let behind = row.evidence[kind] - best;
                if behind > -12.0 {
                    let weight = f64::from(behind).exp();
                    mean += weight * (shape + row.level(kind));
                    share[0] += weight;
                }
            }
            all += share[0];
            let behind = row.evidence[0] - best_steady;
            if behind > -12.0 {
                let weight = f64::from(behind).exp();
                steady += weight * (shape + row.level(0));
                firm += weight * (shape + f64::from(row.firm));
                share[1] = weight;
                slow += weight;
            }
        }
        forecast.mean = self.origin + mean / all;
        forecast.steady = self.origin + steady / slow;
        forecast.firm = self.origin + firm / slow;
        forecast.told.shares =
            shares.map(|[share, steady]| (share / all).max(steady / slow) as f32);
    }

    /// Learns the value `y`. Errors are cut by `cuts`, each predictor's own: who was right must not be bent by those who
    /// were surprised.
    pub fn learn(
        &mut self,
        time: i64,
        span: i64,
        y: f64,
        forecast: &Forecast,
        floor: f64,
        cuts: &Cuts,
    ) {
        self.learnt = self.learnt.saturating_add(1);
        let n = f64::from(self.learnt);
        if self.learnt == 1 {
            self.origin = y;
            for (row, season) in self.rows_mut().zip(&forecast.told.seasons) {
                *row = Row::starting(-season.unwrap_or(0.0));
            }
            return;
        }
        let y = y - self.origin;
        let away = (y - f64::from(self.plain.levels[0])).abs();
        let away = if n < 100.0 {
            away
        } else {
            away.min(20.0 * f64::from(self.variation).max(floor))
        };
        self.variation += ((away - f64::from(self.variation)) * (1.0 / n).max(0.002)) as f32;
        if let Some(seasons) = &mut self.seasons {
            let settled = n * days(span) > SETTLED_DAYS;
            seasons.learn(time, span, y, &forecast.told, cuts.seasons, settled);
        }
        let pace = Pace {
            n,
            slow: slow(span).max(1.0 / n),
            forget: forget(span),
            floor,
        };
        for (row, season) in self.rows_mut().zip(&forecast.told.seasons) {
            if let Some(shape) = *season {
                row.learn(y, shape, &pace, cuts);
            }
        }
        if self.learnt.is_multiple_of(16) {
            self.centre();
        }
    }

    /// Moves the origin to the slow mean when that is far from it.
    fn centre(&mut self) {
        let by = f64::from(self.plain.levels[0]);
        if by.abs() > FAR * self.variation() {
            self.origin += by;
            self.rows_mut().for_each(|row| row.rise(-by));
        }
    }

    pub fn spread(&self) -> Option<&Table> {
        self.seasons.as_ref()?.spread.as_ref()
    }

    pub fn spread_mut(&mut self) -> Option<&mut Table> {
        self.seasons.as_mut()?.spread.as_mut()
    }

    /// Whether seasons of the calendar are taken up, all of them.
    pub fn is_complete(&self, span: i64) -> bool {
        self.missing_bytes(span) == 0
    }

    /// Bytes of a found period's table, and of the place of the seasons where there are none.
    pub fn period_bytes(&self, period: i64, span: i64) -> usize {
        let place = match self.seasons {
            None => allocated(size_of::<Seasons>()),
            Some(_) => 0,
        };
        Table::bytes_of(period, 1, span, 512) + place
    }

    /// Bytes of the seasons of the calendar that are not taken up.
    pub fn missing_bytes(&self, span: i64) -> usize {
        let seasons = self.seasons.as_ref();
        let missing = |table: fn(&Seasons) -> &Option<Table>| {
            seasons.is_none_or(|seasons| table(seasons).is_none())
        };
        let mut bytes = 0;
        if missing(|seasons| &seasons.daily) {
            bytes += Table::bytes_of(DAY, 1, span, DAILY_SLOTS);
        }
        if missing(|seasons| &seasons.classes) {
            bytes += Table::bytes_of(DAY, 2, span, CLASS_SLOTS);
        }
        if missing(|seasons| &seasons.weekly) {
            bytes += Table::bytes_of(WEEK, 1, span, WEEK_SLOTS);
        }
        if missing(|seasons| &seasons.spread) {
            bytes += Table::bytes_of(DAY, 1, span, HOURS);
        }
        if bytes > 0 && seasons.is_none() {
            bytes += allocated(size_of::<Seasons>());
        }
        bytes
    }

    /// Takes up the seasons of the calendar that are missing, with nothing known of them.
    pub fn complete(&mut self, span: i64) {
        self.take_up(span, 0.0);
    }

    /// The same where they were of no use before: until they are proved they have no say, for a first day that is only
    /// remembered is noise.
    pub fn complete_on_trial(&mut self, span: i64) {
        self.take_up(span, UNPROVED);
    }

    fn take_up(&mut self, span: i64, behind: f32) {
        let plain = self.plain;
        let seasons = self
            .seasons
            .get_or_insert_with(|| Box::new(Seasons::empty()));
        seasons.complete(span, plain, behind);
    }

    /// Takes over the seasons of predictors that learnt the same values over again.
    pub fn take_over(&mut self, other: Self) {
        if other.learnt == self.learnt {
            let found = self
                .seasons
                .take()
                .and_then(|seasons| Some((seasons.rows[FOUND - 1], seasons.found?)));
            let by = self.origin - other.origin;
            *self = other;
            if let (Some(seasons), Some((mut row, table))) = (&mut self.seasons, found) {
                row.rise(by);
                seasons.rows[FOUND - 1] = row;
                seasons.found = Some(table);
            }
            return;
        }
        let Some(mut seasons) = other.seasons else {
            return;
        };
        for row in &mut seasons.rows {
            row.rise(other.origin - self.origin);
            for kind in 0..RATES {
                row.evidence[kind] += self.plain.evidence[0] - other.plain.evidence[0];
            }
        }
        if let Some(old) = self.seasons.take() {
            seasons.rows[FOUND - 1] = old.rows[FOUND - 1];
            seasons.found = old.found;
        }
        self.seasons = Some(seasons);
    }

    /// Drops the seasons that are hardly used, and of no `worth` far ahead either.
    pub fn thin(&mut self, span: i64, worth: &[f64; SEASONS]) {
        self.seasons.take_if(|seasons| !seasons.thin(span, worth));
    }

    /// Takes up a period that the data showed, its shape folded from `values` (transformed, oldest first, the last one
    /// at `end`). It starts with the evidence of the best without it, and must hold it.
    pub fn adopt(
        &mut self,
        period: i64,
        span: i64,
        end: i64,
        values: impl Iterator<Item = Option<f64>> + Clone,
    ) {
        let fits = |other: i64| other % period < span || period - other % period < span;
        let found = self
            .seasons
            .as_ref()
            .and_then(|seasons| seasons.found.as_ref());
        if fits(DAY) || fits(WEEK) || found.is_some_and(|table| table.period() == period) {
            return;
        }
        let Some(mut table) = Table::new(period, 1, span, 512) else {
            return;
        };
        let count = values.clone().count() as i64;
        let known = values.clone().flatten();
        let mean = known.clone().sum::<f64>() / known.count().max(1) as f64;
        for (i, value) in values.enumerate() {
            if let Some(value) = value {
                let time = end - (count - 1 - i as i64) * span;
                let slot = table.slot(time);
                let visit = Visit {
                    time,
                    rate: 0.15,
                    tame: f64::INFINITY,
                    first: true,
                };
                table.learn(slot, value - mean - table.at(slot), &visit);
            }
        }
        let row = Row {
            evidence: [self.plain.evidence[0]; RATES],
            widths: [self.plain.widths[0]; RATES],
            far: self.plain.far,
            ..Row::starting(mean - self.origin)
        };
        let seasons = self
            .seasons
            .get_or_insert_with(|| Box::new(Seasons::empty()));
        seasons.rows[FOUND - 1] = row;
        seasons.found = Some(table);
        seasons.used[FOUND - 1] = 1.0;
    }

    /// Takes a lasting shift for the new level: the slow and firm levels go where the fast one is.
    pub fn shift(&mut self) {
        for row in self.rows_mut() {
            row.firm = row.levels[2];
            row.levels[0] = row.levels[2];
            row.levels[1] = row.levels[2];
            row.slope = 0.0;
        }
        self.centre();
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.seasons.as_ref().map_or(0, |seasons| seasons.bytes())
    }
}
