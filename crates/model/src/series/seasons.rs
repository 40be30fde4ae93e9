//! The seasons of a series, with the predictors of each, in one box: what a series without seasons does not have.

use serde::{Deserialize, Serialize};

use super::row::Row;
use super::season::{DAY, Table, Visit, WEEK, allocated, is_weekend};

/// Seasons: none, daily, daily smoothed, workday/weekend, daily + weekly, found.
pub const SEASONS: usize = 6;
pub const SMOOTH: usize = 2;
pub const CLASS: usize = 3;
pub const WEEKLY: usize = 4;
pub const FOUND: usize = 5;
pub const DAILY_SLOTS: i64 = 288;
/// Slots of a workday or weekend day: smoothed, so that half an hour is fine enough.
pub const CLASS_SLOTS: i64 = 48;
pub const WEEK_SLOTS: i64 = 168;
pub const HOURS: i64 = 24;
/// How much a slot learns at each visit of the day or week, however many buckets share it: else an event of an hour
/// would move a shared slot as if it had been seen several times.
const CLASS_RATE: f64 = 0.15;
const WEEK_RATE: f64 = 0.2;
/// Weeks that a week's shape must have been seen to count half, far ahead.
const FAR_DOUBT: f64 = 0.2;
/// Days over which the use of a season is averaged.
const USE_DAYS: f64 = 10.0;
/// Less than this share of the forecast is not worth a season's memory.
const USED: f32 = 0.1;
/// The same for all seasons together, which have some share by chance alone: for short buckets, and what comes to it
/// for buckets of an hour and more, of which there are few to tell by.
const USED_AT_ALL: [f64; 2] = [0.35, 0.3];
/// Widths by the hour that differ by less say nothing alone, beside what chance makes of so many visits.
const EVEN: f64 = 0.1;

/// What the seasons said at one time.
pub struct Told {
    /// What each is; `None` where there is none.
    pub seasons: [Option<f64>; SEASONS],
    /// The share of each in the mean, or in the steady one where that is greater.
    pub shares: [f32; SEASONS],
}

/// Days to a bucket of `span` seconds.
pub fn days(span: i64) -> f64 {
    span as f64 / DAY as f64
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seasons {
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
    pub used: [f32; SEASONS - 1],
    /// Values seen since some were taken up.
    seen: u32,
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

    /// Takes up the calendar's seasons that it has not, each starting where the next simpler one is, but so many nats
    /// `behind` it in evidence.
    pub fn complete(&mut self, span: i64, plain: Row, behind: f32) {
        let plain = plain.behind(behind);
        let fresh = self.daily.is_none();
        if fresh {
            self.daily = Table::new(DAY, 1, span, DAILY_SLOTS);
            self.rows[..SMOOTH].fill(plain);
        }
        let simpler = if self.daily.is_some() {
            self.rows[SMOOTH - 1].behind(if fresh { 0.0 } else { behind })
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
    pub fn at(&self, time: i64, span: i64, weeks: f64, seasons: &mut [Option<f64>; SEASONS]) {
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
            let slot = weekly.slot(time);
            // An hour that it sees for the first time it would only follow.
            let known = f64::from(weekly.visits(slot)) / weekly.buckets(span);
            let week = known.min(weeks / (weeks + 1.0)) * weekly.at(slot);
            seasons[WEEKLY] = Some(seasons[SMOOTH].unwrap_or(0.0) + week);
        }
        seasons[FOUND] = self.found.as_ref().map(|table| table.at(table.slot(time)));
    }

    /// What each season is at a time far ahead, where nothing else makes up for a week that is held back.
    pub fn far(&self, time: i64, span: i64, weeks: f64, seasons: &mut [Option<f64>; SEASONS]) {
        self.at(time, span, weeks, seasons);
        if let Some(weekly) = &self.weekly {
            let week = weeks / (weeks + FAR_DOUBT) * weekly.at(weekly.slot(time));
            seasons[WEEKLY] = Some(seasons[SMOOTH].unwrap_or(0.0) + week);
        }
    }

    /// Learns `y`, relative to the origin: a season learns what it leaves of the slow level beside it.
    pub fn learn(&mut self, time: i64, span: i64, y: f64, told: &Told, tame: f64, weekly: bool) {
        let left = |season: usize| y - f64::from(self.rows[season - 1].levels[0]);
        let error = |season: usize| left(season) - told.seasons[season].unwrap_or(0.0);
        let (daily_error, class_left, found_error) = (error(1), left(CLASS), error(FOUND));
        let week_left = left(WEEKLY) - told.seasons[SMOOTH].unwrap_or(0.0);
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
        for (used, share) in self.used.iter_mut().zip(&told.shares[1..]) {
            *used += rate * (share - *used);
        }
    }

    /// Drops what has hardly been used, and is of no `worth` far ahead either; false when nothing remains.
    pub fn thin(&mut self, span: i64, worth: &[f64; SEASONS]) -> bool {
        let mut all_used = self.used;
        for (used, worth) in all_used.iter_mut().zip(&worth[1..]) {
            *used = used.max(*worth as f32);
        }
        let used = |season: usize| all_used[season - 1];
        let [least, more] = USED_AT_ALL;
        let least = least + more * (span as f64 / 3_600.0).min(1.0);
        if f64::from(all_used.iter().sum::<f32>()) < least {
            (self.daily, self.classes, self.weekly, self.found) = (None, None, None, None);
            return self.spread.as_ref().is_some_and(|spread| {
                let visits = f64::from(spread.visits(0).max(1));
                spread.size() > EVEN + 1.0 / visits.sqrt()
            });
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

    pub fn bytes(&self) -> usize {
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
