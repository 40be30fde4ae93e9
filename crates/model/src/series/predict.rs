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

use super::season::{DAY, Table, Visit, WEEK, allocated, is_weekend};

/// Rates at which a level follows: slow mean, slow with a slope, fast mean, last value.
const RATES: usize = 4;
/// Seasons: none, daily, daily smoothed, workday/weekend, daily + weekly, found.
const SEASONS: usize = 6;
const SMOOTH: usize = 2;
const CLASS: usize = 3;
const WEEKLY: usize = 4;
const FOUND: usize = 5;
const DAILY_SLOTS: i64 = 288;
/// Slots of a workday or weekend day: smoothed, so that half an hour is fine enough.
const CLASS_SLOTS: i64 = 48;
const WEEK_SLOTS: i64 = 168;
const HOURS: i64 = 24;
/// How much a slot learns at each visit of the day or week, however many buckets share it: else an event of an hour
/// would move a shared slot as if it had been seen several times.
const CLASS_RATE: f64 = 0.15;
const WEEK_RATE: f64 = 0.2;
/// Days after which evidence has faded to 1/e: a season must not be given up for one day without its peak.
const EVIDENCE_DAYS: f64 = 3.0;
/// The week learns what the day leaves, so not before the day is known.
const SETTLED_DAYS: f64 = 1.5;
/// The firm levels are so many times as slow as the slow mean.
const FIRM: f64 = 3.0;
/// A forecast by the kind of day is still in question when it is worse by no more than this a bucket, in nats.
const IN_QUESTION: f32 = 0.15;
/// Errors beyond so many widths say no more against a predictor.
const CLIP: f64 = 16.0;
/// Days over which the use of a season is averaged.
const USE_DAYS: f64 = 10.0;
/// Less than this share of the forecast is not worth a season's memory.
const USED: f32 = 0.1;
/// The same for all seasons together, which have some share by chance alone: for short buckets, and what comes to it
/// for buckets of an hour and more, of which there are few to tell by.
const USED_AT_ALL: [f64; 2] = [0.35, 0.2];
/// Widths by the hour that differ by less say nothing alone.
const EVEN: f64 = 0.15;
/// Levels this many variations from the origin have it moved.
const FAR: f64 = 64.0;

/// The predictors of one season. Levels are relative to the origin, so that single precision is enough for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub levels: [f32; RATES],
    pub widths: [f32; RATES],
    pub evidence: [f32; RATES],
    /// Of the second.
    pub slope: f32,
    /// A level that an event of a day hardly bends.
    pub firm: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seasons {
    pub daily: Option<Table>,
    /// Workdays and weekends, a day each.
    pub classes: Option<Table>,
    /// What the week adds to the day, or the week itself where the day has no table.
    pub weekly: Option<Table>,
    pub found: Option<Table>,
    /// How much wider than usual errors are by the hour.
    pub spread: Option<Table>,
    pub rows: [Row; SEASONS - 1],
    /// Share that each has had in the forecast of late.
    used: [f32; SEASONS - 1],
    /// Values seen since some were taken up.
    seen: u32,
}

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
    seasons: [Option<f64>; SEASONS],
    /// The share of each season in the mean, or in the steady one where that is greater.
    shares: [f32; SEASONS],
}

/// How much of an error is learnt: by seasons (unless it comes again in its slot), by levels, by firm levels.
pub struct Cuts {
    pub seasons: f64,
    pub levels: f64,
    pub firm: f64,
}

/// Days to a bucket of `span` seconds.
fn days(span: i64) -> f64 {
    span as f64 / DAY as f64
}

/// Share of the evidence that is kept from one bucket to the next.
fn forget(span: i64) -> f32 {
    1.0 - (days(span) / EVIDENCE_DAYS).clamp(1.0 / 3_000.0, 1.0 / 60.0) as f32
}

impl Row {
    fn starting(level: f64) -> Self {
        Self {
            levels: [level as f32; RATES],
            firm: level as f32,
            ..Self::default()
        }
    }

    fn level(&self, kind: usize) -> f64 {
        let slope = if kind == 1 {
            f64::from(self.slope)
        } else {
            0.0
        };
        f64::from(self.levels[kind]) + slope
    }

    fn rise(&mut self, by: f64) {
        let levels = self.levels.iter_mut().chain([&mut self.firm]);
        levels.for_each(|level| *level = (f64::from(*level) + by) as f32);
    }

    fn best(&self) -> f32 {
        self.evidence.iter().copied().fold(f32::MIN, f32::max)
    }
}

impl Seasons {
    pub fn empty() -> Self {
        Self {
            daily: None,
            classes: None,
            weekly: None,
            found: None,
            spread: None,
            rows: [Row::default(); SEASONS - 1],
            used: [0.0; SEASONS - 1],
            seen: 0,
        }
    }

    /// Takes up the calendar's seasons that it has not, each starting where the next simpler one is.
    pub fn complete(&mut self, span: i64, plain: Row) {
        if self.daily.is_none() {
            self.daily = Table::new(DAY, 1, span, DAILY_SLOTS);
            self.rows[..SMOOTH].fill(plain);
        }
        let simpler = if self.daily.is_some() {
            self.rows[SMOOTH - 1]
        } else {
            plain
        };
        if self.classes.is_none() {
            self.classes = Table::new(DAY, 2, span, CLASS_SLOTS);
            self.rows[CLASS - 1] = simpler;
        }
        if self.weekly.is_none() {
            self.weekly = Table::new(WEEK, 1, span, WEEK_SLOTS);
            self.rows[WEEKLY - 1] = simpler;
        }
        if self.spread.is_none() {
            self.spread = Table::new(DAY, 1, span, HOURS);
        }
        (self.used, self.seen) = ([0.0; SEASONS - 1], 0);
    }

    /// Takes all seasons for used, and for as old as so many values.
    pub fn all_used(&mut self, seen: u32) {
        (self.used, self.seen) = ([1.0; SEASONS - 1], seen);
    }

    /// What each season is at a time.
    fn at(&self, time: i64, weeks: f64, seasons: &mut [Option<f64>; SEASONS]) {
        if let Some(daily) = &self.daily {
            let slot = daily.slot(time);
            seasons[1] = Some(daily.at(slot));
            seasons[SMOOTH] = Some(daily.smooth(slot));
        }
        if let Some(classes) = &self.classes {
            let slot = classes.slot_of(time, is_weekend(time));
            // A first weekend knows nothing yet: as any day.
            seasons[CLASS] = if classes.visits(slot) > 0 {
                Some(classes.smooth(slot))
            } else {
                Some(seasons[SMOOTH].unwrap_or(0.0))
            };
        }
        if let Some(weekly) = &self.weekly {
            let week = weeks / (weeks + 1.0) * weekly.at(weekly.slot(time));
            seasons[WEEKLY] = Some(seasons[SMOOTH].unwrap_or(0.0) + week);
        }
        seasons[FOUND] = self.found.as_ref().map(|table| table.at(table.slot(time)));
    }

    /// Learns `y`, relative to the origin: a season learns what it leaves of the slow level beside it.
    fn learn(
        &mut self,
        time: i64,
        span: i64,
        y: f64,
        forecast: &Forecast,
        tame: f64,
        weekly: bool,
    ) {
        let left = |season: usize| y - f64::from(self.rows[season - 1].levels[0]);
        let error = |season: usize| left(season) - forecast.seasons[season].unwrap_or(0.0);
        let (daily_error, class_left, found_error) = (error(1), left(CLASS), error(FOUND));
        let week_left = left(WEEKLY) - forecast.seasons[SMOOTH].unwrap_or(0.0);
        let visit = |table: &Table, rate: f64| Visit {
            time,
            rate,
            tame,
            first: table.is_first(time, span),
        };
        if let Some(daily) = &mut self.daily {
            daily.learn(daily.slot(time), daily_error, &visit(daily, 0.12));
        }
        if let Some(classes) = &mut self.classes {
            let slot = classes.slot_of(time, is_weekend(time));
            let visit = visit(classes, CLASS_RATE / classes.buckets(span));
            classes.learn(slot, class_left - classes.at(slot), &visit);
        }
        if let Some(table) = &mut self.weekly
            && weekly
        {
            let slot = table.slot(time);
            let visit = visit(table, WEEK_RATE / table.buckets(span));
            table.learn(slot, week_left - table.at(slot), &visit);
        }
        if let Some(found) = &mut self.found {
            found.learn(found.slot(time), found_error, &visit(found, 0.15));
        }
        self.seen = self.seen.saturating_add(1);
        let rate = (days(span) / USE_DAYS)
            .max(1.0 / f64::from(self.seen))
            .min(1.0) as f32;
        for (used, share) in self.used.iter_mut().zip(&forecast.shares[1..]) {
            *used += rate * (share - *used);
        }
    }

    /// Drops what has hardly been used; false when nothing remains.
    fn thin(&mut self, span: i64) -> bool {
        let used = |season: usize| self.used[season - 1];
        let [least, more] = USED_AT_ALL;
        let least = least + more * (span as f64 / 3_600.0).min(1.0);
        if f64::from(self.used.iter().sum::<f32>()) < least {
            (self.daily, self.classes, self.weekly, self.found) = (None, None, None, None);
            return self
                .spread
                .as_ref()
                .is_some_and(|spread| spread.size() > EVEN);
        }
        let [classes, weekly, found] = [CLASS, WEEKLY, FOUND].map(|season| used(season) >= USED);
        self.classes.take_if(|_| !classes);
        self.weekly.take_if(|_| !weekly);
        self.found.take_if(|_| !found);
        if !classes && !weekly && used(1) + used(SMOOTH) < USED {
            self.daily = None;
        }
        true
    }

    fn bytes(&self) -> usize {
        let tables = [
            &self.daily,
            &self.classes,
            &self.weekly,
            &self.found,
            &self.spread,
        ];
        let tables = tables.into_iter().flatten().map(Table::bytes);
        allocated(size_of::<Self>()) + tables.sum::<usize>()
    }
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
            seasons: [None; SEASONS],
            shares: [0.0; SEASONS],
        };
        forecast.seasons[0] = Some(0.0);
        if let Some(seasons) = &self.seasons {
            seasons.at(time, self.weeks(span), &mut forecast.seasons);
        }
        if self.learnt > 0 {
            self.mix(&mut forecast);
            forecast.class = self.by_class(time, span, &forecast.seasons);
        }
        forecast
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
            .zip(&forecast.seasons)
            .filter(|(_, season)| season.is_some())
        {
            best = best.max(row.best());
            best_steady = best_steady.max(row.evidence[0]);
        }
        let (mut mean, mut all) = (0.0, 0.0);
        let (mut steady, mut firm, mut slow) = (0.0, 0.0, 0.0);
        let mut shares = [[0.0; 2]; SEASONS];
        for ((row, season), share) in self.rows().zip(&forecast.seasons).zip(&mut shares) {
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
        forecast.shares = shares.map(|[share, steady]| (share / all).max(steady / slow) as f32);
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
            for (row, season) in self.rows_mut().zip(&forecast.seasons) {
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
            seasons.learn(time, span, y, forecast, cuts.seasons, settled);
        }
        let pace = Pace {
            n,
            slow: days(span).clamp(1.0 / 300.0, 0.1).max(1.0 / n),
            forget: forget(span),
            floor,
        };
        for (row, season) in self.rows_mut().zip(&forecast.seasons) {
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
        let plain = self.plain;
        let seasons = self
            .seasons
            .get_or_insert_with(|| Box::new(Seasons::empty()));
        seasons.complete(span, plain);
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

    /// Drops the seasons that are hardly used.
    pub fn thin(&mut self, span: i64) {
        self.seasons.take_if(|seasons| !seasons.thin(span));
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

/// How fast a row learns.
struct Pace {
    n: f64,
    slow: f64,
    forget: f32,
    floor: f64,
}

impl Row {
    /// Learns `y` beside a season's `shape`.
    fn learn(&mut self, y: f64, shape: f64, pace: &Pace, cuts: &Cuts) {
        let &Pace {
            n,
            slow,
            forget,
            floor,
        } = pace;
        let rate = (1.0 / n).max(0.02);
        let most = if n < 48.0 { f64::INFINITY } else { cuts.firm };
        let firm = f64::from(self.firm);
        self.firm =
            (firm + (slow / FIRM).max(1.0 / n) * (y - shape - firm).clamp(-most, most)) as f32;
        for kind in 0..RATES {
            let level = self.level(kind);
            let error = y - shape - level;
            let width = f64::from(self.widths[kind]).max(floor);
            let likelihood = -width.ln() - (error.abs() / width).min(CLIP);
            if n > 4.0 {
                self.evidence[kind] = forget * self.evidence[kind] + likelihood as f32;
            }
            let seen = error.clamp(-cuts.levels, cuts.levels);
            self.widths[kind] = (width + rate * (seen.abs() - width)) as f32;
            let step = match kind {
                0 => slow,
                1 => (2.0 * slow).clamp(0.02, 0.3),
                2 => 0.3,
                _ => 1.0,
            };
            self.levels[kind] = (level + step * seen) as f32;
            if kind == 1 {
                self.slope += (step * 0.05 * seen) as f32;
            }
        }
    }
}
